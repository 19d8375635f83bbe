/* nn/attention.h: what the layers of attention and transformers share. Tensors of heads are (N, T, H, E). */
#ifndef DL_NN_ATTENTION_H
#define DL_NN_ATTENTION_H

#include "nn/nn.h"

/* ---- children ---------------------------------------------------------------------------------------------------- */

/* A layer of this definition with these options (taken over: cleared here) as a child of `layer`, with its name, dtype
 * and trainable. */
dl_status dl_add_inner_layer(dl_layer *layer, const dl_layer_def *definition, const char *name, void *options);
/* Inside a call: runs a child on inputs with arguments (may be NULL); its first output, in the open scope. NULL on
 * failure, and if an input is NULL. */
dl_tensor *dl_call_inner(dl_layer_call *call, dl_layer *child, dl_tensor *const *in, int inputs,
                         const dl_arguments *arguments, dl_tensor **second);
/* The same on one tensor. */
dl_tensor *dl_call_inner1(dl_layer_call *call, dl_layer *child, dl_tensor *x);

/* A dense layer over several last dimensions to several new ones: kernel (in..., out...), bias (out...). */
typedef struct dl_projection_options {
    dl_layer_options layer;
    int64_t in_dims; /* how many of the last dimensions are summed over */
    dl_ints out;
    bool use_bias;
    dl_object *kernel_initializer, *bias_initializer, *kernel_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *kernel_constraint, *bias_constraint;
} dl_projection_options;
extern const dl_layer_def dl_layer_projection;

/* ---- masks ------------------------------------------------------------------------------------------------------- */

/* Both bool, either may be NULL: what both allow. In the open scope; NULL also on failure, then *status has it. */
dl_tensor *dl_both_masks(dl_context *context, dl_tensor *a, dl_tensor *b, dl_status *status);
/* (N, S) as (N, 1, 1, S); NULL passes. */
dl_tensor *dl_key_mask(dl_context *context, dl_tensor *mask);
/* y (N, T, ...) with zeros where mask (N, T; NULL: everywhere true) is false. */
dl_tensor *dl_zero_masked(dl_context *context, dl_tensor *y, dl_tensor *mask);
/* DL_SHAPE naming both shapes unless a mask (NULL passes) has these sizes; DL_NONE in either fits all. */
dl_status dl_check_mask_spec(const dl_layer *layer, const char *name, const dl_spec *mask, int dims,
                             const int64_t *sizes, const dl_spec *of);

/* ---- attention over chosen dimensions ---------------------------------------------------------------------------- */

/* The dimensions of inputs (N, D1, ..., F) that attention goes over, and those that it leaves apart. */
typedef struct dl_attention_axes {
    int dims; /* of the inputs */
    int attended_count, attended[DL_MAX_DIMS];
    int kept_count, kept[DL_MAX_DIMS];
} dl_attention_axes;

/* given: from 0, the batch counted; count 0: all between the batch and the features. */
dl_status dl_read_attention_axes(const dl_layer *layer, const dl_ints *given, int dims, dl_attention_axes *out);
/* x (N, D1, ..., tail...) as (rows, steps, tail...), and back; `like` has the sizes of N, D1 ... */
dl_tensor *dl_fold_axes(dl_context *context, const dl_attention_axes *axes, dl_tensor *x);
dl_tensor *dl_unfold_axes(dl_context *context, const dl_attention_axes *axes, dl_tensor *y, const dl_tensor *like);
/* A mask (N, D1) of the values' first dimension as (rows, steps); NULL passes. */
dl_tensor *dl_fold_key_mask(dl_context *context, const dl_attention_axes *axes, dl_tensor *mask,
                            const dl_tensor *value);
/* The scores' sizes: N, the kept ones, heads, the attended ones of the query and of the key; how many they are. */
int dl_scores_shape(const dl_attention_axes *axes, const int64_t *query, int64_t heads, const int64_t *key,
                    int64_t *shape);
/* An attention_mask has the scores' shape, or leaves out the heads, or the heads and the kept dimensions. */
dl_status dl_check_attention_mask(const dl_layer *layer, const dl_attention_axes *axes, const dl_spec *mask,
                                  const dl_spec *query, const dl_spec *key, int64_t heads);
/* As (rows, heads or 1, steps of the query, of the key), or broadcastable to it; NULL passes. */
dl_tensor *dl_fold_attention_mask(dl_context *context, const dl_attention_axes *axes, dl_tensor *mask,
                                  const dl_tensor *query, const dl_tensor *key);

/* ---- attention --------------------------------------------------------------------------------------------------- */

typedef struct dl_attend {
    dl_tensor *query, *key, *value; /* (N, T, H, E), (N, S, K, E), (N, S, K, V) */
    dl_tensor *mask;                /* bool, broadcast to (N, H, T, S), or NULL */
    bool causal;
    int64_t offset;
    double scale, dropout; /* dropout 0 outside training */
    dl_stream *stream;
    bool wants_weights;
} dl_attend;

/* softmax(scale query key^T) value, (N, T, H, V); in tiles unless the weights (N, H, T, S) are wanted. */
dl_tensor *dl_attend_heads(dl_context *context, const dl_attend *attend, dl_tensor **weights);
/* softmax of scores (N, H, T, S) over the keys that mask and causal leave; 0 where there is none. */
dl_tensor *dl_masked_weights(dl_context *context, dl_tensor *scores, dl_tensor *mask, bool causal, int64_t offset);

/* ---- one multi-head attention, for MultiHeadAttention, GroupQueryAttention and blocks ---------------------------- */

enum {
    DL_MHA_QUERY, DL_MHA_VALUE, DL_MHA_KEY, DL_MHA_QUERY_MASK, DL_MHA_VALUE_MASK, DL_MHA_KEY_MASK,
    DL_MHA_ATTENTION_MASK, DL_MHA_CACHE
};
typedef struct dl_mha_call_options {
    bool return_attention_scores, use_causal_mask;
    int64_t cache_update_index; /* DL_NONE: the cache is used as it is */
} dl_mha_call_options;

#endif
