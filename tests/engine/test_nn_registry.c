/* What must hold for all that is registered, so that a new layer, loss or optimizer is tested unasked: its texts,
 * its config as JSON and back, and, for layers, their specs, a training step, a saved model, rows that do not depend on
 * the batch, and wrong inputs. */
#include <unistd.h>

#include "test_nn.h"

/* ---- what a definition needs to be made -------------------------------------------------------------------------- */

/* Options for what has required ones, by class name. A new definition with required options needs a line here. */
static const struct {
    const char *family, *name, *config;
} samples[] = {
    {"layer", "InputLayer", "{\"shape\": [3, null]}"},
    {"layer", "Dense", "{\"units\": 8}"},
    {"layer", "Conv2D", "{\"filters\": 8, \"kernel_size\": [3, 2], \"strides\": 2, \"padding\": \"same\"}"},
    {"layer", "AveragePooling2D", "{\"pool_size\": 2}"},
    {"layer", "Embedding", "{\"input_dim\": 9, \"output_dim\": 4, \"mask_zero\": true}"},
    {"layer", "PositionEmbedding", "{\"sequence_length\": 6}"},
    {"layer", "TokenAndPositionEmbedding",
     "{\"vocabulary_size\": 9, \"sequence_length\": 8, \"embedding_dim\": 4, \"mask_zero\": true}"},
    {"layer", "TransformerEncoder", "{\"intermediate_dim\": 5, \"num_heads\": 1, \"dropout\": 0.2}"},
    {"layer", "TransformerDecoder", "{\"intermediate_dim\": 5, \"num_heads\": 1, \"activation\": \"gelu\"}"},
    {"layer", "MultiHeadAttention", "{\"num_heads\": 2, \"key_dim\": 3}"},
    {"layer", "GroupQueryAttention", "{\"head_dim\": 3, \"num_query_heads\": 4, \"num_key_value_heads\": 2}"},
    {"layer", "GroupNormalization", "{\"groups\": 2}"},
    {"layer", "TextVectorization", "{\"vocabulary\": [\"a\", \"bc\"], \"output_mode\": \"tf_idf\", "
                                   "\"idf_weights\": [0.5, 0.25]}"},
    {"layer", "StringLookup", "{\"vocabulary\": [\"a\", \"b\"], \"output_mode\": \"count\"}"},
    {"layer", "IntegerLookup", "{\"vocabulary\": [7, 3], \"output_mode\": \"multi_hot\"}"},
    {"layer", "Reshape", "{\"target_shape\": [-1, 2]}"},
    {"layer", "Activation", "{\"activation\": \"elu\"}"},
    {"layer", "Dropout", "{\"rate\": 0.5}"},
    {"layer", "Conv1D", "{\"filters\": 3, \"kernel_size\": 2, \"padding\": \"causal\"}"},
    {"layer", "DepthwiseConv2D", "{\"kernel_size\": 3, \"depth_multiplier\": 2, \"padding\": \"same\"}"},
    {"layer", "SeparableConv2D", "{\"filters\": 5, \"kernel_size\": [2, 3]}"},
    {"layer", "Conv2DTranspose", "{\"filters\": 3, \"kernel_size\": 3, \"strides\": 2, \"padding\": \"same\"}"},
    {"layer", "AveragePooling1D", "{\"pool_size\": 2}"},
    {"layer", "Cropping2D", "{\"cropping\": [[1, 0], [2, 1]]}"},
    {"layer", "Permute", "{\"dims\": [3, 1, 2]}"},
    {"layer", "RepeatVector", "{\"n\": 3}"},
    {"layer", "SpatialDropout1D", "{\"rate\": 0.5}"},
    {"layer", "SpatialDropout2D", "{\"rate\": 0.5}"},
    {"layer", "GaussianNoise", "{\"stddev\": 0.5}"},
    {"layer", "GaussianDropout", "{\"rate\": 0.5}"},
    {"layer", "AlphaDropout", "{\"rate\": 0.5}"},
    {"layer", "Dot", "{\"axes\": [-1, 1]}"},
    {"layer", "Rescaling", "{\"scale\": 0.5, \"offset\": 1}"},
    {"layer", "ReversibleEmbedding", "{\"input_dim\": 8, \"output_dim\": 3, \"mask_zero\": true}"},
    {"layer", "SimpleRNN", "{\"units\": 3}"},
    {"layer", "LSTM", "{\"units\": 3, \"return_sequences\": true, \"dropout\": 0.2, \"recurrent_dropout\": 0.3}"},
    {"layer", "GRU", "{\"units\": 3, \"activation\": \"relu\", \"recurrent_dropout\": 0.3}"},
    {"layer", "SimpleRNNCell", "{\"units\": 3}"},
    {"layer", "LSTMCell", "{\"units\": 3}"},
    {"layer", "GRUCell", "{\"units\": 3}"},
    {"layer", "StackedRNNCells", "{\"cells\": [{\"class_name\": \"GRUCell\", \"config\": {\"units\": 3}}]}"},
    {"layer", "RNN", "{\"cell\": {\"class_name\": \"LSTMCell\", \"config\": {\"units\": 3, \"dropout\": 0.2}}}"},
    {"layer", "Bidirectional", "{\"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 3}}}"},
    {"layer", "TimeDistributed", "{\"layer\": {\"class_name\": \"Dense\", \"config\": {\"units\": 3}}}"},
    {"layer", "Sequential", "{\"layers\": [{\"class_name\": \"Flatten\"}, {\"class_name\": \"Dense\", \"config\": "
                            "{\"units\": 4}}]}"},
    {"layer", "Functional",
     "{\"layers\": [{\"class_name\": \"InputLayer\", \"config\": {\"shape\": [6, 6, 2]}}, {\"class_name\": \"ReLU\"}], "
     "\"nodes\": [[0, []], [1, [[0, 0]]]], \"inputs\": [0], \"outputs\": [[1, 0]]}"},
    {"tokenizer", "BytePairTokenizer", "{\"vocabulary_size\": 300, \"special_tokens\": [\"<s>\"], \"merges\": [2, 3]}"},
    {"activation", "threshold", "{\"threshold\": 0.1, \"default_value\": 0.2}"},
    {"schedule", "ExponentialDecay",
     "{\"initial_learning_rate\": 0.1, \"decay_steps\": 10, \"decay_rate\": 0.5}"},
    {"schedule", "InverseTimeDecay", "{\"initial_learning_rate\": 0.1, \"decay_steps\": 10, \"decay_rate\": 0.5}"},
    {"schedule", "PolynomialDecay", "{\"initial_learning_rate\": 0.1, \"decay_steps\": 10}"},
    {"schedule", "PiecewiseConstantDecay", "{\"boundaries\": [10, 20], \"values\": [1.0, 0.5, 0.25]}"},
    {"schedule", "CosineDecay", "{\"initial_learning_rate\": 0.1, \"decay_steps\": 10}"},
    {"schedule", "CosineDecayRestarts", "{\"initial_learning_rate\": 0.1, \"first_decay_steps\": 10}"},
    {"schedule", "WarmUp",
     "{\"schedule\": {\"class_name\": \"CosineDecay\", \"config\": {\"initial_learning_rate\": 0.1, "
     "\"decay_steps\": 10}}, \"warmup_steps\": 5}"},
};

