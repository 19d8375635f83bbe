/* kernels/isa/gemm_source.h: matrix products, for the element type of gemm_real.h.
 *
 *                    n tile               C is cut into tiles, each a unit of work. Within a tile:
 *              +----+----+----+--+
 *            K |    |    |    |  |           for each chunk of K
 *              +----+----+----+--+             for each panel of B (packed where that pays; it stays in L1)
 *         +--+ +----+----+----+--+               for each 6 rows of A: the microkernel
 *  m tile |  | |    |    |    |  |
 *         +--+ +----+----+----+--+        Few tiles and long K: the chunks are units of work too, each leaves a partial
 *         |  | |    |    |    |  |        product, and a second loop adds these in order.
 *         +--+ +----+----+----+--+
 *
 * What is always true: an element of C is (beta C + chunk 0) + chunk 1 + ... in this order, then the bias. The chunks
 * follow from K alone, so its bits depend neither on the tiles, which follow the number of threads, nor on whether the
 * chunks are units of work. */
#include "kernels/isa/gemm_micro.h"

/* A lone row of A takes this many vectors of B, or its few chains would wait for each other. */
#define WIDE 8
MICRO(micro, 1, 8, false)

/* Whole panels of B are copied by the block of C that meets them first. */
#if MICRO_VECTORS == 4
MICRO_HEIGHTS(copying, 4, true)
static micro_function *const copying_of[MICRO_ROWS] = MICRO_COLUMN(copying, 4);
#else
MICRO_HEIGHTS(copying, 2, true)
static micro_function *const copying_of[MICRO_ROWS] = MICRO_COLUMN(copying, 2);
#endif

/* to[i][j] = from[i * row + j * column] for any strides; to's rows are `width` long and zero from `columns` on. Rows
 * that lie beside each other (column 1) and columns that do (row 1) are copied by vectors. */
static void pack_block(real *to, int64_t width, const real *from, int64_t row, int64_t column, int64_t rows,
                       int64_t columns) {
    if (column == 1) {
        pack_rows(to, width, from, row, rows, columns);
    } else if (row == 1) {
        pack_transposed(to, width, from, column, rows, columns);
    } else {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < width; j++)
                to[i * width + j] = j < columns ? from[i * row + j * column] : 0;
    }
}

enum {
    CHUNK = 352,        /* longest chunk of K: a panel of B of this length fits L1 (L2 for AVX-512) */
    CHUNKS = 64,        /* but never more chunks than this */
    TILE_ROWS = 192,    /* largest tile */
    TILE_COLUMNS = 512, /* multiple of PANEL */
    TILES = 6,          /* wanted at least for each of several threads, if the work is enough for so many */
    TILE_WORK = 300000, /* multiply-adds that a tile is worth */
    PACK_ROWS = 12,     /* rows of a tile from which on packing B costs less than it gains */
    PACK_COLUMNS = 128, /* columns of a tile from which on packing A does */
    PACK_CHUNK = 64,    /* shortest and longest chunk for which A is packed */
    PACK_LONGEST = 1024,
    PACK_PAD = 16,          /* elements between its rows, against aliasing */
    PARTIAL_LIMIT = 1 << 20 /* elements that the partial products may take together */
};

typedef struct gemm_plan {
    const dl_gemm_sizes *s;
    real *c;
    const real *a, *b, *bias;
    real beta;
    bool relu;
    bool sum_batch; /* all products of the batch go into one C */
    bool split;     /* the chunks of K are units of work */
    int64_t chunks;
    int64_t matrices, matrices_per_tile; /* of C */
    int64_t m_tiles, n_tiles;
    real *packed;   /* room for one panel for each worker */
    real *partials; /* (chunks, M, N) for each matrix, if split */
} gemm_plan;

/* Where part i of `parts` even parts of `total` begins, in multiples of `unit`; part `parts` begins at total. */
static int64_t part_begin(int64_t total, int64_t unit, int64_t parts, int64_t i) {
    int64_t units = (total + unit - 1) / unit;
    return DL_MIN(total, units * i / parts * unit);
}

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t chunks_of(int64_t K) {
    return K <= CHUNK ? 1 : DL_MIN(CHUNKS, 2 * divide_up(K, 2 * CHUNK));
}

