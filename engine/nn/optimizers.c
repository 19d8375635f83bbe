/* nn/optimizers.c: the optimizers, with Keras's formulas and defaults. Weight decay takes weight * rate * decay from
 * every variable before the rule; clipping comes before both. */
#include <math.h>

#include "kernels/kernels.h"
#include "nn/nn.h"

static dl_element element_of(const dl_variable_update *update) {
    return update->dtype == DL_FLOAT32 ? DL_ELEMENT_FLOAT32 : DL_ELEMENT_FLOAT64;
}

static dl_update kernel_update(const dl_variable_update *update) {
    return (dl_update){.learning_rate = update->learning_rate, .gradient_scale = update->grad_scale,
                       .clip_value = update->clip_value, .weight_decay = update->weight_decay};
}

/* ---- common options ---------------------------------------------------------------------------------------------- */

#define LEARNING_RATE(type, default_)                                                                                  \
    { .name = "learning_rate", .kind = DL_FIELD_ALTERNATIVE, .offset = offsetof(type, optimizer.learning_rate),        \
      .text = default_, .alternatives = dl_learning_rates, .help = "a number, or a schedule" }
#define OPTIONAL_REAL(type, member, default_, flags_, help_)                                                           \
    { .name = #member, .kind = DL_FIELD_REAL, .offset = offsetof(type, optimizer.member),                              \
      .flags = DL_NONE_OK | (flags_), .number = default_, .minimum = 0, .maximum = DL_HIGHEST, .help = help_ }
#define WEIGHT_DECAY(type, default_)                                                                                   \
    OPTIONAL_REAL(type, weight_decay, default_, 0, "share of each weight that a step takes, times the rate")
#define CLIPPING_AND_NAME(type)                                                                                        \
    OPTIONAL_REAL(type, clipnorm, NAN, DL_OPEN_MIN, "largest norm of each gradient"),                                  \
    OPTIONAL_REAL(type, clipvalue, NAN, DL_OPEN_MIN, "largest absolute value in each gradient"),                       \
    OPTIONAL_REAL(type, global_clipnorm, NAN, DL_OPEN_MIN, "largest norm of all gradients together"),                  \
    { .name = "use_ema", .kind = DL_FIELD_BOOL, .offset = offsetof(type, optimizer.use_ema),                           \
      .help = "keep moving averages of the weights, which take their place at the end of fit" },                       \
    { .name = "ema_momentum", .kind = DL_FIELD_REAL, .offset = offsetof(type, optimizer.ema_momentum),                 \
      .number = 0.99, .minimum = 0, .maximum = 1, .help = "how much of the averages stays at each step" },             \
    { .name = "ema_overwrite_frequency", .kind = DL_FIELD_INT,                                                         \
      .offset = offsetof(type, optimizer.ema_overwrite_frequency), .flags = DL_NONE_OK, .number = (double)DL_NONE,     \
      .minimum = 1, .maximum = DL_HIGHEST, .help = "put the averages in the weights' place every so many steps" },     \
    { .name = "gradient_accumulation_steps", .kind = DL_FIELD_INT,                                                     \
      .offset = offsetof(type, optimizer.gradient_accumulation_steps), .flags = DL_NONE_OK,                            \
      .number = (double)DL_NONE, .minimum = 2, .maximum = DL_HIGHEST,                                                  \
      .help = "update once in so many steps, by the mean of their gradients" },                                        \
    { .name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(type, optimizer.name), .flags = DL_NONE_OK,          \
      .help = "of the optimizer; made from the class if none" }

/* ---- SGD --------------------------------------------------------------------------------------------------------- */

static const char *const sgd_slots[] = {"momentum"};

static bool sgd_needs(const void *options, int slot) {
    (void)slot;
    return ((const dl_sgd_options *)options)->momentum != 0;
}

static void update_sgd(const dl_variable_update *update) {
    const dl_sgd_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->sgd(update->context, element_of(update), update->value, update->slots[0], update->grad, &common,
                     options->momentum, options->nesterov, update->count);
}

static const dl_field sgd_fields[] = {
    LEARNING_RATE(dl_sgd_options, "0.01"),
    DL_REAL(dl_sgd_options, momentum, 0.0, 0.0, 1.0, 0, "how much of the last step is taken again"),
    DL_BOOL(dl_sgd_options, nesterov, false, 0, "look ahead along the momentum"),
    WEIGHT_DECAY(dl_sgd_options, NAN),
    CLIPPING_AND_NAME(dl_sgd_options),
    DL_END};

const dl_optimizer_def dl_optimizer_sgd = {
    .definition = {.name = "SGD", .aliases = "sgd", .version = 1, .help = "Gradient descent, with momentum.",
                   .formula = "v = momentum * v - rate * g; w += v", .source = "Nesterov 1983; Sutskever et al. 2013",
                   .fields = sgd_fields, .options_size = sizeof(dl_sgd_options)},
    .slots = 1, .slot_names = sgd_slots, .needs_slot = sgd_needs, .update = update_sgd};

