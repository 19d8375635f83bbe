/* dlua/nn.h: layers, activations, initializers, regularizers, constraints, losses, metrics, optimizers, schedules and
 * models. Each kind is a family of definitions (dlua/definition.h); an instance is a dl_object at its beginning, so a
 * dl_layer * is also a dl_object *.
 *
 * A model holds a graph of layers and is a layer itself. It is trained and asked from C alone:
 *
 *      dl_model *model;
 *      dl_model_load(context, "digits.safetensors", &model, NULL);
 *      dl_model_predict(model, &x, 1, 32, &y);
 *
 * The options of each layer, loss and so on are in dlua/layers.h.
 *
 * Shapes: N batch, H W C image, T steps, F features, K classes. Batch comes first; images are (N, H, W, C). */
#ifndef DLUA_NN_H
#define DLUA_NN_H

#include "dlua/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DL_MAX_LAYER_OUTPUTS 16
#define DL_MAX_STATES (DL_MAX_LAYER_OUTPUTS - 1) /* of a recurrent cell, which gives its output too */
#define DL_MAX_CALL_OPTIONS 64

typedef struct dl_layer dl_layer;
typedef struct dl_layer dl_model; /* any layer: most often one whose definition is Sequential or Functional */
typedef struct dl_layer_call dl_layer_call;

/* What is known of a tensor before there is one: shape[i] is DL_NONE where it is free (the batch, most often). */
typedef struct dl_spec {
    dl_dtype dtype;
    int dims;
    int64_t shape[DL_MAX_DIMS];
} dl_spec;

/* ---- families ---------------------------------------------------------------------------------------------------- */

DL_API extern const dl_family dl_layer_family;
DL_API extern const dl_family dl_activation_family;
DL_API extern const dl_family dl_initializer_family;
DL_API extern const dl_family dl_regularizer_family;
DL_API extern const dl_family dl_constraint_family;
DL_API extern const dl_family dl_loss_family;
DL_API extern const dl_family dl_metric_family;
DL_API extern const dl_family dl_optimizer_family;
DL_API extern const dl_family dl_schedule_family;
/* All families, NULL-terminated: for help and for tests that run over everything. */
DL_API extern const dl_family *const dl_families[];

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* The options that every layer has, at the beginning of its options struct. */
typedef struct dl_layer_options {
    char *name;         /* NULL: from the definition's name, numbered within a context: "conv2d_1" */
    bool trainable;
    dl_ints input_shape; /* without the batch; count 0: not given */
    int dtype;           /* enum of float32|float64, as dl_dtype: of the weights and the computation */
} dl_layer_options;

/* The entries for these fields, last in a layer's field table. */
#define DL_LAYER_FIELDS(type)                                                                                          \
    { .name = "name", .kind = DL_FIELD_STRING, .offset = offsetof(type, layer.name),                                   \
      .flags = DL_NONE_OK | DL_NAMED_ONLY, .help = "the layer's name; made from the class if none" },                  \
    { .name = "trainable", .kind = DL_FIELD_BOOL, .offset = offsetof(type, layer.trainable), .flags = DL_NAMED_ONLY,   \
      .number = true, .help = "false freezes the weights" },                                                           \
    { .name = "input_shape", .kind = DL_FIELD_INTS, .offset = offsetof(type, layer.input_shape),                       \
      .flags = DL_NONE_OK | DL_NAMED_ONLY, .minimum = 0, .maximum = DL_HIGHEST,                                        \
      .help = "shape of one sample, for the first layer of a model" },                                                 \
    { .name = "dtype", .kind = DL_FIELD_ENUM, .offset = offsetof(type, layer.dtype), .flags = DL_NAMED_ONLY,           \
      .text = "float32", .choices = "float32|float64", .help = "of the weights and the computation" },                 \
    DL_END

typedef struct dl_weight {
    char *name;              /* "kernel" */
    dl_tensor *value;
    bool trainable;          /* false: a statistic (moving_mean), updated by the layer itself */
    dl_object *regularizer;  /* may be NULL */
    dl_object *constraint;   /* may be NULL */
} dl_weight;

