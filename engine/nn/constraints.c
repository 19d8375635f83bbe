/* nn/constraints.c: what weights keep to after each step of training: norms of vectors, or signs.
 *
 * Always true: apply changes the weight in place and allocates nothing, so it may be part of a step's commit. */
#include <math.h>

#include "nn/families.h"

static const dl_constraint_def *definition_of(const dl_object *constraint) {
    return (const dl_constraint_def *)constraint->definition;
}

dl_status dl_constraint_init(dl_object *object) {
    return definition_of(object)->init ? definition_of(object)->init(object) : DL_OK;
}

dl_status dl_check_constraint(const dl_object *constraint, const dl_tensor *weight) {
    if (!dl_dtype_is_float(weight->dtype))
        return dl_fail(DL_DTYPE, "%s is for float weights, got %s", constraint->definition->name,
                       dl_dtype_name(weight->dtype));
    return definition_of(constraint)->check ? definition_of(constraint)->check(constraint, weight) : DL_OK;
}

void dl_constrain(const dl_object *constraint, dl_tensor *weight) {
    definition_of(constraint)->apply(constraint, weight);
    dl_tensor_bump(weight);
}

dl_tensor *dl_constrained(const dl_object *constraint, dl_tensor *weight) {
    if (dl_check_constraint(constraint, weight) != DL_OK)
        return NULL;
    dl_tensor *result = dl_clone(weight->context, dl_detach(weight));
    if (result)
        dl_constrain(constraint, result);
    return result;
}

/* ---- norms ------------------------------------------------------------------------------------------------------- */

/* The elements of a tensor by their place along the dimensions that make vectors, and along the others. */
typedef struct vectors {
    int64_t count, length;                   /* vectors, and elements of each */
    int kept, summed;                        /* dimensions of either kind */
    int64_t kept_sizes[DL_MAX_DIMS], kept_strides[DL_MAX_DIMS];
    int64_t summed_sizes[DL_MAX_DIMS], summed_strides[DL_MAX_DIMS];
} vectors;

static vectors split(const dl_tensor *weight, const dl_ints *axis) {
    vectors v = {.count = 1, .length = 1};
    bool sums[DL_MAX_DIMS] = {false};
    int64_t stride = 1;
    for (int i = 0; i < axis->count; i++)
        sums[axis->at[i] < 0 ? axis->at[i] + weight->dims : axis->at[i]] = true;
    for (int d = weight->dims - 1; d >= 0; d--) {
        int64_t size = weight->shape[d];
        if (sums[d]) {
            v.summed_sizes[v.summed] = size;
            v.summed_strides[v.summed++] = stride;
            v.length *= size;
        } else {
            v.kept_sizes[v.kept] = size;
            v.kept_strides[v.kept++] = stride;
            v.count *= size;
        }
        stride *= size;
    }
    return v;
}

/* Where the index-th element lies; the dimensions are last first. */
static int64_t place_of(int64_t index, int dims, const int64_t *sizes, const int64_t *strides) {
    int64_t place = 0;
    for (int d = 0; d < dims; d++) {
        place += index % sizes[d] * strides[d];
        index /= sizes[d];
    }
    return place;
}

static double read_element(const dl_tensor *tensor, int64_t place) {
    return tensor->dtype == DL_FLOAT32 ? DL_DATA(tensor, float)[place] : DL_DATA(tensor, double)[place];
}

static void write_element(dl_tensor *tensor, int64_t place, double value) {
    if (tensor->dtype == DL_FLOAT32)
        DL_DATA(tensor, float)[place] = (float)value;
    else
        DL_DATA(tensor, double)[place] = value;
}

#define EPSILON 1e-7 /* Keras's, which keeps a norm of zero from a division by it */

/* The norm that takes the place of a vector's norm. All three constraints are MinMaxNorm with some of its options. */
typedef struct norm_rule {
    double min_value, max_value, rate;
} norm_rule;

static double wanted_norm(const norm_rule *rule, double norm) {
    double clipped = fmin(fmax(norm, rule->min_value), rule->max_value);
    return rule->rate * clipped + (1 - rule->rate) * norm;
}

enum { MOST_LANES = 64 }; /* vectors at a time: neighbours, so that memory is read in order */

static void scale_vectors(dl_tensor *weight, const vectors *v, int64_t first, int64_t lanes, const norm_rule *rule) {
    double factors[MOST_LANES] = {0};
    int64_t places[MOST_LANES];
    for (int64_t k = 0; k < lanes; k++)
        places[k] = place_of(first + k, v->kept, v->kept_sizes, v->kept_strides);
    for (int64_t i = 0; i < v->length; i++) {
        int64_t at = place_of(i, v->summed, v->summed_sizes, v->summed_strides);
        for (int64_t k = 0; k < lanes; k++) {
            double x = read_element(weight, places[k] + at);
            factors[k] += x * x;
        }
    }
    for (int64_t k = 0; k < lanes; k++) {
        double norm = sqrt(factors[k]);
        factors[k] = wanted_norm(rule, norm) / (EPSILON + norm);
    }
    for (int64_t i = 0; i < v->length; i++) {
        int64_t at = place_of(i, v->summed, v->summed_sizes, v->summed_strides);
        for (int64_t k = 0; k < lanes; k++)
            write_element(weight, places[k] + at, read_element(weight, places[k] + at) * factors[k]);
    }
}

