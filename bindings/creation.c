/* creation.c: the functions of dlua that make tensors: from Lua tables, filled, counted, random.
 *
 * Always true: sizes and options are read in full before anything is made. Sizes come as numbers or as one table; the
 * last argument may be a table of options, and a lone table with names holds both. */
#include "tensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "help.h"

typedef enum maker_kind {
    MAKE_EMPTY,
    MAKE_FULL,
    MAKE_RAND,
    MAKE_RANDN,
    MAKE_RANDINT,
    MAKE_ARANGE,
    MAKE_LINSPACE,
    MAKE_EYE,
    MAKE_RANDPERM
} maker_kind;

/* What one call asks for. */
typedef struct request {
    const char *function;
    maker_kind kind;
    dl_dtype dtype;
    bool has_dtype;
    bool requires_grad;
    bool has_size;
    int dims;
    int64_t shape[DL_MAX_DIMS];
    double value;          /* of MAKE_FULL */
    int64_t integers[2];   /* of MAKE_RANDINT, MAKE_EYE, MAKE_RANDPERM */
    double from, to, step; /* of MAKE_ARANGE; step is the count of MAKE_LINSPACE */
} request;

static dl_tensor *make_requested(dl_context *context, void *argument) {
    request *r = argument;
    switch (r->kind) {
    case MAKE_EMPTY:
        return dl_empty(context, r->dtype, r->dims, r->shape);
    case MAKE_FULL:
        return dl_full(context, r->dtype, r->dims, r->shape, r->value);
    case MAKE_RAND:
        return dl_rand(context, r->dtype, r->dims, r->shape);
    case MAKE_RANDN:
        return dl_randn(context, r->dtype, r->dims, r->shape);
    case MAKE_RANDINT:
        return dl_randint(context, r->dtype, r->integers[0], r->integers[1], r->dims, r->shape);
    case MAKE_ARANGE:
        return dl_arange(context, r->dtype, r->from, r->to, r->step);
    case MAKE_LINSPACE:
        return dl_linspace(context, r->dtype, r->from, r->to, (int64_t)r->step);
    case MAKE_EYE:
        return dl_eye(context, r->dtype, r->integers[0], r->integers[1]);
    default:
        return dl_randperm(context, r->integers[0]);
    }
}

static int make(lua_State *L, request *r, dl_dtype dtype_if_none) {
    if (!r->has_dtype)
        r->dtype = dtype_if_none;
    dlua_make_tensor(L, make_requested, r);
    if (r->requires_grad)
        dlua_check(L, dl_requires_grad_(dlua_test_tensor(L, -1), true));
    return 1;
}

/* ---- sizes and options ----------------------------------------------------------------------------------------- */

static void add_size(lua_State *L, request *r, int index) {
    char text[160];
    int64_t size;
    if (!dlua_to_integer(L, index, &size) || size < 0)
        dlua_raise(L, "%s: size %d must be a whole number of 0 or more, got %s", r->function, r->dims + 1,
                   dlua_describe(L, index, text, sizeof text));
    if (r->dims == DL_MAX_DIMS)
        dlua_raise(L, "%s: a tensor has at most %d dimensions", r->function, DL_MAX_DIMS);
    r->shape[r->dims++] = size;
}

/* The highest whole-number key of a table; raises at a hole. */
static lua_Integer list_length(lua_State *L, int index, const char *function) {
    lua_Integer count = 0, highest = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1)) {
            count++;
            if (lua_tointeger(L, -1) > highest)
                highest = lua_tointeger(L, -1);
        }
    }
    if (count != highest)
        dlua_raise(L, "%s: the list has a hole: %I entries, but the last is at %I (is a variable misspelt?)", function,
                   (LUAI_UACINT)count, (LUAI_UACINT)highest);
    return count;
}

