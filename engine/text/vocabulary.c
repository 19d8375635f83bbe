/* text/vocabulary.c: ordered sets of tokens. Always true: the tokens lie one after another in `bytes`; every token has
 * one slot, and no free slot lies between the one that its hash names and its own. */
#include <string.h>

#include "text/text.h"

dl_vocabulary dl_vocabulary_empty(dl_context *context) {
    return (dl_vocabulary){.context = context};
}

void dl_vocabulary_clear(dl_vocabulary *vocabulary) {
    dl_free(vocabulary->ends);
    dl_free(vocabulary->bytes);
    dl_free(vocabulary->slots);
    *vocabulary = dl_vocabulary_empty(vocabulary->context);
}

const char *dl_vocabulary_token(const dl_vocabulary *vocabulary, int64_t place, size_t *length) {
    size_t start = place > 1 ? vocabulary->ends[place - 2] : 0;
    *length = vocabulary->ends[place - 1] - start;
    return vocabulary->bytes + start;
}

/* The slot that holds the token, or the free one where it would be. There is a free one. */
static int64_t find_slot(const dl_vocabulary *vocabulary, const char *token, size_t length) {
    uint64_t mask = (uint64_t)vocabulary->slot_count - 1;
    for (uint64_t slot = dl_fingerprint(token, length) & mask;; slot = (slot + 1) & mask) {
        int64_t place = vocabulary->slots[slot];
        size_t own;
        if (place == 0)
            return (int64_t)slot;
        const char *at = dl_vocabulary_token(vocabulary, place, &own);
        if (own == length && memcmp(at, token, length) == 0)
            return (int64_t)slot;
    }
}

int64_t dl_vocabulary_find(const dl_vocabulary *vocabulary, const char *token, size_t length) {
    return vocabulary->slot_count ? vocabulary->slots[find_slot(vocabulary, token, length)] : 0;
}

static dl_status grow_slots(dl_vocabulary *vocabulary) {
    int64_t count = vocabulary->slot_count ? vocabulary->slot_count * 2 : 64;
    int64_t *slots = dl_alloc_array(vocabulary->context, (size_t)count, sizeof *slots);
    if (!slots)
        return DL_MEMORY;
    memset(slots, 0, (size_t)count * sizeof *slots);
    dl_free(vocabulary->slots);
    vocabulary->slots = slots;
    vocabulary->slot_count = count;
    for (int64_t place = 1; place <= vocabulary->count; place++) {
        size_t length;
        const char *token = dl_vocabulary_token(vocabulary, place, &length);
        slots[find_slot(vocabulary, token, length)] = place;
    }
    return DL_OK;
}

/* Room for one more token of this length. */
static dl_status reserve(dl_vocabulary *vocabulary, size_t length) {
    size_t used = vocabulary->count ? vocabulary->ends[vocabulary->count - 1] : 0;
    if (length > SIZE_MAX / 4 - used)
        return dl_fail(DL_MEMORY, "out of memory: a token of %zu bytes", length);
    if (used + length > vocabulary->room || !vocabulary->bytes) {
        size_t room = DL_MAX(DL_MAX(vocabulary->room * 2, used + length), 256);
        char *bytes = dl_realloc(vocabulary->context, vocabulary->bytes, room);
        if (!bytes)
            return DL_MEMORY;
        vocabulary->bytes = bytes;
        vocabulary->room = room;
    }
    DL_TRY(dl_grow(vocabulary->context, &vocabulary->ends, vocabulary->count, &vocabulary->capacity,
                   sizeof *vocabulary->ends));
    return vocabulary->count * 2 >= vocabulary->slot_count ? grow_slots(vocabulary) : DL_OK;
}

dl_status dl_vocabulary_add(dl_vocabulary *vocabulary, const char *token, size_t length, int64_t *place) {
    *place = dl_vocabulary_find(vocabulary, token, length);
    if (*place)
        return DL_OK;
    DL_TRY(reserve(vocabulary, length));
    size_t used = vocabulary->count ? vocabulary->ends[vocabulary->count - 1] : 0;
    int64_t slot = find_slot(vocabulary, token, length);
    memcpy(vocabulary->bytes + used, token, length);
    vocabulary->ends[vocabulary->count] = used + length;
    *place = ++vocabulary->count;
    vocabulary->slots[slot] = *place;
    return DL_OK;
}
