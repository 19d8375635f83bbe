/* Texts from C: models that begin with texts, tokenizers, files from anybody, and every allocation failed in turn. */
#include "files.h"
#include "test_nn.h"

static const char *const sentences[] = {"The cat sat on the mat.", "the CAT'S hat", "", "na\xC3\xAFve \xFF bytes"};
enum { SENTENCES = sizeof sentences / sizeof *sentences };

static dl_tensor *sentence_tensor(dl_context *context) {
    return dl_strings(context, sentences, NULL, SENTENCES);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static dl_model *make_model(dl_context *context, const dl_tensor *texts) {
    dl_layer *layers[3] = {layer_of(context, "{\"class_name\": \"TextVectorization\", \"config\": {\"split\": "
                                             "\"character\", \"output_sequence_length\": 6}}"),
                           layer_of(context, "{\"class_name\": \"Embedding\", \"config\": {\"input_dim\": 60, "
                                             "\"output_dim\": 3, \"mask_zero\": true}}"),
                           layer_of(context, "\"Flatten\"")};
    dl_model *model = NULL;
    CHECK(dl_layer_adapt(layers[0], (dl_tensor *)texts) == DL_OK);
    CHECK(dl_model_sequential(context, NULL, layers, 3, &model) == DL_OK);
    for (int i = 0; i < 3; i++)
        release_layer(layers[i]);
    return model;
}

static void test_a_host_trains_and_loads_a_model_of_texts(void) {
    dl_context *context = make_context(5, 1);
    dl_tensor *texts = sentence_tensor(context);
    dl_model *model = make_model(context, texts), *loaded = NULL;
    dl_tensor *target = noise_tensor(context, 2, (int64_t[]){SENTENCES, 18}, 4);
    const char *path = files_path("texts.safetensors");
    int64_t size = 0;
    CHECK(dl_layer_vocabulary_size(dl_model_layer(model, 0), &size) == DL_OK);
    CHECK(size > 10 && size < 60);
    CHECK(compile_model(model, "\"adam\"", "\"mse\"", NULL) == DL_OK);
    CHECK(dl_model_train_batch(model, &texts, &target, NULL) == DL_OK);
    CHECK(dl_model_save(model, path, NULL) == DL_OK);
    REQUIRE(dl_model_load(context, path, &loaded, NULL) == DL_OK);
    dl_tensor *short_text = dl_strings(context, (const char *const[]){"cat"}, NULL, 1);
    dl_tensor *inputs[2] = {texts, short_text};
    for (int i = 0; i < 2; i++) {
        dl_tensor *a = NULL, *b = NULL;
        CHECK(dl_model_predict(model, &inputs[i], 1, 2, &a) == DL_OK);
        CHECK(dl_model_predict(loaded, &inputs[i], 1, 3, &b) == DL_OK);
        CHECK(a && b && memcmp(dl_tensor_data(a), dl_tensor_data(b), (size_t)dl_tensor_numel(a) * sizeof(float)) == 0);
        dl_release(a);
        dl_release(b);
    }
    dl_release(short_text);
    dl_release(target);
    dl_release(texts);
    release_layer(loaded);
    release_layer(model);
    dl_context_release(context);
    files_end();
}

/* ---- tokenizers -------------------------------------------------------------------------------------------------- */

static dl_tokenizer *trained(dl_context *context, const char *json) {
    dl_tokenizer *tokenizer = (dl_tokenizer *)object_of(context, &dl_tokenizer_family, json);
    CHECK(tokenizer && dl_tokenizer_train(tokenizer, sentences, NULL, SENTENCES) == DL_OK);
    return tokenizer;
}

static bool returns(dl_tokenizer *tokenizer, const char *text, size_t length) {
    char *back = NULL;
    size_t got = 0;
    dl_tensor *ids = dl_tokenizer_encode(tokenizer, text, length);
    bool same = ids && dl_tokenizer_decode(tokenizer, ids, &back, &got) == DL_OK && got == length &&
                memcmp(back, text, length) == 0;
    dl_free_text(back);
    dl_release(ids);
    return same;
}

static const char *const kinds[] = {
    "{\"class_name\": \"BytePairTokenizer\", \"config\": {\"vocabulary_size\": 280, \"special_tokens\": [\"<s>\"]}}",
    "{\"class_name\": \"CharTokenizer\", \"config\": {\"special_tokens\": [\"<s>\"]}}",
    "{\"class_name\": \"CharTokenizer\", \"config\": {\"byte_fallback\": false}}"};

/* Each byte of the file changed, and the file cut before it: an error, or a tokenizer that still works. */
static void check_broken_files(dl_context *context, const char *bytes, size_t length) {
    char *copy = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        dl_tokenizer *tokenizer = NULL;
        CHECK(dl_tokenizer_parse(context, bytes, i, "cut", &tokenizer) != DL_OK);
        memcpy(copy, bytes, length);
        for (int bit = 0; bit < 8; bit += 3) {
            copy[i] = (char)(bytes[i] ^ (1 << bit));
            if (dl_tokenizer_parse(context, copy, length, "flipped", &tokenizer) == DL_OK) {
                dl_tensor *ids = dl_tokenizer_encode(tokenizer, bytes, length);
                CHECK(!ids || returns(tokenizer, bytes, length));
                dl_release(ids);
                dl_object_release((dl_object *)tokenizer);
            }
        }
    }
    free(copy);
}

