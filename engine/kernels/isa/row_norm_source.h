/* kernels/isa/row_norm_source.h: normalization of rows for one real type: R and LOOP(name) are set by both_reals.h. */

/* y = (x - mean) * inverse * weight + bias of one row; without a mean (rms) the row stays where it is. */
static void LOOP(forward_row)(const row_norm_call *call, int64_t row) {
    const int64_t n = call->n;
    const R *x = (const R *)call->x + row * n, *weight = call->weight, *bias = call->bias;
    R *y = (R *)call->out + row * n;
    double sum = 0;
    R mean = 0;
    if (call->mean) {
        mean = (R)(m_row_sum(n, x) / (double)n);
        ((R *)call->mean)[row] = mean;
    }
    for (int64_t from = 0; from < n; from += SUM_BLOCK) {
        int64_t count = DL_MIN(n - from, SUM_BLOCK);
        _Pragma("omp simd") for (int64_t i = from; i < from + count; i++) {
            y[i] = x[i] - mean;
        }
        sum += m_row_dot(count, y + from, y + from);
    }
    R inverse = (R)(1 / sqrt(sum / (double)n + call->epsilon));
    ((R *)call->inverse)[row] = inverse;
    if (weight && bias) {
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            y[i] = y[i] * inverse * weight[i] + bias[i];
        }
        return;
    }
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        y[i] *= inverse;
    }
    for (int64_t i = 0; i < n && weight; i++)
        y[i] *= weight[i];
    for (int64_t i = 0; i < n && bias; i++)
        y[i] += bias[i];
}

static void LOOP(forward_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const row_norm_call *call = argument;
    int64_t end = DL_MIN(call->rows, (tile + 1) * call->rows_per_tile);
    for (int64_t row = tile * call->rows_per_tile; row < end; row++)
        LOOP(forward_row)(call, row);
}

/* With h = g * weight: dx = inverse * (h - mean(h) - xhat * mean(h xhat)), without mean(h) where no mean was taken.
 * xhat is a row of scratch. */
static void LOOP(dx_row)(const row_norm_call *call, int64_t row, const R *xhat) {
    const int64_t n = call->n;
    const R *g = (const R *)call->g + row * n, *weight = call->weight;
    R *dx = (R *)call->out + row * n;
    if (weight) {
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            dx[i] = g[i] * weight[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++)
            dx[i] = g[i];
    }
    const R inverse = ((const R *)call->inverse)[row];
    const R center = call->mean ? (R)(m_row_sum(n, dx) / (double)n) : 0;
    const R slope = (R)(m_row_dot(n, dx, xhat) / (double)n);
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        dx[i] = inverse * (dx[i] - center - xhat[i] * slope);
    }
}

/* Rows first .. last - 1 of a chunk: their dx, and their part of the chunk's sums. */
static void LOOP(backward_rows)(const row_norm_call *call, int64_t chunk, int64_t first, int64_t last) {
    const int64_t n = call->n;
    R *products = (R *)call->partials + 3 * chunk * n, *plain = products + n, *xhat = plain + n;
    for (int64_t i = 0; i < 2 * n; i++)
        products[i] = 0;
    for (int64_t row = first; row < last; row++) {
        const R *x = (const R *)call->x + row * n, *g = (const R *)call->g + row * n;
        const R mean = call->mean ? ((const R *)call->mean)[row] : 0;
        const R inverse = ((const R *)call->inverse)[row];
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            xhat[i] = (x[i] - mean) * inverse;
            products[i] += g[i] * xhat[i];
            plain[i] += g[i];
        }
        if (call->out)
            LOOP(dx_row)(call, row, xhat);
    }
    double *sums = call->sums + 2 * chunk * n;
    _Pragma("omp simd") for (int64_t i = 0; i < 2 * n; i++) {
        sums[i] += (double)products[i];
    }
}

static void LOOP(backward_finish)(const row_norm_call *call, int64_t first, int64_t last) {
    for (int64_t i = first; i < last && call->dweight; i++)
        ((R *)call->dweight)[i] = (R)call->sums[i];
    for (int64_t i = first; i < last && call->dbias; i++)
        ((R *)call->dbias)[i] = (R)call->sums[call->n + i];
}
