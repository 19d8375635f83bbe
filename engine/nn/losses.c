/* nn/losses.c: the losses. Each gives one value a sample: a mean over the last dimension, or a cross-entropy along the
 * classes. After a softmax or sigmoid the cross-entropies use the logits behind it. */
#include "nn/losses.h"

/* ---- regression -------------------------------------------------------------------------------------------------- */

dl_status dl_match_target(dl_tensor **target, dl_tensor **prediction) {
    dl_context *context = (*prediction)->context;
    if (!dl_dtype_is_float((*prediction)->dtype))
        return dl_fail(DL_DTYPE, "needs float predictions, got %s", dl_dtype_name((*prediction)->dtype));
    *target = dl_to(context, *target, (*prediction)->dtype);
    if (!*target)
        return dl_last_status();
    DL_TRY(dl_match_ranks(context, target, prediction));
    if ((*prediction)->dims == 0)
        return dl_fail(DL_SHAPE, "needs predictions of 1 or more dimensions");
    return dl_check_same_shape(*target, *prediction);
}

dl_tensor *dl_mean_along(dl_tensor *x, int64_t axis) {
    return x ? dl_mean(x->context, x, 1, &axis, false) : NULL;
}

static dl_tensor *call_mean_squared_error(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                          dl_tensor **mask) {
    (void)loss;
    (void)mask;
    if (dl_match_target(&target, &prediction) != DL_OK)
        return NULL;
    return dl_mean_along(dl_mse_loss(prediction->context, prediction, target, DL_REDUCTION_NONE), -1);
}

static dl_tensor *call_mean_absolute_error(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                           dl_tensor **mask) {
    (void)loss;
    (void)mask;
    if (dl_match_target(&target, &prediction) != DL_OK)
        return NULL;
    return dl_mean_along(dl_l1_loss(prediction->context, prediction, target, DL_REDUCTION_NONE), -1);
}

static dl_tensor *call_huber(const dl_object *loss, dl_tensor *target, dl_tensor *prediction, dl_tensor **mask) {
    (void)mask;
    double delta = DL_OPTIONS(loss, dl_huber_options)->delta;
    if (dl_match_target(&target, &prediction) != DL_OK)
        return NULL;
    return dl_mean_along(dl_huber_loss(prediction->context, prediction, target, delta, DL_REDUCTION_NONE), -1);
}

/* ---- cross-entropies --------------------------------------------------------------------------------------------- */

dl_tensor *dl_scores_of(dl_tensor *prediction, const dl_activation_def *activation, bool *from_logits) {
    if (!prediction->logits || prediction->logits_of != &activation->definition)
        return prediction;
    *from_logits = true;
    return prediction->logits;
}

/* Targets are shares of "yes". One that lies outside, such as the label 2, would draw the loss below zero for ever. */
dl_status dl_check_shares(dl_tensor *target) {
    double lowest = 0, highest = 0;
    dl_context *context = target->context;
    if (dl_tensor_numel(target) == 0)
        return DL_OK;
    dl_tensor *low = dl_min(context, target, 0, NULL, false);
    dl_tensor *high = low ? dl_max(context, target, 0, NULL, false) : NULL;
    DL_TRY(high ? dl_item(low, &lowest) : dl_last_status());
    DL_TRY(dl_item(high, &highest));
    if (lowest < 0 || highest > 1)
        return dl_fail(DL_INVALID, "needs targets from 0 (no) to 1 (yes), got values from %g to %g; subtract 1 from "
                       "labels 1 and 2, and for more classes there is sparse_categorical_crossentropy",
                       lowest, highest);
    return DL_OK;
}

static dl_tensor *call_binary_crossentropy(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                           dl_tensor **mask) {
    (void)mask;
    const dl_crossentropy_options *options = DL_OPTIONS(loss, dl_crossentropy_options);
    dl_context *context = prediction->context;
    bool from_logits = options->from_logits;
    dl_tensor *scores = dl_scores_of(prediction, &dl_activation_sigmoid, &from_logits);
    if (dl_match_target(&target, &scores) != DL_OK || dl_check_shares(target) != DL_OK)
        return NULL;
    if (options->label_smoothing != 0)
        target = dl_add_number(context, dl_mul_number(context, target, 1 - options->label_smoothing),
                               0.5 * options->label_smoothing);
    dl_tensor *losses = from_logits ? dl_binary_cross_entropy_with_logits(context, scores, target, DL_REDUCTION_NONE)
                                    : dl_binary_cross_entropy(context, scores, target, DL_REDUCTION_NONE);
    return dl_mean_along(losses, options->axis);
}

