/* The tests of the convolutions for one element type: REAL, its suffix TYPED(name), TOLERANCE (and WINOGRAD_TOLERANCE
 * where exact is false) are defined by the file that includes this. */

/* Calls body for each term of each sum: output o, weight w, and input i or -1 outside the image. */
#define EACH_TERM(s)                                                                                                   \
    EACH(n_, (s)->N)                                                                                                   \
    EACH(p_, (s)->out_h)                                                                                               \
    EACH(q_, (s)->out_w) EACH(k_, (s)->K) EACH(r_, (s)->kernel_h) EACH(t_, (s)->kernel_w)                              \
        EACH(c_, (s)->C / (s)->groups)
#define TERM(s)                                                                                                        \
    int64_t w = ((r_ * (s)->kernel_w + t_) * ((s)->C / (s)->groups) + c_) * (s)->K + k_;                               \
    int64_t o = ((n_ * (s)->out_h + p_) * (s)->out_w + q_) * (s)->K + k_;                                              \
    int64_t row_ = p_ * (s)->stride_h + r_ * (s)->dilation_h - (s)->pad_top;                                           \
    int64_t column_ = q_ * (s)->stride_w + t_ * (s)->dilation_w - (s)->pad_left;                                       \
    int64_t channel_ = k_ / ((s)->K / (s)->groups) * ((s)->C / (s)->groups) + c_;                                      \
    bool inside_ = row_ >= 0 && row_ < (s)->H && column_ >= 0 && column_ < (s)->W;                                     \
    int64_t i = inside_ ? ((n_ * (s)->H + row_) * (s)->W + column_) * (s)->C + channel_ : -1;

typedef struct TYPED(images) {
    dl_conv2d_sizes s;
    int64_t x_size, w_size, y_size;
    REAL *x, *weights, *bias, *grad_y, *gate;
    double *y, *grad_x, *grad_weights, *grad_bias; /* what the naive twins say */
} TYPED(images);

static void TYPED(naive_conv2d)(TYPED(images) * m, bool bias, bool relu) {
    const dl_conv2d_sizes *s = &m->s;
    EACH(o, m->y_size) m->y[o] = bias ? (double)m->bias[o % s->K] : 0;
    EACH_TERM(s) {
        TERM(s)
        if (i >= 0)
            m->y[o] += (double)m->x[i] * (double)m->weights[w];
    }
    EACH(o, m->y_size) m->y[o] = relu && m->y[o] < 0 ? 0 : m->y[o];
}

static void TYPED(naive_conv2d_backward)(TYPED(images) * m, bool gated) {
    const dl_conv2d_sizes *s = &m->s;
    EACH(o, m->y_size) m->y[o] = gated && !(m->gate[o] > 0) ? 0 : (double)m->grad_y[o];
    EACH(o, m->y_size) m->grad_bias[o % s->K] += m->y[o];
    EACH_TERM(s) {
        TERM(s)
        if (i >= 0) {
            m->grad_x[i] += m->y[o] * (double)m->weights[w];
            m->grad_weights[w] += m->y[o] * (double)m->x[i];
        }
    }
}

static TYPED(images) TYPED(make_images)(const dl_conv2d_sizes *s) {
    TYPED(images) m = {.s = *s};
    m.x_size = s->N * s->H * s->W * s->C;
    m.w_size = s->kernel_h * s->kernel_w * s->C / s->groups * s->K;
    m.y_size = s->N * s->out_h * s->out_w * s->K;
    m.x = TYPED(numbers)(m.x_size, 1);
    m.weights = TYPED(numbers)(m.w_size, 2);
    m.bias = TYPED(numbers)(s->K, 3);
    m.grad_y = TYPED(numbers)(m.y_size, 4);
    m.gate = TYPED(numbers)(m.y_size, 5);
    m.y = zeros_f64(m.y_size);
    m.grad_x = zeros_f64(m.x_size);
    m.grad_weights = zeros_f64(m.w_size);
    m.grad_bias = zeros_f64(s->K);
    return m;
}

