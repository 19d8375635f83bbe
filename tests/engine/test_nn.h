/* What the tests of layers and models share: a context, small tensors, a small network, and the golden cases with their
 * tolerance. */
#ifndef DLUA_TESTS_TEST_NN_H
#define DLUA_TESTS_TEST_NN_H

#include <stdlib.h>

#include "check.h"
#include "dlua/dlua.h"

static inline dl_context *make_context(uint64_t seed, int threads) {
    dl_context_options options;
    dl_context *context = NULL;
    dl_context_options_init(&options, sizeof options);
    options.seed = seed;
    options.threads = threads;
    if (dl_context_create(&options, &context) != DL_OK)
        fprintf(stderr, "no context: %s\n", dl_last_error());
    return context;
}

/* An object of a family from JSON: "\"relu\"" or {"class_name": ..., "config": ...}. */
static inline dl_object *object_of(dl_context *context, const dl_family *family, const char *json) {
    dl_value value;
    dl_object *object = NULL;
    dl_status status = dl_value_from_json(context, json, strlen(json), &value);
    if (status == DL_OK)
        status = dl_object_from_value(context, family, &value, &object);
    if (status != DL_OK)
        fprintf(stderr, "%s: %s\n", json, dl_last_error());
    dl_value_clear(&value);
    return object;
}

/* The object's config as JSON, freed with dl_free_text; NULL after a failure. */
static inline char *config_text(dl_context *context, const dl_object *object) {
    dl_value value;
    char *text = NULL;
    size_t length;
    if (dl_object_to_value(context, object, &value) == DL_OK)
        dl_value_to_json(context, &value, &text, &length);
    dl_value_clear(&value);
    return text;
}

/* Another object from the object's config as JSON; NULL after a failure. */
static inline dl_object *object_again(const dl_object *object) {
    char *text = config_text(object->context, object);
    dl_object *again = text ? object_of(object->context, object->family, text) : NULL;
    dl_free_text(text);
    return again;
}

/* The elements in their order have the same type and bits, whatever the strides. */
static inline bool same_bits(dl_tensor *a, dl_tensor *b) {
    dl_dtype dtype = dl_tensor_dtype(a);
    if (dl_tensor_dtype(b) != dtype || dl_tensor_numel(a) != dl_tensor_numel(b))
        return false;
    size_t bytes = (size_t)dl_tensor_numel(a) * dl_dtype_size(dtype);
    char *copies = malloc(2 * bytes + 1);
    bool same = copies && dl_copy_out(a, dtype, copies) == DL_OK && dl_copy_out(b, dtype, copies + bytes) == DL_OK &&
                memcmp(copies, copies + bytes, bytes) == 0;
    free(copies);
    return same;
}

static inline dl_layer *layer_of(dl_context *context, const char *json) {
    return (dl_layer *)object_of(context, &dl_layer_family, json);
}

static inline void release_layer(dl_layer *layer) {
    dl_object_release((dl_object *)layer);
}

/* Numbers without a pattern, between -1 and 1, that depend on the seed alone. */
static inline double noise(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(*state >> 32) / 2147483648.0;
}

static inline dl_tensor *noise_tensor(dl_context *context, int dims, const int64_t *shape, uint64_t seed) {
    dl_tensor *tensor = dl_empty(context, DL_FLOAT32, dims, shape);
    float *data = tensor ? dl_tensor_data(tensor) : NULL;
    for (int64_t i = 0; data && i < dl_tensor_numel(tensor); i++)
        data[i] = (float)noise(&seed);
    return tensor;
}

/* Labels 1 .. classes. */
static inline dl_tensor *label_tensor(dl_context *context, int64_t count, int classes, uint64_t seed) {
    dl_tensor *tensor = dl_empty(context, DL_UINT8, 1, &count);
    uint8_t *data = tensor ? dl_tensor_data(tensor) : NULL;
    for (int64_t i = 0; data && i < count; i++)
        data[i] = (uint8_t)(1 + (int)((noise(&seed) + 1) / 2 * classes * 0.999999));
    return tensor;
}

/* FNV-1a over the bytes of all weights of a model. */
static inline uint64_t weights_hash(dl_model *model) {
    uint64_t hash = 1469598103934665603u;
    dl_weight *weight;
    for (int64_t k = 0; (weight = dl_layer_weight(model, k, NULL, 0)); k++) {
        const uint8_t *bytes = dl_tensor_data(weight->value);
        size_t count = (size_t)dl_tensor_numel(weight->value) * dl_dtype_size(dl_tensor_dtype(weight->value));
        for (size_t i = 0; i < count; i++)
            hash = (hash ^ bytes[i]) * 1099511628211u;
    }
    return hash;
}

/* Compiles with the names as compile takes them; metric may be NULL. */
static inline dl_status compile_model(dl_model *model, const char *optimizer, const char *loss, const char *metric) {
    dl_context *context = model->object.context;
    dl_object *objects[3] = {object_of(context, &dl_optimizer_family, optimizer),
                             object_of(context, &dl_loss_family, loss),
                             metric ? object_of(context, &dl_metric_family, metric) : NULL};
    int metric_count = metric ? 1 : 0;
    dl_compile compile = {.struct_size = sizeof compile, .optimizer = (dl_optimizer *)objects[0],
                          .losses = &objects[1], .metrics = &objects[2], .metric_counts = &metric_count};
    dl_status status = dl_model_compile(model, &compile);
    for (int i = 0; i < 3; i++)
        dl_object_release(objects[i]);
    return status;
}

/* A small network with all that a step can change: fused convolution and pooling, statistics, a random stream. */
static const char small_network[] =
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"shape\": [12, 12, 1]}},"
    "{\"class_name\": \"Conv2D\", \"config\": {\"filters\": 8, \"kernel_size\": [3, 3], \"activation\": \"relu\"}},"
    "{\"class_name\": \"MaxPooling2D\", \"config\": {}},"
    "{\"class_name\": \"BatchNormalization\", \"config\": {}},"
    "{\"class_name\": \"Flatten\", \"config\": {}},"
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 16, \"activation\": \"relu\","
    " \"kernel_regularizer\": {\"class_name\": \"L2\", \"config\": {\"l2\": 0.001}}}},"
    "{\"class_name\": \"Dropout\", \"config\": {\"rate\": 0.25}},"
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 10, \"activation\": \"softmax\"}}]}}";

static const int64_t small_input[4] = {32, 12, 12, 1};

static inline dl_model *make_small_network(dl_context *context) {
    dl_model *model = layer_of(context, small_network);
    if (model && compile_model(model, "\"adam\"", "\"sparse_categorical_crossentropy\"", "\"accuracy\"") != DL_OK)
        fprintf(stderr, "%s\n", dl_last_error());
    return model;
}

/* `steps` training steps on batches numbered from `first`; false after a failure. */
static inline bool train_steps(dl_model *model, int first, int steps) {
    dl_context *context = model->object.context;
    bool right = true;
    for (int i = first; right && i < first + steps; i++) {
        dl_tensor *x = noise_tensor(context, 4, small_input, (uint64_t)i + 1);
        dl_tensor *y = label_tensor(context, small_input[0], 10, (uint64_t)i + 101);
        right = dl_model_train_batch(model, &x, &y, NULL) == DL_OK;
        if (!right)
            fprintf(stderr, "step %d: %s\n", i, dl_last_error());
        dl_release(x);
        dl_release(y);
    }
    return right;
}

#endif
