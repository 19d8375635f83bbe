/* nn/layer_position.c: where a step is in its sequence: PositionEmbedding, SinePositionEncoding, RotaryEmbedding, and
 * TokenAndPositionEmbedding. start_index is the position of the first step, so that steps that come one at a time get
 * their own; positions count from 0 here. */
#include <string.h>

#include "nn/attention.h"

typedef struct start_options {
    int64_t start_index;
} start_options;
static const dl_field start_fields[] = {
    DL_INT(start_options, start_index, 0, 0, DL_HIGHEST, DL_POSITION, "position of the first step"), DL_END};
static const dl_definition start_definition = {.name = "position call", .version = 1, .fields = start_fields,
                                               .options_size = sizeof(start_options)};

static int64_t start_of(const dl_arguments *arguments) {
    return ((const start_options *)arguments->options)->start_index;
}

/* Asked step by step, the first step has the place that the decoding has come to. */
static int64_t start_of_call(const dl_layer_call *call) {
    return start_of(call->arguments) + (call->decoding ? dl_decoding_position(call->decoding) : 0);
}

static const char *const input_names[] = {"inputs", NULL};

/* ---- PositionEmbedding ------------------------------------------------------------------------------------------- */

static dl_status build_embedding(dl_layer *layer, const dl_inputs *inputs) {
    const dl_position_embedding_options *options = DL_OPTIONS(layer, dl_position_embedding_options);
    const dl_spec *in = inputs->specs;
    int64_t features = in->shape[in->dims - 1];
    if (features == DL_NONE || features == 0)
        return dl_fail(DL_SHAPE, "PositionEmbedding needs to know the last size of its inputs, got %s",
                       dl_spec_text_of(in).at);
    return dl_layer_add_weight(layer, "embeddings", 2, (int64_t[]){options->sequence_length, features},
                               options->initializer, NULL, true);
}

