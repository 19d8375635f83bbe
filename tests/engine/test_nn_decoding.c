/* Models asked step by step from C: the same as the whole sequence, through recurrent layers and attention; steps that
 * fail leave the decoding as it was; sequences that are chosen; models that cannot be asked so. */
#include "tensor/tensor.h"

#include "test_nn.h"

/* Ids (N, T) of 1..5 -> scores of the next id: a recurrent layer, then a decoder block with positions. */
static const char language_model[] =
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"shape\": [null], \"dtype\": \"int64\"}},"
    "{\"class_name\": \"TokenAndPositionEmbedding\", \"config\": {\"vocabulary_size\": 5, \"sequence_length\": 9,"
    " \"embedding_dim\": 8}},"
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 8, \"return_sequences\": true}},"
    "{\"class_name\": \"TransformerDecoder\", \"config\": {\"intermediate_dim\": 8, \"num_heads\": 2}},"
    "{\"class_name\": \"GRU\", \"config\": {\"units\": 6, \"return_sequences\": true, \"activation\": \"relu\"}},"
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 5}}]}}";

/* The same with an encoder, which sees its whole sequence from both sides, and is attended to. */
static const char translator[] =
    "{\"class_name\": \"Functional\", \"config\": {\"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"shape\": [null], \"dtype\": \"int64\"}},"
    "{\"class_name\": \"InputLayer\", \"config\": {\"shape\": [null], \"dtype\": \"int64\"}},"
    "{\"class_name\": \"Embedding\", \"config\": {\"input_dim\": 5, \"output_dim\": 8, \"mask_zero\": true}},"
    "{\"class_name\": \"Bidirectional\", \"config\": {\"layer\": {\"class_name\": \"GRU\", \"config\":"
    " {\"units\": 4, \"return_sequences\": true}}}},"
    "{\"class_name\": \"TransformerDecoder\", \"config\": {\"intermediate_dim\": 8, \"num_heads\": 2}},"
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 5}}],"
    " \"nodes\": [[0, []], [1, []], [2, [[1, 0]]], [2, [[0, 0]]], [3, [[3, 0]]], [4, [[2, 0], [4, 0]]],"
    " [5, [[5, 0]]]], \"inputs\": [0, 1], \"outputs\": [[6, 0]]}}";

enum { N = 3, T = 9, S = 4, KINDS = 5 };

static dl_tensor *make_ids(dl_context *context) {
    return dl_randint(context, DL_INT64, 1, KINDS, 2, (int64_t[]){N, T});
}

/* One step of the decoding over places from .. to - 1 of the ids; a new reference. */
static dl_tensor *step(dl_decoding *decoding, dl_tensor *ids, int64_t from, int64_t to) {
    dl_tensor *out[DL_MAX_LAYER_OUTPUTS] = {NULL};
    int outputs = 0;
    size_t scope = dl_scope_begin(ids->context);
    dl_tensor *part = dl_slice(ids->context, ids, 1, from, to, 1);
    dl_status status = part ? dl_decoding_step(decoding, &part, 1, out, &outputs) : dl_last_status();
    dl_scope_end(ids->context, scope, NULL);
    return status == DL_OK ? out[0] : NULL;
}

/* Checks the scores (N, t, KINDS) against places from .. of the whole; rows may name the sequences from 0. */
static void check_scores(dl_tensor *scores, dl_tensor *whole, int64_t from, const int64_t *rows) {
    REQUIRE(scores && whole);
    int64_t steps = scores->shape[1];
    const float *got = dl_tensor_data(scores), *want = dl_tensor_data(whole);
    for (int64_t n = 0; n < scores->shape[0]; n++)
        for (int64_t t = 0; t < steps; t++)
            for (int64_t k = 0; k < KINDS; k++) {
                int64_t row = rows ? rows[n] : n;
                if (!CHECK_CLOSE(got[(n * steps + t) * KINDS + k], want[(row * T + from + t) * KINDS + k], 1e-5))
                    return;
            }
}

/* source NULL: the model has but one input. */
static dl_tensor *whole_sequence(dl_model *model, dl_tensor *source, dl_tensor *ids) {
    dl_tensor *in[2] = {source ? source : ids, ids}, *out[DL_MAX_LAYER_OUTPUTS] = {NULL};
    int outputs;
    CHECK(dl_layer_apply(model, in, source ? 2 : 1, NULL, out, &outputs) == DL_OK);
    return out[0];
}

static void test_steps_give_what_the_whole_sequence_gives(void) {
    dl_context *context = make_context(2, 2);
    dl_model *model = layer_of(context, language_model);
    dl_tensor *ids = make_ids(context);
    dl_decoding *decoding = NULL;
    REQUIRE(model && ids);
    dl_tensor *whole = whole_sequence(model, NULL, ids);
    CHECK(dl_model_is_stepwise(model, 0));
    REQUIRE(dl_decoding_create(model, NULL, 0, N, T, &decoding) == DL_OK);
    const int64_t ends[] = {4, 5, 6, 9};
    for (int i = 0; i < 4; i++) {
        int64_t from = dl_decoding_position(decoding);
        dl_tensor *scores = step(decoding, ids, from, ends[i]);
        check_scores(scores, whole, from, NULL);
        dl_release(scores);
        CHECK_EQ_INT(dl_decoding_position(decoding), ends[i]);
    }
    CHECK(!step(decoding, ids, 0, 1));
    CHECK_CONTAINS(dl_last_error(), "room for 0 of 9 steps");
    dl_decoding_free(decoding);
    dl_release(whole);
    dl_release(ids);
    release_layer(model);
    dl_context_release(context);
}

