/* base/options.c: options structs, filled, checked, copied and read by their table of fields. A field's place in the
 * struct is a slot; one switch a job goes over the kinds. Always true: a slot owns its string (unless it is the default
 * text itself), its objects and its tree; a failed call leaves the slot as it was.
 *
 * A field that must be given holds "unset" until then: DL_NONE, NaN, a null pointer, -1 as a count or choice. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/definition.h"
#include "base/text.h"

/* Large enough for the slot of any field. */
typedef union slot_value {
    int64_t integer;
    double real;
    bool boolean;
    char *string;
    int choice;
    dl_ints ints;
    dl_object *object;
    dl_objects objects;
    dl_alternative alternative;
    dl_value value;
} slot_value;

enum { UNSET_BOOL = 2 }; /* the byte of a bool that must be given */

static size_t slot_size(dl_field_kind kind) {
    static const size_t sizes[] = {
        [DL_FIELD_END] = 0,
        [DL_FIELD_INT] = sizeof(int64_t),
        [DL_FIELD_REAL] = sizeof(double),
        [DL_FIELD_BOOL] = sizeof(bool),
        [DL_FIELD_STRING] = sizeof(char *),
        [DL_FIELD_ENUM] = sizeof(int),
        [DL_FIELD_INTS] = sizeof(dl_ints),
        [DL_FIELD_OBJECT] = sizeof(dl_object *),
        [DL_FIELD_OBJECTS] = sizeof(dl_objects),
        [DL_FIELD_ALTERNATIVE] = sizeof(dl_alternative),
        [DL_FIELD_VALUE] = sizeof(dl_value),
    };
    return sizes[kind];
}

static void *slot_of(const dl_field *field, const void *options) {
    return (char *)options + field->offset;
}

/* The chosen alternative as a field of its own: under the outer one's name and with its default. */
static dl_field chosen_field(const dl_field *field, int which) {
    dl_field chosen = field->alternatives[which];
    chosen.name = field->name;
    chosen.text = field->text;
    return chosen;
}

static int count_alternatives(const dl_field *field) {
    int count = 0;
    while (field->alternatives[count].kind != DL_FIELD_END)
        count++;
    return count;
}