static int64_t longest_chunk(const gemm_plan *g) {
    return divide_up(g->s->K, g->chunks);
}

/* Elements of scratch that a worker needs: a panel of B and a chunk of a tile of A. */
static int64_t worker_room(const gemm_plan *g) {
    int64_t k = longest_chunk(g);
    int64_t rows = DL_MIN(g->s->M, TILE_ROWS + MICRO_ROWS);
    return k * PANEL + (k <= PACK_LONGEST ? rows * (k + PACK_PAD) : 0);
}

/* Tiles as large as may be while there are enough of them, and an even number for several threads. Of tiles that are
 * low already N is cut first: cutting M packs B again. */
static void plan_tiles(gemm_plan *g, int threads) {
    const dl_gemm_sizes *s = g->s;
    double matrix_work = (double)s->M * (double)s->N * (double)s->K * (g->sum_batch ? (double)s->batch : 1);
    double worth = matrix_work * (double)g->matrices / TILE_WORK;
    int64_t enough = threads > 1 ? TILES * threads : 1;
    int64_t wanted = worth < (double)enough ? (int64_t)worth : enough;
    g->m_tiles = divide_up(s->M, TILE_ROWS);
    g->n_tiles = divide_up(s->N, TILE_COLUMNS);
    while (g->matrices * g->m_tiles * g->n_tiles < wanted) {
        if (s->M / g->m_tiles > TILE_ROWS / 2)
            g->m_tiles *= 2;
        else if (s->N / g->n_tiles > 64)
            g->n_tiles *= 2;
        else if (s->M / g->m_tiles > 48)
            g->m_tiles *= 2;
        else
            break;
    }
    int64_t tiles = g->matrices * g->m_tiles * g->n_tiles;
    if (threads > 1 && tiles > 1 && tiles % 2 == 1 && tiles < 2 * enough) {
        g->n_tiles += g->n_tiles > 1;
        g->m_tiles += g->n_tiles == 1 && g->m_tiles > 1;
    }
    g->split =
        tiles * 2 <= wanted && g->chunks > 1 && !g->sum_batch && g->matrices * s->M * s->N * g->chunks <= PARTIAL_LIMIT;
    bool whole = g->m_tiles * g->n_tiles == 1 && !g->split;
    g->matrices_per_tile =
        whole && matrix_work < TILE_WORK / 3 ? (int64_t)(TILE_WORK / 3 / DL_MAX(matrix_work, 100)) : 1;
}

/* Whether a chunk of A's tile is copied before use, into rows: its strides may alias in the caches, and a transposed A
 * touches a line for each k. */
static bool packs_a(int64_t rows, int64_t columns, const product *p) {
    bool amortized = columns >= PACK_COLUMNS && rows >= PACK_ROWS;
    return p->k >= PACK_CHUNK && p->k <= PACK_LONGEST && (amortized || p->a_column != 1);
}

/* C (rows, PANEL) as product_panel makes it; B's panel is copied to `packed` on the way, where the later blocks find
 * it in one piece. */
static void product_packing(const product *p, int64_t rows, const real *a, const real *b, real *c, const real *bias,
                            real *packed) {
    int64_t blocks = divide_up(rows, MICRO_ROWS);
    int64_t height = divide_up(rows, blocks);
    copying_of[height - 1](p, a, b, c, bias, packed);
    product rest = *p;
    rest.b_row = PANEL;
    product_panel(&rest, rows - height, MICRO_VECTORS, a + height * p->a_row, packed, c + height * p->c_row, bias);
}

