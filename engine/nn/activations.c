/* nn/activations.c: the activation functions by Keras's names, with Keras's defaults. Most are one operation; the
 * definition names it. */
#include <math.h>
#include <string.h>

#include "nn/families.h"

/* ---- calling ----------------------------------------------------------------------------------------------------- */

/* Copies the value of a field of the activation (a number or a boolean) into the operation's options. */
static void pass_option(const dl_object *activation, const dl_field *to, char *options) {
    const dl_field *from = dl_find_field(activation->definition->fields, to->name);
    if (!from || from->kind != to->kind)
        return;
    size_t size = from->kind == DL_FIELD_BOOL ? sizeof(bool) : sizeof(double);
    memcpy(options + to->offset, (const char *)activation->options + from->offset, size);
}

dl_status dl_activation_init(dl_object *object) {
    dl_activation *activation = (dl_activation *)object;
    const char *name = ((const dl_activation_def *)object->definition)->op;
    if (!name)
        return DL_OK;
    activation->op = dl_find_op(name);
    if (!activation->op || activation->op->definition.options_size > sizeof activation->options)
        return dl_fail(DL_NOT_FOUND, "activation '%s': there is no operation '%s' for it", object->definition->name,
                       name);
    dl_options_init(&activation->op->definition, activation->options, activation->op->definition.options_size);
    for (const dl_field *field = activation->op->definition.fields; field && field->name; field++)
        pass_option(object, field, (char *)activation->options);
    return DL_OK;
}

static dl_tensor *call_activation(const dl_activation *activation, dl_tensor *x) {
    if (activation->op)
        return dl_apply1(x->context, activation->op, &x, 1, activation->options);
    return ((const dl_activation_def *)activation->object.definition)->call(&activation->object, x);
}

/* True for an activation whose input a cross-entropy can use in place of its output. */
static bool makes_logits(const dl_object *activation, const dl_tensor *x) {
    if (activation->definition == &dl_activation_sigmoid.definition)
        return true;
    if (activation->definition != &dl_activation_softmax.definition)
        return false;
    int64_t axis = DL_OPTIONS(activation, dl_axis_activation_options)->axis;
    return axis == -1 || axis == x->dims - 1;
}

dl_tensor *dl_activate(dl_object *activation, dl_tensor *x) {
    if (!activation || !x)
        return x;
    dl_tensor *y = call_activation((const dl_activation *)activation, x);
    if (y && y != x && makes_logits(activation, x)) {
        dl_retain(x);
        dl_release(y->logits);
        y->logits = x;
        y->logits_of = activation->definition;
    }
    return y;
}

static bool is_plain_relu(const dl_relu_activation_options *options) {
    return options->negative_slope == 0 && isnan(options->max_value) && options->threshold == 0;
}

bool dl_activation_is_relu(const dl_object *activation) {
    return activation && activation->definition == &dl_activation_relu.definition &&
           is_plain_relu(DL_OPTIONS(activation, dl_relu_activation_options));
}

/* ---- those that are not one operation ---------------------------------------------------------------------------- */

static dl_tensor *call_linear(const dl_object *activation, dl_tensor *x) {
    (void)activation;
    return x;
}

/* Keras's general relu: x above the threshold, kept below max_value, minus slope * max(threshold - x, 0). */
dl_tensor *dl_general_relu(dl_tensor *x, double negative_slope, double max_value, double threshold) {
    dl_context *context = x->context;
    dl_tensor *above = dl_relu(context, x);
    if (threshold != 0) {
        dl_tensor *limit = dl_scalar(context, x->dtype, threshold);
        above = dl_where(context, dl_gt(context, x, limit), x, dl_scalar(context, x->dtype, 0));
    }
    if (!isnan(max_value))
        above = dl_clamp(context, above, 0, max_value);
    if (negative_slope == 0)
        return above;
    dl_tensor *below = dl_relu(context, dl_add_number(context, dl_neg(context, x), threshold));
    return dl_sub(context, above, dl_mul_number(context, below, negative_slope));
}

static dl_tensor *call_relu(const dl_object *activation, dl_tensor *x) {
    const dl_relu_activation_options *options = DL_OPTIONS(activation, dl_relu_activation_options);
    if (is_plain_relu(options))
        return dl_relu(x->context, x);
    size_t scope = dl_scope_begin(x->context);
    dl_tensor *y = dl_general_relu(x, options->negative_slope, options->max_value, options->threshold);
    return dl_scope_end(x->context, scope, y);
}

