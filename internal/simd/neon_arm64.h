// Instructions that Go's assembler has no names for. Arguments are the numbers of
// registers, in the order of Go: the last is written.

// SMULL d.8h, n.8b, m.8b, and with the upper halves of n and m.
#define VSMULL(m, n, d) WORD $(0x0e20c000 | m<<16 | n<<5 | d)
#define VSMULL2(m, n, d) WORD $(0x4e20c000 | m<<16 | n<<5 | d)

// SMLAL and SMLSL d.8h, n.8b, m.8b: adds to d, subtracts from it.
#define VSMLAL(m, n, d) WORD $(0x0e208000 | m<<16 | n<<5 | d)
#define VSMLAL2(m, n, d) WORD $(0x4e208000 | m<<16 | n<<5 | d)
#define VSMLSL(m, n, d) WORD $(0x0e20a000 | m<<16 | n<<5 | d)
#define VSMLSL2(m, n, d) WORD $(0x4e20a000 | m<<16 | n<<5 | d)

// SDOT d.4s, n.16b, m.16b: adds the products of each four numbers.
#define VSDOT(m, n, d) WORD $(0x4e809400 | m<<16 | n<<5 | d)

// SADALP d.4s, n.8h: adds pairs.
#define VSADALP(n, d) WORD $(0x4e606800 | n<<5 | d)

// FADD, FSUB, FMUL, FMAX, FMIN, FADDP d.4s, n.4s, m.4s.
#define VFADD(m, n, d) WORD $(0x4e20d400 | m<<16 | n<<5 | d)
#define VFSUB(m, n, d) WORD $(0x4ea0d400 | m<<16 | n<<5 | d)
#define VFMUL(m, n, d) WORD $(0x6e20dc00 | m<<16 | n<<5 | d)
#define VFMAX(m, n, d) WORD $(0x4e20f400 | m<<16 | n<<5 | d)
#define VFMIN(m, n, d) WORD $(0x4ea0f400 | m<<16 | n<<5 | d)
#define VFADDP(m, n, d) WORD $(0x6e20d400 | m<<16 | n<<5 | d)

// SCVTF d.4s, n.4s; FCVTNS d.4s, n.4s: to the nearest, a half to the even one.
#define VSCVTF(n, d) WORD $(0x4e21d800 | n<<5 | d)
#define VFCVTNS(n, d) WORD $(0x4e21a800 | n<<5 | d)

// XTN d.4h, n.4s and d.8b, n.8h, and into the upper half of d.
#define VXTNS(n, d) WORD $(0x0e612800 | n<<5 | d)
#define VXTNS2(n, d) WORD $(0x4e612800 | n<<5 | d)
#define VXTNH(n, d) WORD $(0x0e212800 | n<<5 | d)
#define VXTNH2(n, d) WORD $(0x4e212800 | n<<5 | d)
