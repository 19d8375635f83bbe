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

/* ---- tokenizers ------------------------------------------------------------------------------------------------ *
 *
 * A tokenizer is an instance of a definition of dl_tokenizer_family (dlua/definition.h). Its ids are
 *
 *      1 ...           the special tokens, in their order
 *      then            256 tokens for the bytes 0 .. 255 (a CharTokenizer may do without)
 *      then            what it has learned: characters or merged pairs
 *
 * Decoding what was encoded gives the same bytes again, whatever they are. Special tokens in a text are text like any
 * other: their ids come from dl_tokenizer_id. Texts are bytes with a length; they may hold zero bytes. */

typedef struct dl_tokenizer dl_tokenizer; /* begins with a dl_object */

typedef struct dl_char_tokenizer_options {
    int64_t vocabulary_size; /* most ids; DL_NONE: one for every character seen */
    dl_value special_tokens; /* a list of strings */
    bool byte_fallback;      /* other characters become their bytes; else they are an error */
    dl_value characters;     /* what training has learned: strings, and numbers for single bytes that are no UTF-8 */
} dl_char_tokenizer_options;

typedef struct dl_byte_pair_tokenizer_options {
    int64_t vocabulary_size; /* most ids */
    dl_value special_tokens;
    dl_value merges; /* what training has learned: the ids of left and right of each merge, one merge after another */
} dl_byte_pair_tokenizer_options;

DL_API extern const dl_family dl_tokenizer_family;
DL_API extern const dl_definition *const dl_char_tokenizer;
DL_API extern const dl_definition *const dl_byte_pair_tokenizer;

/* Learns from texts, in place of what it had learned. lengths NULL: the texts end at their zero byte. */
DL_API dl_status dl_tokenizer_train(dl_tokenizer *tokenizer, const char *const *texts, const size_t *lengths,
                                    int64_t count);
/* The ids of a text, int64 (T). */
DL_API dl_tensor *dl_tokenizer_encode(dl_tokenizer *tokenizer, const char *text, size_t length);
/* Of several, int64 (count, T), with zeros after the ids; T is that of the longest, at least 1. */
DL_API dl_tensor *dl_tokenizer_encode_batch(dl_tokenizer *tokenizer, const char *const *texts, const size_t *lengths,
                                            int64_t count);
/* The bytes of a tensor of ids, whatever its shape; zeros are left out. *text, which ends with a further zero byte, is
 * freed with dl_free_text. */
DL_API dl_status dl_tokenizer_decode(const dl_tokenizer *tokenizer, const dl_tensor *ids, char **text, size_t *length);
DL_API int64_t dl_tokenizer_size(const dl_tokenizer *tokenizer); /* the highest id */
/* The bytes of an id; NULL for an id that there is not. Borrowed, until the next training. */
DL_API const char *dl_tokenizer_token(const dl_tokenizer *tokenizer, int64_t id, size_t *length);
/* The first id with these bytes; 0 if there is none. */
DL_API int64_t dl_tokenizer_id(const dl_tokenizer *tokenizer, const char *token, size_t length);
/* A JSON file, written beside and renamed. What is read is checked in full. The caller owns *out. */
DL_API dl_status dl_tokenizer_save(const dl_tokenizer *tokenizer, const char *path);
DL_API dl_status dl_tokenizer_load(dl_context *context, const char *path, dl_tokenizer **out);
/* The same from bytes in memory; name is for messages. */
DL_API dl_status dl_tokenizer_parse(dl_context *context, const char *bytes, size_t length, const char *name,
                                    dl_tokenizer **out);

#ifdef __cplusplus
}
#endif
#endif
