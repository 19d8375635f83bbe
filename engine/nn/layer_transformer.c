/* nn/layer_transformer.c: TransformerEncoder and TransformerDecoder (Vaswani et al. 2017), with the normalization after
 * each part or, with normalize_first, before it. Children in order: the attentions with their normalization, then the
 * feedforward's normalization and its two dense layers.
 *
 * With checkpoint a call in training keeps its inputs alone, and the backward computes the block once more. */
#include <stdio.h>
#include <string.h>

#include "nn/attention.h"
#include "nn/checkpoint.h"

static const char *const encoder_inputs[] = {"inputs", "padding_mask", "attention_mask", NULL};
enum { ENCODER_INPUTS, ENCODER_PADDING_MASK, ENCODER_ATTENTION_MASK };

static const char *const decoder_inputs[] = {"decoder_sequence",       "encoder_sequence",     "decoder_padding_mask",
                                             "decoder_attention_mask", "encoder_padding_mask", "encoder_attention_mask",
                                             "self_attention_cache",   "cross_attention_cache", NULL};
enum {
    DECODER_SEQUENCE, ENCODER_SEQUENCE, DECODER_PADDING_MASK, DECODER_ATTENTION_MASK, ENCODER_SEQUENCE_PADDING_MASK,
    ENCODER_SEQUENCE_ATTENTION_MASK, SELF_CACHE, CROSS_CACHE
};

typedef struct decoder_call_options {
    int64_t self_attention_cache_update_index, cross_attention_cache_update_index; /* DL_NONE: none */
    bool use_causal_mask;
} decoder_call_options;

/* Places of children: an attention and its normalization, then three of the feedforward. */
enum { SELF, SELF_NORM, CROSS, CROSS_NORM };
enum { NORM, INTERMEDIATE, OUTPUT };

static const dl_transformer_block_options *block_options(const dl_layer *layer) {
    return DL_OPTIONS(layer, dl_transformer_block_options);
}

static bool has_cross(const dl_layer *layer) {
    return layer->child_count == 7;
}

static dl_layer *feedforward(const dl_layer *layer, int which) {
    return layer->children[layer->child_count - 3 + which];
}

/* ---- children ---------------------------------------------------------------------------------------------------- */

static dl_status add_attention(dl_layer *layer, const char *name, int64_t features) {
    const dl_transformer_block_options *o = block_options(layer);
    dl_multi_head_attention_options options;
    dl_options_init(&dl_layer_multi_head_attention.definition, &options, sizeof options);
    options.num_heads = o->num_heads;
    options.key_dim = features / o->num_heads;
    options.dropout = o->dropout;
    options.weights.kernel_initializer = o->kernel_initializer;
    options.weights.bias_initializer = o->bias_initializer;
    dl_object_retain(o->kernel_initializer);
    dl_object_retain(o->bias_initializer);
    return dl_add_inner_layer(layer, &dl_layer_multi_head_attention, name, &options);
}

static dl_status add_norm(dl_layer *layer, const char *name) {
    dl_layer_normalization_options options;
    dl_options_init(&dl_layer_layer_normalization.definition, &options, sizeof options);
    options.epsilon = block_options(layer)->layer_norm_epsilon;
    return dl_add_inner_layer(layer, &dl_layer_layer_normalization, name, &options);
}

static dl_status add_dense(dl_layer *layer, const char *name, int64_t units, dl_object *activation) {
    const dl_transformer_block_options *o = block_options(layer);
    dl_dense_options options;
    dl_options_init(&dl_layer_dense.definition, &options, sizeof options);
    options.units = units;
    options.activation = activation;
    options.kernel_initializer = o->kernel_initializer;
    options.bias_initializer = o->bias_initializer;
    if (activation)
        dl_object_retain(activation);
    dl_object_retain(o->kernel_initializer);
    dl_object_retain(o->bias_initializer);
    return dl_add_inner_layer(layer, &dl_layer_dense, name, &options);
}

