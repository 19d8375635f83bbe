/* nn/nn.h: what the files of layers, losses, optimizers and models share.
 *
 *      dl_layer --definition--> dl_layer_def { build, infer, call }
 *          | weights, children                              a model: state is a dl_graph of calls of its children
 *          +--trainer--> dl_trainer { optimizer, losses, metrics, dl_deferred }
 *
 * Always true: a step writes only scratch until its commit (dl_deferred keeps what is to change, and what to put back
 * if the step fails); the commit allocates nothing. */
#ifndef DL_NN_NN_H
#define DL_NN_NN_H

#include "autograd/autograd.h"
#include "dlua/layers.h"
#include "dlua/ops.h"

/* The options of an object of a class. */
#define DL_OPTIONS(object_, type) ((const type *)((const dl_object *)(object_))->options)

/* ---- specs and messages ------------------------------------------------------------------------------------------ */

typedef struct dl_spec_text {
    char at[128];
} dl_spec_text;
/* A spec or a tensor's shape as text, for messages: dl_spec_text_of(spec).at. */
dl_spec_text dl_spec_text_of(const dl_spec *spec);
dl_spec_text dl_tensor_text(const dl_tensor *tensor);
dl_spec dl_spec_of_tensor(const dl_tensor *tensor);
bool dl_spec_equal(const dl_spec *a, const dl_spec *b);

static inline const dl_layer_def *dl_layer_definition(const dl_layer *layer) {
    return (const dl_layer_def *)layer->object.definition;
}
static inline const dl_layer_options *dl_layer_common(const dl_layer *layer) {
    return (const dl_layer_options *)layer->object.options;
}
/* The class as the user writes it: "Dense". */
static inline const char *dl_layer_class(const dl_layer *layer) {
    return layer->object.definition->name;
}
/* Puts the layer's name before the message, so that nested layers make a path: "model/dense_1: ...". Returns the
 * status that stands. */
dl_status dl_layer_fail_path(const dl_layer *layer);
/* DL_SHAPE with "CLASS built for inputs {*, 784}, got {32, 785}": for infer, when layer->input does not fit `in`. */
dl_status dl_layer_fail_built(const dl_layer *layer, const dl_spec *in);
/* DL_SHAPE if a size of `in` other than the batch is known to be zero. */
dl_status dl_layer_check_sizes(const dl_layer *layer, const dl_spec *in);
/* DL_DTYPE if `in` is not of texts (dlua/text.h), and says how to make them. */
dl_status dl_layer_check_text(const dl_layer *layer, const dl_spec *in);

/* ---- steps ------------------------------------------------------------------------------------------------------- */

typedef struct dl_anomaly dl_anomaly;

typedef struct dl_assign {
    dl_tensor *target; /* a weight; borrowed */
    dl_tensor *value;  /* counted, contiguous, of the target's shape and dtype */
} dl_assign;
typedef struct dl_old_place {
    dl_layer *layer;
    uint64_t position;
} dl_old_place;

/* What a step commits at its end, or takes back. The arrays are kept for the next step. */
typedef struct dl_deferred {
    dl_context *context;
    int assign_count;
    int64_t assign_capacity;
    dl_assign *assigns;
    int place_count;
    int64_t place_capacity;
    dl_old_place *places;
    int loss_count;
    int64_t loss_capacity;
    dl_tensor **losses;  /* counted */
    dl_anomaly *anomaly; /* NULL: nothing is watched */
} dl_deferred;

/* As dl_layer_assign_later and dl_layer_value, for a contiguous tensor that is no weight. */
dl_status dl_assign_tensor_later(dl_layer_call *call, dl_tensor *target, dl_tensor *value);
dl_tensor *dl_value_later(const dl_layer_call *call, dl_tensor *target);
void dl_deferred_commit(dl_deferred *deferred);   /* allocates nothing */
void dl_deferred_rollback(dl_deferred *deferred); /* streams go back; the rest is dropped */
void dl_deferred_free(dl_deferred *deferred);

/* Runs the layer: call has context, training, in, inputs, arguments, masks, deferred. out[] and out_masks[] are new
 * references in no scope after success. Shapes were checked before (dl_layer_infer). */
dl_status dl_layer_run(dl_layer *layer, dl_layer_call *call);
/* Takes back the weights of a build that failed. */
void dl_layer_drop_weights(dl_layer *layer);
/* Runs a layer inside a call of another; its outputs and masks belong to the open scope. child has them after. */
dl_status dl_run_child(dl_layer *layer, const dl_layer_call *parent, dl_tensor *const *in, int inputs,
                       dl_tensor *const *masks, const dl_arguments *arguments, dl_layer_call *child);
/* dl_layer_apply with the next steps of sequences. */
dl_status dl_layer_decode(dl_layer *layer, dl_tensor *const *in, int inputs, dl_decoding *decoding, dl_tensor **out,
                          int *outputs);
