/* Reductions, softmax, losses, CTC and normalization: against plain loops, most in long double, over rows and columns,
 * short and longer than a chunk; gradients against differences; the same bits with one thread and two. */
#include "kernels_common.h"

static const dl_element reals[] = {DL_ELEMENT_FLOAT32, DL_ELEMENT_FLOAT64};

/* (outer, n, inner): rows, columns, one of each size around the lanes and the chunks. */
static const int64_t sizes[][3] = {{1, 1, 1},     {3, 10, 1},  {2, 37, 1},   {1, 70001, 1}, {5, 3, 4},    {2, 130, 3},
                                   {1, 1500, 70}, {2, 9, 300}, {1, 7, 1025}, {300, 10, 1},  {1, 2049, 1}, {0, 4, 2}};

static double tolerance_of(dl_element element) {
    return element == DL_ELEMENT_FLOAT32 ? 1e-6 : 1e-14;
}

static void check_near(const char *what, const dl_kernels *k, dl_element element, const int64_t *size, double got,
                       long double want, double tolerance) {
    bool same = (isnan(got) && isnan(want)) || (long double)got == want;
    if (!CHECK(same || fabsl(got - want) <= tolerance))
        fprintf(stderr, "    %s of (%d, %d, %d) in %s %s: got %.17g, want %.17g, allowed %g\n", what, (int)size[0],
                (int)size[1], (int)size[2], k->isa, dl_element_name(element), got, (double)want, tolerance);
}

/* ---- reductions ------------------------------------------------------------------------------------------------ */

static long double reduced(dl_reduction reduction, dl_element element, const void *x, int64_t n, int64_t inner,
                           int64_t at) {
    long double sum = 0, product = 1, most = -INFINITY, least = INFINITY, exponentials = 0;
    for (int64_t k = 0; k < n; k++) {
        long double value = test_get(element, x, at + k * inner);
        sum += value;
        product *= value;
        most = fmaxl(most, value);
        least = fminl(least, value);
        exponentials += expl(value);
    }
    const long double results[] = {sum, sum / n, product, most, least, 0, 0, logl(exponentials)};
    return results[reduction];
}

static void check_reduction(const dl_kernels *k, dl_reduction reduction, dl_element element, const int64_t *size) {
    int64_t outer = size[0], n = size[1], inner = size[2];
    bool product = reduction == DL_REDUCE_PROD;
    void *x = test_random(element, outer * n * inner, product ? 0.9 : -1, product ? 1.1 : 1);
    void *out = test_memory(outer * inner, dl_element_size(element));
    CHECK_EQ_INT(k->reduce(test_context(), reduction, element, out, x, outer, n, inner), DL_OK);
    static const char *const names[] = {"sum", "mean", "prod", "max", "min", "any", "all", "logsumexp"};
    for (int64_t i = 0; i < outer * inner; i++) {
        long double want = reduced(reduction, element, x, n, inner, i / inner * n * inner + i % inner);
        double scale = reduction == DL_REDUCE_SUM ? sqrt((double)n) : (double)fmaxl(1, fabsl(want));
        if (want > 3e38L && element == DL_ELEMENT_FLOAT32)
            want = INFINITY;
        check_near(names[reduction], k, element, size, test_get(element, out, i), want,
                   (product ? 10 : 1) * scale * tolerance_of(element));
    }
    free(x);
    free(out);
}

static void test_reductions(void) {
    static const dl_reduction all[] = {DL_REDUCE_SUM, DL_REDUCE_MEAN, DL_REDUCE_PROD,
                                       DL_REDUCE_MAX, DL_REDUCE_MIN,  DL_REDUCE_LOGSUMEXP};
    EACH_ISA(k)
    for (int r = 0; r < DL_COUNT(all); r++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            for (int s = 0; s < DL_COUNT(sizes); s++)
                check_reduction(k, all[r], reals[t], sizes[s]);
}

/* A million equal numbers, whose sum in float32 one by one would be off by percents. */
static void test_long_sums_are_accurate(void) {
    enum { N = 1000000 };
    float *x = test_memory(N, sizeof *x), sum, columns[4];
    for (int i = 0; i < N; i++)
        x[i] = 0.1f;
    EACH_ISA(k) {
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, &sum, x, 1, N, 1);
        CHECK_CLOSE(sum, 0.1f * 1e6, 0.05);
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, columns, x, 1, N / 4, 4);
        CHECK_CLOSE(columns[3], 0.1f * 2.5e5, 0.02);
        double squares;
        k->sum_squares(test_context(), DL_ELEMENT_FLOAT32, &squares, x, N);
        CHECK_CLOSE(squares, (double)0.1f * 0.1f * 1e6, 1e-3);
    }
    free(x);
}

