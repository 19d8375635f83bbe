/*
 * Runs over every registered operation and its samples (ops_samples.h): derivatives against central differences in
 * float64, float32 against float64, strided inputs, numbers of threads, in-place forms, wrong inputs, and each
 * allocation failing in turn. A new operation is tested unasked, and fails here while it has no sample.
 */
#include <stdlib.h>

#include "check.h"
#include "ops_samples.h"

#define MAX_OPTIONS 512

/* One operation with one of its samples, ready to run. */
typedef struct trial {
    dl_context *context;
    const dl_op *op;
    sample sample;
    int inputs;
    dl_tensor *in[SAMPLE_INPUTS];
    _Alignas(16) char options[MAX_OPTIONS];
} trial;

/* ---- inputs ---------------------------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static int dims_of(const sample_input *input) {
    int dims = 0;
    while (input->shape[dims] >= 0)
        dims++;
    return dims;
}

/* Numbers that float32 holds exactly; those of DISTINCT are a permutation. */
static void fill_values(const sample_input *input, int64_t n, uint32_t seed, double *values) {
    uint32_t state = seed;
    for (int64_t i = 0; i < n; i++) {
        double unit = next_random(&state) / 16777216.0;
        if (input->kind == SAMPLE_DISTINCT)
            values[i] = (double)(i - n / 2) * 0.125;
        else if (input->kind == SAMPLE_LABELS)
            values[i] = input->low + floor(unit * (input->high - input->low + 1));
        else if (input->kind == SAMPLE_FLAGS)
            values[i] = unit < 0.4;
        else
            values[i] = (float)(input->low + unit * (input->high - input->low));
    }
    for (int64_t i = n - 1; input->kind == SAMPLE_DISTINCT && i > 0; i--) {
        int64_t k = next_random(&state) % (i + 1);
        double held = values[i];
        values[i] = values[k];
        values[k] = held;
    }
}

static dl_dtype dtype_of(const sample_input *input, dl_dtype real) {
    return input->kind == SAMPLE_LABELS ? DL_INT64 : input->kind == SAMPLE_FLAGS ? DL_BOOLEAN : real;
}

static bool wants_gradient(const sample_input *input) {
    return input->kind == SAMPLE_REAL || input->kind == SAMPLE_DISTINCT;
}

/* A tensor of the input's values; NULL where the sample leaves the input out. The place makes inputs differ. */
static dl_tensor *make_input(dl_context *context, const sample_input *input, int place, dl_dtype real) {
    if (input->kind == SAMPLE_NONE)
        return NULL;
    dl_tensor *wide = dl_empty(context, DL_FLOAT64, dims_of(input), input->shape);
    if (!wide)
        return NULL;
    fill_values(input, dl_tensor_numel(wide), 97u * (uint32_t)place + 13u, dl_tensor_data(wide));
    dl_tensor *tensor = dl_tensor_cast(wide, dtype_of(input, real));
    dl_release(wide);
    return tensor;
}

static bool set_options(trial *t) {
    dl_options_init(&t->op->definition, t->options, sizeof t->options);
    if (!t->sample.options)
        return true;
    dl_value map = {0};
    dl_status status = dl_value_from_json(t->context, t->sample.options, strlen(t->sample.options), &map);
    if (status == DL_OK)
        status = dl_options_set_all(t->context, &t->op->definition, t->options, &map);
    dl_value_clear(&map);
    return status == DL_OK;
}

static void end_trial(trial *t) {
    for (int i = 0; i < t->inputs; i++)
        dl_release(t->in[i]);
    dl_options_clear(&t->op->definition, t->options);
}

static bool begin_trial(trial *t, dl_context *context, const dl_op *op, const sample *sample_, dl_dtype real) {
    *t = (trial){.context = context, .op = op, .sample = *sample_};
    bool made = set_options(t);
    while (made && t->inputs < SAMPLE_INPUTS && sample_->inputs[t->inputs].kind != SAMPLE_END) {
        const sample_input *input = &sample_->inputs[t->inputs];
        t->in[t->inputs] = make_input(context, input, t->inputs, real);
        made = t->in[t->inputs] || input->kind == SAMPLE_NONE;
        t->inputs++;
    }
    if (!CHECK(made)) {
        fprintf(stderr, "    sample of %s: %s\n", op->definition.name, dl_last_error());
        end_trial(t);
    }
    return made;
}

static dl_status run(trial *t, dl_tensor **out) {
    return dl_apply(t->context, t->op, t->in, t->inputs, t->options, out);
}

