/* nn/initializers.c: the first values of weights, with Keras's formulas. An initializer without a seed draws from the
 * layer's stream; one with a seed gives the same numbers each time. */
#include <math.h>
#include <string.h>

#include "nn/nn.h"

dl_status dl_initialize(dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    if (!initializer)
        return dl_tensor_fill(tensor, 0);
    return ((const dl_initializer_def *)initializer->definition)->fill(initializer, stream, tensor);
}

/* The stream to draw from: `own` is set up and used if there is a seed. */
static dl_stream *choose_stream(int64_t seed, dl_stream *own, dl_stream *layer) {
    if (seed == DL_NONE)
        return layer;
    *own = (dl_stream){.seed = (uint64_t)seed};
    return own;
}

/* ---- constants --------------------------------------------------------------------------------------------------- */

static dl_status fill_zeros(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    (void)initializer;
    (void)stream;
    return dl_tensor_fill(tensor, 0);
}

static dl_status fill_ones(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    (void)initializer;
    (void)stream;
    return dl_tensor_fill(tensor, 1);
}

static dl_status fill_constant(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    (void)stream;
    return dl_tensor_fill(tensor, DL_OPTIONS(initializer, dl_constant_initializer_options)->value);
}

static void write_element(dl_tensor *tensor, int64_t index, double value) {
    if (tensor->dtype == DL_FLOAT32)
        DL_DATA(tensor, float)[index] = (float)value;
    else
        DL_DATA(tensor, double)[index] = value;
}

static dl_status fill_identity(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    (void)stream;
    if (tensor->dims != 2)
        return dl_fail(DL_SHAPE, "the Identity initializer makes matrices only, got the shape %s",
                       dl_tensor_text(tensor).at);
    DL_TRY(dl_tensor_fill(tensor, 0));
    int64_t columns = tensor->shape[1];
    double gain = DL_OPTIONS(initializer, dl_gain_initializer_options)->gain;
    for (int64_t i = 0; i < DL_MIN(tensor->shape[0], columns); i++)
        write_element(tensor, i * columns + i, gain);
    return DL_OK;
}

/* ---- plain distributions ----------------------------------------------------------------------------------------- */

static dl_status fill_random_normal(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    const dl_random_normal_options *options = DL_OPTIONS(initializer, dl_random_normal_options);
    dl_stream own;
    return dl_normal_(tensor, choose_stream(options->seed, &own, stream), options->mean, options->stddev);
}

static dl_status fill_truncated_normal(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    const dl_random_normal_options *options = DL_OPTIONS(initializer, dl_random_normal_options);
    dl_stream own;
    return dl_truncated_normal_(tensor, choose_stream(options->seed, &own, stream), options->mean, options->stddev);
}

static dl_status fill_random_uniform(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    const dl_random_uniform_options *options = DL_OPTIONS(initializer, dl_random_uniform_options);
    dl_stream own;
    return dl_uniform_(tensor, choose_stream(options->seed, &own, stream), options->minval, options->maxval);
}

/* ---- variance scaling -------------------------------------------------------------------------------------------- */

/* Inputs and outputs of one unit: for kernels (..., in, out) both times the size of the window. */
static void compute_fans(const dl_tensor *tensor, double *fan_in, double *fan_out) {
    const int64_t *shape = tensor->shape;
    int dims = tensor->dims;
    double window = 1;
    for (int i = 0; i < dims - 2; i++)
        window *= (double)shape[i];
    *fan_in = dims == 0 ? 1 : dims == 1 ? (double)shape[0] : (double)shape[dims - 2] * window;
    *fan_out = dims == 0 ? 1 : (double)shape[dims - 1] * window;
}

static dl_status scale_variance(dl_tensor *tensor, dl_stream *stream, int64_t seed, double scale, int mode,
                                int distribution) {
    /* The standard deviation of a normal distribution that is cut at two of them. */
    const double truncated_deviation = 0.87962566103423978;
    double fan_in = 0;
    double fan_out = 0;
    compute_fans(tensor, &fan_in, &fan_out);
    double fan = mode == DL_FAN_IN ? fan_in : mode == DL_FAN_OUT ? fan_out : (fan_in + fan_out) / 2;
    scale /= fmax(1.0, fan);
    dl_stream own;
    stream = choose_stream(seed, &own, stream);
    if (distribution == DL_VARIANCE_TRUNCATED_NORMAL)
        return dl_truncated_normal_(tensor, stream, 0, sqrt(scale) / truncated_deviation);
    if (distribution == DL_VARIANCE_UNTRUNCATED_NORMAL)
        return dl_normal_(tensor, stream, 0, sqrt(scale));
    double limit = sqrt(3 * scale);
    return dl_uniform_(tensor, stream, -limit, limit);
}

