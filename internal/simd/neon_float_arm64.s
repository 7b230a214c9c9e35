#include "textflag.h"
#include "neon_arm64.h"

// FOLD folds the four codes in x with V16 and V20, and the numbers of more registers.
#define FOLD(x, a, b) \
	VSCVTF(x, x) \
	VFMUL(a, x, x) \
	VFADD(b, x, x) \
	VFMIN(30, x, x) \
	VFMAX(31, x, x) \
	VFCVTNS(x, x)

// func foldNEON(q *int8, code *byte, a, b *float32, width int)
TEXT ·foldNEON(SB), NOSPLIT, $0-40
	MOVD q+0(FP), R0
	MOVD code+8(FP), R1
	MOVD a+16(FP), R2
	MOVD b+24(FP), R3
	MOVD width+32(FP), R4
	MOVW $0x42800000, R5 // 64
	VDUP R5, V30.S4
	MOVW $0xc2800000, R5 // -64
	VDUP R5, V31.S4

loop:
	VLD1.P 16(R1), [V0.B16]
	VLD1.P 64(R2), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P 64(R3), [V20.S4, V21.S4, V22.S4, V23.S4]
	VUXTL V0.B8, V1.H8
	VUXTL2 V0.B16, V2.H8
	VUXTL V1.H4, V4.S4
	VUXTL2 V1.H8, V5.S4
	VUXTL V2.H4, V6.S4
	VUXTL2 V2.H8, V7.S4
	FOLD(4, 16, 20)
	FOLD(5, 17, 21)
	FOLD(6, 18, 22)
	FOLD(7, 19, 23)
	VXTNS(4, 1)
	VXTNS2(5, 1)
	VXTNS(6, 2)
	VXTNS2(7, 2)
	VXTNH(1, 0)
	VXTNH2(2, 0)
	VST1.P [V0.B16], 16(R0)
	SUB $16, R4
	CBNZ R4, loop
	RET

// SUMS adds up the numbers of V0-V3 into the first of V0.
#define SUMS \
	VFADD(1, 0, 0) \
	VFADD(3, 2, 2) \
	VFADD(2, 0, 0) \
	VFADDP(0, 0, 0) \
	VFADDP(0, 0, 0)

#define ZERO4 \
	VEOR V0.B16, V0.B16, V0.B16 \
	VEOR V1.B16, V1.B16, V1.B16 \
	VEOR V2.B16, V2.B16, V2.B16 \
	VEOR V3.B16, V3.B16, V3.B16

// func dotFineNEON(code *byte, fine *uint16, w *float32, width int) float32
//
// A code and its fine part lie side by side, which makes one number of 24 bits.
TEXT ·dotFineNEON(SB), NOSPLIT, $0-36
	MOVD code+0(FP), R0
	MOVD fine+8(FP), R1
	MOVD w+16(FP), R2
	MOVD width+24(FP), R3
	ZERO4
	MOVW $0x800000, R4
	VDUP R4, V31.S4

loop:
	VLD1.P 16(R0), [V4.B16]
	VLD1.P 32(R1), [V5.H8, V6.H8]
	VLD1.P 64(R2), [V16.S4, V17.S4, V18.S4, V19.S4]
	VUXTL V4.B8, V7.H8
	VUXTL2 V4.B16, V8.H8
	VZIP1 V7.H8, V5.H8, V20.H8
	VZIP2 V7.H8, V5.H8, V21.H8
	VZIP1 V8.H8, V6.H8, V22.H8
	VZIP2 V8.H8, V6.H8, V23.H8
	VSUB V31.S4, V20.S4, V20.S4
	VSUB V31.S4, V21.S4, V21.S4
	VSUB V31.S4, V22.S4, V22.S4
	VSUB V31.S4, V23.S4, V23.S4
	VSCVTF(20, 20)
	VSCVTF(21, 21)
	VSCVTF(22, 22)
	VSCVTF(23, 23)
	VFMLA V16.S4, V20.S4, V0.S4
	VFMLA V17.S4, V21.S4, V1.S4
	VFMLA V18.S4, V22.S4, V2.S4
	VFMLA V19.S4, V23.S4, V3.S4
	SUB $16, R3
	CBNZ R3, loop
	SUMS
	FMOVS F0, ret+32(FP)
	RET