static void read_size_table(lua_State *L, request *r, int index) {
    index = lua_absindex(L, index);
    lua_Integer count = list_length(L, index, r->function);
    r->has_size = true;
    for (lua_Integer place = 1; place <= count; place++) {
        lua_rawgeti(L, index, place);
        add_size(L, r, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* Reads the names of an options table; other names than dtype, requires_grad and those of `more` are refused. */
static void read_options(lua_State *L, request *r, int index, const char *more) {
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *name = lua_tostring(L, -2);
            if (strcmp(name, "dtype") == 0) {
                r->dtype = dlua_check_dtype(L, lua_gettop(L), r->function);
                r->has_dtype = true;
            } else if (strcmp(name, "requires_grad") == 0) {
                r->requires_grad = lua_toboolean(L, -1);
            } else if (more == NULL || strcmp(name, more) != 0) {
                dlua_raise(L, "%s: unknown argument '%s'; the names are %s%sdtype and requires_grad", r->function, name,
                           more != NULL ? more : "", more != NULL ? ", " : "");
            }
        }
        lua_pop(L, 1);
    }
}

/* If the last argument is a table of options, reads and drops it. */
static void take_options(lua_State *L, request *r) {
    int last = lua_gettop(L);
    if (last > 0 && lua_type(L, last) == LUA_TTABLE && dlua_table_has_names(L, last)) {
        read_options(L, r, last, NULL);
        lua_pop(L, 1);
    }
}

/* The sizes from argument `first` on, and the options: (2, 3), ({2, 3}), (2, 3, {dtype = ...}), or a lone table
 * {2, 3, dtype = ...}, {size = {2, 3}, dtype = ...}. */
static void read_sizes(lua_State *L, request *r, int first) {
    int last = lua_gettop(L);
    if (last == first && lua_type(L, first) == LUA_TTABLE && dlua_table_has_names(L, first)) {
        read_options(L, r, first, "size");
        lua_getfield(L, first, "size");
        if (lua_istable(L, -1)) {
            read_size_table(L, r, -1);
            return;
        }
        lua_rawgeti(L, first, 1);
        read_size_table(L, r, lua_istable(L, -1) ? -1 : first);
        return;
    }
    take_options(L, r);
    last = lua_gettop(L);
    if (last == first && lua_type(L, first) == LUA_TTABLE) {
        read_size_table(L, r, first);
        return;
    }
    for (int index = first; index <= last; index++) {
        add_size(L, r, index);
        r->has_size = true;
    }
}

static void check_count(lua_State *L, const request *r, int least, int most, const char *usage) {
    int count = lua_gettop(L);
    if (count < least || count > most)
        dlua_raise(L, "%s: got %d arguments; write %s", r->function, count, usage);
}

static double check_number(lua_State *L, const request *r, int index, const char *argument) {
    char text[160];
    if (lua_type(L, index) != LUA_TNUMBER)
        dlua_raise(L, "%s: %s must be a number, got %s", r->function, argument,
                   dlua_describe(L, index, text, sizeof text));
    return lua_tonumber(L, index);
}

static int64_t check_integer(lua_State *L, const request *r, int index, const char *argument) {
    char text[160];
    int64_t integer;
    if (!dlua_to_integer(L, index, &integer))
        dlua_raise(L, "%s: %s must be a whole number, got %s", r->function, argument,
                   dlua_describe(L, index, text, sizeof text));
    return integer;
}

/* ---- filled and random ----------------------------------------------------------------------------------------- */

static int make_sized(lua_State *L, const char *function, maker_kind kind, double value) {
    request r = {.function = function, .kind = kind, .value = value};
    read_sizes(L, &r, 1);
    if (!r.has_size)
        dlua_raise(L, "%s: the sizes are missing; write dlua.%s(2, 3), or dlua.%s({}) for no dimensions", function,
                   function, function);
    return make(L, &r, DL_FLOAT32);
}

/* The same shape and, if none is given, the same dtype as a tensor. */
static int make_like(lua_State *L, const char *function, maker_kind kind, double value) {
    request r = {.function = function, .kind = kind, .value = value};
    dl_tensor *like = dlua_check_tensor(L, 1, function, "the first argument");
    if (kind == MAKE_FULL && strcmp(function, "full_like") == 0)
        r.value = check_number(L, &r, 2, "the value");
    take_options(L, &r);
    r.dims = dl_tensor_dims(like);
    memcpy(r.shape, dl_tensor_shape(like), (size_t)r.dims * sizeof r.shape[0]);
    return make(L, &r, dl_tensor_dtype(like));
}

#define SIZED(name, kind, value)                                                                                       \
    static int make_##name(lua_State *L) {                                                                             \
        return make_sized(L, #name, kind, value);                                                                      \
    }                                                                                                                  \
    static int make_##name##_like(lua_State *L) {                                                                      \
        return make_like(L, #name "_like", kind, value);                                                               \
    }
SIZED(zeros, MAKE_FULL, 0.0)
SIZED(ones, MAKE_FULL, 1.0)
SIZED(empty, MAKE_EMPTY, 0.0)
SIZED(rand, MAKE_RAND, 0.0)
SIZED(randn, MAKE_RANDN, 0.0)
#undef SIZED

static int make_full_like(lua_State *L) {
    return make_like(L, "full_like", MAKE_FULL, 0.0);
}

/* full(sizes, value, options): the dtype of the value, as tensor() takes it. */
static int make_full(lua_State *L) {
    request r = {.function = "full", .kind = MAKE_FULL};
    take_options(L, &r);
    check_count(L, &r, 2, 2, "dlua.full({2, 3}, 0.5)");
    luaL_argexpected(L, lua_istable(L, 1), 1, "table of sizes");
    read_size_table(L, &r, 1);
    if (lua_isboolean(L, 2)) {
        r.value = lua_toboolean(L, 2);
        return make(L, &r, DL_BOOLEAN);
    }
    r.value = check_number(L, &r, 2, "the value");
    return make(L, &r, lua_isinteger(L, 2) ? DL_INT64 : DL_FLOAT32);
}

/* ---- counted --------------------------------------------------------------------------------------------------- */

/* arange(end), arange(first, end), arange(first, end, step): the end is not in it; first is 0 if it is not given. */
static int make_arange(lua_State *L) {
    request r = {.function = "arange", .kind = MAKE_ARANGE, .step = 1.0};
    take_options(L, &r);
    check_count(L, &r, 1, 3, "dlua.arange(first, end, step); the end itself is not in it");
    int count = lua_gettop(L);
    bool whole = true;
    for (int index = 1; index <= count; index++) {
        check_number(L, &r, index, "each argument");
        whole = whole && lua_isinteger(L, index);
    }
    r.from = count > 1 ? lua_tonumber(L, 1) : 0.0;
    r.to = lua_tonumber(L, count > 1 ? 2 : 1);
    if (count > 2)
        r.step = lua_tonumber(L, 3);
    return make(L, &r, whole ? DL_INT64 : DL_FLOAT32);
}

static int make_linspace(lua_State *L) {
    request r = {.function = "linspace", .kind = MAKE_LINSPACE};
    take_options(L, &r);
    check_count(L, &r, 3, 3, "dlua.linspace(first, last, count)");
    r.from = check_number(L, &r, 1, "first");
    r.to = check_number(L, &r, 2, "last");
    r.step = (double)check_integer(L, &r, 3, "count");
    return make(L, &r, DL_FLOAT32);
}

static int make_eye(lua_State *L) {
    request r = {.function = "eye", .kind = MAKE_EYE};
    take_options(L, &r);
    check_count(L, &r, 1, 2, "dlua.eye(rows, columns)");
    r.integers[0] = check_integer(L, &r, 1, "rows");
    r.integers[1] = lua_gettop(L) > 1 ? check_integer(L, &r, 2, "columns") : r.integers[0];
    return make(L, &r, DL_FLOAT32);
}

/* randint(low, high, sizes): both ends may be drawn, as by math.random. */
static int make_randint(lua_State *L) {
    request r = {.function = "randint", .kind = MAKE_RANDINT};
    if (lua_gettop(L) < 3)
        dlua_raise(L, "randint: write dlua.randint(low, high, sizes); both ends may be drawn");
    r.integers[0] = check_integer(L, &r, 1, "low");
    r.integers[1] = check_integer(L, &r, 2, "high");
    read_sizes(L, &r, 3);
    return make(L, &r, DL_INT64);
}

static int make_randperm(lua_State *L) {
    request r = {.function = "randperm", .kind = MAKE_RANDPERM};
    check_count(L, &r, 1, 1, "dlua.randperm(n), the numbers 1 to n in random order");
    r.integers[0] = check_integer(L, &r, 1, "n");
    return make(L, &r, DL_INT64);
}

/* ---- from Lua values ------------------------------------------------------------------------------------------- */

/* A nested table on its way into a tensor. */
typedef struct nesting {
    lua_State *L;
    int dims;
    int64_t shape[DL_MAX_DIMS];
    int64_t place[DL_MAX_DIMS]; /* where the walk is, from 1, for messages */
    bool has_real, has_integer, has_boolean;
    dl_dtype dtype;
    char *data; /* of the tensor that is filled; NULL: only looking */
    int64_t next;
} nesting;

/* "[2][3]": the place of the walk, `depth` deep. */
static const char *place_text(const nesting *n, int depth, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < depth && used < size; k++)
        used += (size_t)snprintf(text + used, size - used, "[%lld]", (long long)n->place[k]);
    return text;
}

