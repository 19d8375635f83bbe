/* nn/lookup_adapt.c: learning a vocabulary from data, and what hosts ask of a layer that has one. Always true: the
 * order of the tokens does not depend on the order of the data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dlua/layers.h"
#include "nn/lookup.h"

/* ---- counting ---------------------------------------------------------------------------------------------------- */

dl_tally dl_tally_begin(dl_lookup *lookup) {
    return (dl_tally){.lookup = lookup, .seen = dl_vocabulary_empty(lookup->layer->object.context)};
}

void dl_tally_next_document(dl_tally *tally) {
    tally->documents++;
}

dl_status dl_tally_add(dl_tally *tally, const char *token, size_t length) {
    int64_t place, before = tally->seen.count;
    DL_TRY(dl_grow(tally->seen.context, &tally->entries, tally->seen.count, &tally->capacity,
                   sizeof *tally->entries));
    DL_TRY(dl_vocabulary_add(&tally->seen, token, length, &place));
    dl_tally_entry *entry = &tally->entries[place - 1];
    if (place > before)
        *entry = (dl_tally_entry){0, 0, 0};
    entry->count++;
    if (entry->last_document != tally->documents)
        entry->documents++;
    entry->last_document = tally->documents;
    return DL_OK;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

typedef struct candidate {
    dl_token token;
    int64_t count, documents;
} candidate;

static int by_count(const candidate *a, const candidate *b) {
    return a->count == b->count ? 0 : a->count > b->count ? -1 : 1;
}

static int compare_texts(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    int order = by_count(a, b);
    if (order)
        return order;
    order = -memcmp(a->token.at, b->token.at, DL_MIN(a->token.length, b->token.length));
    if (order)
        return order;
    return a->token.length > b->token.length ? -1 : a->token.length < b->token.length;
}

static int compare_integers(const void *left, const void *right) {
    const candidate *a = left, *b = right;
    int64_t x, y;
    int order = by_count(a, b);
    memcpy(&x, a->token.at, sizeof x);
    memcpy(&y, b->token.at, sizeof y);
    return order ? order : x > y ? -1 : x < y;
}

static bool is_special(const dl_lookup_settings *settings, dl_token token) {
    bool is_mask = settings->masked && token.length == settings->mask.length &&
                   memcmp(token.at, settings->mask.at, token.length) == 0;
    bool is_unknown = settings->unknown.at && token.length == settings->unknown.length &&
                      memcmp(token.at, settings->unknown.at, token.length) == 0;
    return is_mask || is_unknown;
}

/* The tokens that become the vocabulary, in its order; *count of them. */
static dl_status choose(const dl_tally *tally, candidate **out, int64_t *count) {
    const dl_lookup_settings *settings = &tally->lookup->settings;
    candidate *all = dl_alloc_array(tally->seen.context, (size_t)DL_MAX(tally->seen.count, 1), sizeof *all);
    if (!all)
        return DL_MEMORY;
    *out = all;
    *count = 0;
    for (int64_t place = 1; place <= tally->seen.count; place++) {
        candidate *next = &all[*count];
        next->token.at = dl_vocabulary_token(&tally->seen, place, &next->token.length);
        next->count = tally->entries[place - 1].count;
        next->documents = tally->entries[place - 1].documents;
        *count += !is_special(settings, next->token);
    }
    if (*count == 0)
        return dl_fail(DL_INVALID, "%s: adapt found no token in the data", dl_layer_class(tally->lookup->layer));
    qsort(all, (size_t)*count, sizeof *all, settings->integers ? compare_integers : compare_texts);
    int64_t special = settings->oov + (settings->masked && settings->output_mode == DL_OUTPUT_INT);
    if (settings->max_tokens != DL_NONE)
        *count = DL_MIN(*count, settings->max_tokens - special);
    return DL_OK;
}

/* A token as an entry of the vocabulary's list. */
static dl_status token_value(const dl_lookup *lookup, dl_token token, dl_value *out) {
    dl_context *context = lookup->layer->object.context;
    if (lookup->settings.integers) {
        int64_t number;
        memcpy(&number, token.at, sizeof number);
        *out = dl_value_int(number);
        return DL_OK;
    }
    char *text = dl_alloc(context, token.length + 1);
    if (!text)
        return DL_MEMORY;
    memcpy(text, token.at, token.length);
    text[token.length] = '\0';
    *out = (dl_value){.kind = DL_VALUE_STRING, .as.string = text};
    return DL_OK;
}

static dl_status append_token(const dl_lookup *lookup, dl_value *list, dl_token token) {
    dl_value item;
    DL_TRY(token_value(lookup, token, &item));
    return dl_value_append(lookup->layer->object.context, list, &item);
}

static dl_status make_lists(const dl_tally *tally, const candidate *chosen, int64_t count, dl_value *words,
                            dl_value *weights) {
    dl_context *context = tally->seen.context;
    for (int64_t k = 0; k < count; k++) {
        DL_TRY(append_token(tally->lookup, words, chosen[k].token));
        if (tally->lookup->settings.output_mode != DL_OUTPUT_TF_IDF)
            continue;
        double documents = (double)tally->documents, with_it = (double)chosen[k].documents;
        dl_value weight = dl_value_real(log(1 + documents / (1 + with_it)));
        DL_TRY(dl_value_append(context, weights, &weight));
    }
    return DL_OK;
}

static dl_status set_from(const dl_tally *tally) {
    candidate *chosen = NULL;
    int64_t count;
    bool weighted = tally->lookup->settings.output_mode == DL_OUTPUT_TF_IDF;
    dl_value words = dl_value_list(), weights = weighted ? dl_value_list() : (dl_value){.kind = DL_VALUE_NONE};
    dl_status status = choose(tally, &chosen, &count);
    if (status == DL_OK)
        status = make_lists(tally, chosen, count, &words, &weights);
    if (status == DL_OK)
        status = dl_lookup_set(tally->lookup, &words, &weights);
    dl_value_clear(&words);
    dl_value_clear(&weights);
    dl_free(chosen);
    return status;
}

dl_status dl_tally_end(dl_tally *tally, dl_status status) {
    if (status == DL_OK)
        status = set_from(tally);
    dl_vocabulary_clear(&tally->seen);
    dl_free(tally->entries);
    tally->entries = NULL;
    return status;
}

/* ---- what hosts ask ---------------------------------------------------------------------------------------------- */

/* The state of each of these layers begins with its lookup. NULL for other layers. */
static dl_lookup *lookup_of(const dl_layer *layer, const char *what) {
    const dl_definition *definition = layer->object.definition;
    bool has = definition == &dl_layer_text_vectorization.definition ||
               definition == &dl_layer_string_lookup.definition || definition == &dl_layer_integer_lookup.definition;
    if (has)
        return layer->state;
    dl_fail(DL_INVALID, "%s: %s has no vocabulary; TextVectorization, StringLookup and IntegerLookup have one", what,
            layer->name);
    return NULL;
}

dl_status dl_layer_adapt(dl_layer *layer, dl_tensor *data) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    if (!definition->adapt)
        return dl_fail(DL_INVALID, "adapt: %s has nothing to learn from data beside its weights", layer->name);
    dl_tensor *whole = dl_tensor_contiguous(data);
    dl_status status = whole ? definition->adapt(layer, whole) : dl_last_status();
    dl_release(whole);
    return status == DL_OK ? DL_OK : dl_layer_fail_path(layer);
}

