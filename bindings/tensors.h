/* tensors.h: tensors as Lua userdata. */
#ifndef DLUA_TENSORS_H
#define DLUA_TENSORS_H

#include "binding.h"

/* Pushes an empty tensor userdata; a reference stored in the place that is returned belongs to it. */
dl_tensor **dlua_new_tensor(lua_State *L);
/* Pushes a userdata with a reference of its own to the tensor; nil for NULL. */
void dlua_push_tensor(lua_State *L, dl_tensor *tensor);
/* The tensor of a userdata, or NULL if it is none. Borrowed. Does not raise. */
dl_tensor *dlua_test_tensor(lua_State *L, int index);
/* The tensor, or an error that names the function and the argument. */
dl_tensor *dlua_check_tensor(lua_State *L, int index, const char *function, const char *argument);

/* Makes one tensor: calls make(context, argument), whose result belongs to the innermost scope, and pushes it. Tries
 * again after Lua's collector has run if memory was short, raises the engine's error if it fails. Returns 1. */
int dlua_make_tensor(lua_State *L, dl_tensor *(*make)(dl_context *context, void *argument), void *argument);

/* The dtype by the name at index; raises with the function's name. */
dl_dtype dlua_check_dtype(lua_State *L, int index, const char *function);
/* Reads an integer; integral floats are integers. False if it is none. Does not raise. */
bool dlua_to_integer(lua_State *L, int index, int64_t *out);
/* A dimension counted from 1 (or from -1 at the end) as one counted from 0, within `dims`. */
int dlua_check_dim(lua_State *L, int index, int dims, const char *function);

/* Adds the functions that make tensors to the module's table at the top. */
void dlua_open_creation(lua_State *L);
/* Makes the class of tensors with its methods, and adds the operations to the module's table at the top. */
void dlua_open_tensors(lua_State *L);
/* Adds the operations of the registry: functions to the table at index `module`, methods to that at index `methods`. */
void dlua_open_operations(lua_State *L, int module, int methods);
/* The operation that a function or method of the registry runs; NULL for other values. Does not raise. */
const dl_op *dlua_test_operation(lua_State *L, int index);
/* t[key] for keys that are not names, and t[key] = value. */
int dlua_index_tensor(lua_State *L);
int dlua_assign_tensor(lua_State *L);

#endif
