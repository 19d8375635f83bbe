/* The recurrent kernels against a naive twin in float64, for every instruction set and cell: outputs and states with
 * masks, both directions and dropped states; and that a sequence's bits depend neither on its batch nor on the threads.
 * Their gradients are checked by test_ops_gradients.c. */
#include <math.h>

#include "kernels_dense.h"

typedef struct problem {
    dl_recurrent_sizes s;
    bool masked, dropped;
    float *x, *kernel, *recurrent, *bias, *h0, *c0, *drop;
    uint8_t *mask;
} problem;

/* What a run leaves. */
typedef struct result {
    float *y, *steps, *gates, *h, *c;
} result;

static int64_t bias_size(const dl_recurrent_sizes *s) {
    return dl_cell_gates(s->cell) * s->U * (s->cell == DL_CELL_GRU ? 2 : 1);
}

static problem make_problem(dl_recurrent_sizes s, bool masked, bool dropped) {
    int64_t columns = dl_cell_gates(s.cell) * s.U;
    problem p = {.s = s, .masked = masked, .dropped = dropped};
    p.x = numbers_f32(s.N * s.T * s.F, 1);
    p.kernel = numbers_f32(s.F * columns, 2);
    p.recurrent = numbers_f32(s.U * columns, 3);
    EACH(i, s.U * columns) p.recurrent[i] *= 0.3f;
    p.bias = numbers_f32(bias_size(&s), 4);
    p.h0 = numbers_f32(s.N * s.U, 5);
    p.c0 = numbers_f32(s.N * s.U, 6);
    p.drop = numbers_f32(s.N * s.U, 7);
    EACH(i, s.N * s.U) p.drop[i] = p.drop[i] > 0 ? 2 : 0;
    p.mask = malloc((size_t)(s.N * s.T + 1));
    EACH(i, s.N * s.T) p.mask[i] = number(i, 8) > -0.4;
    return p;
}

static void free_problem(problem *p) {
    float *const arrays[] = {p->x, p->kernel, p->recurrent, p->bias, p->h0, p->c0, p->drop};
    for (int i = 0; i < DL_COUNT(arrays); i++)
        free(arrays[i]);
    free(p->mask);
}

static result run(const dl_kernels *kernels, dl_context *context, const problem *p) {
    const dl_recurrent_sizes *s = &p->s;
    result r = {.y = numbers_f32(s->N * s->T * s->U, 9), .steps = numbers_f32(s->N * s->T * s->F, 9),
                .gates = numbers_f32(s->N * s->T * s->U * 4, 9), .h = numbers_f32(s->N * (s->T + 1) * s->U, 9),
                .c = numbers_f32(s->N * (s->T + 1) * s->U, 9)};
    dl_recurrent_arrays arrays = {.x = p->x, .kernel = p->kernel, .recurrent = p->recurrent, .bias = p->bias,
                                  .initial_h = p->h0, .initial_c = p->c0, .mask = p->masked ? p->mask : NULL,
                                  .drop = p->dropped ? p->drop : NULL, .steps = r.steps, .gates = r.gates, .h = r.h,
                                  .c = s->cell == DL_CELL_LSTM ? r.c : NULL};
    CHECK(kernels->recurrent_f32(context, r.y, &arrays, s) == DL_OK);
    return r;
}

static void free_result(result *r) {
    float *const arrays[] = {r->y, r->steps, r->gates, r->h, r->c};
    for (int i = 0; i < DL_COUNT(arrays); i++)
        free(arrays[i]);
}

/* ---- the naive twin ---------------------------------------------------------------------------------------------- */

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

/* Column j of x W + b. */
static double input_sum(const problem *p, const float *x, int64_t j) {
    double sum = p->bias[j];
    EACH(f, p->s.F) sum += (double)x[f] * p->kernel[f * dl_cell_gates(p->s.cell) * p->s.U + j];
    return sum;
}

/* Column j of a V, times scale(u) where there is one. */
static double state_sum(const problem *p, const double *a, const double *scale, int64_t j) {
    double sum = 0;
    EACH(u, p->s.U) sum += a[u] * (scale ? scale[u] : 1) * p->recurrent[u * dl_cell_gates(p->s.cell) * p->s.U + j];
    return sum;
}