/* What is known of the inputs of a call before there are tensors, and how they are meant. */
typedef struct dl_inputs {
    const dl_spec *specs; /* [count] */
    int count;
    const struct dl_arguments *arguments; /* NULL: none beside the inputs */
} dl_inputs;

/* What a call says beside its inputs. For definitions that name their inputs: attention(query, value, {attention_mask =
 * m, use_causal_mask = true}) has three inputs with the roles query, value and attention_mask, and one option. */
typedef struct dl_arguments {
    const uint8_t *roles; /* [inputs]: places in the definition's input_names; NULL: the inputs come in that order */
    const void *options;  /* of the definition's call_options; NULL: the defaults */
    int training;         /* 0 or 1; -1: as the step that the call is part of */
} dl_arguments;

/* The states of a recurrent cell: (N, sizes[i]) each. */
typedef struct dl_cell_states {
    int count;
    int64_t sizes[DL_MAX_STATES];
    int64_t output; /* its output is (N, output) */
} dl_cell_states;

typedef struct dl_layer_def {
    dl_definition definition;
    int minimum_inputs, maximum_inputs; /* maximum 0: any number */
    int minimum_dims, maximum_dims;     /* of each input (of the first role, if named), batch counted; 0: any */
    /* Names of the inputs, NULL-terminated; NULL: they have none. Inputs without a name get the names in this order up
     * to the one that ends in "...", which takes any number ("initial_state..."); what comes after it is given by name
     * alone. A name that ends in "mask" is that of a bool tensor. */
    const char *const *input_names;
    /* The options of a call: whole numbers, reals and bools only, at most DL_MAX_CALL_OPTIONS bytes; NULL: none. */
    const dl_definition *call_options;
    /* After the options are set: checks them against each other, makes layers inside; may be NULL. */
    dl_status (*init)(dl_layer *layer);
    /* Makes the weights for inputs of these specs (batch free); NULL: no weights. */
    dl_status (*build)(dl_layer *layer, const dl_inputs *inputs);
    /* The outputs' specs; checks that the inputs fit, naming both shapes. NULL: the output is like the one input. */
    dl_status (*infer)(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs);
    /* Computes call->out[] from call->in[] by operations; runs inside a scope. Sets call->outputs. */
    dl_status (*call)(dl_layer *layer, dl_layer_call *call);
    void (*finalize)(dl_layer *layer); /* frees layer->state; may be NULL */
    /* Learns what the layer keeps beside weights (a vocabulary) from data like its inputs; NULL: nothing. On failure
     * the layer is as it was. */
    dl_status (*adapt)(dl_layer *layer, dl_tensor *data);
    int flags;
    /* For cells, which RNN runs over a sequence: their inputs are the input of a step and the states, their outputs the
     * output and the new states. NULL: no cell. */
    dl_status (*states)(const dl_layer *layer, dl_cell_states *out);
} dl_layer_def;

enum {
    DL_LAYER_RANDOM = 1,        /* its calls draw from layer->stream, whose place is saved */
    DL_LAYER_SAVED_NOT = 2,     /* cannot be saved (Lambda) */
    DL_LAYER_KEEPS_MASK = 4,    /* passes the mask of its input on */
    DL_LAYER_ANY_DTYPE = 8,     /* takes inputs of every dtype; else they must be of the layer's */
    DL_LAYER_TAKES_IDS = 16,    /* its inputs are whole numbers: int64 where a model makes an input of input_shape */
    DL_LAYER_TAKES_TEXT = 32,   /* its inputs are texts (dlua/text.h), whose width is free */
    DL_LAYER_KEEPS_STATES = 64, /* recurrent: dl_layer_reset_states concerns it */
    DL_LAYER_STEPWISE = 128,    /* may be asked step by step: a step depends on no later one, and what it needs of those
                                 * before is kept where the call has a decoding (see dl_call_kept) */
    DL_LAYER_ATTENDS = 256      /* asked step by step, its inputs but the first may be whole sequences that stay the
                                 * same; without DL_LAYER_STEPWISE they must be */
};

