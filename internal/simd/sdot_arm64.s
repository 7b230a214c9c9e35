#include "textflag.h"
#include "neon_arm64.h"

// Four products of 8 bits are added to a sum of 32 at once: twice as fast.

#define COARSE ·coarseFourSDOT
#define COARSEQUERIES ·coarseQueriesFourSDOT
#define SCORE ·scoreFourSDOT
#define SCOREQUERIES ·scoreQueriesFourSDOT

#define TIMES(a, b, c, d, sum) \
	VSDOT(a, 16, sum) \
	VSDOT(b, 17, sum) \
	VSDOT(c, 18, sum) \
	VSDOT(d, 19, sum)

#define PAIR(a, b, sum) \
	VSDOT(a, 16, sum) \
	VSDOT(b, 17, sum)

// WHOLE adds to sum the products of 32 numbers of the query in V20 and V21 with the
// codes in V16 and V17, which lack 128: 128 is twice what V30 holds.
#define WHOLE(sum) \
	VSDOT(20, 16, sum) \
	VSDOT(21, 17, sum) \
	VSDOT(20, 30, sum) \
	VSDOT(20, 30, sum) \
	VSDOT(21, 30, sum) \
	VSDOT(21, 30, sum)

#include "groups_arm64.h"
