/* nn/recurrent.c: what the recurrent layers share: the checks and outputs of a call over a sequence, the states that
 * stateful layers keep, loops over the steps.
 *
 * Always true: a kept state is outside the graph (so gradients end at the beginning of each batch: truncated
 * backpropagation through time) and changes when the whole step has succeeded. */
#include "nn/recurrent.h"

#include <string.h>

const char *const dl_sequence_inputs[] = {"sequences", "initial_state...", "mask", NULL};

/* ---- kept states ------------------------------------------------------------------------------------------------- */

typedef struct kept_states {
    dl_tensor *at[DL_MAX_STATES]; /* (N, size); NULL: nothing is kept, that is zeros */
} kept_states;

dl_status dl_kept_states_create(dl_layer *layer) {
    layer->state = dl_alloc_zeroed(layer->object.context, sizeof(kept_states));
    return layer->state ? DL_OK : dl_last_status();
}

static void forget(dl_layer *layer) {
    kept_states *kept = layer->state;
    for (int i = 0; i < DL_MAX_STATES; i++) {
        dl_release(kept->at[i]);
        kept->at[i] = NULL;
    }
}

void dl_kept_states_finalize(dl_layer *layer) {
    if (layer->state)
        forget(layer);
    dl_free(layer->state);
    layer->state = NULL;
}

static dl_status forget_one(void *argument, dl_layer *layer, const char *path) {
    (void)argument;
    (void)path;
    if (dl_layer_definition(layer)->flags & DL_LAYER_KEEPS_STATES)
        forget(layer);
    return DL_OK;
}

void dl_layer_reset_states(dl_layer *layer) {
    dl_layer_walk(layer, forget_one, NULL);
}

/* The states that the batch before left, of a batch of the same size. Copies, since the originals change at the end of
 * the step. */
static dl_status take_kept(dl_layer *layer, dl_layer_call *call, bool wanted, dl_sequence *sequence) {
    kept_states *kept = layer->state;
    for (int i = 0; i < sequence->sizes.count && kept->at[i]; i++) {
        if (kept->at[i]->shape[0] != sequence->x->shape[0])
            return dl_fail(DL_SHAPE,
                           "%s is stateful and keeps states of shape %s, got sequences %s; give batches of one size, "
                           "or call reset_states() before",
                           dl_layer_class(layer), dl_tensor_text(kept->at[i]).at, dl_tensor_text(sequence->x).at);
        if (!wanted)
            continue;
        sequence->states[i] = dl_clone(call->context, dl_value_later(call, kept->at[i]));
        if (!sequence->states[i])
            return dl_last_status();
    }
    return DL_OK;
}

/* ---- a call over a sequence -------------------------------------------------------------------------------------- */

static dl_status check_state_spec(const dl_layer *layer, const dl_spec *x, const dl_spec *state, int64_t size, int n) {
    bool fits = state->dims == 2 && (state->shape[1] == size) &&
                (state->shape[0] == x->shape[0] || state->shape[0] == DL_NONE || x->shape[0] == DL_NONE);
    if (fits)
        return DL_OK;
    dl_spec wanted = {.dtype = x->dtype, .dims = 2, .shape = {x->shape[0], size}};
    return dl_fail(DL_SHAPE, "%s: initial_state %d must be %s for sequences %s, got %s", dl_layer_class(layer), n + 1,
                   dl_spec_text_of(&wanted).at, dl_spec_text_of(x).at, dl_spec_text_of(state).at);
}

static dl_status check_mask_spec(const dl_layer *layer, const dl_spec *x, const dl_spec *mask) {
    bool fits = mask->dims == 2;
    for (int i = 0; i < 2 && fits; i++)
        fits = mask->shape[i] == x->shape[i] || mask->shape[i] == DL_NONE || x->shape[i] == DL_NONE;
    if (fits)
        return DL_OK;
    dl_spec wanted = {.dtype = mask->dtype, .dims = 2, .shape = {x->shape[0], x->shape[1]}};
    return dl_fail(DL_SHAPE, "%s: mask must be %s for sequences %s, got %s", dl_layer_class(layer),
                   dl_spec_text_of(&wanted).at, dl_spec_text_of(x).at, dl_spec_text_of(mask).at);
}