static void test_reductions_of_special_values(void) {
    const float x[] = {1, NAN, 2, INFINITY, 1, -INFINITY, -INFINITY, -INFINITY, -INFINITY, INFINITY, 0, 1000};
    EACH_ISA(k) {
        float y[4];
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, y, x, 4, 3, 1);
        CHECK(isnan(y[0]) && isnan(y[1]) && y[2] == -INFINITY && y[3] == INFINITY);
        k->reduce(test_context(), DL_REDUCE_MAX, DL_ELEMENT_FLOAT32, y, x, 4, 3, 1);
        CHECK(isnan(y[0]) && y[1] == INFINITY && y[2] == -INFINITY && y[3] == INFINITY);
        k->reduce(test_context(), DL_REDUCE_MIN, DL_ELEMENT_FLOAT32, y, x, 4, 3, 1);
        CHECK(isnan(y[0]) && y[1] == -INFINITY && y[2] == -INFINITY && y[3] == 0);
        k->reduce(test_context(), DL_REDUCE_LOGSUMEXP, DL_ELEMENT_FLOAT32, y, x, 4, 3, 1);
        CHECK(isnan(y[0]) && y[1] == INFINITY && y[2] == -INFINITY && y[3] == INFINITY);
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, y, x, 1, 0, 2);
        CHECK(y[0] == 0 && y[1] == 0);
        k->reduce(test_context(), DL_REDUCE_PROD, DL_ELEMENT_FLOAT32, y, x, 1, 0, 1);
        CHECK(y[0] == 1);
        k->reduce(test_context(), DL_REDUCE_MEAN, DL_ELEMENT_FLOAT32, y, x, 1, 0, 1);
        CHECK(isnan(y[0]));
        CHECK_EQ_INT(k->reduce(test_context(), DL_REDUCE_MAX, DL_ELEMENT_FLOAT32, y, x, 1, 0, 1), DL_SHAPE);
        bool finite = false;
        k->all_finite(test_context(), DL_ELEMENT_FLOAT32, &finite, x, 1);
        CHECK(finite);
        k->all_finite(test_context(), DL_ELEMENT_FLOAT32, &finite, x, 12);
        CHECK(!finite);
    }
}

static void test_integer_reductions(void) {
    EACH_ISA(k) {
        const int32_t x[] = {INT32_MAX, 2, -5, 0, 0, 0};
        int64_t sum[2];
        int32_t most[3];
        uint8_t truth[3];
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_INT32, sum, x, 2, 3, 1);
        CHECK(sum[0] == (int64_t)INT32_MAX - 3 && sum[1] == 0);
        k->reduce(test_context(), DL_REDUCE_PROD, DL_ELEMENT_INT32, sum, x, 2, 3, 1);
        CHECK(sum[0] == (int64_t)INT32_MAX * -10);
        k->reduce(test_context(), DL_REDUCE_MIN, DL_ELEMENT_INT32, most, x, 1, 2, 3);
        CHECK(most[0] == 0 && most[1] == 0 && most[2] == -5);
        k->reduce(test_context(), DL_REDUCE_ANY, DL_ELEMENT_INT32, truth, x, 2, 3, 1);
        CHECK(truth[0] == 1 && truth[1] == 0);
        k->reduce(test_context(), DL_REDUCE_ALL, DL_ELEMENT_INT32, truth, x, 1, 2, 3);
        CHECK(truth[0] == 0 && truth[1] == 0 && truth[2] == 0);
        const uint8_t flags[] = {1, 1, 1, 0};
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_BOOLEAN, sum, flags, 1, 4, 1);
        CHECK(sum[0] == 3);
        k->reduce(test_context(), DL_REDUCE_ALL, DL_ELEMENT_BOOLEAN, truth, flags, 2, 2, 1);
        CHECK(truth[0] == 1 && truth[1] == 0);
        CHECK_EQ_INT(k->reduce(test_context(), DL_REDUCE_MEAN, DL_ELEMENT_INT32, sum, x, 1, 6, 1), DL_DTYPE);
    }
}

static void test_places_of_extremes(void) {
    const float x[] = {1, 3, 3, 2, 2, 2, 0, -1, NAN, NAN, 5, NAN};
    EACH_ISA(k) {
        int64_t at[4];
        CHECK_EQ_INT(k->arg_reduce(test_context(), true, DL_ELEMENT_FLOAT32, at, x, 4, 3, 1), DL_OK);
        CHECK(at[0] == 2 && at[1] == 1 && at[2] == 3 && at[3] == 1);
        k->arg_reduce(test_context(), false, DL_ELEMENT_FLOAT32, at, x, 4, 3, 1);
        CHECK(at[0] == 1 && at[1] == 1 && at[2] == 3 && at[3] == 1);
        /* columns of (3, 2) */
        const int64_t y[] = {4, 7, 9, 7, 9, 1};
        k->arg_reduce(test_context(), true, DL_ELEMENT_INT64, at, y, 1, 3, 2);
        CHECK(at[0] == 2 && at[1] == 1);
        k->arg_reduce(test_context(), false, DL_ELEMENT_INT64, at, y, 1, 3, 2);
        CHECK(at[0] == 1 && at[1] == 3);
        CHECK_EQ_INT(k->arg_reduce(test_context(), true, DL_ELEMENT_INT64, at, y, 1, 0, 2), DL_SHAPE);
    }
}

static void test_running_sums(void) {
    EACH_ISA(k) {
        const double x[] = {1, 2, 3, 4, 5, 6};
        double y[6];
        k->cumsum(test_context(), DL_ELEMENT_FLOAT64, y, x, false, 1, 3, 2);
        CHECK(y[0] == 1 && y[1] == 2 && y[2] == 4 && y[3] == 6 && y[4] == 9 && y[5] == 12);
        k->cumsum(test_context(), DL_ELEMENT_FLOAT64, y, x, true, 2, 3, 1);
        CHECK(y[0] == 6 && y[1] == 5 && y[2] == 3 && y[3] == 15 && y[4] == 11 && y[5] == 6);
        const int32_t a[] = {INT32_MAX, 1};
        int32_t b[2];
        k->cumsum(test_context(), DL_ELEMENT_INT32, b, a, false, 1, 2, 1);
        CHECK(b[1] == INT32_MIN);
    }
}

/* ---- gradients of what maps (outer, n, inner) to (outer, inner) or to its own shape ---------------------------- */

typedef struct function_under_test {
    const char *name;
    bool keeps_shape;
    /* y from x, and dx from g, x, y */
    void (*value)(const dl_kernels *k, dl_element element, void *y, const void *x, const int64_t *size);
    void (*gradient)(const dl_kernels *k, dl_element element, void *dx, const void *g, const void *x, const void *y,
                     const int64_t *size);
} function_under_test;

