/* ops/rearrange.c: operations that copy elements to other places: joining, padding, turning round, keeping a triangle.
 * None computes with values, so they take every dtype; each derivative is the copy the other way. */
#include <string.h>

#include "ops/ops.h"

/* ---- cat, stack ------------------------------------------------------------------------------------------------ */

/* The part of `whole` that starts at `start` along dim; a new reference in no scope. */
static dl_tensor *part_of(dl_tensor *whole, int dim, int64_t start, int64_t size) {
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, whole->shape, sizeof shape);
    shape[dim] = size;
    int64_t offset = whole->offset + (size > 0 ? start * whole->strides[dim] : 0);
    return dl_tensor_view(whole, whole->dims, shape, whole->strides, offset);
}

static dl_status copy_part(dl_tensor *whole, int dim, int64_t start, int64_t size, const dl_tensor *from) {
    dl_tensor *part = part_of(whole, dim, start, size);
    dl_status status = part ? dl_tensor_copy(part, from) : dl_last_status();
    dl_release(part);
    return status;
}

/* All inputs must have the first one's shape, but for dimension `free_dim` (-1: none). */
static dl_status check_alike(const dl_op_call *call, int free_dim, dl_dtype *dtype) {
    if (call->inputs == 0)
        return dl_fail(DL_INVALID, "the list of tensors is empty; give at least one");
    const dl_tensor *first = call->in[0];
    *dtype = first->dtype;
    for (int i = 1; i < call->inputs; i++) {
        const dl_tensor *other = call->in[i];
        bool alike = other->dims == first->dims;
        for (int d = 0; alike && d < first->dims; d++)
            alike = d == free_dim || other->shape[d] == first->shape[d];
        if (!alike && free_dim >= 0)
            return dl_fail(DL_SHAPE, "tensor 1 has shape %s and tensor %d %s; only dimension %d may differ",
                           dl_shape_text(first).at, i + 1, dl_shape_text(other).at, free_dim + 1);
        if (!alike)
            return dl_fail(DL_SHAPE, "tensor 1 has shape %s and tensor %d %s; all must have the same",
                           dl_shape_text(first).at, i + 1, dl_shape_text(other).at);
        *dtype = dl_dtype_promote(*dtype, other->dtype);
    }
    return DL_OK;
}

static dl_status cat_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    int dim = 0;
    if (call->inputs > 0)
        DL_TRY(dl_dim_normalize(options->dim, call->in[0]->dims, &dim));
    dl_dtype dtype;
    DL_TRY(check_alike(call, dim, &dtype));
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, call->in[0]->shape, sizeof shape);
    for (int i = 1; i < call->inputs; i++) {
        if (__builtin_add_overflow(shape[dim], call->in[i]->shape[dim], &shape[dim]))
            return dl_fail(DL_SHAPE, "the sizes of dimension %d are too large together", dim + 1);
    }
    dl_tensor *out = dl_call_output(call, 0, dtype, call->in[0]->dims, shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    int64_t start = 0;
    for (int i = 0; i < call->inputs; i++) {
        DL_TRY(copy_part(out, dim, start, call->in[i]->shape[dim], call->in[i]));
        start += call->in[i]->shape[dim];
    }
    return DL_OK;
}

static dl_status cat_backward(dl_op_gradient *gradient) {
    const dl_dim_options *options = gradient->options;
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, gradient->dims[0], &dim));
    int64_t start = 0;
    for (int i = 0; i < gradient->inputs; i++) {
        int64_t size = gradient->shapes[i][dim];
        if (gradient->needs[i])
            DL_TRY(dl_gradient_set(gradient, i,
                                   dl_slice(gradient->context, gradient->grad_out[0], dim, start, start + size, 1)));
        start += size;
    }
    return DL_OK;
}

