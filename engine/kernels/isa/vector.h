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

#if defined(__AVX2__)
#include <immintrin.h>
#endif

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

/* Unrolls the following loop up to n times: loops over arrays of vectors must be unrolled whole to stay
 * in registers. */
#define DL_PRAGMA_(text) _Pragma(#text)
#define DL_UNROLL(n)     DL_PRAGMA_(GCC unroll n)

/* Lets the compiler forget where a pointer came from, so that it does not carry what it read through it from one
 * iteration into the next, in registers that accumulators need. */
#define DL_FORGET(pointer) __asm__("" : "+r"(pointer))

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

/* dl_low_f32(a, b) = a0 b0 a1 b1 ..., from the lower halves of both; dl_high_* the same from the upper halves. */
#define DL_LOW_2(a, b)   __builtin_shufflevector(a, b, 0, 2)
#define DL_HIGH_2(a, b)  __builtin_shufflevector(a, b, 1, 3)
#define DL_LOW_4(a, b)   __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define DL_HIGH_4(a, b)  __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define DL_LOW_8(a, b)   __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define DL_HIGH_8(a, b)  __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define DL_LOW_16(a, b)  __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define DL_HIGH_16(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

#if DL_VECTOR_BYTES == 64
#define DL_SHUFFLES_(S) S(f32, 16) S(f64, 8)
#elif DL_VECTOR_BYTES == 32
#define DL_SHUFFLES_(S) S(f32, 8) S(f64, 4)
#else
#define DL_SHUFFLES_(S) S(f32, 4) S(f64, 2)
#endif

/* dl_transpose_f32(v): a square of as many vectors as a vector has lanes, transposed in place: log2(lanes) rounds that
 * interleave vector i with vector i + lanes / 2. */
#define DL_SHUFFLE_FUNCTIONS_(type, lanes)                                                                             \
    __attribute__((unused)) static inline dl_v_##type dl_low_##type(dl_v_##type a, dl_v_##type b) {                    \
        return DL_LOW_##lanes(a, b);                                                                                   \
    }                                                                                                                  \
    __attribute__((unused)) static inline dl_v_##type dl_high_##type(dl_v_##type a, dl_v_##type b) {                   \
        return DL_HIGH_##lanes(a, b);                                                                                  \
    }                                                                                                                  \
    __attribute__((unused)) static inline void dl_transpose_##type(dl_v_##type v[lanes]) {                             \
        DL_UNROLL(4) for (int round = 1; round < lanes; round *= 2) {                                                  \
            dl_v_##type mixed[lanes];                                                                                  \
            DL_UNROLL(16) for (int i = 0; i < lanes / 2; i++) {                                                        \
                mixed[2 * i] = dl_low_##type(v[i], v[i + lanes / 2]);                                                  \
                mixed[2 * i + 1] = dl_high_##type(v[i], v[i + lanes / 2]);                                             \
            }                                                                                                          \
            DL_UNROLL(16) for (int i = 0; i < lanes; i++) v[i] = mixed[i];                                             \
        }                                                                                                              \
    }
DL_SHUFFLES_(DL_SHUFFLE_FUNCTIONS_)

/* DL_SWAP_lanes_half(a): lane i of the result is lane i ^ half of a. */
#define DL_SWAP_16_8(a) __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define DL_SWAP_16_4(a) __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define DL_SWAP_16_2(a) __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define DL_SWAP_16_1(a) __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define DL_SWAP_8_4(a) __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3)
#define DL_SWAP_8_2(a) __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5)
#define DL_SWAP_8_1(a) __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6)
#define DL_SWAP_4_2(a) __builtin_shufflevector(a, a, 2, 3, 0, 1)
#define DL_SWAP_4_1(a) __builtin_shufflevector(a, a, 1, 0, 3, 2)
#define DL_SWAP_2_1(a) __builtin_shufflevector(a, a, 1, 0)

/* a[0] becomes the sum (or whatever operation(a, b) makes) of all lanes of a: the halves are laid on each other until
 * one lane is left, a tree that is the same for every length of vectors. */
#define DL_FOLD_2(operation, a) a = operation(a, DL_SWAP_2_1(a))
#define DL_FOLD_4(operation, a)                                                                                        \
    a = operation(a, DL_SWAP_4_2(a));                                                                                  \
    a = operation(a, DL_SWAP_4_1(a))
