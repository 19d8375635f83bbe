/* nn/regularizers.c: penalties on weights or on a layer's output that are added to the loss. */
#include "nn/nn.h"

dl_tensor *dl_regularize(const dl_object *regularizer, dl_tensor *weight) {
    return ((const dl_regularizer_def *)regularizer->definition)->call(regularizer, weight);
}

static dl_tensor *sum_of_absolutes(dl_tensor *weight, double factor) {
    dl_context *context = weight->context;
    return dl_mul_number(context, dl_sum_all(context, dl_abs(context, weight)), factor);
}

static dl_tensor *sum_of_squares(dl_tensor *weight, double factor) {
    dl_context *context = weight->context;
    return dl_mul_number(context, dl_sum_all(context, dl_square(context, weight)), factor);
}

static dl_tensor *call_l1_l2(const dl_object *regularizer, dl_tensor *weight) {
    const dl_l1_l2_options *options = DL_OPTIONS(regularizer, dl_l1_l2_options);
    if (options->l2 == 0)
        return sum_of_absolutes(weight, options->l1);
    if (options->l1 == 0)
        return sum_of_squares(weight, options->l2);
    return dl_add(weight->context, sum_of_absolutes(weight, options->l1), sum_of_squares(weight, options->l2));
}

static dl_tensor *call_l1(const dl_object *regularizer, dl_tensor *weight) {
    return sum_of_absolutes(weight, DL_OPTIONS(regularizer, dl_l1_l2_options)->l1);
}

static dl_tensor *call_l2(const dl_object *regularizer, dl_tensor *weight) {
    return sum_of_squares(weight, DL_OPTIONS(regularizer, dl_l1_l2_options)->l2);
}

static const dl_field l1_fields[] = {
    DL_REAL(dl_l1_l2_options, l1, 0.01, 0.0, DL_HIGHEST, 0, "factor of the sum of absolute values"), DL_END};
static const dl_field l2_fields[] = {
    DL_REAL(dl_l1_l2_options, l2, 0.01, 0.0, DL_HIGHEST, 0, "factor of the sum of squares"), DL_END};
static const dl_field l1_l2_fields[] = {
    DL_REAL(dl_l1_l2_options, l1, 0.0, 0.0, DL_HIGHEST, 0, "factor of the sum of absolute values"),
    DL_REAL(dl_l1_l2_options, l2, 0.0, 0.0, DL_HIGHEST, 0, "factor of the sum of squares"), DL_END};

#define DEFINE(symbol, name_, aliases_, help_, formula_)                                                               \
    const dl_regularizer_def dl_regularizer_##symbol = {                                                               \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_, .formula = formula_,           \
                       .fields = symbol##_fields, .options_size = sizeof(dl_l1_l2_options)},                           \
        .call = call_##symbol};

DEFINE(l1, "L1", "l1", "drives small weights to zero", "l1 * sum(|w|)")
DEFINE(l2, "L2", "l2", "keeps weights small", "l2 * sum(w^2)")
DEFINE(l1_l2, "L1L2", "l1_l2", "both", "l1 * sum(|w|) + l2 * sum(w^2)")
