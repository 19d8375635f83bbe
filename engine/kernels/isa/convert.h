/* kernels/isa/convert.h: floats to integers without undefined cases: cut towards zero, kept within the type's range,
 * NaN to zero. Branch-free, so that loops vectorize where the instruction set can. */
#ifndef DL_KERNELS_ISA_CONVERT_H
#define DL_KERNELS_ISA_CONVERT_H

#include <stdint.h>

#include "kernels/isa/math.h"

/* least: the lowest double that converts; above: the first one too large. */
#define DL_SATURATE_(name, type, lowest, highest, least, above)                                                        \
    DL_INLINE type dl_saturate_##name(double x) {                                                                      \
        double inside = x >= (least) && x < (above) ? x : 0.0;                                                         \
        type y = (type)inside;                                                                                         \
        y = x < (least) ? (lowest) : y;                                                                                \
        return x >= (above) ? (highest) : y;                                                                           \
    }

DL_SATURATE_(i32, int32_t, INT32_MIN, INT32_MAX, -0x1p31, 0x1p31)
DL_SATURATE_(i64, int64_t, INT64_MIN, INT64_MAX, -0x1p63, 0x1p63)
DL_SATURATE_(u8, uint8_t, 0, UINT8_MAX, 0.0, 0x1p8)

#endif