static void scale_all(const dl_object *constraint, dl_tensor *weight, const norm_rule *rule) {
    vectors v = split(weight, &DL_OPTIONS(constraint, dl_norm_constraint_options)->axis);
    for (int64_t first = 0; first < v.count; first += MOST_LANES)
        scale_vectors(weight, &v, first, DL_MIN(v.count - first, MOST_LANES), rule);
}

static dl_status check_axis(const dl_object *constraint, const dl_tensor *weight) {
    const dl_ints *axis = &DL_OPTIONS(constraint, dl_norm_constraint_options)->axis;
    for (int i = 0; i < axis->count; i++)
        if (axis->at[i] >= weight->dims || axis->at[i] < -weight->dims)
            return dl_fail(DL_INVALID, "%s: axis names dimension %lld of a weight %s, which has %d",
                           constraint->definition->name, (long long)(axis->at[i] + (axis->at[i] >= 0)),
                           dl_tensor_text(weight).at, weight->dims);
    return DL_OK;
}

/* ---- MaxNorm, MinMaxNorm, UnitNorm ------------------------------------------------------------------------------- */

static void apply_max_norm(const dl_object *constraint, dl_tensor *weight) {
    scale_all(constraint, weight,
              &(norm_rule){0, DL_OPTIONS(constraint, dl_norm_constraint_options)->max_value, 1});
}

static void apply_unit_norm(const dl_object *constraint, dl_tensor *weight) {
    scale_all(constraint, weight, &(norm_rule){1, 1, 1});
}

static void apply_min_max_norm(const dl_object *constraint, dl_tensor *weight) {
    const dl_norm_constraint_options *options = DL_OPTIONS(constraint, dl_norm_constraint_options);
    scale_all(constraint, weight, &(norm_rule){options->min_value, options->max_value, options->rate});
}

static dl_status init_min_max_norm(const dl_object *constraint) {
    const dl_norm_constraint_options *options = DL_OPTIONS(constraint, dl_norm_constraint_options);
    if (options->min_value > options->max_value)
        return dl_fail(DL_INVALID, "MinMaxNorm: min_value (%g) must be at most max_value (%g)", options->min_value,
                       options->max_value);
    return DL_OK;
}

#define TYPE dl_norm_constraint_options
#define AXIS_FIELD                                                                                                     \
    DL_INTS(TYPE, axis, "0", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION,                                                    \
            "the dimensions of a weight whose elements make one vector: {1, 2, 3} for the filters of Conv2D")
static const dl_field max_norm_fields[] = {
    DL_REAL(TYPE, max_value, 2.0, 0.0, DL_HIGHEST, 0, "what no norm is above"), AXIS_FIELD, DL_END};
static const dl_field min_max_norm_fields[] = {
    DL_REAL(TYPE, min_value, 0.0, 0.0, DL_HIGHEST, 0, "what no norm is below"),
    DL_REAL(TYPE, max_value, 1.0, 0.0, DL_HIGHEST, 0, "what no norm is above"),
    DL_REAL(TYPE, rate, 1.0, 0.0, 1.0, 0, "how much of the way to these a step goes"), AXIS_FIELD, DL_END};
static const dl_field unit_norm_fields[] = {AXIS_FIELD, DL_END};

const dl_constraint_def dl_constraint_max_norm = {
    .definition = {.name = "MaxNorm", .aliases = "max_norm", .version = 1,
                   .help = "Scales vectors of weights that are too long.", .formula = "w min(|w|, max_value) / |w|",
                   .source = "Srivastava et al. 2014", .fields = max_norm_fields, .options_size = sizeof(TYPE)},
    .check = check_axis, .apply = apply_max_norm};

const dl_constraint_def dl_constraint_min_max_norm = {
    .definition = {.name = "MinMaxNorm", .aliases = "min_max_norm", .version = 1,
                   .help = "Scales vectors of weights that are too long or too short.",
                   .formula = "w (rate clip(|w|, min_value, max_value) + (1 - rate) |w|) / |w|",
                   .fields = min_max_norm_fields, .options_size = sizeof(TYPE)},
    .init = init_min_max_norm, .check = check_axis, .apply = apply_min_max_norm};

const dl_constraint_def dl_constraint_unit_norm = {
    .definition = {.name = "UnitNorm", .aliases = "unit_norm", .version = 1,
                   .help = "Scales vectors of weights to the length 1.", .formula = "w / |w|",
                   .fields = unit_norm_fields, .options_size = sizeof(TYPE)},
    .check = check_axis, .apply = apply_unit_norm};
#undef TYPE

/* ---- NonNeg ------------------------------------------------------------------------------------------------------ */

static void apply_non_neg(const dl_object *constraint, dl_tensor *weight) {
    (void)constraint;
    for (int64_t i = 0; i < dl_tensor_numel(weight); i++)
        if (read_element(weight, i) < 0)
            write_element(weight, i, 0);
}

static const dl_field non_neg_fields[] = {DL_END};

const dl_constraint_def dl_constraint_non_neg = {
    .definition = {.name = "NonNeg", .aliases = "non_neg", .version = 1, .help = "Makes negative weights 0.",
                   .formula = "max(w, 0)", .fields = non_neg_fields, .options_size = sizeof(dl_no_options)},
    .apply = apply_non_neg};