static bool is_whole_dtype(dl_dtype dtype) {
    return !dl_dtype_is_float(dtype) && dtype != DL_BOOLEAN;
}

/* Raises if a dtype of whole numbers cannot hold the number. */
static void check_range(nesting *n, double real) {
    char where[160];
    double low = n->dtype == DL_UINT8 ? 0.0 : n->dtype == DL_INT32 ? -2147483648.0 : -9.2e18;
    double high = n->dtype == DL_UINT8 ? 255.0 : n->dtype == DL_INT32 ? 2147483647.0 : 9.2e18;
    if (!(real >= low && real <= high))
        dlua_raise(n->L, "tensor: element %s is %f, which %s cannot hold", place_text(n, n->dims, where, sizeof where),
                   (LUAI_UACNUMBER)real, dl_dtype_name(n->dtype));
}

/* Writes the number or boolean at the top as element `next`; whole-number dtypes drop what is after the point. */
static void store_element(nesting *n) {
    lua_State *L = n->L;
    bool is_boolean = lua_isboolean(L, -1);
    int64_t integer = is_boolean ? lua_toboolean(L, -1) : 0;
    double real = is_boolean ? (double)integer : lua_tonumber(L, -1);
    if (!is_boolean && !dlua_to_integer(L, lua_gettop(L), &integer) && is_whole_dtype(n->dtype)) {
        check_range(n, real);
        integer = (int64_t)real;
    } else if (n->dtype == DL_INT32 || n->dtype == DL_UINT8) {
        check_range(n, real);
    }
    int64_t place = n->next++;
    switch (n->dtype) {
    case DL_FLOAT32:
        ((float *)n->data)[place] = (float)real;
        break;
    case DL_FLOAT64:
        ((double *)n->data)[place] = real;
        break;
    case DL_INT32:
        ((int32_t *)n->data)[place] = (int32_t)integer;
        break;
    case DL_INT64:
        ((int64_t *)n->data)[place] = integer;
        break;
    case DL_UINT8:
        ((uint8_t *)n->data)[place] = (uint8_t)integer;
        break;
    default:
        ((bool *)n->data)[place] = real != 0.0;
    }
}

