/* nn/metrics_losses.c: metrics that are means of losses, or a function of such a mean. */
#include <math.h>

#include "nn/metrics.h"

/* A mean of the loss of this name, whose options are the common ones. */
#define MEAN_OF_LOSS(symbol, loss, name_, aliases_, default_name, help_)                                               \
    static dl_status add_##symbol(const dl_object *metric, dl_tensor *target, dl_tensor *prediction,                   \
                                  dl_tensor *weights, double *sums) {                                                  \
        dl_loss_options options = {0};                                                                                 \
        return dl_add_loss_mean(&dl_loss_##loss, metric, &options, target, prediction, weights, sums);                 \
    }                                                                                                                  \
    static const dl_field symbol##_fields[] = {METRIC_NAME(dl_plain_metric_options, default_name), DL_END};            \
    const dl_metric_def dl_metric_##symbol = {                                                                         \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_, .fields = symbol##_fields,     \
                       .options_size = sizeof(dl_plain_metric_options)},                                               \
        .size = dl_mean_metric_size, .add = add_##symbol, .result = dl_mean_metric_result};

MEAN_OF_LOSS(kl_divergence, kl_divergence, "KLDivergence", "kl_divergence|kullback_leibler_divergence|kld|KLD",
             "kl_divergence", "Mean of how far distributions are from the targets.")
MEAN_OF_LOSS(poisson, poisson, "Poisson", "poisson", "poisson", "Mean loss of counts.")
MEAN_OF_LOSS(hinge, hinge, "Hinge", "hinge", "hinge", "Mean hinge loss.")
MEAN_OF_LOSS(squared_hinge, squared_hinge, "SquaredHinge", "squared_hinge", "squared_hinge", "Mean squared hinge loss.")
MEAN_OF_LOSS(categorical_hinge, categorical_hinge, "CategoricalHinge", "categorical_hinge", "categorical_hinge",
             "Mean categorical hinge loss.")
MEAN_OF_LOSS(log_cosh_error, log_cosh, "LogCoshError", "logcosh|log_cosh", "logcosh", "Mean of log(cosh(error)).")
MEAN_OF_LOSS(mean_absolute_percentage_error, mean_absolute_percentage_error, "MeanAbsolutePercentageError",
             "mean_absolute_percentage_error|mape|MAPE", "mean_absolute_percentage_error",
             "Mean of errors in percent of the targets.")
MEAN_OF_LOSS(mean_squared_logarithmic_error, mean_squared_logarithmic_error, "MeanSquaredLogarithmicError",
             "mean_squared_logarithmic_error|msle|MSLE", "mean_squared_logarithmic_error",
             "Mean of squared errors of the logarithms.")

/* ---- cosine similarity, root of a mean, perplexity --------------------------------------------------------------- */

/* The loss is minus the cosine. */
static dl_status add_cosine(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                            double *sums) {
    dl_axis_loss_options options = {.axis = DL_OPTIONS(metric, dl_axis_metric_options)->axis};
    double negative[2] = {0, 0};
    DL_TRY(dl_add_loss_mean(&dl_loss_cosine_similarity, metric, &options, target, prediction, weights, negative));
    sums[0] -= negative[0];
    sums[1] += negative[1];
    return DL_OK;
}