static void release_all(dl_tensor **tensors, int count) {
    for (int i = 0; i < count; i++) {
        dl_release(tensors[i]);
        tensors[i] = NULL;
    }
}

/* A context whose list of scoped tensors is as long as the tests need, so that it does not count as a leak. */
static dl_context *new_context(void) {
    dl_context *context = NULL;
    CHECK(dl_context_create(NULL, &context) == DL_OK);
    size_t mark = dl_scope_begin(context);
    for (int i = 0; i < 200; i++)
        CHECK(dl_scalar(context, DL_FLOAT32, 0));
    dl_scope_end(context, mark, NULL);
    return context;
}

/* Calls body for each sample of each operation. */
static void for_each_sample(void (*body)(dl_context *context, const dl_op *op, const sample *sample_)) {
    dl_context *context = new_context();
    REQUIRE(context);
    for (const dl_definition *const *at = dl_op_family.definitions; *at; at++) {
        const dl_op *op = (const dl_op *)*at;
        sample s;
        for (int k = 0; sample_of(op, k, &s); k++)
            body(context, op, &s);
    }
    dl_context_release(context);
}

/* ---- values and gradients of one run --------------------------------------------------------------------------- */

/* What output gradients are made of: no symmetry that a wrong derivative could hide behind. */
static double weight_of(int64_t i) {
    return (double)((i * 7919 + 5) % 13 - 6) / 8.0 + 0.03125;
}

/* The outputs as float64, one after the other, and the gradients of the inputs that have one. */
typedef struct result {
    double *values;
    int64_t count;
    bool differentiable;
} result;

static void append(result *r, const dl_tensor *tensor) {
    int64_t n = dl_tensor_numel(tensor);
    r->values = realloc(r->values, (size_t)(r->count + n + 1) * sizeof *r->values);
    CHECK(dl_copy_out(tensor, DL_FLOAT64, r->values + r->count) == DL_OK);
    r->count += n;
}

static dl_tensor *output_gradient(dl_tensor *out) {
    dl_tensor *grad = dl_empty(dl_tensor_context(out), DL_FLOAT64, dl_tensor_dims(out), dl_tensor_shape(out));
    dl_tensor *cast = NULL;
    if (grad) {
        double *data = dl_tensor_data(grad);
        for (int64_t i = 0; i < dl_tensor_numel(grad); i++)
            data[i] = weight_of(i);
        cast = dl_tensor_cast(grad, dl_tensor_dtype(out));
    }
    dl_release(grad);
    return cast;
}

/* Gradients of `wanted` inputs into grads[] (NULL for the others). */
static dl_status gradients(trial *t, dl_tensor *out, dl_tensor **grads) {
    dl_tensor *grad = output_gradient(out);
    dl_tensor *wanted[SAMPLE_INPUTS], *found[SAMPLE_INPUTS] = {NULL};
    int count = 0;
    for (int i = 0; i < t->inputs; i++)
        if (t->in[i] && dl_requires_grad(t->in[i]))
            wanted[count++] = t->in[i];
    dl_status status = grad ? dl_gradients(out, grad, wanted, count, 0, found) : dl_last_status();
    dl_release(grad);
    for (int i = 0, k = 0; i < t->inputs; i++)
        grads[i] = t->in[i] && dl_requires_grad(t->in[i]) ? found[k++] : NULL;
    return status;
}

static void require_gradients(trial *t) {
    for (int i = 0; i < t->inputs; i++)
        if (wants_gradient(&t->sample.inputs[i]))
            CHECK(dl_requires_grad_(t->in[i], true) == DL_OK);
}

/* Forward and backward; the trial's inputs may be views. */
static bool compute(trial *t, result *r) {
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL}, *grads[SAMPLE_INPUTS] = {NULL};
    dl_status status = run(t, out);
    if (!CHECK_EQ_INT(status, DL_OK))
        fprintf(stderr, "    %s %s: %s\n", t->op->definition.name, t->sample.options ? t->sample.options : "",
                dl_last_error());
    for (int i = 0; status == DL_OK && i < t->op->outputs; i++)
        append(r, out[i]);
    r->differentiable = status == DL_OK && dl_requires_grad(out[0]);
    if (r->differentiable) {
        status = gradients(t, out[0], grads);
        if (!CHECK_EQ_INT(status, DL_OK))
            fprintf(stderr, "    %s: %s\n", t->op->definition.name, dl_last_error());
        for (int i = 0; i < t->inputs; i++)
            if (grads[i])
                append(r, grads[i]);
    }
    release_all(grads, t->inputs);
    release_all(out, t->op->outputs);
    return status == DL_OK;
}

