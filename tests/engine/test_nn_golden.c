/* Layers, activations, losses, metrics, optimizers and initializers against the golden values of Keras, and two
 * networks' first 20 training steps; see tests/golden/README.md for the format. */
#include "nn/nn.h"
#include "test_nn.h"

static dl_context *context;
static dl_bundle *bundle;
static const dl_value *test_case;
static dl_dtype dtype;

/* ---- reading cases ----------------------------------------------------------------------------------------------- */

static const char *case_id(void) {
    return dl_value_get(test_case, "id")->as.string;
}

static bool case_flag(const char *key) {
    const dl_value *value = dl_value_get(test_case, key);
    return value && value->kind == DL_VALUE_BOOL && value->as.boolean;
}

/* The stored tensor, floats converted to the dtype of the run; a new reference. */
static dl_tensor *stored(const dl_value *name) {
    dl_tensor *tensor = name && name->kind == DL_VALUE_STRING ? dl_bundle_get(bundle, name->as.string) : NULL;
    if (!tensor)
        return NULL;
    dl_dtype own = dl_tensor_dtype(tensor);
    return dl_clone(context, dl_dtype_is_float(own) ? dl_to(context, tensor, dtype) : tensor);
}

/* {"class": "L2", "l2": 0.02} as {class_name, config}. */
static dl_value convert_class(const dl_value *map) {
    dl_value out = dl_value_map();
    dl_value config = dl_value_map();
    for (int64_t i = 0; i < map->as.list.count; i++) {
        const char *key = map->as.list.keys[i];
        dl_value item;
        dl_value_copy(context, &map->as.list.items[i], &item);
        if (strcmp(key, "class") == 0)
            dl_value_put(context, &out, "class_name", &item);
        else
            dl_value_put(context, &config, key, &item);
    }
    dl_value_put(context, &out, "config", &config);
    return out;
}

/* Positions count from 1 in the file and from 0 here. */
static void shift_position(dl_value *value) {
    if (value->kind == DL_VALUE_INT && value->as.integer > 0)
        value->as.integer--;
    for (int64_t i = 0; value->kind == DL_VALUE_LIST && i < value->as.list.count; i++)
        shift_position(&value->as.list.items[i]);
}

/* The case's object of the family, with its options as an engine's user gives them. */
static dl_object *make_object(const dl_family *family, const char *class_name) {
    const dl_definition *definition = dl_find_definition(context, family, class_name);
    const dl_value *options = dl_value_get(test_case, "options");
    if (!CHECK(definition != NULL))
        return NULL;
    dl_value map = dl_value_map();
    dl_value config = dl_value_map();
    dl_value name;
    dl_value_string(context, class_name, &name);
    dl_value_put(context, &map, "class_name", &name);
    for (int64_t i = 0; i < options->as.list.count; i++) {
        const char *key = options->as.list.keys[i];
        const dl_field *field = dl_find_field(definition->fields, key);
        dl_value item;
        if (options->as.list.items[i].kind == DL_VALUE_MAP)
            item = convert_class(&options->as.list.items[i]);
        else
            dl_value_copy(context, &options->as.list.items[i], &item);
        if (field && field->flags & DL_POSITION)
            shift_position(&item);
        dl_value_put(context, &config, key, &item);
    }
    if (family == &dl_layer_family && dtype == DL_FLOAT64) {
        dl_value item;
        dl_value_string(context, "float64", &item);
        dl_value_put(context, &config, "dtype", &item);
    }
    dl_value_put(context, &map, "config", &config);
    dl_object *object = NULL;
    if (!CHECK(dl_object_from_value(context, family, &map, &object) == DL_OK))
        fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
    dl_value_clear(&map);
    return object;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

/* Keras computes these in float64 with a constant that was rounded to float32. */
static bool has_rounded_constant(void) {
    return strstr(case_id(), "hard_sigmoid") || strcmp(case_id(), "celu/alpha") == 0;
}

static double tolerance(void) {
    const dl_value *own = dl_value_get(test_case, "tolerance");
    if (dtype == DL_FLOAT64)
        return has_rounded_constant() ? 1e-6 : 1e-10;
    if (own)
        return own->as.real;
    return case_flag("winograd") ? 1e-4 : 1e-5;
}

static double *numbers(dl_tensor *tensor) {
    double *data = malloc((size_t)dl_tensor_numel(tensor) * sizeof *data + 1);
    dl_copy_out(tensor, DL_FLOAT64, data);
    return data;
}

/* Where all that is wanted is 0, for gradients that cancel, the rounding of numbers of about 1 is allowed. */
static bool close_enough(double got, double want, double rms) {
    double small = dtype == DL_FLOAT32 ? 1e-5 : 1e-12;
    if (!isfinite(want) || !isfinite(got))
        return got == want || (isnan(got) && isnan(want));
    return fabs(got - want) <= tolerance() * (fabs(want) + rms) + (rms == 0 ? small : 0);
}

/* Within the tolerance of README.md. */
static void compare(const char *what, dl_tensor *got, const dl_value *want_name) {
    dl_tensor *want = want_name && want_name->kind == DL_VALUE_STRING ? dl_bundle_get(bundle, want_name->as.string)
                                                                      : NULL;
    if (!want)
        return;
    if (!CHECK(got != NULL)) {
        fprintf(stderr, "    %s: no %s: %s\n", case_id(), what, dl_last_error());
        return;
    }
    int64_t count = dl_tensor_numel(want);
    if (!CHECK_EQ_INT(dl_tensor_numel(got), count) || !CHECK_EQ_INT(dl_tensor_dims(got), dl_tensor_dims(want))) {
        fprintf(stderr, "    %s: %s\n", case_id(), what);
        return;
    }
    double *a = numbers(got);
    double *b = numbers(want);
    double square = 0;
    for (int64_t i = 0; i < count; i++)
        square += isfinite(b[i]) ? b[i] * b[i] : 0;
    double rms = count ? sqrt(square / (double)count) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (close_enough(a[i], b[i], rms))
            continue;
        CHECK(false);
        fprintf(stderr, "    %s (%s): %s[%lld] is %.9g, want %.9g, rms %.3g\n", case_id(), dl_dtype_name(dtype), what,
                (long long)i, a[i], b[i], rms);
        break;
    }
    CHECK(true);
    free(a);
    free(b);
}

