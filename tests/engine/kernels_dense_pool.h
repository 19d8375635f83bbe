/* The tests of pooling for one element type: REAL, its suffix TYPED(name) and TOLERANCE are defined by the file that
 * includes this. */

#define EACH_OUTPUT(s) EACH(n_, (s)->N) EACH(p_, (s)->out_h) EACH(q_, (s)->out_w) EACH(c_, (s)->C)
#define OUTPUT(s)      (((n_ * (s)->out_h + p_) * (s)->out_w + q_) * (s)->C + c_)

/* The element of x at cell (u, v) of output (n, p, q, c)'s window, or -1 outside. */
static int64_t TYPED(cell)(const dl_pool2d_sizes *s, int64_t n, int64_t p, int64_t q, int64_t c, int64_t u, int64_t v) {
    int64_t row = p * s->stride_h + u - s->pad_top, column = q * s->stride_w + v - s->pad_left;
    bool inside = row >= 0 && row < s->H && column >= 0 && column < s->W;
    return inside ? ((n * s->H + row) * s->W + column) * s->C + c : -1;
}
#define EACH_CELL(s, i)                                                                                                \
    EACH(u_, (s)->window_h)                                                                                            \
    EACH(v_, (s)->window_w) for (int64_t i = TYPED(cell)(s, n_, p_, q_, c_, u_, v_), once_ = 0; i >= 0 && !once_;      \
                                 once_ = 1)

/* The element of x that wins each window: the first of the largest, -1 if the window is empty. */
static void TYPED(naive_winners)(int64_t *winner, const REAL *x, const dl_pool2d_sizes *s) {
    EACH_OUTPUT(s) {
        int64_t best = -1;
        EACH_CELL(s, i) {
            if (best < 0 || x[i] > x[best] || (isnan(x[i]) && !isnan(x[best])))
                best = i;
        }
        winner[OUTPUT(s)] = best;
    }
}

static const dl_pool2d_sizes TYPED(pool_cases)[] = {
    /* N, H, W, C, out_h, out_w, window, stride, padding */
    {2, 8, 8, 32, 4, 4, 2, 2, 2, 2, 0, 0}, {3, 7, 9, 5, 3, 4, 2, 2, 2, 2, 0, 0},
    {2, 7, 7, 9, 4, 4, 3, 3, 2, 2, 1, 1},  {1, 10, 6, 3, 8, 5, 3, 2, 1, 1, 0, 0},
    {2, 9, 9, 17, 1, 1, 9, 9, 9, 9, 0, 0}, {1, 5, 5, 1, 5, 5, 5, 5, 1, 1, 2, 2},
    {2, 6, 6, 4, 2, 2, 2, 2, 4, 4, 0, 0},  {40, 20, 20, 24, 10, 10, 2, 2, 2, 2, 0, 0},
    {1, 4, 4, 2, 4, 4, 1, 1, 3, 3, 4, 4},
};

static void TYPED(check_max)(const dl_kernels *kernels, const dl_pool2d_sizes *s, REAL *x, const REAL *grad_y) {
    int64_t x_size = s->N * s->H * s->W * s->C, y_size = s->N * s->out_h * s->out_w * s->C, image = s->H * s->W * s->C;
    int64_t *winner = calloc((size_t)y_size, sizeof *winner);
    double *want = zeros_f64(y_size), *want_x = zeros_f64(x_size);
    TYPED(naive_winners)(winner, x, s);
    EACH(o, y_size) want[o] = winner[o] < 0 ? -(double)INFINITY : (double)x[winner[o]];
    EACH(o, y_size) want_x[winner[o] < 0 ? 0 : winner[o]] += winner[o] < 0 ? 0 : (double)grad_y[o];
    REAL *y = TYPED(numbers)(y_size, 3), *y_alone = TYPED(numbers)(y_size, 3), *grad_x = TYPED(numbers)(x_size, 3);
    int32_t *index = calloc((size_t)y_size, sizeof *index);
    EACH(threads, 2) {
        dl_context *context = context_with((int)threads + 1);
        CHECK(kernels->TYPED(maxpool2d)(context, y, index, x, s) == DL_OK);
        CHECK(kernels->TYPED(maxpool2d)(context, y_alone, NULL, x, s) == DL_OK);
        CHECK(kernels->TYPED(maxpool2d_backward)(context, grad_x, grad_y, index, s) == DL_OK);
        int64_t wrong = 0;
        EACH(o, y_size) {
            int64_t place = winner[o] < 0 ? -1 : winner[o] % image / s->C;
            bool same = (double)y[o] == want[o] || (isnan(y[o]) && isnan(want[o]));
            wrong += !same || index[o] != place || memcmp(y + o, y_alone + o, sizeof *y) != 0;
        }
        CHECK_EQ_INT(wrong, 0);
        CHECK(TYPED(close)(grad_x, want_x, x_size, TOLERANCE));
        dl_context_release(context);
    }
    free(winner), free(want), free(want_x), free(y), free(y_alone), free(grad_x), free(index);
}

