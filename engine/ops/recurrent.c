/* ops/recurrent.c: recurrent networks over whole sequences (N, T, F), each one operation: lstm, gru, simple_rnn.
 * Layouts and gate order are Keras's. N batch, T steps, F features, U units, G gates.
 *
 * Always true: what a backward reads (x by step, gates, states) is kept in time-major tensors of the call's own;
 * without a gradient they are gone with the call. */
#include "ops/ops.h"

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* The inputs of a call by their meaning; NULL where none was given. */
typedef struct recurrent_inputs {
    dl_tensor *x, *kernel, *recurrent, *bias, *initial_h, *initial_c, *mask, *drop;
} recurrent_inputs;

enum { AT_X, AT_KERNEL, AT_RECURRENT, AT_BIAS, AT_INITIAL_H, AT_INITIAL_C };

static dl_tensor *input_at(const dl_op_call *call, int i) {
    return i < call->inputs ? call->in[i] : NULL;
}

static recurrent_inputs inputs_of(const dl_op_call *call, dl_cell cell) {
    int lstm = cell == DL_CELL_LSTM;
    return (recurrent_inputs){.x = call->in[AT_X],
                              .kernel = call->in[AT_KERNEL],
                              .recurrent = call->in[AT_RECURRENT],
                              .bias = input_at(call, AT_BIAS),
                              .initial_h = input_at(call, AT_INITIAL_H),
                              .initial_c = lstm ? input_at(call, AT_INITIAL_C) : NULL,
                              .mask = input_at(call, AT_INITIAL_H + 1 + lstm),
                              .drop = input_at(call, AT_INITIAL_H + 2 + lstm)};
}

static dl_status check_matrix(const dl_tensor *matrix, const char *name, const dl_tensor *x, int64_t rows,
                              int64_t columns) {
    if (matrix->dims == 2 && matrix->shape[0] == rows && matrix->shape[1] == columns)
        return DL_OK;
    return dl_fail(DL_SHAPE, "%s has shape %s; for x of shape %s it must be %s", name, dl_shape_text(matrix).at,
                   dl_shape_text(x).at, dl_sizes_text(2, (int64_t[]){rows, columns}).at);
}

/* An optional (N, U) input. */
static dl_status check_state(const dl_tensor *state, const char *name, const dl_tensor *x, int64_t units) {
    DL_TRY(dl_need_dtype(state, name, x->dtype));
    return state ? check_matrix(state, name, x, x->shape[0], units) : DL_OK;
}

static dl_status check_bias(const recurrent_inputs *in, const dl_recurrent_sizes *s) {
    int64_t columns = dl_cell_gates(s->cell) * s->U;
    DL_TRY(dl_need_dtype(in->bias, "bias", in->x->dtype));
    if (!in->bias || s->cell != DL_CELL_GRU)
        return dl_need_vector(in->bias, "bias", columns, "one for each column of kernel");
    if (in->bias->dims == 2 && in->bias->shape[0] == 2 && in->bias->shape[1] == columns)
        return DL_OK;
    return dl_fail(DL_SHAPE, "bias has shape %s; with reset_after it must be %s: of the inputs and of the states",
                   dl_shape_text(in->bias).at, dl_sizes_text(2, (int64_t[]){2, columns}).at);
}

static dl_status check_mask(const recurrent_inputs *in) {
    const dl_tensor *mask = in->mask, *x = in->x;
    if (!mask)
        return DL_OK;
    if (mask->dtype != DL_BOOLEAN)
        return dl_fail(DL_DTYPE, "mask is %s; it must be bool: true where a step is valid", dl_dtype_name(mask->dtype));
    if (mask->dims == 2 && mask->shape[0] == x->shape[0] && mask->shape[1] == x->shape[1])
        return DL_OK;
    return dl_fail(DL_SHAPE, "mask has shape %s; for x of shape %s it must be %s", dl_shape_text(mask).at,
                   dl_shape_text(x).at, dl_sizes_text(2, x->shape).at);
}

