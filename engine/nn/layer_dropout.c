/* nn/layer_dropout.c: Dropout. It draws from the layer's own stream, whose place moves on with each training step that
 * succeeds. */
#include "nn/nn.h"

static dl_status init(dl_layer *layer) {
    int64_t seed = DL_OPTIONS(layer, dl_dropout_layer_options)->seed;
    if (seed != DL_NONE)
        layer->stream = (dl_stream){.seed = (uint64_t)seed};
    return DL_OK;
}

dl_status dl_noise_sizes(const dl_layer *layer, const dl_ints *noise, const dl_spec *in, int64_t *shape) {
    bool fits = noise->count == in->dims || noise->count == 0;
    for (int i = 0; fits && i < in->dims; i++) {
        shape[i] = noise->count == 0 || noise->at[i] == DL_NONE ? in->shape[i] : noise->at[i];
        fits = shape[i] == 1 || shape[i] == in->shape[i] || in->shape[i] == DL_NONE;
    }
    if (fits)
        return DL_OK;
    dl_spec wanted = {.dims = noise->count};
    for (int i = 0; i < noise->count; i++)
        wanted.shape[i] = noise->at[i];
    return dl_fail(DL_SHAPE, "%s: noise_shape %s does not fit inputs %s", dl_layer_class(layer),
                   dl_spec_text_of(&wanted).at, dl_spec_text_of(in).at);
}

dl_tensor *dl_draw_kept(dl_layer *layer, dl_tensor *x, const dl_ints *noise, double rate) {
    dl_spec in = dl_spec_of_tensor(x);
    int64_t shape[DL_MAX_DIMS];
    if (dl_noise_sizes(layer, noise, &in, shape) != DL_OK)
        return NULL;
    dl_tensor *kept = dl_empty(x->context, x->dtype, x->dims, shape);
    return kept && dl_bernoulli_(kept, &layer->stream, 1 - rate) == DL_OK ? kept : NULL;
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_dropout_layer_options *options = DL_OPTIONS(layer, dl_dropout_layer_options);
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(dl_noise_sizes(layer, &options->noise_shape, in, shape));
    *out = *in;
    *outputs = 1;
    return DL_OK;
}

/* One draw for every element that shares it. */
static dl_tensor *drop_shared(dl_layer *layer, dl_layer_call *call) {
    const dl_dropout_layer_options *options = DL_OPTIONS(layer, dl_dropout_layer_options);
    dl_tensor *kept = dl_draw_kept(layer, call->in[0], &options->noise_shape, options->rate);
    double scale = options->rate < 1 ? 1 / (1 - options->rate) : 0;
    return dl_mul(call->context, call->in[0], dl_mul_number(call->context, kept, scale));
}

static dl_status call_dropout(dl_layer *layer, dl_layer_call *call) {
    const dl_dropout_layer_options *options = DL_OPTIONS(layer, dl_dropout_layer_options);
    if (!call->training || options->rate == 0)
        return dl_call_return(call, call->in[0]);
    if (options->noise_shape.count)
        return dl_call_return(call, drop_shared(layer, call));
    return dl_call_return(call, dl_dropout(call->context, call->in[0], options->rate, &layer->stream));
}

static const dl_field fields[] = {
    DL_REAL(dl_dropout_layer_options, rate, 0.0, 0.0, 1.0, DL_REQUIRED, "fraction of the inputs set to zero"),
    DL_INTS(dl_dropout_layer_options, noise_shape, NULL, 0, 1, DL_HIGHEST, DL_NONE_OK,
            "shape of the mask, the batch counted: where a size is 1, one draw is for all"),
    DL_INT(dl_dropout_layer_options, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK,
           "of the layer's stream; none: one of the context's"),
    DL_LAYER_FIELDS(dl_dropout_layer_options)};

const dl_layer_def dl_layer_dropout = {
    .definition = {.name = "Dropout", .version = 1,
                   .help = "In training, sets a fraction of the inputs to zero and scales the rest up.",
                   .formula = "x * keep / (1 - rate)", .source = "Srivastava et al. 2014",
                   .shapes = "any shape -> the same", .fields = fields,
                   .options_size = sizeof(dl_dropout_layer_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .init = init, .infer = infer, .call = call_dropout,
    .flags = DL_LAYER_RANDOM | DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};
