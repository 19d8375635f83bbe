/* kernels/isa/gemm_f64.c: the matrix product of gemm_source.h for float64. */
#define DL_FLOAT64
#include "kernels/isa/gemm_source.h"
