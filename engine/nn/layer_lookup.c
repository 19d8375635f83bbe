/* nn/layer_lookup.c: StringLookup and IntegerLookup: whole tokens to ids or columns, and ids back to tokens.
 *
 * A batch of tokens is a tensor of elements: each is a text for StringLookup (the last dimension holds its bytes), a
 * whole number for IntegerLookup. Always true: `elements` below are dimensions of the batch without those of bytes. */
#include <stdio.h>
#include <string.h>

#include "dlua/layers.h"
#include "nn/lookup.h"

typedef struct lookup_state {
    dl_lookup lookup;   /* first: see lookup_adapt.c */
    int64_t numbers[2]; /* mask and unknown token of IntegerLookup, which the lookup's tokens lie in */
} lookup_state;

static dl_lookup *lookup_of(const dl_layer *layer) {
    return &((lookup_state *)layer->state)->lookup;
}

static bool holds_numbers(const dl_layer *layer) {
    return lookup_of(layer)->settings.integers;
}

static dl_status make_state(dl_layer *layer, lookup_state **out) {
    *out = layer->state = dl_alloc_zeroed(layer->object.context, sizeof **out);
    return *out ? DL_OK : DL_MEMORY;
}

static dl_status init_strings(dl_layer *layer) {
    dl_string_lookup_options *options = layer->object.options;
    lookup_state *state;
    DL_TRY(make_state(layer, &state));
    const char *mask = options->mask_token ? options->mask_token : "";
    dl_lookup_settings settings = {.max_tokens = options->max_tokens, .oov = options->num_oov_indices,
                                   .masked = options->mask_token != NULL, .mask = {mask, strlen(mask)},
                                   .unknown = {options->oov_token, strlen(options->oov_token)},
                                   .output_mode = options->output_mode, .pad = options->pad_to_max_tokens,
                                   .invert = options->invert, .vocabulary = &options->vocabulary,
                                   .idf_weights = &options->idf_weights};
    return dl_lookup_init(&state->lookup, layer, &settings);
}

static dl_status init_integers(dl_layer *layer) {
    dl_integer_lookup_options *options = layer->object.options;
    lookup_state *state;
    DL_TRY(make_state(layer, &state));
    state->numbers[0] = options->mask_token;
    state->numbers[1] = options->oov_token;
    const char *numbers = (const char *)state->numbers;
    dl_lookup_settings settings = {.max_tokens = options->max_tokens, .oov = options->num_oov_indices,
                                   .masked = options->mask_token != DL_NONE,
                                   .mask = {numbers, sizeof(int64_t)},
                                   .unknown = {numbers + sizeof(int64_t), sizeof(int64_t)}, .integers = true,
                                   .output_mode = options->output_mode, .pad = options->pad_to_max_tokens,
                                   .invert = options->invert, .vocabulary = &options->vocabulary,
                                   .idf_weights = &options->idf_weights};
    return dl_lookup_init(&state->lookup, layer, &settings);
}

