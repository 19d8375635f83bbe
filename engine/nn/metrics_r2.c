/* nn/metrics_r2.c: R2Score: the share of the targets' variance that predictions explain. sums: of squares, of targets,
 * of squared errors and of weights, for each column; then the number of numbers. */
#include <math.h>

#include "nn/metrics.h"

enum { UNIFORM_AVERAGE, VARIANCE_WEIGHTED_AVERAGE };

static int64_t no_size(const dl_object *metric) {
    (void)metric;
    return 0;
}

static int64_t size_for(const dl_object *metric, const dl_tensor *prediction) {
    (void)metric;
    return 4 * (prediction->dims > 1 ? prediction->shape[prediction->dims - 1] : 1) + 1;
}

static int64_t columns_of(const dl_object *metric) {
    return ((const dl_metric *)metric)->size / 4;
}

static dl_status add(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                     double *sums) {
    dl_metric_rows rows;
    (void)metric;
    DL_TRY(dl_read_rows(target, prediction, weights, &rows));
    for (int64_t r = 0; r < rows.rows; r++)
        for (int64_t c = 0; c < rows.columns; c++) {
            double y = rows.target[r * rows.columns + c];
            double error = y - rows.prediction[r * rows.columns + c];
            double weight = rows.weights ? rows.weights[r] : 1;
            sums[c] += weight * y * y;
            sums[rows.columns + c] += weight * y;
            sums[2 * rows.columns + c] += weight * error * error;
            sums[3 * rows.columns + c] += weight;
        }
    sums[4 * rows.columns] += (double)(rows.rows * rows.columns);
    return DL_OK;
}

static double variance(const double *sums, int64_t columns, int64_t c) {
    return sums[c] - sums[columns + c] * (sums[columns + c] / sums[3 * columns + c]);
}

static double score(const double *sums, int64_t columns, int64_t c) {
    double raw = 1 - sums[2 * columns + c] / variance(sums, columns, c);
    return isinf(raw) ? 0 : raw;
}

/* With regressors: what chance would explain is taken off. */
static double adjusted(const dl_object *metric, const double *sums, double r2) {
    double regressors = (double)DL_OPTIONS(metric, dl_r2_score_options)->num_regressors;
    double samples = ((const dl_metric *)metric)->size > 0 ? sums[4 * columns_of(metric)] : 0;
    if (regressors == 0 || regressors >= samples - 1)
        return r2;
    return 1 - (1 - r2) * (samples - 1) / (samples - regressors - 1);
}

static void values(const dl_object *metric, const double *sums, double *out) {
    for (int64_t c = 0; c < columns_of(metric); c++)
        out[c] = adjusted(metric, sums, score(sums, columns_of(metric), c));
}

static double result(const dl_object *metric, const double *sums) {
    bool weighted = DL_OPTIONS(metric, dl_r2_score_options)->class_aggregation == VARIANCE_WEIGHTED_AVERAGE;
    int64_t columns = columns_of(metric);
    double sum = 0;
    double weights = 0;
    for (int64_t c = 0; c < columns; c++) {
        double weight = weighted ? variance(sums, columns, c) : 1;
        sum += weight * score(sums, columns, c);
        weights += weight;
    }
    return columns > 0 && sums[4 * columns] > 0 ? adjusted(metric, sums, sum / weights) : 0;
}

static int shape(const dl_object *metric, int64_t sizes[2]) {
    sizes[0] = columns_of(metric);
    return DL_OPTIONS(metric, dl_r2_score_options)->class_aggregation < 0 ? 1 : 0;
}

static const dl_field fields[] = {
    DL_ENUM(dl_r2_score_options, class_aggregation, "uniform_average", "uniform_average|variance_weighted_average",
            DL_NONE_OK, "of the columns to one number; none: a score for each"),
    DL_INT(dl_r2_score_options, num_regressors, 0, 0, DL_HIGHEST, 0, "variables of the model, for the adjusted score"),
    METRIC_NAME(dl_r2_score_options, "r2_score"), DL_END};

const dl_metric_def dl_metric_r2_score = {
    .definition = {.name = "R2Score", .aliases = "r2_score", .version = 1,
                   .help = "Share of the targets' variance that the predictions explain.",
                   .formula = "1 - sum((y - p)^2) / sum((y - mean(y))^2)", .fields = fields,
                   .options_size = sizeof(dl_r2_score_options)},
    .size = no_size, .size_for = size_for, .add = add, .result = result, .shape = shape, .values = values};