static const char *sample_config(const dl_family *family, const char *name) {
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (strcmp(samples[i].family, family->name) == 0 && strcmp(samples[i].name, name) == 0)
            return samples[i].config;
    return "{}";
}

static dl_object *make_sample(dl_context *context, const dl_family *family, const dl_definition *definition) {
    char json[1024];
    snprintf(json, sizeof json, "{\"class_name\": \"%s\", \"config\": %s}", definition->name,
             sample_config(family, definition->name));
    dl_object *object = object_of(context, family, json);
    if (!CHECK(object != NULL))
        fprintf(stderr, "    %s %s\n", family->name, definition->name);
    return object;
}

/* Calls visit for each definition of each family. */
static void for_all(void (*visit)(dl_context *, const dl_family *, const dl_definition *)) {
    dl_context *context = make_context(1, 1);
    for (int f = 0; dl_families[f]; f++)
        for (int d = 0; dl_families[f]->definitions[d]; d++)
            visit(context, dl_families[f], dl_families[f]->definitions[d]);
    dl_context_release(context);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void check_texts(dl_context *context, const dl_family *family, const dl_definition *definition) {
    bool right = CHECK(definition->name && *definition->name) && CHECK(definition->version >= 1) &&
                 CHECK(definition->help && *definition->help) && CHECK(definition->fields != NULL) &&
                 CHECK(definition->options_size > 0) &&
                 CHECK(dl_find_definition(context, family, definition->name) == definition);
    for (const dl_field *field = definition->fields; right && field->kind != DL_FIELD_END; field++)
        right = CHECK(field->help && *field->help) && CHECK(field->offset < definition->options_size) &&
                CHECK(dl_find_field(definition->fields, field->name) == field);
    if (!right)
        fprintf(stderr, "    %s %s\n", family->name, definition->name);
}

static void test_every_definition_describes_itself(void) {
    for_all(check_texts);
}

/* ---- config ------------------------------------------------------------------------------------------------------ */

static void check_config(dl_context *context, const dl_family *family, const dl_definition *definition) {
    dl_object *object = make_sample(context, family, definition);
    if (!object)
        return;
    char *text = config_text(context, object);
    dl_object *again = text ? object_of(context, family, text) : NULL;
    char *text_again = again ? config_text(context, again) : NULL;
    if (!CHECK(text && text_again) || !CHECK_STR(text_again, text))
        fprintf(stderr, "    %s %s\n", family->name, definition->name);
    dl_free_text(text);
    dl_free_text(text_again);
    dl_object_release(again);
    dl_object_release(object);
}

static void test_every_config_makes_the_same_again(void) {
    for_all(check_config);
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static const int64_t image[4] = {5, 6, 6, 2};
static const int64_t sequence[3] = {5, 6, 8};
static const int64_t row[2] = {5, 8};

/* The shape that a layer takes: an image if it may have four dimensions, a sequence if it may have three. */
static int input_of(const dl_layer *layer, const int64_t **shape) {
    const dl_layer_def *definition = (const dl_layer_def *)layer->object.definition;
    bool takes_images = definition->maximum_dims == 0 || definition->maximum_dims >= 4;
    bool takes_sequences = !takes_images && definition->maximum_dims == 3;
    *shape = takes_images ? image : takes_sequences ? sequence : row;
    return takes_images ? 4 : takes_sequences ? 3 : 2;
}

/* Texts of a few letters and spaces. */
static dl_tensor *text_tensor(dl_context *context, int dims, const int64_t *shape) {
    dl_tensor *tensor = dl_empty(context, DL_UINT8, dims, shape);
    uint64_t seed = 3;
    for (int64_t i = 0; tensor && i < dl_tensor_numel(tensor); i++)
        ((char *)dl_tensor_data(tensor))[i] = "ab c"[(int)((noise(&seed) + 1) * 1.999)];
    return tensor;
}

/* What a layer takes: noise, texts, or ids from 0 to 8. */
static dl_tensor *input_tensor(dl_context *context, const dl_layer *layer, int dims, const int64_t *shape) {
    if (((const dl_layer_def *)layer->object.definition)->flags & DL_LAYER_TAKES_TEXT)
        return text_tensor(context, dims, shape);
    const dl_layer_def *definition = (const dl_layer_def *)layer->object.definition;
    return definition->flags & DL_LAYER_TAKES_IDS ? dl_randint(context, DL_INT64, 0, 8, dims, shape)
                                                  : noise_tensor(context, dims, shape, 3);
}

static void for_layers(void (*visit)(dl_context *, dl_layer *)) {
    for (int d = 0; dl_layer_family.definitions[d]; d++) {
        const dl_layer_def *definition = (const dl_layer_def *)dl_layer_family.definitions[d];
        dl_context *context = make_context(1, 1);
        dl_layer *layer = (dl_layer *)make_sample(context, &dl_layer_family, &definition->definition);
        if (layer && definition->minimum_inputs == 1)
            visit(context, layer);
        release_layer(layer);
        dl_context_release(context);
    }
}

static bool named(bool right, const dl_layer *layer) {
    if (!right)
        fprintf(stderr, "    %s: %s\n", layer->object.definition->name, dl_last_error());
    return right;
}

static dl_spec spec_of(const dl_tensor *tensor) {
    dl_spec spec = {.dtype = dl_tensor_dtype(tensor), .dims = dl_tensor_dims(tensor)};
    memcpy(spec.shape, dl_tensor_shape(tensor), (size_t)spec.dims * sizeof *spec.shape);
    return spec;
}

/* infer foretells what call gives, for a free batch too, and an empty batch passes. */
static void check_specs(dl_context *context, dl_layer *layer) {
    const int64_t *shape;
    int64_t empty[4];
    dl_spec out[DL_MAX_LAYER_OUTPUTS];
    int outputs;
    int dims = input_of(layer, &shape);
    dl_tensor *x = input_tensor(context, layer, dims, shape);
    dl_spec spec = spec_of(x);
    dl_tensor *y[DL_MAX_LAYER_OUTPUTS];
    spec.shape[0] = DL_NONE;
    if (!named(CHECK(dl_layer_infer(layer, &(dl_inputs){&spec, 1, NULL}, out, &outputs) == DL_OK), layer))
        return;
    CHECK_EQ_INT(outputs, 1);
    CHECK(out[0].shape[0] == DL_NONE);
    for (int training = 0; training < 2; training++) {
        if (!named(CHECK(dl_layer_apply(layer, &x, 1, &(dl_arguments){.training = training}, y, &outputs) == DL_OK),
                   layer))
            break;
        out[0].shape[0] = shape[0];
        dl_spec got = spec_of(y[0]);
        named(CHECK(got.dims == out[0].dims && got.dtype == out[0].dtype &&
                    memcmp(got.shape, out[0].shape, (size_t)got.dims * sizeof *got.shape) == 0),
              layer);
        dl_release(y[0]);
    }
    memcpy(empty, shape, (size_t)dims * sizeof *empty);
    empty[0] = 0;
    dl_tensor *nothing = dl_zeros(context, dl_tensor_dtype(x), dims, empty);
    if (named(CHECK(dl_layer_apply(layer, &nothing, 1, NULL, y, &outputs) == DL_OK), layer)) {
        CHECK_EQ_INT(dl_tensor_shape(y[0])[0], 0);
        dl_release(y[0]);
    }
    dl_release(nothing);
    dl_release(x);
}

static void test_every_layer_gives_what_it_infers(void) {
    for_layers(check_specs);
}

/* Makes the layer again from its config, with the same weights: the outputs have the same bits. */
static void check_twin(dl_context *context, dl_layer *layer) {
    const int64_t *shape;
    int dims = input_of(layer, &shape), outputs;
    dl_tensor *x = input_tensor(context, layer, dims, shape);
    dl_tensor *y[2][DL_MAX_LAYER_OUTPUTS];
    dl_layer *twins[2] = {layer, (dl_layer *)object_again(&layer->object)};
    dl_weight *weight;
    for (int i = 0; i < 2; i++)
        if (!named(CHECK(dl_layer_apply(twins[i], &x, 1, NULL, y[i], &outputs) == DL_OK), layer))
            return;
    for (int64_t k = 0; (weight = dl_layer_weight(layer, k, NULL, 0)); k++) {
        dl_weight *other = dl_layer_weight(twins[1], k, NULL, 0);
        memcpy(dl_tensor_data(other->value), dl_tensor_data(weight->value),
               (size_t)dl_tensor_numel(weight->value) * dl_dtype_size(dl_tensor_dtype(weight->value)));
    }
    dl_release(y[1][0]);
    CHECK(dl_layer_apply(twins[1], &x, 1, NULL, y[1], &outputs) == DL_OK);
    named(CHECK(same_bits(y[0][0], y[1][0])), layer);
    dl_release(y[0][0]);
    dl_release(y[1][0]);
    dl_release(x);
    release_layer(twins[1]);
}

static void test_every_layer_from_its_config_computes_the_same(void) {
    for_layers(check_twin);
}

/* Wrong ranks, sizes, dtypes and counts are errors that name the layer and what came; then a right call works. */
static void check_wrong_inputs(dl_context *context, dl_layer *layer) {
    const dl_layer_def *definition = (const dl_layer_def *)layer->object.definition;
    const int64_t *shape;
    int64_t other[DL_MAX_DIMS] = {5, 6, 6, 2, 2};
    int outputs;
    int dims = input_of(layer, &shape);
    dl_tensor *x = input_tensor(context, layer, dims, shape);
    dl_tensor *y[DL_MAX_LAYER_OUTPUTS];
    dl_tensor *pair[2] = {x, x};
    if (!named(CHECK(dl_layer_apply(layer, &x, 1, NULL, y, &outputs) == DL_OK), layer))
        return;
    dl_release(y[0]);
    if (definition->maximum_inputs == 1) {
        CHECK(dl_layer_apply(layer, pair, 2, NULL, y, &outputs) == DL_INVALID);
        named(CHECK_CONTAINS(dl_last_error(), layer->name), layer);
    }
    int wrong_dims = definition->minimum_dims > 1 ? definition->minimum_dims - 1 : definition->maximum_dims + 1;
    if (definition->minimum_dims > 1 || definition->maximum_dims) {
        dl_tensor *wrong = noise_tensor(context, wrong_dims, other, 3);
        CHECK(dl_layer_apply(layer, &wrong, 1, NULL, y, &outputs) == DL_SHAPE);
        named(CHECK_CONTAINS(dl_last_error(), layer->name), layer);
        named(CHECK_CONTAINS(dl_last_error(), "got {5"), layer);
        dl_release(wrong);
    }
    if (!(definition->flags & DL_LAYER_ANY_DTYPE)) {
        dl_tensor *whole = dl_zeros(context, DL_UINT8, dims, shape);
        CHECK(dl_layer_apply(layer, &whole, 1, NULL, y, &outputs) == DL_DTYPE);
        named(CHECK_CONTAINS(dl_last_error(), "float32, got inputs of uint8"), layer);
        dl_release(whole);
    }
    if (layer->weight_count > 0 && !(definition->flags & DL_LAYER_TAKES_IDS)) {
        memcpy(other, shape, (size_t)dims * sizeof *other);
        for (int i = 1; i < dims; i++)
            other[i]++;
        dl_tensor *wide = noise_tensor(context, dims, other, 3);
        CHECK(dl_layer_apply(layer, &wide, 1, NULL, y, &outputs) == DL_SHAPE);
        named(CHECK_CONTAINS(dl_last_error(), "built for inputs {*, "), layer);
        named(CHECK_CONTAINS(dl_last_error(), ", got {5, 7"), layer);
        dl_release(wide);
    }
    if (named(CHECK(dl_layer_apply(layer, &x, 1, NULL, y, &outputs) == DL_OK), layer))
        dl_release(y[0]);
    dl_release(x);
}

static void test_every_layer_refuses_wrong_inputs(void) {
    for_layers(check_wrong_inputs);
}

/* A model of the layer, Flatten and Dense takes a training step, and comes back from a file the same. */
static void check_training(dl_context *context, dl_layer *layer) {
    char path[256];
    const int64_t *shape;
    int dims = input_of(layer, &shape);
    snprintf(path, sizeof path, "/tmp/dlua_test_registry_%ld.safetensors", (long)getpid());
    dl_layer *layers[3] = {layer, layer_of(context, "\"Flatten\""),
                           layer_of(context, "{\"class_name\": \"Dense\", \"config\": {\"units\": 3}}")};
    dl_model *model = NULL;
    dl_model *loaded = NULL;
    dl_tensor *x = input_tensor(context, layer, dims, shape);
    dl_tensor *y = noise_tensor(context, 2, (int64_t[]){shape[0], 3}, 4);
    CHECK(dl_model_sequential(context, NULL, layers, 3, &model) == DL_OK);
    if (named(CHECK(model && compile_model(model, "\"adam\"", "\"mse\"", NULL) == DL_OK), layer) &&
        named(CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK), layer) &&
        named(CHECK(dl_model_save(model, path, NULL) == DL_OK), layer) &&
        named(CHECK(dl_model_load(context, path, &loaded, NULL) == DL_OK), layer)) {
        CHECK(weights_hash(loaded) == weights_hash(model));
        CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK);
        CHECK(dl_model_train_batch(loaded, &x, &y, NULL) == DL_OK);
        named(CHECK(weights_hash(loaded) == weights_hash(model)), layer);
    }
    unlink(path);
    dl_release(x);
    dl_release(y);
    release_layer(loaded);
    release_layer(model);
    release_layer(layers[1]);
    release_layer(layers[2]);
}

