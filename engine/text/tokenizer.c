/* text/tokenizer.c: what all tokenizers do: ids to bytes and back, batches, files.
 *
 * The file is JSON: {"format": "dlua.tokenizer", "format_version": 1, "dlua_version": ..., "tokenizer": {class_name,
 * version, config}}, where the config holds what was learned. Always true: a tokenizer's table is what its options
 * say. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"
#include "tensor/tensor.h"
#include "text/tokenizer.h"

#define FORMAT         "dlua.tokenizer"
#define FORMAT_VERSION 1

static const dl_tokenizer_def *definition_of(const dl_tokenizer *tokenizer) {
    return (const dl_tokenizer_def *)(const void *)tokenizer->object.definition;
}

static const char *name_of(const dl_tokenizer *tokenizer) {
    return tokenizer->object.definition->name;
}

dl_token dl_text_of(const dl_texts *texts, int64_t k) {
    return (dl_token){texts->at[k], texts->lengths ? texts->lengths[k] : strlen(texts->at[k])};
}

/* ---- building -------------------------------------------------------------------------------------------------- */

static dl_status check_special(const dl_tokenizer *tokenizer, const dl_value *entry, int64_t k) {
    bool valid = entry->kind == DL_VALUE_STRING && *entry->as.string;
    size_t length = valid ? strlen(entry->as.string) : 0;
    for (size_t at = 0; at < length && valid;)
        at += dl_utf8_next(entry->as.string + at, length - at, &valid);
    if (valid)
        return DL_OK;
    return dl_fail(DL_INVALID, "%s: special_tokens[%" PRId64 "] must be a string of UTF-8 that is not empty",
                   name_of(tokenizer), k + 1);
}

static dl_status add_special(dl_tokenizer *tokenizer, dl_token_table *table) {
    const dl_value *list = definition_of(tokenizer)->special_tokens(tokenizer);
    if (list->kind == DL_VALUE_NONE)
        return DL_OK;
    if (list->kind != DL_VALUE_LIST && !(list->kind == DL_VALUE_MAP && list->as.list.count == 0))
        return dl_fail(DL_INVALID, "%s: special_tokens must be a list of strings", name_of(tokenizer));
    for (int64_t k = 0; k < list->as.list.count; k++) {
        const dl_value *entry = &list->as.list.items[k];
        DL_TRY(check_special(tokenizer, entry, k));
        if (dl_token_table_find(table, entry->as.string, strlen(entry->as.string)))
            return dl_fail(DL_INVALID, "%s: special_tokens has '%s' twice", name_of(tokenizer), entry->as.string);
        DL_TRY(dl_token_table_add(table, entry->as.string, strlen(entry->as.string)));
    }
    return DL_OK;
}

static void clear_cache(dl_word_cache *cache) {
    dl_vocabulary_clear(&cache->words);
    dl_id_list_clear(&cache->ids);
}

/* Makes table and merges anew from the options; on failure the tokenizer is as it was. */
static dl_status rebuild(dl_tokenizer *tokenizer) {
    dl_token_table table = dl_token_table_empty(tokenizer->object.context);
    dl_tokenizer before = *tokenizer;
    tokenizer->merges = (dl_pair_map){.context = tokenizer->object.context};
    tokenizer->characters = dl_vocabulary_empty(tokenizer->object.context);
    dl_status status = add_special(tokenizer, &table);
    tokenizer->special = table.size;
    if (status == DL_OK)
        status = definition_of(tokenizer)->build(tokenizer, &table);
    if (status != DL_OK) {
        dl_token_table_clear(&table);
        dl_pair_map_clear(&tokenizer->merges);
        dl_vocabulary_clear(&tokenizer->characters);
        *tokenizer = before;
        return status;
    }
    dl_token_table_clear(&tokenizer->table);
    dl_pair_map_clear(&before.merges);
    dl_vocabulary_clear(&before.characters);
    clear_cache(&tokenizer->cache);
    tokenizer->table = table;
    return DL_OK;
}

static dl_status init(dl_object *object) {
    dl_tokenizer *tokenizer = (dl_tokenizer *)object;
    tokenizer->table = dl_token_table_empty(object->context);
    tokenizer->characters = dl_vocabulary_empty(object->context);
    tokenizer->merges.context = object->context;
    tokenizer->cache.words = dl_vocabulary_empty(object->context);
    tokenizer->cache.ids.context = object->context;
    return rebuild(tokenizer);
}

static void finalize(dl_object *object) {
    dl_tokenizer *tokenizer = (dl_tokenizer *)object;
    dl_token_table_clear(&tokenizer->table);
    dl_vocabulary_clear(&tokenizer->characters);
    dl_pair_map_clear(&tokenizer->merges);
    clear_cache(&tokenizer->cache);
    dl_free(tokenizer->cache.ends);
}