static const dl_value *item_of(const dl_value *list, int64_t i) {
    return list && list->kind == DL_VALUE_LIST && i < list->as.list.count ? &list->as.list.items[i] : NULL;
}

static const dl_value *key_of(const dl_value *map, const char *key) {
    return map ? dl_value_get(map, key) : NULL;
}

/* ---- kinds of cases ---------------------------------------------------------------------------------------------- */

static void compare_gradient(dl_tensor *y, dl_tensor *x, const dl_value *grad_output, const dl_value *want) {
    dl_tensor *grad_y = stored(grad_output);
    dl_tensor *grad_x = NULL;
    if (!grad_y)
        return;
    CHECK(dl_gradients(y, grad_y, &x, 1, 0, &grad_x) == DL_OK);
    compare("grad_input", grad_x, want);
}

/* Keras 3.15 takes the sum of cumulative sums for the threshold of sparsemax, so its values do not sum to 1. Here they
 * must: they are the point of the simplex that is nearest to x (Martins and Astudillo 2016). */
static void check_sparsemax(const dl_object *activation, dl_tensor *y) {
    int64_t axis = ((const dl_axis_activation_options *)activation->options)->axis;
    dl_tensor *sums = dl_sum(context, y, 1, &axis, false);
    double *sum = numbers(sums);
    double *data = numbers(y);
    for (int64_t i = 0; i < dl_tensor_numel(sums); i++)
        CHECK_CLOSE(sum[i], 1, 1e-6);
    for (int64_t i = 0; i < dl_tensor_numel(y); i++)
        CHECK(data[i] >= 0);
    free(sum);
    free(data);
}

static void run_activation(void) {
    dl_object *activation = make_object(&dl_activation_family, dl_value_get(test_case, "def")->as.string);
    REQUIRE(activation);
    dl_tensor *x = stored(item_of(dl_value_get(test_case, "inputs"), 0));
    dl_requires_grad_(x, true);
    dl_tensor *y = dl_activate(activation, x);
    if (activation->definition == &dl_activation_sparsemax.definition) {
        check_sparsemax(activation, y);
        dl_object_release(activation);
        return;
    }
    compare("output", y, item_of(dl_value_get(test_case, "outputs"), 0));
    if (y != x)
        compare_gradient(y, x, item_of(dl_value_get(test_case, "grad_outputs"), 0),
                         item_of(dl_value_get(dl_value_get(test_case, "grads"), "inputs"), 0));
    dl_object_release(activation);
}

#define MOST_LAYER_INPUTS 6
#define MOST_GRADIENTS    48
#define MOST_PATH         128

/* A layer, and one call of it: the inputs in order, then those by name. */
typedef struct layer_run {
    dl_layer *layer;
    dl_tensor *x[MOST_LAYER_INPUTS];
    const dl_value *x_grads[MOST_LAYER_INPUTS]; /* names of the gradients; NULL or null: none */
    uint8_t roles[MOST_LAYER_INPUTS];
    int inputs;
    dl_arguments arguments;
    _Alignas(max_align_t) char options[DL_MAX_CALL_OPTIONS];
    dl_tensor *y[DL_MAX_LAYER_OUTPUTS];
    int outputs;
} layer_run;

