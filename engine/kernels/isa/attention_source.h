/* kernels/isa/attention_source.h: attention in tiles, for the element type of gemm_real.h (Dao et al. 2022,
 * "FlashAttention"; Dao 2023 for the order of the backward).
 *
 *                 64 keys
 *               +---------+---------+--      forward: a block of queries is a unit of work. It goes over the blocks of
 *   64 queries  |  S = QK |         |        keys in order and keeps, for each query, the largest score so far, the
 *               +---------+---------+--      sum of exponentials and the weighted sum of values.
 *               |         |  above the
 *               +---------+  diagonal:       backward: a head of keys is a unit of work. Blocks of keys outside, blocks
 *               |         |  skipped         of queries inside; scores come anew from the saved log-sum-exp.
 *
 * What is always true: blocks of keys begin at multiples of 64 and are taken in order, so what a query gets does not
 * depend on the block of queries it is in; sums over queries (gradients of keys and values) run in their order. */
#include "kernels/kernels.h"

#include "kernels/isa/lanes.h" /* before the macros of gemm_real.h, which has a LANES of its own */

#include "kernels/isa/gemm_micro.h"
#include "kernels/isa/philox.h"

#define R     real
#define BLOCK 64

static int64_t padded(int64_t n) {
    return (n + LANES - 1) / LANES * LANES;
}

typedef struct attention_call {
    const dl_attention_sizes *s;
    real *y, *normalizer;
    const real *query, *key, *value;
    const void *mask;
    real *grad_query, *grad_key, *grad_value, *grad_mask;
    const real *grad_y;
    int64_t E, V;           /* padded to whole vectors */
    int64_t query_blocks;   /* of a head */
    int64_t room;           /* elements of scratch of a worker */
    real *scratch;
    uint64_t threshold;     /* a word below it drops its weight */
    real keep;              /* what dropout multiplies the others by */
} attention_call;

/* C (rows, columns; padded to whole vectors) = or += A (rows, k) B (k, columns). */
static void multiply(product p, int64_t rows, int64_t columns, const real *a, const real *b, real *c) {
    for (int64_t j = 0; j < columns; j += PANEL) {
        int vectors = (int)(DL_MIN(columns - j, PANEL) / LANES);
        product_panel(&p, rows, vectors, a, b + j, c + j, NULL);
    }
}

/* row = e^(row - shift) */
static void exp_row(real *row, real shift) {
    _Pragma("omp simd") for (int j = 0; j < BLOCK; j++) {
        row[j] = m_exp(row[j] - shift);
    }
}

/* ---- masks and dropout ------------------------------------------------------------------------------------------- */

/* One row of scores: query `t` of a head against the keys from `first` on; what it may not see becomes -infinity. */
static void mask_row(const attention_call *call, int64_t n, int64_t h, int64_t t, int64_t first, int64_t keys,
                     real *row) {
    const dl_attention_sizes *s = call->s;
    const int64_t *stride = s->mask_strides, step = stride[3];
    int64_t at = n * stride[0] + h * stride[1] + t * stride[2] + first * step;
    if (s->mask == DL_MASK_BOOL) {
        const uint8_t *mask = (const uint8_t *)call->mask + at;
        for (int64_t j = 0; j < keys; j++)
            row[j] = mask[j * step] ? row[j] : (real)-INFINITY;
    } else if (s->mask == DL_MASK_REAL) {
        const real *mask = (const real *)call->mask + at;
        for (int64_t j = 0; j < keys; j++)
            row[j] += mask[j * step];
    }
    int64_t seen = s->causal ? DL_MAX(0, DL_MIN(keys, t + s->offset + 1 - first)) : keys;
    for (int64_t j = seen; j < BLOCK; j++)
        row[j] = (real)-INFINITY;
}

static void mask_block(const attention_call *call, int64_t n, int64_t h, int64_t t, int64_t rows, int64_t first,
                       int64_t keys, real *scores) {
    const dl_attention_sizes *s = call->s;
    bool whole = keys == BLOCK && (!s->causal || first + keys - 1 <= t + s->offset);
    if (whole && s->mask == DL_MASK_NONE)
        return;
    for (int64_t i = 0; i < rows; i++)
        mask_row(call, n, h, t + i, first, keys, scores + i * BLOCK);
}

