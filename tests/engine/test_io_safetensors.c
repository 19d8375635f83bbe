/* safetensors files: what is written is read again, what others write is read, and nothing that is wrong gets in. */
#include "check.h"

#include "context.h"
#include "dlua/io.h"
#include "files.h"
#include "tensor/tensor.h"

static void end(void) {
    end_context();
    files_end();
}

/* Writes a file of this header and data. */
static const char *file_of(const char *header, const void *data, size_t bytes) {
    static char content[1 << 16];
    size_t length = strlen(header);
    memset(content, 0, 8);
    content[0] = (char)(length & 0xFF);
    content[1] = (char)(length >> 8);
    memcpy(content + 8, header, length);
    if (bytes)
        memcpy(content + 8 + length, data, bytes);
    const char *path = files_path("made.safetensors");
    files_write(path, content, 8 + length + bytes);
    return path;
}

static void check_refused(const char *header, size_t bytes, dl_status status, const char *message) {
    static const char data[1000];
    dl_bundle *bundle;
    CHECK_EQ_INT(dl_load_safetensors(context, file_of(header, data, bytes), &bundle), status);
    CHECK_CONTAINS(dl_last_error(), message);
    CHECK(bundle == NULL);
}

static void test_round_trip(void) {
    begin_context();
    dl_bundle *bundle;
    REQUIRE(dl_bundle_create(context, &bundle) == DL_OK);
    const dl_dtype dtypes[] = {DL_BOOLEAN, DL_UINT8, DL_INT32, DL_INT64, DL_FLOAT32, DL_FLOAT64};
    const int64_t shape[] = {2, 3};
    for (int i = 0; i < DL_COUNT(dtypes); i++) {
        dl_tensor *tensor = dl_full(context, dtypes[i], 2, shape, 1);
        CHECK_EQ_INT(dl_bundle_put(bundle, dl_dtype_name(dtypes[i]), tensor), DL_OK);
        dl_release(tensor);
    }
    dl_tensor *scalar = dl_scalar(context, DL_FLOAT32, 2.5),
              *empty = dl_zeros(context, DL_FLOAT32, 2, (int64_t[]){0, 4});
    CHECK_EQ_INT(dl_bundle_put(bundle, "scalar", dl_bundle_get(bundle, "float32")), DL_OK);
    CHECK_EQ_INT(dl_bundle_put(bundle, "scalar", scalar), DL_OK);
    CHECK_EQ_INT(dl_bundle_put(bundle, "empty \xc3\xa9\"", empty), DL_OK);
    CHECK_EQ_INT(dl_bundle_put_text(bundle, "dlua", "{\"a\": 1}\n"), DL_OK);
    CHECK_EQ_INT(dl_bundle_put_text(bundle, "note", "old"), DL_OK);
    CHECK_EQ_INT(dl_bundle_put_text(bundle, "note", "new"), DL_OK);
    CHECK_EQ_INT(dl_bundle_put(bundle, "__metadata__", scalar), DL_INVALID);
    dl_release(scalar);
    dl_release(empty);
    const char *path = files_path("a.safetensors");
    CHECK_EQ_INT(dl_save_safetensors(bundle, path), DL_OK);
    dl_bundle_free(bundle);

    REQUIRE(dl_load_safetensors(context, path, &bundle) == DL_OK);
    CHECK_EQ_INT(dl_bundle_count(bundle), 8);
    for (int i = 0; i < DL_COUNT(dtypes); i++) {
        dl_tensor *tensor = dl_bundle_get(bundle, dl_dtype_name(dtypes[i]));
        REQUIRE(tensor != NULL);
        CHECK_EQ_INT(dl_tensor_dtype(tensor), dtypes[i]);
        CHECK(dl_shape_equal(dl_tensor_dims(tensor), dl_tensor_shape(tensor), 2, shape));
        double values[6];
        CHECK_EQ_INT(dl_copy_out(tensor, DL_FLOAT64, values), DL_OK);
        CHECK_CLOSE(values[5], 1, 0);
    }
    double item;
    CHECK_EQ_INT(dl_item(dl_bundle_get(bundle, "scalar"), &item), DL_OK);
    CHECK_CLOSE(item, 2.5, 0);
    CHECK_EQ_INT(dl_tensor_numel(dl_bundle_get(bundle, "empty \xc3\xa9\"")), 0);
    CHECK_STR(dl_bundle_text(bundle, "dlua"), "{\"a\": 1}\n");
    CHECK_STR(dl_bundle_text(bundle, "note"), "new");
    CHECK(dl_bundle_text(bundle, "none") == NULL);
    CHECK(dl_bundle_get(bundle, "none") == NULL);
    CHECK_STR(dl_bundle_key(bundle, 1), "note");
    CHECK(dl_bundle_key(bundle, 2) == NULL);
    CHECK(dl_bundle_name(bundle, 8, NULL) == NULL);
    dl_bundle_free(bundle);
    end();
}

