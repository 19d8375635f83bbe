/* base/text.h: texts that grow (in the context's memory) and texts that are cut to fit a given buffer; numbers as text
 * that read back exactly; UTF-8. */
#ifndef DL_BASE_TEXT_H
#define DL_BASE_TEXT_H

#include "base/base.h"

/* A text in a given buffer: always terminated; what does not fit is left out, and `cut` says so. */
typedef struct dl_cut_text {
    char *at;
    size_t size, length;
    bool cut;
} dl_cut_text;
dl_cut_text dl_cut_text_begin(char *buffer, size_t size);
void dl_cut_text_add(dl_cut_text *text, const char *format, ...) DL_PRINTF(2, 3);

/* The shortest decimal text that reads back as the same number, with a '.' or an exponent so that it stays a real;
 * "nan", "inf", "-inf" for the others. Does not depend on the locale. size: DL_REAL_TEXT. */
#define DL_REAL_TEXT 32
void dl_format_real(double number, char text[DL_REAL_TEXT]);
/* Reads a whole text as a real, in any locale; false if it is none. */
bool dl_parse_real(const char *text, double *out);

/* The bytes, at least 1, of what begins at `text` (`left` of them are there, at least 1): a UTF-8 sequence, and *valid
 * is true, or a maximal part of a broken one (overlong, a surrogate, past U+10FFFF, cut off), as the Unicode standard
 * counts those that a reader replaces by one U+FFFD. */
size_t dl_utf8_next(const char *text, size_t left, bool *valid);

/* The names of a list "a|b|c" one after another: the k-th into name; false past the end. */
bool dl_choice_at(const char *choices, int k, char *name, size_t size);
/* The place of a name in such a list, or -1. */
int dl_choice_index(const char *choices, const char *name);

/* Collects the name that is nearest to a mistyped one. */
typedef struct dl_nearest {
    const char *name;
    const char *best; /* NULL: none is near */
    int distance;
} dl_nearest;
dl_nearest dl_nearest_begin(const char *name);
void dl_nearest_offer(dl_nearest *nearest, const char *candidate);

#endif
