/* nn/layer_rnn.c: RNN, which runs any cell over a sequence, and StackedRNNCells, which makes one cell of several.
 *
 * Always true: the cell (the cells) are the layer's children; the states of a stack are those of its cells in order. */
#include <string.h>

#include "nn/recurrent.h"

static dl_layer *cell_of(const dl_layer *layer) {
    return (dl_layer *)DL_OPTIONS(layer, dl_rnn_options)->cell;
}

/* The specs of a cell's inputs: x of one step, then the states. */
static void step_specs(const dl_spec *x, const dl_cell_states *sizes, dl_spec *specs) {
    specs[0] = *x;
    for (int i = 0; i < sizes->count; i++)
        specs[1 + i] = (dl_spec){.dtype = x->dtype, .dims = 2, .shape = {x->shape[0], sizes->sizes[i]}};
}

/* ---- a stack of cells -------------------------------------------------------------------------------------------- */

static dl_status init_stack(dl_layer *layer) {
    const dl_objects *cells = &DL_OPTIONS(layer, dl_stacked_rnn_cells_options)->cells;
    if (cells->count == 0)
        return dl_fail(DL_INVALID, "StackedRNNCells: cells is empty; give one cell at least");
    for (int i = 0; i < cells->count; i++) {
        DL_TRY(dl_check_cell((dl_layer *)cells->at[i]));
        DL_TRY(dl_layer_add_child(layer, (dl_layer *)cells->at[i]));
    }
    return DL_OK;
}

static dl_status stack_states(const dl_layer *layer, dl_cell_states *out) {
    *out = (dl_cell_states){0};
    for (int i = 0; i < layer->child_count; i++) {
        dl_cell_states one;
        DL_TRY(dl_states_of(layer->children[i], &one));
        if (out->count + one.count > DL_MAX_STATES)
            return dl_fail(DL_INVALID, "StackedRNNCells: the cells have more than %d states", DL_MAX_STATES);
        memcpy(out->sizes + out->count, one.sizes, (size_t)one.count * sizeof *one.sizes);
        out->count += one.count;
        out->output = one.output;
    }
    return DL_OK;
}

static dl_status build_stack(dl_layer *layer, const dl_inputs *inputs) {
    dl_spec x = inputs->specs[0];
    for (int i = 0; i < layer->child_count; i++) {
        dl_cell_states sizes;
        dl_spec specs[1 + DL_MAX_STATES];
        DL_TRY(dl_states_of(layer->children[i], &sizes));
        step_specs(&x, &sizes, specs);
        DL_TRY(dl_layer_build(layer->children[i], &(dl_inputs){specs, 1 + sizes.count, NULL}));
        x = (dl_spec){.dtype = x.dtype, .dims = 2, .shape = {x.shape[0], sizes.output}};
    }
    return DL_OK;
}

/* Each cell checks its own inputs. */
static dl_status infer_stack(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_cell_states all;
    dl_spec x = inputs->specs[0];
    const dl_spec *states = inputs->specs + 1;
    DL_TRY(dl_states_of(layer, &all));
    if (inputs->count != 1 + all.count)
        return dl_fail(DL_INVALID, "StackedRNNCells takes its input and %d states, got %d", all.count,
                       inputs->count - 1);
    *outputs = 1;
    for (int i = 0; i < layer->child_count; i++) {
        dl_cell_states sizes;
        dl_spec specs[1 + DL_MAX_STATES], made[DL_MAX_LAYER_OUTPUTS];
        int count;
        DL_TRY(dl_states_of(layer->children[i], &sizes));
        specs[0] = x;
        memcpy(specs + 1, states, (size_t)sizes.count * sizeof *specs);
        DL_TRY(dl_layer_infer(layer->children[i], &(dl_inputs){specs, 1 + sizes.count, NULL}, made, &count));
        x = made[0];
        memcpy(out + *outputs, made + 1, (size_t)sizes.count * sizeof *out);
        *outputs += sizes.count;
        states += sizes.count;
    }
    out[0] = x;
    return DL_OK;
}

