/* kernels/isa/unary_source.h: the loops of the unary table for one element type: R (the type) and LOOP(name) (their
 * names) are set by both_reals.h. */

#define X(name, needs, parameters, formula, domain, value, gradient, help)                                             \
    static void LOOP(value_##name)(int64_t n, R * out, const R *in, R p0, R p1) {                                      \
        (void)p0;                                                                                                      \
        (void)p1;                                                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            R x = in[i];                                                                                               \
            out[i] = value;                                                                                            \
        }                                                                                                              \
    }
DL_UNARY_ROWS(X)
#undef X

#define LOAD_NOTHING
#define LOAD_X R x = saved[i];
#define LOAD_Y R y = saved[i];
#define X(name, needs, parameters, formula, domain, value, gradient, help)                                             \
    static void LOOP(gradient_##name)(int64_t n, R * out, const R *grad, const R *saved, R p0, R p1) {                 \
        (void)saved;                                                                                                   \
        (void)p0;                                                                                                      \
        (void)p1;                                                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            R g = grad[i];                                                                                             \
            (void)g;                                                                                                   \
            LOAD_##needs out[i] = gradient;                                                                            \
        }                                                                                                              \
    }
DL_UNARY_ROWS(X)
#undef X
#undef LOAD_NOTHING
#undef LOAD_X
#undef LOAD_Y

static void (*const LOOP(values)[])(int64_t n, R *out, const R *in, R p0, R p1) = {
#define X(name, needs, parameters, formula, domain, value, gradient, help) LOOP(value_##name),
    DL_UNARY_ROWS(X)
#undef X
};

static void (*const LOOP(gradients)[])(int64_t n, R *out, const R *grad, const R *saved, R p0, R p1) = {
#define X(name, needs, parameters, formula, domain, value, gradient, help) LOOP(gradient_##name),
    DL_UNARY_ROWS(X)
#undef X
};

/* True if an angle is out of the range of the own sine, cosine and tangent. */
static bool LOOP(beyond)(int64_t n, const R *angles) {
    int found = 0;
    for (int64_t i = 0; i < n; i++)
        found |= m_abs(angles[i]) > (R)DL_SIN_LIMIT;
    return found;
}

/* One angle beyond that range, by the C library. */
static R LOOP(beyond_value)(dl_unary function, R x) {
    if (function == DL_UNARY_tan)
        return DL_LIBM_(tan)(x);
    return function == DL_UNARY_sin ? DL_LIBM_(sin)(x) : DL_LIBM_(cos)(x);
}

static R LOOP(beyond_gradient)(dl_unary function, R g, R x) {
    return function == DL_UNARY_sin ? g * DL_LIBM_(cos)(x) : -g * DL_LIBM_(sin)(x);
}

static void LOOP(value_block)(void *argument, int64_t n, void *const *at) {
    const unary_call *call = argument;
    R *out = at[0];
    const R *x = at[1];
    R p0 = (R)call->parameters[0], p1 = (R)call->parameters[1];
    bool periodic = call->periodic || call->function == DL_UNARY_tan;
    if (!periodic || !LOOP(beyond)(n, x)) {
        LOOP(values)[call->function](n, out, x, p0, p1);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (LOOP(beyond)(1, x + i))
            out[i] = LOOP(beyond_value)(call->function, x[i]);
        else
            LOOP(values)[call->function](1, out + i, x + i, p0, p1);
    }
}

static void LOOP(gradient_block)(void *argument, int64_t n, void *const *at) {
    const unary_call *call = argument;
    R *out = at[0];
    const R *g = at[1];
    const R *saved = at[2];
    R p0 = (R)call->parameters[0], p1 = (R)call->parameters[1];
    if (!call->periodic || !LOOP(beyond)(n, saved)) {
        LOOP(gradients)[call->function](n, out, g, saved, p0, p1);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (LOOP(beyond)(1, saved + i))
            out[i] = LOOP(beyond_gradient)(call->function, g[i], saved[i]);
        else
            LOOP(gradients)[call->function](1, out + i, g + i, saved + i, p0, p1);
    }
}
