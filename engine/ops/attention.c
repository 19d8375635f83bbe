/* ops/attention.c: attention without stored scores. dot_product_attention has Keras's layout, {N, T, H, E}, which is
 * how projections make it; scaled_dot_product_attention is PyTorch's view of the same, {N, H, T, E}. */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

/* ---- what is checked --------------------------------------------------------------------------------------------- */

static dl_status fail_shapes(const dl_op_call *call, const char *rule) {
    return dl_fail(DL_SHAPE, "query has shape %s, key %s and value %s; %s", dl_shape_text(call->in[0]).at,
                   dl_shape_text(call->in[1]).at, dl_shape_text(call->in[2]).at, rule);
}

static dl_status check_operands(const dl_op_call *call) {
    const dl_tensor *query = call->in[0], *key = call->in[1], *value = call->in[2];
    DL_TRY(dl_need_float(query, "query"));
    DL_TRY(dl_need_dtype(key, "key", query->dtype));
    DL_TRY(dl_need_dtype(value, "value", query->dtype));
    if (query->dims != 4 || key->dims != 4 || value->dims != 4)
        return fail_shapes(call, "they must have four dimensions, {N, T, H, E}, {N, S, K, E} and {N, S, K, V}");
    if (query->shape[0] != key->shape[0] || query->shape[0] != value->shape[0])
        return fail_shapes(call, "the batch sizes differ");
    if (query->shape[3] != key->shape[3])
        return fail_shapes(call, "query and key must have the same last size");
    if (key->shape[1] != value->shape[1] || key->shape[2] != value->shape[2])
        return fail_shapes(call, "key and value must have the same number of steps and of heads");
    if (key->shape[2] == 0 || query->shape[2] % key->shape[2] != 0)
        return fail_shapes(call, "the heads of the query must be a multiple of those of the key");
    return DL_OK;
}

static dl_status check_mask(const dl_op_call *call, const int64_t *scores) {
    const dl_tensor *mask = call->inputs > 3 ? call->in[3] : NULL;
    int dims;
    int64_t shape[DL_MAX_DIMS];
    if (!mask)
        return DL_OK;
    if (mask->dtype != DL_BOOLEAN && mask->dtype != call->in[0]->dtype)
        return dl_fail(DL_DTYPE, "mask is %s; it must be bool (false leaves a key out) or %s, added to the scores",
                       dl_dtype_name(mask->dtype), dl_dtype_name(call->in[0]->dtype));
    if (mask->dims <= 4 && dl_shape_broadcast(mask->dims, mask->shape, 4, scores, &dims, shape) == DL_OK &&
        dl_shape_equal(4, scores, dims, shape))
        return DL_OK;
    return dl_fail(DL_SHAPE, "mask has shape %s; it must be broadcastable to the scores' %s", dl_shape_text(mask).at,
                   dl_sizes_text(4, scores).at);
}

/* ---- the kernel's view ------------------------------------------------------------------------------------------- */

/* The tensor itself if the elements of a head lie beside each other, else a copy. */
static dl_tensor *heads_together(dl_tensor *x) {
    return x->strides[3] == 1 || x->shape[3] <= 1 ? x : dl_dense(x);
}

static double scale_of(double scale, int64_t features) {
    return isnan(scale) ? 1 / sqrt((double)features) : scale;
}

static dl_attention_sizes sizes_of(dl_tensor *query, dl_tensor *key, dl_tensor *value, dl_tensor *mask,
                                   const dl_attention_options *options) {
    dl_attention_sizes s = {.N = query->shape[0], .T = query->shape[1], .S = key->shape[1], .H = query->shape[2],
                            .K = key->shape[2], .E = query->shape[3], .V = value->shape[3],
                            .causal = options->is_causal, .offset = options->offset, .dropout = options->dropout,
                            .scale = scale_of(options->scale, query->shape[3])};
    memcpy(s.query, query->strides, sizeof s.query);
    memcpy(s.key, key->strides, sizeof s.key);
    memcpy(s.value, value->strides, sizeof s.value);
    if (mask) {
        s.mask = mask->dtype == DL_BOOLEAN ? DL_MASK_BOOL : DL_MASK_REAL;
        dl_broadcast_strides(mask, 4, (int64_t[]){s.N, s.H, s.T, s.S}, s.mask_strides);
    }
    return s;
}

