/* dlua/text.h: texts in tensors, and tokenizers.
 *
 * There are no string tensors. Texts enter the engine as a uint8 tensor (N, L): a row holds the bytes of one text, with
 * zero bytes after its end; L is the longest. More dimensions in front are allowed: (N, M, L) is N rows of M texts.
 *
 * Token ids count from 1; 0 is padding. */
#ifndef DLUA_TEXT_H
#define DLUA_TEXT_H

#include "dlua/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- texts in tensors ------------------------------------------------------------------------------------------ */

/* A uint8 tensor (count, L), L at least 1. lengths NULL: the texts end at their zero byte. A zero byte inside a text is
 * DL_INVALID: a row could not tell it from its end. */
DL_API dl_tensor *dl_strings(dl_context *context, const char *const *texts, const size_t *lengths, int64_t count);
/* The k-th text (from 0) of a contiguous uint8 tensor with the bytes in its last dimension; borrowed, ended by *length
 * and not by a zero byte. NULL for other tensors and past the end. */
DL_API const char *dl_string_at(const dl_tensor *strings, int64_t k, size_t *length);

/* What becomes of a text before it is split, and where it is split, in options of layers. */
enum { DL_STANDARDIZE_NONE = -1, DL_STANDARDIZE_LOWER_AND_STRIP, DL_STANDARDIZE_LOWER, DL_STANDARDIZE_STRIP };
enum { DL_SPLIT_NONE = -1, DL_SPLIT_WHITESPACE, DL_SPLIT_CHARACTER };

#ifdef __cplusplus
}
#endif
#endif
