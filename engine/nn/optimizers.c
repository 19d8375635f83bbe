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

/* A learning rate is a number or a schedule. */
static const dl_field learning_rates[] = {
    {.kind = DL_FIELD_REAL, .minimum = 0, .maximum = DL_HIGHEST},
    {.kind = DL_FIELD_OBJECT, .family = &dl_schedule_family},
    DL_END};

#define LEARNING_RATE(type, default_)                                                                                  \
    { .name = "learning_rate", .kind = DL_FIELD_ALTERNATIVE, .offset = offsetof(type, optimizer.learning_rate),        \
      .text = default_, .alternatives = learning_rates, .help = "a number, or a schedule" }
#define OPTIONAL_REAL(type, member, default_, flags_, help_)                                                           \
    { .name = #member, .kind = DL_FIELD_REAL, .offset = offsetof(type, optimizer.member),                              \
      .flags = DL_NONE_OK | (flags_), .number = default_, .minimum = 0, .maximum = DL_HIGHEST, .help = help_ }
#define WEIGHT_DECAY(type, default_)                                                                                   \
    OPTIONAL_REAL(type, weight_decay, default_, 0, "share of each weight that a step takes, times the rate")
#define CLIPPING_AND_NAME(type)                                                                                        \
    OPTIONAL_REAL(type, clipnorm, NAN, DL_OPEN_MIN, "largest norm of each gradient"),                                  \
    OPTIONAL_REAL(type, clipvalue, NAN, DL_OPEN_MIN, "largest absolute value in each gradient"),                       \
    OPTIONAL_REAL(type, global_clipnorm, NAN, DL_OPEN_MIN, "largest norm of all gradients together"),                  \
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

#define ADAM_FIELDS                                                                                                    \
    DL_REAL(dl_adam_options, beta_1, 0.9, 0.0, 1.0, DL_OPEN_MAX, "memory of the gradients' mean"),                     \
    DL_REAL(dl_adam_options, beta_2, 0.999, 0.0, 1.0, DL_OPEN_MAX, "memory of the gradients' squares"),                \
    DL_REAL(dl_adam_options, epsilon, 1e-7, 0.0, DL_HIGHEST, 0, "added to the root of the squares"),                   \
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
