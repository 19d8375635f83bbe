/* text/token_table.c: the tokens of ids, growing lists of ids, and maps from pairs of ids. */
#include <string.h>

#include "text/tokenizer.h"

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

dl_token_table dl_token_table_empty(dl_context *context) {
    return (dl_token_table){.bytes = dl_vocabulary_empty(context)};
}

void dl_token_table_clear(dl_token_table *table) {
    dl_context *context = table->bytes.context;
    dl_vocabulary_clear(&table->bytes);
    dl_free(table->places);
    dl_free(table->first_ids);
    *table = dl_token_table_empty(context);
}

static dl_status grow_numbers(dl_context *context, int64_t **numbers, int64_t capacity) {
    int64_t *at = dl_realloc(context, *numbers, (size_t)capacity * sizeof *at);
    if (!at)
        return DL_MEMORY;
    *numbers = at;
    return DL_OK;
}

dl_status dl_token_table_add(dl_token_table *table, const char *token, size_t length) {
    if (table->size == table->capacity) {
        int64_t capacity = DL_MAX(table->capacity * 2, 512);
        DL_TRY(grow_numbers(table->bytes.context, &table->places, capacity));
        DL_TRY(grow_numbers(table->bytes.context, &table->first_ids, capacity));
        table->capacity = capacity;
    }
    int64_t place, before = table->bytes.count;
    DL_TRY(dl_vocabulary_add(&table->bytes, token, length, &place));
    table->places[table->size++] = place;
    if (place > before)
        table->first_ids[place - 1] = table->size;
    return DL_OK;
}

dl_status dl_token_table_add_bytes(dl_token_table *table, int64_t *first) {
    *first = table->size + 1;
    for (int byte = 0; byte < 256; byte++) {
        char token = (char)byte;
        DL_TRY(dl_token_table_add(table, &token, 1));
    }
    return DL_OK;
}

const char *dl_token_table_get(const dl_token_table *table, int64_t id, size_t *length) {
    return dl_vocabulary_token(&table->bytes, table->places[id - 1], length);
}

int64_t dl_token_table_find(const dl_token_table *table, const char *token, size_t length) {
    int64_t place = dl_vocabulary_find(&table->bytes, token, length);
    return place ? table->first_ids[place - 1] : 0;
}

/* ---- lists ----------------------------------------------------------------------------------------------------- */

dl_status dl_id_list_add(dl_id_list *list, const int64_t *ids, int64_t count) {
    if (list->count + count > list->capacity) {
        int64_t capacity = DL_MAX(DL_MAX(list->capacity * 2, list->count + count), 64);
        DL_TRY(grow_numbers(list->context, &list->at, capacity));
        list->capacity = capacity;
    }
    memcpy(list->at + list->count, ids, (size_t)count * sizeof *ids);
    list->count += count;
    return DL_OK;
}

void dl_id_list_clear(dl_id_list *list) {
    dl_free(list->at);
    *list = (dl_id_list){.context = list->context};
}

/* ---- pairs ----------------------------------------------------------------------------------------------------- */

/* The slot of the key, or the free one where it would be. There is a free one. */
static int64_t find_slot(const dl_pair_map *map, uint64_t key) {
    uint64_t mask = (uint64_t)map->slots - 1;
    uint64_t slot = (key * 0x9E3779B97F4A7C15u) >> 20 & mask; /* 2^64 over the golden ratio spreads close keys */
    while (map->keys[slot] && map->keys[slot] != key)
        slot = (slot + 1) & mask;
    return (int64_t)slot;
}

static dl_status grow_map(dl_pair_map *map) {
    dl_pair_map larger = {.context = map->context, .count = map->count, .slots = DL_MAX(map->slots * 2, 256)};
    larger.keys = dl_alloc_array(map->context, (size_t)larger.slots, sizeof *larger.keys);
    larger.values = larger.keys ? dl_alloc_array(map->context, (size_t)larger.slots, sizeof *larger.values) : NULL;
    if (!larger.values) {
        dl_free(larger.keys);
        return DL_MEMORY;
    }
    memset(larger.keys, 0, (size_t)larger.slots * sizeof *larger.keys);
    for (int64_t slot = 0; slot < map->slots; slot++)
        if (map->keys[slot]) {
            int64_t to = find_slot(&larger, map->keys[slot]);
            larger.keys[to] = map->keys[slot];
            larger.values[to] = map->values[slot];
        }
    dl_pair_map_clear(map);
    *map = larger;
    return DL_OK;
}

dl_status dl_pair_map_put(dl_pair_map *map, uint64_t key, int64_t value) {
    if (map->count * 2 >= map->slots)
        DL_TRY(grow_map(map));
    int64_t slot = find_slot(map, key);
    map->count += !map->keys[slot];
    map->keys[slot] = key;
    map->values[slot] = value;
    return DL_OK;
}

int64_t dl_pair_map_get(const dl_pair_map *map, uint64_t key) {
    if (!map->slots)
        return 0;
    int64_t slot = find_slot(map, key);
    return map->keys[slot] ? map->values[slot] : 0;
}

void dl_pair_map_clear(dl_pair_map *map) {
    dl_free(map->keys);
    dl_free(map->values);
    *map = (dl_pair_map){.context = map->context};
}