const dl_field *dl_find_field(const dl_field *fields, const char *name) {
    for (; fields && fields->kind != DL_FIELD_END; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

const char *dl_nearest_field(const dl_field *fields, const char *name) {
    dl_nearest nearest = dl_nearest_begin(name);
    for (; fields && fields->kind != DL_FIELD_END; fields++)
        dl_nearest_offer(&nearest, fields->name);
    return nearest.best;
}

/* ---- clearing and defaults ------------------------------------------------------------------------------------- */

static void clear_slot(const dl_field *field, void *slot) {
    if (field->kind == DL_FIELD_STRING) {
        char *string = *(char **)slot;
        if (string != field->text)
            dl_free(string);
    } else if (field->kind == DL_FIELD_OBJECT) {
        dl_object_release(*(dl_object **)slot);
    } else if (field->kind == DL_FIELD_OBJECTS) {
        dl_objects *objects = slot;
        for (int i = 0; i < objects->count; i++)
            dl_object_release(objects->at[i]);
        dl_free(objects->at);
    } else if (field->kind == DL_FIELD_VALUE) {
        dl_value_clear(slot);
    } else if (field->kind == DL_FIELD_ALTERNATIVE) {
        dl_alternative *alternative = slot;
        if (alternative->which >= 0) {
            dl_field chosen = chosen_field(field, alternative->which);
            clear_slot(&chosen, &alternative->as);
        }
    }
    memset(slot, 0, slot_size(field->kind));
}

void dl_options_clear(const dl_definition *definition, void *options) {
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++)
        clear_slot(field, slot_of(field, options));
}

/* None, which is also what a required field holds until it is given. */
static void set_none(const dl_field *field, void *slot) {
    memset(slot, 0, slot_size(field->kind));
    if (field->kind == DL_FIELD_INT)
        *(int64_t *)slot = DL_NONE;
    else if (field->kind == DL_FIELD_REAL)
        *(double *)slot = NAN;
    else if (field->kind == DL_FIELD_ENUM)
        *(int *)slot = -1;
    else if (field->kind == DL_FIELD_ALTERNATIVE)
        ((dl_alternative *)slot)->which = -1;
}

static void set_unset(const dl_field *field, void *slot) {
    set_none(field, slot);
    if (field->kind == DL_FIELD_INTS)
        ((dl_ints *)slot)->count = -1;
    else if (field->kind == DL_FIELD_BOOL)
        *(unsigned char *)slot = UNSET_BOOL;
}

static bool is_unset(const dl_field *field, const void *slot) {
    switch (field->kind) {
    case DL_FIELD_INT:
        return *(const int64_t *)slot == DL_NONE;
    case DL_FIELD_REAL:
        return isnan(*(const double *)slot);
    case DL_FIELD_BOOL:
        return *(const unsigned char *)slot == UNSET_BOOL;
    case DL_FIELD_STRING:
        return !*(char *const *)slot;
    case DL_FIELD_ENUM:
        return *(const int *)slot == -1;
    case DL_FIELD_INTS:
        return ((const dl_ints *)slot)->count == -1;
    case DL_FIELD_OBJECT:
        return !*(dl_object *const *)slot;
    case DL_FIELD_OBJECTS:
        return ((const dl_objects *)slot)->count == 0;
    case DL_FIELD_ALTERNATIVE:
        return ((const dl_alternative *)slot)->which == -1;
    case DL_FIELD_VALUE:
        return ((const dl_value *)slot)->kind == DL_VALUE_NONE;
    case DL_FIELD_END:
        break;
    }
    return false;
}

/* "3,3", "1", "none,28"; false if the text is no such list. */
static bool parse_ints(const char *text, int repeat, dl_ints *out) {
    *out = (dl_ints){.count = 0};
    while (*text) {
        if (out->count == DL_MAX_DIMS)
            return false;
        char *end = (char *)text + 4;
        int64_t number = DL_NONE;
        if (strncmp(text, "none", 4) != 0) {
            errno = 0;
            number = strtoll(text, &end, 10);
            if (end == text || errno)
                return false;
        }
        out->at[out->count++] = number;
        text = end + strspn(end, " ");
        if (*text && *text != ',')
            return false;
        text += *text ? 1 : 0;
    }
    for (; out->count == 1 && repeat > 1 && out->at[0] != DL_NONE; out->count = repeat)
        for (int i = 1; i < repeat; i++)
            out->at[i] = out->at[0];
    return true;
}

/* What a default text means to a field that may be an alternative; false if it means nothing to it. Objects are made
 * when the options are copied into an instance: here there is no context yet. */
static bool default_from_text(const dl_field *field, const char *text, void *slot) {
    double real;
    switch (field->kind) {
    case DL_FIELD_INT:
        if (!dl_parse_real(text, &real) || real != floor(real))
            return false;
        *(int64_t *)slot = (int64_t)real;
        return true;
    case DL_FIELD_REAL:
        return dl_parse_real(text, slot);
    case DL_FIELD_BOOL:
        *(bool *)slot = strcmp(text, "true") == 0;
        return *(bool *)slot || strcmp(text, "false") == 0;
    case DL_FIELD_STRING:
        *(const char **)slot = text;
        return true;
    case DL_FIELD_ENUM:
        *(int *)slot = dl_choice_index(field->choices, text);
        return *(int *)slot >= 0;
    case DL_FIELD_INTS:
        return parse_ints(text, field->repeat, slot);
    case DL_FIELD_OBJECT:
        *(dl_object **)slot = DL_DEFAULT;
        return true;
    default:
        return false;
    }
}

static void set_alternative_default(const dl_field *field, dl_alternative *out) {
    int count = count_alternatives(field);
    for (int which = 0; which < count; which++) {
        out->which = which;
        if (default_from_text(&field->alternatives[which], field->text, &out->as))
            return;
        memset(out, 0, sizeof *out);
    }
    out->which = -1;
}

static void set_default(const dl_field *field, void *slot) {
    if (field->flags & DL_REQUIRED)
        set_unset(field, slot);
    else if (field->kind == DL_FIELD_INT)
        *(int64_t *)slot = (int64_t)field->number;
    else if (field->kind == DL_FIELD_REAL)
        *(double *)slot = field->number;
    else if (field->kind == DL_FIELD_BOOL)
        *(bool *)slot = field->number != 0;
    else if (!field->text)
        set_none(field, slot);
    else if (field->kind == DL_FIELD_ALTERNATIVE)
        set_alternative_default(field, slot);
    else if (!default_from_text(field, field->text, slot))
        set_none(field, slot);
}

void dl_options_init(const dl_definition *definition, void *options, size_t size) {
    memset(options, 0, size);
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++)
        if (field->offset + slot_size(field->kind) <= size)
            set_default(field, slot_of(field, options));
}

