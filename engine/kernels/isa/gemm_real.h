/* kernels/isa/gemm_real.h: the element type that a source of the dense kernels is being compiled for. Such a source
 * (gemm_source.h ...) is included by one small .c file for each type, which defines DL_FLOAT64 for float64. */
#ifndef DL_KERNELS_ISA_GEMM_REAL_H
#define DL_KERNELS_ISA_GEMM_REAL_H

#include "kernels/isa/vector.h"
#include "kernels/kernels.h"

#ifdef DL_FLOAT64
typedef double real;
typedef dl_v_f64 vector;
typedef dl_v_i64 mask_vector;
#define LANES       DL_LANES_F64
#define TYPED(name) name##_f64
#else
typedef float real;
typedef dl_v_f32 vector;
typedef dl_v_i32 mask_vector;
#define LANES       DL_LANES_F32
#define TYPED(name) name##_f32
#endif

#define KERNEL(name)           DL_KERNEL_TYPED_(TYPED(name))
#define DL_KERNEL_TYPED_(name) DL_KERNEL(name)

#endif
