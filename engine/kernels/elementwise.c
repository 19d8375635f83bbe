/* kernels/elementwise.c: walking strided operands in contiguous blocks (see elementwise.h).
 *
 * Always true: every element of the loop is in exactly one block of one tile, and an output element is written by the
 * tile it is in alone. */
#include <string.h>

#include "kernels/elementwise.h"

/* Elements of a parallel tile, and of the buffers for operands that are not contiguous. */
#define TILE     32768
#define BUFFER   512
/* Rows at least this long are walked one by one, so that operands contiguous in a row need no buffer. */
#define LONG_ROW 64

/* How an operand meets a block. */
typedef enum access {
    FLAT,     /* contiguous over the whole loop */
    ROW,      /* contiguous over a row of the last dimension, and blocks stay within rows */
    CONSTANT, /* one element: a buffer of it */
    PERIODIC, /* the same short row again and again: a buffer of several */
    BUFFERED  /* copied to (or from) a buffer block by block */
} access;

typedef struct walk {
    dl_loop loop;
    int operands;
    int sizes[DL_LOOP_OPERANDS];
    char *pointers[DL_LOOP_OPERANDS];
    access access[DL_LOOP_OPERANDS];
    bool by_rows; /* blocks end at the ends of rows of the last dimension */
    int64_t n;
    int64_t block; /* elements of a block; a multiple of the row with PERIODIC operands */
    int64_t tile;  /* elements of a tile; likewise */
    dl_block_function function;
    void *argument;
} walk;

const char *dl_element_name(dl_element element) {
    static const char *const names[] = {"float32", "float64", "int32", "int64", "uint8", "bool"};
    return names[element];
}

dl_status dl_need_real_element(dl_element element, const char *what) {
    if (element <= DL_ELEMENT_FLOAT64)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s is not defined for %s", what, dl_element_name(element));
}

static int64_t magnitude(int64_t stride) {
    return stride < 0 ? -stride : stride;
}

static void swap_dims(dl_loop *loop, int operands, int i, int j) {
    int64_t size = loop->shape[i];
    loop->shape[i] = loop->shape[j];
    loop->shape[j] = size;
    for (int k = 0; k < operands; k++) {
        int64_t stride = loop->strides[k][i];
        loop->strides[k][i] = loop->strides[k][j];
        loop->strides[k][j] = stride;
    }
}

/* Puts the dimensions in the order of the output's strides, largest first: the order of the elements is free. */
static void sort_dims(dl_loop *loop, int operands) {
    for (int i = 1; i < loop->dims; i++)
        for (int j = i; j > 0 && magnitude(loop->strides[0][j - 1]) < magnitude(loop->strides[0][j]); j--)
            swap_dims(loop, operands, j - 1, j);
}

static bool merges(const dl_loop *loop, int operands, int outer, int inner) {
    for (int k = 0; k < operands; k++)
        if (loop->strides[k][outer] != loop->strides[k][inner] * loop->shape[inner])
            return false;
    return true;
}

/* The loop without dimensions of one element, with neighbours merged where all operands allow it. */
static dl_loop merge_dims(const dl_loop *from, int operands) {
    dl_loop loop = {.dims = 0};
    for (int i = 0; i < from->dims; i++) {
        if (from->shape[i] == 1)
            continue;
        loop.shape[loop.dims] = from->shape[i];
        for (int k = 0; k < operands; k++)
            loop.strides[k][loop.dims] = from->strides[k][i];
        loop.dims++;
    }
    sort_dims(&loop, operands);
    int last = 0;
    for (int i = 1; i < loop.dims; i++) {
        bool merged = merges(&loop, operands, last, i);
        int64_t outer = merged ? loop.shape[last] : 1;
        last += !merged;
        loop.shape[last] = loop.shape[i] * outer;
        for (int k = 0; k < operands; k++)
            loop.strides[k][last] = loop.strides[k][i];
    }
    loop.dims = loop.dims == 0 ? 0 : last + 1;
    return loop;
}

static int64_t last_size(const dl_loop *loop) {
    return loop->dims == 0 ? 1 : loop->shape[loop->dims - 1];
}

/* True if the strides of all dimensions but the last `but` are 0. */
static bool repeats(const dl_loop *loop, int operand, int but) {
    for (int i = 0; i < loop->dims - but; i++)
        if (loop->strides[operand][i] != 0)
            return false;
    return true;
}

static bool is_flat(const dl_loop *loop, int operand) {
    int64_t stride = 1;
    for (int i = loop->dims - 1; i >= 0; i--) {
        if (loop->strides[operand][i] != stride)
            return false;
        stride *= loop->shape[i];
    }
    return true;
}