static bool is_name(const dl_value *value) {
    return value && value->kind == DL_VALUE_STRING;
}

static void add_input(layer_run *run, const dl_value *name, const dl_value *grad, int role) {
    REQUIRE(run->inputs < MOST_LAYER_INPUTS);
    dl_tensor *x = stored(name);
    REQUIRE(x);
    if (is_name(grad))
        CHECK(dl_requires_grad_(x, true) == DL_OK);
    run->x[run->inputs] = x;
    run->x_grads[run->inputs] = grad;
    run->roles[run->inputs++] = (uint8_t)role;
}

static int role_of(const dl_layer *layer, const char *name) {
    const char *const *names = dl_layer_definition(layer)->input_names;
    int role = 0;
    while (names && names[role] && strcmp(names[role], name) != 0)
        role++;
    if (!CHECK(names && names[role]))
        fprintf(stderr, "    %s: no input is named %s\n", case_id(), name);
    return role;
}

static void set_call_options(layer_run *run) {
    const dl_definition *definition = dl_layer_definition(run->layer)->call_options;
    const dl_value *given = dl_value_get(test_case, "call");
    if (!given)
        return;
    REQUIRE(definition && definition->options_size <= sizeof run->options);
    dl_options_init(definition, run->options, definition->options_size);
    for (int64_t i = 0; i < given->as.list.count; i++) {
        const dl_field *field = dl_find_field(definition->fields, given->as.list.keys[i]);
        dl_value item;
        dl_value_copy(context, &given->as.list.items[i], &item);
        if (field && field->flags & DL_POSITION)
            shift_position(&item);
        CHECK(dl_options_set(context, definition, run->options, given->as.list.keys[i], &item) == DL_OK);
        dl_value_clear(&item);
    }
    run->arguments.options = run->options;
}

static void read_call(layer_run *run) {
    const dl_value *inputs = dl_value_get(test_case, "inputs");
    const dl_value *named = dl_value_get(test_case, "named");
    const dl_value *grads = dl_value_get(test_case, "grads");
    for (int64_t i = 0; i < inputs->as.list.count; i++)
        add_input(run, item_of(inputs, i), item_of(key_of(grads, "inputs"), i), (int)i);
    for (int64_t i = 0; named && i < named->as.list.count; i++) {
        const char *name = named->as.list.keys[i];
        add_input(run, &named->as.list.items[i], key_of(key_of(grads, "named"), name), role_of(run->layer, name));
    }
    run->arguments = (dl_arguments){.roles = named ? run->roles : NULL, .training = case_flag("training")};
    set_call_options(run);
}

static dl_status build_layer(const layer_run *run) {
    dl_spec specs[MOST_LAYER_INPUTS];
    for (int i = 0; i < run->inputs; i++) {
        specs[i] = (dl_spec){.dtype = dl_tensor_dtype(run->x[i]), .dims = dl_tensor_dims(run->x[i])};
        memcpy(specs[i].shape, dl_tensor_shape(run->x[i]), (size_t)specs[i].dims * sizeof *specs[i].shape);
    }
    return dl_layer_build(run->layer, &(dl_inputs){specs, run->inputs, &run->arguments});
}

/* The path of a weight from the layer down: "kernel", "query/kernel". */
static dl_weight *weight_at(dl_layer *layer, int64_t k, char path[MOST_PATH]) {
    return dl_layer_weight(layer, k, path, MOST_PATH);
}

static void set_weights(dl_layer *layer) {
    const dl_value *weights = dl_value_get(test_case, "weights");
    bool recording = dl_set_grad_enabled(context, false);
    char path[MOST_PATH];
    dl_weight *weight;
    int64_t k = 0;
    for (; (weight = weight_at(layer, k, path)); k++) {
        const dl_value *name = dl_value_get(weights, path);
        if (!CHECK(name && dl_copy_(weight->value, stored(name)) == DL_OK))
            fprintf(stderr, "    %s: %s\n", case_id(), path);
    }
    CHECK_EQ_INT(k, weights->as.list.count);
    dl_set_grad_enabled(context, recording);
}

