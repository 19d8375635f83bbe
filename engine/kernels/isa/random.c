/* kernels/isa/random.c: random numbers and dropout from counter-based streams (Philox 4x32-10, base/random.c).
 *
 * Blocks of POSITIONS positions are drawn at once, a lane each. What an element gets depends on the stream, its
 * position and its place in it alone. */

#include "kernels/elementwise.h"
#include "kernels/isa/convert.h"
#include "kernels/isa/math.h"
#include "kernels/isa/philox.h"
#include "kernels/kernels.h"

/* Positions that are drawn at once, and those of a parallel tile. */
#define POSITIONS      64
#define TILE_POSITIONS 4096

typedef struct random_call {
    dl_distribution distribution;
    dl_element element;
    void *out;
    const void *x; /* dropout */
    dl_stream stream;
    double a, b;
    uint64_t threshold; /* a word below it: 1 of a Bernoulli draw, an element that dropout drops */
    int64_t n, positions;
} random_call;

/* The words of POSITIONS positions from `position` of the call on. */
static void draw(const random_call *call, int64_t position, uint32_t (*words)[POSITIONS]) {
    uint32_t *const rows[4] = {words[0], words[1], words[2], words[3]};
    dl_philox_blocks(&call->stream, call->stream.position + (uint64_t)position, POSITIONS, rows);
}

/* 24 bits of one word, 53 of two, in [0, 1). */
DL_INLINE float narrow_unit(uint32_t (*words)[POSITIONS], int i, int e) {
    return (float)(int32_t)(words[e][i] >> 8) * 0x1p-24f;
}

DL_INLINE double wide_unit(uint32_t (*words)[POSITIONS], int i, int e) {
    double high = (double)(int32_t)(words[2 * e][i] >> 5), low = (double)(int32_t)(words[2 * e + 1][i] >> 6);
    return (high * 0x1p26 + low) * 0x1p-53;
}

/* The inverse of the normal distribution function for 0.02 <= p <= 0.98 (Wichura 1988, algorithm AS 241: PPND16). */
static double normal_quantile(double p) {
    static const double a[] = {2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
                               4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
                               1.3314166789178437745e+2, 3.3871328727963666080e+0};
    static const double b[] = {
        5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4, 2.1213794301586595867e+4,
        5.3941960214247511077e+3, 6.8718700749205790830e+2, 4.2313330701600911252e+1, 1.0};
    static const double c[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                               1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
                               4.63033784615654529590e+0, 1.42343711074968357734e+0};
    static const double d[] = {
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940e+0, 2.05319162663775882187e+0, 1.0};
    double q = p - 0.5;
    bool central = fabs(q) <= 0.425;
    double r = central ? 0.180625 - q * q : sqrt(-dl_log_f64(q < 0 ? p : 1 - p)) - 1.6;
    double above = 0, below = 0;
    for (int i = 0; i < 8; i++) {
        above = above * r + (central ? a[i] : c[i]);
        below = below * r + (central ? b[i] : d[i]);
    }
    return central ? q * above / below : copysign(above / below, q);
}

#define R          float
#define PER_BLOCK  4
#define UNIT       narrow_unit
#define LEAST      0x1p-24
#define LOOP(name) name##_f32
#include "kernels/isa/random_source.h"
#undef R
#undef PER_BLOCK
#undef UNIT
#undef LEAST
#undef LOOP

#define R          double
#define PER_BLOCK  2
#define UNIT       wide_unit
#define LEAST      0x1p-53
#define LOOP(name) name##_f64
#include "kernels/isa/random_source.h"
#undef R
#undef PER_BLOCK
#undef UNIT
#undef LEAST
#undef LOOP

/* ---- whole numbers --------------------------------------------------------------------------------------------- */

static void store_whole(const random_call *call, int64_t at, int64_t value) {
    switch (call->element) {
    case DL_ELEMENT_FLOAT32:
        ((float *)call->out)[at] = (float)value;
        return;
    case DL_ELEMENT_FLOAT64:
        ((double *)call->out)[at] = (double)value;
        return;
    case DL_ELEMENT_INT32:
        ((int32_t *)call->out)[at] = (int32_t)value;
        return;
    case DL_ELEMENT_INT64:
        ((int64_t *)call->out)[at] = value;
        return;
    default:
        ((uint8_t *)call->out)[at] = (uint8_t)value;
    }
}

