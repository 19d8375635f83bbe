/* kernels/isa/gradient_source.h: gradients of max, min and prod, and running sums, for one real type: R and LOOP(name)
 * are set by the including file. A column is n elements, inner apart. */

/* The gradient is shared among the elements equal to the extreme (or NaN as it is). */
static void LOOP(extreme_column)(int64_t n, int64_t inner, R *dx, R g, const R *x, R y) {
    int64_t ties = 0;
    for (int64_t k = 0; k < n; k++)
        ties += x[k * inner] == y || (IS_NAN(y) && IS_NAN(x[k * inner]));
    R share = g / (R)ties;
    for (int64_t k = 0; k < n; k++)
        dx[k * inner] = x[k * inner] == y || (IS_NAN(y) && IS_NAN(x[k * inner])) ? share : (R)0;
}

static void LOOP(extreme_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const arg_call *call = argument;
    int64_t at = o * call->n * call->inner + column, reduced = o * call->inner + column;
    for (int64_t i = 0; i < columns; i++)
        LOOP(extreme_column)
        (call->n, call->inner, (R *)call->out + at + i, ((const R *)call->g)[reduced + i], (const R *)call->x + at + i,
         ((const R *)call->y)[reduced + i]);
}

/* g times the product of all others: with one zero it alone has a gradient, with two none has. */
static void LOOP(prod_column)(int64_t n, int64_t inner, R *dx, R g, const R *x) {
    double product = (double)g;
    int64_t zeros = 0;
    for (int64_t k = 0; k < n; k++) {
        zeros += x[k * inner] == 0;
        product *= x[k * inner] == 0 ? 1.0 : (double)x[k * inner];
    }
    for (int64_t k = 0; k < n; k++) {
        double others = x[k * inner] == 0 ? product : zeros > 0 ? 0.0 : product / (double)x[k * inner];
        dx[k * inner] = zeros > 1 ? (R)0 : (R)others;
    }
}

static void LOOP(prod_unit)(void *argument, int64_t o, int64_t column, int64_t columns) {
    const arg_call *call = argument;
    int64_t at = o * call->n * call->inner + column, reduced = o * call->inner + column;
    for (int64_t i = 0; i < columns; i++)
        LOOP(prod_column)
        (call->n, call->inner, (R *)call->out + at + i, ((const R *)call->g)[reduced + i], (const R *)call->x + at + i);
}
