/* nn/layer_input.c: InputLayer, the place where data enters a graph. It has one output and no inputs; in a Sequential
 * it stands first and says the shape. */
#include <string.h>

#include "nn/nn.h"

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    (void)inputs;
    const dl_input_options *options = DL_OPTIONS(layer, dl_input_options);
    *out = (dl_spec){.dtype = (dl_dtype)options->dtype, .dims = options->shape.count + 1};
    out->shape[0] = options->batch_size;
    memcpy(out->shape + 1, options->shape.at, (size_t)options->shape.count * sizeof *out->shape);
    *outputs = 1;
    return DL_OK;
}

static dl_status init(dl_layer *layer) {
    const dl_input_options *options = DL_OPTIONS(layer, dl_input_options);
    if (options->shape.count >= DL_MAX_DIMS)
        return dl_fail(DL_INVALID, "InputLayer: shape may have %d sizes, got %d", DL_MAX_DIMS - 1,
                       options->shape.count);
    layer->built = true;
    return DL_OK;
}

/* A graph puts the data in itself; called alone it has nothing to give. */
static dl_status call_input(dl_layer *layer, dl_layer_call *call) {
    (void)call;
    return dl_fail(DL_STATE, "InputLayer '%s' is where data enters a model: call the model", layer->name);
}

static const dl_field fields[] = {
    DL_INTS(dl_input_options, shape, NULL, 0, 0, DL_HIGHEST, DL_REQUIRED | DL_NONE_OK,
            "of one sample, without the batch; none where a size is free"),
    DL_INT(dl_input_options, batch_size, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK, "none: any"),
    DL_ENUM(dl_input_options, dtype, "float32", "float32|float64|int32|int64|uint8|bool", 0, "of the data"),
    {.name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(dl_input_options, layer.name), .flags = DL_NONE_OK,
     .help = "the layer's name; made from the class if none"},
    DL_END};

const dl_layer_def dl_layer_input = {
    .definition = {.name = "InputLayer", .version = 1, .help = "Where data enters a model.",
                   .shapes = "-> (N, shape)", .fields = fields, .options_size = sizeof(dl_input_options)},
    .minimum_inputs = 0, .maximum_inputs = 0,
    .init = init, .infer = infer, .call = call_input, .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_STEPWISE};
