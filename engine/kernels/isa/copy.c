/* kernels/isa/copy.c: copies between strides and element types, constants, ranges. */
#include "kernels/elementwise.h"
#include "kernels/isa/convert.h"
#include "kernels/kernels.h"

/* Conversion of x to each element type, from floats and from integers. */
#define TO_f32(x)         (float)(x)
#define TO_f64(x)         (double)(x)
#define TO_bool(x)        (x) != 0
#define FLOAT_TO_i32(x)   dl_saturate_i32((double)(x))
#define FLOAT_TO_i64(x)   dl_saturate_i64((double)(x))
#define FLOAT_TO_u8(x)    dl_saturate_u8((double)(x))
#define INTEGER_TO_i32(x) (int32_t)(uint32_t)(uint64_t)(x)
#define INTEGER_TO_i64(x) (int64_t)(x)
#define INTEGER_TO_u8(x)  (uint8_t)(uint64_t)(x)

#define CONVERT_LOOP(from, from_type, to, to_type, convert)                                                            \
    static void from##_to_##to(void *argument, int64_t n, void *const *at) {                                           \
        (void)argument;                                                                                                \
        to_type *out = at[0];                                                                                          \
        const from_type *in = at[1];                                                                                   \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            out[i] = convert(in[i]);                                                                                   \
        }                                                                                                              \
    }

#define CONVERT_LOOPS(from, type, kind)                                                                                \
    CONVERT_LOOP(from, type, f32, float, TO_f32)                                                                       \
    CONVERT_LOOP(from, type, f64, double, TO_f64)                                                                      \
    CONVERT_LOOP(from, type, i32, int32_t, kind##_TO_i32)                                                              \
    CONVERT_LOOP(from, type, i64, int64_t, kind##_TO_i64)                                                              \
    CONVERT_LOOP(from, type, u8, uint8_t, kind##_TO_u8)                                                                \
    CONVERT_LOOP(from, type, bool, uint8_t, TO_bool)

CONVERT_LOOPS(f32, float, FLOAT)
CONVERT_LOOPS(f64, double, FLOAT)
CONVERT_LOOPS(i32, int32_t, INTEGER)
CONVERT_LOOPS(i64, int64_t, INTEGER)
CONVERT_LOOPS(u8, uint8_t, INTEGER)

/* [from][to] in the order of dl_element; a boolean is read as its byte. */
#define CONVERT_ROW(from)                                                                                              \
    { from##_to_f32, from##_to_f64, from##_to_i32, from##_to_i64, from##_to_u8, from##_to_bool }
static const dl_block_function conversions[DL_ELEMENT_COUNT][DL_ELEMENT_COUNT] = {
    CONVERT_ROW(f32), CONVERT_ROW(f64), CONVERT_ROW(i32), CONVERT_ROW(i64), CONVERT_ROW(u8), CONVERT_ROW(u8)};

dl_status DL_KERNEL(copy)(dl_context *context, dl_element to_element, void *to, dl_element from_element,
                          const void *from, const dl_loop *loop) {
    int to_size = dl_element_size(to_element);
    if (to_element == from_element)
        return dl_copy_strided(context, loop, to_size, to, from);
    return dl_elementwise(context, loop, 2, (int[]){to_size, dl_element_size(from_element)},
                          (void *[]){to, (void *)from}, 0.25, conversions[from_element][to_element], NULL);
}

dl_status DL_KERNEL(fill)(dl_context *context, dl_element element, void *out, double value, const dl_loop *loop) {
    uint64_t converted = 0;
    conversions[DL_ELEMENT_FLOAT64][element](NULL, 1, (void *[]){&converted, &value});
    dl_loop repeated = *loop;
    for (int i = 0; i < loop->dims; i++)
        repeated.strides[1][i] = 0;
    return dl_copy_strided(context, &repeated, dl_element_size(element), out, &converted);
}

dl_status DL_KERNEL(arange)(dl_context *context, dl_element element, void *out, double start, double step, int64_t n) {
    double values[256];
    for (int64_t from = 0; from < n; from += DL_COUNT(values)) {
        DL_TRY(dl_poll(context));
        int64_t count = DL_MIN(n - from, DL_COUNT(values));
        for (int64_t i = 0; i < count; i++)
            values[i] = start + (double)(from + i) * step;
        char *to = (char *)out + from * dl_element_size(element);
        conversions[DL_ELEMENT_FLOAT64][element](NULL, count, (void *[]){to, values});
    }
    return DL_OK;
}
