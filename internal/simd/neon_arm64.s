#include "textflag.h"
#include "neon_arm64.h"

// Products of 8 bits are added up in 16, then pairs of those in 32. Four of 4 bits and
// 8 fit (4·15·64), two of a code less 128 (2·128·64), and so do two of a whole code
// (2·255·64 < 2^15), which is the difference of two products.

#define COARSE ·coarseFourNEON
#define COARSEQUERIES ·coarseQueriesFourNEON
#define SCORE ·scoreFourNEON
#define SCOREQUERIES ·scoreQueriesFourNEON

#define TIMES(a, b, c, d, sum) \
	VSMULL(a, 16, 24) \
	VSMULL2(a, 16, 25) \
	VSMLAL(b, 17, 24) \
	VSMLAL2(b, 17, 25) \
	VSMLAL(c, 18, 24) \
	VSMLAL2(c, 18, 25) \
	VSMLAL(d, 19, 24) \
	VSMLAL2(d, 19, 25) \
	VSADALP(24, sum) \
	VSADALP(25, sum)

#define PAIR(a, b, sum) \
	VSMULL(a, 16, 24) \
	VSMULL2(a, 16, 25) \
	VSMLAL(b, 17, 24) \
	VSMLAL2(b, 17, 25) \
	VSADALP(24, sum) \
	VSADALP(25, sum)

// WHOLE adds to sum the products of 32 numbers of the query in V20 and V21 with the
// codes in V16 and V17.
#define WHOLE(sum) \
	VSMULL(20, 16, 24) \
	VSMULL2(20, 16, 25) \
	VSMLSL(20, 31, 24) \
	VSMLSL2(20, 31, 25) \
	VSMLAL(21, 17, 24) \
	VSMLAL2(21, 17, 25) \
	VSMLSL(21, 31, 24) \
	VSMLSL2(21, 31, 25) \
	VSADALP(24, sum) \
	VSADALP(25, sum)

#include "groups_arm64.h"

// func prefetch(p *byte, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	ADD R0, R1

next:
	PRFM (R0), PLDL1KEEP
	ADD $64, R0
	CMP R1, R0
	BLT next
	RET
