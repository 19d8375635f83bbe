/* kernels/rows_dense.h: the kernels over matrices and images: products, convolutions, pooling. X(name, arguments) */
#ifndef DL_KERNELS_ROWS_DENSE_H
#define DL_KERNELS_ROWS_DENSE_H

#define DL_DENSE_ROWS(X)

#endif
