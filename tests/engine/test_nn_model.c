/* Models from C, without Lua: a network is built, trained, saved, loaded and asked; what must be the same bits is. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "test_nn.h"

static void scratch_path(char *path, size_t size, const char *name) {
    snprintf(path, size, "%s/dlua_test_nn_%ld_%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (long)getpid(), name);
}

static dl_tensor *predict(dl_model *model, dl_tensor *x, int64_t batch_size) {
    dl_tensor *y = NULL;
    CHECK(dl_model_predict(model, &x, 1, batch_size, &y) == DL_OK);
    return y;
}

static bool same_bytes(dl_tensor *a, dl_tensor *b) {
    return dl_tensor_numel(a) == dl_tensor_numel(b) &&
           memcmp(dl_tensor_data(a), dl_tensor_data(b), (size_t)dl_tensor_numel(a) * sizeof(float)) == 0;
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static void test_network_learns_and_logs(void) {
    dl_context *context = make_context(1, 2);
    dl_model *model = make_small_network(context);
    REQUIRE(model);
    double first = 0;
    double last = 0;
    double accuracy = -1;
    dl_tensor *x = noise_tensor(context, 4, small_input, 5);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 6);
    CHECK_EQ_INT(dl_model_outputs(model), 1);
    CHECK_EQ_INT(dl_layer_count_params(model, false) - dl_layer_count_params(model, true), 16);
    for (int i = 0; i < 60; i++) {
        dl_model_reset_metrics(model);
        if (!CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK))
            fprintf(stderr, "    %s\n", dl_last_error());
        CHECK_STR(dl_model_log(model, 0, i == 0 ? &first : &last), "loss");
    }
    CHECK_STR(dl_model_log(model, 1, &accuracy), "accuracy");
    CHECK(dl_model_log(model, 2, &accuracy) == NULL);
    CHECK(last < first / 2);
    dl_model_reset_metrics(model);
    uint64_t before = weights_hash(model);
    CHECK(dl_model_test_batch(model, &x, &y, NULL) == DL_OK);
    CHECK(weights_hash(model) == before);
    CHECK_EQ_INT(dl_optimizer_iterations(dl_model_optimizer(model)), 60);
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

/* The loss of a batch is the mean over samples, and over batches of different sizes weighted by the samples. */
static void test_logs_weigh_batches_by_samples(void) {
    dl_context *context = make_context(1, 1);
    dl_model *model = layer_of(context, "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": "
                                        "\"Dense\", \"config\": {\"units\": 1, \"input_shape\": [1], "
                                        "\"kernel_initializer\": \"zeros\"}}]}}");
    REQUIRE(model && compile_model(model, "\"sgd\"", "\"mse\"", "\"mae\"") == DL_OK);
    float targets[4] = {1, 1, 1, 3};
    double value;
    for (int part = 0; part < 2; part++) {
        int64_t shape[2] = {part == 0 ? 3 : 1, 1};
        dl_tensor *x = dl_zeros(context, DL_FLOAT32, 2, shape);
        dl_tensor *y = dl_from_data(context, DL_FLOAT32, 2, shape, targets + 3 * part);
        CHECK(dl_model_test_batch(model, &x, &y, NULL) == DL_OK);
        dl_release(x);
        dl_release(y);
    }
    dl_model_log(model, 0, &value);
    CHECK_CLOSE(value, (3 * 1 + 9) / 4.0, 1e-6);
    CHECK_STR(dl_model_log(model, 1, &value), "mean_absolute_error");
    CHECK_CLOSE(value, (3 * 1 + 3) / 4.0, 1e-6);
    release_layer(model);
    dl_context_release(context);
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

static uint64_t train_and_hash(int threads, int steps) {
    dl_context *context = make_context(7, threads);
    dl_model *model = make_small_network(context);
    CHECK(model && train_steps(model, 0, steps));
    uint64_t hash = weights_hash(model);
    release_layer(model);
    dl_context_release(context);
    return hash;
}

static void test_one_and_two_threads_give_the_same_bits(void) {
    uint64_t one = train_and_hash(1, 8);
    uint64_t two = train_and_hash(2, 8);
    CHECK(one == two);
    CHECK(train_and_hash(2, 9) != two);
}

static void test_saved_in_the_middle_resumes_with_the_same_bits(void) {
    char path[256];
    scratch_path(path, sizeof path, "resume.safetensors");
    dl_context *context = make_context(7, 2);
    dl_model *model = make_small_network(context);
    REQUIRE(model && train_steps(model, 0, 4));
    dl_value extra = dl_value_map();
    dl_value epoch = dl_value_int(3);
    CHECK(dl_value_put(context, &extra, "epoch", &epoch) == DL_OK);
    if (!CHECK(dl_model_save(model, path, &extra) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    dl_value_clear(&extra);
    CHECK(train_steps(model, 4, 4));
    uint64_t whole = weights_hash(model);
    release_layer(model);
    dl_context_release(context);

    dl_context *later = make_context(99, 2);
    dl_model *loaded = NULL;
    if (!CHECK(dl_model_load(later, path, &loaded, &extra) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    REQUIRE(loaded);
    CHECK_EQ_INT(dl_value_get(&extra, "epoch")->as.integer, 3);
    CHECK_EQ_INT(dl_optimizer_iterations(dl_model_optimizer(loaded)), 4);
    CHECK(train_steps(loaded, 4, 4));
    CHECK(weights_hash(loaded) == whole);
    dl_value_clear(&extra);
    release_layer(loaded);
    dl_context_release(later);
    unlink(path);
}

static void test_rows_do_not_depend_on_the_batch(void) {
    static const int64_t sizes[] = {1, 7, 32, 33, 256};
    static const int64_t shape[4] = {256, 12, 12, 1};
    dl_context *context = make_context(3, 2);
    dl_model *model = make_small_network(context);
    REQUIRE(model && train_steps(model, 0, 2));
    dl_tensor *x = noise_tensor(context, 4, shape, 11);
    dl_tensor *want = predict(model, x, 256);
    REQUIRE(want);
    for (int i = 0; i < 4; i++) {
        dl_tensor *got = predict(model, x, sizes[i]);
        if (!CHECK(got && same_bytes(got, want)))
            fprintf(stderr, "    batches of %lld\n", (long long)sizes[i]);
        dl_release(got);
    }
    dl_release(want);
    dl_release(x);
    release_layer(model);
    dl_context_release(context);
}

static void *train_in_thread(void *argument) {
    atomic_ullong *hash = argument;
    atomic_store(hash, train_and_hash(1, 8));
    return NULL;
}

static void test_two_contexts_train_in_two_threads(void) {
    atomic_ullong hashes[2];
    pthread_t threads[2];
    uint64_t alone = train_and_hash(1, 8);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, train_in_thread, &hashes[i]) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&hashes[0]) == alone);
    CHECK(atomic_load(&hashes[1]) == alone);
}

/* The fused convolution and pooling gives the bits of the two layers apart (which detect_anomaly runs). */
static void test_fusion_gives_the_same_predictions(void) {
    dl_context *context = make_context(3, 1);
    dl_model *model = layer_of(context, small_network);
    REQUIRE(model);
    dl_tensor *x = noise_tensor(context, 4, small_input, 11);
    dl_tensor *whole = predict(model, x, 32);
    dl_tensor *h = x;
    dl_retain(h);
    for (int k = 0; dl_model_layer(model, k); k++) {
        dl_tensor *next = NULL;
        int outputs;
        CHECK(dl_layer_apply(dl_model_layer(model, k), &h, 1, NULL, &next, &outputs) == DL_OK);
        dl_release(h);
        h = next;
    }
    REQUIRE(whole && h);
    const float *a = dl_tensor_data(whole);
    const float *b = dl_tensor_data(h);
    for (int64_t i = 0; i < dl_tensor_numel(whole); i++)
        CHECK_CLOSE(a[i], b[i], 1e-4);
    dl_release(h);
    dl_release(whole);
    dl_release(x);
    release_layer(model);
    dl_context_release(context);
}

/* ---- failures change nothing ------------------------------------------------------------------------------------- */

/* Everything of a model that a step may change. */
typedef struct snapshot {
    uint64_t weights, slots, position, context_position;
    int64_t iterations;
    double loss, accuracy;
} snapshot;

static snapshot take_snapshot(dl_model *model) {
    snapshot s = {.weights = weights_hash(model), .slots = 1469598103934665603u};
    dl_optimizer *optimizer = dl_model_optimizer(model);
    dl_weight *weight;
    for (int64_t k = 0; (weight = dl_layer_weight(model, k, NULL, 0)); k++) {
        const char *name;
        for (int i = 0; weight->trainable; i++) {
            dl_tensor *slot = dl_optimizer_slot(optimizer, weight->value, i, &name);
            if (!name)
                break;
            const uint8_t *bytes = slot ? dl_tensor_data(slot) : NULL;
            for (int64_t j = 0; slot && j < dl_tensor_numel(slot) * 4; j++)
                s.slots = (s.slots ^ bytes[j]) * 1099511628211u;
        }
    }
    for (int k = 0; dl_model_layer(model, k); k++)
        s.position += dl_model_layer(model, k)->stream.position;
    s.iterations = dl_optimizer_iterations(optimizer);
    dl_model_log(model, 0, &s.loss);
    dl_model_log(model, 1, &s.accuracy);
    return s;
}

static void test_each_failed_allocation_leaves_the_last_step(void) {
    dl_context *context = make_context(5, 1);
    dl_model *model = make_small_network(context);
    REQUIRE(model && train_steps(model, 0, 2));
    dl_tensor *x = noise_tensor(context, 4, small_input, 3);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 103);
    dl_memory_info info;
    dl_memory_info now;
    snapshot before = take_snapshot(model);
    dl_memory(context, &info);
    int64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        dl_memory_fail_at(context, nth);
        dl_status status = dl_model_train_batch(model, &x, &y, NULL);
        dl_memory_fail_at(context, 0);
        if (status == DL_OK)
            break;
        snapshot after = take_snapshot(model);
        dl_memory(context, &now);
        bool right = CHECK_EQ_INT(status, DL_MEMORY) && CHECK(memcmp(&before, &after, sizeof before) == 0) &&
                     CHECK_EQ_INT(now.in_use, info.in_use);
        failures++;
        if (!right) {
            fprintf(stderr, "    allocation %llu: %s\n", (unsigned long long)nth, dl_last_error());
            break;
        }
    }
    CHECK(failures > 50);
    /* The step that went through is the one that would have come without any failure. */
    dl_context *calm = make_context(5, 1);
    dl_model *twin = make_small_network(calm);
    CHECK(twin && train_steps(twin, 0, 3));
    CHECK(weights_hash(twin) == weights_hash(model));
    release_layer(twin);
    dl_context_release(calm);
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

static int polls_left;

static bool cancel_later(void *user) {
    (void)user;
    return --polls_left == 0;
}

static void test_cancel_leaves_the_last_step(void) {
    dl_context_options options;
    dl_context *context;
    dl_context_options_init(&options, sizeof options);
    options.seed = 5;
    options.threads = 1;
    options.cancel = cancel_later;
    polls_left = 0;
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    dl_model *model = make_small_network(context);
    REQUIRE(model && train_steps(model, 0, 2));
    dl_tensor *x = noise_tensor(context, 4, small_input, 3);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 103);
    snapshot before = take_snapshot(model);
    int cancelled = 0;
    for (int n = 1;; n++) {
        polls_left = n;
        if (dl_model_train_batch(model, &x, &y, NULL) == DL_OK)
            break;
        CHECK_EQ_INT(dl_last_status(), DL_CANCELLED);
        snapshot after = take_snapshot(model);
        if (!CHECK(memcmp(&before, &after, sizeof before) == 0))
            break;
        cancelled++;
    }
    CHECK(cancelled > 5);
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

/* A metric that asks for the end of the step, as a Ctrl-C does while the last of it is computed. */
static int64_t one_sum(const dl_object *metric) {
    (void)metric;
    return 1;
}

static dl_status add_and_cancel(const dl_object *metric, dl_tensor *target, dl_tensor *prediction, dl_tensor *weights,
                                double *sums) {
    (void)target;
    (void)prediction;
    (void)weights;
    sums[0] = 1;
    dl_cancel(metric->context);
    return DL_OK;
}

static double first_sum(const dl_object *metric, const double *sums) {
    (void)metric;
    return sums[0];
}

static const dl_field cancels_fields[] = {DL_STRING(dl_metric_options, name, NULL, DL_NONE_OK, "its name"), DL_END};
static const dl_metric_def cancels = {
    .definition = {.name = "Cancels", .version = 1, .help = "Cancels.", .fields = cancels_fields,
                   .options_size = sizeof(dl_metric_options)},
    .size = one_sum, .add = add_and_cancel, .result = first_sum};

static void test_cancel_after_the_last_kernel_is_heard(void) {
    dl_context *context = make_context(5, 1);
    REQUIRE(dl_add_definition(context, &dl_metric_family, &cancels.definition) == DL_OK);
    dl_model *model = layer_of(context, small_network);
    REQUIRE(model &&
            compile_model(model, "\"adam\"", "\"sparse_categorical_crossentropy\"", "\"Cancels\"") == DL_OK);
    dl_tensor *x = noise_tensor(context, 4, small_input, 3);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 103);
    double value[2];
    CHECK_EQ_INT(dl_model_test_batch(model, &x, &y, NULL), DL_CANCELLED);
    for (int k = 0; k < 2; k++) {
        CHECK(dl_model_log(model, k, &value[k]) != NULL);
        CHECK(value[k] == 0);
    }
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

/* What a step computed is gone after it: a large batch leaves no more behind than a small one. */
static void test_a_step_leaves_nothing_of_its_batch(void) {
    static const int64_t rows[] = {32, 512};
    dl_context *context = make_context(5, 1);
    dl_model *model = make_small_network(context);
    REQUIRE(model && train_steps(model, 0, 1));
    dl_memory_info info[2];
    for (int i = 0; i < 2; i++) {
        dl_tensor *x = noise_tensor(context, 4, (int64_t[]){rows[i], 12, 12, 1}, 3);
        dl_tensor *y = label_tensor(context, rows[i], 10, 103);
        CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
        dl_release(x);
        dl_release(y);
        dl_memory(context, &info[i]);
    }
    CHECK_EQ_INT(info[1].in_use, info[0].in_use);
    release_layer(model);
    dl_context_release(context);
}

static void test_steps_after_the_first_ask_the_system_for_nothing(void) {
    dl_context *context = make_context(5, 2);
    dl_model *model = make_small_network(context);
    dl_tensor *x = noise_tensor(context, 4, small_input, 3);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 103);
    dl_memory_info first;
    dl_memory_info later;
    REQUIRE(model);
    for (int i = 0; i < 2; i++)
        CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
    dl_memory(context, &first);
    for (int i = 0; i < 5; i++)
        CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
    dl_memory(context, &later);
#ifndef __SANITIZE_ADDRESS__ /* under which no block is kept for the next request */
    CHECK_EQ_INT(later.system_calls, first.system_calls);
#endif
    CHECK_EQ_INT(later.in_use, first.in_use);
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

static dl_symbol *call_symbol(dl_layer *layer, dl_symbol *a, dl_symbol *b) {
    dl_symbol *in[2] = {a, b};
    dl_symbol *out = NULL;
    int outputs;
    if (!CHECK(layer && dl_layer_symbolic(layer, in, b ? 2 : 1, NULL, &out, &outputs) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    return out;
}

static const char dense_of_four[] = "{\"class_name\": \"Dense\", \"config\": {\"units\": 4, \"activation\": \"tanh\"}}";

/* Two inputs through one shared layer, and a nested model; two outputs. */
static dl_model *make_graph(dl_context *context) {
    dl_spec spec = {.dtype = DL_FLOAT32, .dims = 2, .shape = {DL_NONE, 3}};
    dl_layer *shared = layer_of(context, dense_of_four);
    dl_layer *inner = layer_of(context, "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"inner\", "
                                        "\"layers\": [{\"class_name\": \"Dense\", \"config\": {\"units\": 2}}]}}");
    dl_symbol *inputs[2] = {NULL, NULL};
    CHECK(dl_input(context, &spec, "left", &inputs[0]) == DL_OK);
    CHECK(dl_input(context, &spec, "right", &inputs[1]) == DL_OK);
    dl_symbol *hidden[2] = {call_symbol(shared, inputs[0], NULL), call_symbol(shared, inputs[1], NULL)};
    dl_symbol *outputs[2] = {call_symbol(inner, hidden[0], NULL), call_symbol(inner, hidden[1], NULL)};
    dl_model *model = NULL;
    if (!CHECK(dl_model_functional(context, "graph", inputs, 2, outputs, 2, &model) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    for (int i = 0; i < 2; i++) {
        dl_symbol_release(inputs[i]);
        dl_symbol_release(hidden[i]);
        dl_symbol_release(outputs[i]);
    }
    release_layer(shared);
    release_layer(inner);
    return model;
}

static dl_status compile_graph(dl_model *model) {
    dl_context *context = model->object.context;
    dl_object *optimizer = object_of(context, &dl_optimizer_family, "\"sgd\"");
    dl_object *losses[2] = {object_of(context, &dl_loss_family, "\"mse\""),
                            object_of(context, &dl_loss_family, "\"mae\"")};
    dl_object *metrics[1] = {object_of(context, &dl_metric_family, "\"mse\"")};
    int counts[2] = {0, 1};
    double weights[2] = {1, 0.5};
    dl_compile compile = {sizeof compile, (dl_optimizer *)optimizer, losses, weights, metrics, counts};
    dl_status status = dl_model_compile(model, &compile);
    dl_object_release(optimizer);
    dl_object_release(losses[0]);
    dl_object_release(losses[1]);
    dl_object_release(metrics[0]);
    return status;
}

static void train_graph(dl_model *model, int steps) {
    static const int64_t in_shape[2] = {6, 3};
    static const int64_t out_shape[2] = {6, 2};
    dl_context *context = model->object.context;
    for (int i = 0; i < steps; i++) {
        dl_tensor *x[2] = {noise_tensor(context, 2, in_shape, 1), noise_tensor(context, 2, in_shape, 2)};
        dl_tensor *y[2] = {noise_tensor(context, 2, out_shape, 3), noise_tensor(context, 2, out_shape, 4)};
        if (!CHECK(dl_model_train_batch(model, x, y, NULL) == DL_OK))
            fprintf(stderr, "    %s\n", dl_last_error());
        for (int k = 0; k < 2; k++) {
            dl_release(x[k]);
            dl_release(y[k]);
        }
    }
}

static void test_graph_with_shared_and_nested_layers(void) {
    char path[256];
    char text[128];
    double value[5];
    scratch_path(path, sizeof path, "graph.safetensors");
    dl_context *context = make_context(2, 1);
    dl_model *model = make_graph(context);
    REQUIRE(model);
    /* A shared layer's weights count once. */
    CHECK_EQ_INT(dl_layer_count_params(model, true), 3 * 4 + 4 + 4 * 2 + 2);
    CHECK(dl_layer_weight(model, 0, text, sizeof text) != NULL);
    CHECK_STR(text, "dense/kernel");
    CHECK(dl_layer_weight(model, 2, text, sizeof text) != NULL);
    CHECK_STR(text, "inner/dense_1/kernel");
    CHECK(dl_layer_weight(model, 4, text, sizeof text) == NULL);
    CHECK(compile_graph(model) == DL_OK);
    train_graph(model, 3);
    CHECK_STR(dl_model_log(model, 0, &value[0]), "loss");
    CHECK_STR(dl_model_log(model, 1, &value[1]), "inner_loss");
    CHECK_STR(dl_model_log(model, 3, &value[3]), "inner_mean_squared_error");
    dl_model_log(model, 2, &value[2]);
    CHECK_CLOSE(value[0], value[1] + 0.5 * value[2], 1e-6);
    CHECK(dl_model_log(model, 4, &value[4]) == NULL);

    CHECK(dl_model_save(model, path, NULL) == DL_OK);
    dl_model *loaded = NULL;
    if (!CHECK(dl_model_load(context, path, &loaded, NULL) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    REQUIRE(loaded);
    CHECK(weights_hash(loaded) == weights_hash(model));
    train_graph(model, 2);
    train_graph(loaded, 2);
    CHECK(weights_hash(loaded) == weights_hash(model));
    release_layer(loaded);
    release_layer(model);
    dl_context_release(context);
    unlink(path);
}

static void test_long_chain_of_symbols(void) {
    dl_context *context = make_context(2, 1);
    dl_spec spec = {.dtype = DL_FLOAT32, .dims = 2, .shape = {DL_NONE, 2}};
    dl_layer *layer = layer_of(context, "{\"class_name\": \"ReLU\", \"config\": {}}");
    dl_symbol *input;
    REQUIRE(dl_input(context, &spec, NULL, &input) == DL_OK);
    dl_symbol *last = input;
    dl_symbol_retain(last);
    for (int i = 0; i < 20000; i++) {
        dl_symbol *next = NULL;
        int outputs;
        if (dl_layer_symbolic(layer, &last, 1, NULL, &next, &outputs) != DL_OK)
            break;
        dl_symbol_release(last);
        last = next;
    }
    dl_model *model = NULL;
    CHECK(dl_model_functional(context, NULL, &input, 1, &last, 1, &model) == DL_OK);
    dl_symbol_release(input);
    dl_symbol_release(last);
    release_layer(model);
    release_layer(layer);
    dl_context_release(context);
}

static void test_graph_mistakes_are_named(void) {
    dl_context *context = make_context(2, 1);
    dl_spec spec = {.dtype = DL_FLOAT32, .dims = 2, .shape = {DL_NONE, 3}};
    dl_layer *layer = layer_of(context, dense_of_four);
    dl_symbol *left;
    dl_symbol *right;
    dl_model *model = NULL;
    REQUIRE(dl_input(context, &spec, "left", &left) == DL_OK);
    REQUIRE(dl_input(context, &spec, "right", &right) == DL_OK);
    dl_symbol *h = call_symbol(layer, left, NULL);
    CHECK(dl_model_functional(context, "m", &right, 1, &h, 1, &model) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "need the input 'left'");
    CHECK(dl_model_functional(context, "m", &h, 1, &h, 1, &model) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "is the output of layer 'dense'");
    dl_layer *twin = layer_of(context, "{\"class_name\": \"Dense\", \"config\": {\"units\": 4, \"name\": \"dense\"}}");
    dl_symbol *again = call_symbol(twin, h, NULL);
    CHECK(dl_model_functional(context, "m", &left, 1, &again, 1, &model) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "two layers of the model are named 'dense'");
    dl_symbol_release(again);
    dl_symbol_release(h);
    dl_symbol_release(left);
    dl_symbol_release(right);
    release_layer(twin);
    release_layer(layer);
    dl_context_release(context);
}

/* ---- Sequential -------------------------------------------------------------------------------------------------- */

static void test_sequential_is_built_by_its_first_data(void) {
    static const int64_t shape[2] = {4, 5};
    dl_context *context = make_context(2, 1);
    dl_layer *layers[2] = {layer_of(context, dense_of_four), layer_of(context, dense_of_four)};
    dl_model *model = NULL;
    REQUIRE(dl_model_sequential(context, NULL, layers, 2, &model) == DL_OK);
    CHECK_STR(model->name, "sequential");
    CHECK_STR(layers[1]->name, "dense_1");
    CHECK(!model->built);
    CHECK_EQ_INT(dl_model_inputs(model), 0);
    dl_tensor *x = noise_tensor(context, 2, shape, 1);
    dl_tensor *y = predict(model, x, 32);
    CHECK_EQ_INT(dl_layer_count_params(model, true), 5 * 4 + 4 + 4 * 4 + 4);
    /* Its config now says the shape, so that it is built without data. */
    dl_value config;
    dl_model *again = NULL;
    CHECK(dl_model_to_config(model, &config) == DL_OK);
    CHECK(dl_model_from_config(context, &config, &again) == DL_OK);
    REQUIRE(again);
    CHECK(again->built);
    CHECK_EQ_INT(dl_layer_count_params(again, true), 44);
    dl_value_clear(&config);
    dl_layer *more = layer_of(context, "{\"class_name\": \"Dense\", \"config\": {\"units\": 7}}");
    CHECK(dl_model_add(model, more) == DL_OK);
    CHECK_EQ_INT(dl_model_output_spec(model, 0)->shape[1], 7);
    dl_layer *wrong = layer_of(context, "{\"class_name\": \"Conv2D\", \"config\": {\"filters\": 7, "
                                        "\"kernel_size\": 3}}");
    CHECK(dl_model_add(model, wrong) == DL_SHAPE);
    CHECK_CONTAINS(dl_last_error(), "sequential/conv2d: Conv2D takes inputs of 4 dimensions");
    CHECK_EQ_INT(model->child_count, 3);
    CHECK(dl_model_add(model, more) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "'dense_2' is in it already");
    release_layer(wrong);
    release_layer(more);
    release_layer(again);
    dl_release(x);
    dl_release(y);
    release_layer(model);
    release_layer(layers[0]);
    release_layer(layers[1]);
    dl_context_release(context);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A small network with another number of units. */
static const char *const wide_network = "{\"class_name\": \"Sequential\", \"config\": {\"layers\": ["
                                        "{\"class_name\": \"Conv2D\", \"config\": {\"filters\": 8, "
                                        "\"kernel_size\": 3, \"input_shape\": [12, 12, 1]}},"
                                        "{\"class_name\": \"Flatten\", \"config\": {}},"
                                        "{\"class_name\": \"Dense\", \"config\": {\"units\": 3}}]}}";

static void test_weights_in_order(void) {
    char path[256];
    scratch_path(path, sizeof path, "order.safetensors");
    dl_context *context = make_context(2, 1);
    dl_model *model = layer_of(context, small_network);
    dl_model *same = layer_of(context, small_network);
    dl_model *wide = layer_of(context, wide_network);
    REQUIRE(model && same && wide);
    CHECK(dl_model_save_weights(model, path) == DL_OK);
    /* Names are made by the context, so the second network's differ: the order of layers is what counts. */
    CHECK(weights_hash(same) != weights_hash(model));
    CHECK(dl_model_load_weights(same, path, false, false) == DL_OK);
    CHECK(weights_hash(same) == weights_hash(model));
    CHECK(dl_model_load_weights(same, path, true, false) == DL_NOT_FOUND);
    uint64_t before = weights_hash(wide);
    CHECK(dl_model_load_weights(wide, path, false, false) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "the file has 10 weights and the model 4");
    CHECK(weights_hash(wide) == before);
    release_layer(wide);
    release_layer(same);
    release_layer(model);
    dl_context_release(context);
    unlink(path);
}

static void test_weights_by_name(void) {
    char path[256];
    scratch_path(path, sizeof path, "weights.safetensors");
    dl_context *context = make_context(2, 1);
    dl_model *model = layer_of(context, small_network);
    REQUIRE(model);
    CHECK(dl_model_save_weights(model, path) == DL_OK);
    dl_context *other = make_context(3, 1);
    dl_model *twin = layer_of(other, small_network);
    CHECK(weights_hash(twin) != weights_hash(model));
    CHECK(dl_model_load_weights(twin, path, true, false) == DL_OK);
    CHECK(weights_hash(twin) == weights_hash(model));
    release_layer(twin);
    dl_context_release(other);

    /* Another size of one layer: skip_mismatch takes the rest. */
    dl_context *third = make_context(3, 1);
    dl_model *wide = layer_of(third, wide_network);
    REQUIRE(wide);
    uint64_t before = weights_hash(wide);
    CHECK(dl_model_load_weights(wide, path, true, false) == DL_SHAPE);
    CHECK_CONTAINS(dl_last_error(), "'dense/kernel' must be {800, 3}");
    CHECK(weights_hash(wide) == before);
    CHECK(dl_model_load_weights(wide, path, true, true) == DL_OK);
    CHECK(weights_hash(wide) != before);
    release_layer(wide);
    dl_context_release(third);
    release_layer(model);
    dl_context_release(context);
    unlink(path);
}

static void test_load_names_what_it_does_not_know(void) {
    char path[256];
    scratch_path(path, sizeof path, "unknown.safetensors");
    dl_context *context = make_context(2, 1);
    dl_bundle *bundle;
    dl_model *model = NULL;
    REQUIRE(dl_bundle_create(context, &bundle) == DL_OK);
    CHECK(dl_save_safetensors(bundle, path) == DL_OK);
    CHECK(dl_model_load(context, path, &model, NULL) == DL_FORMAT);
    CHECK_CONTAINS(dl_last_error(), "is not a model saved by dlua");
    dl_bundle_put_text(bundle, "format", "dlua.model");
    dl_bundle_put_text(bundle, "format_version", "1");
    dl_bundle_put_text(bundle, "dlua_version", "0.9.7");
    dl_bundle_put_text(bundle, "architecture",
                       "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"MyLayer\", "
                       "\"config\": {}}]}}");
    CHECK(dl_save_safetensors(bundle, path) == DL_OK);
    CHECK(dl_model_load(context, path, &model, NULL) == DL_NOT_FOUND);
    CHECK_CONTAINS(dl_last_error(), "MyLayer");
    CHECK_CONTAINS(dl_last_error(), "0.9.7");
    CHECK_CONTAINS(dl_last_error(), "layers.define");
    CHECK(model == NULL);
    dl_bundle_free(bundle);
    dl_context_release(context);
    unlink(path);
}

/* A file that asks for more weights than it has is refused before they are made. */
static void test_load_makes_no_more_weights_than_the_file_has(void) {
    char path[256];
    scratch_path(path, sizeof path, "large.safetensors");
    dl_context *context = make_context(2, 1);
    dl_bundle *bundle;
    dl_model *model = NULL;
    dl_memory_info info;
    REQUIRE(dl_bundle_create(context, &bundle) == DL_OK);
    dl_bundle_put_text(bundle, "format", "dlua.model");
    dl_bundle_put_text(bundle, "format_version", "1");
    dl_bundle_put_text(bundle, "architecture",
                       "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"Dense\", "
                       "\"config\": {\"units\": 100000000, \"input_shape\": [10]}}]}}");
    CHECK(dl_save_safetensors(bundle, path) == DL_OK);
    dl_bundle_free(bundle);
    CHECK(dl_model_load(context, path, &model, NULL) == DL_FORMAT);
    CHECK_CONTAINS(dl_last_error(), "asks for more weights than the file has");
    dl_memory(context, &info);
    CHECK(info.peak < 1000000);
    /* The limit ends with the load. */
    dl_layer *layer = layer_of(context, small_network);
    CHECK(layer != NULL);
    release_layer(layer);
    dl_context_release(context);
    unlink(path);
}

/* Every byte of an architecture replaced: an error or a model, never a crash. */
static void test_broken_architectures(void) {
    static const char bytes[] = "0-\"[]{}9n";
    dl_context *context = make_context(2, 1);
    dl_model *model = make_graph(context);
    dl_value config;
    char *text = NULL;
    size_t length = 0;
    REQUIRE(model && dl_model_to_config(model, &config) == DL_OK);
    CHECK(dl_value_to_json(context, &config, &text, &length) == DL_OK);
    dl_value_clear(&config);
    release_layer(model);
    REQUIRE(text);
    int64_t made = 0;
    int64_t refused = 0;
    for (size_t i = 0; i < length; i++)
        for (size_t b = 0; b + 1 < sizeof bytes; b++) {
            char kept = text[i];
            dl_model *broken = NULL;
            text[i] = bytes[b];
            dl_status status = dl_value_from_json(context, text, length, &config);
            if (status == DL_OK)
                status = dl_model_from_config(context, &config, &broken);
            dl_value_clear(&config);
            made += status == DL_OK;
            refused += status != DL_OK && broken == NULL;
            release_layer(broken);
            text[i] = kept;
        }
    CHECK_EQ_INT(made + refused, length * (sizeof bytes - 1));
    CHECK(made > 0 && refused > made);
    dl_free_text(text);
    dl_context_release(context);
}

/* ---- anomalies --------------------------------------------------------------------------------------------------- */

static char log_text[4096];

static void keep_log(void *user, dl_log_level level, const char *message) {
    (void)user;
    (void)level;
    strncat(log_text, message, sizeof log_text - strlen(log_text) - 2);
    strcat(log_text, "\n");
}

static void test_anomalies_are_named(void) {
    dl_context_options options;
    dl_context *context;
    dl_context_options_init(&options, sizeof options);
    options.log = keep_log;
    options.threads = 1;
    REQUIRE(dl_context_create(&options, &context) == DL_OK);
    dl_model *model = make_small_network(context);
    REQUIRE(model);
    dl_layer *conv = dl_model_layer(model, 0);
    float *bias = dl_tensor_data(conv->weights[1].value);
    bias[2] = -1e6f;
    log_text[0] = '\0';
    dl_set_detect_anomaly(context, true);
    CHECK(train_steps(model, 0, 2));
    dl_model_reset_metrics(model);
    CHECK_CONTAINS(log_text, "layer 'conv2d': 1 of 8 relu units were zero for every sample of the last 2 steps: 3");

    /* A weight that is not a number makes the step fail, and the layer is named. */
    float *kernel = dl_tensor_data(dl_model_layer(model, 4)->weights[0].value);
    kernel[0] = NAN;
    dl_tensor *x = noise_tensor(context, 4, small_input, 3);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 103);
    uint64_t before = weights_hash(model);
    CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_STATE);
    CHECK_CONTAINS(dl_last_error(), "sequential/dense: ");
    CHECK_CONTAINS(dl_last_error(), "NaN");
    CHECK(weights_hash(model) == before);
    kernel[0] = 0;

    log_text[0] = '\0';
    float *out_kernel = dl_tensor_data(dl_model_layer(model, 6)->weights[0].value);
    for (int i = 0; i < 160; i++)
        out_kernel[i] *= 1e6f;
    CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
    CHECK_CONTAINS(log_text, "the gradient of 'dense/kernel' explodes");
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_network_learns_and_logs), CHECK_TEST(test_logs_weigh_batches_by_samples),
           CHECK_TEST(test_one_and_two_threads_give_the_same_bits),
           CHECK_TEST(test_saved_in_the_middle_resumes_with_the_same_bits),
           CHECK_TEST(test_rows_do_not_depend_on_the_batch), CHECK_TEST(test_two_contexts_train_in_two_threads),
           CHECK_TEST(test_fusion_gives_the_same_predictions),
           CHECK_TEST(test_each_failed_allocation_leaves_the_last_step), CHECK_TEST(test_cancel_leaves_the_last_step),
           CHECK_TEST(test_cancel_after_the_last_kernel_is_heard), CHECK_TEST(test_a_step_leaves_nothing_of_its_batch),
           CHECK_TEST(test_steps_after_the_first_ask_the_system_for_nothing),
           CHECK_TEST(test_graph_with_shared_and_nested_layers), CHECK_TEST(test_long_chain_of_symbols),
           CHECK_TEST(test_graph_mistakes_are_named), CHECK_TEST(test_sequential_is_built_by_its_first_data),
           CHECK_TEST(test_weights_in_order), CHECK_TEST(test_weights_by_name),
           CHECK_TEST(test_load_names_what_it_does_not_know),
           CHECK_TEST(test_load_makes_no_more_weights_than_the_file_has), CHECK_TEST(test_broken_architectures),
           CHECK_TEST(test_anomalies_are_named))