#define OK(call) CHECK_EQ_INT(k->call, DL_OK)
#define SIZE     size[0], size[1], size[2]

static void max_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(reduce(test_context(), DL_REDUCE_MAX, e, y, x, SIZE));
}

static void min_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(reduce(test_context(), DL_REDUCE_MIN, e, y, x, SIZE));
}

static void extreme_gradient(const dl_kernels *k, dl_element e, void *dx, const void *g, const void *x, const void *y,
                             const int64_t *size) {
    OK(extreme_backward(test_context(), e, dx, g, x, y, SIZE));
}

static void prod_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(reduce(test_context(), DL_REDUCE_PROD, e, y, x, SIZE));
}

static void prod_gradient(const dl_kernels *k, dl_element e, void *dx, const void *g, const void *x, const void *y,
                          const int64_t *size) {
    (void)y;
    OK(prod_backward(test_context(), e, dx, g, x, SIZE));
}

static void logsumexp_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(reduce(test_context(), DL_REDUCE_LOGSUMEXP, e, y, x, SIZE));
}

static void logsumexp_gradient(const dl_kernels *k, dl_element e, void *dx, const void *g, const void *x, const void *y,
                               const int64_t *size) {
    OK(logsumexp_backward(test_context(), e, dx, g, x, y, SIZE));
}

static void variance_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(variance(test_context(), e, y, NULL, x, 1, SIZE));
}

static void variance_gradient(const dl_kernels *k, dl_element e, void *dx, const void *g, const void *x, const void *y,
                              const int64_t *size) {
    (void)y;
    void *mean = test_memory(size[0] * size[2], 8), *variance = test_memory(size[0] * size[2], 8);
    OK(variance(test_context(), e, variance, mean, x, 1, SIZE));
    OK(variance_backward(test_context(), e, dx, g, x, mean, 1, SIZE));
    free(mean);
    free(variance);
}

static void softmax_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(softmax(test_context(), e, y, x, SIZE));
}

static void softmax_gradient(const dl_kernels *k, dl_element e, void *dx, const void *g, const void *x, const void *y,
                             const int64_t *size) {
    (void)x;
    OK(softmax_backward(test_context(), e, dx, g, y, SIZE));
}

static void log_softmax_value(const dl_kernels *k, dl_element e, void *y, const void *x, const int64_t *size) {
    OK(log_softmax(test_context(), e, y, x, SIZE));
}

static void log_softmax_gradient(const dl_kernels *k, dl_element e, void *dx, const void *g, const void *x,
                                 const void *y, const int64_t *size) {
    (void)x;
    OK(log_softmax_backward(test_context(), e, dx, g, y, SIZE));
}

static const function_under_test functions[] = {
    {"max", false, max_value, extreme_gradient},
    {"min", false, min_value, extreme_gradient},
    {"prod", false, prod_value, prod_gradient},
    {"logsumexp", false, logsumexp_value, logsumexp_gradient},
    {"variance", false, variance_value, variance_gradient},
    {"softmax", true, softmax_value, softmax_gradient},
    {"log_softmax", true, log_softmax_value, log_softmax_gradient},
};

static double weighted_sum(const double *g, const double *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += g[i] * y[i];
    return sum;
}

static void check_row_gradient(const dl_kernels *k, const function_under_test *f, dl_element element,
                               const int64_t *size) {
    int64_t n = size[0] * size[1] * size[2], m = f->keeps_shape ? n : size[0] * size[2];
    double *x = test_random(DL_ELEMENT_FLOAT64, n, 0.5, 1.5), *g = test_random(DL_ELEMENT_FLOAT64, m, -1, 1);
    double *y = test_memory(m, 8);
    void *given_x = test_memory(n, 8), *given_g = test_memory(m, 8), *given_y = test_memory(m, 8),
         *dx = test_memory(n, 8);
    for (int64_t i = 0; i < n; i++)
        test_set(element, given_x, i, x[i]);
    for (int64_t i = 0; i < m; i++)
        test_set(element, given_g, i, g[i]);
    f->value(k, element, given_y, given_x, size);
    f->gradient(k, element, dx, given_g, given_x, given_y, size);
    for (int64_t i = 0; i < n; i++) {
        double kept = x[i], h = 1e-5;
        x[i] = kept + h;
        f->value(k, DL_ELEMENT_FLOAT64, y, x, size);
        double above = weighted_sum(g, y, m);
        x[i] = kept - h;
        f->value(k, DL_ELEMENT_FLOAT64, y, x, size);
        double want = (above - weighted_sum(g, y, m)) / (2 * h);
        x[i] = kept;
        check_near(f->name, k, element, size, test_get(element, dx, i), want,
                   (element == DL_ELEMENT_FLOAT32 ? 2e-5 : 1e-7) * (1 + fabs(want)));
    }
    void *all[] = {x, g, y, given_x, given_g, given_y, dx};
    for (int i = 0; i < DL_COUNT(all); i++)
        free(all[i]);
}

