#include "textflag.h"

// Codes of 4 bits: 32 bytes hold 64 of them, those of the first 32 numbers in the
// lower halves. The products of 512 numbers of a row fit 16 bits: 16·2·15·64 < 2^15.
//
// Y0-Y3 are the sums of 16 bits of four rows, Y9-Y12 those of 32; Y7 and Y8 hold 64
// numbers of the query, Y14 the mask of a half byte, Y15 ones.

#define CONSTANTS \
	VPCMPEQW Y15, Y15, Y15 \
	VPSRLW $12, Y15, Y14 \
	VPSLLW $8, Y14, Y13 \
	VPOR Y13, Y14, Y14 \
	VPSRLW $15, Y15, Y15

#define NIBBLES(row, sum) \
	VMOVDQU (row)(AX*1), Y4 \
	VPSRLW $4, Y4, Y5 \
	VPAND Y14, Y4, Y4 \
	VPAND Y14, Y5, Y5 \
	VPMADDUBSW Y7, Y4, Y4 \
	VPMADDUBSW Y8, Y5, Y5 \
	VPADDW Y4, sum, sum \
	VPADDW Y5, sum, sum

// HALVES splits 64 codes at (R10)(AX) into Y7 and Y8.
#define HALVES \
	VMOVDQU (R10)(AX*1), Y7 \
	VPSRLW $4, Y7, Y8 \
	VPAND Y14, Y7, Y7 \
	VPAND Y14, Y8, Y8

// NUMBERS multiplies the codes in Y7 and Y8 with 64 numbers of a query.
#define NUMBERS(row, sum) \
	VPMADDUBSW (row)(AX*2), Y7, Y4 \
	VPMADDUBSW 32(row)(AX*2), Y8, Y5 \
	VPADDW Y4, sum, sum \
	VPADDW Y5, sum, sum

#define QUERY \
	VMOVDQU (R10)(AX*2), Y7 \
	VMOVDQU 32(R10)(AX*2), Y8

#define ZERO(a, b, c, d) \
	VPXOR a, a, a \
	VPXOR b, b, b \
	VPXOR c, c, c \
	VPXOR d, d, d

#define WIDEN(sum, total) \
	VPMADDWD Y15, sum, sum \
	VPADDD sum, total, total

#define WIDEN4 \
	WIDEN(Y0, Y9) \
	WIDEN(Y1, Y10) \
	WIDEN(Y2, Y11) \
	WIDEN(Y3, Y12)

// BLOCK sets BX to where the next block of 512 numbers ends.
#define BLOCK \
	LEAQ 256(AX), BX \
	CMPQ BX, R11 \
	CMOVQGT R11, BX

#define SUM4 \
	VPHADDD Y10, Y9, Y9 \
	VPHADDD Y12, Y11, Y11 \
	VPHADDD Y11, Y9, Y9 \
	VEXTRACTI128 $1, Y9, X1 \
	VPADDD X1, X9, X9 \
	VMOVDQU X9, (DI)

#define SUM1 \
	VEXTRACTI128 $1, Y9, X1 \
	VPADDD X1, X9, X9 \
	VPHADDD X9, X9, X9 \
	VPHADDD X9, X9, X9 \
	VMOVD X9, (DI)

// func coarseRunAVX2(out *int32, codes *byte, n int, q *int8, width int)
TEXT ·coarseRunAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ codes+8(FP), R12
	MOVQ n+16(FP), R9
	MOVQ q+24(FP), R10
	MOVQ width+32(FP), R11
	SHRQ $1, R11
	CONSTANTS

four:
	CMPQ R9, $4
	JLT  one
	LEAQ (R12)(R11*1), R13
	LEAQ (R13)(R11*1), R8
	LEAQ (R8)(R11*1), DX
	XORQ AX, AX
	ZERO(Y9, Y10, Y11, Y12)

block4:
	BLOCK
	ZERO(Y0, Y1, Y2, Y3)

loop4:
	QUERY
	PREFETCHT0 1024(R12)(AX*4)
	NIBBLES(R12, Y0)
	NIBBLES(R13, Y1)
	PREFETCHT0 1088(R12)(AX*4)
	NIBBLES(R8, Y2)
	NIBBLES(DX, Y3)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop4
	WIDEN4
	CMPQ AX, R11
	JLT  block4
	SUM4
	ADDQ $16, DI
	LEAQ (DX)(R11*1), R12
	SUBQ $4, R9
	JMP  four

one:
	TESTQ R9, R9
	JLE   done
	XORQ  AX, AX
	VPXOR Y9, Y9, Y9

block1:
	BLOCK
	VPXOR Y0, Y0, Y0

loop1:
	QUERY
	NIBBLES(R12, Y0)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop1
	WIDEN(Y0, Y9)
	CMPQ AX, R11
	JLT  block1
	SUM1
	ADDQ $4, DI
	ADDQ R11, R12
	DECQ R9
	JMP  one

