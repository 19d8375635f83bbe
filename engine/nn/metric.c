/* nn/metric.c: what all metrics have in common. A metric is a list of sums in float64; a step's sums wait in `pending`
 * until the step commits. */
#include <string.h>

#include "nn/families.h"

/* Room for `size` sums, all zero. */
static dl_status make_sums(dl_metric *metric, int64_t size) {
    dl_context *context = metric->object.context;
    double *sums = dl_alloc_zeroed(context, (size_t)DL_MAX(size, 1) * sizeof *sums);
    double *pending = sums ? dl_alloc_zeroed(context, (size_t)DL_MAX(size, 1) * sizeof *pending) : NULL;
    if (!pending) {
        dl_free(sums);
        return dl_last_status();
    }
    dl_free(metric->sums);
    dl_free(metric->pending);
    metric->sums = sums;
    metric->pending = pending;
    metric->size = size;
    return DL_OK;
}

/* The first batch tells how many sums there are; later ones must agree. */
static dl_status fit_sums(dl_metric *metric, const dl_tensor *prediction) {
    const dl_metric_def *definition = (const dl_metric_def *)metric->object.definition;
    int64_t size = definition->size_for ? definition->size_for(&metric->object, prediction) : metric->size;
    if (size == metric->size)
        return DL_OK;
    if (metric->size != 0)
        return dl_fail(DL_SHAPE, "predictions %s have another number of classes than those before; reset it first",
                       dl_tensor_text(prediction).at);
    return make_sums(metric, size);
}

dl_status dl_metric_init(dl_object *object) {
    dl_metric *metric = (dl_metric *)object;
    const dl_metric_def *definition = (const dl_metric_def *)object->definition;
    dl_metric_options *options = object->options;
    if (!options->name) {
        options->name = dl_unique_name(object->context, object->definition->name);
        if (!options->name)
            return dl_last_status();
    }
    const dl_field *field = dl_find_field(object->definition->fields, "name");
    metric->name = options->name;
    metric->numbered = field && field->text && strcmp(field->text, metric->name) == 0;
    if (definition->init)
        DL_TRY(definition->init(object));
    return make_sums(metric, definition->size(object));
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
    if (fit_sums(metric, prediction) != DL_OK)
        return dl_fail_prefix("%s", definition->definition.name);
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

dl_status dl_metric_values(const dl_metric *metric, dl_tensor **out) {
    const dl_metric_def *definition = (const dl_metric_def *)metric->object.definition;
    int64_t shape[2];
    int dims = definition->shape && metric->size > 0 ? definition->shape(&metric->object, shape) : 0;
    *out = NULL;
    if (dims == 0)
        return DL_OK;
    *out = dl_tensor_new(metric->object.context, DL_FLOAT64, dims, shape);
    if (!*out)
        return dl_last_status();
    definition->values(&metric->object, metric->sums, dl_tensor_data(*out));
    return DL_OK;
}

void dl_metric_reset(dl_metric *metric) {
    memset(metric->sums, 0, (size_t)metric->size * sizeof *metric->sums);
}
