/* text/byte_pair.c: byte-pair encoding of bytes. Always true: an id made by a merge is higher than those that it was
 * made of, so the merge learned first is the one with the lowest id; no token is longer than a word may be. */
#include <inttypes.h>
#include <string.h>

#include "text/tokenizer.h"

#define OPTIONS(tokenizer_) ((dl_byte_pair_tokenizer_options *)(tokenizer_)->object.options)

enum { MOST_CACHED_WORDS = 1 << 16 };

/* ---- words ----------------------------------------------------------------------------------------------------- */

typedef enum byte_class { SPACE, LETTER, DIGIT, OTHER } byte_class;

/* What is beyond ASCII counts as letters. */
static byte_class class_of(char byte) {
    unsigned char code = (unsigned char)byte;
    if (code == ' ' || (code >= '\t' && code <= '\r'))
        return SPACE;
    if (code >= 0x80 || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z'))
        return LETTER;
    return code >= '0' && code <= '9' ? DIGIT : OTHER;
}

/* The end of the run of bytes of one class that begins at `at`. */
static size_t run_end(const char *text, size_t left, size_t at) {
    byte_class class_ = class_of(text[at]);
    while (at < left && class_of(text[at]) == class_)
        at++;
    return at;
}

/* 's 't 'm 'd 're 've 'll */
static size_t contraction(const char *text, size_t left) {
    if (left < 2 || text[0] != '\'')
        return 0;
    if (strchr("stmd", text[1]) && text[1])
        return 2;
    bool two = left >= 3 && (memcmp(text + 1, "re", 2) == 0 || memcmp(text + 1, "ve", 2) == 0 ||
                             memcmp(text + 1, "ll", 2) == 0);
    return two ? 3 : 0;
}

/* GPT-2's pattern, with the classes above: a contraction; letters, digits or others, with one space before them; white
 * space, of which the last byte stays for what follows. */
size_t dl_next_word(const char *text, size_t left) {
    left = DL_MIN(left, (size_t)DL_MOST_WORD_BYTES + 1); /* no run is looked through again for each of its words */
    size_t end = contraction(text, left);
    if (end)
        return end;
    if (class_of(text[0]) != SPACE) {
        end = run_end(text, left, 0);
    } else {
        bool leads = text[0] == ' ' && left > 1 && class_of(text[1]) != SPACE;
        end = run_end(text, left, leads ? 1 : 0);
        if (!leads && end < left && end > 1)
            end--;
    }
    return DL_MIN(end, (size_t)DL_MOST_WORD_BYTES);
}

/* ---- building -------------------------------------------------------------------------------------------------- */

static dl_status fail_merge(int64_t k, const char *why) {
    return dl_fail(DL_INVALID, "BytePairTokenizer: merge %" PRId64 " %s", k + 1, why);
}

static dl_status add_merge(dl_tokenizer *tokenizer, dl_token_table *table, int64_t k, int64_t left, int64_t right) {
    char joined[DL_MOST_WORD_BYTES];
    size_t first, second;
    if (left < tokenizer->bytes || left > table->size || right < tokenizer->bytes || right > table->size)
        return fail_merge(k, "names an id that is no token before it");
    const char *token = dl_token_table_get(table, left, &first);
    if (first > sizeof joined)
        return fail_merge(k, "is of a token that is too long");
    memcpy(joined, token, first);
    token = dl_token_table_get(table, right, &second);
    if (first + second > sizeof joined)
        return fail_merge(k, "makes a token of more than 256 bytes");
    memcpy(joined + first, token, second);
    if (dl_pair_map_get(&tokenizer->merges, dl_pair_key(left, right)))
        return fail_merge(k, "is one of those before it");
    DL_TRY(dl_token_table_add(table, joined, first + second));
    return dl_pair_map_put(&tokenizer->merges, dl_pair_key(left, right), table->size);
}

static dl_status build(dl_tokenizer *tokenizer, dl_token_table *table) {
    const dl_value *list = &OPTIONS(tokenizer)->merges;
    int64_t most = OPTIONS(tokenizer)->vocabulary_size;
    DL_TRY(dl_token_table_add_bytes(table, &tokenizer->bytes));
    if (table->size > most)
        return dl_fail(DL_INVALID,
                       "BytePairTokenizer: vocabulary_size must be at least %" PRId64 ", for the 256 bytes and the "
                       "special tokens (got %" PRId64 ")", table->size, most);
    if (list->kind == DL_VALUE_NONE)
        return DL_OK;
    if (list->kind != DL_VALUE_LIST || list->as.list.count % 2 != 0 || list->as.list.count / 2 > most - table->size)
        return dl_fail(DL_INVALID, "BytePairTokenizer: merges must be a list of pairs of ids, and no more of them than "
                       "vocabulary_size leaves room for");
    for (int64_t k = 0; k < list->as.list.count / 2; k++) {
        const dl_value *pair = &list->as.list.items[2 * k];
        if (pair[0].kind != DL_VALUE_INT || pair[1].kind != DL_VALUE_INT)
            return fail_merge(k, "is not of whole numbers");
        DL_TRY(add_merge(tokenizer, table, k, pair[0].as.integer, pair[1].as.integer));
    }
    return DL_OK;
}

static dl_status train(dl_tokenizer *tokenizer, const dl_texts *texts, dl_value *learned) {
    dl_context *context = tokenizer->object.context;
    dl_id_list merges = {.context = context};
    int64_t most = OPTIONS(tokenizer)->vocabulary_size - tokenizer->special - 256;
    dl_status status = dl_learn_merges(context, texts, tokenizer->bytes, most, &merges);
    for (int64_t k = 0; status == DL_OK && k < merges.count; k++) {
        dl_value id = dl_value_int(merges.at[k]);
        status = dl_value_append(context, learned, &id);
    }
    dl_id_list_clear(&merges);
    return status;
}

static dl_value *learned_of(dl_tokenizer *tokenizer) {
    return &OPTIONS(tokenizer)->merges;
}

static const dl_value *special_of(const dl_tokenizer *tokenizer) {
    return &OPTIONS(tokenizer)->special_tokens;
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

static int64_t merge_at(const dl_tokenizer *tokenizer, const int64_t *ids, int64_t count, int64_t i) {
    return i + 1 < count ? dl_pair_map_get(&tokenizer->merges, dl_pair_key(ids[i], ids[i + 1])) : 0;
}

/* Applies the merges to the ids of a word's bytes, the one learned first before all others, from the left; merged[i] is
 * what ids i and i + 1 make, 0 for nothing. Returns how many ids are left. */
static int64_t merge_word(const dl_tokenizer *tokenizer, int64_t *ids, int64_t count) {
    int64_t merged[DL_MOST_WORD_BYTES];
    for (int64_t i = 0; i < count; i++)
        merged[i] = merge_at(tokenizer, ids, count, i);
    while (true) {
        int64_t best = -1;
        for (int64_t i = 0; i < count; i++)
            if (merged[i] && (best < 0 || merged[i] < merged[best]))
                best = i;
        if (best < 0)
            return count;
        ids[best] = merged[best];
        count--;
        memmove(ids + best + 1, ids + best + 2, (size_t)(count - best - 1) * sizeof *ids);
        memmove(merged + best + 1, merged + best + 2, (size_t)(count - best - 1) * sizeof *merged);
        merged[best] = merge_at(tokenizer, ids, count, best);
        if (best > 0)
            merged[best - 1] = merge_at(tokenizer, ids, count, best - 1);
    }
}

/* Remembers the ids of a word. */
static dl_status keep_word(dl_word_cache *cache, const char *word, size_t length, const int64_t *ids, int64_t count) {
    int64_t place;
    DL_TRY(dl_grow(cache->words.context, &cache->ends, cache->words.count, &cache->capacity, sizeof *cache->ends));
    DL_TRY(dl_id_list_add(&cache->ids, ids, count));
    dl_status status = dl_vocabulary_add(&cache->words, word, length, &place);
    if (status != DL_OK) {
        cache->ids.count -= count;
        return status;
    }
    cache->ends[place - 1] = cache->ids.count;
    return DL_OK;
}

static dl_status encode_word(dl_tokenizer *tokenizer, const char *word, size_t length, dl_id_list *out) {
    dl_word_cache *cache = &tokenizer->cache;
    int64_t ids[DL_MOST_WORD_BYTES];
    int64_t place = dl_vocabulary_find(&cache->words, word, length);
    if (place) {
        int64_t start = place > 1 ? cache->ends[place - 2] : 0;
        return dl_id_list_add(out, cache->ids.at + start, cache->ends[place - 1] - start);
    }
    for (size_t i = 0; i < length; i++)
        ids[i] = tokenizer->bytes + (unsigned char)word[i];
    int64_t count = merge_word(tokenizer, ids, (int64_t)length);
    if (cache->words.count == MOST_CACHED_WORDS) {
        dl_vocabulary_clear(&cache->words);
        cache->ids.count = 0;
    }
    DL_TRY(keep_word(cache, word, length, ids, count));
    return dl_id_list_add(out, ids, count);
}

static dl_status encode(dl_tokenizer *tokenizer, const char *text, size_t length, dl_id_list *out) {
    for (size_t at = 0, words = 0; at < length; words++) {
        size_t taken = dl_next_word(text + at, length - at);
        DL_TRY(encode_word(tokenizer, text + at, taken, out));
        if (words % 4096 == 0)
            DL_TRY(dl_poll(tokenizer->object.context));
        at += taken;
    }
    return DL_OK;
}

static const dl_field fields[] = {
    DL_INT(dl_byte_pair_tokenizer_options, vocabulary_size, 0, 256, 0x7fffffff, DL_REQUIRED,
           "most ids, with the 256 of single bytes and the special tokens; fewer where the text has no pair twice"),
    DL_VALUE_FIELD(dl_byte_pair_tokenizer_options, special_tokens, DL_NONE_OK,
                   "list of names for ids that no text has; they come first"),
    DL_VALUE_FIELD(dl_byte_pair_tokenizer_options, merges, DL_NONE_OK | DL_NAMED_ONLY,
                   "what train has learned: the two ids of each merge, one merge after another"),
    DL_END};

const dl_tokenizer_def dl_byte_pair_tokenizer_definition = {
    .definition = {.name = "BytePairTokenizer", .version = 1,
                   .help = "Turns texts into ids of parts of words: of bytes, and of the pairs of tokens that were the "
                           "most frequent in the texts it was trained on.",
                   .source = "Sennrich et al. 2016; Radford et al. 2019 (GPT-2), whose pattern of words it has for "
                             "ASCII; all other characters count as letters",
                   .fields = fields, .options_size = sizeof(dl_byte_pair_tokenizer_options)},
    .build = build, .train = train, .learned = learned_of, .special_tokens = special_of, .encode = encode};
