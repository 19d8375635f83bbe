/* ops/loss.c: losses. The cross-entropies over classes are fused: each sample's loss from its row of scores in one
 * sweep, and a derivative that needs no softmax kept. The others are an element-wise function of the rows of
 * binary_rows.h and a reduction. Labels count from 1. */
#include "ops/ops.h"

_Static_assert(DL_IGNORE_NO_CLASS == DL_NONE, "no class to ignore is none for the kernels too");

/* ---- cross-entropy against labels ------------------------------------------------------------------------------ */

static dl_status check_labels(const dl_tensor *x, const char *scores, const dl_tensor *labels) {
    DL_TRY(dl_need_float(x, scores));
    if (dl_dtype_is_float(labels->dtype) || labels->dtype == DL_BOOLEAN)
        return dl_fail(DL_DTYPE,
                       "labels are %s; they must be whole numbers from 1 to the number of classes (int32, int64 "
                       "or uint8; convert them with :to(\"int64\"))",
                       dl_dtype_name(labels->dtype));
    if (x->dims > 0 && dl_shape_equal(labels->dims, labels->shape, x->dims - 1, x->shape))
        return DL_OK;
    return dl_fail(DL_SHAPE,
                   "%s have shape %s and labels %s; labels must have the shape of the scores without the last "
                   "dimension, the classes",
                   scores, dl_shape_text(x).at, dl_shape_text(labels).at);
}

/* saved: 0 scores, 1 labels, 2 normalizers. */
static dl_status labels_forward(dl_op_call *call, dl_scores scores, const char *name, double smoothing,
                                int64_t ignore_class) {
    DL_TRY(check_labels(call->in[0], name, call->in[1]));
    dl_tensor *x = dl_dense(call->in[0]), *labels = dl_dense(call->in[1]);
    DL_TRY(x && labels ? DL_OK : dl_last_status());
    dl_tensor *losses = dl_call_output(call, 0, x->dtype, labels->dims, labels->shape);
    dl_tensor *normalizers =
        losses && call->node ? dl_scratch(call->context, x->dtype, labels->dims, labels->shape) : NULL;
    DL_TRY(!losses || (call->node && !normalizers) ? dl_last_status() : DL_OK);
    DL_TRY(dl_kernel()->cross_entropy(call->context, scores, dl_element_of(x), dl_tensor_data(losses),
                                      dl_data_or_null(normalizers), dl_tensor_data(x),
                                      dl_element_of(labels), dl_tensor_data(labels), smoothing, ignore_class,
                                      dl_tensor_numel(labels), x->shape[x->dims - 1]));
    DL_TRY(dl_call_save(call, 0, x));
    DL_TRY(dl_call_save(call, 1, labels));
    return dl_call_save(call, 2, normalizers);
}

static dl_status labels_backward(dl_op_gradient *gradient, dl_scores scores, double smoothing, int64_t ignore_class) {
    const dl_tensor *labels = gradient->saved[1];
    dl_tensor *grad_x = dl_gradient_new(gradient, 0);
    DL_TRY(grad_x ? DL_OK : dl_last_status());
    return dl_kernel()->cross_entropy_backward(
        gradient->context, scores, dl_element_of(grad_x), dl_tensor_data(grad_x), dl_tensor_data(gradient->grad_out[0]),
        1, dl_saved_data(gradient, 0), dl_saved_data(gradient, 2), dl_element_of(labels), dl_tensor_data(labels),
        smoothing, ignore_class, dl_tensor_numel(labels), grad_x->shape[grad_x->dims - 1]);
}

static dl_status softmax_cross_entropy_forward(dl_op_call *call) {
    const dl_softmax_cross_entropy_options *options = call->options;
    return labels_forward(call, DL_SCORES_LOGITS, "logits", options->label_smoothing, options->ignore_class);
}

static dl_status softmax_cross_entropy_backward(dl_op_gradient *gradient) {
    const dl_softmax_cross_entropy_options *options = gradient->options;
    return labels_backward(gradient, DL_SCORES_LOGITS, options->label_smoothing, options->ignore_class);
}

#define IGNORE_CLASS(type)                                                                                             \
    DL_INT(type, ignore_class, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK,                                             \
           "a label whose samples have loss 0 and no gradient (0 for padding); none: no such label")