static void TYPED(free_images)(TYPED(images) * m) {
    free(m->x), free(m->weights), free(m->bias), free(m->grad_y), free(m->gate);
    free(m->y), free(m->grad_x), free(m->grad_weights), free(m->grad_bias);
}

static void TYPED(say_case)(const dl_kernels *kernels, const dl_conv2d_sizes *s, bool exact) {
    fprintf(stderr, "    %s: x %d %d %d %d, kernel %d %d, K %d, stride %d %d, dilation %d %d, groups %d, exact %d\n",
            kernels->isa, (int)s->N, (int)s->H, (int)s->W, (int)s->C, (int)s->kernel_h, (int)s->kernel_w, (int)s->K,
            (int)s->stride_h, (int)s->stride_w, (int)s->dilation_h, (int)s->dilation_w, (int)s->groups, exact);
}

/* Forward with one and two threads, against the twin. */
static void TYPED(check_forward)(const dl_kernels *kernels, TYPED(images) * m, bool bias, bool relu, bool exact) {
    REAL *y[2];
    EACH(i, 2) {
        dl_context *context = context_with((int)i + 1);
        y[i] = TYPED(numbers)(m->y_size, 6);
        CHECK(kernels->TYPED(conv2d)(context, y[i], m->x, m->weights, bias ? m->bias : NULL, &m->s, relu, exact) ==
              DL_OK);
        dl_context_release(context);
    }
    if (!CHECK(TYPED(close)(y[0], m->y, m->y_size, exact ? TOLERANCE : WINOGRAD_TOLERANCE)))
        TYPED(say_case)(kernels, &m->s, exact);
    CHECK(memcmp(y[0], y[1], (size_t)m->y_size * sizeof(REAL)) == 0);
    free(y[0]), free(y[1]);
}

static void TYPED(check_backward)(const dl_kernels *kernels, TYPED(images) * m, bool gated, bool exact) {
    REAL *grad_x[2], *grad_weights[2], *grad_bias[2];
    double tolerance = exact ? TOLERANCE : WINOGRAD_TOLERANCE;
    EACH(i, 2) {
        dl_context *context = context_with((int)i + 1);
        grad_x[i] = TYPED(numbers)(m->x_size, 6);
        grad_weights[i] = TYPED(numbers)(m->w_size, 7);
        grad_bias[i] = TYPED(numbers)(m->s.K, 8);
        CHECK(kernels->TYPED(conv2d_backward)(context, grad_x[i], grad_weights[i], grad_bias[i], m->x, m->weights,
                                              m->grad_y, gated ? m->gate : NULL, &m->s, exact) == DL_OK);
        dl_context_release(context);
    }
    bool close = CHECK(TYPED(close)(grad_x[0], m->grad_x, m->x_size, tolerance));
    close = CHECK(TYPED(close)(grad_weights[0], m->grad_weights, m->w_size, tolerance)) && close;
    if (!CHECK(TYPED(close)(grad_bias[0], m->grad_bias, m->s.K, tolerance)) || !close)
        TYPED(say_case)(kernels, &m->s, exact);
    CHECK(memcmp(grad_x[0], grad_x[1], (size_t)m->x_size * sizeof(REAL)) == 0);
    CHECK(memcmp(grad_weights[0], grad_weights[1], (size_t)m->w_size * sizeof(REAL)) == 0);
    CHECK(memcmp(grad_bias[0], grad_bias[1], (size_t)m->s.K * sizeof(REAL)) == 0);
    EACH(i, 2) free(grad_x[i]), free(grad_weights[i]), free(grad_bias[i]);
}

/* N, H, W, C, K, kernel, stride, dilation, padding (top, bottom, left, right), groups */
typedef struct TYPED(conv_case) {
    int64_t N, H, W, C, K, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, bottom, left, right,
        groups;
} TYPED(conv_case);

