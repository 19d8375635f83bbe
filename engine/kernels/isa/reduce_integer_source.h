/* kernels/isa/reduce_integer_source.h: the reductions of one integer type: T and LOOP(name) are set by the including
 * file. Accumulators are int64_t and wrap. */

#define REDUCE(name, identity, combined)                                                                               \
    static void LOOP(name##_rows)(int64_t rows, int64_t n, const void *from, void *to) {                               \
        const T *in = from;                                                                                            \
        for (int64_t row = 0; row < rows; row++, in += n) {                                                            \
            int64_t a = identity;                                                                                      \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                int64_t x = (int64_t)in[i];                                                                            \
                a = combined;                                                                                          \
            }                                                                                                          \
            ((int64_t *)to)[row] = a;                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    static void LOOP(name##_columns)(int64_t n, int64_t columns, int64_t inner, const void *from, void *to) {          \
        const T *in = from;                                                                                            \
        int64_t *total = to;                                                                                           \
        for (int64_t i = 0; i < columns; i++)                                                                          \
            total[i] = identity;                                                                                       \
        for (int64_t k = 0; k < n; k++)                                                                                \
            for (int64_t i = 0; i < columns; i++) {                                                                    \
                int64_t a = total[i];                                                                                  \
                int64_t x = (int64_t)in[k * inner + i];                                                                \
                total[i] = combined;                                                                                   \
            }                                                                                                          \
    }
INTEGER_REDUCTIONS(REDUCE)
#undef REDUCE

static void LOOP(finish)(int64_t columns, void *to, const void *from, double divisor) {
    (void)divisor;
    T *out = to;
    const int64_t *total = from;
    for (int64_t i = 0; i < columns; i++)
        out[i] = (T)total[i];
}