/* ---- dot_product_attention --------------------------------------------------------------------------------------- */

static uint64_t blocks_of(const dl_attention_sizes *s) {
    return ((uint64_t)(s->N * s->H * s->T) * (uint64_t)s->S + DL_DROPOUT_PER_BLOCK - 1) / DL_DROPOUT_PER_BLOCK;
}

/* The stream of one call: the given one as it stands, or the context's, which moves on. */
static dl_stream take_stream(dl_op_call *call, const dl_attention_sizes *s) {
    const dl_attention_options *options = call->options;
    if (options->dropout == 0 || options->seed != DL_NONE)
        return (dl_stream){.seed = (uint64_t)options->seed,
                           .stream = (uint64_t)options->stream,
                           .position = (uint64_t)options->position};
    dl_stream *stream = dl_context_stream(call->context), here = *stream;
    dl_stream_take(stream, blocks_of(s));
    return here;
}

static dl_status run_forward(dl_context *context, dl_tensor *y, dl_tensor *normalizer, dl_tensor *const *in,
                             const dl_attention_sizes *s) {
    const void *mask = dl_data_or_null(in[3]);
    if (y->dtype == DL_FLOAT32)
        return dl_kernel()->attention_f32(context, DL_DATA(y, float), dl_data_or_null(normalizer),
                                          DL_DATA(in[0], float), DL_DATA(in[1], float), DL_DATA(in[2], float), mask,
                                          s);
    return dl_kernel()->attention_f64(context, DL_DATA(y, double), dl_data_or_null(normalizer),
                                      DL_DATA(in[0], double), DL_DATA(in[1], double), DL_DATA(in[2], double), mask, s);
}

/* saved: 0 query, 1 key, 2 value, 3 mask (maybe none), 4 y, 5 normalizer; state: the sizes. */
static dl_status save_all(dl_op_call *call, dl_tensor *const *in, dl_tensor *normalizer, const dl_attention_sizes *s) {
    if (!call->node)
        return DL_OK;
    dl_attention_sizes *state = dl_call_state(call, sizeof *state);
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = *s;
    for (int i = 0; i < 4; i++)
        DL_TRY(dl_call_save(call, i, in[i]));
    DL_TRY(dl_call_save(call, 4, call->out[0]));
    return dl_call_save(call, 5, normalizer);
}

static dl_status forward(dl_op_call *call) {
    DL_TRY(check_operands(call));
    const dl_tensor *query = call->in[0], *key = call->in[1], *value = call->in[2];
    int64_t scores[4] = {query->shape[0], query->shape[2], query->shape[1], key->shape[1]};
    int64_t shape[4] = {query->shape[0], query->shape[1], query->shape[2], value->shape[3]};
    DL_TRY(check_mask(call, scores));
    dl_tensor *in[4] = {NULL, NULL, NULL, call->inputs > 3 ? call->in[3] : NULL};
    for (int i = 0; i < 3; i++) {
        in[i] = heads_together(call->in[i]);
        DL_TRY(in[i] ? DL_OK : dl_last_status());
    }
    dl_attention_sizes s = sizes_of(in[0], in[1], in[2], in[3], call->options);
    dl_tensor *normalizer = call->node ? dl_scratch(call->context, query->dtype, 3, scores) : NULL;
    dl_tensor *y = call->node && !normalizer ? NULL : dl_call_output(call, 0, query->dtype, 4, shape);
    DL_TRY(y ? DL_OK : dl_last_status());
    s.stream = take_stream(call, &s);
    DL_TRY(run_forward(call->context, y, normalizer, in, &s));
    return save_all(call, in, normalizer, &s);
}