/* Begins a call of a layer in a step: *place is where what it keeps lies. */
dl_status dl_decoding_enter(dl_decoding *decoding, const dl_layer *layer, int *place);
/* Inside a model's call with a decoding: keeps the value `number` of its graph and its mask (may be NULL), which stay
 * the same for all steps. */
dl_status dl_decoding_fix(const dl_layer_call *call, int number, dl_tensor *value, dl_tensor *mask);
/* What was fixed in an earlier step. Borrowed; NULL if nothing was. */
dl_tensor *dl_decoding_fixed(const dl_layer_call *call, int number, dl_tensor **mask);
/* Whether a tensor, an input of a call with a decoding, stays the same for all steps. */
bool dl_decoding_holds(const dl_decoding *decoding, const dl_tensor *tensor);
/* The end of a run: makes call->out references of their own, closes the scope, names the layer in the error. */
dl_status dl_call_finish(dl_layer *layer, dl_layer_call *call, size_t scope, dl_status status);
void dl_call_release(dl_layer_call *call);
/* In a definition's call: the one output, or the failure that made it NULL. */
dl_status dl_call_return(dl_layer_call *call, dl_tensor *out);

/* ---- what a call says beside its inputs -------------------------------------------------------------------------- */

typedef struct dl_argument_room {
    dl_arguments arguments;
    _Alignas(max_align_t) char options[DL_MAX_CALL_OPTIONS];
} dl_argument_room;

/* room->arguments is what is given (may be NULL), with the defaults of the options where none are. */
dl_status dl_complete_arguments(const dl_layer *layer, const dl_arguments *given, dl_argument_room *room);
/* The role of input i; -1 where it has none: it is one too many. */
int dl_role_of(const dl_layer *layer, const dl_arguments *arguments, int i);
#define DL_MAX_INPUT_NAME 64
/* The name of a role, without "...". */
void dl_input_name(const dl_layer *layer, int role, char text[DL_MAX_INPUT_NAME]);
/* The role of this name (without "..."), or -1. */
int dl_find_role(const dl_layer *layer, const char *name);
/* Whether several inputs may have the role of this name. */
bool dl_takes_many(const char *name);
/* *out is NULL if from is; freed by dl_free. */
dl_status dl_arguments_copy(const dl_layer *layer, const dl_arguments *from, int inputs, dl_arguments **out);
/* As a map for a config, and back into a copy. */
dl_status dl_arguments_to_value(const dl_layer *layer, const dl_arguments *arguments, int inputs, dl_value *map);
dl_status dl_arguments_from_value(const dl_layer *layer, const dl_value *map, int inputs, dl_arguments **out);

/* ---- anomalies --------------------------------------------------------------------------------------------------- */

/* What detect_anomaly watches in a model's steps: units of relu that are always zero, gradients that are not finite or
 * very large. */
dl_status dl_anomaly_create(dl_context *context, dl_anomaly **out);
void dl_anomaly_free(dl_anomaly *anomaly);
/* Looks at the output of a call; remembers which relu units were above zero. */
dl_status dl_anomaly_watch(dl_anomaly *anomaly, dl_layer *layer, const dl_layer_call *call);
/* DL_STATE naming the weights (by `path` of each) whose gradient is not finite; warns of very large ones. */
dl_status dl_anomaly_check_gradient(dl_anomaly *anomaly, const char *path, const dl_tensor *weight,
                                    const dl_tensor *grad);
/* Logs what was found since the last report, and begins anew. */
void dl_anomaly_report(dl_anomaly *anomaly);

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* Visits the layer and all below it once each, depth first. path: of the visited layer from the root down, "" for the
 * root itself, else with a slash at its end. */
typedef dl_status (*dl_layer_visitor)(void *argument, dl_layer *layer, const char *path);
dl_status dl_layer_walk(dl_layer *root, dl_layer_visitor visit, void *argument);
/* The name for an instance of a class without one: "conv2d", "conv2d_1". The caller frees it. */
char *dl_unique_name(dl_context *context, const char *class_name);
/* The object in the field "activation" of the layer's options; NULL if there is none. */
const dl_object *dl_activation_of(const dl_layer *layer);
/* Adds the penalty of an activity regularizer (may be NULL) on y, divided by the batch's size as Keras does. */
dl_status dl_layer_add_activity_loss(dl_layer_call *call, dl_object *regularizer, dl_tensor *y);
/* Keras's general relu. */
dl_tensor *dl_general_relu(dl_tensor *x, double negative_slope, double max_value, double threshold);
/* The penalty of a regularizer on a weight. */
dl_tensor *dl_regularize(const dl_object *regularizer, dl_tensor *weight);
/* DL_INVALID unless the constraint fits the weight. */
dl_status dl_check_constraint(const dl_object *constraint, const dl_tensor *weight);
/* Changes a contiguous weight that was checked; allocates nothing, cannot fail. */
void dl_constrain(const dl_object *constraint, dl_tensor *weight);
/* In build: a trainable weight with what it keeps to (both objects beside the initializer may be NULL). */
dl_status dl_layer_add_constrained(dl_layer *layer, const char *name, int dims, const int64_t *shape,
                                   dl_object *initializer, dl_object *regularizer, dl_object *constraint);
