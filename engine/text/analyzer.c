/* text/analyzer.c: from a text to its tokens: standardized, split, and joined to n-grams, as Keras's TextVectorization
 * does it on TensorFlow. Always true: tokens lie in the analyzer's own rooms or are constants, so they outlive the text
 * but not the next one. */
#include <string.h>

#include "base/text.h"
#include "text/text.h"

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_punctuation(char byte) {
    return (byte >= '!' && byte <= '/') || (byte >= ':' && byte <= '@') || (byte >= '[' && byte <= '`') ||
           (byte >= '{' && byte <= '~');
}

static dl_status make_room(dl_context *context, dl_byte_room *room, size_t bytes) {
    if (room->at && bytes <= room->room)
        return DL_OK;
    size_t wanted = DL_MAX(DL_MAX(bytes, room->room * 2), 256);
    char *at = dl_alloc(context, wanted);
    if (!at)
        return DL_MEMORY;
    dl_free(room->at);
    *room = (dl_byte_room){at, wanted};
    return DL_OK;
}

static dl_status add_token(dl_context *context, dl_token_list *list, const char *at, size_t length) {
    DL_TRY(dl_grow(context, &list->at, list->count, &list->capacity, sizeof *list->at));
    list->at[list->count++] = (dl_token){at, length};
    return DL_OK;
}

/* Writes the standardized text, which is no longer than the text; returns its length. */
static size_t standardize(int how, const char *text, size_t length, char *out) {
    bool lower = how == DL_STANDARDIZE_LOWER_AND_STRIP || how == DL_STANDARDIZE_LOWER;
    bool strip = how == DL_STANDARDIZE_LOWER_AND_STRIP || how == DL_STANDARDIZE_STRIP;
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        if (strip && is_punctuation(byte))
            continue;
        out[kept++] = lower && byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
    }
    return kept;
}

static dl_status split_whitespace(dl_analyzer *analyzer, const char *text, size_t length) {
    size_t at = 0;
    while (true) {
        while (at < length && is_space(text[at]))
            at++;
        size_t start = at;
        while (at < length && !is_space(text[at]))
            at++;
        if (at == start)
            return DL_OK;
        DL_TRY(add_token(analyzer->context, &analyzer->words, text + start, at - start));
    }
}

static dl_status split_characters(dl_analyzer *analyzer, const char *text, size_t length) {
    bool valid;
    for (size_t at = 0, taken; at < length; at += taken) {
        taken = dl_utf8_next(text + at, length - at, &valid);
        DL_TRY(add_token(analyzer->context, &analyzer->words, valid ? text + at : replacement,
                         valid ? taken : sizeof replacement - 1));
    }
    return DL_OK;
}

/* Tokens first .. first + width - 1 joined by spaces, written to `to`; returns the length. */
static size_t join(const dl_token *tokens, int64_t first, int64_t width, char *to) {
    size_t length = 0;
    for (int64_t i = first; i < first + width; i++) {
        if (i > first)
            to[length++] = ' ';
        memcpy(to + length, tokens[i].at, tokens[i].length);
        length += tokens[i].length;
    }
    return length;
}

/* The bytes that all n-grams together take, or DL_MEMORY if they are more than any memory. */
static dl_status joined_size(const dl_analyzer *analyzer, size_t *bytes) {
    const dl_token_list *words = &analyzer->words;
    *bytes = 0;
    for (int k = 0; k < analyzer->width_count; k++) {
        int64_t width = analyzer->widths[k];
        for (int64_t first = 0; width <= words->count && first + width <= words->count; first++)
            for (int64_t i = first; i < first + width; i++) {
                *bytes += words->at[i].length + 1;
                if (*bytes > SIZE_MAX / 4)
                    return dl_fail(DL_MEMORY, "out of memory: n-grams of %lld tokens", (long long)width);
            }
    }
    return DL_OK;
}

static dl_status make_grams(dl_analyzer *analyzer) {
    const dl_token_list *words = &analyzer->words;
    size_t bytes;
    DL_TRY(joined_size(analyzer, &bytes));
    DL_TRY(make_room(analyzer->context, &analyzer->joined, bytes));
    char *to = analyzer->joined.at;
    for (int k = 0; k < analyzer->width_count; k++) {
        int64_t width = analyzer->widths[k];
        for (int64_t first = 0; width <= words->count && first + width <= words->count; first++) {
            size_t length = join(words->at, first, width, to);
            DL_TRY(add_token(analyzer->context, &analyzer->grams, to, length));
            to += length;
        }
    }
    return DL_OK;
}

dl_status dl_analyze(dl_analyzer *analyzer, const char *text, size_t length) {
    analyzer->words.count = analyzer->grams.count = 0;
    DL_TRY(make_room(analyzer->context, &analyzer->clean, length));
    char *clean = analyzer->clean.at;
    length = standardize(analyzer->standardize, text, length, clean);
    if (analyzer->split == DL_SPLIT_WHITESPACE)
        DL_TRY(split_whitespace(analyzer, clean, length));
    else if (analyzer->split == DL_SPLIT_CHARACTER)
        DL_TRY(split_characters(analyzer, clean, length));
    else
        DL_TRY(add_token(analyzer->context, &analyzer->words, clean, length));
    analyzer->tokens = &analyzer->words;
    if (analyzer->width_count == 0)
        return DL_OK;
    analyzer->tokens = &analyzer->grams;
    return make_grams(analyzer);
}

void dl_analyzer_clear(dl_analyzer *analyzer) {
    dl_free(analyzer->words.at);
    dl_free(analyzer->grams.at);
    dl_free(analyzer->clean.at);
    dl_free(analyzer->joined.at);
    analyzer->words = analyzer->grams = (dl_token_list){NULL, 0, 0};
    analyzer->clean = analyzer->joined = (dl_byte_room){NULL, 0};
    analyzer->tokens = NULL;
}
