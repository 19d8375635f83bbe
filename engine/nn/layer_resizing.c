/* nn/layer_resizing.c: layers that add to, cut or repeat steps and pixels: ZeroPadding, Cropping, UpSampling, for
 * sequences (N, T, C) and images (N, H, W, C).
 *
 * Always true: what is given for the sides is read into {before, after} of each dimension after the batch. */
#include <math.h>

#include "nn/nn.h"

/* ---- padding and cropping ---------------------------------------------------------------------------------------- */

/* {before, after} for each of the `count` dimensions after the batch: one number, one for each dimension, or all. */
static dl_status read_sides(const dl_layer *layer, const char *argument, const dl_ints *given, int count,
                            int64_t sides[2][2]) {
    if (given->count != 1 && given->count != count && given->count != 2 * count)
        return dl_fail(DL_INVALID, "%s: %s takes one number, {height, width} or {{top, bottom}, {left, right}}, got %d "
                       "numbers", dl_layer_class(layer), argument, given->count);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 2; k++) {
            if (given->count == 2 * count)
                sides[i][k] = given->at[2 * i + k];
            else
                sides[i][k] = given->at[given->count == 1 ? 0 : i];
        }
    return DL_OK;
}

static int spatial_dims(const dl_layer *layer) {
    return dl_layer_definition(layer)->minimum_dims - 2;
}

static dl_status padding_sides(const dl_layer *layer, int64_t sides[2][2]) {
    return read_sides(layer, "padding", &DL_OPTIONS(layer, dl_zero_padding_options)->padding, spatial_dims(layer),
                      sides);
}

static dl_status padding_init(dl_layer *layer) {
    int64_t sides[2][2];
    DL_TRY(dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_zero_padding_options)->data_format));
    return padding_sides(layer, sides);
}

static dl_status padding_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    int64_t sides[2][2];
    *out = inputs->specs[0];
    *outputs = 1;
    DL_TRY(dl_layer_check_sizes(layer, out));
    DL_TRY(padding_sides(layer, sides));
    for (int i = 0; i < spatial_dims(layer); i++)
        if (out->shape[1 + i] != DL_NONE)
            out->shape[1 + i] += sides[i][0] + sides[i][1];
    return DL_OK;
}

static dl_status call_padding(dl_layer *layer, dl_layer_call *call) {
    int64_t sides[2][2];
    int64_t pad[6] = {0, 0}; /* from the last dimension on: channels first */
    int count = spatial_dims(layer);
    DL_TRY(padding_sides(layer, sides));
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            pad[2 * (count - i) + k] = sides[i][k];
    return dl_call_return(call, dl_pad(call->context, call->in[0], 2 * (count + 1), pad, 0));
}

static dl_status cropping_sides(const dl_layer *layer, int64_t sides[2][2]) {
    return read_sides(layer, "cropping", &DL_OPTIONS(layer, dl_cropping_options)->cropping, spatial_dims(layer), sides);
}

static dl_status cropping_init(dl_layer *layer) {
    int64_t sides[2][2];
    DL_TRY(dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_cropping_options)->data_format));
    return cropping_sides(layer, sides);
}

static dl_status cropping_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    int64_t sides[2][2];
    const dl_spec *in = inputs->specs;
    *out = *in;
    *outputs = 1;
    DL_TRY(dl_layer_check_sizes(layer, in));
    DL_TRY(cropping_sides(layer, sides));
    for (int i = 0; i < spatial_dims(layer); i++) {
        if (in->shape[1 + i] == DL_NONE)
            continue;
        if (in->shape[1 + i] <= sides[i][0] + sides[i][1])
            return dl_fail(DL_SHAPE, "%s: cropping %lld and %lld leaves nothing of dimension %d of inputs %s",
                           dl_layer_class(layer), (long long)sides[i][0], (long long)sides[i][1], i + 2,
                           dl_spec_text_of(in).at);
        out->shape[1 + i] -= sides[i][0] + sides[i][1];
    }
    return DL_OK;
}