/* The dimension of inputs `in` that an argument (its name is for the message) says; DL_SHAPE if they have it not. */
dl_status dl_layer_axis(const dl_layer *layer, const char *argument, int64_t axis, const dl_spec *in, int *out);
/* DL_UNSUPPORTED unless data_format is NULL or "channels_last". */
dl_status dl_check_data_format(const char *class_name, const char *data_format);
/* Size of a window's output along one dimension; DL_NONE for DL_NONE. */
int64_t dl_window_out(int64_t size, int64_t window, int64_t stride, int64_t dilation, bool same);
/* A convolution with its activation (fused where the kernel can). */
typedef struct dl_convolution {
    dl_ints stride, dilation; /* {height, width} */
    dl_alternative padding;
    int64_t groups;
    dl_object *activation;
} dl_convolution;
dl_tensor *dl_convolve(dl_tensor *x, dl_tensor *weight, dl_tensor *bias, const dl_convolution *convolution);
/* DL_INVALID if both have a number above 1. */
dl_status dl_check_strides(const dl_layer *layer, const dl_ints *strides, const dl_ints *dilation);
/* DL_SHAPE unless the last dimension is known and no size is 0. */
dl_status dl_need_channels(const dl_layer *layer, const dl_spec *in);
/* DL_SHAPE: the window (argument kernel_size or pool_size) is larger than the inputs. */
dl_status dl_fail_window(const dl_layer *layer, const char *argument, const dl_spec *in);
/* The sizes of a mask of draws: those of noise, with the input's where it has no number or nothing at all. */
dl_status dl_noise_sizes(const dl_layer *layer, const dl_ints *noise, const dl_spec *in, int64_t *shape);
/* 1 with probability 1 - rate, else 0, in the sizes of noise, drawn from the layer's stream. */
dl_tensor *dl_draw_kept(dl_layer *layer, dl_tensor *x, const dl_ints *noise, double rate);

/* ---- graphs of layer calls --------------------------------------------------------------------------------------- */

typedef struct dl_fusion dl_fusion;

typedef struct dl_graph_node {
    dl_layer *layer; /* one of the model's children; NULL: an input that is no layer */
    int inputs;
    int *in; /* values */
    dl_arguments *arguments; /* may be NULL */
    int outputs;
    int out;                 /* the first of its values */
    const dl_fusion *fusion; /* runs together with the node `first` before it */
    int first;
    bool skipped; /* runs within a fusion */
} dl_graph_node;

typedef struct dl_graph_value {
    dl_spec spec;             /* batch free */
    int node;                 /* that makes it */
    int users;                /* inputs of nodes and outputs of the model that take it */
    int left;                 /* users still to come in the running call */
    bool fixed, crosses;      /* see dl_graph_mark_fixed */
    dl_tensor *tensor, *mask; /* in the running call; counted */
} dl_graph_value;

typedef struct dl_graph {
    dl_context *context;
    bool running; /* its values belong to the call under way */
    int node_count;
    int64_t node_capacity;
    dl_graph_node *nodes; /* in order of computation */
    int value_count;
    int64_t value_capacity;
    dl_graph_value *values;
    int input_count, output_count;
    int *inputs, *outputs;   /* values */
    int most_inputs;         /* of a node */
    dl_tensor **in, **masks; /* [most_inputs], for the running node */
    dl_spec *in_specs;       /* [most_inputs], for infer */
    dl_spec *specs;          /* [value_count], for infer */
} dl_graph;

/* A way to run two nodes at once, of which the second alone uses the first's output. */
struct dl_fusion {
    const char *name;
    bool (*matches)(const dl_layer *first, const dl_layer *second, const dl_spec *in);
    dl_status (*call)(dl_layer *first, dl_layer *second, dl_layer_call *call);
};
/* The fusion that takes these two layers on this input, or NULL. */
const dl_fusion *dl_find_fusion(const dl_layer *first, const dl_layer *second, const dl_spec *in);

dl_status dl_graph_create(dl_context *context, dl_graph **out);
void dl_graph_free(dl_graph *graph);
/* Adds an input; *value is its place. */
dl_status dl_graph_input(dl_graph *graph, dl_layer *layer, const dl_spec *spec, int *value);
/* Adds a call of the layer (building it if need be) on values; *first is the place of its first output. arguments (may
 * be NULL) are copied. */