/* ---- Adam and AdamW ---------------------------------------------------------------------------------------------- */

static const char *const adam_slots[] = {"momentum", "velocity", "velocity_hat"};

static bool adam_needs(const void *options, int slot) {
    return slot < 2 || ((const dl_adam_options *)options)->amsgrad;
}

static void update_adam(const dl_variable_update *update) {
    const dl_adam_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->adam(update->context, element_of(update), update->value, update->slots[0], update->slots[1],
                      update->slots[2], update->grad, &common, options->beta_1, options->beta_2, options->epsilon,
                      update->iteration, update->count);
}

#define ADAM_MEMORY                                                                                                    \
    DL_REAL(dl_adam_options, beta_1, 0.9, 0.0, 1.0, DL_OPEN_MAX, "memory of the gradients' mean"),                     \
    DL_REAL(dl_adam_options, beta_2, 0.999, 0.0, 1.0, DL_OPEN_MAX, "memory of the gradients' squares"),                \
    DL_REAL(dl_adam_options, epsilon, 1e-7, 0.0, DL_HIGHEST, 0, "added to the root of the squares")
#define ADAM_FIELDS                                                                                                    \
    ADAM_MEMORY,                                                                                                       \
    DL_BOOL(dl_adam_options, amsgrad, false, 0, "divide by the largest squares so far (Reddi et al. 2018)")

static const dl_field adam_fields[] = {
    LEARNING_RATE(dl_adam_options, "0.001"), ADAM_FIELDS, WEIGHT_DECAY(dl_adam_options, NAN),
    CLIPPING_AND_NAME(dl_adam_options), DL_END};

const dl_optimizer_def dl_optimizer_adam = {
    .definition = {.name = "Adam", .aliases = "adam", .version = 1,
                   .help = "Steps scaled by running means of gradients and of their squares.",
                   .formula = "w -= rate * m' / (sqrt(v') + epsilon)", .source = "Kingma and Ba 2014",
                   .fields = adam_fields, .options_size = sizeof(dl_adam_options)},
    .slots = 3, .slot_names = adam_slots, .needs_slot = adam_needs, .update = update_adam};

static const dl_field adamw_fields[] = {
    LEARNING_RATE(dl_adam_options, "0.001"), WEIGHT_DECAY(dl_adam_options, 0.004), ADAM_FIELDS,
    CLIPPING_AND_NAME(dl_adam_options), DL_END};

const dl_optimizer_def dl_optimizer_adamw = {
    .definition = {.name = "AdamW", .aliases = "adamw", .version = 1, .help = "Adam with decoupled weight decay.",
                   .formula = "w -= rate * decay * w; w -= rate * m' / (sqrt(v') + epsilon)",
                   .source = "Loshchilov and Hutter 2017", .fields = adamw_fields,
                   .options_size = sizeof(dl_adam_options)},
    .slots = 3, .slot_names = adam_slots, .needs_slot = adam_needs, .update = update_adam};

/* ---- Nadam and Adamax -------------------------------------------------------------------------------------------- */

static const char *const nadam_slots[] = {"momentum", "velocity"};
static const char *const adamax_slots[] = {"momentum", "norm"};

static void update_nadam(const dl_variable_update *update) {
    const dl_adam_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->nadam(update->context, element_of(update), update->value, update->slots[0], update->slots[1],
                       update->grad, &common, options->beta_1, options->beta_2, options->epsilon, update->iteration,
                       update->count);
}

static void update_adamax(const dl_variable_update *update) {
    const dl_adam_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->adamax(update->context, element_of(update), update->value, update->slots[0], update->slots[1],
                        update->grad, &common, options->beta_1, options->beta_2, options->epsilon, update->iteration,
                        update->count);
}

static const dl_field nadam_fields[] = {
    LEARNING_RATE(dl_adam_options, "0.001"), ADAM_MEMORY, WEIGHT_DECAY(dl_adam_options, NAN),
    CLIPPING_AND_NAME(dl_adam_options), DL_END};

const dl_optimizer_def dl_optimizer_nadam = {
    .definition = {.name = "Nadam", .aliases = "nadam", .version = 1,
                   .help = "Adam that looks ahead along its momentum.",
                   .formula = "w -= rate * (u m' + (1 - u) g') / (sqrt(v') + epsilon)", .source = "Dozat 2015",
                   .fields = nadam_fields, .options_size = sizeof(dl_adam_options)},
    .slots = 2, .slot_names = nadam_slots, .update = update_nadam};

