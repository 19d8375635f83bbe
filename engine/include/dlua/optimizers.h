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
} dl_adam_options; /* adam, adamw */
typedef struct dl_rmsprop_options {
    dl_optimizer_options optimizer;
    double rho, momentum, epsilon;
    bool centered;
} dl_rmsprop_options;

/* ---- schedules --------------------------------------------------------------------------------------------------- */

typedef struct dl_exponential_decay_options {
    double initial_learning_rate;
    int64_t decay_steps;
    double decay_rate;
    bool staircase;
    char *name;
} dl_exponential_decay_options;

#ifdef __cplusplus
}
#endif
#endif
