/* ops/registry.c: all operations, from the tables: the hand-written ones of dlua/ops.h and the rows of the kernels. */
#include <string.h>

#include "ops/ops.h"

static const dl_definition *const definitions[] = {
#define X(name, ...) &dl_op_##name.definition,
    DL_OP_TABLE(X) DL_UNARY_ROWS(X) DL_PREDICATE_ROWS(X) DL_BINARY_ROWS(X) DL_COMPARE_ROWS(X)
#undef X
        NULL};

const dl_family dl_op_family = {.name = "operation", .definitions = definitions, .object_size = sizeof(dl_object)};

/* True if name is one of the names in "a|b|c". */
static bool is_listed(const char *name, const char *aliases) {
    size_t length = strlen(name);
    for (const char *at = aliases; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, name, length) == 0 && (at[length] == '|' || at[length] == 0))
            return true;
    }
    return false;
}

const dl_op *dl_find_op(const char *name) {
    for (const dl_definition *const *at = definitions; *at; at++) {
        if (strcmp((*at)->name, name) == 0 || is_listed(name, (*at)->aliases))
            return (const dl_op *)*at;
    }
    return NULL;
}
