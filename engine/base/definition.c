/* base/definition.c: families, their definitions and instances. Always true: an instance holds a reference of its
 * context and owns its options; the definitions added to a context lie in a list in its slot and are not owned. */
#include <stdio.h>
#include <string.h>

#include "base/definition.h"
#include "base/text.h"

/* ---- definitions added at run time ----------------------------------------------------------------------------- */

typedef struct custom {
    const dl_family *family;
    const dl_definition *definition;
    struct custom *next;
} custom;

static void free_customs(void *list) {
    for (custom *entry = list; entry;) {
        custom *next = entry->next;
        dl_free(entry);
        entry = next;
    }
}

static custom **customs(dl_context *context) {
    return (custom **)dl_context_slot(context, DL_SLOT_CUSTOM, free_customs);
}

dl_status dl_add_definition(dl_context *context, const dl_family *family, const dl_definition *definition) {
    for (custom *entry = *customs(context); entry; entry = entry->next) {
        if (entry->family == family && strcmp(entry->definition->name, definition->name) == 0) {
            entry->definition = definition;
            return DL_OK;
        }
    }
    custom *entry = dl_alloc(context, sizeof *entry);
    if (!entry)
        return DL_MEMORY;
    *entry = (custom){.family = family, .definition = definition, .next = *customs(context)};
    *customs(context) = entry;
    return DL_OK;
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

static bool is_called(const dl_definition *definition, const char *name) {
    if (strcmp(definition->name, name) == 0)
        return true;
    return definition->aliases && dl_choice_index(definition->aliases, name) >= 0;
}

const dl_definition *dl_find_definition(dl_context *context, const dl_family *family, const char *name) {
    for (custom *entry = context ? *customs(context) : NULL; entry; entry = entry->next)
        if (entry->family == family && is_called(entry->definition, name))
            return entry->definition;
    for (const dl_definition *const *at = family->definitions; *at; at++)
        if (is_called(*at, name))
            return *at;
    return NULL;
}

/* Offers the definition's names, the short ones too: near "mse" stands MeanSquaredError. */
static void offer_names(dl_nearest *nearest, const dl_definition *definition) {
    dl_nearest_offer(nearest, definition->name);
    for (const char *at = definition->aliases; at && *at;) {
        char alias[DL_HINT_SIZE];
        size_t length = strcspn(at, "|");
        snprintf(alias, sizeof alias, "%.*s", (int)length, at);
        dl_nearest_offer(nearest, alias);
        if (nearest->best == alias)
            nearest->best = definition->name;
        at += length + (at[length] == '|');
    }
}

const char *dl_nearest_definition(dl_context *context, const dl_family *family, const char *name) {
    dl_nearest nearest = dl_nearest_begin(name);
    for (custom *entry = context ? *customs(context) : NULL; entry; entry = entry->next)
        if (entry->family == family)
            offer_names(&nearest, entry->definition);
    for (const dl_definition *const *at = family->definitions; *at; at++)
        offer_names(&nearest, *at);
    return nearest.best;
}

/* ---- instances ------------------------------------------------------------------------------------------------- */

dl_object dl_default_object;

static dl_status fill_options(dl_context *context, const dl_definition *definition, const void *options, void *to) {
    if (options)
        return dl_options_copy(context, definition, options, to);
    void *defaults = dl_alloc(context, definition->options_size);
    if (!defaults)
        return DL_MEMORY;
    dl_options_init(definition, defaults, definition->options_size);
    dl_status status = dl_options_copy(context, definition, defaults, to);
    dl_options_clear(definition, defaults);
    dl_free(defaults);
    return status;
}

static dl_status finish_object(dl_object *object, const void *options) {
    const dl_definition *definition = object->definition;
    object->options = dl_alloc_zeroed(object->context, DL_MAX(definition->options_size, 1));
    if (!object->options)
        return DL_MEMORY;
    if (definition->options_size) {
        dl_status status = fill_options(object->context, definition, options, object->options);
        if (status != DL_OK) {
            dl_free(object->options); /* holds nothing after a failed copy */
            object->options = NULL;
            return status;
        }
        DL_TRY(dl_options_check(definition, object->options));
    }
    return object->family->init ? object->family->init(object) : DL_OK;
}

dl_status dl_object_create(dl_context *context, const dl_family *family, const dl_definition *definition,
                           const void *options, dl_object **out) {
    *out = NULL;
    dl_object *object = dl_alloc_zeroed(context, DL_MAX(family->object_size, sizeof *object));
    if (!object)
        return DL_MEMORY;
    object->family = family;
    object->definition = definition;
    object->context = context;
    object->references = 1;
    dl_context_retain(context);
    dl_status status = finish_object(object, options);
    if (status != DL_OK) {
        dl_object_release(object);
        return status;
    }
    *out = object;
    return DL_OK;
}

void dl_object_retain(dl_object *object) {
    if (object && object != DL_DEFAULT)
        object->references++;
}

void dl_object_release(dl_object *object) {
    if (!object || object == DL_DEFAULT || --object->references > 0)
        return;
    if (object->free_user)
        object->free_user(object->user);
    if (object->family->finalize)
        object->family->finalize(object);
    if (object->options)
        dl_options_clear(object->definition, object->options);
    dl_free(object->options);
    dl_context *context = object->context;
    dl_free(object);
    dl_context_release(context);
}

/* ---- instances from values ------------------------------------------------------------------------------------- */

static dl_status from_config(dl_context *context, const dl_family *family, const dl_definition *definition,
                             const dl_value *config, dl_object **out) {
    if (!config || config->kind == DL_VALUE_NONE || definition->options_size == 0) {
        if (config && config->kind == DL_VALUE_MAP && config->as.list.count > 0)
            return dl_fail(DL_INVALID, "%s: unknown argument '%s'; it takes none", definition->name,
                           config->as.list.keys[0]);
        return dl_object_create(context, family, definition, NULL, out);
    }
    void *options = dl_alloc(context, definition->options_size);
    if (!options)
        return DL_MEMORY;
    dl_options_init(definition, options, definition->options_size);
    dl_status status = dl_options_set_all(context, definition, options, config);
    if (status == DL_OK)
        status = dl_object_create(context, family, definition, options, out);
    dl_options_clear(definition, options);
    dl_free(options);
    return status;
}

/* The version that a map says it was written with; the definition's own where it says nothing. */
static dl_status take_version(const dl_definition *definition, const dl_value *version, int64_t *out) {
    *out = definition->version;
    if (!version || version->kind == DL_VALUE_NONE)
        return DL_OK;
    if (version->kind != DL_VALUE_INT || version->as.integer < 1)
        return dl_fail(DL_FORMAT, "%s: 'version' must be a whole number of at least 1", definition->name);
    *out = version->as.integer;
    if (*out > definition->version)
        return dl_fail(DL_FORMAT, "%s: written by version %lld of it, and this dlua knows version %d; use a newer dlua",
                       definition->name, (long long)*out, definition->version);
    return DL_OK;
}

static dl_status check_keys(const dl_family *family, const dl_value *map) {
    for (int64_t i = 0; i < map->as.list.count; i++) {
        const char *key = map->as.list.keys[i];
        if (dl_choice_index("class_name|version|config", key) < 0)
            return dl_fail(DL_FORMAT, "a saved %s holds 'class_name', 'version' and 'config', but this one has '%s'",
                           family->name, key);
    }
    return DL_OK;
}

static dl_status from_map(dl_context *context, const dl_family *family, const dl_value *map, dl_object **out) {
    const char *name = dl_value_get(map, "class_name")->as.string;
    const dl_definition *definition = dl_find_definition(context, family, name);
    if (!definition) {
        const char *near = dl_nearest_definition(context, family, name);
        return dl_fail(DL_NOT_FOUND, "unknown %s '%s'%s%s%s", family->name, name, near ? "; did you mean '" : "",
                       near ? near : "", near ? "'?" : "");
    }
    DL_TRY(check_keys(family, map));
    int64_t version;
    DL_TRY(take_version(definition, dl_value_get(map, "version"), &version));
    const dl_value *config = dl_value_get(map, "config");
    if (config && config->kind == DL_VALUE_LIST && config->as.list.count == 0)
        config = NULL; /* a host's empty table, which does not tell a map from a list */
    if (config && config->kind != DL_VALUE_NONE && config->kind != DL_VALUE_MAP)
        return dl_fail(DL_FORMAT, "%s: 'config' must be a map of its arguments", definition->name);
    dl_status status = from_config(context, family, definition, config, out);
    if (status != DL_OK && version != definition->version)
        return dl_fail_prefix("written by version %lld of %s, read by version %d", (long long)version, definition->name,
                              definition->version);
    return status;
}

dl_status dl_object_try(dl_context *context, const dl_family *family, const dl_value *value, dl_object **out,
                        char hint[DL_HINT_SIZE]) {
    *out = NULL;
    hint[0] = '\0';
    if (value->kind == DL_VALUE_OBJECT && value->as.object->family == family) {
        dl_object_retain(value->as.object);
        *out = value->as.object;
        return DL_OK;
    }
    const dl_value *class_name = dl_value_get(value, "class_name");
    if (class_name && class_name->kind == DL_VALUE_STRING)
        return from_map(context, family, value, out);
    if (value->kind != DL_VALUE_STRING)
        return DL_NOT_FOUND;
    const dl_definition *definition = dl_find_definition(context, family, value->as.string);
    if (definition)
        return dl_object_create(context, family, definition, NULL, out);
    const char *near = dl_nearest_definition(context, family, value->as.string);
    if (near)
        snprintf(hint, DL_HINT_SIZE, "; did you mean '%s'?", near);
    return DL_NOT_FOUND;
}

dl_status dl_object_from_value(dl_context *context, const dl_family *family, const dl_value *value, dl_object **out) {
    char hint[DL_HINT_SIZE];
    dl_clear_error();
    dl_status status = dl_object_try(context, family, value, out, hint);
    if (status != DL_NOT_FOUND || dl_last_status() == DL_NOT_FOUND)
        return status;
    char shown[160];
    dl_value_describe(value, shown, sizeof shown);
    if (value->kind == DL_VALUE_STRING)
        return dl_fail(DL_NOT_FOUND, "unknown %s %s%s", family->name, shown, hint);
    return dl_fail(DL_INVALID,
                   "a name of %s, its map {class_name = ..., config = {...}} or the %s itself is wanted "
                   "(got %s)",
                   family->name, family->name, shown);
}

dl_status dl_object_from_text(dl_context *context, const dl_family *family, const char *text, dl_object **out) {
    *out = NULL;
    dl_value value;
    if (text[0] == '{')
        DL_TRY(dl_value_from_json(context, text, strlen(text), &value));
    else
        DL_TRY(dl_value_string(context, text, &value));
    dl_status status = dl_object_from_value(context, family, &value, out);
    dl_value_clear(&value);
    return status;
}

dl_status dl_object_to_value(dl_context *context, const dl_object *object, dl_value *out) {
    const dl_definition *definition = object->definition;
    *out = dl_value_map();
    dl_value config = dl_value_map(), version = dl_value_int(definition->version), name;
    dl_status status = dl_value_string(context, definition->name, &name);
    if (status == DL_OK)
        status = dl_value_put(context, out, "class_name", &name);
    if (status == DL_OK)
        status = dl_value_put(context, out, "version", &version);
    if (status == DL_OK)
        status = dl_options_get_all(context, definition, object->options, &config);
    if (status == DL_OK)
        status = dl_value_put(context, out, "config", &config);
    if (status != DL_OK) {
        dl_value_clear(&config);
        dl_value_clear(out);
    }
    return status;
}
