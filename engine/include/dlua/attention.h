/* dlua/attention.h: the operations that transformers are made of: normalization by rows, embeddings, attention. Part of
 * dlua/ops.h. Shapes: N batch, T and S steps of queries and of keys, H heads, E features of a head, D features. */
#ifndef DLUA_ATTENTION_H
#define DLUA_ATTENTION_H

#include "dlua/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- normalization and embeddings ------------------------------------------------------------------------------ */

typedef struct dl_layer_norm_options {
    dl_ints normalized_shape; /* the last sizes of the input */
    double eps;               /* NaN (rms_norm only): the dtype's epsilon */
} dl_layer_norm_options;      /* layer_norm, rms_norm */
/* (x - mean) / sqrt(var + eps) * weight + bias over the last `dims` dimensions of x; weight and bias have the shape of
 * those, and may be NULL. */
DL_API dl_tensor *dl_layer_norm(dl_context *context, dl_tensor *x, int dims, dl_tensor *weight, dl_tensor *bias,
                                double eps);
/* x / sqrt(mean of x^2 + eps) * weight over the last `dims` dimensions. */
DL_API dl_tensor *dl_rms_norm(dl_context *context, dl_tensor *x, int dims, dl_tensor *weight, double eps);

typedef struct dl_group_norm_options {
    int64_t num_groups; /* divides C */
    double eps;
} dl_group_norm_options;
/* x (N, ..., C): the channels of a group, over all places of a sample, are normalized together; weight, bias (C) or
 * NULL. */
DL_API dl_tensor *dl_group_norm(dl_context *context, dl_tensor *x, int64_t num_groups, dl_tensor *weight,
                                dl_tensor *bias, double eps);

typedef struct dl_embedding_op_options {
    int64_t padding_idx; /* 0: id 0 gives zeros; DL_NONE: id 0 is refused as any id out of range is */
} dl_embedding_op_options;
/* Rows of weight (K, D) by their ids (...), which count from 1 to K -> (..., D). */
DL_API dl_tensor *dl_embedding(dl_context *context, dl_tensor *ids, dl_tensor *weight, int64_t padding_idx);

/* ---- attention ------------------------------------------------------------------------------------------------- */

typedef struct dl_attention_options {
    double scale;    /* of the scores; NaN: 1 / sqrt(E) */
    bool is_causal;  /* query i sees the keys up to its own position, i + offset */
    int64_t offset;  /* position of the first query among the keys, from 0 */
    double dropout;  /* fraction of the weights that become 0 */
    int64_t seed;    /* of the stream to use, DL_NONE: the context's; then stream and position are not read */
    int64_t stream, position;
} dl_attention_options;
/* softmax(scale query key^T + mask) value for query (N, T, H, E), key (N, S, K, E), value (N, S, K, V) -> (N, T, H, V),
 * without ever storing the scores: memory is linear in T and S. K divides H. mask (NULL: none) is broadcast to
 * (N, H, T, S): bool, false leaves a key out, or of the query's dtype, added to the scores. A query that sees no key
 * gives zeros. stream (NULL: the context's) is drawn from where options->dropout is not 0, and moves on. */
DL_API dl_tensor *dl_attention(dl_context *context, dl_tensor *query, dl_tensor *key, dl_tensor *value,
                               dl_tensor *mask, const dl_attention_options *options, dl_stream *stream);

typedef struct dl_scaled_dot_product_attention_options {
    double dropout_p;
    bool is_causal;
    double scale; /* NaN: 1 / sqrt(E) */
    bool enable_gqa;
} dl_scaled_dot_product_attention_options;

#ifdef __cplusplus
}
#endif
#endif