const dl_optimizer_def dl_optimizer_adamax = {
    .definition = {.name = "Adamax", .aliases = "adamax", .version = 1,
                   .help = "Adam with the largest gradients of late in place of their squares.",
                   .formula = "u = max(beta_2 u, |g|); w -= rate * m' / (u + epsilon)",
                   .source = "Kingma and Ba 2014, section 7", .fields = nadam_fields,
                   .options_size = sizeof(dl_adam_options)},
    .slots = 2, .slot_names = adamax_slots, .update = update_adamax};

/* ---- Adagrad and Adadelta ---------------------------------------------------------------------------------------- */

static const char *const adagrad_slots[] = {"accumulator"};
static const char *const adadelta_slots[] = {"accumulated_grad", "accumulated_delta_var"};

static double adagrad_start(const void *options, int slot) {
    (void)slot;
    return ((const dl_adagrad_options *)options)->initial_accumulator_value;
}

static void update_adagrad(const dl_variable_update *update) {
    const dl_adagrad_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->adagrad(update->context, element_of(update), update->value, update->slots[0], update->grad, &common,
                         options->epsilon, update->count);
}

static void update_adadelta(const dl_variable_update *update) {
    const dl_adadelta_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->adadelta(update->context, element_of(update), update->value, update->slots[0], update->slots[1],
                          update->grad, &common, options->rho, options->epsilon, update->count);
}

static const dl_field adagrad_fields[] = {
    LEARNING_RATE(dl_adagrad_options, "0.001"),
    DL_REAL(dl_adagrad_options, initial_accumulator_value, 0.1, 0.0, DL_HIGHEST, 0, "the sum of squares at first"),
    DL_REAL(dl_adagrad_options, epsilon, 1e-7, 0.0, DL_HIGHEST, 0, "added to the sum of squares"),
    WEIGHT_DECAY(dl_adagrad_options, NAN), CLIPPING_AND_NAME(dl_adagrad_options), DL_END};

const dl_optimizer_def dl_optimizer_adagrad = {
    .definition = {.name = "Adagrad", .aliases = "adagrad", .version = 1,
                   .help = "Steps scaled by the root of the sum of all squares so far.",
                   .formula = "s += g^2; w -= rate * g / sqrt(s + epsilon)", .source = "Duchi et al. 2011",
                   .fields = adagrad_fields, .options_size = sizeof(dl_adagrad_options)},
    .slots = 1, .slot_names = adagrad_slots, .slot_start = adagrad_start, .update = update_adagrad};

static const dl_field adadelta_fields[] = {
    LEARNING_RATE(dl_adadelta_options, "0.001"),
    DL_REAL(dl_adadelta_options, rho, 0.95, 0.0, 1.0, 0, "memory of the squares"),
    DL_REAL(dl_adadelta_options, epsilon, 1e-7, 0.0, DL_HIGHEST, 0, "added to the squares"),
    WEIGHT_DECAY(dl_adadelta_options, NAN), CLIPPING_AND_NAME(dl_adadelta_options), DL_END};

const dl_optimizer_def dl_optimizer_adadelta = {
    .definition = {.name = "Adadelta", .aliases = "adadelta", .version = 1,
                   .help = "Steps in the size of the last ones, scaled by a running mean of squares.",
                   .formula = "d = g * sqrt(D + epsilon) / sqrt(v + epsilon); w -= rate * d", .source = "Zeiler 2012",
                   .fields = adadelta_fields, .options_size = sizeof(dl_adadelta_options)},
    .slots = 2, .slot_names = adadelta_slots, .update = update_adadelta};

/* ---- Lion -------------------------------------------------------------------------------------------------------- */

static const char *const lion_slots[] = {"momentum"};

static void update_lion(const dl_variable_update *update) {
    const dl_lion_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->lion(update->context, element_of(update), update->value, update->slots[0], update->grad, &common,
                      options->beta_1, options->beta_2, update->count);
}

static const dl_field lion_fields[] = {
    LEARNING_RATE(dl_lion_options, "0.001"),
    DL_REAL(dl_lion_options, beta_1, 0.9, 0.0, 1.0, DL_OPEN_MIN, "share of the momentum in a step's direction"),
    DL_REAL(dl_lion_options, beta_2, 0.99, 0.0, 1.0, 0, "memory of the gradients' mean"),
    WEIGHT_DECAY(dl_lion_options, NAN), CLIPPING_AND_NAME(dl_lion_options), DL_END};

const dl_optimizer_def dl_optimizer_lion = {
    .definition = {.name = "Lion", .aliases = "lion", .version = 1,
                   .help = "Steps of one size for all weights, in the direction of a momentum's sign.",
                   .formula = "w -= rate * sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g",
                   .source = "Chen et al. 2023", .fields = lion_fields, .options_size = sizeof(dl_lion_options)},
    .slots = 1, .slot_names = lion_slots, .update = update_lion};

/* ---- Ftrl -------------------------------------------------------------------------------------------------------- */

