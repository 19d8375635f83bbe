/* kernels/isa/lanes.h: sums and extremes of contiguous rows, in an order that the length alone decides.
 *
 * A row goes into a fixed number of lanes (16 of float, 8 of double, twice), element i into lane i % lanes, which are
 * added as a tree at the end: the same for every instruction set, whose vectors are parts of the lanes. Sums of float32
 * are carried in float32 for SUM_BLOCK elements at most and in float64 from block to block. */
#ifndef DL_KERNELS_ISA_LANES_H
#define DL_KERNELS_ISA_LANES_H

#include "kernels/isa/math.h"
#include "kernels/isa/vector.h"

#define SUM_BLOCK 1024

#define DL_ROW_LANES_f32 16
#define DL_ROW_LANES_f64 8
/* Vectors that make the lanes. */
#define DL_ROW_PARTS_f32 (DL_ROW_LANES_f32 / DL_LANES_F32)
#define DL_ROW_PARTS_f64 (DL_ROW_LANES_f64 / DL_LANES_F64)

typedef float dl_real_f32;
typedef double dl_real_f64;
typedef dl_v_i32 dl_bits_v_f32;
typedef dl_v_i64 dl_bits_v_f64;

/* for each part p of the lanes, unrolled so that arrays of vectors stay in registers */
#define DL_EACH_PART(s) _Pragma("GCC unroll 16") for (int p = 0; p < DL_ROW_PARTS_##s; p++)

/* What is left of a row at its end, the rest of the lanes filled up. */
#define DL_ROW_TAIL_(real, s)                                                                                          \
    DL_INLINE void dl_row_tail_##s(real *lanes, int64_t n, const real *x, real fill) {                                 \
        for (int i = 0; i < DL_ROW_LANES_##s; i++)                                                                     \
            lanes[i] = fill;                                                                                           \
        for (int64_t i = 0; i < n; i++)                                                                                \
            lanes[i] = x[i];                                                                                           \
    }
DL_ROW_TAIL_(float, f32)
DL_ROW_TAIL_(double, f64)

#define DL_ADDED_(a, b)  ((a) + (b))
#define DL_EITHER_(a, b) ((a) | (b))

/* The parts of the lanes laid on each other, as a tree too; then the tree of one vector. */
#define DL_FOLD_PARTS_(s, lanes, operation, v)                                                                         \
    for (int half = DL_ROW_PARTS_##s / 2; half > 0; half /= 2)                                                         \
        for (int p = 0; p < half; p++)                                                                                 \
            (v)[p] = operation((v)[p], (v)[p + half]);                                                                 \
    DL_FOLD_##lanes(operation, (v)[0])

#define DL_ROW_FOLD_(s, lanes)                                                                                         \
    DL_INLINE dl_real_##s dl_lanes_sum_##s(dl_v_##s v[DL_ROW_PARTS_##s]) {                                             \
        DL_FOLD_PARTS_(s, lanes, DL_ADDED_, v);                                                                        \
        return v[0][0];                                                                                                \
    }                                                                                                                  \
    DL_INLINE dl_real_##s dl_lanes_max_##s(dl_v_##s v[DL_ROW_PARTS_##s]) {                                             \
        DL_FOLD_PARTS_(s, lanes, dl_larger_##s, v);                                                                    \
        return v[0][0];                                                                                                \
    }                                                                                                                  \
    DL_INLINE dl_real_##s dl_lanes_min_##s(dl_v_##s v[DL_ROW_PARTS_##s]) {                                             \
        DL_FOLD_PARTS_(s, lanes, dl_smaller_##s, v);                                                                   \
        return v[0][0];                                                                                                \
    }                                                                                                                  \
    DL_INLINE bool dl_lanes_any_below_zero_##s(dl_bits_v_##s v[DL_ROW_PARTS_##s]) {                                    \
        DL_FOLD_PARTS_(s, lanes, DL_EITHER_, v);                                                                       \
        return v[0][0] < 0;                                                                                            \
    }
DL_SHUFFLES_(DL_ROW_FOLD_)

/* The largest (smallest) element of a row, NaN if there is one, the identity if it is empty. The comparisons pass over
 * NaN; whether there was one is seen in its bits, which are above those of infinity. */
