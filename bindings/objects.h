/* objects.h: definitions and their instances as Lua userdata. */
#ifndef DLUA_OBJECTS_H
#define DLUA_OBJECTS_H

#include "binding.h"

/* A class as Lua has it: layers.Dense. */
typedef struct dlua_definition {
    const dl_family *family;
    const dl_definition *definition;
} dlua_definition;

/* Each of these returns NULL if the value is no such thing; borrowed. They do not raise. */
const dlua_definition *dlua_test_definition(lua_State *L, int index);
dl_object *dlua_test_object(lua_State *L, int index);
dl_layer *dlua_test_layer(lua_State *L, int index);
dl_symbol *dlua_test_symbol(lua_State *L, int index);

/* Pushes the userdata of an instance: the one that Lua has already, or a new one with a reference of its own. What Lua
 * hangs on an instance (fields of a layer written in Lua, the layers of a model) lies in its user value, so an instance
 * must be reachable from Lua as long as the engine may call back into it. */
void dlua_push_object(lua_State *L, dl_object *object);
/* Pushes an empty userdata of the class that the family's instances have; a reference stored in its place belongs to
 * it. dlua_finish_object then makes it known as the instance's. */
dl_object **dlua_new_object(lua_State *L, const dl_family *family, const dl_definition *definition);
void dlua_finish_object(lua_State *L, dl_object **place);
/* Pushes the user value of the userdata at index, a table, made at the first call. */
void dlua_push_user_table(lua_State *L, int index);

void dlua_push_definition(lua_State *L, const dl_family *family, const dl_definition *definition);
/* The object of a family from a value at index (an object, a name, a map): pushes its userdata. `where` is the
 * function's name and the argument's for messages. */
dl_object *dlua_check_object(lua_State *L, int index, const dl_family *family, const char *where);
/* definition(table): creates an instance from the constructor's table at index 2 and pushes it. */
int dlua_construct(lua_State *L, const dl_family *family, const dl_definition *definition);

/* Pushes a metric's result: a number, or a tensor where it has several. */
void dlua_push_metric(lua_State *L, const dl_metric *metric);

/* The field of the instance's options with this name: pushes its value and returns 1, or returns 0. */
int dlua_index_options(lua_State *L, const dl_object *object, const char *name);
_Noreturn void dlua_refuse_name(lua_State *L, const char *of, const char *name);
/* __gc and __tostring of instances of every class. */
int dlua_release_object(lua_State *L);
int dlua_object_to_string(lua_State *L);

/* Add what each file has to the module's table at the top. */
void dlua_open_objects(lua_State *L);
void dlua_open_layers(lua_State *L);
void dlua_open_models(lua_State *L);
void dlua_open_decoding(lua_State *L);
void dlua_open_model_files(lua_State *L);
void dlua_open_optimizers(lua_State *L);
void dlua_open_custom_layers(lua_State *L);
void dlua_open_files(lua_State *L);
void dlua_open_runtime(lua_State *L);
/* Adds dlua.checkpoint. */
void dlua_open_checkpoint(lua_State *L);

/* Arithmetic for the class of symbols, whose metatable is at the top. */
void dlua_add_symbol_arithmetic(lua_State *L);
/* layers.add and its like, for the module's table at the top. */
void dlua_add_merge_functions(lua_State *L);

/* Symbols of a model's graph (graph_symbols.c); the model's userdata is at index 1. They are made once, so what hangs
 * on one of a model's symbols connects to the others. */
int dlua_push_model_inputs(lua_State *L, dl_model *model);
int dlua_push_model_outputs(lua_State *L, dl_model *model);
/* Lets the layers of a model know their outputs, unless the model was made of symbols: then they do. */
void dlua_note_layer_outputs(lua_State *L, dl_model *model);
/* Lets the layer whose userdata is at index 1 know that the symbol at the top is its output, if it knows of none. */
void dlua_note_output(lua_State *L);
/* Pushes the output of the layer whose userdata is at index 1 and returns 1. If it knows of none, an error says what to
 * do; a layer written in Lua may have a field of this name, so there it returns 0. */
int dlua_push_layer_output(lua_State *L, const dl_layer *layer);
/* Pushes an empty userdata of a symbol. */
dl_symbol **dlua_new_symbol(lua_State *L);

/* layer(x, ...): the call of a layer on tensors or symbols. */
int dlua_call_layer(lua_State *L);
/* Add what all layers have to the class table at the top: the properties to its help, the methods to the table.
 * Raise. */
void dlua_add_layer_properties(lua_State *L);
void dlua_copy_layer_methods(lua_State *L);
/* What a layer has by this name (methods, properties, weights, options): pushes it and returns 1, or returns 0. The
 * layer's userdata is at index 1, the name at 2. */
