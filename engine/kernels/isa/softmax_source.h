/* kernels/isa/softmax_source.h: softmax of rows and of columns for one real type: R and LOOP(name) are set by
 * both_reals.h. */

static void LOOP(softmax_row)(int64_t n, R *y, const R *x) {
    m_row_exp(n, y, x, m_row_max(n, x));
    R factor = (R)(1 / m_row_sum(n, y));
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        y[i] *= factor;
    }
}

static void LOOP(log_softmax_row)(int64_t n, R *y, const R *x) {
    R shift = m_row_max(n, x);
    m_row_exp(n, y, x, shift);
    R log_sum = (R)dl_log_f64(m_row_sum(n, y));
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        y[i] = (x[i] - shift) - log_sum;
    }
}

/* dx = y (g - sum g y) */
static void LOOP(softmax_backward_row)(int64_t n, R *dx, const R *g, const R *y) {
    R sum = (R)m_row_dot(n, g, y);
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        dx[i] = y[i] * (g[i] - sum);
    }
}

/* dx = g - e^y sum g */
static void LOOP(log_softmax_backward_row)(int64_t n, R *dx, const R *g, const R *y) {
    R sum = (R)m_row_sum(n, g);
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
        dx[i] = g[i] - m_exp(y[i]) * sum;
    }
}

/* Columns: up to DL_UNIT_COLUMNS neighbours at once, n rows of them, `inner` elements apart. */

static void LOOP(column_max)(int64_t columns, int64_t n, int64_t inner, R *best, const R *x) {
    for (int64_t i = 0; i < columns; i++)
        best[i] = x[i];
    for (int64_t k = 1; k < n; k++) {
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            best[i] = m_max(best[i], x[k * inner + i]);
        }
    }
}

static void LOOP(column_exp_sum)(int64_t columns, int64_t n, int64_t inner, R *y, const R *x, const R *shift,
                                 double *sum) {
    for (int64_t i = 0; i < columns; i++)
        sum[i] = 0;
    for (int64_t k = 0; k < n; k++) {
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            y[k * inner + i] = m_exp(x[k * inner + i] - shift[i]);
        }
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            sum[i] += (double)y[k * inner + i];
        }
    }
}

static void LOOP(softmax_columns)(int64_t columns, int64_t n, int64_t inner, R *y, const R *x) {
    R shift[DL_UNIT_COLUMNS] = {0};
    double sum[DL_UNIT_COLUMNS];
    LOOP(column_max)(columns, n, inner, shift, x);
    LOOP(column_exp_sum)(columns, n, inner, y, x, shift, sum);
    for (int64_t k = 0; k < n; k++) {
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            y[k * inner + i] *= (R)(1 / sum[i]);
        }
    }
}

static void LOOP(log_softmax_columns)(int64_t columns, int64_t n, int64_t inner, R *y, const R *x) {
    R shift[DL_UNIT_COLUMNS] = {0};
    double sum[DL_UNIT_COLUMNS];
    LOOP(column_max)(columns, n, inner, shift, x);
    LOOP(column_exp_sum)(columns, n, inner, y, x, shift, sum);
    for (int64_t i = 0; i < columns; i++)
        sum[i] = dl_log_f64(sum[i]);
    for (int64_t k = 0; k < n; k++) {
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            y[k * inner + i] = (x[k * inner + i] - shift[i]) - (R)sum[i];
        }
    }
}

static void LOOP(softmax_backward_columns)(int64_t columns, int64_t n, int64_t inner, R *dx, const R *g, const R *y) {
    double sum[DL_UNIT_COLUMNS] = {0};
    for (int64_t k = 0; k < n; k++) {
        for (int64_t i = 0; i < columns; i++)
            sum[i] += (double)g[k * inner + i] * (double)y[k * inner + i];
    }
    for (int64_t k = 0; k < n; k++) {
        for (int64_t i = 0; i < columns; i++)
            dx[k * inner + i] = y[k * inner + i] * (g[k * inner + i] - (R)sum[i]);
    }
}

static void LOOP(log_softmax_backward_columns)(int64_t columns, int64_t n, int64_t inner, R *dx, const R *g,
                                               const R *y) {
    double sum[DL_UNIT_COLUMNS] = {0};
    for (int64_t k = 0; k < n; k++) {
        for (int64_t i = 0; i < columns; i++)
            sum[i] += (double)g[k * inner + i];
    }
    for (int64_t k = 0; k < n; k++) {
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            dx[k * inner + i] = g[k * inner + i] - m_exp(y[k * inner + i]) * (R)sum[i];
        }
    }
}

/* Columns c .. c + columns - 1 of the part that `at` points to; a single column of inner 1 is a row. */
static void LOOP(run)(const softmax_call *call, int64_t at, int64_t columns) {
    R *out = (R *)call->out + at;
    const R *a = (const R *)call->a + at;
    const R *b = call->b ? (const R *)call->b + at : NULL;
    bool rows = call->inner == 1;
    int64_t n = call->n, inner = call->inner;
    if (call->backward && call->logarithm)
        rows ? LOOP(log_softmax_backward_row)(n, out, a, b)
             : LOOP(log_softmax_backward_columns)(columns, n, inner, out, a, b);
    else if (call->backward)
        rows ? LOOP(softmax_backward_row)(n, out, a, b) : LOOP(softmax_backward_columns)(columns, n, inner, out, a, b);
    else if (call->logarithm)
        rows ? LOOP(log_softmax_row)(n, out, a) : LOOP(log_softmax_columns)(columns, n, inner, out, a);
    else
        rows ? LOOP(softmax_row)(n, out, a) : LOOP(softmax_columns)(columns, n, inner, out, a);
}
