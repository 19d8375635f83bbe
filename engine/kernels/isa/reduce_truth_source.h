/* kernels/isa/reduce_truth_source.h: any and all for one element type: T and LOOP(name) are set by the including file,
 * REDUCE by reduce.c. Accumulators are int64_t, 0 or 1. */

#define READ(x) ((x) != 0)
TRUTH_REDUCTIONS(REDUCE)
#undef READ