struct dl_layer {
    dl_object object;
    const char *name; /* the options' */
    bool built;
    bool trainable;
    dl_dtype dtype;
    dl_spec input; /* the first input it was built for, for messages */
    int weight_count;
    dl_weight *weights;
    int child_count;     /* layers inside (a wrapper's, a model's) */
    dl_layer **children; /* counted */
    dl_stream initial;   /* first values of the weights */
    dl_stream stream;    /* draws of its calls (DL_LAYER_RANDOM); a step that fails puts it back */
    uint64_t walk;       /* number of the last walk that came by: a layer in several places is seen once */
    void *state;         /* of the definition */
    struct dl_trainer *trainer; /* after dl_model_compile */
};

struct dl_layer_call {
    dl_context *context;
    bool training;
    dl_tensor *const *in;
    int inputs;
    const dl_arguments *arguments; /* NULL: none beside the inputs */
    dl_tensor *const *masks; /* [inputs], entries NULL without a mask; bool (N, T). NULL: no masks */
    dl_tensor *out[DL_MAX_LAYER_OUTPUTS]; /* of the open scope, or borrowed from in */
    int outputs;
    dl_tensor *out_masks[DL_MAX_LAYER_OUTPUTS]; /* NULL: none */
    struct dl_deferred *deferred; /* what the step commits at its end; see dl_layer_assign_later */
    struct dl_decoding *decoding; /* the inputs are the next steps of sequences; NULL: they are whole */
    int decoding_place;
};

/* "{*, 28, 28, 1}" */
DL_API void dl_spec_describe(const dl_spec *spec, char *text, size_t size);

/* The caller owns *out. options NULL: the defaults. */
DL_API dl_status dl_layer_create(dl_context *context, const char *class_name, const void *options, dl_layer **out);
/* Makes the weights now (dl_layer_apply and models do it at the first call). Once built, does nothing. */
DL_API dl_status dl_layer_build(dl_layer *layer, const dl_inputs *inputs);
/* The outputs' specs; builds the layer first if need be. */
DL_API dl_status dl_layer_infer(dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs);
/* Calls the layer on tensors; builds it first if need be. Results as new references in out[]. Errors are prefixed with
 * the layer's name, so a nested one shows its path: "model/block/conv2d_1: ...". */
DL_API dl_status dl_layer_apply(dl_layer *layer, dl_tensor *const *in, int inputs, const dl_arguments *arguments,
                                dl_tensor **out, int *outputs);
/* For definitions that name their inputs: the place of the first input with this role (a place in input_names), or -1;
 * the n-th with this role, counted from 0. */
DL_API int dl_find_input(const dl_layer *layer, const dl_arguments *arguments, int inputs, int role, int n);
/* Inside a call: the first tensor with this role, and its mask; NULL if there is none. Borrowed. */
DL_API dl_tensor *dl_call_input(const dl_layer *layer, const dl_layer_call *call, int role);
DL_API dl_tensor *dl_call_mask(const dl_layer *layer, const dl_layer_call *call, int role);
/* For definitions: a weight of the layer, initialized from the layer's own stream. trainable false: a statistic.
 * initializer NULL: zeros. */
DL_API dl_status dl_layer_add_weight(dl_layer *layer, const char *name, int dims, const int64_t *shape,
                                     dl_object *initializer, dl_object *regularizer, bool trainable);
/* Puts a constraint (NULL: none) on the weight that was added last: steps of training keep to it. DL_INVALID if it does
 * not fit the weight's shape. */
DL_API dl_status dl_layer_constrain(dl_layer *layer, dl_object *constraint);
DL_API dl_status dl_layer_add_child(dl_layer *layer, dl_layer *child);
/* Inside a call: value becomes weights[index] when the whole step has succeeded (moving statistics). */
DL_API dl_status dl_layer_assign_later(dl_layer_call *call, dl_layer *layer, int index, dl_tensor *value);
/* Inside a call: weights[index] as the calls before in this step have left it. Borrowed. */
DL_API dl_tensor *dl_layer_value(const dl_layer_call *call, const dl_layer *layer, int index);
/* Inside a call: adds a penalty (0 dimensions) to the loss of the step. */
DL_API dl_status dl_layer_add_loss(dl_layer_call *call, dl_tensor *penalty);
/* Whether input k (from 0) of the layer, or of the model that begins with it, is meant for texts: uint8 (N, L). */
DL_API bool dl_layer_takes_text(const dl_layer *layer, int k);
/* Learns the vocabulary of a TextVectorization, StringLookup or IntegerLookup from data like its inputs, in place of
 * the one it had. DL_INVALID for other layers. */