/* ---- what a field takes, in words ------------------------------------------------------------------------------ */

/* "1" for 1.0, "0.5". */
static void add_limit(dl_cut_text *text, double limit) {
    char number[DL_REAL_TEXT];
    dl_format_real(limit, number);
    size_t length = strlen(number);
    if (length > 2 && strcmp(number + length - 2, ".0") == 0)
        number[length - 2] = '\0';
    dl_cut_text_add(text, "%s", number);
}

/* " of at least 0", " in (0, 1]", "". */
static void add_range(dl_cut_text *text, const dl_field *field) {
    bool open_min = field->flags & DL_OPEN_MIN, open_max = field->flags & DL_OPEN_MAX;
    bool has_min = field->minimum > DL_LOWEST, has_max = field->maximum < DL_HIGHEST;
    if (has_min && has_max) {
        dl_cut_text_add(text, " in %s", open_min ? "(" : "[");
        add_limit(text, field->minimum);
        dl_cut_text_add(text, ", ");
        add_limit(text, field->maximum);
        dl_cut_text_add(text, open_max ? ")" : "]");
    } else if (has_min) {
        dl_cut_text_add(text, open_min ? " greater than " : " of at least ");
        add_limit(text, field->minimum);
    } else if (has_max) {
        dl_cut_text_add(text, open_max ? " less than " : " of at most ");
        add_limit(text, field->maximum);
    }
}

static void add_choices(dl_cut_text *text, const char *choices) {
    char name[64];
    for (int k = 0; dl_choice_at(choices, k, name, sizeof name); k++)
        dl_cut_text_add(text, "%s'%s'", k ? ", " : "one of ", name);
}

/* "a layer", "an initializer"; plural "losses". */
static void add_family(dl_cut_text *text, const dl_family *family, bool plural) {
    size_t length = strlen(family->name);
    if (plural)
        dl_cut_text_add(text, "a list of %s%s", family->name, length && family->name[length - 1] == 's' ? "es" : "s");
    else
        dl_cut_text_add(text, "%s %s", strchr("aeiou", family->name[0]) ? "an" : "a", family->name);
}

static void add_ints(dl_cut_text *text, const dl_field *field) {
    dl_cut_text_add(text, "a whole number");
    add_range(text, field);
    if (field->repeat > 1)
        dl_cut_text_add(text, " or a list of %d of them", field->repeat);
    else if (field->repeat == 0)
        dl_cut_text_add(text, " or a list of at most %d of them", DL_MAX_DIMS);
}

static void describe_field(dl_cut_text *text, const dl_field *field) {
    switch (field->kind) {
    case DL_FIELD_INT:
        dl_cut_text_add(text, "a whole number");
        add_range(text, field);
        break;
    case DL_FIELD_REAL:
        dl_cut_text_add(text, "a number");
        add_range(text, field);
        break;
    case DL_FIELD_BOOL:
        dl_cut_text_add(text, "true or false");
        break;
    case DL_FIELD_STRING:
        dl_cut_text_add(text, "a string");
        break;
    case DL_FIELD_ENUM:
        add_choices(text, field->choices);
        break;
    case DL_FIELD_INTS:
        add_ints(text, field);
        break;
    case DL_FIELD_OBJECT:
    case DL_FIELD_OBJECTS:
        add_family(text, field->family, field->kind == DL_FIELD_OBJECTS);
        break;
    case DL_FIELD_ALTERNATIVE:
        for (int which = 0; which < count_alternatives(field); which++) {
            dl_cut_text_add(text, "%s", which ? ", or " : "");
            describe_field(text, &field->alternatives[which]);
        }
        break;
    case DL_FIELD_VALUE:
    case DL_FIELD_END:
        dl_cut_text_add(text, "any value");
        break;
    }
    if (field->flags & DL_NONE_OK && field->kind != DL_FIELD_VALUE)
        dl_cut_text_add(text, ", or none");
}

void dl_field_describe(const dl_field *field, char *text, size_t size) {
    dl_cut_text cut = dl_cut_text_begin(text, size);
    describe_field(&cut, field);
}

/* ---- checking a slot ------------------------------------------------------------------------------------------- */

static bool in_range(const dl_field *field, double number) {
    bool above = field->flags & DL_OPEN_MIN ? number > field->minimum : number >= field->minimum;
    bool below = field->flags & DL_OPEN_MAX ? number < field->maximum : number <= field->maximum;
    return above && below;
}

