/* Random numbers and the updates of optimizers: the words of the base layer's Philox, distributions by their moments
 * and ends, the same numbers for any number of threads; Keras's formulas in plain float64 loops. */
#include "kernels_common.h"

static const dl_element reals[] = {DL_ELEMENT_FLOAT32, DL_ELEMENT_FLOAT64};
static const dl_stream stream = {.seed = 0x123456789abcdefull, .stream = 7, .position = 0xfffffffeull};

#define OK(call) CHECK_EQ_INT(k->call, DL_OK)

/* ---- random numbers -------------------------------------------------------------------------------------------- */

/* Element by element from dl_stream_words; the position crosses 2^32. */
static void test_uniform_is_made_of_the_streams_words(void) {
    enum { N = 1003 };
    EACH_ISA(k) {
        float x[N];
        double y[N];
        OK(random(test_context(), DL_RANDOM_UNIFORM, DL_ELEMENT_FLOAT32, x, &stream, 0, 1, N));
        OK(random(test_context(), DL_RANDOM_UNIFORM, DL_ELEMENT_FLOAT64, y, &stream, 0, 1, N));
        bool same = true;
        for (int i = 0; i < N; i++) {
            uint32_t words[4];
            dl_stream_words(&stream, stream.position + (uint64_t)i / 4, words);
            same = same && x[i] == (float)(words[i % 4] >> 8) / 16777216;
            dl_stream_words(&stream, stream.position + (uint64_t)i / 2, words);
            double high = words[i % 2 * 2] >> 5, low = words[i % 2 * 2 + 1] >> 6;
            same = same && y[i] == (high * 67108864 + low) / 9007199254740992;
        }
        CHECK(same);
    }
}

static void test_uniform_stays_below_its_end(void) {
    enum { N = 100000 };
    float *x = test_memory(N, 4);
    EACH_ISA(k) {
        OK(random(test_context(), DL_RANDOM_UNIFORM, DL_ELEMENT_FLOAT32, x, &stream, 1, 1 + 3 * FLT_EPSILON, N));
        bool inside = true;
        for (int i = 0; i < N; i++)
            inside = inside && x[i] >= 1 && x[i] < 1 + 3 * FLT_EPSILON;
        CHECK(inside);
        OK(random(test_context(), DL_RANDOM_UNIFORM, DL_ELEMENT_FLOAT32, x, &stream, 2, 2, 5));
        CHECK(x[0] == 2 && x[4] == 2);
    }
    free(x);
}

/* Mean, variance, third and fourth moment of the standardized numbers, within five of their deviations. */
static void check_normal_moments(const dl_kernels *k, dl_element element) {
    enum { N = 200000 };
    void *x = test_memory(N, 8);
    OK(random(test_context(), DL_RANDOM_NORMAL, element, x, &stream, 3, 2, N));
    double sums[5] = {0};
    for (int i = 0; i < N; i++) {
        double z = (test_get(element, x, i) - 3) / 2;
        for (int power = 1; power < 5; power++)
            sums[power] += pow(z, power) / N;
    }
    CHECK_CLOSE(sums[1], 0, 5 / sqrt(N));
    CHECK_CLOSE(sums[2], 1, 5 * sqrt(2.0 / N));
    CHECK_CLOSE(sums[3], 0, 5 * sqrt(15.0 / N));
    CHECK_CLOSE(sums[4], 3, 5 * sqrt(96.0 / N));
    free(x);
}

static void test_normal_moments(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        check_normal_moments(k, reals[t]);
}

/* Box and Muller by the C library from the same words. */
static void test_normal_values(void) {
    enum { N = 400 };
    EACH_ISA(k) {
        float x[N];
        OK(random(test_context(), DL_RANDOM_NORMAL, DL_ELEMENT_FLOAT32, x, &stream, 0, 1, N));
        for (int i = 0; i < N; i += 2) {
            uint32_t words[4];
            dl_stream_words(&stream, stream.position + (uint64_t)i / 4, words);
            double u = ((words[i % 4] >> 8) + 1) / 16777216.0, turns = (words[i % 4 + 1] >> 8) / 16777216.0;
            double radius = sqrt(-2 * log(u));
            CHECK_CLOSE(x[i], radius * cos(2 * M_PI * turns), 2e-6);
            CHECK_CLOSE(x[i + 1], radius * sin(2 * M_PI * turns), 2e-6);
        }
    }
}

