/* Calls that say more than their inputs: inputs by name, options of a call, what a graph and its file keep of them; and
 * masks from the layer that makes them to losses and metrics. */
#include <unistd.h>

#include "nn/nn.h"
#include "test_nn.h"

/* ---- a layer with everything a call can say ---------------------------------------------------------------------- */

enum { VALUE, EXTRA, MASK };
static const char *const blend_inputs[] = {"value", "extra...", "mask", NULL};

typedef struct blend_options {
    dl_layer_options layer;
} blend_options;
static const dl_field blend_fields[] = {DL_LAYER_FIELDS(blend_options)};

typedef struct blend_call_options {
    double scale;
    bool twice;
} blend_call_options;
static const dl_field blend_call_fields[] = {
    DL_REAL(blend_call_options, scale, 1.0, DL_LOWEST, DL_HIGHEST, 0, "what the sum is multiplied by"),
    DL_BOOL(blend_call_options, twice, false, 0, "give the result twice"), DL_END};
static const dl_definition blend_call = {.name = "Blend call", .version = 1, .fields = blend_call_fields,
                                         .options_size = sizeof(blend_call_options)};

static dl_status infer_blend(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    (void)layer;
    const blend_call_options *options = inputs->arguments->options;
    *outputs = options->twice ? 2 : 1;
    for (int i = 0; i < *outputs; i++)
        out[i] = inputs->specs[0];
    return DL_OK;
}

/* (value + extras) * scale, 0 where the mask is false; the mask goes on; 100 more in training. */
static dl_status call_blend(dl_layer *layer, dl_layer_call *call) {
    const blend_call_options *options = call->arguments->options;
    dl_tensor *sum = dl_call_input(layer, call, VALUE);
    dl_tensor *mask = dl_call_input(layer, call, MASK);
    for (int n = 0;; n++) {
        int place = dl_find_input(layer, call->arguments, call->inputs, EXTRA, n);
        if (place < 0)
            break;
        sum = dl_add(call->context, sum, call->in[place]);
    }
    sum = dl_mul_number(call->context, sum, options->scale);
    if (mask)
        sum = dl_mul(call->context, sum, dl_unsqueeze(call->context, dl_to(call->context, mask, DL_FLOAT32), -1));
    if (call->training)
        sum = dl_add_number(call->context, sum, 100);
    DL_TRY(dl_call_return(call, sum));
    call->out_masks[0] = mask;
    if (options->twice)
        call->out[call->outputs++] = sum;
    return DL_OK;
}

static const dl_layer_def blend = {
    .definition = {.name = "Blend", .version = 1, .help = "Adds its inputs.", .fields = blend_fields,
                   .options_size = sizeof(blend_options)},
    .minimum_inputs = 1, .minimum_dims = 3, .maximum_dims = 3, .input_names = blend_inputs,
    .call_options = &blend_call, .infer = infer_blend, .call = call_blend};

static dl_layer *make_blend(dl_context *context) {
    CHECK(dl_add_definition(context, &dl_layer_family, &blend.definition) == DL_OK);
    return layer_of(context, "\"Blend\"");
}

/* ---- on tensors -------------------------------------------------------------------------------------------------- */

static void test_inputs_have_roles_and_calls_have_options(void) {
    dl_context *context = make_context(3, 1);
    dl_layer *layer = make_blend(context);
    dl_tensor *x = dl_full(context, DL_FLOAT32, 3, (int64_t[]){1, 2, 1}, 2);
    dl_tensor *mask = dl_full(context, DL_BOOLEAN, 2, (int64_t[]){1, 2}, 1);
    REQUIRE(layer && x && mask);
    ((bool *)dl_tensor_data(mask))[1] = false;
    dl_tensor *plain[] = {x, x, x}, *named[] = {mask, x, x};
    dl_tensor *out[DL_MAX_LAYER_OUTPUTS];
    int outputs;
    CHECK(dl_layer_apply(layer, plain, 3, NULL, out, &outputs) == DL_OK);
    CHECK_EQ_INT(outputs, 1);
    CHECK_CLOSE(((float *)dl_tensor_data(out[0]))[1], 6, 0);
    dl_release(out[0]);
    blend_call_options options = {.scale = 0.5, .twice = true};
    dl_arguments arguments = {.roles = (uint8_t[]){MASK, VALUE, EXTRA}, .options = &options, .training = 1};
    CHECK(dl_layer_apply(layer, named, 3, &arguments, out, &outputs) == DL_OK);
    REQUIRE(outputs == 2);
    CHECK_CLOSE(((float *)dl_tensor_data(out[1]))[0], 102, 0);
    CHECK_CLOSE(((float *)dl_tensor_data(out[1]))[1], 100, 0);
    dl_release(out[0]);
    dl_release(out[1]);
    dl_release(x);
    dl_release(mask);
    release_layer(layer);
    dl_context_release(context);
}