#define LABEL_SMOOTHING(type)                                                                                          \
    DL_REAL(type, label_smoothing, 0, 0, 1, 0, "the target's share that is spread over all classes")

static const dl_field softmax_cross_entropy_fields[] = {
    IGNORE_CLASS(dl_softmax_cross_entropy_options),
    LABEL_SMOOTHING(dl_softmax_cross_entropy_options),
    DL_END,
};

const dl_op dl_op_softmax_cross_entropy = {
    .definition = {.name = "softmax_cross_entropy",
                   .version = 1,
                   .help = "The cross-entropy of each sample's label under the softmax of its logits, stable. Labels "
                           "count from 1.",
                   .formula = "ln(sum of e^logits) - logits[label]",
                   .shapes = "logits {..., K}, labels {...} -> {...}",
                   .fields = softmax_cross_entropy_fields,
                   .options_size = sizeof(dl_softmax_cross_entropy_options)},
    .inputs = "logits labels",
    .outputs = 1,
    .forward = softmax_cross_entropy_forward,
    .backward = softmax_cross_entropy_backward,
};

static dl_status sparse_forward(dl_op_call *call) {
    const dl_ignore_class_options *options = call->options;
    return labels_forward(call, DL_SCORES_UNNORMALIZED, "probabilities", 0, options->ignore_class);
}

static dl_status sparse_backward(dl_op_gradient *gradient) {
    const dl_ignore_class_options *options = gradient->options;
    return labels_backward(gradient, DL_SCORES_UNNORMALIZED, 0, options->ignore_class);
}

static const dl_field ignore_class_fields[] = {
    IGNORE_CLASS(dl_ignore_class_options),
    DL_END,
};

const dl_op dl_op_sparse_categorical_cross_entropy = {
    .definition = {.name = "sparse_categorical_cross_entropy",
                   .version = 1,
                   .help =
                       "The cross-entropy of each sample's label under its probabilities, which are divided by their "
                       "sum and clipped to [1e-7, 1 - 1e-7]. Labels count from 1.",
                   .formula = "-ln(probabilities[label])",
                   .shapes = "probabilities {..., K}, labels {...} -> {...}",
                   .fields = ignore_class_fields,
                   .options_size = sizeof(dl_ignore_class_options)},
    .inputs = "probabilities labels",
    .outputs = 1,
    .forward = sparse_forward,
    .backward = sparse_backward,
};

/* ---- cross-entropy against distributions ----------------------------------------------------------------------- */

static dl_status check_target(const dl_tensor *x, const char *scores, const dl_tensor *target) {
    DL_TRY(dl_need_float(x, scores));
    if (x->dims > 0 && dl_tensor_same_shape(x, target))
        return DL_OK;
    return dl_fail(DL_SHAPE,
                   "%s have shape %s and target %s; both must be {..., K}, a distribution over the classes in "
                   "the last dimension (labels are for softmax_cross_entropy)",
                   scores, dl_shape_text(x).at, dl_shape_text(target).at);
}

/* saved: 0 scores, 1 targets, 2 normalizers. */
static dl_status target_forward(dl_op_call *call, dl_scores scores, const char *name) {
    const dl_label_smoothing_options *options = call->options;
    DL_TRY(check_target(call->in[0], name, call->in[1]));
    dl_tensor *x = dl_dense(call->in[0]);
    dl_tensor *target = x ? dl_dense(dl_as(call->in[1], x->dtype)) : NULL;
    DL_TRY(target ? DL_OK : dl_last_status());
    int dims = x->dims - 1;
    int64_t classes = x->shape[dims];
    dl_tensor *losses = dl_call_output(call, 0, x->dtype, dims, x->shape);
    dl_tensor *normalizers = losses && call->node ? dl_scratch(call->context, x->dtype, dims, x->shape) : NULL;
    DL_TRY(!losses || (call->node && !normalizers) ? dl_last_status() : DL_OK);
    DL_TRY(dl_kernel()->cross_entropy_targets(call->context, scores, dl_element_of(x), dl_tensor_data(losses),
                                              dl_data_or_null(normalizers), dl_tensor_data(x),
                                              dl_tensor_data(target), options->label_smoothing, dl_tensor_numel(losses),
                                              classes));
    DL_TRY(dl_call_save(call, 0, x));
    DL_TRY(dl_call_save(call, 1, target));
    return dl_call_save(call, 2, normalizers);
}

