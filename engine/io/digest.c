/* io/digest.c: the checksums by which publishers name the content of a file: SHA-256 (FIPS 180-4) and, for older data
 * sets, MD5 (RFC 1321). Both take blocks of 64 bytes; the last holds a bit, zeros and the length in bits. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "io/file.h"

enum { BLOCK = 64, CHUNK = 1 << 16 };

typedef struct digest {
    uint32_t state[8];
    int words;    /* of the state that are the result */
    bool big_end; /* byte order of words */
    void (*block)(uint32_t *state, const uint8_t *bytes);
} digest;

static uint32_t rotate_right(uint32_t x, int bits) {
    return x >> bits | x << (32 - bits);
}

/* ---- SHA-256 --------------------------------------------------------------------------------------------------- */

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_block(uint32_t *state, const uint8_t *bytes) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 | (uint32_t)bytes[4 * i + 2] << 8 |
               bytes[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t s[8];
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t t1 = s[7] + s1 + choice + sha_constants[i] + w[i];
        uint32_t s0 = rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t1;
        s[0] = t1 + s0 + majority;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static const digest sha256 = {
    .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
    .words = 8,
    .big_end = true,
    .block = sha256_block,
};

/* ---- MD5 ------------------------------------------------------------------------------------------------------- */

/* floor(2^32 |sin(i + 1)|) */
static const uint32_t md5_constants[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static void md5_block(uint32_t *state, const uint8_t *bytes) {
    static const int rotations[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
        const uint32_t mixed[4] = {(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)};
        const int place[4] = {i, 5 * i + 1, 3 * i + 5, 7 * i};
        uint32_t word;
        memcpy(&word, bytes + 4 * (place[i / 16] % 16), sizeof word); /* little-endian, as the machine is */
        uint32_t sum = a + mixed[i / 16] + md5_constants[i] + word;
        a = d;
        d = c;
        c = b;
        b += rotate_right(sum, 32 - rotations[i / 16][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

static const digest md5 = {
    .state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476},
    .words = 4,
    .big_end = false,
    .block = md5_block,
};

/* ---- a file ---------------------------------------------------------------------------------------------------- */

/* The tail of fewer than 64 bytes, the padding and the length. */
static void finish(digest *sum, const uint8_t *tail, size_t bytes, uint64_t total) {
    uint8_t last[2 * BLOCK] = {0};
    memcpy(last, tail, bytes);
    last[bytes] = 0x80;
    size_t size = bytes + 9 > BLOCK ? 2 * BLOCK : BLOCK;
    for (int i = 0; i < 8; i++)
        last[size - 8 + (size_t)i] = (uint8_t)(total * 8 >> (sum->big_end ? 56 - 8 * i : 8 * i));
    for (size_t at = 0; at < size; at += BLOCK)
        sum->block(sum->state, last + at);
}

static dl_status digest_file(dl_context *context, const dl_input *file, uint8_t *chunk, digest *sum) {
    uint64_t at = 0;
    while (file->size - at >= BLOCK) {
        DL_TRY(dl_poll(context));
        size_t bytes = (size_t)DL_MIN(file->size - at, (uint64_t)CHUNK) / BLOCK * BLOCK;
        DL_TRY(dl_input_read(file, at, chunk, bytes));
        for (size_t i = 0; i < bytes; i += BLOCK)
            sum->block(sum->state, chunk + i);
        at += bytes;
    }
    size_t tail = (size_t)(file->size - at);
    DL_TRY(dl_input_read(file, at, chunk, tail));
    finish(sum, chunk, tail, file->size);
    return DL_OK;
}

static dl_status hex_digest(dl_context *context, const char *path, digest sum, char *hex) {
    hex[0] = '\0';
    dl_input file;
    DL_TRY(dl_input_open(path, &file));
    uint8_t *chunk = dl_alloc(context, CHUNK);
    dl_status status = chunk ? digest_file(context, &file, chunk, &sum) : DL_MEMORY;
    dl_free(chunk);
    dl_input_close(&file);
    for (int i = 0; status == DL_OK && i < sum.words; i++)
        sprintf(hex + 8 * i, "%08x", sum.big_end ? sum.state[i] : __builtin_bswap32(sum.state[i]));
    return status;
}

dl_status dl_file_sha256(dl_context *context, const char *path, char hex[65]) {
    return hex_digest(context, path, sha256, hex);
}

dl_status dl_file_md5(dl_context *context, const char *path, char hex[33]) {
    return hex_digest(context, path, md5, hex);
}
