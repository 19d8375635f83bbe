/* dlua/recurrent.h: options of the recurrent layers, and what belongs to them alone. The operations that they run are
 * in dlua/ops.h. Included by dlua/layers.h.
 *
 * A cell is a layer that makes one step: it takes the input of a step and its states, (N, features), (N, size) ..., and
 * gives its output and its new states. It says the sizes of the states (dl_layer_def.states); RNN runs any cell over a
 * sequence. LSTM, GRU and SimpleRNN run whole sequences at once. */
#ifndef DLUA_RECURRENT_H
#define DLUA_RECURRENT_H

#include "dlua/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SimpleRNN, LSTM, GRU and their cells; each has the fields that its definition lists. */
typedef struct dl_recurrent_options {
    dl_layer_options layer;
    int64_t units;
    dl_object *activation, *recurrent_activation; /* NULL: linear */
    bool use_bias;
    dl_object *kernel_initializer, *recurrent_initializer, *bias_initializer;
    bool unit_forget_bias;
    dl_object *kernel_regularizer, *recurrent_regularizer, *bias_regularizer, *activity_regularizer;
    dl_object *kernel_constraint, *recurrent_constraint, *bias_constraint;
    double dropout, recurrent_dropout;
    int64_t seed; /* DL_NONE: a stream of the context's */
    bool return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask;
    bool reset_after;
} dl_recurrent_options;

typedef struct dl_rnn_options {
    dl_layer_options layer;
    dl_object *cell; /* a layer that is a cell */
    bool return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask;
} dl_rnn_options;

typedef struct dl_stacked_rnn_cells_options {
    dl_layer_options layer;
    dl_objects cells;
} dl_stacked_rnn_cells_options;

enum { DL_MERGE_CONCAT, DL_MERGE_SUM, DL_MERGE_MUL, DL_MERGE_AVE };
typedef struct dl_bidirectional_options {
    dl_layer_options layer;
    dl_object *wrapped;        /* a recurrent layer, which is copied */
    int merge_mode;            /* DL_MERGE_CONCAT ...; -1: both outputs */
    dl_object *backward_layer; /* NULL: made from the first */
} dl_bidirectional_options;

typedef struct dl_time_distributed_options {
    dl_layer_options layer;
    dl_object *wrapped; /* the layer for each step */
} dl_time_distributed_options;

typedef struct dl_masking_options {
    dl_layer_options layer;
    double mask_value;
} dl_masking_options;

/* Stateful layers in `layer` and below begin the next batch with zeros, and with a batch of any size. */
DL_API void dl_layer_reset_states(dl_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
