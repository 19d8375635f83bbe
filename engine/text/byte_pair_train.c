/* text/byte_pair_train.c: learning merges: again and again the pair of neighbours that is the most frequent becomes a
 * token. The counts of pairs are kept up to date, so that a merge costs what the words that have the pair cost.
 *
 *      words     each distinct word once, with how often it came: ids in `symbols` from `start` on
 *      pairs     count over all words, and which words have it (or had it)
 *      heap      of (count, pair), the greatest first; an entry may have an older, higher count
 *
 * Always true: a pair's count only falls after the merge in which it came up, since new pairs have the new id in them;
 * so an entry of the heap is never too low. Of pairs with one count that with the lower ids is first, so the result
 * does not depend on the order of words or of the table. */
#include <string.h>

#include "text/tokenizer.h"

typedef struct word {
    int64_t start; /* in symbols */
    int length;
    int64_t count;
} word;

typedef struct pair {
    uint64_t key;
    int64_t count;
    int64_t *words;
    int64_t word_count, word_capacity;
} pair;

typedef struct candidate {
    int64_t count;
    int64_t pair;
} candidate;

typedef struct learning {
    dl_context *context;
    int64_t bytes; /* the id of byte 0 */
    int64_t word_count;
    word *words;
    int64_t *symbols;
    dl_pair_map places; /* the place of a pair in `pairs`, from 1 */
    pair *pairs;
    int64_t pair_count, pair_capacity;
    candidate *heap;
    int64_t heap_count, heap_capacity;
} learning;

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* Counts the distinct words of the texts. */
static dl_status count_words(const dl_texts *texts, dl_vocabulary *seen, dl_id_list *counts) {
    for (int64_t k = 0; k < texts->count; k++) {
        dl_token text = dl_text_of(texts, k);
        for (size_t at = 0; at < text.length;) {
            size_t taken = dl_next_word(text.at + at, text.length - at);
            int64_t place, before = seen->count, zero = 0;
            DL_TRY(dl_vocabulary_add(seen, text.at + at, taken, &place));
            if (place > before)
                DL_TRY(dl_id_list_add(counts, &zero, 1));
            counts->at[place - 1]++;
            at += taken;
        }
        DL_TRY(dl_poll(seen->context));
    }
    return DL_OK;
}

static dl_status make_words(learning *l, const dl_vocabulary *seen, const dl_id_list *counts) {
    size_t total = seen->count ? seen->ends[seen->count - 1] : 0;
    l->words = dl_alloc_array(l->context, (size_t)seen->count + 1, sizeof *l->words);
    l->symbols = l->words ? dl_alloc_array(l->context, total + 1, sizeof *l->symbols) : NULL;
    if (!l->symbols)
        return DL_MEMORY;
    for (size_t i = 0; i < total; i++)
        l->symbols[i] = l->bytes + (unsigned char)seen->bytes[i];
    for (int64_t k = 0; k < seen->count; k++) {
        size_t length;
        const char *at = dl_vocabulary_token(seen, k + 1, &length);
        l->words[k] = (word){at - seen->bytes, (int)length, counts->at[k]};
    }
    l->word_count = seen->count;
    return DL_OK;
}

/* ---- pairs ----------------------------------------------------------------------------------------------------- */

static dl_status find_pair(learning *l, uint64_t key, pair **out) {
    int64_t place = dl_pair_map_get(&l->places, key);
    if (!place) {
        DL_TRY(dl_grow(l->context, &l->pairs, l->pair_count, &l->pair_capacity, sizeof *l->pairs));
        DL_TRY(dl_pair_map_put(&l->places, key, l->pair_count + 1));
        l->pairs[l->pair_count++] = (pair){.key = key};
        place = l->pair_count;
    }
    *out = &l->pairs[place - 1];
    return DL_OK;
}

static dl_status note_word(learning *l, pair *p, int64_t index) {
    if (p->word_count > 0 && p->words[p->word_count - 1] == index)
        return DL_OK;
    DL_TRY(dl_grow(l->context, &p->words, p->word_count, &p->word_capacity, sizeof *p->words));
    p->words[p->word_count++] = index;
    return DL_OK;
}

/* Adds the word's pairs to the counts, sign times. Those with an id from `since` on are new to the word. */
static dl_status count_pairs(learning *l, int64_t index, int sign, int64_t since) {
    const word *w = &l->words[index];
    const int64_t *ids = l->symbols + w->start;
    for (int i = 0; i + 1 < w->length; i++) {
        pair *p;
        DL_TRY(find_pair(l, dl_pair_key(ids[i], ids[i + 1]), &p));
        p->count += sign * w->count;
        if (sign > 0 && (ids[i] >= since || ids[i + 1] >= since))
            DL_TRY(note_word(l, p, index));
    }
    return DL_OK;
}

/* ---- the heap -------------------------------------------------------------------------------------------------- */

static bool comes_first(const learning *l, candidate a, candidate b) {
    return a.count != b.count ? a.count > b.count : l->pairs[a.pair].key < l->pairs[b.pair].key;
}

