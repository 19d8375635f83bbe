/* nn/metric.c: what all metrics have in common. A metric is a list of sums in float64; a step's sums wait in `pending`
 * until the step commits. */
#include <string.h>

#include "nn/families.h"

dl_status dl_metric_init(dl_object *object) {
    dl_metric *metric = (dl_metric *)object;
    const dl_metric_def *definition = (const dl_metric_def *)object->definition;
    dl_metric_options *options = object->options;
    if (!options->name) {
        options->name = dl_unique_name(object->context, object->definition->name);
        if (!options->name)
            return dl_last_status();
    }
    metric->name = options->name;
    metric->size = definition->size(object);
    metric->sums = dl_alloc_zeroed(object->context, (size_t)metric->size * sizeof *metric->sums);
    metric->pending = metric->sums ? dl_alloc_zeroed(object->context, (size_t)metric->size * sizeof *metric->pending)
                                   : NULL;
    return metric->pending ? DL_OK : dl_last_status();
}

void dl_metric_finalize(dl_object *object) {
    dl_metric *metric = (dl_metric *)object;
    dl_free(metric->sums);
    dl_free(metric->pending);
}

/* The metric's sums for this batch, without what the mask leaves out. */
static dl_status add(dl_metric *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *mask, dl_tensor *weights) {
    const dl_metric_def *definition = (const dl_metric_def *)metric->object.definition;
    if (mask) {
        dl_dtype dtype = dl_dtype_is_float(prediction->dtype) ? prediction->dtype : DL_FLOAT32;
        weights = dl_merge_mask(mask, weights, dtype, DL_LOSS_SUM);
        target = target ? dl_fill_masked_labels(target, mask) : NULL;
        if (!weights || (!target && !definition->values_only))
            return dl_last_status();
    }
    return definition->add(&metric->object, target, prediction, weights, metric->pending);
}

dl_status dl_metric_prepare(dl_metric *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *mask,
                            dl_tensor *weights) {
    const dl_metric_def *definition = (const dl_metric_def *)metric->object.definition;
    dl_context *context = metric->object.context;
    memset(metric->pending, 0, (size_t)metric->size * sizeof *metric->pending);
    bool recording = dl_set_grad_enabled(context, false);
    size_t scope = dl_scope_begin(context);
    dl_status status = add(metric, target, prediction, mask, weights);
    dl_scope_end(context, scope, NULL);
    dl_set_grad_enabled(context, recording);
    return status == DL_OK ? DL_OK : dl_fail_prefix("%s", definition->definition.name);
}

void dl_metric_commit(dl_metric *metric) {
    for (int64_t i = 0; i < metric->size; i++)
        metric->sums[i] += metric->pending[i];
}

dl_status dl_metric_update(dl_metric *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights) {
    DL_TRY(dl_metric_prepare(metric, target, prediction, NULL, weights));
    dl_metric_commit(metric);
    return DL_OK;
}

double dl_metric_result(const dl_metric *metric) {
    return ((const dl_metric_def *)metric->object.definition)->result(&metric->object, metric->sums);
}

void dl_metric_reset(dl_metric *metric) {
    memset(metric->sums, 0, (size_t)metric->size * sizeof *metric->sums);
}