static dl_status check_beside(const dl_layer *layer, const dl_inputs *inputs, const dl_cell_states *sizes) {
    const dl_spec *x = &inputs->specs[dl_find_input(layer, inputs->arguments, inputs->count, DL_SEQUENCES, 0)];
    int n = 0, place;
    while ((place = dl_find_input(layer, inputs->arguments, inputs->count, DL_INITIAL_STATE, n)) >= 0) {
        if (n < sizes->count)
            DL_TRY(check_state_spec(layer, x, &inputs->specs[place], sizes->sizes[n], n));
        n++;
    }
    if (n != 0 && n != sizes->count)
        return dl_fail(DL_INVALID, "%s has %d states, got %d as initial_state", dl_layer_class(layer), sizes->count, n);
    place = dl_find_input(layer, inputs->arguments, inputs->count, DL_SEQUENCE_MASK, 0);
    return place < 0 ? DL_OK : check_mask_spec(layer, x, &inputs->specs[place]);
}

dl_status dl_sequence_infer(const dl_layer *layer, const dl_inputs *inputs, const dl_cell_states *sizes,
                            const dl_sequence_mode *mode, dl_spec *out, int *outputs) {
    const dl_spec *x = &inputs->specs[dl_find_input(layer, inputs->arguments, inputs->count, DL_SEQUENCES, 0)];
    DL_TRY(dl_layer_check_sizes(layer, x));
    DL_TRY(check_beside(layer, inputs, sizes));
    out[0] = (dl_spec){.dtype = x->dtype, .dims = mode->return_sequences ? 3 : 2};
    out[0].shape[0] = x->shape[0];
    out[0].shape[1] = x->shape[1];
    out[0].shape[out[0].dims - 1] = sizes->output;
    *outputs = 1;
    for (int i = 0; mode->return_state && i < sizes->count; i++)
        out[(*outputs)++] = (dl_spec){.dtype = x->dtype, .dims = 2, .shape = {x->shape[0], sizes->sizes[i]}};
    return DL_OK;
}

/* Asked step by step, the layer goes on from the states after the step before. */
static dl_status continue_decoding(const dl_layer *layer, const dl_layer_call *call, dl_sequence *sequence) {
    if (sequence->mode.go_backwards || !sequence->mode.return_sequences)
        return dl_fail(DL_UNSUPPORTED, "%s can be asked step by step with return_sequences = true and without "
                       "go_backwards only", dl_layer_class(layer));
    for (int i = 0; i < sequence->sizes.count; i++)
        if (dl_call_kept(call, i))
            sequence->states[i] = dl_call_kept(call, i);
    return DL_OK;
}

dl_status dl_sequence_begin(dl_layer *layer, dl_layer_call *call, const dl_cell_states *sizes,
                            const dl_sequence_mode *mode, dl_sequence *out) {
    *out = (dl_sequence){.mode = *mode, .sizes = *sizes, .x = dl_call_input(layer, call, DL_SEQUENCES)};
    dl_tensor *given = dl_call_input(layer, call, DL_SEQUENCE_MASK);
    out->mask = given ? given : dl_call_mask(layer, call, DL_SEQUENCES);
    bool has_states = false;
    for (int i = 0; i < sizes->count; i++) {
        int place = dl_find_input(layer, call->arguments, call->inputs, DL_INITIAL_STATE, i);
        if (place >= 0) {
            out->states[i] = call->in[place];
            has_states = true;
        }
    }
    if (call->decoding)
        return continue_decoding(layer, call, out);
    return mode->stateful ? take_kept(layer, call, !has_states, out) : DL_OK;
}

/* The batch's last states are the next one's first ones. */
static dl_status keep_states(dl_layer *layer, dl_layer_call *call, dl_tensor *const *states, int count) {
    kept_states *kept = layer->state;
    if (!call->deferred)
        return DL_OK;
    for (int i = 0; i < count; i++) {
        if (!kept->at[i]) {
            dl_tensor *room = dl_tensor_new(call->context, layer->dtype, states[i]->dims, states[i]->shape);
            DL_TRY(room ? dl_tensor_fill(room, 0) : dl_last_status());
            kept->at[i] = room;
        }
        DL_TRY(dl_assign_tensor_later(call, kept->at[i], states[i]));
    }
    return DL_OK;
}

