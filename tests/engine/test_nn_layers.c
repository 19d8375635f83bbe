/* What golden values do not show: random layers, freezing, layers defined at run time, penalties on outputs, paths in
 * errors, losses behind a softmax, and the choice of an accuracy. */
#include <unistd.h>

#include "test_nn.h"

static dl_tensor *apply(dl_layer *layer, dl_tensor *x, bool training) {
    dl_tensor *y[DL_MAX_LAYER_OUTPUTS] = {NULL};
    int outputs;
    if (!CHECK(dl_layer_apply(layer, &x, 1, &(dl_arguments){.training = training}, y, &outputs) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    return y[0];
}

/* ---- Dropout ----------------------------------------------------------------------------------------------------- */

static void test_dropout_keeps_the_mean_and_moves_its_stream(void) {
    dl_context *context = make_context(4, 2);
    dl_layer *layer = layer_of(context, "{\"class_name\": \"Dropout\", \"config\": {\"rate\": 0.25, \"seed\": 9}}");
    dl_layer *twin = layer_of(context, "{\"class_name\": \"Dropout\", \"config\": {\"rate\": 0.25, \"seed\": 9}}");
    dl_tensor *x = dl_full(context, DL_FLOAT32, 2, (int64_t[]){100, 1000}, 1);
    dl_tensor *still = apply(layer, x, false);
    CHECK(still == x);
    CHECK_EQ_INT(layer->stream.position, 0);
    dl_tensor *first = apply(layer, x, true);
    dl_tensor *second = apply(layer, x, true);
    dl_tensor *same = apply(twin, x, true);
    REQUIRE(first && second && same);
    const float *data = dl_tensor_data(first);
    int64_t zeros = 0;
    for (int64_t i = 0; i < 100000; i++) {
        zeros += data[i] == 0;
        if (data[i] != 0 && !CHECK_CLOSE(data[i], 1 / 0.75, 1e-6))
            break;
    }
    CHECK_CLOSE((double)zeros / 100000, 0.25, 0.008);
    CHECK(memcmp(data, dl_tensor_data(same), 400000) == 0);
    CHECK(memcmp(data, dl_tensor_data(second), 400000) != 0);
    dl_release(still);
    dl_release(first);
    dl_release(second);
    dl_release(same);
    dl_release(x);
    release_layer(layer);
    release_layer(twin);
    dl_context_release(context);
}

static void test_dropout_with_a_shared_mask(void) {
    dl_context *context = make_context(4, 1);
    dl_layer *layer = layer_of(context, "{\"class_name\": \"Dropout\", \"config\": {\"rate\": 0.5, \"noise_shape\": "
                                        "[null, 1, 8]}}");
    dl_tensor *x = dl_full(context, DL_FLOAT32, 3, (int64_t[]){6, 4, 8}, 1);
    dl_tensor *y = apply(layer, x, true);
    REQUIRE(y);
    const float *data = dl_tensor_data(y);
    int64_t zeros = 0;
    for (int n = 0; n < 6; n++)
        for (int t = 0; t < 4; t++)
            for (int f = 0; f < 8; f++) {
                CHECK(data[(n * 4 + t) * 8 + f] == data[n * 4 * 8 + f]);
                zeros += data[(n * 4 + t) * 8 + f] == 0;
            }
    CHECK(zeros > 0 && zeros < 6 * 4 * 8);
    dl_tensor *wrong = dl_zeros(context, DL_FLOAT32, 3, (int64_t[]){6, 4, 7});
    dl_tensor *out;
    int outputs;
    CHECK(dl_layer_apply(layer, &wrong, 1, &(dl_arguments){.training = 1}, &out, &outputs) == DL_SHAPE);
    CHECK_CONTAINS(dl_last_error(), "noise_shape {*, 1, 8} does not fit inputs {6, 4, 7}");
    dl_release(wrong);
    dl_release(x);
    dl_release(y);
    release_layer(layer);
    dl_context_release(context);
}

/* ---- freezing and statistics ------------------------------------------------------------------------------------- */

static uint64_t layer_hash(dl_layer *layer) {
    return weights_hash(layer);
}

static void test_a_frozen_layer_stays(void) {
    dl_context *context = make_context(4, 1);
    dl_model *model = make_small_network(context);
    REQUIRE(model && train_steps(model, 0, 1));
    dl_layer *conv = dl_model_layer(model, 0);
    dl_layer *norm = dl_model_layer(model, 2);
    dl_layer *dense = dl_model_layer(model, 4);
    dl_layer_set_trainable(conv, false);
    dl_layer_set_trainable(norm, false);
    uint64_t before[3] = {layer_hash(conv), layer_hash(norm), layer_hash(dense)};
    CHECK(train_steps(model, 1, 2));
    CHECK(layer_hash(conv) == before[0]);
    CHECK(layer_hash(norm) == before[1]);
    CHECK(layer_hash(dense) != before[2]);
    CHECK_EQ_INT(dl_layer_count_params(conv, true), 0);
    dl_layer_set_trainable(model, true);
    CHECK(train_steps(model, 3, 1));
    CHECK(layer_hash(conv) != before[0]);
    CHECK(layer_hash(norm) != before[1]);
    release_layer(model);
    dl_context_release(context);
}

/* Two calls in one step move the statistics twice, as two steps would. */
static void test_statistics_of_a_shared_layer(void) {
    dl_context *context = make_context(4, 1);
    dl_spec spec = {.dtype = DL_FLOAT32, .dims = 2, .shape = {DL_NONE, 3}};
    dl_layer *norm = layer_of(context, "{\"class_name\": \"BatchNormalization\", \"config\": {\"momentum\": 0.5}}");
    dl_symbol *inputs[2];
    dl_symbol *outputs[2];
    int count;
    dl_model *model = NULL;
    for (int i = 0; i < 2; i++) {
        CHECK(dl_input(context, &spec, NULL, &inputs[i]) == DL_OK);
        CHECK(dl_layer_symbolic(norm, &inputs[i], 1, NULL, &outputs[i], &count) == DL_OK);
    }
    CHECK(dl_model_functional(context, NULL, inputs, 2, outputs, 2, &model) == DL_OK);
    REQUIRE(model);
    dl_tensor *x[2] = {dl_full(context, DL_FLOAT32, 2, (int64_t[]){4, 3}, 8),
                       dl_full(context, DL_FLOAT32, 2, (int64_t[]){4, 3}, 2)};
    dl_tensor *y[2];
    CHECK(dl_layer_apply(model, x, 2, &(dl_arguments){.training = 1}, y, &count) == DL_OK);
    const float *mean = dl_tensor_data(norm->weights[2].value);
    CHECK_CLOSE(mean[0], (0 * 0.5 + 8 * 0.5) * 0.5 + 2 * 0.5, 1e-6);
    for (int i = 0; i < 2; i++) {
        dl_release(x[i]);
        dl_release(y[i]);
        dl_symbol_release(inputs[i]);
        dl_symbol_release(outputs[i]);
    }
    release_layer(model);
    release_layer(norm);
    dl_context_release(context);
}

/* ---- layers defined at run time ---------------------------------------------------------------------------------- */

typedef struct scale_options {
    dl_layer_options layer;
    double start;
} scale_options;

static dl_status build_scale(dl_layer *layer, const dl_inputs *inputs) {
    const dl_spec *in = inputs->specs;
    const scale_options *options = layer->object.options;
    dl_constant_initializer_options constant = {options->start};
    dl_object *initializer;
    dl_status status = dl_object_create(layer->object.context, &dl_initializer_family,
                                        &dl_initializer_constant.definition, &constant, &initializer);
    if (status == DL_OK)
        status = dl_layer_add_weight(layer, "scale", 1, &in->shape[in->dims - 1], initializer, NULL, true);
    dl_object_release(initializer);
    return status;
}

static dl_status call_scale(dl_layer *layer, dl_layer_call *call) {
    CHECK_STR(layer->object.definition->user, "the host's");
    call->out[0] = dl_mul(call->context, call->in[0], layer->weights[0].value);
    call->outputs = 1;
    return call->out[0] ? DL_OK : dl_last_status();
}

static const dl_field scale_fields[] = {
    DL_REAL(scale_options, start, 1.0, DL_LOWEST, DL_HIGHEST, 0, "the first value"), DL_LAYER_FIELDS(scale_options)};
static char scale_user[] = "the host's";
static const dl_layer_def scale = {
    .definition = {.name = "Scale", .version = 1, .help = "Multiplies by a weight.", .fields = scale_fields,
                   .options_size = sizeof(scale_options), .user = scale_user},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2, .build = build_scale, .call = call_scale};

static const char scale_network[] = "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": "
                                    "\"Scale\", \"config\": {\"start\": 3, \"input_shape\": [2]}}]}}";

static void test_a_layer_defined_at_run_time(void) {
    char path[256];
    snprintf(path, sizeof path, "/tmp/dlua_test_scale_%ld.safetensors", (long)getpid());
    dl_context *context = make_context(4, 1);
    CHECK(dl_add_definition(context, &dl_layer_family, &scale.definition) == DL_OK);
    dl_model *model = layer_of(context, scale_network);
    REQUIRE(model && compile_model(model, "\"sgd\"", "\"mse\"", NULL) == DL_OK);
    dl_tensor *x = dl_full(context, DL_FLOAT32, 2, (int64_t[]){4, 2}, 1);
    dl_tensor *y = dl_full(context, DL_FLOAT32, 2, (int64_t[]){4, 2}, 1);
    CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
    /* w = 3 - 0.01 * d/dw mean((w - 1)^2), a mean over two weights */
    const float *weight = dl_tensor_data(dl_layer_weight(model, 0, NULL, 0)->value);
    CHECK_CLOSE(weight[0], 3 - 0.01 * 2, 1e-6);
    CHECK(dl_model_save(model, path, NULL) == DL_OK);
    dl_model *loaded = NULL;
    CHECK(dl_model_load(context, path, &loaded, NULL) == DL_OK);
    REQUIRE(loaded);
    CHECK(weights_hash(loaded) == weights_hash(model));
    release_layer(loaded);
    release_layer(model);
    dl_release(x);
    dl_release(y);
    dl_context_release(context);

    dl_context *without = make_context(4, 1);
    dl_model *unknown = NULL;
    CHECK(dl_model_load(without, path, &unknown, NULL) == DL_NOT_FOUND);
    CHECK_CONTAINS(dl_last_error(), "'Scale'");
    dl_context_release(without);
    unlink(path);
}

static const dl_layer_def unsaved = {
    .definition = {.name = "Unsaved", .version = 1, .help = "Cannot be saved.", .fields = scale_fields,
                   .options_size = sizeof(scale_options), .user = scale_user},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2, .build = build_scale, .call = call_scale,
    .flags = DL_LAYER_SAVED_NOT};

static void test_what_cannot_be_saved_says_so(void) {
    dl_context *context = make_context(4, 1);
    CHECK(dl_add_definition(context, &dl_layer_family, &unsaved.definition) == DL_OK);
    dl_layer *layer = layer_of(context, "\"Unsaved\"");
    dl_model *model = NULL;
    CHECK(dl_model_sequential(context, NULL, &layer, 1, &model) == DL_OK);
    REQUIRE(model);
    CHECK(dl_model_save(model, "/tmp/dlua_test_unsaved.safetensors", NULL) == DL_UNSUPPORTED);
    CHECK_CONTAINS(dl_last_error(), "layer 'unsaved' (Unsaved) cannot be saved");
    CHECK(access("/tmp/dlua_test_unsaved.safetensors", F_OK) != 0);
    release_layer(model);
    release_layer(layer);
    dl_context_release(context);
}

/* A layer may draw from the context's own stream; a step that fails puts that back too. */
static dl_status call_noisy(dl_layer *layer, dl_layer_call *call) {
    (void)layer;
    dl_tensor *x = call->in[0];
    dl_tensor *draw = dl_rand(call->context, DL_FLOAT32, dl_tensor_dims(x), dl_tensor_shape(x));
    call->out[0] = dl_add(call->context, x, draw);
    call->outputs = 1;
    return call->out[0] ? DL_OK : dl_last_status();
}

static const dl_layer_def noisy = {
    .definition = {.name = "Noisy", .version = 1, .help = "Adds uniform noise.", .fields = scale_fields,
                   .options_size = sizeof(scale_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2, .call = call_noisy};

static double next_draw(dl_context *context) {
    double value = NAN;
    dl_tensor *draw = dl_rand(context, DL_FLOAT32, 1, (int64_t[]){1});
    dl_item(draw, &value);
    dl_release(draw);
    return value;
}

static void test_a_failed_step_puts_the_contexts_stream_back(void) {
    double draws[3];
    for (int run = 0; run < 3; run++) {
        dl_context *context = make_context(4, 1);
        CHECK(dl_add_definition(context, &dl_layer_family, &noisy.definition) == DL_OK);
        dl_layer *layer = layer_of(context, "\"Noisy\"");
        REQUIRE(layer && compile_model(layer, "\"sgd\"", "\"mse\"", NULL) == DL_OK);
        dl_tensor *x = noise_tensor(context, 2, (int64_t[]){4, 2}, 1);
        dl_tensor *wrong = noise_tensor(context, 2, (int64_t[]){4, 3}, 1);
        if (run == 1)
            CHECK(dl_model_train_batch(layer, &x, &wrong, NULL) == DL_SHAPE);
        if (run == 2)
            CHECK(dl_model_train_batch(layer, &x, &x, NULL) == DL_OK);
        draws[run] = next_draw(context);
        dl_release(x);
        dl_release(wrong);
        release_layer(layer);
        dl_context_release(context);
    }
    CHECK(draws[1] == draws[0]);
    CHECK(draws[2] != draws[0]);
}

/* A layer that is no model is compiled and trained the same way. */
static void test_a_layer_alone_is_trained(void) {
    char path[256];
    snprintf(path, sizeof path, "/tmp/dlua_test_alone_%ld.safetensors", (long)getpid());
    dl_context *context = make_context(4, 1);
    dl_layer *layer = layer_of(context, "{\"class_name\": \"Dense\", \"config\": {\"units\": 2}}");
    REQUIRE(layer && compile_model(layer, "\"adam\"", "\"mse\"", NULL) == DL_OK);
    dl_tensor *x = noise_tensor(context, 2, (int64_t[]){6, 3}, 1);
    dl_tensor *y = noise_tensor(context, 2, (int64_t[]){6, 2}, 2);
    double first = 0;
    double last = 0;
    for (int i = 0; i < 100; i++) {
        dl_model_reset_metrics(layer);
        CHECK(dl_model_train_batch(layer, &x, &y, NULL) == DL_OK);
        dl_model_log(layer, 0, i == 0 ? &first : &last);
    }
    CHECK(last < first);
    dl_layer *loaded = NULL;
    CHECK(dl_model_save(layer, path, NULL) == DL_OK);
    if (!CHECK(dl_model_load(context, path, &loaded, NULL) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    REQUIRE(loaded);
    CHECK(weights_hash(loaded) == weights_hash(layer));
    release_layer(loaded);
    release_layer(layer);
    dl_release(x);
    dl_release(y);
    dl_context_release(context);
    unlink(path);
}

/* ---- losses in a step -------------------------------------------------------------------------------------------- */

static double loss_of(dl_model *model, dl_tensor *x, dl_tensor *y, dl_tensor *weights) {
    double loss = NAN;
    dl_model_reset_metrics(model);
    if (!CHECK(dl_model_test_batch(model, &x, &y, weights ? &weights : NULL) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    dl_model_log(model, 0, &loss);
    return loss;
}

static void test_penalties_are_in_the_loss(void) {
    dl_context *context = make_context(4, 1);
    dl_model *model = layer_of(
        context, "{\"class_name\": \"Dense\", \"config\": {\"units\": 2, \"use_bias\": false, \"kernel_initializer\": "
                 "\"ones\", \"kernel_regularizer\": {\"class_name\": \"L2\", \"config\": {\"l2\": 0.5}}, "
                 "\"activity_regularizer\": {\"class_name\": \"L1\", \"config\": {\"l1\": 0.25}}}}");
    REQUIRE(model && compile_model(model, "\"sgd\"", "\"mse\"", NULL) == DL_OK);
    dl_tensor *x = dl_full(context, DL_FLOAT32, 2, (int64_t[]){4, 3}, 1);
    dl_tensor *y = dl_full(context, DL_FLOAT32, 2, (int64_t[]){4, 2}, 1);
    /* Outputs are 3: mean((3 - 1)^2), 0.5 * 6 ones, 0.25 * sum(|3|) over 8 outputs / 4 samples. */
    CHECK_CLOSE(loss_of(model, x, y, NULL), 4 + 3 + 0.25 * 24 / 4, 1e-5);
    dl_tensor *weights = dl_full(context, DL_FLOAT32, 1, (int64_t[]){4}, 0.5);
    CHECK_CLOSE(loss_of(model, x, y, weights), 2 + 3 + 0.25 * 24 / 4, 1e-5);
    dl_release(weights);
    dl_release(x);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

/* Probabilities that round to 0 still have a loss and a gradient, by the logits behind them. */
static void check_logits_are_used(const char *layer_json, const char *loss, dl_tensor *x, dl_tensor *y) {
    dl_context *context = dl_tensor_context(x);
    dl_model *model = layer_of(context, layer_json);
    REQUIRE(model && compile_model(model, "\"sgd\"", loss, NULL) == DL_OK);
    if (!CHECK_CLOSE(loss_of(model, x, y, NULL), 200, 1e-3))
        fprintf(stderr, "    %s\n", loss);
    release_layer(model);
}

static void test_losses_use_the_logits_behind_an_activation(void) {
    dl_context *context = make_context(4, 1);
    dl_tensor *x = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){1, 2}, (float[]){200, 0});
    dl_tensor *label = dl_from_data(context, DL_INT64, 1, (int64_t[]){1}, (int64_t[]){2});
    dl_tensor *one_hot = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){1, 2}, (float[]){0, 1});
    check_logits_are_used("\"Softmax\"", "\"sparse_categorical_crossentropy\"", x, label);
    check_logits_are_used("\"Softmax\"", "\"categorical_crossentropy\"", x, one_hot);
    check_logits_are_used("{\"class_name\": \"Activation\", \"config\": {\"activation\": \"softmax\"}}",
                          "\"sparse_categorical_crossentropy\"", x, label);
    dl_tensor *far = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){1, 1}, (float[]){200});
    dl_tensor *no = dl_zeros(context, DL_FLOAT32, 2, (int64_t[]){1, 1});
    check_logits_are_used("{\"class_name\": \"Activation\", \"config\": {\"activation\": \"sigmoid\"}}",
                          "\"binary_crossentropy\"", far, no);
    dl_release(x);
    dl_release(label);
    dl_release(one_hot);
    dl_release(far);
    dl_release(no);
    dl_context_release(context);
}

/* ---- mistakes ---------------------------------------------------------------------------------------------------- */

static void fails(dl_model *model, dl_tensor *x, dl_tensor *y, dl_status status, const char *part) {
    CHECK_EQ_INT(dl_model_train_batch(model, &x, &y, NULL), status);
    CHECK_CONTAINS(dl_last_error(), part);
}

static void test_mistakes_in_a_step_are_named(void) {
    dl_context *context = make_context(4, 1);
    dl_model *model = layer_of(context, small_network);
    REQUIRE(model);
    dl_tensor *x = noise_tensor(context, 4, small_input, 1);
    dl_tensor *y = label_tensor(context, small_input[0], 10, 2);
    fails(model, x, y, DL_STATE, "is not compiled");
    CHECK(compile_model(model, "\"adam\"", "\"sparse_categorical_crossentropy\"", NULL) == DL_OK);
    uint8_t *labels = dl_tensor_data(y);
    uint8_t kept = labels[3];
    labels[3] = 0;
    fails(model, x, y, DL_INVALID, "0");
    labels[3] = 11;
    fails(model, x, y, DL_INVALID, "11");
    labels[3] = kept;
    dl_tensor *few = label_tensor(context, 31, 10, 2);
    fails(model, x, few, DL_SHAPE, "needs one label a sample for predictions {32, 10}, got targets {31}");
    dl_tensor *one_hot = dl_zeros(context, DL_FLOAT32, 2, (int64_t[]){32, 10});
    fails(model, x, one_hot, DL_SHAPE, "categorical_crossentropy");
    dl_tensor *empty = dl_zeros(context, DL_FLOAT32, 4, (int64_t[]){0, 12, 12, 1});
    fails(model, empty, y, DL_SHAPE, "input 1 of the batch has no samples, got {0, 12, 12, 1}");
    dl_tensor *wide = dl_zeros(context, DL_FLOAT32, 4, (int64_t[]){32, 12, 14, 1});
    fails(model, wide, y, DL_SHAPE,
          "sequential: input 1 was made for {*, 12, 12, 1}, got {32, 12, 14, 1}; dense: Dense built for inputs "
          "{*, 200}, got {32, 240}");
    dl_tensor *bytes = dl_zeros(context, DL_UINT8, 4, small_input);
    fails(model, bytes, y, DL_DTYPE, "input 1 is float32, got uint8");
    CHECK(dl_model_train_batch(model, &x, NULL, NULL) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "needs targets");
    CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
    dl_tensor *all[] = {x, y, few, one_hot, empty, wide, bytes};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dl_release(all[i]);
    release_layer(model);
    dl_context_release(context);
}

static void test_paths_in_errors(void) {
    dl_context *context = make_context(4, 1);
    dl_value value;
    dl_object *object = NULL;
    static const char nested[] =
        "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"outer\", \"layers\": [{\"class_name\": "
        "\"Sequential\", \"config\": {\"name\": \"inner\", \"layers\": [{\"class_name\": \"Flatten\"}, "
        "{\"class_name\": \"Dense\", \"config\": {\"units\": 3, \"name\": \"last\"}}]}}]}}";
    REQUIRE(dl_value_from_json(context, nested, strlen(nested), &value) == DL_OK);
    CHECK(dl_object_from_value(context, &dl_layer_family, &value, &object) == DL_OK);
    dl_value_clear(&value);
    REQUIRE(object);
    dl_tensor *x = dl_zeros(context, DL_FLOAT32, 3, (int64_t[]){2, 4, 5});
    dl_tensor *y = apply((dl_layer *)object, x, false);
    dl_release(y);
    /* The inner graph is built for the sizes it saw. */
    dl_tensor *wrong = dl_zeros(context, DL_FLOAT32, 3, (int64_t[]){2, 4, 6});
    int outputs;
    CHECK(dl_layer_apply((dl_layer *)object, &wrong, 1, NULL, &y, &outputs) == DL_SHAPE);
    CHECK_CONTAINS(dl_last_error(), "outer: input 1 was made for {*, 4, 5}, got {2, 4, 6}");
    dl_layer *inner = dl_model_layer((dl_model *)object, 0);
    dl_layer *dense = dl_model_layer(inner, 1);
    dl_tensor *flat = dl_zeros(context, DL_FLOAT32, 2, (int64_t[]){32, 21});
    CHECK(dl_layer_apply(dense, &flat, 1, NULL, &y, &outputs) == DL_SHAPE);
    CHECK_STR(dl_last_error(), "last: Dense built for inputs {*, 20}, got {32, 21}");
    dl_release(flat);
    dl_release(wrong);
    dl_release(x);
    dl_object_release(object);
    static const char first[] = "{\"class_name\": \"Conv2D\", \"config\": {\"filters\": 2, \"kernel_size\": 3, "
                                "\"data_format\": \"channels_first\"}}";
    REQUIRE(dl_value_from_json(context, first, strlen(first), &value) == DL_OK);
    CHECK(dl_object_from_value(context, &dl_layer_family, &value, &object) == DL_UNSUPPORTED);
    CHECK_CONTAINS(dl_last_error(), "images are {N, H, W, C}");
    dl_value_clear(&value);
    dl_context_release(context);
}

/* ---- accuracy ---------------------------------------------------------------------------------------------------- */

static double accuracy_of(dl_context *context, dl_tensor *target, dl_tensor *prediction) {
    dl_metric *metric = (dl_metric *)object_of(context, &dl_metric_family, "\"acc\"");
    CHECK_STR(metric->name, "acc");
    if (!CHECK(dl_metric_update(metric, target, prediction, NULL) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    double result = dl_metric_result(metric);
    dl_object_release(&metric->object);
    return result;
}

static void test_accuracy_is_chosen_by_the_shapes(void) {
    dl_context *context = make_context(4, 1);
    size_t scope = dl_scope_begin(context);
    dl_tensor *scores = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){4, 3},
                                     (float[]){1, 2, 3, 3, 2, 1, 1, 3, 2, 3, 1, 2});
    dl_tensor *labels = dl_from_data(context, DL_UINT8, 1, (int64_t[]){4}, (uint8_t[]){3, 1, 1, 1});
    dl_tensor *column = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){4, 1}, (float[]){3, 1, 1, 1});
    dl_tensor *one_hot = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){4, 3},
                                      (float[]){0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0});
    CHECK_CLOSE(accuracy_of(context, labels, scores), 0.75, 0);
    CHECK_CLOSE(accuracy_of(context, column, scores), 0.75, 0);
    CHECK_CLOSE(accuracy_of(context, one_hot, scores), 0.5, 0);
    dl_tensor *yes = dl_from_data(context, DL_FLOAT32, 2, (int64_t[]){4, 1}, (float[]){0.9f, 0.2f, 0.6f, 0.4f});
    dl_tensor *truth = dl_from_data(context, DL_UINT8, 1, (int64_t[]){4}, (uint8_t[]){1, 0, 0, 0});
    CHECK_CLOSE(accuracy_of(context, truth, yes), 0.75, 0);
    dl_scope_end(context, scope, NULL);
    dl_context_release(context);
}

