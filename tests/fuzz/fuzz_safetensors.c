/* A safetensors file from anybody: it is refused, or what is read can be written and read again. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dlua/io.h"
#include "fuzz.h"

static void touch_tensors(const dl_bundle *bundle) {
    for (int64_t k = 0; k < dl_bundle_count(bundle); k++) {
        dl_tensor *tensor;
        FUZZ_REQUIRE(dl_bundle_name(bundle, k, &tensor) != NULL);
        size_t bytes = (size_t)dl_tensor_numel(tensor) * sizeof(double);
        double *values = malloc(bytes + 1);
        FUZZ_REQUIRE(values && dl_copy_out(tensor, DL_FLOAT64, values) == DL_OK);
        free(values);
    }
    for (int64_t k = 0; dl_bundle_key(bundle, k); k++)
        FUZZ_REQUIRE(dl_bundle_text(bundle, dl_bundle_key(bundle, k)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_REQUIRE(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    dl_context *context = fuzz_context();
    dl_bundle *bundle;
    if (dl_load_safetensors(context, path, &bundle) == DL_OK) {
        touch_tensors(bundle);
        dl_bundle_free(bundle);
    }
    close(fd);
    fuzz_end(context);
    return 0;
}
