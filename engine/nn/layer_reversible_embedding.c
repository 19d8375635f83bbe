/* nn/layer_reversible_embedding.c: ReversibleEmbedding, an embedding whose table also turns vectors back into scores of
 * the ids, as language models tie their input and output (Press & Wolf 2017). */
#include <math.h>

#include "nn/nn.h"

typedef struct call_options {
    bool reverse;
} call_options;

static bool is_reverse(const dl_arguments *arguments) {
    return ((const call_options *)arguments->options)->reverse;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    (void)inputs;
    const dl_reversible_embedding_options *options = DL_OPTIONS(layer, dl_reversible_embedding_options);
    DL_TRY(dl_layer_add_constrained(layer, "embeddings", 2, (int64_t[]){options->input_dim, options->output_dim},
                                    options->embeddings_initializer, options->embeddings_regularizer,
                                    options->embeddings_constraint));
    if (options->tie_weights)
        return DL_OK;
    return dl_layer_add_weight(layer, "reverse_embeddings", 2, (int64_t[]){options->output_dim, options->input_dim},
                               options->embeddings_initializer, options->embeddings_regularizer, true);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_reversible_embedding_options *options = DL_OPTIONS(layer, dl_reversible_embedding_options);
    *out = *in;
    *outputs = 1;
    if (is_reverse(inputs->arguments)) {
        if (in->dtype != layer->dtype || in->dims < 2 || in->shape[in->dims - 1] != options->output_dim)
            return dl_fail(DL_SHAPE, "ReversibleEmbedding in reverse takes %s {*, ..., %lld}, got %s %s",
                           dl_dtype_name(layer->dtype), (long long)options->output_dim, dl_dtype_name(in->dtype),
                           dl_spec_text_of(in).at);
        out->shape[in->dims - 1] = options->input_dim;
        return DL_OK;
    }
    if (dl_dtype_is_float(in->dtype) || in->dtype == DL_BOOLEAN || in->dims == DL_MAX_DIMS)
        return dl_fail(DL_DTYPE, "ReversibleEmbedding takes ids, whole numbers from 1, got inputs of %s %s; "
                                 "{reverse = true} takes vectors", dl_dtype_name(in->dtype), dl_spec_text_of(in).at);
    out->dtype = layer->dtype;
    out->shape[out->dims++] = options->output_dim;
    return DL_OK;
}

static dl_status call_reverse(dl_layer *layer, dl_layer_call *call) {
    const dl_reversible_embedding_options *options = DL_OPTIONS(layer, dl_reversible_embedding_options);
    dl_tensor *table = options->tie_weights ? dl_transpose(call->context, layer->weights[0].value, 0, 1)
                                            : layer->weights[1].value;
    dl_tensor *scores = dl_linear(call->context, call->in[0], table, NULL, DL_ACTIVATION_NONE);
    if (!isnan(options->logit_soft_cap)) {
        scores = dl_tanh(call->context, dl_div_number(call->context, scores, options->logit_soft_cap));
        scores = dl_mul_number(call->context, scores, options->logit_soft_cap);
    }
    call->out_masks[0] = call->masks ? call->masks[0] : NULL;
    return dl_call_return(call, scores);
}

static dl_status call_embedding(dl_layer *layer, dl_layer_call *call) {
    if (is_reverse(call->arguments))
        return call_reverse(layer, call);
    bool mask_zero = DL_OPTIONS(layer, dl_reversible_embedding_options)->mask_zero;
    dl_tensor *ids = call->in[0];
    if (mask_zero) {
        call->out_masks[0] = dl_ne(call->context, ids, dl_number(call->context, 0, ids));
        DL_TRY(call->out_masks[0] ? DL_OK : dl_last_status());
    }
    return dl_call_return(call, dl_embedding(call->context, ids, layer->weights[0].value, mask_zero ? 0 : DL_NONE));
}

static const dl_field call_fields[] = {
    DL_BOOL(call_options, reverse, false, 0, "from vectors to scores of the ids"), DL_END};
static const dl_definition call_definition = {.name = "ReversibleEmbedding", .version = 1, .fields = call_fields,
                                              .options_size = sizeof(call_options)};

#define TYPE dl_reversible_embedding_options
static const dl_field fields[] = {
    DL_INT(TYPE, input_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "how many ids there are: 1 to input_dim"),
    DL_INT(TYPE, output_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of each id's vector"),
    DL_BOOL(TYPE, tie_weights, true, 0, "use one table both ways"),
    DL_OBJECT(TYPE, embeddings_initializer, "uniform", &dl_initializer_family, 0, "of the table"),
    DL_OBJECT(TYPE, embeddings_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the table"),
    DL_OBJECT(TYPE, embeddings_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the table keeps to"),
    DL_BOOL(TYPE, mask_zero, false, 0, "id 0 is padding, which later layers, losses and metrics leave out"),
    DL_REAL(TYPE, logit_soft_cap, NAN, 0.0, DL_HIGHEST, DL_NONE_OK | DL_OPEN_MIN,
            "in reverse: scores become cap tanh(score / cap)"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_reversible_embedding = {
    .definition = {.name = "ReversibleEmbedding", .version = 1,
                   .help = "A trainable vector for each id, and back: layer(vectors, {reverse = true}) gives scores of "
                           "the ids by the same table.",
                   .formula = "y = embeddings[id]; in reverse y = x embeddings^T",
                   .source = "Press & Wolf 2017, Using the output embedding to improve language models",
                   .shapes = "ids (N, ...) -> (N, ..., output_dim); in reverse (N, ..., output_dim) -> (N, ..., "
                             "input_dim)",
                   .fields = fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1, .call_options = &call_definition,
    .build = build, .infer = infer, .call = call_embedding,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_TAKES_IDS | DL_LAYER_STEPWISE};
