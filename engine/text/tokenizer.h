/* text/tokenizer.h: what the tokenizers share: the table of tokens, lists of ids, maps of pairs. */
#ifndef DL_TEXT_TOKENIZER_H
#define DL_TEXT_TOKENIZER_H

#include "text/text.h"

/* The bytes of each id from 1 on. Several ids may have the same bytes. */
typedef struct dl_token_table {
    dl_vocabulary bytes;
    int64_t size, capacity;
    int64_t *places;    /* [size]: of an id's bytes in `bytes` */
    int64_t *first_ids; /* [bytes.count]: the first id with the bytes at a place */
} dl_token_table;

dl_token_table dl_token_table_empty(dl_context *context);
void dl_token_table_clear(dl_token_table *table);
/* The new id is table->size afterwards. */
dl_status dl_token_table_add(dl_token_table *table, const char *token, size_t length);
const char *dl_token_table_get(const dl_token_table *table, int64_t id, size_t *length);
int64_t dl_token_table_find(const dl_token_table *table, const char *token, size_t length);

typedef struct dl_id_list {
    dl_context *context;
    int64_t *at;
    int64_t count, capacity;
} dl_id_list;

dl_status dl_id_list_add(dl_id_list *list, const int64_t *ids, int64_t count);
void dl_id_list_clear(dl_id_list *list);

/* From a pair of ids, each at least 1 and below 2^31, to a number that is not 0. */
typedef struct dl_pair_map {
    dl_context *context;
    uint64_t *keys; /* [slots], 0 where free */
    int64_t *values;
    int64_t count, slots;
} dl_pair_map;

static inline uint64_t dl_pair_key(int64_t left, int64_t right) {
    return (uint64_t)left << 32 | (uint64_t)right;
}
dl_status dl_pair_map_put(dl_pair_map *map, uint64_t key, int64_t value);
int64_t dl_pair_map_get(const dl_pair_map *map, uint64_t key); /* 0: there is none */
void dl_pair_map_clear(dl_pair_map *map);

/* ---- kinds ----------------------------------------------------------------------------------------------------- */

typedef struct dl_texts {
    const char *const *at;
    const size_t *lengths; /* NULL: each ends at its zero byte */
    int64_t count;
} dl_texts;
dl_token dl_text_of(const dl_texts *texts, int64_t k);

typedef struct dl_tokenizer_def {
    dl_definition definition;
    /* Fills table, which holds the special tokens, and whatever else the kind keeps, from the options. The state before
     * is replaced when all has succeeded. */
    dl_status (*build)(dl_tokenizer *tokenizer, dl_token_table *table);
    /* Puts what it learned into the options, in the value *learned. */
    dl_status (*train)(dl_tokenizer *tokenizer, const dl_texts *texts, dl_value *learned);
    dl_value *(*learned)(dl_tokenizer *tokenizer); /* where the options keep it */
    const dl_value *(*special_tokens)(const dl_tokenizer *tokenizer);
    dl_status (*encode)(dl_tokenizer *tokenizer, const char *text, size_t length, dl_id_list *out);
} dl_tokenizer_def;

/* A word and its ids, as the encoding of byte pairs remembers them. */
typedef struct dl_word_cache {
    dl_vocabulary words;
    dl_id_list ids;
    int64_t *ends; /* [capacity] */
    int64_t capacity;
} dl_word_cache;

struct dl_tokenizer {
    dl_object object;
    dl_token_table table;
    int64_t special; /* how many ids are special tokens */
    int64_t bytes;   /* the id of byte 0; byte b has bytes + b. 0: bytes have no tokens */
    dl_vocabulary characters; /* of a CharTokenizer: those with the last ids */
    dl_pair_map merges;       /* of byte pairs: the merged id */
    dl_word_cache cache;
};

extern const dl_tokenizer_def dl_char_tokenizer_definition, dl_byte_pair_tokenizer_definition;

/* Adds the 256 tokens of single bytes; the first one's id. */
dl_status dl_token_table_add_bytes(dl_token_table *table, int64_t *first);

/* ---- byte pairs ------------------------------------------------------------------------------------------------ */

#define DL_MOST_WORD_BYTES 256
/* The length of the word that a text begins with; no merge goes across words. */
size_t dl_next_word(const char *text, size_t left);
/* Learns at most `most` merges of words of the texts; *merges gets left and right of each. Byte b has the id bytes + b;
 * the merges get the ids from bytes + 256 on. */
dl_status dl_learn_merges(dl_context *context, const dl_texts *texts, int64_t bytes, int64_t most, dl_id_list *merges);

#endif