DL_API dl_status dl_layer_adapt(dl_layer *layer, dl_tensor *data);
/* The vocabulary of such a layer: a list of the tokens by their ids from 1 on, the tokens for unknown ones first (left
 * out without special_tokens). */
DL_API dl_status dl_layer_get_vocabulary(const dl_layer *layer, bool special_tokens, dl_value *out);
/* Sets it from a list of tokens, with or without the special ones first. idf_weights, one a token, for output_mode
 * "tf_idf"; else NULL. */
DL_API dl_status dl_layer_set_vocabulary(dl_layer *layer, const dl_value *vocabulary, const dl_value *idf_weights);
/* The highest id, which is an Embedding's input_dim. */
DL_API dl_status dl_layer_vocabulary_size(const dl_layer *layer, int64_t *size);
/* All weights of the layer and of the layers in it, depth first, in the order of creation. The k-th; NULL past the end.
 * `text` (may be NULL) receives the path from this layer down: "conv2d_1/kernel". A layer that is in several places
 * counts once. */
DL_API dl_weight *dl_layer_weight(dl_layer *layer, int64_t k, char *text, size_t size);
DL_API int64_t dl_layer_count_params(const dl_layer *layer, bool trainable_only);
/* Freezes or frees the layer and all in it; a compiled model follows at its next step. */
DL_API void dl_layer_set_trainable(dl_layer *layer, bool trainable);

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* Computes out[] (tensors of the open scope, at most DL_MAX_OUTPUTS) from in[]; may be called again with equal inputs,
 * and must do the same then. */
typedef dl_status (*dl_checkpoint_function)(void *user, dl_tensor *const *in, int inputs, dl_tensor **out,
                                            int *outputs);
/* function's results without what its backward needs: the graph keeps the inputs alone, and the backward calls function
 * again, with the same random numbers, for bitwise the same gradients of all weights that function uses and of the
 * inputs (but for the order of the sum of an input that is used outside too) (Chen et al. 2016). user belongs to the
 * checkpoint, which calls free_user (may be NULL) at its end, also after a failure. Ownership of out[] is that of
 * dlua/tensor.h. */
DL_API dl_status dl_checkpoint(dl_context *context, dl_checkpoint_function function, void *user,
                               void (*free_user)(void *user), dl_tensor *const *in, int inputs, dl_tensor **out,
                               int *outputs);

/* ---- activations, initializers, regularizers, constraints -------------------------------------------------------- */

typedef struct dl_activation_def {
    dl_definition definition;
    const char *op; /* the operation that computes it; options of the same names are passed on. NULL: see call */
    dl_tensor *(*call)(const dl_object *activation, dl_tensor *x); /* where there is no such operation */
} dl_activation_def;

/* y = activation(x); keeps x as the logits of a softmax or sigmoid, for losses. NULL activation: x itself. */
DL_API dl_tensor *dl_activate(dl_object *activation, dl_tensor *x);
/* True for relu with its default options, which kernels can do on the way. */
DL_API bool dl_activation_is_relu(const dl_object *activation);

typedef struct dl_initializer_def {
    dl_definition definition;
    /* Fills a contiguous float tensor, drawing from stream. */
    dl_status (*fill)(const dl_object *initializer, dl_stream *stream, dl_tensor *tensor);
} dl_initializer_def;

DL_API dl_status dl_initialize(dl_object *initializer, dl_stream *stream, dl_tensor *tensor);

typedef struct dl_regularizer_def {
    dl_definition definition;
    dl_tensor *(*call)(const dl_object *regularizer, dl_tensor *weight); /* the penalty, 0 dimensions */
} dl_regularizer_def;

