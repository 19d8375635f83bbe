/* kernels/rows_math.h: the kernels over elements and rows: element-wise functions, copies and casts, reductions,
 * softmax, losses, normalization, random numbers, optimizers. X(name, arguments) */
#ifndef DL_KERNELS_ROWS_MATH_H
#define DL_KERNELS_ROWS_MATH_H

#define DL_MATH_ROWS(X)

#endif
