/* nn/layer.c: what all layers have in common: names, weights, children. Building and calls are in nn/call.c.
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
        dl_object_release(weight->constraint);
    }
}

void dl_layer_drop_weights(dl_layer *layer) {
    drop_weights(layer, 0);
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

dl_status dl_layer_constrain(dl_layer *layer, dl_object *constraint) {
    if (!constraint)
        return DL_OK;
    dl_weight *weight = &layer->weights[layer->weight_count - 1];
    if (dl_check_constraint(constraint, weight->value) != DL_OK)
        return dl_fail_prefix("%s", weight->name);
    dl_object_retain(constraint);
    weight->constraint = constraint;
    return DL_OK;
}

dl_status dl_layer_add_constrained(dl_layer *layer, const char *name, int dims, const int64_t *shape,
                                   dl_object *initializer, dl_object *regularizer, dl_object *constraint) {
    dl_status status = dl_layer_add_weight(layer, name, dims, shape, initializer, regularizer, true);
    return status == DL_OK ? dl_layer_constrain(layer, constraint) : status;
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
