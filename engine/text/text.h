/* text/text.h: what this layer's files and the layers above share beside the public dlua/text.h: a hash of bytes,
 * ordered sets of tokens, and the way from a text to its tokens. */
#ifndef DL_TEXT_TEXT_H
#define DL_TEXT_TEXT_H

#include "base/base.h"
#include "dlua/text.h"

/* FarmHash's Fingerprint64 (Pike 2014), which never changes from one version to the next. TensorFlow spreads unknown
 * tokens by it. */
uint64_t dl_fingerprint(const char *bytes, size_t length);

/* ---- vocabularies ---------------------------------------------------------------------------------------------- */

/* A set of tokens (any bytes) in the order in which they came; a token's place counts from 1. */
typedef struct dl_vocabulary {
    dl_context *context;
    int64_t count, capacity;
    size_t *ends; /* [count]: token k is bytes[ends[k - 2]] .. bytes[ends[k - 1] - 1] */
    char *bytes;
    size_t room;         /* of bytes */
    int64_t *slots;      /* [slot_count]: the place of a token, 0 where free; found by its hash, then the next ones */
    int64_t slot_count;  /* a power of two, at least twice the count; 0 before the first token */
} dl_vocabulary;

/* Holds nothing; needs no clearing before the first token. */
dl_vocabulary dl_vocabulary_empty(dl_context *context);
void dl_vocabulary_clear(dl_vocabulary *vocabulary);
/* The token's place, which is new if the token is. On failure nothing has changed. */
dl_status dl_vocabulary_add(dl_vocabulary *vocabulary, const char *token, size_t length, int64_t *place);
/* 0 if it is not there. */
int64_t dl_vocabulary_find(const dl_vocabulary *vocabulary, const char *token, size_t length);
/* The token at a place from 1 to count; borrowed, not ended by a zero byte. */
const char *dl_vocabulary_token(const dl_vocabulary *vocabulary, int64_t place, size_t *length);

/* Rows of ids one after another, row k ending before ends[k], as int64 (rows, T) with zeros after each; T is `length`,
 * where rows are cut, or with DL_NONE that of the longest row, but at least 1. */
dl_tensor *dl_pad_ids(dl_context *context, const int64_t *ids, const int64_t *ends, int64_t rows, int64_t length);

/* ---- from a text to its tokens --------------------------------------------------------------------------------- */

typedef struct dl_token {
    const char *at;
    size_t length;
} dl_token;

/* Growing arrays of an analyzer; their memory is used again for the next text. */
typedef struct dl_token_list {
    dl_token *at;
    int64_t count, capacity;
} dl_token_list;
typedef struct dl_byte_room {
    char *at;
    size_t room;
} dl_byte_room;

/* How texts become tokens, and the tokens of the last text. Lower case is that of ASCII letters, punctuation that of
 * ASCII, white space the six bytes that C's isspace knows; characters are those of UTF-8, with U+FFFD for what is none.
 * The widths of n-grams may be any list: for each width in turn, the runs of so many tokens, joined by a space. */
typedef struct dl_analyzer {
    dl_context *context;
    int standardize, split;
    int width_count; /* 0: the tokens themselves */
    int64_t widths[DL_MAX_DIMS];
    const dl_token_list *tokens; /* after dl_analyze */
    dl_token_list words, grams;
    dl_byte_room clean, joined;
} dl_analyzer;

dl_status dl_analyze(dl_analyzer *analyzer, const char *text, size_t length);
void dl_analyzer_clear(dl_analyzer *analyzer);

#endif
