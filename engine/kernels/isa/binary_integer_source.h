/* kernels/isa/binary_integer_source.h: the loops of the binary table for one integer type: I, its unsigned twin U,
 * IS_MINUS_ONE(b), ROUNDS_DOWN(a, b) and LOOP(name) are set by the including file. */

#define X(name, value)                                                                                                 \
    static void LOOP(value_##name)(int64_t n, I *out, const I *left, const I *right) {                                 \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            I a = left[i];                                                                                             \
            I b = right[i];                                                                                            \
            out[i] = value;                                                                                            \
        }                                                                                                              \
    }
DL_BINARY_INTEGER_ROWS(X)
DL_BINARY_DIVISION_ROWS(X)
#undef X

/* NULL for rows that integers have not. */
static void (*const LOOP(values)[DL_BINARY_COUNT])(int64_t n, I *out, const I *left, const I *right) = {
#define X(name, value) [DL_BINARY_##name] = LOOP(value_##name),
    DL_BINARY_INTEGER_ROWS(X) DL_BINARY_DIVISION_ROWS(X)
#undef X
};

static void LOOP(value_block)(void *argument, int64_t n, void *const *at) {
    const binary_call *call = argument;
    LOOP(values)[call->function](n, at[0], at[1], at[2]);
}

/* True if operand 2 of the loop, from dimension dim on, has a zero. */
static bool LOOP(any_zero)(const dl_loop *loop, int dim, const void *from) {
    const I *b = from;
    if (dim == loop->dims)
        return *b == 0;
    int64_t step = loop->strides[2][dim];
    int64_t count = step == 0 && loop->shape[dim] > 0 ? 1 : loop->shape[dim];
    for (int64_t i = 0; i < count; i++)
        if (LOOP(any_zero)(loop, dim + 1, b + i * step))
            return true;
    return false;
}