/* A function of this signature for each operation along an axis. */
#define CALL_ALONG_AXIS(function)                                                                                      \
    static dl_tensor *call_##function(const dl_object *activation, dl_tensor *x) {                                     \
        return dl_##function(x->context, x, DL_OPTIONS(activation, dl_axis_activation_options)->axis);                 \
    }
CALL_ALONG_AXIS(softmax)
CALL_ALONG_AXIS(log_softmax)
CALL_ALONG_AXIS(sparsemax)
CALL_ALONG_AXIS(glu)

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field no_fields[] = {DL_END};

static const dl_field relu_fields[] = {
    DL_REAL(dl_relu_activation_options, negative_slope, 0.0, DL_LOWEST, DL_HIGHEST, 0, "slope below the threshold"),
    DL_REAL(dl_relu_activation_options, max_value, NAN, 0.0, DL_HIGHEST, DL_NONE_OK, "largest output; none: no limit"),
    DL_REAL(dl_relu_activation_options, threshold, 0.0, DL_LOWEST, DL_HIGHEST, 0, "inputs at or below it become 0"),
    DL_END};
static const dl_field slope_fields[] = {
    DL_REAL(dl_slope_activation_options, negative_slope, 0.2, DL_LOWEST, DL_HIGHEST, 0, "slope where x < 0"), DL_END};
static const dl_field elu_fields[] = {
    DL_REAL(dl_alpha_activation_options, alpha, 1.0, 0.0, DL_HIGHEST, 0, "the limit for x -> -inf is -alpha"), DL_END};
static const dl_field celu_fields[] = {
    DL_REAL(dl_alpha_activation_options, alpha, 1.0, 0.0, DL_HIGHEST, DL_OPEN_MIN, "the limit for x -> -inf is -alpha"),
    DL_END};
static const dl_field gelu_fields[] = {
    DL_BOOL(dl_gelu_activation_options, approximate, false, 0, "use the formula with tanh"), DL_END};
static const dl_field axis_fields[] = {
    DL_INT(dl_axis_activation_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension it runs along"),
    DL_END};
static const dl_field shrink_fields[] = {
    DL_REAL(dl_shrink_activation_options, threshold, 0.5, 0.0, DL_HIGHEST, 0, "smaller |x| become 0"), DL_END};
static const dl_field threshold_fields[] = {
    DL_REAL(dl_threshold_activation_options, threshold, 0.0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED,
            "largest x that is replaced"),
    DL_REAL(dl_threshold_activation_options, default_value, 0.0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED,
            "what replaces it"),
    DL_END};
static const dl_field squareplus_fields[] = {
    DL_REAL(dl_squareplus_activation_options, b, 4.0, 0.0, DL_HIGHEST, 0, "smoothness"), DL_END};

#define DEFINE(symbol, name_, aliases_, fields_, type, op_, call_, help_, formula_)                                    \
    const dl_activation_def dl_activation_##symbol = {                                                                 \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_, .formula = formula_,           \
                       .shapes = "any shape -> the same", .fields = fields_, .options_size = sizeof(type)},            \
        .op = op_,                                                                                                     \
        .call = call_};
/* A function without options that is an operation of the same name. */
#define DEFINE_PLAIN(symbol, name_, aliases_, help_, formula_)                                                         \
    DEFINE(symbol, name_, aliases_, no_fields, dl_no_options, name_, NULL, help_, formula_)

DEFINE(linear, "linear", NULL, no_fields, dl_no_options, NULL, call_linear, "the input itself", "x")
DEFINE(relu, "relu", NULL, relu_fields, dl_relu_activation_options, NULL, call_relu, "rectified linear unit",
       "max(x, 0)")
DEFINE_PLAIN(relu6, "relu6", NULL, "rectified linear unit, at most 6", "min(max(x, 0), 6)")
DEFINE(leaky_relu, "leaky_relu", NULL, slope_fields, dl_slope_activation_options, "leaky_relu", NULL,
       "relu with a small slope below 0", "x if x > 0, else negative_slope * x")
DEFINE(elu, "elu", NULL, elu_fields, dl_alpha_activation_options, "elu", NULL,
       "exponential linear unit (Clevert et al. 2015)", "x if x > 0, else alpha * (e^x - 1)")
DEFINE_PLAIN(selu, "selu", NULL, "scaled exponential linear unit (Klambauer et al. 2017)",
             "1.0507 * (x if x > 0, else 1.6733 * (e^x - 1))")
