/* Definitions, options, values and JSON. */
#include "check.h"

#include "base/text.h"
#include "context.h"
#include "dlua/definition.h"

/* ---- a family to test with ------------------------------------------------------------------------------------- */

typedef struct constant_options {
    double value;
} constant_options;

static const dl_field constant_fields[] = {DL_REAL(constant_options, value, 0.0, -10, 10, 0, "the value"), DL_END};
static const dl_definition constant = {.name = "Constant",
                                       .aliases = "constant",
                                       .version = 1,
                                       .fields = constant_fields,
                                       .options_size = sizeof(constant_options)};
static const dl_definition zeros = {.name = "Zeros", .aliases = "zeros", .version = 1};
static const dl_definition *const initializers[] = {&constant, &zeros, NULL};
static int finalized;
static void count_finalize(dl_object *object) {
    (void)object;
    finalized++;
}
static const dl_family initializer_family = {
    .name = "initializer", .definitions = initializers, .finalize = count_finalize};

typedef struct thing_options {
    int64_t units;
    double rate;
    bool use_bias;
    char *name;
    int padding;
    dl_ints strides;
    dl_object *initializer;
    dl_objects extras;
    dl_alternative learning_rate;
    dl_value anything;
    dl_ints shape;
    char *unit_name;
    int64_t axis;
} thing_options;

static const dl_field rate_alternatives[] = {{.kind = DL_FIELD_REAL, .minimum = 0, .maximum = DL_HIGHEST},
                                             {.kind = DL_FIELD_OBJECT, .family = &initializer_family},
                                             {.kind = DL_FIELD_ENUM, .choices = "auto|off"},
                                             DL_END};

static const dl_field thing_fields[] = {
    DL_INT(thing_options, units, 0, 1, DL_HIGHEST, DL_REQUIRED, "how many"),
    DL_REAL(thing_options, rate, 0.5, 0, 1, 0, "a fraction"),
    DL_BOOL(thing_options, use_bias, true, 0, "whether"),
    DL_STRING(thing_options, name, NULL, DL_NONE_OK, "its name"),
    DL_ENUM(thing_options, padding, "same", "valid|same", 0, "how borders are treated"),
    DL_INTS(thing_options, strides, "1,2", 2, 1, DL_HIGHEST, 0, "steps"),
    DL_OBJECT(thing_options, initializer, "{\"class_name\": \"Constant\", \"config\": {\"value\": 2.5}}",
              &initializer_family, DL_NONE_OK, "how it begins"),
    DL_OBJECTS(thing_options, extras, &initializer_family, 0, "more"),
    DL_ALTERNATIVE(thing_options, learning_rate, "0.01", rate_alternatives, 0, "the step"),
    DL_VALUE_FIELD(thing_options, anything, 0, "what you like"),
    DL_INTS(thing_options, shape, NULL, 0, 0, DL_HIGHEST, DL_NONE_OK, "a shape"),
    DL_STRING(thing_options, unit_name, "unit", 0, "a string with a default"),
    DL_INT(thing_options, axis, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK | DL_SAVED_NOT, "which"),
    DL_END};
static const dl_definition thing = {
    .name = "Thing", .version = 2, .fields = thing_fields, .options_size = sizeof(thing_options)};
static const dl_definition *const things[] = {&thing, NULL};
static const dl_family thing_family = {.name = "thing", .definitions = things};

/* Reads JSON text into a value; NONE on failure. */
static dl_value json(const char *text) {
    dl_value value;
    CHECK_EQ_INT(dl_value_from_json(context, text, strlen(text), &value), DL_OK);
    return value;
}

/* Sets all options of a fresh thing from JSON and returns the status; the message is dl_last_error(). */
static dl_status set_thing(const char *text, thing_options *options) {
    dl_value map = json(text);
    dl_options_init(&thing, options, sizeof *options);
    dl_status status = dl_options_set_all(context, &thing, options, &map);
    dl_value_clear(&map);
    return status;
}

