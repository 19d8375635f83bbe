/* kernels/isa/reduce.c: reductions over the middle of contiguous (outer, n, inner).
 *
 *      inner == 1: rows, summed by lanes.h             inner > 1: columns, each lane an output
 *      n is cut into chunks of a length that the sizes alone decide; each chunk's totals go into a table
 *      [outer][chunks][inner] of 8-byte accumulators, which are merged in the order of the chunks.
 *
 * So the order of every sum is the same for any number of threads. */
#include "kernels/elementwise.h"
#include "kernels/isa/lanes.h"
#include "kernels/kernels.h"

/* Elements of a chunk, about; columns of a block; rows that sums of columns are carried in the element type. */
#define CHUNK         32768
#define BLOCK_COLUMNS 256
#define SUM_ROWS      64

/* Totals of rows of n elements each; of `columns` columns; more totals merged in; results from totals. */
typedef void (*rows_function)(int64_t rows, int64_t n, const void *x, void *totals);
typedef void (*columns_function)(int64_t n, int64_t columns, int64_t inner, const void *x, void *total);
typedef void (*merge_function)(int64_t columns, void *total, const void *more);
typedef void (*finish_function)(int64_t columns, void *out, const void *total, double divisor);

/* The element-wise arguments of logsumexp and its gradient. */
typedef struct columns_call {
    void *out;
    const void *x, *y, *g;
    int64_t n, inner;
} columns_call;

#define SOURCE "kernels/isa/reduce_real_source.h"
#include "kernels/isa/both_reals.h"

/* X(name, identity, combined) in int64_t a and x */
#define INTEGER_REDUCTIONS(X)                                                                                          \
    X(sum, 0, (int64_t)((uint64_t)a + (uint64_t)x))                                                                    \
    X(prod, 1, (int64_t)((uint64_t)a * (uint64_t)x))                                                                   \
    X(max, INT64_MIN, a > x ? a : x)                                                                                   \
    X(min, INT64_MAX, a < x ? a : x)
#define TRUTH_REDUCTIONS(X)                                                                                            \
    X(any, 0, a | x)                                                                                                   \
    X(all, 1, a &x)

/* The loops of one of them: rows, and columns of a middle dimension. READ makes an int64_t of an element. */
#define REDUCE(name, identity, combined)                                                                               \
    static void LOOP(name##_rows)(int64_t rows, int64_t n, const void *from, void *to) {                               \
        const T *in = from;                                                                                            \
        for (int64_t row = 0; row < rows; row++, in += n) {                                                            \
            int64_t a = identity;                                                                                      \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                int64_t x = READ(in[i]);                                                                               \
                a = combined;                                                                                          \
            }                                                                                                          \
            ((int64_t *)to)[row] = a;                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    static void LOOP(name##_columns)(int64_t n, int64_t columns, int64_t inner, const void *from, void *to) {          \
        const T *in = from;                                                                                            \
        int64_t *total = to;                                                                                           \
        for (int64_t i = 0; i < columns; i++)                                                                          \
            total[i] = identity;                                                                                       \
        for (int64_t k = 0; k < n; k++)                                                                                \
            for (int64_t i = 0; i < columns; i++) {                                                                    \
                int64_t a = total[i];                                                                                  \
                int64_t x = READ(in[k * inner + i]);                                                                   \
                total[i] = combined;                                                                                   \
            }                                                                                                          \
    }

#define SOURCE "kernels/isa/reduce_integer_source.h"
#include "kernels/isa/all_integers.h"
#define SOURCE "kernels/isa/reduce_truth_source.h"
#include "kernels/isa/all_integers.h"
#define T      R
#define SOURCE "kernels/isa/reduce_truth_source.h"
#include "kernels/isa/both_reals.h"
#undef T
#undef REDUCE

#define MERGE(name, type, combined)                                                                                    \
    static void merge_##name(int64_t columns, void *to, const void *from) {                                            \
        type *total = to;                                                                                              \
        const type *more = from;                                                                                       \
        for (int64_t i = 0; i < columns; i++) {                                                                        \
            type a = total[i];                                                                                         \
            type x = more[i];                                                                                          \
            total[i] = combined;                                                                                       \
        }                                                                                                              \
    }
MERGE(sum_f64, double, a + x)
MERGE(prod_f64, double, a *x)
MERGE(max_f64, double, dl_max_f64(a, x))
MERGE(min_f64, double, dl_min_f64(a, x))
#define MERGE_INTEGER(name, identity, combined) MERGE(name##_i64, int64_t, combined)
INTEGER_REDUCTIONS(MERGE_INTEGER)
TRUTH_REDUCTIONS(MERGE_INTEGER)

typedef struct reducer {
    rows_function rows;
    columns_function columns;
    merge_function merge;
    finish_function finish;
} reducer;

