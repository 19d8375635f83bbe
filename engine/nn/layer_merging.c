/* nn/layer_merging.c: layers that make one tensor of several: Add, Subtract, Multiply, Average, Maximum, Minimum,
 * Concatenate, Dot. Element-wise ones broadcast; inputs of fewer dimensions get more after the batch.
 *
 * Masks are (N, T): the element-wise ones pass on what any input has, if all have a mask. */
#include <string.h>

#include "nn/nn.h"

/* ---- element-wise: shapes ---------------------------------------------------------------------------------------- */

static dl_status fail_merge(const dl_layer *layer, const dl_spec *a, const dl_spec *b) {
    return dl_fail(DL_SHAPE, "%s: inputs %s and %s do not fit: sizes must be equal, or 1", dl_layer_class(layer),
                   dl_spec_text_of(a).at, dl_spec_text_of(b).at);
}

/* The spec with dimensions of 1 after the batch up to `dims`. */
static dl_spec widened(const dl_spec *in, int dims) {
    dl_spec spec = *in;
    int extra = dims - in->dims;
    spec.dims = dims;
    for (int i = dims - 1; i > 0; i--)
        spec.shape[i] = i > extra ? in->shape[i - extra] : 1;
    return spec;
}

/* *out becomes what the two have in common. The batch is equal in both, or free in one. */
static dl_status broadcast(const dl_layer *layer, dl_spec *out, const dl_spec *next) {
    int dims = DL_MAX(out->dims, next->dims);
    dl_spec a = widened(out, dims);
    dl_spec b = widened(next, dims);
    for (int i = 0; i < dims; i++) {
        bool fits = a.shape[i] == b.shape[i] || a.shape[i] == DL_NONE || b.shape[i] == DL_NONE ||
                    (i > 0 && (a.shape[i] == 1 || b.shape[i] == 1));
        if (!fits)
            return fail_merge(layer, out, next);
        if (a.shape[i] == 1 || (i == 0 && a.shape[i] == DL_NONE))
            a.shape[i] = b.shape[i];
        else if (b.shape[i] == DL_NONE && i > 0)
            a.shape[i] = DL_NONE;
    }
    *out = a;
    return DL_OK;
}

static dl_status merge_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    *out = inputs->specs[0];
    for (int i = 1; i < inputs->count; i++)
        DL_TRY(broadcast(layer, out, &inputs->specs[i]));
    *outputs = 1;
    return DL_OK;
}

/* ---- element-wise: values ---------------------------------------------------------------------------------------- */

/* Input i with as many dimensions as the one that has the most. */
static dl_tensor *aligned(const dl_layer_call *call, int i) {
    dl_tensor *x = call->in[i];
    int dims = 0;
    for (int k = 0; k < call->inputs; k++)
        dims = DL_MAX(dims, call->in[k]->dims);
    while (x && x->dims < dims)
        x = dl_unsqueeze(call->context, x, 1);
    return x;
}

static dl_tensor *mask_of(const dl_layer_call *call, int i) {
    return call->masks ? call->masks[i] : NULL;
}

/* What any of the inputs has; *out NULL unless all have a mask. */
static dl_status any_mask(const dl_layer_call *call, dl_tensor **out) {
    *out = mask_of(call, 0);
    for (int i = 1; *out && i < call->inputs; i++) {
        dl_tensor *mask = mask_of(call, i);
        if (!mask) {
            *out = NULL;
            return DL_OK;
        }
        *out = dl_maximum(call->context, *out, mask);
        DL_TRY(*out ? DL_OK : dl_last_status());
    }
    return DL_OK;
}

static dl_status return_merged(dl_layer_call *call, dl_tensor *y) {
    DL_TRY(dl_call_return(call, y));
    return any_mask(call, &call->out_masks[0]);
}

typedef dl_tensor *(*merge_function)(dl_context *context, dl_tensor *a, dl_tensor *b);

