/* kernels/isa/softmax.c: softmax and log_softmax over the middle of (outer, n, inner), forward and backward.
 *
 * One row (inner = 1) or one block of columns is the unit of work; the maximum is subtracted first, so nothing
 * overflows. The loops are free of branches and stay in the first-level cache for rows of a few thousand elements. */
#include "kernels/elementwise.h"
#include "kernels/isa/lanes.h"
#include "kernels/kernels.h"

typedef struct softmax_call {
    void *out;
    const void *a, *b; /* x; or g and y */
    bool backward, logarithm, single;
    int64_t n, inner;
} softmax_call;

#define SOURCE "kernels/isa/softmax_source.h"
#include "kernels/isa/both_reals.h"

static void softmax_unit(void *argument, int64_t o, int64_t column, int64_t columns) {
    const softmax_call *call = argument;
    int64_t at = o * call->n * call->inner + column;
    if (call->single)
        run_f32(call, at, columns);
    else
        run_f64(call, at, columns);
}

static dl_status run_softmax(dl_context *context, dl_element element, softmax_call call, int64_t outer) {
    DL_TRY(dl_need_real_element(element, "softmax"));
    if (call.n == 0)
        return DL_OK;
    call.single = element == DL_ELEMENT_FLOAT32;
    return dl_columnwise(context, outer, call.n, call.inner, 0.5, softmax_unit, &call);
}

dl_status DL_KERNEL(softmax)(dl_context *context, dl_element element, void *y, const void *x, int64_t outer, int64_t n,
                             int64_t inner) {
    return run_softmax(context, element, (softmax_call){.out = y, .a = x, .n = n, .inner = inner}, outer);
}

dl_status DL_KERNEL(softmax_backward)(dl_context *context, dl_element element, void *dx, const void *g, const void *y,
                                      int64_t outer, int64_t n, int64_t inner) {
    softmax_call call = {.out = dx, .a = g, .b = y, .backward = true, .n = n, .inner = inner};
    return run_softmax(context, element, call, outer);
}

dl_status DL_KERNEL(log_softmax)(dl_context *context, dl_element element, void *y, const void *x, int64_t outer,
                                 int64_t n, int64_t inner) {
    softmax_call call = {.out = y, .a = x, .logarithm = true, .n = n, .inner = inner};
    return run_softmax(context, element, call, outer);
}

dl_status DL_KERNEL(log_softmax_backward)(dl_context *context, dl_element element, void *dx, const void *g,
                                          const void *y, int64_t outer, int64_t n, int64_t inner) {
    softmax_call call = {.out = dx, .a = g, .b = y, .backward = true, .logarithm = true, .n = n, .inner = inner};
    return run_softmax(context, element, call, outer);
}
