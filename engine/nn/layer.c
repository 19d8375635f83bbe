/* nn/layer.c: what all layers have in common: names, weights, building, the checks before a call, and the call.
 *
 * Always true: a layer's weights are contiguous tensors of its dtype that no scope owns; a built layer keeps its weight
 * tensors for its life (new values are written into them). */
#include <stdio.h>
#include <string.h>

#include "nn/families.h"

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static dl_status name_layer(dl_layer *layer) {
    dl_layer_options *options = layer->object.options;
    if (!options->name) {
        options->name = dl_unique_name(layer->object.context, dl_layer_class(layer));
        if (!options->name)
            return dl_last_status();
    }
    layer->name = options->name;
    if (!*layer->name || strchr(layer->name, '/'))
        return dl_fail(DL_INVALID, "%s: name must not be empty or have a '/', got '%s'", dl_layer_class(layer),
                       layer->name);
    return DL_OK;
}

dl_status dl_layer_init(dl_object *object) {
    dl_layer *layer = (dl_layer *)object;
    const dl_layer_def *definition = dl_layer_definition(layer);
    DL_TRY(name_layer(layer));
    layer->trainable = dl_layer_common(layer)->trainable;
    layer->dtype = (dl_dtype)dl_layer_common(layer)->dtype;
    layer->initial = dl_new_stream(object->context);
    layer->stream = dl_new_stream(object->context);
    if (definition->init && definition->init(layer) != DL_OK)
        return dl_layer_fail_path(layer);
    return DL_OK;
}

static void drop_weights(dl_layer *layer, int keep) {
    while (layer->weight_count > keep) {
        dl_weight *weight = &layer->weights[--layer->weight_count];
        dl_free(weight->name);
        dl_release(weight->value);
        dl_object_release(weight->regularizer);
    }
}

void dl_layer_finalize(dl_object *object) {
    dl_layer *layer = (dl_layer *)object;
    dl_trainer_free(layer->trainer);
    layer->trainer = NULL;
    if (dl_layer_definition(layer)->finalize)
        dl_layer_definition(layer)->finalize(layer);
    drop_weights(layer, 0);
    dl_free(layer->weights);
    for (int i = 0; i < layer->child_count; i++)
        dl_object_release(&layer->children[i]->object);
    dl_free(layer->children);
    layer->weights = NULL;
    layer->children = NULL;
    layer->child_count = 0;
}

dl_status dl_layer_create(dl_context *context, const char *class_name, const void *options, dl_layer **out) {
    const dl_definition *definition = dl_find_definition(context, &dl_layer_family, class_name);
    if (!definition) {
        const char *near = dl_nearest_definition(context, &dl_layer_family, class_name);
        return dl_fail(DL_NOT_FOUND, "there is no layer '%s'%s%s%s", class_name, near ? "; did you mean '" : "",
                       near ? near : "", near ? "'?" : "");
    }
    dl_object *object = NULL;
    DL_TRY(dl_object_create(context, &dl_layer_family, definition, options, &object));
    *out = (dl_layer *)object;
    return DL_OK;
}

/* ---- weights and children ---------------------------------------------------------------------------------------- */

dl_status dl_layer_add_weight(dl_layer *layer, const char *name, int dims, const int64_t *shape,
                              dl_object *initializer, dl_object *regularizer, bool trainable) {
    dl_context *context = layer->object.context;
    if (layer->built)
        return dl_fail(DL_STATE, "%s: weights are made in build, and this layer is built; add '%s' there", layer->name,
                       name);
    dl_weight *weights = dl_realloc(context, layer->weights, (size_t)(layer->weight_count + 1) * sizeof(dl_weight));
    if (!weights)
        return dl_last_status();
    layer->weights = weights;
    dl_weight *weight = &weights[layer->weight_count];
    *weight = (dl_weight){.trainable = trainable};
    layer->weight_count++;
    bool loading;
    dl_status status = dl_loading_take(context, dims, shape, &loading);
    if (status == DL_OK) {
        weight->name = dl_strdup(context, name);
        weight->value = weight->name ? dl_tensor_new(context, layer->dtype, dims, shape) : NULL;
        status = weight->value ? DL_OK : dl_last_status();
    }
    if (status == DL_OK && !loading)
        status = dl_initialize(initializer, &layer->initial, weight->value);
    if (status == DL_OK && trainable && layer->trainable)
        status = dl_requires_grad_(weight->value, true);
    if (status != DL_OK) {
        drop_weights(layer, layer->weight_count - 1);
        return status;
    }
    if (regularizer) {
        dl_object_retain(regularizer);
        weight->regularizer = regularizer;
    }
    return DL_OK;
}

