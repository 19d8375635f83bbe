/* nn/spec.c: what is known of tensors before there are any, and how shapes and layers' paths stand in messages. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nn/nn.h"

void dl_spec_describe(const dl_spec *spec, char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, "{");
    for (int i = 0; i < spec->dims && length < size; i++) {
        const char *comma = i ? ", " : "";
        int added = spec->shape[i] == DL_NONE ? snprintf(text + length, size - length, "%s*", comma)
                                              : snprintf(text + length, size - length, "%s%" PRId64, comma,
                                                         spec->shape[i]);
        length += (size_t)added;
    }
    if (length < size)
        snprintf(text + length, size - length, "}");
}

dl_spec_text dl_spec_text_of(const dl_spec *spec) {
    dl_spec_text text;
    dl_spec_describe(spec, text.at, sizeof text.at);
    return text;
}

dl_spec_text dl_tensor_text(const dl_tensor *tensor) {
    dl_spec_text text;
    dl_shape_describe(dl_tensor_dims(tensor), dl_tensor_shape(tensor), text.at, sizeof text.at);
    return text;
}

dl_spec dl_spec_of_tensor(const dl_tensor *tensor) {
    dl_spec spec = {.dtype = tensor->dtype, .dims = tensor->dims};
    memcpy(spec.shape, tensor->shape, (size_t)tensor->dims * sizeof *spec.shape);
    return spec;
}

bool dl_spec_equal(const dl_spec *a, const dl_spec *b) {
    return a->dtype == b->dtype && dl_shape_equal(a->dims, a->shape, b->dims, b->shape);
}

/* True if the message starts with the name of a layer inside, as a path does. */
static bool begins_with_child(const dl_layer *layer, const char *message) {
    for (int i = 0; i < layer->child_count; i++) {
        size_t length = strlen(layer->children[i]->name);
        if (strncmp(message, layer->children[i]->name, length) == 0 &&
            (message[length] == ':' || message[length] == '/'))
            return true;
    }
    return false;
}

dl_status dl_layer_fail_path(const dl_layer *layer) {
    char message[2048];
    snprintf(message, sizeof message, "%s", dl_last_error());
    const char *joint = begins_with_child(layer, message) ? "/" : ": ";
    return dl_fail(dl_last_status(), "%s%s%s", layer->name, joint, message);
}
