/* nn/layer_text_vectorization.c: TextVectorization: texts (N, L) as bytes in, ids or columns of tokens out. */
#include <string.h>

#include "dlua/layers.h"
#include "nn/lookup.h"

typedef struct text_state {
    dl_lookup lookup; /* first: see lookup_adapt.c */
    dl_analyzer analyzer;
} text_state;

/* Widths 1 .. n for a number, those of a list as they are. */
static dl_status set_widths(dl_analyzer *analyzer, const dl_alternative *ngrams) {
    if (ngrams->which == 1) {
        analyzer->width_count = ngrams->as.ints.count;
        memcpy(analyzer->widths, ngrams->as.ints.at, sizeof analyzer->widths);
    } else if (ngrams->which == 0) {
        if (ngrams->as.integer > DL_MAX_DIMS)
            return dl_fail(DL_INVALID, "TextVectorization: ngrams may be up to %d, got %lld", DL_MAX_DIMS,
                           (long long)ngrams->as.integer);
        analyzer->width_count = (int)ngrams->as.integer;
        for (int k = 0; k < analyzer->width_count; k++)
            analyzer->widths[k] = k + 1;
    }
    return DL_OK;
}

static dl_status init(dl_layer *layer) {
    dl_text_vectorization_options *options = layer->object.options;
    text_state *state = dl_alloc_zeroed(layer->object.context, sizeof *state);
    if (!state)
        return DL_MEMORY;
    layer->state = state;
    state->analyzer = (dl_analyzer){.context = layer->object.context, .standardize = options->standardize,
                                    .split = options->split};
    dl_lookup_settings settings = {.max_tokens = options->max_tokens, .oov = 1, .masked = true, .mask = {"", 0},
                                   .unknown = {"[UNK]", 5}, .output_mode = options->output_mode,
                                   .pad = options->pad_to_max_tokens, .vocabulary = &options->vocabulary,
                                   .idf_weights = &options->idf_weights};
    DL_TRY(dl_lookup_init(&state->lookup, layer, &settings));
    if (settings.output_mode != DL_OUTPUT_INT && options->output_sequence_length != DL_NONE)
        return dl_fail(DL_INVALID, "TextVectorization: output_sequence_length goes with output_mode 'int' only");
    return set_widths(&state->analyzer, &options->ngrams);
}

static void finalize(dl_layer *layer) {
    text_state *state = layer->state;
    if (!state)
        return;
    dl_lookup_clear(&state->lookup);
    dl_analyzer_clear(&state->analyzer);
    dl_free(state);
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const text_state *state = layer->state;
    DL_TRY(dl_layer_check_text(layer, &inputs->specs[0]));
    bool ids = state->lookup.settings.output_mode == DL_OUTPUT_INT;
    *out = (dl_spec){.dtype = ids ? DL_INT64 : layer->dtype, .dims = 2};
    out->shape[0] = inputs->specs[0].shape[0];
    *outputs = 1;
    if (!ids)
        return dl_lookup_depth(&state->lookup, &out->shape[1]);
    out->shape[1] = DL_OPTIONS(layer, dl_text_vectorization_options)->output_sequence_length;
    return DL_OK;
}

static dl_status read_rows(text_state *state, const dl_tensor *texts, dl_id_rows *rows) {
    for (int64_t k = 0; k < texts->shape[0]; k++) {
        size_t length;
        const char *text = dl_string_at(texts, k, &length);
        DL_TRY(dl_analyze(&state->analyzer, text, length));
        for (int64_t i = 0; i < state->analyzer.tokens->count; i++) {
            dl_token token = state->analyzer.tokens->at[i];
            int64_t id;
            DL_TRY(dl_lookup_id(&state->lookup, token.at, token.length, &id));
            DL_TRY(dl_id_rows_add(rows, id));
        }
        dl_id_rows_end_row(rows);
        if (k % 1024 == 0)
            DL_TRY(dl_poll(state->analyzer.context));
    }
    return DL_OK;
}

static dl_tensor *encode_rows(const dl_layer *layer, const dl_id_rows *rows) {
    const text_state *state = layer->state;
    int64_t shape[2] = {rows->rows, 0};
    if (dl_lookup_depth(&state->lookup, &shape[1]) != DL_OK)
        return NULL;
    dl_tensor *out = dl_zeros(rows->context, layer->dtype, 2, shape);
    if (out)
        dl_lookup_encode(&state->lookup, rows, shape[1], out);
    return out;
}