typedef struct dl_constraint_def {
    dl_definition definition;
    dl_status (*init)(const dl_object *constraint); /* checks the options against each other; may be NULL */
    /* DL_INVALID if it is not for weights of this shape; NULL: it is for all. */
    dl_status (*check)(const dl_object *constraint, const dl_tensor *weight);
    /* Changes a contiguous float tensor that check has let through; allocates nothing, cannot fail. */
    void (*apply)(const dl_object *constraint, dl_tensor *weight);
} dl_constraint_def;

/* The weight as the constraint would leave it, a new tensor. */
DL_API dl_tensor *dl_constrained(const dl_object *constraint, dl_tensor *weight);

/* ---- losses and metrics ------------------------------------------------------------------------------------------ */

enum { DL_LOSS_SUM_OVER_BATCH_SIZE, DL_LOSS_SUM, DL_LOSS_MEAN, DL_LOSS_NONE };
typedef struct dl_loss_options {
    int reduction; /* one of the above; the first and the third are the same, as in Keras */
    char *name;
} dl_loss_options; /* at the beginning of every loss's options */

typedef struct dl_loss_def {
    dl_definition definition;
    /* The loss of each sample (the last dimension reduced away), not yet weighted. Uses prediction->logits if it is
     * there and more stable. *mask may be set to a bool tensor of the result's shape: false is ignored. */
    dl_tensor *(*call)(const dl_object *loss, dl_tensor *target, dl_tensor *prediction, dl_tensor **mask);
} dl_loss_def;

/* The reduced loss (0 dimensions, or the samples' losses with reduction none). mask (may be NULL): of the prediction,
 * as a layer gave it; false does not count. sample_weight NULL or broadcastable to the losses of the samples. */
DL_API dl_tensor *dl_loss(dl_object *loss, dl_tensor *target, dl_tensor *prediction, dl_tensor *mask,
                          dl_tensor *sample_weight);

typedef struct dl_metric_def {
    dl_definition definition;
    dl_status (*init)(const dl_object *metric); /* checks the options against each other; may be NULL */
    /* A metric is sums: how many doubles it adds up, for these options; 0 where the first batch tells, by size_for. */
    int64_t (*size)(const dl_object *metric);
    int64_t (*size_for)(const dl_object *metric, const dl_tensor *prediction); /* may be NULL */
    /* Adds this batch's sums to sums[]; weights NULL or one a sample. */
    dl_status (*add)(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                     double *sums);
    double (*result)(const dl_object *metric, const double *sums); /* as one number */
    /* Where the result is more than one number, its dimensions (0: it is one number) and sizes, and its values. NULL:
     * it is always one number. */
    int (*shape)(const dl_object *metric, int64_t shape[2]);
    void (*values)(const dl_object *metric, const double *sums, double *out);
    bool values_only; /* it has no target: in Lua update_state takes the values, which are the predictions here */
} dl_metric_def;

/* At the beginning of every metric's options. A metric made from a short name ("mse") may be given it as its name. */
typedef struct dl_metric_options {
    char *name;
} dl_metric_options;

typedef struct dl_metric {
    dl_object object;
    const char *name; /* the options' */
    bool numbered;    /* nobody chose the name, so the logs may number it: mean_metric, mean_metric_1 */
    int64_t size;
    double *sums;    /* of the whole steps so far */
    double *pending; /* of the step under way */
} dl_metric;

DL_API dl_status dl_metric_update(dl_metric *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights);
DL_API double dl_metric_result(const dl_metric *metric); /* as one number: of a confusion matrix the accuracy */
/* A result of several numbers (thresholds, classes, a matrix) as a float64 tensor, which the caller owns; *out is NULL
 * if it is one number. */
DL_API dl_status dl_metric_values(const dl_metric *metric, dl_tensor **out);
DL_API void dl_metric_reset(dl_metric *metric);

/* ---- optimizers and schedules ------------------------------------------------------------------------------------ */