/* NaN means none, and is a number like others where every number is allowed. */
static bool real_is_right(const dl_field *field, double real) {
    if (!isnan(real))
        return in_range(field, real);
    return field->flags & DL_NONE_OK || (field->minimum == DL_LOWEST && field->maximum == DL_HIGHEST);
}

static bool ints_are_right(const dl_field *field, const dl_ints *ints) {
    bool none_ok = field->flags & DL_NONE_OK;
    if (ints->count < 0 || ints->count > DL_MAX_DIMS)
        return false;
    if (field->repeat && ints->count != field->repeat && !(none_ok && ints->count == 0))
        return false;
    for (int i = 0; i < ints->count; i++) {
        bool free_entry = ints->at[i] == DL_NONE;
        if (free_entry ? !none_ok || field->flags & DL_POSITION : !in_range(field, (double)ints->at[i]))
            return false;
    }
    return true;
}

static bool object_is_right(const dl_field *field, const dl_object *object) {
    if (!object)
        return field->flags & DL_NONE_OK;
    return object == DL_DEFAULT || object->family == field->family;
}

static bool slot_is_right(const dl_field *field, const void *slot) {
    bool none_ok = field->flags & DL_NONE_OK;
    switch (field->kind) {
    case DL_FIELD_INT: {
        int64_t integer = *(const int64_t *)slot;
        return integer == DL_NONE ? none_ok : in_range(field, (double)integer);
    }
    case DL_FIELD_REAL:
        return real_is_right(field, *(const double *)slot);
    case DL_FIELD_STRING:
        return none_ok || *(char *const *)slot;
    case DL_FIELD_ENUM: {
        char name[64];
        int choice = *(const int *)slot;
        return choice < 0 ? none_ok && choice == -1 : dl_choice_at(field->choices, choice, name, sizeof name);
    }
    case DL_FIELD_INTS:
        return ints_are_right(field, slot);
    case DL_FIELD_OBJECT:
        return object_is_right(field, *(dl_object *const *)slot);
    case DL_FIELD_OBJECTS: {
        const dl_objects *objects = slot;
        for (int i = 0; i < objects->count; i++)
            if (!objects->at[i] || objects->at[i]->family != field->family)
                return false;
        return true;
    }
    case DL_FIELD_ALTERNATIVE: {
        const dl_alternative *alternative = slot;
        if (alternative->which < 0 || alternative->which >= count_alternatives(field))
            return none_ok && alternative->which == -1;
        return slot_is_right(&field->alternatives[alternative->which], &alternative->as);
    }
    case DL_FIELD_BOOL:
    case DL_FIELD_VALUE:
    case DL_FIELD_END:
        break;
    }
    return true;
}

static dl_status fail_missing(const dl_definition *definition, const dl_field *field) {
    char wanted[400];
    dl_field_describe(field, wanted, sizeof wanted);
    return dl_fail(DL_INVALID, "%s: argument '%s' is missing (%s)", definition->name, field->name, wanted);
}

static dl_status fail_wrong(const dl_definition *definition, const dl_field *field, const dl_value *value,
                            const char *hint) {
    char wanted[600], got[160];
    dl_field_describe(field, wanted, sizeof wanted);
    dl_value_describe(value, got, sizeof got);
    return dl_fail(DL_INVALID, "%s: argument '%s' must be %s (got %s%s)", definition->name, field->name, wanted, got,
                   hint);
}

/* A value that shows a slot in a message and owns nothing; items has room for DL_MAX_DIMS. */
static dl_value shown_slot(const dl_field *field, const void *slot, dl_value *items) {
    if (field->kind == DL_FIELD_INT && *(const int64_t *)slot != DL_NONE)
        return dl_value_int(*(const int64_t *)slot);
    if (field->kind == DL_FIELD_REAL && !isnan(*(const double *)slot))
        return dl_value_real(*(const double *)slot);
    if (field->kind == DL_FIELD_ENUM)
        return dl_value_int(*(const int *)slot);
    if (field->kind == DL_FIELD_OBJECT && *(dl_object *const *)slot)
        return (dl_value){.kind = DL_VALUE_OBJECT, .as.object = *(dl_object *const *)slot};
    if (field->kind == DL_FIELD_ALTERNATIVE) {
        const dl_alternative *alternative = slot;
        if (alternative->which >= 0 && alternative->which < count_alternatives(field))
            return shown_slot(&field->alternatives[alternative->which], &alternative->as, items);
    }
    if (field->kind != DL_FIELD_INTS)
        return (dl_value){.kind = DL_VALUE_NONE};
    const dl_ints *ints = slot;
    dl_value list = dl_value_list();
    list.as.list.items = items;
    list.as.list.count = DL_MIN(DL_MAX(ints->count, 0), DL_MAX_DIMS);
    for (int i = 0; i < list.as.list.count; i++)
        items[i] = ints->at[i] == DL_NONE ? (dl_value){.kind = DL_VALUE_NONE} : dl_value_int(ints->at[i]);
    return list;
}

