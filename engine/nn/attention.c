/* nn/attention.c: what the layers of attention and transformers share: children, masks, attention with and without its
 * weights.
 *
 * Always true: nothing of the size of queries times keys is made unless the weights are asked for or a mask of that
 * size was given. */
#include "nn/attention.h"

#include <math.h>
#include <string.h>

#include "nn/weight_fields.h"

/* ---- children ---------------------------------------------------------------------------------------------------- */

dl_status dl_add_inner_layer(dl_layer *layer, const dl_layer_def *definition, const char *name, void *options) {
    dl_context *context = layer->object.context;
    dl_layer_options *common = options;
    dl_object *child = NULL;
    common->dtype = (int)layer->dtype;
    common->trainable = dl_layer_common(layer)->trainable;
    common->name = dl_strdup(context, name);
    dl_status status = common->name
                           ? dl_object_create(context, &dl_layer_family, &definition->definition, options, &child)
                           : dl_last_status();
    if (status == DL_OK)
        status = dl_layer_add_child(layer, (dl_layer *)child);
    dl_object_release(child);
    dl_options_clear(&definition->definition, options);
    return status;
}

dl_tensor *dl_call_inner(dl_layer_call *call, dl_layer *child, dl_tensor *const *in, int inputs,
                         const dl_arguments *arguments, dl_tensor **second) {
    for (int i = 0; i < inputs; i++)
        if (!in[i])
            return NULL;
    dl_layer_call inner;
    if (dl_run_child(child, call, in, inputs, NULL, arguments, &inner) != DL_OK)
        return NULL;
    if (second)
        *second = inner.outputs > 1 ? inner.out[1] : NULL;
    return inner.out[0];
}

dl_tensor *dl_call_inner1(dl_layer_call *call, dl_layer *child, dl_tensor *x) {
    return dl_call_inner(call, child, &x, 1, NULL, NULL);
}

/* ---- projections ------------------------------------------------------------------------------------------------- */

static dl_status build_projection(dl_layer *layer, const dl_inputs *inputs) {
    const dl_projection_options *options = DL_OPTIONS(layer, dl_projection_options);
    const dl_spec *in = inputs->specs;
    int in_dims = (int)options->in_dims;
    int64_t shape[DL_MAX_DIMS];
    if (in_dims + options->out.count > DL_MAX_DIMS || in->dims - in_dims + options->out.count > DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "inputs %s and the new sizes make more than %d dimensions", dl_spec_text_of(in).at,
                       DL_MAX_DIMS);
    for (int i = 0; i < in_dims; i++) {
        shape[i] = in->shape[in->dims - in_dims + i];
        if (shape[i] == DL_NONE || shape[i] == 0)
            return dl_fail(DL_SHAPE, "the last size of the inputs must be known and not zero, got %s",
                           dl_spec_text_of(in).at);
    }
    memcpy(shape + in_dims, options->out.at, (size_t)options->out.count * sizeof *shape);
    DL_TRY(dl_layer_add_constrained(layer, "kernel", in_dims + options->out.count, shape, options->kernel_initializer,
                                    options->kernel_regularizer, options->kernel_constraint));
    if (!options->use_bias)
        return DL_OK;
    return dl_layer_add_constrained(layer, "bias", options->out.count, options->out.at, options->bias_initializer,
                                    options->bias_regularizer, options->bias_constraint);
}

static dl_status infer_projection(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_projection_options *options = DL_OPTIONS(layer, dl_projection_options);
    const dl_spec *in = inputs->specs;
    int kept = in->dims - (int)options->in_dims;
    for (int i = 0; i < options->in_dims; i++)
        if (in->shape[kept + i] != layer->weights[0].value->shape[i])
            return dl_layer_fail_built(layer, in);
    *out = *in;
    out->dims = kept + options->out.count;
    memcpy(out->shape + kept, options->out.at, (size_t)options->out.count * sizeof *out->shape);
    *outputs = 1;
    return DL_OK;
}

static int64_t product_of(int dims, const int64_t *shape) {
    int64_t product = 1;
    for (int i = 0; i < dims; i++)
        product *= shape[i];
    return product;
}

static dl_status call_projection(dl_layer *layer, dl_layer_call *call) {
    const dl_projection_options *options = DL_OPTIONS(layer, dl_projection_options);
    dl_context *context = call->context;
    dl_tensor *x = call->in[0], *kernel = layer->weights[0].value;
    int in_dims = (int)options->in_dims, kept = x->dims - in_dims;
    int64_t in = product_of(in_dims, kernel->shape), out = product_of(options->out.count, options->out.at);
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[kept] = in;
    dl_tensor *y = dl_linear(context, dl_reshape(context, x, kept + 1, shape),
                             dl_reshape(context, kernel, 2, (int64_t[]){in, out}),
                             options->use_bias ? dl_reshape(context, layer->weights[1].value, 1, &out) : NULL,
                             DL_ACTIVATION_NONE);
    memcpy(shape + kept, options->out.at, (size_t)options->out.count * sizeof *shape);
    y = dl_reshape(context, y, kept + options->out.count, shape);
    DL_TRY(dl_layer_add_activity_loss(call, options->activity_regularizer, y));
    return dl_call_return(call, y);
}

