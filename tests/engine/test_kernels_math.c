/* The element-wise functions of one operand: each against the C library in long double over dense samples (errors in
 * units in the last place), at the edges of its domain, its gradient against differences; strides, threads and
 * positions in an array do not change bits. */
#include "dlua/definition.h"

#include "kernels_common.h"

static const dl_element reals[] = {DL_ELEMENT_FLOAT32, DL_ELEMENT_FLOAT64};

typedef struct reference {
    dl_unary function;
    long double (*value)(long double x);
    double low, high; /* of the dense samples */
    double ulps_f32, ulps_f64;
} reference;

static long double sigmoid_l(long double x) {
    return 1 / (1 + expl(-x));
}

static long double softplus_l(long double x) {
    return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

static long double log_sigmoid_l(long double x) {
    return -softplus_l(-x);
}

static long double gelu_l(long double x) {
    return x * erfcl(-x * 0.70710678118654752440084436210484904L) / 2;
}

static long double gelu_tanh_l(long double x) {
    return x * sigmoid_l(2 * sqrtl(2 / 3.14159265358979323846264338327950288L) * (x + 0.044715L * x * x * x));
}

static long double silu_l(long double x) {
    return x * sigmoid_l(x);
}

static long double mish_l(long double x) {
    return x * tanhl(softplus_l(x));
}

static long double selu_l(long double x) {
    return 1.0507009873554804934193349852946L * (x > 0 ? x : 1.6732632423543772848170429916717L * expm1l(x));
}

static long double rsqrt_l(long double x) {
    return 1 / sqrtl(x);
}

static long double reciprocal_l(long double x) {
    return 1 / x;
}

static long double square_l(long double x) {
    return x * x;
}

static long double neg_l(long double x) {
    return -x;
}

static const reference references[] = {
    {DL_UNARY_exp, expl, -90, 90, 1, 1},
    {DL_UNARY_exp, expl, -750, 750, 1, 1},
    {DL_UNARY_exp, expl, -1e-3, 1e-3, 1, 1},
    {DL_UNARY_expm1, expm1l, -2, 2, 2, 2},
    {DL_UNARY_expm1, expm1l, -100, 100, 2, 2},
    {DL_UNARY_expm1, expm1l, -1e-5, 1e-5, 2, 2},
    {DL_UNARY_log, logl, 0, 10, 1, 1},
    {DL_UNARY_log, logl, 0.9, 1.1, 1, 1},
    {DL_UNARY_log, logl, 0, 1e30, 1, 1},
    {DL_UNARY_log1p, log1pl, -1, 3, 2, 2},
    {DL_UNARY_log1p, log1pl, -1e-4, 1e-4, 2, 2},
    {DL_UNARY_log1p, log1pl, 0, 1e20, 2, 2},
    {DL_UNARY_log2, log2l, 0, 10, 2, 1},
    {DL_UNARY_log10, log10l, 0, 1000, 2, 2},
    {DL_UNARY_tanh, tanhl, -3, 3, 2.5, 2.5},
    {DL_UNARY_tanh, tanhl, -30, 30, 2.5, 2.5},
    {DL_UNARY_tanh, tanhl, -1e-4, 1e-4, 2.5, 2.5},
    {DL_UNARY_sigmoid, sigmoid_l, -30, 30, 3, 3},
    {DL_UNARY_sigmoid, sigmoid_l, -90, 90, 3, 3},
    {DL_UNARY_erf, erfl, -2, 2, 2, 2},
    {DL_UNARY_erf, erfl, -8, 8, 2, 2},
    {DL_UNARY_erf, erfl, -1e-3, 1e-3, 2, 2},
    {DL_UNARY_erfc, erfcl, -4, 8, 4, 4},
    {DL_UNARY_sin, sinl, -10, 10, 1, 1},
    {DL_UNARY_sin, sinl, -1e6, 1e6, 1, 1},
    {DL_UNARY_sin, sinl, -1e12, 1e12, 1, 1},
    {DL_UNARY_cos, cosl, -10, 10, 1, 1},
    {DL_UNARY_cos, cosl, -1e6, 1e6, 1, 1},
    {DL_UNARY_cos, cosl, -1e12, 1e12, 1, 1},
    {DL_UNARY_tan, tanl, -2, 2, 1, 2},
    {DL_UNARY_tan, tanl, -1e9, 1e9, 1, 2},
    {DL_UNARY_asin, asinl, -1, 1, 1, 2},
    {DL_UNARY_acos, acosl, -1, 1, 1, 2},
    {DL_UNARY_atan, atanl, -10, 10, 1, 2},
    {DL_UNARY_sinh, sinhl, -20, 20, 1, 2.5},
    {DL_UNARY_cosh, coshl, -20, 20, 1, 2.5},
    {DL_UNARY_asinh, asinhl, -100, 100, 1, 2.5},
    {DL_UNARY_acosh, acoshl, 1, 100, 1, 2.5},
    {DL_UNARY_atanh, atanhl, -1, 1, 1, 2.5},
    {DL_UNARY_sinh, sinhl, -1e-4, 1e-4, 1, 2.5},
    {DL_UNARY_asinh, asinhl, -1e20, 1e20, 1, 2.5},
    {DL_UNARY_acosh, acoshl, 1, 1.001, 1, 2.5},
    {DL_UNARY_atan, atanl, -0.01, 0.01, 1, 2},
    {DL_UNARY_sqrt, sqrtl, 0, 100, 0.5, 0.5},
    {DL_UNARY_rsqrt, rsqrt_l, 0, 100, 1.5, 1.5},
    {DL_UNARY_reciprocal, reciprocal_l, -10, 10, 0.5, 0.5},
    {DL_UNARY_square, square_l, -10, 10, 0.5, 0.5},
    {DL_UNARY_neg, neg_l, -10, 10, 0, 0},
    {DL_UNARY_abs, fabsl, -10, 10, 0, 0},
    {DL_UNARY_floor, floorl, -100, 100, 0, 0},
    {DL_UNARY_ceil, ceill, -100, 100, 0, 0},
    {DL_UNARY_round, rintl, -100, 100, 0, 0},
    {DL_UNARY_trunc, truncl, -100, 100, 0, 0},
    {DL_UNARY_softplus, softplus_l, -80, 80, 2, 2},
    {DL_UNARY_log_sigmoid, log_sigmoid_l, -80, 80, 2, 2},
    {DL_UNARY_gelu_erf, gelu_l, -1.2, 6, 4, 4},
    {DL_UNARY_gelu_tanh, gelu_tanh_l, -1, 6, 4, 4},
    {DL_UNARY_silu, silu_l, -80, 80, 3, 3},
    {DL_UNARY_mish, mish_l, -80, 80, 4, 4},
    {DL_UNARY_selu, selu_l, -80, 80, 3, 3},
};

static const char *const unary_names[] = {
#define X(name, needs, parameters, formula, domain, value, gradient, help) #name,
    DL_UNARY_ROWS(X)
#undef X
};

/* The values that a row's gradients and tests are computed with: the defaults, or something telling. */
static const double unary_parameters[][2] = {
#define P0(name, default_, minimum, maximum, flags, help)                  default_
#define P1(name, default_, minimum, maximum, flags, help)                  , default_
#define X(name, needs, parameters, formula, domain, value, gradient, help) {DL_ROW_LIST parameters},
    DL_UNARY_ROWS(X)
#undef X
#undef P0
#undef P1
};

static const double *parameters_of(dl_unary function) {
    static const double clamp[] = {-0.75, 1.25}, threshold[] = {-0.5, 2};
    switch (function) {
    case DL_UNARY_clamp:
        return clamp;
    case DL_UNARY_threshold:
        return threshold;
    default:
        return unary_parameters[function];
    }
}

static void unary(const dl_kernels *k, dl_unary function, dl_element element, void *out, const void *x, int64_t n) {
    dl_loop loop = dl_loop_flat(n);
    CHECK_EQ_INT(k->unary(test_context(), function, element, out, x, &loop, parameters_of(function)), DL_OK);
}

static void check_reference(const dl_kernels *k, const reference *r, dl_element element) {
    enum { N = 40000 };
    void *x = test_random(element, N, r->low, r->high);
    void *y = test_memory(N, dl_element_size(element));
    unary(k, r->function, element, y, x, N);
    double worst = 0, worst_x = 0;
    for (int64_t i = 0; i < N; i++) {
        double ulps = test_ulps(element, test_get(element, y, i), r->value((long double)test_get(element, x, i)));
        if (ulps > worst) {
            worst = ulps;
            worst_x = test_get(element, x, i);
        }
    }
    double allowed = element == DL_ELEMENT_FLOAT32 ? r->ulps_f32 : r->ulps_f64;
    if (getenv("DLUA_TEST_VERBOSE"))
        printf("%-12s %-8s %-8s [%g, %g]: %.3f ulp at %.9g\n", unary_names[r->function], k->isa,
               dl_element_name(element), r->low, r->high, worst, worst_x);
    if (!CHECK(worst <= allowed))
        fprintf(stderr, "    %s in %s %s on [%g, %g]: %g ulp at %.17g, allowed %g\n", unary_names[r->function], k->isa,
                dl_element_name(element), r->low, r->high, worst, worst_x, allowed);
    free(x);
    free(y);
}

static void test_errors_in_last_places(void) {
    EACH_ISA(k)
    for (int i = 0; i < DL_COUNT(references); i++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            check_reference(k, &references[i], reals[t]);
}

/* ---- edges ----------------------------------------------------------------------------------------------------- */

typedef struct edge {
    dl_unary function;
    double x, want;
} edge;

static const edge edges[] = {
    {DL_UNARY_sinh, INFINITY, INFINITY},
    {DL_UNARY_sinh, -1e30, -INFINITY},
    {DL_UNARY_cosh, -INFINITY, INFINITY},
    {DL_UNARY_asinh, INFINITY, INFINITY},
    {DL_UNARY_asinh, -INFINITY, -INFINITY},
    {DL_UNARY_acosh, 1, 0},
    {DL_UNARY_acosh, INFINITY, INFINITY},
    {DL_UNARY_acosh, 0.5, NAN},
    {DL_UNARY_atanh, 1, INFINITY},
    {DL_UNARY_atanh, -1, -INFINITY},
    {DL_UNARY_atanh, 1.5, NAN},
    {DL_UNARY_atan, INFINITY, M_PI_2},
    {DL_UNARY_atan, -INFINITY, -M_PI_2},
    {DL_UNARY_asin, 1, M_PI_2},
    {DL_UNARY_asin, 1.5, NAN},
    {DL_UNARY_acos, 1, 0},
    {DL_UNARY_acos, -1, M_PI},
    {DL_UNARY_acos, -1.5, NAN},
    {DL_UNARY_tan, 0, 0},
    {DL_UNARY_tan, INFINITY, NAN},
    {DL_UNARY_log2, INFINITY, INFINITY},
    {DL_UNARY_log10, -1, NAN},
    {DL_UNARY_exp, INFINITY, INFINITY},
    {DL_UNARY_exp, -INFINITY, 0},
    {DL_UNARY_exp, 0, 1},
    {DL_UNARY_exp, 1e30, INFINITY},
    {DL_UNARY_exp, -1e30, 0},
    {DL_UNARY_expm1, INFINITY, INFINITY},
    {DL_UNARY_expm1, -INFINITY, -1},
    {DL_UNARY_expm1, 0, 0},
    {DL_UNARY_expm1, -1e30, -1},
    {DL_UNARY_log, 0, -INFINITY},
    {DL_UNARY_log, -0.0, -INFINITY},
    {DL_UNARY_log, 1, 0},
    {DL_UNARY_log, -1, NAN},
    {DL_UNARY_log, INFINITY, INFINITY},
    {DL_UNARY_log, -INFINITY, NAN},
    {DL_UNARY_log1p, -1, -INFINITY},
    {DL_UNARY_log1p, -1.5, NAN},
    {DL_UNARY_log1p, INFINITY, INFINITY},
    {DL_UNARY_log1p, 0, 0},
    {DL_UNARY_log2, 8, 3},
    {DL_UNARY_log2, 0, -INFINITY},
    {DL_UNARY_log10, 1000, 3},
    {DL_UNARY_tanh, INFINITY, 1},
    {DL_UNARY_tanh, -INFINITY, -1},
    {DL_UNARY_tanh, 1e30, 1},
    {DL_UNARY_tanh, 0, 0},
    {DL_UNARY_sigmoid, INFINITY, 1},
    {DL_UNARY_sigmoid, -INFINITY, 0},
    {DL_UNARY_sigmoid, 0, 0.5},
    {DL_UNARY_sigmoid, -1e30, 0},
    {DL_UNARY_erf, INFINITY, 1},
    {DL_UNARY_erf, -INFINITY, -1},
    {DL_UNARY_erf, 1e30, 1},
    {DL_UNARY_erf, 0, 0},
    {DL_UNARY_erfc, INFINITY, 0},
    {DL_UNARY_erfc, -INFINITY, 2},
    {DL_UNARY_sin, INFINITY, NAN},
    {DL_UNARY_cos, INFINITY, NAN},
    {DL_UNARY_sin, 0, 0},
    {DL_UNARY_cos, 0, 1},
    {DL_UNARY_softplus, INFINITY, INFINITY},
    {DL_UNARY_softplus, -INFINITY, 0},
    {DL_UNARY_log_sigmoid, INFINITY, 0},
    {DL_UNARY_log_sigmoid, -INFINITY, -INFINITY},
    {DL_UNARY_relu, INFINITY, INFINITY},
    {DL_UNARY_relu, -INFINITY, 0},
    {DL_UNARY_gelu_erf, 1e30, 1e30},
    {DL_UNARY_gelu_erf, -1e30, 0},
    {DL_UNARY_mish, 1e30, 1e30},
    {DL_UNARY_mish, -1e30, 0},
    {DL_UNARY_silu, -1e30, 0},
    {DL_UNARY_elu, -INFINITY, -1},
    {DL_UNARY_clamp, INFINITY, 1.25},
    {DL_UNARY_clamp, -INFINITY, -0.75},
    {DL_UNARY_round, 0.5, 0},
    {DL_UNARY_round, 1.5, 2},
    {DL_UNARY_round, 2.5, 2},
    {DL_UNARY_round, -1.5, -2},
    {DL_UNARY_round, 1e30, 1e30},
    {DL_UNARY_floor, -0.5, -1},
    {DL_UNARY_trunc, -1.5, -1},
    {DL_UNARY_ceil, 1e30, 1e30},
    {DL_UNARY_rsqrt, 0, INFINITY},
    {DL_UNARY_sqrt, -1, NAN},
    {DL_UNARY_reciprocal, 0, INFINITY},
};

static double unary_one(const dl_kernels *k, dl_unary function, dl_element element, double x) {
    double in = 0, out = 0;
    test_set(element, &in, 0, x);
    unary(k, function, element, &out, &in, 1);
    return test_get(element, &out, 0);
}

static void test_edges(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        for (int i = 0; i < DL_COUNT(edges); i++) {
            double got = unary_one(k, edges[i].function, reals[t], edges[i].x);
            double want = reals[t] == DL_ELEMENT_FLOAT32 ? (double)(float)edges[i].want : edges[i].want;
            if (!CHECK(got == want || (isnan(got) && isnan(want))))
                fprintf(stderr, "    %s(%g) in %s %s: got %g, want %g\n", unary_names[edges[i].function], edges[i].x,
                        k->isa, dl_element_name(reals[t]), got, want);
        }
        for (int f = 0; f < DL_UNARY_COUNT; f++)
            if (!CHECK(isnan(unary_one(k, (dl_unary)f, reals[t], NAN))))
                fprintf(stderr, "    %s(NaN) in %s %s is a number\n", unary_names[f], k->isa,
                        dl_element_name(reals[t]));
    }
}

/* Denormal numbers count as zero, and results that would be denormal are zero. */
static void test_denormals_are_flushed(void) {
    EACH_ISA(k) {
        CHECK(unary_one(k, DL_UNARY_exp, DL_ELEMENT_FLOAT32, -95) == 0);
        CHECK(unary_one(k, DL_UNARY_log, DL_ELEMENT_FLOAT32, 1e-40) == -INFINITY);
        CHECK(unary_one(k, DL_UNARY_exp, DL_ELEMENT_FLOAT64, -720) == 0);
        CHECK(unary_one(k, DL_UNARY_tanh, DL_ELEMENT_FLOAT32, 1e-40) == 0);
    }
}

/* ---- gradients ------------------------------------------------------------------------------------------------- */

static double difference_of(const dl_kernels *k, dl_unary function, double x, double h) {
    return (unary_one(k, function, DL_ELEMENT_FLOAT64, x + h) - unary_one(k, function, DL_ELEMENT_FLOAT64, x - h)) /
           (2 * h);
}

/* dx from the kernel at one x against a central difference of values in float64; false where that has no answer: out of
 * the domain, beside a pole or a kink (where two steps disagree). */
static bool check_gradient_at(const dl_kernels *k, dl_unary function, dl_element element, double x) {
    double given = 0, g = 0, dx = 0, y = 0;
    test_set(element, &given, 0, x);
    test_set(element, &g, 0, 0.75);
    x = test_get(element, &given, 0);
    double difference = difference_of(k, function, x, 1e-5), other = difference_of(k, function, x, 2e-5);
    double tolerance = (element == DL_ELEMENT_FLOAT32 ? 1e-5 : 1e-7) * (1 + fabs(difference));
    if (!(fabs(difference - other) < tolerance))
        return false;
    unary(k, function, element, &y, &given, 1);
    dl_loop loop = dl_loop_flat(1);
    const void *saved = dl_unary_needs_of(function) == DL_NEEDS_X ? &given : &y;
    CHECK_EQ_INT(k->unary_backward(test_context(), function, element, &dx, &g, saved, &loop, parameters_of(function)),
                 DL_OK);
    if (!CHECK(fabs(test_get(element, &dx, 0) - 0.75 * difference) <= tolerance))
        fprintf(stderr, "    gradient of %s at %.9g in %s %s: got %.9g, want %.9g\n", unary_names[function], x, k->isa,
                dl_element_name(element), test_get(element, &dx, 0), 0.75 * difference);
    return true;
}

static void test_gradients_against_differences(void) {
    EACH_ISA(k)
    for (int f = 0; f < DL_UNARY_COUNT; f++)
        for (int t = 0; t < DL_COUNT(reals); t++) {
            int checked = 0;
            for (int i = 0; i < 60; i++)
                checked += check_gradient_at(k, (dl_unary)f, reals[t], test_uniform(-4.4, 7.3));
            for (int i = 0; i < 20; i++)
                checked += check_gradient_at(k, (dl_unary)f, reals[t], test_uniform(-0.9, 0.9));
            CHECK(checked >= 20);
        }
}

/* Beyond its own range the sine asks the C library, in its gradient too. */
static void test_gradients_of_large_angles(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        double x = 0, g = 0, dx = 0;
        test_set(reals[t], &x, 0, 3e9);
        test_set(reals[t], &g, 0, 2);
        dl_loop loop = dl_loop_flat(1);
        k->unary_backward(test_context(), DL_UNARY_sin, reals[t], &dx, &g, &x, &loop, NULL);
        CHECK_CLOSE(test_get(reals[t], &dx, 0), 2 * cosl(test_get(reals[t], &x, 0)), 1e-6);
        k->unary_backward(test_context(), DL_UNARY_cos, reals[t], &dx, &g, &x, &loop, NULL);
        CHECK_CLOSE(test_get(reals[t], &dx, 0), -2 * sinl(test_get(reals[t], &x, 0)), 1e-6);
    }
}

