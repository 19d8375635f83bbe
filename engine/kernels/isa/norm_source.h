/* kernels/isa/norm_source.h: moments and normalization for one real type: R and LOOP(name) are set by both_reals.h. */

/* The mean of n elements of each column and their summed squared differences from it: two passes over what is in the
 * cache. */
static void LOOP(moments_row)(int64_t n, const R *x, double *mean, double *squares) {
    *mean = n > 0 ? m_row_sum(n, x) / (double)n : 0;
    R center = (R)*mean;
    double error = (double)center - *mean;
    *squares = 0;
    for (int64_t from = 0; from < n; from += SUM_BLOCK) {
        R y[SUM_BLOCK];
        int64_t count = DL_MIN(n - from, SUM_BLOCK);
        for (int64_t i = 0; i < count; i++)
            y[i] = x[from + i] - center;
        *squares += m_row_dot(count, y, y);
    }
    *squares = DL_MAX(0, *squares - (double)n * error * error);
}

static void LOOP(moments_columns)(int64_t columns, int64_t n, int64_t inner, const R *x, double *mean,
                                  double *squares) {
    R part[BLOCK_COLUMNS], center[BLOCK_COLUMNS];
    for (int64_t i = 0; i < columns; i++)
        mean[i] = squares[i] = 0;
    for (int64_t top = 0; top < n; top += SUM_ROWS) {
        for (int64_t i = 0; i < columns; i++)
            part[i] = 0;
        for (int64_t k = top; k < DL_MIN(n, top + SUM_ROWS); k++)
            _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
                part[i] += x[k * inner + i];
            }
        for (int64_t i = 0; i < columns; i++)
            mean[i] += (double)part[i] / (double)n;
    }
    for (int64_t i = 0; i < columns; i++)
        center[i] = (R)mean[i];
    for (int64_t top = 0; top < n; top += SUM_ROWS) {
        for (int64_t i = 0; i < columns; i++)
            part[i] = 0;
        for (int64_t k = top; k < DL_MIN(n, top + SUM_ROWS); k++)
            _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
                R d = x[k * inner + i] - center[i];
                part[i] += d * d;
            }
        for (int64_t i = 0; i < columns; i++)
            squares[i] += (double)part[i];
    }
    for (int64_t i = 0; i < columns; i++) {
        double error = (double)center[i] - mean[i];
        squares[i] = DL_MAX(0, squares[i] - (double)n * error * error);
    }
}

static void LOOP(moments)(const moments_call *c, int64_t columns, int64_t n, int64_t at, double *mean,
                          double *squares) {
    const R *x = (const R *)c->x + at;
    if (c->inner == 1)
        LOOP(moments_row)(n, x, mean, squares);
    else
        LOOP(moments_columns)(columns, n, c->inner, x, mean, squares);
}

static void LOOP(moments_finish)(const moments_call *c, int64_t at, int64_t columns, const double *mean,
                                 const double *squares) {
    for (int64_t i = 0; i < columns; i++) {
        ((R *)c->variance)[at + i] = (R)(squares[i] / c->divisor);
        if (c->mean)
            ((R *)c->mean)[at + i] = (R)mean[i];
    }
}

/* dx = g * 2 (x - mean) / (n - correction) */
static void LOOP(variance_backward_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const variance_call *c = argument;
    int64_t at = o * c->n * c->inner + column, reduced = o * c->inner + column;
    const R *x = (const R *)c->x + at, *g = (const R *)c->g + reduced, *mean = (const R *)c->mean + reduced;
    R *dx = (R *)c->dx + at;
    R factor = (R)c->factor;
    for (int64_t k = 0; k < c->n; k++)
        for (int64_t i = 0; i < columns; i++)
            dx[k * c->inner + i] = g[i] * factor * (x[k * c->inner + i] - mean[i]);
}

/* ---- channels -------------------------------------------------------------------------------------------------- */

/* y = x * scale + shift; vectors repeated to `period` elements, so that few channels make long loops. */
static void LOOP(affine_rows)(int64_t n, int64_t period, R *y, const R *x, const R *scale, const R *shift) {
    for (int64_t from = 0; from < n; from += period) {
        int64_t count = DL_MIN(n - from, period);
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {
            y[from + i] = x[from + i] * scale[i] + shift[i];
        }
    }
}

