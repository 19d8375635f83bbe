/* dlua/layers.h: what is registered of each family in dlua/nn.h, and the options of each. Keras's names, order and
 * defaults. To add a layer: its definition in one file, its row in the table here.
 *
 *      dl_dense_options options;
 *      dl_options_init(&dl_layer_dense.definition, &options, sizeof options);
 *      options.units = 10;
 *      dl_layer_create(context, "Dense", &options, &layer);
 *      dl_options_clear(&dl_layer_dense.definition, &options);
 */
#ifndef DLUA_LAYERS_H
#define DLUA_LAYERS_H

#include "dlua/losses.h"
#include "dlua/nn.h"
#include "dlua/recurrent.h"
#include "dlua/optimizers.h"
#include "dlua/transformer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the registry: X(name) for each definition dl_FAMILY_name ---------------------------------------------------- */

#define DL_LAYER_TABLE(X)                                                                                              \
    X(input)                                                                                                           \
    X(text_vectorization)                                                                                              \
    X(string_lookup)                                                                                                   \
    X(integer_lookup)                                                                                                  \
    X(dense)                                                                                                           \
    X(conv2d)                                                                                                          \
    X(conv1d)                                                                                                          \
    X(depthwise_conv2d)                                                                                                \
    X(separable_conv2d)                                                                                                \
    X(conv2d_transpose)                                                                                                \
    X(max_pooling2d)                                                                                                   \
    X(average_pooling2d)                                                                                               \
    X(global_average_pooling2d)                                                                                        \
    X(global_max_pooling2d)                                                                                            \
    X(max_pooling1d)                                                                                                   \
    X(average_pooling1d)                                                                                               \
    X(global_average_pooling1d)                                                                                        \
    X(global_max_pooling1d)                                                                                            \
    X(zero_padding1d)                                                                                                  \
    X(zero_padding2d)                                                                                                  \
    X(cropping1d)                                                                                                      \
    X(cropping2d)                                                                                                      \
    X(up_sampling1d)                                                                                                   \
    X(up_sampling2d)                                                                                                   \
    X(flatten)                                                                                                         \
    X(reshape)                                                                                                         \
    X(permute)                                                                                                         \
    X(repeat_vector)                                                                                                   \
    X(activation)                                                                                                      \
    X(relu)                                                                                                            \
    X(leaky_relu)                                                                                                      \
    X(elu)                                                                                                             \
    X(prelu)                                                                                                           \
    X(softmax)                                                                                                         \
    X(dropout)                                                                                                         \
    X(sequence_step)                                                                                                   \
    X(reversible_embedding)                                                                                            \
    X(class_token)                                                                                                     \
    X(spatial_dropout1d)                                                                                               \
    X(spatial_dropout2d)                                                                                               \
    X(gaussian_noise)                                                                                                  \
    X(gaussian_dropout)                                                                                                \
    X(alpha_dropout)                                                                                                   \
    X(batch_normalization)                                                                                             \
    X(embedding)                                                                                                       \
    X(layer_normalization)                                                                                             \
    X(rms_normalization)                                                                                               \
    X(group_normalization)                                                                                             \
    X(unit_normalization)                                                                                              \
    X(add)                                                                                                             \
    X(subtract)                                                                                                        \
    X(multiply)                                                                                                        \
    X(average)                                                                                                         \
    X(maximum)                                                                                                         \
    X(minimum)                                                                                                         \
    X(concatenate)                                                                                                     \
    X(dot)                                                                                                             \
    X(rescaling)                                                                                                       \
    X(simple_rnn)                                                                                                      \
    X(lstm)                                                                                                            \
    X(gru)                                                                                                             \
    X(simple_rnn_cell)                                                                                                 \
    X(lstm_cell)                                                                                                       \
    X(gru_cell)                                                                                                        \
    X(stacked_rnn_cells)                                                                                               \
    X(rnn)                                                                                                             \
    X(bidirectional)                                                                                                   \
    X(time_distributed)                                                                                                \
    X(masking)                                                                                                         \
    X(attention)                                                                                                       \
    X(additive_attention)                                                                                              \
    X(multi_head_attention)                                                                                            \
    X(group_query_attention)                                                                                           \
    X(position_embedding)                                                                                              \
    X(sine_position_encoding)                                                                                          \
    X(rotary_embedding)                                                                                                \
    X(token_and_position_embedding)                                                                                    \
    X(transformer_encoder)                                                                                             \
    X(transformer_decoder)                                                                                             \
    X(sequential)                                                                                                      \
    X(functional)

