/* The attention kernels against a naive twin in float64 that stores all scores, for every instruction set: outputs and
 * gradients with masks, causality, shared heads of keys, dropout, strides and sizes around the tiles' 64. */
#include <math.h>

#include "kernels_dense.h"

typedef struct problem {
    dl_attention_sizes s;
    int64_t gap; /* elements between the steps of query, key and value that belong to none */
    float *query, *key, *value, *grad_y, *real_mask;
    uint8_t *flags;
} problem;

/* What a run leaves, in the layout without gaps; the twin's too. */
#define RESULTS 5
enum { Y, GRAD_QUERY, GRAD_KEY, GRAD_VALUE, GRAD_MASK };
static const char *const result_names[RESULTS] = {"y", "grad_query", "grad_key", "grad_value", "grad_mask"};

static int64_t result_size(const dl_attention_sizes *s, int which) {
    const int64_t sizes[RESULTS] = {s->N * s->T * s->H * s->V, s->N * s->T * s->H * s->E, s->N * s->S * s->K * s->E,
                                    s->N * s->S * s->K * s->V, s->N * s->H * s->T * s->S};
    return sizes[which];
}

static void set_strides(int64_t *strides, int64_t steps, int64_t heads, int64_t size, int64_t gap) {
    strides[2] = size;
    strides[1] = heads * size + gap;
    strides[0] = steps * strides[1];
}

static problem make_problem(dl_attention_sizes s, int64_t gap) {
    problem p = {.gap = gap};
    set_strides(s.query, s.T, s.H, s.E, gap);
    set_strides(s.key, s.S, s.K, s.E, gap);
    set_strides(s.value, s.S, s.K, s.V, gap);
    p.s = s;
    p.query = numbers_f32(s.N * s.query[0], 1);
    p.key = numbers_f32(s.N * s.key[0], 2);
    p.value = numbers_f32(s.N * s.value[0], 3);
    p.grad_y = numbers_f32(result_size(&s, Y), 4);
    p.real_mask = numbers_f32(result_size(&s, GRAD_MASK), 5);
    p.flags = malloc((size_t)result_size(&s, GRAD_MASK) + 1);
    EACH(i, result_size(&s, GRAD_MASK)) p.flags[i] = number(i, 6) > -0.3;
    return p;
}

static void free_problem(problem *p) {
    float *const arrays[] = {p->query, p->key, p->value, p->grad_y, p->real_mask};
    for (int i = 0; i < DL_COUNT(arrays); i++)
        free(arrays[i]);
    free(p->flags);
}

/* ---- the naive twin ---------------------------------------------------------------------------------------------- */

static double score(const problem *p, int64_t n, int64_t h, int64_t t, int64_t j) {
    const dl_attention_sizes *s = &p->s;
    const float *query = p->query + n * s->query[0] + t * s->query[1] + h * s->query[2];
    const float *key = p->key + n * s->key[0] + j * s->key[1] + h / (s->H / s->K) * s->key[2];
    int64_t at = n * s->mask_strides[0] + h * s->mask_strides[1] + t * s->mask_strides[2] + j * s->mask_strides[3];
    double sum = 0;
    if ((s->causal && j > t + s->offset) || (s->mask == DL_MASK_BOOL && !p->flags[at]))
        return -INFINITY;
    EACH(e, s->E) sum += (double)query[e] * key[e];
    return sum * s->scale + (s->mask == DL_MASK_REAL ? (double)p->real_mask[at] : 0);
}

/* What dropout multiplies a weight by. */
static double factor(const dl_attention_sizes *s, int64_t n, int64_t h, int64_t t, int64_t j) {
    uint64_t element = (uint64_t)(((n * s->H + h) * s->T + t) * s->S + j);
    uint32_t words[4];
    if (s->dropout == 0)
        return 1;
    dl_stream_words(&s->stream, s->stream.position + element / 4, words);
    return words[element % 4] < s->dropout * 4294967296.0 ? 0 : 1 / (1 - s->dropout);
}