/* The sum of all outputs times the gradients to start from; NULL if none is differentiable. */
static dl_tensor *weighted_sum(const layer_run *run) {
    const dl_value *names = dl_value_get(test_case, "grad_outputs");
    dl_tensor *total = NULL;
    for (int i = 0; i < run->outputs; i++) {
        if (!is_name(item_of(names, i)) || !dl_requires_grad(run->y[i]))
            continue;
        dl_tensor *part = dl_sum_all(context, dl_mul(context, run->y[i], stored(item_of(names, i))));
        total = total ? dl_add(context, total, part) : part;
    }
    return total;
}

static void compare_layer_gradients(const layer_run *run) {
    const dl_value *weights = key_of(dl_value_get(test_case, "grads"), "weights");
    dl_tensor *total = weighted_sum(run);
    dl_tensor *wanted[MOST_GRADIENTS];
    dl_tensor *got[MOST_GRADIENTS] = {NULL};
    const dl_value *names[MOST_GRADIENTS];
    char path[MOST_PATH];
    dl_weight *weight;
    int count = 0;
    for (int i = 0; i < run->inputs; i++) {
        if (!is_name(run->x_grads[i]))
            continue;
        wanted[count] = run->x[i];
        names[count++] = run->x_grads[i];
    }
    int inputs = count;
    for (int64_t k = 0; (weight = weight_at(run->layer, k, path)); k++) {
        if (!weight->trainable)
            continue;
        REQUIRE(count < MOST_GRADIENTS);
        wanted[count] = weight->value;
        names[count++] = key_of(weights, path);
        CHECK(is_name(names[count - 1]));
    }
    if (count == 0)
        return;
    if (!CHECK(total && dl_gradients(total, NULL, wanted, count, 0, got) == DL_OK))
        fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
    for (int i = 0; i < count; i++)
        compare(i >= inputs ? "a weight's gradient" : "grad_input", got[i], names[i]);
}

static void compare_penalty(dl_layer *layer) {
    const dl_value *want = dl_value_get(test_case, "regularization_loss");
    dl_tensor *total = NULL;
    if (!want)
        return;
    for (int i = 0; i < layer->weight_count; i++) {
        dl_object *regularizer = layer->weights[i].regularizer;
        if (!regularizer)
            continue;
        dl_tensor *penalty =
            ((const dl_regularizer_def *)regularizer->definition)->call(regularizer, layer->weights[i].value);
        total = total ? dl_add(context, total, penalty) : penalty;
    }
    CHECK(total != NULL);
    int64_t dims[1] = {1};
    compare("penalty", dl_reshape(context, total, dl_tensor_dims(dl_bundle_get(bundle, want->as.string)), dims), want);
}

/* Calls the layer as a model does, with the masks of the case. The results are in the open scope. */
static bool run_masked(layer_run *run) {
    const dl_value *names = dl_value_get(test_case, "masks");
    const dl_value *after = dl_value_get(test_case, "output_mask");
    dl_tensor *masks[MOST_LAYER_INPUTS] = {NULL};
    dl_deferred deferred = {.context = context};
    for (int i = 0; i < run->inputs; i++)
        masks[i] = stored(item_of(names, i));
    dl_layer_call call = {.context = context, .training = case_flag("training"), .in = run->x, .inputs = run->inputs,
                          .masks = masks, .deferred = &deferred};
    if (!CHECK(dl_layer_run(run->layer, &call) == DL_OK))
        return false;
    dl_deferred_commit(&deferred);
    dl_deferred_free(&deferred);
    CHECK((after != NULL) == (call.out_masks[0] != NULL));
    if (after)
        compare("output_mask", dl_scope_add(context, call.out_masks[0]), after);
    run->outputs = call.outputs;
    for (int i = 0; i < call.outputs; i++)
        run->y[i] = dl_scope_add(context, call.out[i]);
    return true;
}

/* The same outside a model. */
static bool run_plain(layer_run *run) {
    dl_status status = dl_layer_apply(run->layer, run->x, run->inputs, &run->arguments, run->y, &run->outputs);
    if (!CHECK(status == DL_OK)) {
        fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
        return false;
    }
    for (int i = 0; i < run->outputs; i++)
        dl_scope_add(context, run->y[i]);
    return true;
}

/* The layer made again from its config, with the case's weights, gives outputs of the same bits. */
static void compare_twin(const layer_run *run) {
    layer_run twin = *run;
    bool masked = dl_value_get(test_case, "masks") != NULL;
    twin.layer = (dl_layer *)object_again(&run->layer->object);
    REQUIRE(twin.layer);
    if (CHECK(build_layer(&twin) == DL_OK)) {
        set_weights(twin.layer);
        bool same = (masked ? run_masked(&twin) : run_plain(&twin)) && CHECK_EQ_INT(twin.outputs, run->outputs);
        for (int i = 0; same && i < run->outputs; i++)
            same = CHECK(same_bits(twin.y[i], run->y[i]));
        if (!same)
            fprintf(stderr, "    %s: from its config\n", case_id());
    }
    release_layer(twin.layer);
}

