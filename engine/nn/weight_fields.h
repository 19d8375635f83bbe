/* nn/weight_fields.h: the fields that layers have for their weights, in Keras's order. */
#ifndef DL_NN_WEIGHT_FIELDS_H
#define DL_NN_WEIGHT_FIELDS_H

#include "nn/nn.h"

#define DL_INITIALIZER_FIELD(type, member, default_, of)                                                               \
    DL_OBJECT(type, member, default_, &dl_initializer_family, 0, of)
#define DL_PENALTY_FIELD(type, member, of) DL_OBJECT(type, member, NULL, &dl_regularizer_family, DL_NONE_OK, of)
#define DL_CONSTRAINT_FIELD(type, member, of) DL_OBJECT(type, member, NULL, &dl_constraint_family, DL_NONE_OK, of)

/* What comes out of a layer with weights. */
#define DL_OUTPUT_FIELDS(type)                                                                                         \
    DL_OBJECT(type, activation, NULL, &dl_activation_family, DL_NONE_OK, "of the output; none: linear"),               \
    DL_BOOL(type, use_bias, true, 0, "add a bias")
/* A kernel and a bias. */
#define DL_KERNEL_FIELDS(type)                                                                                         \
    DL_INITIALIZER_FIELD(type, kernel_initializer, "glorot_uniform", "of the kernel"),                                 \
    DL_INITIALIZER_FIELD(type, bias_initializer, "zeros", "of the bias"),                                              \
    DL_PENALTY_FIELD(type, kernel_regularizer, "penalty on the kernel"),                                               \
    DL_PENALTY_FIELD(type, bias_regularizer, "penalty on the bias"),                                                   \
    DL_PENALTY_FIELD(type, activity_regularizer, "penalty on the output"),                                             \
    DL_CONSTRAINT_FIELD(type, kernel_constraint, "what the kernel keeps to"),                                          \
    DL_CONSTRAINT_FIELD(type, bias_constraint, "what the bias keeps to")

#endif
