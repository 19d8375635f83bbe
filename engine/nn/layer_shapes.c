/* nn/layer_shapes.c: layers that only rename dimensions: Flatten, Reshape. The batch stays the first. */
#include "nn/nn.h"

/* Elements of one sample, or DL_NONE. */
static int64_t sample_size(const dl_spec *in) {
    int64_t size = 1;
    for (int i = 1; i < in->dims; i++) {
        if (in->shape[i] == DL_NONE)
            return DL_NONE;
        size *= in->shape[i];
    }
    return size;
}

static dl_status return_reshaped(dl_layer *layer, dl_layer_call *call) {
    dl_spec in = dl_spec_of_tensor(call->in[0]);
    dl_spec out;
    int outputs;
    DL_TRY(dl_layer_definition(layer)->infer(layer, &(dl_inputs){&in, 1, NULL}, &out, &outputs));
    return dl_call_return(call, dl_reshape(call->context, call->in[0], out.dims, out.shape));
}

/* ---- Flatten ----------------------------------------------------------------------------------------------------- */

static dl_status flatten_init(dl_layer *layer) {
    return dl_check_data_format("Flatten", DL_OPTIONS(layer, dl_flatten_layer_options)->data_format);
}

static dl_status flatten_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    (void)layer;
    const dl_spec *in = inputs->specs;
    *out = *in;
    out->dims = 2;
    out->shape[1] = sample_size(in);
    *outputs = 1;
    return DL_OK;
}

static const dl_field flatten_fields[] = {
    DL_STRING(dl_flatten_layer_options, data_format, NULL, DL_NONE_OK, "channels_last, the only one"),
    DL_LAYER_FIELDS(dl_flatten_layer_options)};

const dl_layer_def dl_layer_flatten = {
    .definition = {.name = "Flatten", .version = 1, .help = "Makes one row of each sample.",
                   .shapes = "(N, ...) -> (N, product of the others)", .fields = flatten_fields,
                   .options_size = sizeof(dl_flatten_layer_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .init = flatten_init, .infer = flatten_infer, .call = return_reshaped, .flags = DL_LAYER_ANY_DTYPE};

/* ---- Reshape ----------------------------------------------------------------------------------------------------- */

static dl_status reshape_init(dl_layer *layer) {
    const dl_ints *target = &DL_OPTIONS(layer, dl_reshape_layer_options)->target_shape;
    int open = 0;
    for (int i = 0; i < target->count; i++)
        open += target->at[i] == -1;
    if (open > 1)
        return dl_fail(DL_INVALID, "Reshape: target_shape may have one -1, got %d", open);
    if (target->count >= DL_MAX_DIMS)
        return dl_fail(DL_INVALID, "Reshape: target_shape may have %d sizes, got %d", DL_MAX_DIMS - 1, target->count);
    return DL_OK;
}

static dl_status fail_reshape(const dl_spec *in, const dl_spec *out) {
    dl_spec target = *out;
    for (int i = 1; i < target.dims; i++)
        target.shape[i - 1] = target.shape[i];
    target.dims--;
    return dl_fail(DL_SHAPE, "Reshape: target_shape %s (* is what is left) does not fit inputs %s",
                   dl_spec_text_of(&target).at, dl_spec_text_of(in).at);
}

static dl_status reshape_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_ints *target = &DL_OPTIONS(layer, dl_reshape_layer_options)->target_shape;
    int64_t size = sample_size(in);
    int64_t known = 1;
    int open = 0;
    *out = *in;
    out->dims = target->count + 1;
    for (int i = 0; i < target->count; i++) {
        out->shape[i + 1] = target->at[i] == -1 ? DL_NONE : target->at[i];
        if (target->at[i] == -1)
            open = i + 1;
        else
            known *= target->at[i];
    }
    *outputs = 1;
    if (size == DL_NONE)
        return DL_OK;
    if (open ? known == 0 || size % known != 0 : size != known)
        return fail_reshape(in, out);
    if (open)
        out->shape[open] = size / known;
    return DL_OK;
}

static const dl_field reshape_fields[] = {
    DL_INTS(dl_reshape_layer_options, target_shape, NULL, 0, -1, DL_HIGHEST, DL_REQUIRED,
            "sizes of one sample; one may be -1: what is left"),
    DL_LAYER_FIELDS(dl_reshape_layer_options)};

const dl_layer_def dl_layer_reshape = {
    .definition = {.name = "Reshape", .version = 1, .help = "Gives each sample another shape.",
                   .shapes = "(N, ...) -> (N, target_shape)", .fields = reshape_fields,
                   .options_size = sizeof(dl_reshape_layer_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .init = reshape_init, .infer = reshape_infer, .call = return_reshaped, .flags = DL_LAYER_ANY_DTYPE};
