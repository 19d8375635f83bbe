/* replay FOLDER: feeds the target every file of the folder, whole, cut at every byte and with every bit flipped. Each
 * input lies in memory of just its size, so that a sanitizer sees a byte too many. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

static void feed(const uint8_t *bytes, size_t length) {
    uint8_t *copy = malloc(length ? length : 1);
    FUZZ_REQUIRE(copy != NULL);
    memcpy(copy, bytes, length);
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
}

static void feed_variants(uint8_t *bytes, size_t length) {
    for (size_t cut = 0; cut <= length; cut++)
        feed(bytes, cut);
    for (size_t at = 0; at < length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            feed(bytes, length);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
}

static void replay(const char *path) {
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    FUZZ_REQUIRE(file != NULL);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (length <= 600)
        feed_variants(bytes, length);
    else
        feed(bytes, length);
}

int main(int argc, char **argv) {
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[1000];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        replay(path);
        count++;
    }
    closedir(folder);
    printf("%d files\n", count);
    return count > 0 ? 0 : 1;
}
