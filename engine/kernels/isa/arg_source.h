/* kernels/isa/arg_source.h: places of extremes for one element type: T and LOOP(name) are set by the including file, as
 * are IS_NAN(x) and ROW_EXTREME(maximum, n, x), the extreme of a row or a NaN in it. */

/* True if x is more extreme than best, or the first NaN. NaN is never ordered, so an integer type has the first part
 * alone in effect. */
#define BEATS(x, best) ((maximum ? (x) > (best) : (x) < (best)) || (IS_NAN(x) && !IS_NAN(best)))

static void LOOP(arg_row)(bool maximum, int64_t n, int64_t *out, const T *x) {
    T best = ROW_EXTREME(maximum, n, x);
    int64_t at = 0;
    while (x[at] != best && !IS_NAN(x[at]))
        at++;
    *out = at + 1;
}

static void LOOP(arg_columns)(bool maximum, int64_t columns, int64_t n, int64_t inner, int64_t *out, const T *x) {
    T best[DL_UNIT_COLUMNS] = {0};
    for (int64_t i = 0; i < columns; i++) {
        best[i] = x[i];
        out[i] = 1;
    }
    for (int64_t k = 1; k < n; k++) {
        for (int64_t i = 0; i < columns; i++) {
            T candidate = x[k * inner + i];
            bool beats = BEATS(candidate, best[i]);
            best[i] = beats ? candidate : best[i];
            out[i] = beats ? k + 1 : out[i];
        }
    }
}

static void LOOP(arg_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const arg_call *call = argument;
    const T *x = (const T *)call->x + o * call->n * call->inner + column;
    int64_t *out = (int64_t *)call->out + o * call->inner + column;
    if (call->inner == 1)
        LOOP(arg_row)(call->maximum, call->n, out, x);
    else
        LOOP(arg_columns)(call->maximum, columns, call->n, call->inner, out, x);
}

#undef BEATS
