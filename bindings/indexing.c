/* indexing.c: t[key] and t[key] = value.
 *
 *      t[2]                  the second row                  t[{2, {3, 5}}]      row 2, columns 3 to 5
 *      t[{{}, -1}]           the last column                 t[{{1, -1, 2}}]     every second row
 *      t[mask]               elements or rows where a bool tensor is true
 *      t[index]              rows by a tensor of whole numbers, counted from 1
 *
 * Always true: positions count from 1, or from -1 at the end, and both ends of a range are in it; a position outside
 * the tensor is an error. Everything that reads is an operation, so gradients pass through; an assignment is one while
 * gradients are recorded, and writes through a view otherwise. */
#include "tensors.h"

#include <string.h>

#include "tensor/tensor.h"

/* What one dimension is asked for. */
typedef struct part {
    enum { PART_ALL, PART_SELECT, PART_RANGE, PART_ROWS } kind;
    int64_t first, end, step; /* from 0; end is not in it */
    dl_tensor *rows;          /* of PART_ROWS: borrowed from the stack */
} part;

typedef struct selection {
    dl_tensor *tensor;
    int count;
    part parts[DL_MAX_DIMS];
} selection;

/* ---- reading the key ------------------------------------------------------------------------------------------- */

/* A position counted from 1 or -1, as one from 0; `size` + 1 is allowed as well if `past_end`. */
static int64_t check_position(lua_State *L, int index, const selection *s, int dim, bool past_end) {
    char text[160];
    int64_t position, size = dl_tensor_shape(s->tensor)[dim];
    if (!dlua_to_integer(L, index, &position))
        dlua_raise(L, "index: a position in dimension %d must be a whole number, got %s", dim + 1,
                   dlua_describe(L, index, text, sizeof text));
    if (position == 0)
        dlua_raise(L, "index: position 0 in dimension %d: positions count from 1, or from -1 at the end", dim + 1);
    if (position < -size || position > size + past_end)
        dlua_raise(L, "index: position %I is outside dimension %d, which has the size %I", (LUAI_UACINT)position,
                   dim + 1, (LUAI_UACINT)size);
    return position < 0 ? position + size : position - 1;
}

static int64_t check_step(lua_State *L, int index, int dim) {
    char text[160];
    int64_t step;
    if (!dlua_to_integer(L, index, &step) || step < 1)
        dlua_raise(L, "index: the step in dimension %d must be a whole number of 1 or more, got %s", dim + 1,
                   dlua_describe(L, index, text, sizeof text));
    return step;
}

/* The table at index must have entries 1..n and no others, so that what a misspelt variable leaves out is seen; returns
 * n. A nil at the end leaves no trace, and is not seen. */
static int check_entries(lua_State *L, int index, const char *what) {
    lua_Integer count = 0, highest = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1)
            dlua_raise(L, "index: %s has an entry '%s'; it is a list", what, luaL_tolstring(L, -1, NULL));
        highest = lua_tointeger(L, -1) > highest ? lua_tointeger(L, -1) : highest;
        count++;
    }
    for (lua_Integer place = 1; count < highest; place++)
        if (lua_rawgeti(L, index, place) == LUA_TNIL)
            dlua_raise(L, "index: entry %I of %s is nil: is a variable misspelt? {} is a whole dimension, and "
                       "dlua.none leaves an end of a range open", (LUAI_UACINT)place, what);
        else
            lua_pop(L, 1);
    return (int)count;
}