// func dotNEON(a, b *float32, width int) float32
TEXT ·dotNEON(SB), NOSPLIT, $0-28
	MOVD a+0(FP), R0
	MOVD b+8(FP), R1
	MOVD width+16(FP), R2
	ZERO4

loop:
	VLD1.P 64(R0), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	VFMLA V4.S4, V16.S4, V0.S4
	VFMLA V5.S4, V17.S4, V1.S4
	VFMLA V6.S4, V18.S4, V2.S4
	VFMLA V7.S4, V19.S4, V3.S4
	SUB $16, R2
	CBNZ R2, loop
	SUMS
	FMOVS F0, ret+24(FP)
	RET

// STAGES does the stages 1 and 2 within Vx: of two numbers that change places the
// second is negated, and -b+a is a-b. It uses Vt.
#define STAGES(Vx, x, Vt, t) \
	VREV64 Vx.S4, Vt.S4 \
	VEOR V30.B16, Vx.B16, Vx.B16 \
	VFADD(t, x, x) \
	VEXT $8, Vx.B16, Vx.B16, Vt.B16 \
	VEOR V31.B16, Vx.B16, Vx.B16 \
	VFADD(t, x, x)

// FOUR does two stages of V0-V3.
#define FOUR \
	VFADD(1, 0, 4) \
	VFSUB(1, 0, 5) \
	VFADD(3, 2, 6) \
	VFSUB(3, 2, 7) \
	VFADD(6, 4, 0) \
	VFADD(7, 5, 1) \
	VFSUB(6, 4, 2) \
	VFSUB(7, 5, 3)

// func hadamardNEON(x *float32, n int, scale float32)
//
// First the stages 1 to 8 of 16 numbers at a time, then two stages at a time, then
// the last one if it is left. n is at least 16.
TEXT ·hadamardNEON(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	LSL $2, R1, R1
	ADD R0, R1, R2
	MOVD $0x8000000000000000, R3
	VMOV R3, V30.D[0]
	VMOV R3, V30.D[1]
	VEOR V31.B16, V31.B16, V31.B16
	MOVD $0x8000000080000000, R3
	VMOV R3, V31.D[1]
	MOVD R0, R4

block:
	VLD1 (R4), [V0.S4, V1.S4, V2.S4, V3.S4]
	STAGES(V0, 0, V4, 4)
	STAGES(V1, 1, V5, 5)
	STAGES(V2, 2, V6, 6)
	STAGES(V3, 3, V7, 7)
	FOUR
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R4)
	CMP R2, R4
	BLT block
	MOVD $64, R8 // bytes apart

stages:
	LSL $2, R8, R9
	CMP R1, R9
	BGT last
	MOVD R0, R4

group:
	ADD R8, R4, R5
	ADD R8, R5, R6
	ADD R8, R6, R7
	MOVD R8, R10

next:
	VLD1 (R4), [V0.S4]
	VLD1 (R5), [V1.S4]
	VLD1 (R6), [V2.S4]
	VLD1 (R7), [V3.S4]
	FOUR
	VST1.P [V0.S4], 16(R4)
	VST1.P [V1.S4], 16(R5)
	VST1.P [V2.S4], 16(R6)
	VST1.P [V3.S4], 16(R7)
	SUB $16, R10
	CBNZ R10, next
	MOVD R7, R4
	CMP R2, R4
	BLT group
	MOVD R9, R8
	B stages

last:
	CMP R1, R8
	BGE scaled
	MOVD R0, R4
	ADD R8, R0, R5

two:
	VLD1 (R4), [V0.S4]
	VLD1 (R5), [V1.S4]
	VFADD(1, 0, 2)
	VFSUB(1, 0, 3)
	VST1.P [V2.S4], 16(R4)
	VST1.P [V3.S4], 16(R5)
	SUB $16, R8
	CBNZ R8, two

scaled:
	MOVW scale+16(FP), R3
	VDUP R3, V8.S4

scale:
	VLD1 (R0), [V0.S4, V1.S4]
	VFMUL(8, 0, 0)
	VFMUL(8, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	CMP R2, R0
	BLT scale
	RET