#define DL_FOLD_8(operation, a)                                                                                        \
    a = operation(a, DL_SWAP_8_4(a));                                                                                  \
    a = operation(a, DL_SWAP_8_2(a));                                                                                  \
    a = operation(a, DL_SWAP_8_1(a))
#define DL_FOLD_16(operation, a)                                                                                       \
    a = operation(a, DL_SWAP_16_8(a));                                                                                 \
    a = operation(a, DL_SWAP_16_4(a));                                                                                 \
    a = operation(a, DL_SWAP_16_2(a));                                                                                 \
    a = operation(a, DL_SWAP_16_1(a))

/* dl_larger_f32(a, b) = a > b ? a : b and dl_smaller_f32(a, b) = a < b ? a : b, which are one instruction each. */
#if defined(__AVX512F__)
#define DL_EXTREME_(name, which, type, suffix)                                                                         \
    __attribute__((unused)) static inline dl_v_##type dl_##name##_##type(dl_v_##type a, dl_v_##type b) {               \
        return (dl_v_##type)_mm512_##which##_##suffix(a, b);                                                           \
    }
#elif defined(__AVX2__)
#define DL_EXTREME_(name, which, type, suffix)                                                                         \
    __attribute__((unused)) static inline dl_v_##type dl_##name##_##type(dl_v_##type a, dl_v_##type b) {               \
        return (dl_v_##type)_mm256_##which##_##suffix(a, b);                                                           \
    }
#else
#define DL_BEFORE_max >
#define DL_BEFORE_min <
#define DL_EXTREME_(name, which, type, suffix)                                                                         \
    __attribute__((unused)) static inline dl_v_##type dl_##name##_##type(dl_v_##type a, dl_v_##type b) {               \
        return dl_select_##type(a DL_BEFORE_##which b, a, b);                                                          \
    }
#endif
DL_EXTREME_(larger, max, f32, ps)
DL_EXTREME_(larger, max, f64, pd)
DL_EXTREME_(smaller, min, f32, ps)
DL_EXTREME_(smaller, min, f64, pd)

/* dl_load_bytes(p): DL_LANES_F32 bytes, widened; dl_store_bytes(p, v): the lowest byte of each lane. gcc 12 takes
 * __builtin_convertvector apart lane by lane, hence the intrinsics. */
typedef uint8_t dl_bytes __attribute__((vector_size(DL_LANES_F32)));
typedef uint8_t dl_bytes_u __attribute__((vector_size(DL_LANES_F32), aligned(1), may_alias));

__attribute__((unused)) static inline dl_v_i32 dl_load_bytes(const uint8_t *from) {
#if defined(__AVX512F__)
    return (dl_v_i32)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)from));
#elif defined(__AVX2__)
    return (dl_v_i32)_mm256_cvtepu8_epi32(_mm_loadu_si64(from));
#else
    return __builtin_convertvector((dl_bytes) * (const dl_bytes_u *)from, dl_v_i32);
#endif
}

__attribute__((unused)) static inline void dl_store_bytes(uint8_t *to, dl_v_i32 v) {
#if defined(__AVX512F__)
    _mm_storeu_si128((__m128i_u *)to, _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(__AVX2__)
    typedef uint8_t quarters __attribute__((vector_size(32)));
    quarters low = __builtin_shufflevector((quarters)v, (quarters)v, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12,
                                           16, 20, 24, 28, 16, 20, 24, 28, 16, 20, 24, 28, 16, 20, 24, 28);
    __m128i lower = _mm256_castsi256_si128((__m256i)low), upper = _mm256_extracti128_si256((__m256i)low, 1);
    _mm_storeu_si64(to, _mm_unpacklo_epi32(lower, upper));
#else
    *(dl_bytes_u *)to = __builtin_convertvector(v, dl_bytes);
#endif
}

#if defined(__AVX512F__)
#define DL_HAS_PERMUTE
/* Lane l = v[index[l] modulo 16]. */
__attribute__((unused)) static inline dl_v_f32 dl_permute_f32(dl_v_f32 v, dl_v_i32 index) {
    return (dl_v_f32)_mm512_permutexvar_ps((__m512i)index, (__m512)v);
}

/* Four cells from each of four addresses. */
__attribute__((unused)) static inline dl_v_f32 dl_load_rows_f32(const float *a, const float *b, const float *c,
                                                                const float *d) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(a));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(b), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(c), 2);
    return (dl_v_f32)_mm512_insertf32x4(v, _mm_loadu_ps(d), 3);
}
#endif

#endif