static dl_tensor *merge_all(const dl_layer_call *call, merge_function merge) {
    dl_tensor *y = aligned(call, 0);
    for (int i = 1; y && i < call->inputs; i++)
        y = merge(call->context, y, aligned(call, i));
    return y;
}

static dl_status call_add(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    return return_merged(call, merge_all(call, dl_add));
}

static dl_status call_subtract(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    return return_merged(call, merge_all(call, dl_sub));
}

static dl_status call_average(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    dl_tensor *sum = merge_all(call, dl_add);
    return return_merged(call, call->inputs > 1 ? dl_div_number(call->context, sum, call->inputs) : sum);
}

/* A mask (N, T) as one of x's dimensions. */
static dl_tensor *mask_like(dl_tensor *mask, const dl_tensor *x) {
    while (mask && mask->dims < x->dims)
        mask = dl_unsqueeze(mask->context, mask, -1);
    return mask;
}

/* a where its mask is true, else b; a itself without a mask. */
static dl_tensor *where_valid(dl_tensor *mask, dl_tensor *a, dl_tensor *b) {
    return mask && a && b ? dl_where(a->context, mask_like(mask, a), a, b) : a;
}

/* A masked step of one input does not count where another has a valid one. */
static dl_tensor *merge_valid(const dl_layer_call *call, merge_function merge) {
    dl_context *context = call->context;
    dl_tensor *y = aligned(call, 0);
    dl_tensor *y_mask = mask_of(call, 0);
    for (int i = 1; y && i < call->inputs; i++) {
        dl_tensor *mask = mask_of(call, i);
        dl_tensor *x = where_valid(mask, aligned(call, i), y);
        y = merge(context, where_valid(y_mask, y, x), x);
        y_mask = mask && y_mask ? dl_maximum(context, y_mask, mask) : NULL;
    }
    return y;
}

static dl_status call_maximum(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    return return_merged(call, merge_valid(call, dl_maximum));
}

static dl_status call_minimum(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    return return_merged(call, merge_valid(call, dl_minimum));
}

/* A masked step counts as 1; where no input has a valid one the product is 0. */
static dl_status call_multiply(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    dl_context *context = call->context;
    dl_tensor *y = NULL;
    DL_TRY(any_mask(call, &call->out_masks[0]));
    for (int i = 0; i < call->inputs; i++) {
        dl_tensor *x = aligned(call, i);
        if (mask_of(call, i))
            x = where_valid(mask_of(call, i), x, dl_scalar(context, call->in[i]->dtype, 1));
        y = i == 0 ? x : dl_mul(context, y, x);
    }
    if (y && call->out_masks[0])
        y = where_valid(call->out_masks[0], y, dl_scalar(context, y->dtype, 0));
    return dl_call_return(call, y);
}

/* ---- Concatenate ------------------------------------------------------------------------------------------------- */

static dl_status find_axis(const dl_layer *layer, int64_t given, const dl_spec *in, int *axis) {
    int64_t place = given < 0 ? given + in->dims : given;
    if (place < 0 || place >= in->dims)
        return dl_fail(DL_SHAPE, "%s: axis %lld is not one of the %d dimensions of inputs %s", dl_layer_class(layer),
                       (long long)(given < 0 ? given : given + 1), in->dims, dl_spec_text_of(in).at);
    if (place == 0)
        return dl_fail(DL_INVALID, "%s: axis 1 is the batch, which layers keep", dl_layer_class(layer));
    *axis = (int)place;
    return DL_OK;
}

