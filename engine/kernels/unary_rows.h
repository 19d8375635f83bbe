/* kernels/unary_rows.h: the functions of one element. A row is all that a new function needs: from it come its kernels,
 * its op with the derivative, its help and its tests. */
#ifndef DL_KERNELS_UNARY_ROWS_H
#define DL_KERNELS_UNARY_ROWS_H

/* X(name, needs, parameters, formula, domain, value, gradient, help)
 *
 * needs      what the gradient is written in: NOTHING, X or Y (the enum dl_unary_needs)
 * parameters a list in parentheses, empty or P0(name, default, minimum, maximum, flags, help) P1(...), for p0 and p1 in
 *            the expressions. A user of the table defines P0 and P1 as it needs and takes the parentheses off with
 *            DL_ROW_LIST; flags are dl_field flags. Kernels take the values as `const double *parameters`, in order.
 * domain     where the value is a real number; "" is everywhere
 * value      y as an expression in x; gradient: dx in g (the gradient of y) and x or y. R is the element type, m_exp(x)
 *            and its like are its functions (isa/math.h). Both must be free of jumps out, so that loops vectorize. */
#define DL_ROW_LIST(...) __VA_ARGS__

#define DL_UNARY_ROWS(X)                                                                                               \
    DL_UNARY_ARITHMETIC_ROWS(X)                                                                                        \
    DL_UNARY_EXPONENTIAL_ROWS(X)                                                                                       \
    DL_UNARY_TRIGONOMETRIC_ROWS(X)                                                                                     \
    DL_UNARY_ACTIVATION_ROWS(X)

#define DL_UNARY_ARITHMETIC_ROWS(X)                                                                                    \
    X(neg, NOTHING, (), "-x", "", -x, -g, "the opposite")                                                              \
    X(abs, X, (), "|x|", "", m_abs(x), x > 0 ? g : x < 0 ? -g : (R)0, "absolute value")                                \
    X(sign, NOTHING, (), "-1, 0 or 1", "", x > 0 ? (R)1 : x < 0 ? (R)-1 : x, (R)0, "sign")                             \
    X(square, X, (), "x^2", "", x * x, 2 * g * x, "square")                                                            \
    X(reciprocal, Y, (), "1 / x", "x != 0", 1 / x, -g * y * y, "reciprocal")                                           \
    X(sqrt, Y, (), "x^(1/2)", "x >= 0", m_sqrt(x), g / (2 * y), "square root")                                         \
    X(rsqrt, Y, (), "x^(-1/2)", "x > 0", 1 / m_sqrt(x), (R)-0.5 * g * y * y * y, "reciprocal of the square root")      \
    X(floor, NOTHING, (), "largest whole number <= x", "", m_floor(x), (R)0, "rounded down")                           \
    X(ceil, NOTHING, (), "smallest whole number >= x", "", m_ceil(x), (R)0, "rounded up")                              \
    X(round, NOTHING, (), "nearest whole number, halves to even", "", m_round(x), (R)0, "rounded")                     \
    X(trunc, NOTHING, (), "x without its fraction", "", m_trunc(x), (R)0, "rounded towards zero")                      \
    X(clamp, X, (P0(min, DL_LOWEST, DL_LOWEST, DL_HIGHEST, 0, "smallest result")                                       \
                 P1(max, DL_HIGHEST, DL_LOWEST, DL_HIGHEST, 0, "largest result")),                                     \
      "min(max(x, min), max)", "", x < p0 ? (p0 > p1 ? p1 : p0) : x > p1 ? p1 : x, x < p0 ? (R)0 : x > p1 ? (R)0 : g,  \
      "kept within bounds; the gradient passes at the bounds themselves")

