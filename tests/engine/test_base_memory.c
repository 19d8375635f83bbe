/* The allocator: alignment, caching, counting, budget, failing on request, the host's hook, threads. */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static dl_context *make(size_t budget) {
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.memory_budget = budget;
    dl_context *context = NULL;
    CHECK_EQ_INT(dl_context_create(&options, &context), DL_OK);
    return context;
}

static dl_memory_info info_of(const dl_context *context) {
    dl_memory_info info;
    dl_memory(context, &info);
    return info;
}

static void test_alignment_and_size(void) {
    dl_context *context = make(0);
    const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 1024, 1025, 4095, 4096, 5000, 70000, 1 << 20, (1 << 20) + 1};
    void *blocks[DL_COUNT(sizes)];
    for (int i = 0; i < DL_COUNT(sizes); i++) {
        blocks[i] = dl_alloc(context, sizes[i]);
        REQUIRE(blocks[i] != NULL);
        CHECK_EQ_INT((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], i, sizes[i]);
    }
    size_t total = 0;
    for (int i = 0; i < DL_COUNT(sizes); i++) {
        const unsigned char *bytes = blocks[i];
        total += sizes[i];
        CHECK(sizes[i] == 0 || (bytes[0] == i && bytes[sizes[i] - 1] == i));
    }
    dl_memory_info info = info_of(context);
    CHECK(info.in_use >= total && info.in_use <= total + total / 8 + 64 * DL_COUNT(sizes));
    CHECK_EQ_INT(info.allocations, DL_COUNT(sizes));
    for (int i = 0; i < DL_COUNT(sizes); i++)
        dl_free(blocks[i]);
    CHECK_EQ_INT(info_of(context).in_use, 0);
    CHECK_EQ_INT(info_of(context).peak, info.in_use);
    dl_memory_reset_peak(context);
    CHECK_EQ_INT(info_of(context).peak, 0);
    dl_context_release(context);
}

/* A block that was freed serves the next request of its class: no further call of the system. */
static void test_blocks_are_kept(void) {
    if (SANITIZED) {
        CHECK(true); /* nothing is kept there, so that the sanitizer sees every access */
        return;
    }
    dl_context *context = make(0);
    for (size_t bytes = 1; bytes < (size_t)64 << 20; bytes = bytes * 3 + 1) {
        void *block = dl_alloc(context, bytes);
        dl_free(block);
        size_t calls = info_of(context).system_calls;
        for (int i = 0; i < 3; i++) {
            void *again = dl_alloc(context, bytes);
            CHECK(again == block);
            dl_free(again);
        }
        CHECK_EQ_INT(info_of(context).system_calls, calls);
    }
    CHECK(info_of(context).cached > 0);
    dl_memory_trim(context);
    CHECK_EQ_INT(info_of(context).cached, 0);
    void *whole_set = dl_alloc(context, (size_t)200 << 20);
    CHECK(whole_set != NULL);
    dl_free(whole_set);
    CHECK_EQ_INT(info_of(context).cached, 0);
    dl_context_release(context);
}

/* Kept blocks that nothing asks for go when other sizes are needed. */
static void test_stale_blocks_go(void) {
    if (SANITIZED) {
        CHECK(true);
        return;
    }
    dl_context *context = make(0);
    dl_free(dl_alloc(context, (size_t)8 << 20));
    CHECK(info_of(context).cached >= (size_t)8 << 20);
    for (int i = 0; i < 5000; i++)
        dl_free(dl_alloc(context, 100));
    void *other = dl_alloc(context, (size_t)3 << 20);
    CHECK(info_of(context).cached < 1000);
    dl_free(other);
    dl_context_release(context);
}

static void test_big_blocks_are_staggered(void) {
    if (SANITIZED) {
        CHECK(true);
        return;
    }
    dl_context *context = make(0);
    void *blocks[8];
    for (int i = 0; i < 8; i++) {
        blocks[i] = dl_alloc(context, 1 << 20);
        REQUIRE(blocks[i] != NULL);
    }
    for (int i = 1; i < 8; i++)
        CHECK_EQ_INT(((uintptr_t)blocks[i] - (uintptr_t)blocks[i - 1]) % 4096, 1088);
    for (int i = 0; i < 8; i++)
        dl_free(blocks[i]);
    dl_context_release(context);
}

static void test_realloc(void) {
    dl_context *context = make(0);
    char *text = dl_realloc(context, NULL, 10);
    REQUIRE(text != NULL);
    strcpy(text, "deep");
    for (size_t bytes = 20; bytes < 100000; bytes *= 3) {
        text = dl_realloc(context, text, bytes);
        REQUIRE(text != NULL);
        CHECK_STR(text, "deep");
    }
    text = dl_realloc(context, text, 8);
    CHECK_STR(text, "deep");
    dl_memory_fail_at(context, 1);
    CHECK(dl_realloc(context, text, 1 << 20) == NULL);
    CHECK_STR(text, "deep");
    char *copy = dl_strdup(context, text);
    CHECK_STR(copy, "deep");
    dl_free(copy);
    dl_free(text);
    dl_free(NULL);
    CHECK_EQ_INT(info_of(context).in_use, 0);
    dl_context_release(context);
}

