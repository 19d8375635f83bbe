/* Recurrent layers in C: every allocation of a training call failed in turn, and states that are reset. */
#include "nn/nn.h"
#include "test_nn.h"

static const char *const failing[] = {
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 3, \"stateful\": true, \"dropout\": 0.5, "
    "\"recurrent_dropout\": 0.5, \"return_sequences\": true}}",
    "{\"class_name\": \"GRU\", \"config\": {\"units\": 3, \"activation\": \"elu\", \"reset_after\": false, "
    "\"zero_output_for_mask\": true, \"return_sequences\": true}}",
    "{\"class_name\": \"RNN\", \"config\": {\"return_state\": true, \"cell\": {\"class_name\": \"StackedRNNCells\", "
    "\"config\": {\"cells\": [{\"class_name\": \"LSTMCell\", \"config\": {\"units\": 2, \"dropout\": 0.5}}, "
    "{\"class_name\": \"SimpleRNNCell\", \"config\": {\"units\": 2}}]}}}}",
    "{\"class_name\": \"Bidirectional\", \"config\": {\"merge_mode\": null, \"layer\": {\"class_name\": \"SimpleRNN\", "
    "\"config\": {\"units\": 2, \"go_backwards\": true, \"return_sequences\": true}}}}",
    "{\"class_name\": \"TimeDistributed\", \"config\": {\"layer\": {\"class_name\": \"Dense\", \"config\": {\"units\": "
    "2}}}}",
    "\"Masking\"",
};

/* A call in training with a mask, and its gradients. */
static dl_status call_once(dl_layer *layer, dl_tensor *x, dl_tensor *mask) {
    bool takes_mask = dl_layer_definition(layer)->input_names != NULL;
    dl_tensor *in[] = {x, mask}, *out[DL_MAX_LAYER_OUTPUTS];
    int outputs;
    dl_arguments arguments = {.roles = takes_mask ? (const uint8_t[]){0, 2} : NULL, .training = 1};
    size_t scope = dl_scope_begin(layer->object.context);
    dl_status status = dl_layer_apply(layer, in, takes_mask ? 2 : 1, &arguments, out, &outputs);
    if (status == DL_OK) {
        dl_tensor *sum = dl_sum_all(layer->object.context, out[0]);
        status = sum ? dl_backward(sum, NULL, 0) : dl_last_status();
        for (int i = 0; i < outputs; i++)
            dl_release(out[i]);
    }
    dl_scope_end(layer->object.context, scope, NULL);
    return status;
}

static void fail_each(const char *json) {
    dl_context *context = make_context(5, 1);
    dl_layer *layer = layer_of(context, json);
    dl_tensor *x = noise_tensor(context, 3, (int64_t[]){2, 3, 2}, 3);
    dl_tensor *mask = dl_full(context, DL_BOOLEAN, 2, (int64_t[]){2, 3}, 1);
    REQUIRE(layer && x && mask);
    ((bool *)dl_tensor_data(mask))[1] = false;
    CHECK(dl_requires_grad_(x, true) == DL_OK);
    CHECK(call_once(layer, x, mask) == DL_OK);
    uint64_t failures = 0;
    for (uint64_t nth = 1; nth < 100000; nth++) {
        dl_memory_fail_at(context, nth);
        dl_status status = call_once(layer, x, mask);
        dl_memory_fail_at(context, 0);
        if (status == DL_OK)
            break;
        failures++;
        if (!CHECK(status == DL_MEMORY))
            fprintf(stderr, "    %s, allocation %llu: %s\n", json, (unsigned long long)nth, dl_last_error());
    }
    CHECK(failures > 3 && failures < 99999);
    CHECK(call_once(layer, x, mask) == DL_OK);
    dl_release(x);
    dl_release(mask);
    release_layer(layer);
    dl_context_release(context);
}

static void test_no_allocation_is_taken_for_granted(void) {
    for (int i = 0; i < DL_COUNT(failing); i++)
        fail_each(failing[i]);
}

static void test_a_failed_step_leaves_the_states(void) {
    dl_context *context = make_context(5, 1);
    dl_layer *layer = layer_of(context, "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"stateful\": true}}");
    dl_tensor *x = noise_tensor(context, 3, (int64_t[]){2, 3, 2}, 3), *out[3][DL_MAX_LAYER_OUTPUTS];
    int outputs;
    REQUIRE(layer && x);
    CHECK(dl_layer_apply(layer, &x, 1, NULL, out[0], &outputs) == DL_OK);
    dl_memory_fail_at(context, 12);
    CHECK(dl_layer_apply(layer, &x, 1, NULL, out[1], &outputs) == DL_MEMORY);
    dl_memory_fail_at(context, 0);
    CHECK(dl_layer_apply(layer, &x, 1, NULL, out[1], &outputs) == DL_OK);
    dl_layer_reset_states(layer);
    CHECK(dl_layer_apply(layer, &x, 1, NULL, out[2], &outputs) == DL_OK);
    size_t bytes = (size_t)dl_tensor_numel(out[0][0]) * sizeof(float);
    CHECK(memcmp(dl_tensor_data(out[0][0]), dl_tensor_data(out[2][0]), bytes) == 0);
    CHECK(memcmp(dl_tensor_data(out[0][0]), dl_tensor_data(out[1][0]), bytes) != 0);
    dl_layer_reset_states(layer);
    dl_tensor *second[DL_MAX_LAYER_OUTPUTS];
    CHECK(dl_layer_apply(layer, &x, 1, NULL, second, &outputs) == DL_OK);
    dl_release(second[0]);
    CHECK(dl_layer_apply(layer, &x, 1, NULL, second, &outputs) == DL_OK);
    CHECK(memcmp(dl_tensor_data(second[0]), dl_tensor_data(out[1][0]), bytes) == 0);
    dl_release(second[0]);
    for (int i = 0; i < 3; i++)
        dl_release(out[i][0]);
    dl_release(x);
    release_layer(layer);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_no_allocation_is_taken_for_granted), CHECK_TEST(test_a_failed_step_leaves_the_states))