/* The number or boolean at the top: notes its kind, or stores it. */
static void visit_element(nesting *n, int depth) {
    char where[160], what[160];
    lua_State *L = n->L;
    int type = lua_type(L, -1);
    if (type != LUA_TNUMBER && type != LUA_TBOOLEAN && depth == 0)
        dlua_raise(L, "tensor: takes a number, a boolean or a list of them, nested for more dimensions, got %s",
                   dlua_describe(L, -1, what, sizeof what));
    if (type != LUA_TNUMBER && type != LUA_TBOOLEAN)
        dlua_raise(L, "tensor: element %s must be a number or a boolean, got %s",
                   place_text(n, depth, where, sizeof where), dlua_describe(L, -1, what, sizeof what));
    if (n->data != NULL) {
        store_element(n);
        return;
    }
    if (type == LUA_TBOOLEAN)
        n->has_boolean = true;
    else if (lua_isinteger(L, -1))
        n->has_integer = true;
    else
        n->has_real = true;
}

/* Walks the value at the top, `depth` deep. */
static void visit(nesting *n, int depth) {
    char where[160];
    lua_State *L = n->L;
    bool is_table = lua_istable(L, -1);
    if (depth == n->dims && !is_table) {
        visit_element(n, depth);
        return;
    }
    if (is_table != (depth < n->dims))
        dlua_raise(L, "tensor: %s is %s, but elements before it are nested %d deep",
                   place_text(n, depth, where, sizeof where), is_table ? "a table" : "no table", n->dims);
    int table = lua_gettop(L);
    lua_Integer length = list_length(L, table, "tensor");
    if (length != n->shape[depth])
        dlua_raise(L, "tensor: %s has %I entries, but the first table at its depth has %I: rows must be equally long",
                   depth == 0 ? "the table" : place_text(n, depth, where, sizeof where), (LUAI_UACINT)length,
                   (LUAI_UACINT)n->shape[depth]);
    luaL_checkstack(L, 8, "tensor: nested too deep");
    for (lua_Integer k = 1; k <= length; k++) {
        n->place[depth] = k;
        lua_rawgeti(L, table, k);
        visit(n, depth + 1);
        lua_pop(L, 1);
    }
}