#define DL_ROW_EXTREME_(name, better, identity, real, s, L)                                                            \
    DL_INLINE real dl_row_##name##_##s(int64_t n, const real *x) {                                                     \
        enum { LANES = DL_ROW_LANES_##s };                                                                             \
        dl_v_##s best[DL_ROW_PARTS_##s];                                                                               \
        dl_bits_v_##s below[DL_ROW_PARTS_##s]; /* what is left to infinity, below 0 after a NaN */                     \
        DL_EACH_PART(s) {                                                                                              \
            best[p] = dl_splat_##s((real)(identity));                                                                  \
            below[p] = (dl_bits_v_##s){0};                                                                             \
        }                                                                                                              \
        for (int64_t i = 0; i < n; i += LANES) {                                                                       \
            real lanes[LANES];                                                                                         \
            const real *from = x + i;                                                                                  \
            if (n - i < LANES) {                                                                                       \
                dl_row_tail_##s(lanes, n - i, x + i, (real)(identity));                                                \
                from = lanes;                                                                                          \
            }                                                                                                          \
            DL_EACH_PART(s) {                                                                                          \
                dl_v_##s v = dl_load_##s(from + p * L);                                                                \
                best[p] = better(best[p], v);                                                                          \
                below[p] |= DL_INFINITY_BITS_##s - ((dl_bits_v_##s)v & DL_SIGN_OFF_##s);                               \
            }                                                                                                          \
        }                                                                                                              \
        return dl_lanes_any_below_zero_##s(below) ? (real)NAN : dl_lanes_##name##_##s(best);                           \
    }

#define DL_INFINITY_BITS_f32 0x7f800000
#define DL_INFINITY_BITS_f64 0x7ff0000000000000
#define DL_SIGN_OFF_f32      INT32_MAX
#define DL_SIGN_OFF_f64      INT64_MAX
DL_ROW_EXTREME_(max, dl_larger_f32, -INFINITY, float, f32, DL_LANES_F32)
DL_ROW_EXTREME_(max, dl_larger_f64, -INFINITY, double, f64, DL_LANES_F64)
DL_ROW_EXTREME_(min, dl_smaller_f32, INFINITY, float, f32, DL_LANES_F32)
DL_ROW_EXTREME_(min, dl_smaller_f64, INFINITY, double, f64, DL_LANES_F64)

/* A sum over a row of TERM, an expression in vectors a of x and b of z. */
#define DL_ROW_SUM_(name, real, s, L, TERM)                                                                            \
    DL_INLINE real dl_block_##name##_##s(int64_t n, const real *x, const real *z) {                                    \
        enum { LANES = DL_ROW_LANES_##s };                                                                             \
        dl_v_##s even[DL_ROW_PARTS_##s], odd[DL_ROW_PARTS_##s];                                                        \
        real first[LANES], second[LANES];                                                                              \
        int64_t i = 0;                                                                                                 \
        DL_EACH_PART(s) even[p] = odd[p] = dl_splat_##s(0);                                                            \
        for (; i + 2 * LANES <= n; i += 2 * LANES) {                                                                   \
            DL_EACH_PART(s) {                                                                                          \
                dl_v_##s a = dl_load_##s(x + i + p * L), b = dl_load_##s(z + i + p * L);                               \
                even[p] += TERM;                                                                                       \
            }                                                                                                          \
            DL_EACH_PART(s) {                                                                                          \
                dl_v_##s a = dl_load_##s(x + i + LANES + p * L), b = dl_load_##s(z + i + LANES + p * L);               \
                odd[p] += TERM;                                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        for (; i < n; i += LANES) {                                                                                    \
            dl_row_tail_##s(first, n - i < LANES ? n - i : LANES, x + i, 0);                                           \
            dl_row_tail_##s(second, n - i < LANES ? n - i : LANES, z + i, 0);                                          \
            DL_EACH_PART(s) {                                                                                          \
                dl_v_##s a = dl_load_##s(first + p * L), b = dl_load_##s(second + p * L);                              \
                even[p] += TERM;                                                                                       \
            }                                                                                                          \
        }                                                                                                              \
        DL_EACH_PART(s) even[p] += odd[p];                                                                             \
        return dl_lanes_sum_##s(even);                                                                                 \
    }                                                                                                                  \
    DL_INLINE double dl_row_##name##_##s(int64_t n, const real *x, const real *z) {                                    \
        double total = 0;                                                                                              \
        for (int64_t from = 0; from < n; from += SUM_BLOCK) {                                                          \
            int64_t count = n - from < SUM_BLOCK ? n - from : SUM_BLOCK;                                               \
            total += (double)dl_block_##name##_##s(count, x + from, z + from);                                         \
        }                                                                                                              \
        return total;                                                                                                  \
    }

DL_ROW_SUM_(sum, float, f32, DL_LANES_F32, ((void)b, a))
DL_ROW_SUM_(sum, double, f64, DL_LANES_F64, ((void)b, a))
DL_ROW_SUM_(dot, float, f32, DL_LANES_F32, a * b)
DL_ROW_SUM_(dot, double, f64, DL_LANES_F64, a * b)

/* y = e^(x - shift) over n elements, in whole vectors: what is left at the end goes through a buffer, so that a short
 * row (ten classes) costs no scalar calls. y may be x. */
#define DL_ROW_EXP_(real, s)                                                                                           \
    DL_INLINE void dl_row_exp_##s(int64_t n, real *y, const real *x, real shift) {                                     \
        enum { LANES = DL_ROW_LANES_##s };                                                                             \
        real lanes[LANES];                                                                                             \
        int64_t i = 0;                                                                                                 \
        for (; i + LANES <= n; i += LANES) {                                                                           \
            _Pragma("omp simd") for (int lane = 0; lane < LANES; lane++) {                                             \
                y[i + lane] = dl_exp_##s(x[i + lane] - shift);                                                         \
            }                                                                                                          \
        }                                                                                                              \
        if (i == n)                                                                                                    \
            return;                                                                                                    \
        dl_row_tail_##s(lanes, n - i, x + i, shift);                                                                   \
        _Pragma("omp simd") for (int lane = 0; lane < LANES; lane++) {                                                 \
            lanes[lane] = dl_exp_##s(lanes[lane] - shift);                                                             \
        }                                                                                                              \
        for (int64_t lane = 0; i < n; i++, lane++)                                                                     \
            y[i] = lanes[lane];                                                                                        \
    }
DL_ROW_EXP_(float, f32)
DL_ROW_EXP_(double, f64)

/* The maximum of at most DL_ROW_LANES elements and the sum of e^(x - maximum): one copy of the row does for both. */
#define DL_SHORT_ROW_(real, s, L)                                                                                      \
    DL_INLINE double dl_short_exp_sum_##s(int64_t n, const real *x, real *maximum) {                                   \
        real lanes[DL_ROW_LANES_##s];                                                                                  \
        dl_v_##s v[DL_ROW_PARTS_##s];                                                                                  \
        dl_row_tail_##s(lanes, n, x, (real)-INFINITY);                                                                 \
        real best = dl_row_max_##s(DL_ROW_LANES_##s, lanes);                                                           \
        _Pragma("omp simd") for (int lane = 0; lane < DL_ROW_LANES_##s; lane++) {                                      \
            lanes[lane] = dl_exp_##s(lanes[lane] - best);                                                              \
        }                                                                                                              \
        DL_EACH_PART(s) v[p] = dl_load_##s(lanes + p * L);                                                             \
        *maximum = best;                                                                                               \
        return (double)dl_lanes_sum_##s(v);                                                                            \
    }
DL_SHORT_ROW_(float, f32, DL_LANES_F32)
DL_SHORT_ROW_(double, f64, DL_LANES_F64)

/* m_row_exp(n, y, x, shift): see above; m_row_sum(n, x): sum of x; m_row_dot(n, x, z): sum of x * z. */
#define m_row_exp DL_OWN_(row_exp)
#define m_short_exp_sum DL_OWN_(short_exp_sum)
#define m_row_lanes _Generic((R)0, float: DL_ROW_LANES_f32, default: DL_ROW_LANES_f64)
#define m_row_max DL_OWN_(row_max)
#define m_row_min DL_OWN_(row_min)
#define m_row_sum(n, x) DL_OWN_(row_sum)(n, x, x)
#define m_row_dot DL_OWN_(row_dot)

#endif