/* One query of one head: its output, and its part of all gradients. */
static void naive_query(const problem *p, int64_t n, int64_t h, int64_t t, double *const want[RESULTS]) {
    const dl_attention_sizes *s = &p->s;
    int64_t k = h / (s->H / s->K), row = (n * s->T + t) * s->H + h;
    double weights[256], slopes[256], sum = 0, inner = 0;
    EACH(j, s->S) sum += weights[j] = exp(score(p, n, h, t, j));
    EACH(j, s->S) {
        const float *value = p->value + n * s->value[0] + j * s->value[1] + k * s->value[2];
        double by = factor(s, n, h, t, j), grad = 0;
        weights[j] = sum > 0 ? weights[j] / sum : 0;
        EACH(v, s->V) {
            want[Y][row * s->V + v] += weights[j] * by * value[v];
            want[GRAD_VALUE][((n * s->S + j) * s->K + k) * s->V + v] += weights[j] * by * p->grad_y[row * s->V + v];
            grad += (double)p->grad_y[row * s->V + v] * value[v];
        }
        slopes[j] = grad * by;
        inner += weights[j] * slopes[j];
    }
    EACH(j, s->S) {
        double slope = weights[j] * (slopes[j] - inner);
        const float *query = p->query + n * s->query[0] + t * s->query[1] + h * s->query[2];
        const float *key = p->key + n * s->key[0] + j * s->key[1] + k * s->key[2];
        want[GRAD_MASK][((n * s->H + h) * s->T + t) * s->S + j] = slope;
        EACH(e, s->E) {
            want[GRAD_QUERY][row * s->E + e] += slope * s->scale * key[e];
            want[GRAD_KEY][((n * s->S + j) * s->K + k) * s->E + e] += slope * s->scale * query[e];
        }
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* Within 2e-5 of the value and the rms of all; what cancels to 0, as the gradient of a query that sees one key, leaves
 * the rounding of numbers of about 1. */
static bool is_near(const float *got, const double *want, int64_t count) {
    double squares = 0;
    EACH(i, count) squares += want[i] * want[i];
    double rms = sqrt(squares / (double)count);
    EACH(i, count) {
        if (fabs(got[i] - want[i]) <= 2e-5 * (fabs(want[i]) + rms) + 1e-7)
            continue;
        fprintf(stderr, "    element %d: got %.9g, want %.9g, rms %.3g\n", (int)i, (double)got[i], want[i], rms);
        return false;
    }
    return true;
}

static void check_against_twin(const dl_kernels *kernels, dl_context *context, const problem *p) {
    const dl_attention_sizes *s = &p->s;
    const void *mask = s->mask == DL_MASK_BOOL ? (const void *)p->flags : p->real_mask;
    float *got[RESULTS], *normalizer = numbers_f32(s->N * s->H * s->T, 9);
    double *want[RESULTS];
    for (int i = 0; i < RESULTS; i++) {
        got[i] = numbers_f32(result_size(s, i), 9);
        want[i] = zeros_f64(result_size(s, i));
    }
    EACH(n, s->N) EACH(h, s->H) EACH(t, s->T) naive_query(p, n, h, t, want);
    CHECK(kernels->attention_f32(context, got[Y], normalizer, p->query, p->key, p->value, mask, s) == DL_OK);
    CHECK(kernels->attention_backward_f32(context, got[GRAD_QUERY], got[GRAD_KEY], got[GRAD_VALUE], got[GRAD_MASK],
                                          p->grad_y, got[Y], normalizer, p->query, p->key, p->value, mask,
                                          s) == DL_OK);
    for (int i = 0; i < RESULTS; i++) {
        if (!CHECK(is_near(got[i], want[i], result_size(s, i))))
            fprintf(stderr, "    %s in %s: T %d, S %d, mask %d, causal %d by %d, dropout %g\n", result_names[i],
                    kernels->isa, (int)s->T, (int)s->S, (int)s->mask, s->causal, (int)s->offset, s->dropout);
        free(got[i]);
        free(want[i]);
    }
    free(normalizer);
}

static const dl_attention_sizes all_sizes[] = {
    {.N = 1, .T = 1, .S = 1, .H = 1, .K = 1, .E = 1, .V = 1},
    {.N = 2, .T = 5, .S = 7, .H = 4, .K = 2, .E = 5, .V = 3},
    {.N = 1, .T = 64, .S = 64, .H = 2, .K = 2, .E = 16, .V = 16},
    {.N = 1, .T = 150, .S = 131, .H = 2, .K = 1, .E = 19, .V = 33},
};

/* A mask of every query and head, and one for the keys of a sample that the others repeat. */
static void set_mask(dl_attention_sizes *s, dl_mask_kind kind, bool repeats) {
    s->mask = kind;
    s->mask_strides[0] = repeats ? s->S : s->H * s->T * s->S;
    s->mask_strides[1] = repeats ? 0 : s->T * s->S;
    s->mask_strides[2] = repeats ? 0 : s->S;
    s->mask_strides[3] = 1;
}

static void test_attention_is_what_its_formula_says(void) {
    dl_context *context = context_with(2);
    EACH_ISA(kernels)
    for (int i = 0; i < DL_COUNT(all_sizes); i++)
        for (int variant = 0; variant < 12; variant++) {
            dl_attention_sizes s = all_sizes[i];
            s.scale = 0.7;
            set_mask(&s, (dl_mask_kind)(variant % 3), variant % 2);
            s.causal = variant / 3 % 2;
            s.offset = variant % 2 ? 3 : 0;
            s.dropout = variant >= 6 ? 0.3 : 0;
            s.stream = (dl_stream){.seed = 5, .stream = 7, .position = 0xfffffff0u};
            problem p = make_problem(s, variant % 4);
            check_against_twin(kernels, context, &p);
            free_problem(&p);
        }
    dl_context_release(context);
}

/* A query that no key is shown to gives zeros, and passes no gradient. */
static void test_a_query_without_keys_gives_zeros(void) {
    dl_context *context = context_with(1);
    EACH_ISA(kernels) {
        dl_attention_sizes s = {.N = 1, .T = 70, .S = 66, .H = 1, .K = 1, .E = 4, .V = 4, .scale = 1};
        set_mask(&s, DL_MASK_BOOL, false);
        problem p = make_problem(s, 0);
        memset(p.flags + 65 * s.S, 0, (size_t)s.S);
        check_against_twin(kernels, context, &p);
        float y[70 * 4];
        CHECK(kernels->attention_f32(context, y, NULL, p.query, p.key, p.value, p.flags, &p.s) == DL_OK);
        CHECK(y[65 * 4] == 0 && y[65 * 4 + 3] == 0 && y[64 * 4] != 0);
        free_problem(&p);
    }
    dl_context_release(context);
}

/* The bits of a query with one thread and all alone are those it has among others, with two threads. */
static void test_a_query_keeps_its_bits_in_any_batch(void) {
    dl_context *one = context_with(1), *two = context_with(2);
    EACH_ISA(kernels) {
        enum { T = 130, ROW = 2 * 9 };
        dl_attention_sizes s = {.N = 3, .T = T, .S = 100, .H = 2, .K = 2, .E = 9, .V = 9, .scale = 0.3};
        problem p = make_problem(s, 0);
        float *all = numbers_f32(result_size(&s, Y), 9), alone[ROW];
        CHECK(kernels->attention_f32(two, all, NULL, p.query, p.key, p.value, NULL, &p.s) == DL_OK);
        static const int64_t steps[] = {0, 5, 63, 64, 129};
        for (int i = 0; i < DL_COUNT(steps); i++) {
            dl_attention_sizes few = p.s;
            few.N = few.T = 1;
            int64_t sample = i % 3;
            CHECK(kernels->attention_f32(one, alone, NULL, p.query + sample * p.s.query[0] + steps[i] * p.s.query[1],
                                         p.key + sample * p.s.key[0], p.value + sample * p.s.value[0], NULL,
                                         &few) == DL_OK);
            CHECK(memcmp(alone, all + (sample * T + steps[i]) * ROW, sizeof alone) == 0);
        }
        free(all);
        free_problem(&p);
    }
    dl_context_release(one);
    dl_context_release(two);
}

CHECK_MAIN(CHECK_TEST(test_attention_is_what_its_formula_says), CHECK_TEST(test_a_query_without_keys_gives_zeros),
           CHECK_TEST(test_a_query_keeps_its_bits_in_any_batch))
