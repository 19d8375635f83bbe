/* nn/layer_noise.c: noise in training: GaussianNoise, GaussianDropout, AlphaDropout, SpatialDropout. They draw from the
 * layer's own stream; at other times the inputs pass unchanged. */
#include <math.h>

#include "nn/nn.h"

static void set_seed(dl_layer *layer, int64_t seed) {
    if (seed != DL_NONE)
        layer->stream = (dl_stream){.seed = (uint64_t)seed};
}

static dl_status same_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    (void)layer;
    *out = inputs->specs[0];
    *outputs = 1;
    return DL_OK;
}

/* Normal numbers in x's shape. */
static dl_tensor *draw_normal(dl_layer *layer, dl_tensor *x, double mean, double std) {
    dl_tensor *noise = dl_empty(x->context, x->dtype, x->dims, x->shape);
    return noise && dl_normal_(noise, &layer->stream, mean, std) == DL_OK ? noise : NULL;
}

/* ---- GaussianNoise, GaussianDropout ------------------------------------------------------------------------------ */

static dl_status noise_init(dl_layer *layer) {
    set_seed(layer, DL_OPTIONS(layer, dl_gaussian_noise_options)->seed);
    return DL_OK;
}

static dl_status call_gaussian_noise(dl_layer *layer, dl_layer_call *call) {
    double std = DL_OPTIONS(layer, dl_gaussian_noise_options)->stddev;
    if (!call->training || std == 0)
        return dl_call_return(call, call->in[0]);
    return dl_call_return(call, dl_add(call->context, call->in[0], draw_normal(layer, call->in[0], 0, std)));
}

static dl_status rate_init(dl_layer *layer) {
    set_seed(layer, DL_OPTIONS(layer, dl_rate_options)->seed);
    return DL_OK;
}

static dl_status call_gaussian_dropout(dl_layer *layer, dl_layer_call *call) {
    double rate = DL_OPTIONS(layer, dl_rate_options)->rate;
    if (!call->training || rate == 0)
        return dl_call_return(call, call->in[0]);
    dl_tensor *noise = draw_normal(layer, call->in[0], 1, sqrt(rate / (1 - rate)));
    return dl_call_return(call, dl_mul(call->context, call->in[0], noise));
}

/* ---- AlphaDropout ------------------------------------------------------------------------------------------------ */

static dl_status alpha_init(dl_layer *layer) {
    set_seed(layer, DL_OPTIONS(layer, dl_dropout_layer_options)->seed);
    return DL_OK;
}

static dl_status alpha_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(dl_noise_sizes(layer, &DL_OPTIONS(layer, dl_dropout_layer_options)->noise_shape, inputs->specs, shape));
    return same_infer(layer, inputs, out, outputs);
}

/* a (x kept + low (1 - kept)) + b: low is where selu goes for large negative inputs, a and b keep mean and variance. */
static dl_status call_alpha_dropout(dl_layer *layer, dl_layer_call *call) {
    const dl_dropout_layer_options *options = DL_OPTIONS(layer, dl_dropout_layer_options);
    dl_context *context = call->context;
    double rate = options->rate;
    double low = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946;
    if (!call->training || rate == 0)
        return dl_call_return(call, call->in[0]);
    double a = 1 / sqrt((1 - rate) * (1 + rate * low * low));
    dl_tensor *kept = dl_draw_kept(layer, call->in[0], &options->noise_shape, rate);
    dl_tensor *dropped = dl_mul_number(context, dl_sub_number(context, kept, 1), -low); /* low where not kept */
    dl_tensor *y = dl_add(context, dl_mul(context, call->in[0], kept), dropped);
    return dl_call_return(call, dl_add_number(context, dl_mul_number(context, y, a), -a * low * rate));
}

/* ---- SpatialDropout ---------------------------------------------------------------------------------------------- */

static dl_status spatial_init(dl_layer *layer) {
    const dl_spatial_dropout_options *options = DL_OPTIONS(layer, dl_spatial_dropout_options);
    set_seed(layer, options->seed);
    return dl_check_data_format(dl_layer_class(layer), options->data_format);
}