/* {from, to, step} at index, or {} for all; dlua.none leaves an end open. {from} alone is what {from, typo} is too. */
static void read_range(lua_State *L, int index, const selection *s, int dim, part *out) {
    int count = check_entries(L, index, "a range");
    lua_rawgeti(L, index, 1);
    lua_rawgeti(L, index, 2);
    lua_rawgeti(L, index, 3);
    int first = lua_gettop(L) - 2;
    *out = (part){.kind = PART_RANGE, .first = 0, .end = dl_tensor_shape(s->tensor)[dim], .step = 1};
    if (count == 1)
        dlua_raise(L, "index: a range is {from, to} or {from, to, step}, got one entry for dimension %d: is a variable "
                   "misspelt? {from, -1} goes up to the end", dim + 1);
    if (count > 3)
        dlua_raise(L, "index: a range is {from, to, step}, got %d entries for dimension %d", count, dim + 1);
    if (!dlua_is_none(L, first))
        out->first = check_position(L, first, s, dim, true);
    if (!dlua_is_none(L, first + 1))
        out->end = check_position(L, first + 1, s, dim, false) + 1;
    if (!dlua_is_none(L, first + 2))
        out->step = check_step(L, first + 2, dim);
    if (out->end < out->first)
        out->end = out->first;
    if (dlua_is_none(L, first) && dlua_is_none(L, first + 1) && dlua_is_none(L, first + 2))
        out->kind = PART_ALL;
    lua_pop(L, 3);
}

/* One entry of the key, at the top of the stack. */
static void read_part(lua_State *L, selection *s, int dim) {
    char text[160];
    part *out = &s->parts[dim];
    dl_tensor *rows = dlua_test_tensor(L, -1);
    if (lua_type(L, -1) == LUA_TTABLE) {
        read_range(L, lua_gettop(L), s, dim, out);
    } else if (rows != NULL) {
        if (dl_dtype_is_float(dl_tensor_dtype(rows)) || dl_tensor_dims(rows) != 1)
            dlua_raise(L, "index: dimension %d takes a one-dimensional tensor of whole numbers, got %s", dim + 1,
                       dlua_describe(L, -1, text, sizeof text));
        *out = (part){.kind = PART_ROWS, .rows = rows};
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
        *out = (part){.kind = PART_SELECT, .first = check_position(L, lua_gettop(L), s, dim, false)};
    } else {
        dlua_raise(L, "index: dimension %d takes a number, a range {from, to, step}, {} for all, or a tensor, got %s",
                   dim + 1, dlua_describe(L, -1, text, sizeof text));
    }
}

/* The key at index 2: a number or a table of parts. */
static void read_selection(lua_State *L, selection *s) {
    char text[160];
    int dims = dl_tensor_dims(s->tensor);
    s->count = 0;
    if (dims == 0)
        dlua_raise(L, "index: a tensor of no dimensions cannot be indexed; t:item() is its number");
    if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_pushvalue(L, 2);
        read_part(L, s, s->count++);
        lua_pop(L, 1);
        return;
    }
    if (lua_type(L, 2) != LUA_TTABLE)
        dlua_raise(L, "index: a key is a number, a table, or a tensor, got %s", dlua_describe(L, 2, text, sizeof text));
    int count = check_entries(L, 2, "the key");
    if (count == 0)
        dlua_raise(L, "index: the key has no entries: is a variable misspelt? t[{{}}] is the whole tensor");
    if (count > dims)
        dlua_raise(L, "index: %d entries for a tensor of %d dimensions", count, dims);
    for (; s->count < count; s->count++) {
        lua_rawgeti(L, 2, s->count + 1);
        read_part(L, s, s->count);
        lua_pop(L, 1);
    }
}

/* ---- reading elements ------------------------------------------------------------------------------------------ */

static dl_tensor *make_selection(dl_context *context, void *argument) {
    selection *s = argument;
    dl_tensor *result = s->tensor;
    int dim = 0;
    for (int k = 0; k < s->count; k++) {
        const part *p = &s->parts[k];
        if (p->kind == PART_SELECT)
            result = dl_select(context, result, dim, p->first);
        else if (p->kind == PART_RANGE)
            result = dl_slice(context, result, dim, p->first, p->end, p->step);
        else if (p->kind == PART_ROWS)
            result = dl_index_select(context, result, dim, p->rows);
        if (p->kind != PART_SELECT)
            dim++;
    }
    return result;
}