typedef struct dl_schedule_def {
    dl_definition definition;
    double (*rate)(const dl_object *schedule, int64_t iteration); /* from 0 */
    dl_status (*init)(const dl_object *schedule); /* checks the options against each other; may be NULL */
} dl_schedule_def;

/* The options that every optimizer has, at the beginning of its options struct. */
typedef struct dl_optimizer_options {
    dl_alternative learning_rate; /* which 0: a number (as.real), 1: a schedule (as.object) */
    double weight_decay;          /* NaN: none */
    double clipnorm, clipvalue, global_clipnorm; /* NaN: none */
    bool use_ema; /* keep a moving average of each variable's values; see dl_optimizer_finalize_values */
    double ema_momentum;
    int64_t ema_overwrite_frequency; /* the variables become their averages every so many steps; DL_NONE: never */
    int64_t gradient_accumulation_steps; /* one update by the mean gradient of so many steps; DL_NONE: each step */
    char *name;
} dl_optimizer_options;

/* One variable's update: everything contiguous, of one dtype. */
typedef struct dl_variable_update {
    dl_context *context;
    const void *options;
    dl_dtype dtype;
    int64_t count;
    void *value;
    const void *grad;
    void *const *slots; /* in the order of the definition's names; NULL where these options need none */
    double learning_rate;
    double weight_decay; /* value -= value * weight_decay * learning_rate comes first; 0: none */
    double grad_scale;   /* from clipping by norm; 1: as it is */
    double clip_value;   /* each element of the scaled gradient is kept in -clip_value .. clip_value; may be infinite */
    int64_t iteration;   /* of this update, from 1 */
} dl_variable_update;

typedef struct dl_optimizer_def {
    dl_definition definition;
    int slots; /* tensors of state kept for each variable, at most 3 */
    const char *const *slot_names;
    /* False if these options do without the slot. NULL: all are needed. */
    bool (*needs_slot)(const void *options, int slot);
    double (*slot_start)(const void *options, int slot); /* what a new slot is filled with; NULL: 0 */
    /* Updates value and slots in one sweep; allocates nothing, polls nothing, cannot fail. */
    void (*update)(const dl_variable_update *update);
} dl_optimizer_def;

typedef struct dl_optimizer dl_optimizer;

/* Imperative use: updates each variable by its grad (variables without one are skipped). */
DL_API dl_status dl_optimizer_step(dl_optimizer *optimizer, dl_tensor *const *variables, int64_t count);
/* Drops the gradients, so that the next backward begins with none. */
DL_API dl_status dl_zero_grad(dl_tensor *const *variables, int64_t count);
/* With use_ema: the variables become their moving averages, which fit does at its end; those that no step has changed
 * stay. Else nothing. Allocates nothing, cannot fail. */
DL_API void dl_optimizer_finalize_values(dl_optimizer *optimizer, dl_tensor *const *variables, int64_t count);
DL_API double dl_optimizer_learning_rate(const dl_optimizer *optimizer);
DL_API dl_status dl_optimizer_set_learning_rate(dl_optimizer *optimizer, double rate); /* DL_STATE with a schedule */
/* The updates so far: as many as steps, but with gradient_accumulation_steps. */
DL_API int64_t dl_optimizer_iterations(const dl_optimizer *optimizer);
DL_API void dl_optimizer_set_iterations(dl_optimizer *optimizer, int64_t iterations);
/* The state kept for a variable, for saving: the slot'th tensor and its name; made (zeros) if the variable is new.
 * Borrowed. NULL with *name NULL past the last slot; NULL with *name set where the options need none or on failure. */
DL_API dl_tensor *dl_optimizer_slot(dl_optimizer *optimizer, dl_tensor *variable, int slot, const char **name);

/* ---- models ------------------------------------------------------------------------------------------------------- *
 *
 * Sequential and Functional hold a graph of layers. What is below dl_compile works for every layer, so a layer written
 * by a host with layers inside is trained, asked and saved the same way. */