/* A transposed view is written in its own order of elements. */
static void test_views_are_written_row_major(void) {
    begin_context();
    dl_tensor *tensor = dl_arange(context, DL_FLOAT32, 0, 6, 1);
    dl_tensor *view = dl_tensor_view(tensor, 2, (int64_t[]){3, 2}, (int64_t[]){1, 3}, 0);
    dl_bundle *bundle;
    REQUIRE(dl_bundle_create(context, &bundle) == DL_OK);
    CHECK_EQ_INT(dl_bundle_put(bundle, "t", view), DL_OK);
    CHECK_EQ_INT(dl_save_safetensors(bundle, files_path("a")), DL_OK);
    dl_bundle_free(bundle);
    dl_release(view);
    dl_release(tensor);
    REQUIRE(dl_load_safetensors(context, files_path("a"), &bundle) == DL_OK);
    float values[6];
    CHECK_EQ_INT(dl_copy_out(dl_bundle_get(bundle, "t"), DL_FLOAT32, values), DL_OK);
    const float want[] = {0, 3, 1, 4, 2, 5};
    CHECK_EQ_INT(memcmp(values, want, sizeof want), 0);
    dl_bundle_free(bundle);
    end();
}

/* A file that the format's own library wrote comes out of load and save with the same bytes. */
static void test_same_bytes_as_the_reference(void) {
    begin_context();
    const char *original = DLUA_SOURCE_DIR "/tests/golden/ops.safetensors", *copy = files_path("copy.safetensors");
    dl_bundle *bundle;
    REQUIRE(dl_load_safetensors(context, original, &bundle) == DL_OK);
    CHECK(dl_bundle_count(bundle) > 100);
    CHECK_EQ_INT(dl_save_safetensors(bundle, copy), DL_OK);
    dl_bundle_free(bundle);
    long length, copy_length;
    char *bytes = files_read(original, &length), *copied = files_read(copy, &copy_length);
    CHECK_EQ_INT(copy_length, length);
    CHECK(bytes && copied && length == copy_length && memcmp(bytes, copied, (size_t)length) == 0);
    free(bytes);
    free(copied);
    end();
}

static void check_widened(const char *dtype, const void *data, int count, int size, dl_dtype want,
                          const double *values) {
    char header[200];
    snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", dtype, count,
             count * size);
    dl_bundle *bundle;
    REQUIRE(dl_load_safetensors(context, file_of(header, data, (size_t)(count * size)), &bundle) == DL_OK);
    dl_tensor *tensor = dl_bundle_get(bundle, "t");
    CHECK_EQ_INT(dl_tensor_dtype(tensor), want);
    double got[16];
    CHECK_EQ_INT(dl_copy_out(tensor, DL_FLOAT64, got), DL_OK);
    for (int i = 0; i < count; i++)
        CHECK_CLOSE(got[i], values[i], 0);
    dl_bundle_free(bundle);
}

static void test_widening(void) {
    begin_context();
    const uint16_t half[] = {0x3C00, 0xC000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0x7C00, 0x8000, 0x3555};
    check_widened("F16", half, 9, 2, DL_FLOAT32,
                  (const double[]){1, -2, 0x1p-24, -1023 * 0x1p-24, 0x1p-14, 65504, INFINITY, 0, 1365 * 0x1p-12});
    check_widened("F16", (const uint16_t[]){0x7E00}, 1, 2, DL_FLOAT32, (const double[]){NAN});
    check_widened("BF16", (const uint16_t[]){0x3F80, 0xC049, 0x0080}, 3, 2, DL_FLOAT32,
                  (const double[]){1, -3.140625, 0x1p-126});
    check_widened("I8", (const int8_t[]){-128, 127}, 2, 1, DL_INT32, (const double[]){-128, 127});
    check_widened("I16", (const int16_t[]){-32768, 5}, 2, 2, DL_INT32, (const double[]){-32768, 5});
    check_widened("U16", (const uint16_t[]){65535, 5}, 2, 2, DL_INT32, (const double[]){65535, 5});
    check_widened("U32", (const uint32_t[]){4294967295, 5}, 2, 4, DL_INT64, (const double[]){4294967295, 5});
    check_widened("U64", (const uint64_t[]){1ull << 62, 5}, 2, 8, DL_INT64, (const double[]){0x1p62, 5});
    end();
}

