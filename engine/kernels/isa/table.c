/* kernels/isa/table.c: the struct of all kernels of one instruction set. */
#include "kernels/kernels.h"

#define DL_STRING_(name) #name
#define DL_STRING_OF(name) DL_STRING_(name)

extern const dl_kernels DL_KERNEL(table);
const dl_kernels DL_KERNEL(table) = {
    .isa = DL_STRING_OF(DL_ISA),
#define X(name, arguments) .name = DL_KERNEL(name),
    DL_KERNEL_ROWS(X)
#undef X
};