static void compare_weights_after(dl_layer *layer) {
    const dl_value *after = dl_value_get(test_case, "weights_after");
    char path[MOST_PATH];
    dl_weight *weight;
    for (int64_t k = 0; after && (weight = weight_at(layer, k, path)); k++)
        compare("a weight after", weight->value, dl_value_get(after, path));
}

static void run_layer(void) {
    const dl_value *outputs = dl_value_get(test_case, "outputs");
    layer_run run = {.layer = (dl_layer *)make_object(&dl_layer_family, dl_value_get(test_case, "def")->as.string)};
    REQUIRE(run.layer);
    read_call(&run);
    if (CHECK(build_layer(&run) == DL_OK)) {
        set_weights(run.layer);
        if (dl_value_get(test_case, "masks") ? run_masked(&run) : run_plain(&run)) {
            CHECK_EQ_INT(run.outputs, outputs->as.list.count);
            for (int i = 0; i < run.outputs; i++)
                compare("output", run.y[i], item_of(outputs, i));
            compare_layer_gradients(&run);
            compare_twin(&run);
        }
        compare_penalty(run.layer);
        compare_weights_after(run.layer);
    } else {
        fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
    }
    release_layer(run.layer);
}

static void run_regularizer(void) {
    dl_object *regularizer = make_object(&dl_regularizer_family, dl_value_get(test_case, "def")->as.string);
    REQUIRE(regularizer);
    dl_tensor *w = stored(item_of(dl_value_get(test_case, "inputs"), 0));
    dl_requires_grad_(w, true);
    dl_tensor *penalty = ((const dl_regularizer_def *)regularizer->definition)->call(regularizer, w);
    const dl_value *want = item_of(dl_value_get(test_case, "outputs"), 0);
    int64_t one = 1;
    compare("penalty", dl_reshape(context, penalty, dl_tensor_dims(dl_bundle_get(bundle, want->as.string)), &one),
            want);
    dl_object_release(regularizer);
}

static void run_constraint(void) {
    dl_object *constraint = make_object(&dl_constraint_family, dl_value_get(test_case, "def")->as.string);
    REQUIRE(constraint);
    dl_tensor *w = stored(item_of(dl_value_get(test_case, "inputs"), 0));
    compare("weight", dl_constrained(constraint, w), item_of(dl_value_get(test_case, "outputs"), 0));
    dl_object_release(constraint);
}

static void run_loss(void) {
    const dl_value *inputs = dl_value_get(test_case, "inputs");
    dl_object *loss = make_object(&dl_loss_family, dl_value_get(test_case, "def")->as.string);
    REQUIRE(loss);
    dl_tensor *target = stored(item_of(inputs, 0));
    dl_tensor *prediction = stored(item_of(inputs, 1));
    dl_tensor *weight = stored(item_of(inputs, 2));
    dl_requires_grad_(prediction, true);
    dl_tensor *value = dl_loss(loss, target, prediction, NULL, weight);
    compare("loss", value, item_of(dl_value_get(test_case, "outputs"), 0));
    if (value)
        compare_gradient(value, prediction, item_of(dl_value_get(test_case, "grad_outputs"), 0),
                         item_of(key_of(dl_value_get(test_case, "grads"), "inputs"), 1));
    dl_object_release(loss);
}

/* The result, one number or several, against those after this batch. */
static void compare_result(const dl_metric *metric, const double *want, int64_t batch) {
    dl_tensor *several = NULL;
    double one = dl_metric_result(metric);
    CHECK(dl_metric_values(metric, &several) == DL_OK);
    const double *got = several ? dl_tensor_data(several) : &one;
    for (int64_t i = 0; i < (several ? dl_tensor_numel(several) : 1); i++)
        if (!CHECK_CLOSE(got[i], want[i], 1e-5 * (1 + fabs(want[i]))))
            fprintf(stderr, "    %s (%s), batch %lld\n", case_id(), dl_dtype_name(dtype), (long long)batch);
    dl_release(several);
}