/* A place in a graph of layers: output `output` of one call of a layer, or an input. Counted with its graph node. */
typedef struct dl_symbol dl_symbol;
DL_API dl_status dl_input(dl_context *context, const dl_spec *spec, const char *name, dl_symbol **out);
DL_API dl_status dl_layer_symbolic(dl_layer *layer, dl_symbol *const *in, int inputs, const dl_arguments *arguments,
                                   dl_symbol **out, int *outputs);
DL_API const dl_spec *dl_symbol_spec(const dl_symbol *symbol);
DL_API void dl_symbol_retain(dl_symbol *symbol);
DL_API void dl_symbol_release(dl_symbol *symbol);

DL_API dl_status dl_model_functional(dl_context *context, const char *name, dl_symbol *const *inputs, int input_count,
                                     dl_symbol *const *outputs, int output_count, dl_model **out);
DL_API dl_status dl_model_sequential(dl_context *context, const char *name, dl_layer *const *layers, int count,
                                     dl_model **out);
DL_API dl_status dl_model_add(dl_model *sequential, dl_layer *layer);
/* The k-th layer of the graph in order of computation; NULL past the end. Borrowed. */
DL_API dl_layer *dl_model_layer(dl_model *model, int k);
DL_API int dl_model_inputs(const dl_model *model);  /* 0 before a Sequential is built */
DL_API int dl_model_outputs(const dl_model *model);
DL_API const dl_spec *dl_model_input_spec(const dl_model *model, int k);
DL_API const dl_spec *dl_model_output_spec(const dl_model *model, int k);
/* The names of the input layers, and of the layers that make the outputs; NULL past the last. Borrowed. */
DL_API const char *dl_model_input_name(const dl_model *model, int k);
DL_API const char *dl_model_output_name(const dl_model *model, int k);

/* One call of a layer in a graph, for summaries and pictures. */
typedef struct dl_model_call {
    dl_layer *layer; /* borrowed */
    dl_spec output;  /* the first */
    int inputs;
} dl_model_call;
/* The k-th call in the order of computation; false past the last, and where the model has no graph yet. */
DL_API bool dl_model_get_call(const dl_model *model, int k, dl_model_call *out);
/* The layer that makes input i of the k-th call. Borrowed. */
DL_API const dl_layer *dl_model_call_input(const dl_model *model, int k, int i);

/* losses[k] for output k (NULL: no loss), with weights (NULL: 1). metrics for output k: metric_counts[k] of them in one
 * list after another (NULL: none); the metrics "accuracy" and "acc" (not Accuracy) choose by the shapes as Keras does.
 * There are as many entries as the model has outputs; a Sequential that is not built yet has one. References are taken;
 * a metric holds its sums, so give each model its own. */
typedef struct dl_compile {
    size_t struct_size;
    dl_optimizer *optimizer;
    dl_object *const *losses;
    const double *loss_weights;
    dl_object *const *metrics;
    const int *metric_counts;
} dl_compile;
DL_API dl_status dl_model_compile(dl_model *model, const dl_compile *compile);
DL_API dl_optimizer *dl_model_optimizer(dl_model *model); /* borrowed; NULL before compile */

/* One whole training step: forward, losses, backward, clipping; then the commit, which changes weights, optimizer
 * state, statistics, random streams and metrics together. On any failure the model is as it was.
 * x[], y[] for the inputs and outputs (y[k] may be NULL where there is no loss); weights NULL, or per-sample weights of
 * each output, NULL where there are none. */
DL_API dl_status dl_model_train_batch(dl_model *model, dl_tensor *const *x, dl_tensor *const *y,
                                      dl_tensor *const *weights);
/* Forward, losses and metrics only. */
DL_API dl_status dl_model_test_batch(dl_model *model, dl_tensor *const *x, dl_tensor *const *y,
                                     dl_tensor *const *weights);
DL_API void dl_model_reset_metrics(dl_model *model);
/* The k-th log value since the last reset: "loss" first, then losses by output if several, then metrics. NULL past the
 * end. */
