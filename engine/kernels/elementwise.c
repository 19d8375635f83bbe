/* kernels/elementwise.c: walking strided operands in contiguous blocks (see elementwise.h).
 *
 * Always true: every element of the loop is in exactly one block of one tile, and an output element is written by the
 * tile it is in alone. */
#include <string.h>

#include "kernels/elementwise.h"

/* Elements of a parallel tile, and of the buffers for operands that are not contiguous. */
#define TILE 32768
#define BUFFER 512
/* Rows at least this long are walked one by one, so that operands contiguous in a row need no buffer. */
#define LONG_ROW 64

/* How an operand meets a block. */
typedef enum access { DIRECT, BUFFERED, CONSTANT } access;

typedef struct walk {
    dl_loop loop;
    int operands;
    int sizes[DL_LOOP_OPERANDS];
    char *pointers[DL_LOOP_OPERANDS];
    access access[DL_LOOP_OPERANDS];
    bool by_rows; /* blocks end at the ends of rows of the last dimension */
    int64_t n;
    int64_t block;
    dl_block_function function;
    void *argument;
} walk;

const char *dl_element_name(dl_element element) {
    static const char *const names[] = {"float32", "float64", "int32", "int64", "uint8", "bool"};
    return names[element];
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

static bool is_constant(const dl_loop *loop, int operand) {
    for (int i = 0; i < loop->dims; i++)
        if (loop->strides[operand][i] != 0)
            return false;
    return true;
}

static access access_of(const walk *w, int operand) {
    const dl_loop *loop = &w->loop;
    if (loop->dims == 0)
        return DIRECT;
    if (operand > 0 && is_constant(loop, operand))
        return CONSTANT;
    bool contiguous = loop->strides[operand][loop->dims - 1] == 1;
    return contiguous && (loop->dims == 1 || w->by_rows) ? DIRECT : BUFFERED;
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

static void fill_constant(const walk *w, int operand, char *buffer) {
    copy_run(w->sizes[operand], BUFFER, buffer, 1, w->pointers[operand], 0);
}

static char *direct_pointer(const walk *w, int operand, int64_t at) {
    int64_t coordinates[DL_LOOP_DIMS];
    locate(&w->loop, at, coordinates);
    return w->pointers[operand] + offset_of(&w->loop, operand, coordinates) * w->sizes[operand];
}

/* Elements at .. at + n - 1, which are within a row if the walk goes by rows. */
static void run_block(const walk *w, int64_t at, int64_t n, char (*buffers)[BUFFER * 8]) {
    void *pointers[DL_LOOP_OPERANDS];
    for (int k = 0; k < w->operands; k++) {
        pointers[k] = w->access[k] == DIRECT ? direct_pointer(w, k, at) : buffers[k];
        if (k > 0 && w->access[k] == BUFFERED)
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
    for (int k = 1; k < w->operands; k++)
        if (w->access[k] == CONSTANT)
            fill_constant(w, k, buffers[k]);
    int64_t at = tile * TILE;
    int64_t end = DL_MIN(w->n, at + TILE);
    int64_t row = w->by_rows ? w->loop.shape[w->loop.dims - 1] : INT64_MAX;
    while (at < end) {
        int64_t n = DL_MIN(DL_MIN(w->block, end - at), row - at % row);
        run_block(w, at, n, buffers);
        at += n;
    }
}

dl_status dl_elementwise(dl_context *context, const dl_loop *loop, int operands, const int *sizes,
                         void *const *pointers, double cost, dl_block_function function, void *argument) {
    walk w = {.operands = operands, .n = 1, .block = TILE, .function = function, .argument = argument};
    for (int i = 0; i < loop->dims; i++)
        w.n *= loop->shape[i];
    if (w.n == 0)
        return DL_OK;
    w.loop = merge_dims(loop, operands);
    w.by_rows = w.loop.dims > 1 && w.loop.shape[w.loop.dims - 1] >= LONG_ROW;
    for (int k = 0; k < operands; k++) {
        w.sizes[k] = sizes[k];
        w.pointers[k] = pointers[k];
        w.access[k] = access_of(&w, k);
        if (w.access[k] != DIRECT)
            w.block = BUFFER;
    }
    int64_t tiles = (w.n + TILE - 1) / TILE;
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

dl_status dl_copy_strided(dl_context *context, const dl_loop *loop, int size, void *to, const void *from) {
    copy c = {.loop = merge_dims(loop, 2), .size = size, .to = to, .from = from, .n = 1};
    for (int i = 0; i < loop->dims; i++)
        c.n *= loop->shape[i];
    if (c.n == 0)
        return DL_OK;
    if (c.loop.dims == 0)
        c.loop = dl_loop_flat(1);
    int64_t tiles = (c.n + TILE - 1) / TILE;
    return dl_parallel(context, tiles, dl_threads_for(context, (double)c.n * 0.25), copy_tile, &c);
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
    columns_walk w = {.blocks = (inner + DL_UNIT_COLUMNS - 1) / DL_UNIT_COLUMNS, .inner = inner,
                      .function = function, .argument = argument};
    w.units = outer * w.blocks;
    w.per_tile = DL_MAX(1, COLUMN_TILE / (DL_MAX(1, n) * DL_MAX(1, DL_MIN(inner, DL_UNIT_COLUMNS))));
    int64_t tiles = (w.units + w.per_tile - 1) / w.per_tile;
    double work = (double)outer * (double)DL_MAX(1, n) * (double)inner * cost;
    return dl_parallel(context, tiles, dl_threads_for(context, work), columns_tile, &w);
}
