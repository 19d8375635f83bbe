/* kernels/isa/philox.h: blocks of Philox 4x32-10 in lanes (base/random.c has the sequence). */
#ifndef DL_KERNELS_ISA_PHILOX_H
#define DL_KERNELS_ISA_PHILOX_H

#include <stdint.h>

#include "dlua/base.h"

/* One round on the words c0 .. c3 with the keys k0, k1. */
#define DL_PHILOX_ROUND                                                                                                \
    {                                                                                                                  \
        uint64_t product0 = (uint64_t)0xD2511F53u * c0, product1 = (uint64_t)0xCD9E8D57u * c2;                         \
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;                                                                     \
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;                                                                     \
        c1 = (uint32_t)product1;                                                                                       \
        c3 = (uint32_t)product0;                                                                                       \
        k0 += 0x9E3779B9u;                                                                                             \
        k1 += 0xBB67AE85u;                                                                                             \
    }
#define DL_PHILOX_FIVE_ROUNDS DL_PHILOX_ROUND DL_PHILOX_ROUND DL_PHILOX_ROUND DL_PHILOX_ROUND DL_PHILOX_ROUND

/* words[w][i] = word w of the block `first` + i of a stream, i < count: dl_stream_words in lanes. Each words[w] has
 * room for `count`. */
__attribute__((unused)) static inline void dl_philox_blocks(const dl_stream *of, uint64_t first, int count,
                                                            uint32_t *const words[4]) {
    const uint32_t key0 = (uint32_t)of->seed, key1 = (uint32_t)(of->seed >> 32);
    const uint64_t stream = of->stream;
    uint32_t *w0 = words[0], *w1 = words[1], *w2 = words[2], *w3 = words[3];
    _Pragma("omp simd") for (int i = 0; i < count; i++) {
        uint64_t at = first + (uint64_t)i;
        uint32_t c0 = (uint32_t)at, c1 = (uint32_t)(at >> 32), c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
        uint32_t k0 = key0, k1 = key1;
        DL_PHILOX_FIVE_ROUNDS DL_PHILOX_FIVE_ROUNDS w0[i] = c0;
        w1[i] = c1;
        w2[i] = c2;
        w3[i] = c3;
    }
}

#endif
