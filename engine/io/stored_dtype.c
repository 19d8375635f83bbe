/* io/stored_dtype.c: the dtypes of safetensors files, and the widening of those that the engine does not compute in. */
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "io/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and read as they are");

/* IEEE 754 half precision: sign (1), exponent (5, biased by 15), fraction (10). */
static uint32_t half_bits(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
    if (exponent == 0x1F)
        return sign | 0x7F800000 | fraction << 13;
    if (exponent == 0 && fraction == 0)
        return sign;
    if (exponent == 0) { /* denormal: shift until the leading bit is where the hidden one goes */
        int shift = __builtin_clz(fraction) - 21;
        return sign | (uint32_t)(113 - shift) << 23 | (fraction << shift & 0x3FF) << 13;
    }
    return sign | (exponent + 112) << 23 | fraction << 13;
}

static bool widen_f16(void *to, const void *from, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = half_bits(((const uint16_t *)from)[i]);
        memcpy((float *)to + i, &bits, sizeof bits);
    }
    return true;
}

/* The upper half of a float32. */
static bool widen_bf16(void *to, const void *from, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
        memcpy((float *)to + i, &bits, sizeof bits);
    }
    return true;
}

#define WIDEN(name, wide, narrow)                                                                                      \
    static bool name(void *to, const void *from, int64_t count) {                                                      \
        for (int64_t i = 0; i < count; i++)                                                                            \
            ((wide *)to)[i] = ((const narrow *)from)[i];                                                               \
        return true;                                                                                                   \
    }
WIDEN(widen_i8, int32_t, int8_t)
WIDEN(widen_i16, int32_t, int16_t)
WIDEN(widen_u16, int32_t, uint16_t)
WIDEN(widen_u32, int64_t, uint32_t)

static bool widen_u64(void *to, const void *from, int64_t count) {
    const uint64_t *values = from;
    for (int64_t i = 0; i < count; i++) {
        if (values[i] > INT64_MAX)
            return false;
        ((int64_t *)to)[i] = (int64_t)values[i];
    }
    return true;
}

/* A bool of C has no values but these two. */
static bool check_bool(void *to, const void *from, int64_t count) {
    const uint8_t *values = from;
    for (int64_t i = 0; i < count; i++) {
        if (values[i] > 1)
            return false;
        ((bool *)to)[i] = values[i];
    }
    return true;
}

static const dl_stored_dtype table[] = {
    {"F32", 4, DL_FLOAT32, NULL},      {"F64", 8, DL_FLOAT64, NULL},        {"I32", 4, DL_INT32, NULL},
    {"I64", 8, DL_INT64, NULL},        {"U8", 1, DL_UINT8, NULL},           {"BOOL", 1, DL_BOOLEAN, check_bool},
    {"F16", 2, DL_FLOAT32, widen_f16}, {"BF16", 2, DL_FLOAT32, widen_bf16}, {"I8", 1, DL_INT32, widen_i8},
    {"I16", 2, DL_INT32, widen_i16},   {"U16", 2, DL_INT32, widen_u16},     {"U32", 4, DL_INT64, widen_u32},
    {"U64", 8, DL_INT64, widen_u64},
};

const dl_stored_dtype *dl_stored_dtype_named(const char *name) {
    for (int i = 0; i < DL_COUNT(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const dl_stored_dtype *dl_stored_dtype_of(dl_dtype dtype) {
    for (int i = 0; i < DL_COUNT(table); i++)
        if (table[i].dtype == dtype)
            return &table[i];
    return NULL;
}