dl_status dl_options_check(const dl_definition *definition, const void *options) {
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++) {
        const void *slot = slot_of(field, options);
        if (field->flags & DL_REQUIRED && !(field->flags & DL_NONE_OK) && is_unset(field, slot))
            return fail_missing(definition, field);
        if (!slot_is_right(field, slot)) {
            dl_value items[DL_MAX_DIMS];
            dl_value shown = shown_slot(field, slot, items);
            return fail_wrong(definition, field, &shown, "");
        }
    }
    return DL_OK;
}

/* ---- values into slots ----------------------------------------------------------------------------------------- */

/* DL_INVALID without a message (but maybe a hint) is a value of the wrong kind; `explained` is a failure with its
 * message. */
typedef struct attempt {
    dl_context *context;
    bool explained;
    char hint[DL_HINT_SIZE];
} attempt;

static dl_status explained(attempt *try, dl_status status) {
    try->explained = true;
    return status;
}

static dl_status take_value(attempt *try, const dl_field *field, const dl_value *value, void *slot);

/* Whole numbers and reals that are whole. */
static bool take_integer(const dl_value *value, int64_t *out) {
    if (value->kind == DL_VALUE_INT) {
        *out = value->as.integer;
        return true;
    }
    bool whole = value->kind == DL_VALUE_REAL && value->as.real == floor(value->as.real) && value->as.real >= -0x1p63 &&
                 value->as.real < 0x1p63;
    if (whole)
        *out = (int64_t)value->as.real;
    return whole;
}

static bool take_real(const dl_value *value, double *out) {
    if (value->kind == DL_VALUE_REAL)
        *out = value->as.real;
    else if (value->kind == DL_VALUE_INT)
        *out = (double)value->as.integer;
    return value->kind == DL_VALUE_REAL || value->kind == DL_VALUE_INT;
}

static bool take_choice(attempt *try, const dl_field *field, const dl_value *value, int *out) {
    if (value->kind != DL_VALUE_STRING)
        return false;
    *out = dl_choice_index(field->choices, value->as.string);
    if (*out >= 0)
        return true;
    dl_nearest nearest = dl_nearest_begin(value->as.string);
    char name[64], best[64] = "";
    for (int k = 0; dl_choice_at(field->choices, k, name, sizeof name); k++) {
        dl_nearest_offer(&nearest, name);
        if (nearest.best == name) {
            memcpy(best, name, sizeof best);
            nearest.best = best;
        }
    }
    if (nearest.best)
        snprintf(try->hint, sizeof try->hint, "; did you mean '%s'?", best);
    return false;
}

/* Adds the entries of a list, with DL_FLAT those of lists in it too. */
static bool add_entries(const dl_field *field, const dl_value *value, dl_ints *out) {
    bool list = value->kind == DL_VALUE_LIST || (value->kind == DL_VALUE_MAP && value->as.list.count == 0);
    if (!list || value->as.list.count > DL_MAX_DIMS - out->count)
        return false;
    for (int64_t i = 0; i < value->as.list.count; i++) {
        const dl_value *item = &value->as.list.items[i];
        if (item->kind == DL_VALUE_LIST && field->flags & DL_FLAT) {
            if (!add_entries(field, item, out))
                return false;
            continue;
        }
        if (out->count == DL_MAX_DIMS)
            return false;
        int64_t *entry = &out->at[out->count++];
        if (item->kind == DL_VALUE_NONE)
            *entry = DL_NONE;
        else if (!take_integer(item, entry) || *entry == DL_NONE)
            return false;
    }
    return true;
}

static bool take_ints(const dl_field *field, const dl_value *value, dl_ints *out) {
    int64_t number;
    if (take_integer(value, &number)) {
        out->count = DL_MAX(field->repeat, 1);
        for (int i = 0; i < out->count; i++)
            out->at[i] = number;
        return true;
    }
    out->count = 0;
    return add_entries(field, value, out);
}