/* The shape by the first entries at each depth. */
static void find_shape(nesting *n, int index) {
    lua_State *L = n->L;
    int top = lua_gettop(L);
    lua_pushvalue(L, index);
    while (lua_istable(L, -1)) {
        if (n->dims == DL_MAX_DIMS)
            dlua_raise(L, "tensor: a tensor has at most %d dimensions", DL_MAX_DIMS);
        lua_Integer length = list_length(L, lua_gettop(L), "tensor");
        n->shape[n->dims++] = length;
        if (length == 0)
            break;
        lua_rawgeti(L, -1, 1);
    }
    lua_settop(L, top);
}

static dl_dtype natural_dtype(const nesting *n) {
    if (n->has_real || (!n->has_integer && !n->has_boolean))
        return DL_FLOAT32;
    return n->has_integer ? DL_INT64 : DL_BOOLEAN;
}

/* tensor(value, {dtype =, requires_grad =}): a copy of a number, a boolean, or of nested tables of them. Whole numbers
 * make int64, others float32, booleans bool. */
static int make_tensor(lua_State *L) {
    request r = {.function = "tensor", .kind = MAKE_EMPTY};
    int count = lua_gettop(L);
    if (count == 1 && lua_istable(L, 1) && dlua_table_has_names(L, 1)) {
        lua_Integer entries = list_length(L, 1, r.function);
        if (entries != 1)
            dlua_raise(L, "tensor: beside named options there is one value, dlua.tensor {{{1, 2}, {3, 4}}, dtype = "
                          "'float32'}, but there are %I entries", (LUAI_UACINT)entries);
        read_options(L, &r, 1, NULL);
        lua_rawgeti(L, 1, 1);
        lua_replace(L, 1);
    } else {
        take_options(L, &r);
        check_count(L, &r, 1, 1, "dlua.tensor({1, 2, 3}, {dtype = 'float32'})");
    }
    nesting n = {.L = L};
    find_shape(&n, 1);
    lua_pushvalue(L, 1);
    visit(&n, 0);
    r.dims = n.dims;
    memcpy(r.shape, n.shape, sizeof r.shape);
    bool requires_grad = r.requires_grad;
    r.requires_grad = false;
    make(L, &r, natural_dtype(&n));
    dl_tensor *tensor = dlua_test_tensor(L, -1);
    n.dtype = dl_tensor_dtype(tensor);
    n.data = dl_tensor_data(tensor);
    lua_pushvalue(L, 1);
    if (n.data != NULL)
        visit(&n, 0);
    lua_pop(L, 1);
    if (requires_grad)
        dlua_check(L, dl_requires_grad_(tensor, true));
    return 1;
}

