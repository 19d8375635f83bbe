/* nn/step.c: what a step changes at its end: moving statistics to assign, places of random streams to put back after a
 * failure, penalties that layers add to the loss.
 *
 * Always true: nothing that outlives a step changes before dl_deferred_commit, but the places of the streams, which
 * dl_deferred_rollback puts back. */
#include <string.h>

#include "nn/nn.h"

/* The entry that will overwrite the target, or NULL. */
static dl_assign *find_assign(const dl_deferred *deferred, const dl_tensor *target) {
    for (int i = 0; i < deferred->assign_count; i++)
        if (deferred->assigns[i].target == target)
            return &deferred->assigns[i];
    return NULL;
}

dl_status dl_assign_tensor_later(dl_layer_call *call, dl_tensor *target, dl_tensor *value) {
    dl_deferred *deferred = call->deferred;
    dl_assign *entry = find_assign(deferred, target);
    if (!entry)
        DL_TRY(dl_grow(deferred->context, &deferred->assigns, deferred->assign_count, &deferred->assign_capacity,
                       sizeof *deferred->assigns));
    dl_tensor *kept = dl_tensor_contiguous(value);
    if (!kept)
        return dl_last_status();
    if (entry)
        dl_release(entry->value);
    else
        entry = &deferred->assigns[deferred->assign_count++];
    *entry = (dl_assign){target, kept};
    return DL_OK;
}

dl_status dl_layer_assign_later(dl_layer_call *call, dl_layer *layer, int index, dl_tensor *value) {
    if (!value)
        return dl_last_status();
    dl_tensor *target = layer->weights[index].value;
    if (dl_tensor_dtype(value) != dl_tensor_dtype(target) || !dl_tensor_same_shape(value, target))
        return dl_fail(DL_SHAPE, "the new value of '%s' must be %s %s, got %s %s", layer->weights[index].name,
                       dl_dtype_name(dl_tensor_dtype(target)), dl_tensor_text(target).at,
                       dl_dtype_name(dl_tensor_dtype(value)), dl_tensor_text(value).at);
    return dl_assign_tensor_later(call, target, value);
}

dl_tensor *dl_value_later(const dl_layer_call *call, dl_tensor *target) {
    const dl_assign *entry = call->deferred ? find_assign(call->deferred, target) : NULL;
    return entry ? entry->value : target;
}

dl_tensor *dl_layer_value(const dl_layer_call *call, const dl_layer *layer, int index) {
    return dl_value_later(call, layer->weights[index].value);
}

dl_status dl_layer_add_loss(dl_layer_call *call, dl_tensor *penalty) {
    dl_deferred *deferred = call->deferred;
    if (!penalty)
        return dl_last_status();
    if (dl_tensor_numel(penalty) != 1)
        return dl_fail(DL_SHAPE, "a penalty must have one element, got %s", dl_tensor_text(penalty).at);
    DL_TRY(dl_grow(deferred->context, &deferred->losses, deferred->loss_count, &deferred->loss_capacity,
                   sizeof *deferred->losses));
    dl_retain(penalty);
    deferred->losses[deferred->loss_count++] = penalty;
    return DL_OK;
}

static void drop_tensors(dl_deferred *deferred) {
    for (int i = 0; i < deferred->assign_count; i++)
        dl_release(deferred->assigns[i].value);
    for (int i = 0; i < deferred->loss_count; i++)
        dl_release(deferred->losses[i]);
    deferred->assign_count = 0;
    deferred->loss_count = 0;
    deferred->place_count = 0;
}

void dl_deferred_commit(dl_deferred *deferred) {
    for (int i = 0; i < deferred->assign_count; i++) {
        dl_tensor *target = deferred->assigns[i].target;
        size_t bytes = (size_t)dl_tensor_numel(target) * dl_dtype_size(dl_tensor_dtype(target));
        memcpy(dl_tensor_data(target), dl_tensor_data(deferred->assigns[i].value), bytes);
        dl_tensor_bump(target);
    }
    drop_tensors(deferred);
}

void dl_deferred_rollback(dl_deferred *deferred) {
    for (int i = deferred->place_count - 1; i >= 0; i--)
        deferred->places[i].layer->stream.position = deferred->places[i].position;
    drop_tensors(deferred);
}

void dl_deferred_free(dl_deferred *deferred) {
    drop_tensors(deferred);
    dl_free(deferred->assigns);
    dl_free(deferred->places);
    dl_free(deferred->losses);
    *deferred = (dl_deferred){.context = deferred->context};
}
