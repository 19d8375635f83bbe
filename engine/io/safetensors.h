/* io/safetensors.h: the dtypes of the format, for the reader and the writer.
 *
 *      8 bytes: length of the header, little-endian
 *      header:  {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
 *      data:    the tensors' bytes, row-major, little-endian, one after another without a gap */
#ifndef DL_IO_SAFETENSORS_H
#define DL_IO_SAFETENSORS_H

#include "dlua/tensor.h"

/* A dtype of the format and ours that holds its values; widen converts `count` of them and is NULL where they are the
 * same. It returns false for a value that ours cannot hold. */
typedef struct dl_stored_dtype {
    const char *name;
    int size;
    dl_dtype dtype;
    bool (*widen)(void *to, const void *from, int64_t count);
} dl_stored_dtype;

/* NULL if the format has no such dtype that can be read. */
const dl_stored_dtype *dl_stored_dtype_named(const char *name);
/* What a dtype is written as. */
const dl_stored_dtype *dl_stored_dtype_of(dl_dtype dtype);

#endif