/* The distribution function of the truncated normal makes its numbers uniform again. */
static void test_truncated_normal(void) {
    enum { N = 20000 };
    double *x = test_memory(N, 8);
    EACH_ISA(k) {
        OK(random(test_context(), DL_RANDOM_TRUNCATED_NORMAL, DL_ELEMENT_FLOAT64, x, &stream, 1, 0.5, N));
        bool inside = true;
        double worst = 0, below = erfc(M_SQRT2) / 2;
        for (int i = 0; i < N; i++) {
            double z = (x[i] - 1) / 0.5;
            inside = inside && fabs(z) <= 2 + 1e-12;
            uint32_t words[4];
            dl_stream_words(&stream, stream.position + (uint64_t)i / 2, words);
            double high = words[i % 2 * 2] >> 5, low = words[i % 2 * 2 + 1] >> 6;
            double u = (high * 67108864 + low) / 9007199254740992;
            worst = fmax(worst, fabs((erfc(-z * M_SQRT1_2) / 2 - below) / (1 - 2 * below) - u));
        }
        CHECK(inside);
        CHECK(worst < 1e-14);
    }
    free(x);
}

static void test_integers_and_bernoulli(void) {
    enum { N = 60000 };
    int64_t *x = test_memory(N, 8);
    EACH_ISA(k) {
        OK(random(test_context(), DL_RANDOM_INTEGER, DL_ELEMENT_INT64, x, &stream, -2, 3, N));
        int counts[6] = {0};
        bool inside = true;
        for (int i = 0; i < N; i++) {
            inside = inside && x[i] >= -2 && x[i] <= 3;
            counts[inside ? x[i] + 2 : 0]++;
        }
        CHECK(inside);
        for (int i = 0; i < 6; i++)
            CHECK_CLOSE(counts[i], N / 6, 5 * sqrt(N / 6.0));
        uint8_t *bits = (uint8_t *)x;
        OK(random(test_context(), DL_RANDOM_BERNOULLI, DL_ELEMENT_BOOLEAN, bits, &stream, 0.3, 0, N));
        int ones = 0;
        for (int i = 0; i < N; i++)
            ones += bits[i];
        CHECK_CLOSE(ones, 0.3 * N, 5 * sqrt(0.21 * N));
        OK(random(test_context(), DL_RANDOM_BERNOULLI, DL_ELEMENT_BOOLEAN, bits, &stream, 1, 0, 100));
        CHECK(bits[0] == 1 && memcmp(bits, bits + 1, 99) == 0);
        OK(random(test_context(), DL_RANDOM_BERNOULLI, DL_ELEMENT_BOOLEAN, bits, &stream, 0, 0, 100));
        CHECK(bits[0] == 0 && memcmp(bits, bits + 1, 99) == 0);
        CHECK_EQ_INT(k->random(test_context(), DL_RANDOM_NORMAL, DL_ELEMENT_INT64, x, &stream, 0, 1, 4), DL_DTYPE);
    }
    free(x);
}

/* What an element gets depends on its place alone: not on threads, nor on how many are drawn. */
static void test_draws_depend_on_the_position_alone(void) {
    enum { N = 70001 };
    EACH_ISA(k)
    for (int distribution = DL_RANDOM_UNIFORM; distribution <= DL_RANDOM_BERNOULLI; distribution++) {
        float *one = test_memory(N, 4), *two = test_memory(N, 4), few[150];
        dl_set_threads(test_context(), 1);
        OK(random(test_context(), (dl_distribution)distribution, DL_ELEMENT_FLOAT32, one, &stream, 0.5, 1, N));
        dl_set_threads(test_context(), 2);
        OK(random(test_context(), (dl_distribution)distribution, DL_ELEMENT_FLOAT32, two, &stream, 0.5, 1, N));
        CHECK(memcmp(one, two, N * 4) == 0);
        int skipped = 17 * dl_random_per_block((dl_distribution)distribution, DL_ELEMENT_FLOAT32);
        dl_stream later = {.seed = stream.seed, .stream = stream.stream, .position = stream.position + 17};
        OK(random(test_context(), (dl_distribution)distribution, DL_ELEMENT_FLOAT32, few, &later, 0.5, 1, 150));
        CHECK(memcmp(few, one + skipped, sizeof few) == 0);
        free(one);
        free(two);
    }
}

