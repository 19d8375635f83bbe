/* dlua/transformer.h: the options of the layers that transformers are made of: embeddings, normalization, attention,
 * blocks. Part of dlua/layers.h. */
#ifndef DLUA_TRANSFORMER_H
#define DLUA_TRANSFORMER_H

#include "dlua/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- embeddings and normalization ------------------------------------------------------------------------------ */

typedef struct dl_embedding_options {
    dl_layer_options layer;
    int64_t input_dim, output_dim;
    dl_object *embeddings_initializer, *embeddings_regularizer, *embeddings_constraint;
    bool mask_zero;
} dl_embedding_options;

typedef struct dl_layer_normalization_options {
    dl_layer_options layer;
    dl_ints axis; /* from 0, the batch counted */
    double epsilon;
    bool center, scale;
    dl_object *beta_initializer, *gamma_initializer, *beta_regularizer, *gamma_regularizer;
    dl_object *beta_constraint, *gamma_constraint;
} dl_layer_normalization_options;

typedef struct dl_axis_normalization_options {
    dl_layer_options layer;
    dl_ints axis;
    double epsilon; /* RMSNormalization only */
} dl_axis_normalization_options; /* RMSNormalization, UnitNormalization */

typedef struct dl_group_normalization_options {
    dl_layer_options layer;
    int64_t groups; /* -1: one for each channel */
    int64_t axis;
    double epsilon;
    bool center, scale;
    dl_object *beta_initializer, *gamma_initializer, *beta_regularizer, *gamma_regularizer;
    dl_object *beta_constraint, *gamma_constraint;
} dl_group_normalization_options;

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* What the projections of MultiHeadAttention and GroupQueryAttention have in common. */
typedef struct dl_attention_weights_options {
    bool use_bias;
    dl_object *kernel_initializer, *bias_initializer;
    dl_object *kernel_regularizer, *bias_regularizer, *activity_regularizer; /* NULL: none */
    dl_object *kernel_constraint, *bias_constraint;
    int64_t seed; /* DL_NONE: a stream of the context's */
} dl_attention_weights_options;

typedef struct dl_multi_head_attention_options {
    dl_layer_options layer;
    int64_t num_heads, key_dim, value_dim; /* value_dim DL_NONE: key_dim */
    double dropout;
    dl_ints output_shape;   /* count 0: the query's features */
    dl_ints attention_axes; /* from 0, the batch counted; count 0: all between the batch and the features */
    dl_attention_weights_options weights;
} dl_multi_head_attention_options;

typedef struct dl_group_query_attention_options {
    dl_layer_options layer;
    int64_t head_dim, num_query_heads, num_key_value_heads;
    double dropout;
    dl_attention_weights_options weights;
} dl_group_query_attention_options;

enum { DL_SCORE_DOT, DL_SCORE_CONCAT };
typedef struct dl_attention_layer_options {
    dl_layer_options layer;
    bool use_scale;
    int score_mode; /* DL_SCORE_DOT or DL_SCORE_CONCAT; Attention only */
    double dropout;
    int64_t seed; /* DL_NONE: a stream of the context's */
} dl_attention_layer_options; /* Attention, AdditiveAttention */

/* ---- positions and blocks, spelled as in KerasHub -------------------------------------------------------------- */

typedef struct dl_position_embedding_options {
    dl_layer_options layer;
    int64_t sequence_length;
    dl_object *initializer;
} dl_position_embedding_options;

typedef struct dl_sine_position_encoding_options {
    dl_layer_options layer;
    double max_wavelength;
} dl_sine_position_encoding_options;

typedef struct dl_rotary_embedding_options {
    dl_layer_options layer;
    double max_wavelength, scaling_factor;
    int64_t sequence_axis, feature_axis; /* from 0, the batch counted */
} dl_rotary_embedding_options;

typedef struct dl_token_and_position_embedding_options {
    dl_layer_options layer;
    int64_t vocabulary_size, sequence_length, embedding_dim;
    dl_object *embeddings_initializer;
    bool mask_zero;
} dl_token_and_position_embedding_options;

typedef struct dl_transformer_block_options {
    dl_layer_options layer;
    int64_t intermediate_dim, num_heads;
    double dropout;
    dl_object *activation;
    double layer_norm_epsilon;
    dl_object *kernel_initializer, *bias_initializer;
    bool normalize_first;
    bool checkpoint; /* keep only the inputs for the backward, and compute the block again there */
} dl_transformer_block_options; /* TransformerEncoder, TransformerDecoder */

#ifdef __cplusplus
}
#endif
#endif
