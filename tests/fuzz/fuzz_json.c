/* JSON from anybody: what is read is written again, and reading that gives the same text; a map that speaks of an
 * object makes it or is refused. */
#include <stdlib.h>
#include <string.h>

#include "dlua/nn.h"
#include "fuzz.h"

static void write_and_read(dl_context *context, const dl_value *value) {
    char *first = NULL, *second = NULL;
    size_t length, again_length;
    FUZZ_REQUIRE(dl_value_to_json(context, value, &first, &length) == DL_OK);
    dl_value again;
    FUZZ_REQUIRE(dl_value_from_json(context, first, length, &again) == DL_OK);
    FUZZ_REQUIRE(dl_value_to_json(context, &again, &second, &again_length) == DL_OK);
    FUZZ_REQUIRE(length == again_length && memcmp(first, second, length) == 0);
    dl_value_clear(&again);
    dl_free_text(first);
    dl_free_text(second);
}

static void make_objects(dl_context *context, const dl_value *value) {
    for (const dl_family *const *family = dl_families; *family; family++) {
        dl_object *object;
        if (dl_object_from_value(context, *family, value, &object) != DL_OK)
            continue;
        dl_value config;
        if (dl_object_to_value(context, object, &config) == DL_OK)
            dl_value_clear(&config);
        dl_object_release(object);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    dl_context *context = fuzz_context();
    dl_value value;
    if (dl_value_from_json(context, (const char *)bytes, length, &value) == DL_OK) {
        char text[100];
        dl_value_describe(&value, text, sizeof text);
        write_and_read(context, &value);
        make_objects(context, &value);
        dl_value_clear(&value);
    }
    fuzz_end(context);
    return 0;
}
