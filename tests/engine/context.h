/* A context for each test, and the check that the test leaves nothing in its memory. */
#ifndef DLUA_TESTS_CONTEXT_H
#define DLUA_TESTS_CONTEXT_H

#include "base/base.h"
#include "check.h"

static dl_context *context;

static inline void begin_context(void) {
    REQUIRE(dl_context_create(NULL, &context) == DL_OK);
}

/* Nothing may be left but the room for the list of scopes, which stays for the next one. */
static inline void end_context(void) {
    dl_scope_list *scopes = dl_context_scopes(context);
    CHECK_EQ_INT(scopes->count, 0);
    dl_free(scopes->items);
    *scopes = (dl_scope_list){.items = NULL};
    dl_memory_info info;
    dl_memory(context, &info);
    CHECK_EQ_INT(info.in_use, 0);
    dl_context_release(context);
}

#endif
