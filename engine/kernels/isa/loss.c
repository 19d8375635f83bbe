/* kernels/isa/loss.c: cross-entropy over classes, from logits or probabilities, against labels or distributions,
 * forward and backward.
 *
 * Labels are checked before anything is written. Always true: a row's result depends on that row alone. */
#include <string.h>

#include "kernels/elementwise.h"
#include "kernels/isa/labels.h"
#include "kernels/isa/lanes.h"
#include "kernels/kernels.h"

/* Classes of a parallel tile, about. */
#define TILE      8192
/* Rows whose logarithms are taken together. */
#define LOSS_ROWS 64

typedef struct loss_call {
    dl_scores scores;
    bool single;
    void *out;             /* losses (rows), or dx (rows, classes) */
    void *normalizers_out; /* forward; may be NULL */
    const void *g;         /* backward: (rows), or one number if g_step is 0; NULL in forward */
    int64_t g_step;
    const void *x;           /* (rows, classes) */
    const void *normalizers; /* backward */
    dl_element label_element;
    const void *labels;  /* (rows), or NULL: targets */
    const void *targets; /* (rows, classes), or NULL: labels */
    double smoothing;
    int64_t ignore_class;
    int64_t rows, classes;
    int64_t per_tile;
} loss_call;

static bool is_ignored(const loss_call *call, int64_t row) {
    return call->labels && call->ignore_class != DL_IGNORE_NO_CLASS &&
           dl_index_at(call->label_element, call->labels, row) == call->ignore_class;
}

#define SOURCE "kernels/isa/loss_source.h"
#include "kernels/isa/both_reals.h"

static void run_rows(const loss_call *call, int64_t first, int64_t end) {
    if (call->g)
        call->single ? gradient_rows_f32(call, first, end) : gradient_rows_f64(call, first, end);
    else
        call->single ? loss_rows_f32(call, first, end) : loss_rows_f64(call, first, end);
}

static void loss_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const loss_call *call = argument;
    int64_t end = DL_MIN(call->rows, (tile + 1) * call->per_tile);
    for (int64_t row = tile * call->per_tile; row < end; row += LOSS_ROWS)
        run_rows(call, row, DL_MIN(end, row + LOSS_ROWS));
}

static dl_status check_labels(const loss_call *call) {
    if (!dl_is_index_element(call->label_element))
        return dl_fail(DL_DTYPE, "labels are %s; they must be int32, int64 or uint8",
                       dl_element_name(call->label_element));
    for (int64_t row = 0; row < call->rows; row++) {
        int64_t label = dl_index_at(call->label_element, call->labels, row);
        if ((label >= 1 && label <= call->classes) || is_ignored(call, row))
            continue;
        if (label == 0)
            return dl_fail(DL_INVALID,
                           "the label of row %lld is 0, which means none: labels count from 1 to %lld (add 1 to labels "
                           "that count from 0: train.y + 1, or say ignore_class = 0 to leave such rows out)",
                           (long long)row + 1, (long long)call->classes);
        return dl_fail(DL_INVALID, "the label of row %lld is %lld; allowed are 1 to %lld, the number of classes",
                       (long long)row + 1, (long long)label, (long long)call->classes);
    }
    return DL_OK;
}

static dl_status run_loss(dl_context *context, dl_element element, loss_call call) {
    DL_TRY(dl_need_real_element(element, "cross-entropy"));
    if (call.rows == 0)
        return DL_OK;
    if (call.classes < 1)
        return dl_fail(DL_SHAPE, "cross-entropy needs at least one class, but the last dimension of the scores is 0");
    if (call.labels)
        DL_TRY(check_labels(&call));
    call.single = element == DL_ELEMENT_FLOAT32;
    call.per_tile = DL_MAX(1, TILE / DL_MAX(1, call.classes));
    int64_t tiles = (call.rows + call.per_tile - 1) / call.per_tile;
    double work = (double)call.rows * (50 + (double)call.classes);
    return dl_parallel(context, tiles, dl_threads_for(context, work), loss_tile, &call);
}

dl_status DL_KERNEL(cross_entropy)(dl_context *context, dl_scores scores, dl_element element, void *losses,
                                   void *normalizers, const void *x, dl_element label_element, const void *labels,
                                   double label_smoothing, int64_t ignore_class, int64_t rows, int64_t classes) {
    loss_call call = {.scores = scores,
                      .out = losses,
                      .normalizers_out = normalizers,
                      .x = x,
                      .label_element = label_element,
                      .labels = labels,
                      .smoothing = label_smoothing,
                      .ignore_class = ignore_class,
                      .rows = rows,
                      .classes = classes};
    return run_loss(context, element, call);
}

dl_status DL_KERNEL(cross_entropy_backward)(dl_context *context, dl_scores scores, dl_element element, void *dx,
                                            const void *g, int g_step, const void *x, const void *normalizers,
                                            dl_element label_element, const void *labels, double label_smoothing,
                                            int64_t ignore_class, int64_t rows, int64_t classes) {
    loss_call call = {.scores = scores,
                      .out = dx,
                      .g = g,
                      .g_step = g_step,
                      .x = x,
                      .normalizers = normalizers,
                      .label_element = label_element,
                      .labels = labels,
                      .smoothing = label_smoothing,
                      .ignore_class = ignore_class,
                      .rows = rows,
                      .classes = classes};
    return run_loss(context, element, call);
}

dl_status DL_KERNEL(cross_entropy_targets)(dl_context *context, dl_scores scores, dl_element element, void *losses,
                                           void *normalizers, const void *x, const void *targets,
                                           double label_smoothing, int64_t rows, int64_t classes) {
    loss_call call = {.scores = scores,
                      .out = losses,
                      .normalizers_out = normalizers,
                      .x = x,
                      .targets = targets,
                      .smoothing = label_smoothing,
                      .rows = rows,
                      .classes = classes};
    return run_loss(context, element, call);
}

dl_status DL_KERNEL(cross_entropy_targets_backward)(dl_context *context, dl_scores scores, dl_element element, void *dx,
                                                    const void *g, int g_step, const void *x, const void *normalizers,
                                                    const void *targets, double label_smoothing, int64_t rows,
                                                    int64_t classes) {
    loss_call call = {.scores = scores,
                      .out = dx,
                      .g = g,
                      .g_step = g_step,
                      .x = x,
                      .normalizers = normalizers,
                      .targets = targets,
                      .smoothing = label_smoothing,
                      .rows = rows,
                      .classes = classes};
    return run_loss(context, element, call);
}
