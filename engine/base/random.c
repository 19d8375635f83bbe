/* base/random.c: Philox 4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011), and streams of it. Always true: what a draw gives depends on seed, stream and position
 * alone.
 *
 *      key     = seed                    (2 words)
 *      counter = position, stream        (2 words each, low word first) */
#include "base/context.h"

static uint32_t high_product(uint32_t a, uint32_t b, uint32_t *low) {
    uint64_t product = (uint64_t)a * b;
    *low = (uint32_t)product;
    return (uint32_t)(product >> 32);
}

void dl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint32_t low0, low1;
        uint32_t high0 = high_product(0xD2511F53u, c0, &low0);
        uint32_t high1 = high_product(0xCD9E8D57u, c2, &low1);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u; /* the golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void dl_stream_words(const dl_stream *stream, uint64_t position, uint32_t out[4]) {
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)stream->stream,
                                 (uint32_t)(stream->stream >> 32)};
    const uint32_t key[2] = {(uint32_t)stream->seed, (uint32_t)(stream->seed >> 32)};
    dl_philox(counter, key, out);
}

uint64_t dl_stream_take(dl_stream *stream, uint64_t blocks) {
    uint64_t first = stream->position;
    stream->position += blocks;
    return first;
}

uint64_t dl_permutation_blocks(int64_t count) {
    return (uint64_t)(count / 2); /* count - 1 exchanges, two to a block */
}

/* Fisher and Yates, from the end. 64 random bits are scaled to [0, i] (a bias under i / 2^64). */
void dl_permutation(const dl_stream *stream, uint64_t position, int64_t count, int64_t *order) {
    for (int64_t i = 0; i < count; i++)
        order[i] = i + 1;
    uint32_t words[4];
    for (int64_t done = 0, i = count - 1; i > 0; i--, done++) {
        if (done % 2 == 0)
            dl_stream_words(stream, position + (uint64_t)done / 2, words);
        const uint32_t *half = words + 2 * (done % 2);
        uint64_t draw = (uint64_t)half[1] << 32 | half[0];
        int64_t j = (int64_t)(((unsigned __int128)draw * (uint64_t)(i + 1)) >> 64);
        int64_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

dl_stream *dl_context_stream(dl_context *context) {
    return &context->stream;
}

dl_stream dl_new_stream(dl_context *context) {
    return (dl_stream){.seed = context->stream.seed, .stream = context->next_stream++, .position = 0};
}

void dl_manual_seed(dl_context *context, uint64_t seed) {
    context->stream = (dl_stream){.seed = seed, .stream = 0, .position = 0};
    context->next_stream = 1;
}

uint64_t dl_seed(const dl_context *context) {
    return context->stream.seed;
}