static dl_status fill_variance_scaling(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    const dl_variance_scaling_options *options = DL_OPTIONS(initializer, dl_variance_scaling_options);
    return scale_variance(tensor, stream, options->seed, options->scale, options->mode, options->distribution);
}

/* ---- orthogonal -------------------------------------------------------------------------------------------------- */

/* Makes the `count` vectors of `length` numbers orthonormal, one after the other (Gram and Schmidt, each twice, which
 * is as exact as Householder's way: Giraud et al. 2005). The result is QR's Q with a positive diagonal of R. */
static void orthonormalize(double *vectors, int64_t count, int64_t length) {
    for (int64_t k = 0; k < count; k++) {
        double *v = vectors + k * length;
        for (int64_t j = 0; j < 2 * k; j++) {
            const double *u = vectors + j % k * length;
            double product = 0;
            for (int64_t i = 0; i < length; i++)
                product += u[i] * v[i];
            for (int64_t i = 0; i < length; i++)
                v[i] -= product * u[i];
        }
        double square = 0;
        for (int64_t i = 0; i < length; i++)
            square += v[i] * v[i];
        double inverse = square > 0 ? 1 / sqrt(square) : 0;
        for (int64_t i = 0; i < length; i++)
            v[i] *= inverse;
    }
}

/* The tensor is the matrix (product of the other dimensions, last dimension); its columns become orthogonal, or its
 * rows if it is wide. */
