/* nn/attention_axes.c: attention over chosen dimensions of inputs (N, D1, D2, ..., F). Those that it goes over become
 * one dimension of steps, the others join the batch:
 *
 *      (N, D1, D2, H, E), over D2 --fold--> (N D1, D2, H, E) --attend--> the same --unfold--> (N, D1, D2, H, V)
 *
 * Always true: sequences (N, T, F) pass through as they are. */
#include <string.h>

#include "nn/attention.h"

dl_status dl_read_attention_axes(const dl_layer *layer, const dl_ints *given, int dims, dl_attention_axes *out) {
    bool attends[DL_MAX_DIMS] = {false};
    *out = (dl_attention_axes){.dims = dims};
    for (int i = 0; i < given->count; i++) {
        int axis;
        if (dl_dim_normalize(given->at[i], dims, &axis) != DL_OK || axis == 0 || axis == dims - 1 || attends[axis])
            return dl_fail(DL_INVALID, "%s: attention_axes must name different dimensions of inputs of %d, neither the "
                           "batch nor the features, got %lld", dl_layer_class(layer), dims,
                           (long long)(given->at[i] + (given->at[i] >= 0)));
        attends[axis] = true;
        out->attended[out->attended_count++] = axis;
    }
    for (int axis = 1; axis < dims - 1; axis++) {
        if (given->count == 0)
            out->attended[out->attended_count++] = axis;
        else if (!attends[axis])
            out->kept[out->kept_count++] = axis;
    }
    return DL_OK;
}

static int64_t product(const int64_t *shape, const int *axes, int count) {
    int64_t product = 1;
    for (int i = 0; i < count; i++)
        product *= shape[axes[i]];
    return product;
}

/* The order in which x's dimensions are batch, kept, attended, and the rest. */
static void folded_order(const dl_attention_axes *axes, int dims, int64_t *order) {
    int place = 1;
    order[0] = 0;
    for (int i = 0; i < axes->kept_count; i++)
        order[place++] = axes->kept[i];
    for (int i = 0; i < axes->attended_count; i++)
        order[place++] = axes->attended[i];
    for (; place < dims; place++)
        order[place] = place;
}

dl_tensor *dl_fold_axes(dl_context *context, const dl_attention_axes *axes, dl_tensor *x) {
    int64_t order[DL_MAX_DIMS], shape[DL_MAX_DIMS];
    if (!x || axes->dims == 3)
        return x;
    int tail = x->dims - (axes->dims - 1);
    folded_order(axes, x->dims, order);
    shape[0] = x->shape[0] * product(x->shape, axes->kept, axes->kept_count);
    shape[1] = product(x->shape, axes->attended, axes->attended_count);
    memcpy(shape + 2, x->shape + axes->dims - 1, (size_t)tail * sizeof *shape);
    return dl_reshape(context, dl_permute(context, x, x->dims, order), 2 + tail, shape);
}

dl_tensor *dl_unfold_axes(dl_context *context, const dl_attention_axes *axes, dl_tensor *y, const dl_tensor *like) {
    int64_t order[DL_MAX_DIMS], back[DL_MAX_DIMS], shape[DL_MAX_DIMS];
    if (!y || axes->dims == 3)
        return y;
    int dims = y->dims - 2 + axes->dims - 1;
    folded_order(axes, dims, order);
    for (int i = 0; i < dims; i++) {
        back[order[i]] = i;
        shape[i] = order[i] < axes->dims - 1 ? like->shape[order[i]] : y->shape[i - (axes->dims - 1) + 2];
    }
    return dl_permute(context, dl_reshape(context, y, dims, shape), dims, back);
}

dl_tensor *dl_fold_key_mask(dl_context *context, const dl_attention_axes *axes, dl_tensor *mask,
                            const dl_tensor *value) {
    int64_t ones[DL_MAX_DIMS];
    if (!mask || axes->dims == 3)
        return mask;
    for (int i = 0; i < axes->dims - 1; i++)
        ones[i] = i < 2 ? mask->shape[i] : 1;
    mask = dl_reshape(context, mask, axes->dims - 1, ones);
    return dl_fold_axes(context, axes, dl_expand(context, mask, axes->dims - 1, value->shape));
}

int dl_scores_shape(const dl_attention_axes *axes, const int64_t *query, int64_t heads, const int64_t *key,
                    int64_t *shape) {
    int dims = 0;
    shape[dims++] = query[0];
    for (int i = 0; i < axes->kept_count; i++)
        shape[dims++] = query[axes->kept[i]];
    shape[dims++] = heads;
    for (int i = 0; i < axes->attended_count; i++)
        shape[dims++] = query[axes->attended[i]];
    for (int i = 0; i < axes->attended_count; i++)
        shape[dims++] = key[axes->attended[i]];
    return dims;
}

/* Where a mask leaves out dimensions of the scores, between these places. */
static void missing_sizes(const dl_attention_axes *axes, int mask_dims, int *from, int *to) {
    int lead = mask_dims - 2 * axes->attended_count;
    *from = lead;
    *to = 2 + axes->kept_count;
}

dl_status dl_check_attention_mask(const dl_layer *layer, const dl_attention_axes *axes, const dl_spec *mask,
                                  const dl_spec *query, const dl_spec *key, int64_t heads) {
    int64_t scores[DL_MAX_DIMS], wanted[DL_MAX_DIMS];
    int dims = dl_scores_shape(axes, query->shape, heads, key->shape, scores), from, to;
    missing_sizes(axes, mask->dims, &from, &to);
    if (from != 1 && from != 1 + axes->kept_count && from != to)
        from = 1; /* a rank that fits none: the message names the shortest */
    memcpy(wanted, scores, (size_t)from * sizeof *wanted);
    memcpy(wanted + from, scores + to, (size_t)(dims - to) * sizeof *wanted);
    return dl_check_mask_spec(layer, "attention_mask", mask, from + dims - to, wanted, query);
}

dl_tensor *dl_fold_attention_mask(dl_context *context, const dl_attention_axes *axes, dl_tensor *mask,
                                  const dl_tensor *query, const dl_tensor *key) {
    int64_t shape[DL_MAX_DIMS], full[DL_MAX_DIMS];
    int from, to;
    if (!mask)
        return NULL;
    int dims = dl_scores_shape(axes, query->shape, 1, key->shape, full);
    missing_sizes(axes, mask->dims, &from, &to);
    for (int i = 0; i < dims; i++)
        shape[i] = i < from ? mask->shape[i] : i < to ? 1 : mask->shape[i - (to - from)];
    mask = dl_reshape(context, mask, dims, shape);
    if (axes->dims == 3)
        return mask;
    int heads = 1 + axes->kept_count;
    full[heads] = shape[heads];
    int64_t rows = query->shape[0] * product(query->shape, axes->kept, axes->kept_count);
    return dl_reshape(context, dl_expand(context, mask, dims, full), 4,
                      (int64_t[]){rows, full[heads], product(query->shape, axes->attended, axes->attended_count),
                                  product(key->shape, axes->attended, axes->attended_count)});
}