DEFINE(celu, "celu", NULL, celu_fields, dl_alpha_activation_options, "celu", NULL,
       "continuously differentiable exponential linear unit (Barron 2017)",
       "max(x, 0) + min(0, alpha * (e^(x / alpha) - 1))")
DEFINE(gelu, "gelu", NULL, gelu_fields, dl_gelu_activation_options, "gelu", NULL,
       "Gaussian error linear unit (Hendrycks and Gimpel 2016)", "x * (1 + erf(x / sqrt(2))) / 2")
DEFINE_PLAIN(silu, "silu", "swish", "sigmoid linear unit, also called swish", "x * sigmoid(x)")
DEFINE_PLAIN(mish, "mish", NULL, "Misra 2019", "x * tanh(softplus(x))")
DEFINE_PLAIN(softplus, "softplus", NULL, "a smooth max(x, 0)", "ln(1 + e^x)")
DEFINE_PLAIN(softsign, "softsign", NULL, "slower than tanh towards -1 and 1", "x / (1 + |x|)")
DEFINE_PLAIN(sigmoid, "sigmoid", NULL, "logistic function; losses use the logits behind it", "1 / (1 + e^-x)")
DEFINE_PLAIN(hard_sigmoid, "hard_sigmoid", NULL, "sigmoid made of three lines", "min(max(x + 3, 0), 6) / 6")
DEFINE_PLAIN(hard_silu, "hard_silu", "hard_swish", "silu with a hard sigmoid", "x * min(max(x + 3, 0), 6) / 6")
DEFINE_PLAIN(hard_tanh, "hard_tanh", NULL, "tanh made of three lines", "min(max(x, -1), 1)")
DEFINE_PLAIN(tanh, "tanh", NULL, "hyperbolic tangent", "(e^x - e^-x) / (e^x + e^-x)")
DEFINE(softmax, "softmax", NULL, axis_fields, dl_axis_activation_options, NULL, call_softmax,
       "probabilities that sum to 1 along an axis; losses use the logits behind it", "e^x / sum(e^x)")
DEFINE(log_softmax, "log_softmax", NULL, axis_fields, dl_axis_activation_options, NULL, call_log_softmax,
       "logarithm of softmax", "x - ln(sum(e^x))")
DEFINE_PLAIN(log_sigmoid, "log_sigmoid", NULL, "logarithm of the logistic function", "ln(1 / (1 + e^-x))")
DEFINE(exponential, "exponential", NULL, no_fields, dl_no_options, "exp", NULL, "exponential", "e^x")
DEFINE(soft_shrink, "soft_shrink", NULL, shrink_fields, dl_shrink_activation_options, "soft_shrink", NULL,
       "soft threshold", "x - threshold if x > threshold, x + threshold if x < -threshold, else 0")
DEFINE(hard_shrink, "hard_shrink", NULL, shrink_fields, dl_shrink_activation_options, "hard_shrink", NULL,
       "hard threshold", "x if |x| > threshold, else 0")
DEFINE_PLAIN(tanh_shrink, "tanh_shrink", NULL, "what tanh takes away", "x - tanh(x)")
DEFINE(threshold, "threshold", NULL, threshold_fields, dl_threshold_activation_options, "threshold", NULL,
       "small elements replaced by a value", "x if x > threshold, else default_value")
DEFINE(squareplus, "squareplus", NULL, squareplus_fields, dl_squareplus_activation_options, "squareplus", NULL,
       "a smooth relu without exponentials (Barron 2021)", "(x + sqrt(x^2 + b)) / 2")
DEFINE_PLAIN(sparse_plus, "sparse_plus", NULL, "the integral of sparse_sigmoid",
             "0 if x <= -1, (x + 1)^2 / 4 if -1 < x < 1, else x")
DEFINE_PLAIN(sparse_sigmoid, "sparse_sigmoid", NULL, "sigmoid made of three lines between -1 and 1",
             "min(max((x + 1) / 2, 0), 1)")
DEFINE(sparsemax, "sparsemax", NULL, axis_fields, dl_axis_activation_options, NULL, call_sparsemax,
       "the nearest probabilities to x: many are 0 (Martins and Astudillo 2016)", "max(x - tau, 0) with sum 1")
DEFINE(glu, "glu", NULL, axis_fields, dl_axis_activation_options, NULL, call_glu,
       "gated linear unit: halves the axis (Dauphin et al. 2016)", "first half * sigmoid(second half)")