static bool compute_sample(dl_context *context, const dl_op *op, const sample *s, dl_dtype real, result *r) {
    trial t;
    if (!begin_trial(&t, context, op, s, real))
        return false;
    require_gradients(&t);
    bool done = compute(&t, r);
    end_trial(&t);
    return done;
}

static void check_same(const result *got, const result *want, double tolerance, const dl_op *op, const char *what) {
    if (!CHECK_EQ_INT(got->count, want->count))
        return;
    double squares = 0;
    for (int64_t i = 0; i < want->count; i++)
        squares += isfinite(want->values[i]) ? want->values[i] * want->values[i] : 0;
    double rms = sqrt(squares / (double)DL_MAX(want->count, 1));
    for (int64_t i = 0; i < want->count; i++) {
        double allowed = tolerance * (fabs(want->values[i]) + rms);
        if (!CHECK_CLOSE(got->values[i], want->values[i], allowed)) {
            fprintf(stderr, "    %s, %s, value %lld\n", op->definition.name, what, (long long)i);
            return;
        }
    }
}

/* ---- the tests ------------------------------------------------------------------------------------------------- */

static void test_every_operation_has_a_sample(void) {
    for (const dl_definition *const *at = dl_op_family.definitions; *at; at++) {
        sample s;
        if (!CHECK(sample_of((const dl_op *)*at, 0, &s)))
            fprintf(stderr, "    %s has no sample: add one to ops_samples.h, or its domain there\n", (*at)->name);
        CHECK((*at)->help && (*at)->shapes);
    }
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        if (!CHECK(dl_find_op(samples[i].op)))
            fprintf(stderr, "    there is no operation %s\n", samples[i].op);
}

/* The weighted sum of the first output. */
static double objective(trial *t) {
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL};
    double sum = 0;
    if (CHECK_EQ_INT(run(t, out), DL_OK)) {
        result r = {0};
        append(&r, out[0]);
        for (int64_t i = 0; i < r.count; i++)
            sum += weight_of(i) * r.values[i];
        free(r.values);
    }
    release_all(out, t->op->outputs);
    return sum;
}

static double numeric_derivative(trial *t, double *x) {
    double kept = *x;
    double step = 1e-5 * DL_MAX(1, fabs(kept));
    *x = kept + step;
    double above = objective(t);
    *x = kept - step;
    double below = objective(t);
    *x = kept;
    return (above - below) / (2 * step);
}

static void check_gradient(trial *t, int place, const dl_tensor *grad) {
    if (!CHECK(grad) || !CHECK(dl_tensor_same_shape(grad, t->in[place])))
        return;
    int64_t n = dl_tensor_numel(grad);
    double *x = dl_tensor_data(t->in[place]);
    double *got = malloc((size_t)(n + 1) * sizeof *got);
    CHECK(dl_copy_out(grad, DL_FLOAT64, got) == DL_OK);
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = DL_MAX(largest, fabs(got[i]));
    for (int64_t i = 0; i < n; i++) {
        double want = numeric_derivative(t, &x[i]);
        if (!CHECK_CLOSE(got[i], want, 1e-6 * (fabs(want) + largest) + 1e-9)) {
            fprintf(stderr, "    %s %s: d / d input %d, element %lld\n", t->op->definition.name,
                    t->sample.options ? t->sample.options : "", place + 1, (long long)i);
            break;
        }
    }
    free(got);
}

static void gradient_body(dl_context *context, const dl_op *op, const sample *s) {
    trial t;
    if (s->flags & SAMPLE_LARGE || !begin_trial(&t, context, op, s, DL_FLOAT64))
        return;
    if (!(s->flags & SAMPLE_NO_GRADIENT))
        require_gradients(&t);
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL}, *grads[SAMPLE_INPUTS] = {NULL};
    if (!CHECK_EQ_INT(run(&t, out), DL_OK)) {
        fprintf(stderr, "    %s: %s\n", op->definition.name, dl_last_error());
    } else if (!(s->flags & SAMPLE_NO_GRADIENT)) {
        if (!CHECK(dl_requires_grad(out[0])))
            fprintf(stderr, "    %s is not differentiable\n", op->definition.name);
        else if (!CHECK_EQ_INT(gradients(&t, out[0], grads), DL_OK))
            fprintf(stderr, "    %s: %s\n", op->definition.name, dl_last_error());
    }
    release_all(out, op->outputs);
    bool recorded = dl_set_grad_enabled(context, false);
    for (int i = 0; i < t.inputs; i++)
        if (t.in[i] && dl_requires_grad(t.in[i]))
            check_gradient(&t, i, grads[i]);
    dl_set_grad_enabled(context, recorded);
    release_all(grads, t.inputs);
    end_trial(&t);
}