static dl_status target_backward(dl_op_gradient *gradient, dl_scores scores) {
    const dl_label_smoothing_options *options = gradient->options;
    const dl_tensor *grad = gradient->grad_out[0];
    if (!gradient->needs[0])
        return DL_OK;
    dl_tensor *grad_x = dl_gradient_new(gradient, 0);
    DL_TRY(grad_x ? DL_OK : dl_last_status());
    return dl_kernel()->cross_entropy_targets_backward(
        gradient->context, scores, dl_element_of(grad_x), dl_tensor_data(grad_x), dl_tensor_data(grad), 1,
        dl_saved_data(gradient, 0), dl_saved_data(gradient, 2), dl_saved_data(gradient, 1), options->label_smoothing,
        dl_tensor_numel(grad), grad_x->shape[grad_x->dims - 1]);
}

static dl_status softmax_targets_forward(dl_op_call *call) {
    return target_forward(call, DL_SCORES_LOGITS, "logits");
}

static dl_status softmax_targets_backward(dl_op_gradient *gradient) {
    return target_backward(gradient, DL_SCORES_LOGITS);
}

static const dl_field label_smoothing_fields[] = {
    LABEL_SMOOTHING(dl_label_smoothing_options),
    DL_END,
};

const dl_op dl_op_softmax_cross_entropy_probabilities = {
    .definition = {.name = "softmax_cross_entropy_probabilities",
                   .version = 1,
                   .help = "The cross-entropy of each sample's target distribution under the softmax of its logits, "
                           "stable. The target gets no gradient.",
                   .formula = "-(sum of target * ln softmax(logits))",
                   .shapes = "logits {..., K}, target {..., K} -> {...}",
                   .fields = label_smoothing_fields,
                   .options_size = sizeof(dl_label_smoothing_options)},
    .inputs = "logits target",
    .outputs = 1,
    .forward = softmax_targets_forward,
    .backward = softmax_targets_backward,
};

static dl_status categorical_forward(dl_op_call *call) {
    return target_forward(call, DL_SCORES_UNNORMALIZED, "probabilities");
}

static dl_status categorical_backward(dl_op_gradient *gradient) {
    return target_backward(gradient, DL_SCORES_UNNORMALIZED);
}

const dl_op dl_op_categorical_cross_entropy = {
    .definition = {.name = "categorical_cross_entropy",
                   .version = 1,
                   .help = "The cross-entropy of each sample's target distribution under its probabilities, which are "
                           "divided by their sum and clipped to [1e-7, 1 - 1e-7]. The target gets no gradient.",
                   .formula = "-(sum of target * ln probabilities)",
                   .shapes = "probabilities {..., K}, target {..., K} -> {...}",
                   .fields = label_smoothing_fields,
                   .options_size = sizeof(dl_label_smoothing_options)},
    .inputs = "probabilities target",
    .outputs = 1,
    .forward = categorical_forward,
    .backward = categorical_backward,
};

/* ---- element by element, then reduced -------------------------------------------------------------------------- */

static dl_tensor *reduced(dl_context *context, dl_tensor *losses, int reduction) {
    if (reduction == DL_REDUCTION_MEAN)
        return dl_mean_all(context, losses);
    return reduction == DL_REDUCTION_SUM ? dl_sum_all(context, losses) : losses;
}

/* Refuses what is no probability by more than rounding makes it. */
static dl_status check_probabilities(dl_tensor *prediction) {
    double lowest = 0, highest = 0;
    if (dl_tensor_numel(prediction) == 0)
        return DL_OK;
    dl_context *context = prediction->context;
    bool recording = dl_set_grad_enabled(context, false);
    dl_tensor *low = dl_min(context, prediction, 0, NULL, false);
    dl_tensor *high = low ? dl_max(context, prediction, 0, NULL, false) : NULL;
    dl_status status = high ? dl_item(low, &lowest) : dl_last_status();
    if (status == DL_OK)
        status = dl_item(high, &highest);
    dl_set_grad_enabled(context, recording);
    if (status == DL_OK && (lowest < -1e-4 || highest > 1 + 1e-4))
        return dl_fail(DL_INVALID, "predictions must be probabilities from 0 to 1, got values from %g to %g; end the "
                       "model with the activation sigmoid, or take the loss from logits (from_logits = true, or "
                       "binary_cross_entropy_with_logits)", lowest, highest);
    return status;
}

