/* nn/losses_distributions.c: losses of distributions, margins and relative errors, focal cross-entropies, and CTC.
 * Keras's formulas; its epsilon is 1e-7. */
#include <math.h>

#include "nn/losses.h"

#define EPSILON 1e-7

/* A loss of target and prediction alone: matched, then computed by `compute`. */
#define CALL(symbol)                                                                                                   \
    static dl_tensor *call_##symbol(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,                   \
                                    dl_tensor **mask) {                                                                \
        (void)loss;                                                                                                    \
        (void)mask;                                                                                                    \
        return dl_match_target(&target, &prediction) == DL_OK ? symbol(prediction->context, target, prediction)        \
                                                               : NULL;                                                 \
    }

/* ---- distributions ----------------------------------------------------------------------------------------------- */

static dl_tensor *kl_divergence(dl_context *context, dl_tensor *y, dl_tensor *p) {
    int64_t last = -1;
    y = dl_clamp(context, y, EPSILON, 1);
    p = dl_clamp(context, p, EPSILON, 1);
    return dl_sum(context, dl_mul(context, y, dl_ln(context, dl_div(context, y, p))), 1, &last, false);
}
CALL(kl_divergence)

static dl_tensor *poisson(dl_context *context, dl_tensor *y, dl_tensor *p) {
    dl_tensor *log = dl_ln(context, dl_add_number(context, p, EPSILON));
    return dl_mean_along(dl_sub(context, p, dl_mul(context, y, log)), -1);
}
CALL(poisson)

/* ---- margins ----------------------------------------------------------------------------------------------------- */

/* Targets of -1 and 1; those that are all 0 or 1 are turned into them. */
static dl_tensor *signs(dl_context *context, dl_tensor *y) {
    double binary = 0;
    dl_tensor *zero = dl_eq(context, y, dl_scalar(context, y->dtype, 0));
    dl_tensor *one = dl_eq(context, y, dl_scalar(context, y->dtype, 1));
    dl_tensor *all = zero && one ? dl_all(context, dl_maximum(context, zero, one), 0, NULL, false) : NULL;
    if (!all || dl_item(all, &binary) != DL_OK)
        return NULL;
    return binary ? dl_sub_number(context, dl_mul_number(context, y, 2), 1) : y;
}

/* max(1 - y p, 0) */
static dl_tensor *margins(dl_context *context, dl_tensor *y, dl_tensor *p) {
    dl_tensor *product = dl_mul(context, signs(context, y), p);
    return dl_relu(context, dl_add_number(context, dl_mul_number(context, product, -1), 1));
}

static dl_tensor *hinge(dl_context *context, dl_tensor *y, dl_tensor *p) {
    return dl_mean_along(margins(context, y, p), -1);
}
CALL(hinge)

static dl_tensor *squared_hinge(dl_context *context, dl_tensor *y, dl_tensor *p) {
    return dl_mean_along(dl_square(context, margins(context, y, p)), -1);
}
CALL(squared_hinge)

static dl_tensor *categorical_hinge(dl_context *context, dl_tensor *y, dl_tensor *p) {
    int64_t last = -1;
    dl_tensor *others = dl_sub(context, dl_scalar(context, y->dtype, 1), y);
    dl_tensor *right = dl_sum(context, dl_mul(context, y, p), 1, &last, false);
    dl_tensor *wrong = right ? dl_max(context, dl_mul(context, others, p), 1, &last, false) : NULL;
    return wrong ? dl_relu(context, dl_add_number(context, dl_sub(context, wrong, right), 1)) : NULL;
}
CALL(categorical_hinge)

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* log(cosh(e)) = e + log(1 + exp(-2 e)) - log 2 */
static dl_tensor *log_cosh(dl_context *context, dl_tensor *y, dl_tensor *p) {
    dl_tensor *e = dl_sub(context, p, y);
    dl_tensor *tail = e ? dl_softplus(context, dl_mul_number(context, e, -2)) : NULL;
    return dl_mean_along(dl_sub_number(context, dl_add(context, e, tail), M_LN2), -1);
}
CALL(log_cosh)

static dl_tensor *mean_absolute_percentage_error(dl_context *context, dl_tensor *y, dl_tensor *p) {
    dl_tensor *size = dl_maximum(context, dl_abs(context, y), dl_number(context, EPSILON, p));
    dl_tensor *share = dl_abs(context, dl_div(context, dl_sub(context, y, p), size));
    return dl_mul_number(context, dl_mean_along(share, -1), 100);
}
CALL(mean_absolute_percentage_error)

static dl_tensor *log_above(dl_context *context, dl_tensor *x) {
    dl_tensor *kept = dl_maximum(context, x, dl_number(context, EPSILON, x));
    return dl_ln(context, dl_add_number(context, kept, 1));
}