#define DL_ACTIVATION_TABLE(X)                                                                                         \
    X(linear)                                                                                                          \
    X(relu)                                                                                                            \
    X(relu6)                                                                                                           \
    X(leaky_relu)                                                                                                      \
    X(elu)                                                                                                             \
    X(selu)                                                                                                            \
    X(celu)                                                                                                            \
    X(gelu)                                                                                                            \
    X(silu)                                                                                                            \
    X(mish)                                                                                                            \
    X(softplus)                                                                                                        \
    X(softsign)                                                                                                        \
    X(sigmoid)                                                                                                         \
    X(hard_sigmoid)                                                                                                    \
    X(hard_silu)                                                                                                       \
    X(hard_tanh)                                                                                                       \
    X(tanh)                                                                                                            \
    X(softmax)                                                                                                         \
    X(log_softmax)                                                                                                     \
    X(log_sigmoid)                                                                                                     \
    X(exponential)                                                                                                     \
    X(soft_shrink)                                                                                                     \
    X(hard_shrink)                                                                                                     \
    X(tanh_shrink)                                                                                                     \
    X(threshold)                                                                                                       \
    X(squareplus)                                                                                                      \
    X(sparse_plus)                                                                                                     \
    X(sparse_sigmoid)                                                                                                  \
    X(sparsemax)                                                                                                       \
    X(glu)

#define DL_INITIALIZER_TABLE(X)                                                                                        \
    X(zeros)                                                                                                           \
    X(ones)                                                                                                            \
    X(constant)                                                                                                        \
    X(identity)                                                                                                        \
    X(random_normal)                                                                                                   \
    X(random_uniform)                                                                                                  \
    X(truncated_normal)                                                                                                \
    X(variance_scaling)                                                                                                \
    X(glorot_uniform)                                                                                                  \
    X(glorot_normal)                                                                                                   \
    X(he_uniform)                                                                                                      \
    X(he_normal)                                                                                                       \
    X(lecun_uniform)                                                                                                   \
    X(lecun_normal)                                                                                                    \
    X(orthogonal)

#define DL_REGULARIZER_TABLE(X)                                                                                        \
    X(l1)                                                                                                              \
    X(l2)                                                                                                              \
    X(l1_l2)

#define DL_CONSTRAINT_TABLE(X)                                                                                         \
    X(max_norm)                                                                                                        \
    X(min_max_norm)                                                                                                    \
    X(non_neg)                                                                                                         \
    X(unit_norm)

#define DL_LOSS_TABLE(X)                                                                                               \
    X(mean_squared_error)                                                                                              \
    X(mean_absolute_error)                                                                                             \
    X(huber)                                                                                                           \
    X(binary_crossentropy)                                                                                             \
    X(categorical_crossentropy)                                                                                        \
    X(sparse_categorical_crossentropy)                                                                                 \
    X(kl_divergence)                                                                                                   \
    X(poisson)                                                                                                         \
    X(hinge)                                                                                                           \
    X(squared_hinge)                                                                                                   \
    X(categorical_hinge)                                                                                               \
    X(log_cosh)                                                                                                        \
    X(mean_absolute_percentage_error)                                                                                  \
    X(mean_squared_logarithmic_error)                                                                                  \
    X(cosine_similarity)                                                                                               \
    X(binary_focal_crossentropy)                                                                                       \
    X(categorical_focal_crossentropy)                                                                                  \
    X(ctc)