static void test_wrong_inputs_by_name(void) {
    dl_context *context = make_context(3, 1);
    dl_layer *layer = make_blend(context);
    dl_tensor *x = dl_full(context, DL_FLOAT32, 3, (int64_t[]){1, 2, 1}, 2);
    REQUIRE(layer && x);
    dl_tensor *in[] = {x, x}, *out[DL_MAX_LAYER_OUTPUTS];
    int outputs;
    CHECK(dl_layer_apply(layer, in, 2, &(dl_arguments){.roles = (uint8_t[]){VALUE, MASK}}, out, &outputs) == DL_DTYPE);
    CHECK_CONTAINS(dl_last_error(), "blend: Blend: mask must be bool, got float32 {1, 2, 1}");
    CHECK(dl_layer_apply(layer, in, 2, &(dl_arguments){.roles = (uint8_t[]){VALUE, VALUE}}, out, &outputs) ==
          DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "'value' is given twice");
    CHECK(dl_layer_apply(layer, in, 1, &(dl_arguments){.roles = (uint8_t[]){EXTRA}}, out, &outputs) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "'value' is missing");
    dl_release(x);
    release_layer(layer);
    dl_context_release(context);
}

/* ---- in graphs --------------------------------------------------------------------------------------------------- */

/* Inputs x (N, T, 1) and mask (N, T); the layer is called by name, with options, always as in training or never. */
static dl_model *blend_model(dl_context *context, int training) {
    dl_spec specs[] = {{.dtype = DL_FLOAT32, .dims = 3, .shape = {DL_NONE, 2, 1}},
                       {.dtype = DL_BOOLEAN, .dims = 2, .shape = {DL_NONE, 2}}};
    dl_layer *layer = make_blend(context);
    dl_symbol *in[2] = {NULL, NULL}, *out = NULL;
    int outputs;
    CHECK(dl_input(context, &specs[0], "x", &in[0]) == DL_OK);
    CHECK(dl_input(context, &specs[1], "valid", &in[1]) == DL_OK);
    blend_call_options options = {.scale = 3};
    dl_arguments arguments = {.roles = (uint8_t[]){VALUE, MASK}, .options = &options, .training = training};
    CHECK(dl_layer_symbolic(layer, in, 2, &arguments, &out, &outputs) == DL_OK);
    dl_model *model = NULL;
    if (!CHECK(dl_model_functional(context, "masked", in, 2, &out, 1, &model) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    dl_symbol_release(in[0]);
    dl_symbol_release(in[1]);
    dl_symbol_release(out);
    release_layer(layer);
    return model;
}

static void check_prediction(dl_model *model, float first, float second) {
    dl_context *context = model->object.context;
    dl_tensor *in[] = {dl_full(context, DL_FLOAT32, 3, (int64_t[]){1, 2, 1}, 2),
                       dl_full(context, DL_BOOLEAN, 2, (int64_t[]){1, 2}, 1)};
    dl_tensor *out = NULL;
    REQUIRE(in[0] && in[1]);
    ((bool *)dl_tensor_data(in[1]))[1] = false;
    CHECK(dl_model_predict(model, in, 2, 32, &out) == DL_OK);
    REQUIRE(out);
    CHECK_CLOSE(((float *)dl_tensor_data(out))[0], first, 0);
    CHECK_CLOSE(((float *)dl_tensor_data(out))[1], second, 0);
    dl_release(in[0]);
    dl_release(in[1]);
    dl_release(out);
}

static void test_a_graph_and_its_file_keep_the_arguments(void) {
    char path[256];
    snprintf(path, sizeof path, "/tmp/dlua_test_call_%ld.safetensors", (long)getpid());
    dl_context *context = make_context(3, 1);
    dl_model *model = blend_model(context, -1), *always = blend_model(context, 1);
    REQUIRE(model && always);
    check_prediction(model, 6, 0);
    check_prediction(always, 106, 100);
    CHECK(dl_model_save(always, path, NULL) == DL_OK);
    dl_model *loaded = NULL;
    CHECK(dl_model_load(context, path, &loaded, NULL) == DL_OK);
    REQUIRE(loaded);
    check_prediction(loaded, 106, 100);
    release_layer(loaded);
    release_layer(model);
    release_layer(always);
    dl_context_release(context);
    unlink(path);
}

static const char *const broken_arguments[] = {
    "[]", "{\"inputs\": [\"value\"]}", "{\"inputs\": [\"value\", \"nothing\"]}", "{\"inputs\": [1, 2]}",
    "{\"options\": {\"scal\": 3}}", "{\"training\": \"yes\"}", "{\"trainin\": true}",
};

static void test_arguments_of_a_file_are_checked(void) {
    dl_context *context = make_context(3, 1);
    dl_layer *layer = make_blend(context);
    for (int i = 0; i < DL_COUNT(broken_arguments); i++) {
        dl_value map;
        dl_arguments *arguments = NULL;
        REQUIRE(dl_value_from_json(context, broken_arguments[i], strlen(broken_arguments[i]), &map) == DL_OK);
        CHECK(dl_arguments_from_value(layer, &map, 2, &arguments) != DL_OK);
        dl_value_clear(&map);
    }
    release_layer(layer);
    dl_context_release(context);
}

/* ---- masks of predictions ---------------------------------------------------------------------------------------- */

/* Two steps of which the second is padding: only the first counts, in the loss, the metric and the gradient. */
static void test_losses_and_metrics_leave_out_what_is_masked(void) {
    dl_context *context = make_context(3, 1);
    dl_model *model = blend_model(context, -1);
    REQUIRE(model && compile_model(model, "\"sgd\"", "\"mse\"", "\"mae\"") == DL_OK);
    dl_tensor *in[] = {dl_full(context, DL_FLOAT32, 3, (int64_t[]){1, 2, 1}, 2),
                       dl_full(context, DL_BOOLEAN, 2, (int64_t[]){1, 2}, 1)};
    dl_tensor *y = dl_full(context, DL_FLOAT32, 3, (int64_t[]){1, 2, 1}, 10);
    REQUIRE(in[0] && in[1] && y);
    ((bool *)dl_tensor_data(in[1]))[1] = false;
    CHECK(dl_model_test_batch(model, in, &y, NULL) == DL_OK);
    double loss, error;
    CHECK_STR(dl_model_log(model, 0, &loss), "loss");
    CHECK(dl_model_log(model, 1, &error) != NULL);
    CHECK_CLOSE(loss, 16, 1e-6); /* (10 - 6)^2, not its mean with (10 - 0)^2 */
    CHECK_CLOSE(error, 4, 1e-6);
    dl_release(in[0]);
    dl_release(in[1]);
    dl_release(y);
    release_layer(model);
    dl_context_release(context);
}

/* Label 0 is padding: it has no class, and needs none where the mask leaves it out. */
static void test_masked_labels_may_be_zero(void) {
    dl_context *context = make_context(3, 1);
    dl_tensor *scores = dl_full(context, DL_FLOAT32, 3, (int64_t[]){1, 2, 4}, 0.25);
    dl_tensor *labels = dl_full(context, DL_INT64, 2, (int64_t[]){1, 2}, 0);
    dl_tensor *mask = dl_full(context, DL_BOOLEAN, 2, (int64_t[]){1, 2}, 1);
    dl_object *loss = NULL;
    dl_value name;
    REQUIRE(scores && labels && mask);
    ((int64_t *)dl_tensor_data(labels))[0] = 3;
    ((bool *)dl_tensor_data(mask))[1] = false;
    REQUIRE(dl_value_string(context, "sparse_categorical_crossentropy", &name) == DL_OK);
    REQUIRE(dl_object_from_value(context, &dl_loss_family, &name, &loss) == DL_OK);
    dl_value_clear(&name);
    double value = 0;
    size_t scope = dl_scope_begin(context);
    CHECK(!dl_loss(loss, labels, scores, NULL, NULL));
    dl_tensor *masked = dl_loss(loss, labels, scores, mask, NULL);
    if (!CHECK(masked && dl_item(masked, &value) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    CHECK_CLOSE(value, log(4), 1e-6);
    dl_scope_end(context, scope, NULL);
    dl_object_release(loss);
    dl_release(scores);
    dl_release(labels);
    dl_release(mask);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_inputs_have_roles_and_calls_have_options), CHECK_TEST(test_wrong_inputs_by_name),
           CHECK_TEST(test_a_graph_and_its_file_keep_the_arguments), CHECK_TEST(test_arguments_of_a_file_are_checked),
           CHECK_TEST(test_losses_and_metrics_leave_out_what_is_masked), CHECK_TEST(test_masked_labels_may_be_zero))
