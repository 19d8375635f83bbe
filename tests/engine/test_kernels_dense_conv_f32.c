/* Convolutions in float32. */
#include "kernels_dense.h"

#define REAL               float
#define TYPED(name)        name##_f32
#define TOLERANCE          1e-5
#define WINOGRAD_TOLERANCE 1e-4
#include "kernels_dense_conv.h"

CHECK_MAIN(CONV_TESTS)