#define DL_METRIC_TABLE(X)                                                                                             \
    X(mean)                                                                                                            \
    X(auto_accuracy)                                                                                                   \
    X(auto_acc)                                                                                                        \
    X(accuracy)                                                                                                        \
    X(binary_accuracy)                                                                                                 \
    X(categorical_accuracy)                                                                                            \
    X(sparse_categorical_accuracy)                                                                                     \
    X(top_k_categorical_accuracy)                                                                                      \
    X(sparse_top_k_categorical_accuracy)                                                                               \
    X(mean_squared_error)                                                                                              \
    X(mean_absolute_error)                                                                                             \
    X(binary_crossentropy)                                                                                             \
    X(categorical_crossentropy)                                                                                        \
    X(sparse_categorical_crossentropy)                                                                                 \
    X(kl_divergence)                                                                                                   \
    X(poisson)                                                                                                         \
    X(hinge)                                                                                                           \
    X(squared_hinge)                                                                                                   \
    X(categorical_hinge)                                                                                               \
    X(log_cosh_error)                                                                                                  \
    X(mean_absolute_percentage_error)                                                                                  \
    X(mean_squared_logarithmic_error)                                                                                  \
    X(cosine_similarity)                                                                                               \
    X(root_mean_squared_error)                                                                                         \
    X(r2_score)                                                                                                        \
    X(precision)                                                                                                       \
    X(recall)                                                                                                          \
    X(auc)                                                                                                             \
    X(f1_score)                                                                                                        \
    X(fbeta_score)                                                                                                     \
    X(perplexity)                                                                                                      \
    X(confusion_matrix)

#define DL_OPTIMIZER_TABLE(X)                                                                                          \
    X(sgd)                                                                                                             \
    X(adam)                                                                                                            \
    X(adamw)                                                                                                           \
    X(nadam)                                                                                                           \
    X(adamax)                                                                                                          \
    X(adagrad)                                                                                                         \
    X(adadelta)                                                                                                        \
    X(lion)                                                                                                            \
    X(ftrl)                                                                                                            \
    X(rmsprop)

#define DL_SCHEDULE_TABLE(X)                                                                                           \
    X(exponential_decay)                                                                                               \
    X(inverse_time_decay)                                                                                              \
    X(polynomial_decay)                                                                                                \
    X(piecewise_constant_decay)                                                                                        \
    X(cosine_decay)                                                                                                    \
    X(cosine_decay_restarts)                                                                                           \
    X(warm_up)

#define X(name) DL_API extern const dl_layer_def dl_layer_##name;
DL_LAYER_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_activation_def dl_activation_##name;
DL_ACTIVATION_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_initializer_def dl_initializer_##name;
DL_INITIALIZER_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_regularizer_def dl_regularizer_##name;
DL_REGULARIZER_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_constraint_def dl_constraint_##name;
DL_CONSTRAINT_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_loss_def dl_loss_##name;
DL_LOSS_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_metric_def dl_metric_##name;
DL_METRIC_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_optimizer_def dl_optimizer_##name;
DL_OPTIMIZER_TABLE(X)
#undef X
#define X(name) DL_API extern const dl_schedule_def dl_schedule_##name;
DL_SCHEDULE_TABLE(X)
#undef X

/* ---- layers ------------------------------------------------------------------------------------------------------ */

typedef struct dl_input_options {
    dl_layer_options layer;
    dl_ints shape;      /* without the batch; DL_NONE where a size is free */
    int64_t batch_size; /* DL_NONE: free */
    int dtype;          /* a dl_dtype */
} dl_input_options;

/* What a layer that turns tokens into ids gives. */
enum { DL_OUTPUT_INT, DL_OUTPUT_MULTI_HOT, DL_OUTPUT_COUNT, DL_OUTPUT_TF_IDF, DL_OUTPUT_ONE_HOT };

typedef struct dl_text_vectorization_options {
    dl_layer_options layer;
    int64_t max_tokens;             /* DL_NONE: no limit; the padding counts with output_mode int */
    int standardize;                /* DL_STANDARDIZE_LOWER_AND_STRIP ..., -1: none */
    int split;                      /* DL_SPLIT_WHITESPACE or _CHARACTER, -1: none */
    dl_alternative ngrams;          /* which 0: all widths up to as.integer, 1: those of as.ints; -1: none */
    int output_mode;                /* DL_OUTPUT_INT ..., but not ONE_HOT */
    int64_t output_sequence_length; /* DL_NONE: that of the longest text of a batch */
    bool pad_to_max_tokens;
    dl_value vocabulary, idf_weights; /* lists; NONE: not known yet */
} dl_text_vectorization_options;