#define TYPE dl_projection_options
static const dl_field projection_fields[] = {
    DL_INT(TYPE, in_dims, 1, 1, DL_MAX_DIMS, 0, "dimensions that are summed over"),
    DL_INTS(TYPE, out, NULL, 0, 1, DL_HIGHEST, DL_REQUIRED, "sizes that take their place"),
    DL_BOOL(TYPE, use_bias, true, 0, "add a bias"),
    DL_KERNEL_FIELDS(TYPE),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_projection = {
    .definition = {.name = "Projection", .version = 1, .help = "Dense layer over several dimensions, inside others.",
                   .fields = projection_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .build = build_projection, .infer = infer_projection, .call = call_projection, .flags = DL_LAYER_STEPWISE};
#undef TYPE

/* ---- masks ------------------------------------------------------------------------------------------------------- */

dl_tensor *dl_both_masks(dl_context *context, dl_tensor *a, dl_tensor *b, dl_status *status) {
    if (!a || !b)
        return a ? a : b;
    dl_tensor *out = NULL;
    if (dl_apply(context, dl_find_op("logical_and"), (dl_tensor *[]){a, b}, 2, NULL, &out) != DL_OK)
        *status = dl_last_status();
    return out;
}

dl_tensor *dl_key_mask(dl_context *context, dl_tensor *mask) {
    return mask ? dl_reshape(context, mask, 4, (int64_t[]){mask->shape[0], 1, 1, mask->shape[1]}) : NULL;
}

static dl_tensor *not(dl_context *context, dl_tensor *mask) {
    return dl_apply1(context, dl_find_op("logical_not"), &mask, 1, NULL);
}

dl_tensor *dl_zero_masked(dl_context *context, dl_tensor *y, dl_tensor *mask) {
    if (!mask || !y)
        return y;
    int64_t shape[DL_MAX_DIMS] = {mask->shape[0], mask->shape[1]};
    for (int i = 2; i < y->dims; i++)
        shape[i] = 1;
    return dl_masked_fill(context, y, dl_reshape(context, not(context, mask), y->dims, shape), 0);
}

dl_status dl_check_mask_spec(const dl_layer *layer, const char *name, const dl_spec *mask, int dims,
                             const int64_t *sizes, const dl_spec *of) {
    bool fits = mask->dims == dims;
    for (int i = 0; fits && i < dims; i++)
        fits = mask->shape[i] == sizes[i] || mask->shape[i] == DL_NONE || sizes[i] == DL_NONE || mask->shape[i] == 1;
    if (fits)
        return DL_OK;
    dl_spec wanted = {.dims = dims};
    memcpy(wanted.shape, sizes, (size_t)dims * sizeof *sizes);
    return dl_fail(DL_SHAPE, "%s: %s must be %s for inputs %s, got %s", dl_layer_class(layer), name,
                   dl_spec_text_of(&wanted).at, dl_spec_text_of(of).at, dl_spec_text_of(mask).at);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

#define NEVER (-1e9) /* a score that leaves nothing of its weight */

/* (T, S): true where key j is no later than query i + offset. */
static dl_tensor *causal_mask(dl_context *context, int64_t T, int64_t S, int64_t offset) {
    dl_tensor *query = dl_arange(context, DL_INT64, (double)offset, (double)(offset + T), 1);
    return dl_ge(context, dl_unsqueeze(context, query, 1), dl_arange(context, DL_INT64, 0, (double)S, 1));
}

dl_tensor *dl_masked_weights(dl_context *context, dl_tensor *scores, dl_tensor *mask, bool causal, int64_t offset) {
    dl_status status = DL_OK;
    if (!scores)
        return NULL;
    if (causal)
        mask = dl_both_masks(context, mask, causal_mask(context, scores->shape[2], scores->shape[3], offset), &status);
    if (status != DL_OK)
        return NULL;
    if (!mask)
        return dl_softmax(context, scores, -1);
    dl_tensor *left_out = not(context, mask);
    dl_tensor *weights = dl_softmax(context, dl_masked_fill(context, scores, left_out, NEVER), -1);
    return dl_masked_fill(context, weights, left_out, 0);
}

/* (N, S, K, E) -> (N, H, S, E), each head repeated for the queries that share it. */
static dl_tensor *spread_heads(dl_context *context, dl_tensor *x, int64_t heads) {
    int64_t N = x->shape[0], S = x->shape[1], K = x->shape[2], E = x->shape[3];
    x = dl_transpose(context, x, 1, 2);
    if (K == heads)
        return x;
    x = dl_expand(context, dl_unsqueeze(context, x, 2), 5, (int64_t[]){N, K, heads / K, S, E});
    return dl_reshape(context, x, 4, (int64_t[]){N, heads, S, E});
}

static dl_tensor *attend_with_weights(dl_context *context, const dl_attend *a, dl_tensor **weights) {
    int64_t heads = a->query->shape[2];
    dl_tensor *query = dl_mul_number(context, dl_transpose(context, a->query, 1, 2), a->scale);
    dl_tensor *key = dl_transpose(context, spread_heads(context, a->key, heads), -2, -1);
    dl_tensor *scores = dl_matmul(context, query, key);
    *weights = dl_masked_weights(context, scores, a->mask, a->causal, a->offset);
    dl_tensor *kept = a->dropout > 0 ? dl_dropout(context, *weights, a->dropout, a->stream) : *weights;
    return dl_transpose(context, dl_matmul(context, kept, spread_heads(context, a->value, heads)), 1, 2);
}

dl_tensor *dl_attend_heads(dl_context *context, const dl_attend *a, dl_tensor **weights) {
    if (!a->query || !a->key || !a->value)
        return NULL;
    if (a->wants_weights)
        return attend_with_weights(context, a, weights);
    dl_attention_options options = {.scale = a->scale, .is_causal = a->causal, .offset = a->offset,
                                    .dropout = a->dropout, .seed = DL_NONE};
    return dl_attention(context, a->query, a->key, a->value, a->mask, &options, a->stream);
}