/* A root at the address of one that is gone: what the old one's walk left on a shared layer must not hide it. */
static void test_a_walk_is_told_from_earlier_ones(void) {
    static const char json[] = "{\"class_name\": \"Dense\", \"config\": {\"units\": 2}}";
    dl_context *context = make_context(4, 1);
    dl_layer *shared = layer_of(context, json);
    dl_spec spec = {.dtype = DL_FLOAT32, .dims = 2, .shape = {DL_NONE, 3}};
    REQUIRE(shared && dl_layer_build(shared, &(dl_inputs){&spec, 1, NULL}) == DL_OK);
    for (int i = 0; i < 3; i++) { /* the heap gives each root the block of the one before, but not under ASan */
        dl_layer *root = layer_of(context, json);
        REQUIRE(root && dl_layer_add_child(root, shared) == DL_OK);
        CHECK_EQ_INT(dl_layer_count_params(root, false), 8);
        release_layer(root);
    }
    release_layer(shared);
    dl_context_release(context);
}

/* ---- initializers ------------------------------------------------------------------------------------------------ */

static void test_a_seed_makes_the_same_weights(void) {
    static const char json[] = "{\"class_name\": \"HeNormal\", \"config\": {\"seed\": 5}}";
    dl_context *context = make_context(4, 1);
    dl_object *seeded = object_of(context, &dl_initializer_family, json);
    dl_object *free_one = object_of(context, &dl_initializer_family, "\"he_normal\"");
    dl_tensor *a[4];
    dl_stream stream = {.seed = 1};
    for (int i = 0; i < 4; i++) {
        a[i] = dl_empty(context, DL_FLOAT32, 2, (int64_t[]){20, 30});
        CHECK(dl_initialize(i < 2 ? seeded : free_one, &stream, a[i]) == DL_OK);
    }
    CHECK(memcmp(dl_tensor_data(a[0]), dl_tensor_data(a[1]), 2400) == 0);
    CHECK(memcmp(dl_tensor_data(a[2]), dl_tensor_data(a[3]), 2400) != 0);
    for (int i = 0; i < 4; i++)
        dl_release(a[i]);
    dl_object_release(seeded);
    dl_object_release(free_one);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_dropout_keeps_the_mean_and_moves_its_stream), CHECK_TEST(test_dropout_with_a_shared_mask),
           CHECK_TEST(test_a_frozen_layer_stays), CHECK_TEST(test_statistics_of_a_shared_layer),
           CHECK_TEST(test_a_layer_defined_at_run_time), CHECK_TEST(test_what_cannot_be_saved_says_so),
           CHECK_TEST(test_a_failed_step_puts_the_contexts_stream_back),
           CHECK_TEST(test_a_layer_alone_is_trained),
           CHECK_TEST(test_penalties_are_in_the_loss), CHECK_TEST(test_losses_use_the_logits_behind_an_activation),
           CHECK_TEST(test_mistakes_in_a_step_are_named), CHECK_TEST(test_paths_in_errors),
           CHECK_TEST(test_accuracy_is_chosen_by_the_shapes), CHECK_TEST(test_a_walk_is_told_from_earlier_ones),
           CHECK_TEST(test_a_seed_makes_the_same_weights))