static dl_status concatenate_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    int axis;
    *out = inputs->specs[0];
    DL_TRY(find_axis(layer, DL_OPTIONS(layer, dl_concatenate_options)->axis, out, &axis));
    for (int i = 1; i < inputs->count; i++) {
        const dl_spec *next = &inputs->specs[i];
        bool fits = next->dims == out->dims;
        for (int d = 0; fits && d < out->dims; d++) {
            if (d == axis)
                continue;
            fits = out->shape[d] == next->shape[d] || out->shape[d] == DL_NONE || next->shape[d] == DL_NONE;
            if (out->shape[d] == DL_NONE)
                out->shape[d] = next->shape[d];
        }
        if (!fits)
            return dl_fail(DL_SHAPE, "Concatenate: inputs %s and %s may differ in dimension %d only",
                           dl_spec_text_of(&inputs->specs[0]).at, dl_spec_text_of(next).at, axis + 1);
        bool open = out->shape[axis] == DL_NONE || next->shape[axis] == DL_NONE;
        out->shape[axis] = open ? DL_NONE : out->shape[axis] + next->shape[axis];
        out->dtype = dl_dtype_promote(out->dtype, next->dtype);
    }
    *outputs = 1;
    return DL_OK;
}

/* The mask of input i as bools of the input's shape, but 1 for its last dimension; all true where it has none. */
static dl_tensor *wide_mask(const dl_layer_call *call, int i, int axis) {
    dl_context *context = call->context;
    const dl_tensor *x = call->in[i];
    dl_tensor *mask = mask_of(call, i);
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, x->shape, (size_t)x->dims * sizeof *shape);
    if (axis != x->dims - 1)
        shape[x->dims - 1] = 1;
    mask = mask ? mask_like(mask, x) : dl_full(context, DL_BOOLEAN, 0, NULL, 1);
    return mask ? dl_expand(context, mask, x->dims, shape) : NULL;
}

static dl_status concatenate_masks(dl_layer_call *call, int axis) {
    dl_context *context = call->context;
    bool any = false;
    int64_t last = -1;
    for (int i = 0; i < call->inputs; i++)
        any = any || mask_of(call, i);
    if (!any)
        return DL_OK;
    dl_tensor *joined = NULL;
    for (int i = 0; i < call->inputs; i++) {
        dl_tensor *mask = wide_mask(call, i, axis);
        DL_TRY(mask ? DL_OK : dl_last_status());
        joined = joined ? dl_cat(context, (dl_tensor *[]){joined, mask}, 2, axis) : mask;
        DL_TRY(joined ? DL_OK : dl_last_status());
    }
    call->out_masks[0] = dl_any(context, joined, 1, &last, false);
    return call->out_masks[0] ? DL_OK : dl_last_status();
}

static dl_status call_concatenate(dl_layer *layer, dl_layer_call *call) {
    int axis;
    dl_spec first = dl_spec_of_tensor(call->in[0]);
    DL_TRY(find_axis(layer, DL_OPTIONS(layer, dl_concatenate_options)->axis, &first, &axis));
    if (call->decoding && axis == 1 && first.dims > 2)
        return dl_fail(DL_UNSUPPORTED,
                       "Concatenate joins along the steps here, so the model cannot be asked step by step");
    if (call->inputs == 1) {
        call->out_masks[0] = mask_of(call, 0);
        return dl_call_return(call, call->in[0]);
    }
    DL_TRY(dl_call_return(call, dl_cat(call->context, call->in, call->inputs, axis)));
    return concatenate_masks(call, axis);
}

/* ---- Dot --------------------------------------------------------------------------------------------------------- */

static dl_status dot_axes(const dl_layer *layer, const dl_spec *specs, int axes[2]) {
    const dl_ints *given = &DL_OPTIONS(layer, dl_dot_options)->axes;
    for (int i = 0; i < 2; i++)
        DL_TRY(find_axis(layer, given->at[i], &specs[i], &axes[i]));
    return DL_OK;
}