/* The tensor with the axis of the classes made the last. */
static dl_tensor *classes_last(dl_tensor *x, int64_t axis) {
    return axis == -1 || axis == x->dims - 1 ? x : dl_transpose(x->context, x, axis, -1);
}

/* Targets of one number a sample are labels, most likely. */
static dl_status check_distributions(const dl_tensor *target, const dl_tensor *scores) {
    bool few = target->dims < scores->dims ||
               (target->dims == scores->dims && target->dims > 0 && target->shape[target->dims - 1] == 1);
    if (!few || dl_tensor_same_shape(target, scores))
        return dl_check_same_shape(target, scores);
    return dl_fail(DL_SHAPE, "needs targets of the predictions' shape %s, got %s; for labels there is "
                   "sparse_categorical_crossentropy, and one_hot makes distributions of them",
                   dl_tensor_text(scores).at, dl_tensor_text(target).at);
}

static dl_tensor *call_categorical_crossentropy(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                                dl_tensor **mask) {
    (void)mask;
    const dl_crossentropy_options *options = DL_OPTIONS(loss, dl_crossentropy_options);
    dl_context *context = prediction->context;
    bool from_logits = options->from_logits;
    dl_tensor *scores = dl_scores_of(prediction, &dl_activation_softmax, &from_logits);
    if (check_distributions(target, scores) != DL_OK)
        return NULL;
    target = dl_to(context, target, scores->dtype);
    if (!target)
        return NULL;
    target = classes_last(target, options->axis);
    scores = classes_last(scores, options->axis);
    return from_logits ? dl_softmax_cross_entropy_probabilities(context, scores, target, options->label_smoothing)
                       : dl_categorical_cross_entropy(context, scores, target, options->label_smoothing);
}

dl_tensor *dl_whole_labels(dl_tensor *target) {
    double any = 0;
    dl_context *context = target->context;
    dl_tensor *labels = dl_to(context, target, DL_INT64);
    if (!labels || !dl_dtype_is_float(target->dtype))
        return labels;
    dl_tensor *same = dl_to(context, labels, target->dtype);
    dl_tensor *broken = same ? dl_any(context, dl_ne(context, same, target), 0, NULL, false) : NULL;
    if (!broken || dl_item(broken, &any) != DL_OK)
        return NULL;
    if (any != 0) {
        dl_fail(DL_INVALID, "needs whole numbers as labels, from 1 to the number of classes, got targets with others");
        return NULL;
    }
    return labels;
}

/* Labels in the shape of the samples: without a dimension of 1 where the scores have the classes; whole numbers. */
static dl_tensor *labels_of(dl_tensor *target, const dl_tensor *scores, int64_t axis) {
    dl_context *context = scores->context;
    if (dl_dtype_is_float(target->dtype) || target->dtype == DL_BOOLEAN)
        target = dl_whole_labels(target);
    if (target && target->dims == scores->dims) {
        int place = (int)(axis < 0 ? axis + target->dims : axis);
        if (place >= 0 && place < target->dims && target->shape[place] == 1)
            target = dl_squeeze(context, target, place);
    }
    return target;
}

/* The labels must have the scores' shape without the classes (which are last in `scores`). */
static dl_status check_labels(const dl_tensor *labels, const dl_tensor *scores) {
    if (dl_shape_equal(labels->dims, labels->shape, scores->dims - 1, scores->shape))
        return DL_OK;
    return dl_fail(DL_SHAPE, "needs one label a sample for predictions %s, got targets %s%s",
                   dl_tensor_text(scores).at, dl_tensor_text(labels).at,
                   dl_tensor_same_shape(labels, scores) ? "; for targets with one number a class there is "
                                                          "categorical_crossentropy"
                                                        : "");
}

static dl_tensor *not_ignored(dl_tensor *labels, int64_t ignore_class) {
    dl_tensor *ignored = dl_scalar(labels->context, labels->dtype, (double)ignore_class);
    return dl_ne(labels->context, labels, ignored);
}

