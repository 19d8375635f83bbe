/* kernels/isa/unary.c: the element-wise functions of one operand, forward and backward, from the tables of
 * kernels/unary_rows.h.
 *
 * Each row has one loop over contiguous elements for each element type; dl_elementwise brings strided operands to it.
 * Loops are branch-free and vectorize, except over functions of the C library. */
#include "kernels/elementwise.h"
#include "kernels/isa/convert.h"
#include "kernels/isa/math.h"
#include "kernels/kernels.h"

typedef struct unary_call {
    dl_unary function;
    double parameters[2];
    bool periodic; /* sine or cosine, whose own code has a limited range (so has the tangent, but not its gradient) */
} unary_call;

#define SOURCE "kernels/isa/unary_source.h"
#include "kernels/isa/both_reals.h"

#define I             int32_t
#define U             uint32_t
#define LOOP(name)    name##_i32
#define SATURATE      dl_saturate_i32
#define BELOW_ZERO(x) ((x) < 0)
#include "kernels/isa/unary_integer_source.h"
#undef I
#undef U
#undef LOOP
#undef SATURATE
#undef BELOW_ZERO

#define I             int64_t
#define U             uint64_t
#define LOOP(name)    name##_i64
#define SATURATE      dl_saturate_i64
#define BELOW_ZERO(x) ((x) < 0)
#include "kernels/isa/unary_integer_source.h"
#undef I
#undef U
#undef LOOP
#undef SATURATE
#undef BELOW_ZERO

#define I             uint8_t
#define U             uint8_t
#define LOOP(name)    name##_u8
#define SATURATE      dl_saturate_u8
#define BELOW_ZERO(x) false
#include "kernels/isa/unary_integer_source.h"
#undef I
#undef U
#undef LOOP
#undef SATURATE
#undef BELOW_ZERO

static const uint8_t parameter_counts[] = {
#define P0(...)                                                            +1
#define P1(...)                                                            +1
#define X(name, needs, parameters, formula, domain, value, gradient, help) 0 DL_ROW_LIST parameters,
    DL_UNARY_ROWS(X)
#undef X
#undef P0
#undef P1
};

static const char *const names[] = {
#define X(name, needs, parameters, formula, domain, value, gradient, help) #name,
    DL_UNARY_ROWS(X)
#undef X
};

static unary_call call_of(dl_unary function, const double *parameters) {
    unary_call call = {.function = function, .periodic = function == DL_UNARY_sin || function == DL_UNARY_cos};
    for (int i = 0; i < parameter_counts[function]; i++)
        call.parameters[i] = parameters[i];
    return call;
}

/* Nanoseconds of an element: loops over the C library's functions take the longest. */
static double cost_of(dl_unary function) {
    if (function <= DL_UNARY_clamp)
        return 0.2;
    return function >= DL_UNARY_relu ? 0.5 : 2;
}

dl_status DL_KERNEL(unary)(dl_context *context, dl_unary function, dl_element element, void *out, const void *x,
                           const dl_loop *loop, const double *parameters) {
    static const dl_block_function blocks[DL_ELEMENT_COUNT] = {
        [DL_ELEMENT_FLOAT32] = value_block_f32, [DL_ELEMENT_FLOAT64] = value_block_f64,
        [DL_ELEMENT_INT32] = value_block_i32,   [DL_ELEMENT_INT64] = value_block_i64,
        [DL_ELEMENT_UINT8] = value_block_u8,
    };
    bool real = element <= DL_ELEMENT_FLOAT64;
    if (!blocks[element] || (!real && !values_i32[function]))
        return dl_fail(DL_DTYPE, "%s is not defined for %s", names[function], dl_element_name(element));
    unary_call call = call_of(function, parameters);
    int size = dl_element_size(element);
    return dl_elementwise(context, loop, 2, (int[]){size, size}, (void *[]){out, (void *)x}, cost_of(function),
                          blocks[element], &call);
}

dl_status DL_KERNEL(unary_backward)(dl_context *context, dl_unary function, dl_element element, void *dx, const void *g,
                                    const void *saved, const dl_loop *loop, const double *parameters) {
    if (element > DL_ELEMENT_FLOAT64)
        return dl_fail(DL_DTYPE, "the gradient of %s is not defined for %s", names[function], dl_element_name(element));
    unary_call call = call_of(function, parameters);
    int size = dl_element_size(element);
    int operands = dl_unary_needs_of(function) == DL_NEEDS_NOTHING ? 2 : 3;
    return dl_elementwise(context, loop, operands, (int[]){size, size, size}, (void *[]){dx, (void *)g, (void *)saved},
                          cost_of(function), element == DL_ELEMENT_FLOAT32 ? gradient_block_f32 : gradient_block_f64,
                          &call);
}

/* ---- predicates ------------------------------------------------------------------------------------------------ */

#define PREDICATE(function, real, value)                                                                               \
    static void function(void *argument, int64_t n, void *const *at) {                                                 \
        (void)argument;                                                                                                \
        uint8_t *out = at[0];                                                                                          \
        const real *in = at[1];                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            real x = in[i];                                                                                            \
            out[i] = value;                                                                                            \
        }                                                                                                              \
    }
#define X(name, formula, value, help)                                                                                  \
    PREDICATE(name##_f32, float, value)                                                                                \
    PREDICATE(name##_f64, double, value)
DL_PREDICATE_ROWS(X)
#undef X
#undef PREDICATE

static const dl_block_function predicates[][2] = {
#define X(name, formula, value, help) {name##_f32, name##_f64},
    DL_PREDICATE_ROWS(X)
#undef X
};

/* Integers: all are finite, and logical_not is a comparison with zero. */
static dl_status integer_predicate(dl_context *context, dl_predicate function, dl_element element, uint8_t *out,
                                   const void *x, const dl_loop *loop) {
    if (function != DL_PREDICATE_logical_not)
        return DL_KERNEL(fill)(context, DL_ELEMENT_BOOLEAN, out, function == DL_PREDICATE_isfinite, loop);
    int64_t zero = 0;
    dl_loop against_zero = *loop;
    memset(against_zero.strides[2], 0, sizeof against_zero.strides[2]);
    return DL_KERNEL(compare)(context, DL_COMPARE_eq, element, out, x, &zero, &against_zero);
}

dl_status DL_KERNEL(predicate)(dl_context *context, dl_predicate function, dl_element element, uint8_t *out,
                               const void *x, const dl_loop *loop) {
    if (element > DL_ELEMENT_FLOAT64)
        return integer_predicate(context, function, element, out, x, loop);
    return dl_elementwise(context, loop, 2, (int[]){1, dl_element_size(element)}, (void *[]){out, (void *)x}, 0.2,
                          predicates[function][element], NULL);
}
