/* kernels/isa/recurrent_source.h: recurrent cells over whole sequences, for the element type of gemm_real.h.
 *
 *      steps (T N, F) --- one product with W, + b ---> gates (T N, columns)
 *                                                        |
 *      h[0] -> h[1] -> ... -> h[T]     at each step: gates += h V, by the microkernel; then the cell
 *
 * The sequences of a batch do not depend on each other: a tile of some of them runs through all steps by itself,
 * without waiting for others, with V packed once for all. Backward runs the steps from the last to the first in the
 * same tiles and leaves the gradients of the sums, d (T N, columns), from which one product each makes those of W, V
 * and x.
 *
 * What is always true: an element of h V is one chain of fused multiply-adds in ascending k (gemm_micro.h), so a
 * sequence has the same bits in any batch and tile. */
#include "kernels/isa/gemm_micro.h"
#include "kernels/isa/recurrent_cells.h"

enum {
    TILE_ROWS = 16,  /* sequences in a tile at most: they share each pass over V */
    SUM_COLUMNS = 64,
    SUM_ROWS = 256   /* sums over rows are made of sums over so many */
};

typedef struct recurrent_run {
    const dl_recurrent_sizes *s;
    const dl_recurrent_arrays *a;
    const dl_recurrent_gradients *g; /* backward */
    real *y;                         /* forward */
    int64_t columns;                 /* of a row of gates */
    int64_t gate_columns;            /* of a row of W and V */
    int64_t rows_per_tile;
    real *panels, *reset_panels; /* V, packed; what the reset gate is before, apart */
    real *d;                     /* backward: gradients of the sums, as gates */
    real *scratch;               /* tile_room for each worker */
    int64_t tile_room;
    real *d_steps; /* gradient of steps */
    real *sums;    /* of the columns of d */
} recurrent_run;

/* ---- packed matrices --------------------------------------------------------------------------------------------- */

static int64_t whole_vectors(int64_t columns) {
    return (columns + LANES - 1) / LANES * LANES;
}

/* B (rows, columns) as panels of PANEL columns, each filled up to whole vectors; returns the place after them. B is
 * `from` with a stride, or its transpose. */
static real *pack_panels(real *to, const real *from, int64_t stride, bool transposed, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j += PANEL) {
        int64_t width = DL_MIN(columns - j, PANEL);
        int64_t whole = whole_vectors(width);
        if (transposed)
            pack_transposed(to, whole, from + j * stride, stride, rows, width);
        else
            pack_rows(to, whole, from + j, stride, rows, width);
        to += rows * whole;
    }
    return to;
}

/* C (rows, columns) (+)= A B, as p says but for b_row, which the panels have. */
static void times_panels(product p, int64_t rows, int64_t columns, const real *a, const real *panels, real *c,
                         const real *bias) {
    for (int64_t j = 0; j < columns; j += PANEL) {
        int64_t width = DL_MIN(columns - j, PANEL);
        p.b_row = whole_vectors(width);
        product_columns(&p, rows, width, a, panels, c + j, bias ? bias + j : NULL);
        panels += p.segments * p.k * p.b_row;
    }
}

/* V as the cell's products take it. Forward: gru has the columns of z and r in one matrix, those of g in another.
 * Backward: the transposes; only where the reset comes before the product g is apart. */