static dl_status call_layer(dl_layer *layer, dl_layer_call *call) {
    text_state *state = layer->state;
    dl_tensor *texts = dl_scope_add(call->context, dl_tensor_contiguous(call->in[0]));
    dl_id_rows rows;
    if (!texts)
        return dl_last_status();
    DL_TRY(dl_lookup_check_known(&state->lookup));
    DL_TRY(dl_id_rows_init(&rows, call->context, texts->shape[0]));
    dl_status status = read_rows(state, texts, &rows);
    dl_tensor *out = NULL;
    if (status == DL_OK && state->lookup.settings.output_mode == DL_OUTPUT_INT)
        out = dl_pad_ids(call->context, rows.ids, rows.ends, rows.rows,
                         DL_OPTIONS(layer, dl_text_vectorization_options)->output_sequence_length);
    else if (status == DL_OK)
        out = encode_rows(layer, &rows);
    dl_id_rows_clear(&rows);
    return status == DL_OK ? dl_call_return(call, out) : status;
}

static dl_status count_texts(text_state *state, const dl_tensor *texts, dl_tally *tally) {
    for (int64_t k = 0; k < texts->shape[0]; k++) {
        size_t length;
        const char *text = dl_string_at(texts, k, &length);
        dl_tally_next_document(tally);
        DL_TRY(dl_analyze(&state->analyzer, text, length));
        for (int64_t i = 0; i < state->analyzer.tokens->count; i++) {
            dl_token token = state->analyzer.tokens->at[i];
            DL_TRY(dl_tally_add(tally, token.at, token.length));
        }
        if (k % 1024 == 0)
            DL_TRY(dl_poll(state->analyzer.context));
    }
    return DL_OK;
}

static dl_status adapt(dl_layer *layer, dl_tensor *data) {
    text_state *state = layer->state;
    dl_spec spec = dl_spec_of_tensor(data);
    DL_TRY(dl_layer_check_text(layer, &spec));
    if (spec.dims != 2)
        return dl_fail(DL_SHAPE, "TextVectorization: adapt takes texts as (N, L), got %s", dl_spec_text_of(&spec).at);
    dl_tally tally = dl_tally_begin(&state->lookup);
    return dl_tally_end(&tally, count_texts(state, data, &tally));
}

static const dl_field ngram_kinds[] = {
    {.kind = DL_FIELD_INT, .minimum = 1, .maximum = DL_MAX_DIMS},
    {.kind = DL_FIELD_INTS, .minimum = 1, .maximum = DL_HIGHEST},
    DL_END};

static const dl_field fields[] = {
    DL_INT(dl_text_vectorization_options, max_tokens, DL_NONE, 2, DL_HIGHEST, DL_NONE_OK,
           "most tokens of a learned vocabulary, [UNK] and the padding (of ids) counted; none: no limit"),
    DL_ENUM(dl_text_vectorization_options, standardize, "lower_and_strip_punctuation",
            "lower_and_strip_punctuation|lower|strip_punctuation", DL_NONE_OK,
            "what is done to a text first; letters and punctuation are those of ASCII"),
    DL_ENUM(dl_text_vectorization_options, split, "whitespace", "whitespace|character", DL_NONE_OK,
            "where a text is split into tokens; none: it is one token"),
    DL_ALTERNATIVE(dl_text_vectorization_options, ngrams, NULL, ngram_kinds, DL_NONE_OK,
                   "joins up to so many tokens, or as many as the list says, to further ones"),
    DL_ENUM(dl_text_vectorization_options, output_mode, "int", "int|multi_hot|count|tf_idf", 0,
            "ids of the tokens in their order, or a column for each token of the vocabulary"),
    DL_INT(dl_text_vectorization_options, output_sequence_length, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK,
           "cuts and pads the ids of each text to this length; none: as the longest of the batch"),
    DL_BOOL(dl_text_vectorization_options, pad_to_max_tokens, false, 0,
            "max_tokens columns even if the vocabulary is smaller"),
    DL_VALUE_FIELD(dl_text_vectorization_options, vocabulary, DL_NONE_OK,
                   "list of the tokens in the order of their ids; none: learned by adapt"),
    DL_VALUE_FIELD(dl_text_vectorization_options, idf_weights, DL_NONE_OK,
                   "list of the weights of the vocabulary, for output_mode tf_idf"),
    DL_LAYER_FIELDS(dl_text_vectorization_options)};

const dl_layer_def dl_layer_text_vectorization = {
    .definition = {.name = "TextVectorization", .version = 1,
                   .help = "Turns texts into ids of tokens, or into counts of them, by a vocabulary that adapt learns. "
                           "Ids count from 1: [UNK], for all unknown tokens, then the vocabulary; 0 is padding.",
                   .formula = "tf_idf: count * log(1 + texts / (1 + texts with the token))",
                   .shapes = "texts (N, L) -> ids (N, T) of int64, or (N, tokens)", .fields = fields,
                   .options_size = sizeof(dl_text_vectorization_options)},
    .minimum_inputs = 1, .maximum_inputs = 1, .minimum_dims = 2, .maximum_dims = 2,
    .init = init, .infer = infer, .call = call_layer, .finalize = finalize, .adapt = adapt,
    .flags = DL_LAYER_ANY_DTYPE | DL_LAYER_TAKES_TEXT};
