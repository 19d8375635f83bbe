/* nn/layer_time_distributed.c: TimeDistributed, which applies a layer to each step of a sequence, and Masking, which
 * finds the steps that are padding. */
#include <string.h>

#include "nn/recurrent.h"

/* ---- TimeDistributed: the steps are more samples of the batch ---------------------------------------------------- */

static dl_status init(dl_layer *layer) {
    return dl_layer_add_child(layer, (dl_layer *)DL_OPTIONS(layer, dl_time_distributed_options)->wrapped);
}

/* (N, T, ...) without T. */
static dl_spec without_steps(const dl_spec *in) {
    dl_spec out = {.dtype = in->dtype, .dims = in->dims - 1, .shape = {DL_NONE}};
    memcpy(out.shape + 1, in->shape + 2, (size_t)(in->dims - 2) * sizeof *out.shape);
    return out;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    dl_spec step = without_steps(&inputs->specs[0]);
    DL_TRY(dl_layer_check_sizes(layer, &inputs->specs[0]));
    return dl_layer_build(layer->children[0], &(dl_inputs){&step, 1, NULL});
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = &inputs->specs[0];
    dl_spec step = without_steps(in), made[DL_MAX_LAYER_OUTPUTS];
    int count;
    DL_TRY(dl_layer_check_sizes(layer, in));
    DL_TRY(dl_layer_infer(layer->children[0], &(dl_inputs){&step, 1, NULL}, made, &count));
    if (count != 1 || made[0].dims >= DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "TimeDistributed: layer '%s' must have one output of less than %d dimensions",
                       layer->children[0]->name, DL_MAX_DIMS);
    *out = (dl_spec){.dtype = made[0].dtype, .dims = made[0].dims + 1, .shape = {in->shape[0], in->shape[1]}};
    memcpy(out->shape + 2, made[0].shape + 1, (size_t)(made[0].dims - 1) * sizeof *out->shape);
    *outputs = 1;
    return DL_OK;
}

static dl_status call_time_distributed(dl_layer *layer, dl_layer_call *call) {
    dl_tensor *x = call->in[0];
    int64_t shape[DL_MAX_DIMS] = {x->shape[0] * x->shape[1]};
    dl_layer_call child;
    memcpy(shape + 1, x->shape + 2, (size_t)(x->dims - 2) * sizeof *shape);
    dl_tensor *steps = dl_reshape(call->context, x, x->dims - 1, shape);
    DL_TRY(steps ? dl_run_child(layer->children[0], call, &steps, 1, NULL, NULL, &child) : dl_last_status());
    dl_tensor *y = child.out[0];
    int dims = y->dims + 1;
    memcpy(shape, x->shape, 2 * sizeof *shape);
    memcpy(shape + 2, y->shape + 1, (size_t)(y->dims - 1) * sizeof *shape);
    return dl_call_return(call, dl_reshape(call->context, y, dims, shape));
}

static const dl_field time_distributed_fields[] = {
    {.name = "layer", .kind = DL_FIELD_OBJECT, .offset = offsetof(dl_time_distributed_options, wrapped),
     .flags = DL_REQUIRED, .family = &dl_layer_family, .help = "the layer that each step goes through"},
    DL_LAYER_FIELDS(dl_time_distributed_options)};

const dl_layer_def dl_layer_time_distributed = {
    .definition = {.name = "TimeDistributed", .version = 1,
                   .help = "Applies a layer to each step of a sequence, with the same weights. Steps are like further "
                           "samples of the batch, also for a layer that looks at the whole batch.",
                   .shapes = "(N, T, ...) -> (N, T, what the layer makes of (N, ...))",
                   .fields = time_distributed_fields, .options_size = sizeof(dl_time_distributed_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3,
    .init = init, .build = build, .infer = infer, .call = call_time_distributed,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_STEPWISE};

/* ---- Masking ----------------------------------------------------------------------------------------------------- */

static dl_status call_masking(dl_layer *layer, dl_layer_call *call) {
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    dl_tensor *value = dl_number(context, DL_OPTIONS(layer, dl_masking_options)->mask_value, x);
    dl_tensor *valid = dl_any(context, dl_ne(context, x, value), 1, (int64_t[]){-1}, false);
    dl_tensor *kept = valid ? dl_to(context, dl_unsqueeze(context, valid, -1), x->dtype) : NULL;
    DL_TRY(dl_call_return(call, dl_mul(context, x, kept)));
    call->out_masks[0] = valid;
    return DL_OK;
}

static const dl_field masking_fields[] = {
    DL_REAL(dl_masking_options, mask_value, 0.0, DL_LOWEST, DL_HIGHEST, 0, "what padding is made of"),
    DL_LAYER_FIELDS(dl_masking_options)};

const dl_layer_def dl_layer_masking = {
    .definition = {.name = "Masking", .version = 1,
                   .help = "Masks the steps whose features are all mask_value, so that the layers and losses after it "
                           "leave them out; sets them to zero.",
                   .formula = "mask = any(x != mask_value); y = x mask", .shapes = "(N, T, F) -> the same",
                   .fields = masking_fields, .options_size = sizeof(dl_masking_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 3, .call = call_masking,
    .flags = DL_LAYER_STEPWISE};
