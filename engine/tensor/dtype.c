/* tensor/dtype.c: the element types. Everything about them comes from DL_DTYPE_TABLE. */
#include <string.h>

#include "tensor/tensor.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define X(symbol, text, bytes) {#text, bytes},
    DL_DTYPE_TABLE(X)
#undef X
};

/* The kernels name the types in the same order. */
#define X(symbol, text, bytes) _Static_assert((int)DL_##symbol == (int)DL_ELEMENT_##symbol, "order of dtypes");
DL_DTYPE_TABLE(X)
#undef X

const char *dl_dtype_name(dl_dtype dtype) {
    return dtypes[dtype].name;
}

size_t dl_dtype_size(dl_dtype dtype) {
    return dtypes[dtype].size;
}

dl_status dl_dtype_from_name(const char *name, dl_dtype *out) {
    for (int i = 0; i < DL_DTYPE_COUNT; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = (dl_dtype)i;
            return DL_OK;
        }
    }
    return dl_fail(DL_DTYPE, "unknown dtype '%s': use float32, float64, int32, int64, uint8 or bool", name);
}

bool dl_dtype_is_float(dl_dtype dtype) {
    return dtype == DL_FLOAT32 || dtype == DL_FLOAT64;
}

dl_dtype dl_dtype_promote(dl_dtype a, dl_dtype b) {
    static const int rank[] = {
        [DL_BOOLEAN] = 0, [DL_UINT8] = 1, [DL_INT32] = 2, [DL_INT64] = 3, [DL_FLOAT32] = 4, [DL_FLOAT64] = 5,
    };
    return rank[a] >= rank[b] ? a : b;
}
