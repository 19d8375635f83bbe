/* configs.c: positions in values of fields, and in configs {class_name, version, config}, between Lua and the engine.
 *
 * Always true: positions count from 1 in Lua, wherever they stand: what get_config gave, a constructor takes, and a
 * config inside another, such as that of a cell, is written like the outer one. Files have the engine's, from 0. */
#include "configs.h"

#include <string.h>

#include "values.h"

typedef enum direction {
    TO_LUA,
    TO_ENGINE
} direction;

static bool has_positions(const dl_field *field) {
    if (field->flags & DL_POSITION)
        return true;
    if (field->kind == DL_FIELD_ALTERNATIVE)
        for (const dl_field *other = field->alternatives; other->kind != DL_FIELD_END; other++)
            if (other->flags & DL_POSITION)
                return true;
    return false;
}

/* Negative positions count from the end in both. */
static dl_status shift(direction to, const dl_definition *definition, const dl_field *field, dl_value *value) {
    if (value->kind == DL_VALUE_INT) {
        if (to == TO_ENGINE && value->as.integer == 0)
            return dl_fail(DL_INVALID, "%s: %s is 0, but positions count from 1, or from -1 at the end",
                           definition->name, field->name);
        if (value->as.integer >= 0)
            value->as.integer += to == TO_LUA ? 1 : -1;
        return DL_OK;
    }
    dl_status status = DL_OK;
    for (int64_t k = 0; status == DL_OK && value->kind == DL_VALUE_LIST && k < value->as.list.count; k++)
        status = shift(to, definition, field, &value->as.list.items[k]);
    return status;
}

static dl_status convert_value(dl_context *context, direction to, const dl_definition *definition,
                               const dl_field *field, dl_value *value);

/* The entries of a map, which are fields of the definition. Those that it does not have are not for here to refuse. */
static dl_status convert_fields(dl_context *context, direction to, const dl_definition *definition, dl_value *map) {
    dl_status status = DL_OK;
    for (int64_t k = 0; status == DL_OK && map->kind == DL_VALUE_MAP && k < map->as.list.count; k++) {
        const dl_field *field = dl_find_field(definition->fields, map->as.list.keys[k]);
        if (field != NULL)
            status = convert_value(context, to, definition, field, &map->as.list.items[k]);
    }
    return status;
}

/* A config of the family, or a list of them. */
static dl_status convert_configs(dl_context *context, direction to, const dl_family *family, dl_value *value) {
    dl_status status = DL_OK;
    for (int64_t k = 0; status == DL_OK && value->kind == DL_VALUE_LIST && k < value->as.list.count; k++)
        status = convert_configs(context, to, family, &value->as.list.items[k]);
    if (value->kind != DL_VALUE_MAP)
        return status;
    const dl_value *name = dl_value_get(value, "class_name");
    dl_value *config = (dl_value *)dl_value_get(value, "config");
    if (config == NULL || name == NULL || name->kind != DL_VALUE_STRING)
        return DL_OK;
    const dl_definition *definition = dl_find_definition(context, family, name->as.string);
    return definition != NULL ? convert_fields(context, to, definition, config) : DL_OK;
}

/* Configs are the values of fields of objects, and of alternatives of which one is an object. */
static dl_status convert_value(dl_context *context, direction to, const dl_definition *definition,
                               const dl_field *field, dl_value *value) {
    if (has_positions(field))
        return shift(to, definition, field, value);
    if (field->kind == DL_FIELD_OBJECT || field->kind == DL_FIELD_OBJECTS)
        return convert_configs(context, to, field->family, value);
    dl_status status = DL_OK;
    if (field->kind == DL_FIELD_ALTERNATIVE)
        for (const dl_field *other = field->alternatives; status == DL_OK && other->kind != DL_FIELD_END; other++)
            if (other->kind == DL_FIELD_OBJECT)
                status = convert_configs(context, to, other->family, value);
    return status;
}

dl_status dlua_lower_value(dl_context *context, const dl_definition *definition, const dl_field *field,
                           dl_value *value) {
    return convert_value(context, TO_ENGINE, definition, field, value);
}

void dlua_raise_value(dl_context *context, const dl_definition *definition, const dl_field *field, dl_value *value) {
    convert_value(context, TO_LUA, definition, field, value); /* only the other direction can fail */
}

dl_status dlua_lower_config(dl_context *context, const dl_family *family, dl_value *config) {
    return convert_configs(context, TO_ENGINE, family, config);
}

void dlua_push_config(lua_State *L, const dl_object *object) {
    dl_value *config = dlua_new_value_box(L);
    if (object->family == &dl_layer_family)
        dlua_check(L, dl_model_to_config((const dl_model *)object, config));
    else
        dlua_check(L, dl_object_to_value(dlua_context(L), object, config));
    convert_configs(dlua_context(L), TO_LUA, object->family, config);
    dlua_push_value(L, config);
    lua_remove(L, -2);
}