const dl_op dl_op_cat = {
    .definition = {.name = "cat",
                   .aliases = "concat|concatenate",
                   .version = 1,
                   .help = "Joins tensors along an existing dimension. Dtypes are promoted to a common one.",
                   .shapes = "{a, b}, {a, c} -> {a, b + c} for dim 2",
                   .fields = dl_first_dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "tensors*",
    .outputs = 1,
    .forward = cat_forward,
    .backward = cat_backward,
};

static dl_status stack_forward(dl_op_call *call) {
    const dl_dim_options *options = call->options;
    dl_dtype dtype;
    DL_TRY(check_alike(call, -1, &dtype));
    const dl_tensor *first = call->in[0];
    if (first->dims == DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "tensors of shape %s have %d dimensions already, the most there can be",
                       dl_shape_text(first).at, DL_MAX_DIMS);
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, first->dims + 1, &dim));
    int64_t shape[DL_MAX_DIMS];
    for (int i = 0; i <= first->dims; i++)
        shape[i] = i == dim ? call->inputs : first->shape[i > dim ? i - 1 : i];
    dl_tensor *out = dl_call_output(call, 0, dtype, first->dims + 1, shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    shape[dim] = 1;
    for (int i = 0; i < call->inputs; i++) {
        dl_tensor *in = dl_unsqueeze(call->context, call->in[i], dim);
        DL_TRY(in ? copy_part(out, dim, i, 1, in) : dl_last_status());
    }
    return DL_OK;
}

static dl_status stack_backward(dl_op_gradient *gradient) {
    const dl_dim_options *options = gradient->options;
    for (int i = 0; i < gradient->inputs; i++) {
        if (gradient->needs[i])
            DL_TRY(dl_gradient_set(gradient, i, dl_select(gradient->context, gradient->grad_out[0], options->dim, i)));
    }
    return DL_OK;
}

const dl_op dl_op_stack = {
    .definition = {.name = "stack",
                   .version = 1,
                   .help = "Joins tensors of one shape along a new dimension. Dtypes are promoted to a common one.",
                   .shapes = "n tensors {a, b} -> {n, a, b} for dim 1",
                   .fields = dl_first_dim_fields,
                   .options_size = sizeof(dl_dim_options)},
    .inputs = "tensors*",
    .outputs = 1,
    .forward = stack_forward,
    .backward = stack_backward,
};

/* ---- pad ------------------------------------------------------------------------------------------------------- */

/* The rectangle that a padded tensor and its source have in common, as views of both (negative pads cut). */
static dl_status common_parts(dl_tensor *source, dl_tensor *padded, const dl_ints *pad, dl_tensor **of_source,
                              dl_tensor **of_padded) {
    int64_t shape[DL_MAX_DIMS];
    int64_t source_offset = source->offset, padded_offset = padded->offset;
    bool empty = false;
    for (int d = 0; d < source->dims; d++) {
        int k = 2 * (source->dims - 1 - d);
        int64_t before = k < pad->count ? pad->at[k] : 0;
        int64_t start = DL_MAX(0, -before);
        int64_t end = DL_MIN(source->shape[d], padded->shape[d] - before);
        shape[d] = DL_MAX(0, end - start);
        empty |= shape[d] == 0;
        source_offset += start * source->strides[d];
        padded_offset += (start + before) * padded->strides[d];
    }
    if (empty) {
        source_offset = source->offset;
        padded_offset = padded->offset;
    }
    *of_source = dl_tensor_view(source, source->dims, shape, source->strides, source_offset);
    *of_padded = dl_tensor_view(padded, source->dims, shape, padded->strides, padded_offset);
    if (*of_source && *of_padded)
        return DL_OK;
    dl_release(*of_source);
    dl_release(*of_padded);
    return dl_last_status();
}

