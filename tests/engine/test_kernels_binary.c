/* The element-wise kernels of two operands, comparisons, choice, copies, casts, and index kernels: against plain C in
 * naive loops over strided operands, gradients against differences, integers at their edges. */
#include <limits.h>

#include "dlua/definition.h"

#include "kernels_common.h"

static const dl_element reals[] = {DL_ELEMENT_FLOAT32, DL_ELEMENT_FLOAT64};

static const char *const binary_names[] = {
#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help) #name,
    DL_BINARY_ROWS(X)
#undef X
};

static const double huber_delta[] = {0.7};

/* ---- values ---------------------------------------------------------------------------------------------------- */

static long double reference_of(dl_binary function, long double a, long double b) {
    long double d = fabsl(a - b), p;
    switch (function) {
    case DL_BINARY_add:
        return a + b;
    case DL_BINARY_sub:
        return a - b;
    case DL_BINARY_mul:
        return a * b;
    case DL_BINARY_div:
        return a / b;
    case DL_BINARY_pow:
        return powl(a, b);
    case DL_BINARY_maximum:
        return a > b ? a : b;
    case DL_BINARY_minimum:
        return a < b ? a : b;
    case DL_BINARY_atan2:
        return atan2l(a, b);
    case DL_BINARY_fmod:
        return fmodl(a, b);
    case DL_BINARY_remainder:
        return a - floorl(a / b) * b;
    case DL_BINARY_floor_divide:
        return floorl(a / b);
    case DL_BINARY_squared_error:
        return d * d;
    case DL_BINARY_absolute_error:
        return d;
    case DL_BINARY_huber_error:
        return d <= 0.7L ? d * d / 2 : 0.7L * (d - 0.35L);
    case DL_BINARY_binary_cross_entropy_logits_error:
        return (a > 0 ? a : 0) - a * b + log1pl(expl(-fabsl(a)));
    case DL_BINARY_binary_cross_entropy_error:
        p = fminl(fmaxl(a, 1e-7L), 1 - 1e-7L);
        return -b * logl(p) - (1 - b) * log1pl(-p);
    default:
        return NAN;
    }
}

/* Operands within each function's domain. */
static void ranges_of(dl_binary function, double *a_low, double *a_high, double *b_low, double *b_high) {
    *a_low = *b_low = -3;
    *a_high = *b_high = 3;
    if (function == DL_BINARY_pow || function == DL_BINARY_binary_cross_entropy_error)
        *a_low = 0.02;
    if (function == DL_BINARY_binary_cross_entropy_error)
        *a_high = 0.98;
    if (function == DL_BINARY_binary_cross_entropy_error || function == DL_BINARY_binary_cross_entropy_logits_error) {
        *b_low = 0;
        *b_high = 1;
    }
}

/* out (3, 5, 70) from a broadcast along the first and b permuted: every way into a block. */
static void check_strided(const dl_kernels *k, dl_binary function, dl_element element) {
    enum { A = 3, B = 5, C = 70 };
    double a_low, a_high, b_low, b_high;
    ranges_of(function, &a_low, &a_high, &b_low, &b_high);
    int size = dl_element_size(element);
    void *a = test_random(element, B * C, a_low, a_high), *b = test_random(element, A * B * C, b_low, b_high);
    void *out = test_memory(A * B * C, size);
    dl_loop loop = {.dims = 3, .shape = {A, B, C}, .strides = {{B * C, C, 1}, {0, C, 1}, {1, A, A * B}}};
    CHECK_EQ_INT(k->binary(test_context(), function, element, out, a, b, &loop, huber_delta), DL_OK);
    double eps = element == DL_ELEMENT_FLOAT32 ? 1.2e-7 : 2.3e-16;
    for (int64_t i = 0; i < A * B * C; i++) {
        int64_t x = i / (B * C), y = i / C % B, z = i % C;
        double left = test_get(element, a, y * C + z), right = test_get(element, b, x + y * A + z * A * B);
        long double want = reference_of(function, left, right);
        double got = test_get(element, out, i), tolerance = 8 * eps * (1 + fabs((double)want));
        if (!CHECK(fabsl(got - want) <= tolerance)) {
            fprintf(stderr, "    %s(%.9g, %.9g) in %s %s: got %.17g, want %.17g\n", binary_names[function], left, right,
                    k->isa, dl_element_name(element), got, (double)want);
            break;
        }
    }
    free(a);
    free(b);
    free(out);
}

