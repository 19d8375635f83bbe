/* nn/layer_embedding.c: Embedding. Ids count from 1; with mask_zero id 0 is padding: it has no row, gives zeros, and
 * the mask that goes out with the result is false there. */
#include "nn/nn.h"

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    (void)inputs;
    const dl_embedding_options *options = DL_OPTIONS(layer, dl_embedding_options);
    return dl_layer_add_constrained(layer, "embeddings", 2, (int64_t[]){options->input_dim, options->output_dim},
                                    options->embeddings_initializer, options->embeddings_regularizer,
                                    options->embeddings_constraint);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    if (dl_dtype_is_float(in->dtype) || in->dtype == DL_BOOLEAN)
        return dl_fail(DL_DTYPE,
                       "Embedding takes ids, whole numbers from 1, got inputs of %s %s; convert them first (x:long(), "
                       "or Input {..., dtype = \"int64\"})",
                       dl_dtype_name(in->dtype), dl_spec_text_of(in).at);
    if (in->dims == DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "Embedding takes inputs of %d dimensions at most, got %s", DL_MAX_DIMS - 1,
                       dl_spec_text_of(in).at);
    *out = *in;
    out->dtype = layer->dtype;
    out->shape[out->dims++] = DL_OPTIONS(layer, dl_embedding_options)->output_dim;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_embedding(dl_layer *layer, dl_layer_call *call) {
    bool mask_zero = DL_OPTIONS(layer, dl_embedding_options)->mask_zero;
    dl_tensor *ids = call->in[0];
    if (mask_zero) {
        call->out_masks[0] = dl_ne(call->context, ids, dl_number(call->context, 0, ids));
        DL_TRY(call->out_masks[0] ? DL_OK : dl_last_status());
    }
    return dl_call_return(call, dl_embedding(call->context, ids, layer->weights[0].value, mask_zero ? 0 : DL_NONE));
}

#define TYPE dl_embedding_options
static const dl_field fields[] = {
    DL_INT(TYPE, input_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "how many ids there are: 1 to input_dim"),
    DL_INT(TYPE, output_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of each id's vector"),
    DL_OBJECT(TYPE, embeddings_initializer, "uniform", &dl_initializer_family, 0, "of the table"),
    DL_OBJECT(TYPE, embeddings_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the table"),
    DL_OBJECT(TYPE, embeddings_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the table keeps to"),
    DL_BOOL(TYPE, mask_zero, false, 0, "id 0 is padding, which later layers, losses and metrics leave out"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_embedding = {
    .definition = {.name = "Embedding", .version = 1,
                   .help = "A trainable vector for each id. Ids count from 1; 0 is padding and has no vector.",
                   .formula = "y = embeddings[id]", .shapes = "ids (N, ...) -> (N, ..., output_dim)",
                   .fields = fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .build = build, .infer = infer, .call = call_embedding,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_TAKES_IDS | DL_LAYER_STEPWISE};
