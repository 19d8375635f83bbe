/* text/char_tokenizer.c: a token for each character. Always true: characters that have tokens are those of UTF-8 that
 * are longer than a byte, and single bytes where there are no tokens for all bytes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "text/tokenizer.h"

#define OPTIONS(tokenizer_) ((dl_char_tokenizer_options *)(tokenizer_)->object.options)

/* ---- building -------------------------------------------------------------------------------------------------- */

/* An entry of the list of characters as bytes, which for a number lie in *byte. */
static dl_status read_character(const dl_value *entry, int64_t k, bool fallback, char *byte, dl_token *out) {
    bool valid = false;
    *out = (dl_token){NULL, 0};
    if (entry->kind == DL_VALUE_STRING && *entry->as.string) {
        *out = (dl_token){entry->as.string, strlen(entry->as.string)};
        valid = dl_utf8_next(out->at, out->length, &valid) == out->length && valid;
    } else if (entry->kind == DL_VALUE_INT && entry->as.integer >= 0 && entry->as.integer <= 255) {
        *byte = (char)entry->as.integer;
        *out = (dl_token){byte, 1};
        valid = true;
    }
    if (valid && !(fallback && out->length == 1))
        return DL_OK;
    return dl_fail(DL_INVALID, "CharTokenizer: characters[%" PRId64 "] must be one character%s", k + 1,
                   fallback ? " of more than a byte: single bytes have tokens of their own"
                            : ", or a byte from 0 to 255");
}

static dl_status add_characters(dl_tokenizer *tokenizer, dl_token_table *table, const dl_value *list) {
    bool fallback = OPTIONS(tokenizer)->byte_fallback;
    for (int64_t k = 0; k < list->as.list.count; k++) {
        dl_token character;
        char byte;
        int64_t place;
        DL_TRY(read_character(&list->as.list.items[k], k, fallback, &byte, &character));
        DL_TRY(dl_vocabulary_add(&tokenizer->characters, character.at, character.length, &place));
        if (place <= k)
            return dl_fail(DL_INVALID, "CharTokenizer: characters[%" PRId64 "] stands there twice", k + 1);
        DL_TRY(dl_token_table_add(table, character.at, character.length));
    }
    return DL_OK;
}

static dl_status build(dl_tokenizer *tokenizer, dl_token_table *table) {
    const dl_char_tokenizer_options *options = OPTIONS(tokenizer);
    const dl_value *list = &options->characters;
    tokenizer->bytes = 0;
    if (options->byte_fallback)
        DL_TRY(dl_token_table_add_bytes(table, &tokenizer->bytes));
    if (list->kind != DL_VALUE_NONE && list->kind != DL_VALUE_LIST)
        return dl_fail(DL_INVALID, "CharTokenizer: characters must be a list");
    int64_t size = table->size + (list->kind == DL_VALUE_LIST ? list->as.list.count : 0);
    if (options->vocabulary_size != DL_NONE && size > options->vocabulary_size)
        return dl_fail(DL_INVALID,
                       "CharTokenizer: vocabulary_size must be at least %" PRId64 ", for the special tokens, the bytes "
                       "and the characters (got %" PRId64 ")", size, options->vocabulary_size);
    return list->kind == DL_VALUE_LIST ? add_characters(tokenizer, table, list) : DL_OK;
}

/* ---- training -------------------------------------------------------------------------------------------------- */

typedef struct counted {
    dl_token character;
    int64_t count;
} counted;

static int compare_bytes(const void *left, const void *right) {
    dl_token a = ((const counted *)left)->character, b = ((const counted *)right)->character;
    int order = memcmp(a.at, b.at, DL_MIN(a.length, b.length));
    return order ? order : a.length < b.length ? -1 : a.length > b.length;
}

static int compare_counts(const void *left, const void *right) {
    int64_t a = ((const counted *)left)->count, b = ((const counted *)right)->count;
    return a > b ? -1 : a < b ? 1 : compare_bytes(left, right);
}

static dl_status count_characters(const dl_texts *texts, bool fallback, dl_vocabulary *seen, dl_id_list *counts) {
    for (int64_t k = 0; k < texts->count; k++) {
        dl_token text = dl_text_of(texts, k);
        for (size_t at = 0, taken; at < text.length; at += taken) {
            bool valid;
            int64_t place, before = seen->count, zero = 0;
            taken = dl_utf8_next(text.at + at, text.length - at, &valid);
            if (!valid)
                taken = 1;
            if (fallback && taken == 1)
                continue;
            DL_TRY(dl_vocabulary_add(seen, text.at + at, taken, &place));
            if (place > before)
                DL_TRY(dl_id_list_add(counts, &zero, 1));
            counts->at[place - 1]++;
        }
        DL_TRY(dl_poll(seen->context));
    }
    return DL_OK;
}