dl_status dl_sequence_finish(dl_layer *layer, dl_layer_call *call, const dl_sequence *sequence, dl_tensor *output,
                             dl_tensor *const *states) {
    DL_TRY(dl_call_return(call, output));
    if (sequence->mode.return_sequences)
        call->out_masks[0] = sequence->mask;
    for (int i = 0; sequence->mode.return_state && i < sequence->sizes.count; i++)
        call->out[call->outputs++] = states[i];
    for (int i = 0; call->decoding && i < sequence->sizes.count; i++)
        DL_TRY(dl_call_keep(call, i, states[i]));
    return sequence->mode.stateful && !call->decoding ? keep_states(layer, call, states, sequence->sizes.count) : DL_OK;
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

static dl_tensor *zeros_of(dl_context *context, const dl_tensor *x, int64_t size) {
    return dl_zeros(context, x->dtype, 2, (int64_t[]){x->shape[0], size});
}

/* DL_OK if all states are there, else the failure that made one NULL. */
static dl_status check_states(const dl_sequence *sequence, dl_tensor *const *states) {
    for (int i = 0; i < sequence->sizes.count; i++)
        if (!states[i])
            return dl_last_status();
    return DL_OK;
}

/* Where the mask of the step is false, the output before and the states before. */
static dl_status hold_back(dl_context *context, const dl_sequence *sequence, int64_t place, dl_tensor *before,
                           dl_tensor *const *old, dl_tensor **states, dl_tensor **output) {
    dl_tensor *valid = dl_unsqueeze(context, dl_select(context, sequence->mask, 1, place), -1);
    *output = dl_where(context, valid, *output, before);
    for (int i = 0; i < sequence->sizes.count; i++)
        states[i] = dl_where(context, valid, states[i], old[i]);
    DL_TRY(*output ? DL_OK : dl_last_status());
    return check_states(sequence, states);
}

/* Zero where the mask is false; output in the order of work. */
static dl_tensor *zero_masked(dl_context *context, const dl_sequence *sequence, dl_tensor *output) {
    int64_t steps = 1;
    dl_tensor *mask = sequence->mask;
    if (sequence->mode.go_backwards)
        mask = dl_flip(context, mask, 1, &steps);
    if (!sequence->mode.return_sequences)
        mask = dl_select(context, mask, 1, sequence->x->shape[1] - 1);
    return dl_where(context, dl_unsqueeze(context, mask, -1), output, dl_number(context, 0, output));
}

static dl_status run_step(dl_context *context, const dl_sequence *sequence, int64_t s, dl_step_function step,
                          void *argument, dl_tensor **states, dl_tensor **output) {
    int64_t place = sequence->mode.go_backwards ? sequence->x->shape[1] - 1 - s : s;
    dl_tensor *old[DL_MAX_STATES], *before = *output;
    memcpy(old, states, sizeof old);
    dl_tensor *x = dl_select(context, sequence->x, 1, place);
    DL_TRY(x ? DL_OK : dl_last_status());
    DL_TRY(step(argument, s, x, states, output));
    return sequence->mask ? hold_back(context, sequence, place, before, old, states, output) : DL_OK;
}

dl_status dl_run_steps(dl_context *context, const dl_sequence *sequence, dl_step_function step, void *argument,
                       dl_tensor **states, dl_tensor **output) {
    int64_t T = sequence->x->shape[1];
    dl_tensor *last = zeros_of(context, sequence->x, sequence->sizes.output);
    memset(states, 0, DL_MAX_STATES * sizeof *states);
    for (int i = 0; i < sequence->sizes.count; i++)
        states[i] = sequence->states[i] ? sequence->states[i]
                                        : zeros_of(context, sequence->x, sequence->sizes.sizes[i]);
    DL_TRY(last ? check_states(sequence, states) : dl_last_status());
    dl_tensor **all = dl_alloc_array(context, (size_t)T, sizeof *all);
    if (!all)
        return dl_last_status();
    dl_status status = DL_OK;
    for (int64_t s = 0; status == DL_OK && s < T; s++) {
        status = run_step(context, sequence, s, step, argument, states, &last);
        all[s] = last;
    }
    if (status == DL_OK)
        *output = sequence->mode.return_sequences ? dl_stack(context, all, (int)T, 1) : last;
    dl_free(all);
    DL_TRY(status);
    if (sequence->mask && sequence->mode.zero_output_for_mask)
        *output = zero_masked(context, sequence, *output);
    return *output ? DL_OK : dl_last_status();
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

dl_status dl_check_cell(const dl_layer *cell) {
    if (dl_layer_definition(cell)->states)
        return DL_OK;
    return dl_fail(DL_INVALID,
                   "%s is no cell: a cell makes one step, as LSTMCell does, and says the sizes of its states "
                   "(state_size)",
                   dl_layer_class(cell));
}

dl_status dl_states_of(const dl_layer *cell, dl_cell_states *out) {
    *out = (dl_cell_states){0};
    return dl_layer_definition(cell)->states(cell, out);
}