static dl_status call_stack(dl_layer *layer, dl_layer_call *call) {
    dl_tensor *x = call->in[0];
    dl_tensor *const *states = call->in + 1;
    int made = 1;
    for (int i = 0; i < layer->child_count; i++) {
        dl_cell_states sizes;
        dl_tensor *in[1 + DL_MAX_STATES];
        dl_layer_call child;
        DL_TRY(dl_states_of(layer->children[i], &sizes));
        in[0] = x;
        memcpy(in + 1, states, (size_t)sizes.count * sizeof *in);
        DL_TRY(dl_run_child(layer->children[i], call, in, 1 + sizes.count, NULL, NULL, &child));
        x = child.out[0];
        memcpy(call->out + made, child.out + 1, (size_t)sizes.count * sizeof *in);
        made += sizes.count;
        states += sizes.count;
    }
    call->out[0] = x;
    call->outputs = made;
    return DL_OK;
}

static const dl_field stack_fields[] = {
    DL_OBJECTS(dl_stacked_rnn_cells_options, cells, &dl_layer_family, DL_REQUIRED, "cells, the first one first"),
    DL_LAYER_FIELDS(dl_stacked_rnn_cells_options)};

const dl_layer_def dl_layer_stacked_rnn_cells = {
    .definition = {.name = "StackedRNNCells", .version = 1,
                   .help = "Several cells as one: each takes the output of the one before.",
                   .shapes = "inputs (N, F), states (N, size) each -> output (N, size of the last), states",
                   .fields = stack_fields, .options_size = sizeof(dl_stacked_rnn_cells_options)},
    .minimum_inputs = 2, .minimum_dims = 2,
    .init = init_stack, .build = build_stack, .infer = infer_stack, .call = call_stack, .states = stack_states};

/* ---- RNN --------------------------------------------------------------------------------------------------------- */

static dl_sequence_mode mode_of(const dl_layer *layer) {
    const dl_rnn_options *o = DL_OPTIONS(layer, dl_rnn_options);
    return (dl_sequence_mode){o->return_sequences, o->return_state, o->go_backwards, o->stateful,
                              o->zero_output_for_mask};
}

static dl_status init_rnn(dl_layer *layer) {
    DL_TRY(dl_check_cell(cell_of(layer)));
    DL_TRY(dl_layer_add_child(layer, cell_of(layer)));
    return dl_kept_states_create(layer);
}

/* The specs of the cell's inputs for these sequences. */
static dl_status cell_specs(const dl_layer *layer, const dl_inputs *inputs, dl_cell_states *sizes, dl_spec *specs) {
    int place = dl_find_input(layer, inputs->arguments, inputs->count, DL_SEQUENCES, 0);
    dl_spec x = inputs->specs[place < 0 ? 0 : place];
    DL_TRY(dl_layer_check_sizes(layer, &x));
    DL_TRY(dl_states_of(cell_of(layer), sizes));
    x.dims--;
    memmove(x.shape + 1, x.shape + 2, (size_t)(x.dims - 1) * sizeof *x.shape);
    step_specs(&x, sizes, specs);
    return DL_OK;
}

static dl_status build_rnn(dl_layer *layer, const dl_inputs *inputs) {
    dl_cell_states sizes;
    dl_spec specs[1 + DL_MAX_STATES];
    DL_TRY(cell_specs(layer, inputs, &sizes, specs));
    return dl_layer_build(cell_of(layer), &(dl_inputs){specs, 1 + sizes.count, NULL});
}

/* What the cell gives must be what it says of its states. */
static dl_status check_cell(const dl_layer *layer, const dl_inputs *inputs, dl_cell_states *sizes) {
    dl_spec specs[1 + DL_MAX_STATES], made[DL_MAX_LAYER_OUTPUTS];
    int count;
    DL_TRY(cell_specs(layer, inputs, sizes, specs));
    DL_TRY(dl_layer_infer(cell_of(layer), &(dl_inputs){specs, 1 + sizes->count, NULL}, made, &count));
    if (count != 1 + sizes->count)
        return dl_fail(DL_SHAPE, "RNN: the cell '%s' gives %d outputs; with %d states it must give its output and %d "
                                 "states",
                       cell_of(layer)->name, count, sizes->count, sizes->count);
    for (int i = 0; i < count; i++) {
        int64_t size = i ? sizes->sizes[i - 1] : sizes->output;
        if (made[i].dims != 2 || made[i].shape[1] != size)
            return dl_fail(DL_SHAPE, "RNN: output %d of the cell '%s' is %s; by its %s the last size must be %lld",
                           i + 1, cell_of(layer)->name, dl_spec_text_of(&made[i]).at, i ? "state_size" : "output_size",
                           (long long)size);
    }
    return DL_OK;
}