#define DL_UNARY_EXPONENTIAL_ROWS(X)                                                                                   \
    X(exp, Y, (), "e^x", "", m_exp(x), g * y, "exponential")                                                           \
    X(expm1, Y, (), "e^x - 1", "", m_expm1(x), g * (y + 1), "exponential minus 1, exact near 0")                       \
    X(log, X, (), "ln x", "x > 0", m_log(x), g / x, "natural logarithm")                                               \
    X(log1p, X, (), "ln(1 + x)", "x > -1", m_log1p(x), g / (1 + x), "natural logarithm of 1 + x, exact near 0")        \
    X(log2, X, (), "ln x / ln 2", "x > 0", m_log2(x), g / (x * (R)0.693147180559945309417), "logarithm to base 2")     \
    X(log10, X, (), "ln x / ln 10", "x > 0", m_log10(x), g / (x * (R)2.30258509299404568402),                          \
      "logarithm to base 10")                                                                                          \
    X(sinh, X, (), "(e^x - e^-x) / 2", "", m_sinh(x), g * m_cosh(x), "hyperbolic sine")                                \
    X(cosh, X, (), "(e^x + e^-x) / 2", "", m_cosh(x), g * m_sinh(x), "hyperbolic cosine")                              \
    X(tanh, Y, (), "(e^x - e^-x) / (e^x + e^-x)", "", m_tanh(x), g * (1 - y * y), "hyperbolic tangent")                \
    X(asinh, X, (), "ln(x + sqrt(x^2 + 1))", "", m_asinh(x), g / m_sqrt(x * x + 1), "inverse hyperbolic sine")         \
    X(acosh, X, (), "ln(x + sqrt(x^2 - 1))", "x >= 1", m_acosh(x), g / (m_sqrt(x - 1) * m_sqrt(x + 1)),                \
      "inverse hyperbolic cosine")                                                                                     \
    X(atanh, X, (), "ln((1 + x) / (1 - x)) / 2", "-1 <= x <= 1", m_atanh(x), g / ((1 - x) * (1 + x)),                  \
      "inverse hyperbolic tangent")                                                                                    \
    X(sigmoid, Y, (), "1 / (1 + e^-x)", "", m_sigmoid(x), g * (y * (1 - y)), "logistic function")                      \
    X(erf, X, (), "2/sqrt(pi) * integral of exp(-t^2) from 0 to x", "", m_erf(x),                                      \
      g * ((R)1.12837916709551257390 * m_exp(-x * x)), "error function")                                               \
    X(erfc, X, (), "1 - erf(x)", "", m_erfc(x), -g * ((R)1.12837916709551257390 * m_exp(-x * x)),                      \
      "complementary error function, exact for large x")

#define DL_UNARY_TRIGONOMETRIC_ROWS(X)                                                                                 \
    X(sin, X, (), "sin x", "", m_sin(x), g * m_cos(x), "sine of an angle in radians")                                  \
    X(cos, X, (), "cos x", "", m_cos(x), -g * m_sin(x), "cosine of an angle in radians")                               \
    X(tan, Y, (), "sin x / cos x", "", m_tan(x), g * (1 + y * y), "tangent of an angle in radians")                    \
    X(asin, X, (), "inverse of sin", "-1 <= x <= 1", m_asin(x), g / m_sqrt((1 - x) * (1 + x)), "arc sine")             \
    X(acos, X, (), "inverse of cos", "-1 <= x <= 1", m_acos(x), -g / m_sqrt((1 - x) * (1 + x)), "arc cosine")          \
    X(atan, X, (), "inverse of tan", "", m_atan(x), g / (1 + x * x), "arc tangent")