/* (N, A..., B...): the dimensions of both that are not summed over. */
static dl_status dot_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *specs = inputs->specs;
    int axes[2];
    DL_TRY(dot_axes(layer, specs, axes));
    int64_t a = specs[0].shape[axes[0]];
    int64_t b = specs[1].shape[axes[1]];
    bool same_batch = specs[0].shape[0] == specs[1].shape[0] || specs[0].shape[0] == DL_NONE ||
                      specs[1].shape[0] == DL_NONE;
    if ((a != b && a != DL_NONE && b != DL_NONE) || !same_batch)
        return dl_fail(DL_SHAPE, "Dot: dimension %d of inputs %s and dimension %d of %s must have one size, and the "
                       "batches too", axes[0] + 1, dl_spec_text_of(&specs[0]).at, axes[1] + 1,
                       dl_spec_text_of(&specs[1]).at);
    if (specs[0].dims + specs[1].dims - 3 > DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "Dot: the result of inputs %s and %s has more than %d dimensions",
                       dl_spec_text_of(&specs[0]).at, dl_spec_text_of(&specs[1]).at, DL_MAX_DIMS);
    *out = (dl_spec){.dtype = specs[0].dtype, .dims = 1};
    out->shape[0] = specs[0].shape[0] != DL_NONE ? specs[0].shape[0] : specs[1].shape[0];
    for (int i = 0; i < 2; i++)
        for (int d = 1; d < specs[i].dims; d++)
            if (d != axes[i])
                out->shape[out->dims++] = specs[i].shape[d];
    if (out->dims == 1)
        out->shape[out->dims++] = 1;
    *outputs = 1;
    return DL_OK;
}

/* The tensor as (N, other dimensions, summed one). */
static dl_tensor *summed_last(dl_tensor *x, int axis) {
    int64_t order[DL_MAX_DIMS];
    int count = 0;
    int64_t others = 1;
    for (int d = 0; d < x->dims; d++)
        if (d != axis)
            order[count++] = d;
    order[count] = axis;
    for (int d = 1; d < x->dims; d++)
        others *= d == axis ? 1 : x->shape[d];
    int64_t shape[3] = {x->shape[0], others, x->shape[axis]};
    dl_tensor *moved = axis == x->dims - 1 ? x : dl_permute(x->context, x, x->dims, order);
    return moved ? dl_reshape(x->context, moved, 3, shape) : NULL;
}

/* Rows (last dimension) of length 1; Keras's floor for the sum of squares is 1e-12. */
static dl_tensor *normalized(dl_tensor *x) {
    int64_t last = -1;
    if (!x)
        return NULL;
    dl_tensor *squares = dl_sum(x->context, dl_square(x->context, x), 1, &last, true);
    dl_tensor *floor = dl_number(x->context, 1e-12, x);
    return dl_mul(x->context, x, dl_rsqrt(x->context, dl_maximum(x->context, squares, floor)));
}