/* rows x columns of C += (or =) one chunk of A B. `last` adds the bias and applies relu; bias begins at the block. */
static void gemm_chunk(const gemm_plan *g, const product *p, int64_t rows, int64_t columns, const real *a,
                       const real *b, real *c, const real *bias, real *packed) {
    const dl_gemm_sizes *s = g->s;
    product q = *p;
    if (packs_a(rows, columns, p)) {
        real *packed_a = packed + p->k * PANEL;
        q.a_row = p->k + PACK_PAD;
        q.a_column = 1;
        pack_block(packed_a, q.a_row, a, p->a_row, p->a_column, rows, p->k);
        a = packed_a;
    }
    bool pack = s->b_column != 1 || (rows >= PACK_ROWS && s->N > PANEL);
    for (int64_t j = 0; j < columns; j += PANEL) {
        int64_t width = DL_MIN(columns - j, PANEL);
        int64_t whole = divide_up(width, LANES) * LANES;
        const real *panel = b + j * s->b_column;
        q.b_row = s->b_row;
        if (rows == 1 && s->b_column == 1 && columns - j >= WIDE * LANES) {
            micro_1x8(&q, a, panel, c + j, bias ? bias + j : NULL, NULL);
            j += WIDE * LANES - PANEL;
            continue;
        }
        if (pack && width == PANEL && s->b_column == 1) {
            product_packing(&q, rows, a, panel, c + j, bias ? bias + j : NULL, packed);
            continue;
        }
        if (pack || width < whole) {
            pack_block(packed, whole, panel, s->b_row, s->b_column, p->k, width);
            panel = packed;
            q.b_row = whole;
        }
        product_columns(&q, rows, width, a, panel, c + j, bias ? bias + j : NULL);
    }
}

/* beta C for a block, where the microkernel does not do it: beta other than 0 and 1. */
static void scale_block(real *c, int64_t c_row, int64_t rows, int64_t columns, real beta) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            c[i * c_row + j] *= beta;
}

typedef struct gemm_tile {
    int64_t matrix, m, rows, n, columns;
} gemm_tile;

/* All chunks of one tile, for each product of the batch that goes into it. */
static void run_whole_tile(const gemm_plan *g, const gemm_tile *t, real *packed) {
    const dl_gemm_sizes *s = g->s;
    real *c = g->c + t->matrix * s->c_batch + t->m * s->c_row + t->n;
    if (g->beta != 0 && g->beta != 1)
        scale_block(c, s->c_row, t->rows, t->columns, g->beta);
    product p = {.segments = 1, .a_row = s->a_row, .a_column = s->a_column, .b_row = s->b_row, .c_row = s->c_row};
    int64_t products = g->sum_batch ? s->batch : 1;
    for (int64_t i = 0; i < products; i++) {
        const real *a = g->a + (t->matrix + i) * s->a_batch + t->m * s->a_row;
        const real *b = g->b + (t->matrix + i) * s->b_batch + t->n * s->b_column;
        for (int64_t chunk = 0; chunk < g->chunks; chunk++) {
            int64_t k = part_begin(s->K, 1, g->chunks, chunk);
            bool last = i == products - 1 && chunk == g->chunks - 1;
            p.k = part_begin(s->K, 1, g->chunks, chunk + 1) - k;
            p.accumulate = i > 0 || chunk > 0 || g->beta != 0;
            p.relu = last && g->relu;
            gemm_chunk(g, &p, t->rows, t->columns, a + k * s->a_column, b + k * s->b_row, c,
                       last && g->bias ? g->bias + t->n : NULL, packed);
        }
    }
}

/* One chunk of one tile, into its partial product. */
static void run_split_tile(const gemm_plan *g, const gemm_tile *t, int64_t chunk, real *packed) {
    const dl_gemm_sizes *s = g->s;
    int64_t k = part_begin(s->K, 1, g->chunks, chunk);
    product p = {.segments = 1, .a_row = s->a_row, .a_column = s->a_column, .b_row = s->b_row, .c_row = s->N};
    p.k = part_begin(s->K, 1, g->chunks, chunk + 1) - k;
    const real *a = g->a + t->matrix * s->a_batch + t->m * s->a_row + k * s->a_column;
    const real *b = g->b + t->matrix * s->b_batch + t->n * s->b_column + k * s->b_row;
    real *c = g->partials + ((t->matrix * g->chunks + chunk) * s->M + t->m) * s->N + t->n;
    gemm_chunk(g, &p, t->rows, t->columns, a, b, c, NULL, packed);
}

