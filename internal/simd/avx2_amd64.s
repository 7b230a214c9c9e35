#include "textflag.h"

// SUM4 adds up the numbers of each of Y0-Y3 and stores the four sums at (DI).
#define SUM4 \
	VPHADDD Y1, Y0, Y0 \
	VPHADDD Y3, Y2, Y2 \
	VPHADDD Y2, Y0, Y0 \
	VEXTRACTI128 $1, Y0, X1 \
	VPADDD X1, X0, X0 \
	VMOVDQU X0, (DI)

// SUM1 adds up the numbers of Y0 and stores the sum at (DI).
#define SUM1 \
	VEXTRACTI128 $1, Y0, X1 \
	VPADDD X1, X0, X0 \
	VPHADDD X0, X0, X0 \
	VPHADDD X0, X0, X0 \
	VMOVD X0, (DI)

// ONES sets every 16-bit number of Y15 to one.
#define ONES \
	VPCMPEQW Y15, Y15, Y15 \
	VPSRLW $15, Y15, Y15

// MUL adds to acc the products of 32 codes at row+AX with the query in Y8.
#define MUL(row, tmp, acc) \
	VMOVDQU (row)(AX*1), tmp \
	VPMADDUBSW Y8, tmp, tmp \
	VPMADDWD Y15, tmp, tmp \
	VPADDD tmp, acc, acc

// MULQ adds to acc the products of 32 numbers of a query at row+AX with the codes
// in Y8.
#define MULQ(row, tmp, acc) \
	VPMADDUBSW (row)(AX*1), Y8, tmp \
	VPMADDWD Y15, tmp, tmp \
	VPADDD tmp, acc, acc

#define ZERO4 \
	VPXOR Y0, Y0, Y0 \
	VPXOR Y1, Y1, Y1 \
	VPXOR Y2, Y2, Y2 \
	VPXOR Y3, Y3, Y3

// func scoreRunAVX2(out *int32, codes *byte, n int, q *int8, width int)
//
// Four rows at a time; what lies 1 KiB ahead is fetched, wherever that is: a
// prefetch never faults.
TEXT ·scoreRunAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ codes+8(FP), R12
	MOVQ n+16(FP), R9
	MOVQ q+24(FP), R10
	MOVQ width+32(FP), R11
	ONES

four:
	CMPQ R9, $4
	JLT  one
	LEAQ (R12)(R11*1), R13
	LEAQ (R13)(R11*1), R8
	LEAQ (R8)(R11*1), DX
	XORQ AX, AX
	ZERO4

loop4:
	VMOVDQU (R10)(AX*1), Y8
	PREFETCHT0 1024(R12)(AX*4)
	MUL(R12, Y4, Y0)
	PREFETCHT0 1088(R12)(AX*4)
	MUL(R13, Y5, Y1)
	MUL(R8, Y6, Y2)
	MUL(DX, Y7, Y3)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop4
	SUM4
	ADDQ $16, DI
	LEAQ (DX)(R11*1), R12
	SUBQ $4, R9
	JMP  four

one:
	TESTQ R9, R9
	JLE   done
	XORQ  AX, AX
	VPXOR Y0, Y0, Y0

loop1:
	VMOVDQU (R10)(AX*1), Y8
	MUL(R12, Y4, Y0)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop1
	SUM1
	ADDQ $4, DI
	ADDQ R11, R12
	DECQ R9
	JMP  one

done:
	VZEROUPPER
	RET

// ADDRESS sets dst to where the row at off(R8) lies. It uses AX and BX.
#define ADDRESS(off, dst) \
	MOVL off(R8), AX \
	MOVL AX, BX \
	SHRL CX, BX \
	ANDL R15, AX \
	IMULQ R11, AX \
	MOVQ (SI)(BX*8), dst \
	ADDQ AX, dst

#define ADDRESS4(off) \
	ADDRESS(off, R12) \
	ADDRESS((off+4), R13) \
	ADDRESS((off+8), R14) \
	ADDRESS((off+12), DX)

