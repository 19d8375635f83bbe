/* ops/topk.c: the largest elements along a dimension, and draws from what a model says of the next one. */
#include "kernels/topk.h"

#include <math.h>

#include "ops/ops.h"

/* ---- topk -------------------------------------------------------------------------------------------------------- */

/* x with dimension dim as the last, contiguous, of a dtype that the kernel compares. In the open scope; NULL
 * passes. */
static dl_tensor *rows_of(dl_tensor *x, int dim) {
    if (!x)
        return NULL;
    bool kept = x->dtype == DL_FLOAT32 || x->dtype == DL_FLOAT64 || x->dtype == DL_INT64;
    dl_tensor *rows = dl_as(x, kept ? x->dtype : DL_INT64);
    if (rows && dim != x->dims - 1)
        rows = dl_transpose(x->context, rows, dim, -1);
    return dl_dense(rows);
}

static dl_status topk_forward(dl_op_call *call) {
    const dl_topk_options *options = call->options;
    dl_tensor *x = call->in[0];
    int dim;
    DL_TRY(dl_dim_normalize(options->dim, x->dims, &dim));
    int64_t size = x->shape[dim];
    if (options->k > size)
        return dl_fail(DL_INVALID, "k is %lld, but dimension %d of %s has %lld elements", (long long)options->k,
                       dim + 1, dl_shape_text(x).at, (long long)size);
    int64_t shape[DL_MAX_DIMS];
    dl_tensor *rows = rows_of(dl_detach(x), dim);
    if (!rows)
        return dl_last_status();
    for (int i = 0; i < x->dims; i++)
        shape[i] = rows->shape[i];
    shape[x->dims - 1] = options->k;
    dl_tensor *places = dl_scratch(call->context, DL_INT64, x->dims, shape);
    DL_TRY(places ? DL_OK : dl_last_status());
    DL_TRY(dl_topk_rows(call->context, dl_element_of(rows), DL_DATA(places, int64_t), dl_tensor_data(rows),
                        dl_tensor_numel(rows) / size, size, options->k, options->largest));
    if (dim != x->dims - 1)
        places = dl_dense(dl_transpose(call->context, places, dim, -1));
    DL_TRY(dl_call_set(call, 0, places ? dl_gather(call->context, x, dim, places) : NULL));
    return dl_call_set(call, 1, places);
}

static const dl_field topk_fields[] = {
    DL_INT(dl_topk_options, k, 0, 1, DL_HIGHEST, DL_REQUIRED, "how many"),
    DL_INT(dl_topk_options, dim, -1, DL_LOWEST, DL_HIGHEST, DL_POSITION, "along which dimension"),
    DL_BOOL(dl_topk_options, largest, true, 0, "false: the smallest"),
    DL_END,
};

const dl_op dl_op_topk = {
    .definition = {.name = "topk",
                   .version = 1,
                   .help = "The k largest elements along a dimension, best first, and their places, counted from 1; "
                           "the first of equal ones comes first.",
                   .shapes = "{a, n} -> {a, k} and {a, k} int64 for dim 2",
                   .fields = topk_fields,
                   .options_size = sizeof(dl_topk_options)},
    .inputs = "x",
    .outputs = 2,
    .forward = topk_forward,
    .flags = DL_OP_METHOD,
};

/* ---- categorical_sample ------------------------------------------------------------------------------------------ */

/* The candidates of each row, best first: (rows, k) places. NULL where all may be drawn, in their own order. */
static dl_status find_candidates(dl_context *context, dl_tensor *logits, int64_t k, dl_tensor **places) {
    *places = dl_scratch(context, DL_INT64, 2, (int64_t[]){logits->shape[0], k});
    DL_TRY(*places ? DL_OK : dl_last_status());
    return dl_topk_rows(context, dl_element_of(logits), DL_DATA(*places, int64_t), dl_tensor_data(logits),
                        logits->shape[0], logits->shape[1], k, true);
}

/* Scores that are no numbers, or not after the division, give no probabilities. */
static dl_status check_finite(dl_tensor *weights, double temperature) {
    double sum = 0;
    dl_tensor *all = weights ? dl_sum_all(weights->context, weights) : NULL;
    DL_TRY(all ? dl_item(all, &sum) : dl_last_status());
    if (isfinite(sum))
        return DL_OK;
    return dl_fail(DL_INVALID, "the logits are not finite, or not after division by the temperature %g", temperature);
}

static dl_status sample_forward(dl_op_call *call) {
    const dl_categorical_sample_options *options = call->options;
    dl_context *context = call->context;
    dl_tensor *x = call->in[0];
    DL_TRY(dl_need_float(x, "logits"));
    if (x->dims != 2 || x->shape[1] == 0)
        return dl_fail(DL_SHAPE, "logits must be {N, K} with K at least 1, got %s", dl_shape_text(x).at);
    dl_tensor *logits = dl_dense(dl_as(x, DL_FLOAT64));
    DL_TRY(logits ? DL_OK : dl_last_status());
    bool greedy = options->temperature == 0;
    int64_t k = greedy ? 1 : options->top_k != DL_NONE ? DL_MIN(options->top_k, x->shape[1]) : x->shape[1];
    dl_tensor *places = NULL;
    if (greedy || k < x->shape[1] || options->top_p < 1) {
        DL_TRY(find_candidates(context, logits, k, &places));
        logits = dl_gather(context, logits, 1, places);
    }
    if (greedy)
        return dl_call_set(call, 0, dl_reshape(context, places, 1, x->shape));
    dl_tensor *weights = dl_dense(dl_softmax(context, dl_div_number(context, logits, options->temperature), -1));
    DL_TRY(check_finite(weights, options->temperature));
    dl_tensor *u = weights ? dl_scratch(context, DL_FLOAT64, 1, x->shape) : NULL;
    dl_tensor *drawn = u ? dl_scratch(context, DL_INT64, 2, (int64_t[]){x->shape[0], 1}) : NULL;
    DL_TRY(drawn ? dl_uniform_(u, NULL, 0, 1) : dl_last_status());
    dl_draw_rows(DL_DATA(drawn, int64_t), dl_tensor_data(weights), dl_tensor_data(u), x->shape[0], k, options->top_p);
    if (places)
        drawn = dl_gather(context, places, 1, drawn);
    return dl_call_set(call, 0, dl_reshape(context, drawn, 1, x->shape));
}

static const dl_field sample_fields[] = {
    DL_REAL(dl_categorical_sample_options, temperature, 1.0, 0.0, DL_HIGHEST, 0,
            "logits are divided by it; below 1 likely places become likelier; 0 takes the likeliest"),
    DL_INT(dl_categorical_sample_options, top_k, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK,
           "draws among that many of the likeliest; none: all"),
    DL_REAL(dl_categorical_sample_options, top_p, 1.0, 0.0, 1.0, 0,
            "draws among the likeliest that reach this share of the probability together"),
    DL_END,
};

const dl_op dl_op_categorical_sample = {
    .definition = {.name = "categorical_sample",
                   .version = 1,
                   .help = "Draws one place a row, counted from 1, with the probabilities softmax(logits / "
                           "temperature).",
                   .source = "top_p: Holtzman et al. 2020, The curious case of neural text degeneration",
                   .shapes = "logits {N, K} -> {N} int64",
                   .fields = sample_fields,
                   .options_size = sizeof(dl_categorical_sample_options)},
    .inputs = "logits",
    .outputs = 1,
    .forward = sample_forward,
    .flags = DL_OP_RANDOM,
};
