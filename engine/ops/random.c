/* ops/random.c: operations that draw random numbers. A draw depends on the seed, the stream and the position alone, so
 * dropout keeps no mask: its backward draws the same numbers again. */
#include "ops/ops.h"

/* ---- dropout --------------------------------------------------------------------------------------------------- */

/* The stream of one call: the given one as it stands, or the context's, which moves on. */
static dl_stream stream_of(dl_op_call *call, int64_t numel) {
    const dl_dropout_options *options = call->options;
    if (options->seed != DL_NONE)
        return (dl_stream){.seed = (uint64_t)options->seed,
                           .stream = (uint64_t)options->stream,
                           .position = (uint64_t)options->position};
    dl_stream *stream = dl_context_stream(call->context);
    dl_stream here = *stream;
    dl_stream_take(stream, ((uint64_t)numel + DL_DROPOUT_PER_BLOCK - 1) / DL_DROPOUT_PER_BLOCK);
    return here;
}

static double dropout_scale(double rate) {
    return rate < 1 ? 1 / (1 - rate) : 0;
}

static dl_status dropout_forward(dl_op_call *call) {
    const dl_dropout_options *options = call->options;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_float(x, "x"));
    if (!options->training || options->rate == 0)
        return dl_call_view(call, x->dims, x->shape, x->strides, x->offset);
    dl_tensor *dense = dl_dense(x);
    dl_tensor *out = dense ? dl_call_output(call, 0, x->dtype, x->dims, x->shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    int64_t numel = dl_tensor_numel(x);
    dl_stream stream = stream_of(call, numel);
    if (call->node) {
        dl_stream *state = dl_call_state(call, sizeof *state);
        DL_TRY(state ? DL_OK : DL_MEMORY);
        *state = stream;
    }
    return dl_kernel()->dropout(call->context, dl_element_of(x), dl_tensor_data(out), dl_tensor_data(dense), &stream,
                                options->rate, dropout_scale(options->rate), numel);
}

static dl_status dropout_backward(dl_op_gradient *gradient) {
    const dl_dropout_options *options = gradient->options;
    if (!gradient->state)
        return dl_gradient_set(gradient, 0, gradient->grad_out[0]);
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? DL_OK : dl_last_status());
    return dl_kernel()->dropout(gradient->context, dl_element_of(grad_in), dl_tensor_data(grad_in),
                                dl_tensor_data(gradient->grad_out[0]), gradient->state, options->rate,
                                dropout_scale(options->rate), dl_tensor_numel(grad_in));
}

static const dl_field dropout_fields[] = {
    DL_REAL(dl_dropout_options, rate, 0.5, 0, 1, 0, "fraction of the elements that become 0"),
    DL_BOOL(dl_dropout_options, training, true, 0, "false: x as it is"),
    DL_INT(dl_dropout_options, seed, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK | DL_NAMED_ONLY,
           "of the stream to draw from; none: the context's stream, which moves on"),
    DL_INT(dl_dropout_options, stream, 0, DL_LOWEST, DL_HIGHEST, DL_NAMED_ONLY, "number of the stream, with seed"),
    DL_INT(dl_dropout_options, position, 0, 0, DL_HIGHEST, DL_NAMED_ONLY, "where in the stream to begin, with seed"),
    DL_END,
};