typedef struct dl_string_lookup_options {
    dl_layer_options layer;
    int64_t max_tokens, num_oov_indices;
    char *mask_token, *oov_token; /* mask_token NULL: none */
    dl_value vocabulary, idf_weights;
    bool invert;
    int output_mode;
    bool pad_to_max_tokens;
} dl_string_lookup_options;

typedef struct dl_integer_lookup_options {
    dl_layer_options layer;
    int64_t max_tokens, num_oov_indices;
    int64_t mask_token, oov_token; /* mask_token DL_NONE: none */
    dl_value vocabulary, idf_weights;
    bool invert;
    int output_mode;
    bool pad_to_max_tokens;
} dl_integer_lookup_options;

typedef struct dl_dense_options {
    dl_layer_options layer;
    int64_t units;
    dl_object *activation; /* NULL: linear */
    bool use_bias;
    dl_object *kernel_initializer, *bias_initializer;
    dl_object *kernel_regularizer, *bias_regularizer, *activity_regularizer; /* NULL: none */
    dl_object *kernel_constraint, *bias_constraint;
} dl_dense_options;

enum { DL_LAYER_PADDING_VALID, DL_LAYER_PADDING_SAME, DL_LAYER_PADDING_CAUSAL /* Conv1D */ };

typedef struct dl_conv2d_layer_options {
    dl_layer_options layer;
    int64_t filters;
    dl_ints kernel_size, strides; /* {height, width} */
    int padding;                  /* DL_LAYER_PADDING_VALID or _SAME */
    char *data_format;            /* "channels_last" or NULL */
    dl_ints dilation_rate;
    int64_t groups;
    dl_object *activation;
    bool use_bias;
    dl_object *kernel_initializer, *bias_initializer;
    dl_object *kernel_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *kernel_constraint, *bias_constraint;
} dl_conv2d_layer_options;

typedef struct dl_conv1d_options {
    dl_layer_options layer;
    int64_t filters;
    dl_ints kernel_size, strides; /* one number each */
    int padding;                  /* DL_LAYER_PADDING_VALID ... */
    char *data_format;
    dl_ints dilation_rate;
    int64_t groups;
    dl_object *activation;
    bool use_bias;
    dl_object *kernel_initializer, *bias_initializer;
    dl_object *kernel_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *kernel_constraint, *bias_constraint;
} dl_conv1d_options;

typedef struct dl_depthwise_conv2d_options {
    dl_layer_options layer;
    dl_ints kernel_size, strides; /* {height, width} */
    int padding;
    int64_t depth_multiplier;
    char *data_format;
    dl_ints dilation_rate;
    dl_object *activation;
    bool use_bias;
    dl_object *depthwise_initializer, *bias_initializer;
    dl_object *depthwise_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *depthwise_constraint, *bias_constraint;
} dl_depthwise_conv2d_options;

typedef struct dl_separable_conv2d_options {
    dl_layer_options layer;
    int64_t filters;
    dl_ints kernel_size, strides;
    int padding;
    char *data_format;
    dl_ints dilation_rate;
    int64_t depth_multiplier;
    dl_object *activation;
    bool use_bias;
    dl_object *depthwise_initializer, *pointwise_initializer, *bias_initializer;
    dl_object *depthwise_regularizer, *pointwise_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *depthwise_constraint, *pointwise_constraint, *bias_constraint;
} dl_separable_conv2d_options;

typedef struct dl_conv2d_transpose_options {
    dl_layer_options layer;
    int64_t filters;
    dl_ints kernel_size, strides;
    int padding;
    dl_ints output_padding; /* count 0: as many as make the input's size times the stride */
    char *data_format;
    dl_ints dilation_rate;
    dl_object *activation;
    bool use_bias;
    dl_object *kernel_initializer, *bias_initializer;
    dl_object *kernel_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *kernel_constraint, *bias_constraint;
} dl_conv2d_transpose_options;

typedef struct dl_pooling1d_options {
    dl_layer_options layer;
    dl_ints pool_size, strides; /* one number each; strides count 0: as pool_size */
    int padding;
    char *data_format;
} dl_pooling1d_options;

typedef struct dl_global_pooling1d_options {
    dl_layer_options layer;
    char *data_format;
    bool keepdims;
} dl_global_pooling1d_options;

