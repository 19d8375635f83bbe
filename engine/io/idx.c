/* io/idx.c: the idx format of MNIST (Y. LeCun, C. Cortes, C. Burges: "The MNIST database", section "The IDX file
 * format"), plain or gzip:
 *
 *      0 0 TYPE DIMS      one byte each
 *      size of each dimension, 4 bytes, big-endian
 *      elements, row-major, big-endian
 *
 * The sizes are checked against what the file can hold before anything is allocated; bytes after the last element are
 * an error, as missing ones are. */
#include <inttypes.h>
#include <string.h>

#include "io/source.h"
#include "tensor/tensor.h"

enum { CHUNK = 1 << 16 };

typedef struct idx_type {
    int code;
    int size;
    dl_dtype dtype;
    void (*convert)(void *to, const uint8_t *from, size_t count); /* NULL: the bytes as they are */
} idx_type;

static void convert_i8(void *to, const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((int32_t *)to)[i] = (int8_t)from[i];
}

static void convert_i16(void *to, const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((int32_t *)to)[i] = (int16_t)(from[2 * i] << 8 | from[2 * i + 1]);
}

static void convert_32(void *to, const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, from + 4 * i, sizeof word);
        word = __builtin_bswap32(word);
        memcpy((char *)to + 4 * i, &word, sizeof word);
    }
}

static void convert_64(void *to, const uint8_t *from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, from + 8 * i, sizeof word);
        word = __builtin_bswap64(word);
        memcpy((char *)to + 8 * i, &word, sizeof word);
    }
}

static const idx_type types[] = {
    {0x08, 1, DL_UINT8, NULL},       {0x09, 1, DL_INT32, convert_i8},   {0x0B, 2, DL_INT32, convert_i16},
    {0x0C, 4, DL_INT32, convert_32}, {0x0D, 4, DL_FLOAT32, convert_32}, {0x0E, 8, DL_FLOAT64, convert_64},
};

static const idx_type *type_of(int code) {
    for (int i = 0; i < DL_COUNT(types); i++)
        if (types[i].code == code)
            return &types[i];
    return NULL;
}

static dl_status read_exactly(dl_source *source, void *to, size_t count, const char *what) {
    size_t got;
    DL_TRY(dl_source_read(source, to, count, &got));
    return got == count ? DL_OK
                        : dl_fail(DL_FORMAT, "'%s' is no whole idx file: it ends within its %s", source->name, what);
}

/* Type and sizes; the elements must fit into what may follow. */
static dl_status read_header(dl_source *source, const idx_type **type, int *dims, int64_t *shape) {
    uint8_t magic[4];
    DL_TRY(read_exactly(source, magic, sizeof magic, "header"));
    *type = type_of(magic[2]);
    *dims = magic[3];
    if (magic[0] != 0 || magic[1] != 0 || !*type || *dims < 1)
        return dl_fail(DL_FORMAT, "'%s' is no idx file: it begins with the bytes %02x %02x %02x %02x", source->name,
                       magic[0], magic[1], magic[2], magic[3]);
    if (*dims > DL_MAX_DIMS)
        return dl_fail(DL_UNSUPPORTED, "'%s' has %d dimensions; at most %d are read", source->name, *dims, DL_MAX_DIMS);
    uint64_t bytes = (uint64_t)(*type)->size;
    bool fits = true, empty = false;
    for (int i = 0; i < *dims; i++) {
        uint8_t size[4];
        DL_TRY(read_exactly(source, size, sizeof size, "header"));
        shape[i] = (int64_t)((uint32_t)size[0] << 24 | (uint32_t)size[1] << 16 | (uint32_t)size[2] << 8 | size[3]);
        empty = empty || shape[i] == 0;
        fits = fits && !__builtin_mul_overflow(bytes, (uint64_t)DL_MAX(shape[i], 1), &bytes);
    }
    if (empty ? !fits : !fits || bytes > dl_source_at_most(source)) {
        char sizes[128];
        dl_shape_describe(*dims, shape, sizes, sizeof sizes);
        return dl_fail(DL_FORMAT, "'%s' is no whole idx file: its header speaks of %s elements, more than follow",
                       source->name, sizes);
    }
    return DL_OK;
}

/* Elements in chunks: each is whole, since every element size divides the chunk. */
static dl_status read_elements(dl_source *source, const idx_type *type, dl_tensor *tensor, uint8_t *chunk) {
    char *to = dl_tensor_data(tensor);
    uint64_t left = (uint64_t)dl_tensor_numel(tensor) * (uint64_t)type->size;
    while (left > 0) {
        DL_TRY(dl_poll(source->context));
        size_t bytes = (size_t)DL_MIN(left, (uint64_t)CHUNK);
        DL_TRY(read_exactly(source, type->convert ? chunk : (uint8_t *)to, bytes, "elements"));
        size_t count = bytes / (size_t)type->size;
        if (type->convert)
            type->convert(to, chunk, count);
        to += count * dl_dtype_size(type->dtype);
        left -= bytes;
    }
    size_t more;
    DL_TRY(dl_source_read(source, chunk, 1, &more));
    return more ? dl_fail(DL_FORMAT, "'%s' is no valid idx file: bytes follow its last element", source->name) : DL_OK;
}

static dl_status read_idx(dl_source *source, dl_tensor **out) {
    const idx_type *type;
    int dims;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(read_header(source, &type, &dims, shape));
    dl_tensor *tensor = dl_tensor_new(source->context, type->dtype, dims, shape);
    if (!tensor)
        return dl_last_status();
    uint8_t *chunk = dl_alloc(source->context, CHUNK);
    dl_status status = chunk ? read_elements(source, type, tensor, chunk) : DL_MEMORY;
    dl_free(chunk);
    if (status != DL_OK) {
        dl_release(tensor);
        return status;
    }
    *out = dl_scope_add(source->context, tensor);
    return *out ? DL_OK : DL_MEMORY;
}

dl_status dl_load_idx(dl_context *context, const char *path, dl_tensor **out) {
    *out = NULL;
    dl_source source;
    DL_TRY(dl_source_open_file(context, path, &source));
    dl_status status = read_idx(&source, out);
    dl_source_close(&source);
    return status;
}

dl_status dl_parse_idx(dl_context *context, const void *bytes, size_t length, const char *name, dl_tensor **out) {
    *out = NULL;
    dl_source source;
    DL_TRY(dl_source_open_memory(context, bytes, length, name, &source));
    dl_status status = read_idx(&source, out);
    dl_source_close(&source);
    return status;
}
