/* tensor/tensor.c: the life of tensors, storages and scopes.
 *
 * A storage lives as long as a tensor refers to it; a tensor as long as somebody holds a reference: a caller, a scope,
 * the graph. A scope is the tail of one list in the context:
 *
 *      items: [ t0 t1 | t2 t3 t4 | t5 ]     marks 0, 2, 5 of three nested scopes
 */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

/* ---- storage --------------------------------------------------------------------------------------------------- */

static dl_storage *storage_create(dl_context *context, size_t bytes) {
    dl_storage *storage = dl_alloc_zeroed(context, sizeof *storage);
    if (!storage)
        return NULL;
    storage->data = dl_alloc(context, DL_MAX(bytes, 1));
    if (!storage->data) {
        dl_free(storage);
        return NULL;
    }
    atomic_init(&storage->references, 1);
    storage->bytes = bytes;
    storage->context = context;
    storage->owned = true;
    return storage;
}

static void storage_release(dl_storage *storage) {
    if (atomic_fetch_sub_explicit(&storage->references, 1, memory_order_acq_rel) != 1)
        return;
    if (storage->owned)
        dl_free(storage->data);
    else if (storage->release)
        storage->release(storage->user);
    dl_free(storage);
}

/* ---- tensors --------------------------------------------------------------------------------------------------- */

/* A handle without a storage yet. */
static dl_tensor *handle_create(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    dl_tensor *tensor = dl_alloc_zeroed(context, sizeof *tensor);
    if (!tensor)
        return NULL;
    atomic_init(&tensor->references, 1);
    tensor->dtype = dtype;
    tensor->dims = dims;
    if (dims > 0)
        memcpy(tensor->shape, shape, (size_t)dims * sizeof *shape);
    tensor->context = context;
    dl_context_retain(context);
    return tensor;
}

static void handle_free(dl_tensor *tensor) {
    dl_context *context = tensor->context;
    dl_free(tensor);
    dl_context_release(context);
}

dl_status dl_tensor_layout(dl_dtype dtype, int dims, const int64_t *shape, int64_t *strides, size_t *bytes) {
    if (dims < 0 || dims > DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "a tensor has at most %d dimensions (got %d)", DL_MAX_DIMS, dims);
    for (int i = 0; i < dims; i++)
        if (shape[i] < 0)
            return dl_fail(DL_SHAPE, "dimension %d has the size %" PRId64 "; sizes are 0 or more", i + 1, shape[i]);
    int64_t count = dl_shape_strides(dims, shape, strides);
    if (count < 0 || __builtin_mul_overflow((size_t)count, dl_dtype_size(dtype), bytes) || *bytes > PTRDIFF_MAX) {
        char text[200];
        dl_shape_describe(dims, shape, text, sizeof text);
        return dl_fail(DL_SHAPE, "a tensor of shape %s is larger than any memory", text);
    }
    return DL_OK;
}

dl_tensor *dl_tensor_new(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    int64_t strides[DL_MAX_DIMS];
    size_t bytes;
    if (dl_tensor_layout(dtype, dims, shape, strides, &bytes) != DL_OK)
        return NULL;
    dl_tensor *tensor = handle_create(context, dtype, dims, shape);
    if (!tensor)
        return NULL;
    memcpy(tensor->strides, strides, sizeof strides);
    tensor->storage = storage_create(context, bytes);
    if (!tensor->storage) {
        handle_free(tensor);
        return NULL;
    }
    return tensor;
}

dl_tensor *dl_empty(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape) {
    return dl_scope_add(context, dl_tensor_new(context, dtype, dims, shape));
}

dl_tensor *dl_from_host(dl_context *context, dl_dtype dtype, int dims, const int64_t *shape, void *data,
                        void (*release)(void *user), void *user) {
    int64_t strides[DL_MAX_DIMS];
    size_t bytes;
    if (dl_tensor_layout(dtype, dims, shape, strides, &bytes) != DL_OK)
        return NULL;
    dl_tensor *tensor = handle_create(context, dtype, dims, shape);
    dl_storage *storage = tensor ? dl_alloc_zeroed(context, sizeof *storage) : NULL;
    if (!storage) {
        if (tensor)
            handle_free(tensor);
        return NULL;
    }
    memcpy(tensor->strides, strides, sizeof strides);
    *storage = (dl_storage){.data = data, .bytes = bytes, .context = context, .user = user};
    atomic_init(&storage->references, 1);
    tensor->storage = storage;
    tensor = dl_scope_add(context, tensor);
    if (tensor)
        storage->release = release; /* only now: on failure the memory is still the host's to free */
    return tensor;
}

