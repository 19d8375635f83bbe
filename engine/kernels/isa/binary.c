/* kernels/isa/binary.c: the element-wise functions of two operands, forward and backward, and comparisons, from the
 * tables of kernels/binary_rows.h; and the choice between two operands.
 *
 * Integers wrap; an integer division looks for a zero divisor before it writes anything. */
#include "kernels/elementwise.h"
#include "kernels/isa/math.h"
#include "kernels/kernels.h"

typedef struct binary_call {
    dl_binary function;
    int which; /* the operand whose gradient is computed */
    double parameter;
} binary_call;

#define SOURCE "kernels/isa/binary_source.h"
#include "kernels/isa/both_reals.h"

#define IS_MINUS_ONE(b)   ((b) == -1)
#define ROUNDS_DOWN(a, b) ((a) % (b) != 0 && ((a) % (b) < 0) != ((b) < 0))

#define I          int32_t
#define U          uint32_t
#define LOOP(name) name##_i32
#include "kernels/isa/binary_integer_source.h"
#undef I
#undef U
#undef LOOP

#define I          int64_t
#define U          uint64_t
#define LOOP(name) name##_i64
#include "kernels/isa/binary_integer_source.h"
#undef I
#undef U
#undef LOOP

#undef IS_MINUS_ONE
#undef ROUNDS_DOWN
#define IS_MINUS_ONE(b)   false
#define ROUNDS_DOWN(a, b) false

#define I          uint8_t
#define U          uint32_t
#define LOOP(name) name##_u8
#include "kernels/isa/binary_integer_source.h"
#undef I
#undef U
#undef LOOP

static const char *const names[] = {
#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help) #name,
    DL_BINARY_ROWS(X)
#undef X
};

static bool has_parameter(dl_binary function) {
    static const bool table[] = {
#define P0(...)                                                                   +1
#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help) (0 DL_ROW_LIST parameters) > 0,
        DL_BINARY_ROWS(X)
#undef X
#undef P0
    };
    return table[function];
}

static binary_call call_of(dl_binary function, const double *parameters) {
    return (binary_call){.function = function, .parameter = has_parameter(function) ? parameters[0] : 0};
}

static double cost_of(dl_binary function) {
    switch (function) {
    case DL_BINARY_pow:
    case DL_BINARY_atan2:
    case DL_BINARY_fmod:
    case DL_BINARY_remainder:
    case DL_BINARY_floor_divide:
        return 5;
    case DL_BINARY_binary_cross_entropy_error:
    case DL_BINARY_binary_cross_entropy_logits_error:
        return 1;
    default:
        return 0.25;
    }
}

static bool divides(dl_binary function) {
#define X(name, value) || function == DL_BINARY_##name
    return false DL_BINARY_DIVISION_ROWS(X);
#undef X
}

static bool any_zero(dl_element element, const void *b, const dl_loop *loop) {
    if (element == DL_ELEMENT_INT32)
        return any_zero_i32(loop, 0, b);
    return element == DL_ELEMENT_INT64 ? any_zero_i64(loop, 0, b) : any_zero_u8(loop, 0, b);
}

dl_status DL_KERNEL(binary)(dl_context *context, dl_binary function, dl_element element, void *out, const void *a,
                            const void *b, const dl_loop *loop, const double *parameters) {
    static const dl_block_function blocks[DL_ELEMENT_COUNT] = {
        [DL_ELEMENT_FLOAT32] = value_block_f32, [DL_ELEMENT_FLOAT64] = value_block_f64,
        [DL_ELEMENT_INT32] = value_block_i32,   [DL_ELEMENT_INT64] = value_block_i64,
        [DL_ELEMENT_UINT8] = value_block_u8,
    };
    bool real = element <= DL_ELEMENT_FLOAT64;
    if (!blocks[element] || (!real && !values_i32[function]))
        return dl_fail(DL_DTYPE, "%s is not defined for %s", names[function], dl_element_name(element));
    if (!real && divides(function) && any_zero(element, b, loop))
        return dl_fail(DL_INVALID, "the divisor has a 0, and %s has no infinity; use a float dtype or replace it",
                       dl_element_name(element));
    binary_call call = call_of(function, parameters);
    int size = dl_element_size(element);
    return dl_elementwise(context, loop, 3, (int[]){size, size, size}, (void *[]){out, (void *)a, (void *)b},
                          cost_of(function), blocks[element], &call);
}