/* Rows of a tensor by an index of any shape: the result has the index's shape, then that of a row. */
typedef struct lookup {
    dl_tensor *tensor;
    dl_tensor *index;
} lookup;

static dl_tensor *make_lookup(dl_context *context, void *argument) {
    lookup *l = argument;
    int64_t shape[2 * DL_MAX_DIMS];
    int64_t flat[1] = {-1};
    int index_dims = dl_tensor_dims(l->index), dims = dl_tensor_dims(l->tensor);
    if (index_dims == 1)
        return dl_index_select(context, l->tensor, 0, l->index);
    memcpy(shape, dl_tensor_shape(l->index), (size_t)index_dims * sizeof shape[0]);
    memcpy(shape + index_dims, dl_tensor_shape(l->tensor) + 1, (size_t)(dims - 1) * sizeof shape[0]);
    dl_tensor *rows = dl_index_select(context, l->tensor, 0, dl_reshape(context, l->index, 1, flat));
    return dl_reshape(context, rows, index_dims + dims - 1, shape);
}

/* Elements (or rows, if the mask has fewer dimensions) where the mask is true. */
typedef struct masked {
    dl_tensor *tensor;
    int mask_dims;
    int64_t count;
    const int64_t *places; /* from 1, in the tensor with the mask's dimensions made one */
} masked;

static dl_tensor *make_masked(dl_context *context, void *argument) {
    masked *m = argument;
    int dims = dl_tensor_dims(m->tensor);
    int64_t shape[DL_MAX_DIMS + 1];
    shape[0] = -1;
    memcpy(shape + 1, dl_tensor_shape(m->tensor) + m->mask_dims, (size_t)(dims - m->mask_dims) * sizeof shape[0]);
    dl_tensor *rows = dl_reshape(context, m->tensor, dims - m->mask_dims + 1, shape);
    dl_tensor *places = dl_from_data(context, DL_INT64, 1, &m->count, m->places);
    return dl_index_select(context, rows, 0, places);
}

static void check_mask(lua_State *L, dl_tensor *tensor, dl_tensor *mask) {
    int mask_dims = dl_tensor_dims(mask);
    bool fits = mask_dims >= 1 && mask_dims <= dl_tensor_dims(tensor);
    for (int dim = 0; fits && dim < mask_dims; dim++)
        fits = dl_tensor_shape(mask)[dim] == dl_tensor_shape(tensor)[dim];
    if (!fits) {
        char own[128], other[128];
        dl_shape_describe(dl_tensor_dims(tensor), dl_tensor_shape(tensor), own, sizeof own);
        dl_shape_describe(mask_dims, dl_tensor_shape(mask), other, sizeof other);
        dlua_raise(L, "index: a mask of shape %s does not fit a tensor of shape %s: it must have its first dimensions",
                   other, own);
    }
}

static int index_by_mask(lua_State *L, dl_tensor *tensor, dl_tensor *mask) {
    check_mask(L, tensor, mask);
    int64_t total = dl_tensor_numel(mask);
    int64_t *places = lua_newuserdatauv(L, (size_t)total * sizeof *places + 1, 0);
    dlua_check(L, dl_copy_out(mask, DL_INT64, places));
    masked m = {.tensor = tensor, .mask_dims = dl_tensor_dims(mask), .places = places};
    for (int64_t place = 0; place < total; place++)
        if (places[place] != 0)
            places[m.count++] = place + 1;
    return dlua_make_tensor(L, make_masked, &m);
}

