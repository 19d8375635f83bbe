/* kernels/isa/gemm_micro.h: the microkernel that carries products, convolutions and what is made of them, for the
 * element type of gemm_real.h.
 *
 *                       NV vectors = one panel of B
 *                     +---------+---------+
 *               k  |  | B[k][.] |         |     read as vectors, any row stride
 *                  v  +---------+---------+
 *        k ->         +---------+---------+
 *     +----------+    |                   |
 *  MR | A[i][k]  |    |  C, in registers  |     MR x NV accumulators, each a chain of fused multiply-adds over k
 *     +----------+    +-------------------+
 *
 * A has a stride for rows and one for columns, so A and its transpose cost the same. Its columns may come in segments
 * of equal length that lie anywhere (the taps of a convolution, the rows of an image), while B runs on.
 *
 * What is always true: an element of C is ((0 + a0 b0) + a1 b1) + ... in ascending k whatever MR, NV and its lane are,
 * so its bits do not depend on where it lies in a block. */
#ifndef DL_KERNELS_ISA_GEMM_MICRO_H
#define DL_KERNELS_ISA_GEMM_MICRO_H

#include <string.h>

#include "kernels/isa/gemm_real.h"

/* Rows of the largest block, and vectors across: 24 accumulators of AVX-512's 32 registers, 12 of 16 elsewhere. */
#define MICRO_ROWS 6
#if DL_VECTOR_BYTES == 64
#define MICRO_VECTORS 4
#else
#define MICRO_VECTORS 2
#endif
#define PANEL (MICRO_VECTORS * LANES)

typedef struct product {
    int64_t segments;         /* of A's columns */
    const int64_t *a_segment; /* where each begins, from a; null: one segment at 0 */
    int64_t k;                /* columns in a segment */
    int64_t a_row, a_column;
    int64_t b_row;
    int64_t c_row;
    bool accumulate; /* C += A B instead of C = A B */
    bool relu;       /* negative results become zero */
} product;

/* max(v, 0) lane by lane; NaN stays. */
static inline vector relu_vector(vector v) {
    mask_vector negative = v < (vector){0};
    return (vector)(~negative & (mask_vector)v);
}

typedef void micro_function(const product *p, const real *a, const real *b, real *c, const real *bias, real *copy);

/* micro_MRxNV: one block of C; bias (whole vectors, may be null) is added to each row. copying_MRxNV leaves the panel
 * of B in `copy` as well, row after row (the stores cost nothing beside the multiply-adds), and has the next panel
 * fetched into L2, which the processor does not foresee where rows are a page apart. */