/* The access of an operand in blocks of any place; BUFFERED if there is no better. */
static access linear_access(const dl_loop *loop, int operand) {
    if (is_flat(loop, operand))
        return FLAT;
    if (operand > 0 && repeats(loop, operand, 0))
        return CONSTANT;
    bool short_row = last_size(loop) <= BUFFER / 2 && loop->strides[operand][loop->dims - 1] == 1;
    return operand > 0 && short_row && repeats(loop, operand, 1) ? PERIODIC : BUFFERED;
}

/* Chooses each operand's access, and the sizes of blocks and tiles. */
static void choose_access(walk *w) {
    const dl_loop *loop = &w->loop;
    bool any_buffered = false, any_periodic = false, any_buffer = false;
    for (int k = 0; k < w->operands; k++) {
        w->access[k] = linear_access(loop, k);
        any_buffered |= w->access[k] == BUFFERED;
        any_periodic |= w->access[k] == PERIODIC;
    }
    w->by_rows = any_buffered && last_size(loop) >= LONG_ROW;
    for (int k = 0; k < w->operands; k++) {
        if (any_buffered && w->access[k] == PERIODIC)
            w->access[k] = BUFFERED;
        if (w->by_rows && w->access[k] == BUFFERED && loop->strides[k][loop->dims - 1] == 1)
            w->access[k] = ROW;
        any_buffer |= w->access[k] != FLAT && w->access[k] != ROW;
    }
    w->block = any_buffer ? BUFFER : TILE;
    if (any_periodic && !any_buffered)
        w->block = BUFFER / last_size(loop) * last_size(loop);
    w->tile = TILE / w->block * w->block;
}

/* The coordinates of the element with row-major number `at`, and its offset in an operand. */
static void locate(const dl_loop *loop, int64_t at, int64_t *coordinates) {
    for (int i = loop->dims - 1; i >= 0; i--) {
        coordinates[i] = at % loop->shape[i];
        at /= loop->shape[i];
    }
}

static int64_t offset_of(const dl_loop *loop, int operand, const int64_t *coordinates) {
    int64_t offset = 0;
    for (int i = 0; i < loop->dims; i++)
        offset += coordinates[i] * loop->strides[operand][i];
    return offset;
}

/* Steps to the start of the next row of the last dimension. */
static void next_row(const dl_loop *loop, int64_t *coordinates) {
    coordinates[loop->dims - 1] = 0;
    for (int i = loop->dims - 2; i >= 0; i--) {
        if (++coordinates[i] < loop->shape[i])
            return;
        coordinates[i] = 0;
    }
}

/* n elements between strided memory and a contiguous buffer. */
#define COPY_RUN(type)                                                                                                 \
    for (int64_t i = 0; i < n; i++)                                                                                    \
        ((type *)to)[i * to_step] = ((const type *)from)[i * from_step];

static void copy_run(int size, int64_t n, char *to, int64_t to_step, const char *from, int64_t from_step) {
    if (to_step == 1 && from_step == 1) {
        memcpy(to, from, (size_t)(n * size));
        return;
    }
    switch (size) {
    case 1:
        COPY_RUN(uint8_t)
        break;
    case 4:
        COPY_RUN(uint32_t)
        break;
    default:
        COPY_RUN(uint64_t)
    }
}

/* Copies elements at, at + 1, ... of an operand into the buffer, or out of it into the operand. */
static void transfer(const walk *w, int operand, int64_t at, int64_t n, char *buffer, bool out_of_buffer) {
    const dl_loop *loop = &w->loop;
    int size = w->sizes[operand];
    int64_t coordinates[DL_LOOP_DIMS];
    locate(loop, at, coordinates);
    int64_t step = loop->strides[operand][loop->dims - 1];
    while (n > 0) {
        int64_t run = DL_MIN(n, loop->shape[loop->dims - 1] - coordinates[loop->dims - 1]);
        char *place = w->pointers[operand] + offset_of(loop, operand, coordinates) * size;
        if (out_of_buffer)
            copy_run(size, run, place, step, buffer, 1);
        else
            copy_run(size, run, buffer, 1, place, step);
        buffer += run * size;
        n -= run;
        next_row(loop, coordinates);
    }
}

