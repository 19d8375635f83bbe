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
    dl_object *embeddings_initializer, *embeddings_regularizer;
    bool mask_zero;
} dl_embedding_options;

typedef struct dl_layer_normalization_options {
    dl_layer_options layer;
    dl_ints axis; /* from 0, the batch counted */
    double epsilon;
    bool center, scale;
    dl_object *beta_initializer, *gamma_initializer, *beta_regularizer, *gamma_regularizer;
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
} dl_group_normalization_options;

#ifdef __cplusplus
}
#endif
#endif