static dl_tensor *mean_squared_logarithmic_error(dl_context *context, dl_tensor *y, dl_tensor *p) {
    dl_tensor *e = dl_sub(context, log_above(context, p), log_above(context, y));
    return dl_mean_along(dl_square(context, e), -1);
}
CALL(mean_squared_logarithmic_error)

/* Length 1 along the axis; Keras's floor for the sum of squares is epsilon squared. */
static dl_tensor *unit(dl_tensor *x, int64_t axis) {
    dl_context *context = x->context;
    dl_tensor *squares = dl_sum(context, dl_square(context, x), 1, &axis, true);
    dl_tensor *least = squares ? dl_maximum(context, squares, dl_number(context, 1e-12, x)) : NULL;
    return least ? dl_mul(context, x, dl_rsqrt(context, least)) : NULL;
}

static dl_tensor *call_cosine_similarity(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                         dl_tensor **mask) {
    int64_t axis = DL_OPTIONS(loss, dl_axis_loss_options)->axis;
    (void)mask;
    if (dl_match_target(&target, &prediction) != DL_OK)
        return NULL;
    dl_context *context = prediction->context;
    dl_tensor *product = dl_mul(context, unit(target, axis), unit(prediction, axis));
    return product ? dl_mul_number(context, dl_sum(context, product, 1, &axis, false), -1) : NULL;
}

/* ---- focal cross-entropies --------------------------------------------------------------------------------------- */

/* (1 - p)^gamma */
static dl_tensor *focus(dl_context *context, dl_tensor *p, double gamma) {
    return dl_pow_number(context, dl_add_number(context, dl_mul_number(context, p, -1), 1), gamma);
}

/* a y + b (1 - y), for numbers a and b. */
static dl_tensor *between(dl_context *context, dl_tensor *y, double a, double b) {
    return dl_add_number(context, dl_mul_number(context, y, a - b), b);
}

static dl_tensor *call_binary_focal_crossentropy(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                                 dl_tensor **mask) {
    const dl_focal_options *options = DL_OPTIONS(loss, dl_focal_options);
    (void)mask;
    if (dl_match_target(&target, &prediction) != DL_OK || dl_check_shares(target) != DL_OK)
        return NULL;
    dl_context *context = prediction->context;
    dl_tensor *y = target;
    if (options->label_smoothing != 0)
        y = between(context, y, 1 - options->label_smoothing / 2, options->label_smoothing / 2);
    dl_tensor *p = options->from_logits ? dl_sigmoid(context, prediction) : prediction;
    dl_tensor *losses = dl_binary_cross_entropy(context, p, y, DL_REDUCTION_NONE);
    dl_tensor *no = dl_mul(context, between(context, y, 0, 1), between(context, p, 0, 1));
    dl_tensor *right = dl_add(context, dl_mul(context, y, p), no);
    losses = right ? dl_mul(context, focus(context, right, options->gamma), losses) : NULL;
    if (options->apply_class_balancing)
        losses = dl_mul(context, between(context, y, options->alpha, 1 - options->alpha), losses);
    return dl_mean_along(losses, options->axis);
}

static dl_tensor *call_categorical_focal_crossentropy(const dl_object *loss, dl_tensor *target, dl_tensor *prediction,
                                                      dl_tensor **mask) {
    const dl_focal_options *options = DL_OPTIONS(loss, dl_focal_options);
    int64_t axis = options->axis;
    (void)mask;
    if (dl_match_target(&target, &prediction) != DL_OK)
        return NULL;
    dl_context *context = prediction->context;
    double classes = (double)target->shape[target->dims - 1];
    dl_tensor *y = target;
    if (options->label_smoothing != 0)
        y = dl_add_number(context, dl_mul_number(context, y, 1 - options->label_smoothing),
                          options->label_smoothing / classes);
    dl_tensor *p = options->from_logits ? dl_softmax(context, prediction, axis) : prediction;
    dl_tensor *sum = p ? dl_sum(context, p, 1, &axis, true) : NULL;
    p = sum ? dl_clamp(context, dl_div(context, p, sum), EPSILON, 1 - EPSILON) : NULL;
    dl_tensor *weight = p ? dl_mul_number(context, focus(context, p, options->gamma), -options->alpha) : NULL;
    dl_tensor *losses = weight ? dl_mul(context, weight, dl_mul(context, y, dl_ln(context, p))) : NULL;
    return losses ? dl_sum(context, losses, 1, &axis, false) : NULL;
}

/* ---- CTC --------------------------------------------------------------------------------------------------------- */

