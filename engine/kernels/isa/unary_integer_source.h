/* kernels/isa/unary_integer_source.h: the loops of the unary table for one integer type: I, its unsigned twin U and
 * LOOP(name) and SATURATE are set by the including file. */

#define X(name, value)                                                                                                 \
    static void LOOP(value_##name)(int64_t n, I *out, const I *in, I p0, I p1) {                                       \
        (void)p0;                                                                                                      \
        (void)p1;                                                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                                          \
            I x = in[i];                                                                                               \
            out[i] = value;                                                                                            \
        }                                                                                                              \
    }
DL_UNARY_INTEGER_ROWS(X)
#undef X

/* NULL for rows that integers have not. */
static void (*const LOOP(values)[DL_UNARY_COUNT])(int64_t n, I *out, const I *in, I p0, I p1) = {
#define X(name, value) [DL_UNARY_##name] = LOOP(value_##name),
    DL_UNARY_INTEGER_ROWS(X)
#undef X
};

static void LOOP(value_block)(void *argument, int64_t n, void *const *at) {
    const unary_call *call = argument;
    I p0 = SATURATE(call->parameters[0]);
    I p1 = SATURATE(call->parameters[1]);
    LOOP(values)[call->function](n, at[0], at[1], p0, p1);
}