static dl_status run_backward(dl_op_gradient *gradient, dl_tensor *const *grads, const dl_attention_sizes *s) {
    dl_tensor *const *saved = gradient->saved;
    const void *mask = dl_saved_data(gradient, 3);
    dl_tensor *grad_y = gradient->grad_out[0];
    if (grad_y->dtype == DL_FLOAT32)
        return dl_kernel()->attention_backward_f32(
            gradient->context, DL_DATA(grads[0], float), DL_DATA(grads[1], float), DL_DATA(grads[2], float),
            dl_data_or_null(grads[3]), DL_DATA(grad_y, float), DL_DATA(saved[4], float),
            DL_DATA(saved[5], float), DL_DATA(saved[0], float), DL_DATA(saved[1], float), DL_DATA(saved[2], float),
            mask, s);
    return dl_kernel()->attention_backward_f64(
        gradient->context, DL_DATA(grads[0], double), DL_DATA(grads[1], double), DL_DATA(grads[2], double),
        dl_data_or_null(grads[3]), DL_DATA(grad_y, double), DL_DATA(saved[4], double),
        DL_DATA(saved[5], double), DL_DATA(saved[0], double), DL_DATA(saved[1], double), DL_DATA(saved[2], double),
        mask, s);
}

/* The gradient of a mask that is added has the size of the scores; only who asks for it pays for that. */
static dl_status backward(dl_op_gradient *gradient) {
    const dl_attention_sizes *s = gradient->state;
    dl_context *context = gradient->context;
    dl_tensor *grads[4] = {NULL};
    bool wants_mask = gradient->inputs > 3 && gradient->needs[3];
    for (int i = 0; i < 3; i++) {
        grads[i] = gradient->needs[i] ? dl_gradient_new(gradient, i)
                                      : dl_scratch(context, gradient->dtypes[i], 4, gradient->shapes[i]);
        DL_TRY(grads[i] ? DL_OK : dl_last_status());
    }
    if (wants_mask) {
        grads[3] = dl_scratch(context, gradient->dtypes[0], 4, (int64_t[]){s->N, s->H, s->T, s->S});
        DL_TRY(grads[3] ? DL_OK : dl_last_status());
    }
    DL_TRY(run_backward(gradient, grads, s));
    return wants_mask ? dl_gradient_set(gradient, 3, grads[3]) : DL_OK;
}

static const dl_field fields[] = {
    DL_REAL(dl_attention_options, scale, NAN, DL_LOWEST, DL_HIGHEST, DL_NONE_OK,
            "what the scores are multiplied by; none: 1 / sqrt(E)"),
    DL_BOOL(dl_attention_options, is_causal, false, 0, "each query sees the keys up to its own position"),
    DL_INT(dl_attention_options, offset, 0, 0, DL_HIGHEST, DL_POSITION | DL_NAMED_ONLY,
           "position of the first query among the keys, for is_causal"),
    DL_REAL(dl_attention_options, dropout, 0, 0, 1, DL_NAMED_ONLY, "fraction of the weights that become 0"),
    DL_INT(dl_attention_options, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK | DL_NAMED_ONLY,
           "of the stream to draw from; none: the context's stream, which moves on"),
    DL_INT(dl_attention_options, stream, 0, DL_LOWEST, DL_HIGHEST, DL_NAMED_ONLY, "number of the stream, with seed"),
    DL_INT(dl_attention_options, position, 0, 0, DL_HIGHEST, DL_NAMED_ONLY,
           "where in the stream to begin, with seed"),
    DL_END,
};

const dl_op dl_op_dot_product_attention = {
    .definition = {.name = "dot_product_attention",
                   .version = 1,
                   .help = "Attention of queries over keys and values, head by head, in tiles, so that memory grows "
                           "linearly with the number of steps. A bool mask leaves out the keys where it is false, any "
                           "other is added to the scores. A query that sees no key gives zeros.",
                   .formula = "softmax(scale query key^T + mask) value",
                   .source = "Vaswani et al. 2017; Dao et al. 2022",
                   .shapes = "query {N, T, H, E}, key {N, S, K, E}, value {N, S, K, V}, mask broadcast to "
                             "{N, H, T, S} -> {N, T, H, V}; K divides H",
                   .fields = fields,
                   .options_size = sizeof(dl_attention_options)},
    .inputs = "query key value mask?",
    .outputs = 1,
    .forward = forward,
    .backward = backward,
    .flags = DL_OP_RANDOM,
};

