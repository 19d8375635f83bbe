/* nn/layer_sequence.c: layers that take a step out of a sequence, or put one in front: SequenceStep, ClassToken. */
#include "nn/nn.h"

/* ---- SequenceStep ------------------------------------------------------------------------------------------------ */

static dl_status step_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = inputs->specs;
    int64_t step = DL_OPTIONS(layer, dl_sequence_step_options)->step;
    int64_t steps = in->shape[1];
    if (steps != DL_NONE && (step < 0 ? -step > steps : step >= steps))
        return dl_fail(DL_SHAPE, "SequenceStep: the inputs %s have no step %lld", dl_spec_text_of(in).at,
                       (long long)(step < 0 ? step : step + 1));
    *out = (dl_spec){.dtype = in->dtype, .dims = in->dims - 1};
    out->shape[0] = in->shape[0];
    for (int i = 2; i < in->dims; i++)
        out->shape[i - 1] = in->shape[i];
    *outputs = 1;
    return DL_OK;
}

static dl_status step_call(dl_layer *layer, dl_layer_call *call) {
    int64_t step = DL_OPTIONS(layer, dl_sequence_step_options)->step;
    return dl_call_return(call, dl_select(call->context, call->in[0], 1, step));
}

static const dl_field step_fields[] = {
    DL_INT(dl_sequence_step_options, step, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION, "which step; -1 is the last"),
    DL_LAYER_FIELDS(dl_sequence_step_options)};

const dl_layer_def dl_layer_sequence_step = {
    .definition = {.name = "SequenceStep", .version = 1, .help = "Takes one step out of each sequence.",
                   .formula = "y = x[:, step]", .shapes = "(N, T, ...) -> (N, ...)", .fields = step_fields,
                   .options_size = sizeof(dl_sequence_step_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2,
    .infer = step_infer, .call = step_call, .flags = DL_LAYER_ANY_DTYPE};

/* ---- ClassToken -------------------------------------------------------------------------------------------------- */

static dl_status token_build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const dl_class_token_options *options = DL_OPTIONS(layer, dl_class_token_options);
    if (in->shape[2] == DL_NONE)
        return dl_fail(DL_SHAPE, "ClassToken needs to know the last size of its inputs, got %s",
                       dl_spec_text_of(in).at);
    return dl_layer_add_weight(layer, "token", 3, (int64_t[]){1, 1, in->shape[2]}, options->initializer, NULL, true);
}

static dl_status token_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    *out = inputs->specs[0];
    if (out->shape[2] != layer->weights[0].value->shape[2])
        return dl_layer_fail_built(layer, &inputs->specs[0]);
    if (out->shape[1] != DL_NONE)
        out->shape[1]++;
    *outputs = 1;
    return DL_OK;
}

/* The token counts: where the sequence has a mask, it is true in front. */
static dl_status token_mask(dl_layer_call *call) {
    dl_tensor *mask = call->masks ? call->masks[0] : NULL;
    if (!mask)
        return DL_OK;
    dl_tensor *front = dl_full(call->context, DL_BOOLEAN, 2, (int64_t[]){mask->shape[0], 1}, 1);
    call->out_masks[0] = dl_cat(call->context, (dl_tensor *[]){front, mask}, 2, 1);
    return call->out_masks[0] ? DL_OK : dl_last_status();
}

static dl_status token_call(dl_layer *layer, dl_layer_call *call) {
    dl_tensor *x = call->in[0];
    dl_tensor *token = dl_expand(call->context, layer->weights[0].value, 3,
                                 (int64_t[]){x->shape[0], 1, x->shape[2]});
    DL_TRY(token_mask(call));
    return dl_call_return(call, dl_cat(call->context, (dl_tensor *[]){token, x}, 2, 1));
}

static const dl_field token_fields[] = {
    DL_OBJECT(dl_class_token_options, initializer, "zeros", &dl_initializer_family, 0, "of the token"),
    DL_LAYER_FIELDS(dl_class_token_options)};

const dl_layer_def dl_layer_class_token = {
    .definition = {.name = "ClassToken", .version = 1,
                   .help = "Puts a learned step in front of each sequence, in whose place a transformer gathers what "
                           "is known of the whole.",
                   .source = "Devlin et al. 2019, BERT; Dosovitskiy et al. 2021, An image is worth 16x16 words",
                   .shapes = "(N, T, F) -> (N, T + 1, F)", .fields = token_fields,
                   .options_size = sizeof(dl_class_token_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3,
    .build = token_build, .infer = token_infer, .call = token_call};
