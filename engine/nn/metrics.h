/* nn/metrics.h: what the files of metrics share. */
#ifndef DL_NN_METRICS_H
#define DL_NN_METRICS_H

#include "nn/nn.h"

/* A weighted mean: sums[0] of the values, sums[1] of their weights. */
int64_t dl_mean_metric_size(const dl_object *metric);
double dl_mean_metric_result(const dl_object *metric, const double *sums);
/* Adds the values (N, ...) as Keras does: a sample's value is the mean over its other dimensions, times its weight. */
dl_status dl_add_mean(dl_tensor *values, dl_tensor *weights, double *sums);
/* Adds the mean of a loss with these options of its own, which are on the caller's stack: nothing is allocated. */
dl_status dl_add_loss_mean(const dl_loss_def *definition, const dl_object *metric, void *options, dl_tensor *target,
                           dl_tensor *prediction, dl_tensor *weights, double *sums);

/* A batch as plain rows, in the open scope. */
typedef struct dl_metric_rows {
    int64_t rows, columns;                /* columns: the last dimension, 1 of one-dimensional predictions */
    const double *target, *prediction;    /* (rows, columns) */
    const double *weights;                /* (rows); NULL: all 1 */
} dl_metric_rows;
/* Targets and predictions of one shape; weights of the samples or of the rows. */
dl_status dl_read_rows(dl_tensor *target, dl_tensor *prediction, dl_tensor *weights, dl_metric_rows *out);

#define METRIC_NAME(type, default_name)                                                                                \
    { .name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(type, metric.name), .flags = DL_NONE_OK,             \
      .text = default_name, .help = "of the metric in logs" }
typedef struct dl_plain_metric_options {
    dl_metric_options metric;
} dl_plain_metric_options;

#endif