static void run_tile(void *argument, int64_t tile, int worker) {
    const gemm_plan *g = argument;
    const dl_gemm_sizes *s = g->s;
    real *packed = g->packed + worker * worker_room(g);
    int64_t chunks = g->split ? g->chunks : 1;
    int64_t chunk = tile % chunks;
    int64_t n = tile / chunks % g->n_tiles;
    int64_t m = tile / chunks / g->n_tiles % g->m_tiles;
    int64_t matrix = tile / chunks / g->n_tiles / g->m_tiles * g->matrices_per_tile;
    int64_t end = DL_MIN(matrix + g->matrices_per_tile, g->matrices);
    gemm_tile t = {.m = part_begin(s->M, MICRO_ROWS, g->m_tiles, m), .n = part_begin(s->N, PANEL, g->n_tiles, n)};
    t.rows = part_begin(s->M, MICRO_ROWS, g->m_tiles, m + 1) - t.m;
    t.columns = part_begin(s->N, PANEL, g->n_tiles, n + 1) - t.n;
    for (t.matrix = matrix; t.matrix < end; t.matrix++) {
        if (g->split)
            run_split_tile(g, &t, chunk, packed);
        else
            run_whole_tile(g, &t, packed);
    }
}

/* One row of one C: the partial products in order, then bias and relu. */
static void add_partials(void *argument, int64_t row, int worker) {
    const gemm_plan *g = argument;
    const dl_gemm_sizes *s = g->s;
    (void)worker;
    int64_t matrix = row / s->M, m = row % s->M;
    real *c = g->c + matrix * s->c_batch + m * s->c_row;
    const real *partial = g->partials + (matrix * g->chunks * s->M + m) * s->N;
    if (g->beta == 0)
        memcpy(c, partial, (size_t)s->N * sizeof(real));
    else if (g->beta != 1)
        scale_block(c, 0, 1, s->N, g->beta);
    for (int64_t chunk = g->beta == 0; chunk < g->chunks; chunk++)
        for (int64_t j = 0; j < s->N; j++)
            c[j] += partial[chunk * s->M * s->N + j];
    for (int64_t j = 0; j < s->N && g->bias; j++)
        c[j] += g->bias[j];
    for (int64_t j = 0; j < s->N && g->relu; j++)
        c[j] = c[j] < 0 ? 0 : c[j];
}

static dl_status run_plan(dl_context *context, gemm_plan *g, int threads) {
    const dl_gemm_sizes *s = g->s;
    int64_t groups = divide_up(g->matrices, g->matrices_per_tile);
    int64_t tiles = groups * g->m_tiles * g->n_tiles * (g->split ? g->chunks : 1);
    DL_TRY(dl_parallel(context, tiles, threads, run_tile, g));
    if (!g->split)
        return DL_OK;
    double work = (double)(g->matrices * s->M * s->N * g->chunks) / LANES;
    return dl_parallel(context, g->matrices * s->M, dl_threads_for(context, work), add_partials, g);
}

dl_status KERNEL(gemm)(dl_context *context, real *c, const real *a, const real *b, const real *bias,
                       const dl_gemm_sizes *s, real beta, bool relu) {
    if (s->batch <= 0 || s->M <= 0 || s->N <= 0)
        return DL_OK;
    gemm_plan g = {.s = s, .c = c, .a = a, .b = b, .bias = bias, .beta = beta, .relu = relu};
    g.sum_batch = s->batch > 1 && s->c_batch == 0;
    g.matrices = g.sum_batch ? 1 : s->batch;
    g.chunks = chunks_of(s->K);
    double work = (double)s->batch * (double)s->M * (double)s->N * (double)s->K / (5.0 * LANES);
    int threads = dl_threads_for(context, work);
    plan_tiles(&g, threads);
    int64_t panels = threads * worker_room(&g);
    int64_t partials = g.split ? g.matrices * g.chunks * s->M * s->N : 0;
    g.packed = dl_alloc_array(context, (size_t)(panels + partials), sizeof(real));
    if (!g.packed)
        return DL_MEMORY;
    g.partials = g.packed + panels;
    dl_status status = run_plan(context, &g, threads);
    dl_free(g.packed);
    return status;
}
