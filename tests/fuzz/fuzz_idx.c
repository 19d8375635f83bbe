/* An idx file from anybody, plain or gzip. */
#include <stdlib.h>

#include "dlua/io.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    dl_context *context = fuzz_context();
    dl_tensor *tensor;
    if (dl_parse_idx(context, bytes, length, "input", &tensor) == DL_OK) {
        double *values = malloc((size_t)dl_tensor_numel(tensor) * sizeof(double) + 1);
        FUZZ_REQUIRE(values && dl_copy_out(tensor, DL_FLOAT64, values) == DL_OK);
        free(values);
        dl_release(tensor);
    }
    fuzz_end(context);
    return 0;
}
