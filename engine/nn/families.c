/* nn/families.c: the families and what is registered of each. The lists come from the tables in dlua/layers.h. */
#include "dlua/text.h"
#include "nn/families.h"

#define X(name) &dl_layer_##name.definition,
static const dl_definition *const layers[] = {DL_LAYER_TABLE(X) NULL};
#undef X
#define X(name) &dl_activation_##name.definition,
static const dl_definition *const activations[] = {DL_ACTIVATION_TABLE(X) NULL};
#undef X
#define X(name) &dl_initializer_##name.definition,
static const dl_definition *const initializers[] = {DL_INITIALIZER_TABLE(X) NULL};
#undef X
#define X(name) &dl_regularizer_##name.definition,
static const dl_definition *const regularizers[] = {DL_REGULARIZER_TABLE(X) NULL};
#undef X
#define X(name) &dl_constraint_##name.definition,
static const dl_definition *const constraints[] = {DL_CONSTRAINT_TABLE(X) NULL};
#undef X
#define X(name) &dl_loss_##name.definition,
static const dl_definition *const losses[] = {DL_LOSS_TABLE(X) NULL};
#undef X
#define X(name) &dl_metric_##name.definition,
static const dl_definition *const metrics[] = {DL_METRIC_TABLE(X) NULL};
#undef X
#define X(name) &dl_optimizer_##name.definition,
static const dl_definition *const optimizers[] = {DL_OPTIMIZER_TABLE(X) NULL};
#undef X
#define X(name) &dl_schedule_##name.definition,
static const dl_definition *const schedules[] = {DL_SCHEDULE_TABLE(X) NULL};
#undef X

const dl_family dl_layer_family = {"layer", layers, sizeof(dl_layer), dl_layer_init, dl_layer_finalize};
const dl_family dl_activation_family = {"activation", activations, sizeof(dl_activation), dl_activation_init, NULL};
const dl_family dl_initializer_family = {"initializer", initializers, sizeof(dl_object), NULL, NULL};
const dl_family dl_regularizer_family = {"regularizer", regularizers, sizeof(dl_object), NULL, NULL};
const dl_family dl_constraint_family = {"constraint", constraints, sizeof(dl_object), dl_constraint_init, NULL};
const dl_family dl_loss_family = {"loss", losses, sizeof(dl_object), dl_loss_init, NULL};
const dl_family dl_metric_family = {"metric", metrics, sizeof(dl_metric), dl_metric_init, dl_metric_finalize};
const dl_family dl_optimizer_family = {"optimizer", optimizers, DL_OPTIMIZER_SIZE, dl_optimizer_init,
                                       dl_optimizer_finalize};
const dl_family dl_schedule_family = {"schedule", schedules, sizeof(dl_object), dl_schedule_init, NULL};

const dl_family *const dl_families[] = {
    &dl_layer_family, &dl_activation_family, &dl_initializer_family, &dl_regularizer_family, &dl_constraint_family,
    &dl_loss_family,  &dl_metric_family,     &dl_optimizer_family,   &dl_schedule_family,    &dl_tokenizer_family,
    NULL};