static void check_message(const char *text, const char *message) {
    thing_options options;
    CHECK(set_thing(text, &options) != DL_OK);
    CHECK_STR(dl_last_error(), message);
    dl_options_clear(&thing, &options);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void test_defaults(void) {
    begin_context();
    thing_options o;
    dl_options_init(&thing, &o, sizeof o);
    CHECK_EQ_INT(o.units, DL_NONE);
    CHECK_CLOSE(o.rate, 0.5, 0);
    CHECK(o.use_bias);
    CHECK(o.name == NULL);
    CHECK_EQ_INT(o.padding, 1);
    CHECK_EQ_INT(o.strides.count, 2);
    CHECK_EQ_INT(o.strides.at[1], 2);
    CHECK(o.initializer == DL_DEFAULT);
    CHECK_EQ_INT(o.learning_rate.which, 0);
    CHECK_CLOSE(o.learning_rate.as.real, 0.01, 0);
    CHECK_EQ_INT(o.shape.count, 0);
    CHECK_STR(o.unit_name, "unit");
    CHECK_EQ_INT(o.axis, DL_NONE);
    CHECK(dl_options_check(&thing, &o) == DL_INVALID);
    CHECK_STR(dl_last_error(), "Thing: argument 'units' is missing (a whole number of at least 1)");
    o.units = 3;
    CHECK_EQ_INT(dl_options_check(&thing, &o), DL_OK);
    o.rate = 1.5;
    CHECK(dl_options_check(&thing, &o) == DL_INVALID);
    CHECK_STR(dl_last_error(), "Thing: argument 'rate' must be a number in [0, 1] (got 1.5)");
    o.rate = 1;
    o.strides.at[0] = 0;
    CHECK(dl_options_check(&thing, &o) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(),
                   "'strides' must be a whole number of at least 1 or a list of 2 of them (got {0, 2})");
    o.strides.at[0] = 1;
    o.padding = 2;
    CHECK(dl_options_check(&thing, &o) == DL_INVALID);
    dl_options_clear(&thing, &o);
    end_context();
}

static void test_messages(void) {
    begin_context();
    check_message("{}", "Thing: argument 'units' is missing (a whole number of at least 1)");
    check_message("{\"unit\": 3}", "Thing: unknown argument 'unit'; did you mean 'units'?");
    check_message("{\"learningRate\": 3}", "Thing: unknown argument 'learningRate'; did you mean 'learning_rate'?");
    check_message("{\"zzz\": 3}",
                  "Thing: unknown argument 'zzz'; it takes units, rate, use_bias, name, padding, strides, initializer, "
                  "extras, learning_rate, anything, shape, unit_name, axis");
    check_message("{\"units\": 0}", "Thing: argument 'units' must be a whole number of at least 1 (got 0)");
    check_message("{\"units\": 2.5}", "Thing: argument 'units' must be a whole number of at least 1 (got 2.5)");
    check_message("{\"units\": \"3\"}", "Thing: argument 'units' must be a whole number of at least 1 (got '3')");
    check_message("{\"units\": true}", "Thing: argument 'units' must be a whole number of at least 1 (got true)");
    check_message("{\"units\": null}", "Thing: argument 'units' must be a whole number of at least 1 (got none)");
    check_message("{\"rate\": 1.5}", "Thing: argument 'rate' must be a number in [0, 1] (got 1.5)");
    check_message("{\"use_bias\": 1}", "Thing: argument 'use_bias' must be true or false (got 1)");
    check_message("{\"name\": 7}", "Thing: argument 'name' must be a string, or none (got 7)");
    check_message("{\"padding\": \"smae\"}",
                  "Thing: argument 'padding' must be one of 'valid', 'same' (got 'smae'; did you mean 'same'?)");
    check_message("{\"padding\": \"full\"}", "Thing: argument 'padding' must be one of 'valid', 'same' (got 'full')");
    check_message(
        "{\"strides\": [1, 2, 3]}",
        "Thing: argument 'strides' must be a whole number of at least 1 or a list of 2 of them (got {1, 2, 3})");
    check_message(
        "{\"strides\": [1, null]}",
        "Thing: argument 'strides' must be a whole number of at least 1 or a list of 2 of them (got {1, none})");
    check_message(
        "{\"initializer\": \"zeroes\"}",
        "Thing: argument 'initializer' must be an initializer, or none (got 'zeroes'; did you mean 'Zeros'?)");
    check_message("{\"initializer\": {\"class_name\": \"Constant\", \"config\": {\"value\": 11}}}",
                  "Thing: argument 'initializer': Constant: argument 'value' must be a number in [-10, 10] (got 11)");
    check_message("{\"initializer\": {\"class_name\": \"Constant\", \"version\": 9}}",
                  "Thing: argument 'initializer': Constant: written by version 9 of it, and this dlua knows version 1; "
                  "use a newer dlua");
    check_message("{\"extras\": [\"zeros\", 3]}",
                  "Thing: argument 'extras' must be a list of initializers (got {'zeros', 3})");
    check_message(
        "{\"learning_rate\": -1}",
        "Thing: argument 'learning_rate' must be a number of at least 0, or an initializer, or one of 'auto', "
        "'off' (got -1)");
    check_message(
        "{\"learning_rate\": \"atuo\"}",
        "Thing: argument 'learning_rate' must be a number of at least 0, or an initializer, or one of 'auto', "
        "'off' (got 'atuo'; did you mean 'auto'?)");
    end_context();
}

static void test_setting(void) {
    begin_context();
    thing_options o;
    CHECK_EQ_INT(
        set_thing("{\"units\": 4.0, \"name\": \"abc\", \"strides\": 3, \"shape\": [null, 28], \"padding\": "
                  "\"valid\", \"initializer\": null, \"extras\": [\"zeros\", \"constant\"], \"learning_rate\": "
                  "\"zeros\", \"anything\": {\"a\": [1, \"x\"]}, \"unit_name\": \"other\"}",
                  &o),
        DL_OK);
    CHECK_EQ_INT(o.units, 4);
    CHECK_STR(o.name, "abc");
    CHECK_EQ_INT(o.strides.at[0], 3);
    CHECK_EQ_INT(o.strides.at[1], 3);
    CHECK_EQ_INT(o.shape.count, 2);
    CHECK_EQ_INT(o.shape.at[0], DL_NONE);
    CHECK_EQ_INT(o.padding, 0);
    CHECK(o.initializer == NULL);
    CHECK_EQ_INT(o.extras.count, 2);
    CHECK_EQ_INT(o.learning_rate.which, 1);

    thing_options copy;
    REQUIRE(dl_options_copy(context, &thing, &o, &copy) == DL_OK);
    CHECK(copy.extras.at[0] == o.extras.at[0]);
    CHECK(copy.name != o.name);
    dl_options_clear(&thing, &o);

    dl_value map;
    REQUIRE(dl_options_get_all(context, &thing, &copy, &map) == DL_OK);
    char *text;
    REQUIRE(dl_value_to_json(context, &map, &text, NULL) == DL_OK);
    CHECK_STR(text,
              "{\"units\":4,\"rate\":0.5,\"use_bias\":true,\"name\":\"abc\",\"padding\":\"valid\",\"strides\":[3,3],"
              "\"initializer\":null,\"extras\":[{\"class_name\":\"Zeros\",\"version\":1,\"config\":{}},"
              "{\"class_name\":\"Constant\",\"version\":1,\"config\":{\"value\":0.0}}],\"learning_rate\":"
              "{\"class_name\":\"Zeros\",\"version\":1,\"config\":{}},\"anything\":{\"a\":[1,\"x\"]},\"shape\":"
              "[null,28],\"unit_name\":\"other\"}");
    thing_options again;
    CHECK_EQ_INT(set_thing(text, &again), DL_OK);
    CHECK_EQ_INT(again.learning_rate.which, 1);
    dl_options_clear(&thing, &again);
    dl_free_text(text);
    dl_value_clear(&map);
    dl_options_clear(&thing, &copy);
    end_context();
}

/* A wrong value leaves what was there. */
static void test_failed_set_keeps(void) {
    begin_context();
    thing_options o;
    CHECK_EQ_INT(set_thing("{\"units\": 4, \"name\": \"abc\", \"learning_rate\": \"zeros\"}", &o), DL_OK);
    const char *const fields[] = {"units", "name", "learning_rate", "initializer"};
    for (int i = 0; i < DL_COUNT(fields); i++) {
        dl_value wrong = dl_value_bool(true);
        CHECK(dl_options_set(context, &thing, &o, fields[i], &wrong) == DL_INVALID);
    }
    CHECK_EQ_INT(o.units, 4);
    CHECK_STR(o.name, "abc");
    CHECK_EQ_INT(o.learning_rate.which, 1);
    CHECK(o.initializer == DL_DEFAULT);
    dl_options_clear(&thing, &o);
    end_context();
}

static void test_objects(void) {
    begin_context();
    finalized = 0;
    dl_value map = json("{\"class_name\": \"Thing\", \"config\": {\"units\": 2}}");
    dl_object *object;
    REQUIRE(dl_object_from_value(context, &thing_family, &map, &object) == DL_OK);
    dl_value_clear(&map);
    thing_options *options = object->options;
    CHECK_EQ_INT(options->units, 2);
    REQUIRE(options->initializer != NULL);
    CHECK(options->initializer->definition == &constant);
    CHECK_CLOSE(((constant_options *)options->initializer->options)->value, 2.5, 0);
    dl_value shared = dl_value_object(object);
    dl_object *same;
    CHECK_EQ_INT(dl_object_from_value(context, &thing_family, &shared, &same), DL_OK);
    CHECK(same == object);
    dl_object_release(same);
    dl_value_clear(&shared);
    dl_object_release(object);
    CHECK_EQ_INT(finalized, 1);

    dl_value name;
    REQUIRE(dl_value_string(context, "thng", &name) == DL_OK);
    CHECK(dl_object_from_value(context, &thing_family, &name, &object) == DL_NOT_FOUND);
    CHECK_STR(dl_last_error(), "unknown thing 'thng'; did you mean 'Thing'?");
    dl_value_clear(&name);
    map = json("{\"class_name\": \"Thing\", \"version\": 1, \"config\": {\"old\": 2}}");
    CHECK(dl_object_from_value(context, &thing_family, &map, &object) == DL_INVALID);
    CHECK_CONTAINS(dl_last_error(), "written by version 1 of Thing, read by version 2: Thing: unknown argument 'old'");
    dl_value_clear(&map);
    map = json("{\"class_name\": \"Thing\", \"extra\": 1}");
    CHECK(dl_object_from_value(context, &thing_family, &map, &object) == DL_FORMAT);
    dl_value_clear(&map);
    end_context();
}

static void test_custom_definitions(void) {
    begin_context();
    static const dl_definition mine = {.name = "Mine", .version = 1};
    static const dl_definition mine_again = {.name = "Mine", .version = 2};
    CHECK(dl_find_definition(context, &thing_family, "Mine") == NULL);
    CHECK_EQ_INT(dl_add_definition(context, &thing_family, &mine), DL_OK);
    CHECK(dl_find_definition(context, &thing_family, "Mine") == &mine);
    CHECK(dl_find_definition(context, &initializer_family, "Mine") == NULL);
    CHECK_EQ_INT(dl_add_definition(context, &thing_family, &mine_again), DL_OK);
    CHECK(dl_find_definition(context, &thing_family, "Mine") == &mine_again);
    CHECK_STR(dl_nearest_definition(context, &thing_family, "mien"), "Mine");
    dl_context *other;
    REQUIRE(dl_context_create(NULL, &other) == DL_OK);
    CHECK(dl_find_definition(other, &thing_family, "Mine") == NULL);
    dl_context_release(other);
    dl_context_release(context);
}

static char *to_json(const char *text) {
    dl_value value = json(text);
    char *out = NULL;
    CHECK_EQ_INT(dl_value_to_json(context, &value, &out, NULL), DL_OK);
    dl_value_clear(&value);
    return out;
}

static void test_json_round_trip(void) {
    begin_context();
    const char *const texts[] = {
        "null",
        "true",
        "-9223372036854775808",
        "9223372036854775807",
        "0.1",
        "1.0",
        "-0.0",
        "1e+300",
        "4.94065645841247e-324",
        "\"a\\\"b\\\\c\\u0001 \xc3\xa9\"",
        "[]",
        "{}",
        "[1,2.5,\"x\",[null],{\"k\":false}]",
        "{\"z\":1,\"a\":2,\"m\":{\"y\":[],\"b\":{}}}",
        "0.30000000000000004",
        "1.2345678901234568e+17",
    };
    for (int i = 0; i < DL_COUNT(texts); i++) {
        char *text = to_json(texts[i]);
        CHECK_STR(text, texts[i]);
        dl_free_text(text);
    }
    end_context();
}

static void test_json_refused(void) {
    begin_context();
    const char *const texts[] = {"",    "{",          "[1,]",  "{\"a\":1,\"a\":2}", "9223372036854775808",
                                 "nan", "Infinity",   "1e999", "\"\xff\"",          "[1] 2",
                                 "'a'", "\"\\u0000\""};
    for (int i = 0; i < DL_COUNT(texts); i++) {
        dl_value value;
        CHECK_EQ_INT(dl_value_from_json(context, texts[i], strlen(texts[i]), &value), DL_FORMAT);
        CHECK_CONTAINS(dl_last_error(), "not JSON at line 1");
    }
    char deep[4000];
    memset(deep, '[', 2000);
    memset(deep + 2000, ']', 2000);
    dl_value value;
    CHECK_EQ_INT(dl_value_from_json(context, deep, sizeof deep, &value), DL_FORMAT);
    const double numbers[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        value = dl_value_real(numbers[i]);
        char *text;
        CHECK_EQ_INT(dl_value_to_json(context, &value, &text, NULL), DL_INVALID);
        CHECK(text == NULL);
    }
    CHECK_EQ_INT(dl_value_string(context, "\xed\xa0\x80", &value), DL_OK);
    char *text;
    CHECK_EQ_INT(dl_value_to_json(context, &value, &text, NULL), DL_INVALID);
    dl_value_clear(&value);
    end_context();
}

static void test_real_text(void) {
    char text[DL_REAL_TEXT];
    const double numbers[] = {0, -1.5, 1e-7, 3.14159265358979, 1e22, 1.7976931348623157e308, 2.2250738585072014e-308};
    for (int i = 0; i < DL_COUNT(numbers); i++) {
        double back;
        dl_format_real(numbers[i], text);
        CHECK(dl_parse_real(text, &back));
        CHECK(back == numbers[i]);
    }
    dl_format_real(1e-7, text);
    CHECK_STR(text, "1e-07");
    double real;
    CHECK(!dl_parse_real("1.5x", &real));
    CHECK(!dl_parse_real("", &real));
}

static void test_describe_cuts(void) {
    begin_context();
    dl_value value = json("[1, 2.5, \"abc\", {\"k\": null}]");
    char text[40], small[12];
    dl_value_describe(&value, text, sizeof text);
    CHECK_STR(text, "{1, 2.5, 'abc', {k = none}}");
    dl_value_describe(&value, small, sizeof small);
    CHECK_STR(small, "{1, 2.5,...");
    dl_value_clear(&value);
    end_context();
}

/* Every allocation of reading and creating fails in turn: an error, and nothing is left behind. */
static void test_out_of_memory(void) {
    begin_context();
    const char *text =
        "{\"class_name\": \"Thing\", \"config\": {\"units\": 2, \"name\": \"a\", \"extras\": [\"zeros\", "
        "\"constant\"], \"learning_rate\": {\"class_name\": \"Constant\", \"config\": {\"value\": 1}}}}";
    int failures = 0;
    for (uint64_t nth = 1;; nth++) {
        dl_value map = {.kind = DL_VALUE_NONE}, back = {.kind = DL_VALUE_NONE};
        dl_object *object = NULL;
        char *out = NULL;
        dl_memory_fail_at(context, nth);
        dl_status status = dl_value_from_json(context, text, strlen(text), &map);
        if (status == DL_OK)
            status = dl_object_from_value(context, &thing_family, &map, &object);
        if (status == DL_OK)
            status = dl_object_to_value(context, object, &back);
        if (status == DL_OK)
            status = dl_value_to_json(context, &back, &out, NULL);
        dl_memory_fail_at(context, 0);
        if (status != DL_OK) {
            CHECK_EQ_INT(status, DL_MEMORY);
            failures++;
        }
        dl_free_text(out);
        dl_value_clear(&back);
        dl_object_release(object);
        dl_value_clear(&map);
        dl_memory_info info;
        dl_memory(context, &info);
        CHECK_EQ_INT(info.in_use, 0);
        if (status == DL_OK || info.in_use)
            break;
    }
    CHECK(failures > 40);
    end_context();
}

CHECK_MAIN(CHECK_TEST(test_defaults), CHECK_TEST(test_messages), CHECK_TEST(test_setting),
           CHECK_TEST(test_failed_set_keeps), CHECK_TEST(test_objects), CHECK_TEST(test_custom_definitions),
           CHECK_TEST(test_json_round_trip), CHECK_TEST(test_json_refused), CHECK_TEST(test_real_text),
           CHECK_TEST(test_describe_cuts), CHECK_TEST(test_out_of_memory))
