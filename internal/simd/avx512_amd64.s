#include "textflag.h"

// Four rows in R8-R11, those fetched in R12-R15; Z0-Z3 and Z4-Z7 are their sums. K1
// masks half of a register, for the last 32 bytes of a row.
#define GROUP \
	MOVQ 0(SI), R8 \
	MOVQ 8(SI), R9 \
	MOVQ 16(SI), R10 \
	MOVQ 24(SI), R11 \
	MOVQ 32(SI), R12 \
	MOVQ 40(SI), R13 \
	MOVQ 48(SI), R14 \
	MOVQ 56(SI), R15 \
	MOVL $-1, BX \
	KMOVQ BX, K1 \
	MOVL $0x0f0f0f0f, BX \
	VPBROADCASTD BX, Z31 \
	VPXORD Z0, Z0, Z0 \
	VPXORD Z1, Z1, Z1 \
	VPXORD Z2, Z2, Z2 \
	VPXORD Z3, Z3, Z3 \
	VPXORD Z4, Z4, Z4 \
	VPXORD Z5, Z5, Z5 \
	VPXORD Z6, Z6, Z6 \
	VPXORD Z7, Z7, Z7

#define FETCH(scale) \
	PREFETCHT0 (R12)(AX*scale) \
	PREFETCHT0 (R13)(AX*scale) \
	PREFETCHT0 (R14)(AX*scale) \
	PREFETCHT0 (R15)(AX*scale)

#define SUM(Za, Zb, Ya, Yb) \
	VPADDD Zb, Za, Za \
	VEXTRACTI64X4 $1, Za, Yb \
	VPADDD Yb, Ya, Ya

// SUM4 adds up the sums of four rows and stores them at (DI).
#define SUM4 \
	SUM(Z0, Z4, Y0, Y4) \
	SUM(Z1, Z5, Y1, Y5) \
	SUM(Z2, Z6, Y2, Y6) \
	SUM(Z3, Z7, Y3, Y7) \
	VPHADDD Y1, Y0, Y0 \
	VPHADDD Y3, Y2, Y2 \
	VPHADDD Y2, Y0, Y0 \
	VEXTRACTI128 $1, Y0, X1 \
	VPADDD X1, X0, X0 \
	VMOVDQU X0, (DI) \
	VZEROUPPER

// PRODUCTS adds the products of the codes in Z20, 4 bits each, with Z18 and Z19.
#define PRODUCTS(low, high) \
	VPSRLW $4, Z20, Z21 \
	VPANDD Z31, Z20, Z20 \
	VPANDD Z31, Z21, Z21 \
	VPDPBUSD Z18, Z20, low \
	VPDPBUSD Z19, Z21, high

#define NIBBLES(row, low, high) \
	VMOVDQU64 (row)(AX*1), Z20 \
	PRODUCTS(low, high)

#define HALF(row, low, high) \
	VMOVDQU8.Z (row)(AX*1), K1, Z20 \
	PRODUCTS(low, high)