dl_status dl_graph_call(dl_graph *graph, dl_layer *layer, const int *in, int inputs, const dl_arguments *arguments,
                        int *first);
/* Sets what the graph takes and gives, and plans the run. */
dl_status dl_graph_finish(dl_graph *graph, const int *inputs, int input_count, const int *outputs, int output_count);
/* Symbols for all values of a graph, [value_count], so that other graphs may begin or branch there: the same layers,
 * with inputs of the same names. New references; none after a failure. */
dl_status dl_graph_symbols(const dl_graph *graph, dl_symbol **out);
/* The graph of a Sequential or Functional; NULL for other layers, and before a Sequential is built. */
dl_graph *dl_graph_of(const dl_layer *model);
/* For a model that is asked step by step. The inputs' `fixed` says which stay the same for all steps; marks the other
 * values that do, and as crossing those of them that what changes, or the outputs, need. */
void dl_graph_mark_fixed(dl_graph *graph);
bool dl_graph_node_is_fixed(const dl_graph *graph, const dl_graph_node *node);
/* infer, call and finalize of a layer whose state is its graph. */
dl_status dl_graph_infer(const dl_layer *model, const dl_inputs *inputs, dl_spec *out, int *outputs);
dl_status dl_graph_run(dl_layer *model, dl_layer_call *call);
void dl_graph_finalize(dl_layer *model);

/* ---- losses and metrics ------------------------------------------------------------------------------------------ */

/* Keras's rule for two tensors whose ranks differ by one: a last dimension of 1 is dropped or added. In the open
 * scope. */
dl_status dl_match_ranks(dl_context *context, dl_tensor **a, dl_tensor **b);
/* DL_SHAPE unless both have one shape. */
dl_status dl_check_same_shape(const dl_tensor *target, const dl_tensor *prediction);
/* The reduction of the samples' losses. mask (may be NULL): false is ignored. */
dl_tensor *dl_reduce_losses(dl_tensor *losses, dl_tensor *mask, dl_tensor *sample_weight, int reduction);
/* The mask (true counts) as sample weights, times those given (may be NULL); for a mean over the batch scaled so that
 * the valid samples count for the masked ones too, as in Keras. In the open scope. */
dl_tensor *dl_merge_mask(dl_tensor *mask, dl_tensor *sample_weight, dl_dtype dtype, int reduction);
/* One target a step, where the mask is false, becomes 1, which is a class and a probability: padding has the label 0 or
 * any number, and has no weight anyway. */
dl_tensor *dl_fill_masked_labels(dl_tensor *target, dl_tensor *mask);
/* Computes this batch's sums into metric->pending; dl_metric_commit adds them. mask (may be NULL): of the predictions,
 * false is left out. */
dl_status dl_metric_prepare(dl_metric *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *mask,
                            dl_tensor *weights);
void dl_metric_commit(dl_metric *metric);

/* ---- optimizers -------------------------------------------------------------------------------------------------- */

/* Everything of an update that can fail: slots, contiguous gradients, norms for clipping. grads[i] NULL: variable i is
 * skipped; entries may be replaced by contiguous copies. */
dl_status dl_optimizer_prepare(dl_optimizer *optimizer, dl_tensor *const *variables, dl_tensor **grads, int64_t count);
/* The update itself: allocates nothing, polls nothing, cannot fail. */
void dl_optimizer_commit(dl_optimizer *optimizer, dl_tensor *const *variables, dl_tensor *const *grads, int64_t count);

/* Steps whose gradients wait for an update (gradient_accumulation_steps). */
int64_t dl_optimizer_waiting(const dl_optimizer *optimizer);
void dl_optimizer_set_waiting(dl_optimizer *optimizer, int64_t waiting);

/* What a learning rate may be: a number or a schedule, as the alternatives 0 and 1. */
extern const dl_field dl_learning_rates[];
/* The rate of either at a step, from 0. */
double dl_rate_at(const dl_alternative *rate, int64_t iteration);

/* ---- what a context keeps for layers --------------------------------------------------------------------------- */

/* While a model is loaded: its weights may have `elements` numbers in all, those of the file, and are not initialized,
 * since the file's values follow. dl_loading_end ends it. */
dl_status dl_loading_begin(dl_context *context, int64_t elements);
void dl_loading_end(dl_context *context);
/* Takes a new weight's elements; DL_FORMAT if the file has not that many. *loading says whether a load is under way. */
dl_status dl_loading_take(dl_context *context, int dims, const int64_t *shape, bool *loading);

/* ---- models ------------------------------------------------------------------------------------------------------ */

typedef struct dl_trainer dl_trainer;
void dl_trainer_free(dl_trainer *trainer);

#endif