static dl_status infer_embedding(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    int64_t length = DL_OPTIONS(layer, dl_position_embedding_options)->sequence_length;
    int64_t steps = in->shape[in->dims - 2], start = start_of(inputs->arguments);
    if (in->shape[in->dims - 1] != layer->weights[0].value->shape[1])
        return dl_layer_fail_built(layer, in);
    if (steps != DL_NONE && start + steps > length)
        return dl_fail(DL_SHAPE, "PositionEmbedding has %lld positions (sequence_length), and inputs %s with "
                                 "start_index %lld reach to %lld",
                       (long long)length, dl_spec_text_of(in).at, (long long)start + 1, (long long)(start + steps));
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_embedding(dl_layer *layer, dl_layer_call *call) {
    dl_tensor *x = call->in[0];
    int64_t start = start_of_call(call), end = start + x->shape[x->dims - 2];
    if (end > layer->weights[0].value->shape[0])
        return dl_fail(DL_SHAPE, "PositionEmbedding has %lld positions (sequence_length), and the steps reach to %lld",
                       (long long)layer->weights[0].value->shape[0], (long long)end);
    dl_tensor *rows = dl_slice(call->context, layer->weights[0].value, 0, start, end, 1);
    return dl_call_return(call, dl_expand(call->context, rows, x->dims, x->shape));
}

#define TYPE dl_position_embedding_options
static const dl_field embedding_fields[] = {
    DL_INT(TYPE, sequence_length, 0, 1, DL_HIGHEST, DL_REQUIRED, "positions there are"),
    DL_OBJECT(TYPE, initializer, "glorot_uniform", &dl_initializer_family, 0, "of the table"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_position_embedding = {
    .definition = {.name = "PositionEmbedding", .version = 1,
                   .help = "A trainable vector for each position, in the shape of the inputs, to be added to them.",
                   .formula = "y[t] = embeddings[start_index + t]", .source = "Devlin et al. 2019",
                   .shapes = "(N, T, D) -> the same", .fields = embedding_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .input_names = input_names,
    .call_options = &start_definition, .build = build_embedding, .infer = infer_embedding, .call = call_embedding,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
#undef TYPE

/* ---- angles ------------------------------------------------------------------------------------------------------ */

/* (steps, count) in float64: (start + t) / scaling / wavelength^(2 k / features). Positions and frequencies are exact
 * to float64 however far the steps go. */
static dl_tensor *angles(dl_context *context, int64_t start, int64_t steps, double scaling, double wavelength,
                         int64_t features, int64_t count) {
    dl_tensor *positions = dl_arange(context, DL_FLOAT64, (double)start, (double)(start + steps), 1);
    dl_tensor *exponents = dl_mul_number(context, dl_arange(context, DL_FLOAT64, 0, (double)count, 1),
                                         -2.0 / (double)features);
    dl_tensor *frequencies = dl_pow(context, dl_full(context, DL_FLOAT64, 0, NULL, wavelength), exponents);
    return dl_mul(context, dl_unsqueeze(context, dl_div_number(context, positions, scaling), 1), frequencies);
}

static dl_status infer_same(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    DL_TRY(dl_layer_check_sizes(layer, inputs->specs));
    *out = inputs->specs[0];
    *outputs = 1;
    return DL_OK;
}

/* ---- SinePositionEncoding ---------------------------------------------------------------------------------------- */

/* Even features are sines, odd ones cosines of the same angle. */
static dl_status call_sine(dl_layer *layer, dl_layer_call *call) {
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    int64_t steps = x->shape[x->dims - 2], features = x->shape[x->dims - 1], half = (features + 1) / 2;
    double wavelength = DL_OPTIONS(layer, dl_sine_position_encoding_options)->max_wavelength;
    dl_tensor *angle = angles(context, start_of_call(call), steps, 1, wavelength, features, half);
    dl_tensor *both[2] = {dl_apply_unary(context, "sin", angle, NULL), dl_apply_unary(context, "cos", angle, NULL)};
    dl_tensor *table = dl_reshape(context, dl_stack(context, both, 2, -1), 2, (int64_t[]){steps, 2 * half});
    table = dl_to(context, dl_slice(context, table, 1, 0, features, 1), layer->dtype);
    return dl_call_return(call, dl_expand(context, table, x->dims, x->shape));
}

#define TYPE dl_sine_position_encoding_options
static const dl_field sine_fields[] = {
    DL_REAL(TYPE, max_wavelength, 10000, 0, DL_HIGHEST, DL_OPEN_MIN, "of the slowest of the waves, over 2 pi"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_sine_position_encoding = {
    .definition = {.name = "SinePositionEncoding", .version = 1,
                   .help = "Sines and cosines of each position, in the shape of the inputs, to be added to them.",
                   .formula = "y[t][2 k] = sin(t / max_wavelength^(2 k / D)), y[t][2 k + 1] = cos of the same",
                   .source = "Vaswani et al. 2017", .shapes = "(N, T, D) -> the same", .fields = sine_fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .input_names = input_names,
    .call_options = &start_definition, .infer = infer_same, .call = call_sine,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
#undef TYPE

/* ---- RotaryEmbedding --------------------------------------------------------------------------------------------- */

static dl_status rotary_axes(const dl_layer *layer, const dl_spec *in, int *sequence, int *feature) {
    const dl_rotary_embedding_options *options = DL_OPTIONS(layer, dl_rotary_embedding_options);
    DL_TRY(dl_layer_axis(layer, "sequence_axis", options->sequence_axis, in, sequence));
    DL_TRY(dl_layer_axis(layer, "feature_axis", options->feature_axis, in, feature));
    if (*sequence == *feature || in->shape[*feature] % 2 != 0)
        return dl_fail(DL_SHAPE, "RotaryEmbedding turns pairs of features: sequence_axis and feature_axis must differ, "
                                 "and the features be even in number, got inputs %s",
                       dl_spec_text_of(in).at);
    return DL_OK;
}

static dl_status infer_rotary(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    int sequence, feature;
    DL_TRY(rotary_axes(layer, inputs->specs, &sequence, &feature));
    return infer_same(layer, inputs, out, outputs);
}

/* A function of the angles (steps, half), broadcastable along the other dimensions of x. */
static dl_tensor *spread_wave(dl_layer *layer, const char *function, dl_tensor *angle, const dl_tensor *x, int sequence,
                              int feature) {
    dl_context *context = layer->object.context;
    int64_t shape[DL_MAX_DIMS];
    dl_tensor *wave = dl_to(context, dl_apply_unary(context, function, angle, NULL), layer->dtype);
    for (int d = 0; d < x->dims; d++)
        shape[d] = d == sequence ? x->shape[d] : d == feature ? x->shape[d] / 2 : 1;
    return dl_reshape(context, sequence > feature ? dl_transpose(context, wave, 0, 1) : wave, x->dims, shape);
}

/* The first half of the features and the second are the two coordinates of points that turn. */
static dl_status call_rotary(dl_layer *layer, dl_layer_call *call) {
    const dl_rotary_embedding_options *options = DL_OPTIONS(layer, dl_rotary_embedding_options);
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    dl_spec in = dl_spec_of_tensor(x);
    int sequence, feature;
    DL_TRY(rotary_axes(layer, &in, &sequence, &feature));
    int64_t features = x->shape[feature], half = features / 2;
    dl_tensor *angle = angles(context, start_of_call(call), x->shape[sequence], options->scaling_factor,
                              options->max_wavelength, features, half);
    dl_tensor *cosine = spread_wave(layer, "cos", angle, x, sequence, feature);
    dl_tensor *sine = spread_wave(layer, "sin", angle, x, sequence, feature);
    dl_tensor *first = dl_slice(context, x, feature, 0, half, 1);
    dl_tensor *second = dl_slice(context, x, feature, half, DL_NONE, 1);
    dl_tensor *turned[2] = {
        dl_sub(context, dl_mul(context, first, cosine), dl_mul(context, second, sine)),
        dl_add(context, dl_mul(context, second, cosine), dl_mul(context, first, sine))};
    return dl_call_return(call, dl_cat(context, turned, 2, feature));
}

#define TYPE dl_rotary_embedding_options
static const dl_field rotary_fields[] = {
    DL_REAL(TYPE, max_wavelength, 10000, 0, DL_HIGHEST, DL_OPEN_MIN, "of the slowest rotation, over 2 pi"),
    DL_REAL(TYPE, scaling_factor, 1.0, 0, DL_HIGHEST, DL_OPEN_MIN, "what positions are divided by"),
    DL_INT(TYPE, sequence_axis, 1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of the steps"),
    DL_INT(TYPE, feature_axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of the features"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_rotary_embedding = {
    .definition = {.name = "RotaryEmbedding", .version = 1,
                   .help = "Turns pairs of features by angles that grow with the position, so that products of queries "
                           "and keys depend on their distance.",
                   .formula = "(x1 cos - x2 sin, x2 cos + x1 sin), angle t / max_wavelength^(2 k / D)",
                   .source = "Su et al. 2021", .shapes = "(N, T, ..., D) -> the same", .fields = rotary_fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .input_names = input_names,
    .call_options = &start_definition, .infer = infer_rotary, .call = call_rotary,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
#undef TYPE

/* ---- TokenAndPositionEmbedding ----------------------------------------------------------------------------------- */

static dl_status init_tokens(dl_layer *layer) {
    const dl_token_and_position_embedding_options *o = DL_OPTIONS(layer, dl_token_and_position_embedding_options);
    dl_embedding_options tokens;
    dl_position_embedding_options positions;
    dl_options_init(&dl_layer_embedding.definition, &tokens, sizeof tokens);
    tokens.input_dim = o->vocabulary_size;
    tokens.output_dim = o->embedding_dim;
    tokens.mask_zero = o->mask_zero;
    tokens.embeddings_initializer = o->embeddings_initializer;
    dl_object_retain(o->embeddings_initializer);
    DL_TRY(dl_add_inner_layer(layer, &dl_layer_embedding, "token_embedding", &tokens));
    dl_options_init(&dl_layer_position_embedding.definition, &positions, sizeof positions);
    positions.sequence_length = o->sequence_length;
    positions.initializer = o->embeddings_initializer;
    dl_object_retain(o->embeddings_initializer);
    return dl_add_inner_layer(layer, &dl_layer_position_embedding, "position_embedding", &positions);
}

static dl_status build_tokens(dl_layer *layer, const dl_inputs *inputs) {
    dl_spec embedded;
    int outputs;
    DL_TRY(dl_layer_infer(layer->children[0], &(dl_inputs){inputs->specs, 1, NULL}, &embedded, &outputs));
    return dl_layer_build(layer->children[1], &(dl_inputs){&embedded, 1, NULL});
}

static dl_status infer_tokens(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_spec embedded;
    DL_TRY(dl_layer_infer(layer->children[0], &(dl_inputs){inputs->specs, 1, NULL}, &embedded, outputs));
    return dl_layer_infer(layer->children[1], &(dl_inputs){&embedded, 1, inputs->arguments}, out, outputs);
}

static dl_status call_tokens(dl_layer *layer, dl_layer_call *call) {
    dl_context *context = call->context;
    dl_tensor *ids = call->in[0];
    dl_tensor *tokens = dl_call_inner1(call, layer->children[0], ids);
    dl_tensor *positions = dl_call_inner(call, layer->children[1], &tokens, 1, call->arguments, NULL);
    if (DL_OPTIONS(layer, dl_token_and_position_embedding_options)->mask_zero) {
        call->out_masks[0] = dl_ne(context, ids, dl_number(context, 0, ids));
        DL_TRY(call->out_masks[0] ? DL_OK : dl_last_status());
    }
    return dl_call_return(call, dl_add(context, tokens, positions));
}

#define TYPE dl_token_and_position_embedding_options
static const dl_field token_fields[] = {
    DL_INT(TYPE, vocabulary_size, 0, 1, DL_HIGHEST, DL_REQUIRED, "how many ids there are: 1 to vocabulary_size"),
    DL_INT(TYPE, sequence_length, 0, 1, DL_HIGHEST, DL_REQUIRED, "positions there are"),
    DL_INT(TYPE, embedding_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of the vectors"),
    DL_OBJECT(TYPE, embeddings_initializer, "uniform", &dl_initializer_family, 0, "of both tables"),
    DL_BOOL(TYPE, mask_zero, false, 0, "id 0 is padding, which later layers, losses and metrics leave out"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_token_and_position_embedding = {
    .definition = {.name = "TokenAndPositionEmbedding", .version = 1,
                   .help = "The sum of an Embedding of the ids and a PositionEmbedding.",
                   .formula = "y[t] = token_embedding[id] + position_embedding[start_index + t]",
                   .shapes = "ids (N, T) -> (N, T, embedding_dim)", .fields = token_fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2, .maximum_dims = 2, .input_names = input_names,
    .call_options = &start_definition, .init = init_tokens, .build = build_tokens, .infer = infer_tokens,
    .call = call_tokens, .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_TAKES_IDS | DL_LAYER_STEPWISE};
