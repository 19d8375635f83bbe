/* dlua/definition.h: one static definition describes a thing (an operation, a layer, a loss ...) and its options struct
 * field by field. From it come the checks, the error texts, the help, the reference, the Lua constructor and what a
 * saved model holds.
 *
 *      dl_field[] --- describes ---> options struct <--- dl_options_set --- dl_value (from Lua, from JSON)
 *                                        |
 *                                        +---------------- dl_options_get ---> dl_value (get_config, saved JSON)
 */
#ifndef DLUA_DEFINITION_H
#define DLUA_DEFINITION_H

#include "dlua/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DL_MAX_DIMS 8
/* In shapes and lists of integers: not known, or Keras's None. */
#define DL_NONE INT64_MIN

/* ---- values ---------------------------------------------------------------------------------------------------- */

typedef struct dl_object dl_object;

typedef enum dl_value_kind {
    DL_VALUE_NONE,
    DL_VALUE_BOOL,
    DL_VALUE_INT,
    DL_VALUE_REAL,
    DL_VALUE_STRING,
    DL_VALUE_LIST,
    DL_VALUE_MAP,   /* keys in their order of insertion */
    DL_VALUE_OBJECT /* an instance of a definition */
} dl_value_kind;

/* A neutral tree between Lua tables, JSON and options structs. A value owns its strings, items and object
 * references. */
typedef struct dl_value {
    dl_value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        char *string;
        dl_object *object;
        struct {
            struct dl_value *items;
            char **keys; /* maps only */
            int64_t count;
        } list;
    } as;
} dl_value;

DL_API void dl_value_clear(dl_value *value); /* frees what it owns; it is NONE after */
DL_API dl_value dl_value_bool(bool boolean);
DL_API dl_value dl_value_int(int64_t integer);
DL_API dl_value dl_value_real(double real);
DL_API dl_status dl_value_string(dl_context *context, const char *string, dl_value *out);
DL_API dl_value dl_value_list(void);
DL_API dl_value dl_value_map(void);
DL_API dl_value dl_value_object(dl_object *object); /* takes a new reference */
/* Moves item into the list or map (item is NONE after; on failure it is cleared). */
DL_API dl_status dl_value_append(dl_context *context, dl_value *list, dl_value *item);
DL_API dl_status dl_value_put(dl_context *context, dl_value *map, const char *key, dl_value *item);
/* NULL if there is no such key. Borrowed. */
DL_API const dl_value *dl_value_get(const dl_value *map, const char *key);
DL_API dl_status dl_value_copy(dl_context *context, const dl_value *from, dl_value *out);
/* A short readable text of the value for messages ("{3, 3}", "'same'"), cut to fit. */
DL_API void dl_value_describe(const dl_value *value, char *text, size_t size);
/* JSON text of a tree without objects; *text is freed with dl_free_text. */
DL_API dl_status dl_value_to_json(dl_context *context, const dl_value *value, char **text, size_t *length);
/* Depth and size are bounded: untrusted text is fine. */
DL_API dl_status dl_value_from_json(dl_context *context, const char *text, size_t length, dl_value *out);
DL_API void dl_free_text(char *text);

/* ---- fields ---------------------------------------------------------------------------------------------------- */

typedef enum dl_field_kind {
    DL_FIELD_END,
    DL_FIELD_INT,         /* int64_t */
    DL_FIELD_REAL,        /* double */
    DL_FIELD_BOOL,        /* bool */
    DL_FIELD_STRING,      /* char *, owned by the struct; NULL is none */
    DL_FIELD_ENUM,        /* int: the place in `choices`, from 0 */
    DL_FIELD_INTS,        /* dl_ints: a shape, or a list of whole numbers; one number stands for `repeat` equal ones */
    DL_FIELD_OBJECT,      /* dl_object *, owned reference of `family`; NULL is none */
    DL_FIELD_OBJECTS,     /* dl_objects: a list of instances of `family` */
    DL_FIELD_ALTERNATIVE, /* dl_alternative: the first of `alternatives` that takes the value */
    DL_FIELD_VALUE        /* dl_value: any tree; also what only the Lua side checks */
} dl_field_kind;

typedef struct dl_ints {
    int count;
    int64_t at[DL_MAX_DIMS];
} dl_ints;

typedef struct dl_objects {
    int count;
    dl_object **at;
} dl_objects;

typedef struct dl_family dl_family;
typedef struct dl_field dl_field;

typedef struct dl_alternative {
    int which; /* the place in the field's alternatives */
    union {
        int64_t integer;
        double real;
        bool boolean;
        int choice;
        dl_ints ints;
        char *string;
        dl_object *object;
    } as;
} dl_alternative;

