/* The tests of the matrix product for one element type: REAL, its suffix TYPED(name) and TOLERANCE are defined by the
 * file that includes this. */

typedef struct TYPED(gemm_case) {
    int64_t batch, M, N, K;
    bool a_transposed, b_transposed, bias, relu, sum;
    double beta;
} TYPED(gemm_case);

static dl_gemm_sizes TYPED(sizes_of)(const TYPED(gemm_case) * t) {
    dl_gemm_sizes s = {.batch = t->batch, .M = t->M, .N = t->N, .K = t->K};
    s.a_row = t->a_transposed ? 1 : t->K + 1;
    s.a_column = t->a_transposed ? t->M + 2 : 1;
    s.b_row = t->b_transposed ? 1 : t->N + 3;
    s.b_column = t->b_transposed ? t->K + 1 : 1;
    s.c_row = t->N + 2;
    s.a_batch = (t->K + 2) * (t->M + 2);
    s.b_batch = (t->K + 3) * (t->N + 3);
    s.c_batch = t->sum ? 0 : t->M * s.c_row;
    return s;
}

static void TYPED(naive_gemm)(double *c, const REAL *a, const REAL *b, const REAL *bias, const dl_gemm_sizes *s,
                              double beta, bool relu) {
    bool sum = s->c_batch == 0;
    EACH(n, sum ? 1 : s->batch) EACH(i, s->M) EACH(j, s->N) {
        double *out = c + n * s->c_batch + i * s->c_row + j;
        *out = beta == 0 ? 0 : beta * *out;
        EACH(m, sum ? s->batch : 1) EACH(k, s->K) {
            *out += (double)a[(n + m) * s->a_batch + i * s->a_row + k * s->a_column] *
                    (double)b[(n + m) * s->b_batch + k * s->b_row + j * s->b_column];
        }
        *out += bias ? (double)bias[j] : 0;
        *out = relu && *out < 0 ? 0 : *out;
    }
}

static void TYPED(check_gemm)(const TYPED(gemm_case) * t) {
    dl_gemm_sizes s = TYPED(sizes_of)(t);
    int64_t size = t->batch * t->M * s.c_row;
    REAL *a = TYPED(numbers)(t->batch * s.a_batch, 1), *b = TYPED(numbers)(t->batch * s.b_batch, 2);
    REAL *bias = t->bias ? TYPED(numbers)(t->N, 3) : NULL;
    REAL *c[2] = {TYPED(numbers)(size, 4), TYPED(numbers)(size, 4)};
    double *want = zeros_f64(size);
    EACH(i, size) want[i] = (double)c[0][i];
    TYPED(naive_gemm)(want, a, b, bias, &s, t->beta, t->relu);
    EACH_ISA(kernels) {
        EACH(i, 2) {
            dl_context *context = context_with((int)i + 1);
            EACH(j, size) c[i][j] = (REAL)number(j, 4);
            CHECK(kernels->TYPED(gemm)(context, c[i], a, b, bias, &s, (REAL)t->beta, t->relu) == DL_OK);
            dl_context_release(context);
        }
        if (!CHECK(TYPED(close)(c[0], want, size, TOLERANCE)))
            fprintf(stderr, "    %s: batch %d, %d x %d x %d, transposed %d %d, beta %g, sum %d\n", kernels->isa,
                    (int)t->batch, (int)t->M, (int)t->N, (int)t->K, t->a_transposed, t->b_transposed, t->beta, t->sum);
        CHECK(memcmp(c[0], c[1], (size_t)size * sizeof(REAL)) == 0);
    }
    free(a), free(b), free(bias), free(c[0]), free(c[1]), free(want);
}

static void TYPED(test_gemm_agrees_with_its_naive_twin)(void) {
    static const int64_t sizes[][3] = {{1, 1, 1},      {1, 10, 64},    {7, 5, 3},       {6, 16, 352},  {5, 17, 353},
                                       {33, 64, 100},  {32, 64, 2704}, {64, 1, 40},     {1, 200, 705}, {130, 70, 64},
                                       {97, 520, 130}, {12, 33, 65},   {200, 130, 300}, {4, 3, 0},     {2, 128, 9}};
    for (int i = 0; i < DL_COUNT(sizes); i++) {
        for (int kind = 0; kind < 4; kind++) {
            TYPED(gemm_case)
            t = {1,        sizes[i][0], sizes[i][1], sizes[i][2], kind & 1,
                 kind & 2, kind & 1,    kind == 3,   false,       kind == 0 ? 0 : kind == 1 ? 1 : kind == 2 ? 0.5 : 0};
            TYPED(check_gemm)(&t);
        }
    }
}

static void TYPED(test_gemm_of_batches)(void) {
    TYPED(gemm_case)
    cases[] = {
        {5, 7, 9, 11, false, true, true, true, false, 0},       {64, 33, 32, 40, false, false, false, false, false, 1},
        {3, 70, 64, 400, true, false, true, false, true, 0},    {4, 16, 8, 800, true, true, true, true, true, 0.5},
        {2, 64, 64, 1500, false, true, false, false, false, 0}, {300, 4, 4, 4, false, false, false, false, false, 0},
    };
    for (int i = 0; i < DL_COUNT(cases); i++)
        TYPED(check_gemm)(&cases[i]);
}

