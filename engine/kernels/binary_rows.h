/* kernels/binary_rows.h: the functions of two elements, once for kernels, ops, help and tests. */
#ifndef DL_KERNELS_BINARY_ROWS_H
#define DL_KERNELS_BINARY_ROWS_H

/* X(name, parameters, formula, domain, value, gradient_a, gradient_b, help)
 *
 * value, gradient_a and gradient_b are expressions in a, b, the gradient g of the result, and parameters p0, p1; R is
 * the element type and m_exp(x) and its like its functions (isa/math.h). parameters is a list in parentheses: P0(name,
 * default, minimum, maximum, flags, help), P1(...), which a user of the table defines as it needs (see
 * unary_rows.h). Integers have the rows of DL_BINARY_INTEGER_ROWS only. */
#define DL_BINARY_ROWS(X)                                                                                              \
    X(add, (), "a + b", "", a + b, g, g, "sum")                                                                        \
    X(sub, (), "a - b", "", a - b, g, -g, "difference")                                                                \
    X(mul, (), "a * b", "", a * b, g * b, g * a, "product")                                                            \
    X(div, (), "a / b", "b != 0", a / b, g / b, -g * (a / b) / b, "quotient")                                          \
    X(pow, (), "a ^ b", "a > 0, or b whole", m_pow(a, b), b == 0 ? (R)0 : g * b * m_pow(a, b - 1),                     \
      a == 0 && b >= 0 ? (R)0 : g * m_pow(a, b) * m_log(a), "power")                                                   \
    X(maximum, (), "max(a, b)", "", m_max(a, b), a > b ? g : a == b ? g / 2 : (R)0,                                    \
      b > a ? g : a == b ? g / 2 : (R)0, "the larger; NaN if either is; equal elements share the gradient")            \
    X(minimum, (), "min(a, b)", "", m_min(a, b), a < b ? g : a == b ? g / 2 : (R)0,                                    \
      b < a ? g : a == b ? g / 2 : (R)0, "the smaller; NaN if either is; equal elements share the gradient")           \
    X(atan2, (), "angle of the point (b, a)", "", m_atan2(a, b), g * b / (a * a + b * b), -g * a / (a * a + b * b),    \
      "angle in (-pi, pi]")                                                                                            \
    X(fmod, (), "a - trunc(a / b) * b", "b != 0", m_fmod(a, b), g, -g * m_trunc(a / b),                                \
      "remainder with the sign of a")                                                                                  \
    X(remainder, (), "a - floor(a / b) * b", "b != 0", m_remainder(a, b), g, -g * m_floor(a / b),                      \
      "remainder with the sign of b")                                                                                  \
    X(floor_divide, (), "floor(a / b)", "b != 0", m_floor_divide(a, b), (R)0, (R)0, "quotient rounded down")           \
    X(squared_error, (), "(a - b)^2", "", (a - b) * (a - b), 2 * g * (a - b), -2 * g * (a - b),                        \
      "square of the difference")                                                                                      \
    X(absolute_error, (), "|a - b|", "", m_abs(a - b), a > b ? g : a < b ? -g : (R)0, a > b ? -g : a < b ? g : (R)0,   \
      "size of the difference")                                                                                        \
    X(huber_error, (P0(delta, 1.0, 0.0, DL_HIGHEST, 0, "where the square becomes a line")),                            \
      "d = |a - b|: d^2 / 2 if d <= delta, else delta * (d - delta / 2)", "",                                          \
      m_abs(a - b) <= p0 ? (a - b) * (a - b) / 2 : p0 * (m_abs(a - b) - p0 / 2),                                       \
      g * (m_abs(a - b) <= p0 ? a - b : a > b ? p0 : -p0), -g * (m_abs(a - b) <= p0 ? a - b : a > b ? p0 : -p0),       \
      "Huber 1964")                                                                                                    \
    X(binary_cross_entropy_logits_error, (), "max(a, 0) - a * b + log(1 + exp(-|a|))", "b in [0, 1]",                  \
      (a < 0 ? (R)0 : a) - a * b + m_softplus_tail(a), g * (m_sigmoid(a) - b), -g * a,                                 \
      "binary cross-entropy of the logit a against the target b")                                                      \
    X(binary_cross_entropy_error, (), "-b * log(p) - (1 - b) * log(1 - p), p = a clipped to [1e-7, 1 - 1e-7]",         \
      "a, b in [0, 1]", m_binary_cross_entropy(a, b), g * m_binary_cross_entropy_gradient(a, b),                       \
      g * m_binary_cross_entropy_target_gradient(a), "binary cross-entropy of the probability a against the target b")

/* X(name, value): the rows that integers have too; I is the type and U the unsigned type of the same size, so that
 * overflow wraps. */
#define DL_BINARY_INTEGER_ROWS(X)                                                                                      \
    X(add, (I)((U)a + (U)b))                                                                                           \
    X(sub, (I)((U)a - (U)b))                                                                                           \
    X(mul, (I)((U)a * (U)b))                                                                                           \
    X(maximum, a > b ? a : b)                                                                                          \
    X(minimum, a < b ? a : b)

/* X(name, value): those whose divisor must not be zero. A divisor of -1 is apart, as the lowest integer over it would
 * trap. ROUNDS_DOWN(a, b): the quotient is negative and not whole. */
#define DL_BINARY_DIVISION_ROWS(X)                                                                                     \
    X(fmod, IS_MINUS_ONE(b) ? 0 : (I)(a % b))                                                                          \
    X(remainder, IS_MINUS_ONE(b) ? 0 : (I)(a % b + (ROUNDS_DOWN(a, b) ? b : 0)))                                       \
    X(floor_divide, IS_MINUS_ONE(b) ? (I)((U)0 - (U)a) : (I)(a / b - ROUNDS_DOWN(a, b)))

/* X(name, formula, value, help): two elements of any type to a boolean. */
#define DL_COMPARE_ROWS(X)                                                                                             \
    X(eq, "a == b", a == b, "equal")                                                                                   \
    X(ne, "a != b", a != b, "not equal")                                                                               \
    X(lt, "a < b", a < b, "less")                                                                                      \
    X(le, "a <= b", a <= b, "less or equal")                                                                           \
    X(gt, "a > b", a > b, "greater")                                                                                   \
    X(ge, "a >= b", a >= b, "greater or equal")                                                                        \
    X(logical_and, "a != 0 and b != 0", (a != 0) & (b != 0), "both are true")                                          \
    X(logical_or, "a != 0 or b != 0", (a != 0) | (b != 0), "at least one is true")                                     \
    X(logical_xor, "(a != 0) ~= (b != 0)", (a != 0) ^ (b != 0), "exactly one is true")

#endif
