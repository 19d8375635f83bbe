/* A tokenizer's file from anybody: it is refused, or it encodes and decodes any bytes exactly, trained anew too. The
 * bytes of the file are also the text. */
#include <string.h>

#include "dlua/text.h"
#include "fuzz.h"

static void round_trip(dl_tokenizer *tokenizer, const char *text, size_t length) {
    dl_tensor *ids = dl_tokenizer_encode(tokenizer, text, length);
    char *back;
    size_t back_length;
    if (!ids)
        return; /* a CharTokenizer without tokens for bytes */
    FUZZ_REQUIRE(dl_tokenizer_decode(tokenizer, ids, &back, &back_length) == DL_OK);
    FUZZ_REQUIRE(back_length == length && memcmp(back, text, length) == 0);
    dl_free_text(back);
    dl_release(ids);
    for (int64_t id = 0; id <= dl_tokenizer_size(tokenizer) + 1; id++) {
        const char *token = dl_tokenizer_token(tokenizer, id, &length);
        FUZZ_REQUIRE(!token || dl_tokenizer_id(tokenizer, token, length) <= id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    dl_context *context = fuzz_context();
    dl_tokenizer *tokenizer;
    const char *text = (const char *)bytes;
    if (dl_tokenizer_parse(context, text, length, "fuzz", &tokenizer) == DL_OK) {
        round_trip(tokenizer, text, length);
        const char *const texts[1] = {text};
        if (dl_tokenizer_train(tokenizer, texts, &length, 1) == DL_OK)
            round_trip(tokenizer, text, length);
        dl_object_release((dl_object *)tokenizer);
    }
    fuzz_end(context);
    return 0;
}