static void finalize(dl_layer *layer) {
    lookup_state *state = layer->state;
    if (!state)
        return;
    dl_lookup_clear(&state->lookup);
    dl_free(state);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static dl_status check_numbers(const dl_layer *layer, const dl_spec *in) {
    if (in->dtype == DL_INT64 || in->dtype == DL_INT32 || in->dtype == DL_UINT8)
        return DL_OK;
    return dl_fail(DL_DTYPE, "%s takes whole numbers, got inputs of %s %s; convert them first (x:to(\"int64\"))",
                   dl_layer_class(layer), dl_dtype_name(in->dtype), dl_spec_text_of(in).at);
}

/* The longest text that ids turn into. */
static int64_t widest(const dl_lookup *lookup) {
    int64_t width = DL_MAX(1, DL_MAX((int64_t)lookup->settings.unknown.length, (int64_t)lookup->settings.mask.length));
    for (int64_t place = 1; place <= lookup->tokens.count; place++) {
        size_t length;
        dl_vocabulary_token(&lookup->tokens, place, &length);
        width = DL_MAX(width, (int64_t)length);
    }
    return width;
}

/* Checks the input and takes the shape of its elements. */
static dl_status element_spec(const dl_layer *layer, const dl_spec *in, dl_spec *out) {
    bool texts = !holds_numbers(layer) && !lookup_of(layer)->settings.invert;
    DL_TRY(texts ? dl_layer_check_text(layer, in) : check_numbers(layer, in));
    if (texts && in->dims < 2)
        return dl_fail(DL_SHAPE, "%s takes texts as (N, L) or with more dimensions between, got %s",
                       dl_layer_class(layer), dl_spec_text_of(in).at);
    *out = *in;
    out->dims = in->dims - texts;
    return DL_OK;
}

static dl_status add_dimension(const dl_layer *layer, dl_spec *spec, int64_t size) {
    if (spec->dims == DL_MAX_DIMS)
        return dl_fail(DL_SHAPE, "%s: the output would have more than %d dimensions", dl_layer_class(layer),
                       DL_MAX_DIMS);
    spec->shape[spec->dims++] = size;
    return DL_OK;
}

/* The output's spec from that of the elements: columns take the place of the last dimension (which one_hot keeps,
 * unless it is 1), or follow the batch where there is no other. */
static dl_status column_spec(const dl_layer *layer, dl_spec *spec) {
    const dl_lookup *lookup = lookup_of(layer);
    int64_t depth;
    DL_TRY(dl_lookup_depth(lookup, &depth));
    bool replaces = lookup->settings.output_mode != DL_OUTPUT_ONE_HOT || spec->shape[spec->dims - 1] == 1;
    spec->dtype = layer->dtype;
    if (spec->dims > 1 && replaces)
        spec->dims--;
    return add_dimension(layer, spec, depth);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_lookup *lookup = lookup_of(layer);
    *outputs = 1;
    DL_TRY(element_spec(layer, &inputs->specs[0], out));
    if (lookup->settings.output_mode != DL_OUTPUT_INT)
        return column_spec(layer, out);
    out->dtype = DL_INT64;
    if (!lookup->settings.invert || holds_numbers(layer))
        return DL_OK;
    out->dtype = DL_UINT8;
    return add_dimension(layer, out, widest(lookup));
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* The k-th element of a contiguous batch as a token; a number lies in *number. */
static dl_token element_at(const dl_layer *layer, const dl_tensor *batch, int64_t k, int64_t *number) {
    dl_token token;
    if (holds_numbers(layer)) {
        *number = dl_read_int(batch, batch->offset + k);
        return (dl_token){(const char *)number, sizeof *number};
    }
    token.at = dl_string_at(batch, k, &token.length);
    return token;
}

static int64_t element_count(const dl_spec *elements) {
    int64_t count = 1;
    for (int i = 0; i < elements->dims; i++)
        count *= elements->shape[i];
    return count;
}

/* The ids of all elements, in rows of row_size elements. */
static dl_status read_ids(const dl_layer *layer, const dl_tensor *batch, int64_t count, int64_t row_size,
                          dl_id_rows *rows) {
    int64_t number;
    for (int64_t k = 0; k < count; k++) {
        dl_token token = element_at(layer, batch, k, &number);
        int64_t id;
        DL_TRY(dl_lookup_id(lookup_of(layer), token.at, token.length, &id));
        DL_TRY(dl_id_rows_add(rows, id));
        if ((k + 1) % row_size == 0)
            dl_id_rows_end_row(rows);
    }
    return DL_OK;
}

static dl_tensor *ids_tensor(dl_context *context, const dl_spec *spec, const dl_id_rows *rows) {
    dl_tensor *out = dl_empty(context, DL_INT64, spec->dims, spec->shape);
    if (out && rows->count > 0)
        memcpy(dl_tensor_data(out), rows->ids, (size_t)rows->count * sizeof *rows->ids);
    return out;
}

static dl_tensor *columns_tensor(const dl_layer *layer, const dl_spec *spec, const dl_id_rows *rows) {
    dl_tensor *out = dl_zeros(rows->context, layer->dtype, spec->dims, spec->shape);
    if (out)
        dl_lookup_encode(lookup_of(layer), rows, spec->shape[spec->dims - 1], out);
    return out;
}

static dl_status call_forward(const dl_layer *layer, dl_layer_call *call, const dl_tensor *batch) {
    dl_spec in = dl_spec_of_tensor(batch), elements, out;
    dl_id_rows rows;
    int mode = lookup_of(layer)->settings.output_mode;
    DL_TRY(element_spec(layer, &in, &elements));
    out = elements;
    if (mode != DL_OUTPUT_INT)
        DL_TRY(column_spec(layer, &out));
    bool apart = mode == DL_OUTPUT_INT || mode == DL_OUTPUT_ONE_HOT || elements.dims == 1;
    int64_t row_size = apart ? 1 : elements.shape[elements.dims - 1];
    int64_t count = element_count(&elements);
    DL_TRY(dl_id_rows_init(&rows, call->context, count));
    dl_status status = read_ids(layer, batch, count, DL_MAX(row_size, 1), &rows);
    dl_tensor *tensor = NULL;
    if (status == DL_OK)
        tensor = mode == DL_OUTPUT_INT ? ids_tensor(call->context, &out, &rows) : columns_tensor(layer, &out, &rows);
    dl_id_rows_clear(&rows);
    return status == DL_OK ? dl_call_return(call, tensor) : status;
}

static dl_status call_inverse(const dl_layer *layer, dl_layer_call *call, const dl_tensor *ids) {
    const dl_lookup *lookup = lookup_of(layer);
    dl_spec in = dl_spec_of_tensor(ids), spec;
    int outputs;
    DL_TRY(infer(layer, &(dl_inputs){&in, 1, NULL}, &spec, &outputs));
    dl_tensor *out = dl_zeros(call->context, spec.dtype, spec.dims, spec.shape);
    size_t width = holds_numbers(layer) ? sizeof(int64_t) : (size_t)spec.shape[spec.dims - 1];
    char *to = out ? dl_tensor_data(out) : NULL;
    int64_t count = element_count(&in);
    for (int64_t k = 0; to && k < count; k++) {
        dl_token token = dl_lookup_token(lookup, dl_read_int(ids, ids->offset + k));
        memcpy(to + (size_t)k * width, token.at, token.length);
    }
    return dl_call_return(call, out);
}

static dl_status call_layer(dl_layer *layer, dl_layer_call *call) {
    const dl_lookup *lookup = lookup_of(layer);
    DL_TRY(dl_lookup_check_known(lookup));
    dl_tensor *batch = dl_scope_add(call->context, dl_tensor_contiguous(call->in[0]));
    if (!batch)
        return dl_last_status();
    return lookup->settings.invert ? call_inverse(layer, call, batch) : call_forward(layer, call, batch);
}

static dl_status count_elements(const dl_layer *layer, const dl_tensor *data, const dl_spec *elements,
                                dl_tally *tally) {
    int64_t number, count = element_count(elements);
    int64_t document = elements->dims > 1 ? elements->shape[elements->dims - 1] : 1;
    for (int64_t k = 0; k < count; k++) {
        if (k % document == 0)
            dl_tally_next_document(tally);
        dl_token token = element_at(layer, data, k, &number);
        DL_TRY(dl_tally_add(tally, token.at, token.length));
    }
    return DL_OK;
}

static dl_status adapt(dl_layer *layer, dl_tensor *data) {
    dl_spec in = dl_spec_of_tensor(data), elements = in;
    DL_TRY(holds_numbers(layer) ? check_numbers(layer, &in) : dl_layer_check_text(layer, &in));
    elements.dims -= !holds_numbers(layer);
    if (elements.dims < 1)
        return dl_fail(DL_SHAPE, "%s: adapt takes a batch of tokens, got %s", dl_layer_class(layer),
                       dl_spec_text_of(&in).at);
    dl_tally tally = dl_tally_begin(lookup_of(layer));
    return dl_tally_end(&tally, count_elements(layer, data, &elements, &tally));
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define SIZE_FIELDS(type)                                                                                              \
    DL_INT(type, max_tokens, DL_NONE, 2, DL_HIGHEST, DL_NONE_OK,                                                       \
           "most tokens of a learned vocabulary, the unknown ones and the mask (of ids) counted; none: no limit"),     \
    DL_INT(type, num_oov_indices, 1, 0, DL_HIGHEST, 0,                                                                 \
           "ids for unknown tokens, which are spread over them; 0: such a token is an error")
#define VOCABULARY_FIELDS(type)                                                                                        \
    DL_VALUE_FIELD(type, vocabulary, DL_NONE_OK,                                                                       \
                   "list of the tokens in the order of their ids; none: learned by adapt"),                            \
    DL_VALUE_FIELD(type, idf_weights, DL_NONE_OK,                                                                      \
                   "list of the weights of the vocabulary, for output_mode tf_idf")
#define OUTPUT_FIELDS(type)                                                                                            \
    DL_ENUM(type, output_mode, "int", "int|multi_hot|count|tf_idf|one_hot", 0,                                         \
            "ids of the tokens, a row of columns for each token (one_hot), or one for all of a sample"),               \
    DL_BOOL(type, pad_to_max_tokens, false, 0, "max_tokens columns even if the vocabulary is smaller")

static const dl_field string_fields[] = {
    SIZE_FIELDS(dl_string_lookup_options),
    DL_STRING(dl_string_lookup_options, mask_token, NULL, DL_NONE_OK, "the token with the id 0; none: no token has it"),
    DL_STRING(dl_string_lookup_options, oov_token, "[UNK]", 0, "stands for unknown tokens"),
    VOCABULARY_FIELDS(dl_string_lookup_options),
    DL_BOOL(dl_string_lookup_options, invert, false, 0, "ids to tokens"),
    OUTPUT_FIELDS(dl_string_lookup_options),
    DL_LAYER_FIELDS(dl_string_lookup_options)};

const dl_layer_def dl_layer_string_lookup = {
    .definition = {.name = "StringLookup", .version = 1,
                   .help = "Turns tokens into ids by a vocabulary that adapt learns, or ids into tokens. Ids count "
                           "from 1: the unknown tokens first, then the vocabulary.",
                   .formula = "tf_idf: count * log(1 + samples / (1 + samples with the token))",
                   .shapes = "texts (N, L) -> ids (N) or (N, tokens); (N, M, L) -> (N, M), (N, M, tokens) for one_hot, "
                             "(N, tokens) for the others; inverted: ids (N, ...) -> texts (N, ..., L)",
                   .fields = string_fields, .options_size = sizeof(dl_string_lookup_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .init = init_strings, .infer = infer, .call = call_layer, .finalize = finalize, .adapt = adapt,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_TAKES_TEXT};

static const dl_field integer_fields[] = {
    SIZE_FIELDS(dl_integer_lookup_options),
    DL_INT(dl_integer_lookup_options, mask_token, DL_NONE, DL_LOWEST, DL_HIGHEST, DL_NONE_OK,
           "the number with the id 0; none: no number has it"),
    DL_INT(dl_integer_lookup_options, oov_token, -1, DL_LOWEST, DL_HIGHEST, 0, "stands for unknown numbers"),
    VOCABULARY_FIELDS(dl_integer_lookup_options),
    DL_BOOL(dl_integer_lookup_options, invert, false, 0, "ids to numbers"),
    OUTPUT_FIELDS(dl_integer_lookup_options),
    DL_LAYER_FIELDS(dl_integer_lookup_options)};

const dl_layer_def dl_layer_integer_lookup = {
    .definition = {.name = "IntegerLookup", .version = 1,
                   .help = "Turns whole numbers into ids by a vocabulary that adapt learns, or ids into numbers. Ids "
                           "count from 1: the unknown numbers first, then the vocabulary.",
                   .formula = "tf_idf: count * log(1 + samples / (1 + samples with the number))",
                   .shapes = "numbers (N) -> ids (N) or (N, tokens); (N, M) -> (N, M), (N, M, tokens) for one_hot, "
                             "(N, tokens) for the others",
                   .fields = integer_fields, .options_size = sizeof(dl_integer_lookup_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 1,
    .init = init_integers, .infer = infer, .call = call_layer, .finalize = finalize, .adapt = adapt,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_TAKES_IDS};