typedef struct dl_zero_padding_options {
    dl_layer_options layer;
    dl_ints padding; /* 1D: {before, after}; 2D: one number, {height, width} or {top, bottom, left, right} */
    char *data_format;
} dl_zero_padding_options;

typedef struct dl_cropping_options {
    dl_layer_options layer;
    dl_ints cropping; /* as padding */
    char *data_format; /* 2D */
} dl_cropping_options;

enum { DL_INTERPOLATION_NEAREST, DL_INTERPOLATION_BILINEAR };
typedef struct dl_up_sampling_options {
    dl_layer_options layer;
    dl_ints size;
    char *data_format; /* 2D */
    int interpolation; /* 2D: DL_INTERPOLATION_NEAREST ... */
} dl_up_sampling_options;

typedef struct dl_permute_layer_options {
    dl_layer_options layer;
    dl_ints dims; /* from 1, without the batch, as in Keras */
} dl_permute_layer_options;

typedef struct dl_repeat_vector_options {
    dl_layer_options layer;
    int64_t n;
} dl_repeat_vector_options;

typedef struct dl_gaussian_noise_options {
    dl_layer_options layer;
    double stddev;
    int64_t seed; /* DL_NONE: a stream of the context's */
} dl_gaussian_noise_options;

typedef struct dl_rate_options {
    dl_layer_options layer;
    double rate;
    int64_t seed;
} dl_rate_options; /* gaussian_dropout */

typedef struct dl_spatial_dropout_options {
    dl_layer_options layer;
    double rate;
    char *data_format; /* 2D */
    int64_t seed;
} dl_spatial_dropout_options;

typedef struct dl_pooling2d_options {
    dl_layer_options layer;
    dl_ints pool_size, strides; /* strides count 0: as pool_size */
    int padding;
    char *data_format;
} dl_pooling2d_options;

typedef struct dl_global_pooling2d_options {
    dl_layer_options layer;
    char *data_format;
    bool keepdims;
} dl_global_pooling2d_options;

typedef struct dl_flatten_layer_options {
    dl_layer_options layer;
    char *data_format;
} dl_flatten_layer_options;

typedef struct dl_reshape_layer_options {
    dl_layer_options layer;
    dl_ints target_shape; /* without the batch; one may be -1 */
} dl_reshape_layer_options;

typedef struct dl_activation_layer_options {
    dl_layer_options layer;
    dl_object *activation;
} dl_activation_layer_options;

typedef struct dl_relu_layer_options {
    dl_layer_options layer;
    double max_value; /* NaN: none */
    double negative_slope, threshold;
} dl_relu_layer_options;

typedef struct dl_leaky_relu_layer_options {
    dl_layer_options layer;
    double negative_slope;
} dl_leaky_relu_layer_options;

typedef struct dl_elu_layer_options {
    dl_layer_options layer;
    double alpha;
} dl_elu_layer_options;

typedef struct dl_prelu_options {
    dl_layer_options layer;
    dl_object *alpha_initializer, *alpha_regularizer, *alpha_constraint;
    dl_ints shared_axes; /* from 0, the batch counted; count 0: none */
} dl_prelu_options;

typedef struct dl_softmax_layer_options {
    dl_layer_options layer;
    int64_t axis;
} dl_softmax_layer_options;

typedef struct dl_dropout_layer_options {
    dl_layer_options layer;
    double rate;
    dl_ints noise_shape; /* count 0: none; DL_NONE: as the inputs */
    int64_t seed;        /* DL_NONE: a stream of the context's */
} dl_dropout_layer_options;

typedef struct dl_reversible_embedding_options {
    dl_layer_options layer;
    int64_t input_dim, output_dim;
    bool tie_weights;
    dl_object *embeddings_initializer, *embeddings_regularizer, *embeddings_constraint;
    bool mask_zero;
    double logit_soft_cap; /* NaN: none */
} dl_reversible_embedding_options;

typedef struct dl_sequence_step_options {
    dl_layer_options layer;
    int64_t step; /* from 0; negative from the end */
} dl_sequence_step_options;

typedef struct dl_class_token_options {
    dl_layer_options layer;
    dl_object *initializer;
} dl_class_token_options;

