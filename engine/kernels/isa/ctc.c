/* kernels/isa/ctc.c: connectionist temporal classification (Graves et al. 2006): the probability that steps of scores
 * spell a row of labels, with blanks between and repeats merged; by the forward-backward algorithm, in logarithms.
 *
 *      states of labels a b:  blank a blank b blank      from one step to the next: stay, go on, or skip a blank
 *
 * Always true: a sample is one tile and its sums are in float64 in one order, whatever the threads. */
#include <string.h>

#include "kernels/elementwise.h"
#include "kernels/isa/math.h"
#include "kernels/kernels.h"

#define R double

typedef struct ctc_call {
    dl_element element;
    void *losses, *occupancy;
    const void *log_p;
    const int64_t *labels, *lengths;
    double *scratch;
    int64_t T, C, L;
} ctc_call;

/* One sample. */
typedef struct ctc_sample {
    const ctc_call *call;
    int64_t n, states;
    const int64_t *labels;
    double *alpha; /* (T, states): log of the sum over all ways to be in a state after a step */
    double *beta, *next;
} ctc_sample;

static int64_t label_of(const ctc_sample *s, int64_t state) {
    return state % 2 ? s->labels[state / 2] : 0;
}

static double score(const ctc_sample *s, int64_t t, int64_t state) {
    int64_t place = (s->n * s->call->T + t) * s->call->C + label_of(s, state);
    return s->call->element == DL_ELEMENT_FLOAT32 ? (double)((const float *)s->call->log_p)[place]
                                                  : ((const double *)s->call->log_p)[place];
}

static double add_logs(double a, double b) {
    double high = a > b ? a : b;
    double low = a > b ? b : a;
    return low == -INFINITY ? high : high + m_log1p(m_exp(low - high));
}

/* True if a way may go from this state to the one after the next: another label than before. */
static bool can_skip(const ctc_sample *s, int64_t state) {
    return state % 2 == 1 && state + 2 < s->states && s->labels[state / 2] != s->labels[state / 2 + 1];
}

static double run_forward(ctc_sample *s) {
    int64_t states = s->states;
    for (int64_t k = 0; k < states; k++)
        s->alpha[k] = k < 2 ? score(s, 0, k) : -INFINITY;
    for (int64_t t = 1; t < s->call->T; t++) {
        const double *last = s->alpha + (t - 1) * states;
        for (int64_t k = 0; k < states; k++) {
            double sum = last[k];
            if (k > 0)
                sum = add_logs(sum, last[k - 1]);
            if (k > 1 && can_skip(s, k - 2))
                sum = add_logs(sum, last[k - 2]);
            s->alpha[t * states + k] = sum == -INFINITY ? sum : sum + score(s, t, k);
        }
    }
    const double *end = s->alpha + (s->call->T - 1) * states;
    return states > 1 ? add_logs(end[states - 1], end[states - 2]) : end[0];
}

/* Adds exp(alpha + beta - total) to the occupancy of each state's label at step t. */
static void add_occupancy(const ctc_sample *s, int64_t t, double total) {
    int64_t row = (s->n * s->call->T + t) * s->call->C;
    for (int64_t k = 0; k < s->states; k++) {
        double exponent = s->alpha[t * s->states + k] + s->beta[k] - total;
        if (exponent == -INFINITY)
            continue;
        if (s->call->element == DL_ELEMENT_FLOAT32)
            ((float *)s->call->occupancy)[row + label_of(s, k)] += (float)m_exp(exponent);
        else
            ((double *)s->call->occupancy)[row + label_of(s, k)] += m_exp(exponent);
    }
}

static void run_backward(ctc_sample *s, double total) {
    for (int64_t k = 0; k < s->states; k++)
        s->beta[k] = k + 2 >= s->states ? 0 : -INFINITY;
    for (int64_t t = s->call->T - 1; t >= 0; t--) {
        add_occupancy(s, t, total);
        for (int64_t k = 0; k < s->states; k++) {
            double sum = s->beta[k] + score(s, t, k);
            if (k + 1 < s->states)
                sum = add_logs(sum, s->beta[k + 1] + score(s, t, k + 1));
            if (can_skip(s, k))
                sum = add_logs(sum, s->beta[k + 2] + score(s, t, k + 2));
            s->next[k] = sum;
        }
        double *swap = s->beta;
        s->beta = s->next;
        s->next = swap;
    }
}

static void ctc_tile(void *argument, int64_t tile, int worker) {
    const ctc_call *call = argument;
    int64_t most = 2 * call->L + 1;
    (void)worker;
    ctc_sample s = {.call = call, .n = tile, .states = 2 * call->lengths[tile] + 1,
                    .labels = call->labels + tile * call->L};
    s.alpha = call->scratch + tile * DL_CTC_SCRATCH(call->T, call->L);
    s.beta = s.alpha + call->T * most;
    s.next = s.beta + most;
    double total = run_forward(&s);
    if (call->element == DL_ELEMENT_FLOAT32)
        ((float *)call->losses)[tile] = (float)-total;
    else
        ((double *)call->losses)[tile] = -total;
    if (!call->occupancy)
        return;
    size_t bytes = (size_t)(call->T * call->C) * (call->element == DL_ELEMENT_FLOAT32 ? sizeof(float) : sizeof(double));
    memset((char *)call->occupancy + (size_t)tile * bytes, 0, bytes);
    run_backward(&s, total);
}

dl_status DL_KERNEL(ctc)(dl_context *context, dl_element element, void *losses, void *occupancy, const void *log_p,
                         const int64_t *labels, const int64_t *lengths, double *scratch, int64_t n, int64_t T,
                         int64_t C, int64_t L) {
    ctc_call call = {element, losses, occupancy, log_p, labels, lengths, scratch, T, C, L};
    double cost = (double)n * (double)T * (double)(2 * L + 1) * 30;
    return dl_parallel(context, n, dl_threads_for(context, cost), ctc_tile, &call);
}