/* What dropout multiplies the weights of one row of a tile by. */
static void draw_row(const attention_call *call, int64_t n, int64_t h, int64_t t, int64_t first, real *factors) {
    enum { BLOCKS = BLOCK / 4 + 16 }; /* one more than a row needs where it begins within one; whole vectors */
    const dl_attention_sizes *s = call->s;
    uint32_t words[4][BLOCKS];
    uint32_t *const rows[4] = {words[0], words[1], words[2], words[3]};
    uint64_t element = (uint64_t)(((n * s->H + h) * s->T + t) * s->S + first);
    real drawn[4 * BLOCKS];
    dl_philox_blocks(&s->stream, s->stream.position + element / 4, BLOCKS, rows);
    for (int i = 0; i < BLOCK / 4 + 1; i++)
        for (int w = 0; w < 4; w++)
            drawn[4 * i + w] = words[w][i] < call->threshold ? 0 : call->keep;
    memcpy(factors, drawn + element % 4, BLOCK * sizeof(real));
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* A block of queries under way. */
typedef struct forward_block {
    int64_t n, h, t, rows;
    real *query;            /* (rows, E), times scale */
    real *keys;             /* (E, BLOCK): a block of keys, transposed */
    real *values;           /* (BLOCK, V): where they must be padded */
    real *scores;           /* (rows, BLOCK) */
    real *out;              /* (rows, V) */
    real *largest, *sum;    /* (rows) */
} forward_block;

/* The running maximum and sum of one row take in the scores of a block, which become weights. */
static void softmax_row(const attention_call *call, forward_block *b, int64_t i) {
    real *row = b->scores + i * BLOCK, *out = b->out + i * call->V;
    real largest = DL_MAX(b->largest[i], m_row_max(BLOCK, row));
    if (largest == (real)-INFINITY) {
        memset(row, 0, BLOCK * sizeof(real));
        return;
    }
    real shrink = b->largest[i] == largest ? 1 : m_exp(b->largest[i] - largest);
    exp_row(row, largest);
    b->sum[i] = b->sum[i] * shrink + (real)m_row_sum(BLOCK, row);
    b->largest[i] = largest;
    for (int64_t j = 0; j < call->V && shrink != 1; j++)
        out[j] *= shrink;
}

static void forward_keys(const attention_call *call, forward_block *b, int64_t first) {
    const dl_attention_sizes *s = call->s;
    int64_t keys = DL_MIN(s->S - first, BLOCK), head = b->h / (s->H / s->K);
    const real *key = call->key + b->n * s->key[0] + first * s->key[1] + head * s->key[2];
    const real *value = call->value + b->n * s->value[0] + first * s->value[1] + head * s->value[2];
    product p = {.segments = 1, .k = s->E, .a_row = call->E, .a_column = 1, .b_row = BLOCK, .c_row = BLOCK};
    pack_transposed(b->keys, BLOCK, key, s->key[1], s->E, keys);
    multiply(p, b->rows, BLOCK, b->query, b->keys, b->scores);
    mask_block(call, b->n, b->h, b->t, b->rows, first, keys, b->scores);
    for (int64_t i = 0; i < b->rows; i++) {
        real factors[BLOCK], *row = b->scores + i * BLOCK;
        softmax_row(call, b, i);
        if (s->dropout == 0)
            continue;
        draw_row(call, b->n, b->h, b->t + i, first, factors);
        for (int j = 0; j < BLOCK; j++)
            row[j] *= factors[j];
    }
    p = (product){.segments = 1, .k = keys, .a_row = BLOCK, .a_column = 1, .b_row = s->value[1], .c_row = call->V,
                  .accumulate = true};
    if (call->V != s->V) {
        pack_rows(b->values, call->V, value, s->value[1], keys, s->V);
        value = b->values;
        p.b_row = call->V;
    }
    multiply(p, b->rows, call->V, b->scores, value, b->out);
}

static void finish_rows(const attention_call *call, const forward_block *b) {
    const dl_attention_sizes *s = call->s;
    for (int64_t i = 0; i < b->rows; i++) {
        real *y = call->y + ((b->n * s->T + b->t + i) * s->H + b->h) * s->V;
        real factor = b->sum[i] > 0 ? 1 / b->sum[i] : 0;
        for (int64_t j = 0; j < s->V; j++)
            y[j] = b->out[i * call->V + j] * factor;
        if (call->normalizer)
            call->normalizer[(b->n * s->H + b->h) * s->T + b->t + i] =
                b->sum[i] > 0 ? b->largest[i] + m_log(b->sum[i]) : (real)-INFINITY;
    }
}

/* One block of queries of one head. */
static void forward_tile(void *argument, int64_t tile, int worker) {
    const attention_call *call = argument;
    const dl_attention_sizes *s = call->s;
    real *at = call->scratch + worker * call->room;
    forward_block b = {.n = tile / call->query_blocks / s->H, .h = tile / call->query_blocks % s->H,
                       .t = tile % call->query_blocks * BLOCK};
    b.rows = DL_MIN(s->T - b.t, BLOCK);
    b.query = at;
    b.keys = b.query + BLOCK * call->E;
    b.values = b.keys + BLOCK * call->E;
    b.scores = b.values + BLOCK * call->V;
    b.out = b.scores + BLOCK * BLOCK;
    b.largest = b.out + BLOCK * call->V;
    b.sum = b.largest + BLOCK;
    const real *query = call->query + b.n * s->query[0] + b.t * s->query[1] + b.h * s->query[2];
    for (int64_t i = 0; i < b.rows; i++) {
        for (int64_t j = 0; j < s->E; j++)
            b.query[i * call->E + j] = query[i * s->query[1] + j] * (real)s->scale;
        b.largest[i] = (real)-INFINITY;
        b.sum[i] = 0;
    }
    memset(b.out, 0, (size_t)(b.rows * call->V) * sizeof(real));
    int64_t seen = s->causal ? DL_MIN(s->S, b.t + b.rows + s->offset) : s->S;
    for (int64_t first = 0; first < seen; first += BLOCK)
        forward_keys(call, &b, first);
    finish_rows(call, &b);
}

static attention_call begin_call(const dl_attention_sizes *s, const real *query, const real *key, const real *value,
                                 const void *mask) {
    attention_call call = {.s = s, .query = query, .key = key, .value = value, .mask = mask, .E = padded(s->E),
                           .V = padded(s->V), .query_blocks = (s->T + BLOCK - 1) / BLOCK};
    double threshold = s->dropout * 0x1p32;
    call.threshold = (uint64_t)threshold;
    call.keep = s->dropout < 1 ? (real)(1 / (1 - s->dropout)) : 0;
    return call;
}

/* Nanoseconds of one core for one product of all queries with all keys, about. */
static double work_of(const dl_attention_sizes *s) {
    double share = s->causal ? 0.6 : 1;
    return share * (double)(s->N * s->H * s->T) * (double)s->S * (double)(s->E + s->V + 16) / (5.0 * LANES);
}

dl_status KERNEL(attention)(dl_context *context, real *y, real *normalizer, const real *query, const real *key,
                            const real *value, const void *mask, const dl_attention_sizes *s) {
    attention_call call = begin_call(s, query, key, value, mask);
    call.y = y;
    call.normalizer = normalizer;
    int64_t tiles = s->N * s->H * call.query_blocks;
    if (tiles == 0)
        return DL_OK;
    int threads = dl_threads_for(context, work_of(s));
    call.room = BLOCK * (2 * call.E + 2 * call.V + BLOCK + 2);
    call.scratch = dl_alloc_array(context, (size_t)(threads * call.room), sizeof(real));
    if (!call.scratch)
        return DL_MEMORY;
    dl_status status = dl_parallel(context, tiles, threads, forward_tile, &call);
    dl_free(call.scratch);
    return status;
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* A head of keys under way, with the heads of queries that share it one after the other (`group` of them). */
typedef struct backward_head {
    int64_t n, k, group;
    real *query, *grad_query;             /* (group, T, E): times scale; without scale */
    real *grad_y;                         /* (group, T, V) */
    real *inner;                          /* (group, T): sum of y grad_y */
    real *keys, *keys_across, *values_across; /* (BLOCK, E), (E, BLOCK), (V, BLOCK) */
    real *grad_keys, *grad_values;        /* (BLOCK, E), (BLOCK, V) */
    real *weights, *slopes;               /* (BLOCK, BLOCK): the weights; the gradient of the scores */
} backward_head;

static int64_t backward_room(const attention_call *call) {
    const dl_attention_sizes *s = call->s;
    return s->H / s->K * s->T * (2 * call->E + call->V + 1) + BLOCK * (3 * call->E + 2 * call->V + 2 * BLOCK) +
           16 * LANES;
}

static void lay_out(const attention_call *call, backward_head *b, real *at) {
    int64_t rows = b->group * call->s->T;
    b->query = at;
    b->grad_query = b->query + rows * call->E;
    b->grad_y = b->grad_query + rows * call->E;
    b->keys = b->grad_y + rows * call->V;
    b->keys_across = b->keys + BLOCK * call->E;
    b->values_across = b->keys_across + BLOCK * call->E;
    b->grad_keys = b->values_across + BLOCK * call->V;
    b->grad_values = b->grad_keys + BLOCK * call->E;
    b->weights = b->grad_values + BLOCK * call->V;
    b->slopes = b->weights + BLOCK * BLOCK;
    b->inner = b->slopes + BLOCK * BLOCK;
}

/* Copies what the queries of the head need, padded, and the sums of y grad_y. */
static void begin_head(const attention_call *call, const backward_head *b) {
    const dl_attention_sizes *s = call->s;
    memset(b->grad_query, 0, (size_t)(b->group * s->T * call->E) * sizeof(real));
    for (int64_t g = 0; g < b->group; g++) {
        int64_t h = b->k * b->group + g;
        for (int64_t t = 0; t < s->T; t++) {
            int64_t row = g * s->T + t, at = ((b->n * s->T + t) * s->H + h) * s->V;
            const real *query = call->query + b->n * s->query[0] + t * s->query[1] + h * s->query[2];
            for (int64_t j = 0; j < call->E; j++)
                b->query[row * call->E + j] = j < s->E ? query[j] * (real)s->scale : 0;
            pack_rows(b->grad_y + row * call->V, call->V, call->grad_y + at, s->V, 1, s->V);
            b->inner[row] = (real)m_row_dot(s->V, call->grad_y + at, call->y + at);
        }
    }
}

/* weights = exp(scores - normalizer) and slopes = weights * (grad_y value^T - inner), with dropout in between; weights
 * are then what the values were multiplied by. */
static void slope_rows(const attention_call *call, const backward_head *b, int64_t h, int64_t row, int64_t t,
                       int64_t rows, int64_t first) {
    const dl_attention_sizes *s = call->s;
    for (int64_t i = 0; i < rows; i++) {
        real *weight = b->weights + i * BLOCK, *slope = b->slopes + i * BLOCK, factors[BLOCK];
        real normalizer = call->normalizer[(b->n * s->H + h) * s->T + t + i], inner = b->inner[row + i];
        if (normalizer == (real)-INFINITY) {
            memset(weight, 0, BLOCK * sizeof(real));
            memset(slope, 0, BLOCK * sizeof(real));
            continue;
        }
        exp_row(weight, normalizer);
        if (s->dropout > 0) {
            draw_row(call, b->n, h, t + i, first, factors);
            for (int j = 0; j < BLOCK; j++) {
                slope[j] = weight[j] * (slope[j] * factors[j] - inner);
                weight[j] *= factors[j];
            }
        } else {
            for (int j = 0; j < BLOCK; j++)
                slope[j] = weight[j] * (slope[j] - inner);
        }
    }
}

/* One tile: queries t .. t + rows - 1 of head g of the group against a block of keys. */
static void backward_pair(const attention_call *call, const backward_head *b, int64_t g, int64_t t, int64_t first,
                          int64_t keys) {
    const dl_attention_sizes *s = call->s;
    int64_t rows = DL_MIN(s->T - t, BLOCK), row = g * s->T + t, h = b->k * b->group + g;
    const real *query = b->query + row * call->E, *grad_y = b->grad_y + row * call->V;
    product p = {.segments = 1, .k = s->E, .a_row = call->E, .a_column = 1, .b_row = BLOCK, .c_row = BLOCK};
    multiply(p, rows, BLOCK, query, b->keys_across, b->weights);
    mask_block(call, b->n, h, t, rows, first, keys, b->weights);
    p.k = s->V;
    p.a_row = call->V;
    multiply(p, rows, BLOCK, grad_y, b->values_across, b->slopes);
    slope_rows(call, b, h, row, t, rows, first);
    for (int64_t i = 0; i < rows && call->grad_mask; i++)
        memcpy(call->grad_mask + ((b->n * s->H + h) * s->T + t + i) * s->S + first, b->slopes + i * BLOCK,
               (size_t)keys * sizeof(real));
    p = (product){.segments = 1, .k = rows, .a_row = 1, .a_column = BLOCK, .accumulate = true};
    p.b_row = p.c_row = call->V;
    multiply(p, keys, call->V, b->weights, grad_y, b->grad_values);
    p.b_row = p.c_row = call->E;
    multiply(p, keys, call->E, b->slopes, query, b->grad_keys);
    p = (product){.segments = 1, .k = keys, .a_row = BLOCK, .a_column = 1, .b_row = call->E, .c_row = call->E,
                  .accumulate = true};
    multiply(p, rows, call->E, b->slopes, b->keys, b->grad_query + row * call->E);
}

static void backward_keys(const attention_call *call, const backward_head *b, int64_t first) {
    const dl_attention_sizes *s = call->s;
    int64_t keys = DL_MIN(s->S - first, BLOCK);
    const real *key = call->key + b->n * s->key[0] + first * s->key[1] + b->k * s->key[2];
    const real *value = call->value + b->n * s->value[0] + first * s->value[1] + b->k * s->value[2];
    pack_rows(b->keys, call->E, key, s->key[1], keys, s->E);
    pack_transposed(b->keys_across, BLOCK, key, s->key[1], s->E, keys);
    pack_transposed(b->values_across, BLOCK, value, s->value[1], s->V, keys);
    memset(b->grad_keys, 0, (size_t)(BLOCK * call->E) * sizeof(real));
    memset(b->grad_values, 0, (size_t)(BLOCK * call->V) * sizeof(real));
    int64_t begin = s->causal ? DL_MAX(0, first - s->offset) / BLOCK * BLOCK : 0;
    for (int64_t g = 0; g < b->group; g++)
        for (int64_t t = begin; t < s->T; t += BLOCK)
            backward_pair(call, b, g, t, first, keys);
    for (int64_t j = 0; j < keys; j++) {
        int64_t row = (b->n * s->S + first + j) * s->K + b->k;
        memcpy(call->grad_key + row * s->E, b->grad_keys + j * call->E, (size_t)s->E * sizeof(real));
        memcpy(call->grad_value + row * s->V, b->grad_values + j * call->V, (size_t)s->V * sizeof(real));
    }
}

/* One head of keys and values with the heads of queries that share it. */
static void backward_tile(void *argument, int64_t tile, int worker) {
    const attention_call *call = argument;
    const dl_attention_sizes *s = call->s;
    backward_head b = {.n = tile / s->K, .k = tile % s->K, .group = s->H / s->K};
    lay_out(call, &b, call->scratch + worker * call->room);
    begin_head(call, &b);
    for (int64_t first = 0; first < s->S; first += BLOCK)
        backward_keys(call, &b, first);
    for (int64_t g = 0; g < b.group; g++)
        for (int64_t t = 0; t < s->T; t++) {
            real *to = call->grad_query + ((b.n * s->T + t) * s->H + b.k * b.group + g) * s->E;
            for (int64_t j = 0; j < s->E; j++)
                to[j] = b.grad_query[(g * s->T + t) * call->E + j] * (real)s->scale;
        }
}

dl_status KERNEL(attention_backward)(dl_context *context, real *grad_query, real *grad_key, real *grad_value,
                                     real *grad_mask, const real *grad_y, const real *y, const real *normalizer,
                                     const real *query, const real *key, const real *value, const void *mask,
                                     const dl_attention_sizes *s) {
    attention_call call = begin_call(s, query, key, value, mask);
    call.grad_query = grad_query;
    call.grad_key = grad_key;
    call.grad_value = grad_value;
    call.grad_mask = grad_mask;
    call.grad_y = grad_y;
    call.y = (real *)y;                   /* read only here */
    call.normalizer = (real *)normalizer; /* read only here */
    if (s->N * s->K == 0)
        return DL_OK;
    int threads = (int)DL_MIN(dl_threads_for(context, 2.5 * work_of(s)), s->N * s->K);
    call.room = (backward_room(&call) + 15) / 16 * 16;
    call.scratch = dl_alloc_array(context, (size_t)(threads * call.room), sizeof(real));
    if (!call.scratch)
        return DL_MEMORY;
    if (grad_mask)
        memset(grad_mask, 0, (size_t)(s->N * s->H * s->T * s->S) * sizeof(real));
    dl_status status = dl_parallel(context, s->N * s->K, threads, backward_tile, &call);
    dl_free(call.scratch);
    return status;
}
