/* io/safetensors_read.c: reading safetensors files, trusted or not. Nothing is allocated before its size was checked
 * against the file; the tensors' ranges must lie in the data one after another, without a gap or an overlap, and be as
 * long as dtype and shape say. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/bundle.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "tensor/tensor.h"

enum { CHUNK = 1 << 16 };
static const uint64_t longest_header = (uint64_t)32 << 20;

/* One tensor of the header. */
typedef struct entry {
    const char *name; /* of the header's tree */
    const dl_stored_dtype *stored;
    int dims;
    int64_t shape[DL_MAX_DIMS];
    uint64_t begin, end; /* in the data */
} entry;

typedef struct reader {
    dl_context *context;
    dl_input file;
    uint64_t data_at, data_size;
    dl_value header;
    entry *entries;
    int64_t count;
    dl_bundle *bundle;
    char *chunk;
} reader;

static dl_status fail_entry(const reader *from, const char *name, const char *what) {
    return dl_fail(DL_FORMAT, "'%s' is no valid safetensors file: tensor '%.100s' %s", from->file.path, name, what);
}

static dl_status fail_file(const reader *from, const char *what) {
    return dl_fail(DL_FORMAT, "'%s' is no valid safetensors file: %s", from->file.path, what);
}

/* ---- the header ------------------------------------------------------------------------------------------------ */

static dl_status read_header(reader *from) {
    uint8_t length_bytes[8];
    if (from->file.size < sizeof length_bytes)
        return fail_file(from, "it is shorter than 8 bytes");
    DL_TRY(dl_input_read(&from->file, 0, length_bytes, sizeof length_bytes));
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | length_bytes[i];
    if (length > from->file.size - 8)
        return dl_fail(DL_FORMAT,
                       "'%s' is no valid safetensors file: it says its header has %" PRIu64 " bytes, but only "
                       "%" PRIu64 " follow",
                       from->file.path, length, from->file.size - 8);
    if (length > longest_header)
        return dl_fail(DL_FORMAT, "'%s' is not read: its header has %" PRIu64 " bytes, more than %" PRIu64,
                       from->file.path, length, longest_header);
    char *text = dl_alloc(from->context, length + 1);
    if (!text)
        return DL_MEMORY;
    dl_status status = dl_input_read(&from->file, 8, text, length);
    if (status == DL_OK && (length == 0 || text[0] != '{'))
        status = fail_file(from, "its header does not begin with '{'");
    if (status == DL_OK) {
        status = dl_value_from_json(from->context, text, length, &from->header);
        if (status != DL_OK && status != DL_MEMORY)
            dl_fail_prefix("'%s' is no valid safetensors file: its header", from->file.path);
    }
    dl_free(text);
    from->data_at = 8 + length;
    from->data_size = from->file.size - from->data_at;
    return status;
}

static dl_status take_metadata(reader *from, const dl_value *map) {
    if (map->kind != DL_VALUE_MAP)
        return fail_file(from, "'__metadata__' must be a map of texts");
    for (int64_t i = 0; i < map->as.list.count; i++) {
        if (map->as.list.items[i].kind != DL_VALUE_STRING)
            return fail_file(from, "'__metadata__' must be a map of texts");
        DL_TRY(dl_bundle_put_text(from->bundle, map->as.list.keys[i], map->as.list.items[i].as.string));
    }
    return DL_OK;
}

/* A list of whole numbers that are not negative. */
static bool take_numbers(const dl_value *list, int64_t *out, int64_t at_most, int64_t *count) {
    if (!list || list->kind != DL_VALUE_LIST || list->as.list.count > at_most)
        return false;
    *count = list->as.list.count;
    for (int64_t i = 0; i < *count; i++) {
        const dl_value *item = &list->as.list.items[i];
        if (item->kind != DL_VALUE_INT || item->as.integer < 0)
            return false;
        out[i] = item->as.integer;
    }
    return true;
}

/* The bytes that shape and dtype need; false if that overflows. */
static bool needed_bytes(const entry *of, uint64_t *bytes) {
    *bytes = (uint64_t)of->stored->size;
    bool empty = false, fits = true;
    for (int i = 0; i < of->dims; i++) {
        empty = empty || of->shape[i] == 0;
        fits = fits && !__builtin_mul_overflow(*bytes, (uint64_t)DL_MAX(of->shape[i], 1), bytes);
    }
    if (empty)
        *bytes = 0;
    return fits;
}

static dl_status take_entry(reader *from, const char *name, const dl_value *about, entry *out) {
    out->name = name;
    const dl_value *dtype = dl_value_get(about, "dtype");
    if (!dtype || dtype->kind != DL_VALUE_STRING)
        return fail_entry(from, name, "has no dtype");
    out->stored = dl_stored_dtype_named(dtype->as.string);
    if (!out->stored)
        return dl_fail(DL_UNSUPPORTED,
                       "'%s': tensor '%.100s' has the dtype '%.40s', which is not read; F64, F32, F16, "
                       "BF16, I64, I32, I16, I8, U64, U32, U16, U8 and BOOL are",
                       from->file.path, name, dtype->as.string);
    int64_t dims, ends, offsets[2];
    if (!take_numbers(dl_value_get(about, "shape"), out->shape, DL_MAX_DIMS, &dims))
        return fail_entry(from, name, "must have a shape of at most 8 sizes, none below 0");
    out->dims = (int)dims;
    if (!take_numbers(dl_value_get(about, "data_offsets"), offsets, 2, &ends) || ends != 2 || offsets[0] > offsets[1] ||
        (uint64_t)offsets[1] > from->data_size)
        return fail_entry(from, name, "lies outside of the file's data");
    out->begin = (uint64_t)offsets[0];
    out->end = (uint64_t)offsets[1];
    uint64_t bytes;
    if (!needed_bytes(out, &bytes) || bytes != out->end - out->begin)
        return fail_entry(from, name, "has a range of data that does not fit its dtype and shape");
    return DL_OK;
}