static dl_status call_cropping(dl_layer *layer, dl_layer_call *call) {
    int64_t sides[2][2];
    dl_tensor *x = call->in[0];
    DL_TRY(cropping_sides(layer, sides));
    for (int i = 0; x && i < spatial_dims(layer); i++)
        x = dl_slice(call->context, x, 1 + i, sides[i][0], x->shape[1 + i] - sides[i][1], 1);
    return dl_call_return(call, x);
}

/* ---- upsampling -------------------------------------------------------------------------------------------------- */

static dl_status upsampling_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_ints *size = &DL_OPTIONS(layer, dl_up_sampling_options)->size;
    *out = inputs->specs[0];
    *outputs = 1;
    DL_TRY(dl_layer_check_sizes(layer, out));
    for (int i = 0; i < spatial_dims(layer); i++)
        if (out->shape[1 + i] != DL_NONE && __builtin_mul_overflow(out->shape[1 + i], size->at[i], &out->shape[1 + i]))
            return dl_fail(DL_SHAPE, "%s: size %lld makes inputs %s too large", dl_layer_class(layer),
                           (long long)size->at[i], dl_spec_text_of(inputs->specs).at);
    return DL_OK;
}

static dl_status upsampling_init(dl_layer *layer) {
    return dl_check_data_format(dl_layer_class(layer), DL_OPTIONS(layer, dl_up_sampling_options)->data_format);
}

/* Each element `times` times along the dimension. */
static dl_tensor *repeat(dl_tensor *x, int dim, int64_t times) {
    int64_t shape[DL_MAX_DIMS + 1];
    if (!x || times == 1)
        return x;
    dl_tensor *wide = dl_unsqueeze(x->context, x, dim + 1);
    for (int d = 0; wide && d < wide->dims; d++)
        shape[d] = d == dim + 1 ? times : wide->shape[d];
    wide = wide ? dl_expand(x->context, wide, wide->dims, shape) : NULL;
    for (int d = 0; d < x->dims; d++)
        shape[d] = d == dim ? x->shape[d] * times : x->shape[d];
    return wide ? dl_reshape(x->context, wide, x->dims, shape) : NULL;
}

/* The matrix (size * times, size) that interpolates linearly between the centers of neighbouring cells. */
static dl_tensor *interpolation(dl_context *context, dl_dtype dtype, int64_t size, int64_t times) {
    dl_tensor *matrix = dl_zeros(context, DL_FLOAT64, 2, (int64_t[]){size * times, size});
    double *data = matrix ? dl_tensor_data(matrix) : NULL;
    for (int64_t row = 0; data && row < size * times; row++) {
        double place = fmax(((double)row + 0.5) / (double)times - 0.5, 0);
        int64_t low = (int64_t)place;
        int64_t high = low + 1 < size ? low + 1 : low;
        data[row * size + low] += 1 - (place - (double)low);
        data[row * size + high] += place - (double)low;
    }
    return matrix ? dl_to(context, matrix, dtype) : NULL;
}

/* The matrix applied along dimension `dim` of x (N, H, W, C). */
static dl_tensor *interpolate(dl_tensor *x, int dim, int64_t times) {
    if (!x || times == 1)
        return x;
    dl_context *context = x->context;
    const int64_t *in = x->shape;
    int64_t rows = dim == 1 ? in[0] : in[0] * in[1];
    int64_t columns = dim == 1 ? in[2] * in[3] : in[3];
    int64_t out[4] = {in[0], in[1] * (dim == 1 ? times : 1), in[2] * (dim == 2 ? times : 1), in[3]};
    dl_tensor *matrix = interpolation(context, x->dtype, in[dim], times);
    dl_tensor *flat = matrix ? dl_reshape(context, x, 3, (int64_t[]){rows, in[dim], columns}) : NULL;
    dl_tensor *y = flat ? dl_matmul(context, matrix, flat) : NULL;
    return y ? dl_reshape(context, y, 4, out) : NULL;
}