static void test_every_layer_trains_and_comes_back_from_a_file(void) {
    for_layers(check_training);
}

/* A row has the same bits in batches of all sizes. */
static void check_rows(dl_context *context, dl_layer *layer) {
    static const int64_t sizes[] = {1, 7, 32, 33};
    const int64_t *shape;
    int64_t many[4];
    int dims = input_of(layer, &shape);
    memcpy(many, shape, (size_t)dims * sizeof *many);
    many[0] = 256;
    dl_tensor *x = input_tensor(context, layer, dims, many);
    dl_tensor *want = NULL;
    if (named(CHECK(dl_model_predict(layer, &x, 1, 256, &want) == DL_OK), layer))
        for (int i = 0; i < 4; i++) {
            dl_tensor *got = NULL;
            CHECK(dl_model_predict(layer, &x, 1, sizes[i], &got) == DL_OK);
            named(CHECK(got && memcmp(dl_tensor_data(got), dl_tensor_data(want),
                                      (size_t)dl_tensor_numel(want) * sizeof(float)) == 0),
                  layer);
            dl_release(got);
        }
    dl_release(want);
    dl_release(x);
}

static void test_every_layer_keeps_rows_apart(void) {
    for_layers(check_rows);
}

/* ---- optimizers -------------------------------------------------------------------------------------------------- */