static dl_status add_children(dl_layer *layer, const char *self, int64_t features, bool cross) {
    char norm[64];
    snprintf(norm, sizeof norm, "%s_norm", self);
    DL_TRY(add_attention(layer, self, features));
    DL_TRY(add_norm(layer, cross || layer->object.definition == &dl_layer_transformer_decoder.definition
                               ? "self_attention_layer_norm"
                               : norm));
    if (cross) {
        DL_TRY(add_attention(layer, "cross_attention", features));
        DL_TRY(add_norm(layer, "cross_attention_layer_norm"));
    }
    DL_TRY(add_norm(layer, "feedforward_layer_norm"));
    DL_TRY(add_dense(layer, "feedforward_intermediate_dense", block_options(layer)->intermediate_dim,
                     block_options(layer)->activation));
    return add_dense(layer, "feedforward_output_dense", features, NULL);
}

/* Drops children of a build that failed before. */
static void drop_children(dl_layer *layer) {
    while (layer->child_count > 0)
        dl_object_release(&layer->children[--layer->child_count]->object);
}

static dl_status build_feedforward(dl_layer *layer, const dl_spec *in) {
    dl_spec wide = *in;
    wide.shape[2] = block_options(layer)->intermediate_dim;
    DL_TRY(dl_layer_build(feedforward(layer, NORM), &(dl_inputs){in, 1, NULL}));
    DL_TRY(dl_layer_build(feedforward(layer, INTERMEDIATE), &(dl_inputs){in, 1, NULL}));
    return dl_layer_build(feedforward(layer, OUTPUT), &(dl_inputs){&wide, 1, NULL});
}

static dl_status build_attention(dl_layer *layer, int child, const dl_spec *query, const dl_spec *value) {
    DL_TRY(dl_layer_build(layer->children[child], &(dl_inputs){(dl_spec[]){*query, *value}, 2, NULL}));
    return dl_layer_build(layer->children[child + 1], &(dl_inputs){query, 1, NULL});
}

static dl_status build_block(dl_layer *layer, const dl_spec *in, const dl_spec *encoder, const char *self) {
    int64_t features = in->shape[2], heads = block_options(layer)->num_heads;
    if (features == DL_NONE || features < heads)
        return dl_fail(DL_SHAPE, "%s needs inputs of a known last size that is at least num_heads (%lld), got %s",
                       dl_layer_class(layer), (long long)heads, dl_spec_text_of(in).at);
    drop_children(layer);
    DL_TRY(add_children(layer, self, features, encoder != NULL));
    DL_TRY(build_attention(layer, SELF, in, in));
    if (encoder)
        DL_TRY(build_attention(layer, CROSS, in, encoder));
    return build_feedforward(layer, in);
}

/* ---- parts of a call --------------------------------------------------------------------------------------------- */

static dl_tensor *drop(dl_layer *layer, dl_layer_call *call, dl_tensor *x) {
    double rate = call->training ? block_options(layer)->dropout : 0;
    return rate > 0 ? dl_dropout(call->context, x, rate, &layer->stream) : x;
}

/* x before a part: normalized with normalize_first. */
static dl_tensor *before(dl_layer *layer, dl_layer_call *call, dl_layer *norm, dl_tensor *x) {
    return block_options(layer)->normalize_first ? dl_call_inner1(call, norm, x) : x;
}

/* x + dropout(y) after a part: normalized without normalize_first. */
static dl_tensor *after(dl_layer *layer, dl_layer_call *call, dl_layer *norm, dl_tensor *x, dl_tensor *y) {
    dl_tensor *sum = dl_add(call->context, drop(layer, call, y), x);
    return block_options(layer)->normalize_first ? sum : dl_call_inner1(call, norm, sum);
}

/* What one attention of a block is told. */
typedef struct attention_part {
    int child;
    dl_tensor *value; /* NULL: the sequence itself */
    dl_tensor *padding_mask, *attention_mask, *cache;
    dl_mha_call_options options;
    dl_tensor *new_cache; /* out */
} attention_part;