static dl_status call_upsampling(dl_layer *layer, dl_layer_call *call) {
    const dl_up_sampling_options *options = DL_OPTIONS(layer, dl_up_sampling_options);
    bool linear = options->interpolation == DL_INTERPOLATION_BILINEAR;
    dl_tensor *x = call->in[0];
    for (int i = 0; i < spatial_dims(layer); i++)
        x = linear ? interpolate(x, 1 + i, options->size.at[i]) : repeat(x, 1 + i, options->size.at[i]);
    return dl_call_return(call, x);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define FORMAT(type) DL_STRING(type, data_format, NULL, DL_NONE_OK, "channels_last, the only one")

static const dl_field padding1d_fields[] = {
    DL_INTS(dl_zero_padding_options, padding, "1", 2, 0, DL_HIGHEST, 0, "steps {before, after}"),
    FORMAT(dl_zero_padding_options), DL_LAYER_FIELDS(dl_zero_padding_options)};
static const dl_field padding2d_fields[] = {
    DL_INTS(dl_zero_padding_options, padding, "1,1", 0, 0, DL_HIGHEST, DL_FLAT,
            "pixels {height, width} at both sides, or {{top, bottom}, {left, right}}"),
    FORMAT(dl_zero_padding_options), DL_LAYER_FIELDS(dl_zero_padding_options)};
static const dl_field cropping1d_fields[] = {
    DL_INTS(dl_cropping_options, cropping, "1,1", 2, 0, DL_HIGHEST, 0, "steps {before, after}"),
    DL_LAYER_FIELDS(dl_cropping_options)};
static const dl_field cropping2d_fields[] = {
    DL_INTS(dl_cropping_options, cropping, "0,0,0,0", 0, 0, DL_HIGHEST, DL_FLAT,
            "pixels {height, width} at both sides, or {{top, bottom}, {left, right}}"),
    FORMAT(dl_cropping_options), DL_LAYER_FIELDS(dl_cropping_options)};
static const dl_field upsampling1d_fields[] = {
    DL_INTS(dl_up_sampling_options, size, "2", 1, 1, DL_HIGHEST, 0, "how often each step is repeated"),
    DL_LAYER_FIELDS(dl_up_sampling_options)};
static const dl_field upsampling2d_fields[] = {
    DL_INTS(dl_up_sampling_options, size, "2,2", 2, 1, DL_HIGHEST, 0, "{height, width}: times larger"),
    FORMAT(dl_up_sampling_options),
    DL_ENUM(dl_up_sampling_options, interpolation, "nearest", "nearest|bilinear", 0, "of the new pixels"),
    DL_LAYER_FIELDS(dl_up_sampling_options)};

#define DEFINE(symbol, name_, type, rank, kind, help_, shapes_)                                                        \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .version = 1, .help = help_, .shapes = shapes_,                                  \
                       .fields = kind##rank##d_fields, .options_size = sizeof(type)},                                  \
        .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = rank + 2, .maximum_dims = rank + 2,                  \
        .init = kind##_init, .infer = kind##_infer, .call = call_##kind};

DEFINE(zero_padding1d, "ZeroPadding1D", dl_zero_padding_options, 1, padding, "Zeros before and after a sequence.",
       "(N, T, C) -> (N, T + before + after, C)")
DEFINE(zero_padding2d, "ZeroPadding2D", dl_zero_padding_options, 2, padding, "Zeros around images.",
       "(N, H, W, C) -> (N, H + top + bottom, W + left + right, C)")
DEFINE(cropping1d, "Cropping1D", dl_cropping_options, 1, cropping, "Leaves out steps at the ends of a sequence.",
       "(N, T, C) -> (N, T - before - after, C)")
DEFINE(cropping2d, "Cropping2D", dl_cropping_options, 2, cropping, "Leaves out pixels around images.",
       "(N, H, W, C) -> (N, H - top - bottom, W - left - right, C)")
DEFINE(up_sampling1d, "UpSampling1D", dl_up_sampling_options, 1, upsampling, "Each step several times.",
       "(N, T, C) -> (N, T * size, C)")
DEFINE(up_sampling2d, "UpSampling2D", dl_up_sampling_options, 2, upsampling,
       "Images made larger, by repeating pixels or between them.", "(N, H, W, C) -> (N, H * height, W * width, C)")
