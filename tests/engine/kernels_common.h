/* What the tests of the kernels over elements and rows share: the instruction sets of this machine, a context, simple
 * random numbers, and errors in units in the last place. */
#ifndef DLUA_TESTS_KERNELS_COMMON_H
#define DLUA_TESTS_KERNELS_COMMON_H

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "kernels/elementwise.h"
#include "kernels/kernels.h"

static const char *const isa_names[] = {"baseline", "avx2", "avx512"};

/* for each instruction set that this machine has: const dl_kernels *k */
#define EACH_ISA(k)                                                                                                    \
    for (int isa_index_ = 0; isa_index_ < DL_COUNT(isa_names); isa_index_++)                                           \
        for (const dl_kernels *k = dl_kernels_of(isa_names[isa_index_]); k; k = NULL)

static inline dl_context *test_context(void) {
    static dl_context *context;
    if (!context && dl_context_create(NULL, &context) != DL_OK)
        abort();
    return context;
}

/* xorshift64*: uniform in [0, 1) */
static uint64_t test_seed = 88172645463325252ull;

static inline double test_uniform(double low, double high) {
    test_seed ^= test_seed >> 12;
    test_seed ^= test_seed << 25;
    test_seed ^= test_seed >> 27;
    return low + (high - low) * (double)((test_seed * 2685821657736338717ull) >> 11) * 0x1p-53;
}

/* Memory for count elements of size bytes, from malloc, so that ASan sees its ends. */
static inline void *test_memory(int64_t count, int size) {
    void *memory = calloc((size_t)(count > 0 ? count : 1), (size_t)size);
    if (!memory)
        abort();
    return memory;
}

/* Element i of an array of real elements. */
static inline double test_get(dl_element element, const void *array, int64_t i) {
    return element == DL_ELEMENT_FLOAT32 ? ((const float *)array)[i] : ((const double *)array)[i];
}

static inline void test_set(dl_element element, void *array, int64_t i, double value) {
    if (element == DL_ELEMENT_FLOAT32)
        ((float *)array)[i] = (float)value;
    else
        ((double *)array)[i] = value;
}

/* n uniform elements of a real type. */
static inline void *test_random(dl_element element, int64_t n, double low, double high) {
    void *array = test_memory(n, dl_element_size(element));
    for (int64_t i = 0; i < n; i++)
        test_set(element, array, i, test_uniform(low, high));
    return array;
}

/* |got - want| in units in the last place of want in the element type; what both flush or both overflow to is equal. */
static inline double test_ulps(dl_element element, double got, long double want) {
    bool single = element == DL_ELEMENT_FLOAT32;
    if (isnan(want))
        return isnan(got) ? 0 : INFINITY;
    double smallest = single ? (double)FLT_MIN : DBL_MIN;
    double largest = single ? (double)FLT_MAX : DBL_MAX;
    if (fabsl(want) > (long double)largest)
        return isinf(got) && (got > 0) == (want > 0) ? 0 : fabs(got) == largest ? 1 : INFINITY;
    if (fabsl(want) < (long double)smallest)
        return fabs(got) <= smallest ? 0 : INFINITY;
    int exponent;
    frexpl(want, &exponent);
    long double unit = ldexpl(1, exponent - (single ? FLT_MANT_DIG : DBL_MANT_DIG));
    return (double)(fabsl((long double)got - want) / unit);
}

#endif