static dl_status take_object(attempt *try, const dl_field *field, const dl_value *value, dl_object **out) {
    dl_clear_error();
    dl_status status = dl_object_try(try->context, field->family, value, out, try->hint);
    if (status == DL_OK)
        return DL_OK;
    return dl_last_status() == DL_OK ? DL_INVALID : explained(try, status);
}

static dl_status take_objects(attempt *try, const dl_field *field, const dl_value *value, dl_objects *out) {
    bool list = value->kind == DL_VALUE_LIST || (value->kind == DL_VALUE_MAP && value->as.list.count == 0);
    const dl_value *items = list ? value->as.list.items : value;
    int64_t count = list ? value->as.list.count : 1;
    if (count == 0)
        return DL_OK;
    if (count > INT32_MAX)
        return DL_INVALID;
    out->at = dl_alloc_array(try->context, (size_t)count, sizeof *out->at);
    if (!out->at)
        return explained(try, DL_MEMORY);
    dl_status status = DL_OK;
    while (status == DL_OK && out->count < count) {
        status = take_object(try, field, &items[out->count], &out->at[out->count]);
        if (status == DL_OK)
            out->count++;
        else if (try->explained)
            dl_fail_prefix("entry %d", out->count + 1);
    }
    if (status != DL_OK)
        clear_slot(field, out);
    return status;
}

/* The first alternative that takes the value. A map or a name that belongs to an object alternative but is wrong
 * inside is explained at once. */
static dl_status take_alternative(attempt *try, const dl_field *field, const dl_value *value, dl_alternative *out) {
    char hint[DL_HINT_SIZE] = "";
    for (int which = 0; which < count_alternatives(field); which++) {
        const dl_field *chosen = &field->alternatives[which];
        memset(out, 0, sizeof *out);
        out->which = which;
        dl_status status = take_value(try, chosen, value, &out->as);
        if (status == DL_OK || try->explained)
            return status;
        if (!hint[0])
            memcpy(hint, try->hint, sizeof hint);
    }
    memcpy(try->hint, hint, sizeof hint);
    return DL_INVALID;
}

/* Converts by kind, without the check of the range. */
static dl_status convert(attempt *try, const dl_field *field, const dl_value *value, void *slot) {
    bool fits = false;
    switch (field->kind) {
    case DL_FIELD_INT:
        fits = take_integer(value, slot) && *(int64_t *)slot != DL_NONE;
        break;
    case DL_FIELD_REAL:
        fits = take_real(value, slot);
        break;
    case DL_FIELD_BOOL:
        fits = value->kind == DL_VALUE_BOOL;
        *(bool *)slot = fits && value->as.boolean;
        break;
    case DL_FIELD_STRING:
        if (value->kind != DL_VALUE_STRING)
            break;
        *(char **)slot = dl_strdup(try->context, value->as.string);
        return *(char **)slot ? DL_OK : explained(try, DL_MEMORY);
    case DL_FIELD_ENUM:
        fits = take_choice(try, field, value, slot);
        break;
    case DL_FIELD_INTS:
        fits = take_ints(field, value, slot);
        break;
    case DL_FIELD_OBJECT:
        return take_object(try, field, value, slot);
    case DL_FIELD_OBJECTS:
        return take_objects(try, field, value, slot);
    case DL_FIELD_ALTERNATIVE:
        return take_alternative(try, field, value, slot);
    case DL_FIELD_VALUE: {
        dl_status status = dl_value_copy(try->context, value, slot);
        return status == DL_OK ? DL_OK : explained(try, status);
    }
    case DL_FIELD_END:
        break;
    }
    return fits ? DL_OK : DL_INVALID;
}

/* Fills an empty slot from a value. */
static dl_status take_value(attempt *try, const dl_field *field, const dl_value *value, void *slot) {
    try->hint[0] = '\0';
    if (value->kind == DL_VALUE_NONE && field->kind != DL_FIELD_VALUE) {
        if (!(field->flags & DL_NONE_OK) || field->kind == DL_FIELD_BOOL)
            return DL_INVALID;
        set_none(field, slot);
        return DL_OK;
    }
    DL_TRY(convert(try, field, value, slot));
    if (slot_is_right(field, slot))
        return DL_OK;
    clear_slot(field, slot);
    return DL_INVALID;
}

