/* io/safetensors_write.c: writing safetensors files. Tensors are sorted by dtype, wide elements first, then by name, as
 * the format's own library does it: so each lies aligned to its elements. The header is padded with spaces to 8
 * bytes. */
#include <stdlib.h>
#include <string.h>

#include "io/bundle.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "tensor/tensor.h"

/* The order in which the library sorts the dtypes, last to first. */
static int rank(const dl_tensor *tensor) {
    static const int ranks[DL_DTYPE_COUNT] = {
        [DL_INT64] = 0, [DL_FLOAT64] = 1, [DL_FLOAT32] = 2, [DL_INT32] = 3, [DL_UINT8] = 4, [DL_BOOLEAN] = 5,
    };
    return ranks[dl_tensor_dtype(tensor)];
}

static int by_dtype_and_name(const void *a, const void *b) {
    const dl_bundle_entry *left = *(const dl_bundle_entry *const *)a, *right = *(const dl_bundle_entry *const *)b;
    int difference = rank(left->tensor) - rank(right->tensor);
    return difference ? difference : strcmp(left->name, right->name);
}

static int64_t bytes_of(const dl_tensor *tensor) {
    return dl_tensor_numel(tensor) * (int64_t)dl_dtype_size(dl_tensor_dtype(tensor));
}

static dl_status append_number(dl_context *context, dl_value *list, int64_t number) {
    dl_value item = dl_value_int(number);
    return dl_value_append(context, list, &item);
}

/* {"dtype": ..., "shape": ..., "data_offsets": ...} */
static dl_status describe_tensor(dl_context *context, const dl_tensor *tensor, int64_t begin, dl_value *map) {
    dl_value dtype, shape = dl_value_list(), offsets = dl_value_list();
    DL_TRY(dl_value_string(context, dl_stored_dtype_of(dl_tensor_dtype(tensor))->name, &dtype));
    DL_TRY(dl_value_put(context, map, "dtype", &dtype));
    dl_status status = DL_OK;
    for (int i = 0; i < dl_tensor_dims(tensor) && status == DL_OK; i++)
        status = append_number(context, &shape, dl_tensor_shape(tensor)[i]);
    if (status == DL_OK)
        status = dl_value_put(context, map, "shape", &shape);
    if (status == DL_OK)
        status = append_number(context, &offsets, begin);
    if (status == DL_OK)
        status = append_number(context, &offsets, begin + bytes_of(tensor));
    if (status == DL_OK)
        return dl_value_put(context, map, "data_offsets", &offsets);
    dl_value_clear(&shape);
    dl_value_clear(&offsets);
    return status;
}

static dl_status make_header(const dl_bundle *bundle, const dl_bundle_entry *const *sorted, dl_value *header) {
    dl_context *context = bundle->context;
    *header = dl_value_map();
    if (bundle->note_count > 0) {
        dl_value notes = dl_value_map();
        dl_status status = DL_OK;
        for (int64_t i = 0; i < bundle->note_count && status == DL_OK; i++) {
            dl_value text;
            status = dl_value_string(context, bundle->notes[i].text, &text);
            if (status == DL_OK)
                status = dl_value_put(context, &notes, bundle->notes[i].key, &text);
        }
        if (status != DL_OK) {
            dl_value_clear(&notes);
            return status;
        }
        DL_TRY(dl_value_put(context, header, "__metadata__", &notes));
    }
    int64_t begin = 0;
    for (int64_t i = 0; i < bundle->count; i++) {
        dl_value about = dl_value_map();
        dl_status status = describe_tensor(context, sorted[i]->tensor, begin, &about);
        if (status != DL_OK) {
            dl_value_clear(&about);
            return status;
        }
        DL_TRY(dl_value_put(context, header, sorted[i]->name, &about));
        begin += bytes_of(sorted[i]->tensor);
    }
    return DL_OK;
}

static dl_status write_header(dl_output *output, const char *text, size_t length) {
    size_t padded = (length + 7) / 8 * 8;
    uint8_t length_bytes[8];
    for (int i = 0; i < 8; i++)
        length_bytes[i] = (uint8_t)((uint64_t)padded >> (8 * i));
    DL_TRY(dl_output_write(output, length_bytes, sizeof length_bytes));
    DL_TRY(dl_output_write(output, text, length));
    return dl_output_write(output, "        ", padded - length);
}

static dl_status write_tensor(dl_output *output, dl_tensor *tensor) {
    dl_tensor *contiguous = dl_tensor_contiguous(tensor);
    if (!contiguous)
        return dl_last_status();
    dl_status status = dl_output_write(output, dl_tensor_data(contiguous), (size_t)bytes_of(contiguous));
    dl_release(contiguous);
    return status;
}

static dl_status write_all(dl_output *output, const dl_bundle *bundle, const dl_bundle_entry *const *sorted,
                           const char *text, size_t length) {
    DL_TRY(write_header(output, text, length));
    for (int64_t i = 0; i < bundle->count; i++)
        DL_TRY(write_tensor(output, sorted[i]->tensor));
    return DL_OK;
}

static dl_status save_sorted(const dl_bundle *bundle, const dl_bundle_entry *const *sorted, const char *path) {
    dl_value header;
    char *text = NULL;
    size_t length = 0;
    dl_status status = make_header(bundle, sorted, &header);
    if (status == DL_OK)
        status = dl_value_to_json(bundle->context, &header, &text, &length);
    dl_value_clear(&header);
    if (status != DL_OK)
        return status;
    dl_output output;
    status = dl_output_open(bundle->context, path, &output);
    if (status == DL_OK) {
        status = write_all(&output, bundle, sorted, text, length);
        if (status == DL_OK)
            status = dl_output_commit(&output);
        else
            dl_output_abandon(&output);
    }
    dl_free_text(text);
    return status;
}

dl_status dl_save_safetensors(const dl_bundle *bundle, const char *path) {
    const dl_bundle_entry **sorted = dl_alloc_array(bundle->context, (size_t)bundle->count, sizeof *sorted);
    if (!sorted)
        return DL_MEMORY;
    for (int64_t i = 0; i < bundle->count; i++)
        sorted[i] = &bundle->entries[i];
    qsort(sorted, (size_t)bundle->count, sizeof *sorted, by_dtype_and_name);
    dl_status status = save_sorted(bundle, sorted, path);
    dl_free(sorted);
    return status;
}
