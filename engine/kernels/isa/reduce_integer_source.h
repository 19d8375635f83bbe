/* kernels/isa/reduce_integer_source.h: the reductions of one integer type: T and LOOP(name) are set by all_integers.h,
 * REDUCE by reduce.c. Accumulators are int64_t and wrap. */

#define READ(x) (int64_t)(x)
INTEGER_REDUCTIONS(REDUCE)
#undef READ

static void LOOP(finish)(int64_t columns, void *to, const void *from, double divisor) {
    (void)divisor;
    T *out = to;
    const int64_t *total = from;
    for (int64_t i = 0; i < columns; i++)
        out[i] = (T)total[i];
}