static dl_status elementwise_loss(dl_op_call *call, const dl_op *function, const void *options, int reduction) {
    const dl_tensor *prediction = call->in[0];
    DL_TRY(dl_need_float(prediction, "prediction"));
    if (!dl_tensor_same_shape(prediction, call->in[1]))
        return dl_fail(DL_SHAPE, "prediction has shape %s and target %s; both must have the same",
                       dl_shape_text(prediction).at, dl_shape_text(call->in[1]).at);
    if (function == &dl_op_binary_cross_entropy_error)
        DL_TRY(check_probabilities(call->in[0]));
    dl_tensor *target = dl_to(call->context, call->in[1], prediction->dtype);
    dl_tensor *in[] = {call->in[0], target};
    dl_tensor *losses = target ? dl_apply1(call->context, function, in, 2, options) : NULL;
    return dl_call_set(call, 0, reduced(call->context, losses, reduction));
}

#define REDUCTION(type)                                                                                                \
    DL_ENUM(type, reduction, "mean", "none|mean|sum", DL_NAMED_ONLY, "none: the loss of each element")

static const dl_field reduction_fields[] = {
    REDUCTION(dl_reduction_options),
    DL_END,
};

/* X(name, row of binary_rows.h, formula, help) */
#define LOSS_TABLE(X)                                                                                                  \
    X(mse_loss, squared_error, "(prediction - target)^2", "The squared error.")                                        \
    X(l1_loss, absolute_error, "|prediction - target|", "The absolute error.")                                         \
    X(binary_cross_entropy, binary_cross_entropy_error, "-t ln p - (1 - t) ln(1 - p)",                                 \
      "The cross-entropy of targets 0 .. 1 under probabilities, which are clipped to [1e-7, 1 - 1e-7].")               \
    X(binary_cross_entropy_with_logits, binary_cross_entropy_logits_error, "max(x, 0) - x t + ln(1 + e^-|x|)",         \
      "The cross-entropy of targets 0 .. 1 under the sigmoid of logits, stable.")

#define X(name_, row_, formula_, help_)                                                                                \
    static dl_status name_##_forward(dl_op_call *call) {                                                               \
        const dl_reduction_options *options = call->options;                                                           \
        return elementwise_loss(call, &dl_op_##row_, NULL, options->reduction);                                        \
    }                                                                                                                  \
    const dl_op dl_op_##name_ = {                                                                                      \
        .definition = {.name = #name_,                                                                                 \
                       .version = 1,                                                                                   \
                       .help = help_,                                                                                  \
                       .formula = formula_,                                                                            \
                       .shapes = "two of one shape -> {}, or that shape for reduction none",                           \
                       .fields = reduction_fields,                                                                     \
                       .options_size = sizeof(dl_reduction_options)},                                                  \
        .inputs = "prediction target",                                                                                 \
        .outputs = 1,                                                                                                  \
        .forward = name_##_forward,                                                                                    \
    };
LOSS_TABLE(X)
#undef X

static dl_status huber_loss_forward(dl_op_call *call) {
    const dl_huber_loss_options *options = call->options;
    return elementwise_loss(call, &dl_op_huber_error, &options->delta, options->reduction);
}

static const dl_field huber_loss_fields[] = {
    REDUCTION(dl_huber_loss_options),
    DL_REAL(dl_huber_loss_options, delta, 1, 0, DL_HIGHEST, DL_OPEN_MIN, "where the square turns into a line"),
    DL_END,
};

const dl_op dl_op_huber_loss = {
    .definition = {.name = "huber_loss",
                   .version = 1,
                   .help = "A squared error for small errors, an absolute for large.",
                   .formula = "e^2 / 2 for e = |prediction - target| <= delta, else delta (e - delta / 2)",
                   .source = "Huber 1964",
                   .shapes = "two of one shape -> {}, or that shape for reduction none",
                   .fields = huber_loss_fields,
                   .options_size = sizeof(dl_huber_loss_options)},
    .inputs = "prediction target",
    .outputs = 1,
    .forward = huber_loss_forward,
};