static void test_dropout(void) {
    enum { N = 50003 };
    float *x = test_random(DL_ELEMENT_FLOAT32, N, 1, 2), *y = test_memory(N, 4), *again = test_memory(N, 4);
    EACH_ISA(k) {
        OK(dropout(test_context(), DL_ELEMENT_FLOAT32, y, x, &stream, 0.25, 1 / 0.75, N));
        int dropped = 0;
        bool right = true;
        for (int i = 0; i < N; i++) {
            uint32_t words[4];
            dl_stream_words(&stream, stream.position + (uint64_t)i / 4, words);
            bool drops = words[i % 4] < 0.25 * 4294967296;
            right = right && y[i] == (drops ? 0 : x[i] * (float)(1 / 0.75));
            dropped += drops;
        }
        CHECK(right);
        CHECK_CLOSE(dropped, 0.25 * N, 5 * sqrt(0.1875 * N));
        memcpy(again, x, N * 4);
        OK(dropout(test_context(), DL_ELEMENT_FLOAT32, again, again, &stream, 0.25, 1 / 0.75, N));
        CHECK(memcmp(again, y, N * 4) == 0);
        OK(dropout(test_context(), DL_ELEMENT_FLOAT32, y, x, &stream, 0, 1, N));
        CHECK(memcmp(x, y, N * 4) == 0);
    }
    free(x);
    free(y);
    free(again);
}

/* ---- updates --------------------------------------------------------------------------------------------------- */

enum { WEIGHTS = 40001, STATES = 5 };

/* w, g and up to three states: as the kernel sees them, and in float64 for the plain formula. */
typedef struct weights {
    dl_element element;
    void *given[STATES];
    double *plain[STATES];
} weights;

static weights make_weights(dl_element element) {
    weights w = {.element = element};
    for (int i = 0; i < STATES; i++) {
        w.given[i] = test_random(element, WEIGHTS, i < 2 ? -1 : 0.2, 1);
        w.plain[i] = test_memory(WEIGHTS, 8);
        for (int64_t j = 0; j < WEIGHTS; j++)
            w.plain[i][j] = test_get(element, w.given[i], j);
    }
    return w;
}

static void check_weights(const dl_kernels *k, const char *name, weights *w) {
    double worst = 0;
    for (int i = 0; i < STATES; i++) {
        for (int64_t j = 0; j < WEIGHTS; j++) {
            double want = w->plain[i][j];
            worst = fmax(worst, fabs(test_get(w->element, w->given[i], j) - want) / (1 + fabs(want)));
        }
        free(w->given[i]);
        free(w->plain[i]);
    }
    if (!CHECK(worst <= (w->element == DL_ELEMENT_FLOAT32 ? 1e-6 : 1e-14)))
        fprintf(stderr, "    %s in %s %s is off by %g\n", name, k->isa, dl_element_name(w->element), worst);
}

static const dl_update update = {.learning_rate = 0.01, .gradient_scale = 0.5, .clip_value = 0.3, .weight_decay = 0.1};

static double plain_gradient(double g) {
    return fmin(fmax(g * 0.5, -0.3), 0.3);
}

