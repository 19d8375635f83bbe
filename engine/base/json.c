/* base/json.c: values to JSON and back. Whole numbers stay exact (int64) and reals are written with as many digits as
 * reading them back needs. JSON has no NaN and no infinity, so neither is written. Text is read by jansson; its size
 * and depth are bounded, and a key may come only once. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "dlua/definition.h"

enum { DEEPEST = 128 };
static const size_t longest = (size_t)32 << 20;

void dl_free_text(char *text) {
    dl_free(text);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

typedef struct writer {
    dl_context *context;
    char *text;
    size_t length, room;
} writer;

static dl_status write_bytes(writer *to, const char *bytes, size_t count) {
    if (count >= to->room - to->length) {
        size_t room = DL_MAX(to->room * 2, to->length + count + 1);
        char *text = dl_realloc(to->context, to->text, room);
        if (!text)
            return DL_MEMORY;
        to->text = text;
        to->room = room;
    }
    memcpy(to->text + to->length, bytes, count);
    to->length += count;
    return DL_OK;
}

static dl_status write_text(writer *to, const char *text) {
    return write_bytes(to, text, strlen(text));
}

static dl_status write_string(writer *to, const char *string) {
    DL_TRY(write_text(to, "\""));
    const char *end = string + strlen(string);
    for (const char *at = string; at < end;) {
        unsigned char byte = (unsigned char)*at;
        bool valid;
        size_t length = dl_utf8_next(at, (size_t)(end - at), &valid);
        char escaped[8];
        if (!valid) {
            dl_value value = {.kind = DL_VALUE_STRING, .as.string = (char *)string};
            char shown[80];
            dl_value_describe(&value, shown, sizeof shown);
            return dl_fail(DL_INVALID, "a text for JSON must be UTF-8 (got %s)", shown);
        }
        if (byte == '"' || byte == '\\') {
            snprintf(escaped, sizeof escaped, "\\%c", byte);
            DL_TRY(write_text(to, escaped));
        } else if (byte < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            DL_TRY(write_text(to, escaped));
        } else {
            DL_TRY(write_bytes(to, at, length));
        }
        at += length;
    }
    return write_text(to, "\"");
}

static dl_status write_value(writer *to, const dl_value *value, int depth);

static dl_status write_items(writer *to, const dl_value *value, int depth) {
    bool map = value->kind == DL_VALUE_MAP;
    DL_TRY(write_text(to, map ? "{" : "["));
    for (int64_t i = 0; i < value->as.list.count; i++) {
        if (i)
            DL_TRY(write_text(to, ","));
        if (map) {
            DL_TRY(write_string(to, value->as.list.keys[i]));
            DL_TRY(write_text(to, ":"));
        }
        DL_TRY(write_value(to, &value->as.list.items[i], depth + 1));
    }
    return write_text(to, map ? "}" : "]");
}

static dl_status write_real(writer *to, double real) {
    if (!isfinite(real))
        return dl_fail(DL_INVALID, "JSON has no %s; use none, or a finite number", isnan(real) ? "NaN" : "infinity");
    char text[DL_REAL_TEXT];
    dl_format_real(real, text);
    return write_text(to, text);
}

static dl_status write_value(writer *to, const dl_value *value, int depth) {
    if (depth > DEEPEST)
        return dl_fail(DL_INVALID, "a value nested more than %d deep is not written as JSON", DEEPEST);
    char number[32];
    switch (value->kind) {
    case DL_VALUE_NONE:
        return write_text(to, "null");
    case DL_VALUE_BOOL:
        return write_text(to, value->as.boolean ? "true" : "false");
    case DL_VALUE_INT:
        snprintf(number, sizeof number, "%lld", (long long)value->as.integer);
        return write_text(to, number);
    case DL_VALUE_REAL:
        return write_real(to, value->as.real);
    case DL_VALUE_STRING:
        return write_string(to, value->as.string);
    case DL_VALUE_LIST:
    case DL_VALUE_MAP:
        return write_items(to, value, depth);
    case DL_VALUE_OBJECT:
        break;
    }
    return dl_fail(DL_INVALID, "an object is not written as JSON; its config is");
}

dl_status dl_value_to_json(dl_context *context, const dl_value *value, char **text, size_t *length) {
    writer to = {.context = context, .room = 256};
    *text = NULL;
    to.text = dl_alloc(context, to.room);
    if (!to.text)
        return DL_MEMORY;
    dl_status status = write_value(&to, value, 0);
    if (status != DL_OK) {
        dl_free(to.text);
        return status;
    }
    to.text[to.length] = '\0';
    *text = to.text;
    if (length)
        *length = to.length;
    return DL_OK;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static dl_status take(dl_context *context, json_t *json, int depth, dl_value *out);

static dl_status take_array(dl_context *context, json_t *json, int depth, dl_value *out) {
    for (size_t i = 0; i < json_array_size(json); i++) {
        dl_value item;
        DL_TRY(take(context, json_array_get(json, i), depth + 1, &item));
        DL_TRY(dl_value_append(context, out, &item));
    }
    return DL_OK;
}

/* The reader refuses a key that comes twice, so there is no need to look for it: large maps stay quick. */
static dl_status append_pair(dl_context *context, dl_value *map, const char *key, dl_value *item) {
    char *copy = dl_strdup(context, key);
    if (!copy) {
        dl_value_clear(item);
        return DL_MEMORY;
    }
    dl_status status = dl_value_append(context, map, item);
    if (status == DL_OK)
        map->as.list.keys[map->as.list.count - 1] = copy;
    else
        dl_free(copy);
    return status;
}

static dl_status take_object(dl_context *context, json_t *json, int depth, dl_value *out) {
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value) {
        dl_value item;
        DL_TRY(take(context, value, depth + 1, &item));
        DL_TRY(append_pair(context, out, key, &item));
    }
    return DL_OK;
}

static dl_status take(dl_context *context, json_t *json, int depth, dl_value *out) {
    *out = (dl_value){.kind = DL_VALUE_NONE};
    if (depth > DEEPEST)
        return dl_fail(DL_FORMAT, "JSON nested more than %d deep is not read", DEEPEST);
    dl_status status = DL_OK;
    switch (json_typeof(json)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = dl_value_bool(json_is_true(json));
        break;
    case JSON_INTEGER:
        *out = dl_value_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = dl_value_real(json_real_value(json));
        break;
    case JSON_STRING:
        return dl_value_string(context, json_string_value(json), out);
    case JSON_ARRAY:
        *out = dl_value_list();
        status = take_array(context, json, depth, out);
        break;
    case JSON_OBJECT:
        *out = dl_value_map();
        status = take_object(context, json, depth, out);
        break;
    }
    if (status != DL_OK)
        dl_value_clear(out);
    return status;
}

dl_status dl_value_from_json(dl_context *context, const char *text, size_t length, dl_value *out) {
    *out = (dl_value){.kind = DL_VALUE_NONE};
    if (length > longest)
        return dl_fail(DL_FORMAT, "a JSON text of %zu bytes is not read; at most %zu are", length, longest);
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return dl_fail(DL_MEMORY, "out of memory: a JSON text of %zu bytes could not be read", length);
        return dl_fail(DL_FORMAT, "not JSON at line %d, column %d: %s", error.line, error.column, error.text);
    }
    dl_status status = take(context, json, 0, out);
    json_decref(json);
    return status;
}