enum {
    DL_REQUIRED = 1, /* there is no default */
    DL_NONE_OK = 2,  /* none is allowed: NULL, DL_NONE, NaN for a real, -1 as choice or alternative, no INTS at all;
                      * entries of INTS may be none too, unless they are positions */
    DL_POSITION = 4, /* a dimension or an index: counts from 1 in Lua and from 0 here; negative counts from the end */
    DL_OPEN_MIN = 8, /* the smallest value itself is not allowed */
    DL_OPEN_MAX = 16,
    DL_NAMED_ONLY = 32, /* not part of the positional order */
    DL_SAVED_NOT = 64,  /* not written into a config */
    DL_FLAT = 128       /* INTS: lists may lie in the list, {{1, 2}, {3, 4}} for {1, 2, 3, 4} */
};

/* One field of an options struct. Use the DL_INT(...) ... macros below to write it. */
struct dl_field {
    const char *name;
    dl_field_kind kind;
    size_t offset;
    int flags;
    double number;       /* default of INT, REAL, BOOL */
    const char *text;    /* default of the other kinds, as JSON-like text: "same", "relu", "1,1"; NULL: none */
    double minimum, maximum;
    const char *choices; /* ENUM: "valid|same" */
    const dl_family *family;
    const dl_field *alternatives;
    int repeat;          /* INTS: how many numbers one number stands for; also the only length allowed, 0: any */
    const char *help;    /* one line */
};

/* Lowest and highest values for whole numbers and reals without a limit. */
#define DL_LOWEST (-1.0 / 0.0)
#define DL_HIGHEST (1.0 / 0.0)

#define DL_INT(type, member, default_, minimum_, maximum_, flags_, help_)                                              \
    { .name = #member, .kind = DL_FIELD_INT, .offset = offsetof(type, member), .flags = (flags_),                      \
      .number = (double)(default_), .minimum = (minimum_), .maximum = (maximum_), .help = (help_) }
#define DL_REAL(type, member, default_, minimum_, maximum_, flags_, help_)                                             \
    { .name = #member, .kind = DL_FIELD_REAL, .offset = offsetof(type, member), .flags = (flags_),                     \
      .number = (default_), .minimum = (minimum_), .maximum = (maximum_), .help = (help_) }
#define DL_BOOL(type, member, default_, flags_, help_)                                                                 \
    { .name = #member, .kind = DL_FIELD_BOOL, .offset = offsetof(type, member), .flags = (flags_),                     \
      .number = (default_), .help = (help_) }
#define DL_STRING(type, member, default_, flags_, help_)                                                               \
    { .name = #member, .kind = DL_FIELD_STRING, .offset = offsetof(type, member), .flags = (flags_),                   \
      .text = (default_), .help = (help_) }
#define DL_ENUM(type, member, default_, choices_, flags_, help_)                                                       \
    { .name = #member, .kind = DL_FIELD_ENUM, .offset = offsetof(type, member), .flags = (flags_),                     \
      .text = (default_), .choices = (choices_), .help = (help_) }
#define DL_INTS(type, member, default_, repeat_, minimum_, maximum_, flags_, help_)                                    \
    { .name = #member, .kind = DL_FIELD_INTS, .offset = offsetof(type, member), .flags = (flags_),                     \
      .text = (default_), .repeat = (repeat_), .minimum = (minimum_), .maximum = (maximum_), .help = (help_) }
#define DL_OBJECT(type, member, default_, family_, flags_, help_)                                                      \
    { .name = #member, .kind = DL_FIELD_OBJECT, .offset = offsetof(type, member), .flags = (flags_),                   \
      .text = (default_), .family = (family_), .help = (help_) }
#define DL_OBJECTS(type, member, family_, flags_, help_)                                                               \
    { .name = #member, .kind = DL_FIELD_OBJECTS, .offset = offsetof(type, member), .flags = (flags_),                  \
      .family = (family_), .help = (help_) }
#define DL_ALTERNATIVE(type, member, default_, alternatives_, flags_, help_)                                           \
    { .name = #member, .kind = DL_FIELD_ALTERNATIVE, .offset = offsetof(type, member), .flags = (flags_),              \
      .text = (default_), .alternatives = (alternatives_), .help = (help_) }
