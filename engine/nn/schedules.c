/* nn/schedules.c: learning rates that follow the number of steps, counted from 0. */
#include <math.h>

#include "nn/nn.h"

static double exponential_decay_rate(const dl_object *schedule, int64_t iteration) {
    const dl_exponential_decay_options *options = DL_OPTIONS(schedule, dl_exponential_decay_options);
    double steps = (double)iteration / (double)options->decay_steps;
    if (options->staircase)
        steps = floor(steps);
    return options->initial_learning_rate * pow(options->decay_rate, steps);
}

static const dl_field exponential_decay_fields[] = {
    DL_REAL(dl_exponential_decay_options, initial_learning_rate, 0.0, 0.0, DL_HIGHEST, DL_REQUIRED, "the first rate"),
    DL_INT(dl_exponential_decay_options, decay_steps, 0, 1, DL_HIGHEST, DL_REQUIRED, "steps of one decay_rate"),
    DL_REAL(dl_exponential_decay_options, decay_rate, 0.0, 0.0, DL_HIGHEST, DL_REQUIRED, "factor over decay_steps"),
    DL_BOOL(dl_exponential_decay_options, staircase, false, 0, "change the rate only every decay_steps"),
    DL_STRING(dl_exponential_decay_options, name, "ExponentialDecay", DL_NONE_OK, "of the schedule"),
    DL_END};

const dl_schedule_def dl_schedule_exponential_decay = {
    .definition = {.name = "ExponentialDecay", .aliases = "exponential_decay", .version = 1,
                   .help = "The rate falls by the same factor every decay_steps.",
                   .formula = "initial_learning_rate * decay_rate^(step / decay_steps)",
                   .fields = exponential_decay_fields, .options_size = sizeof(dl_exponential_decay_options)},
    .rate = exponential_decay_rate};