static dl_status check_inputs(const recurrent_inputs *in, dl_recurrent_sizes *s) {
    const dl_tensor *x = in->x;
    DL_TRY(dl_need_float(x, "x"));
    if (x->dims != 3)
        return dl_fail(DL_SHAPE, "x has shape %s; sequences have three dimensions, {N, T, F}", dl_shape_text(x).at);
    if (x->shape[1] == 0)
        return dl_fail(DL_SHAPE, "x has shape %s; a sequence has one step at least", dl_shape_text(x).at);
    DL_TRY(dl_need_dtype(in->kernel, "kernel", x->dtype));
    DL_TRY(dl_need_dtype(in->recurrent, "recurrent_kernel", x->dtype));
    int64_t units = in->recurrent->dims == 2 ? in->recurrent->shape[0] : 0, columns;
    if (units > INT32_MAX)
        return dl_fail(DL_SHAPE, "recurrent_kernel has shape %s; there are too many units",
                       dl_shape_text(in->recurrent).at);
    columns = dl_cell_gates(s->cell) * units;
    if (units == 0 || in->recurrent->shape[1] != columns)
        return dl_fail(DL_SHAPE, "recurrent_kernel has shape %s; it must be {U, %s U}",
                       dl_shape_text(in->recurrent).at, s->cell == DL_CELL_LSTM ? "4" : s->cell ? "3" : "1");
    DL_TRY(check_matrix(in->kernel, "kernel", x, x->shape[2], columns));
    *s = (dl_recurrent_sizes){.cell = s->cell, .N = x->shape[0], .T = x->shape[1], .F = x->shape[2], .U = units};
    DL_TRY(check_bias(in, s));
    DL_TRY(check_state(in->initial_h, "initial_h", x, units));
    DL_TRY(check_state(in->initial_c, "initial_c", x, units));
    DL_TRY(check_state(in->drop, "dropout_mask", x, units));
    return check_mask(in);
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

enum { SAVED_STEPS, SAVED_KERNEL, SAVED_RECURRENT, SAVED_GATES, SAVED_H, SAVED_C, SAVED_MASK, SAVED_DROP };

static dl_status make_dense(recurrent_inputs *in) {
    dl_tensor **each[] = {&in->x, &in->kernel, &in->recurrent, &in->bias,
                          &in->initial_h, &in->initial_c, &in->mask, &in->drop};
    for (int i = 0; i < DL_COUNT(each); i++) {
        dl_tensor *dense = dl_dense(*each[i]);
        if (*each[i] && !dense)
            return dl_last_status();
        *each[i] = dense;
    }
    return DL_OK;
}

/* The tensors that a forward fills for its backward. */
typedef struct kept {
    dl_tensor *steps, *gates, *h, *c;
} kept;

static dl_status make_kept(dl_context *context, dl_dtype dtype, const dl_recurrent_sizes *s, kept *out) {
    int64_t columns = dl_cell_columns(s->cell) * s->U;
    out->steps = dl_scratch(context, dtype, 3, (int64_t[]){s->T, s->N, s->F});
    out->gates = dl_scratch(context, dtype, 3, (int64_t[]){s->T, s->N, columns});
    out->h = dl_scratch(context, dtype, 3, (int64_t[]){s->T + 1, s->N, s->U});
    out->c = s->cell == DL_CELL_LSTM ? dl_scratch(context, dtype, 3, (int64_t[]){s->T + 1, s->N, s->U}) : NULL;
    bool made = out->steps && out->gates && out->h && (out->c || s->cell != DL_CELL_LSTM);
    return made ? DL_OK : dl_last_status();
}

static dl_status save_kept(dl_op_call *call, const recurrent_inputs *in, const kept *k, const dl_recurrent_sizes *s) {
    if (!call->node)
        return DL_OK;
    dl_recurrent_sizes *state = dl_call_state(call, sizeof *state);
    DL_TRY(state ? DL_OK : DL_MEMORY);
    *state = *s;
    dl_tensor *const saved[] = {k->steps, in->kernel, in->recurrent, k->gates, k->h, k->c, in->mask, in->drop};
    for (int i = 0; i < DL_COUNT(saved); i++)
        if (saved[i])
            DL_TRY(dl_call_save(call, i, saved[i]));
    return DL_OK;
}

/* The states after the last step as output i, a copy. */
static dl_status last_state(dl_op_call *call, int i, dl_tensor *states, const dl_recurrent_sizes *s) {
    dl_tensor *out = dl_call_output(call, i, states->dtype, 2, (int64_t[]){s->N, s->U});
    dl_tensor *last = out ? dl_select(call->context, states, 0, s->T) : NULL;
    return last ? dl_tensor_copy(out, last) : dl_last_status();
}

static dl_status run_kernel(dl_tensor *y, const recurrent_inputs *in, const kept *k, const dl_recurrent_sizes *s) {
    dl_recurrent_arrays arrays = {.x = dl_data_or_null(in->x),
                                  .kernel = dl_data_or_null(in->kernel),
                                  .recurrent = dl_data_or_null(in->recurrent),
                                  .bias = dl_data_or_null(in->bias),
                                  .initial_h = dl_data_or_null(in->initial_h),
                                  .initial_c = dl_data_or_null(in->initial_c),
                                  .mask = dl_data_or_null(in->mask),
                                  .drop = dl_data_or_null(in->drop),
                                  .steps = dl_data_or_null(k->steps),
                                  .gates = dl_data_or_null(k->gates),
                                  .h = dl_data_or_null(k->h),
                                  .c = dl_data_or_null(k->c)};
    if (y->dtype == DL_FLOAT32)
        return dl_kernel()->recurrent_f32(y->context, DL_DATA(y, float), &arrays, s);
    return dl_kernel()->recurrent_f64(y->context, DL_DATA(y, double), &arrays, s);
}

static dl_status forward(dl_op_call *call, dl_cell cell, const dl_recurrent_op_options *options) {
    recurrent_inputs in = inputs_of(call, cell);
    dl_recurrent_sizes s = {.cell = cell};
    DL_TRY(check_inputs(&in, &s));
    s.go_backwards = options->go_backwards;
    s.sequences = options->return_sequences;
    s.zero_masked = options->zero_output_for_mask;
    DL_TRY(make_dense(&in));
    kept k;
    DL_TRY(make_kept(call->context, in.x->dtype, &s, &k));
    dl_tensor *y = s.sequences ? dl_call_output(call, 0, in.x->dtype, 3, (int64_t[]){s.N, s.T, s.U})
                               : dl_call_output(call, 0, in.x->dtype, 2, (int64_t[]){s.N, s.U});
    DL_TRY(y ? DL_OK : dl_last_status());
    DL_TRY(run_kernel(y, &in, &k, &s));
    DL_TRY(last_state(call, 1, k.h, &s));
    if (cell == DL_CELL_LSTM)
        DL_TRY(last_state(call, 2, k.c, &s));
    return save_kept(call, &in, &k, &s);
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

static dl_status backward(dl_op_gradient *gradient) {
    const dl_recurrent_sizes *s = gradient->state;
    bool lstm = s->cell == DL_CELL_LSTM;
    dl_recurrent_gradients g = {.grad_y = dl_data_or_null(gradient->grad_out[0]),
                                .grad_h = dl_data_or_null(gradient->grad_out[1]),
                                .grad_c = lstm ? dl_data_or_null(gradient->grad_out[2]) : NULL};
    DL_TRY(dl_gradient_data(gradient, AT_X, &g.grad_x));
    DL_TRY(dl_gradient_data(gradient, AT_KERNEL, &g.grad_kernel));
    DL_TRY(dl_gradient_data(gradient, AT_RECURRENT, &g.grad_recurrent));
    DL_TRY(dl_gradient_data(gradient, AT_BIAS, &g.grad_bias));
    DL_TRY(dl_gradient_data(gradient, AT_INITIAL_H, &g.grad_initial_h));
    if (lstm)
        DL_TRY(dl_gradient_data(gradient, AT_INITIAL_C, &g.grad_initial_c));
    dl_recurrent_arrays arrays = {.kernel = dl_saved_data(gradient, SAVED_KERNEL),
                                  .recurrent = dl_saved_data(gradient, SAVED_RECURRENT),
                                  .mask = dl_saved_data(gradient, SAVED_MASK),
                                  .drop = dl_saved_data(gradient, SAVED_DROP),
                                  .steps = dl_data_or_null(gradient->saved[SAVED_STEPS]),
                                  .gates = dl_data_or_null(gradient->saved[SAVED_GATES]),
                                  .h = dl_data_or_null(gradient->saved[SAVED_H]),
                                  .c = dl_data_or_null(gradient->saved[SAVED_C])};
    if (gradient->dtypes[AT_X] == DL_FLOAT32)
        return dl_kernel()->recurrent_backward_f32(gradient->context, &g, &arrays, s);
    return dl_kernel()->recurrent_backward_f64(gradient->context, &g, &arrays, s);
}

/* ---- definitions ----------------------------------------------------------------------------------------------- */

#define TYPE dl_recurrent_op_options
#define SEQUENCE_FIELDS                                                                                                \
    DL_BOOL(TYPE, return_sequences, false, 0, "y has the outputs of all steps, else the last one"),                    \
        DL_BOOL(TYPE, go_backwards, false, 0, "from the last step to the first; outputs come in that order"),          \
        DL_BOOL(TYPE, zero_output_for_mask, false, 0, "masked steps give zeros, else the output before them")

static const dl_field sequence_fields[] = {SEQUENCE_FIELDS, DL_END};
static const dl_field gru_fields[] = {
    SEQUENCE_FIELDS,
    DL_BOOL(TYPE, reset_after, true, 0, "apply the reset gate after the product of the state, which has a bias too"),
    DL_END};

static dl_status lstm_forward(dl_op_call *call) {
    return forward(call, DL_CELL_LSTM, call->options);
}

const dl_op dl_op_lstm = {
    .definition = {.name = "lstm", .version = 1,
                   .help = "A long short-term memory over sequences. Gives the outputs y, the last state h and the "
                           "last cell c. Where mask is false, state and output stay as they are; dropout_mask is "
                           "multiplied to the state before its product (recurrent dropout).",
                   .formula = "i, f, g, o = x kernel + bias + h recurrent_kernel; c = sigmoid(f) c + sigmoid(i) "
                              "tanh(g); h = sigmoid(o) tanh(c)",
                   .source = "Hochreiter and Schmidhuber 1997; Gers et al. 2000",
                   .shapes = "x {N, T, F}, kernel {F, 4 U}, recurrent_kernel {U, 4 U}, bias {4 U}, initial_h and "
                             "initial_c {N, U}, mask {N, T}, dropout_mask {N, U} -> y {N, T, U} or {N, U}, h {N, U}, "
                             "c {N, U}",
                   .fields = sequence_fields, .options_size = sizeof(TYPE)},
    .inputs = "x kernel recurrent_kernel bias? initial_h? initial_c? mask? dropout_mask?",
    .outputs = 3, .forward = lstm_forward, .backward = backward};

static dl_status gru_forward(dl_op_call *call) {
    const dl_recurrent_op_options *options = call->options;
    return forward(call, options->reset_after ? DL_CELL_GRU : DL_CELL_GRU_RESET_BEFORE, options);
}

const dl_op dl_op_gru = {
    .definition = {.name = "gru", .version = 1,
                   .help = "Gated recurrent units over sequences. Gives the outputs y and the last state h. Where mask "
                           "is false, state and output stay as they are; dropout_mask is multiplied to the state "
                           "before its product (recurrent dropout).",
                   .formula = "z, r = sigmoid(x W + b + h V + b'); g = tanh(x W + b + r (h V + b')), or tanh(x W + b + "
                              "(r h) V) without reset_after; h = z h + (1 - z) g",
                   .source = "Cho et al. 2014",
                   .shapes = "x {N, T, F}, kernel {F, 3 U}, recurrent_kernel {U, 3 U}, bias {2, 3 U} or {3 U}, "
                             "initial_h {N, U}, mask {N, T}, dropout_mask {N, U} -> y {N, T, U} or {N, U}, h {N, U}",
                   .fields = gru_fields, .options_size = sizeof(TYPE)},
    .inputs = "x kernel recurrent_kernel bias? initial_h? mask? dropout_mask?",
    .outputs = 2, .forward = gru_forward, .backward = backward};

static dl_status simple_forward(dl_op_call *call) {
    return forward(call, DL_CELL_SIMPLE, call->options);
}

const dl_op dl_op_simple_rnn = {
    .definition = {.name = "simple_rnn", .version = 1,
                   .help = "A plain recurrent network over sequences. Gives the outputs y and the last state h. Where "
                           "mask is false, state and output stay as they are; dropout_mask is multiplied to the state "
                           "before its product (recurrent dropout).",
                   .formula = "h = tanh(x kernel + bias + h recurrent_kernel)",
                   .source = "Elman 1990",
                   .shapes = "x {N, T, F}, kernel {F, U}, recurrent_kernel {U, U}, bias {U}, initial_h {N, U}, mask "
                             "{N, T}, dropout_mask {N, U} -> y {N, T, U} or {N, U}, h {N, U}",
                   .fields = sequence_fields, .options_size = sizeof(TYPE)},
    .inputs = "x kernel recurrent_kernel bias? initial_h? mask? dropout_mask?",
    .outputs = 2, .forward = simple_forward, .backward = backward};

/* ---- by name --------------------------------------------------------------------------------------------------- */

dl_status dl_lstm(dl_context *context, const dl_recurrent_tensors *t, const dl_recurrent_op_options *options,
                  dl_tensor *out[3]) {
    dl_tensor *in[] = {t->x, t->kernel, t->recurrent_kernel, t->bias, t->initial_h, t->initial_c, t->mask,
                       t->dropout_mask};
    return dl_apply(context, &dl_op_lstm, in, DL_COUNT(in), options, out);
}

dl_status dl_gru(dl_context *context, const dl_recurrent_tensors *t, const dl_recurrent_op_options *options,
                 dl_tensor *out[2]) {
    dl_tensor *in[] = {t->x, t->kernel, t->recurrent_kernel, t->bias, t->initial_h, t->mask, t->dropout_mask};
    return dl_apply(context, &dl_op_gru, in, DL_COUNT(in), options, out);
}

dl_status dl_simple_rnn(dl_context *context, const dl_recurrent_tensors *t, const dl_recurrent_op_options *options,
                        dl_tensor *out[2]) {
    dl_tensor *in[] = {t->x, t->kernel, t->recurrent_kernel, t->bias, t->initial_h, t->mask, t->dropout_mask};
    return dl_apply(context, &dl_op_simple_rnn, in, DL_COUNT(in), options, out);
}