#define MICRO(name, MR, NV, COPIES)                                                                                    \
    static void name##_##MR##x##NV(const product *p, const real *a, const real *b, real *c, const real *bias,          \
                                   real *copy) {                                                                       \
        vector sum[MR][NV] = {{{0}}};                                                                                  \
        const int64_t a_row = p->a_row, a_column = p->a_column, b_row = p->b_row;                                      \
        for (int64_t s = 0; s < p->segments; s++) {                                                                    \
            const real *at = a + (p->a_segment ? p->a_segment[s] : 0);                                                 \
            for (int64_t k = p->k; k > 0; k--) {                                                                       \
                vector across[NV];                                                                                     \
                DL_UNROLL(16) for (int j = 0; j < NV; j++) across[j] = TYPED(dl_load)(b + j * LANES);                  \
                if (COPIES) {                                                                                          \
                    DL_UNROLL(16) for (int j = 0; j < NV; j++) TYPED(dl_store)(copy + j * LANES, across[j]);           \
                    copy += NV * LANES;                                                                                \
                    __builtin_prefetch(b + NV * LANES, 0, 2);                                                          \
                }                                                                                                      \
                DL_UNROLL(16) for (int i = 0; i < MR; i++) {                                                           \
                    vector down = TYPED(dl_splat)(at[i * a_row]);                                                      \
                    DL_UNROLL(16) for (int j = 0; j < NV; j++) sum[i][j] += down * across[j];                          \
                }                                                                                                      \
                at += a_column;                                                                                        \
                b += b_row;                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        DL_UNROLL(16) for (int i = 0; i < MR; i++) {                                                                   \
            DL_UNROLL(16) for (int j = 0; j < NV; j++) {                                                               \
                real *to = c + i * p->c_row + j * LANES;                                                               \
                vector v = p->accumulate ? TYPED(dl_load)(to) + sum[i][j] : sum[i][j];                                 \
                v = bias ? v + TYPED(dl_load)(bias + j * LANES) : v;                                                   \
                TYPED(dl_store)(to, p->relu ? relu_vector(v) : v);                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }

#define MICRO_HEIGHTS(name, NV, COPIES)                                                                                \
    MICRO(name, 1, NV, COPIES)                                                                                         \
    MICRO(name, 2, NV, COPIES)                                                                                         \
    MICRO(name, 3, NV, COPIES)                                                                                         \
    MICRO(name, 4, NV, COPIES)                                                                                         \
    MICRO(name, 5, NV, COPIES)                                                                                         \
    MICRO(name, 6, NV, COPIES)
#define MICRO_COLUMN(name, NV)                                                                                         \
    { name##_1x##NV, name##_2x##NV, name##_3x##NV, name##_4x##NV, name##_5x##NV, name##_6x##NV }

MICRO_HEIGHTS(micro, 1, false)
MICRO_HEIGHTS(micro, 2, false)
#if MICRO_VECTORS == 4
MICRO_HEIGHTS(micro, 3, false)
MICRO_HEIGHTS(micro, 4, false)
#endif

/* micro_of[vectors - 1][rows - 1] */
static micro_function *const micro_of[MICRO_VECTORS][MICRO_ROWS] = {
    MICRO_COLUMN(micro, 1),
    MICRO_COLUMN(micro, 2),
#if MICRO_VECTORS == 4
    MICRO_COLUMN(micro, 3),
    MICRO_COLUMN(micro, 4),
#endif
};

/* C (rows, vectors * LANES) by blocks of evenly shared height (16 rows are 6 + 5 + 5). Every row of b, c and bias holds
 * whole vectors. */
static void product_panel(const product *p, int64_t rows, int vectors, const real *a, const real *b, real *c,
                          const real *bias) {
    int64_t blocks = (rows + MICRO_ROWS - 1) / MICRO_ROWS;
    for (int64_t block = 0; block < blocks; block++) {
        int64_t height = (rows + blocks - block - 1) / (blocks - block);
        micro_of[vectors - 1][height - 1](p, a, b, c, bias, NULL);
        rows -= height;
        a += height * p->a_row;
        c += height * p->c_row;
    }
}

/* The same for any number of columns up to PANEL: rows of c and bias end there, those of b are filled up to whole
 * vectors. */
__attribute__((unused)) static void product_columns(const product *p, int64_t rows, int64_t columns, const real *a,
                                                    const real *b, real *c, const real *bias) {
    int vectors = (int)((columns + LANES - 1) / LANES);
    if (columns == (int64_t)vectors * LANES) {
        product_panel(p, rows, vectors, a, b, c, bias);
        return;
    }
    real block[MICRO_ROWS * PANEL] = {0};
    real padded_bias[PANEL] = {0};
    if (bias)
        memcpy(padded_bias, bias, (size_t)columns * sizeof(real));
    product inner = *p;
    inner.c_row = PANEL;
    for (int64_t first = 0; first < rows; first += MICRO_ROWS) {
        int64_t height = DL_MIN(rows - first, MICRO_ROWS);
        for (int64_t i = 0; i < height && p->accumulate; i++)
            memcpy(block + i * PANEL, c + (first + i) * p->c_row, (size_t)columns * sizeof(real));
        product_panel(&inner, height, vectors, a + first * p->a_row, b, block, bias ? padded_bias : NULL);
        for (int64_t i = 0; i < height; i++)
            memcpy(c + (first + i) * p->c_row, block + i * PANEL, (size_t)columns * sizeof(real));
    }
}

/* to[i][j] = from[i * stride + j] for j < columns, zero for columns <= j < width. */
static void pack_rows(real *to, int64_t width, const real *from, int64_t stride, int64_t rows, int64_t columns) {
    int64_t whole = columns / LANES * LANES;
    for (int64_t i = 0; i < rows; i++, to += width, from += stride) {
        for (int64_t j = 0; j < whole; j += LANES)
            TYPED(dl_store)(to + j, TYPED(dl_load)(from + j));
        for (int64_t j = whole; j < width; j++)
            to[j] = j < columns ? from[j] : 0;
    }
}

/* to[i][j] = from[j * stride + i] for i < rows, j < columns, zero for columns <= j < width: a transposing copy by
 * squares of LANES. */
static void pack_transposed(real *to, int64_t width, const real *from, int64_t stride, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < width; j += LANES) {
        int64_t there = DL_MIN(columns - j, LANES);
        int64_t i = 0;
        for (; i + LANES <= rows && there == LANES; i += LANES) {
            vector square[LANES];
            DL_UNROLL(16) for (int l = 0; l < LANES; l++) square[l] = TYPED(dl_load)(from + (j + l) * stride + i);
            TYPED(dl_transpose)(square);
            DL_UNROLL(16) for (int l = 0; l < LANES; l++) TYPED(dl_store)(to + (i + l) * width + j, square[l]);
        }
        for (; i < rows; i++)
            for (int64_t l = 0; l < LANES && j + l < width; l++)
                to[i * width + j + l] = l < there ? from[(j + l) * stride + i] : 0;
    }
}

#endif