// func coarseFourVNNI(out *int32, rows *group, q *byte, width int)
//
// 64 bytes of a row hold 128 numbers: the lower halves are the first 32 of each 64.
TEXT ·coarseFourVNNI(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ q+16(FP), DX
	MOVQ width+24(FP), CX
	SHRQ $1, CX
	GROUP
	XORQ AX, AX
	SUBQ $64, CX
	JLT  half

loop:
	VMOVDQU64 (DX)(AX*2), Z16
	VMOVDQU64 64(DX)(AX*2), Z17
	VSHUFI64X2 $0x44, Z17, Z16, Z18
	VSHUFI64X2 $0xee, Z17, Z16, Z19
	FETCH(1)
	NIBBLES(R8, Z0, Z4)
	NIBBLES(R9, Z1, Z5)
	NIBBLES(R10, Z2, Z6)
	NIBBLES(R11, Z3, Z7)
	ADDQ $64, AX
	CMPQ AX, CX
	JLE  loop

half:
	ADDQ $64, CX
	CMPQ AX, CX
	JGE  done
	VMOVDQU8.Z (DX)(AX*2), K1, Z18
	VMOVDQU8.Z 32(DX)(AX*2), K1, Z19
	HALF(R8, Z0, Z4)
	HALF(R9, Z1, Z5)
	HALF(R10, Z2, Z6)
	HALF(R11, Z3, Z7)

done:
	SUM4
	RET

// func coarseQueriesFourVNNI(out *int32, rows *group, code *byte, width int)
TEXT ·coarseQueriesFourVNNI(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ code+16(FP), DX
	MOVQ width+24(FP), CX
	SHRQ $1, CX
	GROUP
	XORQ AX, AX
	SUBQ $64, CX
	JLT  half

loop:
	VMOVDQU64 (DX)(AX*1), Z16
	VPSRLW $4, Z16, Z17
	VPANDD Z31, Z16, Z16
	VPANDD Z31, Z17, Z17
	VSHUFI64X2 $0x44, Z17, Z16, Z18
	VSHUFI64X2 $0xee, Z17, Z16, Z19
	FETCH(2)
	VPDPBUSD (R8)(AX*2), Z18, Z0
	VPDPBUSD (R9)(AX*2), Z18, Z1
	VPDPBUSD (R10)(AX*2), Z18, Z2
	VPDPBUSD (R11)(AX*2), Z18, Z3
	VPDPBUSD 64(R8)(AX*2), Z19, Z4
	VPDPBUSD 64(R9)(AX*2), Z19, Z5
	VPDPBUSD 64(R10)(AX*2), Z19, Z6
	VPDPBUSD 64(R11)(AX*2), Z19, Z7
	ADDQ $64, AX
	CMPQ AX, CX
	JLE  loop

half:
	ADDQ $64, CX
	CMPQ AX, CX
	JGE  done
	VMOVDQU8.Z (DX)(AX*1), K1, Z16
	VPSRLW $4, Z16, Z17
	VPANDD Z31, Z16, Z16
	VPANDD Z31, Z17, Z17
	VSHUFI64X2 $0x44, Z17, Z16, Z18
	VPDPBUSD (R8)(AX*2), Z18, Z0
	VPDPBUSD (R9)(AX*2), Z18, Z1
	VPDPBUSD (R10)(AX*2), Z18, Z2
	VPDPBUSD (R11)(AX*2), Z18, Z3

done:
	SUM4
	RET

// func scoreFourVNNI(out *int32, rows *group, q *byte, width int)
TEXT ·scoreFourVNNI(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ q+16(FP), DX
	MOVQ width+24(FP), CX
	GROUP
	XORQ AX, AX
	SUBQ $64, CX
	JLT  half

loop:
	VMOVDQU64 (DX)(AX*1), Z16
	VMOVDQU64 (R8)(AX*1), Z20
	VMOVDQU64 (R9)(AX*1), Z21
	VMOVDQU64 (R10)(AX*1), Z22
	VMOVDQU64 (R11)(AX*1), Z23
	FETCH(1)
	VPDPBUSD Z16, Z20, Z0
	VPDPBUSD Z16, Z21, Z1
	VPDPBUSD Z16, Z22, Z2
	VPDPBUSD Z16, Z23, Z3
	ADDQ $64, AX
	CMPQ AX, CX
	JLE  loop

half:
	ADDQ $64, CX
	CMPQ AX, CX
	JGE  done
	VMOVDQU8.Z (DX)(AX*1), K1, Z16
	VMOVDQU8.Z (R8)(AX*1), K1, Z20
	VMOVDQU8.Z (R9)(AX*1), K1, Z21
	VMOVDQU8.Z (R10)(AX*1), K1, Z22
	VMOVDQU8.Z (R11)(AX*1), K1, Z23
	VPDPBUSD Z16, Z20, Z0
	VPDPBUSD Z16, Z21, Z1
	VPDPBUSD Z16, Z22, Z2
	VPDPBUSD Z16, Z23, Z3

done:
	SUM4
	RET

// func scoreQueriesFourVNNI(out *int32, rows *group, code *byte, width int)
TEXT ·scoreQueriesFourVNNI(SB), NOSPLIT, $0-32
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ code+16(FP), DX
	MOVQ width+24(FP), CX
	GROUP
	XORQ AX, AX
	SUBQ $64, CX
	JLT  half

loop:
	VMOVDQU64 (DX)(AX*1), Z16
	FETCH(1)
	VPDPBUSD (R8)(AX*1), Z16, Z0
	VPDPBUSD (R9)(AX*1), Z16, Z1
	VPDPBUSD (R10)(AX*1), Z16, Z2
	VPDPBUSD (R11)(AX*1), Z16, Z3
	ADDQ $64, AX
	CMPQ AX, CX
	JLE  loop

half:
	ADDQ $64, CX
	CMPQ AX, CX
	JGE  done
	VMOVDQU8.Z (DX)(AX*1), K1, Z16
	VMOVDQU8.Z (R8)(AX*1), K1, Z20
	VMOVDQU8.Z (R9)(AX*1), K1, Z21
	VMOVDQU8.Z (R10)(AX*1), K1, Z22
	VMOVDQU8.Z (R11)(AX*1), K1, Z23
	VPDPBUSD Z20, Z16, Z0
	VPDPBUSD Z21, Z16, Z1
	VPDPBUSD Z22, Z16, Z2
	VPDPBUSD Z23, Z16, Z3

done:
	SUM4
	RET

// FINE adds to acc the products of sixteen numbers at AX+off.
#define FINE(off, x, y, acc) \
	VPMOVZXBD off(SI)(AX*1), x \
	VPMOVZXWD (2*off)(R8)(AX*2), y \
	VPSLLD $16, x, x \
	VPADDD y, x, x \
	VPSUBD Z15, x, x \
	VCVTDQ2PS x, x \
	VFMADD231PS (4*off)(R9)(AX*4), x, acc

// func dotFineAVX512(code *byte, fine *uint16, w *float32, width int) float32
TEXT ·dotFineAVX512(SB), NOSPLIT, $0-36
	MOVQ code+0(FP), SI
	MOVQ fine+8(FP), R8
	MOVQ w+16(FP), R9
	MOVQ width+24(FP), R11
	XORQ AX, AX
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	MOVL $0x800000, BX
	VPBROADCASTD BX, Z15

loop:
	FINE(0, Z4, Z5, Z0)
	FINE(16, Z6, Z7, Z1)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop
	VADDPS Z1, Z0, Z0
	VEXTRACTF64X4 $1, Z0, Y1
	VADDPS Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS X1, X0, X0
	VHADDPS X0, X0, X0
	VHADDPS X0, X0, X0
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET
