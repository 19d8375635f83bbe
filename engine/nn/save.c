/* nn/save.c: models in files. One safetensors file holds all: the weights under their paths ("conv2d/kernel"), the
 * optimizer's state ("optimizer:conv2d/kernel/momentum"), and as text the rest:
 *
 *      format "dlua.model"    format_version "1"    dlua_version    the writer's
 *      architecture   {class_name, version, config}, as dl_model_to_config makes it
 *      inputs         [{dtype, shape}]: what the model was built for
 *      compile        {optimizer, losses, loss_weights, metrics}; none if one of them is not registered by a name
 *      training       {iterations, learning_rate, waiting, streams}
 *      weights        the paths of the weights in the order of layers, which the format's own sorting loses
 *      extra          what the host keeps with it
 *
 * Always true: loading changes a model only after everything was checked, and nothing of a file is run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlua/io.h"
#include "nn/trainer.h"

#define FORMAT "dlua.model"
#define FORMAT_VERSION "1"
#define OPTIMIZER "optimizer:"

typedef struct path_text {
    char at[640];
} path_text;

static path_text join(const char *prefix, const char *path, const char *name, const char *slot) {
    path_text text;
    snprintf(text.at, sizeof text.at, "%s%s%s%s%s", prefix, path, name, slot ? "/" : "", slot ? slot : "");
    return text;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static dl_status put_int(dl_context *context, dl_value *map, const char *key, int64_t number) {
    dl_value value = dl_value_int(number);
    return dl_value_put(context, map, key, &value);
}

static dl_status append_int(dl_context *context, dl_value *list, int64_t number) {
    dl_value value = dl_value_int(number);
    return dl_value_append(context, list, &value);
}

/* Moves value into the map if status is DL_OK, else clears it; returns the status that stands. */
static dl_status put_made(dl_context *context, dl_status status, dl_value *map, const char *key, dl_value *value) {
    if (status == DL_OK)
        return dl_value_put(context, map, key, value);
    dl_value_clear(value);
    return status;
}

static dl_status append_made(dl_context *context, dl_status status, dl_value *list, dl_value *value) {
    if (status == DL_OK)
        return dl_value_append(context, list, value);
    dl_value_clear(value);
    return status;
}

/* Writes the tree as text under the key and clears it. */
static dl_status put_text(dl_bundle *bundle, dl_context *context, dl_status status, const char *key,
                          dl_value *value) {
    char *text = NULL;
    size_t length;
    if (status == DL_OK)
        status = dl_value_to_json(context, value, &text, &length);
    if (status == DL_OK)
        status = dl_bundle_put_text(bundle, key, text);
    dl_free_text(text);
    dl_value_clear(value);
    return status;
}

/* The tree under the key, NONE if the file has none. */
static dl_status get_text(const dl_bundle *bundle, dl_context *context, const char *key, dl_value *out) {
    const char *text = dl_bundle_text(bundle, key);
    *out = (dl_value){.kind = DL_VALUE_NONE};
    if (!text)
        return DL_OK;
    if (dl_value_from_json(context, text, strlen(text), out) != DL_OK)
        return dl_fail_prefix("the metadata '%s'", key);
    return DL_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct writer {
    dl_context *context;
    dl_bundle *bundle;
    dl_optimizer *optimizer; /* NULL: weights alone */
    dl_value *streams;
    dl_value names; /* the list of the weights' paths */
} writer;

static dl_status put_tensor(writer *w, path_text name, dl_tensor *tensor) {
    if (dl_bundle_get(w->bundle, name.at))
        return dl_fail(DL_INVALID, "two weights are named '%s'", name.at);
    return dl_bundle_put(w->bundle, name.at, tensor);
}

static dl_status put_weight(writer *w, const char *path, const dl_weight *weight) {
    const char *slot_name;
    dl_value name;
    DL_TRY(put_tensor(w, join("", path, weight->name, NULL), weight->value));
    DL_TRY(dl_value_string(w->context, join("", path, weight->name, NULL).at, &name));
    DL_TRY(dl_value_append(w->context, &w->names, &name));
    if (!w->optimizer || !weight->trainable)
        return DL_OK;
    for (int i = 0;; i++) {
        dl_clear_error();
        dl_tensor *slot = dl_optimizer_slot(w->optimizer, weight->value, i, &slot_name);
        if (!slot_name)
            return DL_OK;
        DL_TRY(dl_last_status());
        if (slot)
            DL_TRY(put_tensor(w, join(OPTIMIZER, path, weight->name, slot_name), slot));
    }
}

/* Seeds and stream numbers are 64 bits without a sign; JSON's whole numbers have one, and keep the bits. */
static dl_status put_stream(writer *w, const char *path, const dl_layer *layer) {
    dl_value place = dl_value_list();
    dl_status status = append_int(w->context, &place, (int64_t)layer->stream.seed);
    if (status == DL_OK)
        status = append_int(w->context, &place, (int64_t)layer->stream.stream);
    if (status == DL_OK)
        status = append_int(w->context, &place, (int64_t)layer->stream.position);
    return put_made(w->context, status, w->streams, path, &place);
}

static dl_status put_layer(void *argument, dl_layer *layer, const char *path) {
    writer *w = argument;
    for (int i = 0; i < layer->weight_count; i++)
        DL_TRY(put_weight(w, path, &layer->weights[i]));
    if (w->streams && (dl_layer_definition(layer)->flags & DL_LAYER_RANDOM))
        return put_stream(w, path, layer);
    return DL_OK;
}

/* The weights, and the list of their names. */
static dl_status put_weights(writer *w, dl_model *model) {
    w->names = dl_value_list();
    dl_status status = dl_layer_walk(model, put_layer, w);
    return put_text(w->bundle, w->context, status, "weights", &w->names);
}

static dl_status put_inputs(writer *w, dl_model *model) {
    dl_value list = dl_value_list();
    dl_status status = DL_OK;
    const dl_spec *spec;
    for (int k = 0; status == DL_OK && model->built && (spec = dl_model_input_spec(model, k)); k++) {
        dl_value input = dl_value_map();
        dl_value dtype;
        dl_value shape = dl_value_list();
        status = dl_value_string(w->context, dl_dtype_name(spec->dtype), &dtype);
        if (status == DL_OK)
            status = dl_value_put(w->context, &input, "dtype", &dtype);
        for (int i = 0; status == DL_OK && i < spec->dims; i++) {
            dl_value size = {.kind = DL_VALUE_NONE};
            if (spec->shape[i] != DL_NONE)
                size = dl_value_int(spec->shape[i]);
            status = dl_value_append(w->context, &shape, &size);
        }
        status = put_made(w->context, status, &input, "shape", &shape);
        status = append_made(w->context, status, &list, &input);
    }
    return put_text(w->bundle, w->context, status, "inputs", &list);
}

/* Whether a file can name the object: one whose class is not registered, such as a host's own loss, it cannot. */
static bool is_registered(dl_context *context, const dl_object *object) {
    return !object || dl_find_definition(context, object->family, object->definition->name) == object->definition;
}

static bool can_be_saved(dl_context *context, const dl_trainer *trainer) {
    bool all = true;
    for (int k = 0; k < trainer->output_count; k++)
        all = all && is_registered(context, trainer->losses[k]);
    for (int i = 0; i < trainer->metric_count; i++)
        all = all && is_registered(context, &trainer->metrics[i]->object);
    return all;
}

static dl_status append_object(dl_context *context, dl_value *list, const dl_object *object) {
    dl_value value = {.kind = DL_VALUE_NONE};
    dl_status status = object ? dl_object_to_value(context, object, &value) : DL_OK;
    return append_made(context, status, list, &value);
}

static dl_status put_compile(writer *w, const dl_trainer *trainer) {
    dl_context *context = w->context;
    dl_value map = dl_value_map();
    dl_value optimizer = {.kind = DL_VALUE_NONE};
    dl_value losses = dl_value_list();
    dl_value loss_weights = dl_value_list();
    dl_value metrics = dl_value_list();
    int metric = 0;
    dl_status status = dl_object_to_value(context, (const dl_object *)trainer->optimizer, &optimizer);
    for (int k = 0; status == DL_OK && k < trainer->output_count; k++) {
        dl_value weight = dl_value_real(trainer->loss_weights[k]);
        dl_value own = dl_value_list();
        status = append_object(context, &losses, trainer->losses[k]);
        if (status == DL_OK)
            status = dl_value_append(context, &loss_weights, &weight);
        for (int i = 0; status == DL_OK && i < trainer->metric_counts[k]; i++)
            status = append_object(context, &own, &trainer->metrics[metric++]->object);
        status = append_made(context, status, &metrics, &own);
    }
    status = put_made(context, status, &map, "optimizer", &optimizer);
    status = put_made(context, status, &map, "losses", &losses);
    status = put_made(context, status, &map, "loss_weights", &loss_weights);
    status = put_made(context, status, &map, "metrics", &metrics);
    return put_text(w->bundle, context, status, "compile", &map);
}

static dl_status put_training(writer *w, dl_value *streams) {
    dl_value map = dl_value_map();
    dl_status status = DL_OK;
    if (w->optimizer) {
        dl_value rate = dl_value_real(dl_optimizer_learning_rate(w->optimizer));
        status = put_int(w->context, &map, "iterations", dl_optimizer_iterations(w->optimizer));
        if (status == DL_OK)
            status = dl_value_put(w->context, &map, "learning_rate", &rate);
        if (status == DL_OK && dl_optimizer_waiting(w->optimizer) > 0)
            status = put_int(w->context, &map, "waiting", dl_optimizer_waiting(w->optimizer));
    }
    status = put_made(w->context, status, &map, "streams", streams);
    return put_text(w->bundle, w->context, status, "training", &map);
}

static dl_status put_header(writer *w, dl_model *model, const dl_value *extra) {
    dl_value architecture = {.kind = DL_VALUE_NONE};
    dl_value copy = {.kind = DL_VALUE_NONE};
    DL_TRY(dl_bundle_put_text(w->bundle, "format", FORMAT));
    DL_TRY(dl_bundle_put_text(w->bundle, "format_version", FORMAT_VERSION));
    DL_TRY(dl_bundle_put_text(w->bundle, "dlua_version", DL_VERSION));
    dl_status status = dl_model_to_config(model, &architecture);
    DL_TRY(put_text(w->bundle, w->context, status, "architecture", &architecture));
    DL_TRY(put_inputs(w, model));
    if (!extra)
        return DL_OK;
    return put_text(w->bundle, w->context, dl_value_copy(w->context, extra, &copy), "extra", &copy);
}

static dl_status put_model(writer *w, dl_model *model, const dl_value *extra) {
    dl_value streams = dl_value_map();
    w->optimizer = dl_model_optimizer(model);
    w->streams = &streams;
    dl_status status = put_header(w, model, extra);
    if (status == DL_OK)
        status = put_weights(w, model);
    if (status == DL_OK && model->trainer && can_be_saved(w->context, model->trainer))
        status = put_compile(w, model->trainer);
    if (status == DL_OK)
        status = put_training(w, &streams);
    dl_value_clear(&streams);
    return status;
}

dl_status dl_model_save(dl_model *model, const char *path, const dl_value *extra) {
    writer w = {.context = model->object.context};
    DL_TRY(dl_bundle_create(w.context, &w.bundle));
    dl_status status = put_model(&w, model, extra);
    if (status == DL_OK)
        status = dl_save_safetensors(w.bundle, path);
    dl_bundle_free(w.bundle);
    return status;
}

dl_status dl_model_save_weights(dl_model *model, const char *path) {
    writer w = {.context = model->object.context};
    DL_TRY(dl_bundle_create(w.context, &w.bundle));
    dl_status status = put_weights(&w, model);
    if (status == DL_OK)
        status = dl_save_safetensors(w.bundle, path);
    dl_bundle_free(w.bundle);
    return status;
}

/* ---- reading weights --------------------------------------------------------------------------------------------- */

/* Which tensor of the file a weight takes: the one of its own path; or, with `order`, the one whose path lies at the
 * weight's place in that list. */
typedef struct reader {
    dl_context *context;
    const dl_bundle *bundle;
    const dl_value *order; /* NULL: by their paths */
    bool by_name;          /* weights that the file has not are left as they are */
    bool skip_mismatch;    /* so are those of another shape */
    bool writes;           /* the second pass, after all was checked */
    dl_optimizer *optimizer; /* of the model; NULL: weights alone */
    int64_t place;           /* of the next weight in `order` */
    int64_t found;           /* weights of the model that the file has */
} reader;

/* Says in `same` whether the file's tensor `from` fits the weight `name`, or one that does not is left alone. */
static dl_status check_tensor(const reader *r, const char *name, const char *from, const dl_tensor *want,
                              const dl_tensor *got, bool *same) {
    *same = got && dl_dtype_is_float(dl_tensor_dtype(got)) && dl_tensor_same_shape(want, got);
    if (*same || (got ? r->skip_mismatch : r->by_name))
        return DL_OK;
    if (!got)
        return dl_fail(DL_NOT_FOUND, "the file has no tensor '%s'; load_weights with by_name = true skips it", from);
    return dl_fail(DL_SHAPE, "'%s' must be %s, and '%s' of the file is %s %s; skip_mismatch = true leaves it as it is",
                   name, dl_tensor_text(want).at, from, dl_dtype_name(dl_tensor_dtype(got)), dl_tensor_text(got).at);
}

static dl_status read_tensor(reader *r, path_text name, const char *from_name, dl_tensor *to) {
    const dl_tensor *from = dl_bundle_get(r->bundle, from_name);
    bool same;
    DL_TRY(check_tensor(r, name.at, from_name, to, from, &same));
    r->found += from != NULL;
    return same && r->writes ? dl_tensor_copy(to, from) : DL_OK;
}

/* The weight's own name, "kernel", in its path. */
static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static dl_status read_weight(reader *r, path_text name, dl_tensor *to) {
    if (!r->order)
        return read_tensor(r, name, name.at, to);
    const char *from = r->order->as.list.items[r->place++].as.string;
    if (strcmp(last_part(from), last_part(name.at)) != 0 && !r->skip_mismatch)
        return dl_fail(DL_INVALID, "weight %lld is '%s', but '%s' in the file: the layers are not the same ones; "
                       "by_name = true loads those with equal names", (long long)r->place, name.at, from);
    return read_tensor(r, name, from, to);
}

static dl_status read_layer(void *argument, dl_layer *layer, const char *path) {
    reader *r = argument;
    for (int i = 0; i < layer->weight_count; i++) {
        const dl_weight *weight = &layer->weights[i];
        const char *slot_name;
        DL_TRY(read_weight(r, join("", path, weight->name, NULL), weight->value));
        for (int k = 0; r->optimizer && weight->trainable; k++) {
            dl_clear_error();
            dl_tensor *slot = dl_optimizer_slot(r->optimizer, weight->value, k, &slot_name);
            if (!slot_name)
                break;
            DL_TRY(dl_last_status());
            path_text name = join(OPTIMIZER, path, weight->name, slot_name);
            if (slot)
                DL_TRY(read_tensor(r, name, name.at, slot));
        }
    }
    return DL_OK;
}

/* Tensors of the file that no weight took are a mistake. */
static dl_status check_all_taken(const reader *r) {
    int64_t total = 0;
    dl_tensor *tensor;
    for (int64_t k = 0; k < dl_bundle_count(r->bundle); k++) {
        const char *name = dl_bundle_name(r->bundle, k, &tensor);
        total += r->optimizer || strncmp(name, OPTIMIZER, strlen(OPTIMIZER)) != 0;
    }
    if (total == r->found)
        return DL_OK;
    return dl_fail(DL_FORMAT, "the file has %lld tensors and the model takes %lld of them: another model was saved",
                   (long long)total, (long long)r->found);
}

/* Checks all, then writes all. */
static dl_status read_weights(reader *r, dl_model *model) {
    DL_TRY(dl_layer_walk(model, read_layer, r));
    if (!r->by_name)
        DL_TRY(check_all_taken(r));
    else if (r->found == 0)
        return dl_fail(DL_NOT_FOUND, "the file has no weight with the name of one of %s's", model->name);
    r->writes = true;
    r->place = 0;
    return dl_layer_walk(model, read_layer, r);
}

static dl_status count_weights(void *argument, dl_layer *layer, const char *path) {
    (void)path;
    *(int64_t *)argument += layer->weight_count;
    return DL_OK;
}

/* Checks the list of the file's weights, for a model that takes them in that order. */
static dl_status check_order(const dl_value *order, dl_model *model) {
    int64_t count = 0;
    if (order->kind != DL_VALUE_LIST)
        return dl_fail(DL_FORMAT, "the metadata 'weights' must be a list of names");
    for (int64_t k = 0; k < order->as.list.count; k++)
        if (order->as.list.items[k].kind != DL_VALUE_STRING)
            return dl_fail(DL_FORMAT, "the metadata 'weights' must be a list of names");
    DL_TRY(dl_layer_walk(model, count_weights, &count));
    if (count == order->as.list.count)
        return DL_OK;
    return dl_fail(DL_INVALID, "the file has %lld weights and the model %lld: another model was saved; by_name = true "
                   "loads those with equal names", (long long)order->as.list.count, (long long)count);
}

/* A file that another program wrote has no order of layers: there the names decide. */
static dl_status read_in_order(reader *r, dl_model *model) {
    dl_value order;
    DL_TRY(get_text(r->bundle, r->context, "weights", &order));
    dl_status status = DL_OK;
    if (order.kind != DL_VALUE_NONE && !r->by_name) {
        status = check_order(&order, model);
        r->order = &order;
    }
    if (status == DL_OK)
        status = read_weights(r, model);
    dl_value_clear(&order);
    r->order = NULL;
    return status;
}

dl_status dl_model_load_weights(dl_model *model, const char *path, bool by_name, bool skip_mismatch) {
    dl_context *context = model->object.context;
    dl_bundle *bundle;
    if (!model->built)
        return dl_fail(DL_STATE, "%s has no weights yet: build it first (input_shape, or one call)", model->name);
    DL_TRY(dl_load_safetensors(context, path, &bundle));
    reader r = {.context = context, .bundle = bundle, .by_name = by_name, .skip_mismatch = skip_mismatch};
    dl_status status = read_in_order(&r, model);
    dl_bundle_free(bundle);
    return status == DL_OK ? DL_OK : dl_fail_prefix("'%s'", path);
}

/* ---- reading the rest -------------------------------------------------------------------------------------------- */

static dl_status check_format(const reader *r) {
    const char *format = dl_bundle_text(r->bundle, "format");
    const char *version = dl_bundle_text(r->bundle, "format_version");
    if (!format || strcmp(format, FORMAT) != 0 || !dl_bundle_text(r->bundle, "architecture"))
        return dl_fail(DL_FORMAT, "the file is not a model saved by dlua; for a file of weights there is load_weights");
    if (!version || strcmp(version, FORMAT_VERSION) != 0)
        return dl_fail(DL_FORMAT, "the file has format_version %s (written by dlua %s), and this dlua %s knows %s; use "
                       "a newer dlua", version ? version : "none",
                       dl_bundle_text(r->bundle, "dlua_version") ? dl_bundle_text(r->bundle, "dlua_version") : "?",
                       DL_VERSION, FORMAT_VERSION);
    return DL_OK;
}

static dl_status fail_architecture(const reader *r, dl_status status) {
    const char *version = dl_bundle_text(r->bundle, "dlua_version");
    const char *hint =
        status == DL_NOT_FOUND ? "; define classes of your own first: run the file with their layers.define" : "";
    char message[1024];
    snprintf(message, sizeof message, "%s", dl_last_error());
    return dl_fail(status, "written by dlua %s: %s%s", version ? version : "?", message, hint);
}

static int64_t count_elements(const dl_bundle *bundle) {
    int64_t total = 0;
    dl_tensor *tensor;
    for (int64_t k = 0; k < dl_bundle_count(bundle); k++) {
        dl_bundle_name(bundle, k, &tensor);
        total += dl_tensor_numel(tensor);
    }
    return total;
}

static dl_status read_architecture(const reader *r, dl_model **out) {
    dl_value config;
    dl_status status = get_text(r->bundle, r->context, "architecture", &config);
    if (status == DL_OK)
        status = dl_model_from_config(r->context, &config, out);
    dl_value_clear(&config);
    return status == DL_OK ? DL_OK : fail_architecture(r, status);
}

static dl_status read_spec(const dl_value *input, dl_spec *spec) {
    const dl_value *dtype = dl_value_get(input, "dtype");
    const dl_value *shape = dl_value_get(input, "shape");
    if (!dtype || dtype->kind != DL_VALUE_STRING || !shape || shape->kind != DL_VALUE_LIST ||
        shape->as.list.count < 1 || shape->as.list.count > DL_MAX_DIMS)
        return dl_fail(DL_FORMAT, "the metadata 'inputs' must be a list of {dtype, shape}");
    DL_TRY(dl_dtype_from_name(dtype->as.string, &spec->dtype));
    spec->dims = (int)shape->as.list.count;
    for (int i = 0; i < spec->dims; i++) {
        const dl_value *size = &shape->as.list.items[i];
        if (size->kind != DL_VALUE_NONE && (size->kind != DL_VALUE_INT || size->as.integer < 0))
            return dl_fail(DL_FORMAT, "the metadata 'inputs' has a size that is no whole number");
        spec->shape[i] = size->kind == DL_VALUE_NONE ? DL_NONE : size->as.integer;
    }
    return DL_OK;
}

/* A layer that is no graph is built for the input it was built for when it was saved. */
static dl_status build_as_saved(const reader *r, dl_model *model) {
    dl_value list;
    dl_spec spec;
    if (model->built)
        return DL_OK;
    DL_TRY(get_text(r->bundle, r->context, "inputs", &list));
    dl_status status = DL_OK;
    if (list.kind == DL_VALUE_LIST && list.as.list.count == 1) {
        status = read_spec(&list.as.list.items[0], &spec);
        if (status == DL_OK)
            status = dl_layer_build(model, &(dl_inputs){&spec, 1, NULL});
    }
    dl_value_clear(&list);
    return status;
}

/* What a saved compile holds, as objects. */
typedef struct compiled {
    int outputs, metrics;
    dl_object *optimizer;
    dl_object *losses[DL_MAX_LAYER_OUTPUTS];
    double loss_weights[DL_MAX_LAYER_OUTPUTS];
    int metric_counts[DL_MAX_LAYER_OUTPUTS];
    dl_object *all_metrics[DL_MAX_LAYER_OUTPUTS * 16];
} compiled;

static dl_status fail_compile(void) {
    return dl_fail(DL_FORMAT, "the metadata 'compile' must hold optimizer, losses, loss_weights and metrics");
}

static bool is_list(const dl_value *value, int64_t count) {
    return value && value->kind == DL_VALUE_LIST && value->as.list.count == count;
}

static dl_status read_metrics(dl_context *context, compiled *c, int k, const dl_value *list) {
    if (!is_list(list, list->as.list.count))
        return fail_compile();
    for (int64_t i = 0; i < list->as.list.count; i++) {
        if (c->metrics == DL_COUNT(c->all_metrics))
            return dl_fail(DL_FORMAT, "the metadata 'compile' has more than %d metrics", DL_COUNT(c->all_metrics));
        DL_TRY(dl_object_from_value(context, &dl_metric_family, &list->as.list.items[i],
                                    &c->all_metrics[c->metrics]));
        c->metrics++;
        c->metric_counts[k]++;
    }
    return DL_OK;
}

static dl_status read_compiled(dl_context *context, compiled *c, const dl_value *map) {
    const dl_value *optimizer = dl_value_get(map, "optimizer");
    const dl_value *losses = dl_value_get(map, "losses");
    const dl_value *weights = dl_value_get(map, "loss_weights");
    const dl_value *metrics = dl_value_get(map, "metrics");
    if (!optimizer || !is_list(losses, c->outputs) || !is_list(weights, c->outputs) || !is_list(metrics, c->outputs))
        return fail_compile();
    DL_TRY(dl_object_from_value(context, &dl_optimizer_family, optimizer, &c->optimizer));
    for (int k = 0; k < c->outputs; k++) {
        const dl_value *loss = &losses->as.list.items[k];
        const dl_value *weight = &weights->as.list.items[k];
        if (loss->kind != DL_VALUE_NONE)
            DL_TRY(dl_object_from_value(context, &dl_loss_family, loss, &c->losses[k]));
        if (weight->kind != DL_VALUE_REAL && weight->kind != DL_VALUE_INT)
            return fail_compile();
        c->loss_weights[k] = weight->kind == DL_VALUE_REAL ? weight->as.real : (double)weight->as.integer;
        DL_TRY(read_metrics(context, c, k, &metrics->as.list.items[k]));
    }
    return DL_OK;
}

static void clear_compiled(compiled *c) {
    dl_object_release(c->optimizer);
    for (int k = 0; k < DL_MAX_LAYER_OUTPUTS; k++)
        dl_object_release(c->losses[k]);
    for (int i = 0; i < c->metrics; i++)
        dl_object_release(c->all_metrics[i]);
}

static dl_status read_compile(const reader *r, dl_model *model) {
    dl_value map;
    DL_TRY(get_text(r->bundle, r->context, "compile", &map));
    if (map.kind == DL_VALUE_NONE)
        return DL_OK;
    compiled c = {.outputs = DL_MAX(dl_model_outputs(model), 1)};
    dl_status status = read_compiled(r->context, &c, &map);
    if (status == DL_OK) {
        dl_compile compile = {sizeof compile, (dl_optimizer *)c.optimizer, c.losses, c.loss_weights, c.all_metrics,
                              c.metric_counts};
        status = dl_model_compile(model, &compile);
    }
    clear_compiled(&c);
    dl_value_clear(&map);
    return status;
}

static dl_status read_stream(void *argument, dl_layer *layer, const char *path) {
    const dl_value *place = dl_value_get(argument, path);
    if (!place || !(dl_layer_definition(layer)->flags & DL_LAYER_RANDOM))
        return DL_OK;
    if (!is_list(place, 3))
        return dl_fail(DL_FORMAT, "the metadata 'training' must have {seed, stream, position} for '%s'", path);
    const dl_value *items = place->as.list.items;
    for (int i = 0; i < 3; i++)
        if (items[i].kind != DL_VALUE_INT)
            return dl_fail(DL_FORMAT, "the metadata 'training' must have whole numbers for '%s'", path);
    layer->stream = (dl_stream){(uint64_t)items[0].as.integer, (uint64_t)items[1].as.integer,
                                (uint64_t)items[2].as.integer};
    return DL_OK;
}

static dl_status apply_training(dl_model *model, const dl_value *map) {
    const dl_value *iterations = dl_value_get(map, "iterations");
    const dl_value *rate = dl_value_get(map, "learning_rate");
    const dl_value *streams = dl_value_get(map, "streams");
    dl_optimizer *optimizer = dl_model_optimizer(model);
    if (optimizer && iterations && iterations->kind == DL_VALUE_INT && iterations->as.integer >= 0)
        dl_optimizer_set_iterations(optimizer, iterations->as.integer);
    const dl_value *waiting = dl_value_get(map, "waiting");
    if (optimizer)
        dl_optimizer_set_waiting(optimizer, waiting && waiting->kind == DL_VALUE_INT && waiting->as.integer > 0
                                                ? waiting->as.integer : 0);
    bool scheduled = optimizer && DL_OPTIONS(optimizer, dl_optimizer_options)->learning_rate.which != 0;
    if (optimizer && !scheduled && rate && rate->kind == DL_VALUE_REAL)
        DL_TRY(dl_optimizer_set_learning_rate(optimizer, rate->as.real));
    if (streams && streams->kind == DL_VALUE_MAP)
        return dl_layer_walk(model, read_stream, (void *)streams);
    return DL_OK;
}

static dl_status read_training(const reader *r, dl_model *model) {
    dl_value map;
    DL_TRY(get_text(r->bundle, r->context, "training", &map));
    dl_status status = map.kind == DL_VALUE_MAP ? apply_training(model, &map) : DL_OK;
    dl_value_clear(&map);
    return status;
}

static dl_status read_model(reader *r, dl_model *model) {
    DL_TRY(read_compile(r, model));
    r->optimizer = dl_model_optimizer(model);
    DL_TRY(read_weights(r, model));
    return read_training(r, model);
}

static dl_status load_bundle(reader *r, dl_model **out, dl_value *extra) {
    dl_model *model = NULL;
    DL_TRY(check_format(r));
    DL_TRY(dl_loading_begin(r->context, count_elements(r->bundle)));
    dl_status status = read_architecture(r, &model);
    if (status == DL_OK)
        status = build_as_saved(r, model);
    dl_loading_end(r->context);
    if (status == DL_OK)
        status = read_model(r, model);
    if (status == DL_OK && extra)
        status = get_text(r->bundle, r->context, "extra", extra);
    if (status == DL_OK)
        *out = model;
    else if (model)
        dl_object_release(&model->object);
    return status;
}

dl_status dl_model_load(dl_context *context, const char *path, dl_model **out, dl_value *extra) {
    dl_bundle *bundle;
    DL_TRY(dl_load_safetensors(context, path, &bundle));
    reader r = {.context = context, .bundle = bundle};
    dl_status status = load_bundle(&r, out, extra);
    dl_bundle_free(bundle);
    return status == DL_OK ? DL_OK : dl_fail_prefix("'%s'", path);
}

static dl_status restore_bundle(reader *r, dl_model *model, dl_value *extra) {
    DL_TRY(check_format(r));
    if (!model->built)
        DL_TRY(build_as_saved(r, model));
    r->optimizer = dl_model_optimizer(model);
    DL_TRY(read_weights(r, model));
    DL_TRY(read_training(r, model));
    return extra ? get_text(r->bundle, r->context, "extra", extra) : DL_OK;
}

dl_status dl_model_restore(dl_model *model, const char *path, dl_value *extra) {
    reader r = {.context = model->object.context};
    dl_bundle *bundle;
    DL_TRY(dl_load_safetensors(r.context, path, &bundle));
    r.bundle = bundle;
    dl_status status = restore_bundle(&r, model, extra);
    dl_bundle_free(bundle);
    return status == DL_OK ? DL_OK : dl_fail_prefix("'%s'", path);
}
