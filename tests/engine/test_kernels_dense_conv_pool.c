/* Convolution, relu and max pooling in one kernel, against the separate kernels and naive gradients. */
#include "kernels_dense.h"

typedef struct fused {
    dl_conv2d_sizes s;
    int64_t x_size, w_size, y_size;
    float *x, *weights, *bias, *grad_y;
} fused;

/* N, H, W, C, K and the padding at top, bottom, left, right. */
static const int64_t cases[][9] = {
    {5, 28, 28, 1, 32, 0, 0, 0, 0}, {2, 9, 7, 3, 16, 1, 1, 1, 1},  {3, 7, 8, 2, 24, 0, 0, 0, 0},
    {2, 6, 6, 4, 40, 2, 0, 0, 2},   {1, 4, 4, 1, 8, 0, 0, 0, 0},   {2, 3, 9, 1, 8, 0, 0, 0, 0},
    {33, 5, 6, 1, 8, 1, 0, 0, 1},   {3, 12, 11, 3, 9, 0, 1, 1, 0},
};

static fused make(const int64_t c[9]) {
    fused f = {.s = {.N = c[0],
                     .H = c[1],
                     .W = c[2],
                     .C = c[3],
                     .K = c[4],
                     .kernel_h = 3,
                     .kernel_w = 3,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .groups = 1,
                     .pad_top = c[5],
                     .pad_left = c[7]}};
    f.s.out_h = c[1] + c[5] + c[6] - 2;
    f.s.out_w = c[2] + c[7] + c[8] - 2;
    f.x_size = c[0] * c[1] * c[2] * c[3];
    f.w_size = 9 * c[3] * c[4];
    f.y_size = c[0] * (f.s.out_h / 2) * (f.s.out_w / 2) * c[4];
    f.x = numbers_f32(f.x_size, 1);
    f.weights = numbers_f32(f.w_size, 2);
    f.bias = numbers_f32(c[4], 3);
    f.grad_y = numbers_f32(f.y_size, 4);
    return f;
}

static void release(fused *f) {
    free(f->x), free(f->weights), free(f->bias), free(f->grad_y);
}

/* The value of output cell (2 p + row, 2 q + column) that winner names must be the pooled value. */
static void check_against_separate(const dl_kernels *kernels, const fused *f, const float *bias) {
    const dl_conv2d_sizes *s = &f->s;
    int64_t size = s->N * s->out_h * s->out_w * s->K, rows = s->out_h / 2, columns = s->out_w / 2;
    dl_pool2d_sizes pool = {s->N, s->out_h, s->out_w, s->K, rows, columns, 2, 2, 2, 2, 0, 0};
    float *z = numbers_f32(size, 5), *want = numbers_f32(f->y_size, 6), *y = numbers_f32(f->y_size, 7);
    uint8_t *winner = calloc((size_t)f->y_size + 1, 1);
    dl_context *one = context_with(1), *two = context_with(2);
    CHECK(kernels->conv2d_f32(one, z, f->x, f->weights, bias, s, true, true) == DL_OK);
    CHECK(kernels->maxpool2d_f32(one, want, NULL, z, &pool) == DL_OK);
    CHECK(kernels->conv2d_relu_maxpool_f32(one, y, winner, f->x, f->weights, bias, s) == DL_OK);
    CHECK(memcmp(y, want, (size_t)f->y_size * sizeof *y) == 0);
    int64_t wrong = 0;
    EACH(n, s->N) EACH(p, rows) EACH(q, columns) EACH(k, s->K) {
        int64_t o = ((n * rows + p) * columns + q) * s->K + k;
        int64_t row = 2 * p + (winner[o] >> 1 & 1), column = 2 * q + (winner[o] & 1);
        wrong += z[((n * s->out_h + row) * s->out_w + column) * s->K + k] != y[o];
        wrong += (winner[o] >= 128) != !(y[o] > 0) || (winner[o] & 0x7C);
    }
    CHECK_EQ_INT(wrong, 0);
    EACH(o, f->y_size) y[o] = -1;
    CHECK(kernels->conv2d_relu_maxpool_f32(two, y, NULL, f->x, f->weights, bias, s) == DL_OK);
    CHECK(memcmp(y, want, (size_t)f->y_size * sizeof *y) == 0);
    dl_context_release(one);
    dl_context_release(two);
    free(z), free(want), free(y), free(winner);
}

static void test_forward_equals_the_separate_kernels(void) {
    for (int i = 0; i < DL_COUNT(cases); i++) {
        fused f = make(cases[i]);
        EACH_ISA(kernels) check_against_separate(kernels, &f, i % 2 ? f.bias : NULL);
        release(&f);
    }
}

/* Gradients in float64 through the winners that the forward kernel named. */
static void naive_backward(const fused *f, const uint8_t *winner, double *grad_x, double *grad_weights,
                           double *grad_bias) {
    const dl_conv2d_sizes *s = &f->s;
    int64_t rows = s->out_h / 2, columns = s->out_w / 2;
    EACH(n, s->N) EACH(p, rows) EACH(q, columns) EACH(k, s->K) {
        int64_t o = ((n * rows + p) * columns + q) * s->K + k;
        double g = winner[o] >= 128 ? 0 : (double)f->grad_y[o];
        grad_bias[k] += g;
        EACH(r, 3) EACH(t, 3) EACH(c, s->C) {
            int64_t row = 2 * p + (winner[o] >> 1 & 1) + r - s->pad_top;
            int64_t column = 2 * q + (winner[o] & 1) + t - s->pad_left;
            if (row < 0 || row >= s->H || column < 0 || column >= s->W)
                continue;
            int64_t i = ((n * s->H + row) * s->W + column) * s->C + c, w = ((r * 3 + t) * s->C + c) * s->K + k;
            grad_x[i] += g * (double)f->weights[w];
            grad_weights[w] += g * (double)f->x[i];
        }
    }
}

