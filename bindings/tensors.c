/* tensors.c: the class of tensors in Lua: its methods, properties and metamethods.
 *
 * Always true: a userdata holds a reference of its own, so it outlives every scope of the engine; the operations
 * themselves are in operations.c, made from the registry, and indexing is in indexing.c. */
#include "tensors.h"

#include <math.h>
#include <string.h>

#include "help.h"
#include "values.h"

/* ---- the userdata ---------------------------------------------------------------------------------------------- */

dl_tensor **dlua_new_tensor(lua_State *L) {
    dl_tensor **place = lua_newuserdatauv(L, sizeof *place, 0);
    *place = NULL;
    dlua_set_class(L, DLUA_TENSOR);
    return place;
}

void dlua_push_tensor(lua_State *L, dl_tensor *tensor) {
    if (tensor == NULL) {
        lua_pushnil(L);
        return;
    }
    dl_tensor **place = dlua_new_tensor(L);
    dl_retain(tensor);
    *place = tensor;
}

dl_tensor *dlua_test_tensor(lua_State *L, int index) {
    return dlua_class_of(L, index) == DLUA_TENSOR ? *(dl_tensor **)lua_touserdata(L, index) : NULL;
}

dl_tensor *dlua_check_tensor(lua_State *L, int index, const char *function, const char *argument) {
    char text[160];
    dl_tensor *tensor = dlua_test_tensor(L, index);
    if (tensor == NULL)
        dlua_raise(L, "%s: %s must be a tensor, got %s", function, argument,
                   dlua_describe(L, index, text, sizeof text));
    return tensor;
}

/* The tensor that a method is called on: t:NAME(...). */
static dl_tensor *check_self(lua_State *L, const char *method) {
    char text[160];
    dl_tensor *tensor = dlua_test_tensor(L, 1);
    if (tensor == NULL)
        dlua_raise(L, "%s: call it as a method of a tensor, t:%s(...); got %s in place of t", method, method,
                   dlua_describe(L, 1, text, sizeof text));
    return tensor;
}

int dlua_make_tensor(lua_State *L, dl_tensor *(*make)(dl_context *context, void *argument), void *argument) {
    dl_context *context = dlua_context(L);
    dl_tensor **place = dlua_new_tensor(L);
    do {
        size_t mark = dl_scope_begin(context);
        dl_tensor *made = make(context, argument);
        if (made != NULL)
            dl_retain(made);
        *place = made;
        dl_scope_end(context, mark, NULL);
    } while (*place == NULL && dlua_collect_for_memory(L, dl_last_status()));
    if (*place == NULL)
        dlua_raise_status(L, dl_last_status());
    dlua_collect_if_grown(L);
    return 1;
}

static int release_tensor(lua_State *L) {
    dl_tensor **place = lua_touserdata(L, 1);
    dl_release(*place);
    *place = NULL;
    return 0;
}

/* ---- arguments ------------------------------------------------------------------------------------------------- */

bool dlua_to_integer(lua_State *L, int index, int64_t *out) {
    int is_integer;
    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    *out = lua_tointegerx(L, index, &is_integer);
    return is_integer;
}

dl_dtype dlua_check_dtype(lua_State *L, int index, const char *function) {
    char text[160];
    dl_dtype dtype;
    if (lua_type(L, index) != LUA_TSTRING)
        dlua_raise(L, "%s: dtype must be a name such as 'float32', got %s", function,
                   dlua_describe(L, index, text, sizeof text));
    if (dl_dtype_from_name(lua_tostring(L, index), &dtype) != DL_OK)
        dlua_raise(L, "%s: %s", function, dl_last_error());
    return dtype;
}

int dlua_check_dim(lua_State *L, int index, int dims, const char *function) {
    char text[160];
    int64_t dim;
    if (!dlua_to_integer(L, index, &dim))
        dlua_raise(L, "%s: a dimension must be a whole number, got %s", function,
                   dlua_describe(L, index, text, sizeof text));
    if (dim < -dims || dim > dims || dim == 0)
        dlua_raise(L, "%s: dimension %I does not exist: use 1 to %d, or -1 to -%d from the end", function,
                   (LUAI_UACINT)dim, dims, dims);
    return (int)(dim < 0 ? dim + dims : dim - 1);
}