static void test_gradients_agree_with_differences(void) {
    for_each_sample(gradient_body);
}

static void precision_body(dl_context *context, const dl_op *op, const sample *s) {
    if (s->flags & SAMPLE_LARGE || op->flags & DL_OP_RANDOM)
        return;
    result narrow = {0}, wide = {0};
    if (compute_sample(context, op, s, DL_FLOAT32, &narrow) && compute_sample(context, op, s, DL_FLOAT64, &wide))
        check_same(&narrow, &wide, s->flags & SAMPLE_WINOGRAD ? 1e-4 : 2e-5, op, "float32");
    free(narrow.values);
    free(wide.values);
}

static void test_float32_agrees_with_float64(void) {
    for_each_sample(precision_body);
}

/* The same elements with gaps between them and the dimensions in another order in memory. */
static dl_tensor *strided(dl_context *context, dl_tensor *tensor) {
    int dims = dl_tensor_dims(tensor);
    if (dims == 0) {
        dl_retain(tensor);
        return tensor;
    }
    int64_t shape[DL_MAX_DIMS], order[DL_MAX_DIMS];
    for (int i = 0; i < dims; i++) {
        order[i] = dims - 1 - i;
        shape[i] = dl_tensor_shape(tensor)[dims - 1 - i];
    }
    shape[dims - 1] = 2 * shape[dims - 1] + 1;
    size_t mark = dl_scope_begin(context);
    dl_tensor *gaps = dl_full(context, dl_tensor_dtype(tensor), dims, shape, 1);
    dl_tensor *spread = dl_slice(context, gaps, -1, 1, DL_NONE, 2);
    dl_tensor *turned = dl_permute(context, spread, dims, order);
    CHECK(turned && dl_tensor_copy(turned, tensor) == DL_OK);
    return dl_scope_end(context, mark, turned);
}

static void strided_body(dl_context *context, const dl_op *op, const sample *s) {
    /* view must refuse what reshape copies; random operations draw other numbers. */
    if (s->flags & SAMPLE_LARGE || op->flags & DL_OP_RANDOM || op == &dl_op_view)
        return;
    trial t;
    result plain = {0}, seen = {0};
    if (!compute_sample(context, op, s, DL_FLOAT64, &plain) || !begin_trial(&t, context, op, s, DL_FLOAT64))
        return;
    bool any = false;
    for (int i = 0; i < t.inputs; i++) {
        if (!t.in[i])
            continue;
        dl_tensor *turned = strided(context, t.in[i]);
        any |= turned && !dl_tensor_is_contiguous(turned);
        dl_release(t.in[i]);
        t.in[i] = turned;
    }
    CHECK(any);
    require_gradients(&t);
    if (compute(&t, &seen))
        check_same(&seen, &plain, 1e-13, op, "strided");
    free(plain.values);
    free(seen.values);
    end_trial(&t);
}

static void test_strided_inputs_give_the_same(void) {
    for_each_sample(strided_body);
}

static void threads_body(dl_context *context, const dl_op *op, const sample *s) {
    if (op->flags & DL_OP_RANDOM && !(s->options && strstr(s->options, "seed")))
        return;
    result one = {0}, two = {0};
    CHECK(dl_set_threads(context, 1) == DL_OK);
    bool done = compute_sample(context, op, s, DL_FLOAT32, &one);
    CHECK(dl_set_threads(context, 2) == DL_OK);
    if (done && compute_sample(context, op, s, DL_FLOAT32, &two) && CHECK_EQ_INT(one.count, two.count))
        if (!CHECK(memcmp(one.values, two.values, (size_t)one.count * sizeof(double)) == 0))
            fprintf(stderr, "    %s: bits depend on the number of threads\n", op->definition.name);
    free(one.values);
    free(two.values);
}

static void test_threads_give_the_same_bits(void) {
    for_each_sample(threads_body);
}