static dl_status fail_unknown(const dl_definition *definition, const char *name) {
    const char *near = dl_nearest_field(definition->fields, name);
    if (near)
        return dl_fail(DL_INVALID, "%s: unknown argument '%s'; did you mean '%s'?", definition->name, name, near);
    char names[600];
    dl_cut_text text = dl_cut_text_begin(names, sizeof names);
    const dl_field *field = definition->fields;
    for (bool first = true; field && field->kind != DL_FIELD_END; field++, first = false)
        dl_cut_text_add(&text, "%s%s", first ? "" : ", ", field->name);
    return dl_fail(DL_INVALID, "%s: unknown argument '%s'; it takes %s", definition->name, name,
                   names[0] ? names : "none");
}

dl_status dl_options_set(dl_context *context, const dl_definition *definition, void *options, const char *name,
                         const dl_value *value) {
    const dl_field *field = dl_find_field(definition->fields, name);
    if (!field)
        return fail_unknown(definition, name);
    attempt try = {.context = context};
    slot_value taken;
    memset(&taken, 0, sizeof taken);
    dl_status status = take_value(&try, field, value, &taken);
    if (try.explained && status == DL_MEMORY)
        return status;
    if (try.explained)
        return dl_fail_prefix("%s: argument '%s'", definition->name, name);
    if (status != DL_OK)
        return fail_wrong(definition, field, value, try.hint);
    clear_slot(field, slot_of(field, options));
    memcpy(slot_of(field, options), &taken, slot_size(field->kind));
    return DL_OK;
}

dl_status dl_options_set_all(dl_context *context, const dl_definition *definition, void *options, const dl_value *map) {
    bool empty_list = map->kind == DL_VALUE_LIST && map->as.list.count == 0;
    if (map->kind != DL_VALUE_MAP && !empty_list) {
        char got[160];
        dl_value_describe(map, got, sizeof got);
        return dl_fail(DL_INVALID, "%s: a map of arguments by name is wanted (got %s)", definition->name, got);
    }
    for (int64_t i = 0; i < map->as.list.count; i++)
        DL_TRY(dl_options_set(context, definition, options, map->as.list.keys[i], &map->as.list.items[i]));
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++) {
        bool given = field->flags & DL_NONE_OK && dl_value_get(map, field->name);
        if (field->flags & DL_REQUIRED && !given && is_unset(field, slot_of(field, options)))
            return fail_missing(definition, field);
    }
    return DL_OK;
}

/* ---- slots into values ----------------------------------------------------------------------------------------- */

static dl_status give_object(dl_context *context, const dl_field *field, dl_object *object, dl_value *out) {
    if (!object)
        return DL_OK;
    if (object != DL_DEFAULT)
        return dl_object_to_value(context, object, out);
    DL_TRY(dl_object_from_text(context, field->family, field->text, &object));
    dl_status status = dl_object_to_value(context, object, out);
    dl_object_release(object);
    return status;
}

static dl_status give_ints(dl_context *context, const dl_field *field, const dl_ints *ints, dl_value *out) {
    if (ints->count <= 0 && field->flags & DL_NONE_OK)
        return DL_OK;
    *out = dl_value_list();
    for (int i = 0; i < ints->count; i++) {
        dl_value item = {.kind = DL_VALUE_NONE};
        if (ints->at[i] != DL_NONE)
            item = dl_value_int(ints->at[i]);
        DL_TRY(dl_value_append(context, out, &item));
    }
    return DL_OK;
}

static dl_status give_objects(dl_context *context, const dl_objects *objects, dl_value *out) {
    *out = dl_value_list();
    for (int i = 0; i < objects->count; i++) {
        dl_value item;
        DL_TRY(dl_object_to_value(context, objects->at[i], &item));
        DL_TRY(dl_value_append(context, out, &item));
    }
    return DL_OK;
}

