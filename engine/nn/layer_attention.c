/* nn/layer_attention.c: Attention (Luong et al. 2015) and AdditiveAttention (Bahdanau et al. 2015) on sequences as they
 * are, without projections. With score_mode "dot" the weights are never stored; the others add each query to each
 * key. */
#include "nn/attention.h"

enum { QUERY, VALUE, KEY, QUERY_MASK, VALUE_MASK };
static const char *const input_names[] = {"query", "value", "key", "query_mask", "value_mask", NULL};

typedef struct call_options {
    bool return_attention_scores, use_causal_mask;
} call_options;

static bool is_additive(const dl_layer *layer) {
    return layer->object.definition == &dl_layer_additive_attention.definition;
}

static dl_status init(dl_layer *layer) {
    int64_t seed = DL_OPTIONS(layer, dl_attention_layer_options)->seed;
    if (seed != DL_NONE)
        layer->stream = (dl_stream){.seed = (uint64_t)seed};
    return DL_OK;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static const dl_spec *input_spec(const dl_layer *layer, const dl_inputs *inputs, int role) {
    int place = dl_find_input(layer, inputs->arguments, inputs->count, role, 0);
    return place < 0 ? NULL : &inputs->specs[place];
}

static bool agree(int64_t a, int64_t b) {
    return a == b || a == DL_NONE || b == DL_NONE;
}

static dl_status check_sequences(const dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *query = input_spec(layer, inputs, QUERY), *value = input_spec(layer, inputs, VALUE);
    const dl_spec *key = input_spec(layer, inputs, KEY);
    if (!value)
        return dl_fail(DL_INVALID, "%s: the input 'value' is missing", dl_layer_class(layer));
    if (!key)
        key = value;
    if (key->dims == 3 && value->dims == 3 && agree(key->shape[0], query->shape[0]) &&
        agree(value->shape[0], query->shape[0]) && agree(key->shape[1], value->shape[1]) &&
        agree(key->shape[2], query->shape[2]))
        return dl_layer_check_sizes(layer, key); /* the mean over no step is not defined */
    return dl_fail(DL_SHAPE,
                   "%s: query %s, value %s and key %s must be (batch, steps, features), with equal batches, query and "
                   "key of equally many features, and key and value of equally many steps",
                   dl_layer_class(layer), dl_spec_text_of(query).at, dl_spec_text_of(value).at,
                   dl_spec_text_of(key).at);
}

static dl_status add_number(dl_layer *layer, const char *name, int dims, const int64_t *shape,
                            const char *initializer) {
    dl_context *context = layer->object.context;
    dl_object *object = NULL;
    DL_TRY(dl_object_create(context, &dl_initializer_family,
                            dl_find_definition(context, &dl_initializer_family, initializer), NULL, &object));
    dl_status status = dl_layer_add_weight(layer, name, dims, shape, object, NULL, true);
    dl_object_release(object);
    return status;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_attention_layer_options *options = DL_OPTIONS(layer, dl_attention_layer_options);
    DL_TRY(check_sequences(layer, inputs));
    int64_t features = input_spec(layer, inputs, QUERY)->shape[2];
    if (is_additive(layer) && options->use_scale) {
        if (features == DL_NONE)
            return dl_fail(DL_SHAPE, "AdditiveAttention needs to know the last size of its query, got %s",
                           dl_spec_text_of(inputs->specs).at);
        return add_number(layer, "scale", 1, &features, "glorot_uniform");
    }
    if (options->use_scale)
        DL_TRY(add_number(layer, "scale", 0, NULL, "ones"));
    return options->score_mode == DL_SCORE_CONCAT ? add_number(layer, "concat_score_weight", 0, NULL, "ones") : DL_OK;
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const call_options *options = inputs->arguments->options;
    const dl_spec *query = input_spec(layer, inputs, QUERY), *value = input_spec(layer, inputs, VALUE);
    DL_TRY(check_sequences(layer, inputs));
    if (!agree(query->shape[2], layer->input.shape[2]))
        return dl_layer_fail_built(layer, query);
    for (int role = QUERY_MASK; role <= VALUE_MASK; role++) {
        const dl_spec *mask = input_spec(layer, inputs, role), *of = role == QUERY_MASK ? query : value;
        if (mask)
            DL_TRY(dl_check_mask_spec(layer, input_names[role], mask, 2, of->shape, of));
    }
    out[0] = *query;
    out[0].shape[2] = value->shape[2];
    *outputs = 1;
    if (options->return_attention_scores) {
        out[1] = *query;
        out[1].shape[2] = value->shape[1];
        *outputs = 2;
    }
    return DL_OK;
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

/* (N, T, S): sum over the features of tanh(query + key), with the weights where Keras has them. */
static dl_tensor *added_scores(const dl_layer *layer, dl_layer_call *call, dl_tensor *query, dl_tensor *key) {
    const dl_attention_layer_options *options = DL_OPTIONS(layer, dl_attention_layer_options);
    dl_context *context = call->context;
    dl_tensor *sum = dl_add(context, dl_unsqueeze(context, query, 2), dl_unsqueeze(context, key, 1));
    dl_tensor *scale = options->use_scale ? layer->weights[0].value : NULL;
    if (is_additive(layer)) {
        sum = dl_tanh(context, sum);
        return dl_sum(context, scale ? dl_mul(context, sum, scale) : sum, 1, (int64_t[]){-1}, false);
    }
    sum = dl_tanh(context, scale ? dl_mul(context, sum, scale) : sum);
    return dl_mul(context, dl_sum(context, sum, 1, (int64_t[]){-1}, false),
                  layer->weights[layer->weight_count - 1].value);
}

static dl_tensor *mask_of(const dl_layer *layer, const dl_layer_call *call, int mask_role, int role) {
    dl_tensor *given = dl_call_input(layer, call, mask_role);
    return given ? given : dl_call_mask(layer, call, role);
}

/* As one head; weights (N, 1, T, S). */
static dl_tensor *attend_dot(dl_layer *layer, dl_layer_call *call, dl_attend *attend, dl_tensor **weights) {
    dl_context *context = call->context;
    if (DL_OPTIONS(layer, dl_attention_layer_options)->use_scale)
        attend->query = dl_mul(context, attend->query, layer->weights[0].value);
    attend->query = dl_unsqueeze(context, attend->query, 2);
    attend->key = dl_unsqueeze(context, attend->key, 2);
    attend->value = dl_unsqueeze(context, attend->value, 2);
    return dl_squeeze(context, dl_attend_heads(context, attend, weights), 2);
}

static dl_tensor *attend_added(dl_layer *layer, dl_layer_call *call, dl_attend *attend, dl_tensor **weights) {
    dl_context *context = call->context;
    dl_tensor *scores = dl_unsqueeze(context, added_scores(layer, call, attend->query, attend->key), 1);
    *weights = dl_masked_weights(context, scores, attend->mask, attend->causal, attend->offset);
    dl_tensor *kept = dl_squeeze(context, *weights, 1);
    if (attend->dropout > 0)
        kept = dl_dropout(context, kept, attend->dropout, attend->stream);
    return dl_matmul(context, kept, attend->value);
}

static dl_status call_attention(dl_layer *layer, dl_layer_call *call) {
    const dl_attention_layer_options *options = DL_OPTIONS(layer, dl_attention_layer_options);
    const call_options *given = call->arguments->options;
    dl_context *context = call->context;
    dl_tensor *query_mask = mask_of(layer, call, QUERY_MASK, QUERY), *weights = NULL;
    dl_attend attend = {.query = dl_call_input(layer, call, QUERY), .key = dl_call_input(layer, call, KEY),
                        .value = dl_call_input(layer, call, VALUE), .causal = given->use_causal_mask, .scale = 1,
                        .offset = call->decoding ? dl_decoding_position(call->decoding) : 0,
                        .dropout = call->training ? options->dropout : 0, .stream = &layer->stream,
                        .wants_weights = given->return_attention_scores};
    if (!attend.key)
        attend.key = attend.value;
    dl_tensor *value_mask = mask_of(layer, call, VALUE_MASK, VALUE);
    attend.mask = dl_key_mask(context, value_mask);
    DL_TRY(value_mask && !attend.mask ? dl_last_status() : DL_OK);
    bool dot = !is_additive(layer) && options->score_mode == DL_SCORE_DOT;
    dl_tensor *y = dot ? attend_dot(layer, call, &attend, &weights) : attend_added(layer, call, &attend, &weights);
    DL_TRY(dl_call_return(call, dl_zero_masked(context, y, query_mask)));
    call->out_masks[0] = query_mask;
    if (given->return_attention_scores)
        call->out[call->outputs++] = dl_squeeze(context, weights, 1);
    return DL_OK;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field call_fields[] = {
    DL_BOOL(call_options, return_attention_scores, false, 0, "give the weights (N, T, S) too"),
    DL_BOOL(call_options, use_causal_mask, false, 0, "each step sees those up to itself"), DL_END};
static const dl_definition call_definition = {.name = "Attention call", .version = 1, .fields = call_fields,
                                              .options_size = sizeof(call_options)};

#define TYPE dl_attention_layer_options
static const dl_field attention_fields[] = {
    DL_BOOL(TYPE, use_scale, false, 0, "multiply the scores by a trained number"),
    DL_ENUM(TYPE, score_mode, "dot", "dot|concat", 0, "scores: query key, or the sum of tanh(query + key)"),
    DL_REAL(TYPE, dropout, 0.0, 0.0, 1.0, 0, "fraction of the weights set to zero in training"),
    DL_INT(TYPE, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK,
           "of the dropout's stream; none: one of the context's"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_attention = {
    .definition = {.name = "Attention", .version = 1, .help = "Attention of queries over values, by the keys.",
                   .formula = "softmax(scale query key^T) value", .source = "Luong, Pham and Manning 2015",
                   .shapes = "query (N, T, D), value (N, S, V), key (N, S, D) -> (N, T, V)",
                   .fields = attention_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 2, .maximum_inputs = 5, .minimum_dims = 3, .maximum_dims = 3, .input_names = input_names,
    .call_options = &call_definition, .init = init, .build = build, .infer = infer, .call = call_attention,
    .flags = DL_LAYER_RANDOM | DL_LAYER_ATTENDS};

static const dl_field additive_fields[] = {
    DL_BOOL(TYPE, use_scale, true, 0, "multiply the features by trained numbers before the sum"),
    DL_REAL(TYPE, dropout, 0.0, 0.0, 1.0, 0, "fraction of the weights set to zero in training"),
    DL_INT(TYPE, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK | DL_NAMED_ONLY,
           "of the dropout's stream; none: one of the context's"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_additive_attention = {
    .definition = {.name = "AdditiveAttention", .version = 1,
                   .help = "Attention whose scores are sums of tanh(query + key).",
                   .formula = "softmax(sum of scale * tanh(query + key)) value",
                   .source = "Bahdanau, Cho and Bengio 2015",
                   .shapes = "query (N, T, D), value (N, S, V), key (N, S, D) -> (N, T, V)", .fields = additive_fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 2, .maximum_inputs = 5, .minimum_dims = 3, .maximum_dims = 3, .input_names = input_names,
    .call_options = &call_definition, .init = init, .build = build, .infer = infer, .call = call_attention,
    .flags = DL_LAYER_RANDOM | DL_LAYER_ATTENDS};
