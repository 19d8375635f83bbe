/* ops/ctc.c: the loss of connectionist temporal classification. Label 0 is the blank, and padding behind a sample's
 * labels; the scores' first place is the blank's, the next label 1's. */
#include "ops/ops.h"

static dl_status check_inputs(const dl_tensor *x, const dl_tensor *labels) {
    DL_TRY(dl_need_float(x, "log_probabilities"));
    DL_TRY(dl_need_whole(labels, "labels"));
    if (x->dims != 3 || labels->dims != 2 || labels->shape[0] != x->shape[0] || x->shape[2] < 1)
        return dl_fail(DL_SHAPE, "log_probabilities have shape %s and labels %s; they must be {N, T, classes + 1} and "
                       "{N, labels}", dl_shape_text(x).at, dl_shape_text(labels).at);
    if (x->shape[1] < 1 && x->shape[0] > 0)
        return dl_fail(DL_SHAPE, "log_probabilities have shape %s; at least one step is needed", dl_shape_text(x).at);
    return DL_OK;
}

/* Copies a sample's labels without zeros, and checks that there are steps enough for them. */
static dl_status read_sample(const int64_t *from, int64_t count, int64_t sample, const dl_tensor *x, int64_t *to,
                             int64_t *length) {
    int64_t repeats = 0;
    *length = 0;
    for (int64_t i = 0; i < count; i++) {
        if (from[i] == 0)
            continue;
        if (from[i] < 0 || from[i] >= x->shape[2])
            return dl_fail(DL_INVALID, "sample %lld has the label %lld; with %lld scores a step labels are 1 to %lld "
                           "(the first score is the blank's), and 0 is padding", (long long)sample + 1,
                           (long long)from[i], (long long)x->shape[2], (long long)x->shape[2] - 1);
        repeats += *length > 0 && to[*length - 1] == from[i];
        to[(*length)++] = from[i];
    }
    if (*length + repeats <= x->shape[1])
        return DL_OK;
    return dl_fail(DL_INVALID, "sample %lld has %lld labels, of which %lld repeat the one before; it needs %lld steps "
                   "or more, got %lld", (long long)sample + 1, (long long)*length, (long long)repeats,
                   (long long)(*length + repeats), (long long)x->shape[1]);
}

static dl_status read_labels(dl_tensor *given, const dl_tensor *x, int64_t *labels, int64_t *lengths) {
    dl_tensor *dense = dl_dense(dl_as(given, DL_INT64));
    int64_t count = given->shape[1];
    DL_TRY(dense ? DL_OK : dl_last_status());
    const int64_t *from = dl_tensor_data(dense);
    for (int64_t n = 0; n < given->shape[0]; n++)
        DL_TRY(read_sample(from + n * count, count, n, x, labels + n * count, &lengths[n]));
    return DL_OK;
}

/* saved: 0 how likely each label is at each step, (N, T, classes + 1). */
static dl_status ctc_loss_forward(dl_op_call *call) {
    DL_TRY(check_inputs(call->in[0], call->in[1]));
    const int64_t *shape = call->in[0]->shape;
    int64_t count = call->in[1]->shape[1];
    int64_t room;
    if (__builtin_mul_overflow(shape[0], DL_CTC_SCRATCH(shape[1], count), &room))
        return dl_fail(DL_SHAPE, "log_probabilities of shape %s are too large", dl_shape_text(call->in[0]).at);
    dl_tensor *x = dl_dense(call->in[0]);
    dl_tensor *labels = dl_scratch(call->context, DL_INT64, 2, call->in[1]->shape);
    dl_tensor *lengths = dl_scratch(call->context, DL_INT64, 1, shape);
    dl_tensor *scratch = dl_scratch(call->context, DL_FLOAT64, 1, &room);
    DL_TRY(x && labels && lengths && scratch ? DL_OK : dl_last_status());
    DL_TRY(read_labels(call->in[1], x, dl_tensor_data(labels), dl_tensor_data(lengths)));
    dl_tensor *losses = dl_call_output(call, 0, x->dtype, 1, shape);
    dl_tensor *occupancy = losses && call->node ? dl_scratch(call->context, x->dtype, 3, shape) : NULL;
    DL_TRY(!losses || (call->node && !occupancy) ? dl_last_status() : DL_OK);
    DL_TRY(dl_kernel()->ctc(call->context, dl_element_of(x), dl_tensor_data(losses), dl_data_or_null(occupancy),
                            dl_tensor_data(x), dl_tensor_data(labels), dl_tensor_data(lengths), dl_tensor_data(scratch),
                            shape[0], shape[1], shape[2], count));
    return dl_call_save(call, 0, occupancy);
}

static dl_status ctc_loss_backward(dl_op_gradient *gradient) {
    dl_context *context = gradient->context;
    dl_tensor *grad = dl_unsqueeze(context, dl_unsqueeze(context, gradient->grad_out[0], -1), -1);
    return dl_gradient_set(gradient, 0, dl_neg(context, dl_mul(context, gradient->saved[0], grad)));
}

const dl_op dl_op_ctc_loss = {
    .definition = {.name = "ctc_loss",
                   .version = 1,
                   .help = "How unlikely steps of scores make a row of labels, with blanks between them and repeats "
                           "merged. Label 0 is padding; the first score of a step is the blank's, the next label 1's.",
                   .formula = "-log of the sum of the probabilities of all ways to spell the labels",
                   .source = "Graves et al. 2006",
                   .shapes = "log_probabilities {N, T, classes + 1}, labels {N, L} -> {N}",
                   .fields = dl_no_fields},
    .inputs = "log_probabilities labels",
    .outputs = 1,
    .forward = ctc_loss_forward,
    .backward = ctc_loss_backward,
};