typedef struct dl_batch_normalization_options {
    dl_layer_options layer;
    int64_t axis;
    double momentum, epsilon;
    bool center, scale;
    dl_object *beta_initializer, *gamma_initializer, *moving_mean_initializer, *moving_variance_initializer;
    dl_object *beta_regularizer, *gamma_regularizer;
    dl_object *beta_constraint, *gamma_constraint;
} dl_batch_normalization_options;

typedef struct dl_merging_options {
    dl_layer_options layer;
} dl_merging_options; /* add, subtract, multiply, average, maximum, minimum */

typedef struct dl_concatenate_options {
    dl_layer_options layer;
    int64_t axis; /* the batch counted */
} dl_concatenate_options;

typedef struct dl_dot_options {
    dl_layer_options layer;
    dl_ints axes; /* one of each input */
    bool normalize;
} dl_dot_options;

typedef struct dl_rescaling_options {
    dl_layer_options layer;
    double scale, offset;
} dl_rescaling_options;

typedef struct dl_sequential_options {
    dl_layer_options layer;
    dl_objects layers;
} dl_sequential_options;

/* A graph of layer calls. `nodes` is a list with one entry a call, in order of computation: {layer, {{node, output},
 * ...}, arguments} counted from 0, the arguments only where a call has some; `inputs` lists the nodes of the
 * InputLayers in order, `outputs` pairs {node, output}. */
typedef struct dl_functional_options {
    dl_layer_options layer;
    dl_objects layers;
    dl_value nodes, inputs, outputs;
} dl_functional_options;

/* ---- activations ------------------------------------------------------------------------------------------------- */

typedef struct dl_no_options {
    char unused;
} dl_no_options; /* of what has none */
typedef struct dl_relu_activation_options {
    double negative_slope, max_value, threshold; /* max_value NaN: none */
} dl_relu_activation_options;
typedef struct dl_slope_activation_options {
    double negative_slope;
} dl_slope_activation_options;
typedef struct dl_alpha_activation_options {
    double alpha;
} dl_alpha_activation_options;
typedef struct dl_gelu_activation_options {
    bool approximate;
} dl_gelu_activation_options;
typedef struct dl_axis_activation_options {
    int64_t axis;
} dl_axis_activation_options;
typedef struct dl_shrink_activation_options {
    double threshold;
} dl_shrink_activation_options;
typedef struct dl_threshold_activation_options {
    double threshold, default_value;
} dl_threshold_activation_options;
typedef struct dl_squareplus_activation_options {
    double b;
} dl_squareplus_activation_options;

/* ---- initializers and regularizers ------------------------------------------------------------------------------- */

typedef struct dl_constant_initializer_options {
    double value;
} dl_constant_initializer_options;
typedef struct dl_random_normal_options {
    double mean, stddev;
    int64_t seed; /* DL_NONE: drawn from the layer's stream; else the same numbers every time */
} dl_random_normal_options; /* random_normal, truncated_normal */
typedef struct dl_random_uniform_options {
    double minval, maxval;
    int64_t seed;
} dl_random_uniform_options;
enum { DL_FAN_IN, DL_FAN_OUT, DL_FAN_AVG };
enum { DL_VARIANCE_TRUNCATED_NORMAL, DL_VARIANCE_UNTRUNCATED_NORMAL, DL_VARIANCE_UNIFORM };
typedef struct dl_variance_scaling_options {
    double scale;
    int mode;         /* DL_FAN_IN ... */
    int distribution; /* DL_VARIANCE_TRUNCATED_NORMAL ... */
    int64_t seed;
} dl_variance_scaling_options;
typedef struct dl_seed_initializer_options {
    int64_t seed;
} dl_seed_initializer_options; /* glorot, he, lecun */
typedef struct dl_gain_initializer_options {
    double gain;
    int64_t seed; /* orthogonal only */
} dl_gain_initializer_options; /* identity, orthogonal */
typedef struct dl_l1_l2_options {
    double l1, l2;
} dl_l1_l2_options; /* l1, l2, l1_l2 */

/* ---- constraints ------------------------------------------------------------------------------------------------- */

typedef struct dl_norm_constraint_options {
    double min_value, max_value, rate;
    dl_ints axis; /* from 0: the dimensions whose elements make one vector */
} dl_norm_constraint_options; /* max_norm, min_max_norm, unit_norm */

#ifdef __cplusplus
}
#endif
#endif