static void LOOP(affine_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const channels_call *c = argument;
    int64_t first = tile * c->rows_per_tile, rows = DL_MIN(c->rows - first, c->rows_per_tile);
    const R *scale = c->scale, *shift = c->shift;
    R repeated[2][2 * REPEATED];
    int64_t period = c->channels;
    if (period < REPEATED) {
        period *= (REPEATED + period - 1) / period;
        for (int64_t i = 0; i < period; i++) {
            repeated[0][i] = scale[i % c->channels];
            repeated[1][i] = shift[i % c->channels];
        }
        scale = repeated[0];
        shift = repeated[1];
    }
    int64_t at = first * c->channels;
    LOOP(affine_rows)(rows * c->channels, period, (R *)c->y + at, (const R *)c->x + at, scale, shift);
}

/* Sums of g and of g (x - mean) of the columns of a chunk of rows. */
static void LOOP(gradient_sums)(const channels_call *c, int64_t first, int64_t rows, int64_t column, int64_t columns,
                                double *sums, double *products) {
    const R *mean = (const R *)c->mean + column;
    for (int64_t i = 0; i < columns; i++)
        sums[i] = products[i] = 0;
    for (int64_t top = first; top < first + rows; top += SUM_ROWS) {
        R sum[BLOCK_COLUMNS], product[BLOCK_COLUMNS];
        for (int64_t i = 0; i < columns; i++)
            sum[i] = product[i] = 0;
        for (int64_t k = top; k < DL_MIN(first + rows, top + SUM_ROWS); k++) {
            const R *g = (const R *)c->g + k * c->channels + column;
            const R *x = (const R *)c->x + k * c->channels + column;
            _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
                sum[i] += g[i];
                product[i] += g[i] * (x[i] - mean[i]);
            }
        }
        for (int64_t i = 0; i < columns; i++) {
            sums[i] += (double)sum[i];
            products[i] += (double)product[i];
        }
    }
}

/* dbeta and dgamma from the sums over all rows. */
static void LOOP(gradient_finish)(const channels_call *c, const double *sums, const double *products) {
    const R *inverse = c->inverse_deviation;
    for (int64_t i = 0; i < c->channels; i++) {
        if (c->dbeta)
            ((R *)c->dbeta)[i] = (R)sums[i];
        if (c->dgamma)
            ((R *)c->dgamma)[i] = (R)(products[i] * (double)inverse[i]);
    }
}

/* dx = a g + b (x - mean) + c, with a, b, c of each channel from the sums. */
static void LOOP(dx_tile)(void *argument, int64_t tile, int worker) {
    (void)worker;
    const channels_call *c = argument;
    int64_t first = tile * c->rows_per_tile, last = DL_MIN(c->rows, first + c->rows_per_tile);
    const R *inverse = c->inverse_deviation, *gamma = c->gamma, *mean = c->mean;
    for (int64_t column = 0; column < c->channels; column += BLOCK_COLUMNS) {
        int64_t columns = DL_MIN(c->channels - column, BLOCK_COLUMNS);
        R of_g[BLOCK_COLUMNS], of_x[BLOCK_COLUMNS], constant[BLOCK_COLUMNS];
        for (int64_t i = 0; i < columns; i++) {
            double deviation = (double)inverse[column + i];
            double a = deviation * (gamma ? (double)gamma[column + i] : 1);
            of_g[i] = (R)a;
            of_x[i] = (R)(-a * c->table[c->channels + column + i] * deviation * deviation / (double)c->rows);
            constant[i] = (R)(-a * c->table[column + i] / (double)c->rows);
        }
        for (int64_t k = first; k < last; k++) {
            int64_t at = k * c->channels + column;
            const R *g = (const R *)c->g + at, *x = (const R *)c->x + at;
            R *dx = (R *)c->y + at;
            _Pragma("omp simd") for (int64_t i = 0; i < columns; i++) {
                dx[i] = of_g[i] * g[i] + (of_x[i] * (x[i] - mean[column + i]) + constant[i]);
            }
        }
    }
}