static void test_overflow(void) {
    dl_context *context = make(0);
    CHECK(dl_alloc_array(context, SIZE_MAX / 2, 3) == NULL);
    CHECK_EQ_INT(dl_last_status(), DL_MEMORY);
    CHECK(dl_alloc(context, SIZE_MAX) == NULL);
    CHECK(dl_alloc(context, SIZE_MAX - 100) == NULL);
    CHECK_CONTAINS(dl_last_error(), "out of memory");
    CHECK_EQ_INT(info_of(context).in_use, 0);
    dl_context_release(context);
}

static void test_budget(void) {
    dl_context *context = make(1 << 20);
    void *half = dl_alloc(context, 1 << 19);
    REQUIRE(half != NULL);
    CHECK(dl_alloc(context, (1 << 19) + 1) == NULL);
    CHECK_EQ_INT(dl_last_status(), DL_MEMORY);
    CHECK_STR(dl_last_error(),
              "out of memory: 512.0 KiB more would pass the memory budget of 1.0 MiB (512.0 KiB are in use)");
    dl_free(half);
    /* what was kept is given back when the budget needs it */
    void *most = dl_alloc(context, 900000);
    CHECK(most != NULL);
    dl_free(most);
    dl_context_release(context);
}

static void test_fail_at(void) {
    dl_context *context = make(0);
    dl_memory_fail_at(context, 3);
    void *blocks[5];
    for (int i = 0; i < 5; i++)
        blocks[i] = dl_alloc(context, 100);
    CHECK(blocks[0] && blocks[1] && !blocks[2] && blocks[3] && blocks[4]);
    dl_memory_fail_at(context, 1);
    dl_memory_fail_at(context, 0);
    void *last = dl_alloc(context, 100);
    CHECK(last != NULL);
    dl_free(last);
    for (int i = 0; i < 5; i++)
        dl_free(blocks[i]);
    dl_context_release(context);
}

/* A block may outlive its context. */
static void test_block_after_context(void) {
    dl_context *context = make(0);
    char *text = dl_strdup(context, "still here");
    dl_context_release(context);
    CHECK_STR(text, "still here");
    dl_free(text);
}

typedef struct host {
    size_t bytes;
    int calls;
    bool refuses;
} host;

static void *host_reallocate(void *user, void *block, size_t old_bytes, size_t bytes) {
    host *self = user;
    self->calls++;
    if (bytes == 0) {
        self->bytes -= old_bytes;
        free(block);
        return NULL;
    }
    if (self->refuses)
        return NULL;
    self->bytes += bytes - old_bytes;
    return realloc(block, bytes);
}

static void test_host_memory(void) {
    host self = {0};
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.reallocate = host_reallocate;
    options.user = &self;
    dl_context *context;
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    void *block = dl_alloc(context, 10000);
    CHECK(block != NULL);
    CHECK(self.bytes > 10000);
    self.refuses = true;
    CHECK(dl_alloc(context, 1 << 22) == NULL);
    CHECK_CONTAINS(dl_last_error(), "out of memory: 4.0 MiB could not be had");
    dl_free(block);
    dl_context_release(context);
    CHECK_EQ_INT(self.bytes, 0);
    CHECK(dl_context_create(&options, &context) == DL_MEMORY);
    CHECK(context == NULL);
}

static void *churn(void *argument) {
    dl_context *context = argument;
    void *held[16] = {0};
    for (int i = 0; i < 4000; i++) {
        int k = i * 7 % 16;
        dl_free(held[k]);
        size_t bytes = (size_t)(i * 37 % 9000) + 1;
        held[k] = dl_alloc(context, bytes);
        CHECK(held[k] != NULL);
        if (held[k])
            memset(held[k], k, bytes);
    }
    for (int k = 0; k < 16; k++)
        dl_free(held[k]);
    return NULL;
}

static void test_threads(void) {
    dl_context *context = make(0);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, churn, context);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ_INT(info_of(context).in_use, 0);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_alignment_and_size), CHECK_TEST(test_blocks_are_kept), CHECK_TEST(test_stale_blocks_go),
           CHECK_TEST(test_big_blocks_are_staggered), CHECK_TEST(test_realloc), CHECK_TEST(test_overflow),
           CHECK_TEST(test_budget), CHECK_TEST(test_fail_at), CHECK_TEST(test_block_after_context),
           CHECK_TEST(test_host_memory), CHECK_TEST(test_threads))
