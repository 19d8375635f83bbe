/* nn/layer_recurrent.c: SimpleRNN, LSTM and GRU, and the cells of the same names, with Keras's weights: kernel,
 * recurrent_kernel, bias, and the gates in its order.
 *
 * Always true: a layer with the default activations runs as one fused operation; with others it goes step by step
 * through the same step as its cell. Dropout masks are drawn once for a sequence and serve all steps and gates. */
#include "nn/recurrent.h"

typedef enum kind { SIMPLE, LSTM, GRU } kind;

static const dl_recurrent_options *options_of(const dl_layer *layer) {
    return DL_OPTIONS(layer, dl_recurrent_options);
}

static kind kind_of(const dl_layer *layer) {
    const dl_definition *definition = layer->object.definition;
    if (definition == &dl_layer_lstm.definition || definition == &dl_layer_lstm_cell.definition)
        return LSTM;
    return definition == &dl_layer_gru.definition || definition == &dl_layer_gru_cell.definition ? GRU : SIMPLE;
}

static int64_t gates_of(const dl_layer *layer) {
    static const int gates[] = {[SIMPLE] = 1, [LSTM] = 4, [GRU] = 3};
    return gates[kind_of(layer)];
}

static dl_status states(const dl_layer *layer, dl_cell_states *out) {
    int64_t units = options_of(layer)->units;
    *out = (dl_cell_states){.count = kind_of(layer) == LSTM ? 2 : 1, .sizes = {units, units}, .output = units};
    return DL_OK;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static dl_status init_stream(dl_layer *layer) {
    int64_t seed = options_of(layer)->seed;
    if (seed != DL_NONE)
        layer->stream = (dl_stream){.seed = (uint64_t)seed};
    return DL_OK;
}

/* The bias of the forget gate begins at 1 (Jozefowicz et al. 2015). */
static dl_status raise_forget_bias(dl_tensor *bias, int64_t units) {
    dl_tensor *part = dl_tensor_view(bias, 1, &units, (int64_t[]){1}, units);
    dl_status status = part ? dl_tensor_fill(part, 1) : dl_last_status();
    dl_release(part);
    return status;
}

static dl_status add_bias(dl_layer *layer, int64_t columns) {
    const dl_recurrent_options *options = options_of(layer);
    bool two = kind_of(layer) == GRU && options->reset_after;
    DL_TRY(dl_layer_add_constrained(layer, "bias", two ? 2 : 1, two ? (int64_t[]){2, columns} : &columns,
                                    options->bias_initializer, options->bias_regularizer, options->bias_constraint));
    if (kind_of(layer) == LSTM && options->unit_forget_bias)
        return raise_forget_bias(layer->weights[2].value, options->units);
    return DL_OK;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    const dl_recurrent_options *options = options_of(layer);
    int place = dl_find_input(layer, inputs->arguments, inputs->count, 0, 0);
    const dl_spec *in = &inputs->specs[place < 0 ? 0 : place];
    int64_t features = in->shape[in->dims - 1], columns = gates_of(layer) * options->units;
    if (features == DL_NONE)
        return dl_fail(DL_SHAPE, "%s needs to know the last size of its inputs, got %s", dl_layer_class(layer),
                       dl_spec_text_of(in).at);
    DL_TRY(dl_layer_check_sizes(layer, in));
    DL_TRY(dl_layer_add_constrained(layer, "kernel", 2, (int64_t[]){features, columns}, options->kernel_initializer,
                                    options->kernel_regularizer, options->kernel_constraint));
    DL_TRY(dl_layer_add_constrained(layer, "recurrent_kernel", 2, (int64_t[]){options->units, columns},
                                    options->recurrent_initializer, options->recurrent_regularizer,
                                    options->recurrent_constraint));
    return options->use_bias ? add_bias(layer, columns) : DL_OK;
}

static dl_status check_features(const dl_layer *layer, const dl_spec *in) {
    return in->shape[in->dims - 1] == layer->weights[0].value->shape[0] ? DL_OK : dl_layer_fail_built(layer, in);
}

static dl_tensor *bias_of(const dl_layer *layer) {
    return options_of(layer)->use_bias ? layer->weights[2].value : NULL;
}

/* ---- dropout ----------------------------------------------------------------------------------------------------- */

/* 0 with probability rate, else 1 / (1 - rate): (N, size); NULL in *out if nothing is dropped. */
static dl_status draw_mask(dl_layer *layer, const dl_layer_call *call, double rate, int64_t size, dl_tensor **out) {
    dl_tensor *x = call->in[dl_find_input(layer, call->arguments, call->inputs, 0, 0)];
    *out = NULL;
    if (!call->training || rate == 0)
        return DL_OK;
    dl_tensor *mask = dl_empty(call->context, x->dtype, 2, (int64_t[]){x->shape[0], size});
    DL_TRY(mask ? dl_bernoulli_(mask, &layer->stream, 1 - rate) : dl_last_status());
    *out = dl_mul_number(call->context, mask, rate < 1 ? 1 / (1 - rate) : 0);
    return *out ? DL_OK : dl_last_status();
}

typedef struct dropout_masks {
    dl_tensor *input, *state; /* (N, features), (N, units); NULL: nothing is dropped */
} dropout_masks;

static dl_status draw_masks(dl_layer *layer, const dl_layer_call *call, dropout_masks *masks) {
    const dl_recurrent_options *options = options_of(layer);
    DL_TRY(draw_mask(layer, call, options->dropout, layer->weights[0].value->shape[0], &masks->input));
    return draw_mask(layer, call, options->recurrent_dropout, options->units, &masks->state);
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

/* The n-th part of `units` columns. */
static dl_tensor *part(dl_tensor *sums, int64_t units, int n) {
    return sums ? dl_slice(sums->context, sums, -1, n * units, (n + 1) * units, 1) : NULL;
}

static dl_status lstm_step(const dl_layer *layer, dl_context *context, dl_tensor *sums, dl_tensor *h,
                           dl_tensor **states_) {
    const dl_recurrent_options *o = options_of(layer);
    sums = dl_add(context, sums, dl_matmul(context, h, layer->weights[1].value));
    dl_tensor *i = dl_activate(o->recurrent_activation, part(sums, o->units, 0));
    dl_tensor *f = dl_activate(o->recurrent_activation, part(sums, o->units, 1));
    dl_tensor *g = dl_activate(o->activation, part(sums, o->units, 2));
    dl_tensor *out = dl_activate(o->recurrent_activation, part(sums, o->units, 3));
    states_[1] = dl_add(context, dl_mul(context, f, states_[1]), dl_mul(context, i, g));
    states_[0] = dl_mul(context, out, dl_activate(o->activation, states_[1]));
    return states_[0] ? DL_OK : dl_last_status();
}

static dl_status gru_step(const dl_layer *layer, dl_context *context, dl_tensor *sums, dl_tensor *h,
                          dl_tensor **states_) {
    const dl_recurrent_options *o = options_of(layer);
    int64_t U = o->units;
    dl_tensor *recurrent = layer->weights[1].value;
    dl_tensor *used = o->reset_after ? recurrent : dl_slice(context, recurrent, 1, 0, 2 * U, 1);
    dl_tensor *inner = dl_matmul(context, h, used);
    if (o->reset_after && o->use_bias)
        inner = dl_add(context, inner, dl_select(context, bias_of(layer), 0, 1));
    dl_tensor *z = dl_activate(o->recurrent_activation, dl_add(context, part(sums, U, 0), part(inner, U, 0)));
    dl_tensor *r = dl_activate(o->recurrent_activation, dl_add(context, part(sums, U, 1), part(inner, U, 1)));
    dl_tensor *reset = o->reset_after ? dl_mul(context, r, part(inner, U, 2))
                                      : dl_matmul(context, dl_mul(context, r, h),
                                                  dl_slice(context, recurrent, 1, 2 * U, 3 * U, 1));
    dl_tensor *g = dl_activate(o->activation, dl_add(context, part(sums, U, 2), reset));
    /* z h + (1 - z) g */
    states_[0] = dl_add(context, g, dl_mul(context, z, dl_sub(context, states_[0], g)));
    return states_[0] ? DL_OK : dl_last_status();
}

static dl_status simple_step(const dl_layer *layer, dl_context *context, dl_tensor *sums, dl_tensor *h,
                             dl_tensor **states_) {
    sums = dl_add(context, sums, dl_matmul(context, h, layer->weights[1].value));
    states_[0] = dl_activate(options_of(layer)->activation, sums);
    return states_[0] ? DL_OK : dl_last_status();
}

/* From the states before a step to those after it; the first one is the output. x is dropped already. */
static dl_status one_step(const dl_layer *layer, dl_tensor *x, dl_tensor *drop, dl_tensor **states_) {
    dl_context *context = x->context;
    dl_tensor *bias = bias_of(layer);
    if (bias && bias->dims == 2)
        bias = dl_select(context, bias, 0, 0);
    dl_tensor *sums = dl_linear(context, x, layer->weights[0].value, bias, DL_ACTIVATION_NONE);
    dl_tensor *h = drop ? dl_mul(context, states_[0], drop) : states_[0];
    kind k = kind_of(layer);
    return (k == LSTM ? lstm_step : k == GRU ? gru_step : simple_step)(layer, context, sums, h, states_);
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

static const char *const cell_inputs[] = {"inputs", "states...", NULL};

static dl_status infer_cell(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *x = &inputs->specs[dl_find_input(layer, inputs->arguments, inputs->count, 0, 0)];
    dl_cell_states sizes;
    DL_TRY(states(layer, &sizes));
    DL_TRY(check_features(layer, x));
    if (inputs->count != 1 + sizes.count)
        return dl_fail(DL_INVALID, "%s takes its input and %d states, got %d", dl_layer_class(layer), sizes.count,
                       inputs->count - 1);
    out[0] = (dl_spec){.dtype = x->dtype, .dims = 2, .shape = {x->shape[0], sizes.output}};
    for (int i = 0; i < sizes.count; i++) {
        const dl_spec *state = &inputs->specs[dl_find_input(layer, inputs->arguments, inputs->count, 1, i)];
        out[1 + i] = out[0];
        if (state->dims != 2 || state->shape[1] != sizes.sizes[i])
            return dl_fail(DL_SHAPE, "%s: state %d must be %s for inputs %s, got %s", dl_layer_class(layer), i + 1,
                           dl_spec_text_of(&out[0]).at, dl_spec_text_of(x).at, dl_spec_text_of(state).at);
    }
    *outputs = 1 + sizes.count;
    return DL_OK;
}

static dl_status call_cell(dl_layer *layer, dl_layer_call *call) {
    dropout_masks masks;
    dl_cell_states sizes;
    dl_tensor *now[DL_MAX_STATES];
    dl_tensor *x = dl_call_input(layer, call, 0);
    DL_TRY(states(layer, &sizes));
    for (int i = 0; i < sizes.count; i++)
        now[i] = call->in[dl_find_input(layer, call->arguments, call->inputs, 1, i)];
    DL_TRY(draw_masks(layer, call, &masks));
    if (masks.input)
        x = dl_mul(call->context, x, masks.input);
    DL_TRY(x ? one_step(layer, x, masks.state, now) : dl_last_status());
    call->out[0] = now[0];
    for (int i = 0; i < sizes.count; i++)
        call->out[1 + i] = now[i];
    call->outputs = 1 + sizes.count;
    return DL_OK;
}

uint64_t *dl_cell_places(dl_layer *cell, uint64_t *places, bool back) {
    if (cell->object.definition == &dl_layer_stacked_rnn_cells.definition) {
        for (int i = 0; i < cell->child_count; i++)
            places = dl_cell_places(cell->children[i], places, back);
        return places;
    }
    if (dl_layer_definition(cell)->call != call_cell)
        return places;
    if (back)
        cell->stream.position = *places;
    else
        *places = cell->stream.position;
    return places + 1;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static dl_sequence_mode mode_of(const dl_layer *layer) {
    const dl_recurrent_options *o = options_of(layer);
    return (dl_sequence_mode){o->return_sequences, o->return_state, o->go_backwards, o->stateful,
                              o->zero_output_for_mask};
}

static dl_status init_layer(dl_layer *layer) {
    DL_TRY(init_stream(layer));
    return dl_kept_states_create(layer);
}

static dl_status infer_layer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    dl_cell_states sizes;
    dl_sequence_mode mode = mode_of(layer);
    DL_TRY(states(layer, &sizes));
    DL_TRY(check_features(layer, &inputs->specs[dl_find_input(layer, inputs->arguments, inputs->count, 0, 0)]));
    return dl_sequence_infer(layer, inputs, &sizes, &mode, out, outputs);
}

static bool is_activation(const dl_object *activation, const dl_activation_def *definition) {
    return activation && activation->definition == &definition->definition;
}

static bool has_fused_form(const dl_layer *layer) {
    const dl_recurrent_options *o = options_of(layer);
    return is_activation(o->activation, &dl_activation_tanh) &&
           (kind_of(layer) == SIMPLE || is_activation(o->recurrent_activation, &dl_activation_sigmoid));
}

/* out[0] is the output, then the states. */
static dl_status run_fused(dl_layer *layer, const dl_layer_call *call, const dl_sequence *s, dl_tensor *drop,
                           dl_tensor **out) {
    const dl_recurrent_options *o = options_of(layer);
    dl_recurrent_tensors tensors = {.x = s->x, .kernel = layer->weights[0].value,
                                    .recurrent_kernel = layer->weights[1].value, .bias = bias_of(layer),
                                    .initial_h = s->states[0], .initial_c = s->states[1], .mask = s->mask,
                                    .dropout_mask = drop};
    dl_recurrent_op_options options = {.return_sequences = o->return_sequences, .go_backwards = o->go_backwards,
                                       .zero_output_for_mask = o->zero_output_for_mask,
                                       .reset_after = o->reset_after};
    switch (kind_of(layer)) {
    case LSTM:
        return dl_lstm(call->context, &tensors, &options, out);
    case GRU:
        return dl_gru(call->context, &tensors, &options, out);
    default:
        return dl_simple_rnn(call->context, &tensors, &options, out);
    }
}

typedef struct stepping {
    const dl_layer *layer;
    dl_tensor *drop;
} stepping;

static dl_status step_of_layer(void *argument, int64_t step, dl_tensor *x, dl_tensor **states_, dl_tensor **output) {
    const stepping *s = argument;
    (void)step;
    DL_TRY(one_step(s->layer, x, s->drop, states_));
    *output = states_[0];
    return DL_OK;
}

static dl_status call_layer(dl_layer *layer, dl_layer_call *call) {
    dl_cell_states sizes;
    dl_sequence_mode mode = mode_of(layer);
    dl_sequence sequence;
    dropout_masks masks;
    dl_tensor *out[1 + DL_MAX_STATES];
    DL_TRY(states(layer, &sizes));
    DL_TRY(dl_sequence_begin(layer, call, &sizes, &mode, &sequence));
    DL_TRY(draw_masks(layer, call, &masks));
    if (masks.input)
        sequence.x = dl_mul(call->context, sequence.x, dl_unsqueeze(call->context, masks.input, 1));
    DL_TRY(sequence.x ? DL_OK : dl_last_status());
    if (has_fused_form(layer))
        DL_TRY(run_fused(layer, call, &sequence, masks.state, out));
    else
        DL_TRY(dl_run_steps(call->context, &sequence, step_of_layer, &(stepping){layer, masks.state}, out + 1, out));
    DL_TRY(dl_layer_add_activity_loss(call, options_of(layer)->activity_regularizer, out[0]));
    return dl_sequence_finish(layer, call, &sequence, out[0], out + 1);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define TYPE dl_recurrent_options
#define UNITS_FIELDS                                                                                                   \
    DL_INT(TYPE, units, 0, 1, INT32_MAX, DL_REQUIRED, "size of the output and of the states"),                         \
        DL_OBJECT(TYPE, activation, "tanh", &dl_activation_family, DL_NONE_OK, "of the state; none: linear")
#define GATE_FIELD                                                                                                     \
    DL_OBJECT(TYPE, recurrent_activation, "sigmoid", &dl_activation_family, DL_NONE_OK, "of the gates; none: linear")
#define WEIGHT_FIELDS                                                                                                  \
    DL_BOOL(TYPE, use_bias, true, 0, "add a bias"),                                                                    \
        DL_OBJECT(TYPE, kernel_initializer, "glorot_uniform", &dl_initializer_family, 0, "of the kernel"),             \
        DL_OBJECT(TYPE, recurrent_initializer, "orthogonal", &dl_initializer_family, 0, "of the recurrent kernel"),    \
        DL_OBJECT(TYPE, bias_initializer, "zeros", &dl_initializer_family, 0, "of the bias")
#define FORGET_FIELD DL_BOOL(TYPE, unit_forget_bias, true, 0, "begin with 1 as the bias of the forget gate")
#define PENALTY_FIELDS                                                                                                 \
    DL_OBJECT(TYPE, kernel_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the kernel"),            \
        DL_OBJECT(TYPE, recurrent_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK,                               \
                  "penalty on the recurrent kernel"),                                                                  \
        DL_OBJECT(TYPE, bias_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the bias")
#define ACTIVITY_FIELD                                                                                                 \
    DL_OBJECT(TYPE, activity_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the output")
#define CONSTRAINT_FIELDS                                                                                              \
    DL_OBJECT(TYPE, kernel_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the kernel keeps to"),           \
        DL_OBJECT(TYPE, recurrent_constraint, NULL, &dl_constraint_family, DL_NONE_OK,                                 \
                  "what the recurrent kernel keeps to"),                                                               \
        DL_OBJECT(TYPE, bias_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the bias keeps to")
#define DROPOUT_FIELDS                                                                                                 \
    DL_REAL(TYPE, dropout, 0.0, 0.0, 1.0, 0, "fraction of the inputs set to zero in training, the same in all steps"), \
        DL_REAL(TYPE, recurrent_dropout, 0.0, 0.0, 1.0, 0,                                                             \
                "fraction of the states set to zero before their product, the same in all steps and gates (Keras "    \
                "draws a mask for each gate)")
#define SEED_FIELD                                                                                                     \
    DL_INT(TYPE, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK, "of the layer's stream; none: one of the context's")
#define SEQUENCE_FIELDS                                                                                                \
    DL_BOOL(TYPE, return_sequences, false, 0, "give the outputs of all steps, else the last one"),                     \
        DL_BOOL(TYPE, return_state, false, 0, "give the last states too"),                                             \
        DL_BOOL(TYPE, go_backwards, false, 0, "from the last step to the first; outputs come in that order"),          \
        DL_BOOL(TYPE, stateful, false, 0, DL_STATEFUL_HELP),                                                           \
        DL_BOOL(TYPE, unroll, false, 0, "taken for Keras's sake: the result is the same")
#define LAST_FIELDS                                                                                                    \
    {.name = "zero_output_for_mask", .kind = DL_FIELD_BOOL, .offset = offsetof(TYPE, zero_output_for_mask),            \
     .flags = DL_NAMED_ONLY, .help = "masked steps give zeros, else the output before them"},                          \
        DL_LAYER_FIELDS(TYPE)
#define RESET_FIELD                                                                                                    \
    DL_BOOL(TYPE, reset_after, true, 0, "apply the reset gate after the product of the state, which has a bias too")

static const dl_field simple_rnn_fields[] = {UNITS_FIELDS, WEIGHT_FIELDS, PENALTY_FIELDS, ACTIVITY_FIELD,
                                             CONSTRAINT_FIELDS, DROPOUT_FIELDS, SEQUENCE_FIELDS, SEED_FIELD,
                                             LAST_FIELDS};
static const dl_field lstm_fields[] = {UNITS_FIELDS, GATE_FIELD, WEIGHT_FIELDS, FORGET_FIELD, PENALTY_FIELDS,
                                       ACTIVITY_FIELD, CONSTRAINT_FIELDS, DROPOUT_FIELDS, SEED_FIELD, SEQUENCE_FIELDS,
                                       LAST_FIELDS};
static const dl_field gru_fields[] = {UNITS_FIELDS, GATE_FIELD, WEIGHT_FIELDS, PENALTY_FIELDS, ACTIVITY_FIELD,
                                      CONSTRAINT_FIELDS, DROPOUT_FIELDS, SEED_FIELD, SEQUENCE_FIELDS, RESET_FIELD,
                                      LAST_FIELDS};
static const dl_field simple_rnn_cell_fields[] = {UNITS_FIELDS, WEIGHT_FIELDS, PENALTY_FIELDS, CONSTRAINT_FIELDS,
                                                  DROPOUT_FIELDS, SEED_FIELD, DL_LAYER_FIELDS(TYPE)};
static const dl_field lstm_cell_fields[] = {UNITS_FIELDS, GATE_FIELD, WEIGHT_FIELDS, FORGET_FIELD, PENALTY_FIELDS,
                                            CONSTRAINT_FIELDS, DROPOUT_FIELDS, SEED_FIELD, DL_LAYER_FIELDS(TYPE)};
static const dl_field gru_cell_fields[] = {UNITS_FIELDS, GATE_FIELD, WEIGHT_FIELDS, PENALTY_FIELDS, CONSTRAINT_FIELDS,
                                           DROPOUT_FIELDS, RESET_FIELD, SEED_FIELD, DL_LAYER_FIELDS(TYPE)};

#define LAYER_SHAPES                                                                                                   \
    "sequences (N, T, F), initial_state (N, units) each, mask (N, T) -> (N, units), or (N, T, units) with "            \
    "return_sequences; with return_state the last states (N, units) too"
#define CELL_SHAPES "inputs (N, F), states (N, units) each -> output (N, units), states"

#define LAYER_OF(name_, help_, formula_, source_, fields_)                                                             \
    {                                                                                                                  \
        .definition = {.name = name_, .version = 1, .help = help_, .formula = formula_, .source = source_,             \
                       .shapes = LAYER_SHAPES, .fields = fields_, .options_size = sizeof(TYPE)},                       \
        .minimum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3, .input_names = dl_sequence_inputs,                  \
        .init = init_layer, .build = build, .infer = infer_layer, .call = call_layer,                                  \
        .finalize = dl_kept_states_finalize,                                                                           \
        .flags = DL_LAYER_RANDOM | DL_LAYER_KEEPS_STATES | DL_LAYER_STEPWISE                                           \
    }
#define CELL_OF(name_, help_, formula_, source_, fields_)                                                              \
    {                                                                                                                  \
        .definition = {.name = name_, .version = 1, .help = help_, .formula = formula_, .source = source_,             \
                       .shapes = CELL_SHAPES, .fields = fields_, .options_size = sizeof(TYPE)},                        \
        .minimum_inputs = 2, .minimum_dims = 2, .maximum_dims = 2, .input_names = cell_inputs, .init = init_stream,    \
        .build = build, .infer = infer_cell, .call = call_cell, .flags = DL_LAYER_RANDOM, .states = states             \
    }

#define SIMPLE_FORMULA "h = activation(x kernel + bias + h recurrent_kernel)"
#define LSTM_FORMULA                                                                                                   \
    "i, f, g, o = x kernel + bias + h recurrent_kernel; c = s(f) c + s(i) a(g); h = s(o) a(c), with a = activation, s "\
    "= recurrent_activation"
#define GRU_FORMULA                                                                                                    \
    "z, r = s(x W + b + h V + b'); g = a(x W + b + r (h V + b')), or a(x W + b + (r h) V) without reset_after; h = z " \
    "h + (1 - z) g, with a = activation, s = recurrent_activation"

const dl_layer_def dl_layer_simple_rnn =
    LAYER_OF("SimpleRNN", "A plain recurrent network.", SIMPLE_FORMULA, "Elman 1990", simple_rnn_fields);
const dl_layer_def dl_layer_lstm = LAYER_OF("LSTM", "A long short-term memory.", LSTM_FORMULA,
                                            "Hochreiter and Schmidhuber 1997; Gers et al. 2000", lstm_fields);
const dl_layer_def dl_layer_gru = LAYER_OF("GRU", "Gated recurrent units.", GRU_FORMULA, "Cho et al. 2014", gru_fields);
const dl_layer_def dl_layer_simple_rnn_cell =
    CELL_OF("SimpleRNNCell", "One step of SimpleRNN, for RNN.", SIMPLE_FORMULA, "Elman 1990", simple_rnn_cell_fields);
const dl_layer_def dl_layer_lstm_cell = CELL_OF("LSTMCell", "One step of LSTM, for RNN.", LSTM_FORMULA,
                                                "Hochreiter and Schmidhuber 1997", lstm_cell_fields);
const dl_layer_def dl_layer_gru_cell =
    CELL_OF("GRUCell", "One step of GRU, for RNN.", GRU_FORMULA, "Cho et al. 2014", gru_cell_fields);