static dl_status fill_orthogonal(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {
    const dl_gain_initializer_options *options = DL_OPTIONS(initializer, dl_gain_initializer_options);
    if (tensor->dims < 2)
        return dl_fail(DL_SHAPE, "the Orthogonal initializer takes shapes of 2 or more dimensions, got %s",
                       dl_tensor_text(tensor).at);
    int64_t columns = tensor->shape[tensor->dims - 1];
    int64_t rows = columns ? dl_tensor_numel(tensor) / columns : 0;
    int64_t count = DL_MIN(rows, columns);
    int64_t length = DL_MAX(rows, columns);
    if (count == 0)
        return DL_OK;
    int64_t shape[2] = {count, length};
    dl_tensor *vectors = dl_tensor_new(tensor->context, DL_FLOAT64, 2, shape);
    if (!vectors)
        return dl_last_status();
    dl_stream own;
    dl_status status = dl_normal_(vectors, choose_stream(options->seed, &own, stream), 0, 1);
    if (status == DL_OK) {
        const double *v = DL_DATA(vectors, double);
        orthonormalize(DL_DATA(vectors, double), count, length);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                write_element(tensor, r * columns + c,
                              options->gain * (rows < columns ? v[r * length + c] : v[c * length + r]));
    }
    dl_release(vectors);
    return status;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field no_fields[] = {DL_END};
static const char seed_help[] = "the same numbers each time; none: drawn anew from the layer's stream";
#define SEED(type) DL_INT(type, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK, seed_help)

static const dl_field constant_fields[] = {
    DL_REAL(dl_constant_initializer_options, value, 0.0, DL_LOWEST, DL_HIGHEST, 0, "of each element"), DL_END};
static const dl_field normal_fields[] = {
    DL_REAL(dl_random_normal_options, mean, 0.0, DL_LOWEST, DL_HIGHEST, 0, "centre of the distribution"),
    DL_REAL(dl_random_normal_options, stddev, 0.05, 0.0, DL_HIGHEST, 0, "standard deviation"),
    SEED(dl_random_normal_options), DL_END};
static const dl_field uniform_fields[] = {
    DL_REAL(dl_random_uniform_options, minval, -0.05, DL_LOWEST, DL_HIGHEST, 0, "smallest value"),
    DL_REAL(dl_random_uniform_options, maxval, 0.05, DL_LOWEST, DL_HIGHEST, 0, "values stay below it"),
    SEED(dl_random_uniform_options), DL_END};
static const dl_field variance_scaling_fields[] = {
    DL_REAL(dl_variance_scaling_options, scale, 1.0, 0.0, DL_HIGHEST, DL_OPEN_MIN, "variance times fan"),
    DL_ENUM(dl_variance_scaling_options, mode, "fan_in", "fan_in|fan_out|fan_avg", 0, "which fan"),
    DL_ENUM(dl_variance_scaling_options, distribution, "truncated_normal",
            "truncated_normal|untruncated_normal|uniform", 0, "what is drawn"),
    SEED(dl_variance_scaling_options), DL_END};
static const dl_field seed_fields[] = {SEED(dl_seed_initializer_options), DL_END};
static const dl_field identity_fields[] = {
    DL_REAL(dl_gain_initializer_options, gain, 1.0, DL_LOWEST, DL_HIGHEST, 0, "of the diagonal"), DL_END};
static const dl_field orthogonal_fields[] = {
    DL_REAL(dl_gain_initializer_options, gain, 1.0, DL_LOWEST, DL_HIGHEST, 0, "length of the vectors"),
    SEED(dl_gain_initializer_options), DL_END};

#define DEFINE(symbol, name_, aliases_, fields_, type, help_, formula_, source_)                                       \
    const dl_initializer_def dl_initializer_##symbol = {                                                               \
        .definition = {.name = name_, .aliases = aliases_, .version = 1, .help = help_, .formula = formula_,           \
                       .source = source_, .fields = fields_, .options_size = sizeof(type)},                            \
        .fill = fill_##symbol};

DEFINE(zeros, "Zeros", "zeros", no_fields, dl_no_options, "zeros", "0", NULL)
DEFINE(ones, "Ones", "ones", no_fields, dl_no_options, "ones", "1", NULL)
DEFINE(constant, "Constant", "constant", constant_fields, dl_constant_initializer_options, "one value", "value", NULL)
DEFINE(identity, "Identity", "identity|IdentityInitializer", identity_fields, dl_gain_initializer_options,
       "the identity matrix", "gain on the diagonal, else 0", NULL)
DEFINE(random_normal, "RandomNormal", "random_normal|normal", normal_fields, dl_random_normal_options,
       "normal distribution", "N(mean, stddev^2)", NULL)
DEFINE(random_uniform, "RandomUniform", "random_uniform|uniform", uniform_fields, dl_random_uniform_options,
       "uniform distribution", "U(minval, maxval)", NULL)
DEFINE(truncated_normal, "TruncatedNormal", "truncated_normal", normal_fields, dl_random_normal_options,
       "normal distribution without what lies more than two standard deviations off", "N(mean, stddev^2), cut", NULL)
DEFINE(variance_scaling, "VarianceScaling", "variance_scaling", variance_scaling_fields, dl_variance_scaling_options,
       "keeps the variance of signals by the weights' fans", "variance scale / fan", NULL)
DEFINE(orthogonal, "Orthogonal", "orthogonal|OrthogonalInitializer", orthogonal_fields, dl_gain_initializer_options,
       "orthogonal columns, or rows if the matrix is wide", "Q of a random matrix's QR, times gain",
       "Saxe et al. 2013")

/* Variance scaling with everything but the seed given. */
#define DEFINE_SCALED(symbol, name_, alias, scale, mode, distribution, help_, formula_, source_)                       \
    static dl_status fill_##symbol(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor) {               \
        int64_t seed = DL_OPTIONS(initializer, dl_seed_initializer_options)->seed;                                     \
        return scale_variance(tensor, stream, seed, scale, mode, distribution);                                        \
    }                                                                                                                  \
    DEFINE(symbol, name_, alias, seed_fields, dl_seed_initializer_options, help_, formula_, source_)

DEFINE_SCALED(glorot_uniform, "GlorotUniform", "glorot_uniform", 1, DL_FAN_AVG, DL_VARIANCE_UNIFORM,
              "uniform, for layers with a symmetric activation", "U(-l, l), l = sqrt(6 / (fan_in + fan_out))",
              "Glorot and Bengio 2010")
DEFINE_SCALED(glorot_normal, "GlorotNormal", "glorot_normal", 1, DL_FAN_AVG, DL_VARIANCE_TRUNCATED_NORMAL,
              "truncated normal, for layers with a symmetric activation", "stddev sqrt(2 / (fan_in + fan_out))",
              "Glorot and Bengio 2010")
DEFINE_SCALED(he_uniform, "HeUniform", "he_uniform", 2, DL_FAN_IN, DL_VARIANCE_UNIFORM, "uniform, for relu",
              "U(-l, l), l = sqrt(6 / fan_in)", "He et al. 2015")
DEFINE_SCALED(he_normal, "HeNormal", "he_normal", 2, DL_FAN_IN, DL_VARIANCE_TRUNCATED_NORMAL,
              "truncated normal, for relu", "stddev sqrt(2 / fan_in)", "He et al. 2015")
DEFINE_SCALED(lecun_uniform, "LecunUniform", "lecun_uniform", 1, DL_FAN_IN, DL_VARIANCE_UNIFORM, "uniform, for selu",
              "U(-l, l), l = sqrt(3 / fan_in)", "LeCun et al. 1998")
DEFINE_SCALED(lecun_normal, "LecunNormal", "lecun_normal", 1, DL_FAN_IN, DL_VARIANCE_TRUNCATED_NORMAL,
              "truncated normal, for selu", "stddev sqrt(1 / fan_in)", "LeCun et al. 1998")
