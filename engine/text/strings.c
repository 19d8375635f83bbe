/* text/strings.c: texts in uint8 tensors, and ids of several texts in one tensor. Always true: what comes after the end
 * of a row's text, or of its ids, is zero. */
#include <string.h>

#include "tensor/tensor.h"
#include "text/text.h"

static size_t length_of(const char *const *texts, const size_t *lengths, int64_t k) {
    return lengths ? lengths[k] : strlen(texts[k]);
}

dl_tensor *dl_strings(dl_context *context, const char *const *texts, const size_t *lengths, int64_t count) {
    int64_t shape[2] = {count, 1};
    for (int64_t k = 0; k < count; k++) {
        size_t length = length_of(texts, lengths, k);
        const char *zero = memchr(texts[k], '\0', length);
        if (zero) {
            dl_fail(DL_INVALID,
                    "strings: text %lld has a zero byte at place %lld, and a text in a tensor ends there; remove it",
                    (long long)k + 1, (long long)(zero - texts[k]) + 1);
            return NULL;
        }
        shape[1] = DL_MAX(shape[1], (int64_t)length);
    }
    dl_tensor *tensor = dl_zeros(context, DL_UINT8, 2, shape);
    char *rows = tensor ? dl_tensor_data(tensor) : NULL;
    for (int64_t k = 0; rows && k < count; k++)
        memcpy(rows + k * shape[1], texts[k], length_of(texts, lengths, k));
    return tensor;
}

dl_tensor *dl_pad_ids(dl_context *context, const int64_t *ids, const int64_t *ends, int64_t rows, int64_t length) {
    int64_t shape[2] = {rows, length == DL_NONE ? 1 : length};
    for (int64_t k = 0; length == DL_NONE && k < rows; k++)
        shape[1] = DL_MAX(shape[1], ends[k] - (k ? ends[k - 1] : 0));
    dl_tensor *out = dl_zeros(context, DL_INT64, 2, shape);
    for (int64_t k = 0, start = 0; out && k < rows; start = ends[k++]) {
        int64_t count = DL_MIN(ends[k] - start, shape[1]);
        if (count > 0)
            memcpy(DL_DATA(out, int64_t) + k * shape[1], ids + start, (size_t)count * sizeof *ids);
    }
    return out;
}

const char *dl_string_at(const dl_tensor *strings, int64_t k, size_t *length) {
    *length = 0;
    if (strings->dtype != DL_UINT8 || strings->dims < 1 || !dl_tensor_is_contiguous(strings)) {
        dl_fail(DL_DTYPE, "texts are contiguous uint8 tensors with the bytes in the last dimension, got %s of %d "
                "dimensions", dl_dtype_name(strings->dtype), strings->dims);
        return NULL;
    }
    int64_t width = strings->shape[strings->dims - 1];
    int64_t count = 1;
    for (int i = 0; i < strings->dims - 1; i++)
        count *= strings->shape[i];
    if (k < 0 || k >= count) {
        dl_fail(DL_INVALID, "there is no text %lld in a tensor of %lld", (long long)k + 1, (long long)count);
        return NULL;
    }
    const char *text = DL_DATA(strings, const char) + k * width;
    *length = strnlen(text, (size_t)width);
    return text;
}
