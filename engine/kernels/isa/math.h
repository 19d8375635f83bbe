/* kernels/isa/math.h: exp, log, tanh and their like as inline functions of one float or double, written so that loops
 * over them vectorize under `omp simd` and give the same bits in vectors and alone.
 *
 * What holds for all that are made here: numbers too small to be normal count as zero, as arguments and as results
 * (the engine flushes them, see dl_parallel); NaN gives NaN, infinities and poles give the limits. The largest errors
 * in units in the last place are given beside each and held by tests/engine/test_kernels_math.c. The polynomials are
 * minimax fits (Remez) of the functions named beside them.
 *
 * m_exp(x) and its like are the functions of the element type R (a macro, float or double) of the including file. What
 * is rarely computed in float64 is left to the C library: those loops do not vectorize. */
#ifndef DL_KERNELS_ISA_MATH_H
#define DL_KERNELS_ISA_MATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define DL_INLINE __attribute__((always_inline, unused)) static inline

/* ---- bits ------------------------------------------------------------------------------------------------------ */

DL_INLINE uint32_t dl_bits_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

DL_INLINE uint64_t dl_bits_f64(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

DL_INLINE float dl_from_bits_f32(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

DL_INLINE double dl_from_bits_f64(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Adding this to a small number rounds it to a whole number, which then stands in the low bits of the sum. */
#define DL_ROUND_F32 0x1.8p23f
#define DL_ROUND_F64 0x1.8p52

/* ln 2 in two parts: a multiple of the first by an exponent is exact. */
#define DL_LN2_HIGH_F32 0.693359375f
#define DL_LN2_LOW_F32  -2.12194440e-4f
#define DL_LN2_HIGH_F64 6.93147180369123816490e-01
#define DL_LN2_LOW_F64  1.90821492927058770002e-10

/* ---- exponentials, float32 ------------------------------------------------------------------------------------- */

/* e^r - 1 for |r| <= ln(2) / 2 */
DL_INLINE float dl_expm1_core_f32(float r) {
    float q = 0.000199142301487f;
    q = q * r + 0.0013941050049f;
    q = q * r + 0.00833327295019f;
    q = q * r + 0.0416663541643f;
    q = q * r + 0.166666668175f;
    q = q * r + 0.500000004652f;
    return r + r * r * q;
}

/* x = k ln 2 + r; returns r and leaves k + DL_ROUND_F32 in *rounded. */
DL_INLINE float dl_reduce_ln2_f32(float x, float *rounded) {
    *rounded = x * 1.44269504089f + DL_ROUND_F32;
    float k = *rounded - DL_ROUND_F32;
    return (x - k * DL_LN2_HIGH_F32) - k * DL_LN2_LOW_F32;
}

/* 1 ulp */
DL_INLINE float dl_exp_f32(float x) {
    float rounded;
    float r = dl_reduce_ln2_f32(x, &rounded);
    float q = 0.00139464957394f;
    q = q * r + 0.00836661059675f;
    q = q * r + 0.0416662814178f;
    q = q * r + 0.16666542794f;
    q = q * r + 0.500000006208f;
    float y = 1 + (r + r * r * q);
    y = dl_from_bits_f32(dl_bits_f32(y) + (dl_bits_f32(rounded) << 23));
    y = x < -87.3365448f ? 0.0f : y;
    return x > 88.7228317f ? INFINITY : y;
}

/* 2 ulp */
DL_INLINE float dl_expm1_f32(float x) {
    float rounded;
    float r = dl_reduce_ln2_f32(x, &rounded);
    float p = dl_expm1_core_f32(r);
    float half_scale = dl_from_bits_f32((dl_bits_f32(rounded) + 126) << 23);
    float y = 2 * (half_scale * p + (half_scale - 0.5f));
    y = x < -20.0f ? -1.0f : y;
    return x > 88.7228317f ? INFINITY : y;
}

/* With e = e^-2|x| and t = e - 1: -t / (t + 2) near 0, else 1 - 2 e / (t + 2); 2.5 ulp */
DL_INLINE float dl_tanh_f32(float x) {
    float a = fabsf(x);
    float rounded;
    float r = dl_reduce_ln2_f32(-2 * (a > 16 ? 16.0f : a), &rounded);
    float p = dl_expm1_core_f32(r);
    float half_scale = dl_from_bits_f32((dl_bits_f32(rounded) + 126) << 23);
    float half_t = half_scale * p + (half_scale - 0.5f);
    float half_e = half_scale * p + half_scale;
    float y = (a < 0.625f ? -half_t : -2 * half_e) / (half_t + 1);
    return copysignf(a < 0.625f ? y : 1 + y, x);
}

/* 3 ulp */
DL_INLINE float dl_sigmoid_f32(float x) {
    return 1 / (1 + dl_exp_f32(-x));
}

/* ---- logarithms, float32 --------------------------------------------------------------------------------------- */

/* k ln 2 + ln(1 + f) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1 */
DL_INLINE float dl_log_core_f32(float f, float k) {
    float p = 0.0691585595307f;
    p = p * f + -0.117941725061f;
    p = p * f + 0.118749948392f;
    p = p * f + -0.123837800949f;
    p = p * f + 0.14218336186f;
    p = p * f + -0.166692715512f;
    p = p * f + 0.200022417634f;
    p = p * f + -0.249999864033f;
    p = p * f + 0.333333102416f;
    float square = f * f;
    float y = square * f * p + k * DL_LN2_LOW_F32;
    y = y - 0.5f * square;
    return (f + y) + k * DL_LN2_HIGH_F32;
}

#define DL_SQRT_HALF_BITS_F32 0x3f3504f3u

/* 1 ulp */
DL_INLINE float dl_log_f32(float x) {
    uint32_t bits = dl_bits_f32(x) - DL_SQRT_HALF_BITS_F32;
    float k = (float)((int32_t)bits >> 23);
    float m = dl_from_bits_f32((bits & 0x007fffffu) + DL_SQRT_HALF_BITS_F32);
    float y = dl_log_core_f32(m - 1, k);
    y = x < FLT_MIN ? -INFINITY : y;
    y = x < 0 ? NAN : y;
    return x < INFINITY ? y : x;
}

/* 1 + x loses low bits of x; they are put back into the reduced argument. 2 ulp */
DL_INLINE float dl_log1p_f32(float x) {
    float u = 1 + x;
    float lost = x - (u - 1);
    uint32_t bits = dl_bits_f32(u) - DL_SQRT_HALF_BITS_F32;
    int32_t exponent = (int32_t)bits >> 23;
    float m = dl_from_bits_f32((bits & 0x007fffffu) + DL_SQRT_HALF_BITS_F32);
    float scale = dl_from_bits_f32((uint32_t)(127 - exponent) << 23);
    float y = dl_log_core_f32((m - 1) + lost * scale, (float)exponent);
    y = u == 0 ? -INFINITY : y;
    y = u < 0 ? NAN : y;
    return x < INFINITY ? y : x;
}

/* ln(1 + e^-|x|): what softplus adds to max(x, 0). 2 ulp of it */
DL_INLINE float dl_softplus_tail_f32(float x) {
    float e = dl_exp_f32(-fabsf(x));
    float f = e > 0.414213562f ? (e - 1) * 0.5f : e;
    return dl_log_core_f32(f, e > 0.414213562f ? 1.0f : 0.0f);
}

/* ---- the error function, float32 ------------------------------------------------------------------------------- */

/* Below this erf is x + x E(x^2), above 1 - e^T(x). */
#define DL_ERF_SPLIT 0.9277f

DL_INLINE float dl_erf_near_f32(float a) {
    float z = a * a;
    float e = 8.34522877612e-5f;
    e = e * z + -0.000813743855074f;
    e = e * z + 0.00520063439981f;
    e = e * z + -0.0268592708254f;
    e = e * z + 0.11283693943f;
    e = e * z + -0.376126336972f;
    e = e * z + 0.128379166642f;
    return a + a * e;
}

/* erfc(a) to the absolute accuracy that erf needs */
DL_INLINE float dl_erfc_far_f32(float a) {
    float t = -2.10949738754e-5f;
    t = t * a + 0.000434461780861f;
    t = t * a + -0.0041710591999f;
    t = t * a + 0.025119417852f;
    t = t * a + -0.108280075463f;
    t = t * a + -0.633346918352f;
    t = t * a + -1.12951492482f;
    t = t * a + 0.000174683320472f;
    return dl_exp_f32(t);
}

/* 2 ulp */
DL_INLINE float dl_erf_f32(float x) {
    float a = fabsf(x);
    float y = a < DL_ERF_SPLIT ? dl_erf_near_f32(a) : 1 - dl_erfc_far_f32(a);
    return copysignf(y, x);
}

/* The normal distribution function (1 + erf(x / sqrt 2)) / 2, without cancellation below 0. */
DL_INLINE float dl_normal_cdf_f32(float x) {
    float a = fabsf(x) * 0.707106781187f;
    float tail = a < DL_ERF_SPLIT ? 0.5f - 0.5f * dl_erf_near_f32(a) : 0.5f * dl_erfc_far_f32(a);
    return x < 0 ? tail : 1 - tail;
}

/* ---- exponentials, float64 ------------------------------------------------------------------------------------- */

/* e^r - 1 for |r| <= ln(2) / 2 */
DL_INLINE double dl_expm1_core_f64(double r) {
    double q = 2.0924477835668736805e-9;
    q = q * r + 2.5109090578572687501e-8;
    q = q * r + 2.755724264710481559e-7;
    q = q * r + 2.7557244061469737259e-6;
    q = q * r + 0.000024801587360689667513;
    q = q * r + 0.00019841269886266656519;
    q = q * r + 0.0013888888888866768864;
    q = q * r + 0.0083333333333215781657;
    q = q * r + 0.041666666666666701506;
    q = q * r + 0.16666666666666676639;
    q = q * r + 0.5;
    return r + r * r * q;
}

DL_INLINE double dl_reduce_ln2_f64(double x, double *rounded) {
    *rounded = x * 1.44269504088896340736 + DL_ROUND_F64;
    double k = *rounded - DL_ROUND_F64;
    return (x - k * DL_LN2_HIGH_F64) - k * DL_LN2_LOW_F64;
}

/* 1 ulp */
DL_INLINE double dl_exp_f64(double x) {
    double rounded;
    double r = dl_reduce_ln2_f64(x, &rounded);
    double y = 1 + dl_expm1_core_f64(r);
    y = dl_from_bits_f64(dl_bits_f64(y) + (dl_bits_f64(rounded) << 52));
    y = x < -708.3964185322641 ? 0.0 : y;
    return x > 709.782712893384 ? (double)INFINITY : y;
}

/* 2 ulp */
DL_INLINE double dl_expm1_f64(double x) {
    double rounded;
    double r = dl_reduce_ln2_f64(x, &rounded);
    double p = dl_expm1_core_f64(r);
    double half_scale = dl_from_bits_f64((dl_bits_f64(rounded) + 1022) << 52);
    double y = 2 * (half_scale * p + (half_scale - 0.5));
    y = x < -40.0 ? -1.0 : y;
    return x > 709.782712893384 ? (double)INFINITY : y;
}

/* As in float32; 2.5 ulp */
DL_INLINE double dl_tanh_f64(double x) {
    double a = fabs(x);
    double rounded;
    double r = dl_reduce_ln2_f64(-2 * (a > 32 ? 32.0 : a), &rounded);
    double p = dl_expm1_core_f64(r);
    double half_scale = dl_from_bits_f64((dl_bits_f64(rounded) + 1022) << 52);
    double half_t = half_scale * p + (half_scale - 0.5);
    double half_e = half_scale * p + half_scale;
    double y = (a < 0.625 ? -half_t : -2 * half_e) / (half_t + 1);
    return copysign(a < 0.625 ? y : 1 + y, x);
}

/* 3 ulp */
DL_INLINE double dl_sigmoid_f64(double x) {
    return 1 / (1 + dl_exp_f64(-x));
}

/* ---- logarithms, float64 --------------------------------------------------------------------------------------- */

/* k ln 2 + ln(1 + f): s = f / (2 + f), ln((1 + s) / (1 - s)) = 2 s + s R (fdlibm's arrangement) */
DL_INLINE double dl_log_core_f64(double f, double k) {
    double s = f / (2 + f);
    double z = s * s;
    double l = 0.14799603646427023177;
    l = l * z + 0.1531370483181452847;
    l = l * z + 0.18183577041241115021;
    l = l * z + 0.22222198344720661964;
    l = l * z + 0.28571428744446076334;
    l = l * z + 0.39999999999406235701;
    l = l * z + 0.66666666666667355511;
    double half_square = 0.5 * f * f;
    double inner = s * (half_square + z * l) + k * DL_LN2_LOW_F64;
    return k * DL_LN2_HIGH_F64 - ((half_square - inner) - f);
}

#define DL_SQRT_HALF_BITS_F64 0x3fe6a09e667f3bcdull

/* The exponent of bits = bits of x - DL_SQRT_HALF_BITS_F64 as a double, by logical shifts alone. */
DL_INLINE double dl_exponent_f64(uint64_t bits) {
    uint64_t biased = (bits + (1023ull << 52)) >> 52;
    return dl_from_bits_f64(biased | 0x4330000000000000ull) - (0x1p52 + 1023);
}

/* 1 ulp */
DL_INLINE double dl_log_f64(double x) {
    uint64_t bits = dl_bits_f64(x) - DL_SQRT_HALF_BITS_F64;
    double m = dl_from_bits_f64((bits & 0x000fffffffffffffull) + DL_SQRT_HALF_BITS_F64);
    double y = dl_log_core_f64(m - 1, dl_exponent_f64(bits));
    y = x < DBL_MIN ? (double)-INFINITY : y;
    y = x < 0 ? (double)NAN : y;
    return x < (double)INFINITY ? y : x;
}

/* 2 ulp */
DL_INLINE double dl_log1p_f64(double x) {
    double u = 1 + x;
    double lost = x - (u - 1);
    uint64_t bits = dl_bits_f64(u) - DL_SQRT_HALF_BITS_F64;
    double m = dl_from_bits_f64((bits & 0x000fffffffffffffull) + DL_SQRT_HALF_BITS_F64);
    uint64_t exponent = (bits + (1023ull << 52)) >> 52;
    double scale = dl_from_bits_f64((2046 - exponent) << 52);
    double y = dl_log_core_f64((m - 1) + lost * scale, dl_exponent_f64(bits));
    y = u == 0 ? (double)-INFINITY : y;
    y = u < 0 ? (double)NAN : y;
    return x < (double)INFINITY ? y : x;
}

/* 2 ulp */
DL_INLINE double dl_softplus_tail_f64(double x) {
    double e = dl_exp_f64(-fabs(x));
    double f = e > 0.41421356237309503 ? (e - 1) * 0.5 : e;
    return dl_log_core_f64(f, e > 0.41421356237309503 ? 1.0 : 0.0);
}

/* ---- the error function, float64 ------------------------------------------------------------------------------- */

DL_INLINE double dl_erf_near_f64(double a) {
    double z = a * a;
    double e = -4.5026260288648878237e-12;
    e = e * z + 8.8673089717671663967e-11;
    e = e * z + -1.2205346852231981944e-9;
    e = e * z + 1.4798521652492362775e-8;
    e = e * z + -1.6365234423526885577e-7;
    e = e * z + 1.6462084110626104453e-6;
    e = e * z + -0.000014925649299345996397;
    e = e * z + 0.00012055332955918937879;
    e = e * z + -0.00085483270230215124997;
    e = e * z + 0.0052239776254375691971;
    e = e * z + -0.026866170645130954027;
    e = e * z + 0.11283791670955124737;
    e = e * z + -0.3761263890318375245;
    e = e * z + 0.1283791670955125739;
    return a + a * e;
}

DL_INLINE double dl_erfc_far_f64(double a) {
    double t = 2.1214288987594497626e-14;
    t = t * a + -1.1863728879500961446e-12;
    t = t * a + 3.1372155218531433593e-11;
    t = t * a + -5.2186743153573280422e-10;
    t = t * a + 6.1259801075766539763e-9;
    t = t * a + -5.3919591091621502099e-8;
    t = t * a + 3.6865825782100589445e-7;
    t = t * a + -1.9972799972566504483e-6;
    t = t * a + 8.6350187775268297998e-6;
    t = t * a + -0.000029535647716971188251;
    t = t * a + 0.000076904949013133972783;
    t = t * a + -0.00013366140755866477727;
    t = t * a + 0.000057087287061216445362;
    t = t * a + 0.00050881541588965363845;
    t = t * a + -0.0016316263644732271888;
    t = t * a + 0.00016824969190282437568;
    t = t * a + 0.019148680084059284489;
    t = t * a + -0.10278010981425275679;
    t = t * a + -0.63661780654112568167;
    t = t * a + -1.128379490917253993;
    t = t * a + 2.5219440260791596796e-8;
    return a > 6 ? 0.0 : dl_exp_f64(t);
}

/* 2 ulp */
DL_INLINE double dl_erf_f64(double x) {
    double a = fabs(x);
    double y = a < (double)DL_ERF_SPLIT ? dl_erf_near_f64(a) : 1 - dl_erfc_far_f64(a);
    return copysign(y, x);
}

DL_INLINE double dl_normal_cdf_f64(double x) {
    double a = fabs(x) * 0.70710678118654752440;
    double tail = a < (double)DL_ERF_SPLIT ? 0.5 - 0.5 * dl_erf_near_f64(a) : 0.5 * dl_erfc_far_f64(a);
    return x < 0 ? tail : 1 - tail;
}

/* ---- sine and cosine ------------------------------------------------------------------------------------------- */

/* Largest argument of dl_sin_* and dl_cos_*: beyond it the loops in unary.c ask the C library. */
#define DL_SIN_LIMIT 1e6

/* sin(r + low) and cos(r + low) on |r| <= pi / 4, low far below r (fdlibm's polynomials) */
DL_INLINE double dl_sin_core_f64(double r, double low) {
    double z = r * r;
    double s = 1.58969099521155010221e-10;
    s = s * z + -2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z + -1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    s = s * z + -1.66666666666666324348e-01;
    return r + (r * z * s + low * (1 - 0.5 * z));
}

DL_INLINE double dl_cos_core_f64(double r, double low) {
    double z = r * r;
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z + -2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z + -1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    double half = 0.5 * z;
    double w = 1 - half;
    return w + (((1 - w) - half) + (z * z * c - r * low));
}

/* sin(x + quarter * pi / 2) for |x| <= DL_SIN_LIMIT: pi / 2 in three parts, two of 33 bits, so that their multiples are
 * exact; 1 ulp */
DL_INLINE double dl_sin_shifted_f64(double x, uint64_t quarter) {
    double rounded = x * 0.63661977236758134308 + DL_ROUND_F64;
    double k = rounded - DL_ROUND_F64;
    double high = x - k * 1.57079632673412561417e+00;
    double middle = k * 6.07710050630396597660e-11;
    double rest = high - middle;
    double tail = k * 2.02226624879595063154e-21 - ((high - rest) - middle);
    double r = rest - tail;
    double low = (rest - r) - tail;
    uint64_t quadrant = dl_bits_f64(rounded) + quarter;
    double y = quadrant & 1 ? dl_cos_core_f64(r, low) : dl_sin_core_f64(r, low);
    return dl_from_bits_f64(dl_bits_f64(y) ^ ((quadrant & 2) << 62));
}

DL_INLINE double dl_sin_f64(double x) {
    return dl_sin_shifted_f64(x, 0);
}

DL_INLINE double dl_cos_f64(double x) {
    return dl_sin_shifted_f64(x, 1);
}

DL_INLINE float dl_sin_f32(float x) {
    return (float)dl_sin_shifted_f64(x, 0);
}

DL_INLINE float dl_cos_f32(float x) {
    return (float)dl_sin_shifted_f64(x, 1);
}

/* sin(2 pi t + quarter * pi / 2) for 0 <= t < 1: the quadrant is taken from t exactly. Errors below 2^-23 (2^-52). */
DL_INLINE float dl_sin_turns_shifted_f32(float t, uint32_t quarter) {
    float rounded = 4 * t + DL_ROUND_F32;
    float r = (4 * t - (rounded - DL_ROUND_F32)) * 1.57079632679f;
    float z = r * r;
    float s = r + r * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
    float c = 1 - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
    uint32_t quadrant = dl_bits_f32(rounded) + quarter;
    float y = quadrant & 1 ? c : s;
    return dl_from_bits_f32(dl_bits_f32(y) ^ ((quadrant & 2) << 30));
}

DL_INLINE double dl_sin_turns_shifted_f64(double t, uint64_t quarter) {
    double rounded = 4 * t + DL_ROUND_F64;
    double r = (4 * t - (rounded - DL_ROUND_F64)) * 1.57079632679489661923;
    uint64_t quadrant = dl_bits_f64(rounded) + quarter;
    double y = quadrant & 1 ? dl_cos_core_f64(r, 0) : dl_sin_core_f64(r, 0);
    return dl_from_bits_f64(dl_bits_f64(y) ^ ((quadrant & 2) << 62));
}

/* ---- float32 by way of float64 --------------------------------------------------------------------------------- */

/* Each is computed in float64 to some 1e-8 or better and rounded once: below 1 ulp. */

/* sin / cos for |x| <= DL_SIN_LIMIT */
DL_INLINE float dl_tan_f32(float x) {
    double sine = dl_sin_shifted_f64((double)x, 0);
    return (float)(sine / dl_sin_shifted_f64((double)x, 1));
}

/* atan(y / x) for y, x >= 0, not both 0 or infinite: by turns of pi / 4 and pi / 2 to a ratio below tan(pi / 8)
 * (Cephes). */
DL_INLINE double dl_atan_ratio(double y, double x) {
    int steep = y > 2.414213562373095 * x;
    int middle = y > 0.41421356237309503 * x;
    double above = steep ? -x : middle ? y - x : y;
    double below = steep ? y : middle ? y + x : x;
    double turn = steep ? 1.57079632679489661923 : middle ? 0.78539816339744830962 : 0.0;
    double r = above / below;
    double z = r * r;
    double p = 8.05374449538e-2;
    p = p * z + -1.38776856032e-1;
    p = p * z + 1.99777106478e-1;
    p = p * z + -3.33329491539e-1;
    return turn + (r + r * z * p);
}

DL_INLINE float dl_atan_f32(float x) {
    return copysignf((float)dl_atan_ratio(fabs((double)x), 1), x);
}

DL_INLINE float dl_asin_f32(float x) {
    double a = fabs((double)x);
    return copysignf((float)dl_atan_ratio(a, sqrt((1 - a) * (1 + a))), x);
}

DL_INLINE float dl_acos_f32(float x) {
    double a = fabs((double)x);
    double angle = dl_atan_ratio(sqrt((1 - a) * (1 + a)), a);
    return (float)(x < 0 ? 3.14159265358979323846 - angle : angle);
}

DL_INLINE float dl_sinh_f32(float x) {
    double a = fabs((double)x);
    double t = dl_expm1_f64(a > 200 ? 200 : a);
    return copysignf((float)(0.5 * (t + t / (t + 1))), x);
}

DL_INLINE float dl_cosh_f32(float x) {
    double a = fabs((double)x);
    double e = dl_exp_f64(a > 200 ? 200 : a);
    return (float)(0.5 * (e + 1 / e));
}

DL_INLINE float dl_asinh_f32(float x) {
    double a = fabs((double)x);
    double y = dl_log1p_f64(a + a * a / (1 + sqrt(a * a + 1)));
    return copysignf(a < (double)INFINITY ? (float)y : (float)a, x);
}

DL_INLINE float dl_acosh_f32(float x) {
    double a = (double)x - 1;
    return (float)dl_log1p_f64(a + sqrt(a * ((double)x + 1)));
}

DL_INLINE float dl_atanh_f32(float x) {
    double a = fabs((double)x);
    return copysignf((float)(0.5 * dl_log1p_f64(2 * a / (1 - a))), x);
}

DL_INLINE float dl_log2_f32(float x) {
    return (float)(dl_log_f64((double)x) * 1.44269504088896340736);
}

DL_INLINE float dl_log10_f32(float x) {
    return (float)(dl_log_f64((double)x) * 0.43429448190325182765);
}

/* ---- powers ---------------------------------------------------------------------------------------------------- */

/* By exp and log in float64: 1 ulp. C's special cases: 1 for b = 0 and for |a| = 1 with infinite b; a negative base has
 * a value for whole b only. */
DL_INLINE float dl_pow_f32(float a, float b) {
    float size = fabsf(a);
    double y = dl_exp_f64((double)b * dl_log_f64(size));
    float magnitude = (float)y;
    magnitude = size == 1 ? 1.0f : magnitude;
    /* Whole numbers of this size and above are even. */
    float half = 0.5f * b;
    int whole = __builtin_rintf(b) == b;
    int odd = whole & (__builtin_rintf(half) != half) & (fabsf(b) < 0x1p24f);
    float y_signed = odd ? copysignf(magnitude, a) : magnitude;
    y_signed = ((a < 0) & (whole == 0) & (fabsf(b) < INFINITY) & (size < INFINITY)) ? NAN : y_signed;
    y_signed = ((a == 1) | (b == 0)) ? 1.0f : y_signed;
    return ((a != a) | (b != b)) ? (((a == 1) | (b == 0)) ? 1.0f : a + b) : y_signed;
}

/* ---- compositions, written once for both types ----------------------------------------------------------------- */

#define DL_MATH_COMPOSITIONS(real, s)                                                                                  \
    DL_INLINE real dl_gelu_##s(real x) {                                                                               \
        return x * dl_normal_cdf_##s(x);                                                                               \
    }                                                                                                                  \
    /* Phi(x) + x phi(x) */                                                                                            \
    DL_INLINE real dl_gelu_slope_##s(real x) {                                                                         \
        real density = (real)0.39894228040143267794 * dl_exp_##s((real)-0.5 * x * x);                                  \
        return dl_normal_cdf_##s(x) + x * density;                                                                     \
    }                                                                                                                  \
    /* (1 + tanh u) / 2 = sigmoid(2 u) */                                                                              \
    DL_INLINE real dl_gelu_tanh_gate_##s(real x) {                                                                     \
        return dl_sigmoid_##s((real)1.59576912160573071176 * x * (1 + (real)0.044715 * x * x));                        \
    }                                                                                                                  \
    DL_INLINE real dl_gelu_tanh_##s(real x) {                                                                          \
        return x * dl_gelu_tanh_gate_##s(x);                                                                           \
    }                                                                                                                  \
    DL_INLINE real dl_gelu_tanh_slope_##s(real x) {                                                                    \
        real gate = dl_gelu_tanh_gate_##s(x);                                                                          \
        real slope = (real)1.59576912160573071176 * (1 + 3 * (real)0.044715 * x * x);                                  \
        return gate + x * (gate * (1 - gate)) * slope;                                                                 \
    }                                                                                                                  \
    DL_INLINE real dl_silu_##s(real x) {                                                                               \
        return x / (1 + dl_exp_##s(-x));                                                                               \
    }                                                                                                                  \
    DL_INLINE real dl_silu_slope_##s(real x) {                                                                         \
        real gate = dl_sigmoid_##s(x);                                                                                 \
        return gate * (1 + x * (1 - gate));                                                                            \
    }                                                                                                                  \
    /* tanh(ln(1 + e)) = n / (n + 2) with n = e (e + 2), 1 to the last bit from x = 20 on */                           \
    DL_INLINE real dl_mish_##s(real x) {                                                                               \
        real e = dl_exp_##s(x);                                                                                        \
        real n = e * (e + 2);                                                                                          \
        return x > 20 ? x : x * n / (n + 2);                                                                           \
    }                                                                                                                  \
    DL_INLINE real dl_mish_slope_##s(real x) {                                                                         \
        real e = dl_exp_##s(x);                                                                                        \
        real n = e * (e + 2);                                                                                          \
        real slope = n / (n + 2) + x * (4 * (n + 1) / ((n + 2) * (n + 2))) * (e / (1 + e));                            \
        return x > 20 ? (real)1 : slope;                                                                               \
    }                                                                                                                  \
    DL_INLINE real dl_max_##s(real a, real b) {                                                                        \
        return ((a > b) | (a != a)) ? a : b;                                                                           \
    }                                                                                                                  \
    DL_INLINE real dl_min_##s(real a, real b) {                                                                        \
        return ((a < b) | (a != a)) ? a : b;                                                                           \
    }                                                                                                                  \
    /* Keras's backend.epsilon() keeps probabilities off 0 and 1. */                                                   \
    DL_INLINE real dl_clip_probability_##s(real p) {                                                                   \
        p = p < (real)1e-7 ? (real)1e-7 : p;                                                                           \
        return p > 1 - (real)1e-7 ? 1 - (real)1e-7 : p;                                                                \
    }                                                                                                                  \
    DL_INLINE real dl_binary_cross_entropy_##s(real a, real b) {                                                       \
        real p = dl_clip_probability_##s(a);                                                                           \
        return -(b * dl_log_##s(p) + (1 - b) * dl_log_##s(1 - p));                                                     \
    }                                                                                                                  \
    DL_INLINE real dl_binary_cross_entropy_gradient_##s(real a, real b) {                                              \
        real p = dl_clip_probability_##s(a);                                                                           \
        return p != a ? (real)0 : (p - b) / (p * (1 - p));                                                             \
    }                                                                                                                  \
    DL_INLINE real dl_binary_cross_entropy_target_gradient_##s(real a) {                                               \
        real p = dl_clip_probability_##s(a);                                                                           \
        return dl_log_##s(1 - p) - dl_log_##s(p);                                                                      \
    }

