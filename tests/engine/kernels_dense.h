/* What the tests of the dense kernels share: contexts with one and two threads, the machine's instruction sets, arrays
 * of numbers that look random, and the comparison with a naive twin that counts in float64. */
#ifndef DLUA_TESTS_KERNELS_DENSE_H
#define DLUA_TESTS_KERNELS_DENSE_H

#include <stdlib.h>

#include "check.h"
#include "kernels/kernels.h"

/* Each instruction set that this machine has, as `kernels`. */
static const char *const isa_names[] = {"baseline", "avx2", "avx512"};
#define EACH_ISA(kernels)                                                                                              \
    for (int isa_ = 0; isa_ < 3; isa_++)                                                                               \
        for (const dl_kernels *kernels = dl_kernels_of(isa_names[isa_]); kernels; kernels = NULL)

/* CHECK_TEST for a test of one element type, listed by its full name. */
#define RUN(name)      RUN_(TYPED(name))
#define RUN_(function) CHECK_TEST(function)

#define EACH(i, n) for (int64_t i = 0; i < (n); i++)

static inline dl_context *context_with(int threads) {
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.threads = threads;
    dl_context *context = NULL;
    CHECK(dl_context_create(&options, &context) == DL_OK);
    return context;
}

/* Numbers in [-1, 1) that depend on their place and the salt alone. */
static inline double number(int64_t place, uint64_t salt) {
    uint64_t h = ((uint64_t)place + 1) * 0x9E3779B97F4A7C15u + salt * 0xD1B54A32D192ED03u;
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    return (double)(h >> 11) / 4503599627370496.0 - 1;
}

static inline float *numbers_f32(int64_t count, uint64_t salt) {
    float *a = malloc((size_t)(count + 1) * sizeof *a);
    EACH(i, count) a[i] = (float)number(i, salt);
    return a;
}

static inline double *numbers_f64(int64_t count, uint64_t salt) {
    double *a = malloc((size_t)(count + 1) * sizeof *a);
    EACH(i, count) a[i] = number(i, salt);
    return a;
}

static inline double *zeros_f64(int64_t count) {
    return calloc((size_t)(count + 1), sizeof(double));
}

/* |got - want| <= tolerance (|want| + rms(want)) everywhere; says where the worst is if not. */
#define CLOSE_FUNCTION(suffix, real)                                                                                   \
    static inline bool close_##suffix(const real *got, const double *want, int64_t count, double tolerance) {          \
        double squares = 0, worst = 0;                                                                                 \
        int64_t place = 0;                                                                                             \
        EACH(i, count) squares += want[i] * want[i];                                                                   \
        double rms = count ? sqrt(squares / (double)count) : 0;                                                        \
        EACH(i, count) {                                                                                               \
            double off = fabs((double)got[i] - want[i]) / (fabs(want[i]) + rms + 1e-300);                              \
            if (!(off <= worst)) {                                                                                     \
                worst = off;                                                                                           \
                place = i;                                                                                             \
            }                                                                                                          \
        }                                                                                                              \
        if (!(worst <= tolerance))                                                                                     \
            fprintf(stderr, "    element %" PRId64 ": got %.9g, want %.9g, off by %.3g\n", place, (double)got[place],  \
                    want[place], worst);                                                                               \
        return worst <= tolerance;                                                                                     \
    }
CLOSE_FUNCTION(f32, float)
CLOSE_FUNCTION(f64, double)

#endif