int dlua_index_tensor(lua_State *L) {
    dl_tensor *tensor = dlua_check_tensor(L, 1, "index", "the indexed value");
    dl_tensor *key = dlua_test_tensor(L, 2);
    if (key != NULL && dl_tensor_dtype(key) == DL_BOOLEAN)
        return index_by_mask(L, tensor, key);
    if (key != NULL) {
        lookup l = {.tensor = tensor, .index = key};
        if (dl_tensor_dims(tensor) == 0)
            dlua_raise(L, "index: a tensor of no dimensions cannot be indexed");
        return dlua_make_tensor(L, make_lookup, &l);
    }
    selection s = {.tensor = tensor};
    read_selection(L, &s);
    return dlua_make_tensor(L, make_selection, &s);
}

/* ---- assignment ------------------------------------------------------------------------------------------------ */

/* The new value: a tensor, or a number or boolean as a double. */
typedef struct source {
    dl_tensor *tensor;
    double number;
} source;

static source check_source(lua_State *L, int index) {
    char text[160];
    source from = {.tensor = dlua_test_tensor(L, index)};
    if (lua_type(L, index) == LUA_TNUMBER)
        from.number = lua_tonumber(L, index);
    else if (lua_isboolean(L, index))
        from.number = lua_toboolean(L, index);
    else if (from.tensor == NULL)
        dlua_raise(L, "assign: the value must be a number, a boolean or a tensor, got %s",
                   dlua_describe(L, index, text, sizeof text));
    return from;
}

static dl_status write_to(dl_tensor *view, const source *from) {
    if (view == NULL)
        return dl_last_status();
    return from->tensor != NULL ? dl_copy_(view, from->tensor) : dl_fill_(view, from->number);
}

/* Writes row after row; a tensor is spread over all of them first, as it is where gradients are recorded. */
static dl_status write_rows(dl_context *context, dl_tensor *tensor, int dim, const int64_t *rows, int64_t count,
                            const source *from) {
    int64_t shape[DL_MAX_DIMS];
    memcpy(shape, dl_tensor_shape(tensor), (size_t)dl_tensor_dims(tensor) * sizeof shape[0]);
    shape[dim] = count;
    source spread = *from;
    if (from->tensor != NULL)
        spread.tensor = dl_expand(context, from->tensor, dl_tensor_dims(tensor), shape);
    dl_status status = from->tensor != NULL && spread.tensor == NULL ? dl_last_status() : DL_OK;
    for (int64_t k = 0; status == DL_OK && k < count; k++) {
        size_t mark = dl_scope_begin(context);
        source row = spread;
        if (spread.tensor != NULL)
            row.tensor = dl_select(context, spread.tensor, dim, k);
        status = spread.tensor != NULL && row.tensor == NULL
                     ? dl_last_status()
                     : write_to(dl_select(context, tensor, dim, rows[k] - 1), &row);
        dl_scope_end(context, mark, NULL);
    }
    return status;
}

/* Copies the index tensor's values into a userdata on the stack and checks them against the dimension. */
static const int64_t *check_rows(lua_State *L, dl_tensor *tensor, int dim, dl_tensor *index) {
    int64_t size = dl_tensor_shape(tensor)[dim];
    int64_t *rows = lua_newuserdatauv(L, (size_t)dl_tensor_numel(index) * sizeof *rows + 1, 0);
    dlua_check(L, dl_copy_out(index, DL_INT64, rows));
    for (int64_t k = 0; k < dl_tensor_numel(index); k++)
        if (rows[k] < 1 || rows[k] > size)
            dlua_raise(L, "assign: the index holds %I, but dimension %d has the positions 1 to %I",
                       (LUAI_UACINT)rows[k], dim + 1, (LUAI_UACINT)size);
    return rows;
}

/* A selection whose one tensor of positions, if it has one, was taken out of it: what is left makes a view. */
typedef struct assignment {
    selection *s;
    const source *from;
    const int64_t *rows; /* NULL: no tensor of positions */
    int64_t row_count;
    int by_rows; /* the dimension of the view that `rows` choose from */
} assignment;

