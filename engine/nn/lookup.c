/* nn/lookup.c: vocabularies of layers: reading them from a list, ids and columns of tokens.
 *
 * Always true: a lookup's tokens and weights say the same as the layer's options, which a saved model holds; they
 * change together, after everything was checked. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "nn/lookup.h"

static const char *class_of(const dl_lookup *lookup) {
    return dl_layer_class(lookup->layer);
}

/* ---- reading a vocabulary ---------------------------------------------------------------------------------------- */

/* The entry of a list as a token, whose bytes may lie in *number. */
static dl_status read_token(const dl_lookup *lookup, const dl_value *entry, int64_t k, int64_t *number, dl_token *out) {
    char shown[96];
    dl_value_describe(entry, shown, sizeof shown);
    if (lookup->settings.integers) {
        if (entry->kind != DL_VALUE_INT)
            return dl_fail(DL_INVALID, "%s: vocabulary[%lld] must be a whole number, got %s", class_of(lookup),
                           (long long)k + 1, shown);
        *number = entry->as.integer;
        *out = (dl_token){(const char *)number, sizeof *number};
        return DL_OK;
    }
    if (entry->kind != DL_VALUE_STRING)
        return dl_fail(DL_INVALID, "%s: vocabulary[%lld] must be a string, got %s", class_of(lookup), (long long)k + 1,
                       shown);
    *out = (dl_token){entry->as.string, strlen(entry->as.string)};
    bool valid = true;
    for (size_t at = 0; at < out->length && valid;)
        at += dl_utf8_next(out->at + at, out->length - at, &valid);
    return valid ? DL_OK
                 : dl_fail(DL_INVALID,
                           "%s: vocabulary[%lld] is not UTF-8, and a saved model could not hold it; convert the texts "
                           "first",
                           class_of(lookup), (long long)k + 1);
}