static dl_status append_character(dl_context *context, dl_token character, dl_value *list) {
    char text[8] = "";
    bool valid;
    memcpy(text, character.at, character.length);
    dl_utf8_next(text, character.length, &valid);
    dl_value item = dl_value_int((unsigned char)text[0]);
    if (valid && text[0])
        DL_TRY(dl_value_string(context, text, &item));
    return dl_value_append(context, list, &item);
}

/* The characters that get tokens, in the order of their bytes, which is that of their numbers. */
static dl_status choose(const dl_tokenizer *tokenizer, const dl_vocabulary *seen, const dl_id_list *counts,
                        dl_value *learned) {
    dl_context *context = tokenizer->object.context;
    int64_t most = OPTIONS(tokenizer)->vocabulary_size, kept = seen->count;
    counted *all = dl_alloc_array(context, (size_t)seen->count + 1, sizeof *all);
    if (!all)
        return DL_MEMORY;
    for (int64_t k = 0; k < seen->count; k++) {
        all[k].character.at = dl_vocabulary_token(seen, k + 1, &all[k].character.length);
        all[k].count = counts->at[k];
    }
    if (most != DL_NONE) {
        qsort(all, (size_t)kept, sizeof *all, compare_counts);
        kept = DL_MIN(kept, most - tokenizer->special - (tokenizer->bytes ? 256 : 0));
    }
    qsort(all, (size_t)kept, sizeof *all, compare_bytes);
    dl_status status = DL_OK;
    for (int64_t k = 0; status == DL_OK && k < kept; k++)
        status = append_character(context, all[k].character, learned);
    dl_free(all);
    return status;
}

static dl_status train(dl_tokenizer *tokenizer, const dl_texts *texts, dl_value *learned) {
    dl_vocabulary seen = dl_vocabulary_empty(tokenizer->object.context);
    dl_id_list counts = {.context = tokenizer->object.context};
    dl_status status = count_characters(texts, OPTIONS(tokenizer)->byte_fallback, &seen, &counts);
    if (status == DL_OK)
        status = choose(tokenizer, &seen, &counts, learned);
    dl_vocabulary_clear(&seen);
    dl_id_list_clear(&counts);
    return status;
}

static dl_value *learned_of(dl_tokenizer *tokenizer) {
    return &OPTIONS(tokenizer)->characters;
}

static const dl_value *special_of(const dl_tokenizer *tokenizer) {
    return &OPTIONS(tokenizer)->special_tokens;
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

static dl_status encode(dl_tokenizer *tokenizer, const char *text, size_t length, dl_id_list *out) {
    int64_t before = tokenizer->table.size - tokenizer->characters.count; /* ids below those of characters */
    for (size_t at = 0, taken; at < length; at += taken) {
        bool valid;
        taken = dl_utf8_next(text + at, length - at, &valid);
        if (!valid)
            taken = 1;
        int64_t place = dl_vocabulary_find(&tokenizer->characters, text + at, taken);
        int64_t id = before + place;
        if (!place && !tokenizer->bytes)
            return dl_fail(DL_INVALID, "CharTokenizer: the character at byte %zu, '%.*s', has no token; train on texts "
                           "that have it, or set byte_fallback = true", at + 1, (int)taken, text + at);
        if (!place) {
            taken = 1;
            id = tokenizer->bytes + (unsigned char)text[at];
        }
        DL_TRY(dl_id_list_add(out, &id, 1));
    }
    return DL_OK;
}

static const dl_field fields[] = {
    DL_INT(dl_char_tokenizer_options, vocabulary_size, DL_NONE, 1, 0x7fffffff, DL_NONE_OK,
           "most ids, of which the most frequent characters get what is left; none: one for every character seen"),
    DL_VALUE_FIELD(dl_char_tokenizer_options, special_tokens, DL_NONE_OK,
                   "list of names for ids that no text has; they come first"),
    DL_BOOL(dl_char_tokenizer_options, byte_fallback, true, 0,
            "256 ids for single bytes, of which characters without an id are made; else such a character is an error"),
    DL_VALUE_FIELD(dl_char_tokenizer_options, characters, DL_NONE_OK | DL_NAMED_ONLY,
                   "what train has learned: strings of one character, and numbers for single bytes"),
    DL_END};

const dl_tokenizer_def dl_char_tokenizer_definition = {
    .definition = {.name = "CharTokenizer", .version = 1,
                   .help = "Turns texts into ids of characters: those of the texts it was trained on, in the order of "
                           "their numbers.",
                   .fields = fields, .options_size = sizeof(dl_char_tokenizer_options)},
    .build = build, .train = train, .learned = learned_of, .special_tokens = special_of, .encode = encode};
