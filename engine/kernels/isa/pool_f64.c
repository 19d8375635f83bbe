/* kernels/isa/pool_f64.c: the pooling kernels of pool_source.h for float64. */
#define DL_FLOAT64
#include "kernels/isa/pool_source.h"
