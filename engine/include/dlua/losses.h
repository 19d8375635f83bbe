/* dlua/losses.h: the options of losses and metrics. Keras's names, order and defaults. See
 * dlua/layers.h for what is registered. */
#ifndef DLUA_LOSSES_H
#define DLUA_LOSSES_H

#include "dlua/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- losses ------------------------------------------------------------------------------------------------------ */

typedef struct dl_huber_options {
    dl_loss_options loss;
    double delta;
} dl_huber_options;
typedef struct dl_crossentropy_options {
    dl_loss_options loss;
    bool from_logits;
    double label_smoothing; /* binary and categorical */
    int64_t ignore_class;   /* sparse: DL_NONE: none */
    int64_t axis;
} dl_crossentropy_options; /* binary, categorical, sparse_categorical */

typedef struct dl_axis_loss_options {
    dl_loss_options loss;
    int64_t axis;
} dl_axis_loss_options; /* cosine_similarity */
typedef struct dl_focal_options {
    dl_loss_options loss;
    bool apply_class_balancing; /* binary */
    double alpha, gamma;
    bool from_logits;
    double label_smoothing;
    int64_t axis;
} dl_focal_options; /* binary and categorical focal cross-entropy */

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

typedef struct dl_binary_accuracy_options {
    dl_metric_options metric;
    double threshold;
} dl_binary_accuracy_options;
typedef struct dl_top_k_options {
    dl_metric_options metric;
    int64_t k;
} dl_top_k_options;
typedef struct dl_axis_metric_options {
    dl_metric_options metric;
    int64_t axis;
} dl_axis_metric_options; /* cosine_similarity */
typedef struct dl_perplexity_options {
    dl_metric_options metric;
    bool from_logits;
    int64_t ignore_class; /* DL_NONE: none */
} dl_perplexity_options;
typedef struct dl_precision_options {
    dl_metric_options metric;
    dl_value thresholds; /* a number, a list, or none */
    int64_t top_k, class_id; /* DL_NONE: none */
} dl_precision_options; /* precision, recall */
typedef struct dl_auc_options {
    dl_metric_options metric;
    int64_t num_thresholds;
    int curve;            /* 0 ROC, 1 PR, 2 PRGAIN */
    int summation_method; /* 0 interpolation, 1 minoring, 2 majoring */
    dl_value thresholds;  /* a list, or none */
    bool multi_label;
    int64_t num_labels;     /* DL_NONE: as the first batch has */
    dl_value label_weights; /* a list, or none */
    bool from_logits;
} dl_auc_options;
typedef struct dl_f_score_options {
    dl_metric_options metric;
    int average; /* -1 none, 0 micro, 1 macro, 2 weighted */
    double beta, threshold; /* threshold NaN: the highest of a row */
} dl_f_score_options; /* f1_score, fbeta_score */
typedef struct dl_confusion_matrix_options {
    dl_metric_options metric;
    int normalize; /* -1 none, 0 true, 1 predicted, 2 all */
} dl_confusion_matrix_options;
typedef struct dl_r2_score_options {
    dl_metric_options metric;
    int class_aggregation; /* -1 none, 0 uniform average, 1 variance weighted average */
    int64_t num_regressors;
} dl_r2_score_options;
typedef struct dl_crossentropy_metric_options {
    dl_metric_options metric;
    bool from_logits;
    double label_smoothing;
    int64_t ignore_class;
    int64_t axis;
} dl_crossentropy_metric_options;

#ifdef __cplusplus
}
#endif
#endif
