/* kernels/isa/lanes.h: sums and maxima of contiguous rows, in an order that neither the instruction set nor anything but
 * the length decides.
 *
 * A row goes into LANES accumulators, element i into lane i % LANES, which are added as a tree at the end. Vectors are 64
 * bytes for every instruction set; smaller ones work on their parts. Sums of float32 are carried in float32 for
 * SUM_BLOCK elements at most and in float64 from block to block. */
#ifndef DL_KERNELS_ISA_LANES_H
#define DL_KERNELS_ISA_LANES_H

#include "kernels/isa/math.h"

/* Vectors of 64 bytes are returned by functions that are always inlined: their calling convention is never used. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define SUM_BLOCK 1024

#define DL_LANES_(real, s, integer, lanes)                                                                             \
    typedef real dl_lanes_##s __attribute__((vector_size(64)));                                                        \
    typedef real dl_lanes_memory_##s __attribute__((vector_size(64), aligned(sizeof(real)), may_alias));               \
    typedef integer dl_lanes_mask_##s __attribute__((vector_size(64)));                                                \
                                                                                                                       \
    DL_INLINE dl_lanes_##s dl_lanes_load_##s(const real *x) {                                                          \
        return *(const dl_lanes_memory_##s *)x;                                                                        \
    }                                                                                                                  \
    /* The first n of x, the rest filled up. */                                                                        \
    DL_INLINE dl_lanes_##s dl_lanes_load_tail_##s(int64_t n, const real *x, real fill) {                               \
        _Alignas(64) real buffer[lanes];                                                                               \
        for (int i = 0; i < lanes; i++)                                                                                \
            buffer[i] = i < n ? x[i] : fill;                                                                           \
        return *(const dl_lanes_##s *)buffer;                                                                          \
    }                                                                                                                  \
    DL_INLINE real dl_lanes_sum_##s(dl_lanes_##s v) {                                                                  \
        for (int half = lanes / 2; half > 0; half /= 2)                                                                \
            for (int i = 0; i < half; i++)                                                                             \
                v[i] += v[i + half];                                                                                   \
        return v[0];                                                                                                   \
    }

DL_LANES_(float, f32, int32_t, 16)
DL_LANES_(double, f64, int64_t, 8)

/* The largest (smallest) element of a row, NaN if there is one, the identity if it is empty. */
#define DL_ROW_EXTREME_(name, before, identity, real, s, lanes)                                                        \
    DL_INLINE dl_lanes_##s dl_lanes_##name##_##s(dl_lanes_##s a, dl_lanes_##s b) {                                     \
        dl_lanes_mask_##s take_a = (a before b) | (a != a);                                                            \
        return (dl_lanes_##s)((take_a & (dl_lanes_mask_##s)a) | (~take_a & (dl_lanes_mask_##s)b));                     \
    }                                                                                                                  \
    DL_INLINE real dl_row_##name##_##s(int64_t n, const real *x) {                                                     \
        dl_lanes_##s best = (real)(identity) - (dl_lanes_##s){0};                                                      \
        int64_t i = 0;                                                                                                 \
        for (; i + lanes <= n; i += lanes)                                                                             \
            best = dl_lanes_##name##_##s(best, dl_lanes_load_##s(x + i));                                              \
        if (i < n)                                                                                                     \
            best = dl_lanes_##name##_##s(best, dl_lanes_load_tail_##s(n - i, x + i, (real)(identity)));                \
        real result = best[0];                                                                                         \
        for (int lane = 1; lane < lanes; lane++)                                                                       \
            result = dl_##name##_##s(result, best[lane]);                                                              \
        return result;                                                                                                 \
    }

DL_ROW_EXTREME_(max, >, -INFINITY, float, f32, 16)
DL_ROW_EXTREME_(max, >, -INFINITY, double, f64, 8)
DL_ROW_EXTREME_(min, <, INFINITY, float, f32, 16)
DL_ROW_EXTREME_(min, <, INFINITY, double, f64, 8)

/* A sum over a row of TERM, an expression in vectors a (and b) of LANES elements of x (and z). */
#define DL_ROW_SUM_(name, real, s, lanes, TERM)                                                                        \
    DL_INLINE real dl_block_##name##_##s(int64_t n, const real *x, const real *z) {                                    \
        dl_lanes_##s even = {0}, odd = {0};                                                                            \
        int64_t i = 0;                                                                                                 \
        for (; i + 2 * lanes <= n; i += 2 * lanes) {                                                                   \
            dl_lanes_##s a = dl_lanes_load_##s(x + i), b = dl_lanes_load_##s(z + i);                                   \
            even += TERM;                                                                                              \
            a = dl_lanes_load_##s(x + i + lanes), b = dl_lanes_load_##s(z + i + lanes);                                \
            odd += TERM;                                                                                               \
        }                                                                                                              \
        if (i + lanes <= n) {                                                                                          \
            dl_lanes_##s a = dl_lanes_load_##s(x + i), b = dl_lanes_load_##s(z + i);                                   \
            even += TERM;                                                                                              \
            i += lanes;                                                                                                \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            dl_lanes_##s a = dl_lanes_load_tail_##s(n - i, x + i, 0), b = dl_lanes_load_tail_##s(n - i, z + i, 0);     \
            odd += TERM;                                                                                               \
        }                                                                                                              \
        return dl_lanes_sum_##s(even + odd);                                                                           \
    }                                                                                                                  \
    DL_INLINE double dl_row_##name##_##s(int64_t n, const real *x, const real *z) {                                    \
        double total = 0;                                                                                              \
        for (int64_t from = 0; from < n; from += SUM_BLOCK) {                                                          \
            int64_t count = n - from < SUM_BLOCK ? n - from : SUM_BLOCK;                                               \
            total += (double)dl_block_##name##_##s(count, x + from, z + from);                                         \
        }                                                                                                              \
        return total;                                                                                                  \
    }

/* dl_row_sum(n, x, x): sum of x; dl_row_dot(n, x, z): sum of x * z. */
#define DL_ROW_SUMS_(real, s, lanes)                                                                                   \
    DL_ROW_SUM_(sum, real, s, lanes, ((void)b, a))                                                                     \
    DL_ROW_SUM_(dot, real, s, lanes, a * b)

DL_ROW_SUMS_(float, f32, 16)
DL_ROW_SUMS_(double, f64, 8)

#define m_row_max DL_OWN_(row_max)
#define m_row_min DL_OWN_(row_min)
#define m_row_sum(n, x) DL_OWN_(row_sum)(n, x, x)
#define m_row_dot DL_OWN_(row_dot)

#endif
