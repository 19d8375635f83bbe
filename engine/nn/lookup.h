/* nn/lookup.h: from tokens to ids and back, for the layers that have a vocabulary.
 *
 *      id 0            padding, or the mask token
 *      1 .. oov        unknown tokens
 *      oov + 1 ...     the vocabulary, token after token
 *
 * With outputs other than ids, column c (from 1) belongs to id c, and id 0 has none. */
#ifndef DL_NN_LOOKUP_H
#define DL_NN_LOOKUP_H

#include "nn/nn.h"
#include "text/text.h"

typedef struct dl_lookup_settings {
    int64_t max_tokens; /* DL_NONE: no limit */
    int64_t oov;
    bool masked;        /* the mask token has id 0 */
    dl_token mask, unknown;
    bool integers;      /* a token is the eight bytes of an int64_t */
    int output_mode;    /* DL_OUTPUT_INT ... */
    bool pad, invert;
    dl_value *vocabulary, *idf_weights; /* in the layer's options */
} dl_lookup_settings;

typedef struct dl_lookup {
    dl_lookup_settings settings;
    dl_layer *layer; /* whose state holds this */
    dl_vocabulary tokens; /* without the special ones; none: not known yet */
    double *idf;          /* [oov + tokens.count]; NULL without tf_idf */
} dl_lookup;

/* Checks the settings and reads the vocabulary of the options, if there is one. After a failure too, the lookup is
 * cleared with dl_lookup_clear. */
dl_status dl_lookup_init(dl_lookup *lookup, dl_layer *layer, const dl_lookup_settings *settings);
void dl_lookup_clear(dl_lookup *lookup);
int64_t dl_lookup_size(const dl_lookup *lookup);
/* DL_STATE if there is no vocabulary yet. */
dl_status dl_lookup_check_known(const dl_lookup *lookup);
/* Columns of an output that is not of ids; DL_STATE if that is not known yet. */
dl_status dl_lookup_depth(const dl_lookup *lookup, int64_t *depth);
dl_status dl_lookup_id(const dl_lookup *lookup, const char *token, size_t length, int64_t *id);
/* The token of an id; the unknown one for ids that no token has. */
dl_token dl_lookup_token(const dl_lookup *lookup, int64_t id);

/* ---- ids of many rows -------------------------------------------------------------------------------------------- */

/* Rows of ids one after another: row k ends before ends[k]. */
typedef struct dl_id_rows {
    dl_context *context;
    int64_t count, capacity;
    int64_t *ids;
    int64_t rows;
    int64_t *ends;
} dl_id_rows;

dl_status dl_id_rows_init(dl_id_rows *rows, dl_context *context, int64_t most);
dl_status dl_id_rows_add(dl_id_rows *rows, int64_t id);
void dl_id_rows_end_row(dl_id_rows *rows);
void dl_id_rows_clear(dl_id_rows *rows);
/* One row of columns for each row of ids, as output_mode multi_hot, count or tf_idf wants it: fills a contiguous float
 * tensor of rows * depth zeros. */
void dl_lookup_encode(const dl_lookup *lookup, const dl_id_rows *rows, int64_t depth, dl_tensor *out);

/* ---- learning a vocabulary --------------------------------------------------------------------------------------- */

typedef struct dl_tally_entry {
    int64_t count, documents, last_document;
} dl_tally_entry;

/* How often each token came, and in how many documents. */
typedef struct dl_tally {
    dl_lookup *lookup;
    dl_vocabulary seen;
    dl_tally_entry *entries; /* [seen.capacity] */
    int64_t capacity;
    int64_t documents;
} dl_tally;

dl_tally dl_tally_begin(dl_lookup *lookup);
void dl_tally_next_document(dl_tally *tally);
dl_status dl_tally_add(dl_tally *tally, const char *token, size_t length);
/* Makes the lookup's vocabulary of what was seen: the most frequent tokens first, of those with one count the greatest
 * first, as many as max_tokens leaves room for. Ends the tally if status is not DL_OK too; returns what stands. */
dl_status dl_tally_end(dl_tally *tally, dl_status status);

/* Sets vocabulary and weights, in the options too. */
dl_status dl_lookup_set(dl_lookup *lookup, const dl_value *vocabulary, const dl_value *idf_weights);

#endif