static const dl_field cosine_fields[] = {
    METRIC_NAME(dl_axis_metric_options, "cosine_similarity"),
    DL_INT(dl_axis_metric_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension of the vectors"),
    DL_END};

const dl_metric_def dl_metric_cosine_similarity = {
    .definition = {.name = "CosineSimilarity", .aliases = "cosine_similarity", .version = 1,
                   .help = "Mean cosine of the angle between targets and predictions.", .fields = cosine_fields,
                   .options_size = sizeof(dl_axis_metric_options)},
    .size = dl_mean_metric_size, .add = add_cosine, .result = dl_mean_metric_result};

static dl_status add_squares(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                             double *sums) {
    dl_loss_options options = {0};
    return dl_add_loss_mean(&dl_loss_mean_squared_error, metric, &options, target, prediction, weights, sums);
}

static double root_result(const dl_object *metric, const double *sums) {
    return sqrt(dl_mean_metric_result(metric, sums));
}

static const dl_field root_fields[] = {METRIC_NAME(dl_plain_metric_options, "root_mean_squared_error"), DL_END};

const dl_metric_def dl_metric_root_mean_squared_error = {
    .definition = {.name = "RootMeanSquaredError", .aliases = "root_mean_squared_error|rmse|RMSE", .version = 1,
                   .help = "Root of the mean of squared errors.", .fields = root_fields,
                   .options_size = sizeof(dl_plain_metric_options)},
    .size = dl_mean_metric_size, .add = add_squares, .result = root_result};

/* The weights of labels (N, ...): those given, in the labels' shape, without those of the ignored class. */
static dl_status label_weights(const dl_object *metric, dl_tensor *labels, dl_tensor *weights, dl_dtype dtype,
                               dl_tensor **out) {
    int64_t ignored = DL_OPTIONS(metric, dl_perplexity_options)->ignore_class;
    dl_context *context = labels->context;
    dl_tensor *all = weights ? dl_to(context, weights, dtype) : dl_full(context, dtype, 0, NULL, 1);
    while (all && weights && all->dims < labels->dims)
        all = dl_unsqueeze(context, all, -1);
    if (all && ignored != DL_NONE)
        all = dl_mul(context, all, dl_to(context, dl_ne(context, labels, dl_scalar(context, labels->dtype,
                                                                                   (double)ignored)), dtype));
    *out = all ? dl_expand(context, all, labels->dims, labels->shape) : NULL;
    return *out ? DL_OK : dl_last_status();
}

/* Every label counts by itself: the mean is over labels, not over samples. */
static dl_status add_perplexity(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                                double *sums) {
    const dl_perplexity_options *options = DL_OPTIONS(metric, dl_perplexity_options);
    dl_crossentropy_options loss_options = {.from_logits = options->from_logits, .axis = -1,
                                            .ignore_class = options->ignore_class};
    dl_object loss = {.family = &dl_loss_family, .definition = &dl_loss_sparse_categorical_crossentropy.definition,
                      .context = metric->context, .references = 1, .options = &loss_options};
    dl_context *context = metric->context;
    dl_tensor *mask = NULL;
    dl_tensor *losses = dl_loss_sparse_categorical_crossentropy.call(&loss, target, prediction, &mask);
    if (losses && target->dims == losses->dims + 1)
        target = dl_squeeze(context, target, -1);
    if (!losses || !target)
        return dl_last_status();
    dl_tensor *all;
    DL_TRY(label_weights(metric, target, weights, losses->dtype, &all));
    dl_tensor *total = dl_sum_all(context, dl_mul(context, losses, all));
    dl_tensor *count = total ? dl_sum_all(context, all) : NULL;
    double sum = 0;
    DL_TRY(count ? dl_item(total, &sum) : dl_last_status());
    sums[0] += sum;
    DL_TRY(dl_item(count, &sum));
    sums[1] += sum;
    return DL_OK;
}

static double perplexity_result(const dl_object *metric, const double *sums) {
    return sums[1] != 0 ? exp(dl_mean_metric_result(metric, sums)) : 0;
}

static const dl_field perplexity_fields[] = {
    DL_BOOL(dl_perplexity_options, from_logits, false, 0, "the predictions are logits"),
    DL_INT(dl_perplexity_options, ignore_class, DL_NONE, 0, DL_HIGHEST, DL_NONE_OK,
           "label that does not count; 0 is padding"),
    METRIC_NAME(dl_perplexity_options, "perplexity"), DL_END};

const dl_metric_def dl_metric_perplexity = {
    .definition = {.name = "Perplexity", .aliases = "perplexity", .version = 1,
                   .help = "How many labels a model hesitates between: e to the power of the mean cross-entropy.",
                   .formula = "exp(mean(-ln p[label]))", .fields = perplexity_fields,
                   .options_size = sizeof(dl_perplexity_options)},
    .size = dl_mean_metric_size, .add = add_perplexity, .result = perplexity_result};
