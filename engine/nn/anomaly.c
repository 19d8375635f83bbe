/* nn/anomaly.c: what dl_set_detect_anomaly watches in a model's steps, reported by the names of layers and weights.
 *
 * Always true: a watched layer has one flag a unit (the last dimension of its output): above zero at least once since
 * the last report. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/kernels.h"
#include "nn/nn.h"

/* A gradient whose norm is this many times the weight's (or 1, if that is larger) is called exploding. */
static const double exploding = 1e3;

typedef struct watched_layer {
    dl_layer *layer; /* counted */
    int64_t units;
    int64_t calls;
    bool *alive; /* [units] */
} watched_layer;

struct dl_anomaly {
    dl_context *context;
    int count;
    int64_t capacity;
    watched_layer *layers;
    int64_t exploded; /* warnings since the last report */
};

dl_status dl_anomaly_create(dl_context *context, dl_anomaly **out) {
    *out = dl_alloc_zeroed(context, sizeof **out);
    if (!*out)
        return dl_last_status();
    (*out)->context = context;
    return DL_OK;
}

void dl_anomaly_free(dl_anomaly *anomaly) {
    if (!anomaly)
        return;
    for (int i = 0; i < anomaly->count; i++) {
        dl_object_release(&anomaly->layers[i].layer->object);
        dl_free(anomaly->layers[i].alive);
    }
    dl_free(anomaly->layers);
    dl_free(anomaly);
}

/* ---- dying relu -------------------------------------------------------------------------------------------------- */

static bool ends_in_relu(const dl_layer *layer) {
    return layer->object.definition == &dl_layer_relu.definition || dl_activation_is_relu(dl_activation_of(layer));
}

static dl_status find_watched(dl_anomaly *anomaly, dl_layer *layer, int64_t units, watched_layer **out) {
    for (int i = 0; i < anomaly->count; i++) {
        *out = &anomaly->layers[i];
        if ((*out)->layer == layer && (*out)->units == units)
            return DL_OK;
    }
    DL_TRY(dl_grow(anomaly->context, &anomaly->layers, anomaly->count, &anomaly->capacity, sizeof **out));
    *out = &anomaly->layers[anomaly->count];
    **out = (watched_layer){.layer = layer, .units = units};
    (*out)->alive = dl_alloc_zeroed(anomaly->context, (size_t)units * sizeof *(*out)->alive);
    if (!(*out)->alive)
        return dl_last_status();
    dl_object_retain(&layer->object);
    anomaly->count++;
    return DL_OK;
}

/* The largest output of each unit over all other dimensions, in the open scope. */
static dl_tensor *unit_maxima(dl_tensor *y) {
    int64_t dims[DL_MAX_DIMS];
    for (int i = 0; i < y->dims - 1; i++)
        dims[i] = i;
    dl_tensor *flat = dl_detach(y);
    dl_tensor *most = flat ? dl_max(y->context, flat, y->dims - 1, dims, false) : NULL;
    return most ? dl_to(y->context, most, DL_FLOAT64) : NULL;
}

dl_status dl_anomaly_watch(dl_anomaly *anomaly, dl_layer *layer, const dl_layer_call *call) {
    dl_tensor *y = call->out[0];
    if (!call->training || !ends_in_relu(layer) || y->dims < 2 || dl_tensor_numel(y) == 0)
        return DL_OK;
    int64_t units = y->shape[y->dims - 1];
    watched_layer *watched;
    DL_TRY(find_watched(anomaly, layer, units, &watched));
    size_t scope = dl_scope_begin(call->context);
    dl_tensor *most = unit_maxima(y);
    dl_status status = most ? DL_OK : dl_last_status();
    for (int64_t i = 0; status == DL_OK && i < units; i++)
        watched->alive[i] |= DL_DATA(most, double)[i] > 0;
    watched->calls++;
    dl_scope_end(call->context, scope, NULL);
    return status;
}

/* Names up to ten of the dead units, from 1. */
static void report_layer(dl_anomaly *anomaly, const watched_layer *watched) {
    char list[128] = "";
    size_t length = 0;
    int64_t dead = 0;
    for (int64_t i = 0; i < watched->units; i++) {
        if (watched->alive[i])
            continue;
        if (++dead <= 10)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%lld", dead > 1 ? ", " : "",
                                       (long long)i + 1);
    }
    if (dead > 0)
        dl_log(anomaly->context, DL_LOG_WARNING,
               "layer '%s': %lld of %lld relu units were zero for every sample of the last %lld steps: %s%s",
               watched->layer->name, (long long)dead, (long long)watched->units, (long long)watched->calls, list,
               dead > 10 ? " ..." : "");
}

void dl_anomaly_report(dl_anomaly *anomaly) {
    for (int i = 0; i < anomaly->count; i++) {
        watched_layer *watched = &anomaly->layers[i];
        if (watched->calls > 0)
            report_layer(anomaly, watched);
        watched->calls = 0;
        memset(watched->alive, 0, (size_t)watched->units * sizeof *watched->alive);
    }
    anomaly->exploded = 0;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static dl_status norm_of(const dl_tensor *tensor, double *norm) {
    double sum = 0;
    dl_tensor *contiguous = dl_tensor_contiguous((dl_tensor *)tensor);
    if (!contiguous)
        return dl_last_status();
    dl_status status = dl_kernel()->sum_squares(tensor->context, dl_element_of(tensor), &sum,
                                                dl_tensor_data(contiguous), dl_tensor_numel(contiguous));
    dl_release(contiguous);
    *norm = sqrt(sum);
    return status;
}

dl_status dl_anomaly_check_gradient(dl_anomaly *anomaly, const char *path, const dl_tensor *weight,
                                    const dl_tensor *grad) {
    double weight_norm;
    double grad_norm;
    DL_TRY(norm_of(grad, &grad_norm));
    DL_TRY(norm_of(weight, &weight_norm));
    if (!isfinite(grad_norm))
        return dl_fail(DL_STATE, "the gradient of '%s' has NaN or infinite values", path);
    if (grad_norm > exploding * fmax(1, weight_norm) && anomaly->exploded++ < 10)
        dl_log(anomaly->context, DL_LOG_WARNING,
               "the gradient of '%s' explodes: its norm is %.3g, the weight's is %.3g; lower the learning rate or clip "
               "gradients (global_clipnorm)",
               path, grad_norm, weight_norm);
    return DL_OK;
}