static dl_status call_dot(dl_layer *layer, dl_layer_call *call) {
    dl_spec specs[2] = {dl_spec_of_tensor(call->in[0]), dl_spec_of_tensor(call->in[1])};
    dl_spec out;
    int outputs;
    int axes[2];
    DL_TRY(dot_axes(layer, specs, axes));
    DL_TRY(dot_infer(layer, &(dl_inputs){specs, 2, NULL}, &out, &outputs));
    dl_tensor *a = summed_last(call->in[0], axes[0]);
    dl_tensor *b = summed_last(call->in[1], axes[1]);
    if (DL_OPTIONS(layer, dl_dot_options)->normalize) {
        a = normalized(a);
        b = normalized(b);
    }
    dl_tensor *y = b ? dl_matmul(call->context, a, dl_transpose(call->context, b, 1, 2)) : NULL;
    return dl_call_return(call, y ? dl_reshape(call->context, y, out.dims, out.shape) : NULL);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field merging_fields[] = {DL_LAYER_FIELDS(dl_merging_options)};
static const dl_field concatenate_fields[] = {
    DL_INT(dl_concatenate_options, axis, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the dimension that grows"),
    DL_LAYER_FIELDS(dl_concatenate_options)};
static const dl_field dot_fields[] = {
    DL_INTS(dl_dot_options, axes, NULL, 2, DL_LOWEST, DL_HIGHEST, DL_REQUIRED | DL_POSITION,
            "the dimension of each input to sum over"),
    DL_BOOL(dl_dot_options, normalize, false, 0, "bring both to length 1 along it first: the cosine"),
    DL_LAYER_FIELDS(dl_dot_options)};

#define DEFINE(symbol, name_, least, most, help_, formula_)                                                            \
    const dl_layer_def dl_layer_##symbol = {                                                                           \
        .definition = {.name = name_, .version = 1, .help = help_, .formula = formula_,                                \
                       .shapes = "several of one shape, or that broadcast -> the common one",                          \
                       .fields = merging_fields, .options_size = sizeof(dl_merging_options)},                          \
        .minimum_inputs = least, .maximum_inputs = most, .minimum_dims = 1,                                            \
        .infer = merge_infer, .call = call_##symbol, .flags = DL_LAYER_STEPWISE};

DEFINE(add, "Add", 1, 0, "The sum of its inputs.", "a + b + ...")
DEFINE(subtract, "Subtract", 2, 2, "The difference of two inputs.", "a - b")
DEFINE(multiply, "Multiply", 1, 0, "The product of its inputs, element by element.", "a * b * ...")
DEFINE(average, "Average", 1, 0, "The mean of its inputs, element by element.", "(a + b + ...) / n")
DEFINE(maximum, "Maximum", 1, 0, "The largest of its inputs, element by element.", "max(a, b, ...)")
DEFINE(minimum, "Minimum", 1, 0, "The smallest of its inputs, element by element.", "min(a, b, ...)")

const dl_layer_def dl_layer_concatenate = {
    .definition = {.name = "Concatenate", .version = 1, .help = "Joins its inputs along one dimension.",
                   .shapes = "(N, ..., A), (N, ..., B) -> (N, ..., A + B)", .fields = concatenate_fields,
                   .options_size = sizeof(dl_concatenate_options)},
    .minimum_inputs = 1, .maximum_inputs = 0, .minimum_dims = 2,
    .infer = concatenate_infer, .call = call_concatenate,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_STEPWISE};

const dl_layer_def dl_layer_dot = {
    .definition = {.name = "Dot", .version = 1, .help = "Products of the samples of two inputs, summed over one "
                   "dimension of each.", .formula = "y[n, i, j] = sum of a[n, i, k] b[n, j, k] over k",
                   .shapes = "(N, A, K), (N, B, K) -> (N, A, B) for axes -1", .fields = dot_fields,
                   .options_size = sizeof(dl_dot_options)},
    .minimum_inputs = 2, .maximum_inputs = 2, .minimum_dims = 2,
    .infer = dot_infer, .call = call_dot};

/* ---- Rescaling --------------------------------------------------------------------------------------------------- */

static dl_status rescaling_infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    *out = inputs->specs[0];
    out->dtype = layer->dtype;
    *outputs = 1;
    return DL_OK;
}

static dl_status call_rescaling(dl_layer *layer, dl_layer_call *call) {
    const dl_rescaling_options *options = DL_OPTIONS(layer, dl_rescaling_options);
    dl_context *context = call->context;
    dl_tensor *y = dl_mul_number(context, dl_to(context, call->in[0], layer->dtype), options->scale);
    call->out_masks[0] = mask_of(call, 0);
    return dl_call_return(call, options->offset != 0 ? dl_add_number(context, y, options->offset) : y);
}

static const dl_field rescaling_fields[] = {
    DL_REAL(dl_rescaling_options, scale, 0.0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED, "factor"),
    DL_REAL(dl_rescaling_options, offset, 0.0, DL_LOWEST, DL_HIGHEST, 0, "added after it"),
    DL_LAYER_FIELDS(dl_rescaling_options)};

const dl_layer_def dl_layer_rescaling = {
    .definition = {.name = "Rescaling", .version = 1, .help = "Multiplies by a number and adds one; inputs of any type "
                   "become the layer's.", .formula = "x * scale + offset", .shapes = "any shape -> the same",
                   .fields = rescaling_fields, .options_size = sizeof(dl_rescaling_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .infer = rescaling_infer, .call = call_rescaling,
    .flags = DL_LAYER_KEEPS_MASK | DL_LAYER_ANY_DTYPE | DL_LAYER_STEPWISE};
