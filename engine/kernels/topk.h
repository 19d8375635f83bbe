/* kernels/topk.h: the largest elements of rows, and draws from rows of probabilities. */
#ifndef DL_KERNELS_TOPK_H
#define DL_KERNELS_TOPK_H

#include "base/base.h"
#include "kernels/element.h"

/* out (rows, k): places, from 1, of the k largest (or smallest) elements of each row of x (rows, size), best first, the
 * first of equal ones first; NaN is larger than all numbers. element: float32, float64 or int64. 1 <= k <= size. */
dl_status dl_topk_rows(dl_context *context, dl_element element, int64_t *out, const void *x, int64_t rows, int64_t size,
                       int64_t k, bool largest);

/* out (rows): the place, from 1, that a draw u in [0, 1) hits in each row of weights (rows, size) >= 0. With mass < 1
 * only the first places whose weights reach that share of the sum, at least one, can be hit. */
void dl_draw_rows(int64_t *out, const double *weights, const double *u, int64_t rows, int64_t size, double mass);

#endif