static dl_tensor *call_sparse_categorical_crossentropy(const dl_object *loss, dl_tensor *target,
                                                       dl_tensor *prediction, dl_tensor **mask) {
    const dl_crossentropy_options *options = DL_OPTIONS(loss, dl_crossentropy_options);
    dl_context *context = prediction->context;
    bool from_logits = options->from_logits;
    dl_tensor *scores = dl_scores_of(prediction, &dl_activation_softmax, &from_logits);
    if (scores->dims == 0) {
        dl_fail(DL_SHAPE, "predictions must have the classes as a dimension, got {}");
        return NULL;
    }
    dl_tensor *labels = labels_of(target, scores, options->axis);
    scores = classes_last(scores, options->axis);
    if (!labels || !scores || check_labels(labels, scores) != DL_OK)
        return NULL;
    if (options->ignore_class != DL_NONE) {
        *mask = not_ignored(labels, options->ignore_class);
        if (!*mask)
            return NULL;
    }
    if (!from_logits)
        return dl_sparse_categorical_cross_entropy(context, scores, labels, options->ignore_class);
    dl_softmax_cross_entropy_options fused;
    dl_options_init(&dl_op_softmax_cross_entropy.definition, &fused, sizeof fused);
    fused.ignore_class = options->ignore_class;
    return dl_softmax_cross_entropy(context, scores, labels, &fused);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field huber_fields[] = {
    DL_REAL(dl_huber_options, delta, 1.0, 0.0, DL_HIGHEST, DL_OPEN_MIN, "where the square turns into a line"),
    REDUCTION(dl_huber_options), LOSS_NAME(dl_huber_options, "huber_loss"), DL_END};

#define FROM_LOGITS DL_BOOL(dl_crossentropy_options, from_logits, false, 0, "the predictions are logits")
#define LABEL_SMOOTHING                                                                                                \
    DL_REAL(dl_crossentropy_options, label_smoothing, 0.0, 0.0, 1.0, 0, "how far targets are drawn to the even share")
#define AXIS DL_INT(dl_crossentropy_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of classes")

static const dl_field binary_crossentropy_fields[] = {
    FROM_LOGITS, LABEL_SMOOTHING, AXIS, REDUCTION(dl_crossentropy_options),
    LOSS_NAME(dl_crossentropy_options, "binary_crossentropy"), DL_END};
static const dl_field categorical_crossentropy_fields[] = {
    FROM_LOGITS, LABEL_SMOOTHING, AXIS, REDUCTION(dl_crossentropy_options),
    LOSS_NAME(dl_crossentropy_options, "categorical_crossentropy"), DL_END};
static const dl_field sparse_categorical_crossentropy_fields[] = {
    FROM_LOGITS,
    DL_INT(dl_crossentropy_options, ignore_class, DL_NONE, 0, DL_HIGHEST, DL_NONE_OK,
           "label whose samples do not count; 0 is no class"),
    REDUCTION(dl_crossentropy_options), AXIS, LOSS_NAME(dl_crossentropy_options, "sparse_categorical_crossentropy"),
    DL_END};

DEFINE_PLAIN_LOSS(mean_squared_error, "MeanSquaredError", "mean_squared_error|mse|MSE", "mean_squared_error",
                  "Mean of squared errors.", "mean((y - p)^2)", SAME_SHAPE)
DEFINE_PLAIN_LOSS(mean_absolute_error, "MeanAbsoluteError", "mean_absolute_error|mae|MAE", "mean_absolute_error",
                  "Mean of absolute errors.", "mean(|y - p|)", SAME_SHAPE)
DEFINE_LOSS(huber, "Huber", "huber|huber_loss", dl_huber_options, "Squares near zero, lines further off.",
            "mean(e^2 / 2 if |e| <= delta, else delta |e| - delta^2 / 2), e = y - p", SAME_SHAPE)
DEFINE_LOSS(binary_crossentropy, "BinaryCrossentropy", "binary_crossentropy|bce|BCE", dl_crossentropy_options,
            "Cross-entropy of yes-or-no targets (0 or 1).", "-mean(y ln p + (1 - y) ln(1 - p))", SAME_SHAPE)
DEFINE_LOSS(categorical_crossentropy, "CategoricalCrossentropy", "categorical_crossentropy", dl_crossentropy_options,
            "Cross-entropy of targets with one number a class.", "-sum(y ln p)",
            "targets and predictions (N, ..., K) -> (N, ...)")
DEFINE_LOSS(sparse_categorical_crossentropy, "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy",
            dl_crossentropy_options, "Cross-entropy of labels 1..K.", "-ln p[label]",
            "labels (N, ...), predictions (N, ..., K) -> (N, ...)")