DL_MATH_COMPOSITIONS(float, f32)
DL_MATH_COMPOSITIONS(double, f64)

/* a - floor(a / b) * b with the sign of b, exact as fmod is. */
DL_INLINE double dl_remainder_f64(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

DL_INLINE float dl_remainder_f32(float a, float b) {
    float r = fmodf(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* floor(a / b) without the rounding of a / b up to a whole number; b = 0 gives a / b. */
DL_INLINE double dl_floor_divide_f64(double a, double b) {
    double quotient = (a - dl_remainder_f64(a, b)) / b;
    return b == 0 || isinf(b) || isinf(a) ? floor(a / b) : rint(quotient);
}

DL_INLINE float dl_floor_divide_f32(float a, float b) {
    return (float)dl_floor_divide_f64(a, b);
}

/* ---- functions of the element type R --------------------------------------------------------------------------- */

#define DL_OWN_(name)   _Generic((R)0, float : dl_##name##_f32, default : dl_##name##_f64)
#define DL_LIBM_(name)  _Generic((R)0, float : name##f, default : name)
/* Own code for float, the C library's for double. */
#define DL_MIXED_(name) _Generic((R)0, float : dl_##name##_f32, default : name)

#define m_exp                                  DL_OWN_(exp)
#define m_expm1                                DL_OWN_(expm1)
#define m_log                                  DL_OWN_(log)
#define m_log1p                                DL_OWN_(log1p)
#define m_tanh                                 DL_OWN_(tanh)
#define m_sigmoid                              DL_OWN_(sigmoid)
#define m_softplus_tail                        DL_OWN_(softplus_tail)
#define m_erf                                  DL_OWN_(erf)
#define m_sin                                  DL_OWN_(sin)
#define m_cos                                  DL_OWN_(cos)
#define m_sin_turns(t)                         DL_OWN_(sin_turns_shifted)(t, 0)
#define m_cos_turns(t)                         DL_OWN_(sin_turns_shifted)(t, 1)
#define m_gelu                                 DL_OWN_(gelu)
#define m_gelu_slope                           DL_OWN_(gelu_slope)
#define m_gelu_tanh                            DL_OWN_(gelu_tanh)
#define m_gelu_tanh_slope                      DL_OWN_(gelu_tanh_slope)
#define m_silu                                 DL_OWN_(silu)
#define m_silu_slope                           DL_OWN_(silu_slope)
#define m_mish                                 DL_OWN_(mish)
#define m_mish_slope                           DL_OWN_(mish_slope)
#define m_max                                  DL_OWN_(max)
#define m_min                                  DL_OWN_(min)
#define m_binary_cross_entropy                 DL_OWN_(binary_cross_entropy)
#define m_binary_cross_entropy_gradient        DL_OWN_(binary_cross_entropy_gradient)
#define m_binary_cross_entropy_target_gradient DL_OWN_(binary_cross_entropy_target_gradient)
#define m_clip_probability                     DL_OWN_(clip_probability)
#define m_remainder                            DL_OWN_(remainder)
#define m_floor_divide                         DL_OWN_(floor_divide)
#define m_pow                                  DL_MIXED_(pow)

#define m_abs   DL_LIBM_(fabs)
#define m_sqrt  DL_LIBM_(sqrt)
#define m_floor DL_LIBM_(floor)
#define m_ceil  DL_LIBM_(ceil)
#define m_round DL_LIBM_(rint)
#define m_trunc DL_LIBM_(trunc)
#define m_log2  DL_MIXED_(log2)
#define m_log10 DL_MIXED_(log10)
#define m_sinh  DL_MIXED_(sinh)
#define m_cosh  DL_MIXED_(cosh)
#define m_asinh DL_MIXED_(asinh)
#define m_acosh DL_MIXED_(acosh)
#define m_atanh DL_MIXED_(atanh)
#define m_erfc  DL_LIBM_(erfc)
#define m_tan   DL_MIXED_(tan)
#define m_asin  DL_MIXED_(asin)
#define m_acos  DL_MIXED_(acos)
#define m_atan  DL_MIXED_(atan)
#define m_atan2 DL_LIBM_(atan2)
#define m_fmod  DL_LIBM_(fmod)

#endif