/* h and c (U) after a step; a are the states as they go into the products. */
static void naive_step(const problem *p, const float *x, const double *a, const double *h, double *c, double *out) {
    int64_t U = p->s.U;
    double r[64] = {0}, change[64];
    const float *second = p->bias + 3 * U;
    bool after = p->s.cell == DL_CELL_GRU;
    EACH(u, U) {
        if (p->s.cell == DL_CELL_SIMPLE) {
            out[u] = tanh(input_sum(p, x, u) + state_sum(p, a, NULL, u));
        } else if (p->s.cell == DL_CELL_LSTM) {
            double z[4];
            EACH(g, 4) z[g] = input_sum(p, x, g * U + u) + state_sum(p, a, NULL, g * U + u);
            change[u] = logistic(z[1]) * c[u] + logistic(z[0]) * tanh(z[2]);
            out[u] = logistic(z[3]) * tanh(change[u]);
        } else {
            r[u] = logistic(input_sum(p, x, U + u) + state_sum(p, a, NULL, U + u) + (after ? second[U + u] : 0));
        }
    }
    EACH(u, U) {
        if (p->s.cell == DL_CELL_LSTM)
            c[u] = change[u];
        if (p->s.cell != DL_CELL_GRU && p->s.cell != DL_CELL_GRU_RESET_BEFORE)
            continue;
        double z = logistic(input_sum(p, x, u) + state_sum(p, a, NULL, u) + (after ? second[u] : 0));
        double inner = after ? r[u] * (state_sum(p, a, NULL, 2 * U + u) + second[2 * U + u])
                             : state_sum(p, a, r, 2 * U + u);
        out[u] = z * h[u] + (1 - z) * tanh(input_sum(p, x, 2 * U + u) + inner);
    }
}

/* All outputs of sequence n, (T, U), or the last one. */
static void naive_sequence(const problem *p, int64_t n, double *y) {
    const dl_recurrent_sizes *s = &p->s;
    double h[64], c[64], a[64], out[64], shown[64] = {0};
    EACH(u, s->U) h[u] = p->h0[n * s->U + u];
    EACH(u, s->U) c[u] = p->c0[n * s->U + u];
    EACH(step, s->T) {
        int64_t at = s->go_backwards ? s->T - 1 - step : step;
        bool valid = !p->masked || p->mask[n * s->T + at];
        EACH(u, s->U) a[u] = h[u] * (p->dropped ? p->drop[n * s->U + u] : 1);
        if (valid) {
            naive_step(p, p->x + (n * s->T + at) * s->F, a, h, c, out);
            EACH(u, s->U) h[u] = shown[u] = out[u];
        }
        EACH(u, s->U) y[(s->sequences ? step * s->U : 0) + u] = valid || !s->zero_masked ? shown[u] : 0;
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const dl_recurrent_sizes all_sizes[] = {
    {.N = 1, .T = 1, .F = 1, .U = 1, .sequences = true},
    {.N = 3, .T = 4, .F = 5, .U = 7, .sequences = true, .go_backwards = true},
    {.N = 17, .T = 3, .F = 9, .U = 33, .sequences = true, .zero_masked = true},
    {.N = 40, .T = 5, .F = 2, .U = 16, .sequences = false},
};

static void check_against_twin(const dl_kernels *kernels, const problem *p) {
    const dl_recurrent_sizes *s = &p->s;
    dl_context *context = context_with(2);
    int64_t row = s->sequences ? s->T * s->U : s->U;
    double *want = zeros_f64(s->N * row);
    result r = run(kernels, context, p);
    EACH(n, s->N) naive_sequence(p, n, want + n * row);
    if (!CHECK(close_f32(r.y, want, s->N * row, 1e-5)))
        fprintf(stderr, "    %s, cell %d, N %lld, mask %d, drop %d\n", kernels->isa, (int)s->cell, (long long)s->N,
                p->masked, p->dropped);
    free(want);
    free_result(&r);
    dl_context_release(context);
}

static void test_every_cell_is_what_its_formula_says(void) {
    EACH_ISA(kernels)
    for (int cell = 0; cell <= DL_CELL_GRU_RESET_BEFORE; cell++)
        for (int i = 0; i < DL_COUNT(all_sizes); i++)
            for (int variant = 0; variant < 4; variant++) {
                dl_recurrent_sizes s = all_sizes[i];
                s.cell = (dl_cell)cell;
                problem p = make_problem(s, variant & 1, variant & 2);
                check_against_twin(kernels, &p);
                free_problem(&p);
            }
}

/* The first `few` sequences alone, with one thread, have the bits they have among all, with two. */
static void test_a_sequence_keeps_its_bits_in_any_batch(void) {
    static const int64_t few[] = {1, 2, 7, 16, 33};
    EACH_ISA(kernels)
    for (int cell = 0; cell <= DL_CELL_GRU_RESET_BEFORE; cell++)
        for (int i = 0; i < DL_COUNT(few); i++) {
            dl_context *one = context_with(1), *two = context_with(2);
            dl_recurrent_sizes s = {.cell = (dl_cell)cell, .N = 64, .T = 4, .F = 6, .U = 37, .sequences = true};
            problem p = make_problem(s, true, true);
            result all = run(kernels, two, &p);
            p.s.N = few[i];
            result part = run(kernels, one, &p);
            CHECK(memcmp(all.y, part.y, (size_t)(few[i] * s.T * s.U) * sizeof(float)) == 0);
            free_result(&all);
            free_result(&part);
            free_problem(&p);
            dl_context_release(one);
            dl_context_release(two);
        }
}

CHECK_MAIN(CHECK_TEST(test_every_cell_is_what_its_formula_says),
           CHECK_TEST(test_a_sequence_keeps_its_bits_in_any_batch))
