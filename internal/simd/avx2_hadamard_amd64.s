#include "textflag.h"

// The signs of the second of two numbers, of two pairs and of two halves.
DATA ·signs+0(SB)/8, $0x8000000000000000
DATA ·signs+8(SB)/8, $0x8000000000000000
DATA ·signs+16(SB)/8, $0x8000000000000000
DATA ·signs+24(SB)/8, $0x8000000000000000
DATA ·signs+32(SB)/8, $0
DATA ·signs+40(SB)/8, $0x8000000080000000
DATA ·signs+48(SB)/8, $0
DATA ·signs+56(SB)/8, $0x8000000080000000
DATA ·signs+64(SB)/8, $0
DATA ·signs+72(SB)/8, $0
DATA ·signs+80(SB)/8, $0x8000000080000000
DATA ·signs+88(SB)/8, $0x8000000080000000
GLOBL ·signs(SB), RODATA|NOPTR, $96

// STAGES does the stages 1, 2 and 4 within x: of two numbers that change places the
// second is negated, and -b+a is a-b. It uses t.
#define STAGES(x, t) \
	VPERMILPS $0xb1, x, t \
	VXORPS Y13, x, x \
	VADDPS t, x, x \
	VPERMILPS $0x4e, x, t \
	VXORPS Y14, x, x \
	VADDPS t, x, x \
	VPERM2F128 $1, x, x, t \
	VXORPS Y15, x, x \
	VADDPS t, x, x

// FOUR does two stages of Y0-Y3.
#define FOUR \
	VADDPS Y1, Y0, Y4 \
	VSUBPS Y1, Y0, Y5 \
	VADDPS Y3, Y2, Y6 \
	VSUBPS Y3, Y2, Y7 \
	VADDPS Y6, Y4, Y0 \
	VADDPS Y7, Y5, Y1 \
	VSUBPS Y6, Y4, Y2 \
	VSUBPS Y7, Y5, Y3

// func hadamardAVX2(x *float32, n int, scale float32)
//
// First the stages 1 to 16 of 32 numbers at a time, then two stages at a time, then
// the last one if it is left. n is at least 32.
TEXT ·hadamardAVX2(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), DI
	MOVQ n+8(FP), R11
	SHLQ $2, R11
	LEAQ (DI)(R11*1), R10
	VMOVUPS ·signs+0(SB), Y13
	VMOVUPS ·signs+32(SB), Y14
	VMOVUPS ·signs+64(SB), Y15
	MOVQ DI, SI

block:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	STAGES(Y0, Y4)
	STAGES(Y1, Y5)
	STAGES(Y2, Y6)
	STAGES(Y3, Y7)
	FOUR
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	VMOVUPS Y2, 64(SI)
	VMOVUPS Y3, 96(SI)
	ADDQ $128, SI
	CMPQ SI, R10
	JLT  block
	MOVQ $128, R8 // bytes apart

stages:
	LEAQ (R8*4), R9
	CMPQ R9, R11
	JGT  last
	MOVQ DI, SI

group:
	LEAQ (SI)(R8*1), R12
	LEAQ (SI)(R8*2), R13
	LEAQ (R12)(R8*2), BX
	XORQ AX, AX

next:
	VMOVUPS (SI)(AX*1), Y0
	VMOVUPS (R12)(AX*1), Y1
	VMOVUPS (R13)(AX*1), Y2
	VMOVUPS (BX)(AX*1), Y3
	FOUR
	VMOVUPS Y0, (SI)(AX*1)
	VMOVUPS Y1, (R12)(AX*1)
	VMOVUPS Y2, (R13)(AX*1)
	VMOVUPS Y3, (BX)(AX*1)
	ADDQ $32, AX
	CMPQ AX, R8
	JLT  next
	ADDQ R9, SI
	CMPQ SI, R10
	JLT  group
	MOVQ R9, R8
	JMP  stages

last:
	CMPQ R8, R11
	JGE  scaled
	LEAQ (DI)(R8*1), R12
	XORQ AX, AX

two:
	VMOVUPS (DI)(AX*1), Y0
	VMOVUPS (R12)(AX*1), Y1
	VADDPS Y1, Y0, Y2
	VSUBPS Y1, Y0, Y3
	VMOVUPS Y2, (DI)(AX*1)
	VMOVUPS Y3, (R12)(AX*1)
	ADDQ $32, AX
	CMPQ AX, R8
	JLT  two

scaled:
	VBROADCASTSS scale+16(FP), Y8

scale:
	VMULPS (DI), Y8, Y0
	VMULPS 32(DI), Y8, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $64, DI
	CMPQ DI, R10
	JLT  scale
	VZEROUPPER
	RET