static dl_status pack_recurrent(dl_context *context, recurrent_run *run, bool transposed) {
    int64_t U = run->s->U, G = dl_cell_gates(run->s->cell);
    const real *v = run->a->recurrent;
    bool apart = run->s->cell == DL_CELL_GRU_RESET_BEFORE || (run->s->cell == DL_CELL_GRU && !transposed);
    int64_t together = apart ? 2 * U : G * U;
    run->panels = dl_alloc_array(context, (size_t)((G + 1) * (U + LANES)), sizeof(real) * (size_t)(U + LANES));
    if (!run->panels)
        return DL_MEMORY;
    if (transposed) {
        run->reset_panels = pack_panels(run->panels, v, G * U, true, together, U);
        if (apart)
            pack_panels(run->reset_panels, v + 2 * U, G * U, true, U, U);
    } else {
        run->reset_panels = pack_panels(run->panels, v, G * U, false, U, together);
        if (apart)
            pack_panels(run->reset_panels, v + 2 * U, G * U, false, U, U);
    }
    return DL_OK;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* Some sequences of the batch. */
typedef struct tile_rows {
    int64_t first, count;
    int64_t first_valid[TILE_ROWS]; /* step from which on a sequence has an output */
} tile_rows;

static int64_t place_of_step(const dl_recurrent_sizes *s, int64_t step) {
    return s->go_backwards ? s->T - 1 - step : step;
}

static bool is_valid(const recurrent_run *run, int64_t sequence, int64_t step) {
    return !run->a->mask || run->a->mask[sequence * run->s->T + place_of_step(run->s, step)];
}

static tile_rows rows_of_tile(const recurrent_run *run, int64_t tile) {
    tile_rows rows = {.first = tile * run->rows_per_tile};
    rows.count = DL_MIN(run->rows_per_tile, run->s->N - rows.first);
    for (int64_t i = 0; i < rows.count; i++)
        while (rows.first_valid[i] < run->s->T && !is_valid(run, rows.first + i, rows.first_valid[i]))
            rows.first_valid[i]++;
    return rows;
}

/* Whether the output of a step is the state after it; else it is zero. */
static bool is_shown(const recurrent_run *run, const tile_rows *rows, int64_t i, int64_t step) {
    return run->s->zero_masked ? is_valid(run, rows->first + i, step) : step >= rows->first_valid[i];
}

/* The states before a step as they go into the products: h, or, with recurrent dropout, h times drop, put into
 * `dropped` (count, U). */
static const real *operands_of(const recurrent_run *run, const tile_rows *rows, int64_t step, real *dropped) {
    int64_t U = run->s->U;
    const real *h = (const real *)run->a->h + (step * run->s->N + rows->first) * U;
    if (!run->a->drop)
        return h;
    const real *drop = (const real *)run->a->drop + rows->first * U;
    for (int64_t i = 0; i < rows->count * U; i++)
        dropped[i] = h[i] * drop[i];
    return dropped;
}

static int64_t tiles_of(const recurrent_run *run) {
    return (run->s->N + run->rows_per_tile - 1) / run->rows_per_tile;
}

static int threads_of(dl_context *context, const recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    double sums = (double)s->T * (double)s->N * (double)run->columns;
    return dl_threads_for(context, sums * ((double)s->U / (5.0 * LANES) + 1));
}

static recurrent_run begin_run(const dl_recurrent_arrays *arrays, const dl_recurrent_sizes *s) {
    recurrent_run run = {.s = s, .a = arrays};
    run.columns = dl_cell_columns(s->cell) * s->U;
    run.gate_columns = dl_cell_gates(s->cell) * s->U;
    run.rows_per_tile = DL_MAX(1, DL_MIN(TILE_ROWS, (s->N + 1) / 2));
    return run;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* steps[s] = x at s, for one step. */
static void copy_step(void *argument, int64_t step, int worker) {
    const recurrent_run *run = argument;
    const dl_recurrent_sizes *s = run->s;
    (void)worker;
    const real *from = (const real *)run->a->x + place_of_step(s, step) * s->F;
    real *to = (real *)run->a->steps + step * s->N * s->F;
    for (int64_t n = 0; n < s->N; n++)
        memcpy(to + n * s->F, from + n * s->T * s->F, (size_t)s->F * sizeof(real));
}

/* The products of the states with V, added to the gates of a tile's rows, z. */
static void add_state_products(const recurrent_run *run, const tile_rows *rows, real *z, const real *operands) {
    int64_t U = run->s->U, W = run->columns;
    product p = {.segments = 1, .k = U, .a_row = U, .a_column = 1, .c_row = W, .accumulate = true};
    product assigning = p;
    assigning.accumulate = false;
    if (run->s->cell == DL_CELL_GRU) {
        const real *bias = run->a->bias ? (const real *)run->a->bias + 3 * U : NULL;
        times_panels(p, rows->count, 2 * U, operands, run->panels, z, bias);
        times_panels(assigning, rows->count, U, operands, run->reset_panels, z + 3 * U, bias ? bias + 2 * U : NULL);
        return;
    }
    if (run->s->cell != DL_CELL_GRU_RESET_BEFORE) {
        times_panels(p, rows->count, run->gate_columns, operands, run->panels, z, NULL);
        return;
    }
    times_panels(p, rows->count, 2 * U, operands, run->panels, z, NULL);
    for (int64_t i = 0; i < rows->count; i++)
        gru_reset(U, z + i * W, operands + i * U);
    p.a_row = W;
    times_panels(p, rows->count, U, z + 3 * U, run->reset_panels, z + 2 * U, NULL);
}

/* The states after a step of one sequence, from its gates. */
static void run_cell(const recurrent_run *run, real *z, const real *h_before, real *h, const real *c_before, real *c) {
    switch (run->s->cell) {
    case DL_CELL_SIMPLE:
        simple_forward(run->s->U, z, h);
        break;
    case DL_CELL_LSTM:
        lstm_forward(run->s->U, z, c_before, c, h);
        break;
    case DL_CELL_GRU:
        gru_forward(run->s->U, z, h_before, h);
        break;
    case DL_CELL_GRU_RESET_BEFORE:
        gru_mix(run->s->U, z, h_before, h);
        break;
    }
}

static void write_output(const recurrent_run *run, const tile_rows *rows, int64_t i, int64_t step, const real *h) {
    const dl_recurrent_sizes *s = run->s;
    if (!s->sequences && step < s->T - 1)
        return;
    int64_t at = s->sequences ? (rows->first + i) * s->T + step : rows->first + i;
    real *to = run->y + at * s->U;
    if (is_shown(run, rows, i, step))
        memcpy(to, h, (size_t)s->U * sizeof(real));
    else
        memset(to, 0, (size_t)s->U * sizeof(real));
}

static void forward_step(const recurrent_run *run, const tile_rows *rows, int64_t step, real *dropped) {
    const dl_recurrent_sizes *s = run->s;
    int64_t U = s->U, before = (step * s->N + rows->first) * U, after = before + s->N * U;
    real *h = run->a->h, *c = run->a->c;
    real *z = (real *)run->a->gates + (step * s->N + rows->first) * run->columns;
    add_state_products(run, rows, z, operands_of(run, rows, step, dropped));
    for (int64_t i = 0; i < rows->count; i++) {
        int64_t at = i * U;
        if (is_valid(run, rows->first + i, step)) {
            run_cell(run, z + i * run->columns, h + before + at, h + after + at, c ? c + before + at : NULL,
                     c ? c + after + at : NULL);
        } else {
            memcpy(h + after + at, h + before + at, (size_t)U * sizeof(real));
            if (c)
                memcpy(c + after + at, c + before + at, (size_t)U * sizeof(real));
        }
        write_output(run, rows, i, step, h + after + at);
    }
}

static void set_initial(void *to, const void *from, int64_t count) {
    if (from)
        memcpy(to, from, (size_t)count * sizeof(real));
    else
        memset(to, 0, (size_t)count * sizeof(real));
}

static void forward_tile(void *argument, int64_t tile, int worker) {
    const recurrent_run *run = argument;
    tile_rows rows = rows_of_tile(run, tile);
    real *dropped = run->scratch + worker * run->tile_room;
    for (int64_t step = 0; step < run->s->T; step++)
        forward_step(run, &rows, step, dropped);
}

/* gates = steps W + b, of all steps at once. */
static dl_status multiply_inputs(dl_context *context, const recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    dl_gemm_sizes sizes = {.batch = 1, .M = s->T * s->N, .N = run->gate_columns, .K = s->F, .a_row = s->F,
                           .a_column = 1, .b_row = run->gate_columns, .b_column = 1, .c_row = run->columns};
    return KERNEL(gemm)(context, run->a->gates, run->a->steps, run->a->kernel, run->a->bias, &sizes, 0, false);
}

static dl_status run_forward(dl_context *context, recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    int threads = threads_of(context, run);
    set_initial(run->a->h, run->a->initial_h, s->N * s->U);
    if (run->a->c)
        set_initial(run->a->c, run->a->initial_c, s->N * s->U);
    double copied = (double)s->T * (double)s->N * (double)s->F / LANES;
    DL_TRY(dl_parallel(context, s->T, dl_threads_for(context, copied), copy_step, run));
    DL_TRY(multiply_inputs(context, run));
    DL_TRY(pack_recurrent(context, run, false));
    run->tile_room = run->rows_per_tile * s->U;
    run->scratch = dl_alloc_array(context, (size_t)(threads * run->tile_room), sizeof(real));
    if (!run->scratch)
        return DL_MEMORY;
    return dl_parallel(context, tiles_of(run), threads, forward_tile, run);
}

dl_status KERNEL(recurrent)(dl_context *context, real *y, const dl_recurrent_arrays *arrays,
                            const dl_recurrent_sizes *s) {
    if (s->N <= 0 || s->U <= 0)
        return DL_OK;
    recurrent_run run = begin_run(arrays, s);
    run.y = y;
    dl_status status = run_forward(context, &run);
    dl_free(run.panels);
    dl_free(run.scratch);
    return status;
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* dh += the gradient of the output of a step. */
static void add_output_gradient(const recurrent_run *run, const tile_rows *rows, int64_t i, int64_t step, real *dh) {
    const dl_recurrent_sizes *s = run->s;
    const real *grad_y = run->g->grad_y;
    if (!grad_y || (!s->sequences && step < s->T - 1) || !is_shown(run, rows, i, step))
        return;
    grad_y += (s->sequences ? (rows->first + i) * s->T + step : rows->first + i) * s->U;
    for (int64_t u = 0; u < s->U; u++)
        dh[u] += grad_y[u];
}

/* The gradients of the sums, d, of one sequence; dh becomes what passes the products by. */
static void run_cell_backward(const recurrent_run *run, int64_t row, real *d, real *dh, real *dc) {
    int64_t U = run->s->U, after = (row + run->s->N) * U;
    const real *z = (const real *)run->a->gates + row * run->columns;
    const real *h_before = (const real *)run->a->h + row * U;
    const real *c = run->a->c;
    switch (run->s->cell) {
    case DL_CELL_SIMPLE:
        simple_backward(U, d, z, dh);
        break;
    case DL_CELL_LSTM:
        lstm_backward(U, d, z, c + row * U, c + after, dh, dc);
        break;
    case DL_CELL_GRU:
        gru_backward(U, d, z, h_before, dh);
        break;
    case DL_CELL_GRU_RESET_BEFORE:
        gru_mix_backward(U, d, z, h_before, dh);
        break;
    }
}

/* Gradients of the operands of a tile at a step, (count, U), through V; completes d where the reset comes before the
 * product. */
static void operand_gradients(const recurrent_run *run, const tile_rows *rows, int64_t step, real *d, real *dropped,
                              real *out) {
    int64_t U = run->s->U, W = run->columns;
    product p = {.segments = 1, .k = run->gate_columns, .a_row = W, .a_column = 1, .c_row = U};
    const int64_t parts[] = {0, U, 3 * U};
    if (run->s->cell == DL_CELL_GRU) {
        p.segments = 3;
        p.a_segment = parts;
        p.k = U;
    }
    if (run->s->cell == DL_CELL_GRU_RESET_BEFORE) {
        const real *operands = operands_of(run, rows, step, dropped);
        const real *z = (const real *)run->a->gates + (step * run->s->N + rows->first) * W;
        p.k = U;
        times_panels(p, rows->count, U, d + 2 * U, run->reset_panels, out, NULL);
        for (int64_t i = 0; i < rows->count; i++) {
            bool valid = is_valid(run, rows->first + i, step);
            if (valid)
                gru_reset_backward(U, d + i * W, z + i * W, operands + i * U, out + i * U);
        }
        p.k = 2 * U;
        p.accumulate = true;
    }
    times_panels(p, rows->count, U, d, run->panels, out, NULL);
}

/* dh and dc of a tile, from after the step to before it. */
static void backward_step(const recurrent_run *run, const tile_rows *rows, int64_t step, real *dh, real *dc,
                          real *dropped, real *through) {
    int64_t U = run->s->U, first = step * run->s->N + rows->first;
    real *d = run->d + first * run->columns;
    for (int64_t i = 0; i < rows->count; i++) {
        add_output_gradient(run, rows, i, step, dh + i * U);
        if (is_valid(run, rows->first + i, step))
            run_cell_backward(run, first + i, d + i * run->columns, dh + i * U, dc + i * U);
        else
            memset(d + i * run->columns, 0, (size_t)run->columns * sizeof(real));
    }
    operand_gradients(run, rows, step, d, dropped, through);
    const real *drop = run->a->drop ? (const real *)run->a->drop + rows->first * U : NULL;
    for (int64_t i = 0; i < rows->count * U; i++)
        dh[i] += drop ? through[i] * drop[i] : through[i];
}

static void backward_tile(void *argument, int64_t tile, int worker) {
    const recurrent_run *run = argument;
    const dl_recurrent_gradients *g = run->g;
    tile_rows rows = rows_of_tile(run, tile);
    int64_t size = rows.count * run->s->U, at = rows.first * run->s->U, part = run->rows_per_tile * run->s->U;
    real *dh = run->scratch + worker * run->tile_room, *dc = dh + part;
    set_initial(dh, g->grad_h ? (const real *)g->grad_h + at : NULL, size);
    set_initial(dc, g->grad_c ? (const real *)g->grad_c + at : NULL, size);
    for (int64_t step = run->s->T - 1; step >= 0; step--)
        backward_step(run, &rows, step, dh, dc, dc + part, dc + 2 * part);
    if (g->grad_initial_h)
        memcpy((real *)g->grad_initial_h + at, dh, (size_t)size * sizeof(real));
    if (g->grad_initial_c)
        memcpy((real *)g->grad_initial_c + at, dc, (size_t)size * sizeof(real));
}

/* The rows of a step of d_steps back to their place in the gradient of x. */
static void copy_step_back(void *argument, int64_t step, int worker) {
    const recurrent_run *run = argument;
    const dl_recurrent_sizes *s = run->s;
    (void)worker;
    real *to = (real *)run->g->grad_x + place_of_step(s, step) * s->F;
    const real *from = run->d_steps + step * s->N * s->F;
    for (int64_t n = 0; n < s->N; n++)
        memcpy(to + n * s->T * s->F, from + n * s->F, (size_t)s->F * sizeof(real));
}

static dl_status input_gradient(dl_context *context, recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    dl_gemm_sizes sizes = {.batch = 1, .M = s->T * s->N, .N = s->F, .K = run->gate_columns, .a_row = run->columns,
                           .a_column = 1, .b_row = 1, .b_column = run->gate_columns, .c_row = s->F};
    run->d_steps = dl_alloc_array(context, (size_t)(s->T * s->N), sizeof(real) * (size_t)s->F);
    if (!run->d_steps)
        return DL_MEMORY;
    dl_status status = KERNEL(gemm)(context, run->d_steps, run->d, run->a->kernel, NULL, &sizes, 0, false);
    double copied = (double)s->T * (double)s->N * (double)s->F / LANES;
    if (status == DL_OK)
        status = dl_parallel(context, s->T, dl_threads_for(context, copied), copy_step_back, run);
    dl_free(run->d_steps);
    return status;
}

/* out (rows, columns), of a matrix with gate_columns = A^T d, summed over all steps: A (T N, rows) with a stride, d
 * from column `from` on. */
static dl_status weight_gradient(dl_context *context, const recurrent_run *run, real *out, const real *a,
                                 int64_t a_stride, int64_t rows, int64_t from, int64_t columns) {
    dl_gemm_sizes sizes = {.batch = 1, .M = rows, .N = columns, .K = run->s->T * run->s->N, .a_row = 1,
                           .a_column = a_stride, .b_row = run->columns, .b_column = 1, .c_row = run->gate_columns};
    return KERNEL(gemm)(context, out, a, run->d + from, NULL, &sizes, 0, false);
}

/* Both parts where the columns of g have sums of their own, else all columns at once. operands (T N, U). */
static dl_status recurrent_gradient(dl_context *context, const recurrent_run *run, const real *operands) {
    int64_t U = run->s->U;
    real *out = run->g->grad_recurrent;
    if (run->s->cell == DL_CELL_SIMPLE || run->s->cell == DL_CELL_LSTM)
        return weight_gradient(context, run, out, operands, U, U, 0, run->gate_columns);
    DL_TRY(weight_gradient(context, run, out, operands, U, U, 0, 2 * U));
    if (run->s->cell == DL_CELL_GRU)
        return weight_gradient(context, run, out + 2 * U, operands, U, U, 3 * U, U);
    const real *reset = (const real *)run->a->gates + 3 * U;
    return weight_gradient(context, run, out + 2 * U, reset, run->columns, U, 2 * U, U);
}

static dl_status recurrent_gradient_dropped(dl_context *context, const recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    int64_t states = s->N * s->U;
    const real *h = run->a->h, *drop = run->a->drop;
    if (!drop)
        return recurrent_gradient(context, run, h);
    real *operands = dl_alloc_array(context, (size_t)s->T, sizeof(real) * (size_t)states);
    if (!operands)
        return DL_MEMORY;
    for (int64_t step = 0; step < s->T; step++)
        for (int64_t i = 0; i < states; i++)
            operands[step * states + i] = h[step * states + i] * drop[i];
    dl_status status = recurrent_gradient(context, run, operands);
    dl_free(operands);
    return status;
}

/* Columns of d that are gradients of sums: with the reset before the product the fourth part has none. */
static int64_t summed_columns(const recurrent_run *run) {
    return run->s->cell == DL_CELL_GRU_RESET_BEFORE ? run->gate_columns : run->columns;
}

/* Sums of SUM_COLUMNS columns of d over all rows. */
static void sum_columns(void *argument, int64_t tile, int worker) {
    const recurrent_run *run = argument;
    (void)worker;
    int64_t first = tile * SUM_COLUMNS, rows = run->s->T * run->s->N;
    int64_t width = DL_MIN(SUM_COLUMNS, summed_columns(run) - first);
    real total[SUM_COLUMNS] = {0};
    for (int64_t from = 0; from < rows; from += SUM_ROWS) {
        real part[SUM_COLUMNS] = {0};
        for (int64_t row = from; row < DL_MIN(from + SUM_ROWS, rows); row++)
            for (int64_t j = 0; j < width; j++)
                part[j] += run->d[row * run->columns + first + j];
        for (int64_t j = 0; j < width; j++)
            total[j] += part[j];
    }
    memcpy(run->sums + first, total, (size_t)width * sizeof(real));
}

static dl_status bias_gradient(dl_context *context, recurrent_run *run) {
    int64_t U = run->s->U;
    real *out = run->g->grad_bias;
    run->sums = dl_alloc_array(context, (size_t)run->columns, sizeof(real));
    if (!run->sums)
        return DL_MEMORY;
    int64_t tiles = (summed_columns(run) + SUM_COLUMNS - 1) / SUM_COLUMNS;
    double work = (double)(run->s->T * run->s->N) * (double)run->columns / LANES;
    dl_status status = dl_parallel(context, tiles, dl_threads_for(context, work), sum_columns, run);
    if (status == DL_OK) {
        memcpy(out, run->sums, (size_t)run->gate_columns * sizeof(real));
        if (run->s->cell == DL_CELL_GRU) {
            memcpy(out + 3 * U, run->sums, (size_t)(2 * U) * sizeof(real));
            memcpy(out + 5 * U, run->sums + 3 * U, (size_t)U * sizeof(real));
        }
    }
    dl_free(run->sums);
    return status;
}

/* What the gradients of the sums give. */
static dl_status finish_gradients(dl_context *context, recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    const dl_recurrent_gradients *g = run->g;
    if (g->grad_x)
        DL_TRY(input_gradient(context, run));
    if (g->grad_kernel)
        DL_TRY(weight_gradient(context, run, g->grad_kernel, run->a->steps, s->F, s->F, 0, run->gate_columns));
    if (g->grad_recurrent)
        DL_TRY(recurrent_gradient_dropped(context, run));
    return g->grad_bias ? bias_gradient(context, run) : DL_OK;
}

static dl_status run_backward(dl_context *context, recurrent_run *run) {
    const dl_recurrent_sizes *s = run->s;
    int threads = threads_of(context, run);
    DL_TRY(pack_recurrent(context, run, true));
    run->tile_room = 4 * run->rows_per_tile * s->U; /* dh, dc, dropped states, gradients through V */
    run->scratch = dl_alloc_array(context, (size_t)(threads * run->tile_room), sizeof(real));
    run->d = dl_alloc_array(context, (size_t)(s->T * s->N), sizeof(real) * (size_t)run->columns);
    if (!run->scratch || !run->d)
        return DL_MEMORY;
    DL_TRY(dl_parallel(context, tiles_of(run), threads, backward_tile, run));
    return finish_gradients(context, run);
}

dl_status KERNEL(recurrent_backward)(dl_context *context, const dl_recurrent_gradients *gradients,
                                     const dl_recurrent_arrays *arrays, const dl_recurrent_sizes *s) {
    if (s->U <= 0)
        return DL_OK;
    recurrent_run run = begin_run(arrays, s);
    run.g = gradients;
    dl_status status = run_backward(context, &run);
    dl_free(run.panels);
    dl_free(run.scratch);
    dl_free(run.d);
    return status;
}