/* ---- cross_entropy, nll_loss ----------------------------------------------------------------------------------- */

/* The reduction over samples; a mean is over those whose label is not ignored. */
static dl_tensor *reduced_over_labels(dl_context *context, dl_tensor *losses, dl_tensor *labels, int reduction,
                                      int64_t ignore_class) {
    if (!losses || reduction != DL_REDUCTION_MEAN || ignore_class == DL_NONE)
        return reduced(context, losses, reduction);
    dl_tensor *ignored = dl_scalar(context, DL_INT64, (double)ignore_class);
    dl_tensor *counted = dl_to(context, dl_ne(context, labels, ignored), losses->dtype);
    return dl_div(context, dl_sum_all(context, losses), dl_sum_all(context, counted));
}

static dl_status cross_entropy_forward(dl_op_call *call) {
    const dl_cross_entropy_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *labels = call->in[1];
    if (dl_dtype_is_float(labels->dtype)) {
        dl_tensor *losses =
            dl_softmax_cross_entropy_probabilities(context, call->in[0], labels, options->label_smoothing);
        return dl_call_set(call, 0, reduced(context, losses, options->reduction));
    }
    dl_softmax_cross_entropy_options each = {options->ignore_class, options->label_smoothing};
    dl_tensor *losses = dl_softmax_cross_entropy(context, call->in[0], labels, &each);
    return dl_call_set(call, 0,
                       reduced_over_labels(context, losses, labels, options->reduction, options->ignore_class));
}

static const dl_field cross_entropy_fields[] = {
    REDUCTION(dl_cross_entropy_options),
    IGNORE_CLASS(dl_cross_entropy_options),
    LABEL_SMOOTHING(dl_cross_entropy_options),
    DL_END,
};

const dl_op dl_op_cross_entropy = {
    .definition = {.name = "cross_entropy",
                   .version = 1,
                   .help = "softmax_cross_entropy, reduced: logits against labels (whole numbers from 1) or against "
                           "distributions over the classes.",
                   .formula = "mean of ln(sum of e^logits) - logits[label]",
                   .shapes = "logits {..., K}, labels {...} or target {..., K} -> {}",
                   .fields = cross_entropy_fields,
                   .options_size = sizeof(dl_cross_entropy_options)},
    .inputs = "logits labels",
    .outputs = 1,
    .forward = cross_entropy_forward,
};

static dl_status nll_loss_forward(dl_op_call *call) {
    const dl_nll_loss_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *labels = call->in[1];
    DL_TRY(check_labels(call->in[0], "log_probabilities", labels));
    dl_tensor *index = labels, *ignored = NULL;
    if (options->ignore_class != DL_NONE) {
        ignored = dl_eq(context, labels, dl_scalar(context, DL_INT64, (double)options->ignore_class));
        index = dl_masked_fill(context, labels, ignored, 1);
    }
    dl_tensor *chosen = dl_gather(context, call->in[0], -1, dl_unsqueeze(context, index, -1));
    dl_tensor *losses = dl_neg(context, dl_squeeze(context, chosen, -1));
    if (ignored)
        losses = dl_masked_fill(context, losses, ignored, 0);
    return dl_call_set(call, 0,
                       reduced_over_labels(context, losses, labels, options->reduction, options->ignore_class));
}

static const dl_field nll_loss_fields[] = {
    REDUCTION(dl_nll_loss_options),
    IGNORE_CLASS(dl_nll_loss_options),
    DL_END,
};

const dl_op dl_op_nll_loss = {
    .definition = {.name = "nll_loss",
                   .version = 1,
                   .help = "The negative log-likelihood of labels under log-probabilities, as log_softmax gives them.",
                   .formula = "mean of -log_probabilities[label]",
                   .shapes = "log_probabilities {..., K}, labels {...} -> {}",
                   .fields = nll_loss_fields,
                   .options_size = sizeof(dl_nll_loss_options)},
    .inputs = "log_probabilities labels",
    .outputs = 1,
    .forward = nll_loss_forward,
};
