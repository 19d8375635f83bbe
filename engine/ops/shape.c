/* ops/shape.c: operations that give a tensor another shape. All are views of the input's storage with other strides
 * (reshape copies where strides cannot express the result), and their derivative moves the gradient back. */
#include "ops/ops.h"

/* ---- reshape, view, flatten, squeeze, unsqueeze ---------------------------------------------------------------- */

/* Fills in the one -1 of the wanted shape from the number of elements. */
static dl_status resolve_shape(const dl_tensor *x, const dl_ints *wanted, int64_t *shape) {
    int64_t numel = dl_tensor_numel(x);
    int64_t known = 1;
    int open = -1;
    bool overflow = false;
    for (int i = 0; i < wanted->count; i++) {
        shape[i] = wanted->at[i];
        if (shape[i] == -1 && open >= 0)
            return dl_fail(DL_SHAPE, "only one size of %s may be -1", dl_sizes_text(wanted->count, wanted->at).at);
        if (shape[i] < -1)
            return dl_fail(DL_SHAPE, "size %lld of the new shape is negative; sizes are 0 or more, or -1 once",
                           (long long)shape[i]);
        if (shape[i] == -1)
            open = i;
        else
            overflow |= __builtin_mul_overflow(known, shape[i], &known);
    }
    if (open >= 0 && !overflow && known > 0 && numel % known == 0)
        shape[open] = numel / known;
    else if (open >= 0 || overflow || known != numel)
        return dl_fail(DL_SHAPE, "a tensor of shape %s has %lld elements and cannot take the shape %s",
                       dl_shape_text(x).at, (long long)numel, dl_sizes_text(wanted->count, wanted->at).at);
    return DL_OK;
}

/* Strides that show x in another shape of as many elements; false if there are none. Groups of x's dimensions that lie
 * one behind the other in memory are matched, from the last to the first, with groups of new ones of the same size. */
static bool view_strides(const dl_tensor *x, int dims, const int64_t *shape, int64_t *strides) {
    if (dl_tensor_numel(x) == 0) {
        dl_shape_strides(dims, shape, strides);
        return true;
    }
    int d = dims - 1;
    int64_t group = 1;
    int64_t base = x->dims ? x->strides[x->dims - 1] : 1;
    for (int s = x->dims - 1; s >= 0; s--) {
        group *= x->shape[s];
        bool ends = s == 0 || (x->shape[s - 1] != 1 && x->strides[s - 1] != group * base);
        if (!ends)
            continue;
        int64_t covered = 1;
        while (d >= 0 && (covered < group || shape[d] == 1)) {
            strides[d] = covered * base;
            covered *= shape[d--];
        }
        if (covered != group)
            return false;
        if (s > 0)
            base = x->strides[s - 1];
        group = 1;
    }
    for (; d >= 0; d--)
        strides[d] = 1;
    return true;
}