static dl_tensor *call_ctc(const dl_object *loss, dl_tensor *target, dl_tensor *prediction, dl_tensor **mask) {
    (void)loss;
    (void)mask;
    dl_context *context = prediction->context;
    if (dl_dtype_is_float(target->dtype))
        target = dl_to(context, target, DL_INT64);
    return target ? dl_ctc_loss(context, dl_log_softmax(context, prediction, -1), target) : NULL;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field cosine_similarity_fields[] = {
    DL_INT(dl_axis_loss_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of the vectors"),
    REDUCTION(dl_axis_loss_options), LOSS_NAME(dl_axis_loss_options, "cosine_similarity"), DL_END};

#define FOCAL                                                                                                          \
    DL_REAL(dl_focal_options, alpha, 0.25, 0.0, 1.0, 0, "weight of the classes"),                                      \
    DL_REAL(dl_focal_options, gamma, 2.0, 0.0, DL_HIGHEST, 0, "how little what is right already counts"),              \
    DL_BOOL(dl_focal_options, from_logits, false, 0, "the predictions are logits"),                                    \
    DL_REAL(dl_focal_options, label_smoothing, 0.0, 0.0, 1.0, 0, "how far targets are drawn to the even share"),       \
    DL_INT(dl_focal_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of classes"),                \
    REDUCTION(dl_focal_options)

static const dl_field binary_focal_crossentropy_fields[] = {
    DL_BOOL(dl_focal_options, apply_class_balancing, false, 0, "weigh yes by alpha and no by 1 - alpha"),
    FOCAL, LOSS_NAME(dl_focal_options, "binary_focal_crossentropy"), DL_END};
static const dl_field categorical_focal_crossentropy_fields[] = {
    FOCAL, LOSS_NAME(dl_focal_options, "categorical_focal_crossentropy"), DL_END};

DEFINE_PLAIN_LOSS(kl_divergence, "KLDivergence", "kl_divergence|kullback_leibler_divergence|kld|KLD", "kl_divergence",
                  "How far a distribution is from the target.", "sum(y ln(y / p))", SAME_SHAPE)
DEFINE_PLAIN_LOSS(poisson, "Poisson", "poisson", "poisson", "For counts, which are Poisson distributed.",
                  "mean(p - y ln p)", SAME_SHAPE)
DEFINE_PLAIN_LOSS(hinge, "Hinge", "hinge", "hinge",
                  "How far scores are from the right side of a margin; targets are -1 and 1 (or 0 and 1).",
                  "mean(max(1 - y p, 0))", SAME_SHAPE)
DEFINE_PLAIN_LOSS(squared_hinge, "SquaredHinge", "squared_hinge", "squared_hinge", "The square of hinge.",
                  "mean(max(1 - y p, 0)^2)", SAME_SHAPE)
DEFINE_PLAIN_LOSS(categorical_hinge, "CategoricalHinge", "categorical_hinge", "categorical_hinge",
                  "How far the right class's score is above the others', at most 1.",
                  "max(max((1 - y) p) - sum(y p) + 1, 0)", SAME_SHAPE)
DEFINE_PLAIN_LOSS(log_cosh, "LogCosh", "log_cosh|logcosh", "log_cosh", "Squares near zero, lines further off.",
                  "mean(log(cosh(p - y)))", SAME_SHAPE)
DEFINE_PLAIN_LOSS(mean_absolute_percentage_error, "MeanAbsolutePercentageError",
                  "mean_absolute_percentage_error|mape|MAPE", "mean_absolute_percentage_error",
                  "Mean of errors in percent of the target.",
                  "100 mean(|y - p| / max(|y|, epsilon))", SAME_SHAPE)
DEFINE_PLAIN_LOSS(mean_squared_logarithmic_error, "MeanSquaredLogarithmicError",
                  "mean_squared_logarithmic_error|msle|MSLE", "mean_squared_logarithmic_error",
                  "Mean of squared errors of the logarithms.",
                  "mean((log(y + 1) - log(p + 1))^2)", SAME_SHAPE)
DEFINE_LOSS(cosine_similarity, "CosineSimilarity", "cosine_similarity", dl_axis_loss_options,
            "Minus the cosine of the angle between target and prediction.", "-sum(y / |y| * p / |p|)", SAME_SHAPE)
DEFINE_LOSS(binary_focal_crossentropy, "BinaryFocalCrossentropy", "binary_focal_crossentropy", dl_focal_options,
            "Binary cross-entropy in which what is right already counts little.", "-mean((1 - p_t)^gamma ln p_t)",
            SAME_SHAPE)
DEFINE_LOSS(categorical_focal_crossentropy, "CategoricalFocalCrossentropy", "categorical_focal_crossentropy",
            dl_focal_options, "Cross-entropy in which what is right already counts little (Lin et al. 2017).",
            "-sum(alpha (1 - p)^gamma y ln p)", "targets and predictions (N, ..., K) -> (N, ...)")
DEFINE_PLAIN_LOSS(ctc, "CTC", "ctc", "ctc",
                  "For rows of labels without their places (Graves et al. 2006). Predictions are logits of "
                  "classes + 1 scores a step, the first of them the blank's; label 0 is padding.",
                  "-log P(labels)", "labels (N, L), predictions (N, T, classes + 1) -> (N)")
