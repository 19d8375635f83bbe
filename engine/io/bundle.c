/* io/bundle.c: named tensors and texts, in the order in which they came. Names and keys are all different. */
#include <string.h>

#include "io/bundle.h"

dl_status dl_bundle_create(dl_context *context, dl_bundle **out) {
    dl_bundle *bundle = dl_alloc_zeroed(context, sizeof *bundle);
    *out = bundle;
    if (!bundle)
        return DL_MEMORY;
    bundle->context = context;
    dl_context_retain(context);
    return DL_OK;
}

void dl_bundle_free(dl_bundle *bundle) {
    if (!bundle)
        return;
    for (int64_t i = 0; i < bundle->count; i++) {
        dl_free(bundle->entries[i].name);
        dl_release(bundle->entries[i].tensor);
    }
    for (int64_t i = 0; i < bundle->note_count; i++) {
        dl_free(bundle->notes[i].key);
        dl_free(bundle->notes[i].text);
    }
    dl_free(bundle->entries);
    dl_free(bundle->notes);
    dl_context *context = bundle->context;
    dl_free(bundle);
    dl_context_release(context);
}

/* Room for one more of `size` bytes in an array of *room; NULL (and the array as it was) without memory. */
static void *grow(dl_context *context, void *array, int64_t count, int64_t *room, size_t size) {
    if (count < *room)
        return array;
    int64_t wanted = DL_MAX(*room * 2, 16);
    void *grown = dl_realloc(context, array, (size_t)wanted * size);
    if (grown)
        *room = wanted;
    return grown;
}

dl_status dl_bundle_append(dl_bundle *bundle, const char *name, dl_tensor *tensor) {
    dl_bundle_entry *entries =
        grow(bundle->context, bundle->entries, bundle->count, &bundle->room, sizeof *bundle->entries);
    if (entries)
        bundle->entries = entries;
    char *copy = entries ? dl_strdup(bundle->context, name) : NULL;
    if (!copy) {
        dl_release(tensor);
        return DL_MEMORY;
    }
    bundle->entries[bundle->count++] = (dl_bundle_entry){.name = copy, .tensor = tensor};
    return DL_OK;
}

static dl_bundle_entry *find_entry(const dl_bundle *bundle, const char *name) {
    for (int64_t i = 0; i < bundle->count; i++)
        if (strcmp(bundle->entries[i].name, name) == 0)
            return &bundle->entries[i];
    return NULL;
}

dl_status dl_bundle_put(dl_bundle *bundle, const char *name, dl_tensor *tensor) {
    if (!tensor)
        return dl_last_status() == DL_OK ? dl_fail(DL_INVALID, "the tensor '%s' is missing", name) : dl_last_status();
    if (strcmp(name, "__metadata__") == 0)
        return dl_fail(DL_INVALID, "a tensor of a file may not be called '%s'", name);
    dl_retain(tensor);
    dl_bundle_entry *entry = find_entry(bundle, name);
    if (!entry)
        return dl_bundle_append(bundle, name, tensor);
    dl_release(entry->tensor);
    entry->tensor = tensor;
    return DL_OK;
}

static dl_bundle_note *find_note(const dl_bundle *bundle, const char *key) {
    for (int64_t i = 0; i < bundle->note_count; i++)
        if (strcmp(bundle->notes[i].key, key) == 0)
            return &bundle->notes[i];
    return NULL;
}

dl_status dl_bundle_put_text(dl_bundle *bundle, const char *key, const char *text) {
    char *copy = dl_strdup(bundle->context, text);
    if (!copy)
        return DL_MEMORY;
    dl_bundle_note *note = find_note(bundle, key);
    if (note) {
        dl_free(note->text);
        note->text = copy;
        return DL_OK;
    }
    dl_bundle_note *notes =
        grow(bundle->context, bundle->notes, bundle->note_count, &bundle->note_room, sizeof *bundle->notes);
    if (notes)
        bundle->notes = notes;
    char *key_copy = notes ? dl_strdup(bundle->context, key) : NULL;
    if (!key_copy) {
        dl_free(copy);
        return DL_MEMORY;
    }
    bundle->notes[bundle->note_count++] = (dl_bundle_note){.key = key_copy, .text = copy};
    return DL_OK;
}

dl_tensor *dl_bundle_get(const dl_bundle *bundle, const char *name) {
    const dl_bundle_entry *entry = find_entry(bundle, name);
    return entry ? entry->tensor : NULL;
}

const char *dl_bundle_text(const dl_bundle *bundle, const char *key) {
    const dl_bundle_note *note = find_note(bundle, key);
    return note ? note->text : NULL;
}

int64_t dl_bundle_count(const dl_bundle *bundle) {
    return bundle->count;
}

const char *dl_bundle_name(const dl_bundle *bundle, int64_t k, dl_tensor **tensor) {
    if (k < 0 || k >= bundle->count)
        return NULL;
    if (tensor)
        *tensor = bundle->entries[k].tensor;
    return bundle->entries[k].name;
}

const char *dl_bundle_key(const dl_bundle *bundle, int64_t k) {
    return k >= 0 && k < bundle->note_count ? bundle->notes[k].key : NULL;
}