/* The gradient of one input does not depend on which others are wanted. */
static void alone_body(dl_context *context, const dl_op *op, const sample *s) {
    if (s->flags & (SAMPLE_LARGE | SAMPLE_NO_GRADIENT) || op->flags & DL_OP_RANDOM)
        return;
    trial t;
    result all = {0}, alone = {0};
    if (!compute_sample(context, op, s, DL_FLOAT32, &all) || !begin_trial(&t, context, op, s, DL_FLOAT32))
        return;
    int64_t at = -1;
    for (int i = 0; i < t.inputs; i++) {
        if (!wants_gradient(&s->inputs[i]))
            continue;
        alone.count = 0;
        CHECK(dl_requires_grad_(t.in[i], true) == DL_OK);
        if (compute(&t, &alone)) {
            int64_t n = dl_tensor_numel(t.in[i]);
            at = at < 0 ? alone.count - n : at;
            if (!CHECK(memcmp(alone.values + alone.count - n, all.values + at, (size_t)n * sizeof(double)) == 0))
                fprintf(stderr, "    %s: the gradient of input %d alone differs\n", op->definition.name, i + 1);
            at += n;
        }
        CHECK(dl_requires_grad_(t.in[i], false) == DL_OK);
    }
    free(all.values);
    free(alone.values);
    end_trial(&t);
}

static void test_each_gradient_alone_is_the_same(void) {
    for_each_sample(alone_body);
}

/* x:op_(...) leaves in x what op(x, ...) gives, or refuses because that would have another shape or dtype. */
static void inplace_body(dl_context *context, const dl_op *op, const sample *s) {
    if (!(op->flags & DL_OP_INPLACE) || s->flags & SAMPLE_LARGE || op->flags & DL_OP_RANDOM)
        return;
    trial t;
    if (!begin_trial(&t, context, op, s, DL_FLOAT32))
        return;
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL};
    result want = {0}, got = {0};
    if (CHECK_EQ_INT(run(&t, out), DL_OK)) {
        bool fits = dl_tensor_same_shape(out[0], t.in[0]) && dl_tensor_dtype(out[0]) == dl_tensor_dtype(t.in[0]);
        append(&want, out[0]);
        uint32_t version = t.in[0]->storage->version;
        dl_status status = dl_apply_inplace(context, op, t.in, t.inputs, t.options);
        if (fits) {
            CHECK_EQ_INT(status, DL_OK);
            CHECK(t.in[0]->storage->version != version);
            append(&got, t.in[0]);
            check_same(&got, &want, 0, op, "in place");
        } else {
            CHECK_EQ_INT(status, DL_SHAPE);
            CHECK_EQ_INT(t.in[0]->storage->version, version);
        }
    }
    release_all(out, op->outputs);
    free(want.values);
    free(got.values);
    end_trial(&t);
}

static void test_in_place_forms(void) {
    for_each_sample(inplace_body);
}

/* ---- wrong inputs ---------------------------------------------------------------------------------------------- */

static size_t bytes_in_use(dl_context *context) {
    dl_memory_info info;
    dl_memory(context, &info);
    return info.in_use;
}

/* The input with one thing changed: variant 0 ..; NULL past the last one. */
static dl_tensor *changed(dl_context *context, dl_tensor *x, int variant) {
    int dims = dl_tensor_dims(x);
    int64_t shape[DL_MAX_DIMS + 1] = {0};
    memcpy(shape, dl_tensor_shape(x), (size_t)dims * sizeof *shape);
    dl_dtype dtype = dl_tensor_dtype(x);
    if (variant < DL_DTYPE_COUNT)
        return dl_full(context, (dl_dtype)variant, dims, shape, 1);
    switch (variant - DL_DTYPE_COUNT) {
    case 0:
        return dl_full(context, dtype, 0, shape, 1);
    case 1:
        shape[dims] = 2;
        return dl_full(context, dtype, dims + 1, shape, 1);
    case 2:
        shape[DL_MAX(dims - 1, 0)] += 1;
        return dl_full(context, dtype, DL_MAX(dims, 1), shape, 1);
    case 3:
        shape[0] += 1;
        return dl_full(context, dtype, DL_MAX(dims, 1), shape, 1);
    case 4:
        shape[0] = 0;
        return dl_full(context, dtype, DL_MAX(dims, 1), shape, 1);
    case 5:
        shape[DL_MAX(dims - 1, 0)] = 0;
        return dl_full(context, dtype, DL_MAX(dims, 1), shape, 1);
    case 6:
        return dl_full(context, dtype, dims, shape, 99);
    case 7:
        return dl_full(context, dtype, dims, shape, 0);
    case 8:
        return dl_full(context, dtype, DL_MAX_DIMS, (int64_t[]){1, 1, 1, 1, 1, 1, 2, 2}, 1);
    default:
        return NULL;
    }
}