static void test_row_gradients(void) {
    static const int64_t small[][3] = {{2, 7, 1}, {1, 33, 1}, {2, 4, 3}, {1, 3, 70}};
    EACH_ISA(k)
    for (int f = 0; f < DL_COUNT(functions); f++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            for (int s = 0; s < DL_COUNT(small); s++)
                check_row_gradient(k, &functions[f], reals[t], small[s]);
}

static void test_gradients_of_ties_and_zeros(void) {
    EACH_ISA(k) {
        const float x[] = {2, 5, 5}, y[] = {5}, g[] = {6};
        float dx[3];
        k->extreme_backward(test_context(), DL_ELEMENT_FLOAT32, dx, g, x, y, 1, 3, 1);
        CHECK(dx[0] == 0 && dx[1] == 3 && dx[2] == 3);
        const float one_zero[] = {2, 0, 3}, two_zeros[] = {0, 0, 3};
        k->prod_backward(test_context(), DL_ELEMENT_FLOAT32, dx, g, one_zero, 1, 3, 1);
        CHECK(dx[0] == 0 && dx[1] == 36 && dx[2] == 0);
        k->prod_backward(test_context(), DL_ELEMENT_FLOAT32, dx, g, two_zeros, 1, 3, 1);
        CHECK(dx[0] == 0 && dx[1] == 0 && dx[2] == 0);
    }
}

/* ---- softmax --------------------------------------------------------------------------------------------------- */

static void test_softmax_values(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        for (int s = 0; s < DL_COUNT(sizes); s++) {
            const int64_t *size = sizes[s];
            int64_t total = size[0] * size[1] * size[2];
            void *x = test_random(reals[t], total, -8, 8), *y = test_memory(total, 8), *z = test_memory(total, 8);
            OK(softmax(test_context(), reals[t], y, x, SIZE));
            OK(log_softmax(test_context(), reals[t], z, x, SIZE));
            for (int64_t c = 0; c < size[0] * size[2]; c += 1 + size[0] * size[2] / 50) {
                int64_t at = c / size[2] * size[1] * size[2] + c % size[2];
                long double sum = reduced(DL_REDUCE_LOGSUMEXP, reals[t], x, size[1], size[2], at);
                for (int64_t i = 0; i < size[1]; i += 1 + size[1] / 100) {
                    long double want = test_get(reals[t], x, at + i * size[2]) - sum;
                    double eps = tolerance_of(reals[t]);
                    check_near("softmax", k, reals[t], size, test_get(reals[t], y, at + i * size[2]), expl(want),
                               (double)expl(want) * 2 * eps);
                    check_near("log_softmax", k, reals[t], size, test_get(reals[t], z, at + i * size[2]), want,
                               (double)(2 + fabsl(want)) * eps);
                }
            }
            free(x);
            free(y);
            free(z);
        }
}

static void test_softmax_of_large_numbers(void) {
    EACH_ISA(k) {
        const float x[] = {1000, 1000, -1000, -INFINITY, 0, 0};
        float y[6];
        k->softmax(test_context(), DL_ELEMENT_FLOAT32, y, x, 2, 3, 1);
        CHECK(y[0] == 0.5f && y[1] == 0.5f && y[2] == 0 && y[3] == 0 && y[4] == 0.5f);
        k->softmax(test_context(), DL_ELEMENT_FLOAT32, y, x, 1, 3, 2);
        CHECK(y[0] == 1 && y[1] == 1 && y[2] == 0 && y[3] == 0 && y[4] == 0 && y[5] == 0);
        k->log_softmax(test_context(), DL_ELEMENT_FLOAT32, y, x, 2, 3, 1);
        CHECK_CLOSE(y[2], -2000 - log(2), 1e-3);
        CHECK(y[3] == -INFINITY);
    }
}

/* ---- cross-entropy --------------------------------------------------------------------------------------------- */

/* What the scores of a row are divided by, exponentials if they are logits. */
static long double sum_of_scores(dl_scores scores, const double *x, int64_t classes) {
    long double sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += scores == DL_SCORES_LOGITS ? expl(x[i]) : x[i];
    return sum;
}

/* log p of the class whose score is x. */
static long double log_probability(dl_scores scores, double x, long double sum) {
    if (scores == DL_SCORES_LOGITS)
        return x - logl(sum);
    long double p = scores == DL_SCORES_UNNORMALIZED ? x / sum : x;
    return logl(fminl(fmaxl(p, 1e-7L), 1 - 1e-7L));
}

enum { ROWS = 9, MANY_CLASSES = 2500 };

typedef struct loss_case {
    dl_scores scores;
    int64_t classes;
    double smoothing;
    bool distributions;
    double *x, *t; /* (ROWS, classes) */
    double g[ROWS];
    int32_t labels[ROWS];
} loss_case;

static loss_case make_loss_case(dl_scores scores, int64_t classes, double smoothing, bool distributions) {
    loss_case c = {.scores = scores, .classes = classes, .smoothing = smoothing, .distributions = distributions};
    bool logits = scores == DL_SCORES_LOGITS;
    c.x = test_random(DL_ELEMENT_FLOAT64, ROWS * classes, logits ? -3 : 0.1, logits ? 3 : 0.9);
    c.t = test_random(DL_ELEMENT_FLOAT64, ROWS * classes, 0, 2.0 / (double)classes);
    for (int r = 0; r < ROWS; r++) {
        c.labels[r] = 1 + (int32_t)test_uniform(0, (double)classes);
        c.g[r] = test_uniform(0.5, 1.5);
    }
    return c;
}

static long double loss_of(const loss_case *c, int r) {
    const double *x = c->x + r * c->classes;
    long double loss = 0, sum = sum_of_scores(c->scores, x, c->classes);
    for (int64_t i = 0; i < c->classes; i++) {
        double target = c->distributions ? c->t[r * c->classes + i] : i + 1 == c->labels[r];
        target = target * (1 - c->smoothing) + c->smoothing / (double)c->classes;
        if (target != 0)
            loss -= target * log_probability(c->scores, x[i], sum);
    }
    return loss;
}

/* losses (ROWS) and dx (ROWS, classes) from the kernels. */
static void run_loss_case(const dl_kernels *k, const loss_case *c, dl_element element, void *losses, void *dx) {
    int64_t n = ROWS * c->classes;
    void *x = test_memory(n, 8), *t = test_memory(n, 8), *g = test_memory(ROWS, 8), *normalizers = test_memory(ROWS, 8);
    for (int64_t i = 0; i < n; i++) {
        test_set(element, x, i, c->x[i]);
        test_set(element, t, i, c->t[i]);
    }
    for (int r = 0; r < ROWS; r++)
        test_set(element, g, r, c->g[r]);
    if (c->distributions) {
        OK(cross_entropy_targets(test_context(), c->scores, element, losses, normalizers, x, t, c->smoothing, ROWS,
                                 c->classes));
        OK(cross_entropy_targets_backward(test_context(), c->scores, element, dx, g, 1, x, normalizers, t, c->smoothing,
                                          ROWS, c->classes));
    } else {
        OK(cross_entropy(test_context(), c->scores, element, losses, normalizers, x, DL_ELEMENT_INT32, c->labels,
                         c->smoothing, DL_IGNORE_NO_CLASS, ROWS, c->classes));
        OK(cross_entropy_backward(test_context(), c->scores, element, dx, g, 1, x, normalizers, DL_ELEMENT_INT32,
                                  c->labels, c->smoothing, DL_IGNORE_NO_CLASS, ROWS, c->classes));
    }
    free(x);
    free(t);
    free(g);
    free(normalizers);
}

/* The losses, and their gradient against differences at the label and some other classes. */
static void check_cross_entropy(const dl_kernels *k, dl_scores scores, dl_element element, int64_t classes,
                                double smoothing, bool distributions) {
    loss_case c = make_loss_case(scores, classes, smoothing, distributions);
    const int64_t size[] = {ROWS, classes, 1};
    void *losses = test_memory(ROWS, 8), *dx = test_memory(ROWS * classes, 8);
    run_loss_case(k, &c, element, losses, dx);
    bool single = element == DL_ELEMENT_FLOAT32;
    for (int r = 0; r < ROWS; r++) {
        long double loss = loss_of(&c, r);
        check_near("loss", k, element, size, test_get(element, losses, r), loss,
                   (single ? 3e-6 : 1e-13) * (1 + (double)loss));
        for (int64_t i = c.labels[r] - 1; i < classes; i += 1 + classes / 5) {
            const double h = 1e-6;
            double *at = &c.x[r * classes + i], kept = *at;
            *at = kept + h;
            long double above = loss_of(&c, r);
            *at = kept - h;
            double want = c.g[r] * (double)((above - loss_of(&c, r)) / (2 * h));
            *at = kept;
            check_near("loss gradient", k, element, size, test_get(element, dx, r * classes + i), want,
                       (single ? 1e-5 : 1e-8) * (1 + fabs(want)));
        }
    }
    free(c.x);
    free(c.t);
    free(losses);
    free(dx);
}

static void test_cross_entropy(void) {
    EACH_ISA(k)
    for (int scores = DL_SCORES_LOGITS; scores <= DL_SCORES_UNNORMALIZED; scores++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            for (int smooth = 0; smooth < 2; smooth++)
                for (int distributions = 0; distributions < 2; distributions++) {
                    check_cross_entropy(k, (dl_scores)scores, reals[t], 10, smooth * 0.1, distributions);
                    check_cross_entropy(k, (dl_scores)scores, reals[t], 37, smooth * 0.1, distributions);
                }
    EACH_ISA(k)
    check_cross_entropy(k, DL_SCORES_LOGITS, DL_ELEMENT_FLOAT64, MANY_CLASSES, 0.1, false);
}

static void test_wrong_labels(void) {
    EACH_ISA(k) {
        const float x[] = {1, 2, 3, 4, 5, 6};
        float losses[] = {9, 9}, dx[6], g = 1;
        int64_t labels[] = {2, 0};
        CHECK_EQ_INT(k->cross_entropy(test_context(), DL_SCORES_LOGITS, DL_ELEMENT_FLOAT32, losses, NULL, x,
                                      DL_ELEMENT_INT64, labels, 0, DL_IGNORE_NO_CLASS, 2, 3),
                     DL_INVALID);
        CHECK_CONTAINS(dl_last_error(), "the label of row 2 is 0");
        CHECK_CONTAINS(dl_last_error(), "labels count from 1 to 3");
        CHECK(losses[0] == 9 && losses[1] == 9);
        labels[1] = 4;
        CHECK_EQ_INT(k->cross_entropy(test_context(), DL_SCORES_LOGITS, DL_ELEMENT_FLOAT32, losses, NULL, x,
                                      DL_ELEMENT_INT64, labels, 0, 0, 2, 3),
                     DL_INVALID);
        CHECK_CONTAINS(dl_last_error(), "the label of row 2 is 4; allowed are 1 to 3");
        labels[1] = 0;
        float normalizers[2];
        CHECK_EQ_INT(k->cross_entropy(test_context(), DL_SCORES_LOGITS, DL_ELEMENT_FLOAT32, losses, normalizers, x,
                                      DL_ELEMENT_INT64, labels, 0, 0, 2, 3),
                     DL_OK);
        CHECK(losses[0] > 0 && losses[1] == 0);
        k->cross_entropy_backward(test_context(), DL_SCORES_LOGITS, DL_ELEMENT_FLOAT32, dx, &g, 0, x, normalizers,
                                  DL_ELEMENT_INT64, labels, 0, 0, 2, 3);
        CHECK(dx[0] > 0 && dx[1] < 0 && dx[3] == 0 && dx[4] == 0 && dx[5] == 0);
        CHECK_EQ_INT(k->cross_entropy(test_context(), DL_SCORES_LOGITS, DL_ELEMENT_FLOAT32, losses, NULL, x,
                                      DL_ELEMENT_FLOAT32, x, 0, 0, 2, 3),
                     DL_DTYPE);
        CHECK_EQ_INT(
            k->cross_entropy_targets(test_context(), DL_SCORES_LOGITS, DL_ELEMENT_FLOAT32, losses, NULL, x, x, 0, 2, 0),
            DL_SHAPE);
    }
}

/* ---- moments and batch normalization --------------------------------------------------------------------------- */

static void test_moments(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        for (int s = 0; s < DL_COUNT(sizes); s++) {
            const int64_t *size = sizes[s];
            int64_t n = size[1], inner = size[2];
            /* A mean far from zero must not spoil the variance. */
            void *x = test_random(reals[t], size[0] * n * inner, 99, 101);
            void *variance = test_memory(size[0] * inner, 8), *mean = test_memory(size[0] * inner, 8);
            OK(variance(test_context(), reals[t], variance, mean, x, 0, SIZE));
            for (int64_t c = 0; c < size[0] * inner; c += 1 + size[0] * inner / 40) {
                int64_t at = c / inner * n * inner + c % inner;
                long double center = reduced(DL_REDUCE_MEAN, reals[t], x, n, inner, at), squares = 0;
                for (int64_t i = 0; i < n; i++)
                    squares += powl(test_get(reals[t], x, at + i * inner) - center, 2);
                check_near("mean", k, reals[t], size, test_get(reals[t], mean, c), center,
                           100 * tolerance_of(reals[t]));
                check_near("variance", k, reals[t], size, test_get(reals[t], variance, c), squares / n,
                           10 * tolerance_of(reals[t]));
            }
            free(x);
            free(variance);
            free(mean);
        }
}

/* dx, dgamma and dbeta of y = gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta from differences in float64. */
static double normalized_loss(const double *x, const double *g, const double *gamma, int64_t rows, int64_t channels,
                              int64_t c) {
    double mean = 0, variance = 0, loss = 0;
    for (int64_t r = 0; r < rows; r++)
        mean += x[r * channels + c] / (double)rows;
    for (int64_t r = 0; r < rows; r++)
        variance += pow(x[r * channels + c] - mean, 2) / (double)rows;
    for (int64_t r = 0; r < rows; r++)
        loss += g[r * channels + c] * gamma[c] * (x[r * channels + c] - mean) / sqrt(variance + 1e-3);
    return loss;
}

static void check_batch_norm(const dl_kernels *k, dl_element element, int64_t rows, int64_t channels) {
    int64_t n = rows * channels, size[] = {1, rows, channels};
    double *x = test_random(DL_ELEMENT_FLOAT64, n, -2, 3), *g = test_random(DL_ELEMENT_FLOAT64, n, -1, 1);
    double *gamma = test_random(DL_ELEMENT_FLOAT64, channels, 0.5, 1.5);
    void *memory[9];
    for (int i = 0; i < 9; i++)
        memory[i] = test_memory(DL_MAX(n, channels), 8);
    void *px = memory[0], *pg = memory[1], *pgamma = memory[2], *mean = memory[3], *inverse = memory[4];
    void *dx = memory[5], *dgamma = memory[6], *dbeta = memory[7];
    for (int64_t i = 0; i < n; i++) {
        test_set(element, px, i, x[i]);
        test_set(element, pg, i, g[i]);
    }
    OK(channel_moments(test_context(), element, mean, inverse, px, rows, channels));
    for (int64_t c = 0; c < channels; c++) {
        test_set(element, pgamma, c, gamma[c]);
        test_set(element, inverse, c, 1 / sqrt(test_get(element, inverse, c) + 1e-3));
    }
    OK(batch_norm_backward(test_context(), element, dx, dgamma, dbeta, pg, px, mean, inverse, pgamma, rows, channels));
    double eps = element == DL_ELEMENT_FLOAT32 ? 1e-5 : 1e-8;
    for (int64_t c = 0; c < channels; c += 1 + channels / 6) {
        double beta = 0, h = 1e-5;
        for (int64_t r = 0; r < rows; r++)
            beta += g[r * channels + c];
        check_near("dbeta", k, element, size, test_get(element, dbeta, c), beta, eps * (double)rows);
        double scaled = normalized_loss(x, g, gamma, rows, channels, c) / gamma[c];
        check_near("dgamma", k, element, size, test_get(element, dgamma, c), scaled, eps * (double)rows);
        for (int64_t r = 0; r < rows; r += 1 + rows / 5) {
            double *at = &x[r * channels + c], kept = *at;
            *at = kept + h;
            double above = normalized_loss(x, g, gamma, rows, channels, c);
            *at = kept - h;
            double want = (above - normalized_loss(x, g, gamma, rows, channels, c)) / (2 * h);
            *at = kept;
            check_near("dx", k, element, size, test_get(element, dx, r * channels + c), want, eps);
        }
    }
    for (int i = 0; i < 9; i++)
        free(memory[i]);
    free(x);
    free(g);
    free(gamma);
}

static void test_batch_norm_gradients(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        check_batch_norm(k, reals[t], 40, 3);
        check_batch_norm(k, reals[t], 300, 70);
        check_batch_norm(k, reals[t], 7, 300);
    }
}

static void test_channel_affine(void) {
    static const int64_t channels[] = {1, 3, 63, 64, 300};
    EACH_ISA(k)
    for (int c = 0; c < DL_COUNT(channels); c++) {
        int64_t n = channels[c], rows = 77;
        float *x = test_random(DL_ELEMENT_FLOAT32, rows * n, -1, 1), *y = test_memory(rows * n, 4);
        float *scale = test_random(DL_ELEMENT_FLOAT32, n, 0, 2), *shift = test_random(DL_ELEMENT_FLOAT32, n, 0, 2);
        CHECK_EQ_INT(k->channel_affine(test_context(), DL_ELEMENT_FLOAT32, y, x, scale, shift, rows, n), DL_OK);
        bool right = true;
        for (int64_t i = 0; i < rows * n; i++)
            right = right && fabs((double)y[i] - ((double)x[i] * scale[i % n] + shift[i % n])) < 1e-6;
        CHECK(right);
        float *sum = test_memory(n, 4);
        CHECK_EQ_INT(k->channel_sum(test_context(), DL_ELEMENT_FLOAT32, sum, x, rows, n), DL_OK);
        CHECK_CLOSE(sum[n - 1], reduced(DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, x, rows, n, n - 1), 1e-5);
        free(x);
        free(y);
        free(scale);
        free(shift);
        free(sum);
    }
}

/* ---- normalization of rows ------------------------------------------------------------------------------------- */

/* The parts of a call that may be left out. */
typedef struct row_norm_case {
    int64_t rows, n;
    bool centered, weight, bias;
} row_norm_case;

/* One row's y and dx, and what it adds to dweight and dbias. */
static void plain_row_norm(const row_norm_case *c, const double *x, const double *g, const double *weight,
                           const double *bias, int64_t row, long double *out[4]) {
    long double mean = 0, squares = 0, mean_h = 0, slope = 0, n = c->n;
    const double *xr = x + row * c->n, *gr = g + row * c->n;
    for (int64_t i = 0; i < c->n && c->centered; i++)
        mean += xr[i] / n;
    for (int64_t i = 0; i < c->n; i++)
        squares += (xr[i] - mean) * (xr[i] - mean) / n;
    long double inverse = 1 / sqrtl(squares + 1e-3L);
    for (int64_t i = 0; i < c->n; i++) {
        long double xhat = (xr[i] - mean) * inverse, h = gr[i] * (c->weight ? weight[i] : 1);
        out[0][row * c->n + i] = xhat * (c->weight ? weight[i] : 1) + (c->bias ? bias[i] : 0);
        out[2][i] += gr[i] * xhat;
        out[3][i] += gr[i];
        mean_h += c->centered ? h / n : 0;
        slope += h * xhat / n;
    }
    for (int64_t i = 0; i < c->n; i++) {
        long double h = gr[i] * (c->weight ? weight[i] : 1);
        out[1][row * c->n + i] = inverse * (h - mean_h - (xr[i] - mean) * inverse * slope);
    }
}

static void check_row_norm(const dl_kernels *k, dl_element element, const row_norm_case *c) {
    static const char *const names[] = {"y", "dx", "dweight", "dbias"};
    int64_t all = c->rows * c->n, size[] = {c->rows, c->n, 1}, counts[] = {all, all, c->n, c->n};
    void *given[4]; /* x, g, weight, bias */
    double *plain[4];
    long double *want[4];
    void *got[4], *mean = test_memory(c->rows, 8), *inverse = test_memory(c->rows, 8);
    for (int i = 0; i < 4; i++) {
        given[i] = test_random(element, counts[i], -1, 2);
        plain[i] = test_memory(counts[i], 8);
        want[i] = test_memory(counts[i], (int)sizeof(long double));
        got[i] = test_memory(counts[i], 8);
        for (int64_t j = 0; j < counts[i]; j++)
            plain[i][j] = test_get(element, given[i], j);
    }
    for (int64_t row = 0; row < c->rows; row++)
        plain_row_norm(c, plain[0], plain[1], plain[2], plain[3], row, want);
    const void *weight = c->weight ? given[2] : NULL;
    void *mean_or_none = c->centered ? mean : NULL;
    OK(row_norm(test_context(), element, got[0], mean_or_none, inverse, given[0], weight, c->bias ? given[3] : NULL,
                1e-3, c->rows, c->n));
    OK(row_norm_backward(test_context(), element, got[1], got[2], got[3], given[1], given[0], mean_or_none, inverse,
                         weight, c->rows, c->n));
    for (int i = 0; i < 4; i++) {
        double allowed = 10 * tolerance_of(element) * (i < 2 ? 1 : 1 + sqrt((double)c->rows));
        for (int64_t j = 0; j < counts[i]; j += 1 + counts[i] / 500)
            check_near(names[i], k, element, size, test_get(element, got[i], j), want[i][j], allowed);
        free(given[i]);
        free(plain[i]);
        free(want[i]);
        free(got[i]);
    }
    free(mean);
    free(inverse);
}

static void test_row_norm(void) {
    static const int64_t shapes[][2] = {{3, 10}, {200, 37}, {5, 1500}, {1, 64}, {40, 7}};
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        for (int i = 0; i < DL_COUNT(shapes); i++)
            for (int left_out = 0; left_out < 8; left_out++)
                check_row_norm(k, reals[t], &(row_norm_case){shapes[i][0], shapes[i][1], left_out & 1, left_out & 2,
                                                             left_out & 4});
}

/* ---- connectionist temporal classification --------------------------------------------------------------------- */

enum { STEPS = 6, SCORES = 4, LABELS = 3, WAYS = 4096 }; /* WAYS = SCORES ^ STEPS */

/* Whether a way, a score's number for each step, spells the labels: repeats merged, then blanks (0) left out. */
static bool spells(const int *way, const int64_t *labels, int64_t count) {
    int64_t read = 0;
    for (int t = 0; t < STEPS; t++) {
        if (way[t] == 0 || (t > 0 && way[t] == way[t - 1]))
            continue;
        if (read == count || labels[read] != way[t])
            return false;
        read++;
    }
    return read == count;
}

/* The sum over all ways, one by one; occupancy (STEPS, SCORES). */
static double plain_ctc(const double *log_p, const int64_t *labels, int64_t count, double *occupancy) {
    double total = 0;
    memset(occupancy, 0, STEPS * SCORES * sizeof *occupancy);
    for (int number = 0; number < WAYS; number++) {
        int way[STEPS];
        double sum = 0;
        for (int t = 0, rest = number; t < STEPS; t++, rest /= SCORES) {
            way[t] = rest % SCORES;
            sum += log_p[t * SCORES + way[t]];
        }
        if (!spells(way, labels, count))
            continue;
        total += exp(sum);
        for (int t = 0; t < STEPS; t++)
            occupancy[t * SCORES + way[t]] += exp(sum);
    }
    for (int i = 0; i < STEPS * SCORES; i++)
        occupancy[i] /= total;
    return -log(total);
}

static void test_ctc_sums_over_all_ways(void) {
    static const int64_t labels[][LABELS] = {{1, 2, 3}, {1, 1, 2}, {2, 2, 2}, {3, 1, 0}, {2, 2, 0}, {1, 0, 0}, {0}};
    static const int64_t lengths[] = {3, 3, 3, 2, 2, 1, 0};
    enum { N = DL_COUNT(lengths), EACH = STEPS * SCORES };
    int64_t size[] = {N, STEPS, SCORES};
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        void *log_p = test_random(reals[t], N * EACH, -4, -0.1), *losses = test_memory(N, 8);
        void *occupancy = test_random(reals[t], N * EACH, 5, 6); /* is written over */
        double *scratch = test_memory(N * DL_CTC_SCRATCH(STEPS, LABELS), 8), plain[EACH], want[EACH];
        OK(ctc(test_context(), reals[t], losses, occupancy, log_p, labels[0], lengths, scratch, N, STEPS, SCORES,
               LABELS));
        for (int n = 0; n < N; n++) {
            for (int i = 0; i < EACH; i++)
                plain[i] = test_get(reals[t], log_p, n * EACH + i);
            check_near("the loss", k, reals[t], size, test_get(reals[t], losses, n),
                       plain_ctc(plain, labels[n], lengths[n], want), 20 * tolerance_of(reals[t]));
            for (int i = 0; i < EACH; i++)
                check_near("occupancy", k, reals[t], size, test_get(reals[t], occupancy, n * EACH + i), want[i],
                           20 * tolerance_of(reals[t]));
        }
        free(log_p);
        free(losses);
        free(occupancy);
        free(scratch);
    }
}