static void test_files_of_tokenizers(void) {
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        dl_context *context = make_context(1, 1);
        dl_tokenizer *tokenizer = trained(context, kinds[k]), *loaded = NULL, *none = NULL;
        const char *path = files_path("tokenizer.json");
        long length;
        CHECK(returns(tokenizer, sentences[1], strlen(sentences[1])));
        CHECK(dl_tokenizer_save(tokenizer, path) == DL_OK);
        REQUIRE(dl_tokenizer_load(context, path, &loaded) == DL_OK);
        CHECK_EQ_INT(dl_tokenizer_size(loaded), dl_tokenizer_size(tokenizer));
        CHECK(returns(loaded, sentences[0], strlen(sentences[0])));
        char *bytes = files_read(path, &length);
        check_broken_files(context, bytes, (size_t)length);
        free(bytes);
        CHECK(dl_tokenizer_load(context, files_path("none.json"), &none) == DL_NOT_FOUND);
        dl_object_release((dl_object *)loaded);
        dl_object_release((dl_object *)tokenizer);
        dl_context_release(context);
        files_end();
    }
}

static void check_refused(dl_context *context, const char *config, const char *message) {
    char json[512];
    dl_tokenizer *tokenizer = NULL;
    snprintf(json, sizeof json, "{\"format\": \"dlua.tokenizer\", \"format_version\": 1, \"tokenizer\": "
             "{\"class_name\": \"BytePairTokenizer\", \"config\": {%s}}}", config);
    CHECK(dl_tokenizer_parse(context, json, strlen(json), "bad", &tokenizer) != DL_OK);
    CHECK_CONTAINS(dl_last_error(), message);
}

static void test_merges_that_cannot_be(void) {
    dl_context *context = make_context(1, 1);
    check_refused(context, "\"vocabulary_size\": 300, \"merges\": [1, 257]", "no token before it");
    check_refused(context, "\"vocabulary_size\": 300, \"merges\": [0, 1]", "no token before it");
    check_refused(context, "\"vocabulary_size\": 300, \"special_tokens\": [\"x\"], \"merges\": [1, 2]",
                  "no token before it");
    check_refused(context, "\"vocabulary_size\": 300, \"merges\": [1, 2, 1, 2]", "is one of those before it");
    check_refused(context, "\"vocabulary_size\": 300, \"merges\": [1]", "must be a list of pairs");
    check_refused(context, "\"vocabulary_size\": 257, \"merges\": [1, 2, 2, 1]", "leaves room for");
    check_refused(context, "\"vocabulary_size\": 300, \"merges\": [1, \"2\"]", "not of whole numbers");
    check_refused(context, "\"vocabulary_size\": 256, \"special_tokens\": [\"x\"]", "must be at least 257");
    check_refused(context, "\"vocabulary_size\": 300, \"special_tokens\": [\"x\", \"x\"]", "'x' twice");
    check_refused(context, "\"vocabulary_size\": 300, \"special_tokens\": [\"\"]", "special_tokens[1]");
    check_refused(context,
                  "\"vocabulary_size\": 300, \"merges\": [1,1,257,257,258,258,259,259,260,260,261,261,262,262,263,263,"
                  "264,264]",
                  "more than 256 bytes");
    dl_context_release(context);
}