static void check_sgd(const dl_kernels *k, dl_element element, double momentum, bool nesterov) {
    weights w = make_weights(element);
    for (int64_t j = 0; j < WEIGHTS; j++) {
        double g = plain_gradient(w.plain[1][j]), *value = &w.plain[0][j], *velocity = &w.plain[2][j];
        *value -= *value * 0.01 * 0.1;
        if (momentum == 0) {
            *value -= 0.01 * g;
            continue;
        }
        *velocity = momentum * *velocity - 0.01 * g;
        *value += nesterov ? momentum * *velocity - 0.01 * g : *velocity;
    }
    OK(sgd(test_context(), element, w.given[0], momentum == 0 ? NULL : w.given[2], w.given[1], &update, momentum,
           nesterov, WEIGHTS));
    check_weights(k, "sgd", &w);
}

static void check_adam(const dl_kernels *k, dl_element element, bool amsgrad) {
    weights w = make_weights(element);
    for (int step = 1; step <= 3; step++) {
        double alpha = 0.01 * sqrt(1 - pow(0.999, step)) / (1 - pow(0.9, step));
        for (int64_t j = 0; j < WEIGHTS; j++) {
            double g = plain_gradient(w.plain[1][j]), *value = &w.plain[0][j];
            *value -= *value * 0.01 * 0.1;
            w.plain[2][j] += (g - w.plain[2][j]) * (1 - 0.9);
            w.plain[3][j] += (g * g - w.plain[3][j]) * (1 - 0.999);
            if (amsgrad)
                w.plain[4][j] = fmax(w.plain[4][j], w.plain[3][j]);
            *value -= w.plain[2][j] * alpha / (sqrt(w.plain[amsgrad ? 4 : 3][j]) + 1e-7);
        }
        OK(adam(test_context(), element, w.given[0], w.given[2], w.given[3], amsgrad ? w.given[4] : NULL, w.given[1],
                &update, 0.9, 0.999, 1e-7, step, WEIGHTS));
    }
    check_weights(k, amsgrad ? "adam with amsgrad" : "adam", &w);
}

static void check_rmsprop(const dl_kernels *k, dl_element element, bool centered, double momentum) {
    weights w = make_weights(element);
    for (int64_t j = 0; j < WEIGHTS; j++) {
        double g = plain_gradient(w.plain[1][j]), *value = &w.plain[0][j], spread;
        *value -= *value * 0.01 * 0.1;
        w.plain[2][j] += 1; /* room for the square of the average */
        test_set(element, w.given[2], j, test_get(element, w.given[2], j) + 1);
        w.plain[2][j] = test_get(element, w.given[2], j);
        w.plain[2][j] = 0.9 * w.plain[2][j] + (1 - 0.9) * g * g;
        spread = w.plain[2][j] + 1e-7;
        if (centered) {
            w.plain[3][j] = 0.9 * w.plain[3][j] + (1 - 0.9) * g;
            spread -= w.plain[3][j] * w.plain[3][j];
        }
        double step = 0.01 * g / sqrt(spread);
        if (momentum > 0)
            step = w.plain[4][j] = momentum * w.plain[4][j] + step;
        *value -= step;
    }
    OK(rmsprop(test_context(), element, w.given[0], w.given[2], centered ? w.given[3] : NULL,
               momentum > 0 ? w.given[4] : NULL, w.given[1], &update, 0.9, momentum, 1e-7, WEIGHTS));
    check_weights(k, "rmsprop", &w);
}

/* Keras's formula for one weight with up to two states, and the kernel's call for all. */
typedef struct update_case {
    const char *name;
    void (*plain)(double *w, double *a, double *b, double g, int step);
    dl_status (*run)(const dl_kernels *k, weights *w, int step);
} update_case;

static void plain_nadam(double *w, double *m, double *v, double g, int step) {
    double product = 1, u = 0, next = 0.9 * (1 - 0.5 * pow(0.96, step + 1));
    for (int t = 1; t <= step; t++) {
        u = 0.9 * (1 - 0.5 * pow(0.96, t));
        product *= u;
    }
    *m += (g - *m) * (1 - 0.9);
    *v += (g * g - *v) * (1 - 0.99);
    double of_m = next * *m / (1 - product * next) + (1 - u) * g / (1 - product);
    *w -= 0.01 * of_m / (sqrt(*v / (1 - pow(0.99, step))) + 1e-7);
}