static void check_backward(const dl_kernels *kernels, const fused *f) {
    const dl_conv2d_sizes *s = &f->s;
    double *want_x = zeros_f64(f->x_size), *want_weights = zeros_f64(f->w_size), *want_bias = zeros_f64(s->K);
    float *y = numbers_f32(f->y_size, 5), *grad_x = numbers_f32(f->x_size, 6), *grad_bias = numbers_f32(s->K, 8);
    float *grad_weights[2] = {numbers_f32(f->w_size, 7), numbers_f32(f->w_size, 8)};
    uint8_t *winner = calloc((size_t)f->y_size + 1, 1);
    dl_context *one = context_with(1), *two = context_with(2);
    CHECK(kernels->conv2d_relu_maxpool_f32(one, y, winner, f->x, f->weights, f->bias, s) == DL_OK);
    naive_backward(f, winner, want_x, want_weights, want_bias);
    CHECK(kernels->conv2d_relu_maxpool_backward_f32(one, grad_x, grad_weights[0], grad_bias, f->x, f->weights,
                                                    f->grad_y, winner, s) == DL_OK);
    CHECK(close_f32(grad_x, want_x, f->x_size, 1e-5));
    CHECK(close_f32(grad_weights[0], want_weights, f->w_size, 1e-5));
    CHECK(close_f32(grad_bias, want_bias, s->K, 1e-5));
    CHECK(kernels->conv2d_relu_maxpool_backward_f32(two, NULL, grad_weights[1], NULL, f->x, NULL, f->grad_y, winner,
                                                    s) == DL_OK);
    CHECK(memcmp(grad_weights[0], grad_weights[1], (size_t)f->w_size * sizeof(float)) == 0);
    dl_context_release(one);
    dl_context_release(two);
    free(want_x), free(want_weights), free(want_bias), free(y), free(grad_x), free(grad_bias), free(winner);
    free(grad_weights[0]), free(grad_weights[1]);
}

static void test_backward_agrees_with_its_naive_twin(void) {
    for (int i = 0; i < DL_COUNT(cases); i++) {
        fused f = make(cases[i]);
        EACH_ISA(kernels) check_backward(kernels, &f);
        release(&f);
    }
}

/* NaN goes through, and lets no gradient pass, even where only the first or the last output of a window reads it. */
static void test_nan_wins_and_is_dead(void) {
    static const int64_t places[] = {0, 3 * 28 + 3};
    for (int i = 0; i < DL_COUNT(places); i++) {
        fused f = make(cases[0]);
        f.x[places[i]] = NAN;
        float *y = numbers_f32(f.y_size, 5);
        uint8_t *winner = calloc((size_t)f.y_size, 1);
        EACH_ISA(kernels) {
            dl_context *context = context_with(1);
            CHECK(kernels->conv2d_relu_maxpool_f32(context, y, winner, f.x, f.weights, f.bias, &f.s) == DL_OK);
            EACH(k, f.s.K) CHECK(isnan(y[k]) && winner[k] >= 128);
            CHECK(!isnan(y[5 * f.s.K]));
            dl_context_release(context);
        }
        free(y), free(winner);
        release(&f);
    }
}

static void test_first_wins_on_ties(void) {
    fused f = make(cases[0]);
    EACH(i, f.x_size) f.x[i] = 0.5f;
    EACH_ISA(kernels) {
        dl_context *context = context_with(1);
        float *y = numbers_f32(f.y_size, 5);
        uint8_t *winner = calloc((size_t)f.y_size, 1);
        CHECK(kernels->conv2d_relu_maxpool_f32(context, y, winner, f.x, f.weights, f.bias, &f.s) == DL_OK);
        int64_t others = 0;
        EACH(o, f.y_size) others += (winner[o] & 3) != 0;
        CHECK_EQ_INT(others, 0);
        dl_context_release(context);
        free(y), free(winner);
    }
    release(&f);
}

static void test_refuses_what_does_not_fit(void) {
    fused f = make(cases[4]);
    f.s.stride_h = 2;
    EACH_ISA(kernels) {
        dl_context *context = context_with(1);
        CHECK(kernels->conv2d_relu_maxpool_f32(context, NULL, NULL, f.x, f.weights, NULL, &f.s) == DL_INVALID);
        CHECK_CONTAINS(dl_last_error(), "3x3");
        CHECK(kernels->conv2d_relu_maxpool_backward_f32(context, NULL, NULL, NULL, f.x, f.weights, f.grad_y, NULL,
                                                        &f.s) == DL_INVALID);
        dl_context_release(context);
    }
    release(&f);
}

CHECK_MAIN(CHECK_TEST(test_forward_equals_the_separate_kernels), CHECK_TEST(test_backward_agrees_with_its_naive_twin),
           CHECK_TEST(test_nan_wins_and_is_dead), CHECK_TEST(test_first_wins_on_ties),
           CHECK_TEST(test_refuses_what_does_not_fit))