static void test_values_over_strides(void) {
    EACH_ISA(k)
    for (int f = 0; f < DL_BINARY_COUNT; f++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            check_strided(k, (dl_binary)f, reals[t]);
}

/* A matrix less a row and less a column: rows of all lengths, short ones that are repeated and long ones. */
static void check_row_and_column(const dl_kernels *k, int64_t rows, int64_t columns) {
    float *x = test_random(DL_ELEMENT_FLOAT32, rows * columns, -1, 1), *out = test_memory(rows * columns, 4);
    float *vector = test_random(DL_ELEMENT_FLOAT32, DL_MAX(rows, columns), -1, 1);
    for (int by_column = 0; by_column < 2; by_column++) {
        dl_loop loop = {.dims = 2, .shape = {rows, columns}, .strides = {{columns, 1}, {columns, 1}}};
        loop.strides[2][0] = by_column;
        loop.strides[2][1] = !by_column;
        CHECK_EQ_INT(k->binary(test_context(), DL_BINARY_sub, DL_ELEMENT_FLOAT32, out, x, vector, &loop, NULL), DL_OK);
        bool right = true;
        for (int64_t i = 0; i < rows * columns; i++)
            right = right && out[i] == x[i] - vector[by_column ? i / columns : i % columns];
        if (!CHECK(right))
            fprintf(stderr, "    (%d, %d), by column: %d\n", (int)rows, (int)columns, by_column);
    }
    free(x);
    free(out);
    free(vector);
}

static void test_rows_and_columns_of_all_lengths(void) {
    static const int64_t lengths[] = {1, 2, 3, 16, 63, 64, 100, 255, 256, 257, 512, 1000, 40000};
    EACH_ISA(k)
    for (int i = 0; i < DL_COUNT(lengths); i++) {
        check_row_and_column(k, 1 + 70000 / lengths[i], lengths[i]);
        check_row_and_column(k, 3, lengths[i]);
    }
}

static double binary_one(const dl_kernels *k, dl_binary function, dl_element element, double a, double b) {
    double left = 0, right = 0, out = 0;
    test_set(element, &left, 0, a);
    test_set(element, &right, 0, b);
    dl_loop loop = dl_loop_flat(1);
    CHECK_EQ_INT(k->binary(test_context(), function, element, &out, &left, &right, &loop, huber_delta), DL_OK);
    return test_get(element, &out, 0);
}

static void check_binary_gradient(const dl_kernels *k, dl_binary function, dl_element element, double a, double b) {
    double left = 0, right = 0, g = 0, grad = 0;
    test_set(element, &left, 0, a);
    test_set(element, &right, 0, b);
    test_set(element, &g, 0, -1.25);
    a = test_get(element, &left, 0);
    b = test_get(element, &right, 0);
    const double h = 1e-6;
    for (int which = 0; which < 2; which++) {
        double ha = which == 0 ? h : 0, hb = which == 1 ? h : 0;
        double difference = (binary_one(k, function, DL_ELEMENT_FLOAT64, a + ha, b + hb) -
                             binary_one(k, function, DL_ELEMENT_FLOAT64, a - ha, b - hb)) /
                            (2 * h);
        dl_loop loop = dl_loop_flat(1);
        k->binary_backward(test_context(), function, which, element, &grad, &g, &left, &right, &loop, huber_delta);
        double got = test_get(element, &grad, 0), want = -1.25 * difference;
        if (!CHECK(fabs(got - want) <= (element == DL_ELEMENT_FLOAT32 ? 1e-5 : 1e-6) * (1 + fabs(want))))
            fprintf(stderr, "    gradient %d of %s at (%.9g, %.9g) in %s %s: got %.9g, want %.9g\n", which,
                    binary_names[function], a, b, k->isa, dl_element_name(element), got, want);
    }
}

static void test_binary_gradients(void) {
    EACH_ISA(k)
    for (int f = 0; f < DL_BINARY_COUNT; f++)
        for (int t = 0; t < DL_COUNT(reals); t++)
            for (int i = 0; i < 12; i++) {
                double a_low, a_high, b_low, b_high;
                ranges_of((dl_binary)f, &a_low, &a_high, &b_low, &b_high);
                double a = test_uniform(DL_MAX(a_low, -2.0), a_high), b = test_uniform(DL_MAX(b_low, 0.4), b_high);
                double whole = a / b - rint(a / b);
                bool steps = f == DL_BINARY_fmod || f == DL_BINARY_remainder || f == DL_BINARY_floor_divide;
                if (steps ? fabs(whole) > 0.01 : fabs(a - b) > 0.01)
                    check_binary_gradient(k, (dl_binary)f, reals[t], a, DL_MIN(b, b_high));
            }
}

static void test_power_at_the_edges(void) {
    static const double cases[][2] = {
        {0, 0},         {0, 2},         {0, -1},        {1, NAN},         {NAN, 0}, {INFINITY, 0},  {-1, INFINITY},
        {2, -INFINITY}, {-8, 0.5},      {-2, 3},        {-2, 4},          {-2, -3}, {-0.0, 3},      {-0.0, -3},
        {INFINITY, -2}, {-INFINITY, 3}, {-INFINITY, 2}, {-INFINITY, 0.5}, {NAN, 2}, {2, NAN},       {0.5, INFINITY},
        {2, 200},       {2, -200},      {-3, 1e10},     {1, 1e30},        {-1, 3},  {-INFINITY, -3}};
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        for (int i = 0; i < DL_COUNT(cases); i++) {
            double a = cases[i][0], b = cases[i][1], got = binary_one(k, DL_BINARY_pow, reals[t], a, b);
            double want = pow(a, b);
            if (reals[t] == DL_ELEMENT_FLOAT32)
                want = fabs(want) < (double)FLT_MIN ? 0 * want : (double)(float)want;
            if (!CHECK((isnan(got) && isnan(want)) || (got == want && signbit(got) == signbit(want))))
                fprintf(stderr, "    pow(%g, %g) in %s %s: got %g, want %g\n", a, b, k->isa, dl_element_name(reals[t]),
                        got, want);
        }
}

/* ---- integers -------------------------------------------------------------------------------------------------- */

static void test_integer_arithmetic(void) {
    EACH_ISA(k) {
        dl_loop loop = dl_loop_flat(4);
        int32_t a[] = {INT32_MAX, INT32_MIN, -7, 7}, b[] = {1, -1, 3, -3}, out[4];
        CHECK_EQ_INT(k->binary(test_context(), DL_BINARY_add, DL_ELEMENT_INT32, out, a, b, &loop, NULL), DL_OK);
        CHECK(out[0] == INT32_MIN && out[1] == INT32_MAX && out[2] == -4 && out[3] == 4);
        k->binary(test_context(), DL_BINARY_mul, DL_ELEMENT_INT32, out, a, b, &loop, NULL);
        CHECK(out[1] == INT32_MIN && out[2] == -21);
        k->binary(test_context(), DL_BINARY_floor_divide, DL_ELEMENT_INT32, out, a, b, &loop, NULL);
        CHECK(out[0] == INT32_MAX && out[1] == INT32_MIN && out[2] == -3 && out[3] == -3);
        k->binary(test_context(), DL_BINARY_remainder, DL_ELEMENT_INT32, out, a, b, &loop, NULL);
        CHECK(out[0] == 0 && out[1] == 0 && out[2] == 2 && out[3] == -2);
        k->binary(test_context(), DL_BINARY_fmod, DL_ELEMENT_INT32, out, a, b, &loop, NULL);
        CHECK(out[2] == -1 && out[3] == 1);
        uint8_t x[] = {250, 7, 0, 9}, y[] = {10, 2, 1, 4}, z[4];
        k->binary(test_context(), DL_BINARY_add, DL_ELEMENT_UINT8, z, x, y, &loop, NULL);
        CHECK(z[0] == 4 && z[1] == 9);
        k->binary(test_context(), DL_BINARY_floor_divide, DL_ELEMENT_UINT8, z, x, y, &loop, NULL);
        CHECK(z[0] == 25 && z[1] == 3 && z[2] == 0 && z[3] == 2);
    }
}

static void test_integer_division_by_zero_is_an_error(void) {
    EACH_ISA(k) {
        dl_loop loop = {.dims = 2, .shape = {2, 2}, .strides = {{2, 1}, {2, 1}, {0, 1}}};
        int64_t a[] = {1, 2, 3, 4}, b[] = {2, 0}, out[] = {9, 9, 9, 9};
        CHECK_EQ_INT(k->binary(test_context(), DL_BINARY_remainder, DL_ELEMENT_INT64, out, a, b, &loop, NULL),
                     DL_INVALID);
        CHECK_CONTAINS(dl_last_error(), "the divisor has a 0");
        CHECK(out[0] == 9 && out[3] == 9);
        CHECK_EQ_INT(k->binary(test_context(), DL_BINARY_div, DL_ELEMENT_INT64, out, a, b, &loop, NULL), DL_DTYPE);
    }
}

/* ---- comparisons and choice ------------------------------------------------------------------------------------ */

static void test_comparisons(void) {
    const double left[] = {1, 2, NAN, INFINITY, -0.0, 3}, right[] = {1, 3, NAN, INFINITY, 0, 2};
    static const uint8_t want[][6] = {{1, 0, 0, 1, 1, 0}, {0, 1, 1, 0, 0, 1}, {0, 1, 0, 0, 0, 0},
                                      {1, 1, 0, 1, 1, 0}, {0, 0, 0, 0, 0, 1}, {1, 0, 0, 1, 1, 1},
                                      {1, 1, 1, 1, 0, 1}, {1, 1, 1, 1, 0, 1}, {0, 0, 0, 0, 0, 0}};
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        for (int f = 0; f < DL_COMPARE_COUNT; f++) {
            double a[6], b[6];
            uint8_t out[6];
            dl_loop loop = dl_loop_flat(6);
            for (int i = 0; i < 6; i++) {
                test_set(reals[t], a, i, left[i]);
                test_set(reals[t], b, i, right[i]);
            }
            CHECK_EQ_INT(k->compare(test_context(), (dl_compare)f, reals[t], out, a, b, &loop), DL_OK);
            CHECK(memcmp(out, want[f], 6) == 0);
        }
    EACH_ISA(k) {
        int64_t a[] = {INT64_MIN, 5}, b[] = {INT64_MAX, 5};
        uint8_t out[2];
        dl_loop loop = dl_loop_flat(2);
        k->compare(test_context(), DL_COMPARE_lt, DL_ELEMENT_INT64, out, a, b, &loop);
        CHECK(out[0] == 1 && out[1] == 0);
    }
}

static void test_where(void) {
    enum { N = 1000 };
    float *a = test_random(DL_ELEMENT_FLOAT32, N, -1, 1), zero = 0, out[N];
    uint8_t condition[N];
    for (int i = 0; i < N; i++)
        condition[i] = test_uniform(0, 1) < 0.5;
    EACH_ISA(k) {
        dl_loop loop = {.dims = 1, .shape = {N}, .strides = {{1}, {1}, {1}, {0}}};
        CHECK_EQ_INT(k->where(test_context(), DL_ELEMENT_FLOAT32, out, condition, a, &zero, &loop), DL_OK);
        bool right = true;
        for (int i = 0; i < N; i++)
            right = right && out[i] == (condition[i] ? a[i] : 0);
        CHECK(right);
    }
    free(a);
}

/* ---- copies and casts ------------------------------------------------------------------------------------------ */

static void test_casts_are_defined_everywhere(void) {
    const double x[] = {-1e300, -3.9, -0.5, 0, 0.5, 3.9, 300, 3e9, 1e300, NAN, -INFINITY, INFINITY};
    enum { N = DL_COUNT(x) };
    static const int32_t i32[] = {INT32_MIN, -3, 0, 0, 0, 3, 300, INT32_MAX, INT32_MAX, 0, INT32_MIN, INT32_MAX};
    static const int64_t i64[] = {INT64_MIN, -3, 0, 0, 0, 3, 300, 3000000000, INT64_MAX, 0, INT64_MIN, INT64_MAX};
    static const uint8_t u8[] = {0, 0, 0, 0, 0, 3, 255, 255, 255, 0, 0, 255};
    static const uint8_t truth[] = {1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    EACH_ISA(k) {
        dl_loop loop = dl_loop_flat(N);
        int32_t a[N];
        int64_t b[N];
        uint8_t c[N], d[N];
        k->copy(test_context(), DL_ELEMENT_INT32, a, DL_ELEMENT_FLOAT64, x, &loop);
        k->copy(test_context(), DL_ELEMENT_INT64, b, DL_ELEMENT_FLOAT64, x, &loop);
        k->copy(test_context(), DL_ELEMENT_UINT8, c, DL_ELEMENT_FLOAT64, x, &loop);
        k->copy(test_context(), DL_ELEMENT_BOOLEAN, d, DL_ELEMENT_FLOAT64, x, &loop);
        CHECK(memcmp(a, i32, sizeof a) == 0);
        CHECK(memcmp(b, i64, sizeof b) == 0);
        CHECK(memcmp(c, u8, sizeof c) == 0);
        CHECK(memcmp(d, truth, sizeof d) == 0);
        int64_t wide[] = {-1, 258, (1ll << 40) + 5};
        loop = dl_loop_flat(3);
        k->copy(test_context(), DL_ELEMENT_UINT8, c, DL_ELEMENT_INT64, wide, &loop);
        CHECK(c[0] == 255 && c[1] == 2 && c[2] == 5);
        float f[3];
        k->copy(test_context(), DL_ELEMENT_FLOAT32, f, DL_ELEMENT_INT64, wide, &loop);
        CHECK(f[0] == -1 && f[1] == 258 && f[2] == (float)(1ll << 40));
    }
}

/* A permuted copy of each element size, and of long rows. */
static void check_permuted_copy(const dl_kernels *k, dl_element element, int64_t a, int64_t b, int64_t c) {
    int size = dl_element_size(element);
    char *x = test_memory(a * b * c, size), *y = test_memory(a * b * c, size);
    for (int64_t i = 0; i < a * b * c * size; i++)
        x[i] = (char)(i * 31 + i / 251);
    /* y (c, a, b) = x (a, b, c) permuted */
    dl_loop loop = {.dims = 3, .shape = {c, a, b}, .strides = {{a * b, b, 1}, {1, b * c, c}}};
    CHECK_EQ_INT(k->copy(test_context(), element, y, element, x, &loop), DL_OK);
    bool right = true;
    for (int64_t i = 0; i < a; i++)
        for (int64_t j = 0; j < b; j++)
            for (int64_t m = 0; m < c; m++)
                right = right &&
                        memcmp(y + ((m * a + i) * b + j) * size, x + ((i * b + j) * c + m) * size, (size_t)size) == 0;
    CHECK(right);
    free(x);
    free(y);
}

static void test_permuted_copies(void) {
    EACH_ISA(k)
    for (int element = 0; element < DL_ELEMENT_COUNT; element++) {
        check_permuted_copy(k, (dl_element)element, 3, 4, 5);
        check_permuted_copy(k, (dl_element)element, 1, 150, 7);
        check_permuted_copy(k, (dl_element)element, 3, 129, 117);
    }
}

static void test_fill_and_arange(void) {
    EACH_ISA(k) {
        int32_t x[10] = {0};
        dl_loop loop = {.dims = 1, .shape = {5}, .strides = {{2}}};
        CHECK_EQ_INT(k->fill(test_context(), DL_ELEMENT_INT32, x, -7.8, &loop), DL_OK);
        CHECK(x[0] == -7 && x[1] == 0 && x[8] == -7 && x[9] == 0);
        float y[600];
        CHECK_EQ_INT(k->arange(test_context(), DL_ELEMENT_FLOAT32, y, 1, 0.25, 600), DL_OK);
        CHECK(y[0] == 1 && y[1] == 1.25f && y[599] == 1 + 599 * 0.25f);
        loop = (dl_loop){.dims = 1, .shape = {0}};
        CHECK_EQ_INT(k->fill(test_context(), DL_ELEMENT_INT32, x, 3, &loop), DL_OK);
        CHECK(x[0] == -7);
        loop = (dl_loop){.dims = 0};
        k->fill(test_context(), DL_ELEMENT_INT32, x, 3, &loop);
        CHECK(x[0] == 3 && x[1] == 0);
    }
}

/* ---- indices --------------------------------------------------------------------------------------------------- */

static void test_index_select_and_its_gradient(void) {
    enum { OUTER = 2, N = 19, INNER = 3, COUNT = 50 };
    double *x = test_random(DL_ELEMENT_FLOAT64, OUTER * N * INNER, -1, 1);
    double *g = test_random(DL_ELEMENT_FLOAT64, OUTER * COUNT * INNER, -1, 1);
    double y[OUTER * COUNT * INNER], dx[OUTER * N * INNER], want[OUTER * N * INNER] = {0};
    int32_t index[COUNT];
    for (int j = 0; j < COUNT; j++)
        index[j] = 1 + (int32_t)test_uniform(0, N);
    for (int o = 0; o < OUTER; o++)
        for (int j = 0; j < COUNT; j++)
            for (int i = 0; i < INNER; i++)
                want[(o * N + index[j] - 1) * INNER + i] += g[(o * COUNT + j) * INNER + i];
    EACH_ISA(k) {
        CHECK_EQ_INT(k->index_select(test_context(), DL_ELEMENT_FLOAT64, y, x, DL_ELEMENT_INT32, index, false, OUTER, N,
                                     INNER, COUNT),
                     DL_OK);
        bool right = true;
        for (int o = 0; o < OUTER; o++)
            for (int j = 0; j < COUNT; j++)
                right = right &&
                        memcmp(y + (o * COUNT + j) * INNER, x + (o * N + index[j] - 1) * INNER, INNER * sizeof *x) == 0;
        CHECK(right);
        CHECK_EQ_INT(k->index_select_backward(test_context(), DL_ELEMENT_FLOAT64, dx, g, DL_ELEMENT_INT32, index, OUTER,
                                              N, INNER, COUNT),
                     DL_OK);
        CHECK(memcmp(dx, want, sizeof dx) == 0);
    }
    free(x);
    free(g);
}

static void test_wrong_indices(void) {
    EACH_ISA(k) {
        float x[] = {1, 2, 3}, y[] = {9, 9};
        uint8_t index[] = {3, 0};
        CHECK_EQ_INT(
            k->index_select(test_context(), DL_ELEMENT_FLOAT32, y, x, DL_ELEMENT_UINT8, index, false, 1, 3, 1, 2),
            DL_INVALID);
        CHECK_CONTAINS(dl_last_error(), "element 2 of the index is 0; allowed are 1 to 3");
        CHECK(y[0] == 9 && y[1] == 9);
        CHECK_EQ_INT(
            k->index_select(test_context(), DL_ELEMENT_FLOAT32, y, x, DL_ELEMENT_UINT8, index, true, 1, 3, 1, 2),
            DL_OK);
        CHECK(y[0] == 3 && y[1] == 0);
        index[1] = 4;
        CHECK_EQ_INT(k->gather(test_context(), DL_ELEMENT_FLOAT32, y, x, DL_ELEMENT_UINT8, index, 1, 3, 1, 2),
                     DL_INVALID);
        CHECK_CONTAINS(dl_last_error(), "element 2 of the index is 4");
        CHECK_EQ_INT(k->gather(test_context(), DL_ELEMENT_FLOAT32, y, x, DL_ELEMENT_FLOAT32, index, 1, 3, 1, 2),
                     DL_DTYPE);
    }
}

static void test_gather_and_its_gradient(void) {
    enum { OUTER = 2, N = 4, INNER = 3, COUNT = 5, TOTAL = OUTER * COUNT * INNER };
    float *x = test_random(DL_ELEMENT_FLOAT32, OUTER * N * INNER, -1, 1);
    float *g = test_random(DL_ELEMENT_FLOAT32, TOTAL, -1, 1);
    float y[TOTAL], dx[OUTER * N * INNER], want[OUTER * N * INNER] = {0};
    int64_t index[TOTAL];
    for (int i = 0; i < TOTAL; i++) {
        index[i] = 1 + (int64_t)test_uniform(0, N);
        want[(i / (COUNT * INNER) * N + index[i] - 1) * INNER + i % INNER] += g[i];
    }
    EACH_ISA(k) {
        k->gather(test_context(), DL_ELEMENT_FLOAT32, y, x, DL_ELEMENT_INT64, index, OUTER, N, INNER, COUNT);
        bool right = true;
        for (int i = 0; i < TOTAL; i++)
            right = right && y[i] == x[(i / (COUNT * INNER) * N + index[i] - 1) * INNER + i % INNER];
        CHECK(right);
        k->gather_backward(test_context(), DL_ELEMENT_FLOAT32, dx, g, DL_ELEMENT_INT64, index, OUTER, N, INNER, COUNT);
        CHECK(memcmp(dx, want, sizeof dx) == 0);
    }
    free(x);
    free(g);
}

CHECK_MAIN(CHECK_TEST(test_values_over_strides), CHECK_TEST(test_rows_and_columns_of_all_lengths),
           CHECK_TEST(test_binary_gradients), CHECK_TEST(test_power_at_the_edges), CHECK_TEST(test_integer_arithmetic),
           CHECK_TEST(test_integer_division_by_zero_is_an_error), CHECK_TEST(test_comparisons), CHECK_TEST(test_where),
           CHECK_TEST(test_casts_are_defined_everywhere), CHECK_TEST(test_permuted_copies),
           CHECK_TEST(test_fill_and_arange), CHECK_TEST(test_index_select_and_its_gradient),
           CHECK_TEST(test_wrong_indices), CHECK_TEST(test_gather_and_its_gradient))