/* ---- the same bits --------------------------------------------------------------------------------------------- */

static bool same_bits(dl_element element, const void *a, int64_t i, const void *b, int64_t j) {
    int size = dl_element_size(element);
    bool nan = isnan(test_get(element, a, i)) && isnan(test_get(element, b, j));
    return nan || memcmp((const char *)a + i * size, (const char *)b + j * size, (size_t)size) == 0;
}

/* An element's result depends neither on its place in a vector nor on strides. */
static void check_places(const dl_kernels *k, dl_unary function, dl_element element) {
    enum { N = 150 };
    int size = dl_element_size(element);
    void *x = test_random(element, 3 * N, -4, 4), *whole = test_memory(3 * N, size), *spread = test_memory(2 * N, size);
    unary(k, function, element, whole, x, 3 * N);
    /* Every third element, backwards, to every second place. */
    dl_loop loop = {.dims = 1, .shape = {N}, .strides = {{2}, {-3}}};
    CHECK_EQ_INT(k->unary(test_context(), function, element, spread, (char *)x + 3 * (N - 1) * size, &loop,
                          parameters_of(function)),
                 DL_OK);
    bool same = true;
    for (int64_t i = 0; i < N; i++)
        same = same && same_bits(element, spread, 2 * i, whole, 3 * (N - 1 - i));
    for (int64_t i = 0; i < 40; i++) {
        double one = 0;
        unary(k, function, element, &one, (char *)x + i * size, 1);
        same = same && same_bits(element, &one, 0, whole, i);
    }
    if (!CHECK(same))
        fprintf(stderr, "    %s in %s %s gives other bits at another place\n", unary_names[function], k->isa,
                dl_element_name(element));
    free(x);
    free(whole);
    free(spread);
}