static dl_status push(learning *l, int64_t place) {
    DL_TRY(dl_grow(l->context, &l->heap, l->heap_count, &l->heap_capacity, sizeof *l->heap));
    candidate entry = {l->pairs[place].count, place};
    int64_t at = l->heap_count++;
    for (; at > 0 && comes_first(l, entry, l->heap[(at - 1) / 2]); at = (at - 1) / 2)
        l->heap[at] = l->heap[(at - 1) / 2];
    l->heap[at] = entry;
    return DL_OK;
}

static candidate pop(learning *l) {
    candidate first = l->heap[0], last = l->heap[--l->heap_count];
    int64_t at = 0;
    while (2 * at + 1 < l->heap_count) {
        int64_t child = 2 * at + 1;
        if (child + 1 < l->heap_count && comes_first(l, l->heap[child + 1], l->heap[child]))
            child++;
        if (!comes_first(l, l->heap[child], last))
            break;
        l->heap[at] = l->heap[child];
        at = child;
    }
    l->heap[at] = last;
    return first;
}

/* The place of the most frequent pair; -1 if none comes twice. */
static dl_status best_pair(learning *l, int64_t *place) {
    *place = -1;
    while (l->heap_count > 0) {
        candidate first = pop(l);
        int64_t count = l->pairs[first.pair].count;
        if (count == first.count) {
            *place = count >= 2 ? first.pair : -1;
            return DL_OK;
        }
        if (count >= 2)
            DL_TRY(push(l, first.pair));
    }
    return DL_OK;
}

/* ---- merging --------------------------------------------------------------------------------------------------- */

/* Replaces the pair in the word, from the left. */
static void replace(learning *l, word *w, uint64_t key, int64_t id) {
    int64_t *ids = l->symbols + w->start;
    int kept = 0;
    for (int i = 0; i < w->length; kept++) {
        bool matches = i + 1 < w->length && dl_pair_key(ids[i], ids[i + 1]) == key;
        ids[kept] = matches ? id : ids[i];
        i += matches ? 2 : 1;
    }
    w->length = kept;
}

static bool has_pair(const learning *l, const word *w, uint64_t key) {
    const int64_t *ids = l->symbols + w->start;
    for (int i = 0; i + 1 < w->length; i++)
        if (dl_pair_key(ids[i], ids[i + 1]) == key)
            return true;
    return false;
}

static dl_status merge_pair(learning *l, int64_t place, int64_t id) {
    uint64_t key = l->pairs[place].key;
    int64_t first_new = l->pair_count;
    for (int64_t k = 0; k < l->pairs[place].word_count; k++) {
        int64_t index = l->pairs[place].words[k];
        if (!has_pair(l, &l->words[index], key))
            continue;
        DL_TRY(count_pairs(l, index, -1, id));
        replace(l, &l->words[index], key, id);
        DL_TRY(count_pairs(l, index, 1, id));
    }
    dl_free(l->pairs[place].words);
    l->pairs[place].words = NULL;
    l->pairs[place].word_count = l->pairs[place].word_capacity = 0;
    for (int64_t k = first_new; k < l->pair_count; k++)
        DL_TRY(push(l, k));
    return DL_OK;
}

static dl_status learn(learning *l, int64_t most, dl_id_list *merges) {
    for (int64_t k = 0; k < l->word_count; k++)
        DL_TRY(count_pairs(l, k, 1, 0));
    for (int64_t k = 0; k < l->pair_count; k++)
        DL_TRY(push(l, k));
    for (int64_t id = l->bytes + 256; id < l->bytes + 256 + most; id++) {
        int64_t place;
        DL_TRY(dl_poll(l->context));
        DL_TRY(best_pair(l, &place));
        if (place < 0)
            return DL_OK;
        int64_t ids[2] = {(int64_t)(l->pairs[place].key >> 32), (int64_t)(l->pairs[place].key & 0xffffffff)};
        DL_TRY(dl_id_list_add(merges, ids, 2));
        DL_TRY(merge_pair(l, place, id));
    }
    return DL_OK;
}

static void free_learning(learning *l) {
    for (int64_t k = 0; k < l->pair_count; k++)
        dl_free(l->pairs[k].words);
    dl_free(l->pairs);
    dl_free(l->words);
    dl_free(l->symbols);
    dl_free(l->heap);
    dl_pair_map_clear(&l->places);
}

dl_status dl_learn_merges(dl_context *context, const dl_texts *texts, int64_t bytes, int64_t most, dl_id_list *merges) {
    learning l = {.context = context, .bytes = bytes, .places = {.context = context}};
    dl_vocabulary seen = dl_vocabulary_empty(context);
    dl_id_list counts = {.context = context};
    dl_status status = count_words(texts, &seen, &counts);
    if (status == DL_OK)
        status = make_words(&l, &seen, &counts);
    dl_vocabulary_clear(&seen);
    dl_id_list_clear(&counts);
    if (status == DL_OK)
        status = learn(&l, most, merges);
    free_learning(&l);
    return status;
}