/* The options of all that make tensors, of this dtype if none is asked for. */
#define OPTIONS(dtype) "\n{dtype = " dtype "}: of the elements\n{requires_grad = false}: whether backward reaches it"
#define SIZES          "sizes...: of the dimensions, as numbers or as one table"

static const dlua_function creators[] = {
    {"tensor", make_tensor, "value: a number, a boolean, or nested tables of them" OPTIONS("none"),
     "A tensor with the values of a table. Whole numbers make int64, others float32, booleans bool."},
    {"zeros", make_zeros, SIZES OPTIONS("\"float32\""), "A tensor of zeros."},
    {"ones", make_ones, SIZES OPTIONS("\"float32\""), "A tensor of ones."},
    {"empty", make_empty, SIZES OPTIONS("\"float32\""), "A tensor with whatever its memory holds."},
    {"full", make_full,
     "sizes: a table of the sizes\n"
     "value: of every element" OPTIONS("none"),
     "A tensor filled with one value; of the value's own dtype if none is given."},
    {"rand", make_rand, SIZES OPTIONS("\"float32\""), "Random numbers, evenly from 0 up to 1."},
    {"randn", make_randn, SIZES OPTIONS("\"float32\""), "Random numbers of the normal distribution."},
    {"zeros_like", make_zeros_like, "like: the tensor whose shape and dtype are taken" OPTIONS("none"),
     "Zeros of the shape of another tensor."},
    {"ones_like", make_ones_like, "like: the tensor whose shape and dtype are taken" OPTIONS("none"),
     "Ones of the shape of another tensor."},
    {"empty_like", make_empty_like, "like: the tensor whose shape and dtype are taken" OPTIONS("none"),
     "A tensor of the shape of another with whatever its memory holds."},
    {"full_like", make_full_like,
     "like: the tensor whose shape and dtype are taken\n"
     "value: of every element" OPTIONS("none"),
     "One value in the shape of another tensor."},
    {"rand_like", make_rand_like, "like: the tensor whose shape and dtype are taken" OPTIONS("none"),
     "Random numbers, evenly from 0 up to 1, in the shape of another tensor."},
    {"randn_like", make_randn_like, "like: the tensor whose shape and dtype are taken" OPTIONS("none"),
     "Random numbers of the normal distribution in the shape of another tensor."},
    {"arange", make_arange,
     "first = 0: the first number\n"
     "end: where to stop; it is not in the tensor itself\n"
     "step = 1: from each number to the next" OPTIONS("none"),
     "Numbers with equal steps: arange(end), arange(first, end) or arange(first, end, step)."},
    {"linspace", make_linspace,
     "first: the first number\n"
     "last: the last number\n"
     "count: how many" OPTIONS("\"float32\""),
     "Numbers at equal distances from first to last, both included."},
    {"eye", make_eye,
     "rows: how many\n"
     "columns = rows: how many" OPTIONS("\"float32\""),
     "The identity matrix: ones on the diagonal, else zeros."},
    {"randint", make_randint,
     "low: the smallest number that may be drawn\n"
     "high: the largest number that may be drawn\n" SIZES OPTIONS("\"int64\""),
     "Random whole numbers from low to high, both included."},
    {"randperm", make_randperm, "n: how many", "The numbers 1 to n in random order."},
    {NULL, NULL, NULL, NULL},
};
#undef OPTIONS
#undef SIZES

void dlua_open_creation(lua_State *L) {
    dlua_add_functions(L, "dlua.", creators);
}