DL_API const char *dl_model_log(dl_model *model, int k, double *value);
/* The metric behind the k-th log value; NULL where it is a loss. Borrowed. */
DL_API const dl_metric *dl_model_log_metric(dl_model *model, int k);
/* Inference in batches of batch_size; out[k] are new references. Bits do not depend on the batch size. */
DL_API dl_status dl_model_predict(dl_model *model, dl_tensor *const *x, int inputs, int64_t batch_size,
                                  dl_tensor **out);

/* A model asked for one or more steps of `batch` sequences after the other, of max_length steps at most; each sees all
 * steps before it, whose keys, values and states are kept. What it gives equals, to rounding, what the whole sequence
 * gives. DL_UNSUPPORTED if a layer of the model mixes steps (see dl_model_is_stepwise).
 *
 *      dl_decoding_create(model, NULL, 0, 1, 256, &decoding);
 *      dl_decoding_step(decoding, &prompt, 1, &logits, &outputs);      (1, T) ids -> (1, T, K)
 *      dl_decoding_step(decoding, &next, 1, &logits, &outputs);        (1, 1) -> (1, 1, K)
 *
 * Of a model with several inputs the first may be sources, which stay the same: whole sequences (batch, S, ...) that an
 * encoder reads. What depends on them alone is computed at the first step and kept; steps give the other inputs.
 *
 * A step that fails leaves the decoding as it was. The model must not be trained between steps. */
typedef struct dl_decoding dl_decoding;
DL_API bool dl_model_is_stepwise(dl_model *model, int source_count);
DL_API dl_status dl_decoding_create(dl_model *model, dl_tensor *const *sources, int source_count, int64_t batch,
                                    int64_t max_length, dl_decoding **out);
DL_API void dl_decoding_free(dl_decoding *decoding);
/* out[] are new references. */
DL_API dl_status dl_decoding_step(dl_decoding *decoding, dl_tensor *const *x, int inputs, dl_tensor **out,
                                  int *outputs);
/* How many steps there were. */
DL_API int64_t dl_decoding_position(const dl_decoding *decoding);
DL_API int64_t dl_decoding_length(const dl_decoding *decoding); /* max_length */
/* Goes on with these sequences (rows counted from 1, as index_select takes them), as beam search does. */
DL_API dl_status dl_decoding_select(dl_decoding *decoding, dl_tensor *rows);
#define DL_MAX_KEPT DL_MAX_STATES
/* For definitions, inside a call with a decoding: tensor k that the layer kept at the step before; NULL at the first.
 * Borrowed. */
DL_API dl_tensor *dl_call_kept(const dl_layer_call *call, int k);
/* Keeps a tensor (sequences first) when the whole step has succeeded. */
DL_API dl_status dl_call_keep(dl_layer_call *call, int k, dl_tensor *tensor);

/* One safetensors file with the architecture, weights and, if compiled, the optimizer and training state. Written
 * beside, synced, renamed. extra (may be NULL): a map kept with it. */
DL_API dl_status dl_model_save(dl_model *model, const char *path, const dl_value *extra);
DL_API dl_status dl_model_load(dl_context *context, const char *path, dl_model **out, dl_value *extra);
/* Puts the weights, optimizer state and training state of a file that dl_model_save wrote into a model that is built or
 * compiled as the saved one was, its layers called the same; extra (may be NULL) is the map kept with it. */
DL_API dl_status dl_model_restore(dl_model *model, const char *path, dl_value *extra);
DL_API dl_status dl_model_save_weights(dl_model *model, const char *path);
/* The file's weights into the model's, in the order of layers and of the weights in each, whatever the layers are
 * called; number and shapes must match. by_name: by the paths of the weights instead ("dense/kernel"), and weights that
 * the file lacks are left as they are. skip_mismatch: so are those of another shape. A file that another program wrote
 * has no order of layers, and goes by the paths. Nothing is changed after a failure. */
DL_API dl_status dl_model_load_weights(dl_model *model, const char *path, bool by_name, bool skip_mismatch);
/* The architecture as a map, and back (weights initialized anew). */
DL_API dl_status dl_model_to_config(const dl_model *model, dl_value *out);
DL_API dl_status dl_model_from_config(dl_context *context, const dl_value *config, dl_model **out);

#ifdef __cplusplus
}
#endif
#endif
