/* dlua/data.h: feeding models. */
#ifndef DLUA_DATA_H
#define DLUA_DATA_H

#include "dlua/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The order of one epoch: a permutation of 1..count that depends on seed and epoch alone (int64). */
DL_API dl_tensor *dl_shuffled_order(dl_context *context, int64_t count, uint64_t seed, int64_t epoch);
/* Rows first..first+count-1 (from 0) of order, picked from the first dimension of `from`. They are written into `into`,
 * which is returned (a new reference), if its shape and dtype fit; else, and with NULL, into a new tensor. A loop that
 * hands the last batch back asks for no memory. */
DL_API dl_tensor *dl_gather_batch(dl_tensor *from, dl_tensor *order, int64_t first, int64_t count, dl_tensor *into);

#ifdef __cplusplus
}
#endif
#endif