/* A tensor that is larger than a chunk of the conversion. */
static void test_widening_in_chunks(void) {
    begin_context();
    enum { N = 100000 };
    char header[200];
    int length =
        snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"I16\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", N, 2 * N);
    char *content = calloc(1, 8 + (size_t)length + 2 * N);
    content[0] = (char)length;
    memcpy(content + 8, header, (size_t)length);
    for (int i = 0; i < N; i++) {
        int16_t value = (int16_t)(i % 30000 - 10000);
        memcpy(content + 8 + length + 2 * i, &value, 2);
    }
    const char *path = files_path("chunks");
    files_write(path, content, 8 + (size_t)length + 2 * N);
    free(content);
    dl_bundle *bundle;
    REQUIRE(dl_load_safetensors(context, path, &bundle) == DL_OK);
    const int32_t *values = dl_tensor_data(dl_bundle_get(bundle, "t"));
    int wrong = 0;
    for (int i = 0; i < N; i++)
        wrong += values[i] != i % 30000 - 10000;
    CHECK_EQ_INT(wrong, 0);
    dl_bundle_free(bundle);
    end();
}

static void test_refused(void) {
    begin_context();
    check_refused("", 0, DL_FORMAT, "its header does not begin with '{'");
    check_refused(" {}", 0, DL_FORMAT, "its header does not begin with '{'");
    check_refused("{", 0, DL_FORMAT, "its header: not JSON at line 1");
    check_refused("{}", 3, DL_FORMAT, "3 bytes of data belong to no tensor");
    check_refused("{\"__metadata__\":{\"a\":1}}", 0, DL_FORMAT, "'__metadata__' must be a map of texts");
    check_refused("{\"__metadata__\":[]}", 0, DL_FORMAT, "'__metadata__' must be a map of texts");
    check_refused("{\"t\":3}", 0, DL_FORMAT, "tensor 't' has no dtype");
    check_refused("{\"t\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, DL_UNSUPPORTED,
                  "tensor 't' has the dtype 'F8_E4M3', which is not read");
    check_refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, DL_FORMAT,
                  "must have a shape");
    check_refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, DL_FORMAT,
                  "must have a shape");
    check_refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, DL_FORMAT,
                  "must have a shape of at most 8 sizes");
    check_refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,2]}}", 1, DL_FORMAT, "lies outside");
    check_refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1, DL_FORMAT, "lies outside");
    check_refused("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, DL_FORMAT, "lies outside");
    check_refused("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2, DL_FORMAT,
                  "does not fit its dtype and shape");
    check_refused("{\"t\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, DL_FORMAT,
                  "does not fit its dtype and shape");
    check_refused("{\"t\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
                  DL_FORMAT, "does not fit its dtype and shape");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
                  3, DL_FORMAT, "tensor 'b' overlaps another one");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
                  3, DL_FORMAT, "tensor 'b' lies behind a gap");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                  2, DL_FORMAT, "duplicate");
    dl_bundle *bundle;
    const uint64_t large = UINT64_MAX;
    CHECK_EQ_INT(
        dl_load_safetensors(
            context, file_of("{\"t\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[0,8]}}", &large, 8), &bundle),
        DL_FORMAT);
    CHECK_CONTAINS(dl_last_error(), "tensor 't' has a value that int64 cannot hold");
    CHECK_EQ_INT(
        dl_load_safetensors(
            context, file_of("{\"t\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]}}", "\2", 1), &bundle),
        DL_FORMAT);
    CHECK_CONTAINS(dl_last_error(), "neither true nor false");
    files_write(files_path("huge"), "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    CHECK_EQ_INT(dl_load_safetensors(context, files_path("huge"), &bundle), DL_FORMAT);
    CHECK_CONTAINS(dl_last_error(), "says its header has 18446744073709551615 bytes, but only 2 follow");
    CHECK_EQ_INT(dl_load_safetensors(context, files_path("missing"), &bundle), DL_NOT_FOUND);
    end();
}

static void test_budget(void) {
    begin_context();
    dl_context_options options;
    dl_context_options_init(&options, sizeof options);
    options.memory_budget = 4 << 20;
    dl_context *small;
    REQUIRE(dl_context_create(&options, &small) == DL_OK);
    dl_bundle *bundle;
    REQUIRE(dl_bundle_create(context, &bundle) == DL_OK);
    dl_tensor *tensor = dl_zeros(context, DL_FLOAT32, 1, (int64_t[]){2 << 20});
    CHECK_EQ_INT(dl_bundle_put(bundle, "t", tensor), DL_OK);
    dl_release(tensor);
    CHECK_EQ_INT(dl_save_safetensors(bundle, files_path("large")), DL_OK);
    dl_bundle_free(bundle);
    CHECK_EQ_INT(dl_load_safetensors(small, files_path("large"), &bundle), DL_MEMORY);
    CHECK_CONTAINS(dl_last_error(), "memory budget");
    dl_context_release(small);
    end();
}