static dl_status infer_rnn(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_cell_states sizes;
    dl_sequence_mode mode = mode_of(layer);
    DL_TRY(check_cell(layer, inputs, &sizes));
    return dl_sequence_infer(layer, inputs, &sizes, &mode, out, outputs);
}

typedef struct stepping {
    dl_layer *cell;
    const dl_layer_call *call;
    int count; /* of states */
    uint64_t places[DL_MAX_STATES];
} stepping;

static dl_status step_of_cell(void *argument, int64_t step, dl_tensor *x, dl_tensor **states, dl_tensor **output) {
    stepping *s = argument;
    dl_tensor *in[1 + DL_MAX_STATES] = {x};
    dl_layer_call child;
    memcpy(in + 1, states, (size_t)s->count * sizeof *in);
    dl_cell_places(s->cell, s->places, step > 0);
    DL_TRY(dl_run_child(s->cell, s->call, in, 1 + s->count, NULL, NULL, &child));
    if (child.outputs != 1 + s->count)
        return dl_fail(DL_SHAPE, "RNN: the cell '%s' gave %d outputs, not its output and %d states", s->cell->name,
                       child.outputs, s->count);
    *output = child.out[0];
    memcpy(states, child.out + 1, (size_t)s->count * sizeof *in);
    return DL_OK;
}

static dl_status call_rnn(dl_layer *layer, dl_layer_call *call) {
    dl_cell_states sizes;
    dl_sequence_mode mode = mode_of(layer);
    dl_sequence sequence;
    dl_tensor *states[DL_MAX_STATES], *output = NULL;
    DL_TRY(dl_states_of(cell_of(layer), &sizes));
    DL_TRY(dl_sequence_begin(layer, call, &sizes, &mode, &sequence));
    stepping s = {.cell = cell_of(layer), .call = call, .count = sizes.count};
    DL_TRY(dl_run_steps(call->context, &sequence, step_of_cell, &s, states, &output));
    return dl_sequence_finish(layer, call, &sequence, output, states);
}

#define TYPE dl_rnn_options
static const dl_field rnn_fields[] = {
    DL_OBJECT(TYPE, cell, NULL, &dl_layer_family, DL_REQUIRED, "a layer that makes one step: LSTMCell, or one's own"),
    DL_BOOL(TYPE, return_sequences, false, 0, "give the outputs of all steps, else the last one"),
    DL_BOOL(TYPE, return_state, false, 0, "give the last states too"),
    DL_BOOL(TYPE, go_backwards, false, 0, "from the last step to the first; outputs come in that order"),
    DL_BOOL(TYPE, stateful, false, 0, DL_STATEFUL_HELP),
    DL_BOOL(TYPE, unroll, false, 0, "taken for Keras's sake: the result is the same"),
    DL_BOOL(TYPE, zero_output_for_mask, false, 0, "masked steps give zeros, else the output before them"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_rnn = {
    .definition = {.name = "RNN", .version = 1,
                   .help = "Runs a cell over a sequence, step by step. A cell may be written in Lua: a layer made by "
                           "layers.define with state_size (a number, a list of them for several states, or a function "
                           "of self that returns one of these), output_size if that is not the first state's, and "
                           "call(self, {x, state, ...}), which returns the output and the new states: x is (N, F), a "
                           "state (N, size).",
                   .formula = "output, state... = cell(x of the step, state...)",
                   .shapes = "sequences (N, T, F), initial_state (N, size) each, mask (N, T) -> (N, output), or (N, "
                             "T, output) with return_sequences; with return_state the last states too",
                   .fields = rnn_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3, .input_names = dl_sequence_inputs,
    .init = init_rnn, .build = build_rnn, .infer = infer_rnn, .call = call_rnn, .finalize = dl_kept_states_finalize,
    .flags = DL_LAYER_KEEPS_STATES | DL_LAYER_STEPWISE};