/* ---- methods that ask ------------------------------------------------------------------------------------------ */

static void push_sizes(lua_State *L, int count, const int64_t *sizes) {
    lua_createtable(L, count, 0);
    for (int dim = 0; dim < count; dim++) {
        lua_pushinteger(L, sizes[dim]);
        lua_rawseti(L, -2, dim + 1);
    }
}

static int tensor_size(lua_State *L) {
    dl_tensor *tensor = check_self(L, "size");
    int dims = dl_tensor_dims(tensor);
    if (lua_isnoneornil(L, 2))
        push_sizes(L, dims, dl_tensor_shape(tensor));
    else
        lua_pushinteger(L, dl_tensor_shape(tensor)[dlua_check_dim(L, 2, dims, "size")]);
    return 1;
}

static int tensor_stride(lua_State *L) {
    dl_tensor *tensor = check_self(L, "stride");
    int dims = dl_tensor_dims(tensor);
    if (lua_isnoneornil(L, 2))
        push_sizes(L, dims, dl_tensor_strides(tensor));
    else
        lua_pushinteger(L, dl_tensor_strides(tensor)[dlua_check_dim(L, 2, dims, "stride")]);
    return 1;
}

static int tensor_dim(lua_State *L) {
    lua_pushinteger(L, dl_tensor_dims(check_self(L, "dim")));
    return 1;
}

static int tensor_numel(lua_State *L) {
    lua_pushinteger(L, dl_tensor_numel(check_self(L, "numel")));
    return 1;
}

static int tensor_is_contiguous(lua_State *L) {
    lua_pushboolean(L, dl_tensor_is_contiguous(check_self(L, "is_contiguous")));
    return 1;
}

static int tensor_is_floating_point(lua_State *L) {
    lua_pushboolean(L, dl_dtype_is_float(dl_tensor_dtype(check_self(L, "is_floating_point"))));
    return 1;
}

static int tensor_item(lua_State *L) {
    dl_tensor *tensor = check_self(L, "item");
    dl_dtype dtype = dl_tensor_dtype(tensor);
    if (dl_dtype_is_float(dtype)) {
        double number;
        dlua_check(L, dl_item(tensor, &number));
        lua_pushnumber(L, number);
        return 1;
    }
    int64_t integer;
    dlua_check(L, dl_item_int(tensor, &integer));
    if (dtype == DL_BOOLEAN)
        lua_pushboolean(L, integer != 0);
    else
        lua_pushinteger(L, integer);
    return 1;
}

/* Elements copied out for Lua: doubles of float dtypes, else int64_t. */
typedef struct elements {
    dl_dtype dtype;
    const double *reals;
    const int64_t *integers;
    int64_t next;
} elements;

static void push_element(lua_State *L, elements *from) {
    int64_t place = from->next++;
    if (from->reals != NULL)
        lua_pushnumber(L, from->reals[place]);
    else if (from->dtype == DL_BOOLEAN)
        lua_pushboolean(L, from->integers[place] != 0);
    else
        lua_pushinteger(L, from->integers[place]);
}

static void push_nested(lua_State *L, elements *from, int dims, const int64_t *shape) {
    if (dims == 0) {
        push_element(L, from);
        return;
    }
    luaL_checkstack(L, 4, "totable: too deep");
    lua_createtable(L, shape[0] < INT_MAX ? (int)shape[0] : 0, 0);
    for (int64_t place = 1; place <= shape[0]; place++) {
        push_nested(L, from, dims - 1, shape + 1);
        lua_rawseti(L, -2, place);
    }
}