/* a + floor(count * w / 2^64) for w of 64 bits (Lemire 2019; its bias, below count / 2^64, is left). */
static int64_t whole_of(const random_call *call, const uint32_t low, const uint32_t high) {
    int64_t first = dl_saturate_i64(call->a);
    uint64_t count = (uint64_t)dl_saturate_i64(call->b) - (uint64_t)first + 1;
    uint64_t word = (uint64_t)high << 32 | low;
    uint64_t drawn = count ? (uint64_t)(((unsigned __int128)count * word) >> 64) : word;
    return (int64_t)((uint64_t)first + drawn);
}

static void whole_tile(void *argument, int64_t tile, int worker) {
    (void)worker;
    const random_call *call = argument;
    int per_block = dl_random_per_block(call->distribution, call->element);
    int64_t end = DL_MIN(call->positions, (tile + 1) * TILE_POSITIONS);
    for (int64_t p = tile * TILE_POSITIONS; p < end; p += POSITIONS) {
        uint32_t words[4][POSITIONS];
        draw(call, p, words);
        int64_t n = DL_MIN(call->n - p * per_block, (int64_t)POSITIONS * per_block);
        for (int64_t i = 0; i < n; i++) {
            int64_t lane = i / per_block, e = i % per_block;
            int64_t value = call->distribution == DL_RANDOM_BERNOULLI
                                ? words[e][lane] < call->threshold
                                : whole_of(call, words[2 * e][lane], words[2 * e + 1][lane]);
            store_whole(call, p * per_block + i, value);
        }
    }
}

/* Words below probability * 2^32. */
static uint64_t threshold_of(double probability) {
    return (uint64_t)dl_saturate_i64(DL_MIN(DL_MAX(probability, 0), 1) * 0x1p32);
}

static dl_status run_random(dl_context *context, random_call *call, int per_block, double cost,
                            dl_tile_function function) {
    call->positions = (call->n + per_block - 1) / per_block;
    int64_t tiles = (call->positions + TILE_POSITIONS - 1) / TILE_POSITIONS;
    return dl_parallel(context, tiles, dl_threads_for(context, (double)call->n * cost), function, call);
}

dl_status DL_KERNEL(random)(dl_context *context, dl_distribution distribution, dl_element element, void *out,
                            const dl_stream *stream, double a, double b, int64_t n) {
    random_call call = {.distribution = distribution,
                        .element = element,
                        .out = out,
                        .stream = *stream,
                        .a = a,
                        .b = b,
                        .threshold = threshold_of(a),
                        .n = n};
    int per_block = dl_random_per_block(distribution, element);
    if (distribution == DL_RANDOM_BERNOULLI || distribution == DL_RANDOM_INTEGER)
        return run_random(context, &call, per_block, 2, whole_tile);
    if (element > DL_ELEMENT_FLOAT64)
        return dl_fail(DL_DTYPE, "these random numbers are not whole; they must be float32 or float64, not %s",
                       dl_element_name(element));
    return run_random(context, &call, per_block, distribution == DL_RANDOM_TRUNCATED_NORMAL ? 10 : 1.5,
                      element == DL_ELEMENT_FLOAT32 ? real_tile_f32 : real_tile_f64);
}

dl_status DL_KERNEL(dropout)(dl_context *context, dl_element element, void *y, const void *x, const dl_stream *stream,
                             double rate, double scale, int64_t n) {
    DL_TRY(dl_need_real_element(element, "dropout"));
    random_call call = {
        .element = element, .out = y, .x = x, .stream = *stream, .b = scale, .threshold = threshold_of(rate), .n = n};
    return run_random(context, &call, DL_DROPOUT_PER_BLOCK, 0.8,
                      element == DL_ELEMENT_FLOAT32 ? dropout_tile_f32 : dropout_tile_f64);
}