static dl_status run_nadam(const dl_kernels *k, weights *w, int step) {
    return k->nadam(test_context(), w->element, w->given[0], w->given[2], w->given[3], w->given[1], &update, 0.9, 0.99,
                    1e-7, step, WEIGHTS);
}

static void plain_adamax(double *w, double *m, double *u, double g, int step) {
    *m += (g - *m) * (1 - 0.9);
    *u = fmax(0.7 * *u, fabs(g));
    *w -= 0.01 * *m / ((1 - pow(0.9, step)) * (*u + 1e-7));
}

static dl_status run_adamax(const dl_kernels *k, weights *w, int step) {
    return k->adamax(test_context(), w->element, w->given[0], w->given[2], w->given[3], w->given[1], &update, 0.9, 0.7,
                     1e-7, step, WEIGHTS);
}

static void plain_adagrad(double *w, double *sum, double *none, double g, int step) {
    (void)none;
    (void)step;
    *sum += g * g;
    *w -= 0.01 * g / sqrt(*sum + 1e-3);
}

static dl_status run_adagrad(const dl_kernels *k, weights *w, int step) {
    (void)step;
    return k->adagrad(test_context(), w->element, w->given[0], w->given[2], w->given[1], &update, 1e-3, WEIGHTS);
}

static void plain_adadelta(double *w, double *square, double *delta, double g, int step) {
    (void)step;
    *square = 0.8 * *square + (1 - 0.8) * g * g;
    double change = sqrt(*delta + 1e-3) / sqrt(*square + 1e-3) * g;
    *delta = 0.8 * *delta + (1 - 0.8) * change * change;
    *w -= 0.01 * change;
}

static dl_status run_adadelta(const dl_kernels *k, weights *w, int step) {
    (void)step;
    return k->adadelta(test_context(), w->element, w->given[0], w->given[2], w->given[3], w->given[1], &update, 0.8,
                       1e-3, WEIGHTS);
}

/* A first factor of 0.3 lets the gradient, too, decide the sign: the average is positive. */
static void plain_lion(double *w, double *m, double *none, double g, int step) {
    (void)none;
    (void)step;
    double direction = 0.3 * *m + (1 - 0.3) * g;
    *w -= 0.01 * (direction > 0 ? 1 : direction < 0 ? -1 : 0);
    *m = 0.9 * *m + (1 - 0.9) * g;
}

static dl_status run_lion(const dl_kernels *k, weights *w, int step) {
    (void)step;
    return k->lion(test_context(), w->element, w->given[0], w->given[2], w->given[1], &update, 0.3, 0.9, WEIGHTS);
}

static const update_case update_cases[] = {{"nadam", plain_nadam, run_nadam},
                                           {"adamax", plain_adamax, run_adamax},
                                           {"adagrad", plain_adagrad, run_adagrad},
                                           {"adadelta", plain_adadelta, run_adadelta},
                                           {"lion", plain_lion, run_lion}};

static void check_update(const dl_kernels *k, const update_case *of, dl_element element) {
    weights w = make_weights(element);
    for (int step = 1; step <= 3; step++) {
        for (int64_t j = 0; j < WEIGHTS; j++) {
            w.plain[0][j] -= w.plain[0][j] * 0.01 * 0.1;
            of->plain(&w.plain[0][j], &w.plain[2][j], &w.plain[3][j], plain_gradient(w.plain[1][j]), step);
        }
        CHECK_EQ_INT(of->run(k, &w, step), DL_OK);
    }
    check_weights(k, of->name, &w);
}

static void test_updates_of_other_optimizers(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++)
        for (int i = 0; i < DL_COUNT(update_cases); i++)
            check_update(k, &update_cases[i], reals[t]);
}

/* A direction of 0 is no step, and a NaN is not hidden by the sign. */
static void test_signs_of_special_values(void) {
    EACH_ISA(k) {
        float w[] = {1, 1, 1, 1}, m[] = {0, 0, 0, 0}, g[] = {0, NAN, 3, -5};
        dl_update free_update = {.learning_rate = 1, .gradient_scale = 1, .clip_value = INFINITY};
        OK(lion(test_context(), DL_ELEMENT_FLOAT32, w, m, g, &free_update, 0.9, 0.99, 4));
        CHECK(w[0] == 1 && isnan(w[1]) && w[2] == 0 && w[3] == 2);
    }
}