/* Each goes downhill from one on w^2, with its defaults. */
static void test_every_optimizer_goes_downhill(void) {
    dl_context *context = make_context(1, 1);
    for (int d = 0; dl_optimizer_family.definitions[d]; d++) {
        dl_optimizer *optimizer =
            (dl_optimizer *)make_sample(context, &dl_optimizer_family, dl_optimizer_family.definitions[d]);
        dl_tensor *w = dl_full(context, DL_FLOAT32, 1, (int64_t[]){3}, 1);
        dl_requires_grad_(w, true);
        for (int i = 0; i < 20; i++) {
            size_t scope = dl_scope_begin(context);
            CHECK(dl_backward(dl_sum_all(context, dl_square(context, w)), NULL, 0) == DL_OK);
            CHECK(dl_optimizer_step(optimizer, &w, 1) == DL_OK);
            CHECK(dl_zero_grad(&w, 1) == DL_OK);
            dl_scope_end(context, scope, NULL);
        }
        float *data = dl_tensor_data(w);
        if (!CHECK(data[0] < 1 && data[0] > 0 && data[2] == data[0]))
            fprintf(stderr, "    %s: %g\n", dl_optimizer_family.definitions[d]->name, data[0]);
        dl_release(w);
        dl_object_release((dl_object *)optimizer);
    }
    dl_context_release(context);
}

