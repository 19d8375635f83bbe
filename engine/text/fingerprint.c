/* text/fingerprint.c: FarmHash's Fingerprint64 (G. Pike, 2014: farmhashna::Hash64). The constants and the order of the
 * steps are the definition; bytes are read as little-endian numbers. */
#include <string.h>

#include "text/text.h"

static const uint64_t k0 = 0xc3a5c85c97cb3127u, k1 = 0xb492b66fbe98f273u, k2 = 0x9ae16a3b2f90404fu;

static uint64_t fetch(const char *at, int bytes) {
    uint64_t number = 0;
    for (int i = bytes - 1; i >= 0; i--)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

static uint64_t fetch64(const char *at) {
    return fetch(at, 8);
}

static uint64_t rotate(uint64_t number, int shift) {
    return number >> shift | number << (64 - shift);
}

static uint64_t shift_mix(uint64_t number) {
    return number ^ number >> 47;
}

static uint64_t hash_pair(uint64_t u, uint64_t v, uint64_t factor) {
    uint64_t a = shift_mix((u ^ v) * factor);
    return shift_mix((v ^ a) * factor) * factor;
}

static uint64_t hash_to_16(const char *s, size_t length) {
    uint64_t factor = k2 + length * 2;
    if (length >= 8) {
        uint64_t a = fetch64(s) + k2, b = fetch64(s + length - 8);
        return hash_pair(rotate(b, 37) * factor + a, (rotate(a, 25) + b) * factor, factor);
    }
    if (length >= 4)
        return hash_pair(length + (fetch(s, 4) << 3), fetch(s + length - 4, 4), factor);
    if (length == 0)
        return k2;
    uint64_t first = (unsigned char)s[0], middle = (unsigned char)s[length >> 1], last = (unsigned char)s[length - 1];
    return shift_mix((first + (middle << 8)) * k2 ^ (length + (last << 2)) * k0) * k2;
}

static uint64_t hash_to_32(const char *s, size_t length) {
    uint64_t factor = k2 + length * 2;
    uint64_t a = fetch64(s) * k1, b = fetch64(s + 8);
    uint64_t c = fetch64(s + length - 8) * factor, d = fetch64(s + length - 16) * k2;
    return hash_pair(rotate(a + b, 43) + rotate(c, 30) + d, a + rotate(b + k2, 18) + c, factor);
}

static uint64_t hash_to_64(const char *s, size_t length) {
    uint64_t factor = k2 + length * 2;
    uint64_t a = fetch64(s) * k2, b = fetch64(s + 8);
    uint64_t c = fetch64(s + length - 8) * factor, d = fetch64(s + length - 16) * k2;
    uint64_t y = rotate(a + b, 43) + rotate(c, 30) + d;
    uint64_t z = hash_pair(y, a + rotate(b + k2, 18) + c, factor);
    uint64_t e = fetch64(s + 16) * factor, f = fetch64(s + 24);
    uint64_t g = (y + fetch64(s + length - 32)) * factor, h = (z + fetch64(s + length - 24)) * factor;
    return hash_pair(rotate(e + f, 43) + rotate(g, 30) + h, e + rotate(f + a, 18) + g, factor);
}

typedef struct pair {
    uint64_t first, second;
} pair;

static pair hash_block(const char *s, uint64_t a, uint64_t b) {
    uint64_t w = fetch64(s), x = fetch64(s + 8), y = fetch64(s + 16), z = fetch64(s + 24);
    a += w;
    b = rotate(b + a + z, 21);
    uint64_t c = a;
    a += x + y;
    b += rotate(a, 44);
    return (pair){a + z, b + c};
}

/* The state of a long hash, and what one block of 64 bytes does to it. */
typedef struct long_hash {
    uint64_t x, y, z;
    pair v, w;
} long_hash;

static void add_block(long_hash *h, const char *s, uint64_t factor, uint64_t weight) {
    h->x = rotate(h->x + h->y + h->v.first + fetch64(s + 8), 37) * factor;
    h->y = rotate(h->y + h->v.second + fetch64(s + 48), 42) * factor;
    h->x ^= h->w.second * weight;
    h->y += h->v.first * weight + fetch64(s + 40);
    h->z = rotate(h->z + h->w.first, 33) * factor;
    h->v = hash_block(s, h->v.second * factor, h->x + h->w.first);
    h->w = hash_block(s + 32, h->z + h->w.second, h->y + fetch64(s + 16));
    uint64_t x = h->x;
    h->x = h->z;
    h->z = x;
}

uint64_t dl_fingerprint(const char *bytes, size_t length) {
    if (length <= 16)
        return hash_to_16(bytes, length);
    if (length <= 32)
        return hash_to_32(bytes, length);
    if (length <= 64)
        return hash_to_64(bytes, length);
    const uint64_t seed = 81;
    long_hash h = {.x = seed, .y = seed * k1 + 113};
    h.z = shift_mix(h.y * k2 + 113) * k2;
    h.x = h.x * k2 + fetch64(bytes);
    const char *end = bytes + (length - 1) / 64 * 64;
    for (const char *s = bytes; s != end; s += 64)
        add_block(&h, s, k1, 1);
    uint64_t factor = k1 + ((h.z & 0xff) << 1);
    h.w.first += (length - 1) & 63;
    h.v.first += h.w.first;
    h.w.first += h.v.first;
    add_block(&h, bytes + length - 64, factor, 9);
    return hash_pair(hash_pair(h.v.first, h.w.first, factor) + shift_mix(h.y) * k0 + h.z,
                     hash_pair(h.v.second, h.w.second, factor) + h.x, factor);
}
