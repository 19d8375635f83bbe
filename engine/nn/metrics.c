/* nn/metrics.c: metrics that are weighted means: sums[0] of the values, sums[1] of their weights. */
#include <math.h>
#include <string.h>

#include "nn/losses.h"
#include "nn/metrics.h"

/* ---- means ------------------------------------------------------------------------------------------------------- */

int64_t dl_mean_metric_size(const dl_object *metric) {
    (void)metric;
    return 2;
}

double dl_mean_metric_result(const dl_object *metric, const double *sums) {
    (void)metric;
    return sums[1] != 0 ? sums[0] / sums[1] : 0;
}

static dl_status add_sum(dl_tensor *values, double scale, double *sum) {
    double total = 0;
    dl_tensor *all = dl_sum_all(values->context, values);
    DL_TRY(all ? dl_item(all, &total) : dl_last_status());
    *sum += total * scale;
    return DL_OK;
}

dl_status dl_add_mean(dl_tensor *values, dl_tensor *weights, double *sums) {
    if (!values)
        return dl_last_status();
    dl_context *context = values->context;
    dl_dtype weighted = weights && weights->dtype == DL_FLOAT64 ? DL_FLOAT64 : DL_FLOAT32;
    values = dl_to(context, values, dl_dtype_is_float(values->dtype) ? values->dtype : weighted);
    if (weights) {
        weights = dl_to(context, weights, values ? values->dtype : DL_FLOAT32);
        if (!values || !weights)
            return dl_last_status();
        DL_TRY(dl_match_ranks(context, &values, &weights));
        int64_t dims[DL_MAX_DIMS];
        int extra = 0;
        for (int i = weights->dims; i < values->dims; i++)
            dims[extra++] = i;
        if (extra > 0)
            values = dl_mean(context, values, extra, dims, false);
        weights = values ? dl_expand(context, weights, values->dims, values->shape) : NULL;
        values = dl_mul(context, values, weights);
    }
    if (!values || dl_tensor_numel(values) == 0)
        return values ? DL_OK : dl_last_status();
    double samples = values->dims > 0 ? (double)values->shape[0] : 1;
    double scale = samples / (double)dl_tensor_numel(values);
    DL_TRY(add_sum(values, scale, &sums[0]));
    if (weights)
        return add_sum(weights, scale, &sums[1]);
    sums[1] += samples;
    return DL_OK;
}

