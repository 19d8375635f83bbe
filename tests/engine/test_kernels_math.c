/* The element-wise functions of one operand: each against the C library in long double over dense samples (errors in
 * units in the last place), at the edges of its domain, its gradient against differences; strides, threads and positions
 * in an array do not change bits. */
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
    {DL_UNARY_sin, sinl, -1e6, 1e6, 1, 1.5},
    {DL_UNARY_sin, sinl, -1e12, 1e12, 1, 1},
    {DL_UNARY_cos, cosl, -10, 10, 1, 1},
    {DL_UNARY_cos, cosl, -1e6, 1e6, 1, 1.5},
    {DL_UNARY_cos, cosl, -1e12, 1e12, 1, 1},
    {DL_UNARY_tan, tanl, -2, 2, 2, 2},
    {DL_UNARY_asin, asinl, -1, 1, 2, 2},
    {DL_UNARY_acos, acosl, -1, 1, 2, 2},
    {DL_UNARY_atan, atanl, -10, 10, 2, 2},
    {DL_UNARY_sinh, sinhl, -20, 20, 2.5, 2.5},
    {DL_UNARY_cosh, coshl, -20, 20, 2.5, 2.5},
    {DL_UNARY_asinh, asinhl, -100, 100, 2.5, 2.5},
    {DL_UNARY_acosh, acoshl, 1, 100, 2.5, 2.5},
    {DL_UNARY_atanh, atanhl, -1, 1, 2.5, 2.5},
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
#define P0(name, default_, minimum, maximum, flags, help) default_
#define P1(name, default_, minimum, maximum, flags, help) , default_
#define X(name, needs, parameters, formula, domain, value, gradient, help) {DL_ROW_LIST parameters},
    DL_UNARY_ROWS(X)
#undef X
#undef P0
#undef P1
};

static const double *parameters_of(dl_unary function) {
    static const double clamp[] = {-0.75, 1.25}, power[] = {2.5, 0}, threshold[] = {-0.5, 2};
    switch (function) {
    case DL_UNARY_clamp:
        return clamp;
    case DL_UNARY_pow_scalar:
        return power;
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

CHECK_MAIN(CHECK_TEST(test_errors_in_last_places))