static void run_metric(void) {
    const dl_value *batches = dl_value_get(test_case, "batches");
    dl_tensor *want = dl_bundle_get(bundle, item_of(dl_value_get(test_case, "outputs"), 0)->as.string);
    dl_metric *metric = (dl_metric *)make_object(&dl_metric_family, dl_value_get(test_case, "class")->as.string);
    REQUIRE(metric && want);
    double *results = numbers(want);
    bool mean = strcmp(metric->object.definition->name, "Mean") == 0;
    for (int64_t i = 0; i < batches->as.list.count; i++) {
        const dl_value *batch = &batches->as.list.items[i];
        dl_tensor *first = stored(item_of(batch, 0));
        dl_tensor *second = stored(item_of(batch, 1));
        dl_status status = mean ? dl_metric_update(metric, NULL, first, second)
                                : dl_metric_update(metric, first, second, stored(item_of(batch, 2)));
        if (!CHECK(status == DL_OK))
            fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
        compare_result(metric, results + i * (dl_tensor_numel(want) / batches->as.list.count), i + 1);
    }
    free(results);
    dl_object_release(&metric->object);
}

#define MOST_VARIABLES 4

static void run_optimizer(void) {
    const dl_value *weights = dl_value_get(test_case, "weights");
    const dl_value *gradients = dl_value_get(test_case, "gradients");
    const dl_value *outputs = dl_value_get(test_case, "outputs");
    const char *name = dl_value_get(test_case, "def")->as.string;
    const dl_value *accumulated = dl_value_get(dl_value_get(test_case, "options"), "gradient_accumulation_steps");
    dl_optimizer *optimizer = (dl_optimizer *)make_object(&dl_optimizer_family, name);
    REQUIRE(optimizer);
    dl_tensor *variables[MOST_VARIABLES];
    dl_tensor *grads[MOST_VARIABLES];
    int64_t count = weights->as.list.count;
    for (int64_t i = 0; i < count; i++) {
        variables[i] = stored(item_of(weights, i));
        grads[i] = stored(item_of(gradients, i));
        dl_requires_grad_(variables[i], true);
    }
    for (int step = 1; step <= 5; step++) {
        char key[8];
        snprintf(key, sizeof key, "%d", step);
        for (int64_t i = 0; i < count; i++)
            dl_set_grad(variables[i], dl_clone(context, dl_select(context, grads[i], 0, step - 1)));
        CHECK(dl_optimizer_step(optimizer, variables, count) == DL_OK);
        CHECK_EQ_INT(dl_optimizer_iterations(optimizer), step / (accumulated ? accumulated->as.integer : 1));
        for (int64_t i = 0; i < count; i++)
            compare(key, variables[i], item_of(dl_value_get(outputs, key), i));
    }
    dl_object_release((dl_object *)optimizer);
}

static double number_of(const dl_value *map, const char *key, double otherwise) {
    const dl_value *value = dl_value_get(map, key);
    if (!value)
        return otherwise;
    return value->kind == DL_VALUE_REAL ? value->as.real : (double)value->as.integer;
}

static void check_statistics(const double *data, int64_t count, const dl_value *want) {
    double sum = 0;
    double squares = 0;
    bool inside = true;
    double low = number_of(want, "min", -INFINITY);
    double high = number_of(want, "max", INFINITY);
    for (int64_t i = 0; i < count; i++) {
        sum += data[i];
        inside = inside && data[i] >= low * (1 + 1e-6) && data[i] <= high * (1 + 1e-6);
    }
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++)
        squares += (data[i] - mean) * (data[i] - mean);
    CHECK(inside);
    CHECK_CLOSE(mean, number_of(want, "mean", 0), number_of(want, "mean_error", 0));
    CHECK_CLOSE(sqrt(squares / (double)count), number_of(want, "std", 0), number_of(want, "std_error", 0));
}

/* Columns (rows of a wide matrix) have length `gain` and are orthogonal. */
static void check_orthogonal(const double *data, int64_t rows, int64_t columns, double gain) {
    bool wide = rows < columns;
    int64_t count = wide ? rows : columns;
    int64_t length = wide ? columns : rows;
    double worst = 0;
    for (int64_t a = 0; a < count; a++)
        for (int64_t b = 0; b <= a; b++) {
            double product = 0;
            for (int64_t i = 0; i < length; i++)
                product += wide ? data[a * columns + i] * data[b * columns + i]
                                : data[i * columns + a] * data[i * columns + b];
            worst = fmax(worst, fabs(product - (a == b ? gain * gain : 0)));
        }
    CHECK_CLOSE(worst, 0, gain * gain * (dtype == DL_FLOAT32 ? 1e-6 : 1e-13));
}

