/* Convolutions in float64. */
#include "kernels_dense.h"

#define REAL               double
#define TYPED(name)        name##_f64
#define TOLERANCE          1e-10
#define WINOGRAD_TOLERANCE 1e-10
#include "kernels_dense_conv.h"

CHECK_MAIN(CONV_TESTS)