static int tensor_totable(lua_State *L) {
    dl_tensor *tensor = check_self(L, "totable");
    bool is_real = dl_dtype_is_float(dl_tensor_dtype(tensor));
    size_t count = (size_t)dl_tensor_numel(tensor);
    void *room = lua_newuserdatauv(L, count * sizeof(double) + sizeof(double), 0);
    dlua_check(L, dl_copy_out(tensor, is_real ? DL_FLOAT64 : DL_INT64, room));
    elements from = {
        .dtype = dl_tensor_dtype(tensor), .reals = is_real ? room : NULL, .integers = is_real ? NULL : room};
    push_nested(L, &from, dl_tensor_dims(tensor), dl_tensor_shape(tensor));
    return 1;
}

static int tensor_to_string(lua_State *L) {
    dl_tensor *tensor = check_self(L, "tostring");
    char **text = dlua_new_text_box(L);
    dlua_check(L, dl_tensor_print(tensor, text));
    lua_pushstring(L, *text);
    return 1;
}

static int tensor_length(lua_State *L) {
    dl_tensor *tensor = check_self(L, "#");
    if (dl_tensor_dims(tensor) == 0)
        dlua_raise(L, "#: a tensor of no dimensions has no length; t:item() is its number");
    lua_pushinteger(L, dl_tensor_shape(tensor)[0]);
    return 1;
}

/* ---- methods that make ----------------------------------------------------------------------------------------- */

typedef struct cast {
    dl_tensor *tensor;
    dl_dtype dtype;
} cast;

static dl_tensor *make_cast(dl_context *context, void *argument) {
    cast *arguments = argument;
    return dl_to(context, arguments->tensor, arguments->dtype);
}

static int cast_to(lua_State *L, const char *method, dl_dtype dtype) {
    cast arguments = {.tensor = check_self(L, method), .dtype = dtype};
    return dlua_make_tensor(L, make_cast, &arguments);
}

#define CAST_METHOD(method, dtype)                                                                                     \
    static int tensor_##method(lua_State *L) {                                                                         \
        return cast_to(L, #method, dtype);                                                                             \
    }
CAST_METHOD(float, DL_FLOAT32)
CAST_METHOD(double, DL_FLOAT64)
CAST_METHOD(int, DL_INT32)
CAST_METHOD(long, DL_INT64)
CAST_METHOD(byte, DL_UINT8)
CAST_METHOD(bool, DL_BOOLEAN)
#undef CAST_METHOD

static dl_tensor *make_detached(dl_context *context, void *argument) {
    (void)context;
    return dl_detach(argument);
}

static int tensor_detach(lua_State *L) {
    return dlua_make_tensor(L, make_detached, check_self(L, "detach"));
}

static dl_tensor *make_contiguous(dl_context *context, void *argument) {
    return dl_clone(context, argument);
}

static int tensor_contiguous(lua_State *L) {
    dl_tensor *tensor = check_self(L, "contiguous");
    if (dl_tensor_is_contiguous(tensor)) {
        lua_settop(L, 1);
        return 1;
    }
    return dlua_make_tensor(L, make_contiguous, tensor);
}

/* ---- views ----------------------------------------------------------------------------------------------------- */

static dl_tensor *make_transposed(dl_context *context, void *argument) {
    return dl_transpose(context, argument, 0, 1);
}

static int tensor_t(lua_State *L) {
    dl_tensor *tensor = check_self(L, "t");
    int dims = dl_tensor_dims(tensor);
    if (dims > 2)
        dlua_raise(L, "t: is for at most two dimensions, but the tensor has %d; write t:transpose(dim0, dim1)", dims);
    if (dims == 2)
        return dlua_make_tensor(L, make_transposed, tensor);
    lua_settop(L, 1);
    return 1;
}

static dl_tensor *make_product(dl_context *context, void *argument) {
    dl_tensor *const *matrices = argument;
    return dl_matmul(context, matrices[0], matrices[1]);
}