static dl_status write_selection(dl_context *context, dl_tensor *tensor, const assignment *a, const source *from) {
    selection s = *a->s;
    s.tensor = tensor;
    dl_tensor *view = make_selection(context, &s);
    if (a->rows != NULL && view != NULL)
        return write_rows(context, view, a->by_rows, a->rows, a->row_count, from);
    return write_to(view, from);
}

/* The shape of what is overwritten. */
static int assigned_shape(dl_context *context, const assignment *a, int64_t shape[DL_MAX_DIMS]) {
    dl_tensor *view = make_selection(context, a->s);
    if (view == NULL)
        return -1;
    memcpy(shape, dl_tensor_shape(view), (size_t)dl_tensor_dims(view) * sizeof shape[0]);
    if (a->rows != NULL)
        shape[a->by_rows] = a->row_count;
    return dl_tensor_dims(view);
}

/* For each element of the tensor the number (from 1) of the assigned element that overwrites it; 0: it stays. */
static dl_tensor *assigned_places(dl_context *context, const assignment *a, int dims, const int64_t *shape) {
    int64_t count = 1;
    for (int k = 0; k < dims; k++)
        count *= shape[k];
    dl_tensor *tensor = a->s->tensor;
    dl_tensor *places = dl_zeros(context, DL_INT64, dl_tensor_dims(tensor), dl_tensor_shape(tensor));
    dl_tensor *counted = dl_arange(context, DL_INT64, 1, (double)count + 1, 1);
    source numbers = {.tensor = dl_reshape(context, counted, dims, shape)};
    if (places == NULL || numbers.tensor == NULL || write_selection(context, places, a, &numbers) != DL_OK)
        return NULL;
    return places;
}

/* The value with the shape of what is overwritten, in one dimension. */
static dl_tensor *spread_value(dl_context *context, const assignment *a, int dims, const int64_t *shape) {
    int64_t flat[1] = {-1};
    dl_tensor *value = dl_to(context, a->from->tensor, dl_tensor_dtype(a->s->tensor));
    value = value != NULL ? dl_expand(context, value, dims, shape) : NULL;
    return value != NULL ? dl_reshape(context, value, 1, flat) : NULL;
}

/* The assignment as operations, so that gradients know of it: what was there before gets none, the value gets that of
 * its place. */
static dl_tensor *assigned(dl_context *context, const assignment *a) {
    int64_t shape[DL_MAX_DIMS], flat[1] = {-1};
    dl_tensor *tensor = a->s->tensor;
    int dims = assigned_shape(context, a, shape);
    dl_tensor *places = dims >= 0 ? assigned_places(context, a, dims, shape) : NULL;
    dl_tensor *changes = places != NULL ? dl_gt(context, places, dl_scalar(context, DL_INT64, 0)) : NULL;
    if (changes == NULL)
        return NULL;
    if (a->from->tensor == NULL)
        return dl_where(context, changes, dl_scalar(context, dl_tensor_dtype(tensor), a->from->number), tensor);
    dl_tensor *value = spread_value(context, a, dims, shape);
    if (value == NULL || dl_tensor_numel(value) == 0)
        return value != NULL ? tensor : NULL;
    dl_tensor *order = dl_reshape(context, dl_maximum(context, places, dl_scalar(context, DL_INT64, 1)), 1, flat);
    dl_tensor *spread = order != NULL ? dl_index_select(context, value, 0, order) : NULL;
    if (spread == NULL)
        return NULL;
    return dl_where(context, changes,
                    dl_reshape(context, spread, dl_tensor_dims(tensor), dl_tensor_shape(tensor)), tensor);
}