dl_status dl_layer_add_child(dl_layer *layer, dl_layer *child) {
    size_t bytes = (size_t)(layer->child_count + 1) * sizeof *layer->children;
    dl_layer **children = dl_realloc(layer->object.context, layer->children, bytes);
    if (!children)
        return dl_last_status();
    layer->children = children;
    dl_object_retain(&child->object);
    children[layer->child_count++] = child;
    return DL_OK;
}

typedef struct walk_state {
    uint64_t number;
    dl_layer_visitor visit;
    void *argument;
    char path[512];
} walk_state;

static dl_status walk_below(walk_state *walk, dl_layer *layer, size_t length) {
    layer->walk = walk->number;
    DL_TRY(walk->visit(walk->argument, layer, walk->path));
    for (int i = 0; i < layer->child_count; i++) {
        dl_layer *child = layer->children[i];
        if (child->walk == walk->number)
            continue;
        int added = snprintf(walk->path + length, sizeof walk->path - length, "%s/", child->name);
        if (added < 0 || (size_t)added >= sizeof walk->path - length)
            return dl_fail(DL_INVALID, "the path of layer '%s' is longer than %zu characters", child->name,
                           sizeof walk->path - 1);
        DL_TRY(walk_below(walk, child, length + (size_t)added));
        walk->path[length] = '\0';
    }
    return DL_OK;
}

dl_status dl_layer_walk(dl_layer *root, dl_layer_visitor visit, void *argument) {
    walk_state walk = {dl_next_walk(root->object.context), visit, argument, ""};
    return walk_below(&walk, root, 0);
}

typedef struct weight_search {
    int64_t left;
    dl_weight *found;
    char *text;
    size_t size;
} weight_search;

static dl_status search_weight(void *argument, dl_layer *layer, const char *path) {
    weight_search *search = argument;
    if (search->found)
        return DL_OK;
    if (search->left >= layer->weight_count) {
        search->left -= layer->weight_count;
        return DL_OK;
    }
    search->found = &layer->weights[search->left];
    if (search->text)
        snprintf(search->text, search->size, "%s%s", path, search->found->name);
    return DL_OK;
}

dl_weight *dl_layer_weight(dl_layer *layer, int64_t k, char *text, size_t size) {
    weight_search search = {k, NULL, text, size};
    if (k < 0 || dl_layer_walk(layer, search_weight, &search) != DL_OK)
        return NULL;
    return search.found;
}

typedef struct weight_total {
    bool trainable_only;
    int64_t count;
} weight_total;

static dl_status add_sizes(void *argument, dl_layer *layer, const char *path) {
    (void)path;
    weight_total *total = argument;
    for (int i = 0; i < layer->weight_count; i++)
        if (!total->trainable_only || (layer->trainable && layer->weights[i].trainable))
            total->count += dl_tensor_numel(layer->weights[i].value);
    return DL_OK;
}

int64_t dl_layer_count_params(const dl_layer *layer, bool trainable_only) {
    weight_total total = {trainable_only, 0};
    dl_layer_walk((dl_layer *)layer, add_sizes, &total); /* the walk writes its marks only */
    return total.count;
}

static dl_status set_trainable(void *argument, dl_layer *layer, const char *path) {
    (void)path;
    bool trainable = *(bool *)argument;
    layer->trainable = trainable;
    ((dl_layer_options *)layer->object.options)->trainable = trainable;
    for (int i = 0; i < layer->weight_count; i++)
        DL_TRY(dl_requires_grad_(layer->weights[i].value, trainable && layer->weights[i].trainable));
    return DL_OK;
}