const dl_definition *const dl_char_tokenizer = &dl_char_tokenizer_definition.definition;
const dl_definition *const dl_byte_pair_tokenizer = &dl_byte_pair_tokenizer_definition.definition;

static const dl_definition *const tokenizers[] = {&dl_char_tokenizer_definition.definition,
                                                  &dl_byte_pair_tokenizer_definition.definition, NULL};
const dl_family dl_tokenizer_family = {"tokenizer", tokenizers, sizeof(dl_tokenizer), init, finalize};

/* ---- training -------------------------------------------------------------------------------------------------- */

dl_status dl_tokenizer_train(dl_tokenizer *tokenizer, const char *const *texts, const size_t *lengths, int64_t count) {
    dl_texts all = {texts, lengths, count};
    dl_value learned = dl_value_list();
    dl_value *place = definition_of(tokenizer)->learned(tokenizer);
    dl_status status = definition_of(tokenizer)->train(tokenizer, &all, &learned);
    dl_value before = *place;
    if (status == DL_OK) {
        *place = learned;
        learned = (dl_value){.kind = DL_VALUE_NONE};
        status = rebuild(tokenizer);
        if (status != DL_OK) {
            dl_value_clear(place);
            *place = before;
        } else {
            dl_value_clear(&before);
        }
    }
    dl_value_clear(&learned);
    return status;
}

/* ---- encoding and decoding ------------------------------------------------------------------------------------- */

dl_tensor *dl_tokenizer_encode(dl_tokenizer *tokenizer, const char *text, size_t length) {
    dl_id_list ids = {.context = tokenizer->object.context};
    dl_tensor *out = NULL;
    if (definition_of(tokenizer)->encode(tokenizer, text, length, &ids) == DL_OK)
        out = dl_from_data(tokenizer->object.context, DL_INT64, 1, &ids.count, ids.at);
    dl_id_list_clear(&ids);
    return out;
}

/* Encodes all texts into one list; ends[k] is where those of text k end. */
static dl_status encode_all(dl_tokenizer *tokenizer, const dl_texts *texts, dl_id_list *ids, int64_t *ends) {
    for (int64_t k = 0; k < texts->count; k++) {
        dl_token text = dl_text_of(texts, k);
        if (definition_of(tokenizer)->encode(tokenizer, text.at, text.length, ids) != DL_OK)
            return dl_fail_prefix("text %" PRId64, k + 1);
        ends[k] = ids->count;
    }
    return DL_OK;
}

dl_tensor *dl_tokenizer_encode_batch(dl_tokenizer *tokenizer, const char *const *texts, const size_t *lengths,
                                     int64_t count) {
    dl_context *context = tokenizer->object.context;
    dl_texts all = {texts, lengths, count};
    dl_id_list ids = {.context = context};
    dl_tensor *out = NULL;
    int64_t *ends = dl_alloc_array(context, (size_t)DL_MAX(count, 1), sizeof *ends);
    if (ends && encode_all(tokenizer, &all, &ids, ends) == DL_OK)
        out = dl_pad_ids(context, ids.at, ends, count, DL_NONE);
    dl_id_list_clear(&ids);
    dl_free(ends);
    return out;
}

/* The bytes of all ids together, and their length; `to` NULL: only the length. */
static dl_status join_tokens(const dl_tokenizer *tokenizer, const int64_t *ids, int64_t count, char *to,
                             size_t *length) {
    *length = 0;
    for (int64_t k = 0; k < count; k++) {
        size_t own;
        if (ids[k] == 0)
            continue;
        const char *token = dl_tokenizer_token(tokenizer, ids[k], &own);
        if (!token)
            return dl_fail(DL_INVALID, "%s: there is no token %" PRId64 "; ids are 1 to %" PRId64 ", and 0 for padding",
                           name_of(tokenizer), ids[k], tokenizer->table.size);
        if (to)
            memcpy(to + *length, token, own);
        *length += own;
    }
    return DL_OK;
}

static dl_status decode(const dl_tokenizer *tokenizer, const int64_t *ids, int64_t count, char **text, size_t *length) {
    DL_TRY(join_tokens(tokenizer, ids, count, NULL, length));
    *text = dl_alloc(tokenizer->object.context, *length + 1);
    if (!*text)
        return DL_MEMORY;
    DL_TRY(join_tokens(tokenizer, ids, count, *text, length));
    (*text)[*length] = '\0';
    return DL_OK;
}