/* Puts the changed values into the tensor; says what to do where the graph forbids it. */
static dl_status replace_values(dl_tensor *tensor, dl_tensor *changed) {
    dl_status status = changed != NULL ? dl_copy_(tensor, changed) : dl_last_status();
    if (status == DL_STATE && tensor->view)
        return dl_fail(DL_STATE, "a view cannot change in place while gradients are recorded; assign to the tensor "
                                 "that it is a view of, with one key: t[{i, j}] = value, not t[i][j]");
    if (status == DL_STATE && dl_is_leaf(tensor))
        return dl_fail(DL_STATE, "a leaf that requires a gradient cannot change in place while gradients are recorded; "
                                 "assign inside dlua.no_grad(function() ... end), or to a clone");
    return status;
}

static bool is_recorded(const dl_context *context, const dl_tensor *tensor, const source *from) {
    return dl_grad_enabled(context) &&
           (dl_requires_grad(tensor) || (from->tensor != NULL && dl_requires_grad(from->tensor)));
}

/* Raises a failure of an assignment. */
static void check_assigned(lua_State *L, dl_status status) {
    if (status != DL_OK)
        dl_fail_prefix("assign");
    dlua_check(L, status);
}

/* t[{2, index, {1, 3}}] = value: a view by the other parts, then row after row. */
static void assign_selection(lua_State *L, selection *s, const source *from) {
    int dim = 0;
    assignment a = {.s = s, .from = from};
    for (int k = 0; k < s->count; k++) {
        if (s->parts[k].kind == PART_ROWS) {
            if (a.rows != NULL)
                dlua_raise(L, "assign: only one dimension can be assigned by a tensor of positions");
            a.by_rows = dim;
            a.row_count = dl_tensor_numel(s->parts[k].rows);
            a.rows = check_rows(L, s->tensor, k, s->parts[k].rows);
            s->parts[k].kind = PART_ALL;
        }
        if (s->parts[k].kind != PART_SELECT)
            dim++;
    }
    dl_context *context = dlua_context(L);
    size_t mark = dl_scope_begin(context);
    dl_status status = is_recorded(context, s->tensor, from) ? replace_values(s->tensor, assigned(context, &a))
                                                             : write_selection(context, s->tensor, &a, from);
    dl_scope_end(context, mark, NULL);
    check_assigned(L, status);
}

/* t[mask] = value: x = where(mask, value, x) in place, the mask spread over the dimensions that it lacks. */
static void assign_masked(lua_State *L, dl_tensor *tensor, dl_tensor *mask, const source *from) {
    check_mask(L, tensor, mask);
    int mask_dims = dl_tensor_dims(mask), dims = dl_tensor_dims(tensor);
    int64_t shape[DL_MAX_DIMS];
    for (int dim = 0; dim < dims; dim++)
        shape[dim] = dim < mask_dims ? dl_tensor_shape(mask)[dim] : 1;
    dl_context *context = dlua_context(L);
    size_t mark = dl_scope_begin(context);
    dl_tensor *spread = dl_reshape(context, mask, dims, shape);
    dl_tensor *value = from->tensor != NULL ? from->tensor : dl_scalar(context, dl_tensor_dtype(tensor), from->number);
    dl_tensor *changed = dl_where(context, spread, value, tensor);
    dl_status status = replace_values(tensor, changed);
    dl_scope_end(context, mark, NULL);
    check_assigned(L, status);
}

int dlua_assign_tensor(lua_State *L) {
    dl_tensor *tensor = dlua_check_tensor(L, 1, "assign", "the indexed value");
    dl_tensor *key = dlua_test_tensor(L, 2);
    source from = check_source(L, 3);
    if (key != NULL && dl_tensor_dtype(key) == DL_BOOLEAN) {
        assign_masked(L, tensor, key, &from);
        return 0;
    }
    selection s = {.tensor = tensor};
    if (key != NULL) {
        if (dl_tensor_dims(tensor) == 0)
            dlua_raise(L, "assign: a tensor of no dimensions cannot be indexed; t:fill_(value) sets it");
        lua_pushvalue(L, 2);
        read_part(L, &s, s.count++);
    } else {
        read_selection(L, &s);
    }
    assign_selection(L, &s, &from);
    return 0;
}