/* Fails each allocation of the steps from..to in turn; checks what the try without a failure gives. How many failed. */
static int fail_steps(dl_decoding *decoding, dl_tensor *ids, dl_tensor *whole, int64_t from, int64_t to) {
    dl_tensor *scores = NULL;
    int failures = 0;
    for (uint64_t nth = 1; !scores; nth++) {
        dl_memory_fail_at(ids->context, nth);
        scores = step(decoding, ids, from, to);
        dl_memory_fail_at(ids->context, 0);
        failures += !scores;
        CHECK_EQ_INT(dl_decoding_position(decoding), scores ? to : from);
    }
    check_scores(scores, whole, from, NULL);
    dl_release(scores);
    return failures;
}

/* Each allocation of a step and of a choice of rows failed in turn: the next try gives what it would have given. */
static void check_failed_steps(const char *config, int source_count) {
    dl_context *context = make_context(2, 1);
    dl_model *model = layer_of(context, config);
    dl_tensor *source = dl_randint(context, DL_INT64, 0, KINDS, 2, (int64_t[]){N, S});
    dl_tensor *ids = make_ids(context), *rows = dl_full(context, DL_INT64, 1, (int64_t[]){2}, 3);
    dl_decoding *decoding = NULL;
    REQUIRE(model && source && ids && rows);
    ((int64_t *)dl_tensor_data(rows))[1] = 1;
    dl_tensor *whole = whole_sequence(model, source_count ? source : NULL, ids);
    for (uint64_t nth = 1; !decoding; nth++) {
        dl_memory_fail_at(context, nth);
        CHECK((dl_decoding_create(model, &source, source_count, N, T, &decoding) == DL_OK) == (decoding != NULL));
        dl_memory_fail_at(context, 0);
    }
    int failures = fail_steps(decoding, ids, whole, 0, 3);
    failures += fail_steps(decoding, ids, whole, 3, 6);
    CHECK(failures > 20);
    dl_status status = DL_MEMORY;
    for (uint64_t nth = 1; status != DL_OK; nth++) {
        dl_memory_fail_at(context, nth);
        status = dl_decoding_select(decoding, rows);
        dl_memory_fail_at(context, 0);
    }
    dl_tensor *chosen = dl_index_select(context, ids, 0, rows);
    REQUIRE(chosen);
    dl_tensor *scores = step(decoding, chosen, 6, 9);
    check_scores(scores, whole, 6, (const int64_t[]){2, 0});
    dl_release(scores);
    dl_release(chosen);
    dl_decoding_free(decoding);
    dl_release(whole);
    dl_release(rows);
    dl_release(source);
    dl_release(ids);
    release_layer(model);
    dl_context_release(context);
}

static void test_failed_steps_leave_the_decoding_as_it_was(void) {
    check_failed_steps(language_model, 0);
    check_failed_steps(translator, 1);
}

static void test_what_cannot_be_asked_says_so(void) {
    dl_context *context = make_context(2, 1);
    dl_layer *model = layer_of(context, "{\"class_name\": \"Sequential\", \"config\": {\"layers\": ["
                                        "{\"class_name\": \"GlobalAveragePooling1D\", \"config\": {}}]}}");
    dl_layer *good = layer_of(context, language_model);
    dl_decoding *decoding = NULL;
    REQUIRE(model && good);
    CHECK(!dl_model_is_stepwise(model, 0));
    CHECK(dl_decoding_create(model, NULL, 0, 1, 4, &decoding) == DL_UNSUPPORTED);
    CHECK_CONTAINS(dl_last_error(), "global_average_pooling1d");
    CHECK(decoding == NULL);
    CHECK(dl_decoding_create(good, NULL, 0, 0, 4, &decoding) == DL_INVALID);
    CHECK(!dl_model_is_stepwise(good, 1));
    REQUIRE(dl_decoding_create(good, NULL, 0, 2, 4, &decoding) == DL_OK);
    dl_tensor *ids = make_ids(context), *wrong = dl_full(context, DL_FLOAT32, 1, (int64_t[]){2}, 1);
    CHECK(!step(decoding, ids, 0, 1));
    CHECK_CONTAINS(dl_last_error(), "begun for 2 sequences, got inputs {3, 1}");
    CHECK(dl_decoding_select(decoding, wrong) == DL_SHAPE);
    CHECK_CONTAINS(dl_last_error(), "whole numbers");
    dl_release(ids);
    dl_release(wrong);
    dl_decoding_free(decoding);
    release_layer(model);
    release_layer(good);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_steps_give_what_the_whole_sequence_gives),
           CHECK_TEST(test_failed_steps_leave_the_decoding_as_it_was), CHECK_TEST(test_what_cannot_be_asked_says_so))