#define DL_VALUE_FIELD(type, member, flags_, help_)                                                                    \
    { .name = #member, .kind = DL_FIELD_VALUE, .offset = offsetof(type, member), .flags = (flags_), .help = (help_) }
#define DL_END                                                                                                         \
    { .name = NULL, .kind = DL_FIELD_END }

/* ---- definitions ----------------------------------------------------------------------------------------------- */

/* What is common to every described thing. A family's own definition struct begins with it. */
typedef struct dl_definition {
    const char *name;    /* as the user writes it: "Conv2D", "adam" ... */
    const char *aliases; /* older and other spellings: "mse|MSE"; NULL: none */
    int version;         /* of the fields; written into saved files; 1 is the first */
    const char *help;    /* what it is, one or two sentences */
    const char *formula; /* what it computes; NULL where the help says it all */
    const char *source;  /* paper or reference */
    const char *shapes;  /* input and output shapes in words; NULL where there are none */
    const dl_field *fields;
    size_t options_size;
    void *user; /* of a definition made at run time (a layer written in Lua) */
} dl_definition;

/* A kind of things: layers, losses ... and all that is registered of it. */
struct dl_family {
    const char *name;                        /* "layer" */
    const dl_definition *const *definitions; /* NULL-terminated */
    size_t object_size;                      /* of an instance, which begins with a dl_object */
    dl_status (*init)(dl_object *object);    /* after the options are set; may be NULL */
    /* Frees what the instance owns beside its options, also after an init that failed or was not reached (all is zero
     * then); may be NULL. */
    void (*finalize)(dl_object *object);
};

/* An instance of a definition with its options. Counted references. */
struct dl_object {
    const dl_family *family;
    const dl_definition *definition;
    dl_context *context;
    int references;
    void *options; /* the definition's options struct */
    void *user;    /* of the binding: what the Lua side hangs on it */
    void (*free_user)(void *user);
};

/* Stands in a field of an options struct for the object that the field's default text names, until an instance is made
 * (or dl_options_copy called), which makes that object too. Counting its references does nothing. */
DL_API extern dl_object dl_default_object;
#define DL_DEFAULT (&dl_default_object)

/* Sets the defaults. What must be given is unset, which dl_options_check finds: DL_NONE, NaN, NULL, -1 as count, choice
 * or alternative. Needs no dl_options_clear before something was set. */
DL_API void dl_options_init(const dl_definition *definition, void *options, size_t size);
/* Checks and copies the value of one field; on failure the field stays as it was. */
DL_API dl_status dl_options_set(dl_context *context, const dl_definition *definition, void *options, const char *name,
                                const dl_value *value);
/* All entries of a map; unknown names are errors that name the nearest field; then checks what is required. After a
 * failure some fields may be set; clear as always. */
DL_API dl_status dl_options_set_all(dl_context *context, const dl_definition *definition, void *options,
                                    const dl_value *map);
DL_API dl_status dl_options_get(dl_context *context, const dl_definition *definition, const void *options,
                                const char *name, dl_value *out);
/* All fields but those with DL_SAVED_NOT. */
DL_API dl_status dl_options_get_all(dl_context *context, const dl_definition *definition, const void *options,
                                    dl_value *map);
/* to is overwritten; on failure it holds nothing. */
DL_API dl_status dl_options_copy(dl_context *context, const dl_definition *definition, const void *from, void *to);
/* Checks ranges and required fields of a struct that a C host filled in. */
DL_API dl_status dl_options_check(const dl_definition *definition, const void *options);
DL_API void dl_options_clear(const dl_definition *definition, void *options);

/* "a number in (0, 1]", "one of 'same', 'valid'", "an initializer": what a field takes, for messages and help. */
DL_API void dl_field_describe(const dl_field *field, char *text, size_t size);
/* The field with this name, or NULL. */
DL_API const dl_field *dl_find_field(const dl_field *fields, const char *name);
/* The nearest name among fields or definitions, or NULL if none is near. For "did you mean". */
DL_API const char *dl_nearest_field(const dl_field *fields, const char *name);

/* By name or alias; custom definitions of the context too; NULL without a message if there is none. */
DL_API const dl_definition *dl_find_definition(dl_context *context, const dl_family *family, const char *name);
DL_API const char *dl_nearest_definition(dl_context *context, const dl_family *family, const char *name);
/* Makes a definition known to one context (a layer written in Lua). Replaces one of the same name that was added. */
DL_API dl_status dl_add_definition(dl_context *context, const dl_family *family, const dl_definition *definition);

/* options NULL: the defaults. The options are copied. The caller owns the reference. */
DL_API dl_status dl_object_create(dl_context *context, const dl_family *family, const dl_definition *definition,
                                  const void *options, dl_object **out);
/* From a name ("relu"), a map {class_name = ..., config = {...}}, or an object of the family (a new reference to
 * it). */
DL_API dl_status dl_object_from_value(dl_context *context, const dl_family *family, const dl_value *value,
                                      dl_object **out);
/* {class_name, version, config}. */
DL_API dl_status dl_object_to_value(dl_context *context, const dl_object *object, dl_value *out);
DL_API void dl_object_retain(dl_object *object);
DL_API void dl_object_release(dl_object *object); /* NULL is ignored */

#ifdef __cplusplus
}
#endif
#endif
