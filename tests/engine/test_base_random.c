/* Philox against the known answers published with Random123 (kat_vectors), and streams. */
#include "check.h"

#include "base/base.h"

static void check_philox(const uint32_t counter[4], const uint32_t key[2], const uint32_t want[4]) {
    uint32_t got[4];
    dl_philox(counter, key, got);
    for (int i = 0; i < 4; i++)
        CHECK_EQ_INT(got[i], want[i]);
}

static void test_known_answers(void) {
    check_philox((const uint32_t[]){0, 0, 0, 0}, (const uint32_t[]){0, 0},
                 (const uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_philox((const uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                 (const uint32_t[]){0xffffffff, 0xffffffff},
                 (const uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_philox((const uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                 (const uint32_t[]){0xa4093822, 0x299f31d0},
                 (const uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

/* The words of a stream are Philox of (position, stream) under the seed, low words first. */
static void test_stream_words(void) {
    dl_stream stream = {.seed = 0x299f31d0a4093822, .stream = 0x0370734413198a2e, .position = 0};
    uint32_t words[4];
    dl_stream_words(&stream, 0x85a308d3243f6a88, words);
    CHECK_EQ_INT(words[0], 0xd16cfe09);
    CHECK_EQ_INT(words[3], 0x24126ea1);
    CHECK_EQ_INT(dl_stream_take(&stream, 5), 0);
    CHECK_EQ_INT(dl_stream_take(&stream, 1), 5);
    CHECK_EQ_INT(stream.position, 6);
}

static void test_seed_restarts(void) {
    dl_context *context;
    REQUIRE(dl_context_create(NULL, &context) == DL_OK);
    dl_manual_seed(context, 7);
    dl_stream first = dl_new_stream(context), second = dl_new_stream(context);
    CHECK(first.stream != second.stream);
    CHECK(first.stream != dl_context_stream(context)->stream);
    dl_stream_take(dl_context_stream(context), 3);
    dl_manual_seed(context, 7);
    CHECK_EQ_INT(dl_context_stream(context)->position, 0);
    dl_stream again = dl_new_stream(context);
    CHECK_EQ_INT(again.stream, first.stream);
    CHECK_EQ_INT(again.seed, 7);
    CHECK_EQ_INT(dl_seed(context), 7);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_known_answers), CHECK_TEST(test_stream_words), CHECK_TEST(test_seed_restarts))
