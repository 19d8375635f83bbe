/* dlua/optimizers.h: the options of optimizers and schedules. Keras's names, order and defaults. See
 * dlua/layers.h for what is registered. */
#ifndef DLUA_OPTIMIZERS_H
#define DLUA_OPTIMIZERS_H

#include "dlua/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizers -------------------------------------------------------------------------------------------------- */

typedef struct dl_sgd_options {
    dl_optimizer_options optimizer;
    double momentum;
    bool nesterov;
} dl_sgd_options;
typedef struct dl_adam_options {
    dl_optimizer_options optimizer;
    double beta_1, beta_2, epsilon;
    bool amsgrad;
} dl_adam_options; /* adam, adamw, nadam, adamax; amsgrad: of the first two */
typedef struct dl_rmsprop_options {
    dl_optimizer_options optimizer;
    double rho, momentum, epsilon;
    bool centered;
} dl_rmsprop_options;

typedef struct dl_adagrad_options {
    dl_optimizer_options optimizer;
    double initial_accumulator_value, epsilon;
} dl_adagrad_options;
typedef struct dl_adadelta_options {
    dl_optimizer_options optimizer;
    double rho, epsilon;
} dl_adadelta_options;
typedef struct dl_lion_options {
    dl_optimizer_options optimizer;
    double beta_1, beta_2;
} dl_lion_options;

typedef struct dl_ftrl_options {
    dl_optimizer_options optimizer;
    double learning_rate_power, initial_accumulator_value;
    double l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength, beta;
} dl_ftrl_options;

/* ---- schedules --------------------------------------------------------------------------------------------------- */

typedef struct dl_exponential_decay_options {
    double initial_learning_rate;
    int64_t decay_steps;
    double decay_rate;
    bool staircase;
    char *name;
} dl_exponential_decay_options; /* inverse_time_decay too */
typedef struct dl_polynomial_decay_options {
    double initial_learning_rate;
    int64_t decay_steps;
    double end_learning_rate, power;
    bool cycle;
    char *name;
} dl_polynomial_decay_options;
typedef struct dl_piecewise_constant_decay_options {
    dl_value boundaries; /* a list of growing steps */
    dl_value values;     /* a list of rates, one more */
    char *name;
} dl_piecewise_constant_decay_options;
typedef struct dl_cosine_decay_options {
    double initial_learning_rate;
    int64_t decay_steps;
    double alpha;
    char *name;
    double warmup_target; /* NaN: no warm-up */
    int64_t warmup_steps;
} dl_cosine_decay_options;
typedef struct dl_cosine_decay_restarts_options {
    double initial_learning_rate;
    int64_t first_decay_steps;
    double t_mul, m_mul, alpha;
    char *name;
} dl_cosine_decay_restarts_options;
typedef struct dl_warm_up_options {
    dl_alternative schedule; /* as an optimizer's learning_rate */
    int64_t warmup_steps;
    double initial_learning_rate;
    char *name;
} dl_warm_up_options;

#ifdef __cplusplus
}
#endif
#endif
