/* configs.h: values of fields, and configs {class_name, version, config}, as scripts write them and as the engine keeps
 * them: a script's positions count from 1. */
#ifndef DLUA_CONFIGS_H
#define DLUA_CONFIGS_H

#include "binding.h"

/* From a script's value of a field to the engine's, and back; in place, configs inside too. Neither raises. */
dl_status dlua_lower_value(dl_context *context, const dl_definition *definition, const dl_field *field,
                           dl_value *value);
void dlua_raise_value(dl_context *context, const dl_definition *definition, const dl_field *field, dl_value *value);
/* From a script's config of an object of the family to the engine's; other values stay as they are. */
dl_status dlua_lower_config(dl_context *context, const dl_family *family, dl_value *config);

/* Pushes the object's config. Raises. */
void dlua_push_config(lua_State *L, const dl_object *object);

#endif