static dl_tensor *attend(dl_layer *layer, dl_layer_call *call, dl_tensor *x, attention_part *part) {
    dl_layer *norm = layer->children[part->child + 1];
    dl_tensor *query = before(layer, call, norm, x);
    dl_tensor *in[5] = {query, part->value ? part->value : query};
    uint8_t roles[5] = {DL_MHA_QUERY, DL_MHA_VALUE};
    const uint8_t extra_roles[3] = {DL_MHA_VALUE_MASK, DL_MHA_ATTENTION_MASK, DL_MHA_CACHE};
    dl_tensor *const extra[3] = {part->padding_mask, part->attention_mask, part->cache};
    int count = 2;
    for (int i = 0; i < 3; i++) {
        if (!extra[i])
            continue;
        roles[count] = extra_roles[i];
        in[count++] = extra[i];
    }
    dl_arguments arguments = {.roles = roles, .options = &part->options, .training = -1};
    dl_tensor *y = dl_call_inner(call, layer->children[part->child], in, count, &arguments, &part->new_cache);
    return after(layer, call, norm, x, y);
}

static dl_tensor *feed_forward(dl_layer *layer, dl_layer_call *call, dl_tensor *x) {
    dl_layer *norm = feedforward(layer, NORM);
    dl_tensor *y = dl_call_inner1(call, feedforward(layer, INTERMEDIATE), before(layer, call, norm, x));
    return after(layer, call, norm, x, dl_call_inner1(call, feedforward(layer, OUTPUT), y));
}

