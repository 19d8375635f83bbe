/* Pooling in float32. */
#include "kernels_dense.h"

#define REAL        float
#define TYPED(name) name##_f32
#define TOLERANCE   1e-5
#include "kernels_dense_pool.h"

CHECK_MAIN(POOL_TESTS)
