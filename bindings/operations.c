/* operations.c: the operations of the engine's registry as functions and methods.
 *
 * An operation takes its tensors and then its options, by position, or all in one table if that has a name in it, or
 * the first by position and the rest by name in a table at the end:
 *
 *      t:sum(2, true)    t:sum {dim = 2, keepdim = true}    t:sum(2, {keepdim = true})    dlua.cat {{a, b}, dim = 1}
 *
 * Always true: between dl_scope_begin and dl_scope_end nothing raises; results have their userdata before they exist.
 */
#include "tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

#define MOST_INPUTS     12
#define MOST_FIELDS     32
#define LARGEST_OPTIONS 1024

/* What is known of an operation before it is called. Lives in a userdata that its functions have as upvalue. */
typedef struct operation {
    const dl_op *op;
    int inputs;
    char names[256];                                    /* the inputs' names, a zero after each */
    const char *input_names[MOST_INPUTS + MOST_FIELDS]; /* then those of the positional fields */
    bool optional[MOST_INPUTS];
    int input_places[MOST_INPUTS]; /* from 1 */
    int field_places[MOST_FIELDS]; /* from 1; 0: by name only */
    int list;                      /* the input that is a list of tensors; -1: none */
    int positional;                /* inputs and positional fields */
    const dl_field *fields[MOST_FIELDS];
    int field_count;
} operation;

/* A call under way. */
typedef struct call {
    lua_State *L;
    const operation *of;
    const char *name;
    int first;       /* stack index of argument 1 when the arguments are positional */
    int count;       /* of positional arguments */
    int table;       /* stack index of the named arguments; 0: positional ones */
    dl_tensor **in;  /* inputs, NULL where one is missing or a number */
    double *numbers; /* for inputs that are numbers */
    char *kinds;     /* 't' tensor, 'i' whole number, 'r' real number, 'b' boolean, '-' none */
    int inputs;
    void *options;
} call;

/* ---- the registry's text --------------------------------------------------------------------------------------- */

/* Reads "x weight bias?" or "tensors*". */
static void read_inputs(operation *o) {
    snprintf(o->names, sizeof o->names, "%s", o->op->inputs);
    o->list = -1;
    char *rest = NULL;
    for (char *name = strtok_r(o->names, " ", &rest); name != NULL && o->inputs < MOST_INPUTS;
         name = strtok_r(NULL, " ", &rest)) {
        size_t length = strlen(name);
        char last = name[length - 1];
        if (last == '?')
            o->optional[o->inputs] = true;
        if (last == '*')
            o->list = o->inputs;
        if (last == '?' || last == '*')
            name[length - 1] = '\0';
        o->input_names[o->inputs++] = name;
        o->input_places[o->inputs - 1] = o->inputs;
    }
    o->positional = o->inputs;
    for (const dl_field *field = o->op->definition.fields; field->kind != DL_FIELD_END; field++) {
        if (o->field_count == MOST_FIELDS)
            break;
        o->fields[o->field_count++] = field;
        if (field->flags & DL_NAMED_ONLY)
            continue;
        o->input_names[o->positional++] = field->name;
        o->field_places[o->field_count - 1] = o->positional;
    }
}

/* The place (from 1) of a name among the words of a text, or 0. */
static int place_among(const char *words, const char *name) {
    size_t length = strlen(name);
    int place = 1;
    for (const char *at = words; *at != '\0'; place++) {
        size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, name, length) == 0)
            return place;
        at += word + strspn(at + word, " ");
    }
    return 0;
}

/* Puts inputs and fields in the order that the operation names. */
static void reorder(operation *o) {
    const char *names[MOST_INPUTS + MOST_FIELDS];
    memcpy(names, o->input_names, sizeof names);
    for (int k = 0; k < o->positional; k++) {
        int place = place_among(o->op->order, names[k]);
        o->input_names[place - 1] = names[k];
        if (k < o->inputs)
            o->input_places[k] = place;
        for (int f = 0; f < o->field_count; f++)
            if (o->fields[f]->name == names[k])
                o->field_places[f] = place;
    }
}

/* ---- where an argument is -------------------------------------------------------------------------------------- */