static void test_places_do_not_change_bits(void) {
    EACH_ISA(k)
    for (int f = 0; f < DL_UNARY_COUNT; f++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            check_places(k, (dl_unary)f, reals[t]);
}

static void test_threads_do_not_change_bits(void) {
    enum { N = 300001 };
    float *x = test_random(DL_ELEMENT_FLOAT32, N, -4, 4);
    float *one = test_memory(N, sizeof(float)), *two = test_memory(N, sizeof(float));
    EACH_ISA(k) {
        dl_set_threads(test_context(), 1);
        unary(k, DL_UNARY_tanh, DL_ELEMENT_FLOAT32, one, x, N);
        dl_set_threads(test_context(), 2);
        unary(k, DL_UNARY_tanh, DL_ELEMENT_FLOAT32, two, x, N);
        CHECK(memcmp(one, two, N * sizeof(float)) == 0);
    }
    free(x);
    free(one);
    free(two);
}

/* ---- integers and predicates ----------------------------------------------------------------------------------- */

static void test_integers(void) {
    EACH_ISA(k) {
        dl_loop loop = dl_loop_flat(4);
        int32_t x[] = {-5, 0, 7, INT32_MIN}, y[4];
        CHECK_EQ_INT(k->unary(test_context(), DL_UNARY_neg, DL_ELEMENT_INT32, y, x, &loop, NULL), DL_OK);
        CHECK(y[0] == 5 && y[1] == 0 && y[2] == -7 && y[3] == INT32_MIN);
        k->unary(test_context(), DL_UNARY_sign, DL_ELEMENT_INT32, y, x, &loop, NULL);
        CHECK(y[0] == -1 && y[1] == 0 && y[2] == 1 && y[3] == -1);
        const double bounds[] = {-1e300, 3.7};
        k->unary(test_context(), DL_UNARY_clamp, DL_ELEMENT_INT32, y, x, &loop, bounds);
        CHECK(y[0] == -5 && y[2] == 3 && y[3] == INT32_MIN);
        uint8_t bytes[] = {0, 1, 200, 255}, squares[4];
        k->unary(test_context(), DL_UNARY_square, DL_ELEMENT_UINT8, squares, bytes, &loop, NULL);
        CHECK(squares[2] == (uint8_t)(200 * 200) && squares[3] == 1);
        CHECK_EQ_INT(k->unary(test_context(), DL_UNARY_exp, DL_ELEMENT_INT32, y, x, &loop, NULL), DL_DTYPE);
        CHECK_CONTAINS(dl_last_error(), "exp is not defined for int32");
    }
}

static void test_predicates(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        double x[5];
        const double values[] = {0, -2.5, INFINITY, -INFINITY, NAN};
        const uint8_t want[][5] = {{0, 0, 0, 0, 1}, {0, 0, 1, 1, 0}, {1, 1, 0, 0, 0}, {1, 0, 0, 0, 0}};
        dl_loop loop = dl_loop_flat(5);
        for (int i = 0; i < 5; i++)
            test_set(reals[t], x, i, values[i]);
        for (int f = 0; f < DL_PREDICATE_COUNT; f++) {
            uint8_t got[5];
            CHECK_EQ_INT(k->predicate(test_context(), (dl_predicate)f, reals[t], got, x, &loop), DL_OK);
            CHECK(memcmp(got, want[f], 5) == 0);
        }
    }
    EACH_ISA(k) {
        int64_t x[] = {0, 4};
        uint8_t got[2];
        dl_loop loop = dl_loop_flat(2);
        k->predicate(test_context(), DL_PREDICATE_isfinite, DL_ELEMENT_INT64, got, x, &loop);
        CHECK(got[0] == 1 && got[1] == 1);
        k->predicate(test_context(), DL_PREDICATE_isnan, DL_ELEMENT_INT64, got, x, &loop);
        CHECK(got[0] == 0 && got[1] == 0);
        k->predicate(test_context(), DL_PREDICATE_logical_not, DL_ELEMENT_INT64, got, x, &loop);
        CHECK(got[0] == 1 && got[1] == 0);
    }
}

CHECK_MAIN(CHECK_TEST(test_errors_in_last_places), CHECK_TEST(test_edges), CHECK_TEST(test_denormals_are_flushed),
           CHECK_TEST(test_gradients_against_differences),
           CHECK_TEST(test_gradients_of_large_angles), CHECK_TEST(test_places_do_not_change_bits),
           CHECK_TEST(test_threads_do_not_change_bits), CHECK_TEST(test_integers), CHECK_TEST(test_predicates))
