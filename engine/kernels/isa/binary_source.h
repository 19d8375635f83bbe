/* kernels/isa/binary_source.h: the loops of the binary table for one real type: R and LOOP(name) are set by
 * both_reals.h. */

#define VALUE_LOOP(name, value)                                                                                        \
    static void LOOP(value_##name)(int64_t n, R * out, const R *left, const R *right, R p0) {                          \
        (void)p0;                                                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            R a = left[i];                                                                                             \
            R b = right[i];                                                                                            \
            out[i] = value;                                                                                            \
        }                                                                                                              \
    }

#define GRADIENT_LOOP(name, gradient)                                                                                  \
    static void LOOP(name)(int64_t n, R * out, const R *grad, const R *left, const R *right, R p0) {                   \
        (void)p0;                                                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            R g = grad[i];                                                                                             \
            R a = left[i];                                                                                             \
            R b = right[i];                                                                                            \
            (void)g;                                                                                                   \
            (void)a;                                                                                                   \
            (void)b;                                                                                                   \
            out[i] = gradient;                                                                                         \
        }                                                                                                              \
    }

#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help)                                      \
    VALUE_LOOP(name, value)                                                                                            \
    GRADIENT_LOOP(gradient_a_##name, gradient_a)                                                                       \
    GRADIENT_LOOP(gradient_b_##name, gradient_b)
DL_BINARY_ROWS(X)
#undef X

static void (*const LOOP(values)[])(int64_t n, R *out, const R *left, const R *right, R p0) = {
#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help) LOOP(value_##name),
    DL_BINARY_ROWS(X)
#undef X
};

static void (*const LOOP(gradients)[][2])(int64_t n, R *out, const R *grad, const R *left, const R *right, R p0) = {
#define X(name, parameters, formula, domain, value, gradient_a, gradient_b, help)                                      \
    {LOOP(gradient_a_##name), LOOP(gradient_b_##name)},
    DL_BINARY_ROWS(X)
#undef X
};

static void LOOP(value_block)(void *argument, int64_t n, void *const *at) {
    const binary_call *call = argument;
    LOOP(values)[call->function](n, at[0], at[1], at[2], (R)call->parameter);
}

static void LOOP(gradient_block)(void *argument, int64_t n, void *const *at) {
    const binary_call *call = argument;
    LOOP(gradients)[call->function][call->which](n, at[0], at[1], at[2], at[3], (R)call->parameter);
}

#undef VALUE_LOOP
#undef GRADIENT_LOOP