/* One draw for a whole channel of a sample. */
static dl_status call_spatial(dl_layer *layer, dl_layer_call *call) {
    double rate = DL_OPTIONS(layer, dl_spatial_dropout_options)->rate;
    dl_tensor *x = call->in[0];
    if (!call->training || rate == 0)
        return dl_call_return(call, x);
    dl_ints noise = {x->dims, {x->shape[0], 1, 1}};
    noise.at[x->dims - 1] = x->shape[x->dims - 1];
    dl_tensor *kept = dl_draw_kept(layer, x, &noise, rate);
    return dl_call_return(call, dl_mul(call->context, x, dl_mul_number(call->context, kept,
                                                                       rate < 1 ? 1 / (1 - rate) : 0)));
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define RATE(type) DL_REAL(type, rate, 0.0, 0.0, 1.0, DL_REQUIRED, "fraction of the inputs set to zero")
#define SEED(type)                                                                                                     \
    DL_INT(type, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK, "of the layer's stream; none: one of the context's")

static const dl_field gaussian_noise_fields[] = {
    DL_REAL(dl_gaussian_noise_options, stddev, 0.0, 0.0, 1.0, DL_REQUIRED, "standard deviation of the noise"),
    SEED(dl_gaussian_noise_options), DL_LAYER_FIELDS(dl_gaussian_noise_options)};
static const dl_field gaussian_dropout_fields[] = {
    DL_REAL(dl_rate_options, rate, 0.0, 0.0, 1.0, DL_REQUIRED | DL_OPEN_MAX,
            "the noise has the standard deviation sqrt(rate / (1 - rate))"),
    SEED(dl_rate_options), DL_LAYER_FIELDS(dl_rate_options)};
static const dl_field alpha_dropout_fields[] = {
    DL_REAL(dl_dropout_layer_options, rate, 0.0, 0.0, 1.0, DL_REQUIRED | DL_OPEN_MAX,
            "fraction of the inputs set to the lowest value of selu"),
    DL_INTS(dl_dropout_layer_options, noise_shape, NULL, 0, 1, DL_HIGHEST, DL_NONE_OK,
            "shape of the mask, the batch counted: where a size is 1, one draw is for all"),
    SEED(dl_dropout_layer_options), DL_LAYER_FIELDS(dl_dropout_layer_options)};
static const dl_field spatial_dropout1d_fields[] = {
    RATE(dl_spatial_dropout_options), SEED(dl_spatial_dropout_options), DL_LAYER_FIELDS(dl_spatial_dropout_options)};
static const dl_field spatial_dropout2d_fields[] = {
    RATE(dl_spatial_dropout_options),
    DL_STRING(dl_spatial_dropout_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    SEED(dl_spatial_dropout_options), DL_LAYER_FIELDS(dl_spatial_dropout_options)};

#define DEFINE(symbol, name_, type, least, most, init_, infer_, call_, help_, formula_, source_)                       \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .version = 1, .help = help_, .formula = formula_, .source = source_,             \
                       .shapes = "any shape -> the same", .fields = symbol##_fields, .options_size = sizeof(type)},    \
        .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = least, .maximum_dims = most,                         \
        .init = init_, .infer = infer_, .call = call_, .flags = DL_LAYER_RANDOM | DL_LAYER_KEEPS_MASK};

DEFINE(gaussian_noise, "GaussianNoise", dl_gaussian_noise_options, 1, 0, noise_init, same_infer, call_gaussian_noise,
       "In training, adds normal noise.", "x + stddev * normal", NULL)
DEFINE(gaussian_dropout, "GaussianDropout", dl_rate_options, 1, 0, rate_init, same_infer, call_gaussian_dropout,
       "In training, multiplies by normal noise around 1.", "x * (1 + sqrt(rate / (1 - rate)) * normal)",
       "Srivastava et al. 2014")
DEFINE(alpha_dropout, "AlphaDropout", dl_dropout_layer_options, 1, 0, alpha_init, alpha_infer, call_alpha_dropout,
       "Dropout after selu that keeps mean and variance.", "a * (x * keep + low * (1 - keep)) + b",
       "Klambauer et al. 2017")
DEFINE(spatial_dropout1d, "SpatialDropout1D", dl_spatial_dropout_options, 3, 3, spatial_init, same_infer, call_spatial,
       "In training, sets whole channels of sequences to zero.", "x * keep / (1 - rate)", "Tompson et al. 2014")
DEFINE(spatial_dropout2d, "SpatialDropout2D", dl_spatial_dropout_options, 4, 4, spatial_init, same_infer, call_spatial,
       "In training, sets whole channels of images to zero.", "x * keep / (1 - rate)", "Tompson et al. 2014")
