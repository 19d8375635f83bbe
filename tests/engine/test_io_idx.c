/* idx files: all dtypes, plain and gzip, real ones, and damaged ones. */
#include "check.h"

#include <zlib.h>

#include "context.h"
#include "dlua/io.h"
#include "files.h"
#include "tensor/tensor.h"

static void end(void) {
    end_context();
    files_end();
}

/* 2 x 3 bytes */
static const uint8_t plain[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 20, 30, 40, 50, 60};

/* gzip of bytes, to be freed. */
static uint8_t *pack(const void *bytes, size_t length, size_t *packed_length) {
    z_stream stream = {0};
    deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    size_t room = deflateBound(&stream, length);
    uint8_t *packed = malloc(room);
    stream.next_in = (Bytef *)bytes;
    stream.avail_in = (uInt)length;
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    CHECK_EQ_INT(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed_length = room - stream.avail_out;
    deflateEnd(&stream);
    return packed;
}

static void check_plain(dl_tensor *tensor) {
    REQUIRE(tensor != NULL);
    CHECK_EQ_INT(dl_tensor_dtype(tensor), DL_UINT8);
    CHECK_EQ_INT(dl_tensor_dims(tensor), 2);
    CHECK_EQ_INT(dl_tensor_shape(tensor)[1], 3);
    CHECK_EQ_INT(memcmp(dl_tensor_data(tensor), plain + 12, 6), 0);
}

static void test_plain_and_packed(void) {
    begin_context();
    dl_tensor *tensor;
    CHECK_EQ_INT(dl_parse_idx(context, plain, sizeof plain, "bytes", &tensor), DL_OK);
    check_plain(tensor);
    dl_release(tensor);
    size_t length;
    uint8_t *packed = pack(plain, sizeof plain, &length);
    CHECK_EQ_INT(dl_parse_idx(context, packed, length, "bytes", &tensor), DL_OK);
    check_plain(tensor);
    dl_release(tensor);
    files_write(files_path("plain"), plain, sizeof plain);
    files_write(files_path("packed"), packed, length);
    CHECK_EQ_INT(dl_load_idx(context, files_path("plain"), &tensor), DL_OK);
    check_plain(tensor);
    dl_release(tensor);
    CHECK_EQ_INT(dl_load_idx(context, files_path("packed"), &tensor), DL_OK);
    check_plain(tensor);
    dl_release(tensor);
    free(packed);
    CHECK_EQ_INT(dl_load_idx(context, files_path("none"), &tensor), DL_NOT_FOUND);
    end();
}

static void test_members_of_gzip(void) {
    begin_context();
    size_t first_length, second_length;
    uint8_t *first = pack(plain, 7, &first_length), *second = pack(plain + 7, sizeof plain - 7, &second_length);
    uint8_t both[200];
    memcpy(both, first, first_length);
    memcpy(both + first_length, second, second_length);
    dl_tensor *tensor;
    CHECK_EQ_INT(dl_parse_idx(context, both, first_length + second_length, "bytes", &tensor), DL_OK);
    check_plain(tensor);
    dl_release(tensor);
    free(first);
    free(second);
    end();
}

static void check_values(const uint8_t *bytes, size_t length, dl_dtype dtype, const double *want) {
    dl_tensor *tensor;
    REQUIRE(dl_parse_idx(context, bytes, length, "bytes", &tensor) == DL_OK);
    CHECK_EQ_INT(dl_tensor_dtype(tensor), dtype);
    double got[2];
    CHECK_EQ_INT(dl_copy_out(tensor, DL_FLOAT64, got), DL_OK);
    CHECK_CLOSE(got[0], want[0], 0);
    CHECK_CLOSE(got[1], want[1], 0);
    dl_release(tensor);
}

static void test_dtypes(void) {
    begin_context();
    check_values((const uint8_t[]){0, 0, 8, 1, 0, 0, 0, 2, 255, 1}, 10, DL_UINT8, (const double[]){255, 1});
    check_values((const uint8_t[]){0, 0, 9, 1, 0, 0, 0, 2, 255, 1}, 10, DL_INT32, (const double[]){-1, 1});
    check_values((const uint8_t[]){0, 0, 0xB, 1, 0, 0, 0, 2, 255, 254, 1, 2}, 12, DL_INT32, (const double[]){-2, 258});
    check_values((const uint8_t[]){0, 0, 0xC, 1, 0, 0, 0, 2, 255, 255, 255, 254, 1, 0, 0, 2}, 16, DL_INT32,
                 (const double[]){-2, 16777218});
    check_values((const uint8_t[]){0, 0, 0xD, 1, 0, 0, 0, 2, 0x3F, 0x80, 0, 0, 0xC0, 0x20, 0, 0}, 16, DL_FLOAT32,
                 (const double[]){1, -2.5});
    check_values((const uint8_t[]){0, 0, 0xE, 1, 0, 0, 0, 2, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0, 0xC0, 4, 0, 0, 0, 0, 0, 0},
                 24, DL_FLOAT64, (const double[]){1, -2.5});
    end();
}

static void check_refused(const uint8_t *bytes, size_t length, dl_status status, const char *message) {
    dl_tensor *tensor;
    CHECK_EQ_INT(dl_parse_idx(context, bytes, length, "bytes", &tensor), status);
    CHECK_CONTAINS(dl_last_error(), message);
    CHECK(tensor == NULL);
}

static void test_refused(void) {
    begin_context();
    check_refused(NULL, 0, DL_FORMAT, "'bytes' is no whole idx file: it ends within its header");
    check_refused((const uint8_t *)"PNG.....", 8, DL_FORMAT, "is no idx file: it begins with the bytes 50 4e 47 2e");
    check_refused((const uint8_t[]){0, 0, 7, 1, 0, 0, 0, 1, 5}, 9, DL_FORMAT, "is no idx file");
    check_refused((const uint8_t[]){0, 0, 8, 0}, 4, DL_FORMAT, "is no idx file");
    check_refused((const uint8_t[]){0, 0, 8, 9, 0, 0, 0, 1}, 8, DL_UNSUPPORTED, "has 9 dimensions; at most 8");
    check_refused((const uint8_t[]){0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255, 0}, 13, DL_FORMAT,
                  "more than follow");
    check_refused((const uint8_t[]){0, 0, 14, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, 16,
                  DL_FORMAT, "more than follow");
    check_refused((const uint8_t[]){0, 0, 8, 1, 0, 0, 0, 1, 5, 6}, 10, DL_FORMAT, "bytes follow its last element");
    end();
}

/* A packed file whose header promises more than its bytes could unpack to is refused before anything is allocated. */
static void test_gzip_bomb(void) {
    begin_context();
    const uint8_t bomb[] = {0, 0, 8, 2, 0x7F, 255, 255, 255, 0x7F, 255, 255, 255, 0};
    size_t length;
    uint8_t *packed = pack(bomb, sizeof bomb, &length);
    check_refused(packed, length, DL_FORMAT, "more than follow");
    free(packed);
    dl_memory_info info;
    dl_memory(context, &info);
    CHECK(info.peak < 1 << 18);
    end();
}

/* The digits of the repository: 1,797 images of 8 x 8, values up to 16, labels from 0 to 9. */
static void test_real_files(void) {
    begin_context();
    dl_tensor *images, *labels;
    const char *folder = DLUA_SOURCE_DIR "/scripts/dlua/datasets/digits/";
    char path[600];
    snprintf(path, sizeof path, "%simages-idx3-ubyte.gz", folder);
    REQUIRE(dl_load_idx(context, path, &images) == DL_OK);
    snprintf(path, sizeof path, "%slabels-idx1-ubyte.gz", folder);
    REQUIRE(dl_load_idx(context, path, &labels) == DL_OK);
    CHECK_EQ_INT(dl_tensor_dims(images), 3);
    CHECK_EQ_INT(dl_tensor_shape(images)[0], 1797);
    CHECK_EQ_INT(dl_tensor_shape(images)[2], 8);
    CHECK_EQ_INT(dl_tensor_numel(labels), 1797);
    int largest = 0, kinds = 0;
    const uint8_t *pixels = dl_tensor_data(images), *classes = dl_tensor_data(labels);
    for (int i = 0; i < 1797 * 64; i++)
        largest = pixels[i] > largest ? pixels[i] : largest;
    for (int i = 0; i < 1797; i++)
        kinds |= 1 << classes[i];
    CHECK_EQ_INT(largest, 16);
    CHECK_EQ_INT(kinds, 0x3FF);
    dl_release(images);
    dl_release(labels);
    end();
}

/* ---- damage ---------------------------------------------------------------------------------------------------- */

static void cut_everywhere(const uint8_t *bytes, size_t length) {
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* of its own, so that the sanitizer sees a byte too many */
        memcpy(copy, bytes, cut);
        dl_tensor *tensor;
        CHECK_EQ_INT(dl_parse_idx(context, copy, cut, "bytes", &tensor), DL_FORMAT);
        CHECK(tensor == NULL);
        free(copy);
    }
}

/* How many flips of a bit are refused; what is read must be no larger than what was written. */
static int flip_everywhere(uint8_t *bytes, size_t length) {
    int refused = 0;
    for (size_t at = 0; at < length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            dl_tensor *tensor;
            refused += dl_parse_idx(context, bytes, length, "bytes", &tensor) != DL_OK;
            CHECK(!tensor || dl_tensor_numel(tensor) <= 6);
            dl_release(tensor);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    }
    return refused;
}

static void test_damage(void) {
    begin_context();
    size_t length;
    uint8_t *packed = pack(plain, sizeof plain, &length), copy[sizeof plain];
    memcpy(copy, plain, sizeof plain);
    cut_everywhere(plain, sizeof plain);
    cut_everywhere(packed, length);
    CHECK_EQ_INT(flip_everywhere(copy, sizeof copy), 12 * 8 - 1); /* uint8 may become int8 */
    CHECK(flip_everywhere(packed, length) > (int)(length - 10) * 7);
    free(packed);
    end();
}

static void test_out_of_memory(void) {
    begin_context();
    size_t length;
    uint8_t *packed = pack(plain, sizeof plain, &length);
    int failures = 0;
    for (uint64_t nth = 1;; nth++) {
        dl_tensor *tensor;
        dl_memory_fail_at(context, nth);
        dl_status status = dl_parse_idx(context, packed, length, "bytes", &tensor);
        dl_memory_fail_at(context, 0);
        dl_release(tensor);
        if (status == DL_OK)
            break;
        CHECK_EQ_INT(status, DL_MEMORY);
        failures++;
    }
    CHECK(failures >= 5);
    free(packed);
    end();
}

CHECK_MAIN(CHECK_TEST(test_plain_and_packed), CHECK_TEST(test_members_of_gzip), CHECK_TEST(test_dtypes),
           CHECK_TEST(test_refused), CHECK_TEST(test_gzip_bomb), CHECK_TEST(test_real_files), CHECK_TEST(test_damage),
           CHECK_TEST(test_out_of_memory))
