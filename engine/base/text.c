/* base/text.c: texts for messages, numbers as text, UTF-8, and the search for the nearest spelling. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* ---- cut texts ------------------------------------------------------------------------------------------------- */

dl_cut_text dl_cut_text_begin(char *buffer, size_t size) {
    if (size)
        buffer[0] = '\0';
    return (dl_cut_text){.at = buffer, .size = size};
}

void dl_cut_text_add(dl_cut_text *text, const char *format, ...) {
    if (text->cut || text->size == 0)
        return;
    size_t room = text->size - text->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->at + text->length, room, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < room) {
        text->length += (size_t)length;
        return;
    }
    text->cut = true;
    text->length = text->size - 1;
    if (text->size > 4)
        memcpy(text->at + text->size - 4, "...", 4);
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

void dl_format_real(double number, char text[DL_REAL_TEXT]) {
    if (isnan(number)) {
        strcpy(text, "nan");
        return;
    }
    if (isinf(number)) {
        strcpy(text, number < 0 ? "-inf" : "inf");
        return;
    }
    for (int precision = DBL_DIG; precision <= DBL_DECIMAL_DIG; precision++) {
        snprintf(text, DL_REAL_TEXT, "%.*g", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    bool whole = true;
    for (char *at = text; *at; at++) {
        if (!isdigit((unsigned char)*at) && *at != '-') {
            whole = false;
            if (!strchr("+e", *at))
                *at = '.'; /* the locale's decimal point */
        }
    }
    if (whole)
        strcat(text, ".0");
}

/* strtod reads the locale's decimal point; the text has a '.', so that is tried first and then the other one. */
bool dl_parse_real(const char *text, double *out) {
    char copy[64];
    size_t length = strlen(text);
    if (length == 0 || length >= sizeof copy || isspace((unsigned char)text[0]))
        return false;
    memcpy(copy, text, length + 1);
    char *end;
    *out = strtod(copy, &end);
    if (*end == '.') {
        *end = ',';
        *out = strtod(copy, &end);
    }
    return *end == '\0';
}

/* ---- UTF-8 ----------------------------------------------------------------------------------------------------- */

size_t dl_utf8_next(const char *text, size_t left, bool *valid) {
    const unsigned char *at = (const unsigned char *)text;
    unsigned char first = at[0];
    size_t length = first < 0xC2 || first > 0xF4 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    /* The second byte alone tells overlong forms, surrogates and what is past U+10FFFF. */
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    size_t taken = 1;
    while (taken < length && taken < left && at[taken] >= low && at[taken] <= high) {
        low = 0x80;
        high = 0xBF;
        taken++;
    }
    *valid = first < 0x80 || (length > 1 && taken == length);
    return taken;
}

/* ---- lists of names -------------------------------------------------------------------------------------------- */

bool dl_choice_at(const char *choices, int k, char *name, size_t size) {
    for (; choices && k > 0; k--) {
        choices = strchr(choices, '|');
        choices = choices ? choices + 1 : NULL;
    }
    if (!choices)
        return false;
    snprintf(name, size, "%.*s", (int)strcspn(choices, "|"), choices);
    return true;
}

int dl_choice_index(const char *choices, const char *name) {
    size_t length = strlen(name);
    for (int k = 0; choices; k++) {
        size_t width = strcspn(choices, "|");
        if (width == length && strncmp(choices, name, length) == 0)
            return k;
        choices = choices[width] ? choices + width + 1 : NULL;
    }
    return -1;
}

/* ---- the nearest spelling -------------------------------------------------------------------------------------- */

enum { LONGEST = 64 };

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and exchanges of neighbours that turn a into b (optimal string alignment),
 * without regard to case. LONGEST + 1 for texts that are too long. */
static int edit_distance(const char *a, const char *b) {
    int rows = (int)strlen(a), columns = (int)strlen(b);
    if (rows > LONGEST || columns > LONGEST)
        return LONGEST + 1;
    int d[3][LONGEST + 1];
    for (int j = 0; j <= columns; j++)
        d[0][j] = j;
    for (int i = 1; i <= rows; i++) {
        int *now = d[i % 3], *before = d[(i + 2) % 3], *before_that = d[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= columns; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            now[j] = smaller(smaller(before[j], now[j - 1]) + 1, before[j - 1] + (ca != cb));
            bool exchanged =
                i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2]);
            if (exchanged)
                now[j] = smaller(now[j], before_that[j - 2] + 1);
        }
    }
    return d[rows % 3][columns];
}

/* Lower-case letters and digits alone: "learningRate" and "learning-rate" are spellings of "learning_rate". */
static void plain_letters(const char *name, char *text, size_t size) {
    size_t length = 0;
    for (; *name && length + 1 < size; name++)
        if (isalnum((unsigned char)*name))
            text[length++] = (char)tolower((unsigned char)*name);
    text[length] = '\0';
}

dl_nearest dl_nearest_begin(const char *name) {
    return (dl_nearest){.name = name, .best = NULL, .distance = LONGEST};
}

/* Near is: a third of the letters changed at most, or a name of which at least three letters were written. */
void dl_nearest_offer(dl_nearest *nearest, const char *candidate) {
    int length = (int)strlen(nearest->name);
    int distance = edit_distance(nearest->name, candidate);
    char a[LONGEST + 2], b[LONGEST + 2];
    plain_letters(nearest->name, a, sizeof a);
    plain_letters(candidate, b, sizeof b);
    if (a[0] && strcmp(a, b) == 0)
        distance = 0;
    int allowed = length <= 2 ? length - 1 : DL_MAX(1, length / 3);
    bool begins = strlen(a) >= 3 && strncmp(a, b, strlen(a)) == 0;
    if (distance > allowed && begins)
        distance = allowed;
    if (distance <= allowed && distance < nearest->distance) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