#define DL_UNARY_ACTIVATION_ROWS(X)                                                                                    \
    X(relu, Y, (), "max(x, 0)", "", x < 0 ? (R)0 : x, y > 0 ? g : (R)0, "rectified linear unit")                       \
    X(relu6, Y, (), "min(max(x, 0), 6)", "", x < 0 ? (R)0 : x > 6 ? (R)6 : x, y > 0 && y < 6 ? g : (R)0,               \
      "rectified linear unit, at most 6")                                                                              \
    X(leaky_relu, X, (P0(negative_slope, 0.01, DL_LOWEST, DL_HIGHEST, 0, "slope where x < 0")),                        \
      "x if x > 0, else negative_slope * x", "", x > 0 ? x : p0 * x, x > 0 ? g : p0 * g, "leaky relu")                 \
    X(elu, Y, (P0(alpha, 1.0, 0.0, DL_HIGHEST, 0, "the limit for x -> -inf is -alpha")),                               \
      "x if x > 0, else alpha * (e^x - 1)", "", x > 0 ? x : p0 * m_expm1(x), y > 0 ? g : g * (y + p0),                 \
      "exponential linear unit (Clevert et al. 2015)")                                                                 \
    X(selu, Y, (), "1.0507 * (x if x > 0, else 1.6733 * (e^x - 1))", "",                                               \
      x > 0 ? (R)1.0507009873554804934193349852946 * x : (R)1.7580993408473768599402175208123 * m_expm1(x),            \
      y > 0 ? g * (R)1.0507009873554804934193349852946 : g * (y + (R)1.7580993408473768599402175208123),               \
      "scaled exponential linear unit (Klambauer et al. 2017)")                                                        \
    X(celu, Y, (P0(alpha, 1.0, 0.0, DL_HIGHEST, DL_OPEN_MIN, "the limit for x -> -inf is -alpha")),                    \
      "max(x, 0) + min(0, alpha * (e^(x / alpha) - 1))", "", x > 0 ? x : p0 * m_expm1(x / p0),                         \
      y > 0 ? g : g * (y / p0 + 1), "continuously differentiable exponential linear unit (Barron 2017)")               \
    X(gelu_erf, X, (), "x * (1 + erf(x / sqrt(2))) / 2", "", m_gelu(x), g * m_gelu_slope(x),                           \
      "Gaussian error linear unit (Hendrycks and Gimpel 2016)")                                                        \
    X(gelu_tanh, X, (), "x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2", "", m_gelu_tanh(x),                 \
      g * m_gelu_tanh_slope(x), "Gaussian error linear unit, approximated by tanh")                                    \
    X(silu, X, (), "x * sigmoid(x)", "", m_silu(x), g * m_silu_slope(x), "sigmoid linear unit, also called swish")     \
    X(mish, X, (), "x * tanh(softplus(x))", "", m_mish(x), g * m_mish_slope(x), "Misra 2019")                          \
    X(softplus, X, (), "ln(1 + e^x)", "", (x < 0 ? (R)0 : x) + m_softplus_tail(x), g * m_sigmoid(x),                   \
      "a smooth max(x, 0)")                                                                                            \
    X(softsign, X, (), "x / (1 + |x|)", "", x / (1 + m_abs(x)), g / ((1 + m_abs(x)) * (1 + m_abs(x))),                 \
      "slower than tanh towards -1 and 1")                                                                             \
    X(hard_sigmoid, Y, (), "min(max(x + 3, 0), 6) / 6", "",                                                            \
      x < -3 ? (R)0 : x > 3 ? (R)1 : x * (R)(1.0 / 6) + (R)0.5, y > 0 && y < 1 ? g * (R)(1.0 / 6) : (R)0,              \
      "sigmoid made of three lines")                                                                                   \
    X(hard_silu, X, (), "x * min(max(x + 3, 0), 6) / 6", "",                                                           \
      x < -3 ? (R)0 : x > 3 ? x : x * (x * (R)(1.0 / 6) + (R)0.5),                                                     \
      x < -3 ? (R)0 : x > 3 ? g : g * (x * (R)(1.0 / 3) + (R)0.5), "silu with a hard sigmoid, also called hard swish") \
    X(hard_tanh, X, (), "min(max(x, -1), 1)", "", x < -1 ? (R)-1 : x > 1 ? (R)1 : x,                                   \
      x > -1 && x < 1 ? g : (R)0, "tanh made of three lines")                                                          \
    X(tanh_shrink, X, (), "x - tanh(x)", "", x - m_tanh(x), g * (m_tanh(x) * m_tanh(x)), "what tanh takes away")       \
    X(soft_shrink, Y, (P0(threshold, 0.5, 0.0, DL_HIGHEST, 0, "how much is taken from |x|")),                          \
      "x - threshold if x > threshold, x + threshold if x < -threshold, else 0", "",                                   \
      x > p0 ? x - p0 : x < -p0 ? x + p0 : x * 0, y != 0 ? g : (R)0, "soft threshold")                                 \
    X(hard_shrink, X, (P0(threshold, 0.5, 0.0, DL_HIGHEST, 0, "largest |x| that becomes 0")),                          \
      "x if |x| > threshold, else 0", "", m_abs(x) <= p0 ? (R)0 : x, m_abs(x) <= p0 ? (R)0 : g, "hard threshold")      \
    X(threshold, X, (P0(threshold, 0.0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED, "largest x that is replaced")              \
                     P1(default_value, 0.0, DL_LOWEST, DL_HIGHEST, DL_REQUIRED, "what replaces it")),                  \
      "x if x > threshold, else default_value", "", x <= p0 ? p1 : x, x <= p0 ? (R)0 : g,                              \
      "small elements replaced by a value")                                                                            \
    X(log_sigmoid, X, (), "ln(1 / (1 + e^-x))", "", (x < 0 ? x : (R)0) - m_softplus_tail(x), g * m_sigmoid(-x),        \
      "logarithm of the logistic function, exact for x far below 0")                                                   \
    X(squareplus, X, (P0(b, 4.0, 0.0, DL_HIGHEST, 0, "roundness of the bend at 0")), "(x + sqrt(x^2 + b)) / 2", "",    \
      (R)0.5 * (x + m_sqrt(x * x + p0)), g * ((R)0.5 + (R)0.5 * x / m_sqrt(x * x + p0)),                               \
      "a smooth max(x, 0) without exponentials (Barron 2021)")                                                         \
    X(sparse_plus, X, (), "0 if x <= -1, (x + 1)^2 / 4 if x < 1, else x", "",                                          \
      x <= -1 ? (R)0 : x >= 1 ? x : (R)0.25 * (x + 1) * (x + 1),                                                       \
      x <= -1 ? (R)0 : x >= 1 ? g : g * ((R)0.5 * x + (R)0.5), "softplus made of two lines and a parabola")            \
    X(sparse_sigmoid, Y, (), "min(max((x + 1) / 2, 0), 1)", "",                                                        \
      x <= -1 ? (R)0 : x >= 1 ? (R)1 : (R)0.5 * x + (R)0.5, y > 0 && y < 1 ? g * (R)0.5 : (R)0,                        \
      "derivative of sparse_plus")