dl_status dl_tokenizer_decode(const dl_tokenizer *tokenizer, const dl_tensor *ids, char **text, size_t *length) {
    *text = NULL;
    if (dl_dtype_is_float(ids->dtype) || ids->dtype == DL_BOOLEAN)
        return dl_fail(DL_DTYPE, "%s: decode takes ids, whole numbers, got %s", name_of(tokenizer),
                       dl_dtype_name(ids->dtype));
    int64_t count = dl_tensor_numel(ids);
    int64_t *numbers = dl_alloc_array(tokenizer->object.context, (size_t)DL_MAX(count, 1), sizeof *numbers);
    if (!numbers)
        return DL_MEMORY;
    dl_status status = dl_copy_out(ids, DL_INT64, numbers);
    if (status == DL_OK)
        status = decode(tokenizer, numbers, count, text, length);
    dl_free(numbers);
    return status;
}

int64_t dl_tokenizer_size(const dl_tokenizer *tokenizer) {
    return tokenizer->table.size;
}

const char *dl_tokenizer_token(const dl_tokenizer *tokenizer, int64_t id, size_t *length) {
    *length = 0;
    return id < 1 || id > tokenizer->table.size ? NULL : dl_token_table_get(&tokenizer->table, id, length);
}

int64_t dl_tokenizer_id(const dl_tokenizer *tokenizer, const char *token, size_t length) {
    return dl_token_table_find(&tokenizer->table, token, length);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static dl_status put_string(dl_context *context, dl_value *map, const char *key, const char *string) {
    dl_value value;
    DL_TRY(dl_value_string(context, string, &value));
    return dl_value_put(context, map, key, &value);
}

static dl_status make_map(const dl_tokenizer *tokenizer, dl_value *map) {
    dl_context *context = tokenizer->object.context;
    dl_value version = dl_value_int(FORMAT_VERSION), object;
    DL_TRY(put_string(context, map, "format", FORMAT));
    DL_TRY(dl_value_put(context, map, "format_version", &version));
    DL_TRY(put_string(context, map, "dlua_version", DL_VERSION));
    DL_TRY(dl_object_to_value(context, &tokenizer->object, &object));
    return dl_value_put(context, map, "tokenizer", &object);
}

dl_status dl_tokenizer_save(const dl_tokenizer *tokenizer, const char *path) {
    dl_context *context = tokenizer->object.context;
    dl_value map = dl_value_map();
    char *text = NULL;
    size_t length;
    dl_status status = make_map(tokenizer, &map);
    if (status == DL_OK)
        status = dl_value_to_json(context, &map, &text, &length);
    if (status == DL_OK)
        status = dl_write_file(context, path, text, length);
    dl_free_text(text);
    dl_value_clear(&map);
    return status;
}

static dl_status check_format(const dl_value *map) {
    const dl_value *format = dl_value_get(map, "format"), *version = dl_value_get(map, "format_version");
    if (!format || format->kind != DL_VALUE_STRING || strcmp(format->as.string, FORMAT) != 0)
        return dl_fail(DL_FORMAT, "the file is no tokenizer saved by dlua");
    if (!version || version->kind != DL_VALUE_INT || version->as.integer != FORMAT_VERSION)
        return dl_fail(DL_FORMAT, "the tokenizer is in a version of the format that this dlua " DL_VERSION
                       " does not know; use a newer dlua");
    return DL_OK;
}

static dl_status from_map(dl_context *context, const dl_value *map, dl_tokenizer **out) {
    dl_object *object;
    DL_TRY(check_format(map));
    const dl_value *value = dl_value_get(map, "tokenizer");
    if (!value || value->kind != DL_VALUE_MAP)
        return dl_fail(DL_FORMAT, "the file lacks the map 'tokenizer'");
    DL_TRY(dl_object_from_value(context, &dl_tokenizer_family, value, &object));
    *out = (dl_tokenizer *)object;
    return DL_OK;
}

dl_status dl_tokenizer_parse(dl_context *context, const char *bytes, size_t length, const char *name,
                             dl_tokenizer **out) {
    dl_value map;
    *out = NULL;
    dl_status status = dl_value_from_json(context, bytes, length, &map);
    if (status == DL_OK)
        status = from_map(context, &map, out);
    dl_value_clear(&map);
    return status == DL_OK ? DL_OK : dl_fail_prefix("'%s'", name);
}

dl_status dl_tokenizer_load(dl_context *context, const char *path, dl_tokenizer **out) {
    dl_input input;
    *out = NULL;
    DL_TRY(dl_input_open(path, &input));
    char *bytes = input.size < SIZE_MAX ? dl_alloc(context, (size_t)input.size + 1) : NULL;
    dl_status status = bytes ? dl_input_read(&input, 0, bytes, (size_t)input.size) : DL_MEMORY;
    if (status == DL_OK)
        status = dl_tokenizer_parse(context, bytes, (size_t)input.size, path, out);
    dl_input_close(&input);
    dl_free(bytes);
    return status;
}
