/* kernels/isa/optimizer.c: the updates of weights, one sweep each. The formulas are Keras's.
 *
 * They are part of the commit of a training step: nothing is allocated, nothing polled, and they fail only for a wrong
 * element type, before anything is written. */
#include "kernels/elementwise.h"
#include "kernels/isa/math.h"
#include "kernels/kernels.h"

#define TILE       16384
#define STEP_BLOCK 256

typedef struct update_call {
    dl_update update;
    void *w;
    void *state[3]; /* in the order of the kernel's arguments */
    const void *g;
    double momentum, rho, beta_1, beta_2, epsilon;
    double alpha; /* Adam's corrected learning rate; the factor of axpy and scale */
    double gradient_part, square_part; /* Nadam's factors of g and of v */
    bool nesterov;
    dl_ftrl ftrl;
    int64_t n;
} update_call;

#define SOURCE "kernels/isa/optimizer_source.h"
#include "kernels/isa/both_reals.h"

static dl_status run_update(dl_context *context, dl_element element, update_call *call, double cost,
                            dl_tile_function single, dl_tile_function twice) {
    if (element > DL_ELEMENT_FLOAT64)
        return dl_fail(DL_DTYPE, "weights of %s cannot be updated; they must be float32 or float64",
                       dl_element_name(element));
    int64_t tiles = (call->n + TILE - 1) / TILE;
    dl_parallel_commit(context, tiles, dl_threads_for(context, (double)call->n * cost),
                       element == DL_ELEMENT_FLOAT32 ? single : twice, call);
    return DL_OK;
}

dl_status DL_KERNEL(sgd)(dl_context *context, dl_element element, void *w, void *velocity, const void *g,
                         const dl_update *update, double momentum, bool nesterov, int64_t n) {
    update_call call = {
        .update = *update, .w = w, .state = {velocity}, .g = g, .momentum = momentum, .nesterov = nesterov, .n = n};
    if (velocity)
        return run_update(context, element, &call, 0.25, momentum_tile_f32, momentum_tile_f64);
    return run_update(context, element, &call, 0.15, sgd_tile_f32, sgd_tile_f64);
}

dl_status DL_KERNEL(adam)(dl_context *context, dl_element element, void *w, void *m, void *v, void *v_max,
                          const void *g, const dl_update *update, double beta_1, double beta_2, double epsilon,
                          int64_t step, int64_t n) {
    double alpha = update->learning_rate * sqrt(1 - pow(beta_2, (double)step)) / (1 - pow(beta_1, (double)step));
    update_call call = {.update = *update,
                        .w = w,
                        .state = {m, v, v_max},
                        .g = g,
                        .beta_1 = beta_1,
                        .beta_2 = beta_2,
                        .epsilon = epsilon,
                        .alpha = alpha,
                        .n = n};
    return run_update(context, element, &call, 0.35, adam_tile_f32, adam_tile_f64);
}

dl_status DL_KERNEL(rmsprop)(dl_context *context, dl_element element, void *w, void *velocity, void *average,
                             void *momentum_buffer, const void *g, const dl_update *update, double rho, double momentum,
                             double epsilon, int64_t n) {
    update_call call = {.update = *update,
                        .w = w,
                        .state = {velocity, average, momentum_buffer},
                        .g = g,
                        .rho = rho,
                        .momentum = momentum,
                        .epsilon = epsilon,
                        .n = n};
    return run_update(context, element, &call, 0.4, rmsprop_tile_f32, rmsprop_tile_f64);
}

/* Nadam's factors of m, g and v. The product of all u is nothing beside 1 long before the loop would be slow. */
static void nadam_factors(update_call *call, int64_t step) {
    double product = 1, decay = 1, u = 0;
    for (int64_t t = 1; t <= step && product > 1e-20; t++) {
        decay *= 0.96;
        product *= call->beta_1 * (1 - 0.5 * decay);
    }
    u = call->beta_1 * (1 - 0.5 * pow(0.96, (double)step));
    double next = call->beta_1 * (1 - 0.5 * pow(0.96, (double)(step + 1)));
    call->alpha = call->update.learning_rate * next / (1 - product * next);
    call->gradient_part = call->update.learning_rate * (1 - u) / (1 - product);
    call->square_part = 1 / (1 - pow(call->beta_2, (double)step));
}