/* X(name, value): the rows that integers have too; I is the type, U its unsigned twin, so that overflow wraps, and
 * BELOW_ZERO(x) is x < 0, or false where I has no signs. clamp's bounds are cut to integers within the type's range. */
#define DL_UNARY_INTEGER_ROWS(X)                                                                                       \
    X(neg, (I)((U)0 - (U)x))                                                                                           \
    X(abs, BELOW_ZERO(x) ? (I)((U)0 - (U)x) : x)                                                                       \
    X(sign, (I)((x > 0) - BELOW_ZERO(x)))                                                                              \
    X(square, (I)((U)x * (U)x))                                                                                        \
    X(floor, x)                                                                                                        \
    X(ceil, x)                                                                                                         \
    X(round, x)                                                                                                        \
    X(trunc, x)                                                                                                        \
    X(relu, BELOW_ZERO(x) ? 0 : x)                                                                                     \
    X(clamp, x < p0 ? p0 : x > p1 ? p1 : x)

/* X(name, formula, value, help): one element of any type to a boolean. */
#define DL_PREDICATE_ROWS(X)                                                                                           \
    X(isnan, "x is not a number", x != x, "true where x is NaN")                                                       \
    X(isinf, "|x| = inf", (x - x != x - x) & (x == x), "true where x is infinite")                                     \
    X(isfinite, "|x| < inf", x - x == x - x, "true where x is neither NaN nor infinite")                               \
    X(logical_not, "x == 0", x == 0, "true where x is 0")

#endif
