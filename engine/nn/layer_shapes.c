/* nn/layer_shapes.c: layers that only rename, order or repeat dimensions: Flatten, Reshape, Permute, RepeatVector. The
 * batch stays the first. */
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

/* ---- Permute ----------------------------------------------------------------------------------------------------- */

static dl_status permute_init(dl_layer *layer) {
    const dl_ints *dims = &DL_OPTIONS(layer, dl_permute_layer_options)->dims;
    bool there[DL_MAX_DIMS + 1] = {false};
    bool right = dims->count > 0 && dims->count < DL_MAX_DIMS;
    for (int i = 0; right && i < dims->count; i++) {
        right = dims->at[i] >= 1 && dims->at[i] <= dims->count && !there[dims->at[i]];
        if (right)
            there[dims->at[i]] = true;
    }
    if (!right)
        return dl_fail(DL_INVALID, "Permute: dims must have each of the numbers 1 to n once, for the n dimensions of a "
                       "sample: {2, 1} exchanges two");
    return DL_OK;
}

static dl_status permute_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    const dl_ints *dims = &DL_OPTIONS(layer, dl_permute_layer_options)->dims;
    if (in->dims != dims->count + 1)
        return dl_fail(DL_SHAPE, "Permute: dims orders %d dimensions of a sample, got inputs %s (the batch counted)",
                       dims->count, dl_spec_text_of(in).at);
    *out = *in;
    for (int i = 0; i < dims->count; i++)
        out->shape[1 + i] = in->shape[dims->at[i]];
    *outputs = 1;
    return DL_OK;
}

static dl_status call_permute(dl_layer *layer, dl_layer_call *call) {
    const dl_ints *dims = &DL_OPTIONS(layer, dl_permute_layer_options)->dims;
    int64_t order[DL_MAX_DIMS] = {0};
    for (int i = 0; i < dims->count; i++)
        order[1 + i] = dims->at[i];
    return dl_call_return(call, dl_permute(call->context, call->in[0], dims->count + 1, order));
}

static const dl_field permute_fields[] = {
    DL_INTS(dl_permute_layer_options, dims, NULL, 0, 1, DL_HIGHEST, DL_REQUIRED,
            "the dimensions of a sample in their new order, counted from 1 without the batch"),
    DL_LAYER_FIELDS(dl_permute_layer_options)};

const dl_layer_def dl_layer_permute = {
    .definition = {.name = "Permute", .version = 1, .help = "Orders the dimensions of each sample anew.",
                   .shapes = "(N, A, B) -> (N, B, A) for dims {2, 1}", .fields = permute_fields,
                   .options_size = sizeof(dl_permute_layer_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .init = permute_init, .infer = permute_infer, .call = call_permute, .flags = DL_LAYER_ANY_DTYPE};

/* ---- RepeatVector ------------------------------------------------------------------------------------------------ */

static dl_status repeat_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    *out = *in;
    out->dims = 3;
    out->shape[1] = DL_OPTIONS(layer, dl_repeat_vector_options)->n;
    out->shape[2] = in->shape[1];
    *outputs = 1;
    return DL_OK;
}

static dl_status call_repeat(dl_layer *layer, dl_layer_call *call) {
    const dl_tensor *x = call->in[0];
    int64_t shape[3] = {x->shape[0], DL_OPTIONS(layer, dl_repeat_vector_options)->n, x->shape[1]};
    return dl_call_return(call, dl_expand(call->context, dl_unsqueeze(call->context, call->in[0], 1), 3, shape));
}

static const dl_field repeat_fields[] = {
    DL_INT(dl_repeat_vector_options, n, 0, 1, DL_HIGHEST, DL_REQUIRED, "how often the row is repeated"),
    DL_LAYER_FIELDS(dl_repeat_vector_options)};

const dl_layer_def dl_layer_repeat_vector = {
    .definition = {.name = "RepeatVector", .version = 1, .help = "A row as each step of a sequence.",
                   .shapes = "(N, F) -> (N, n, F)", .fields = repeat_fields,
                   .options_size = sizeof(dl_repeat_vector_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2, .maximum_dims = 2,
    .infer = repeat_infer, .call = call_repeat, .flags = DL_LAYER_ANY_DTYPE};
