/* io/bundle.h: the inside of a bundle, for the formats that fill it. */
#ifndef DL_IO_BUNDLE_H
#define DL_IO_BUNDLE_H

#include "base/base.h"
#include "dlua/io.h"

typedef struct dl_bundle_entry {
    char *name;
    dl_tensor *tensor; /* counted */
} dl_bundle_entry;

typedef struct dl_bundle_note {
    char *key;
    char *text;
} dl_bundle_note;

struct dl_bundle {
    dl_context *context; /* counted */
    int64_t count, room;
    dl_bundle_entry *entries;
    int64_t note_count, note_room;
    dl_bundle_note *notes;
};

/* As dl_bundle_put for a name that is known to be new; the reference passes to the bundle, also on failure. */
dl_status dl_bundle_append(dl_bundle *bundle, const char *name, dl_tensor *tensor);

#endif