done:
	VZEROUPPER
	RET

// ADDRESS sets dst to where the row of number from lies. It uses AX and BX.
#define ADDRESS(from, dst) \
	MOVL from, AX \
	MOVL AX, BX \
	SHRL CX, BX \
	ANDL R15, AX \
	IMULQ R11, AX \
	MOVQ (SI)(BX*8), dst \
	ADDQ AX, dst

#define ADDRESS4(off) \
	ADDRESS(off(R8), R12) \
	ADDRESS(off+4(R8), R13) \
	ADDRESS(off+8(R8), R14) \
	ADDRESS(off+12(R8), DX)

// AHEAD is how many rows ahead of those that are scored others are fetched.
#define AHEAD 8

// func coarseRowsAVX2(out *int32, chunks **byte, shift uint64, rows *uint32, n int, q *int8, width int)
//
// R8 is the next row to score, R9 how many there are; DX the next row to fetch, and
// R13 where fetching stops for now.
TEXT ·coarseRowsAVX2(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ chunks+8(FP), SI
	MOVQ shift+16(FP), CX
	MOVQ rows+24(FP), R8
	MOVQ n+32(FP), R9
	MOVQ q+40(FP), R10
	MOVQ width+48(FP), R11
	SHRQ $1, R11
	MOVQ $1, R15
	SHLQ CX, R15
	DECQ R15
	CONSTANTS
	XORQ DX, DX
	MOVQ $(AHEAD+4), R13
	JMP limit

four:
	MOVQ $AHEAD, DX
	MOVQ $(AHEAD+4), R13

limit:
	CMPQ R13, R9
	CMOVQGT R9, R13
	JMP fetch

row:
	ADDRESS(0(R8)(DX*4), R12)
	XORQ AX, AX

line:
	PREFETCHT0 (R12)(AX*1)
	ADDQ $64, AX
	CMPQ AX, R11
	JLT  line
	INCQ DX

fetch:
	CMPQ DX, R13
	JLT  row
	CMPQ R9, $4
	JLT  one

	ADDRESS4(0)
	XORQ AX, AX
	ZERO(Y9, Y10, Y11, Y12)

block4:
	BLOCK
	ZERO(Y0, Y1, Y2, Y3)

loop4:
	QUERY
	NIBBLES(R12, Y0)
	NIBBLES(R13, Y1)
	NIBBLES(R14, Y2)
	NIBBLES(DX, Y3)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop4
	WIDEN4
	CMPQ AX, R11
	JLT  block4
	SUM4
	ADDQ $16, DI
	ADDQ $16, R8
	SUBQ $4, R9
	CMPQ R9, $4
	JGE  four

one:
	TESTQ R9, R9
	JLE   done
	ADDRESS(0(R8), R12)
	XORQ  AX, AX
	VPXOR Y9, Y9, Y9

block1:
	BLOCK
	VPXOR Y0, Y0, Y0

loop1:
	QUERY
	NIBBLES(R12, Y0)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop1
	WIDEN(Y0, Y9)
	CMPQ AX, R11
	JLT  block1
	SUM1
	ADDQ $4, DI
	ADDQ $4, R8
	DECQ R9
	JMP  one

done:
	VZEROUPPER
	RET

// func coarseQueriesAVX2(out *int32, code *byte, n int, queries *int8, width int)
TEXT ·coarseQueriesAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ code+8(FP), R10
	MOVQ n+16(FP), R9
	MOVQ queries+24(FP), R12
	MOVQ width+32(FP), R11
	MOVQ R11, SI
	SHRQ $1, R11
	CONSTANTS

four:
	CMPQ R9, $4
	JLT  one
	LEAQ (R12)(SI*1), R13
	LEAQ (R13)(SI*1), R8
	LEAQ (R8)(SI*1), DX
	XORQ AX, AX
	ZERO(Y9, Y10, Y11, Y12)

block4:
	BLOCK
	ZERO(Y0, Y1, Y2, Y3)

loop4:
	HALVES
	NUMBERS(R12, Y0)
	NUMBERS(R13, Y1)
	NUMBERS(R8, Y2)
	NUMBERS(DX, Y3)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop4
	WIDEN4
	CMPQ AX, R11
	JLT  block4
	SUM4
	ADDQ $16, DI
	LEAQ (DX)(SI*1), R12
	SUBQ $4, R9
	JMP  four

one:
	TESTQ R9, R9
	JLE   done
	XORQ  AX, AX
	VPXOR Y9, Y9, Y9

block1:
	BLOCK
	VPXOR Y0, Y0, Y0

loop1:
	HALVES
	NUMBERS(R12, Y0)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop1
	WIDEN(Y0, Y9)
	CMPQ AX, R11
	JLT  block1
	SUM1
	ADDQ $4, DI
	ADDQ SI, R12
	DECQ R9
	JMP  one

done:
	VZEROUPPER
	RET
