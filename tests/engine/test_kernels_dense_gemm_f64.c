/* Matrix products in float64. */
#include "kernels_dense.h"

#define REAL        double
#define TYPED(name) name##_f64
#define TOLERANCE   1e-10
#include "kernels_dense_gemm.h"

CHECK_MAIN(GEMM_TESTS)