static dl_status pad_forward(dl_op_call *call) {
    const dl_pad_options *options = call->options;
    dl_tensor *x = call->in[0];
    if (options->pad.count % 2 != 0 || options->pad.count / 2 > x->dims)
        return dl_fail(DL_INVALID,
                       "pad has %d numbers; it takes two (before, after) for each padded dimension of the "
                       "shape %s, from the last one on",
                       options->pad.count, dl_shape_text(x).at);
    int64_t shape[DL_MAX_DIMS];
    for (int d = 0; d < x->dims; d++) {
        int k = 2 * (x->dims - 1 - d);
        shape[d] = x->shape[d];
        if (k >= options->pad.count)
            continue;
        if (__builtin_add_overflow(shape[d], options->pad.at[k], &shape[d]) ||
            __builtin_add_overflow(shape[d], options->pad.at[k + 1], &shape[d]) || shape[d] < 0)
            return dl_fail(DL_SHAPE, "padding dimension %d of the shape %s by %lld and %lld leaves no valid size",
                           d + 1, dl_shape_text(x).at, (long long)options->pad.at[k],
                           (long long)options->pad.at[k + 1]);
    }
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, shape);
    DL_TRY(out ? dl_tensor_fill(out, options->value) : dl_last_status());
    dl_tensor *from, *to;
    DL_TRY(common_parts(x, out, &options->pad, &from, &to));
    dl_status status = dl_tensor_copy(to, from);
    dl_release(from);
    dl_release(to);
    return status;
}

static dl_status pad_backward(dl_op_gradient *gradient) {
    const dl_pad_options *options = gradient->options;
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? dl_tensor_fill(grad_in, 0) : dl_last_status());
    dl_tensor *to, *from;
    DL_TRY(common_parts(grad_in, gradient->grad_out[0], &options->pad, &to, &from));
    dl_status status = dl_tensor_copy(to, from);
    dl_release(from);
    dl_release(to);
    return status;
}

static const dl_field pad_fields[] = {
    DL_INTS(dl_pad_options, pad, NULL, 0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED,
            "numbers before and after the last dimension, then the one before it ...; negative cuts"),
    DL_REAL(dl_pad_options, value, 0, DL_LOWEST, DL_HIGHEST, 0, "what to pad with"),
    DL_END,
};