// func scoreRowsAVX2(out *int32, chunks **byte, shift uint64, rows *uint32, n int, q *int8, width int)
//
// Four rows at a time, while the next four are fetched.
TEXT ·scoreRowsAVX2(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ chunks+8(FP), SI
	MOVQ shift+16(FP), CX
	MOVQ rows+24(FP), R8
	MOVQ n+32(FP), R9
	MOVQ q+40(FP), R10
	MOVQ width+48(FP), R11
	MOVQ $1, R15
	SHLQ CX, R15
	DECQ R15
	ONES
	CMPQ R9, $4
	JLT  one
	ADDRESS4(0)
	XORQ AX, AX

first:
	PREFETCHT0 (R12)(AX*1)
	PREFETCHT0 (R13)(AX*1)
	PREFETCHT0 (R14)(AX*1)
	PREFETCHT0 (DX)(AX*1)
	ADDQ $64, AX
	CMPQ AX, R11
	JLT  first

four:
	CMPQ R9, $8
	JLT  fetched
	ADDRESS4(16)
	XORQ AX, AX

fetch:
	PREFETCHT0 (R12)(AX*1)
	PREFETCHT0 (R13)(AX*1)
	PREFETCHT0 (R14)(AX*1)
	PREFETCHT0 (DX)(AX*1)
	ADDQ $64, AX
	CMPQ AX, R11
	JLT  fetch

fetched:
	ADDRESS4(0)
	XORQ AX, AX
	ZERO4

loop4:
	VMOVDQU (R10)(AX*1), Y8
	MUL(R12, Y4, Y0)
	MUL(R13, Y5, Y1)
	MUL(R14, Y6, Y2)
	MUL(DX, Y7, Y3)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop4
	SUM4
	ADDQ $16, DI
	ADDQ $16, R8
	SUBQ $4, R9
	CMPQ R9, $4
	JGE  four

one:
	TESTQ R9, R9
	JLE   done
	ADDRESS(0, R12)
	XORQ  AX, AX
	VPXOR Y0, Y0, Y0

loop1:
	VMOVDQU (R10)(AX*1), Y8
	MUL(R12, Y4, Y0)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop1
	SUM1
	ADDQ $4, DI
	ADDQ $4, R8
	DECQ R9
	JMP  one

done:
	VZEROUPPER
	RET

// func scoreQueriesAVX2(out *int32, code *byte, n int, queries *int8, width int)
TEXT ·scoreQueriesAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ code+8(FP), R10
	MOVQ n+16(FP), R9
	MOVQ queries+24(FP), R12
	MOVQ width+32(FP), R11
	ONES

four:
	CMPQ R9, $4
	JLT  one
	LEAQ (R12)(R11*1), R13
	LEAQ (R13)(R11*1), R8
	LEAQ (R8)(R11*1), DX
	XORQ AX, AX
	ZERO4

loop4:
	VMOVDQU (R10)(AX*1), Y8
	MULQ(R12, Y4, Y0)
	MULQ(R13, Y5, Y1)
	MULQ(R8, Y6, Y2)
	MULQ(DX, Y7, Y3)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop4
	SUM4
	ADDQ $16, DI
	LEAQ (DX)(R11*1), R12
	SUBQ $4, R9
	JMP  four

one:
	TESTQ R9, R9
	JLE   done
	XORQ  AX, AX
	VPXOR Y0, Y0, Y0

loop1:
	VMOVDQU (R10)(AX*1), Y8
	MULQ(R12, Y4, Y0)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop1
	SUM1
	ADDQ $4, DI
	ADDQ R11, R12
	DECQ R9
	JMP  one

done:
	VZEROUPPER
	RET

// func foldAVX2(q *int8, code *byte, a, b *float32, width int)
TEXT ·foldAVX2(SB), NOSPLIT, $0-40
	MOVQ q+0(FP), DI
	MOVQ code+8(FP), SI
	MOVQ a+16(FP), R8
	MOVQ b+24(FP), R9
	MOVQ width+32(FP), R11
	XORQ AX, AX
	MOVL $0x42800000, BX // 64
	VMOVD BX, X14
	VPBROADCASTD X14, Y14
	MOVL $0xc2800000, BX // -64
	VMOVD BX, X13
	VPBROADCASTD X13, Y13

loop:
	VPMOVZXBD (SI)(AX*1), Y0
	VPMOVZXBD 8(SI)(AX*1), Y1
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VMULPS (R8)(AX*4), Y0, Y0
	VMULPS 32(R8)(AX*4), Y1, Y1
	VADDPS (R9)(AX*4), Y0, Y0
	VADDPS 32(R9)(AX*4), Y1, Y1
	VMINPS Y14, Y0, Y0
	VMINPS Y14, Y1, Y1
	VMAXPS Y13, Y0, Y0
	VMAXPS Y13, Y1, Y1
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VPACKSSDW Y1, Y0, Y0
	VPERMQ $0xd8, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPACKSSWB X1, X0, X0
	VMOVDQU X0, (DI)(AX*1)
	ADDQ $16, AX
	CMPQ AX, R11
	JLT  loop
	VZEROUPPER
	RET

// FINE adds to acc the products of eight numbers at AX+off.
#define FINE(off, x, y, acc) \
	VPMOVZXBD off(SI)(AX*1), x \
	VPMOVZXWD (2*off)(R8)(AX*2), y \
	VPSLLD $16, x, x \
	VPADDD y, x, x \
	VPSUBD Y15, x, x \
	VCVTDQ2PS x, x \
	VFMADD231PS (4*off)(R9)(AX*4), x, acc

// SUMPS adds up the numbers of Y0-Y3 into X0.
#define SUMPS \
	VADDPS Y1, Y0, Y0 \
	VADDPS Y3, Y2, Y2 \
	VADDPS Y2, Y0, Y0 \
	VEXTRACTF128 $1, Y0, X1 \
	VADDPS X1, X0, X0 \
	VHADDPS X0, X0, X0 \
	VHADDPS X0, X0, X0

// func dotFineAVX2(code *byte, fine *uint16, w *float32, width int) float32
TEXT ·dotFineAVX2(SB), NOSPLIT, $0-36
	MOVQ code+0(FP), SI
	MOVQ fine+8(FP), R8
	MOVQ w+16(FP), R9
	MOVQ width+24(FP), R11
	XORQ AX, AX
	ZERO4
	MOVL $0x800000, BX
	VMOVD BX, X15
	VPBROADCASTD X15, Y15

loop:
	FINE(0, Y4, Y5, Y0)
	FINE(8, Y6, Y7, Y1)
	FINE(16, Y8, Y9, Y2)
	FINE(24, Y10, Y11, Y3)
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop
	SUMPS
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func dotAVX2(a, b *float32, width int) float32
TEXT ·dotAVX2(SB), NOSPLIT, $0-28
	MOVQ a+0(FP), SI
	MOVQ b+8(FP), R8
	MOVQ width+16(FP), R11
	XORQ AX, AX
	ZERO4

loop:
	VMOVUPS (SI)(AX*4), Y4
	VMOVUPS 32(SI)(AX*4), Y5
	VMOVUPS 64(SI)(AX*4), Y6
	VMOVUPS 96(SI)(AX*4), Y7
	VFMADD231PS (R8)(AX*4), Y4, Y0
	VFMADD231PS 32(R8)(AX*4), Y5, Y1
	VFMADD231PS 64(R8)(AX*4), Y6, Y2
	VFMADD231PS 96(R8)(AX*4), Y7, Y3
	ADDQ $32, AX
	CMPQ AX, R11
	JLT  loop
	SUMPS
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func prefetch(p *byte, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	ADDQ SI, CX

next:
	PREFETCHT0 (SI)
	ADDQ $64, SI
	CMPQ SI, CX
	JLT  next
	RET