static void test_schedule_and_learning_rate(void) {
    dl_context *context = make_context(1, 1);
    dl_optimizer *optimizer = (dl_optimizer *)object_of(
        context, &dl_optimizer_family,
        "{\"class_name\": \"SGD\", \"config\": {\"learning_rate\": {\"class_name\": \"ExponentialDecay\", \"config\": "
        "{\"initial_learning_rate\": 0.1, \"decay_steps\": 10, \"decay_rate\": 0.5, \"staircase\": true}}}}");
    REQUIRE(optimizer);
    CHECK_CLOSE(dl_optimizer_learning_rate(optimizer), 0.1, 1e-12);
    dl_optimizer_set_iterations(optimizer, 25);
    CHECK_CLOSE(dl_optimizer_learning_rate(optimizer), 0.025, 1e-12);
    CHECK(dl_optimizer_set_learning_rate(optimizer, 1) == DL_STATE);
    dl_object_release((dl_object *)optimizer);
    optimizer = (dl_optimizer *)object_of(context, &dl_optimizer_family, "\"adam\"");
    CHECK(dl_optimizer_set_learning_rate(optimizer, 0.5) == DL_OK);
    CHECK_CLOSE(dl_optimizer_learning_rate(optimizer), 0.5, 0);
    CHECK(dl_optimizer_set_learning_rate(optimizer, NAN) == DL_INVALID);
    CHECK(dl_optimizer_set_learning_rate(optimizer, -1) == DL_INVALID);
    dl_object_release((dl_object *)optimizer);
    static const char both[] = "{\"class_name\": \"SGD\", \"config\": {\"clipnorm\": 1, \"clipvalue\": 1}}";
    dl_value value;
    dl_object *object = NULL;
    REQUIRE(dl_value_from_json(context, both, strlen(both), &value) == DL_OK);
    CHECK(dl_object_from_value(context, &dl_optimizer_family, &value, &object) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "only one of clipnorm, clipvalue and global_clipnorm");
    dl_value_clear(&value);
    dl_context_release(context);
}

CHECK_MAIN(CHECK_TEST(test_every_definition_describes_itself), CHECK_TEST(test_every_config_makes_the_same_again),
           CHECK_TEST(test_every_layer_gives_what_it_infers),
           CHECK_TEST(test_every_layer_from_its_config_computes_the_same),
           CHECK_TEST(test_every_layer_refuses_wrong_inputs),
           CHECK_TEST(test_every_layer_trains_and_comes_back_from_a_file),
           CHECK_TEST(test_every_layer_keeps_rows_apart), CHECK_TEST(test_every_optimizer_goes_downhill),
           CHECK_TEST(test_schedule_and_learning_rate))