dl_tensor *dl_attention(dl_context *context, dl_tensor *query, dl_tensor *key, dl_tensor *value, dl_tensor *mask,
                        const dl_attention_options *options, dl_stream *stream) {
    dl_attention_options given = *options;
    if (stream && given.dropout > 0) {
        given.seed = (int64_t)stream->seed;
        given.stream = (int64_t)stream->stream;
        given.position = (int64_t)stream->position;
    }
    dl_tensor *in[4] = {query, key, value, mask};
    dl_tensor *y = dl_apply1(context, &dl_op_dot_product_attention, in, 4, &given);
    if (y && stream && given.dropout > 0) {
        dl_attention_sizes s = sizes_of(query, key, value, NULL, &given);
        dl_stream_take(stream, blocks_of(&s));
    }
    return y;
}

/* ---- scaled_dot_product_attention -------------------------------------------------------------------------------- */

static dl_status check_heads(const dl_op_call *call, bool enable_gqa) {
    for (int i = 0; i < 3; i++)
        if (call->in[i]->dims != 4)
            return fail_shapes(call, "they must have four dimensions, {N, H, T, E}, {N, H, S, E} and {N, H, S, V}");
    if (!enable_gqa && call->in[0]->shape[1] != call->in[1]->shape[1])
        return fail_shapes(call,
                           "the numbers of heads differ; enable_gqa = true lets heads of queries share one of keys");
    return DL_OK;
}

static dl_status scaled_forward(dl_op_call *call) {
    const dl_scaled_dot_product_attention_options *options = call->options;
    dl_context *context = call->context;
    DL_TRY(check_heads(call, options->enable_gqa));
    dl_tensor *in[3];
    for (int i = 0; i < 3; i++)
        in[i] = dl_transpose(context, call->in[i], 1, 2);
    dl_attention_options inner = {.scale = options->scale, .is_causal = options->is_causal,
                                  .dropout = options->dropout_p, .seed = DL_NONE};
    dl_tensor *y = dl_attention(context, in[0], in[1], in[2], call->inputs > 3 ? call->in[3] : NULL, &inner, NULL);
    return dl_call_set(call, 0, dl_transpose(context, y, 1, 2));
}

static const dl_field scaled_fields[] = {
    DL_REAL(dl_scaled_dot_product_attention_options, dropout_p, 0, 0, 1, 0, "fraction of the weights that become 0"),
    DL_BOOL(dl_scaled_dot_product_attention_options, is_causal, false, 0,
            "each query sees the keys up to its own position"),
    DL_REAL(dl_scaled_dot_product_attention_options, scale, NAN, DL_LOWEST, DL_HIGHEST, DL_NONE_OK,
            "what the scores are multiplied by; none: 1 / sqrt(E)"),
    DL_BOOL(dl_scaled_dot_product_attention_options, enable_gqa, false, 0,
            "several heads of queries may share one of keys and values"),
    DL_END,
};

const dl_op dl_op_scaled_dot_product_attention = {
    .definition = {.name = "scaled_dot_product_attention",
                   .version = 1,
                   .help = "dot_product_attention with the heads before the steps. A bool attn_mask leaves out the "
                           "keys where it is false, any other is added to the scores.",
                   .formula = "softmax(scale query key^T + attn_mask) value",
                   .source = "Vaswani et al. 2017; Dao et al. 2022",
                   .shapes = "query {N, H, T, E}, key {N, H, S, E}, value {N, H, S, V}, attn_mask broadcast to "
                             "{N, H, T, S} -> {N, H, T, V}",
                   .fields = scaled_fields,
                   .options_size = sizeof(dl_scaled_dot_product_attention_options)},
    .inputs = "query key value attn_mask?",
    .outputs = 1,
    .forward = scaled_forward,
    .flags = DL_OP_RANDOM,
};