/* The value of a slot; none for none. On failure *out may hold a part, which the caller clears. */
static dl_status give_value(dl_context *context, const dl_field *field, const void *slot, dl_value *out) {
    memset(out, 0, sizeof *out);
    char name[64];
    switch (field->kind) {
    case DL_FIELD_INT:
        if (*(const int64_t *)slot != DL_NONE)
            *out = dl_value_int(*(const int64_t *)slot);
        break;
    case DL_FIELD_REAL:
        if (!isnan(*(const double *)slot))
            *out = dl_value_real(*(const double *)slot);
        break;
    case DL_FIELD_BOOL:
        if (!is_unset(field, slot))
            *out = dl_value_bool(*(const bool *)slot);
        break;
    case DL_FIELD_STRING:
        return *(char *const *)slot ? dl_value_string(context, *(char *const *)slot, out) : DL_OK;
    case DL_FIELD_ENUM: {
        int choice = *(const int *)slot;
        bool known = choice >= 0 && dl_choice_at(field->choices, choice, name, sizeof name);
        return known ? dl_value_string(context, name, out) : DL_OK;
    }
    case DL_FIELD_INTS:
        return give_ints(context, field, slot, out);
    case DL_FIELD_OBJECT:
        return give_object(context, field, *(dl_object *const *)slot, out);
    case DL_FIELD_OBJECTS:
        return give_objects(context, slot, out);
    case DL_FIELD_ALTERNATIVE: {
        const dl_alternative *alternative = slot;
        if (alternative->which < 0)
            break;
        dl_field chosen = chosen_field(field, alternative->which);
        return give_value(context, &chosen, &alternative->as, out);
    }
    case DL_FIELD_VALUE:
        return dl_value_copy(context, slot, out);
    case DL_FIELD_END:
        break;
    }
    return DL_OK;
}

dl_status dl_options_get(dl_context *context, const dl_definition *definition, const void *options, const char *name,
                         dl_value *out) {
    memset(out, 0, sizeof *out);
    const dl_field *field = dl_find_field(definition->fields, name);
    if (!field)
        return fail_unknown(definition, name);
    dl_status status = give_value(context, field, slot_of(field, options), out);
    if (status != DL_OK)
        dl_value_clear(out);
    return status;
}

dl_status dl_options_get_all(dl_context *context, const dl_definition *definition, const void *options, dl_value *map) {
    *map = dl_value_map();
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++) {
        if (field->flags & DL_SAVED_NOT)
            continue;
        dl_value value;
        dl_status status = dl_options_get(context, definition, options, field->name, &value);
        if (status == DL_OK)
            status = dl_value_put(context, map, field->name, &value);
        if (status != DL_OK) {
            dl_value_clear(map);
            return status;
        }
    }
    return DL_OK;
}

/* ---- copying --------------------------------------------------------------------------------------------------- */

static dl_status copy_objects(dl_context *context, const dl_objects *from, dl_objects *to) {
    if (from->count <= 0)
        return DL_OK;
    to->at = dl_alloc_array(context, (size_t)from->count, sizeof *to->at);
    if (!to->at)
        return DL_MEMORY;
    for (; to->count < from->count; to->count++) {
        to->at[to->count] = from->at[to->count];
        dl_object_retain(to->at[to->count]);
    }
    return DL_OK;
}

/* Fills the slot `to`, which holds none, with a copy; a default object is made. On failure it holds none again. */
static dl_status copy_slot(dl_context *context, const dl_field *field, const void *from, void *to) {
    switch (field->kind) {
    case DL_FIELD_STRING: {
        char *string = *(char *const *)from;
        bool shared = !string || string == field->text;
        char *copy = shared ? string : dl_strdup(context, string);
        *(char **)to = copy;
        return copy || !string ? DL_OK : DL_MEMORY;
    }
    case DL_FIELD_OBJECT: {
        dl_object *object = *(dl_object *const *)from;
        if (object == DL_DEFAULT)
            return dl_object_from_text(context, field->family, field->text, to);
        dl_object_retain(object);
        *(dl_object **)to = object;
        return DL_OK;
    }
    case DL_FIELD_OBJECTS:
        return copy_objects(context, from, to);
    case DL_FIELD_ALTERNATIVE: {
        const dl_alternative *alternative = from;
        dl_alternative *copy = to;
        copy->which = alternative->which;
        if (alternative->which < 0 || alternative->which >= count_alternatives(field))
            return DL_OK;
        dl_field chosen = chosen_field(field, alternative->which);
        dl_status status = copy_slot(context, &chosen, &alternative->as, &copy->as);
        if (status != DL_OK)
            set_none(field, to);
        return status;
    }
    case DL_FIELD_VALUE:
        return dl_value_copy(context, from, to);
    default:
        memcpy(to, from, slot_size(field->kind));
        return DL_OK;
    }
}

dl_status dl_options_copy(dl_context *context, const dl_definition *definition, const void *from, void *to) {
    memcpy(to, from, definition->options_size);
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++)
        set_none(field, slot_of(field, to));
    for (const dl_field *field = definition->fields; field && field->kind != DL_FIELD_END; field++) {
        dl_status status = copy_slot(context, field, slot_of(field, from), slot_of(field, to));
        if (status != DL_OK) {
            dl_options_clear(definition, to);
            return status;
        }
    }
    return DL_OK;
}