void dl_layer_set_trainable(dl_layer *layer, bool trainable) {
    dl_layer_walk(layer, set_trainable, &trainable);
}

/* ---- building and checking --------------------------------------------------------------------------------------- */

static dl_status check_one_input(const dl_layer *layer, const dl_spec *in) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    const char *name = dl_layer_class(layer);
    if (in->dims < definition->minimum_dims || (definition->maximum_dims && in->dims > definition->maximum_dims)) {
        if (definition->minimum_dims == definition->maximum_dims)
            return dl_fail(DL_SHAPE, "%s takes inputs of %d dimensions (the batch counted), got %s", name,
                           definition->minimum_dims, dl_spec_text_of(in).at);
        return dl_fail(DL_SHAPE, "%s takes inputs of %d or more dimensions (the batch counted), got %s", name,
                       definition->minimum_dims, dl_spec_text_of(in).at);
    }
    if (!(definition->flags & DL_LAYER_ANY_DTYPE) && in->dtype != layer->dtype)
        return dl_fail(DL_DTYPE, "%s computes in %s, got inputs of %s %s; convert them first (x:to(\"%s\"))", name,
                       dl_dtype_name(layer->dtype), dl_dtype_name(in->dtype), dl_spec_text_of(in).at,
                       dl_dtype_name(layer->dtype));
    return DL_OK;
}

static dl_status check_inputs(const dl_layer *layer, const dl_spec *in, int inputs) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    bool many = definition->maximum_inputs && inputs > definition->maximum_inputs;
    if (inputs < definition->minimum_inputs || many)
        return dl_fail(DL_INVALID, "%s takes %d input%s%s, got %d", dl_layer_class(layer),
                       many ? definition->maximum_inputs : definition->minimum_inputs,
                       (many ? definition->maximum_inputs : definition->minimum_inputs) == 1 ? "" : "s",
                       definition->maximum_inputs == definition->minimum_inputs ? "" : many ? " at most" : " or more",
                       inputs);
    for (int i = 0; i < inputs; i++)
        DL_TRY(check_one_input(layer, &in[i]));
    return DL_OK;
}

dl_status dl_layer_check_sizes(const dl_layer *layer, const dl_spec *in) {
    for (int i = 1; i < in->dims; i++)
        if (in->shape[i] == 0)
            return dl_fail(DL_SHAPE, "%s cannot take inputs with a size of zero, got %s", dl_layer_class(layer),
                           dl_spec_text_of(in).at);
    return DL_OK;
}

dl_status dl_layer_fail_built(const dl_layer *layer, const dl_spec *in) {
    return dl_fail(DL_SHAPE, "%s built for inputs %s, got %s", dl_layer_class(layer),
                   dl_spec_text_of(&layer->input).at, dl_spec_text_of(in).at);
}

static dl_status infer_built(const dl_layer *layer, const dl_spec *in, int inputs, dl_spec *out, int *outputs) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    DL_TRY(check_inputs(layer, in, inputs));
    if (definition->infer)
        return definition->infer(layer, in, inputs, out, outputs);
    out[0] = in[0];
    *outputs = 1;
    return DL_OK;
}

dl_status dl_layer_build(dl_layer *layer, const dl_spec *in, int inputs) {
    if (layer->built)
        return DL_OK;
    const dl_layer_def *definition = dl_layer_definition(layer);
    dl_stream before = layer->initial;
    dl_status status = check_inputs(layer, in, inputs);
    if (status == DL_OK && inputs > 0) {
        layer->input = in[0];
        layer->input.shape[0] = DL_NONE;
    }
    if (status == DL_OK && definition->build)
        status = definition->build(layer, in, inputs);
    if (status == DL_OK) {
        layer->built = true;
        return DL_OK;
    }
    drop_weights(layer, 0);
    layer->initial = before;
    return dl_layer_fail_path(layer);
}