int dlua_find_in_layer(lua_State *L, dl_layer *layer, const char *name);
/* layer.trainable = the value at index 3, which must be a boolean. */
void dlua_set_trainable(lua_State *L, dl_layer *layer);
bool dlua_is_model(const dl_definition *definition);
/* Pushes a shape as a table of sizes, dlua.none where one is free. */
void dlua_push_spec(lua_State *L, const dl_spec *spec);
/* The model that a method is called on. */
dl_model *dlua_check_model(lua_State *L, const char *method);
/* Sequential {...} and Model {...} from the table at index 2. */
int dlua_construct_model(lua_State *L, const dl_definition *definition);
/* Method of models: model:compile {...} (compile.c). */
int dlua_compile_model(lua_State *L);

/* ---- texts (text.c) -------------------------------------------------------------------------------------------- */

/* Where input k (from 0) of the layer takes text: replaces a list of strings at index by the tensor of them. Raises. */
void dlua_take_texts(lua_State *L, const dl_layer *layer, int k, int index);
/* Methods of layers: layer:adapt(data), layer:get_vocabulary(special_tokens), layer:set_vocabulary(list, idf_weights),
 * layer:vocabulary_size(). */
int dlua_adapt(lua_State *L);
int dlua_get_vocabulary(lua_State *L);
int dlua_set_vocabulary(lua_State *L);
int dlua_vocabulary_size(lua_State *L);
/* The strings of a list, or of a list of lists of one length each; borrowed from the Lua strings. */
typedef struct dlua_strings {
    int64_t count, inner; /* inner 0: a plain list */
    int64_t filled;       /* all strings */
    const char **texts;
    size_t *lengths;
} dlua_strings;
/* Reads the table at index for `function`; pushes what holds the arrays. Raises. */
dlua_strings dlua_read_strings(lua_State *L, int index, const char *function);
/* Adds strings and to_strings to the module's table at the top. */
void dlua_open_text(lua_State *L);
/* Makes the class of tokenizers, and adds load to dlua.text in the module's table at the top. */
void dlua_open_tokenizers(lua_State *L);

/* ---- layers written in Lua (custom.c) -------------------------------------------------------------------------- */

/* Around every call of the engine that may run layers. dlua_enter notes the thread that calls, and the table at stack
 * index `owner`, which the userdata of layers that come up meanwhile hang on; it pushes one value, the old owner, which
 * dlua_leave puts back. Nothing raises between the two. */
typedef struct dlua_entry {
    lua_State *L;
    lua_State *caller;
    int owner;
} dlua_entry;
dlua_entry dlua_enter(lua_State *L, int owner);
void dlua_leave(dlua_entry before);

/* Runs function(argument), with the argument as a light userdata, protected, in the thread that called the engine; a
 * Lua error becomes DL_CALLBACK, and its place goes to the state. `name` is whose code it is. */
dl_status dlua_run_protected(dlua_state *state, const char *name, lua_CFunction function, void *argument);

bool dlua_is_custom(const dl_definition *definition);
/* self.NAME = value of a layer written in Lua; layers become its children. Stack: self, name, value. */
void dlua_set_custom_field(lua_State *L, dl_layer *layer);
/* Methods of layers written in Lua: self:add_weight {...}, self:add_loss(penalty), self:assign_later(name, value). */
int dlua_add_weight(lua_State *L);
int dlua_add_loss(lua_State *L);
int dlua_assign_later(lua_State *L);

/* ---- losses and metrics written in Lua (functions.c) ----------------------------------------------------------- */

/* Replaces the function at the top by the userdata of a loss or of a metric that calls it. A metric is called in logs
 * as the variable that holds the function where compile was called, or "metric". */
void dlua_wrap_function(lua_State *L, const dl_family *family);
/* Whether the object is such a loss or metric, which a file does not hold. */
bool dlua_is_function(const dl_object *object);
/* The definition behind dlua.losses.LossFunctionWrapper or dlua.metrics.MeanMetricWrapper at index; NULL for other
 * values. Its fields lack the first argument, fn. Does not raise. */
const dl_definition *dlua_test_function_class(lua_State *L, int index);
void dlua_open_functions(lua_State *L);

/* The name under which fit keeps on a model what a training that goes on later needs. */
#define DLUA_TRAINING_STATE "training_state"
/* The name under which a model has the list of its losses and metrics that are Lua functions; true after it was loaded
 * from a file, which does not hold them. */
#define DLUA_FUNCTIONS "compiled_functions"

#endif