/* Runs forward and, where it can, backward: done, or refused with a message that begins with the operation's name. */
static void run_or_refuse(trial *t) {
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL}, *grads[SAMPLE_INPUTS] = {NULL};
    dl_clear_error();
    dl_status status = run(t, out);
    if (status != DL_OK) {
        bool clean = status == DL_INVALID || status == DL_SHAPE || status == DL_DTYPE;
        const char *name = t->op->definition.name;
        if (!CHECK(clean && strncmp(dl_last_error(), name, strlen(name)) == 0))
            fprintf(stderr, "    %s: status %d, '%s'\n", name, status, dl_last_error());
    } else if (dl_requires_grad(out[0])) {
        if (!CHECK_EQ_INT(gradients(t, out[0], grads), DL_OK))
            fprintf(stderr, "    %s: %s\n", t->op->definition.name, dl_last_error());
    }
    release_all(grads, t->inputs);
    release_all(out, t->op->outputs);
}

static void wrong_body(dl_context *context, const dl_op *op, const sample *s) {
    trial t;
    size_t before = bytes_in_use(context);
    if (s->flags & SAMPLE_LARGE || !begin_trial(&t, context, op, s, DL_FLOAT32))
        return;
    for (int i = 0; i < t.inputs; i++) {
        dl_tensor *right = t.in[i];
        for (int variant = 0; right && (t.in[i] = changed(context, right, variant)); variant++) {
            if (dl_dtype_is_float(dl_tensor_dtype(t.in[i])))
                CHECK(dl_requires_grad_(t.in[i], true) == DL_OK);
            run_or_refuse(&t);
            dl_release(t.in[i]);
        }
        t.in[i] = right;
    }
    end_trial(&t);
    if (!CHECK_EQ_INT(bytes_in_use(context), before))
        fprintf(stderr, "    %s leaks\n", op->definition.name);
}

static void test_wrong_inputs_are_refused_without_a_leak(void) {
    for_each_sample(wrong_body);
}

/* ---- no memory ------------------------------------------------------------------------------------------------- */

/* One run with the nth allocation failing; true if it went through. */
static bool survives(dl_context *context, trial *t, uint64_t nth) {
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL}, *grads[SAMPLE_INPUTS] = {NULL};
    dl_tensor *grad = NULL;
    dl_memory_fail_at(context, nth);
    dl_status status = run(t, out);
    if (status == DL_OK && dl_requires_grad(out[0]))
        status = gradients(t, out[0], grads);
    dl_memory_fail_at(context, 0);
    if (!CHECK(status == DL_OK || status == DL_MEMORY))
        fprintf(stderr, "    %s, allocation %d: status %d, '%s'\n", t->op->definition.name, (int)nth, status,
                dl_last_error());
    dl_release(grad);
    release_all(grads, t->inputs);
    release_all(out, t->op->outputs);
    return status == DL_OK;
}

static void memory_body(dl_context *context, const dl_op *op, const sample *s) {
    trial t;
    if (s->flags & SAMPLE_LARGE || !begin_trial(&t, context, op, s, DL_FLOAT32))
        return;
    require_gradients(&t);
    survives(context, &t, 0);
    size_t before = bytes_in_use(context);
    uint64_t nth = 1;
    while (nth < 1000 && !survives(context, &t, nth))
        nth++;
    CHECK(nth < 1000);
    if (!CHECK_EQ_INT(bytes_in_use(context), before))
        fprintf(stderr, "    %s leaks when there is no memory\n", op->definition.name);
    end_trial(&t);
}

static void test_each_allocation_may_fail(void) {
    for_each_sample(memory_body);
}

CHECK_MAIN(CHECK_TEST(test_every_operation_has_a_sample), CHECK_TEST(test_gradients_agree_with_differences),
           CHECK_TEST(test_float32_agrees_with_float64), CHECK_TEST(test_strided_inputs_give_the_same),
           CHECK_TEST(test_threads_give_the_same_bits), CHECK_TEST(test_each_gradient_alone_is_the_same),
           CHECK_TEST(test_in_place_forms), CHECK_TEST(test_wrong_inputs_are_refused_without_a_leak),
           CHECK_TEST(test_each_allocation_may_fail))