static void test_unwritable_names(void) {
    begin_context();
    dl_bundle *bundle;
    REQUIRE(dl_bundle_create(context, &bundle) == DL_OK);
    dl_tensor *tensor = dl_scalar(context, DL_FLOAT32, 1);
    CHECK_EQ_INT(dl_bundle_put(bundle, "\xff", tensor), DL_OK);
    dl_release(tensor);
    CHECK_EQ_INT(dl_save_safetensors(bundle, files_path("a")), DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "UTF-8");
    CHECK_EQ_INT(files_count(), 0);
    dl_bundle_free(bundle);
    end();
}

/* ---- damage ---------------------------------------------------------------------------------------------------- */

/* A small whole file, with all kinds of parts. */
static char *small_file(long *length) {
    dl_bundle *bundle;
    if (dl_bundle_create(context, &bundle) != DL_OK)
        return NULL;
    dl_tensor *a = dl_arange(context, DL_FLOAT32, 0, 6, 1), *b = dl_full(context, DL_BOOLEAN, 1, (int64_t[]){3}, 1);
    CHECK_EQ_INT(dl_bundle_put(bundle, "a", a), DL_OK);
    CHECK_EQ_INT(dl_bundle_put(bundle, "b", b), DL_OK);
    CHECK_EQ_INT(dl_bundle_put_text(bundle, "k", "v"), DL_OK);
    dl_release(a);
    dl_release(b);
    CHECK_EQ_INT(dl_save_safetensors(bundle, files_path("small")), DL_OK);
    dl_bundle_free(bundle);
    return files_read(files_path("small"), length);
}

/* Every cut is noticed: the format says how long the file is. */
static void test_cut_anywhere(void) {
    begin_context();
    long length;
    char *bytes = small_file(&length);
    REQUIRE(bytes != NULL);
    const char *path = files_path("cut");
    for (long cut = 0; cut < length; cut++) {
        files_write(path, bytes, (size_t)cut);
        dl_bundle *bundle;
        CHECK_EQ_INT(dl_load_safetensors(context, path, &bundle), DL_FORMAT);
        CHECK(bundle == NULL);
    }
    bytes[length] = 'x';
    files_write(path, bytes, (size_t)length + 1);
    dl_bundle *bundle;
    CHECK_EQ_INT(dl_load_safetensors(context, path, &bundle), DL_FORMAT);
    free(bytes);
    end();
}

/* A flipped bit gives an error, or a whole bundle whose values or names differ; the memory is right either way. */
static void test_flipped_anywhere(void) {
    begin_context();
    long length;
    char *bytes = small_file(&length);
    REQUIRE(bytes != NULL);
    const char *path = files_path("flipped");
    int refused = 0;
    for (long at = 0; at < length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (char)(1 << bit);
            files_write(path, bytes, (size_t)length);
            bytes[at] ^= (char)(1 << bit);
            dl_bundle *bundle;
            dl_status status = dl_load_safetensors(context, path, &bundle);
            refused += status != DL_OK;
            for (int64_t k = 0; bundle && k < dl_bundle_count(bundle); k++) {
                dl_tensor *tensor;
                double values[64];
                CHECK(dl_bundle_name(bundle, k, &tensor) != NULL);
                CHECK(dl_tensor_numel(tensor) <= 64);
                CHECK_EQ_INT(dl_copy_out(tensor, DL_FLOAT64, values), DL_OK);
            }
            dl_bundle_free(bundle);
        }
    }
    CHECK(refused > length * 4);
    free(bytes);
    end();
}

/* Each allocation of saving and loading fails in turn. */
static void test_out_of_memory(void) {
    begin_context();
    long length;
    free(small_file(&length));
    int failures = 0;
    for (uint64_t nth = 1;; nth++) {
        dl_bundle *bundle;
        dl_memory_fail_at(context, nth);
        dl_status status = dl_load_safetensors(context, files_path("small"), &bundle);
        if (status == DL_OK)
            status = dl_save_safetensors(bundle, files_path("again"));
        dl_memory_fail_at(context, 0);
        dl_bundle_free(bundle);
        if (status == DL_OK)
            break;
        CHECK_EQ_INT(status, DL_MEMORY);
        CHECK_EQ_INT(files_count(), 1);
        failures++;
    }
    CHECK(failures > 30);
    CHECK_EQ_INT(files_count(), 2);
    end();
}

CHECK_MAIN(CHECK_TEST(test_round_trip), CHECK_TEST(test_views_are_written_row_major),
           CHECK_TEST(test_same_bytes_as_the_reference), CHECK_TEST(test_widening), CHECK_TEST(test_widening_in_chunks),
           CHECK_TEST(test_refused), CHECK_TEST(test_budget), CHECK_TEST(test_unwritable_names),
           CHECK_TEST(test_cut_anywhere), CHECK_TEST(test_flipped_anywhere), CHECK_TEST(test_out_of_memory))