dl_status dl_layer_infer(dl_layer *layer, const dl_spec *in, int inputs, dl_spec *out, int *outputs) {
    DL_TRY(dl_layer_build(layer, in, inputs));
    if (infer_built(layer, in, inputs, out, outputs) != DL_OK)
        return dl_layer_fail_path(layer);
    return DL_OK;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

dl_status dl_call_return(dl_layer_call *call, dl_tensor *out) {
    call->out[0] = out;
    call->outputs = 1;
    return out ? DL_OK : dl_last_status();
}

void dl_call_release(dl_layer_call *call) {
    for (int i = 0; i < call->outputs; i++)
        dl_release(call->out[i]);
    dl_release(call->out_mask);
    call->outputs = 0;
    call->out_mask = NULL;
}

dl_status dl_call_finish(dl_layer *layer, dl_layer_call *call, size_t scope, dl_status status) {
    for (int i = 0; status == DL_OK && i < call->outputs; i++)
        if (!call->out[i])
            status = dl_fail(DL_STATE, "%s made no output %d", dl_layer_class(layer), i + 1);
    if (status == DL_OK) {
        for (int i = 0; i < call->outputs; i++)
            dl_retain(call->out[i]);
        if (!call->out_mask && (dl_layer_definition(layer)->flags & DL_LAYER_KEEPS_MASK) && call->masks)
            call->out_mask = call->masks[0];
        if (call->out_mask)
            dl_retain(call->out_mask);
    } else {
        call->outputs = 0;
        call->out_mask = NULL;
    }
    dl_scope_end(call->context, scope, NULL);
    return status == DL_OK ? DL_OK : dl_layer_fail_path(layer);
}

static dl_status remember_place(dl_layer *layer, dl_deferred *deferred) {
    DL_TRY(dl_grow(deferred->context, &deferred->places, deferred->place_count, &deferred->place_capacity,
                   sizeof *deferred->places));
    deferred->places[deferred->place_count++] = (dl_old_place){layer, layer->stream.position};
    return DL_OK;
}

dl_status dl_layer_run(dl_layer *layer, dl_layer_call *call) {
    const dl_layer_def *definition = dl_layer_definition(layer);
    call->outputs = 0;
    call->out_mask = NULL;
    if ((definition->flags & DL_LAYER_RANDOM) && call->deferred)
        DL_TRY(remember_place(layer, call->deferred));
    size_t scope = dl_scope_begin(call->context);
    DL_TRY(dl_call_finish(layer, call, scope, definition->call(layer, call)));
    if (call->deferred && call->deferred->anomaly) {
        dl_status status = dl_anomaly_watch(call->deferred->anomaly, layer, call);
        if (status != DL_OK) {
            dl_call_release(call);
            return dl_layer_fail_path(layer);
        }
    }
    return DL_OK;
}

#define MOST_DIRECT_INPUTS 64

dl_status dl_layer_apply(dl_layer *layer, dl_tensor *const *in, int inputs, bool training, dl_tensor **out,
                         int *outputs) {
    dl_spec specs[MOST_DIRECT_INPUTS];
    dl_spec out_specs[DL_MAX_LAYER_OUTPUTS];
    if (inputs > MOST_DIRECT_INPUTS)
        return dl_fail(DL_INVALID, "%s takes at most %d tensors in a call, got %d", dl_layer_class(layer),
                       MOST_DIRECT_INPUTS, inputs);
    for (int i = 0; i < inputs; i++)
        specs[i] = dl_spec_of_tensor(in[i]);
    DL_TRY(dl_layer_infer(layer, specs, inputs, out_specs, outputs));
    dl_deferred deferred = {.context = layer->object.context};
    dl_layer_call call = {.context = deferred.context, .training = training, .in = in, .inputs = inputs,
                          .deferred = &deferred};
    dl_status status = dl_layer_run(layer, &call);
    if (status == DL_OK) {
        memcpy(out, call.out, (size_t)call.outputs * sizeof *out);
        *outputs = call.outputs;
        dl_release(call.out_mask);
        dl_deferred_commit(&deferred);
    } else {
        dl_deferred_rollback(&deferred);
    }
    dl_deferred_free(&deferred);
    return status;
}
