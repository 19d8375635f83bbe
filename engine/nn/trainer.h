/* nn/trainer.h: what a compiled model is trained with; see nn/trainer.c. */
#ifndef DL_NN_TRAINER_H
#define DL_NN_TRAINER_H

#include "nn/nn.h"

/* A mean over the samples, of the steps so far. */
typedef struct dl_tracker {
    double sum, count;
} dl_tracker;

struct dl_trainer {
    dl_context *context;
    dl_optimizer *optimizer; /* counted */
    bool running;            /* a step is under way */
    int output_count;
    dl_object **losses;      /* [output_count], counted; entries may be NULL */
    double *loss_weights;    /* [output_count] */
    int *metric_counts;      /* [output_count] */
    int metric_count;
    dl_metric **metrics;     /* counted */
    char **names;            /* of the logs: loss, losses by output, metrics */
    dl_tracker loss;         /* of the whole */
    dl_tracker *output_loss; /* [output_count] */
    double *pending_loss;    /* [output_count], of the step under way */
    int checked_count;       /* inputs that `checked` describes; 0: none yet */
    dl_spec *checked;        /* the inputs that the shapes were last checked for */
    int64_t checked_capacity;
    int weight_count;
    int64_t weight_capacity;
    dl_tensor **weights;     /* trainable, of the step under way; borrowed */
    const dl_weight **entries;
    dl_tensor **grads;
    dl_deferred deferred;
    dl_anomaly *anomaly;
};

#endif
