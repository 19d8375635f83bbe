/* nn/schedules.c: learning rates that follow the number of steps, counted from 0. Keras's formulas, in float64. */
#include <math.h>

#include "nn/families.h"

dl_status dl_schedule_init(dl_object *object) {
    const dl_schedule_def *definition = (const dl_schedule_def *)object->definition;
    return definition->init ? definition->init(object) : DL_OK;
}

const dl_field dl_learning_rates[] = {
    {.kind = DL_FIELD_REAL, .minimum = 0, .maximum = DL_HIGHEST},
    {.kind = DL_FIELD_OBJECT, .family = &dl_schedule_family},
    DL_END};

double dl_rate_at(const dl_alternative *rate, int64_t iteration) {
    if (rate->which == 0)
        return rate->as.real;
    return ((const dl_schedule_def *)rate->as.object->definition)->rate(rate->as.object, iteration);
}

#define INITIAL(type)                                                                                                  \
    DL_REAL(type, initial_learning_rate, 0.0, 0.0, DL_HIGHEST, DL_REQUIRED, "the first rate")
#define DEFINE(symbol, name_, alias, type, init_, help_, formula_, source_)                                            \
    const dl_schedule_def dl_schedule_##symbol = {                                                                     \
        .definition = {.name = name_, .aliases = alias, .version = 1, .help = help_, .formula = formula_,              \
                       .source = source_, .fields = symbol##_fields, .options_size = sizeof(type)},                    \
        .rate = symbol##_rate, .init = init_};

/* ---- exponential and inverse time -------------------------------------------------------------------------------- */

static double decays(const dl_exponential_decay_options *options, int64_t iteration) {
    double steps = (double)iteration / (double)options->decay_steps;
    return options->staircase ? floor(steps) : steps;
}

static double exponential_decay_rate(const dl_object *schedule, int64_t iteration) {
    const dl_exponential_decay_options *options = DL_OPTIONS(schedule, dl_exponential_decay_options);
    return options->initial_learning_rate * pow(options->decay_rate, decays(options, iteration));
}

static double inverse_time_decay_rate(const dl_object *schedule, int64_t iteration) {
    const dl_exponential_decay_options *options = DL_OPTIONS(schedule, dl_exponential_decay_options);
    return options->initial_learning_rate / (1 + options->decay_rate * decays(options, iteration));
}

#define DECAY_FIELDS(name_)                                                                                            \
    INITIAL(dl_exponential_decay_options),                                                                             \
    DL_INT(dl_exponential_decay_options, decay_steps, 0, 1, DL_HIGHEST, DL_REQUIRED, "steps of one decay_rate"),       \
    DL_REAL(dl_exponential_decay_options, decay_rate, 0.0, 0.0, DL_HIGHEST, DL_REQUIRED, "of decay_steps"),            \
    DL_BOOL(dl_exponential_decay_options, staircase, false, 0, "change the rate only every decay_steps"),              \
    DL_STRING(dl_exponential_decay_options, name, name_, DL_NONE_OK, "of the schedule"),                               \
    DL_END

static const dl_field exponential_decay_fields[] = {DECAY_FIELDS("ExponentialDecay")};
static const dl_field inverse_time_decay_fields[] = {DECAY_FIELDS("InverseTimeDecay")};

DEFINE(exponential_decay, "ExponentialDecay", "exponential_decay", dl_exponential_decay_options, NULL,
       "The rate falls by the same factor every decay_steps.",
       "initial_learning_rate * decay_rate^(step / decay_steps)", NULL)
DEFINE(inverse_time_decay, "InverseTimeDecay", "inverse_time_decay", dl_exponential_decay_options, NULL,
       "The rate falls as one over the time.", "initial_learning_rate / (1 + decay_rate * step / decay_steps)", NULL)

/* ---- polynomial -------------------------------------------------------------------------------------------------- */

static double polynomial_decay_rate(const dl_object *schedule, int64_t iteration) {
    const dl_polynomial_decay_options *options = DL_OPTIONS(schedule, dl_polynomial_decay_options);
    double step = (double)iteration;
    double length = (double)options->decay_steps;
    if (options->cycle)
        length *= iteration == 0 ? 1 : ceil(step / length);
    else
        step = fmin(step, length);
    double span = options->initial_learning_rate - options->end_learning_rate;
    return span * pow(1 - step / length, options->power) + options->end_learning_rate;
}

static const dl_field polynomial_decay_fields[] = {
    INITIAL(dl_polynomial_decay_options),
    DL_INT(dl_polynomial_decay_options, decay_steps, 0, 1, DL_HIGHEST, DL_REQUIRED, "steps to the last rate"),
    DL_REAL(dl_polynomial_decay_options, end_learning_rate, 0.0001, 0.0, DL_HIGHEST, 0, "the last rate"),
    DL_REAL(dl_polynomial_decay_options, power, 1.0, 0.0, DL_HIGHEST, DL_OPEN_MIN, "of the polynomial; 1: a line"),
    DL_BOOL(dl_polynomial_decay_options, cycle, false, 0, "rise again beyond decay_steps, to ever longer falls"),
    DL_STRING(dl_polynomial_decay_options, name, "PolynomialDecay", DL_NONE_OK, "of the schedule"),
    DL_END};

DEFINE(polynomial_decay, "PolynomialDecay", "polynomial_decay", dl_polynomial_decay_options, NULL,
       "The rate falls to end_learning_rate along a polynomial.",
       "(initial - end) * (1 - step / decay_steps)^power + end", NULL)

/* ---- piecewise constant ------------------------------------------------------------------------------------------ */

static double number_of(const dl_value *value) {
    return value->kind == DL_VALUE_INT ? (double)value->as.integer : value->as.real;
}

static bool is_number_list(const dl_value *list) {
    bool right = list->kind == DL_VALUE_LIST && list->as.list.count > 0;
    for (int64_t i = 0; right && i < list->as.list.count; i++)
        right = list->as.list.items[i].kind == DL_VALUE_INT || list->as.list.items[i].kind == DL_VALUE_REAL;
    return right;
}

static dl_status piecewise_init(const dl_object *schedule) {
    const dl_piecewise_constant_decay_options *options = DL_OPTIONS(schedule, dl_piecewise_constant_decay_options);
    const dl_value *boundaries = &options->boundaries;
    if (!is_number_list(boundaries) || !is_number_list(&options->values))
        return dl_fail(DL_INVALID, "PiecewiseConstantDecay: boundaries and values are lists of numbers, {1000, 2000} "
                       "and {0.1, 0.01, 0.001}");
    if (options->values.as.list.count != boundaries->as.list.count + 1)
        return dl_fail(DL_INVALID, "PiecewiseConstantDecay: values must have one number more than boundaries, got %lld "
                       "and %lld", (long long)options->values.as.list.count, (long long)boundaries->as.list.count);
    for (int64_t i = 1; i < boundaries->as.list.count; i++)
        if (number_of(&boundaries->as.list.items[i]) <= number_of(&boundaries->as.list.items[i - 1]))
            return dl_fail(DL_INVALID, "PiecewiseConstantDecay: boundaries must grow, got %g after %g",
                           number_of(&boundaries->as.list.items[i]), number_of(&boundaries->as.list.items[i - 1]));
    for (int64_t i = 0; i < options->values.as.list.count; i++)
        if (!(number_of(&options->values.as.list.items[i]) >= 0))
            return dl_fail(DL_INVALID, "PiecewiseConstantDecay: values must be at least 0, got %g",
                           number_of(&options->values.as.list.items[i]));
    return DL_OK;
}

static double piecewise_constant_decay_rate(const dl_object *schedule, int64_t iteration) {
    const dl_piecewise_constant_decay_options *options = DL_OPTIONS(schedule, dl_piecewise_constant_decay_options);
    int64_t place = 0;
    while (place < options->boundaries.as.list.count &&
           (double)iteration > number_of(&options->boundaries.as.list.items[place]))
        place++;
    return number_of(&options->values.as.list.items[place]);
}

static const dl_field piecewise_constant_decay_fields[] = {
    DL_VALUE_FIELD(dl_piecewise_constant_decay_options, boundaries, DL_REQUIRED, "the last step of each rate"),
    DL_VALUE_FIELD(dl_piecewise_constant_decay_options, values, DL_REQUIRED, "the rates, one more than boundaries"),
    DL_STRING(dl_piecewise_constant_decay_options, name, "PiecewiseConstant", DL_NONE_OK, "of the schedule"),
    DL_END};

DEFINE(piecewise_constant_decay, "PiecewiseConstantDecay", "piecewise_constant_decay",
       dl_piecewise_constant_decay_options, piecewise_init, "One rate up to each boundary, and one after the last.",
       NULL, NULL)

/* ---- cosine ------------------------------------------------------------------------------------------------------ */

static double cosine(double fraction, double alpha, double factor) {
    return (1 - alpha) * factor * 0.5 * (1 + cos(M_PI * fraction)) + alpha;
}

static double cosine_decay_rate(const dl_object *schedule, int64_t iteration) {
    const dl_cosine_decay_options *options = DL_OPTIONS(schedule, dl_cosine_decay_options);
    double step = (double)iteration;
    double length = (double)options->decay_steps;
    double first = options->initial_learning_rate;
    if (!isnan(options->warmup_target)) {
        double warmup = (double)options->warmup_steps;
        if (step < warmup)
            return first + (options->warmup_target - first) * step / warmup;
        step -= warmup;
        first = options->warmup_target;
    }
    return first * cosine(fmin(step, length) / length, options->alpha, 1);
}

static const dl_field cosine_decay_fields[] = {
    INITIAL(dl_cosine_decay_options),
    DL_INT(dl_cosine_decay_options, decay_steps, 0, 1, DL_HIGHEST, DL_REQUIRED, "steps of the fall"),
    DL_REAL(dl_cosine_decay_options, alpha, 0.0, 0.0, DL_HIGHEST, 0, "the last rate, as a share of the highest"),
    DL_STRING(dl_cosine_decay_options, name, "CosineDecay", DL_NONE_OK, "of the schedule"),
    DL_REAL(dl_cosine_decay_options, warmup_target, NAN, 0.0, DL_HIGHEST, DL_NONE_OK,
            "rate that a linear warm-up goes to; none: no warm-up"),
    DL_INT(dl_cosine_decay_options, warmup_steps, 0, 0, DL_HIGHEST, 0, "steps of the warm-up"),
    DL_END};

DEFINE(cosine_decay, "CosineDecay", "cosine_decay", dl_cosine_decay_options, NULL,
       "The rate falls along half a cosine, after a linear warm-up if one is wanted.",
       "initial_learning_rate * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha)",
       "Loshchilov and Hutter 2016")

/* Finds the fall that the step lies in by going through them: each is t_mul times as long as the one before. */
static double cosine_decay_restarts_rate(const dl_object *schedule, int64_t iteration) {
    const dl_cosine_decay_restarts_options *options = DL_OPTIONS(schedule, dl_cosine_decay_restarts_options);
    double step = (double)iteration;
    double length = (double)options->first_decay_steps;
    double restarts = 0;
    if (options->t_mul == 1) {
        restarts = floor(step / length);
        step -= restarts * length;
    }
    for (; step >= length; restarts++) {
        step -= length;
        length *= options->t_mul;
    }
    return options->initial_learning_rate * cosine(step / length, options->alpha, pow(options->m_mul, restarts));
}

static const dl_field cosine_decay_restarts_fields[] = {
    INITIAL(dl_cosine_decay_restarts_options),
    DL_INT(dl_cosine_decay_restarts_options, first_decay_steps, 0, 1, DL_HIGHEST, DL_REQUIRED,
           "steps of the first fall"),
    DL_REAL(dl_cosine_decay_restarts_options, t_mul, 2.0, 1.0, DL_HIGHEST, 0, "how much longer each fall is"),
    DL_REAL(dl_cosine_decay_restarts_options, m_mul, 1.0, 0.0, DL_HIGHEST, 0, "how much lower each fall begins"),
    DL_REAL(dl_cosine_decay_restarts_options, alpha, 0.0, 0.0, DL_HIGHEST, 0, "the lowest rate, as a share"),
    DL_STRING(dl_cosine_decay_restarts_options, name, "SGDRDecay", DL_NONE_OK, "of the schedule"),
    DL_END};

DEFINE(cosine_decay_restarts, "CosineDecayRestarts", "cosine_decay_restarts", dl_cosine_decay_restarts_options, NULL,
       "The rate falls along half a cosine, again and again.", NULL, "Loshchilov and Hutter 2016")

/* ---- warm-up ----------------------------------------------------------------------------------------------------- */

static double warm_up_rate(const dl_object *schedule, int64_t iteration) {
    const dl_warm_up_options *options = DL_OPTIONS(schedule, dl_warm_up_options);
    if (iteration >= options->warmup_steps)
        return dl_rate_at(&options->schedule, iteration - options->warmup_steps);
    double first = options->initial_learning_rate;
    double share = (double)iteration / (double)options->warmup_steps;
    return first + (dl_rate_at(&options->schedule, 0) - first) * share;
}

static const dl_field warm_up_fields[] = {
    DL_ALTERNATIVE(dl_warm_up_options, schedule, NULL, dl_learning_rates, DL_REQUIRED,
                   "what follows the warm-up: a schedule, or a number"),
    DL_INT(dl_warm_up_options, warmup_steps, 0, 0, DL_HIGHEST, DL_REQUIRED, "steps of the warm-up"),
    DL_REAL(dl_warm_up_options, initial_learning_rate, 0.0, 0.0, DL_HIGHEST, 0, "the rate of the first step"),
    DL_STRING(dl_warm_up_options, name, "WarmUp", DL_NONE_OK, "of the schedule"),
    DL_END};

DEFINE(warm_up, "WarmUp", "warm_up", dl_warm_up_options, NULL,
       "The rate grows along a line to the first of a schedule, which follows from there.",
       "initial + (schedule(0) - initial) * step / warmup_steps; then schedule(step - warmup_steps)",
       "Goyal et al. 2017")
