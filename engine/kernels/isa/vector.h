/* kernels/isa/vector.h: vectors of the instruction set that is being compiled: 16 bytes for the baseline, 32 for AVX2,
 * 64 for AVX-512. They are gcc's and clang's vector types: + - * and comparisons work on them, and with
 * -ffp-contract=fast a * b + c is one fused multiply-add where the instruction set has it.
 *
 * The types without `u` are aligned and live in registers and on the stack; memory is read and written through
 * dl_load_* and dl_store_*, which take any address. A comparison gives an integer vector with all bits of a lane set
 * or none; dl_select_* chooses by it (`mask ? a : b` on vectors is C++ only). */
#ifndef DL_KERNELS_ISA_VECTOR_H
#define DL_KERNELS_ISA_VECTOR_H

#include <stdint.h>

#if defined(__AVX512F__)
#define DL_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define DL_VECTOR_BYTES 32
#else
#define DL_VECTOR_BYTES 16
#endif

/* Lanes of a vector of floats (and int32), of doubles (and int64). */
#define DL_LANES_F32 (DL_VECTOR_BYTES / 4)
#define DL_LANES_F64 (DL_VECTOR_BYTES / 8)

typedef float dl_v_f32 __attribute__((vector_size(DL_VECTOR_BYTES)));
typedef double dl_v_f64 __attribute__((vector_size(DL_VECTOR_BYTES)));
typedef int32_t dl_v_i32 __attribute__((vector_size(DL_VECTOR_BYTES)));
typedef int64_t dl_v_i64 __attribute__((vector_size(DL_VECTOR_BYTES)));

typedef float dl_vu_f32 __attribute__((vector_size(DL_VECTOR_BYTES), aligned(4), may_alias));
typedef double dl_vu_f64 __attribute__((vector_size(DL_VECTOR_BYTES), aligned(8), may_alias));
typedef int32_t dl_vu_i32 __attribute__((vector_size(DL_VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t dl_vu_i64 __attribute__((vector_size(DL_VECTOR_BYTES), aligned(8), may_alias));

/* Unrolls the following loop up to n times: loops over arrays of vectors must be unrolled whole to stay in registers. */
#define DL_PRAGMA_(text) _Pragma(#text)
#define DL_UNROLL(n) DL_PRAGMA_(GCC unroll n)

#define DL_VECTOR_FUNCTIONS_(type, element, mask)                                                                      \
    __attribute__((unused)) static inline dl_v_##type dl_load_##type(const element *from) {                            \
        return *(const dl_vu_##type *)from;                                                                            \
    }                                                                                                                  \
    __attribute__((unused)) static inline void dl_store_##type(element *to, dl_v_##type v) {                           \
        *(dl_vu_##type *)to = v;                                                                                       \
    }                                                                                                                  \
    __attribute__((unused)) static inline dl_v_##type dl_splat_##type(element value) {                                 \
        return value - (dl_v_##type){0};                                                                               \
    }                                                                                                                  \
    __attribute__((unused)) static inline dl_v_##type dl_select_##type(mask chosen, dl_v_##type a, dl_v_##type b) {    \
        return (dl_v_##type)((chosen & (mask)a) | (~chosen & (mask)b));                                                \
    }

/* dl_load_f32(p), dl_store_f32(p, v), dl_splat_f32(x), dl_select_f32(mask, a, b) = mask ? a : b, and so on. */
DL_VECTOR_FUNCTIONS_(f32, float, dl_v_i32)
DL_VECTOR_FUNCTIONS_(f64, double, dl_v_i64)
DL_VECTOR_FUNCTIONS_(i32, int32_t, dl_v_i32)
DL_VECTOR_FUNCTIONS_(i64, int64_t, dl_v_i64)

#endif
