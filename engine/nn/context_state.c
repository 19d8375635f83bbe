/* nn/context_state.c: what a context keeps for layers: how many names it has given, and the limits of a load that is
 * under way. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "nn/checkpoint.h"

typedef struct name_count {
    char *prefix;
    int64_t count;
} name_count;

typedef struct nn_state {
    int count;
    int64_t capacity;
    name_count *names; /* how many names of each prefix were given */
    bool loading;
    int64_t elements_left; /* of the weights of the file that is loaded */
    struct dl_checkpoint_object *checkpoint; /* the innermost whose first run is under way */
} nn_state;

static void free_state(void *value) {
    nn_state *state = value;
    if (!state)
        return;
    for (int i = 0; i < state->count; i++)
        dl_free(state->names[i].prefix);
    dl_free(state->names);
    dl_free(state);
}

/* NULL without memory. */
static nn_state *state_of(dl_context *context) {
    void **slot = dl_context_slot(context, DL_SLOT_NN, free_state);
    if (!*slot)
        *slot = dl_alloc_zeroed(context, sizeof(nn_state));
    return *slot;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Keras's snake case: "MaxPooling2D" is "max_pooling2d", "LeakyReLU" is "leaky_re_lu". */
static void snake_case(const char *class_name, char *text, size_t size) {
    size_t length = 0;
    for (size_t i = 0; class_name[i] && length + 2 < size; i++) {
        char c = class_name[i];
        bool word = i > 0 && isupper((unsigned char)c) &&
                    (islower((unsigned char)class_name[i - 1]) || islower((unsigned char)class_name[i + 1]));
        if (word)
            text[length++] = '_';
        text[length++] = (char)tolower((unsigned char)c);
    }
    text[length] = '\0';
}

static name_count *find_prefix(dl_context *context, const char *prefix) {
    nn_state *state = state_of(context);
    if (!state)
        return NULL;
    for (int i = 0; i < state->count; i++)
        if (strcmp(state->names[i].prefix, prefix) == 0)
            return &state->names[i];
    if (dl_grow(context, &state->names, state->count, &state->capacity, sizeof *state->names) != DL_OK)
        return NULL;
    char *copy = dl_strdup(context, prefix);
    if (!copy)
        return NULL;
    name_count *entry = &state->names[state->count++];
    *entry = (name_count){copy, 0};
    return entry;
}

char *dl_unique_name(dl_context *context, const char *class_name) {
    char prefix[96];
    char text[128];
    snake_case(class_name, prefix, sizeof prefix);
    name_count *entry = find_prefix(context, prefix);
    if (!entry)
        return NULL;
    if (entry->count == 0)
        snprintf(text, sizeof text, "%s", prefix);
    else
        snprintf(text, sizeof text, "%s_%lld", prefix, (long long)entry->count);
    char *name = dl_strdup(context, text);
    if (name)
        entry->count++;
    return name;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

dl_status dl_loading_begin(dl_context *context, int64_t elements) {
    nn_state *state = state_of(context);
    if (!state)
        return dl_last_status();
    state->loading = true;
    state->elements_left = elements;
    return DL_OK;
}

void dl_loading_end(dl_context *context) {
    nn_state *state = state_of(context);
    if (state)
        state->loading = false;
}

dl_status dl_loading_take(dl_context *context, int dims, const int64_t *shape, bool *loading) {
    nn_state *state = state_of(context);
    int64_t strides[DL_MAX_DIMS];
    if (!state)
        return dl_last_status();
    *loading = state->loading;
    if (!state->loading)
        return DL_OK;
    int64_t elements = dl_shape_strides(dims, shape, strides);
    if (elements < 0 || elements > state->elements_left)
        return dl_fail(DL_FORMAT, "the architecture asks for more weights than the file has");
    state->elements_left -= elements;
    return DL_OK;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

struct dl_checkpoint_object **dl_checkpoint_under_way(dl_context *context) {
    nn_state *state = state_of(context);
    return state ? &state->checkpoint : NULL;
}