const dl_op dl_op_dropout = {
    .definition = {.name = "dropout",
                   .version = 1,
                   .help = "Sets elements to 0 at random and divides the others by 1 - rate, so that the mean stays.",
                   .formula = "x * keep / (1 - rate), keep = 0 with probability rate, else 1",
                   .source = "Srivastava et al. 2014",
                   .shapes = "any shape -> the same",
                   .fields = dropout_fields,
                   .options_size = sizeof(dl_dropout_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = dropout_forward,
    .backward = dropout_backward,
    .flags = DL_OP_METHOD | DL_OP_RANDOM,
};

/* ---- fills ----------------------------------------------------------------------------------------------------- */

/* Fills a contiguous tensor and moves the stream on. */
static dl_status draw(dl_tensor *out, dl_distribution distribution, dl_stream *stream, double a, double b) {
    uint64_t numel = (uint64_t)dl_tensor_numel(out);
    uint64_t per_block = (uint64_t)dl_random_per_block(distribution, dl_element_of(out));
    dl_stream here = *stream;
    DL_TRY(dl_kernel()->random(out->context, distribution, dl_element_of(out), dl_tensor_data(out), &here, a, b,
                               (int64_t)numel));
    dl_stream_take(stream, (numel + per_block - 1) / per_block);
    return DL_OK;
}

static dl_status check_distribution(dl_distribution distribution, const dl_tensor *x, double a, double b) {
    if (distribution == DL_RANDOM_BERNOULLI)
        return a >= 0 && a <= 1 ? DL_OK : dl_fail(DL_INVALID, "p is %g; it must be at least 0 and at most 1", a);
    DL_TRY(dl_need_float(x, "x"));
    if (distribution == DL_RANDOM_UNIFORM)
        return a <= b ? DL_OK : dl_fail(DL_INVALID, "from is %g and to is %g; from must not be larger", a, b);
    return b >= 0 ? DL_OK : dl_fail(DL_INVALID, "std is %g; it must be at least 0", b);
}

static dl_status fill_op(dl_op_call *call, dl_distribution distribution, double a, double b) {
    const dl_tensor *x = call->in[0];
    DL_TRY(check_distribution(distribution, x, a, b));
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    return out ? draw(out, distribution, dl_context_stream(call->context), a, b) : dl_last_status();
}

/* What was there before has no part in the result. */
static dl_status no_gradient(dl_op_gradient *gradient) {
    (void)gradient;
    return DL_OK;
}

static dl_status uniform_forward(dl_op_call *call) {
    const dl_uniform_options *options = call->options;
    return fill_op(call, DL_RANDOM_UNIFORM, options->from, options->to);
}

static const dl_field uniform_fields[] = {
    DL_REAL(dl_uniform_options, from, 0, DL_LOWEST, DL_HIGHEST, 0, "smallest number"),
    DL_REAL(dl_uniform_options, to, 1, DL_LOWEST, DL_HIGHEST, 0, "what all numbers stay below"),
    DL_END,
};

const dl_op dl_op_uniform = {
    .definition = {.name = "uniform",
                   .version = 1,
                   .help = "x:uniform_(from, to): every element becomes a random number, equally likely everywhere.",
                   .shapes = "any shape -> the same",
                   .fields = uniform_fields,
                   .options_size = sizeof(dl_uniform_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = uniform_forward,
    .backward = no_gradient,
    .flags = DL_OP_INPLACE | DL_OP_RANDOM,
};

static dl_status normal_forward(dl_op_call *call) {
    const dl_normal_options *options = call->options;
    return fill_op(call, DL_RANDOM_NORMAL, options->mean, options->std);
}

static const dl_field normal_fields[] = {
    DL_REAL(dl_normal_options, mean, 0, DL_LOWEST, DL_HIGHEST, 0, "the mean"),
    DL_REAL(dl_normal_options, std, 1, 0, DL_HIGHEST, 0, "the standard deviation"),
    DL_END,
};

const dl_op dl_op_normal = {
    .definition = {.name = "normal",
                   .version = 1,
                   .help = "x:normal_(mean, std): every element becomes a normal random number.",
                   .shapes = "any shape -> the same",
                   .fields = normal_fields,
                   .options_size = sizeof(dl_normal_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = normal_forward,
    .backward = no_gradient,
    .flags = DL_OP_INPLACE | DL_OP_RANDOM,
};

static dl_status truncated_normal_forward(dl_op_call *call) {
    const dl_normal_options *options = call->options;
    return fill_op(call, DL_RANDOM_TRUNCATED_NORMAL, options->mean, options->std);
}

const dl_op dl_op_truncated_normal = {
    .definition = {.name = "truncated_normal",
                   .version = 1,
                   .help = "x:truncated_normal_(mean, std): normal random numbers, without those more than 2 std off.",
                   .shapes = "any shape -> the same",
                   .fields = normal_fields,
                   .options_size = sizeof(dl_normal_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = truncated_normal_forward,
    .backward = no_gradient,
    .flags = DL_OP_INPLACE | DL_OP_RANDOM,
};

static dl_status bernoulli_forward(dl_op_call *call) {
    const dl_bernoulli_options *options = call->options;
    return fill_op(call, DL_RANDOM_BERNOULLI, options->p, 0);
}

static const dl_field bernoulli_fields[] = {
    DL_REAL(dl_bernoulli_options, p, 0.5, 0, 1, 0, "the probability of 1"),
    DL_END,
};

const dl_op dl_op_bernoulli = {
    .definition = {.name = "bernoulli",
                   .version = 1,
                   .help = "x:bernoulli_(p): every element becomes 1 with probability p, else 0.",
                   .shapes = "any shape -> the same",
                   .fields = bernoulli_fields,
                   .options_size = sizeof(dl_bernoulli_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = bernoulli_forward,
    .backward = no_gradient,
    .flags = DL_OP_INPLACE | DL_OP_RANDOM,
};

/* Draws from a stream of the caller's (NULL: the context's), for initializers. */
static dl_status fill_tensor(dl_tensor *x, dl_distribution distribution, dl_stream *stream, double a, double b) {
    if (!x)
        return dl_last_status();
    DL_TRY(check_distribution(distribution, x, a, b));
    if (!stream)
        stream = dl_context_stream(x->context);
    if (dl_tensor_is_contiguous(x)) {
        DL_TRY(draw(x, distribution, stream, a, b));
        dl_tensor_bump(x);
        return DL_OK;
    }
    dl_tensor *dense = dl_tensor_new(x->context, x->dtype, x->dims, x->shape);
    dl_status status = dense ? draw(dense, distribution, stream, a, b) : dl_last_status();
    if (status == DL_OK)
        status = dl_tensor_copy(x, dense);
    dl_release(dense);
    return status;
}

dl_status dl_uniform_(dl_tensor *x, dl_stream *stream, double from, double to) {
    return fill_tensor(x, DL_RANDOM_UNIFORM, stream, from, to);
}

dl_status dl_normal_(dl_tensor *x, dl_stream *stream, double mean, double std) {
    return fill_tensor(x, DL_RANDOM_NORMAL, stream, mean, std);
}

dl_status dl_truncated_normal_(dl_tensor *x, dl_stream *stream, double mean, double std) {
    return fill_tensor(x, DL_RANDOM_TRUNCATED_NORMAL, stream, mean, std);
}

dl_status dl_bernoulli_(dl_tensor *x, dl_stream *stream, double p) {
    return fill_tensor(x, DL_RANDOM_BERNOULLI, stream, p, 0);
}