/* Strides of zero: one matrix for the whole batch, and one value along a row or column. */
static void TYPED(test_gemm_broadcasts)(void) {
    dl_gemm_sizes s = {.batch = 3,
                       .M = 9,
                       .N = 20,
                       .K = 14,
                       .a_row = 14,
                       .a_column = 1,
                       .b_batch = 280,
                       .b_row = 20,
                       .b_column = 1,
                       .c_batch = 180,
                       .c_row = 20};
    REAL *a = TYPED(numbers)(9 * 14, 1), *b = TYPED(numbers)(3 * 280, 2), *c = TYPED(numbers)(540, 3);
    double *want = zeros_f64(540);
    EACH_ISA(kernels) {
        dl_context *context = context_with(1);
        for (int kind = 0; kind < 3; kind++) {
            s.a_batch = 0;
            s.a_row = kind == 1 ? 0 : 14;
            s.b_column = kind == 2 ? 0 : 1;
            TYPED(naive_gemm)(want, a, b, NULL, &s, 0, false);
            CHECK(kernels->TYPED(gemm)(context, c, a, b, NULL, &s, 0, false) == DL_OK);
            CHECK(TYPED(close)(c, want, 540, TOLERANCE));
        }
        dl_context_release(context);
    }
    free(a), free(b), free(c), free(want);
}

/* A row has the same bits in every batch. */
static void TYPED(test_gemm_rows_do_not_depend_on_the_batch)(void) {
    static const int64_t shapes[][2] = {{64, 2704}, {10, 64}, {200, 400}, {1, 1000}, {130, 33}};
    static const int64_t batches[] = {1, 7, 32, 33, 256};
    EACH_ISA(kernels) {
        dl_context *context = context_with(2);
        for (int i = 0; i < DL_COUNT(shapes) * 2; i++) {
            int64_t N = shapes[i / 2][0], K = shapes[i / 2][1];
            bool transposed = i % 2;
            REAL *a = TYPED(numbers)(256 * K, 1), *b = TYPED(numbers)(K * N, 2), *bias = TYPED(numbers)(N, 3);
            REAL *whole = TYPED(numbers)(256 * N, 4), *part = TYPED(numbers)(256 * N, 5);
            dl_gemm_sizes s = {.batch = 1,
                               .N = N,
                               .K = K,
                               .a_row = K,
                               .a_column = 1,
                               .b_row = transposed ? 1 : N,
                               .b_column = transposed ? K : 1,
                               .c_row = N};
            s.M = 256;
            CHECK(kernels->TYPED(gemm)(context, whole, a, b, bias, &s, 0, true) == DL_OK);
            for (int j = 0; j < DL_COUNT(batches); j++) {
                s.M = batches[j];
                const REAL *from = a + (256 - s.M) * K;
                CHECK(kernels->TYPED(gemm)(context, part, from, b, bias, &s, 0, true) == DL_OK);
                CHECK(memcmp(part, whole + (256 - s.M) * N, (size_t)(s.M * N) * sizeof(REAL)) == 0);
            }
            free(a), free(b), free(bias), free(whole), free(part);
        }
        dl_context_release(context);
    }
}

static void TYPED(test_gemm_of_nothing)(void) {
    EACH_ISA(kernels) {
        dl_context *context = context_with(1);
        REAL c[4] = {1, -2, 3, -4}, bias[2] = {1, -1};
        dl_gemm_sizes s = {.batch = 1, .M = 0, .N = 2, .K = 3, .c_row = 2};
        CHECK(kernels->TYPED(gemm)(context, c, NULL, NULL, bias, &s, 0, false) == DL_OK);
        CHECK(c[0] == 1 && c[3] == -4);
        s.M = 2;
        s.K = 0;
        CHECK(kernels->TYPED(gemm)(context, c, NULL, NULL, bias, &s, 1, true) == DL_OK);
        CHECK(c[0] == 2 && c[1] == 0 && c[2] == 4 && c[3] == 0);
        dl_context_release(context);
    }
}

/* Out of memory is a status, and the same call works afterwards. */
static void TYPED(test_gemm_without_memory)(void) {
    EACH_ISA(kernels) {
        dl_context *context = context_with(2);
        REAL *a = TYPED(numbers)(32 * 2704, 1), *b = TYPED(numbers)(2704 * 64, 2), *c = TYPED(numbers)(32 * 64, 3);
        dl_gemm_sizes s = {.batch = 1,
                           .M = 32,
                           .N = 64,
                           .K = 2704,
                           .a_row = 2704,
                           .a_column = 1,
                           .b_row = 64,
                           .b_column = 1,
                           .c_row = 64};
        dl_memory_fail_at(context, 1);
        CHECK(kernels->TYPED(gemm)(context, c, a, b, NULL, &s, 0, false) == DL_MEMORY);
        CHECK(c[0] == (REAL)number(0, 3));
        CHECK(kernels->TYPED(gemm)(context, c, a, b, NULL, &s, 0, false) == DL_OK);
        dl_context_release(context);
        free(a), free(b), free(c);
    }
}

#define GEMM_TESTS                                                                                                     \
    RUN(test_gemm_agrees_with_its_naive_twin), RUN(test_gemm_of_batches), RUN(test_gemm_broadcasts),                   \
        RUN(test_gemm_rows_do_not_depend_on_the_batch), RUN(test_gemm_of_nothing), RUN(test_gemm_without_memory)
