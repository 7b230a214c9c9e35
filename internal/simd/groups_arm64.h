// The kernels that score four rows, for whoever includes this: it names them COARSE,
// COARSEQUERIES, SCORE and SCOREQUERIES, and says how to multiply.
//
// TIMES(a, b, c, d, sum) adds to sum the products of the numbers in a with those in
// V16, of b with V17, c with V18 and d with V19, PAIR(a, b, sum) those with V16 and V17.

// Four rows in R4-R7, those fetched in R8-R11; V0-V3 are their sums.
#define GROUP \
	LDP (R1), (R4, R5) \
	LDP 16(R1), (R6, R7) \
	LDP 32(R1), (R8, R9) \
	LDP 48(R1), (R10, R11) \
	VEOR V0.B16, V0.B16, V0.B16 \
	VEOR V1.B16, V1.B16, V1.B16 \
	VEOR V2.B16, V2.B16, V2.B16 \
	VEOR V3.B16, V3.B16, V3.B16

#define FETCH(bytes) \
	PRFM (R8), PLDL1KEEP \
	PRFM (R9), PLDL1KEEP \
	PRFM (R10), PLDL1KEEP \
	PRFM (R11), PLDL1KEEP \
	ADD bytes, R8 \
	ADD bytes, R9 \
	ADD bytes, R10 \
	ADD bytes, R11

#define SUM4 \
	VADDP V1.S4, V0.S4, V0.S4 \
	VADDP V3.S4, V2.S4, V2.S4 \
	VADDP V2.S4, V0.S4, V0.S4

// NIBBLES adds to sum the products of the 64 codes at row with V16-V19.
#define NIBBLES(row, sum) \
	VLD1.P 32(row), [V20.B16, V21.B16] \
	VUSHR $4, V20.B16, V22.B16 \
	VUSHR $4, V21.B16, V23.B16 \
	VAND V31.B16, V20.B16, V20.B16 \
	VAND V31.B16, V21.B16, V21.B16 \
	TIMES(20, 21, 22, 23, sum)

// COARSE is func(out *int32, rows *group, q *byte, width int).
TEXT COARSE(SB), NOSPLIT, $0-32
	MOVD out+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD q+16(FP), R2
	MOVD width+24(FP), R3
	GROUP
	VMOVI $15, V31.B16

loop:
	VLD1.P 64(R2), [V16.B16, V17.B16, V18.B16, V19.B16]
	FETCH($32)
	NIBBLES(R4, 0)
	NIBBLES(R5, 1)
	NIBBLES(R6, 2)
	NIBBLES(R7, 3)
	SUB $64, R3
	CBNZ R3, loop
	SUM4
	VST1 [V0.S4], (R0)
	RET

// NUMBERS adds to sum the products of 64 numbers of the query at row with the codes
// in V16-V19.
#define NUMBERS(row, sum) \
	VLD1.P 64(row), [V20.B16, V21.B16, V22.B16, V23.B16] \
	TIMES(20, 21, 22, 23, sum)

// COARSEQUERIES is func(out *int32, rows *group, code *byte, width int).
TEXT COARSEQUERIES(SB), NOSPLIT, $0-32
	MOVD out+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD code+16(FP), R2
	MOVD width+24(FP), R3
	GROUP
	VMOVI $15, V31.B16

loop:
	VLD1.P 32(R2), [V16.B16, V17.B16]
	VUSHR $4, V16.B16, V18.B16
	VUSHR $4, V17.B16, V19.B16
	VAND V31.B16, V16.B16, V16.B16
	VAND V31.B16, V17.B16, V17.B16
	FETCH($64)
	NUMBERS(R4, 0)
	NUMBERS(R5, 1)
	NUMBERS(R6, 2)
	NUMBERS(R7, 3)
	SUB $64, R3
	CBNZ R3, loop
	SUM4
	VST1 [V0.S4], (R0)
	RET

// Codes of 8 bits less 128 are numbers with signs, as the instructions need them; V31
// is -128, and the products with it are subtracted again.

// CODES adds to sum the products of the 32 codes at row with V16 and V17.
#define CODES(row, sum) \
	VLD1.P 32(row), [V20.B16, V21.B16] \
	VEOR V31.B16, V20.B16, V20.B16 \
	VEOR V31.B16, V21.B16, V21.B16 \
	PAIR(20, 21, sum)

// SCORE is func(out *int32, rows *group, q *byte, width int).
TEXT SCORE(SB), NOSPLIT, $0-32
	MOVD out+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD q+16(FP), R2
	MOVD width+24(FP), R3
	GROUP
	VEOR V4.B16, V4.B16, V4.B16
	VMOVI $128, V31.B16

loop:
	VLD1.P 32(R2), [V16.B16, V17.B16]
	FETCH($32)
	PAIR(31, 31, 4)
	CODES(R4, 0)
	CODES(R5, 1)
	CODES(R6, 2)
	CODES(R7, 3)
	SUB $32, R3
	CBNZ R3, loop
	VSUB V4.S4, V0.S4, V0.S4
	VSUB V4.S4, V1.S4, V1.S4
	VSUB V4.S4, V2.S4, V2.S4
	VSUB V4.S4, V3.S4, V3.S4
	SUM4
	VST1 [V0.S4], (R0)
	RET

// SCOREQUERIES is func(out *int32, rows *group, code *byte, width int).
TEXT SCOREQUERIES(SB), NOSPLIT, $0-32
	MOVD out+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD code+16(FP), R2
	MOVD width+24(FP), R3
	GROUP
	VMOVI $64, V30.B16
	VMOVI $128, V31.B16

loop:
	VLD1.P 32(R2), [V16.B16, V17.B16]
	VEOR V31.B16, V16.B16, V16.B16
	VEOR V31.B16, V17.B16, V17.B16
	FETCH($32)
	VLD1.P 32(R4), [V20.B16, V21.B16]
	WHOLE(0)
	VLD1.P 32(R5), [V20.B16, V21.B16]
	WHOLE(1)
	VLD1.P 32(R6), [V20.B16, V21.B16]
	WHOLE(2)
	VLD1.P 32(R7), [V20.B16, V21.B16]
	WHOLE(3)
	SUB $32, R3
	CBNZ R3, loop
	SUM4
	VST1 [V0.S4], (R0)
	RET
