/* ops/embedding.c: rows of a table by their ids. Ids count from 1; 0 is padding, which has no row. */
#include <string.h>

#include "ops/ops.h"

static dl_status check_embedding(const dl_tensor *ids, const dl_tensor *weight) {
    DL_TRY(dl_need_whole(ids, "input"));
    DL_TRY(dl_need_float(weight, "weight"));
    if (weight->dims != 2)
        return dl_fail(DL_SHAPE, "weight has shape %s; it must have two dimensions, {ids, features}",
                       dl_shape_text(weight).at);
    if (ids->dims == DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "input has shape %s, and a tensor has %d dimensions at most", dl_shape_text(ids).at,
                       DL_MAX_DIMS);
    return DL_OK;
}

static dl_status forward(dl_op_call *call) {
    const dl_embedding_op_options *options = call->options;
    DL_TRY(check_embedding(call->in[0], call->in[1]));
    dl_tensor *ids = dl_dense(call->in[0]), *weight = dl_dense(call->in[1]);
    DL_TRY(ids && weight ? DL_OK : dl_last_status());
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, ids->shape, sizeof shape);
    shape[ids->dims] = weight->shape[1];
    dl_tensor *out = dl_call_output(call, 0, weight->dtype, ids->dims + 1, shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_status status = dl_kernel()->index_select(call->context, dl_element_of(weight), dl_tensor_data(out),
                                                 dl_tensor_data(weight), dl_element_of(ids), dl_tensor_data(ids),
                                                 options->padding_idx != DL_NONE, 1, weight->shape[0],
                                                 weight->shape[1], dl_tensor_numel(ids));
    if (status == DL_INVALID)
        return dl_fail_prefix("ids count from 1 to the rows of the table (input_dim of the layer; make it larger for "
                              "more ids), and 0 is padding (only with padding_idx = 0, or mask_zero = true of the "
                              "layer); files that count from 0 need + 1");
    DL_TRY(status);
    return dl_call_save(call, 0, ids);
}

static dl_status backward(dl_op_gradient *gradient) {
    if (!gradient->needs[1])
        return DL_OK;
    const dl_tensor *ids = gradient->saved[0];
    dl_tensor *grad = dl_gradient_new(gradient, 1);
    DL_TRY(grad ? DL_OK : dl_last_status());
    return dl_kernel()->index_select_backward(gradient->context, dl_element_of(grad), dl_tensor_data(grad),
                                              dl_tensor_data(gradient->grad_out[0]), dl_element_of(ids),
                                              dl_tensor_data(ids), 1, grad->shape[0], grad->shape[1],
                                              dl_tensor_numel(ids));
}

static const dl_field fields[] = {
    DL_INT(dl_embedding_op_options, padding_idx, DL_NONE, 0, 0, DL_NONE_OK,
           "0: id 0 is padding and gives zeros; none: it is refused"),
    DL_END,
};

const dl_op dl_op_embedding = {
    .definition = {.name = "embedding",
                   .version = 1,
                   .help = "Rows of a table by their ids, which count from 1. The gradient of a row is the sum over "
                           "all places of its id, in their order.",
                   .formula = "out[i] = weight[input[i]]",
                   .shapes = "input {...}, weight {ids, D} -> {..., D}",
                   .fields = fields,
                   .options_size = sizeof(dl_embedding_op_options)},
    .inputs = "input weight",
    .outputs = 1,
    .forward = forward,
    .backward = backward,
};

dl_tensor *dl_embedding(dl_context *context, dl_tensor *ids, dl_tensor *weight, int64_t padding_idx) {
    return dl_apply1(context, &dl_op_embedding, (dl_tensor *[]){ids, weight}, 2,
                     &(dl_embedding_op_options){padding_idx});
}
