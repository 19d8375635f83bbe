/* kernels/isa/labels.h: reading whole numbers that data brings: labels and indices, which count from 1. */
#ifndef DL_KERNELS_ISA_LABELS_H
#define DL_KERNELS_ISA_LABELS_H

#include "kernels/elementwise.h"

__attribute__((unused)) static inline int64_t dl_index_at(dl_element element, const void *indices, int64_t at) {
    if (element == DL_ELEMENT_INT64)
        return ((const int64_t *)indices)[at];
    return element == DL_ELEMENT_INT32 ? ((const int32_t *)indices)[at] : ((const uint8_t *)indices)[at];
}

__attribute__((unused)) static inline bool dl_is_index_element(dl_element element) {
    return element == DL_ELEMENT_INT64 || element == DL_ELEMENT_INT32 || element == DL_ELEMENT_UINT8;
}

#endif