/* ---- want of memory ---------------------------------------------------------------------------------------------- */

/* Each allocation failed in turn: an error and nothing changed, until the work gets through. */
static void test_every_allocation_may_fail(void) {
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        dl_context *context = make_context(1, 1);
        dl_tokenizer *tokenizer = trained(context, kinds[k]);
        const char *const more[2] = {sentences[0], "mat mat hat \xE2\x82\xAC\xE2\x82\xAC"};
        int64_t before = dl_tokenizer_size(tokenizer);
        for (uint64_t nth = 1; nth < 100000; nth++) {
            dl_memory_fail_at(context, nth);
            dl_status status = dl_tokenizer_train(tokenizer, more, NULL, 2);
            dl_memory_fail_at(context, 0);
            if (status == DL_OK)
                break;
            CHECK(status == DL_MEMORY);
            CHECK_EQ_INT(dl_tokenizer_size(tokenizer), before);
            if (nth % 5 == 1)
                CHECK(returns(tokenizer, sentences[1], strlen(sentences[1])));
        }
        CHECK(returns(tokenizer, more[1], strlen(more[1])));
        for (uint64_t nth = 1; nth < 1000; nth++) {
            dl_memory_fail_at(context, nth);
            dl_tensor *ids = dl_tokenizer_encode(tokenizer, "mat hat", 7);
            dl_memory_fail_at(context, 0);
            dl_release(ids);
            if (ids)
                break;
        }
        CHECK(returns(tokenizer, "mat hat", 7));
        dl_object_release((dl_object *)tokenizer);
        dl_context_release(context);
    }
}

static void test_adapt_keeps_the_vocabulary_without_memory(void) {
    dl_context *context = make_context(1, 1);
    dl_layer *layer = layer_of(context, "{\"class_name\": \"TextVectorization\", \"config\": {\"output_mode\": "
                                        "\"tf_idf\", \"ngrams\": 2}}");
    dl_tensor *first = dl_strings(context, (const char *const[]){"a b"}, NULL, 1);
    dl_tensor *second = dl_strings(context, (const char *const[]){"the cat and the hat"}, NULL, 1);
    dl_tensor *out;
    int64_t size;
    int outputs;
    bool done = false;
    CHECK(dl_layer_adapt(layer, first) == DL_OK);
    for (uint64_t nth = 1; !done && nth < 10000; nth++) {
        dl_memory_fail_at(context, nth);
        dl_status status = dl_layer_adapt(layer, second);
        dl_memory_fail_at(context, 0);
        done = status == DL_OK;
        CHECK(done || status == DL_MEMORY);
        CHECK(dl_layer_vocabulary_size(layer, &size) == DL_OK);
        CHECK_EQ_INT(size, done ? 9 : 4);
        REQUIRE(dl_layer_apply(layer, &first, 1, NULL, &out, &outputs) == DL_OK);
        dl_release(out);
    }
    CHECK(done);
    dl_release(first);
    dl_release(second);
    release_layer(layer);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_a_host_trains_and_loads_a_model_of_texts), CHECK_TEST(test_files_of_tokenizers),
           CHECK_TEST(test_merges_that_cannot_be), CHECK_TEST(test_every_allocation_may_fail),
           CHECK_TEST(test_adapt_keeps_the_vocabulary_without_memory))