dl_status dl_layer_get_vocabulary(const dl_layer *layer, bool special_tokens, dl_value *out) {
    dl_lookup *lookup = lookup_of(layer, "get_vocabulary");
    *out = dl_value_list();
    if (!lookup)
        return dl_last_status();
    dl_status status = DL_OK;
    int64_t first = special_tokens ? 1 : lookup->settings.oov + 1;
    for (int64_t id = first; status == DL_OK && id <= dl_lookup_size(lookup); id++)
        status = append_token(lookup, out, dl_lookup_token(lookup, id));
    if (status != DL_OK)
        dl_value_clear(out);
    return status;
}

dl_status dl_layer_set_vocabulary(dl_layer *layer, const dl_value *vocabulary, const dl_value *idf_weights) {
    dl_lookup *lookup = lookup_of(layer, "set_vocabulary");
    if (!lookup)
        return dl_last_status();
    dl_status status = dl_lookup_set(lookup, vocabulary, idf_weights);
    return status == DL_OK ? DL_OK : dl_layer_fail_path(layer);
}

dl_status dl_layer_vocabulary_size(const dl_layer *layer, int64_t *size) {
    dl_lookup *lookup = lookup_of(layer, "vocabulary_size");
    if (!lookup)
        return dl_last_status();
    *size = dl_lookup_size(lookup);
    return DL_OK;
}