static int tensor_mm(lua_State *L) {
    dl_tensor *matrices[] = {check_self(L, "mm"), dlua_check_tensor(L, 2, "mm", "other")};
    for (int k = 0; k < 2; k++)
        if (dl_tensor_dims(matrices[k]) != 2)
            dlua_raise(L, "mm: takes matrices, but %s has %d dimensions; write a:matmul(b)", k == 0 ? "t" : "other",
                       dl_tensor_dims(matrices[k]));
    return dlua_make_tensor(L, make_product, matrices);
}

/* Positions start .. start + length - 1 of a dimension, all counted from 0. */
typedef struct cut {
    dl_tensor *tensor;
    int dim;
    int64_t start, length;
} cut;

static dl_tensor *make_cut(dl_context *context, void *argument) {
    const cut *c = argument;
    return dl_slice(context, c->tensor, c->dim, c->start, c->start + c->length, 1);
}

static int tensor_narrow(lua_State *L) {
    char text[160];
    cut c = {.tensor = check_self(L, "narrow")};
    c.dim = dlua_check_dim(L, 2, dl_tensor_dims(c.tensor), "narrow");
    int64_t size = dl_tensor_shape(c.tensor)[c.dim];
    if (!dlua_to_integer(L, 3, &c.start) || c.start == 0 || c.start < -size || c.start > size)
        dlua_raise(L, "narrow: start must be a position from 1 to %I, or from -1 to -%I at the end, got %s",
                   (LUAI_UACINT)size, (LUAI_UACINT)size, dlua_describe(L, 3, text, sizeof text));
    c.start += c.start < 0 ? size : -1;
    if (!dlua_to_integer(L, 4, &c.length) || c.length < 0 || c.length > size - c.start)
        dlua_raise(L, "narrow: length must be a whole number from 0 to %I, what is left of the dimension, got %s",
                   (LUAI_UACINT)(size - c.start), dlua_describe(L, 4, text, sizeof text));
    return dlua_make_tensor(L, make_cut, &c);
}

static int tensor_split(lua_State *L) {
    char text[160];
    int64_t each;
    cut c = {.tensor = check_self(L, "split")};
    if (!dlua_to_integer(L, 2, &each) || each < 1)
        dlua_raise(L, "split: size must be a whole number of at least 1, got %s",
                   dlua_describe(L, 2, text, sizeof text));
    if (lua_isnoneornil(L, 3)) {
        lua_settop(L, 2);
        lua_pushinteger(L, 1);
    }
    c.dim = dlua_check_dim(L, 3, dl_tensor_dims(c.tensor), "split");
    int64_t size = dl_tensor_shape(c.tensor)[c.dim];
    lua_newtable(L);
    for (lua_Integer part = 1; c.start < size; part++) {
        c.length = each < size - c.start ? each : size - c.start;
        dlua_make_tensor(L, make_cut, &c);
        lua_rawseti(L, -2, part);
        c.start += c.length;
    }
    return 1;
}

static int is_tensor_function(lua_State *L) {
    lua_pushboolean(L, dlua_test_tensor(L, 1) != NULL);
    return 1;
}

/* ---- gradients ------------------------------------------------------------------------------------------------- */

static int tensor_requires_grad_(lua_State *L) {
    dl_tensor *tensor = check_self(L, "requires_grad_");
    bool wanted = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
    dlua_check(L, dl_requires_grad_(tensor, wanted));
    lua_settop(L, 1);
    return 1;
}

static int tensor_zero_grad(lua_State *L) {
    dl_tensor *tensor = check_self(L, "zero_grad");
    dlua_check(L, dl_zero_grad(&tensor, 1));
    lua_settop(L, 1);
    return 1;
}

/* The two options of backward and gradients: {gradient = tensor, retain_graph = boolean}. Leaves the gradient on the
 * stack, so that it lives on. */
