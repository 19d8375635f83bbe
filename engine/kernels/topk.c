/* kernels/topk.c: the largest elements of rows, by a heap of the k best so far with the worst of them at its root:
 *
 *                 worst
 *                /     \            a new element that is better takes the root's place and sinks
 *          better       better
 *
 * Always true: of equal elements the one that comes first is the better one, so results do not depend on the order of
 * the work. */
#include "kernels/topk.h"

#include <math.h>

#include "base/base.h"

/* One row's work: its elements, and the heap of places from 0. */
typedef struct heap {
    const void *x;
    int64_t *places;
    int64_t size; /* of the heap */
    bool largest;
} heap;

/* Whether the element at place a is better than that at place b. */
#define DEFINE_BETTER(name, type, is_nan)                                                                              \
    static bool better_##name(const heap *h, int64_t a, int64_t b) {                                                   \
        type x = ((const type *)h->x)[a];                                                                              \
        type y = ((const type *)h->x)[b];                                                                              \
        bool nan_x = is_nan(x);                                                                                        \
        bool nan_y = is_nan(y);                                                                                        \
        if (nan_x || nan_y)                                                                                            \
            return nan_x == nan_y ? a < b : nan_x == h->largest;                                                       \
        if (x == y)                                                                                                    \
            return a < b;                                                                                              \
        return h->largest ? x > y : x < y;                                                                             \
    }
#define NEVER_NAN(x) false
DEFINE_BETTER(f32, float, isnan)
DEFINE_BETTER(f64, double, isnan)
DEFINE_BETTER(i64, int64_t, NEVER_NAN)

typedef bool (*better_function)(const heap *h, int64_t a, int64_t b);

/* Lets the place at node i sink below those that are worse. */
static void sink(heap *h, better_function better, int64_t i) {
    int64_t place = h->places[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= h->size)
            break;
        if (child + 1 < h->size && better(h, h->places[child], h->places[child + 1]))
            child++;
        if (!better(h, place, h->places[child]))
            break;
        h->places[i] = h->places[child];
        i = child;
    }
    h->places[i] = place;
}

static void select_row(heap *h, better_function better, int64_t n, int64_t k) {
    h->size = k;
    for (int64_t i = 0; i < k; i++)
        h->places[i] = i;
    for (int64_t i = k / 2 - 1; i >= 0; i--)
        sink(h, better, i);
    for (int64_t i = k; i < n; i++) {
        if (!better(h, i, h->places[0]))
            continue;
        h->places[0] = i;
        sink(h, better, 0);
    }
    while (h->size > 1) { /* the worst goes to the end, until the best is in front */
        int64_t worst = h->places[0];
        h->places[0] = h->places[--h->size];
        sink(h, better, 0);
        h->places[h->size] = worst;
    }
    for (int64_t i = 0; i < k; i++)
        h->places[i]++;
}

typedef struct topk_work {
    better_function better;
    const char *x;
    int64_t *out;
    int64_t row_bytes, size, k, rows, rows_per_tile;
    bool largest;
} topk_work;

static void topk_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const topk_work *work = argument;
    int64_t end = DL_MIN((tile + 1) * work->rows_per_tile, work->rows);
    for (int64_t row = tile * work->rows_per_tile; row < end; row++) {
        heap h = {work->x + row * work->row_bytes, work->out + row * work->k, 0, work->largest};
        select_row(&h, work->better, work->size, work->k);
    }
}

dl_status dl_topk_rows(dl_context *context, dl_element element, int64_t *out, const void *x, int64_t rows, int64_t size,
                       int64_t k, bool largest) {
    bool single = element == DL_ELEMENT_FLOAT32;
    topk_work work = {.better = single ? better_f32 : element == DL_ELEMENT_FLOAT64 ? better_f64 : better_i64,
                      .x = x, .out = out, .row_bytes = size * (single ? 4 : 8), .size = size, .k = k, .rows = rows,
                      .rows_per_tile = DL_MAX(1, 16384 / size), .largest = largest};
    double cost = 2.0 * (double)rows * (double)size;
    int64_t tiles = (rows + work.rows_per_tile - 1) / work.rows_per_tile;
    return dl_parallel(context, tiles, dl_threads_for(context, cost), topk_tile, &work);
}

/* ---- draws ------------------------------------------------------------------------------------------------------- */

/* How many of the first weights reach `mass` of their sum, at least one, and their own sum. */
static int64_t count_within(const double *weights, int64_t size, double mass, double *sum) {
    double total = 0;
    for (int64_t i = 0; i < size; i++)
        total += weights[i];
    *sum = total;
    if (mass >= 1)
        return size;
    double reached = 0;
    for (int64_t i = 0; i < size; i++) {
        reached += weights[i];
        if (reached >= mass * total) {
            *sum = reached;
            return i + 1;
        }
    }
    return size;
}

void dl_draw_rows(int64_t *out, const double *weights, const double *u, int64_t rows, int64_t size, double mass) {
    for (int64_t row = 0; row < rows; row++, weights += size) {
        double sum;
        double passed = 0;
        int64_t last = count_within(weights, size, mass, &sum) - 1;
        int64_t place = 0;
        while (place < last) {
            passed += weights[place];
            if (passed > u[row] * sum)
                break;
            place++;
        }
        out[row] = place + 1;
    }
}
