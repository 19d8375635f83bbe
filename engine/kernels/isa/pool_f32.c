/* kernels/isa/pool_f32.c: the pooling kernels of pool_source.h for float32. */
#include "kernels/isa/pool_source.h"