static dl_conv2d_sizes TYPED(conv_sizes)(const TYPED(conv_case) * t) {
    dl_conv2d_sizes s = {.N = t->N,
                         .H = t->H,
                         .W = t->W,
                         .C = t->C,
                         .K = t->K,
                         .kernel_h = t->kernel_h,
                         .kernel_w = t->kernel_w,
                         .stride_h = t->stride_h,
                         .stride_w = t->stride_w,
                         .dilation_h = t->dilation_h,
                         .dilation_w = t->dilation_w,
                         .pad_top = t->top,
                         .pad_left = t->left,
                         .groups = t->groups};
    s.out_h = (t->H + t->top + t->bottom - (t->kernel_h - 1) * t->dilation_h - 1) / t->stride_h + 1;
    s.out_w = (t->W + t->left + t->right - (t->kernel_w - 1) * t->dilation_w - 1) / t->stride_w + 1;
    return s;
}

static const TYPED(conv_case) TYPED(conv_cases)[] = {
    {2, 5, 6, 1, 8, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1},     {3, 28, 28, 1, 32, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {2, 9, 7, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},     {2, 11, 13, 3, 20, 7, 7, 2, 2, 1, 1, 3, 2, 3, 2, 1},
    {2, 8, 8, 7, 17, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},    {2, 8, 9, 6, 10, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1},
    {1, 12, 10, 16, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {2, 12, 11, 16, 24, 3, 3, 2, 2, 1, 1, 0, 1, 0, 1, 1},
    {1, 14, 15, 5, 6, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 1},   {2, 13, 9, 4, 6, 3, 2, 2, 1, 2, 3, 1, 0, 2, 1, 1},
    {2, 9, 9, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2},    {2, 10, 9, 6, 6, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 3},
    {2, 9, 10, 11, 11, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 11}, {2, 9, 10, 5, 15, 3, 3, 2, 1, 1, 2, 1, 1, 0, 2, 5},
    {1, 6, 6, 130, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  {1, 5, 5, 400, 18, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1},
    {2, 1, 30, 4, 8, 1, 5, 1, 2, 1, 1, 0, 0, 2, 2, 1},    {1, 40, 40, 16, 16, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1},
    {2, 3, 3, 2, 3, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3, 1},     {2, 4, 4, 3, 4, 2, 2, 3, 3, 1, 1, 0, 0, 0, 0, 1},
    {1, 7, 7, 2, 4, 3, 3, 5, 5, 1, 1, 0, 0, 0, 0, 1},     {3, 20, 22, 20, 36, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {2, 17, 18, 33, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 19, 16, 64, 64, 3, 3, 1, 1, 1, 1, 2, 0, 0, 2, 1},
    {2, 7, 8, 75, 75, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 75},  {5, 6, 7, 24, 16, 3, 3, 1, 1, 1, 1, 0, 1, 1, 0, 1},
    {2, 9, 10, 75, 75, 3, 3, 2, 2, 1, 1, 1, 0, 1, 1, 75}, {1, 11, 9, 20, 20, 3, 2, 2, 3, 2, 1, 2, 0, 1, 1, 20},
    {1, 9, 8, 34, 34, 2, 2, 3, 4, 1, 1, 0, 0, 0, 0, 34},  {1, 6, 5, 18, 18, 3, 3, 2, 1, 1, 2, 3, 4, 3, 4, 18},
};

static void TYPED(test_conv2d_agrees_with_its_naive_twin)(void) {
    for (int i = 0; i < DL_COUNT(TYPED(conv_cases)); i++) {
        dl_conv2d_sizes s = TYPED(conv_sizes)(&TYPED(conv_cases)[i]);
        TYPED(images) m = TYPED(make_images)(&s);
        bool bias = i % 3 != 0, relu = i % 2;
        TYPED(naive_conv2d)(&m, bias, relu);
        EACH_ISA(kernels) EACH(exact, 2) TYPED(check_forward)(kernels, &m, bias, relu, exact);
        TYPED(free_images)(&m);
    }
}

static void TYPED(test_conv2d_backward_agrees_with_its_naive_twin)(void) {
    for (int i = 0; i < DL_COUNT(TYPED(conv_cases)); i++) {
        dl_conv2d_sizes s = TYPED(conv_sizes)(&TYPED(conv_cases)[i]);
        TYPED(images) m = TYPED(make_images)(&s);
        TYPED(naive_conv2d_backward)(&m, i % 2);
        EACH_ISA(kernels) EACH(exact, 2) TYPED(check_backward)(kernels, &m, i % 2, exact);
        TYPED(free_images)(&m);
    }
}

/* Outputs that are not asked for may be null, and then inputs that only they need. */
static void TYPED(test_conv2d_backward_computes_what_is_asked)(void) {
    static const TYPED(conv_case) cases[] = {{2, 9, 9, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                             {2, 9, 9, 8, 12, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},
                                             {2, 9, 9, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                             {2, 9, 9, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6}};
    for (int i = 0; i < DL_COUNT(cases); i++) {
        dl_conv2d_sizes s = TYPED(conv_sizes)(&cases[i]);
        TYPED(images) m = TYPED(make_images)(&s);
        TYPED(naive_conv2d_backward)(&m, true);
        REAL *grad_x = TYPED(numbers)(m.x_size, 6), *grad_weights = TYPED(numbers)(m.w_size, 7);
        REAL *grad_bias = TYPED(numbers)(s.K, 8);
        EACH_ISA(kernels) {
            dl_context *context = context_with(1);
            CHECK(kernels->TYPED(conv2d_backward)(context, grad_x, NULL, NULL, NULL, m.weights, m.grad_y, m.gate, &s,
                                                  true) == DL_OK);
            CHECK(kernels->TYPED(conv2d_backward)(context, NULL, grad_weights, NULL, m.x, NULL, m.grad_y, m.gate, &s,
                                                  true) == DL_OK);
            CHECK(kernels->TYPED(conv2d_backward)(context, NULL, NULL, grad_bias, NULL, NULL, m.grad_y, m.gate, &s,
                                                  true) == DL_OK);
            CHECK(TYPED(close)(grad_x, m.grad_x, m.x_size, TOLERANCE));
            CHECK(TYPED(close)(grad_weights, m.grad_weights, m.w_size, TOLERANCE));
            CHECK(TYPED(close)(grad_bias, m.grad_bias, s.K, TOLERANCE));
            dl_context_release(context);
        }
        free(grad_x), free(grad_weights), free(grad_bias);
        TYPED(free_images)(&m);
    }
}

/* An image has the same bits in every batch, in y and in grad_x. */
static void TYPED(test_conv2d_images_do_not_depend_on_the_batch)(void) {
    static const TYPED(conv_case) cases[] = {
        {256, 7, 6, 3, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  {256, 7, 6, 8, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},
        {256, 6, 5, 10, 7, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, {256, 6, 7, 20, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
        {256, 6, 5, 9, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 9},
    };
    static const int64_t batches[] = {1, 7, 32, 33};
    for (int i = 0; i < DL_COUNT(cases) * 2; i++) {
        dl_conv2d_sizes s = TYPED(conv_sizes)(&cases[i / 2]);
        bool exact = i % 2;
        TYPED(images) m = TYPED(make_images)(&s);
        int64_t x_image = m.x_size / 256, y_image = m.y_size / 256;
        REAL *y = TYPED(numbers)(m.y_size, 6), *grad_x = TYPED(numbers)(m.x_size, 6);
        REAL *part = TYPED(numbers)(m.x_size + m.y_size, 6);
        EACH_ISA(kernels) {
            dl_context *context = context_with(2);
            s.N = 256;
            CHECK(kernels->TYPED(conv2d)(context, y, m.x, m.weights, m.bias, &s, true, exact) == DL_OK);
            CHECK(kernels->TYPED(conv2d_backward)(context, grad_x, NULL, NULL, NULL, m.weights, m.grad_y, m.gate, &s,
                                                  exact) == DL_OK);
            for (int j = 0; j < DL_COUNT(batches); j++) {
                s.N = batches[j];
                int64_t first = 256 - s.N;
                const REAL *grad_y = m.grad_y + first * y_image, *gate = m.gate + first * y_image;
                CHECK(kernels->TYPED(conv2d)(context, part, m.x + first * x_image, m.weights, m.bias, &s, true,
                                             exact) == DL_OK);
                CHECK(memcmp(part, y + first * y_image, (size_t)(s.N * y_image) * sizeof(REAL)) == 0);
                CHECK(kernels->TYPED(conv2d_backward)(context, part, NULL, NULL, NULL, m.weights, grad_y, gate, &s,
                                                      exact) == DL_OK);
                CHECK(memcmp(part, grad_x + first * x_image, (size_t)(s.N * x_image) * sizeof(REAL)) == 0);
            }
            dl_context_release(context);
        }
        free(y), free(grad_x), free(part);
        TYPED(free_images)(&m);
    }
}

/* Without images the outputs are empty and the gradients to weights zero. */
static void TYPED(test_conv2d_of_no_images)(void) {
    TYPED(conv_case) t = {0, 9, 9, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    dl_conv2d_sizes s = TYPED(conv_sizes)(&t);
    EACH_ISA(kernels) {
        dl_context *context = context_with(1);
        REAL weights[54] = {0}, grad_weights[54], grad_bias[3] = {1, 2, 3}, none[1] = {7};
        EACH(i, 54) grad_weights[i] = 1;
        CHECK(kernels->TYPED(conv2d)(context, none, none, weights, NULL, &s, true, false) == DL_OK);
        CHECK(kernels->TYPED(conv2d_backward)(context, none, grad_weights, grad_bias, none, weights, none, NULL, &s,
                                              false) == DL_OK);
        CHECK(none[0] == 7);
        EACH(i, 54) CHECK(grad_weights[i] == 0);
        EACH(i, 3) CHECK(grad_bias[i] == 0);
        dl_context_release(context);
    }
}

/* Each request for memory fails in turn: a status, no leak, and the call works afterwards. */
static void TYPED(test_conv2d_without_memory)(void) {
    static const TYPED(conv_case) cases[] = {{2, 9, 9, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                             {2, 9, 9, 8, 12, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},
                                             {2, 9, 9, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                             {2, 9, 9, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6}};
    for (int i = 0; i < DL_COUNT(cases); i++) {
        dl_conv2d_sizes s = TYPED(conv_sizes)(&cases[i]);
        TYPED(images) m = TYPED(make_images)(&s);
        REAL *out = TYPED(numbers)(m.y_size + m.x_size, 6), *grad_weights = TYPED(numbers)(m.w_size + s.K, 7);
        EACH_ISA(kernels) {
            dl_context *context = context_with(2);
            dl_status status = DL_MEMORY;
            for (int nth = 1; status == DL_MEMORY; nth++) {
                dl_memory_info memory;
                dl_memory_fail_at(context, (uint64_t)nth);
                status = kernels->TYPED(conv2d)(context, out, m.x, m.weights, m.bias, &s, true, false);
                if (status == DL_OK)
                    status = kernels->TYPED(conv2d_backward)(context, out, grad_weights, grad_weights + m.w_size, m.x,
                                                             m.weights, m.grad_y, m.gate, &s, false);
                dl_memory(context, &memory);
                CHECK(memory.in_use == 0);
                CHECK(nth > 1 || status == DL_MEMORY);
            }
            CHECK(status == DL_OK);
            dl_memory_fail_at(context, 0);
            dl_context_release(context);
        }
        free(out), free(grad_weights);
        TYPED(free_images)(&m);
    }
}

#define CONV_TESTS                                                                                                     \
    RUN(test_conv2d_agrees_with_its_naive_twin), RUN(test_conv2d_backward_agrees_with_its_naive_twin),                 \
        RUN(test_conv2d_backward_computes_what_is_asked), RUN(test_conv2d_images_do_not_depend_on_the_batch),          \
        RUN(test_conv2d_of_no_images), RUN(test_conv2d_without_memory)
