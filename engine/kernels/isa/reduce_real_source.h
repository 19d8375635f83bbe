/* kernels/isa/reduce_real_source.h: the reductions of one real type: R and LOOP(name) are set by both_reals.h.
 * Accumulators are doubles. */

static double LOOP(product)(int64_t n, const R *x) {
    double product = 1;
    for (int64_t i = 0; i < n; i++)
        product *= (double)x[i];
    return product;
}

#define REDUCE_ROWS(name, of_row)                                                                                      \
    static void LOOP(name##_rows)(int64_t rows, int64_t n, const void *from, void *to) {                               \
        const R *x = from;                                                                                             \
        for (int64_t row = 0; row < rows; row++, x += n)                                                               \
            ((double *)to)[row] = (double)of_row;                                                                      \
    }
REDUCE_ROWS(sum, m_row_sum(n, x))
REDUCE_ROWS(squares, m_row_dot(n, x, x))
REDUCE_ROWS(max, m_row_max(n, x))
REDUCE_ROWS(min, m_row_min(n, x))
REDUCE_ROWS(prod, LOOP(product)(n, x))
#undef REDUCE_ROWS

/* Each column on its own, in rows from the top; sums are carried in R for SUM_ROWS rows at most. */
#define REDUCE_COLUMNS(name, part_type, identity, combined, totals_combined)                                           \
    static void LOOP(name##_columns)(int64_t n, int64_t columns, int64_t inner, const void *from, void *to) {          \
        const R *in = from;                                                                                            \
        double *total = to;                                                                                            \
        for (int64_t i = 0; i < columns; i++)                                                                          \
            total[i] = identity;                                                                                       \
        for (int64_t top = 0; top < n; top += SUM_ROWS) {                                                              \
            part_type part[BLOCK_COLUMNS];                                                                             \
            for (int64_t i = 0; i < columns; i++)                                                                      \
                part[i] = identity;                                                                                    \
            int64_t end = DL_MIN(n, top + SUM_ROWS);                                                                   \
            for (int64_t k = top; k < end; k++) {                                                                      \
                _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {                                            \
                    part_type a = part[i];                                                                             \
                    R x = in[k * inner + i];                                                                           \
                    part[i] = combined;                                                                                \
                }                                                                                                      \
            }                                                                                                          \
            for (int64_t i = 0; i < columns; i++) {                                                                    \
                double a = total[i];                                                                                   \
                double x = (double)part[i];                                                                            \
                total[i] = totals_combined;                                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
REDUCE_COLUMNS(sum, R, 0, a + x, a + x)
REDUCE_COLUMNS(prod, double, 1, a *(double)x, a *x)
REDUCE_COLUMNS(max, R, -INFINITY, m_max(a, x), dl_max_f64(a, x))
REDUCE_COLUMNS(min, R, INFINITY, m_min(a, x), dl_min_f64(a, x))
#undef REDUCE_COLUMNS

static void LOOP(finish)(int64_t columns, void *to, const void *from, double divisor) {
    R *out = to;
    const double *total = from;
    for (int64_t i = 0; i < columns; i++)
        out[i] = (R)(total[i] / divisor);
}

/* ---- log-sum-exp ----------------------------------------------------------------------------------------------- */

/* What is taken from x so that e^x does not overflow: the maximum, unless it is infinite or NaN. */
static R LOOP(shift_of)(R best) {
    return best - best == 0 ? best : (R)0;
}

static void LOOP(logsumexp_row)(int64_t n, R *out, const R *x) {
    R shift = LOOP(shift_of)(m_row_max(n, x));
    double sum = 0;
    for (int64_t from = 0; from < n; from += SUM_BLOCK) {
        R y[SUM_BLOCK];
        int64_t count = DL_MIN(n - from, SUM_BLOCK);
        m_row_exp(count, y, x + from, shift);
        sum += m_row_sum(count, y);
    }
    *out = (R)((double)shift + dl_log_f64(sum));
}

static void LOOP(logsumexp_columns)(int64_t columns, int64_t n, int64_t inner, R *out, const R *x) {
    R shift[DL_UNIT_COLUMNS];
    double sum[DL_UNIT_COLUMNS] = {0};
    for (int64_t i = 0; i < columns; i++)
        shift[i] = -INFINITY;
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < columns; i++)
            shift[i] = m_max(shift[i], x[k * inner + i]);
    for (int64_t i = 0; i < columns; i++)
        shift[i] = LOOP(shift_of)(shift[i]);
    for (int64_t k = 0; k < n; k++) {
        R y[DL_UNIT_COLUMNS];
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            y[i] = m_exp(x[k * inner + i] - shift[i]);
        }
        for (int64_t i = 0; i < columns; i++)
            sum[i] += (double)y[i];
    }
    for (int64_t i = 0; i < columns; i++)
        out[i] = (R)((double)shift[i] + dl_log_f64(sum[i]));
}

static void LOOP(logsumexp_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const columns_call *call = argument;
    const R *x = (const R *)call->x + o * call->n * call->inner + column;
    R *out = (R *)call->out + o * call->inner + column;
    if (call->inner == 1)
        LOOP(logsumexp_row)(call->n, out, x);
    else
        LOOP(logsumexp_columns)(columns, call->n, call->inner, out, x);
}

/* dx = g e^(x - y) */
static void LOOP(logsumexp_backward_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const columns_call *call = argument;
    int64_t n = call->n, inner = call->inner;
    const R *x = (const R *)call->x + o * n * inner + column;
    const R *y = (const R *)call->y + o * inner + column;
    const R *g = (const R *)call->g + o * inner + column;
    R *dx = (R *)call->out + o * n * inner + column;
    if (inner == 1) {
        R gradient = g[0], shift = y[0];
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {
            dx[i] = gradient * m_exp(x[i] - shift);
        }
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
            dx[k * inner + i] = g[i] * m_exp(x[k * inner + i] - y[i]);
        }
    }
}

/* ---- finite values --------------------------------------------------------------------------------------------- */

static void LOOP(not_finite_rows)(int64_t rows, int64_t n, const void *from, void *found) {
    const R *x = from;
    for (int64_t row = 0; row < rows; row++, x += n) {
        int64_t any = 0;
        for (int64_t i = 0; i < n; i++)
            any |= x[i] - x[i] != 0;
        ((int64_t *)found)[row] = any;
    }
}