static dl_tensor *read_backward_options(lua_State *L, int index, const char *function, int *flags) {
    *flags = 0;
    if (lua_isnoneornil(L, index))
        return NULL;
    if (dlua_class_of(L, index) == DLUA_TENSOR)
        return dlua_test_tensor(L, index);
    if (lua_type(L, index) != LUA_TTABLE) {
        char text[160];
        dlua_raise(L, "%s: takes the gradient or a table {gradient = tensor, retain_graph = boolean}, got %s", function,
                   dlua_describe(L, index, text, sizeof text));
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(name, "gradient") != 0 && strcmp(name, "retain_graph") != 0)
            dlua_raise(L, "%s: unknown argument '%s'; the arguments are gradient and retain_graph", function, name);
        lua_pop(L, 1);
    }
    lua_getfield(L, index, "retain_graph");
    *flags = lua_toboolean(L, -1) ? DL_RETAIN_GRAPH : 0;
    lua_getfield(L, index, "gradient");
    return lua_isnil(L, -1) ? NULL : dlua_check_tensor(L, -1, function, "gradient");
}

static int tensor_backward(lua_State *L) {
    int flags;
    dl_tensor *tensor = check_self(L, "backward");
    dl_tensor *gradient = read_backward_options(L, 2, "backward", &flags);
    dlua_state *state = dlua_get_state(L);
    lua_State *caller = state->caller;
    state->caller = L; /* a checkpoint calls its function again */
    dl_status status = dl_backward(tensor, gradient, flags);
    state->caller = caller;
    dlua_check(L, status);
    dlua_collect_if_grown(L);
    return 0;
}

/* gradients(output, inputs, options) -> a table with d output / d input for each input; dlua.none where no path leads.
 */