_Noreturn static void twice(call *c, int place, const char *name) {
    dl_options_clear(&c->of->op->definition, c->options);
    dlua_raise(c->L, "%s: '%s' is given twice: as argument %d and by its name", c->name, name, place);
}

/* Pushes argument `place` (from 1; 0: it has no place) or, of a table, that with the name; nil if it is not there. */
static void push_argument(call *c, int place, const char *name) {
    lua_State *L = c->L;
    if (c->table == 0) {
        if (place >= 1 && place <= c->count)
            lua_pushvalue(L, c->first + place - 1);
        else
            lua_pushnil(L);
        return;
    }
    lua_pushstring(L, name);
    bool named = lua_rawget(L, c->table) != LUA_TNIL;
    if (place == 0)
        return;
    if (lua_rawgeti(L, c->table, place) == LUA_TNIL)
        lua_pop(L, 1);
    else if (named)
        twice(c, place, name);
    else
        lua_remove(L, -2);
}

/* Unknown names of a table, with the nearest among inputs and fields. */
static void check_names(call *c) {
    lua_State *L = c->L;
    const operation *o = c->of;
    lua_pushnil(L);
    while (lua_next(L, c->table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        const char *name = lua_tostring(L, -1);
        bool known = dl_find_field(o->op->definition.fields, name) != NULL;
        for (int k = 0; !known && k < o->positional; k++)
            known = strcmp(o->input_names[k], name) == 0;
        if (!known) {
            dl_value none = {.kind = DL_VALUE_NONE};
            dl_status status = dl_options_set(dlua_context(L), &o->op->definition, c->options, name, &none);
            dl_options_clear(&o->op->definition, c->options);
            dlua_raise_status(L, status);
        }
    }
}

static void check_holes(call *c) {
    for (int k = 0; k < c->count; k++)
        if (lua_isnil(c->L, c->first + k))
            dlua_raise(c->L, "%s: the argument %d%s%s%s is nil: is a variable misspelt? write dlua.none for no value",
                       c->name, k + 1, k < c->of->positional ? " ('" : "",
                       k < c->of->positional ? c->of->input_names[k] : "", k < c->of->positional ? "')" : "");
}

/* The key at the top is a place in a table that comes after `before` arguments. */
static lua_Integer check_place(call *c, int before) {
    lua_Integer place = lua_tointeger(c->L, -1);
    if (place < 1 || place > c->of->positional - before)
        dlua_raise(c->L, "%s: the table at the end has an entry [%I]; it holds arguments by name%s", c->name,
                   (LUAI_UACINT)place,
                   before < c->of->positional ? ", and by place, from [1], those after the ones before it" : "");
    return place + before;
}

/* Finds out how the arguments came. A table with names at the end becomes one of all arguments, those before it under
 * their places. */
static void begin(call *c) {
    lua_State *L = c->L;
    int top = lua_gettop(L);
    c->first = 1;
    c->count = top;
    check_holes(c);
    if (top == 0 || lua_type(L, top) != LUA_TTABLE || !dlua_table_has_names(L, top))
        return;
    c->table = top;
    if (top == 1)
        return;
    lua_createtable(L, top, 4);
    for (int k = 1; k < top; k++) {
        lua_pushvalue(L, k);
        lua_rawseti(L, -2, k);
    }
    lua_pushnil(L);
    while (lua_next(L, top)) {
        lua_pushvalue(L, -2);
        if (lua_isinteger(L, -1)) {
            lua_pushinteger(L, check_place(c, top - 1));
            lua_replace(L, -2);
        }
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    c->table = lua_gettop(L);
}

/* Of arguments in a table: places that are too many, or holes. A method's own tensor is not counted in the message. */
static void check_table(call *c, bool is_method) {
    int skipped = is_method ? 1 : 0;
    if (c->table == 0)
        return;
    bool alone = c->count == 1 + skipped;
    dlua_check(c->L, alone ? dlua_check_positions(c->L, c->count, c->name, c->of->input_names + skipped,
                                                  c->of->positional - skipped)
                           : dlua_check_positions(c->L, c->table, c->name, c->of->input_names, c->of->positional));
}

/* ---- inputs ---------------------------------------------------------------------------------------------------- */

_Noreturn static void refuse_input(call *c, const char *name, const char *wanted) {
    char text[160];
    dlua_raise(c->L, "%s: %s must be %s, got %s", c->name, name, wanted, dlua_describe(c->L, -1, text, sizeof text));
}

/* The value at the top as input k. */
static void read_input(call *c, int k, const char *name, bool optional) {
    lua_State *L = c->L;
    bool scalars = c->of->op->flags & DL_OP_SCALARS;
    c->in[k] = dlua_test_tensor(L, -1);
    c->kinds[k] = 't';
    if (c->in[k] != NULL)
        return;
    if (optional && dlua_is_none(L, -1)) {
        c->kinds[k] = '-';
        return;
    }
    if (!scalars)
        refuse_input(c, name, "a tensor");
    if (lua_type(L, -1) == LUA_TNUMBER) {
        c->kinds[k] = lua_isinteger(L, -1) ? 'i' : 'r';
        c->numbers[k] = lua_tonumber(L, -1);
    } else if (lua_isboolean(L, -1)) {
        c->kinds[k] = 'b';
        c->numbers[k] = lua_toboolean(L, -1);
    } else {
        refuse_input(c, name, "a tensor or a number");
    }
}

/* Room for `count` inputs, on the stack. */
static void make_room(call *c, int count) {
    size_t each = sizeof c->in[0] + sizeof c->numbers[0] + 1;
    c->inputs = count;
    c->in = lua_newuserdatauv(c->L, (size_t)count * each + 1, 0);
    c->numbers = (double *)(c->in + count);
    c->kinds = (char *)(c->numbers + count);
}

/* The list of tensors at the top. */
static void read_list(call *c, const char *name) {
    lua_State *L = c->L;
    if (lua_type(L, -1) != LUA_TTABLE)
        refuse_input(c, name, "a list of tensors");
    int list = lua_gettop(L);
    int count = (int)lua_rawlen(L, list);
    if (count == 0)
        dlua_raise(L, "%s: %s is an empty list; it needs at least one tensor", c->name, name);
    make_room(c, count);
    for (int k = 0; k < count; k++) {
        char place[64];
        snprintf(place, sizeof place, "%s[%d]", name, k + 1);
        lua_rawgeti(L, list, k + 1);
        read_input(c, k, place, false);
        lua_pop(L, 1);
    }
}

static void read_inputs_of(call *c) {
    const operation *o = c->of;
    if (o->list >= 0) {
        push_argument(c, 1, o->input_names[0]);
        read_list(c, o->input_names[0]);
        return;
    }
    make_room(c, o->inputs);
    for (int k = 0; k < o->inputs; k++) {
        int place = o->input_places[k];
        push_argument(c, place, o->input_names[place - 1]);
        read_input(c, k, o->input_names[place - 1], o->optional[k]);
        lua_pop(c->L, 1);
    }
}

/* The dtype that a number takes beside the tensors of the call: theirs, but a fraction makes whole numbers float32. */
static dl_dtype scalar_dtype(const call *c, char kind) {
    bool has_tensor = false;
    dl_dtype dtype = DL_BOOLEAN;
    for (int k = 0; k < c->inputs; k++)
        if (c->kinds[k] == 't') {
            dl_dtype own = dl_tensor_dtype(c->in[k]);
            dtype = has_tensor ? dl_dtype_promote(dtype, own) : own;
            has_tensor = true;
        }
    if (kind == 'b')
        return DL_BOOLEAN;
    if (kind == 'r')
        return has_tensor && dl_dtype_is_float(dtype) ? dtype : DL_FLOAT32;
    return !has_tensor || dtype == DL_BOOLEAN ? DL_INT64 : dtype;
}

/* Inside the scope: makes tensors of the inputs that are numbers. False without memory. Does not raise. */
static bool make_scalars(const call *c, dl_context *context, dl_tensor **in) {
    for (int k = 0; k < c->inputs; k++) {
        in[k] = c->in[k];
        if (c->kinds[k] == 't' || c->kinds[k] == '-')
            continue;
        in[k] = dl_scalar(context, scalar_dtype(c, c->kinds[k]), c->numbers[k]);
        if (in[k] == NULL)
            return false;
    }
    return true;
}

/* ---- options --------------------------------------------------------------------------------------------------- */

static const dl_field *last_positional_field(const operation *o) {
    if (o->positional == o->inputs)
        return NULL;
    return dl_find_field(o->op->definition.fields, o->input_names[o->positional - 1]);
}

/* Whether the positional arguments from `place` on are the numbers of one list, as in t:reshape(2, 3, 4): the list is
 * the last positional field and more than one number is left. */
static bool takes_rest(const call *c, const dl_field *field, int place) {
    if (field == NULL || c->table != 0 || field->kind != DL_FIELD_INTS || place != c->of->positional ||
        c->count <= place)
        return false;
    for (int k = place; k <= c->count; k++)
        if (lua_type(c->L, c->first + k - 1) != LUA_TNUMBER)
            return false;
    return true;
}

static void push_rest(call *c, int place) {
    lua_createtable(c->L, c->count - place + 1, 0);
    for (int k = place; k <= c->count; k++) {
        lua_pushvalue(c->L, c->first + k - 1);
        lua_rawseti(c->L, -2, k - place + 1);
    }
}

/* max(a, b) is what maximum is for: an option is never a tensor. */
static void refuse_tensor(call *c, const dl_field *field) {
    char text[160], other[64];
    if (dlua_test_tensor(c->L, -1) == NULL)
        return;
    snprintf(other, sizeof other, "%simum", c->name);
    bool has_other = dl_find_definition(dlua_context(c->L), &dl_op_family, other) != NULL;
    dl_options_clear(&c->of->op->definition, c->options);
    dlua_raise(c->L, "%s: %s cannot be a tensor, got %s%s%s%s", c->name, field->name,
               dlua_describe(c->L, -1, text, sizeof text),
               has_other ? "; of two tensors, element by element, there is " : "",
               has_other ? other : "", has_other ? "(a, b)" : "");
}

/* Whether the argument at the top is dlua.none for a bound that is open by default, as clamp's are. */
static bool is_open_bound(lua_State *L, const dl_field *field) {
    return field->kind == DL_FIELD_REAL && (field->number == DL_LOWEST || field->number == DL_HIGHEST) &&
           dlua_class_of(L, -1) == DLUA_NONE;
}

/* The stack is as deep as it will be: pushes here need no memory, but for takes_rest's table, which comes first. */
static void read_options(call *c) {
    lua_State *L = c->L;
    const operation *o = c->of;
    const dl_definition *definition = &o->op->definition;
    dl_status status = DL_OK;
    bool rest = false;
    if (takes_rest(c, last_positional_field(o), o->positional)) {
        push_rest(c, o->positional);
        rest = true;
    }
    int rest_index = lua_gettop(L);
    if (c->table == 0 && !rest && c->count > o->positional)
        dlua_raise(L, "%s: got %d arguments, but there are at most %d", c->name, c->count, o->positional);
    if (c->table != 0)
        check_names(c);
    for (int k = 0; status == DL_OK && k < o->field_count; k++) {
        const dl_field *field = o->fields[k];
        int own = o->field_places[k];
        if (rest && own == o->positional)
            lua_pushvalue(L, rest_index);
        else
            push_argument(c, own, field->name);
        refuse_tensor(c, field);
        if (is_open_bound(L, field))
            status = DL_OK; /* as it is by default */
        else if (!lua_isnil(L, -1))
            status = dlua_set_field(L, definition, c->options, field, lua_gettop(L));
        else if (field->flags & DL_REQUIRED)
            status = dlua_missing(c->name, field);
        lua_pop(L, 1);
    }
    if (status != DL_OK) {
        dl_options_clear(definition, c->options);
        dlua_raise_status(L, status);
    }
}

/* ---- calls ----------------------------------------------------------------------------------------------------- */

/* Runs the operation once, with the userdata for its results at stack index `results` on. Does not raise. */
static dl_status run(const call *c, dl_context *context, dl_tensor **in, int results, bool in_place) {
    const dl_op *op = c->of->op;
    dl_tensor *out[DL_MAX_OUTPUTS] = {NULL};
    size_t mark = dl_scope_begin(context);
    dl_status status = make_scalars(c, context, in) ? DL_OK : DL_MEMORY;
    if (status == DL_OK)
        status = in_place ? dl_apply_inplace(context, op, in, c->inputs, c->options)
                          : dl_apply(context, op, in, c->inputs, c->options, out);
    for (int k = 0; status == DL_OK && !in_place && k < op->outputs; k++) {
        dl_retain(out[k]);
        *(dl_tensor **)lua_touserdata(c->L, results + k) = out[k];
    }
    dl_scope_end(context, mark, NULL);
    return status;
}

static int call_operation(lua_State *L, bool is_method, bool in_place) {
    _Alignas(16) char room[LARGEST_OPTIONS];
    const operation *o = lua_touserdata(L, lua_upvalueindex(1));
    call c = {.L = L, .of = o, .name = o->op->definition.name, .options = room};
    dl_options_init(&o->op->definition, room, o->op->definition.options_size);
    begin(&c);
    check_table(&c, is_method);
    read_inputs_of(&c);
    dl_tensor **in = lua_newuserdatauv(L, (size_t)c.inputs * sizeof *in + 1, 0);
    int outputs = in_place ? 0 : o->op->outputs;
    luaL_checkstack(L, outputs + 16, "too many arguments");
    dl_context *context = dlua_context(L);
    int results = lua_gettop(L) + 1;
    for (int k = 0; k < outputs; k++)
        dlua_new_tensor(L);
    read_options(&c);
    lua_settop(L, results + outputs - 1);
    dl_status status;
    do
        status = run(&c, context, in, results, in_place);
    while (dlua_collect_for_memory(L, status));
    dl_options_clear(&o->op->definition, room);
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    if (in_place) {
        lua_settop(L, 1);
        return 1;
    }
    return outputs;
}

static int call_function(lua_State *L) {
    return call_operation(L, false, false);
}

static int call_method(lua_State *L) {
    return call_operation(L, true, false);
}

static int call_in_place(lua_State *L) {
    return call_operation(L, true, true);
}

const dl_op *dlua_test_operation(lua_State *L, int index) {
    lua_CFunction function = lua_tocfunction(L, index);
    if (function != call_function && function != call_method && function != call_in_place)
        return NULL;
    lua_getupvalue(L, index, 1);
    const operation *o = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return o->op;
}

/* Pops the function at the top and puts it into the table under the operation's name and its aliases. */
static void set_names(lua_State *L, const dl_op *op, int table) {
    for (const char *at = op->definition.aliases; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, "|");
        lua_pushlstring(L, at, length);
        lua_pushvalue(L, -2);
        lua_rawset(L, table);
        at += length + (at[length] == '|');
    }
    lua_setfield(L, table, op->definition.name);
}

static void add_operation(lua_State *L, const dl_op *op, int module, int methods) {
    const char *name = op->definition.name;
    operation *o = lua_newuserdatauv(L, sizeof *o, 1);
    dlua_keep_names(L, op->definition.fields);
    memset(o, 0, sizeof *o);
    o->op = op;
    if (op->definition.options_size > LARGEST_OPTIONS)
        luaL_error(L, "the options of the operation '%s' are too large", name);
    read_inputs(o);
    if (o->op->order != NULL)
        reorder(o);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, call_function, 1);
    set_names(L, op, module);
    if (op->flags & DL_OP_METHOD) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, call_method, 1);
        set_names(L, op, methods);
    }
    if (op->flags & DL_OP_INPLACE) {
        lua_pushfstring(L, "%s_", name);
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, call_in_place, 1);
        lua_rawset(L, methods);
    }
    lua_pop(L, 1);
}

void dlua_open_operations(lua_State *L, int module, int methods) {
    for (const dl_definition *const *row = dl_op_family.definitions; *row != NULL; row++)
        add_operation(L, (const dl_op *)(const void *)*row, module, methods);
}
