/* nn/recurrent.h: what the recurrent layers share: inputs and outputs of a call over a sequence, kept states, loops
 * over the steps, calls of layers inside. */
#ifndef DL_NN_RECURRENT_H
#define DL_NN_RECURRENT_H

#include "nn/nn.h"

/* Roles of the inputs of a layer over sequences: lstm(x, h, c), lstm(x, {initial_state = {h, c}, mask = m}). */
enum { DL_SEQUENCES, DL_INITIAL_STATE, DL_SEQUENCE_MASK };
extern const char *const dl_sequence_inputs[];

/* Which way a layer goes over a sequence and what it gives. */
typedef struct dl_sequence_mode {
    bool return_sequences, return_state, go_backwards, stateful, zero_output_for_mask;
} dl_sequence_mode;

/* A call over a sequence. */
typedef struct dl_sequence {
    dl_sequence_mode mode;
    dl_cell_states sizes;
    dl_tensor *x;                      /* (N, T, ...) */
    dl_tensor *mask;                   /* (N, T), or NULL */
    dl_tensor *states[DL_MAX_STATES];  /* the first ones (N, size); NULL: zeros */
} dl_sequence;

/* The help of the field stateful. */
#define DL_STATEFUL_HELP                                                                                               \
    "begin each batch with the last states of the one before; files do not hold them, as in Keras: a model that is "   \
    "loaded begins with zeros"

/* Makes the states that a stateful layer keeps; in init. */
dl_status dl_kept_states_create(dl_layer *layer);
void dl_kept_states_finalize(dl_layer *layer);
/* The outputs' specs; checks lengths, initial states and mask against the sequences. */
dl_status dl_sequence_infer(const dl_layer *layer, const dl_inputs *inputs, const dl_cell_states *sizes,
                            const dl_sequence_mode *mode, dl_spec *out, int *outputs);
dl_status dl_sequence_begin(dl_layer *layer, dl_layer_call *call, const dl_cell_states *sizes,
                            const dl_sequence_mode *mode, dl_sequence *out);
/* Sets the call's outputs and masks; keeps the states of a stateful layer for the next batch. */
dl_status dl_sequence_finish(dl_layer *layer, dl_layer_call *call, const dl_sequence *sequence, dl_tensor *output,
                             dl_tensor *const *states);

/* One step: from x (N, ...) and the states to *output and the new states, in their places. `step` counts in the order
 * of work. */
typedef dl_status (*dl_step_function)(void *argument, int64_t step, dl_tensor *x, dl_tensor **states,
                                      dl_tensor **output);
/* Runs the steps one by one: *output is (N, T, size) or (N, size), states become the last ones. */
dl_status dl_run_steps(dl_context *context, const dl_sequence *sequence, dl_step_function step, void *argument,
                       dl_tensor **states, dl_tensor **output);


/* DL_INVALID if the layer is no cell. */
dl_status dl_check_cell(const dl_layer *cell);
/* The sizes of a cell's states. Not at its making: those of a cell written in Lua are known when Lua calls it. */
dl_status dl_states_of(const dl_layer *cell, dl_cell_states *out);
/* A cell draws the same dropout masks in all steps of a sequence: its stream, and those of cells inside, go back to the
 * place they had. Places are taken, or put back with `back`, in order; returns the place after the last. */
uint64_t *dl_cell_places(dl_layer *cell, uint64_t *places, bool back);

#endif
