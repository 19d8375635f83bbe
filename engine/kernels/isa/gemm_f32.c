/* kernels/isa/gemm_f32.c: the matrix product of gemm_source.h for float32. */
#include "kernels/isa/gemm_source.h"