static void TYPED(test_maxpool2d_agrees_with_its_naive_twin)(void) {
    for (int i = 0; i < DL_COUNT(TYPED(pool_cases)); i++) {
        const dl_pool2d_sizes *s = &TYPED(pool_cases)[i];
        int64_t x_size = s->N * s->H * s->W * s->C;
        REAL *x = TYPED(numbers)(x_size, 1), *grad_y = TYPED(numbers)(s->N * s->out_h * s->out_w * s->C, 2);
        for (int coarse = 0; coarse < 2; coarse++) {
            /* The second time with many ties. */
            EACH(j, x_size) x[j] = coarse ? (REAL)floor((double)x[j] * 2) : x[j];
            EACH_ISA(kernels) TYPED(check_max)(kernels, s, x, grad_y);
        }
        free(x), free(grad_y);
    }
}

static void TYPED(test_maxpool2d_lets_nan_win)(void) {
    const dl_pool2d_sizes *s = &TYPED(pool_cases)[1];
    int64_t x_size = s->N * s->H * s->W * s->C;
    REAL *x = TYPED(numbers)(x_size, 1), *grad_y = TYPED(numbers)(s->N * s->out_h * s->out_w * s->C, 2);
    for (int64_t j = 0; j < x_size; j += 7)
        x[j] = (REAL)NAN;
    EACH_ISA(kernels) TYPED(check_max)(kernels, s, x, grad_y);
    free(x), free(grad_y);
}

static void TYPED(test_avgpool2d_agrees_with_its_naive_twin)(void) {
    for (int i = 0; i < DL_COUNT(TYPED(pool_cases)); i++) {
        const dl_pool2d_sizes *s = &TYPED(pool_cases)[i];
        int64_t x_size = s->N * s->H * s->W * s->C, y_size = s->N * s->out_h * s->out_w * s->C;
        REAL *x = TYPED(numbers)(x_size, 1), *grad_y = TYPED(numbers)(y_size, 2);
        REAL *y = TYPED(numbers)(y_size, 3), *grad_x = TYPED(numbers)(x_size, 3);
        double *want = zeros_f64(y_size), *want_x = zeros_f64(x_size);
        EACH_OUTPUT(s) {
            double sum = 0, cells = 0;
            EACH_CELL(s, j) sum += (double)x[j], cells++;
            want[OUTPUT(s)] = cells > 0 ? sum / cells : 0;
            EACH_CELL(s, j) want_x[j] += (double)grad_y[OUTPUT(s)] / cells;
        }
        EACH_ISA(kernels) EACH(threads, 2) {
            dl_context *context = context_with((int)threads + 1);
            CHECK(kernels->TYPED(avgpool2d)(context, y, x, s) == DL_OK);
            CHECK(kernels->TYPED(avgpool2d_backward)(context, grad_x, grad_y, s) == DL_OK);
            CHECK(TYPED(close)(y, want, y_size, TOLERANCE));
            CHECK(TYPED(close)(grad_x, want_x, x_size, TOLERANCE));
            dl_context_release(context);
        }
        free(x), free(grad_y), free(y), free(grad_x), free(want), free(want_x);
    }
}

#define POOL_TESTS                                                                                                     \
    RUN(test_maxpool2d_agrees_with_its_naive_twin), RUN(test_maxpool2d_lets_nan_win),                                  \
        RUN(test_avgpool2d_agrees_with_its_naive_twin)