dl_status DL_KERNEL(binary_backward)(dl_context *context, dl_binary function, int which, dl_element element, void *grad,
                                     const void *g, const void *a, const void *b, const dl_loop *loop,
                                     const double *parameters) {
    if (element > DL_ELEMENT_FLOAT64)
        return dl_fail(DL_DTYPE, "the gradient of %s is not defined for %s", names[function], dl_element_name(element));
    binary_call call = call_of(function, parameters);
    call.which = which;
    int size = dl_element_size(element);
    return dl_elementwise(context, loop, 4, (int[]){size, size, size, size},
                          (void *[]){grad, (void *)g, (void *)a, (void *)b}, cost_of(function),
                          element == DL_ELEMENT_FLOAT32 ? gradient_block_f32 : gradient_block_f64, &call);
}

/* ---- comparisons ----------------------------------------------------------------------------------------------- */

#define COMPARE_LOOP(name, value, type, suffix)                                                                        \
    static void name##_##suffix(void *argument, int64_t n, void *const *at) {                                          \
        (void)argument;                                                                                                \
        uint8_t *out = at[0];                                                                                          \
        const type *left = at[1];                                                                                      \
        const type *right = at[2];                                                                                     \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            type a = left[i];                                                                                          \
            type b = right[i];                                                                                         \
            out[i] = value;                                                                                            \
        }                                                                                                              \
    }
#define X(name, formula, value, help)                                                                                  \
    COMPARE_LOOP(name, value, float, f32)                                                                              \
    COMPARE_LOOP(name, value, double, f64)                                                                             \
    COMPARE_LOOP(name, value, int32_t, i32)                                                                            \
    COMPARE_LOOP(name, value, int64_t, i64)                                                                            \
    COMPARE_LOOP(name, value, uint8_t, u8)
DL_COMPARE_ROWS(X)
#undef X

/* In the order of dl_element. */
static const dl_block_function comparisons[][DL_ELEMENT_COUNT] = {
#define X(name, formula, value, help) {name##_f32, name##_f64, name##_i32, name##_i64, name##_u8, name##_u8},
    DL_COMPARE_ROWS(X)
#undef X
};

dl_status DL_KERNEL(compare)(dl_context *context, dl_compare function, dl_element element, uint8_t *out, const void *a,
                             const void *b, const dl_loop *loop) {
    int size = dl_element_size(element);
    return dl_elementwise(context, loop, 3, (int[]){1, size, size}, (void *[]){out, (void *)a, (void *)b}, 0.25,
                          comparisons[function][element], NULL);
}

/* ---- choice ---------------------------------------------------------------------------------------------------- */

#define WHERE_LOOP(bits)                                                                                               \
    static void where_##bits(void *argument, int64_t n, void *const *at) {                                             \
        (void)argument;                                                                                                \
        uint##bits##_t *out = at[0];                                                                                   \
        const uint8_t *condition = at[1];                                                                              \
        const uint##bits##_t *a = at[2];                                                                               \
        const uint##bits##_t *b = at[3];                                                                               \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            uint##bits##_t yes = a[i];                                                                                 \
            uint##bits##_t no = b[i];                                                                                  \
            out[i] = condition[i] ? yes : no;                                                                          \
        }                                                                                                              \
    }
WHERE_LOOP(8)
WHERE_LOOP(32)
WHERE_LOOP(64)

dl_status DL_KERNEL(where)(dl_context *context, dl_element element, void *out, const uint8_t *condition, const void *a,
                           const void *b, const dl_loop *loop) {
    int size = dl_element_size(element);
    dl_block_function block = size == 1 ? where_8 : size == 4 ? where_32 : where_64;
    return dl_elementwise(context, loop, 4, (int[]){size, 1, size, size},
                          (void *[]){out, (void *)condition, (void *)a, (void *)b}, 0.3, block, NULL);
}
