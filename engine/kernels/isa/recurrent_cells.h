/* kernels/isa/recurrent_cells.h: what a cell does to one sequence at one step, for the element type of gemm_real.h: the
 * gates after the products, and the gradients before them. Each row of gates is (columns, U).
 *
 * Always true: all rows are contiguous and none overlaps another but where it is named twice; an element depends on its
 * own unit alone. */
#ifndef DL_KERNELS_ISA_RECURRENT_CELLS_H
#define DL_KERNELS_ISA_RECURRENT_CELLS_H

#include "kernels/isa/gemm_real.h"

#define R real
#include "kernels/isa/math.h"

#define EACH_UNIT _Pragma("omp simd") for (int64_t u = 0; u < U; u++)

/* ---- forward: sums become gates, gates become states ------------------------------------------------------------- */

static void simple_forward(int64_t U, real *restrict z, real *restrict h) {
    EACH_UNIT {
        z[u] = m_tanh(z[u]);
        h[u] = z[u];
    }
}

static void lstm_forward(int64_t U, real *restrict z, const real *restrict c_before, real *restrict c,
                         real *restrict h) {
    real *restrict f = z + U, *restrict g = z + 2 * U, *restrict o = z + 3 * U;
    EACH_UNIT {
        z[u] = m_sigmoid(z[u]);
        f[u] = m_sigmoid(f[u]);
        g[u] = m_tanh(g[u]);
        c[u] = f[u] * c_before[u] + z[u] * g[u];
    }
    EACH_UNIT {
        o[u] = m_sigmoid(o[u]);
        h[u] = o[u] * m_tanh(c[u]);
    }
}

/* The fourth part of z has the product of the state that the reset gate multiplies. */
static void gru_forward(int64_t U, real *restrict z, const real *restrict h_before, real *restrict h) {
    real *restrict r = z + U, *restrict g = z + 2 * U;
    const real *restrict state_product = z + 3 * U;
    EACH_UNIT {
        z[u] = m_sigmoid(z[u]);
        r[u] = m_sigmoid(r[u]);
        g[u] = m_tanh(g[u] + r[u] * state_product[u]);
        h[u] = z[u] * h_before[u] + (1 - z[u]) * g[u];
    }
}

/* The reset before the product: first the state that goes into it, to the fourth part of z ... */
static void gru_reset(int64_t U, real *restrict z, const real *restrict operand) {
    real *restrict r = z + U, *restrict reset = z + 3 * U;
    EACH_UNIT {
        r[u] = m_sigmoid(r[u]);
        reset[u] = r[u] * operand[u];
    }
}

/* ... then, with the product added to the third, the rest. */
static void gru_mix(int64_t U, real *restrict z, const real *restrict h_before, real *restrict h) {
    real *restrict g = z + 2 * U;
    EACH_UNIT {
        z[u] = m_sigmoid(z[u]);
        g[u] = m_tanh(g[u]);
        h[u] = z[u] * h_before[u] + (1 - z[u]) * g[u];
    }
}

/* ---- backward: the gradient of h becomes those of the sums (d), and what passes the products by ------------------ */

static void simple_backward(int64_t U, real *restrict d, const real *restrict z, real *restrict dh) {
    EACH_UNIT {
        d[u] = dh[u] * (1 - z[u] * z[u]);
        dh[u] = 0;
    }
}

static void lstm_backward(int64_t U, real *restrict d, const real *restrict z, const real *restrict c_before,
                          const real *restrict c, real *restrict dh, real *restrict dc) {
    const real *restrict f = z + U, *restrict g = z + 2 * U, *restrict o = z + 3 * U;
    real *restrict df = d + U, *restrict dg = d + 2 * U, *restrict d_o = d + 3 * U;
    EACH_UNIT {
        real t = m_tanh(c[u]);
        real to_c = dc[u] + dh[u] * o[u] * (1 - t * t);
        d_o[u] = dh[u] * t * (o[u] * (1 - o[u]));
        d[u] = to_c * g[u] * (z[u] * (1 - z[u]));
        df[u] = to_c * c_before[u] * (f[u] * (1 - f[u]));
        dg[u] = to_c * z[u] * (1 - g[u] * g[u]);
        dc[u] = to_c * f[u];
        dh[u] = 0;
    }
}

/* d has the gradients of z, r, of the input's part of g, and of the product that the reset gate multiplies. */
static void gru_backward(int64_t U, real *restrict d, const real *restrict z, const real *restrict h_before,
                         real *restrict dh) {
    const real *restrict r = z + U, *restrict g = z + 2 * U, *restrict state_product = z + 3 * U;
    real *restrict dr = d + U, *restrict dg = d + 2 * U, *restrict d_product = d + 3 * U;
    EACH_UNIT {
        real to_g = dh[u] * (1 - z[u]) * (1 - g[u] * g[u]);
        d[u] = dh[u] * (h_before[u] - g[u]) * (z[u] * (1 - z[u]));
        dr[u] = to_g * state_product[u] * (r[u] * (1 - r[u]));
        dg[u] = to_g;
        d_product[u] = to_g * r[u];
        dh[u] *= z[u];
    }
}

/* The reset before the product: first the gradients of z and g ... */
static void gru_mix_backward(int64_t U, real *restrict d, const real *restrict z, const real *restrict h_before,
                             real *restrict dh) {
    const real *restrict g = z + 2 * U;
    real *restrict dg = d + 2 * U;
    EACH_UNIT {
        d[u] = dh[u] * (h_before[u] - g[u]) * (z[u] * (1 - z[u]));
        dg[u] = dh[u] * (1 - z[u]) * (1 - g[u] * g[u]);
        dh[u] *= z[u];
    }
}

/* ... then, with the gradient of the reset state in d_reset, those of r, and of the state in d_reset's place. operand
 * is the state that was reset. */
static void gru_reset_backward(int64_t U, real *restrict d, const real *restrict z, const real *restrict operand,
                               real *restrict d_reset) {
    const real *restrict r = z + U;
    real *restrict dr = d + U;
    EACH_UNIT {
        dr[u] = d_reset[u] * operand[u] * (r[u] * (1 - r[u]));
        d_reset[u] *= r[u];
    }
}

#endif