static const char *const ftrl_slots[] = {"accumulator", "linear"};

static double ftrl_start(const void *options, int slot) {
    return slot == 0 ? ((const dl_ftrl_options *)options)->initial_accumulator_value : 0;
}

static void update_ftrl(const dl_variable_update *update) {
    const dl_ftrl_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_ftrl ftrl = {.power = -options->learning_rate_power, .l1 = options->l1_regularization_strength,
                    .l2 = options->l2_regularization_strength + options->beta / (2 * update->learning_rate),
                    .shrinkage = options->l2_shrinkage_regularization_strength};
    dl_kernel()->ftrl(update->context, element_of(update), update->value, update->slots[0], update->slots[1],
                      update->grad, &common, &ftrl, update->count);
}

#define STRENGTH(member, help_) DL_REAL(dl_ftrl_options, member, 0.0, 0.0, DL_HIGHEST, 0, help_)
static const dl_field ftrl_fields[] = {
    LEARNING_RATE(dl_ftrl_options, "0.001"),
    DL_REAL(dl_ftrl_options, learning_rate_power, -0.5, DL_LOWEST, 0.0, 0, "how the rate falls with the squares"),
    DL_REAL(dl_ftrl_options, initial_accumulator_value, 0.1, 0.0, DL_HIGHEST, 0, "the sum of squares at first"),
    STRENGTH(l1_regularization_strength, "penalty on absolute values, which makes small weights 0"),
    STRENGTH(l2_regularization_strength, "penalty on squares"),
    STRENGTH(l2_shrinkage_regularization_strength, "penalty on squares, in the gradient"),
    DL_REAL(dl_ftrl_options, beta, 0.0, DL_LOWEST, DL_HIGHEST, 0, "penalty on squares, divided by the rate"),
    WEIGHT_DECAY(dl_ftrl_options, NAN), CLIPPING_AND_NAME(dl_ftrl_options), DL_END};

const dl_optimizer_def dl_optimizer_ftrl = {
    .definition = {.name = "Ftrl", .aliases = "ftrl", .version = 1,
                   .help = "Follow the regularized leader: sparse weights for large and shallow models.",
                   .formula = "z += g - (s'^p - s^p) / rate * w; w = (clip(z, +-l1) - z) / (s'^p / rate + 2 l2), s' = "
                              "s + g^2, p = -learning_rate_power",
                   .source = "McMahan et al. 2013", .fields = ftrl_fields, .options_size = sizeof(dl_ftrl_options)},
    .slots = 2, .slot_names = ftrl_slots, .slot_start = ftrl_start, .update = update_ftrl};

/* ---- RMSprop ----------------------------------------------------------------------------------------------------- */

static const char *const rmsprop_slots[] = {"velocity", "momentum", "average_gradient"};

static bool rmsprop_needs(const void *options, int slot) {
    const dl_rmsprop_options *rmsprop = options;
    return slot == 0 || (slot == 1 && rmsprop->momentum > 0) || (slot == 2 && rmsprop->centered);
}

static void update_rmsprop(const dl_variable_update *update) {
    const dl_rmsprop_options *options = update->options;
    dl_update common = kernel_update(update);
    dl_kernel()->rmsprop(update->context, element_of(update), update->value, update->slots[0], update->slots[2],
                         update->slots[1], update->grad, &common, options->rho, options->momentum, options->epsilon,
                         update->count);
}

static const dl_field rmsprop_fields[] = {
    LEARNING_RATE(dl_rmsprop_options, "0.001"),
    DL_REAL(dl_rmsprop_options, rho, 0.9, 0.0, 1.0, 0, "memory of the gradients' squares"),
    DL_REAL(dl_rmsprop_options, momentum, 0.0, 0.0, 1.0, 0, "how much of the last step is taken again"),
    DL_REAL(dl_rmsprop_options, epsilon, 1e-7, 0.0, DL_HIGHEST, 0, "added to the squares"),
    DL_BOOL(dl_rmsprop_options, centered, false, 0, "divide by the variance in place of the squares"),
    WEIGHT_DECAY(dl_rmsprop_options, NAN),
    CLIPPING_AND_NAME(dl_rmsprop_options),
    DL_END};

const dl_optimizer_def dl_optimizer_rmsprop = {
    .definition = {.name = "RMSprop", .aliases = "rmsprop", .version = 1,
                   .help = "Steps scaled by the root of a running mean of squares.",
                   .formula = "v = rho * v + (1 - rho) * g^2; w -= rate * g / sqrt(v + epsilon)",
                   .source = "Tieleman and Hinton 2012", .fields = rmsprop_fields,
                   .options_size = sizeof(dl_rmsprop_options)},
    .slots = 3, .slot_names = rmsprop_slots, .needs_slot = rmsprop_needs, .update = update_rmsprop};
