/* kernels/isa/reduce_truth_source.h: any and all for one element type: T and LOOP(name) are set by the including file.
 * Accumulators are int64_t, 0 or 1. */

#define REDUCE(name, identity, combined)                                                                               \
    static void LOOP(name##_rows)(int64_t rows, int64_t n, const void *from, void *to) {                               \
        const T *in = from;                                                                                            \
        for (int64_t row = 0; row < rows; row++, in += n) {                                                            \
            int64_t a = identity;                                                                                      \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                int64_t x = in[i] != 0;                                                                                \
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
                int64_t x = in[k * inner + i] != 0;                                                                    \
                total[i] = combined;                                                                                   \
            }                                                                                                          \
    }
TRUTH_REDUCTIONS(REDUCE)
#undef REDUCE