static void test_updates(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        check_sgd(k, reals[t], 0, false);
        check_sgd(k, reals[t], 0.9, false);
        check_sgd(k, reals[t], 0.9, true);
        check_adam(k, reals[t], false);
        check_adam(k, reals[t], true);
        check_rmsprop(k, reals[t], false, 0);
        check_rmsprop(k, reals[t], true, 0);
        check_rmsprop(k, reals[t], true, 0.8);
    }
}

static void test_axpy_and_scale(void) {
    EACH_ISA(k)
    for (int t = 0; t < DL_COUNT(reals); t++) {
        weights w = make_weights(reals[t]);
        for (int64_t j = 0; j < WEIGHTS; j++) {
            w.plain[0][j] += -1.5 * w.plain[1][j];
            w.plain[2][j] *= 0.25;
        }
        OK(axpy(test_context(), reals[t], w.given[0], -1.5, w.given[1], WEIGHTS));
        OK(scale(test_context(), reals[t], w.given[2], 0.25, WEIGHTS));
        check_weights(k, "axpy and scale", &w);
    }
}

/* Without a limit nothing is clipped, and a NaN gradient is not hidden by a clip. */
static void test_clipping_of_special_values(void) {
    EACH_ISA(k) {
        float w[] = {1, 1, 1}, g[] = {1e30f, NAN, -5};
        dl_update free_update = {.learning_rate = 1, .gradient_scale = 1, .clip_value = INFINITY};
        OK(sgd(test_context(), DL_ELEMENT_FLOAT32, w, NULL, g, &free_update, 0, false, 3));
        CHECK(w[0] == -1e30f && isnan(w[1]) && w[2] == 6);
        free_update.clip_value = 2;
        w[1] = 1;
        OK(sgd(test_context(), DL_ELEMENT_FLOAT32, w, NULL, g, &free_update, 0, false, 3));
        CHECK(isnan(w[1]) && w[2] == 8);
        CHECK_EQ_INT(k->sgd(test_context(), DL_ELEMENT_INT32, w, NULL, g, &free_update, 0, false, 3), DL_DTYPE);
    }
}

static void test_threads_change_no_update(void) {
    EACH_ISA(k) {
        void *results[2];
        for (int threads = 1; threads <= 2; threads++) {
            test_seed = 99;
            weights w = make_weights(DL_ELEMENT_FLOAT32);
            dl_set_threads(test_context(), threads);
            OK(adam(test_context(), DL_ELEMENT_FLOAT32, w.given[0], w.given[2], w.given[3], NULL, w.given[1], &update,
                    0.9, 0.999, 1e-7, 1, WEIGHTS));
            results[threads - 1] = w.given[0];
            for (int i = 0; i < STATES; i++) {
                free(w.plain[i]);
                if (i > 0)
                    free(w.given[i]);
            }
        }
        CHECK(memcmp(results[0], results[1], WEIGHTS * 4) == 0);
        free(results[0]);
        free(results[1]);
    }
}

CHECK_MAIN(CHECK_TEST(test_uniform_is_made_of_the_streams_words), CHECK_TEST(test_uniform_stays_below_its_end),
           CHECK_TEST(test_normal_moments), CHECK_TEST(test_normal_values), CHECK_TEST(test_truncated_normal),
           CHECK_TEST(test_integers_and_bernoulli), CHECK_TEST(test_draws_depend_on_the_position_alone),
           CHECK_TEST(test_dropout), CHECK_TEST(test_updates), CHECK_TEST(test_updates_of_other_optimizers),
           CHECK_TEST(test_signs_of_special_values), CHECK_TEST(test_axpy_and_scale),
           CHECK_TEST(test_clipping_of_special_values), CHECK_TEST(test_threads_change_no_update))