/* What is in the buffers of a tile from its start. */
static void fill_buffers(const walk *w, char (*buffers)[BUFFER * 8]) {
    for (int k = 1; k < w->operands; k++) {
        if (w->access[k] == CONSTANT)
            copy_run(w->sizes[k], BUFFER, buffers[k], 1, w->pointers[k], 0);
        if (w->access[k] != PERIODIC)
            continue;
        int64_t row = last_size(&w->loop);
        for (int64_t at = 0; at < w->block; at += row)
            copy_run(w->sizes[k], row, buffers[k] + at * w->sizes[k], 1, w->pointers[k], 1);
    }
}

/* Elements at .. at + n - 1, within a row if the walk goes by rows; then the coordinates are those of element `at`. */
static void run_block(const walk *w, int64_t at, int64_t n, const int64_t *coordinates, char (*buffers)[BUFFER * 8]) {
    void *pointers[DL_LOOP_OPERANDS];
    for (int k = 0; k < w->operands; k++) {
        pointers[k] = buffers[k];
        if (w->access[k] == FLAT)
            pointers[k] = w->pointers[k] + at * w->sizes[k];
        else if (w->access[k] == ROW)
            pointers[k] = w->pointers[k] + offset_of(&w->loop, k, coordinates) * w->sizes[k];
        else if (k > 0 && w->access[k] == BUFFERED)
            transfer(w, k, at, n, buffers[k], false);
    }
    w->function(w->argument, n, pointers);
    if (w->access[0] == BUFFERED)
        transfer(w, 0, at, n, buffers[0], true);
}

static void run_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const walk *w = argument;
    _Alignas(64) char buffers[DL_LOOP_OPERANDS][BUFFER * 8];
    int64_t at = tile * w->tile, end = DL_MIN(w->n, at + w->tile);
    int64_t coordinates[DL_LOOP_DIMS] = {0};
    fill_buffers(w, buffers);
    if (!w->by_rows) {
        for (; at < end; at += w->block)
            run_block(w, at, DL_MIN(w->block, end - at), coordinates, buffers);
        return;
    }
    int last = w->loop.dims - 1;
    locate(&w->loop, at, coordinates);
    while (at < end) {
        int64_t n = DL_MIN(DL_MIN(w->block, end - at), w->loop.shape[last] - coordinates[last]);
        run_block(w, at, n, coordinates, buffers);
        at += n;
        coordinates[last] += n;
        if (coordinates[last] == w->loop.shape[last])
            next_row(&w->loop, coordinates);
    }
}

dl_status dl_elementwise(dl_context *context, const dl_loop *loop, int operands, const int *sizes,
                         void *const *pointers, double cost, dl_block_function function, void *argument) {
    walk w = {.operands = operands, .n = 1, .function = function, .argument = argument};
    for (int i = 0; i < loop->dims; i++)
        w.n *= loop->shape[i];
    if (w.n == 0)
        return DL_OK;
    w.loop = merge_dims(loop, operands);
    for (int k = 0; k < operands; k++) {
        w.sizes[k] = sizes[k];
        w.pointers[k] = pointers[k];
    }
    choose_access(&w);
    int64_t tiles = (w.n + w.tile - 1) / w.tile;
    return dl_parallel(context, tiles, dl_threads_for(context, (double)w.n * cost), run_tile, &w);
}

/* ---- copies of one element type -------------------------------------------------------------------------------- */

typedef struct copy {
    dl_loop loop;
    int size;
    char *to;
    const char *from;
    int64_t n;
} copy;

static void copy_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const copy *c = argument;
    const dl_loop *loop = &c->loop;
    int last = loop->dims - 1;
    int64_t left = DL_MIN(c->n - tile * TILE, TILE);
    int64_t coordinates[DL_LOOP_DIMS];
    locate(loop, tile * TILE, coordinates);
    while (left > 0) {
        int64_t run = DL_MIN(left, loop->shape[last] - coordinates[last]);
        copy_run(c->size, run, c->to + offset_of(loop, 0, coordinates) * c->size, loop->strides[0][last],
                 c->from + offset_of(loop, 1, coordinates) * c->size, loop->strides[1][last]);
        left -= run;
        next_row(loop, coordinates);
    }
}

/* ---- transposing copies ---------------------------------------------------------------------------------------- */

/* The input is contiguous along another dimension than the output: squares of both are in the cache at once. */

/* Side of the squares that are turned within the cache. */
#define SQUARE 16
/* Rows of the output that a tile turns. */
#define BAND   64

#define TURN(type)                                                                                                     \
    for (int64_t i = 0; i < rows; i++)                                                                                 \
        for (int64_t j = 0; j < columns; j++)                                                                          \
            ((type *)to)[i * to_row + j] = ((const type *)from)[i + j * from_column];

