/* What the fuzz targets share. Each target is a function that is given bytes and must neither crash nor leak; it is
 * linked with libFuzzer (scripts/test --long) or with replay.c, which feeds it the corpus. */
#ifndef DLUA_TESTS_FUZZ_H
#define DLUA_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "dlua/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* A target ends the process where something is wrong: that is what a fuzzer looks for. */
#define FUZZ_REQUIRE(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold: %s\n", __FILE__, __LINE__, #condition, dl_last_error());         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A context that may take 64 MiB, whatever the input says. */
static inline dl_context *fuzz_context(void) {
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.memory_budget = (size_t)64 << 20;
    options.threads = 1;
    dl_context *context;
    FUZZ_REQUIRE(dl_context_create(&options, &context) == DL_OK);
    return context;
}

static inline void fuzz_end(dl_context *context) {
    dl_context_release(context);
}

#endif
