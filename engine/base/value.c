/* base/value.c: the neutral tree between Lua tables, JSON and options structs. Always true: a value owns its string,
 * its items and keys, and a reference of its object; a list's arrays hold the next power of two of its count. */
#include <string.h>

#include "base/text.h"
#include "dlua/definition.h"

void dl_value_clear(dl_value *value) {
    if (value->kind == DL_VALUE_STRING) {
        dl_free(value->as.string);
    } else if (value->kind == DL_VALUE_OBJECT) {
        dl_object_release(value->as.object);
    } else if (value->kind == DL_VALUE_LIST || value->kind == DL_VALUE_MAP) {
        for (int64_t i = 0; i < value->as.list.count; i++) {
            dl_value_clear(&value->as.list.items[i]);
            if (value->as.list.keys)
                dl_free(value->as.list.keys[i]);
        }
        dl_free(value->as.list.items);
        dl_free(value->as.list.keys);
    }
    memset(value, 0, sizeof *value);
}

dl_value dl_value_bool(bool boolean) {
    return (dl_value){.kind = DL_VALUE_BOOL, .as.boolean = boolean};
}

dl_value dl_value_int(int64_t integer) {
    return (dl_value){.kind = DL_VALUE_INT, .as.integer = integer};
}

dl_value dl_value_real(double real) {
    return (dl_value){.kind = DL_VALUE_REAL, .as.real = real};
}

dl_status dl_value_string(dl_context *context, const char *string, dl_value *out) {
    *out = (dl_value){.kind = DL_VALUE_NONE};
    char *copy = dl_strdup(context, string);
    if (!copy)
        return DL_MEMORY;
    *out = (dl_value){.kind = DL_VALUE_STRING, .as.string = copy};
    return DL_OK;
}

dl_value dl_value_list(void) {
    return (dl_value){.kind = DL_VALUE_LIST};
}

dl_value dl_value_map(void) {
    return (dl_value){.kind = DL_VALUE_MAP};
}

dl_value dl_value_object(dl_object *object) {
    dl_object_retain(object);
    return (dl_value){.kind = DL_VALUE_OBJECT, .as.object = object};
}

/* Makes room for one more item (and key, in a map). */
static dl_status grow(dl_context *context, dl_value *list) {
    int64_t count = list->as.list.count;
    if (count & (count - 1))
        return DL_OK;
    size_t room = count ? (size_t)count * 2 : 1;
    if (room > SIZE_MAX / sizeof(dl_value))
        return dl_fail(DL_MEMORY, "out of memory: a list of %zu values", room);
    dl_value *items = dl_realloc(context, list->as.list.items, room * sizeof *items);
    if (!items)
        return DL_MEMORY;
    list->as.list.items = items;
    if (list->kind == DL_VALUE_LIST)
        return DL_OK;
    char **keys = dl_realloc(context, list->as.list.keys, room * sizeof *keys);
    if (!keys)
        return DL_MEMORY;
    list->as.list.keys = keys;
    return DL_OK;
}

dl_status dl_value_append(dl_context *context, dl_value *list, dl_value *item) {
    dl_status status = grow(context, list);
    if (status != DL_OK) {
        dl_value_clear(item);
        return status;
    }
    list->as.list.items[list->as.list.count++] = *item;
    memset(item, 0, sizeof *item);
    return DL_OK;
}

dl_status dl_value_put(dl_context *context, dl_value *map, const char *key, dl_value *item) {
    dl_value *old = (dl_value *)dl_value_get(map, key);
    if (old) {
        dl_value_clear(old);
        *old = *item;
        memset(item, 0, sizeof *item);
        return DL_OK;
    }
    dl_status status = grow(context, map);
    char *copy = status == DL_OK ? dl_strdup(context, key) : NULL;
    if (!copy) {
        dl_value_clear(item);
        return DL_MEMORY;
    }
    map->as.list.keys[map->as.list.count] = copy;
    map->as.list.items[map->as.list.count++] = *item;
    memset(item, 0, sizeof *item);
    return DL_OK;
}

const dl_value *dl_value_get(const dl_value *map, const char *key) {
    if (!map || map->kind != DL_VALUE_MAP)
        return NULL;
    for (int64_t i = 0; i < map->as.list.count; i++)
        if (strcmp(map->as.list.keys[i], key) == 0)
            return &map->as.list.items[i];
    return NULL;
}

static dl_status copy_items(dl_context *context, const dl_value *from, dl_value *out) {
    for (int64_t i = 0; i < from->as.list.count; i++) {
        dl_value item;
        DL_TRY(dl_value_copy(context, &from->as.list.items[i], &item));
        if (from->kind == DL_VALUE_MAP)
            DL_TRY(dl_value_put(context, out, from->as.list.keys[i], &item));
        else
            DL_TRY(dl_value_append(context, out, &item));
    }
    return DL_OK;
}

dl_status dl_value_copy(dl_context *context, const dl_value *from, dl_value *out) {
    memset(out, 0, sizeof *out);
    if (from->kind == DL_VALUE_STRING)
        return dl_value_string(context, from->as.string, out);
    if (from->kind == DL_VALUE_OBJECT) {
        *out = dl_value_object(from->as.object);
        return DL_OK;
    }
    if (from->kind != DL_VALUE_LIST && from->kind != DL_VALUE_MAP) {
        *out = *from;
        return DL_OK;
    }
    out->kind = from->kind;
    dl_status status = copy_items(context, from, out);
    if (status != DL_OK)
        dl_value_clear(out);
    return status;
}

/* ---- as text --------------------------------------------------------------------------------------------------- */

static void describe(dl_cut_text *text, const dl_value *value);

static void describe_items(dl_cut_text *text, const dl_value *value) {
    dl_cut_text_add(text, "{");
    for (int64_t i = 0; i < value->as.list.count && !text->cut; i++) {
        dl_cut_text_add(text, "%s", i ? ", " : "");
        if (value->kind == DL_VALUE_MAP)
            dl_cut_text_add(text, "%.40s = ", value->as.list.keys[i]);
        describe(text, &value->as.list.items[i]);
    }
    dl_cut_text_add(text, "}");
}

static void describe(dl_cut_text *text, const dl_value *value) {
    char number[DL_REAL_TEXT];
    switch (value->kind) {
    case DL_VALUE_NONE:
        dl_cut_text_add(text, "none");
        break;
    case DL_VALUE_BOOL:
        dl_cut_text_add(text, "%s", value->as.boolean ? "true" : "false");
        break;
    case DL_VALUE_INT:
        dl_cut_text_add(text, "%lld", (long long)value->as.integer);
        break;
    case DL_VALUE_REAL:
        dl_format_real(value->as.real, number);
        dl_cut_text_add(text, "%s", number);
        break;
    case DL_VALUE_STRING:
        dl_cut_text_add(text, strlen(value->as.string) > 60 ? "'%.57s...'" : "'%s'", value->as.string);
        break;
    case DL_VALUE_LIST:
    case DL_VALUE_MAP:
        describe_items(text, value);
        break;
    case DL_VALUE_OBJECT:
        dl_cut_text_add(text, "the %s %s", value->as.object->family->name, value->as.object->definition->name);
        break;
    }
}

void dl_value_describe(const dl_value *value, char *text, size_t size) {
    dl_cut_text cut = dl_cut_text_begin(text, size);
    describe(&cut, value);
}