#define REAL(name, s)                                                                                                  \
    { name##_rows_##s, name##_columns_##s, merge_##name##_f64, finish_##s }
#define WHOLE(name, s, finish)                                                                                         \
    { name##_rows_##s, name##_columns_##s, merge_##name##_i64, finish }
#define REAL_REDUCERS(s)                                                                                               \
    {                                                                                                                  \
        REAL(sum, s), REAL(sum, s), REAL(prod, s), REAL(max, s), REAL(min, s), WHOLE(any, s, finish_u8),               \
            WHOLE(all, s, finish_u8)                                                                                   \
    }
#define WHOLE_REDUCERS(s)                                                                                              \
    {                                                                                                                  \
        WHOLE(sum, s, finish_i64), {0}, WHOLE(prod, s, finish_i64), WHOLE(max, s, finish_##s),                         \
            WHOLE(min, s, finish_##s), WHOLE(any, s, finish_u8), WHOLE(all, s, finish_u8)                              \
    }

/* [dl_element][dl_reduction] up to DL_REDUCE_ALL */
static const reducer reducers[DL_ELEMENT_COUNT][DL_REDUCE_ALL + 1] = {REAL_REDUCERS(f32),  REAL_REDUCERS(f64),
                                                                      WHOLE_REDUCERS(i32), WHOLE_REDUCERS(i64),
                                                                      WHOLE_REDUCERS(u8),  WHOLE_REDUCERS(u8)};

typedef struct reduce_call {
    const reducer *with;
    const char *x;
    char *out;
    int size, out_size;
    int64_t outer, n, inner;
    double divisor;
    int64_t chunk;  /* of n */
    int64_t chunks; /* at least 1 */
    int64_t blocks; /* of columns */
    int64_t per_tile;
    int64_t *table; /* [outer][chunks][inner], NULL with one chunk */
} reduce_call;

/* One block of columns of one chunk of one outer part. */
static void reduce_unit(const reduce_call *c, int64_t unit) {
    int64_t block = unit % c->blocks, chunk = unit / c->blocks % c->chunks, o = unit / c->blocks / c->chunks;
    int64_t column = block * BLOCK_COLUMNS;
    int64_t columns = DL_MIN(c->inner - column, BLOCK_COLUMNS);
    int64_t first = chunk * c->chunk;
    int64_t n = DL_MIN(c->n - first, c->chunk);
    const char *x = c->x + ((o * c->n + first) * c->inner + column) * c->size;
    int64_t total[BLOCK_COLUMNS];
    int64_t *to = c->table ? c->table + (o * c->chunks + chunk) * c->inner + column : total;
    if (c->inner == 1)
        c->with->rows(1, n, x, to);
    else
        c->with->columns(n, columns, c->inner, x, to);
    if (!c->table)
        c->with->finish(columns, c->out + (o * c->inner + column) * c->out_size, total, c->divisor);
}

/* Whole rows, whose results are finished together. */
static void reduce_rows(const reduce_call *c, int64_t first, int64_t end) {
    int64_t totals[BLOCK_COLUMNS];
    for (int64_t row = first; row < end; row += BLOCK_COLUMNS) {
        int64_t rows = DL_MIN(end - row, BLOCK_COLUMNS);
        c->with->rows(rows, c->n, c->x + row * c->n * c->size, totals);
        c->with->finish(rows, c->out + row * c->out_size, totals, c->divisor);
    }
}

static void reduce_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const reduce_call *c = argument;
    int64_t units = c->outer * c->chunks * c->blocks;
    int64_t end = DL_MIN(units, (tile + 1) * c->per_tile);
    if (c->inner == 1 && !c->table) {
        reduce_rows(c, tile * c->per_tile, end);
        return;
    }
    for (int64_t unit = tile * c->per_tile; unit < end; unit++)
        reduce_unit(c, unit);
}

/* Merges the chunks of one outer part, in order. */
static void merge_tile(void *argument, int64_t o, int worker) {
    (void)worker;
    const reduce_call *c = argument;
    int64_t *total = c->table + o * c->chunks * c->inner;
    for (int64_t chunk = 1; chunk < c->chunks; chunk++)
        c->with->merge(c->inner, total, total + chunk * c->inner);
    c->with->finish(c->inner, c->out + o * c->inner * c->out_size, total, c->divisor);
}

static dl_status run_reduce(dl_context *context, reduce_call *c) {
    int64_t width = DL_MIN(c->inner, BLOCK_COLUMNS);
    c->blocks = (c->inner + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    c->chunk = DL_MAX(SUM_ROWS, CHUNK / width);
    c->chunks = DL_MAX(1, (c->n + c->chunk - 1) / c->chunk);
    c->per_tile = DL_MAX(1, CHUNK / (width * DL_MIN(DL_MAX(1, c->n), c->chunk)));
    double work = (double)c->outer * ((double)c->n * (double)c->inner * 0.15 + 10);
    int threads = dl_threads_for(context, work);
    int64_t units = c->outer * c->chunks * c->blocks;
    if (c->chunks > 1) {
        c->table = dl_alloc_array(context, (size_t)(c->outer * c->chunks * c->inner), sizeof *c->table);
        if (!c->table)
            return DL_MEMORY;
    }
    dl_status status = dl_parallel(context, (units + c->per_tile - 1) / c->per_tile, threads, reduce_tile, c);
    if (status == DL_OK && c->table)
        status = dl_parallel(context, c->outer, threads, merge_tile, c);
    dl_free(c->table);
    return status;
}

static int result_size(dl_reduction reduction, dl_element element) {
    if (reduction == DL_REDUCE_ANY || reduction == DL_REDUCE_ALL)
        return 1;
    bool widened = element > DL_ELEMENT_FLOAT64 && (reduction == DL_REDUCE_SUM || reduction == DL_REDUCE_PROD);
    return widened ? 8 : dl_element_size(element);
}

dl_status DL_KERNEL(reduce)(dl_context *context, dl_reduction reduction, dl_element element, void *out, const void *x,
                            int64_t outer, int64_t n, int64_t inner) {
    bool real = element <= DL_ELEMENT_FLOAT64;
    if (!real && (reduction == DL_REDUCE_MEAN || reduction == DL_REDUCE_LOGSUMEXP))
        return dl_fail(DL_DTYPE, "this reduction is not defined for %s; convert it to a float dtype first",
                       dl_element_name(element));
    if (n == 0 && (reduction == DL_REDUCE_MAX || reduction == DL_REDUCE_MIN))
        return dl_fail(DL_SHAPE, "the maximum or minimum over a dimension of size 0 does not exist");
    if (outer == 0 || inner == 0)
        return DL_OK;
    if (reduction == DL_REDUCE_LOGSUMEXP) {
        columns_call call = {.out = out, .x = x, .n = n, .inner = inner};
        return dl_columnwise(context, outer, n, inner, 0.5,
                             element == DL_ELEMENT_FLOAT32 ? logsumexp_unit_f32 : logsumexp_unit_f64, &call);
    }
    reduce_call call = {.with = &reducers[element][reduction],
                        .x = x,
                        .out = out,
                        .size = dl_element_size(element),
                        .out_size = result_size(reduction, element),
                        .outer = outer,
                        .n = n,
                        .inner = inner,
                        .divisor = reduction == DL_REDUCE_MEAN ? (double)n : 1};
    return run_reduce(context, &call);
}

dl_status DL_KERNEL(logsumexp_backward)(dl_context *context, dl_element element, void *dx, const void *g, const void *x,
                                        const void *y, int64_t outer, int64_t n, int64_t inner) {
    DL_TRY(dl_need_real_element(element, "logsumexp"));
    columns_call call = {.out = dx, .x = x, .y = y, .g = g, .n = n, .inner = inner};
    return dl_columnwise(context, outer, n, inner, 0.5,
                         element == DL_ELEMENT_FLOAT32 ? logsumexp_backward_unit_f32 : logsumexp_backward_unit_f64,
                         &call);
}

dl_status DL_KERNEL(sum_squares)(dl_context *context, dl_element element, double *out, const void *x, int64_t n) {
    static const reducer squares[] = {{squares_rows_f32, NULL, merge_sum_f64, finish_f64},
                                      {squares_rows_f64, NULL, merge_sum_f64, finish_f64}};
    DL_TRY(dl_need_real_element(element, "the sum of squares"));
    reduce_call call = {.with = &squares[element],
                        .x = x,
                        .out = (char *)out,
                        .size = dl_element_size(element),
                        .out_size = sizeof *out,
                        .outer = 1,
                        .n = n,
                        .inner = 1,
                        .divisor = 1};
    return run_reduce(context, &call);
}

dl_status DL_KERNEL(all_finite)(dl_context *context, dl_element element, bool *out, const void *x, int64_t n) {
    static const reducer not_finite[] = {{not_finite_rows_f32, NULL, merge_any_i64, finish_u8},
                                         {not_finite_rows_f64, NULL, merge_any_i64, finish_u8}};
    if (element > DL_ELEMENT_FLOAT64)
        return dl_fail(DL_DTYPE, "%s elements are always finite", dl_element_name(element));
    uint8_t found = 0;
    reduce_call call = {.with = &not_finite[element],
                        .x = x,
                        .out = (char *)&found,
                        .size = dl_element_size(element),
                        .out_size = 1,
                        .outer = 1,
                        .n = n,
                        .inner = 1,
                        .divisor = 1};
    DL_TRY(run_reduce(context, &call));
    *out = !found;
    return DL_OK;
}
