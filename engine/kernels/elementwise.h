/* kernels/elementwise.h: how element-wise kernels walk strided operands.
 *
 *      dl_loop (shape, strides)  --merged-->  tiles of whole blocks  --block function(n, pointers), all contiguous
 *
 * A block is a run of elements in row-major order. Operands that lie contiguous over the block are passed as they are;
 * others are copied into a small buffer first (the output: written back after), so that a function of the table has one
 * loop over contiguous elements and gives the same bits for any strides. Tiles depend on the shape alone. */
#ifndef DL_KERNELS_ELEMENTWISE_H
#define DL_KERNELS_ELEMENTWISE_H

#include "base/base.h"
#include "kernels/element.h"

/* Computes n elements: at[0] is the output, at[1] ... the inputs, each contiguous. */
typedef void (*dl_block_function)(void *argument, int64_t n, void *const *at);

/* Runs function over all elements of the loop. sizes: bytes of an element of each operand; pointers: their elements
 * (0, ..., 0). cost: nanoseconds of one core for an element, which decides how many threads are worth it. */
dl_status dl_elementwise(dl_context *context, const dl_loop *loop, int operands, const int *sizes,
                         void *const *pointers, double cost, dl_block_function function, void *argument);

/* Copies the elements (of `size` bytes) of operand 1 to operand 0. */
dl_status dl_copy_strided(dl_context *context, const dl_loop *loop, int size, void *to, const void *from);

/* Columns o, column .. column + columns - 1 of (outer, n, inner): what one call works on, all n of each. The first
 * element is at (o * n * inner + column), the next of a column inner elements further on; at most DL_UNIT_COLUMNS
 * columns. */
typedef void (*dl_unit_function)(void *argument, int64_t o, int64_t column, int64_t columns);
#define DL_UNIT_COLUMNS 64

/* Runs function over all columns of (outer, n, inner), in tiles that depend on the sizes alone. With inner 1 a column
 * is a contiguous row. cost as in dl_elementwise. */
dl_status dl_columnwise(dl_context *context, int64_t outer, int64_t n, int64_t inner, double cost,
                        dl_unit_function function, void *argument);

/* Bytes of an element. */
static inline int dl_element_size(dl_element element) {
    static const uint8_t sizes[] = {
#define X(name, type) sizeof(type),
        DL_ELEMENT_TABLE(X)
#undef X
    };
    return sizes[element];
}

/* "float32" */
const char *dl_element_name(dl_element element);

/* DL_DTYPE, "WHAT is not defined for int32", unless the elements are float32 or float64. */
dl_status dl_need_real_element(dl_element element, const char *what);

#endif
