/* base/definition.h: what options.c and definition.c share. */
#ifndef DL_BASE_DEFINITION_H
#define DL_BASE_DEFINITION_H

#include "base/base.h"
#include "dlua/definition.h"

/* As dl_object_from_value, but what is no such object at all gives DL_NOT_FOUND without a message, and hint then holds
 * "; did you mean 'relu'?" or "". Other failures have a message. */
enum { DL_HINT_SIZE = 96 };
dl_status dl_object_try(dl_context *context, const dl_family *family, const dl_value *value, dl_object **out,
                        char hint[DL_HINT_SIZE]);
/* The object that a field's default text names: a name, or the JSON of a map. */
dl_status dl_object_from_text(dl_context *context, const dl_family *family, const char *text, dl_object **out);

#endif