static int by_place(const void *a, const void *b) {
    const entry *left = *(const entry *const *)a, *right = *(const entry *const *)b;
    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    return (left->end > right->end) - (left->end < right->end);
}

/* Each range begins where the one before ends, and the last ends with the file. */
static dl_status check_ranges(reader *from) {
    const entry **sorted = dl_alloc_array(from->context, (size_t)from->count, sizeof *sorted);
    if (!sorted)
        return DL_MEMORY;
    for (int64_t i = 0; i < from->count; i++)
        sorted[i] = &from->entries[i];
    qsort(sorted, (size_t)from->count, sizeof *sorted, by_place);
    dl_status status = DL_OK;
    uint64_t end = 0;
    for (int64_t i = 0; i < from->count && status == DL_OK; i++) {
        if (sorted[i]->begin != end)
            status = fail_entry(from, sorted[i]->name,
                                sorted[i]->begin < end ? "overlaps another one in the data"
                                                       : "lies behind a gap in the data");
        end = sorted[i]->end;
    }
    if (status == DL_OK && end != from->data_size)
        status = dl_fail(DL_FORMAT, "'%s' is no valid safetensors file: %" PRIu64 " bytes of data belong to no tensor",
                         from->file.path, from->data_size - end);
    dl_free(sorted);
    return status;
}

static dl_status take_header(reader *from) {
    const dl_value *map = &from->header;
    from->entries = dl_alloc_array(from->context, (size_t)map->as.list.count, sizeof *from->entries);
    if (!from->entries)
        return DL_MEMORY;
    for (int64_t i = 0; i < map->as.list.count; i++) {
        const char *name = map->as.list.keys[i];
        const dl_value *about = &map->as.list.items[i];
        if (strcmp(name, "__metadata__") == 0)
            DL_TRY(take_metadata(from, about));
        else
            DL_TRY(take_entry(from, name, about, &from->entries[from->count++]));
    }
    return check_ranges(from);
}

/* ---- the data -------------------------------------------------------------------------------------------------- */

/* Reads a tensor whose values are converted on the way, a chunk at a time. */
static dl_status read_widened(reader *from, const entry *of, char *to) {
    uint64_t left = of->end - of->begin, at = from->data_at + of->begin;
    while (left > 0) {
        size_t bytes = (size_t)DL_MIN(left, (uint64_t)CHUNK);
        int64_t count = (int64_t)bytes / of->stored->size;
        DL_TRY(dl_input_read(&from->file, at, from->chunk, bytes));
        if (!of->stored->widen(to, from->chunk, count))
            return fail_entry(from, of->name,
                              of->stored->dtype == DL_BOOLEAN ? "has a value that is neither true nor false"
                                                              : "has a value that int64 cannot hold");
        to += (size_t)count * dl_dtype_size(of->stored->dtype);
        at += bytes;
        left -= bytes;
    }
    return DL_OK;
}

static dl_status read_tensor(reader *from, const entry *of) {
    dl_tensor *tensor = dl_tensor_new(from->context, of->stored->dtype, of->dims, of->shape);
    if (!tensor) {
        dl_status status = dl_last_status();
        return status == DL_MEMORY ? status : fail_entry(from, of->name, "has a shape that is too large");
    }
    dl_status status;
    if (of->stored->widen)
        status = read_widened(from, of, dl_tensor_data(tensor));
    else
        status = dl_input_read(&from->file, from->data_at + of->begin, dl_tensor_data(tensor), of->end - of->begin);
    if (status != DL_OK) {
        dl_release(tensor);
        return status;
    }
    return dl_bundle_append(from->bundle, of->name, tensor);
}

static dl_status read_all(reader *from, const char *path) {
    DL_TRY(dl_input_open(path, &from->file));
    DL_TRY(dl_bundle_create(from->context, &from->bundle));
    DL_TRY(read_header(from));
    DL_TRY(take_header(from));
    from->chunk = dl_alloc(from->context, CHUNK);
    if (!from->chunk)
        return DL_MEMORY;
    for (int64_t i = 0; i < from->count; i++) {
        DL_TRY(dl_poll(from->context));
        DL_TRY(read_tensor(from, &from->entries[i]));
    }
    return DL_OK;
}

dl_status dl_load_safetensors(dl_context *context, const char *path, dl_bundle **out) {
    reader from = {.context = context, .file = {.fd = -1}};
    dl_status status = read_all(&from, path);
    dl_free(from.chunk);
    dl_free(from.entries);
    dl_value_clear(&from.header);
    dl_input_close(&from.file);
    if (status != DL_OK)
        dl_bundle_free(from.bundle);
    *out = status == DL_OK ? from.bundle : NULL;
    return status;
}