/* ---- the same bits --------------------------------------------------------------------------------------------- */

static void test_threads_change_no_sum(void) {
    enum { N = 400000 };
    float *x = test_random(DL_ELEMENT_FLOAT32, N, -1, 1);
    static float results[2][8][1000];
    EACH_ISA(k) {
        for (int threads = 1; threads <= 2; threads++) {
            float(*out)[1000] = results[threads - 1];
            dl_set_threads(test_context(), threads);
            k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, out[0], x, 1, N, 1);
            k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, out[1], x, 1, N / 100, 100);
            k->variance(test_context(), DL_ELEMENT_FLOAT32, out[2], out[3], x, 0, 1, N / 80, 80);
            k->batch_norm_backward(test_context(), DL_ELEMENT_FLOAT32, NULL, out[4], out[5], x + N / 2, x, out[3],
                                   out[2], NULL, N / 160, 80);
            k->reduce(test_context(), DL_REDUCE_LOGSUMEXP, DL_ELEMENT_FLOAT32, out[6], x, 1000, N / 1000, 1);
        }
        CHECK(memcmp(results[0], results[1], sizeof results[0]) == 0);
        CHECK(results[0][0][0] != 0 && results[0][5][79] != 0);
    }
    free(x);
}

/* A row's bits are the same alone and among others. */
static void test_rows_do_not_depend_on_the_batch(void) {
    enum { N = 13, K = 77 };
    float *x = test_random(DL_ELEMENT_FLOAT32, N * K, -3, 3), y[N * K], alone[K], sums[N], sum;
    EACH_ISA(k) {
        k->softmax(test_context(), DL_ELEMENT_FLOAT32, y, x, N, K, 1);
        k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, sums, x, N, K, 1);
        for (int r = 0; r < N; r++) {
            k->softmax(test_context(), DL_ELEMENT_FLOAT32, alone, x + r * K, 1, K, 1);
            k->reduce(test_context(), DL_REDUCE_SUM, DL_ELEMENT_FLOAT32, &sum, x + r * K, 1, K, 1);
            CHECK(memcmp(alone, y + r * K, sizeof alone) == 0);
            CHECK(memcmp(&sum, &sums[r], sizeof sum) == 0);
        }
    }
    free(x);
}

CHECK_MAIN(CHECK_TEST(test_reductions), CHECK_TEST(test_long_sums_are_accurate),
           CHECK_TEST(test_reductions_of_special_values), CHECK_TEST(test_integer_reductions),
           CHECK_TEST(test_places_of_extremes), CHECK_TEST(test_running_sums), CHECK_TEST(test_row_gradients),
           CHECK_TEST(test_gradients_of_ties_and_zeros), CHECK_TEST(test_softmax_values),
           CHECK_TEST(test_softmax_of_large_numbers), CHECK_TEST(test_cross_entropy), CHECK_TEST(test_wrong_labels),
           CHECK_TEST(test_moments), CHECK_TEST(test_batch_norm_gradients), CHECK_TEST(test_channel_affine),
           CHECK_TEST(test_row_norm), CHECK_TEST(test_ctc_sums_over_all_ways),
           CHECK_TEST(test_threads_change_no_sum), CHECK_TEST(test_rows_do_not_depend_on_the_batch))
