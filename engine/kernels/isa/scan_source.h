/* kernels/isa/scan_source.h: running sums for one element type: T, its accumulator A and LOOP(name) are set by the
 * including file. */

static void LOOP(cumsum_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const arg_call *call = argument;
    int64_t n = call->n, inner = call->inner;
    const T *x = (const T *)call->x + o * n * inner + column;
    T *out = (T *)call->out + o * n * inner + column;
    A total[DL_UNIT_COLUMNS] = {0};
    for (int64_t step = 0; step < n; step++) {
        int64_t k = call->reverse ? n - 1 - step : step;
        for (int64_t i = 0; i < columns; i++) {
            total[i] += (A)x[k * inner + i];
            out[k * inner + i] = (T)total[i];
        }
    }
}
