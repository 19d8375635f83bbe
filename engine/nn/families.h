/* nn/families.h: how the instances of each family begin and end; see nn/families.c. */
#ifndef DL_NN_FAMILIES_H
#define DL_NN_FAMILIES_H

#include "nn/nn.h"

/* An activation knows the operation that computes it, with its options ready. */
typedef struct dl_activation {
    dl_object object;
    const dl_op *op; /* NULL: the definition's call */
    double options[4]; /* room for the operation's options struct */
} dl_activation;

/* The slots before these are the definition's. */
#define DL_AVERAGE_SLOT     3 /* the moving average of the variable's values */
#define DL_ACCUMULATOR_SLOT 4 /* the sum of the gradients that wait for an update */

/* One variable's state. */
typedef struct dl_slots {
    dl_tensor *variable; /* counted: the key must not be used again for another tensor */
    dl_tensor *tensors[DL_ACCUMULATOR_SLOT + 1];
    double grad_scale; /* of the update under way */
} dl_slots;

struct dl_optimizer {
    dl_object object;
    double learning_rate; /* without a schedule */
    int64_t iterations;   /* updates so far */
    int64_t waiting;      /* steps since the last update, whose gradients are in the accumulators */
    int64_t count, capacity;
    dl_slots *entries; /* one a variable, in the order they were first seen */
    int64_t *places;   /* [places_capacity]: the entry of each variable of the update under way */
    int64_t places_capacity;
};
#define DL_OPTIMIZER_SIZE sizeof(struct dl_optimizer)

dl_status dl_layer_init(dl_object *object);
void dl_layer_finalize(dl_object *object);
dl_status dl_activation_init(dl_object *object);
dl_status dl_constraint_init(dl_object *object);
dl_status dl_loss_init(dl_object *object);
dl_status dl_metric_init(dl_object *object);
void dl_metric_finalize(dl_object *object);
dl_status dl_optimizer_init(dl_object *object);
dl_status dl_schedule_init(dl_object *object);
void dl_optimizer_finalize(dl_object *object);

#endif