dl_status DL_KERNEL(nadam)(dl_context *context, dl_element element, void *w, void *m, void *v, const void *g,
                           const dl_update *update, double beta_1, double beta_2, double epsilon, int64_t step,
                           int64_t n) {
    update_call call = {.update = *update,
                        .w = w,
                        .state = {m, v},
                        .g = g,
                        .beta_1 = beta_1,
                        .beta_2 = beta_2,
                        .epsilon = epsilon,
                        .n = n};
    nadam_factors(&call, step);
    return run_update(context, element, &call, 0.35, nadam_tile_f32, nadam_tile_f64);
}

dl_status DL_KERNEL(adamax)(dl_context *context, dl_element element, void *w, void *m, void *u, const void *g,
                            const dl_update *update, double beta_1, double beta_2, double epsilon, int64_t step,
                            int64_t n) {
    update_call call = {.update = *update,
                        .w = w,
                        .state = {m, u},
                        .g = g,
                        .beta_1 = beta_1,
                        .beta_2 = beta_2,
                        .epsilon = epsilon,
                        .alpha = update->learning_rate / (1 - pow(beta_1, (double)step)),
                        .n = n};
    return run_update(context, element, &call, 0.35, adamax_tile_f32, adamax_tile_f64);
}

dl_status DL_KERNEL(adagrad)(dl_context *context, dl_element element, void *w, void *sum, const void *g,
                             const dl_update *update, double epsilon, int64_t n) {
    update_call call = {.update = *update, .w = w, .state = {sum}, .g = g, .epsilon = epsilon, .n = n};
    return run_update(context, element, &call, 0.3, adagrad_tile_f32, adagrad_tile_f64);
}

dl_status DL_KERNEL(adadelta)(dl_context *context, dl_element element, void *w, void *v, void *delta, const void *g,
                              const dl_update *update, double rho, double epsilon, int64_t n) {
    update_call call = {
        .update = *update, .w = w, .state = {v, delta}, .g = g, .rho = rho, .epsilon = epsilon, .n = n};
    return run_update(context, element, &call, 0.4, adadelta_tile_f32, adadelta_tile_f64);
}

dl_status DL_KERNEL(lion)(dl_context *context, dl_element element, void *w, void *m, const void *g,
                          const dl_update *update, double beta_1, double beta_2, int64_t n) {
    update_call call = {.update = *update, .w = w, .state = {m}, .g = g, .beta_1 = beta_1, .beta_2 = beta_2, .n = n};
    return run_update(context, element, &call, 0.25, lion_tile_f32, lion_tile_f64);
}

dl_status DL_KERNEL(ftrl)(dl_context *context, dl_element element, void *w, void *sum, void *linear, const void *g,
                          const dl_update *update, const dl_ftrl *ftrl, int64_t n) {
    update_call call = {.update = *update, .w = w, .state = {sum, linear}, .g = g, .ftrl = *ftrl, .n = n};
    if (ftrl->power == 0.5)
        return run_update(context, element, &call, 0.4, ftrl_root_tile_f32, ftrl_root_tile_f64);
    return run_update(context, element, &call, 2, ftrl_tile_f32, ftrl_tile_f64);
}

dl_status DL_KERNEL(moving_average)(dl_context *context, dl_element element, void *average, double momentum,
                                    const void *x, int64_t n) {
    update_call call = {.w = average, .g = x, .momentum = momentum, .n = n};
    return run_update(context, element, &call, 0.15, moving_average_tile_f32, moving_average_tile_f64);
}

dl_status DL_KERNEL(axpy)(dl_context *context, dl_element element, void *y, double alpha, const void *x, int64_t n) {
    update_call call = {.w = y, .g = x, .alpha = alpha, .n = n};
    return run_update(context, element, &call, 0.15, axpy_tile_f32, axpy_tile_f64);
}

dl_status DL_KERNEL(scale)(dl_context *context, dl_element element, void *x, double alpha, int64_t n) {
    update_call call = {.w = x, .alpha = alpha, .n = n};
    return run_update(context, element, &call, 0.1, scale_tile_f32, scale_tile_f64);
}