/* The mask that is given, or the one that came with the sequence. */
static dl_tensor *mask_of(const dl_layer *layer, const dl_layer_call *call, int mask_role, int role) {
    dl_tensor *given = dl_call_input(layer, call, mask_role);
    return given ? given : dl_call_mask(layer, call, role);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static const dl_spec *input_spec(const dl_layer *layer, const dl_inputs *inputs, int role) {
    int place = dl_find_input(layer, inputs->arguments, inputs->count, role, 0);
    return place < 0 ? NULL : &inputs->specs[place];
}

static dl_status check_masks(const dl_layer *layer, const dl_inputs *inputs, int padding, int attention,
                             const dl_spec *query, const dl_spec *keys, int64_t steps) {
    const dl_spec *padding_mask = input_spec(layer, inputs, padding);
    const dl_spec *attention_mask = input_spec(layer, inputs, attention);
    const char *const *names = dl_layer_definition(layer)->input_names;
    int64_t pairs[3] = {query->shape[0], query->shape[1], steps}, places[2] = {query->shape[0], steps};
    if (padding_mask)
        DL_TRY(dl_check_mask_spec(layer, names[padding], padding_mask, 2, places, keys));
    return attention_mask ? dl_check_mask_spec(layer, names[attention], attention_mask, 3, pairs, keys) : DL_OK;
}

static dl_status infer_sequence(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *in = input_spec(layer, inputs, 0);
    if (in->shape[2] != layer->input.shape[2])
        return dl_layer_fail_built(layer, in);
    out[0] = *in;
    *outputs = 1;
    return DL_OK;
}

/* ---- checkpointing ----------------------------------------------------------------------------------------------- */

typedef dl_status (*block_function)(dl_layer *layer, dl_layer_call *call);

/* One call of a block, to be made again. */
typedef struct block_call {
    dl_layer *layer; /* counted */
    block_function function;
    dl_arguments *arguments;
    bool training;
    dl_deferred *deferred; /* of the first run alone */
} block_call;

static void free_block_call(void *user) {
    block_call *block = user;
    dl_object_release(&block->layer->object);
    dl_free(block->arguments);
    dl_free(block);
}

static dl_status run_block_call(void *user, dl_tensor *const *in, int inputs, dl_tensor **out, int *outputs) {
    block_call *block = user;
    dl_layer_call call = {.context = block->layer->object.context, .training = block->training, .in = in,
                          .inputs = inputs, .arguments = block->arguments, .deferred = block->deferred};
    block->deferred = NULL;
    DL_TRY(dl_checkpoint_note_draw(block->layer));
    DL_TRY(block->function(block->layer, &call));
    for (int i = 0; i < call.outputs; i++)
        DL_TRY((out[i] = call.out[i]) ? DL_OK : dl_last_status());
    *outputs = call.outputs;
    return DL_OK;
}

static dl_status make_block_call(dl_layer *layer, const dl_layer_call *call, block_function function,
                                 const dl_arguments *arguments, int inputs, block_call **out) {
    *out = dl_alloc_zeroed(layer->object.context, sizeof **out);
    if (!*out)
        return dl_last_status();
    dl_object_retain(&layer->object);
    **out = (block_call){.layer = layer, .function = function, .training = call->training, .deferred = call->deferred};
    dl_status status = dl_arguments_copy(layer, arguments, inputs, &(*out)->arguments);
    if (status != DL_OK)
        free_block_call(*out);
    return status;
}

#define MOST_INPUTS 10

/* The call with the masks that came with the sequences among its inputs, as function(layer, call) or checkpointed. */
static dl_status run_block(dl_layer *layer, dl_layer_call *call, block_function function, const int (*masks)[2],
                           int mask_count) {
    dl_tensor *in[MOST_INPUTS];
    uint8_t roles[MOST_INPUTS];
    int count = call->inputs;
    for (int i = 0; i < count; i++) {
        in[i] = call->in[i];
        roles[i] = (uint8_t)dl_role_of(layer, call->arguments, i);
    }
    for (int i = 0; i < mask_count; i++) {
        dl_tensor *mask = dl_call_mask(layer, call, masks[i][1]);
        if (!mask || dl_call_input(layer, call, masks[i][0]))
            continue;
        roles[count] = (uint8_t)masks[i][0];
        in[count++] = mask;
    }
    call->out_masks[0] = dl_call_mask(layer, call, 0);
    if (!block_options(layer)->checkpoint || !call->training || !dl_grad_enabled(call->context))
        return function(layer, call);
    dl_arguments arguments = {.roles = roles, .options = call->arguments->options, .training = -1};
    block_call *block;
    DL_TRY(make_block_call(layer, call, function, &arguments, count, &block));
    return dl_checkpoint(call->context, run_block_call, block, free_block_call, in, count, call->out, &call->outputs);
}

/* ---- TransformerEncoder ------------------------------------------------------------------------------------------ */

static dl_status build_encoder(dl_layer *layer, const dl_inputs *inputs) {
    return build_block(layer, input_spec(layer, inputs, ENCODER_INPUTS), NULL, "self_attention_layer");
}

static dl_status infer_encoder(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    DL_TRY(infer_sequence(layer, inputs, out, outputs));
    return check_masks(layer, inputs, ENCODER_PADDING_MASK, ENCODER_ATTENTION_MASK, out, out, out->shape[1]);
}

static dl_status encode(dl_layer *layer, dl_layer_call *call) {
    attention_part part = {.child = SELF, .options = {.cache_update_index = DL_NONE},
                           .padding_mask = mask_of(layer, call, ENCODER_PADDING_MASK, ENCODER_INPUTS),
                           .attention_mask = dl_call_input(layer, call, ENCODER_ATTENTION_MASK)};
    dl_tensor *x = attend(layer, call, dl_call_input(layer, call, ENCODER_INPUTS), &part);
    return dl_call_return(call, feed_forward(layer, call, x));
}

static dl_status call_encoder(dl_layer *layer, dl_layer_call *call) {
    return run_block(layer, call, encode, (const int[][2]){{ENCODER_PADDING_MASK, ENCODER_INPUTS}}, 1);
}

/* ---- TransformerDecoder ------------------------------------------------------------------------------------------ */

static dl_status build_decoder(dl_layer *layer, const dl_inputs *inputs) {
    return build_block(layer, input_spec(layer, inputs, DECODER_SEQUENCE), input_spec(layer, inputs, ENCODER_SEQUENCE),
                       "self_attention");
}

static dl_status check_decoder_call(const dl_layer *layer, const dl_inputs *inputs) {
    bool cross = input_spec(layer, inputs, ENCODER_SEQUENCE) != NULL;
    bool self_cache = input_spec(layer, inputs, SELF_CACHE) != NULL;
    bool cross_cache = input_spec(layer, inputs, CROSS_CACHE) != NULL;
    if (cross != has_cross(layer))
        return dl_fail(DL_INVALID, "TransformerDecoder was built %s cross-attention, and is called %s encoder_sequence",
                       has_cross(layer) ? "with" : "without", cross ? "with an" : "without an");
    if (cross_cache != (self_cache && cross))
        return dl_fail(DL_INVALID, "TransformerDecoder: with an encoder_sequence self_attention_cache and "
                                   "cross_attention_cache are given both or not at all, without one the second never");
    return DL_OK;
}

static dl_status infer_decoder(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_spec *encoder = input_spec(layer, inputs, ENCODER_SEQUENCE);
    const dl_spec *self_cache = input_spec(layer, inputs, SELF_CACHE);
    const dl_spec *cross_cache = input_spec(layer, inputs, CROSS_CACHE);
    DL_TRY(infer_sequence(layer, inputs, out, outputs));
    DL_TRY(check_decoder_call(layer, inputs));
    DL_TRY(check_masks(layer, inputs, DECODER_PADDING_MASK, DECODER_ATTENTION_MASK, out, out,
                       self_cache && self_cache->dims == 5 ? self_cache->shape[2] : out->shape[1]));
    if (encoder) {
        dl_spec made[DL_MAX_LAYER_OUTPUTS];
        int count;
        DL_TRY(check_masks(layer, inputs, ENCODER_SEQUENCE_PADDING_MASK, ENCODER_SEQUENCE_ATTENTION_MASK, out, encoder,
                           encoder->dims > 1 ? encoder->shape[1] : DL_NONE));
        DL_TRY(dl_layer_infer(layer->children[CROSS], &(dl_inputs){(dl_spec[]){*out, *encoder}, 2, NULL}, made,
                              &count));
    }
    if (self_cache) {
        dl_mha_call_options options = {.cache_update_index = DL_NONE};
        const uint8_t roles[3] = {DL_MHA_QUERY, DL_MHA_VALUE, DL_MHA_CACHE};
        dl_arguments arguments = {.roles = roles, .options = &options, .training = -1};
        dl_spec made[DL_MAX_LAYER_OUTPUTS];
        int count;
        DL_TRY(dl_layer_infer(layer->children[SELF],
                              &(dl_inputs){(dl_spec[]){*out, *out, *self_cache}, 3, &arguments}, made, &count));
        out[(*outputs)++] = *self_cache;
    }
    if (cross_cache)
        out[(*outputs)++] = *cross_cache;
    return DL_OK;
}

static dl_status decode(dl_layer *layer, dl_layer_call *call) {
    const decoder_call_options *options = call->arguments->options;
    attention_part self = {.child = SELF,
                           .padding_mask = call->decoding ? NULL : mask_of(layer, call, DECODER_PADDING_MASK,
                                                                            DECODER_SEQUENCE),
                           .attention_mask = dl_call_input(layer, call, DECODER_ATTENTION_MASK),
                           .cache = dl_call_input(layer, call, SELF_CACHE),
                           .options = {.use_causal_mask = options->use_causal_mask,
                                       .cache_update_index = options->self_attention_cache_update_index}};
    attention_part cross = {.child = CROSS,
                            .value = dl_call_input(layer, call, ENCODER_SEQUENCE),
                            .padding_mask = mask_of(layer, call, ENCODER_SEQUENCE_PADDING_MASK, ENCODER_SEQUENCE),
                            .attention_mask = dl_call_input(layer, call, ENCODER_SEQUENCE_ATTENTION_MASK),
                            .cache = dl_call_input(layer, call, CROSS_CACHE),
                            .options = {.cache_update_index = options->cross_attention_cache_update_index}};
    dl_tensor *x = attend(layer, call, dl_call_input(layer, call, DECODER_SEQUENCE), &self);
    if (has_cross(layer))
        x = attend(layer, call, x, &cross);
    DL_TRY(dl_call_return(call, feed_forward(layer, call, x)));
    if (self.cache)
        call->out[call->outputs++] = self.new_cache;
    if (cross.cache)
        call->out[call->outputs++] = cross.new_cache;
    return DL_OK;
}

static dl_status call_decoder(dl_layer *layer, dl_layer_call *call) {
    return run_block(layer, call, decode,
                     (const int[][2]){{DECODER_PADDING_MASK, DECODER_SEQUENCE},
                                      {ENCODER_SEQUENCE_PADDING_MASK, ENCODER_SEQUENCE}},
                     2);
}

static const dl_field decoder_call_fields[] = {
    DL_INT(decoder_call_options, self_attention_cache_update_index, DL_NONE, 0, DL_HIGHEST, DL_NONE_OK | DL_POSITION,
           "where in the cache the steps of this call go; causal masks count from there"),
    DL_INT(decoder_call_options, cross_attention_cache_update_index, DL_NONE, 0, DL_HIGHEST, DL_NONE_OK | DL_POSITION,
           "1: compute the whole cache; none: use it as it is"),
    DL_BOOL(decoder_call_options, use_causal_mask, true, 0, "each step sees those up to itself"), DL_END};
static const dl_definition decoder_call = {.name = "TransformerDecoder call", .version = 1,
                                           .fields = decoder_call_fields,
                                           .options_size = sizeof(decoder_call_options)};

/* ---- definitions ------------------------------------------------------------------------------------------------- */

#define TYPE dl_transformer_block_options
static const dl_field fields[] = {
    DL_INT(TYPE, intermediate_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of the feedforward's hidden layer"),
    DL_INT(TYPE, num_heads, 0, 1, DL_HIGHEST, DL_REQUIRED, "number of heads"),
    DL_REAL(TYPE, dropout, 0.0, 0.0, 1.0, 0, "of the attention's weights and of what each part adds"),
    DL_OBJECT(TYPE, activation, "relu", &dl_activation_family, DL_NONE_OK, "of the feedforward's hidden layer"),
    DL_REAL(TYPE, layer_norm_epsilon, 1e-5, 0.0, DL_HIGHEST, 0, "of the normalizations"),
    DL_OBJECT(TYPE, kernel_initializer, "glorot_uniform", &dl_initializer_family, 0, "of the kernels"),
    DL_OBJECT(TYPE, bias_initializer, "zeros", &dl_initializer_family, 0, "of the biases"),
    DL_BOOL(TYPE, normalize_first, false, 0, "normalize before each part (GPT-2) instead of after it (BERT)"),
    DL_BOOL(TYPE, checkpoint, false, DL_NAMED_ONLY,
            "in training, keep the inputs alone and compute the block again in the backward"),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_transformer_encoder = {
    .definition = {.name = "TransformerEncoder", .version = 1,
                   .help = "A block of an encoder: self-attention, then a feedforward network, each added to its input "
                           "and normalized.",
                   .formula = "x = norm(x + attention(x)); y = norm(x + w_2 activation(w_1 x))",
                   .source = "Vaswani et al. 2017", .shapes = "(N, T, D) -> the same", .fields = fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 3, .minimum_dims = 3, .maximum_dims = 3, .input_names = encoder_inputs,
    .build = build_encoder, .infer = infer_encoder, .call = call_encoder, .flags = DL_LAYER_RANDOM};

const dl_layer_def dl_layer_transformer_decoder = {
    .definition = {.name = "TransformerDecoder", .version = 1,
                   .help = "A block of a decoder: causal self-attention, attention over an encoder's sequence if there "
                           "is one, then a feedforward network. With caches of keys and values it takes the steps of a "
                           "sequence one after the other, and gives the new caches too.",
                   .formula = "x = norm(x + attention(x)); x = norm(x + attention(x, encoder)); y = norm(x + w_2 "
                              "activation(w_1 x))",
                   .source = "Vaswani et al. 2017",
                   .shapes = "decoder_sequence (N, T, D), encoder_sequence (N, S, D') -> (N, T, D)", .fields = fields,
                   .options_size = sizeof(TYPE)},
    .minimum_inputs = 1, .maximum_inputs = 8, .minimum_dims = 3, .maximum_dims = 3, .input_names = decoder_inputs,
    .call_options = &decoder_call, .build = build_decoder, .infer = infer_decoder, .call = call_decoder,
    .flags = DL_LAYER_RANDOM | DL_LAYER_STEPWISE | DL_LAYER_ATTENDS};