static dl_status add_mean_of_values(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                    dl_tensor *weights, double *sums) {
    (void)metric;
    (void)target;
    return dl_add_mean(prediction, weights, sums);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static const double *as_doubles(dl_tensor *x) {
    dl_tensor *dense = x ? dl_clone(x->context, dl_to(x->context, x, DL_FLOAT64)) : NULL;
    return dense ? dl_tensor_data(dense) : NULL;
}

/* The weights of samples, (N) or (N, 1) or one a row, as one a row. */
static dl_tensor *row_weights(dl_tensor *weights, const dl_tensor *prediction) {
    int dims = DL_MAX(prediction->dims - 1, 1);
    while (weights && weights->dims < dims)
        weights = dl_unsqueeze(weights->context, weights, -1);
    if (weights && weights->dims == dims + 1)
        weights = dl_squeeze(weights->context, weights, -1);
    return weights ? dl_expand(weights->context, weights, dims, prediction->shape) : NULL;
}

dl_status dl_read_rows(dl_tensor *target, dl_tensor *prediction, dl_tensor *weights, dl_metric_rows *out) {
    DL_TRY(dl_match_ranks(prediction->context, &target, &prediction));
    DL_TRY(dl_check_same_shape(target, prediction));
    if (prediction->dims == 0)
        return dl_fail(DL_SHAPE, "needs predictions of 1 or more dimensions");
    *out = (dl_metric_rows){.columns = prediction->dims > 1 ? prediction->shape[prediction->dims - 1] : 1};
    out->rows = out->columns ? dl_tensor_numel(prediction) / out->columns : 0;
    out->target = as_doubles(target);
    out->prediction = as_doubles(prediction);
    if (weights)
        out->weights = as_doubles(row_weights(weights, prediction));
    return out->target && out->prediction && (out->weights || !weights) ? DL_OK : dl_last_status();
}

/* ---- accuracies -------------------------------------------------------------------------------------------------- */

static dl_status add_accuracy(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                              double *sums) {
    (void)metric;
    dl_context *context = prediction->context;
    DL_TRY(dl_match_ranks(context, &target, &prediction));
    DL_TRY(dl_check_same_shape(target, prediction));
    return dl_add_mean(dl_eq(context, target, prediction), weights, sums);
}

static dl_status add_binary(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                            double threshold, double *sums) {
    (void)metric;
    dl_context *context = prediction->context;
    DL_TRY(dl_match_ranks(context, &target, &prediction));
    DL_TRY(dl_check_same_shape(target, prediction));
    dl_tensor *limit = dl_scalar(context, prediction->dtype, threshold);
    dl_tensor *yes = dl_gt(context, prediction, limit);
    return dl_add_mean(dl_eq(context, target, yes ? dl_to(context, yes, target->dtype) : NULL), weights, sums);
}

static dl_status add_binary_accuracy(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                     dl_tensor *weights, double *sums) {
    double threshold = DL_OPTIONS(metric, dl_binary_accuracy_options)->threshold;
    return add_binary(metric, target, prediction, weights, threshold, sums);
}

/* Labels with the shape of the samples of scores (N, ..., K). */
static dl_status match_labels(dl_tensor **labels, const dl_tensor *scores) {
    dl_context *context = scores->context;
    if (scores->dims == 0)
        return dl_fail(DL_SHAPE, "needs predictions with the classes as the last dimension, got {}");
    if ((*labels)->dims == scores->dims && (*labels)->shape[scores->dims - 1] == 1)
        *labels = dl_squeeze(context, *labels, -1);
    if (*labels)
        *labels = dl_whole_labels(*labels);
    if (!*labels)
        return dl_last_status();
    if (dl_shape_equal((*labels)->dims, (*labels)->shape, scores->dims - 1, scores->shape))
        return DL_OK;
    return dl_fail(DL_SHAPE, "needs one label a sample for predictions %s, got targets %s", dl_tensor_text(scores).at,
                   dl_tensor_text(*labels).at);
}

static dl_status add_sparse_accuracy(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                     dl_tensor *weights, double *sums) {
    (void)metric;
    DL_TRY(match_labels(&target, prediction));
    dl_context *context = prediction->context;
    return dl_add_mean(dl_eq(context, target, dl_argmax(context, prediction, -1, false)), weights, sums);
}

static dl_status add_categorical_accuracy(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                          dl_tensor *weights, double *sums) {
    (void)metric;
    dl_context *context = prediction->context;
    DL_TRY(dl_check_same_shape(target, prediction));
    return dl_add_mean(dl_eq(context, dl_argmax(context, target, -1, false), dl_argmax(context, prediction, -1, false)),
                    weights, sums);
}

/* The choice that Keras makes for "accuracy", by the shapes of target and prediction. */
static dl_status add_auto_accuracy(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                   dl_tensor *weights, double *sums) {
    int64_t target_last = target->dims > 0 ? target->shape[target->dims - 1] : 1;
    int64_t prediction_last = prediction->dims > 0 ? prediction->shape[prediction->dims - 1] : 1;
    if (prediction_last == 1 || prediction->dims < 2)
        return add_binary(metric, target, prediction, weights, 0.5, sums);
    if (target->dims < prediction->dims || target_last == 1)
        return add_sparse_accuracy(metric, target, prediction, weights, sums);
    return add_categorical_accuracy(metric, target, prediction, weights, sums);
}

/* 1 where fewer than k scores are above the label's; ties at the border count, as in TensorFlow. */
static dl_status add_top_k(const dl_object *metric, dl_tensor *labels, dl_tensor *scores, dl_tensor *weights,
                           double *sums) {
    dl_context *context = scores->context;
    int64_t k = DL_OPTIONS(metric, dl_top_k_options)->k;
    int64_t last = -1;
    dl_tensor *own = dl_gather(context, scores, -1, dl_unsqueeze(context, labels, -1));
    dl_tensor *above = own ? dl_gt(context, scores, own) : NULL;
    dl_tensor *count = above ? dl_sum(context, dl_to(context, above, DL_INT64), 1, &last, false) : NULL;
    dl_tensor *limit = dl_scalar(context, DL_INT64, (double)k);
    return dl_add_mean(count && limit ? dl_lt(context, count, limit) : NULL, weights, sums);
}

static dl_status add_sparse_top_k(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                  dl_tensor *weights, double *sums) {
    DL_TRY(match_labels(&target, prediction));
    return add_top_k(metric, target, prediction, weights, sums);
}

static dl_status add_categorical_top_k(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                       dl_tensor *weights, double *sums) {
    DL_TRY(dl_check_same_shape(target, prediction));
    dl_tensor *labels = dl_argmax(prediction->context, target, -1, false);
    return labels ? add_top_k(metric, labels, prediction, weights, sums) : dl_last_status();
}

/* ---- means of losses --------------------------------------------------------------------------------------------- */

dl_status dl_add_loss_mean(const dl_loss_def *definition, const dl_object *metric, void *options, dl_tensor *target,
                           dl_tensor *prediction, dl_tensor *weights, double *sums) {
    dl_object loss = {.family = &dl_loss_family, .definition = &definition->definition,
                      .context = metric->context, .references = 1, .options = options};
    dl_tensor *mask = NULL;
    dl_tensor *values = definition->call(&loss, target, prediction, &mask);
    if (values && mask && weights)
        weights = dl_mul(metric->context, weights, dl_to(metric->context, mask, values->dtype));
    return dl_add_mean(values, weights, sums);
}

static dl_status add_mean_squared_error(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                        dl_tensor *weights, double *sums) {
    dl_loss_options options = {0};
    return dl_add_loss_mean(&dl_loss_mean_squared_error, metric, &options, target, prediction, weights, sums);
}

static dl_status add_mean_absolute_error(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                         dl_tensor *weights, double *sums) {
    dl_loss_options options = {0};
    return dl_add_loss_mean(&dl_loss_mean_absolute_error, metric, &options, target, prediction, weights, sums);
}

static dl_crossentropy_options crossentropy_options(const dl_object *metric) {
    const dl_crossentropy_metric_options *options = DL_OPTIONS(metric, dl_crossentropy_metric_options);
    return (dl_crossentropy_options){.from_logits = options->from_logits, .label_smoothing = options->label_smoothing,
                                     .ignore_class = options->ignore_class, .axis = options->axis};
}

#define ADD_CROSSENTROPY(name)                                                                                         \
    static dl_status add_##name(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,                     \
                                dl_tensor *weights, double *sums) {                                                    \
        dl_crossentropy_options options = crossentropy_options(metric);                                                \
        return dl_add_loss_mean(&dl_loss_##name, metric, &options, target, prediction, weights, sums);                 \
    }
ADD_CROSSENTROPY(categorical_crossentropy)
ADD_CROSSENTROPY(sparse_categorical_crossentropy)

/* The metric has no axis. */
static dl_status add_binary_crossentropy(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,
                                         dl_tensor *weights, double *sums) {
    dl_crossentropy_options options = crossentropy_options(metric);
    options.axis = -1;
    return dl_add_loss_mean(&dl_loss_binary_crossentropy, metric, &options, target, prediction, weights, sums);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define FROM_LOGITS DL_BOOL(dl_crossentropy_metric_options, from_logits, false, 0, "the predictions are logits")
#define LABEL_SMOOTHING                                                                                                \
    DL_REAL(dl_crossentropy_metric_options, label_smoothing, 0.0, 0.0, 1.0, 0,                                         \
            "how far targets are drawn to the even share")
#define IGNORE_CLASS                                                                                                   \
    DL_INT(dl_crossentropy_metric_options, ignore_class, DL_NONE, 0, DL_HIGHEST, DL_NONE_OK,                           \
           "label whose samples have loss 0; 0 is no class")
#define AXIS                                                                                                           \
    DL_INT(dl_crossentropy_metric_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of classes")

static const dl_field binary_accuracy_fields[] = {
    METRIC_NAME(dl_binary_accuracy_options, "binary_accuracy"),
    DL_REAL(dl_binary_accuracy_options, threshold, 0.5, DL_LOWEST, DL_HIGHEST, 0, "predictions above it mean yes"),
    DL_END};
static const dl_field top_k_fields[] = {
    DL_INT(dl_top_k_options, k, 5, 1, DL_HIGHEST, 0, "how many of the highest scores count"),
    METRIC_NAME(dl_top_k_options, "top_k_categorical_accuracy"), DL_END};
static const dl_field sparse_top_k_fields[] = {
    DL_INT(dl_top_k_options, k, 5, 1, DL_HIGHEST, 0, "how many of the highest scores count"),
    METRIC_NAME(dl_top_k_options, "sparse_top_k_categorical_accuracy"), DL_END};
static const dl_field binary_crossentropy_fields[] = {
    METRIC_NAME(dl_crossentropy_metric_options, "binary_crossentropy"), FROM_LOGITS, LABEL_SMOOTHING, DL_END};
static const dl_field categorical_crossentropy_fields[] = {
    METRIC_NAME(dl_crossentropy_metric_options, "categorical_crossentropy"), FROM_LOGITS, LABEL_SMOOTHING, AXIS,
    DL_END};
static const dl_field sparse_categorical_crossentropy_fields[] = {
    METRIC_NAME(dl_crossentropy_metric_options, "sparse_categorical_crossentropy"), FROM_LOGITS, IGNORE_CLASS, AXIS,
    DL_END};

#define DEFINE_METRIC(symbol, name_, aliases_, fields_, type, add_, help_)                                             \
    const dl_metric_def dl_metric_##symbol = {                                                                         \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_, .fields = fields_,             \
                       .options_size = sizeof(type)},                                                                  \
        .size = dl_mean_metric_size, .add = add_, .result = dl_mean_metric_result};
/* A metric whose one option is its name. */
#define DEFINE_PLAIN_METRIC(symbol, name_, aliases_, default_name, add_, help_)                                        \
    static const dl_field symbol##_fields[] = {METRIC_NAME(dl_plain_metric_options, default_name), DL_END};            \
    DEFINE_METRIC(symbol, name_, aliases_, symbol##_fields, dl_plain_metric_options, add_, help_)

static const dl_field mean_fields[] = {METRIC_NAME(dl_plain_metric_options, "mean"), DL_END};
const dl_metric_def dl_metric_mean = {
    .definition = {.name = "Mean", .aliases = "mean", .version = 1, .help = "Mean of the values it is given.",
                   .fields = mean_fields, .options_size = sizeof(dl_plain_metric_options)},
    .size = dl_mean_metric_size,
    .add = add_mean_of_values,
    .result = dl_mean_metric_result,
    .values_only = true,
};
DEFINE_PLAIN_METRIC(auto_accuracy, "accuracy", NULL, "accuracy", add_auto_accuracy,
                    "Binary, categorical or sparse categorical accuracy, by the shapes of targets and predictions.")
DEFINE_PLAIN_METRIC(auto_acc, "acc", NULL, "acc", add_auto_accuracy, "The same as accuracy.")
DEFINE_PLAIN_METRIC(accuracy, "Accuracy", NULL, "accuracy", add_accuracy, "How often predictions equal targets.")
DEFINE_METRIC(binary_accuracy, "BinaryAccuracy", "binary_accuracy", binary_accuracy_fields, dl_binary_accuracy_options,
              add_binary_accuracy, "How often predictions above a threshold meet targets of 1, and others of 0.")
DEFINE_PLAIN_METRIC(categorical_accuracy, "CategoricalAccuracy", "categorical_accuracy", "categorical_accuracy",
                    add_categorical_accuracy, "How often the highest prediction is where the highest target is.")
DEFINE_PLAIN_METRIC(sparse_categorical_accuracy, "SparseCategoricalAccuracy", "sparse_categorical_accuracy",
                    "sparse_categorical_accuracy", add_sparse_accuracy,
                    "How often the highest prediction is the label's.")
DEFINE_METRIC(top_k_categorical_accuracy, "TopKCategoricalAccuracy", "top_k_categorical_accuracy", top_k_fields,
              dl_top_k_options, add_categorical_top_k,
              "How often the highest target is among the k highest predictions.")
DEFINE_METRIC(sparse_top_k_categorical_accuracy, "SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy",
              sparse_top_k_fields, dl_top_k_options, add_sparse_top_k,
              "How often the label is among the k highest predictions.")
DEFINE_PLAIN_METRIC(mean_squared_error, "MeanSquaredError", "mean_squared_error|mse|MSE", "mean_squared_error",
                    add_mean_squared_error, "Mean of squared errors.")
DEFINE_PLAIN_METRIC(mean_absolute_error, "MeanAbsoluteError", "mean_absolute_error|mae|MAE", "mean_absolute_error",
                    add_mean_absolute_error, "Mean of absolute errors.")
DEFINE_METRIC(binary_crossentropy, "BinaryCrossentropy", "binary_crossentropy|bce|BCE", binary_crossentropy_fields,
              dl_crossentropy_metric_options, add_binary_crossentropy, "Mean binary cross-entropy.")
DEFINE_METRIC(categorical_crossentropy, "CategoricalCrossentropy", "categorical_crossentropy",
              categorical_crossentropy_fields, dl_crossentropy_metric_options, add_categorical_crossentropy,
              "Mean categorical cross-entropy.")
DEFINE_METRIC(sparse_categorical_crossentropy, "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy",
              sparse_categorical_crossentropy_fields, dl_crossentropy_metric_options,
              add_sparse_categorical_crossentropy, "Mean cross-entropy of labels.")