static bool same_token(dl_token a, dl_token b) {
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

/* How many entries at the beginning are the special tokens: the mask, where ids are given, and the unknown ones. */
static int64_t count_special(const dl_lookup *lookup, const dl_value *list) {
    const dl_lookup_settings *settings = &lookup->settings;
    dl_token token;
    int64_t number;
    int64_t first = 0;
    bool has_mask = settings->masked && settings->output_mode == DL_OUTPUT_INT && list->as.list.count > 0 &&
                    read_token(lookup, &list->as.list.items[0], 0, &number, &token) == DL_OK &&
                    same_token(token, settings->mask);
    first += has_mask;
    for (int64_t k = first; k < first + settings->oov; k++)
        if (k >= list->as.list.count || read_token(lookup, &list->as.list.items[k], k, &number, &token) != DL_OK ||
            !same_token(token, settings->unknown))
            return 0;
    return first + settings->oov;
}

static dl_status check_token(const dl_lookup *lookup, const dl_vocabulary *tokens, int64_t k, dl_token token) {
    const dl_lookup_settings *settings = &lookup->settings;
    if (settings->masked && same_token(token, settings->mask))
        return dl_fail(DL_INVALID, "%s: vocabulary[%lld] is the mask token, whose id is 0: leave it out",
                       class_of(lookup), (long long)k + 1);
    if (settings->invert && settings->oov > 0 && same_token(token, settings->unknown))
        return dl_fail(DL_INVALID, "%s: vocabulary[%lld] is the oov_token: leave it out, or put it first",
                       class_of(lookup), (long long)k + 1);
    if (dl_vocabulary_find(tokens, token.at, token.length))
        return dl_fail(DL_INVALID, "%s: vocabulary[%lld] stands in it twice; each token has one id", class_of(lookup),
                       (long long)k + 1);
    return DL_OK;
}

static dl_status read_tokens(const dl_lookup *lookup, const dl_value *list, int64_t special, dl_vocabulary *tokens) {
    dl_token token;
    int64_t number, place;
    for (int64_t k = special; k < list->as.list.count; k++) {
        DL_TRY(read_token(lookup, &list->as.list.items[k], k, &number, &token));
        DL_TRY(check_token(lookup, tokens, k, token));
        DL_TRY(dl_vocabulary_add(tokens, token.at, token.length, &place));
    }
    return DL_OK;
}

/* Ids that are no learned token, as Keras counts them for max_tokens. */
static int64_t special_count(const dl_lookup *lookup) {
    return lookup->settings.oov + (lookup->settings.masked && lookup->settings.output_mode == DL_OUTPUT_INT);
}

static dl_status check_list(const dl_lookup *lookup, const dl_value *list) {
    int64_t most = lookup->settings.max_tokens;
    if (list->kind != DL_VALUE_LIST || list->as.list.count == 0)
        return dl_fail(DL_INVALID, "%s: vocabulary must be a list of at least one token", class_of(lookup));
    int64_t size = list->as.list.count - count_special(lookup, list) + special_count(lookup);
    if (most != DL_NONE && size > most)
        return dl_fail(DL_INVALID,
                       "%s: the vocabulary has %lld tokens with the special ones, and max_tokens is %lld",
                       class_of(lookup), (long long)size, (long long)most);
    return DL_OK;
}

/* ---- weights of tokens ------------------------------------------------------------------------------------------- */

static dl_status read_number(const dl_lookup *lookup, const dl_value *list, int64_t k, double *out) {
    const dl_value *entry = &list->as.list.items[k];
    *out = entry->kind == DL_VALUE_INT ? (double)entry->as.integer : entry->as.real;
    bool right = entry->kind == DL_VALUE_INT || (entry->kind == DL_VALUE_REAL && isfinite(*out));
    return right ? DL_OK
                 : dl_fail(DL_INVALID, "%s: idf_weights[%lld] must be a finite number", class_of(lookup),
                           (long long)k + 1);
}

/* *out is [oov + tokens]: the weights of unknown tokens are the mean of the others where none are given for them. */
static dl_status read_weights(const dl_lookup *lookup, const dl_value *list, int64_t special, int64_t count,
                              double **out) {
    int64_t oov = lookup->settings.oov, given = special ? oov : 0;
    if (!list || list->kind != DL_VALUE_LIST || list->as.list.count != given + count)
        return dl_fail(DL_INVALID,
                       "%s: output_mode 'tf_idf' needs idf_weights, a number for each of the %lld entries of the "
                       "vocabulary", class_of(lookup), (long long)(given + count));
    double *weights = dl_alloc_array(lookup->layer->object.context, (size_t)(oov + count), sizeof *weights);
    if (!weights)
        return DL_MEMORY;
    *out = weights;
    double sum = 0;
    for (int64_t k = 0; k < given + count; k++) {
        DL_TRY(read_number(lookup, list, k, &weights[oov - given + k]));
        sum += weights[oov - given + k];
    }
    for (int64_t k = 0; k < oov - given; k++)
        weights[k] = sum / (double)count;
    return DL_OK;
}

/* ---- setting ----------------------------------------------------------------------------------------------------- */

/* Reads both lists into tokens and *idf, which the caller clears also after a failure. */
static dl_status read_lists(const dl_lookup *lookup, const dl_value *vocabulary, const dl_value *idf_weights,
                            dl_vocabulary *tokens, double **idf) {
    DL_TRY(check_list(lookup, vocabulary));
    int64_t special = count_special(lookup, vocabulary);
    DL_TRY(read_tokens(lookup, vocabulary, special, tokens));
    if (tokens->count == 0)
        return dl_fail(DL_INVALID, "%s: vocabulary must have a token beside the special ones", class_of(lookup));
    if (lookup->settings.output_mode == DL_OUTPUT_TF_IDF)
        return read_weights(lookup, idf_weights, special, tokens->count, idf);
    if (idf_weights && idf_weights->kind != DL_VALUE_NONE)
        return dl_fail(DL_INVALID, "%s: idf_weights are for output_mode 'tf_idf' only", class_of(lookup));
    return DL_OK;
}

static dl_status keep_lists(dl_lookup *lookup, const dl_value *vocabulary, const dl_value *idf_weights) {
    dl_context *context = lookup->layer->object.context;
    dl_value words, weights = {.kind = DL_VALUE_NONE};
    DL_TRY(dl_value_copy(context, vocabulary, &words));
    dl_status status = idf_weights ? dl_value_copy(context, idf_weights, &weights) : DL_OK;
    if (status != DL_OK) {
        dl_value_clear(&words);
        return status;
    }
    dl_value_clear(lookup->settings.vocabulary);
    dl_value_clear(lookup->settings.idf_weights);
    *lookup->settings.vocabulary = words;
    *lookup->settings.idf_weights = weights;
    return DL_OK;
}

dl_status dl_lookup_set(dl_lookup *lookup, const dl_value *vocabulary, const dl_value *idf_weights) {
    dl_vocabulary tokens = dl_vocabulary_empty(lookup->layer->object.context);
    double *idf = NULL;
    dl_status status = read_lists(lookup, vocabulary, idf_weights, &tokens, &idf);
    if (status == DL_OK && vocabulary != lookup->settings.vocabulary)
        status = keep_lists(lookup, vocabulary, idf_weights);
    if (status != DL_OK) {
        dl_vocabulary_clear(&tokens);
        dl_free(idf);
        return status;
    }
    dl_vocabulary_clear(&lookup->tokens);
    dl_free(lookup->idf);
    lookup->tokens = tokens;
    lookup->idf = idf;
    return DL_OK;
}

static dl_status check_settings(const dl_lookup *lookup) {
    const dl_lookup_settings *settings = &lookup->settings;
    if (settings->pad && settings->max_tokens == DL_NONE)
        return dl_fail(DL_INVALID, "%s: pad_to_max_tokens needs max_tokens", class_of(lookup));
    if (settings->max_tokens != DL_NONE && settings->max_tokens <= special_count(lookup))
        return dl_fail(DL_INVALID, "%s: max_tokens = %lld leaves no room for tokens beside the %lld special ones",
                       class_of(lookup), (long long)settings->max_tokens, (long long)special_count(lookup));
    if (settings->invert && settings->output_mode != DL_OUTPUT_INT)
        return dl_fail(DL_INVALID, "%s: invert = true goes with output_mode 'int' only", class_of(lookup));
    return DL_OK;
}

dl_status dl_lookup_init(dl_lookup *lookup, dl_layer *layer, const dl_lookup_settings *settings) {
    *lookup = (dl_lookup){.settings = *settings, .layer = layer};
    lookup->tokens = dl_vocabulary_empty(layer->object.context);
    DL_TRY(check_settings(lookup));
    if (settings->vocabulary->kind != DL_VALUE_NONE)
        return dl_lookup_set(lookup, settings->vocabulary, settings->idf_weights);
    if (settings->idf_weights->kind != DL_VALUE_NONE)
        return dl_fail(DL_INVALID, "%s: idf_weights belong to a vocabulary; give that too", class_of(lookup));
    return DL_OK;
}

void dl_lookup_clear(dl_lookup *lookup) {
    dl_vocabulary_clear(&lookup->tokens);
    dl_free(lookup->idf);
    lookup->idf = NULL;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

int64_t dl_lookup_size(const dl_lookup *lookup) {
    return lookup->settings.oov + lookup->tokens.count;
}

dl_status dl_lookup_check_known(const dl_lookup *lookup) {
    if (lookup->tokens.count > 0)
        return DL_OK;
    return dl_fail(DL_STATE, "%s has no vocabulary yet; call adapt with some data, or give it one", class_of(lookup));
}

dl_status dl_lookup_depth(const dl_lookup *lookup, int64_t *depth) {
    if (!lookup->settings.pad)
        DL_TRY(dl_lookup_check_known(lookup));
    *depth = lookup->settings.pad ? lookup->settings.max_tokens : dl_lookup_size(lookup);
    return DL_OK;
}

/* The id of a token that is not in the vocabulary. */
static dl_status unknown_id(const dl_lookup *lookup, const char *token, size_t length, int64_t *id) {
    const dl_lookup_settings *settings = &lookup->settings;
    int64_t number = 0;
    if (settings->integers)
        memcpy(&number, token, sizeof number);
    if (settings->oov == 0 && settings->integers)
        return dl_fail(DL_INVALID, "%s: %lld is not in the vocabulary, and num_oov_indices = 0 leaves no id for it",
                       class_of(lookup), (long long)number);
    if (settings->oov == 0)
        return dl_fail(DL_INVALID, "%s: '%.*s' is not in the vocabulary, and num_oov_indices = 0 leaves no id for it",
                       class_of(lookup), (int)DL_MIN(length, (size_t)80), token);
    if (settings->integers)
        *id = 1 + (number % settings->oov + settings->oov) % settings->oov;
    else
        *id = 1 + (int64_t)(dl_fingerprint(token, length) % (uint64_t)settings->oov);
    return DL_OK;
}

dl_status dl_lookup_id(const dl_lookup *lookup, const char *token, size_t length, int64_t *id) {
    const dl_lookup_settings *settings = &lookup->settings;
    *id = 0;
    if (settings->masked && same_token(settings->mask, (dl_token){token, length}))
        return DL_OK;
    int64_t place = dl_vocabulary_find(&lookup->tokens, token, length);
    if (place == 0)
        return unknown_id(lookup, token, length, id);
    *id = settings->oov + place;
    return DL_OK;
}

dl_token dl_lookup_token(const dl_lookup *lookup, int64_t id) {
    const dl_lookup_settings *settings = &lookup->settings;
    if (id == 0 && settings->masked)
        return settings->mask;
    if (id <= settings->oov || id > dl_lookup_size(lookup))
        return settings->unknown;
    dl_token token;
    token.at = dl_vocabulary_token(&lookup->tokens, id - settings->oov, &token.length);
    return token;
}

/* ---- ids of many rows -------------------------------------------------------------------------------------------- */

dl_status dl_id_rows_init(dl_id_rows *rows, dl_context *context, int64_t most) {
    *rows = (dl_id_rows){.context = context};
    rows->ends = dl_alloc_array(context, (size_t)DL_MAX(most, 1), sizeof *rows->ends);
    return rows->ends ? DL_OK : DL_MEMORY;
}

dl_status dl_id_rows_add(dl_id_rows *rows, int64_t id) {
    DL_TRY(dl_grow(rows->context, &rows->ids, rows->count, &rows->capacity, sizeof *rows->ids));
    rows->ids[rows->count++] = id;
    return DL_OK;
}

void dl_id_rows_end_row(dl_id_rows *rows) {
    rows->ends[rows->rows++] = rows->count;
}

void dl_id_rows_clear(dl_id_rows *rows) {
    dl_free(rows->ids);
    dl_free(rows->ends);
    *rows = (dl_id_rows){.context = rows->context};
}

static void add_column(const dl_lookup *lookup, dl_tensor *out, int64_t element, int64_t id) {
    int mode = lookup->settings.output_mode;
    double step = mode == DL_OUTPUT_TF_IDF ? lookup->idf[id - 1] : 1;
    bool adds = mode == DL_OUTPUT_COUNT || mode == DL_OUTPUT_TF_IDF;
    if (out->dtype == DL_FLOAT32) {
        float *at = DL_DATA(out, float) + element;
        *at = adds ? *at + (float)step : 1;
    } else {
        double *at = DL_DATA(out, double) + element;
        *at = adds ? *at + step : 1;
    }
}

void dl_lookup_encode(const dl_lookup *lookup, const dl_id_rows *rows, int64_t depth, dl_tensor *out) {
    int64_t k = 0;
    for (int64_t row = 0; row < rows->rows; row++)
        for (; k < rows->ends[row]; k++)
            if (rows->ids[k] > 0)
                add_column(lookup, out, row * depth + rows->ids[k] - 1, rows->ids[k]);
}
