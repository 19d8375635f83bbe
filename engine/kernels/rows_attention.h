/* kernels/rows_attention.h: the kernels of attention. X(name, arguments) */
#ifndef DL_KERNELS_ROWS_ATTENTION_H
#define DL_KERNELS_ROWS_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "dlua/base.h"

typedef enum dl_mask_kind {
    DL_MASK_NONE,
    DL_MASK_BOOL, /* false: the key is left out */
    DL_MASK_REAL  /* added to the scores */
} dl_mask_kind;

/* Attention of queries (N, T, H, E) over keys (N, S, K, E) and values (N, S, K, V); H / K heads of queries share one of
 * keys and values. Elements of a head lie beside each other; strides count elements. */
typedef struct dl_attention_sizes {
    int64_t N, T, S, H, K, E, V;
    int64_t query[3], key[3], value[3]; /* strides of sample, step and head */
    dl_mask_kind mask;
    int64_t mask_strides[4]; /* of the mask (N, H, T, S), 0 where it repeats */
    bool causal;             /* query i sees the keys 0 .. i + offset */
    int64_t offset;
    double scale;
    double dropout;   /* fraction of the weights that become 0, the others are divided by what is left */
    dl_stream stream; /* of the dropout: weight e of (N, H, T, S) is word e % 4 of block e / 4 */
} dl_attention_sizes;

/* attention: y (N, T, H, V) = softmax(scale query key^T + mask) value, in tiles of 64 queries by 64 keys with a running
 *      maximum and sum (Dao et al. 2022), so nothing of size T x S is stored; normalizer (N, H, T, may be null) is the
 *      log-sum-exp of the scores, for the backward. A query that sees no key gives zeros (normalizer -infinity). A
 *      query's bits do not depend on the other queries and samples.
 * attention_backward: grad_query, grad_key, grad_value (contiguous, as the inputs without strides) for grad_y and y,
 *      the scores computed anew tile by tile. grad_mask (N, H, T, S, may be null) gets the gradient of the scores. */
#define DL_ATTENTION_ROWS_OF(X, suffix, real)                                                                          \
    X(attention_##suffix, (dl_context * context, real * y, real *normalizer, const real *query, const real *key,       \
                           const real *value, const void *mask, const dl_attention_sizes *sizes))                      \
    X(attention_backward_##suffix,                                                                                     \
      (dl_context * context, real * grad_query, real *grad_key, real *grad_value, real *grad_mask, const real *grad_y, \
       const real *y, const real *normalizer, const real *query, const real *key, const real *value, const void *mask, \
       const dl_attention_sizes *sizes))

#define DL_ATTENTION_ROWS(X)                                                                                           \
    DL_ATTENTION_ROWS_OF(X, f32, float)                                                                                \
    DL_ATTENTION_ROWS_OF(X, f64, double)

#endif