static int gradients_function(lua_State *L) {
    int flags;
    dl_tensor *output = dlua_check_tensor(L, 1, "gradients", "output");
    luaL_checktype(L, 2, LUA_TTABLE);
    dl_tensor *gradient = read_backward_options(L, 3, "gradients", &flags);
    int count = (int)lua_rawlen(L, 2);
    luaL_checkstack(L, count + 8, "gradients: too many inputs");
    dl_tensor **inputs = lua_newuserdatauv(L, (size_t)count * sizeof *inputs * 2 + 1, 0);
    dl_tensor **made = inputs + count;
    for (int k = 0; k < count; k++) {
        lua_rawgeti(L, 2, k + 1);
        inputs[k] = dlua_check_tensor(L, -1, "gradients", "each of inputs");
        lua_pop(L, 1);
        made[k] = NULL;
    }
    int first = lua_gettop(L) + 1;
    for (int k = 0; k < count; k++)
        dlua_new_tensor(L);
    lua_createtable(L, count, 0);
    dl_context *context = dlua_context(L);
    size_t mark = dl_scope_begin(context);
    dlua_state *state = dlua_get_state(L);
    lua_State *caller = state->caller;
    state->caller = L;
    dl_status status = dl_gradients(output, gradient, inputs, count, flags, made);
    state->caller = caller;
    for (int k = 0; status == DL_OK && k < count; k++) {
        if (made[k] != NULL)
            dl_retain(made[k]);
        *(dl_tensor **)lua_touserdata(L, first + k) = made[k];
    }
    dl_scope_end(context, mark, NULL);
    dlua_check(L, status);
    for (int k = 0; k < count; k++) {
        if (made[k] != NULL)
            lua_pushvalue(L, first + k);
        else
            dlua_push_none(L);
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static int next_row(lua_State *L) {
    lua_Integer place = lua_tointeger(L, 2) + 1;
    dl_tensor *tensor = dlua_test_tensor(L, 1);
    if (place > dl_tensor_shape(tensor)[0])
        return 0;
    lua_pushinteger(L, place);
    lua_geti(L, 1, place);
    return 2;
}

/* for i, row in t:iter() do */
static int tensor_iter(lua_State *L) {
    dl_tensor *tensor = check_self(L, "iter");
    if (dl_tensor_dims(tensor) == 0)
        dlua_raise(L, "iter: a tensor of no dimensions has no rows");
    lua_pushcfunction(L, next_row);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

/* ---- metamethods ----------------------------------------------------------------------------------------------- */

static int refuse_pairs(lua_State *L) {
    dlua_raise(L, "pairs: a tensor is no table; write `for i, row in t:iter() do`, or t:totable()");
}

static int refuse_less(lua_State *L) {
    dlua_raise(L, "<: Lua's comparison gives one boolean; write t:lt(u), t:le(u), t:gt(u) or t:ge(u) for a tensor of "
                  "them, and t:item() for the number of a tensor of one element");
}

/* -t, for which Lua passes the operand twice. Upvalue: the operation. */
static int negate(lua_State *L) {
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* a & b, a | b, a ~ b and ~a of bool tensors. Upvalues: the operation, the operator, the operation's name. */
static int combine_truths(lua_State *L) {
    char text[160];
    const char *name = lua_tostring(L, lua_upvalueindex(3));
    int operands = strcmp(name, "logical_not") == 0 ? 1 : 2; /* Lua passes the one operand twice */
    lua_settop(L, operands);
    for (int k = 1; k <= operands; k++) {
        dl_tensor *tensor = dlua_test_tensor(L, k);
        if (tensor != NULL ? dl_tensor_dtype(tensor) != DL_BOOLEAN : !lua_isboolean(L, k))
            dlua_raise(L, "%s: combines bool tensors, got %s; compare first, as in t:gt(0), or see %s",
                       lua_tostring(L, lua_upvalueindex(2)), dlua_describe(L, k, text, sizeof text), name);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, operands, 1);
    return 1;
}

static int same_tensor(lua_State *L) {
    dl_tensor *first = dlua_test_tensor(L, 1);
    lua_pushboolean(L, first != NULL && first == dlua_test_tensor(L, 2));
    return 1;
}

typedef struct property {
    const char *name;
    void (*push)(lua_State *L, dl_tensor *tensor);
    const char *help;
} property;

static void push_shape(lua_State *L, dl_tensor *tensor) {
    push_sizes(L, dl_tensor_dims(tensor), dl_tensor_shape(tensor));
}

static void push_dtype(lua_State *L, dl_tensor *tensor) {
    lua_pushstring(L, dl_dtype_name(dl_tensor_dtype(tensor)));
}

static void push_ndim(lua_State *L, dl_tensor *tensor) {
    lua_pushinteger(L, dl_tensor_dims(tensor));
}

static void push_grad(lua_State *L, dl_tensor *tensor) {
    dlua_push_tensor(L, dl_grad(tensor));
}

static void push_requires_grad(lua_State *L, dl_tensor *tensor) {
    lua_pushboolean(L, dl_requires_grad(tensor));
}

static void push_is_leaf(lua_State *L, dl_tensor *tensor) {
    lua_pushboolean(L, dl_is_leaf(tensor));
}

static const property properties[] = {
    {"shape", push_shape, "the sizes, as a table"},
    {"dtype", push_dtype, "the name of the elements' type: 'float32', 'int64' ..."},
    {"ndim", push_ndim, "the number of dimensions"},
    {"grad", push_grad, "the gradient that backward added up, or nil; may be set"},
    {"requires_grad", push_requires_grad, "whether backward reaches it; may be set"},
    {"is_leaf", push_is_leaf, "whether no recorded operation made it"},
    {NULL, NULL, NULL},
};

/* The name of a method or property that is not there: with the nearest one that is. Upvalue 1: the methods. */
static int refuse_name(lua_State *L, const char *name) {
    lua_getfield(L, lua_upvalueindex(2), "nearest");
    lua_pushstring(L, name);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 2, 1);
    if (lua_isstring(L, -1))
        dlua_raise(L, "a tensor has no '%s'; did you mean '%s'?", name, lua_tostring(L, -1));
    dlua_raise(L, "a tensor has no '%s'", name);
}

/* Upvalues: the methods, the table of the binding's own functions, ipairs's iterator. */
static int index_tensor(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
            return 1;
        const char *name = lua_tostring(L, 2);
        dl_tensor *tensor = check_self(L, "index");
        for (const property *row = properties; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0) {
                row->push(L, tensor);
                return 1;
            }
        return refuse_name(L, name);
    }
    lua_Debug caller;
    if (lua_isinteger(L, 2) && lua_tointeger(L, 2) == 1 && lua_getstack(L, 1, &caller)) {
        lua_getinfo(L, "f", &caller);
        if (lua_rawequal(L, -1, lua_upvalueindex(3)))
            dlua_raise(L, "ipairs: a tensor is no table; write `for i, row in t:iter() do`");
        lua_pop(L, 1);
    }
    return dlua_index_tensor(L);
}

static int set_property(lua_State *L, const char *name) {
    dl_tensor *tensor = check_self(L, "assign");
    if (strcmp(name, "grad") == 0) {
        dl_tensor *grad = lua_isnil(L, 3) ? NULL : dlua_check_tensor(L, 3, "t.grad = ", "the value");
        dlua_check(L, dl_set_grad(tensor, grad));
    } else if (strcmp(name, "requires_grad") == 0) {
        dlua_check(L, dl_requires_grad_(tensor, lua_toboolean(L, 3)));
    } else {
        dlua_raise(L, "a tensor's '%s' cannot be set; only grad and requires_grad can", name);
    }
    return 0;
}

static int new_index_tensor(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING)
        return set_property(L, lua_tostring(L, 2));
    return dlua_assign_tensor(L);
}

/* t:to "float64": the dtype by its name. */
static int tensor_to(lua_State *L) {
    check_self(L, "to");
    return cast_to(L, "to", dlua_check_dtype(L, 2, "to"));
}

static const dlua_function methods[] = {
    {"size", tensor_size, "dim = none: one dimension, from 1 or from -1 at the end",
     "The sizes as a table, or the size of one dimension."},
    {"stride", tensor_stride, "dim = none: one dimension, from 1 or from -1 at the end",
     "The elements from one position to the next, of all dimensions or of one."},
    {"dim", tensor_dim, "", "The number of dimensions."},
    {"numel", tensor_numel, "", "The number of elements."},
    {"is_contiguous", tensor_is_contiguous, "", "Whether the elements lie in memory in their order."},
    {"is_floating_point", tensor_is_floating_point, "", "Whether the dtype is float32 or float64."},
    {"item", tensor_item, "", "The one element, as a number or a boolean of Lua."},
    {"totable", tensor_totable, "", "The elements as nested tables of Lua."},
    {"iter", tensor_iter, "", "The rows in a loop: for i, row in t:iter() do."},
    {"to", tensor_to, "dtype: 'float32', 'float64', 'int32', 'int64', 'uint8' or 'bool'",
     "The values in another dtype; the tensor itself if it has it already."},
    {"float", tensor_float, "", "The values as float32."},
    {"double", tensor_double, "", "The values as float64."},
    {"int", tensor_int, "", "The values as int32."},
    {"long", tensor_long, "", "The values as int64."},
    {"byte", tensor_byte, "", "The values as uint8."},
    {"bool", tensor_bool, "", "The values as booleans: false where they are 0."},
    {"detach", tensor_detach, "", "The same elements without the recorded operations: gradients stop here."},
    {"contiguous", tensor_contiguous, "", "A copy whose elements lie in memory in their order, or the tensor itself."},
    {"t", tensor_t, "", "The transposed matrix, a view; a tensor of fewer than two dimensions is itself."},
    {"mm", tensor_mm, "other: a matrix {M, K} for t of shape {N, M}", "The product of two matrices; see matmul."},
    {"narrow", tensor_narrow,
     "dim: the dimension\n"
     "start: the first position, from 1 or from -1 at the end\n"
     "length: how many positions",
     "A view of some positions of one dimension."},
    {"split", tensor_split,
     "size: of each part; the last may be smaller\n"
     "dim = 1: the dimension that is cut",
     "A list of views that cut one dimension into parts."},
    {"requires_grad_", tensor_requires_grad_, "wanted = true: true or false",
     "Sets whether backward reaches the tensor; returns it."},
    {"zero_grad", tensor_zero_grad, "",
     "Drops the gradient, so that grad is nil until the next backward; returns the tensor."},
    {"backward", tensor_backward,
     "gradient = none: of the result for this tensor; none: 1, for a single number\n"
     "{retain_graph = false}: keeps the recorded operations for another backward",
     "Adds the gradients of the tensor to `grad` of all tensors that it was computed from."},
    {NULL, NULL, NULL, NULL},
};

/* What stands in dlua itself. */
static const dlua_function functions[] = {
    {"gradients", gradients_function,
     "output: a tensor that was computed from the inputs\n"
     "inputs: a list of tensors\n"
     "{gradient = none}: of the result for the output; none: 1, for a single number\n"
     "{retain_graph = false}: keeps the recorded operations for another backward",
     "The gradient of the output for each of the inputs, in a table; dlua.none where no path leads."},
    {"is_tensor", is_tensor_function, "x: any value", "Whether a value is a tensor."},
    {NULL, NULL, NULL, NULL},
};

/* Pushes the function that ipairs steps with, to know it when it asks a tensor. */
static void push_ipairs_iterator(lua_State *L) {
    lua_getglobal(L, "ipairs");
    lua_newtable(L);
    lua_call(L, 1, 1);
}

void dlua_open_tensors(lua_State *L) {
    static const luaL_Reg metamethods[] = {
        {"__gc", release_tensor},
        {"__tostring", tensor_to_string},
        {"__len", tensor_length},
        {"__eq", same_tensor},
        {"__lt", refuse_less},
        {"__le", refuse_less},
        {"__pairs", refuse_pairs},
        {"__newindex", new_index_tensor},
        {NULL, NULL},
    };
    int module = lua_gettop(L);
    dlua_new_class(L, DLUA_TENSOR, "dlua.Tensor", metamethods);
    int metatable = lua_gettop(L);
    lua_newtable(L);
    int method_table = lua_gettop(L);
    dlua_open_operations(L, module, method_table);
    dlua_note_help(L, -1, "dlua.", "Tensor", NULL, "The methods and properties of tensors.");
    dlua_add_functions(L, "t:", methods);
    for (const property *row = properties; row->name != NULL; row++)
        dlua_note_property(L, -1, row->name, row->help);
    lua_pushvalue(L, method_table);
    lua_pushvalue(L, module);
    push_ipairs_iterator(L);
    lua_pushcclosure(L, index_tensor, 3);
    lua_setfield(L, metatable, "__index");
    /* The arithmetic of Lua is the operations' functions, which take numbers on either side. */
    static const char *const operators[][2] = {{"__add", "add"},          {"__sub", "sub"},       {"__mul", "mul"},
                                               {"__div", "div"},          {"__mod", "remainder"}, {"__pow", "pow"},
                                               {"__idiv", "floor_divide"}};
    for (size_t k = 0; k < sizeof operators / sizeof operators[0]; k++) {
        lua_getfield(L, module, operators[k][1]);
        lua_setfield(L, metatable, operators[k][0]);
    }
    static const char *const truths[][3] = {
        {"__band", "&", "logical_and"}, {"__bor", "|", "logical_or"}, {"__bxor", "~", "logical_xor"},
        {"__bnot", "~", "logical_not"}};
    for (size_t k = 0; k < sizeof truths / sizeof truths[0]; k++) {
        lua_getfield(L, module, truths[k][2]);
        lua_pushstring(L, truths[k][1]);
        lua_pushstring(L, truths[k][2]);
        lua_pushcclosure(L, combine_truths, 3);
        lua_setfield(L, metatable, truths[k][0]);
    }
    lua_getfield(L, module, "neg");
    lua_pushcclosure(L, negate, 1);
    lua_setfield(L, metatable, "__unm");
    lua_pushvalue(L, method_table);
    lua_setfield(L, module, "Tensor");
    lua_settop(L, module);
    dlua_add_functions(L, "dlua.", functions);
}