static void run_initializer(void) {
    const dl_value *shape_value = dl_value_get(test_case, "shape");
    const dl_value *statistics = dl_value_get(test_case, "statistics");
    int64_t shape[DL_MAX_DIMS];
    int dims = (int)shape_value->as.list.count;
    dl_object *initializer = make_object(&dl_initializer_family, dl_value_get(test_case, "def")->as.string);
    REQUIRE(initializer);
    for (int i = 0; i < dims; i++)
        shape[i] = shape_value->as.list.items[i].as.integer;
    dl_tensor *tensor = dl_empty(context, dtype, dims, shape);
    dl_stream stream = {.seed = 42, .stream = 7};
    if (!CHECK(dl_initialize(initializer, &stream, tensor) == DL_OK))
        fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
    compare("output", tensor, item_of(dl_value_get(test_case, "outputs"), 0));
    double *data = numbers(tensor);
    int64_t count = dl_tensor_numel(tensor);
    if (statistics)
        check_statistics(data, count, statistics);
    if (dl_value_get(test_case, "orthogonal"))
        check_orthogonal(data, count / shape[dims - 1], shape[dims - 1], number_of(test_case, "orthogonal", 1));
    free(data);
    dl_object_release(initializer);
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* The initial weights' formula of tests/golden/training.py. */
static void fill_by_formula(dl_tensor *tensor, int variable, double limit) {
    for (int64_t i = 0; i < dl_tensor_numel(tensor); i++) {
        uint64_t z = (((uint64_t)variable << 32) + (uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        double value = ((double)(z >> 40) - 8388608.0) / 8388608.0 * limit;
        if (dtype == DL_FLOAT32)
            ((float *)dl_tensor_data(tensor))[i] = (float)value;
        else
            ((double *)dl_tensor_data(tensor))[i] = value;
    }
}

static dl_model *make_network(void) {
    const dl_value *layers = dl_value_get(test_case, "layers");
    dl_value map = dl_value_map();
    dl_value config = dl_value_map();
    dl_value list = dl_value_list();
    dl_value text;
    const char *const name = dl_dtype_name(dtype);
    for (int64_t i = 0; i < layers->as.list.count; i++) {
        const dl_value *entry = &layers->as.list.items[i];
        dl_value layer = dl_value_map();
        dl_value class_name;
        dl_value options;
        dl_value_copy(context, &entry->as.list.items[0], &class_name);
        dl_value_copy(context, &entry->as.list.items[1], &options);
        if (i == 0) {
            dl_value shape;
            dl_value_copy(context, dl_value_get(test_case, "input_shape"), &shape);
            dl_value_put(context, &options, "input_shape", &shape);
        }
        dl_value_string(context, name, &text);
        dl_value_put(context, &options, "dtype", &text);
        dl_value_put(context, &layer, "class_name", &class_name);
        dl_value_put(context, &layer, "config", &options);
        dl_value_append(context, &list, &layer);
    }
    dl_value_put(context, &config, "layers", &list);
    dl_value_string(context, "Sequential", &text);
    dl_value_put(context, &map, "class_name", &text);
    dl_value_put(context, &map, "config", &config);
    dl_object *model = NULL;
    if (!CHECK(dl_object_from_value(context, &dl_layer_family, &map, &model) == DL_OK))
        fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
    dl_value_clear(&map);
    return (dl_model *)model;
}

/* The data set's images and labels, or NULL where it is not installed. */
static dl_tensor *load_data(bool labels) {
    const char *data = dl_value_get(test_case, "data")->as.string;
    bool digits = strcmp(data, "digits") == 0;
    char path[512];
    dl_tensor *tensor = NULL;
    snprintf(path, sizeof path, "%s/%s%s",
             digits ? DLUA_SOURCE_DIR "/scripts/dlua/datasets/digits" : "/usr/share/datasets/fashion-mnist",
             digits ? "" : "train-", labels ? "labels-idx1-ubyte.gz" : "images-idx3-ubyte.gz");
    if (dl_load_idx(context, path, &tensor) != DL_OK)
        fprintf(stderr, "    %s\n", dl_last_error());
    return tensor;
}

static void train_network(dl_model *model, dl_tensor *images, dl_tensor *labels) {
    const dl_value *outputs = item_of(dl_value_get(test_case, "outputs"), 0);
    const dl_value *input_shape = dl_value_get(test_case, "input_shape");
    double *want = numbers(dl_bundle_get(bundle, outputs->as.string));
    int64_t steps = dl_tensor_numel(dl_bundle_get(bundle, outputs->as.string));
    int64_t batch = dl_value_get(test_case, "batch_size")->as.integer;
    int64_t shape[4] = {batch};
    for (int i = 0; i < 3; i++)
        shape[i + 1] = input_shape->as.list.items[i].as.integer;
    for (int64_t step = 0; step < steps; step++) {
        size_t scope = dl_scope_begin(context);
        double loss = NAN;
        dl_tensor *rows = dl_slice(context, images, 0, step * batch, (step + 1) * batch, 1);
        dl_tensor *x = dl_to(context, dl_reshape(context, rows, 4, shape), DL_FLOAT32);
        x = dl_to(context, dl_div_number(context, x, number_of(test_case, "scale", 1)), dtype);
        /* The files hold 0 .. K-1. */
        dl_tensor *y = dl_slice(context, labels, 0, step * batch, (step + 1) * batch, 1);
        y = dl_add_number(context, dl_to(context, y, DL_INT64), 1);
        dl_model_reset_metrics(model);
        if (!CHECK(dl_model_train_batch(model, &x, &y, NULL) == DL_OK))
            fprintf(stderr, "    %s: %s\n", case_id(), dl_last_error());
        dl_model_log(model, 0, &loss);
        CHECK_CLOSE(loss, want[step], 1e-4);
        dl_scope_end(context, scope, NULL);
    }
    free(want);
}

static void run_training(void) {
    const dl_value *limits = dl_value_get(test_case, "limits");
    dl_model *model = make_network();
    REQUIRE(model);
    dl_tensor *images = load_data(false);
    dl_tensor *labels = load_data(true);
    CHECK(compile_model(model, "\"adam\"", "\"sparse_categorical_crossentropy\"", NULL) == DL_OK);
    for (int k = 0; k < (int)limits->as.list.count; k++) {
        const dl_value *limit = &limits->as.list.items[k];
        dl_weight *weight = dl_layer_weight(model, k, NULL, 0);
        if (CHECK(weight != NULL))
            fill_by_formula(weight->value, k, limit->kind == DL_VALUE_REAL ? limit->as.real
                                                                           : (double)limit->as.integer);
    }
    if (images && labels)
        train_network(model, images, labels);
    release_layer(model);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool runs_in(dl_dtype wanted) {
    const dl_value *dtypes = dl_value_get(test_case, "dtypes");
    for (int64_t i = 0; i < dtypes->as.list.count; i++)
        if (strcmp(dtypes->as.list.items[i].as.string, dl_dtype_name(wanted)) == 0)
            return true;
    return false;
}

static void run_file(const char *name, void (*run)(void), const char *kind) {
    static const dl_dtype dtypes[] = {DL_FLOAT32, DL_FLOAT64};
    char path[512];
    dl_value cases;
    context = make_context(1, 2);
    snprintf(path, sizeof path, "%s/tests/golden/%s.safetensors", DLUA_SOURCE_DIR, name);
    if (!CHECK(dl_load_safetensors(context, path, &bundle) == DL_OK))
        fprintf(stderr, "    %s\n", dl_last_error());
    const char *text = dl_bundle_text(bundle, "cases");
    REQUIRE(text && dl_value_from_json(context, text, strlen(text), &cases) == DL_OK);
    for (int64_t i = 0; i < cases.as.list.count; i++) {
        test_case = &cases.as.list.items[i];
        if (strcmp(dl_value_get(test_case, "kind")->as.string, kind) != 0)
            continue;
        for (int d = 0; d < 2; d++) {
            dtype = dtypes[d];
            size_t scope = dl_scope_begin(context);
            if (runs_in(dtype))
                run();
            dl_scope_end(context, scope, NULL);
        }
    }
    dl_value_clear(&cases);
    dl_bundle_free(bundle);
    dl_context_release(context);
}

static void test_activations(void) {
    run_file("activations", run_activation, "activation");
}

static void test_layers(void) {
    run_file("layers", run_layer, "layer");
    run_file("around", run_layer, "layer");
    run_file("attention", run_layer, "layer");
}

static void test_losses(void) {
    run_file("losses", run_loss, "loss");
    run_file("around", run_loss, "loss");
}

static void test_constraints(void) {
    run_file("losses", run_constraint, "constraint");
}

static void test_regularizers(void) {
    run_file("losses", run_regularizer, "regularizer");
}

static void test_metrics(void) {
    run_file("metrics", run_metric, "metric");
    run_file("around", run_metric, "metric");
}

static void test_optimizers(void) {
    run_file("optimizers", run_optimizer, "optimizer");
    run_file("around", run_optimizer, "optimizer");
}

static void test_initializers(void) {
    run_file("initializers", run_initializer, "initializer");
}

static void test_first_training_steps(void) {
    run_file("training", run_training, "training");
}

CHECK_MAIN(CHECK_TEST(test_activations), CHECK_TEST(test_layers), CHECK_TEST(test_losses),
           CHECK_TEST(test_regularizers), CHECK_TEST(test_constraints), CHECK_TEST(test_metrics),
           CHECK_TEST(test_optimizers), CHECK_TEST(test_initializers), CHECK_TEST(test_first_training_steps))
