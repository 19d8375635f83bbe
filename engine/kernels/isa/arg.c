/* kernels/isa/arg.c: places of extremes, running sums, and the gradients of max, min and prod, over the middle of
 * contiguous (outer, n, inner). Each column is worked on whole, so its result depends on it alone. */
#include "kernels/elementwise.h"
#include "kernels/isa/lanes.h"
#include "kernels/kernels.h"

typedef struct arg_call {
    void *out;
    const void *x, *y, *g;
    int64_t n, inner;
    bool maximum; /* arg_reduce */
    bool reverse; /* cumsum */
} arg_call;

#define IS_NAN(x)                  ((x) != (x))
#define ROW_EXTREME(maximum, n, x) ((maximum) ? m_row_max(n, x) : m_row_min(n, x))

#define T          float
#define R          float
#define A          double
#define LOOP(name) name##_f32
#include "kernels/isa/arg_source.h"
#include "kernels/isa/gradient_source.h"
#include "kernels/isa/scan_source.h"
#undef T
#undef R
#undef A
#undef LOOP

#define T          double
#define R          double
#define A          double
#define LOOP(name) name##_f64
#include "kernels/isa/arg_source.h"
#include "kernels/isa/gradient_source.h"
#include "kernels/isa/scan_source.h"
#undef T
#undef R
#undef A
#undef LOOP

#undef IS_NAN
#undef ROW_EXTREME
#define IS_NAN(x)                  false
#define ROW_EXTREME(maximum, n, x) LOOP(extreme_of_row)(maximum, n, x)
#define A                          uint64_t

#define SOURCE "kernels/isa/arg_integer_source.h"
#include "kernels/isa/all_integers.h"
#define SOURCE "kernels/isa/arg_source.h"
#include "kernels/isa/all_integers.h"
#define SOURCE "kernels/isa/scan_source.h"
#include "kernels/isa/all_integers.h"

dl_status DL_KERNEL(arg_reduce)(dl_context *context, bool maximum, dl_element element, int64_t *out, const void *x,
                                int64_t outer, int64_t n, int64_t inner) {
    static const dl_unit_function units[DL_ELEMENT_COUNT] = {arg_unit_f32, arg_unit_f64, arg_unit_i32,
                                                             arg_unit_i64, arg_unit_u8,  arg_unit_u8};
    if (n == 0)
        return dl_fail(DL_SHAPE, "the place of an extreme over a dimension of size 0 does not exist");
    arg_call call = {.out = out, .x = x, .n = n, .inner = inner, .maximum = maximum};
    return dl_columnwise(context, outer, n, inner, 0.5, units[element], &call);
}

dl_status DL_KERNEL(extreme_backward)(dl_context *context, dl_element element, void *dx, const void *g, const void *x,
                                      const void *y, int64_t outer, int64_t n, int64_t inner) {
    DL_TRY(dl_need_real_element(element, "the gradient of max and min"));
    arg_call call = {.out = dx, .x = x, .y = y, .g = g, .n = n, .inner = inner};
    return dl_columnwise(context, outer, n, inner, 1,
                         element == DL_ELEMENT_FLOAT32 ? extreme_unit_f32 : extreme_unit_f64, &call);
}

dl_status DL_KERNEL(prod_backward)(dl_context *context, dl_element element, void *dx, const void *g, const void *x,
                                   int64_t outer, int64_t n, int64_t inner) {
    DL_TRY(dl_need_real_element(element, "the gradient of prod"));
    arg_call call = {.out = dx, .x = x, .g = g, .n = n, .inner = inner};
    return dl_columnwise(context, outer, n, inner, 3, element == DL_ELEMENT_FLOAT32 ? prod_unit_f32 : prod_unit_f64,
                         &call);
}

dl_status DL_KERNEL(cumsum)(dl_context *context, dl_element element, void *out, const void *x, bool reverse,
                            int64_t outer, int64_t n, int64_t inner) {
    static const dl_unit_function units[DL_ELEMENT_COUNT] = {cumsum_unit_f32, cumsum_unit_f64, cumsum_unit_i32,
                                                             cumsum_unit_i64, cumsum_unit_u8,  NULL};
    if (!units[element])
        return dl_fail(DL_DTYPE, "cumsum is not defined for bool; convert it to int64 first");
    arg_call call = {.out = out, .x = x, .n = n, .inner = inner, .reverse = reverse};
    return dl_columnwise(context, outer, n, inner, 1, units[element], &call);
}