static void turn_square(int size, int64_t rows, int64_t columns, char *to, int64_t to_row, const char *from,
                        int64_t from_column) {
    switch (size) {
    case 1:
        TURN(uint8_t)
        break;
    case 4:
        TURN(uint32_t)
        break;
    default:
        TURN(uint64_t)
    }
}

/* A band of rows of the last two dimensions, which the loop has in the order (..., rows, columns). */
static void turn_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const copy *c = argument;
    const dl_loop *loop = &c->loop;
    int row = loop->dims - 2, column = loop->dims - 1;
    int64_t bands = (loop->shape[row] + BAND - 1) / BAND;
    int64_t coordinates[DL_LOOP_DIMS];
    locate(loop, tile / bands * loop->shape[row] * loop->shape[column], coordinates);
    coordinates[row] = tile % bands * BAND;
    char *to = c->to + offset_of(loop, 0, coordinates) * c->size;
    const char *from = c->from + offset_of(loop, 1, coordinates) * c->size;
    int64_t rows = DL_MIN(loop->shape[row] - coordinates[row], BAND), columns = loop->shape[column];
    int64_t to_row = loop->strides[0][row], from_column = loop->strides[1][column];
    for (int64_t j = 0; j < columns; j += SQUARE)
        for (int64_t i = 0; i < rows; i += SQUARE)
            turn_square(c->size, DL_MIN(rows - i, SQUARE), DL_MIN(columns - j, SQUARE), to + (i * to_row + j) * c->size,
                        to_row, from + (i + j * from_column) * c->size, from_column);
}

/* Puts the dimension along which the input is contiguous last but one, if it is not the last and worth it. */
static bool turns(dl_loop *loop) {
    int last = loop->dims - 1;
    if (last < 1 || loop->strides[0][last] != 1 || loop->strides[1][last] == 1 || loop->shape[last] < 4)
        return false;
    for (int i = 0; i < last; i++) {
        if (loop->strides[1][i] == 1 && loop->shape[i] >= 4) {
            swap_dims(loop, 2, i, last - 1);
            return true;
        }
    }
    return false;
}

dl_status dl_copy_strided(dl_context *context, const dl_loop *loop, int size, void *to, const void *from) {
    copy c = {.loop = merge_dims(loop, 2), .size = size, .to = to, .from = from, .n = 1};
    for (int i = 0; i < loop->dims; i++)
        c.n *= loop->shape[i];
    if (c.n == 0)
        return DL_OK;
    if (c.loop.dims == 0)
        c.loop = dl_loop_flat(1);
    int threads = dl_threads_for(context, (double)c.n * 0.25);
    if (turns(&c.loop)) {
        int64_t rows = c.loop.shape[c.loop.dims - 2], bands = (rows + BAND - 1) / BAND;
        int64_t planes = c.n / (rows * c.loop.shape[c.loop.dims - 1]);
        return dl_parallel(context, planes * bands, threads, turn_tile, &c);
    }
    return dl_parallel(context, (c.n + TILE - 1) / TILE, threads, copy_tile, &c);
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

/* Elements of a tile of columns, about. */
#define COLUMN_TILE 16384

typedef struct columns_walk {
    int64_t blocks; /* of columns, in one of the outer parts */
    int64_t inner;
    int64_t units; /* outer * blocks */
    int64_t per_tile;
    dl_unit_function function;
    void *argument;
} columns_walk;

static void columns_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const columns_walk *w = argument;
    int64_t end = DL_MIN(w->units, (tile + 1) * w->per_tile);
    for (int64_t unit = tile * w->per_tile; unit < end; unit++) {
        int64_t column = unit % w->blocks * DL_UNIT_COLUMNS;
        w->function(w->argument, unit / w->blocks, column, DL_MIN(w->inner - column, DL_UNIT_COLUMNS));
    }
}

dl_status dl_columnwise(dl_context *context, int64_t outer, int64_t n, int64_t inner, double cost,
                        dl_unit_function function, void *argument) {
    columns_walk w = {.blocks = (inner + DL_UNIT_COLUMNS - 1) / DL_UNIT_COLUMNS,
                      .inner = inner,
                      .function = function,
                      .argument = argument};
    w.units = outer * w.blocks;
    w.per_tile = DL_MAX(1, COLUMN_TILE / (DL_MAX(1, n) * DL_MAX(1, DL_MIN(inner, DL_UNIT_COLUMNS))));
    int64_t tiles = (w.units + w.per_tile - 1) / w.per_tile;
    double work = (double)outer * (double)DL_MAX(1, n) * (double)inner * cost;
    return dl_parallel(context, tiles, dl_threads_for(context, work), columns_tile, &w);
}