const dl_op dl_op_pad = {
    .definition = {.name = "pad",
                   .version = 1,
                   .help = "Adds elements of one value around a tensor, or cuts some off.",
                   .shapes = "{a, b} -> {c + a + d, e + b + f} for pad {e, f, c, d}",
                   .fields = pad_fields,
                   .options_size = sizeof(dl_pad_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = pad_forward,
    .backward = pad_backward,
    .flags = DL_OP_METHOD,
};

/* ---- flip ------------------------------------------------------------------------------------------------------ */

static dl_status flip_forward(dl_op_call *call) {
    const dl_dims_options *options = call->options;
    dl_tensor *x = call->in[0];
    bool turned[DL_MAX_DIMS] = {false};
    for (int i = 0; i < options->dims.count; i++) {
        int dim;
        DL_TRY(dl_dim_normalize(options->dims.at[i], x->dims, &dim));
        if (turned[dim])
            return dl_fail(DL_INVALID, "dims names dimension %d twice; each may be there once", dim + 1);
        turned[dim] = true;
    }
    dl_tensor *out = dl_call_output(call, 0, x->dtype, x->dims, x->shape);
    DL_TRY(out ? DL_OK : dl_last_status());
    int64_t strides[DL_MAX_DIMS];
    int64_t offset = x->offset;
    bool empty = dl_tensor_numel(x) == 0;
    for (int d = 0; d < x->dims; d++) {
        strides[d] = turned[d] ? -x->strides[d] : x->strides[d];
        offset += turned[d] && !empty ? (x->shape[d] - 1) * x->strides[d] : 0;
    }
    dl_tensor *backwards = dl_tensor_view(x, x->dims, x->shape, strides, offset);
    dl_status status = backwards ? dl_tensor_copy(out, backwards) : dl_last_status();
    dl_release(backwards);
    return status;
}

static dl_status flip_backward(dl_op_gradient *gradient) {
    const dl_dims_options *options = gradient->options;
    return dl_gradient_set(gradient, 0,
                           dl_flip(gradient->context, gradient->grad_out[0], options->dims.count, options->dims.at));
}

static const dl_field flip_fields[] = {
    DL_INTS(dl_dims_options, dims, NULL, 0, DL_LOWEST, DL_HIGHEST, DL_POSITION | DL_REQUIRED,
            "the dimensions whose order is turned round"),
    DL_END,
};

const dl_op dl_op_flip = {
    .definition = {.name = "flip",
                   .version = 1,
                   .help = "Turns the order of elements round along dimensions. A copy.",
                   .shapes = "any shape -> the same",
                   .fields = flip_fields,
                   .options_size = sizeof(dl_dims_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = flip_forward,
    .backward = flip_backward,
    .flags = DL_OP_METHOD,
};

/* ---- tril, triu ------------------------------------------------------------------------------------------------ */

/* to = from (both contiguous, of shape (..., rows, columns)) at and below (lower) or at and above the diagonal, else
 * zero bytes, which are 0 in every dtype. */
static void copy_triangle(dl_tensor *to, const dl_tensor *from, int64_t diagonal, bool lower) {
    int64_t rows = from->shape[from->dims - 2];
    int64_t columns = from->shape[from->dims - 1];
    size_t bytes = dl_dtype_size(from->dtype);
    int64_t lines = columns ? dl_tensor_numel(from) / columns : 0;
    char *target = dl_tensor_data(to);
    const char *source = dl_tensor_data(from);
    memset(target, 0, (size_t)dl_tensor_numel(from) * bytes);
    for (int64_t line = 0; line < lines; line++) {
        int64_t edge = DL_MAX(0, DL_MIN(columns, line % rows + diagonal + (lower ? 1 : 0)));
        int64_t first = lower ? 0 : edge;
        int64_t last = lower ? edge : columns;
        size_t place = (size_t)(line * columns + first) * bytes;
        memcpy(target + place, source + place, (size_t)(last - first) * bytes);
    }
}

static dl_status triangle(dl_op_call *call, bool lower) {
    const dl_diagonal_options *options = call->options;
    const dl_tensor *x = call->in[0];
    if (x->dims < 2)
        return dl_fail(DL_SHAPE, "x has shape %s; it must have two dimensions or more", dl_shape_text(x).at);
    dl_tensor *dense = dl_dense(call->in[0]);
    dl_tensor *out = dense ? dl_call_output(call, 0, x->dtype, x->dims, x->shape) : NULL;
    DL_TRY(out ? DL_OK : dl_last_status());
    copy_triangle(out, dense, DL_MAX(-INT32_MAX, DL_MIN(INT32_MAX, options->diagonal)), lower);
    return DL_OK;
}

static dl_status triangle_backward(dl_op_gradient *gradient, bool lower) {
    const dl_diagonal_options *options = gradient->options;
    dl_tensor *grad_in = dl_gradient_new(gradient, 0);
    DL_TRY(grad_in ? DL_OK : dl_last_status());
    copy_triangle(grad_in, gradient->grad_out[0], DL_MAX(-INT32_MAX, DL_MIN(INT32_MAX, options->diagonal)), lower);
    return DL_OK;
}

static dl_status tril_forward(dl_op_call *call) {
    return triangle(call, true);
}

static dl_status tril_backward(dl_op_gradient *gradient) {
    return triangle_backward(gradient, true);
}

static dl_status triu_forward(dl_op_call *call) {
    return triangle(call, false);
}

static dl_status triu_backward(dl_op_gradient *gradient) {
    return triangle_backward(gradient, false);
}

static const dl_field diagonal_fields[] = {
    DL_INT(dl_diagonal_options, diagonal, 0, DL_LOWEST, DL_HIGHEST, 0, "0 the main diagonal, 1 the one above it"),
    DL_END,
};

const dl_op dl_op_tril = {
    .definition = {.name = "tril",
                   .version = 1,
                   .help = "The lower triangle of matrices, with the diagonal; 0 above.",
                   .shapes = "{..., M, N} -> the same",
                   .fields = diagonal_fields,
                   .options_size = sizeof(dl_diagonal_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = tril_forward,
    .backward = tril_backward,
    .flags = DL_OP_METHOD,
};

const dl_op dl_op_triu = {
    .definition = {.name = "triu",
                   .version = 1,
                   .help = "The upper triangle of matrices, with the diagonal; 0 below.",
                   .shapes = "{..., M, N} -> the same",
                   .fields = diagonal_fields,
                   .options_size = sizeof(dl_diagonal_options)},
    .inputs = "x",
    .outputs = 1,
    .forward = triu_forward,
    .backward = triu_backward,
    .flags = DL_OP_METHOD,
};