/* out[0] = x in another shape: a view where strides allow it, else a copy. */
static dl_status reshaped(dl_op_call *call, int dims, const int64_t *shape, bool may_copy) {
    dl_tensor *x = call->in[0];
    int64_t strides[DL_MAX_DIMS];
    if (view_strides(x, dims, shape, strides))
        return dl_call_view(call, dims, shape, strides, x->offset);
    if (!may_copy)
        return dl_fail(DL_SHAPE,
                       "the strides of a tensor of shape %s do not allow a view of shape %s; use reshape, "
                       "which copies",
                       dl_shape_text(x).at, dl_sizes_text(dims, shape).at);
    dl_tensor *out = dl_call_output(call, 0, x->dtype, dims, shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    dl_shape_strides(x->dims, x->shape, strides);
    dl_tensor *as_x = dl_tensor_view(out, x->dims, x->shape, strides, 0);
    dl_status status = as_x ? dl_tensor_copy(as_x, x) : dl_last_status();
    dl_release(as_x);
    return status;
}

dl_status dl_reshape_backward(dl_op_gradient *gradient) {
    return dl_gradient_set(
        gradient, 0, dl_reshape(gradient->context, gradient->grad_out[0], gradient->dims[0], gradient->shapes[0]));
}

static dl_status reshape_forward(dl_op_call *call) {
    const dl_shape_options *options = call->options;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(resolve_shape(call->in[0], &options->shape, shape));
    return reshaped(call, options->shape.count, shape, true);
}

static dl_status view_forward(dl_op_call *call) {
    const dl_shape_options *options = call->options;
    int64_t shape[DL_MAX_DIMS];
    DL_TRY(resolve_shape(call->in[0], &options->shape, shape));
    return reshaped(call, options->shape.count, shape, false);
}

static const dl_field reshape_fields[] = {
    DL_INTS(dl_shape_options, shape, NULL, 0, -1, DL_HIGHEST, DL_REQUIRED,
            "the new sizes; one may be -1: what is left"),
    DL_END,
};

const dl_op dl_op_reshape = {
    .definition = {.name = "reshape",
                   .version = 1,
                   .help = "The same elements in another shape, in row-major order. A view if the strides allow it, "
                           "else a copy.",
                   .shapes = "any shape -> any shape with as many elements",
                   .fields = reshape_fields,
                   .options_size = sizeof(dl_shape_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = reshape_forward,
    .backward = dl_reshape_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

const dl_op dl_op_view = {
    .definition = {.name = "view",
                   .version = 1,
                   .help = "reshape that never copies: an error where the strides do not allow a view.",
                   .shapes = "any shape -> any shape with as many elements",
                   .fields = reshape_fields,
                   .options_size = sizeof(dl_shape_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = view_forward,
    .backward = dl_reshape_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

static dl_status flatten_forward(dl_op_call *call) {
    const dl_flatten_options *options = call->options;
    const dl_tensor *x = call->in[0];
    int64_t shape[DL_MAX_DIMS] = {1};
    if (x->dims == 0)
        return reshaped(call, 1, shape, true);
    int first, last;
    DL_TRY(dl_dim_normalize(options->start_dim, x->dims, &first));
    DL_TRY(dl_dim_normalize(options->end_dim, x->dims, &last));
    if (first > last)
        return dl_fail(DL_INVALID, "start_dim must not come after end_dim in a tensor of shape %s",
                       dl_shape_text(x).at);
    int dims = 0;
    for (int i = 0; i < x->dims; i++) {
        if (i <= first || i > last)
            shape[dims++] = x->shape[i];
        else
            shape[first] *= x->shape[i];
    }
    return reshaped(call, dims, shape, true);
}

static const dl_field flatten_fields[] = {
    DL_INT(dl_flatten_options, start_dim, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the first dimension to join"),
    DL_INT(dl_flatten_options, end_dim, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the last dimension to join"),
    DL_END,
};

const dl_op dl_op_flatten = {
    .definition = {.name = "flatten",
                   .version = 1,
                   .help = "Joins neighbouring dimensions into one. A view if the strides allow it.",
                   .shapes = "{a, b, c, d} -> {a, b * c, d} for the second and third",
                   .fields = flatten_fields,
                   .options_size = sizeof(dl_flatten_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = flatten_forward,
    .backward = dl_reshape_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

static dl_status squeeze_forward(dl_op_call *call) {
    const dl_squeeze_options *options = call->options;
    dl_tensor *x = call->in[0];
    bool listed[DL_MAX_DIMS] = {false};
    for (int i = 0; i < options->dim.count; i++) {
        int dim;
        DL_TRY(dl_dim_normalize(options->dim.at[i], x->dims, &dim));
        listed[dim] = true;
    }
    int64_t shape[DL_MAX_DIMS], strides[DL_MAX_DIMS];
    int dims = 0;
    for (int i = 0; i < x->dims; i++) {
        if (x->shape[i] == 1 && (options->dim.count == 0 || listed[i]))
            continue;
        shape[dims] = x->shape[i];
        strides[dims++] = x->strides[i];
    }
    return dl_call_view(call, dims, shape, strides, x->offset);
}

static const dl_field squeeze_fields[] = {
    DL_INTS(dl_squeeze_options, dim, "", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_NONE_OK,
            "the dimensions to take out if their size is 1; none: all of size 1"),
    DL_END,
};

const dl_op dl_op_squeeze = {
    .definition = {.name = "squeeze",
                   .version = 1,
                   .help = "Takes dimensions of size 1 out. A view.",
                   .shapes = "{a, 1, b} -> {a, b}",
                   .fields = squeeze_fields,
                   .options_size = sizeof(dl_squeeze_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = squeeze_forward,
    .backward = dl_reshape_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

static dl_status unsqueeze_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_tensor *x = call->in[0];
    if (x->dims == DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "a tensor of shape %s has %d dimensions already, the most there can be",
                       dl_shape_text(x).at, DL_MAX_DIMS);
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, x->dims + 1, &dim));
    int64_t shape[DL_MAX_DIMS], strides[DL_MAX_DIMS];
    for (int i = 0; i <= x->dims; i++) {
        int from = i > dim ? i - 1 : i;
        shape[i] = i == dim ? 1 : x->shape[from];
        strides[i] = i == dim ? 1 : x->strides[from];
    }
    if (dim < x->dims)
        strides[dim] = x->shape[dim] * x->strides[dim];
    return dl_call_view(call, x->dims + 1, shape, strides, x->offset);
}

static const dl_field unsqueeze_fields[] = {
    DL_INT(dl_dim_options, dim, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED, "where the new dimension stands"),
    DL_END,
};

const dl_op dl_op_unsqueeze = {
    .definition = {.name = "unsqueeze",
                   .version = 1,
                   .help = "Puts a dimension of size 1 in. A view.",
                   .shapes = "{a, b} -> {a, 1, b}",
                   .fields = unsqueeze_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = unsqueeze_forward,
    .backward = dl_reshape_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

/* ---- permute, transpose ---------------------------------------------------------------------------------------- */

static dl_status permuted(dl_op_call *call, const int *order) {
    dl_tensor *x = call->in[0];
    int64_t shape[DL_MAX_DIMS], strides[DL_MAX_DIMS];
    for (int i = 0; i < x->dims; i++) {
        shape[i] = x->shape[order[i]];
        strides[i] = x->strides[order[i]];
    }
    return dl_call_view(call, x->dims, shape, strides, x->offset);
}

static dl_status permute_forward(dl_op_call *call) {
    const dl_dims_options *options = call->options;
    const dl_tensor *x = call->in[0];
    if (options->dims.count != x->dims)
        return dl_fail(DL_SHAPE, "dims has %d entries, but the tensor of shape %s has %d dimensions",
                       options->dims.count, dl_shape_text(x).at, x->dims);
    int order[DL_MAX_DIMS];
    bool seen[DL_MAX_DIMS] = {false};
    for (int i = 0; i < x->dims; i++) {
        DL_TRY(dl_dim_normalize(options->dims.at[i], x->dims, &order[i]));
        if (seen[order[i]])
            return dl_fail(DL_INVALID, "dims names dimension %d twice; each must be there once", order[i] + 1);
        seen[order[i]] = true;
    }
    return permuted(call, order);
}

static dl_status permute_backward(dl_op_gradient *gradient) {
    const dl_dims_options *options = gradient->options;
    int64_t inverse[DL_MAX_DIMS];
    for (int i = 0; i < options->dims.count; i++) {
        int64_t from = options->dims.at[i];
        inverse[from < 0 ? from + options->dims.count : from] = i;
    }
    return dl_gradient_set(gradient, 0,
                           dl_permute(gradient->context, gradient->grad_out[0], options->dims.count, inverse));
}

static const dl_field permute_fields[] = {
    DL_INTS(dl_dims_options, dims, NULL, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED,
            "for each new dimension, which one it was"),
    DL_END,
};

const dl_op dl_op_permute = {
    .definition = {.name = "permute",
                   .version = 1,
                   .help = "Puts the dimensions into another order. A view.",
                   .shapes = "{a, b, c} -> {c, a, b} for dims {3, 1, 2}",
                   .fields = permute_fields,
                   .options_size = sizeof(dl_dims_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = permute_forward,
    .backward = permute_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

static dl_status transpose_forward(dl_op_call *call) {
    const dl_transpose_options *options = call->options;
    const dl_tensor *x = call->in[0];
    int first, second, order[DL_MAX_DIMS];
    DL_TRY(dl_dim_normalize(options->dim0, x->dims, &first));
    DL_TRY(dl_dim_normalize(options->dim1, x->dims, &second));
    for (int i = 0; i < x->dims; i++)
        order[i] = i == first ? second : i == second ? first : i;
    return permuted(call, order);
}

static dl_status transpose_backward(dl_op_gradient *gradient) {
    const dl_transpose_options *options = gradient->options;
    return dl_gradient_set(gradient, 0,
                           dl_transpose(gradient->context, gradient->grad_out[0], options->dim0, options->dim1));
}

static const dl_field transpose_fields[] = {
    DL_INT(dl_transpose_options, dim0, -2, DL_LOWEST, DL_HIGHEST, DL_POSITION, "one dimension"),
    DL_INT(dl_transpose_options, dim1, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "the other"),
    DL_END,
};

const dl_op dl_op_transpose = {
    .definition = {.name = "transpose",
                   .version = 1,
                   .help = "Exchanges two dimensions, the last two if none are given. A view.",
                   .shapes = "{a, b, c} -> {a, c, b}",
                   .fields = transpose_fields,
                   .options_size = sizeof(dl_transpose_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = transpose_forward,
    .backward = transpose_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

/* ---- expand ---------------------------------------------------------------------------------------------------- */

static dl_status expand_forward(dl_op_call *call) {
    const dl_shape_options *options = call->options;
    dl_tensor *x = call->in[0];
    int dims = options->shape.count;
    int added = dims - x->dims;
    int64_t shape[DL_MAX_DIMS], strides[DL_MAX_DIMS];
    bool fits = added >= 0;
    for (int i = 0; fits && i < dims; i++) {
        int64_t size = i < added ? 1 : x->shape[i - added];
        bool keep = i >= added && (options->shape.at[i] == -1 || options->shape.at[i] == size);
        shape[i] = keep ? size : options->shape.at[i];
        strides[i] = keep ? x->strides[i - added] : 0;
        fits = keep || (size == 1 && shape[i] >= 0);
    }
    if (!fits)
        return dl_fail(DL_SHAPE,
                       "a tensor of shape %s cannot be expanded to %s: sizes are compared from the last "
                       "dimension and only those of 1 repeat (-1 keeps a size)",
                       dl_shape_text(x).at, dl_sizes_text(dims, options->shape.at).at);
    int64_t dense[DL_MAX_DIMS];
    size_t bytes;
    DL_TRY(dl_tensor_layout(x->dtype, dims, shape, dense, &bytes)); /* the sizes' product must not overflow later */
    return dl_call_view(call, dims, shape, strides, x->offset);
}

static dl_status expand_backward(dl_op_gradient *gradient) {
    return dl_gradient_set(gradient, 0, gradient->grad_out[0]);
}

static const dl_field expand_fields[] = {
    DL_INTS(dl_shape_options, shape, NULL, 0, -1, DL_HIGHEST, DL_REQUIRED, "the new sizes; -1 keeps a size"),
    DL_END,
};

const dl_op dl_op_expand = {
    .definition = {.name = "expand",
                   .version = 1,
                   .help = "Repeats dimensions of size 1 without copying; new dimensions come first. A view: do not "
                           "write into it.",
                   .shapes = "{a, 1} -> {n, a, b}",
                   .fields = expand_fields,
                   .options_size = sizeof(dl_shape_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = expand_forward,
    .backward = expand_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

/* ---- slice, select --------------------------------------------------------------------------------------------- */

/* Where dimension `dim` of a sliced tensor starts, and how many elements it keeps. Places past the ends are cut. */
static void slice_range(const dl_slice_options *options, int dim, int64_t size, int64_t *start, int64_t *count,
                        int64_t *step) {
    int64_t first = options->starts.at[dim];
    int64_t last = dim < options->ends.count ? options->ends.at[dim] : -1;
    *step = dim < options->steps.count ? options->steps.at[dim] : 1;
    first = DL_MAX(first < 0 ? first + size : first, 0);
    last = DL_MIN(last < 0 ? last + size : last, size - 1);
    *start = first;
    *count = last < first ? 0 : (last - first) / *step + 1;
}

/* The view of `tensor` that the options name; a new reference in no scope. */
static dl_tensor *slice_view(dl_tensor *tensor, const dl_slice_options *options) {
    int64_t shape[DL_MAX_DIMS], strides[DL_MAX_DIMS];
    int64_t offset = tensor->offset;
    for (int i = 0; i < tensor->dims; i++) {
        int64_t start = 0, step = 1;
        shape[i] = tensor->shape[i];
        if (i < options->starts.count)
            slice_range(options, i, tensor->shape[i], &start, &shape[i], &step);
        strides[i] = tensor->strides[i] * step;
        if (shape[i] > 0)
            offset += start * tensor->strides[i];
    }
    return dl_tensor_view(tensor, tensor->dims, shape, strides, offset);
}

static dl_status slice_forward(dl_op_call *call) {
    const dl_slice_options *options = call->options;
    dl_tensor *x = call->in[0];
    int most = DL_MAX(DL_MAX(options->starts.count, options->ends.count), options->steps.count);
    if (most > x->dims)
        return dl_fail(DL_SHAPE, "ranges for %d dimensions, but the tensor of shape %s has %d", most,
                       dl_shape_text(x).at, x->dims);
    if (options->ends.count > options->starts.count || options->steps.count > options->starts.count)
        return dl_fail(DL_INVALID, "ends and steps must not be longer than starts (%d)", options->starts.count);
    call->out[0] = slice_view(x, options);
    return call->out[0] ? DL_OK : dl_last_status();
}

/* The gradient of a part: zero everywhere else. */
static dl_status slice_backward(dl_op_gradient *gradient) {
    dl_tensor *whole = dl_gradient_new(gradient, 0);
    DL_TRY(whole ? dl_tensor_fill(whole, 0) : dl_last_status());
    dl_tensor *part = slice_view(whole, gradient->options);
    dl_status status = part ? dl_tensor_copy(part, gradient->grad_out[0]) : dl_last_status();
    dl_release(part);
    return status;
}

static const dl_field slice_fields[] = {
    DL_INTS(dl_slice_options, starts, NULL, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED,
            "first element in each dimension, from the first dimension on"),
    DL_INTS(dl_slice_options, ends, "", 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_NONE_OK,
            "last element in each dimension, included; none: the last"),
    DL_INTS(dl_slice_options, steps, "", 0, 1, DL_HIGHEST, DL_NONE_OK, "distance of the elements taken; none: 1"),
    DL_END,
};

const dl_op dl_op_slice = {
    .definition = {.name = "slice",
                   .version = 1,
                   .help = "Ranges of a tensor. Places past the ends are cut, where t[{ {from, to, step}, ... }] "
                           "refuses them. A view.",
                   .shapes = "{a, b} -> {parts of a, parts of b}",
                   .fields = slice_fields,
                   .options_size = sizeof(dl_slice_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = slice_forward,
    .backward = slice_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};

/* The view without dimension `dim` at one index; a new reference in no scope. */
static dl_tensor *select_view(dl_tensor *tensor, int dim, int64_t index) {
    int64_t shape[DL_MAX_DIMS], strides[DL_MAX_DIMS];
    int dims = 0;
    for (int i = 0; i < tensor->dims; i++) {
        if (i == dim)
            continue;
        shape[dims] = tensor->shape[i];
        strides[dims++] = tensor->strides[i];
    }
    return dl_tensor_view(tensor, dims, shape, strides, tensor->offset + index * tensor->strides[dim]);
}

static dl_status select_forward(dl_op_call *call) {
    const dl_select_options *options = call->options;
    dl_tensor *x = call->in[0];
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, x->dims, &dim));
    int64_t size = x->shape[dim];
    int64_t index = options->index < 0 ? options->index + size : options->index;
    if (index < 0 || index >= size)
        return dl_fail(DL_INVALID,
                       "index %lld is outside dimension %d of the shape %s; indices run from 1 to %lld, or "
                       "from -1 at the end",
                       (long long)(options->index < 0 ? options->index : options->index + 1), dim + 1,
                       dl_shape_text(x).at, (long long)size);
    call->out[0] = select_view(x, dim, index);
    return call->out[0] ? DL_OK : dl_last_status();
}

static dl_status select_backward(dl_op_gradient *gradient) {
    const dl_select_options *options = gradient->options;
    dl_tensor *whole = dl_gradient_new(gradient, 0);
    DL_TRY(whole ? dl_tensor_fill(whole, 0) : dl_last_status());
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, whole->dims, &dim));
    dl_tensor *part = select_view(whole, dim, options->index < 0 ? options->index + whole->shape[dim] : options->index);
    dl_status status = part ? dl_tensor_copy(part, gradient->grad_out[0]) : dl_last_status();
    dl_release(part);
    return status;
}

static const dl_field select_fields[] = {
    DL_INT(dl_select_options, dim, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED, "the dimension that goes away"),
    DL_INT(dl_select_options, index, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED, "which element of it"),
    DL_END,
};

const dl_op dl_op_select = {
    .definition = {.name = "select",
                   .version = 1,
                   .help = "One element along a dimension, as t[i]. A view.",
                   .shapes = "{a, b, c} -> {a, c} for dim 2",
                   .fields = select_fields,
                   .options_size = sizeof(dl_select_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = select_forward,
    .backward = select_backward,
    .flags = DL_OP_METHOD | DL_OP_VIEW,
};
