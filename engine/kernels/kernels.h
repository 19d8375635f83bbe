/* kernels/kernels.h: loops over raw pointers. They know no tensor and no graph.
 *
 * Every file in kernels/isa/ is compiled once for each instruction set (-DDL_ISA=avx2 ...) from the same source. A
 * kernel of name NAME is written there as
 *
 *      dl_status DL_KERNEL(NAME)(dl_context *context, ...) { ... }
 *
 * and listed in one row of a table of rows (kernels/rows_*.h). From the rows come the prototypes for each instruction
 * set, the struct of function pointers dl_kernels and its three constants. Callers write dl_kernel()->NAME(...).
 *
 * Conventions: outputs first, then inputs, then sizes. Pointers may be null only where said. Arrays are contiguous
 * unless strides are given; strides count elements. Kernels run tiles by dl_parallel and take scratch by dl_alloc, so
 * they return a dl_status; the tiles and the order of every sum depend on the sizes alone, never on the number of
 * threads. Nothing is written when a status other than DL_OK or DL_CANCELLED returns. Dimension letters: N batch, H W C
 * image, K filters or classes, M N K in matrix products. */
#ifndef DL_KERNELS_KERNELS_H
#define DL_KERNELS_KERNELS_H

#include "base/base.h"
#include "kernels/rows_attention.h"
#include "kernels/rows_dense.h"
#include "kernels/rows_math.h"
#include "kernels/rows_recurrent.h"

#define DL_PASTE3_(a, b, c) a##b##_##c
#define DL_PASTE3(a, b, c) DL_PASTE3_(a, b, c)
/* The symbol of a kernel in the instruction set that is being compiled. */
#define DL_KERNEL(name) DL_PASTE3(dl_k_, DL_ISA, name)

#define DL_KERNEL_ROWS(X)                                                                                              \
    DL_DENSE_ROWS(X)                                                                                                   \
    DL_ATTENTION_ROWS(X)                                                                                               \
    DL_RECURRENT_ROWS(X)                                                                                               \
    DL_MATH_ROWS(X)

typedef struct dl_kernels {
    const char *isa;
#define X(name, arguments) dl_status(*name) arguments;
    DL_KERNEL_ROWS(X)
#undef X
} dl_kernels;

#ifdef DL_ISA
#define X(name, arguments) dl_status DL_KERNEL(name) arguments;
DL_KERNEL_ROWS(X)
#undef X
#endif

/* The kernels of this machine's instruction set, chosen at the first call. */
const dl_kernels *dl_kernel(void);
/* The kernels of one instruction set, or NULL if this processor or build lacks it: for tests. */
const dl_kernels *dl_kernels_of(const char *isa);

#endif