dl_tensor *dl_tensor_view(const dl_tensor *of, int dims, const int64_t *shape, const int64_t *strides,
                          int64_t offset) {
    dl_tensor *tensor = handle_create(of->context, of->dtype, dims, shape);
    if (!tensor)
        return NULL;
    if (dims > 0)
        memcpy(tensor->strides, strides, (size_t)dims * sizeof *strides);
    tensor->offset = offset;
    tensor->storage = of->storage;
    tensor->view = true;
    tensor->viewed = of->storage->version;
    atomic_fetch_add_explicit(&of->storage->references, 1, memory_order_relaxed);
    return tensor;
}

dl_tensor *dl_tensor_alias(const dl_tensor *of) {
    return dl_tensor_view(of, of->dims, of->shape, of->strides, of->offset);
}

dl_tensor *dl_detach(dl_tensor *tensor) {
    if (!tensor)
        return NULL;
    return dl_scope_add(tensor->context, dl_tensor_alias(tensor));
}

void dl_retain(dl_tensor *tensor) {
    atomic_fetch_add_explicit(&tensor->references, 1, memory_order_relaxed);
}

void dl_release(dl_tensor *tensor) {
    if (!tensor || atomic_fetch_sub_explicit(&tensor->references, 1, memory_order_acq_rel) != 1)
        return;
    /* A leaf's node holds the leaf, so a leaf that goes has none; here the node is that of an op's result. */
    if (tensor->node)
        ((dl_node_base *)tensor->node)->release(tensor->node);
    dl_release(tensor->grad);
    dl_release(tensor->logits);
    storage_release(tensor->storage);
    handle_free(tensor);
}

dl_context *dl_tensor_context(const dl_tensor *tensor) {
    return tensor->context;
}

dl_dtype dl_tensor_dtype(const dl_tensor *tensor) {
    return tensor->dtype;
}

int dl_tensor_dims(const dl_tensor *tensor) {
    return tensor->dims;
}

const int64_t *dl_tensor_shape(const dl_tensor *tensor) {
    return tensor->shape;
}

const int64_t *dl_tensor_strides(const dl_tensor *tensor) {
    return tensor->strides;
}

int64_t dl_tensor_numel(const dl_tensor *tensor) {
    int64_t count = 1;
    for (int i = 0; i < tensor->dims; i++)
        count *= tensor->shape[i];
    return count;
}

bool dl_tensor_is_contiguous(const dl_tensor *tensor) {
    int64_t stride = 1;
    for (int i = tensor->dims - 1; i >= 0; i--) {
        if (tensor->shape[i] == 0)
            return true;
        if (tensor->shape[i] != 1 && tensor->strides[i] != stride)
            return false;
        stride *= tensor->shape[i];
    }
    return true;
}

void *dl_tensor_data(const dl_tensor *tensor) {
    return (char *)tensor->storage->data + (size_t)tensor->offset * dl_dtype_size(tensor->dtype);
}

void dl_tensor_bump(dl_tensor *tensor) {
    tensor->storage->version++;
    tensor->viewed = tensor->storage->version;
}

/* ---- scopes ---------------------------------------------------------------------------------------------------- */

size_t dl_scope_begin(dl_context *context) {
    dl_scope_list *list = dl_context_scopes(context);
    list->depth++;
    return list->count;
}

dl_tensor *dl_scope_add(dl_context *context, dl_tensor *tensor) {
    dl_scope_list *list = dl_context_scopes(context);
    if (!tensor || list->depth == 0)
        return tensor;
    if (dl_grow(context, &list->items, (int64_t)list->count, &list->capacity, sizeof *list->items) != DL_OK) {
        dl_release(tensor);
        return NULL;
    }
    list->items[list->count++] = tensor;
    return tensor;
}

dl_tensor *dl_scope_end(dl_context *context, size_t mark, dl_tensor *keep) {
    dl_scope_list *list = dl_context_scopes(context);
    if (keep)
        dl_retain(keep);
    while (list->count > mark)
        dl_release(list->items[--list->count]);
    list->depth--;
    return dl_scope_add(context, keep);
}
