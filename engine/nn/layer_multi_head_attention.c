/* nn/layer_multi_head_attention.c: MultiHeadAttention and GroupQueryAttention, which differ in how many heads keys and
 * values have. Children in order: query, key, value, attention_output.
 *
 * Inputs of MultiHeadAttention may have more dimensions than steps, (N, D1, D2, ..., F): see nn/attention_axes.c.
 *
 * A cache (N, 2, S, K, E) holds the keys and values of the steps so far: with cache_update_index the new ones take
 * their place in it, and the cache comes back as a second output. */
#include <math.h>
#include <string.h>

#include "nn/attention.h"

static const char *const input_names[] = {"query", "value", "key", "query_mask", "value_mask", "key_mask",
                                          "attention_mask", "cache", NULL};
enum { QUERY, KEY, VALUE, OUTPUT };

/* What both classes come down to. */
typedef struct heads {
    int64_t query_heads, key_heads, key_dim, value_dim;
    double dropout;
} heads;

static heads heads_of(const dl_layer *layer) {
    if (layer->object.definition == &dl_layer_multi_head_attention.definition) {
        const dl_multi_head_attention_options *o = DL_OPTIONS(layer, dl_multi_head_attention_options);
        return (heads){o->num_heads, o->num_heads, o->key_dim, o->value_dim == DL_NONE ? o->key_dim : o->value_dim,
                       o->dropout};
    }
    const dl_group_query_attention_options *o = DL_OPTIONS(layer, dl_group_query_attention_options);
    return (heads){o->num_query_heads, o->num_key_value_heads, o->head_dim, o->head_dim, o->dropout};
}

static const dl_attention_weights_options *weights_of(const dl_layer *layer) {
    return layer->object.definition == &dl_layer_multi_head_attention.definition
               ? &DL_OPTIONS(layer, dl_multi_head_attention_options)->weights
               : &DL_OPTIONS(layer, dl_group_query_attention_options)->weights;
}

/* ---- children ---------------------------------------------------------------------------------------------------- */

static void copy_object(dl_object *from, dl_object **to) {
    if (from)
        dl_object_retain(from);
    *to = from;
}

static dl_status add_projection(dl_layer *layer, const char *name, int64_t in_dims, const dl_ints *out) {
    const dl_attention_weights_options *weights = weights_of(layer);
    dl_projection_options options;
    dl_options_init(&dl_layer_projection.definition, &options, sizeof options);
    options.in_dims = in_dims;
    options.out = *out;
    options.use_bias = weights->use_bias;
    copy_object(weights->kernel_initializer, &options.kernel_initializer);
    copy_object(weights->bias_initializer, &options.bias_initializer);
    copy_object(weights->kernel_regularizer, &options.kernel_regularizer);
    copy_object(weights->bias_regularizer, &options.bias_regularizer);
    copy_object(weights->activity_regularizer, &options.activity_regularizer);
    copy_object(weights->kernel_constraint, &options.kernel_constraint);
    copy_object(weights->bias_constraint, &options.bias_constraint);
    return dl_add_inner_layer(layer, &dl_layer_projection, name, &options);
}

/* The output's sizes are known when the layer is built, so that child is made then. */
static dl_status init(dl_layer *layer) {
    heads h = heads_of(layer);
    int64_t seed = weights_of(layer)->seed;
    if (seed != DL_NONE)
        layer->stream = (dl_stream){.seed = (uint64_t)seed};
    if (h.query_heads % h.key_heads != 0)
        return dl_fail(DL_INVALID, "%s: num_query_heads (%lld) must be a multiple of num_key_value_heads (%lld)",
                       dl_layer_class(layer), (long long)h.query_heads, (long long)h.key_heads);
    DL_TRY(add_projection(layer, "query", 1, &(dl_ints){2, {h.query_heads, h.key_dim}}));
    DL_TRY(add_projection(layer, "key", 1, &(dl_ints){2, {h.key_heads, h.key_dim}}));
    return add_projection(layer, "value", 1, &(dl_ints){2, {h.key_heads, h.value_dim}});
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static const dl_spec *input_spec(const dl_layer *layer, const dl_inputs *inputs, int role) {
    int place = dl_find_input(layer, inputs->arguments, inputs->count, role, 0);
    return place < 0 ? NULL : &inputs->specs[place];
}

static bool agree(int64_t a, int64_t b) {
    return a == b || a == DL_NONE || b == DL_NONE;
}

static const dl_ints no_axes;

/* Those of inputs with this many dimensions. */
static dl_status read_axes(const dl_layer *layer, int dims, dl_attention_axes *out) {
    bool has = layer->object.definition == &dl_layer_multi_head_attention.definition;
    return dl_read_attention_axes(
        layer, has ? &DL_OPTIONS(layer, dl_multi_head_attention_options)->attention_axes : &no_axes, dims, out);
}

/* Batches and the dimensions that attention leaves apart are those of the query; key and value have the same steps. */
static dl_status check_sequences(const dl_layer *layer, const dl_attention_axes *axes, const dl_spec *query,
                                 const dl_spec *key, const dl_spec *value) {
    bool fits = key->dims == query->dims && value->dims == query->dims && agree(key->shape[0], query->shape[0]) &&
                agree(value->shape[0], query->shape[0]);
    for (int i = 0; fits && i < axes->kept_count; i++)
        fits = agree(key->shape[axes->kept[i]], query->shape[axes->kept[i]]) &&
               agree(value->shape[axes->kept[i]], query->shape[axes->kept[i]]);
    for (int i = 0; fits && i < axes->attended_count; i++)
        fits = agree(key->shape[axes->attended[i]], value->shape[axes->attended[i]]);
    if (fits)
        return dl_layer_check_sizes(layer, key); /* the mean over no step is not defined */
    return dl_fail(DL_SHAPE, "%s: query %s, key %s and value %s must be (batch, %s, features), with equal batches%s, "
                             "and key and value of equally many steps",
                   dl_layer_class(layer), dl_spec_text_of(query).at, dl_spec_text_of(key).at,
                   dl_spec_text_of(value).at, query->dims == 3 ? "steps" : "...",
                   query->dims == 3 ? "" : " and sizes that are not in attention_axes");
}

static dl_status check_cache(const dl_layer *layer, const dl_spec *query, const dl_spec *cache) {
    heads h = heads_of(layer);
    if (h.key_dim != h.value_dim)
        return dl_fail(DL_INVALID, "%s: a cache needs equal key_dim and value_dim, and they are %lld and %lld",
                       dl_layer_class(layer), (long long)h.key_dim, (long long)h.value_dim);
    if (cache->dims == 5 && agree(cache->shape[0], query->shape[0]) && cache->shape[1] == 2 &&
        cache->shape[3] == h.key_heads && cache->shape[4] == h.key_dim)
        return DL_OK;
    dl_spec wanted = {.dims = 5, .shape = {query->shape[0], 2, DL_NONE, h.key_heads, h.key_dim}};
    return dl_fail(DL_SHAPE, "%s: cache must be %s for a query %s, got %s", dl_layer_class(layer),
                   dl_spec_text_of(&wanted).at, dl_spec_text_of(query).at, dl_spec_text_of(cache).at);
}

/* key: with as many steps as are attended to, which may be those of a cache. */
static dl_status check_masks(const dl_layer *layer, const dl_inputs *inputs, const dl_attention_axes *axes,
                             const dl_spec *query, const dl_spec *key) {
    int64_t queries[2] = {query->shape[0], query->shape[1]}, steps[2] = {query->shape[0], key->shape[1]};
    for (int role = DL_MHA_QUERY_MASK; role <= DL_MHA_KEY_MASK; role++) {
        const dl_spec *mask = input_spec(layer, inputs, role);
        if (mask)
            DL_TRY(dl_check_mask_spec(layer, input_names[role], mask, 2, role == DL_MHA_QUERY_MASK ? queries : steps,
                                      query));
    }
    const dl_spec *mask = input_spec(layer, inputs, DL_MHA_ATTENTION_MASK);
    return mask ? dl_check_attention_mask(layer, axes, mask, query, key, heads_of(layer).query_heads) : DL_OK;
}

/* The sequences of a call; key is value where it is not given. */
typedef struct sequences {
    const dl_spec *query, *key, *value, *cache;
    dl_attention_axes axes;
} sequences;

static dl_status read_sequences(const dl_layer *layer, const dl_inputs *inputs, sequences *out) {
    out->query = input_spec(layer, inputs, DL_MHA_QUERY);
    out->value = input_spec(layer, inputs, DL_MHA_VALUE);
    out->key = input_spec(layer, inputs, DL_MHA_KEY);
    out->cache = input_spec(layer, inputs, DL_MHA_CACHE);
    if (!out->value)
        return dl_fail(DL_INVALID, "%s: the input 'value' is missing", dl_layer_class(layer));
    if (!out->key)
        out->key = out->value;
    DL_TRY(read_axes(layer, out->query->dims, &out->axes));
    return check_sequences(layer, &out->axes, out->query, out->key, out->value);
}

/* What the heads give for the query, (..., query_heads, value_dim). */
static dl_spec mixed_spec(const dl_layer *layer, const dl_spec *query) {
    heads h = heads_of(layer);
    dl_spec mixed = *query;
    mixed.dtype = layer->dtype;
    mixed.shape[mixed.dims - 1] = h.query_heads;
    mixed.shape[mixed.dims++] = h.value_dim;
    return mixed;
}

static dl_status build(dl_layer *layer, const dl_inputs *inputs) {
    sequences s;
    DL_TRY(read_sequences(layer, inputs, &s));
    dl_ints out = {1, {s.query->shape[s.query->dims - 1]}};
    if (layer->object.definition == &dl_layer_multi_head_attention.definition &&
        DL_OPTIONS(layer, dl_multi_head_attention_options)->output_shape.count > 0)
        out = DL_OPTIONS(layer, dl_multi_head_attention_options)->output_shape;
    if (out.at[0] == DL_NONE || out.at[0] == 0)
        return dl_fail(DL_SHAPE, "%s needs to know the last size of its query, got %s", dl_layer_class(layer),
                       dl_spec_text_of(s.query).at);
    const dl_spec *of[3] = {s.query, s.key, s.value};
    for (int i = 0; i < 3; i++)
        DL_TRY(dl_layer_build(layer->children[i], &(dl_inputs){of[i], 1, NULL}));
    if (layer->child_count == OUTPUT)
        DL_TRY(add_projection(layer, "attention_output", 2, &out));
    dl_spec mixed = mixed_spec(layer, s.query);
    return dl_layer_build(layer->children[OUTPUT], &(dl_inputs){&mixed, 1, NULL});
}

/* What is for sequences (N, T, F) alone, or for one dimension of steps. */
static dl_status check_call_options(const dl_layer *layer, const sequences *s, const dl_mha_call_options *options) {
    if (options->use_causal_mask && s->axes.attended_count != 1)
        return dl_fail(DL_INVALID, "%s: use_causal_mask is for attention over one dimension, and attention_axes has %d",
                       dl_layer_class(layer), s->axes.attended_count);
    if (s->cache && s->axes.dims != 3)
        return dl_fail(DL_INVALID, "%s: a cache is for inputs (batch, steps, features), got %s", dl_layer_class(layer),
                       dl_spec_text_of(s->query).at);
    if (s->cache)
        return check_cache(layer, s->query, s->cache);
    if (options->cache_update_index != DL_NONE)
        return dl_fail(DL_INVALID, "%s: cache_update_index says where in a cache, and there is no cache",
                       dl_layer_class(layer));
    return DL_OK;
}

static dl_status infer(const dl_layer *layer, const dl_inputs *inputs, dl_spec *out, int *outputs) {
    const dl_mha_call_options *options = inputs->arguments->options;
    sequences s;
    int made;
    DL_TRY(read_sequences(layer, inputs, &s));
    const dl_spec *of[3] = {s.query, s.key, s.value};
    dl_spec projected;
    for (int i = 0; i < 3; i++)
        DL_TRY(dl_layer_infer(layer->children[i], &(dl_inputs){of[i], 1, NULL}, &projected, &made));
    DL_TRY(check_call_options(layer, &s, options));
    dl_spec key = *s.key, mixed = mixed_spec(layer, s.query);
    if (s.cache)
        key.shape[1] = s.cache->shape[2];
    DL_TRY(check_masks(layer, inputs, &s.axes, s.query, &key));
    DL_TRY(dl_layer_infer(layer->children[OUTPUT], &(dl_inputs){&mixed, 1, NULL}, &out[0], outputs));
    if (options->return_attention_scores) {
        out[*outputs].dtype = layer->dtype;
        out[*outputs].dims = dl_scores_shape(&s.axes, s.query->shape, heads_of(layer).query_heads, key.shape,
                                             out[*outputs].shape);
        (*outputs)++;
    }
    if (s.cache)
        out[(*outputs)++] = *s.cache;
    return DL_OK;
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

/* The mask that is given, or the one that came with the input. */
static dl_tensor *mask_of(const dl_layer *layer, const dl_layer_call *call, int mask_role, int role) {
    dl_tensor *given = dl_call_input(layer, call, mask_role);
    return given ? given : dl_call_mask(layer, call, role);
}

/* What all queries of a sample may see, and what attention_mask says. */
static dl_tensor *read_masks(const dl_layer *layer, const dl_layer_call *call, const dl_attention_axes *axes,
                             dl_status *status) {
    dl_context *context = call->context;
    dl_tensor *query = dl_call_input(layer, call, DL_MHA_QUERY), *value = dl_call_input(layer, call, DL_MHA_VALUE);
    dl_tensor *masks[3] = {mask_of(layer, call, DL_MHA_VALUE_MASK, DL_MHA_VALUE),
                           mask_of(layer, call, DL_MHA_KEY_MASK, DL_MHA_KEY),
                           dl_call_input(layer, call, DL_MHA_ATTENTION_MASK)};
    dl_tensor *all = NULL;
    for (int i = 0; i < 3 && *status == DL_OK; i++) {
        if (!masks[i])
            continue;
        dl_tensor *folded = i == 2 ? dl_fold_attention_mask(context, axes, masks[i], query, value)
                                   : dl_key_mask(context, dl_fold_key_mask(context, axes, masks[i], value));
        *status = folded ? DL_OK : dl_last_status();
        all = dl_both_masks(context, all, folded, status);
    }
    return all;
}

/* The cache with new keys and values in the place of its steps `at` and after; sets key and value to what it holds. */
static dl_tensor *update_cache(dl_layer_call *call, dl_tensor *cache, int64_t at, dl_tensor **key, dl_tensor **value) {
    dl_context *context = call->context;
    if (at != DL_NONE) {
        if (!*key || !*value)
            return NULL;
        int64_t end = at + (*key)->shape[1];
        if (end > cache->shape[2]) {
            dl_fail(DL_INVALID, "cache_update_index %lld and %lld new steps do not fit into a cache of %lld steps",
                    (long long)at + 1, (long long)(*key)->shape[1], (long long)cache->shape[2]);
            return NULL;
        }
        dl_tensor *parts[3] = {dl_slice(context, cache, 2, 0, at, 1),
                               dl_stack(context, (dl_tensor *[]){*key, *value}, 2, 1),
                               dl_slice(context, cache, 2, end, DL_NONE, 1)};
        cache = dl_cat(context, parts, 3, 2);
    }
    *key = dl_select(context, cache, 1, 0);
    *value = dl_select(context, cache, 1, 1);
    return cache;
}

/* ---- step by step ------------------------------------------------------------------------------------------------ */

/* All keys (or values) so far: those of the steps before, kept as tensor k, and the new ones (N, t, H, E). */
static dl_tensor *extend_kept(dl_layer_call *call, int k, dl_tensor *new) {
    dl_context *context = call->context;
    if (!new)
        return NULL;
    int64_t at = dl_decoding_position(call->decoding), end = at + new->shape[1];
    int64_t shape[4] = {new->shape[0], dl_decoding_length(call->decoding), new->shape[2], new->shape[3]};
    dl_tensor *kept = dl_call_kept(call, k);
    if (!kept)
        kept = dl_zeros(context, new->dtype, 4, shape);
    dl_tensor *place = kept ? dl_slice(context, kept, 1, at, end, 1) : NULL;
    if (!place || dl_copy_(place, new) != DL_OK || dl_call_keep(call, k, kept) != DL_OK)
        return NULL;
    return dl_slice(context, kept, 1, 0, end, 1);
}

/* How a call gets its keys and values: it has them all; the model is asked step by step, and they come with the steps
 * as the queries do; or they are those of whole sequences that stay the same from step to step. */
typedef enum key_source { KEYS_WHOLE, KEYS_OF_STEPS, KEYS_FIXED } key_source;

/* DL_UNSUPPORTED if a call of a model that is asked step by step cannot be. */
static dl_status find_keys(const dl_layer *layer, const dl_layer_call *call, key_source *keys) {
    const dl_mha_call_options *options = call->arguments->options;
    dl_tensor *value = dl_call_input(layer, call, DL_MHA_VALUE), *key = dl_call_input(layer, call, DL_MHA_KEY);
    dl_tensor *mask = dl_call_input(layer, call, DL_MHA_ATTENTION_MASK);
    *keys = KEYS_WHOLE;
    if (!call->decoding || dl_call_input(layer, call, DL_MHA_CACHE))
        return DL_OK;
    if (value->dims != 3)
        return dl_fail(DL_UNSUPPORTED, "%s can be asked step by step for inputs (batch, steps, features) only",
                       dl_layer_class(layer));
    bool fixed = dl_decoding_holds(call->decoding, value);
    if (key && fixed != dl_decoding_holds(call->decoding, key))
        return dl_fail(DL_UNSUPPORTED, "%s cannot be asked step by step where only one of key and value changes",
                       dl_layer_class(layer));
    *keys = fixed ? KEYS_FIXED : KEYS_OF_STEPS;
    if (fixed ? !mask || mask->shape[mask->dims - 2] == 1 : options->use_causal_mask && !mask)
        return DL_OK;
    return dl_fail(DL_UNSUPPORTED,
                   "%s can be asked step by step %s only", dl_layer_class(layer),
                   fixed ? "with an attention_mask that is the same for all queries (N, 1, S)"
                         : "with use_causal_mask and without an attention_mask");
}

/* What a projection gives for a whole sequence that stays the same: computed once, and kept as tensor k. */
static dl_tensor *project_once(dl_layer_call *call, int k, dl_layer *projection, dl_tensor *x) {
    dl_tensor *kept = dl_call_kept(call, k);
    if (kept)
        return kept;
    dl_tensor *projected = dl_call_inner1(call, projection, x);
    return projected && dl_call_keep(call, k, projected) == DL_OK ? projected : NULL;
}

/* Sets attend's keys and values; asked step by step, the layer keeps them as its tensors 0 and 1. */
static void set_keys(dl_layer *layer, dl_layer_call *call, key_source keys, dl_attend *attend) {
    dl_tensor *value = dl_call_input(layer, call, DL_MHA_VALUE), *key = dl_call_input(layer, call, DL_MHA_KEY);
    if (!key)
        key = value;
    if (keys == KEYS_FIXED) {
        attend->key = project_once(call, 0, layer->children[KEY], key);
        attend->value = project_once(call, 1, layer->children[VALUE], value);
    } else {
        attend->key = dl_call_inner1(call, layer->children[KEY], key);
        attend->value = dl_call_inner1(call, layer->children[VALUE], value);
    }
    if (keys == KEYS_OF_STEPS) {
        attend->key = extend_kept(call, 0, attend->key);
        attend->value = extend_kept(call, 1, attend->value);
    }
    if (keys != KEYS_WHOLE)
        attend->offset = dl_decoding_position(call->decoding);
}

/* Attention over the axes: (..., H, V); *weights of the scores' shape, if they are wanted. */
static dl_tensor *attend_folded(dl_context *context, const dl_attention_axes *axes, dl_attend *attend,
                                dl_tensor **weights) {
    const dl_tensor *query = attend->query, *key = attend->key;
    if (axes->dims == 3 || !query || !key)
        return dl_attend_heads(context, attend, weights);
    attend->query = dl_fold_axes(context, axes, attend->query);
    attend->key = dl_fold_axes(context, axes, attend->key);
    attend->value = dl_fold_axes(context, axes, attend->value);
    dl_tensor *y = dl_unfold_axes(context, axes, dl_attend_heads(context, attend, weights), query);
    if (attend->wants_weights) {
        int64_t shape[DL_MAX_DIMS];
        int dims = dl_scores_shape(axes, query->shape, query->shape[query->dims - 2], key->shape, shape);
        *weights = dl_reshape(context, *weights, dims, shape);
    }
    return y;
}

static dl_status call_attention(dl_layer *layer, dl_layer_call *call) {
    const dl_mha_call_options *options = call->arguments->options;
    heads h = heads_of(layer);
    dl_status status = DL_OK;
    key_source keys;
    dl_attention_axes axes;
    DL_TRY(find_keys(layer, call, &keys));
    dl_tensor *query = dl_call_input(layer, call, DL_MHA_QUERY), *cache = dl_call_input(layer, call, DL_MHA_CACHE);
    dl_tensor *query_mask = mask_of(layer, call, DL_MHA_QUERY_MASK, DL_MHA_QUERY), *weights = NULL;
    DL_TRY(read_axes(layer, query->dims, &axes));
    dl_attend attend = {.mask = keys == KEYS_OF_STEPS ? NULL : read_masks(layer, call, &axes, &status),
                        .causal = options->use_causal_mask, .scale = 1 / sqrt((double)h.key_dim),
                        .dropout = call->training ? h.dropout : 0, .stream = &layer->stream,
                        .wants_weights = options->return_attention_scores};
    DL_TRY(status);
    attend.query = dl_call_inner1(call, layer->children[QUERY], query);
    if (!cache || options->cache_update_index != DL_NONE)
        set_keys(layer, call, keys, &attend);
    if (cache) {
        cache = update_cache(call, cache, options->cache_update_index, &attend.key, &attend.value);
        attend.offset = options->cache_update_index == DL_NONE ? 0 : options->cache_update_index;
        DL_TRY(cache ? DL_OK : dl_last_status());
    }
    dl_tensor *y = attend_folded(call->context, &axes, &attend, &weights);
    y = dl_zero_masked(call->context, y, query_mask);
    DL_TRY(dl_call_return(call, dl_call_inner1(call, layer->children[OUTPUT], y)));
    call->out_masks[0] = query_mask;
    if (options->return_attention_scores)
        call->out[call->outputs++] = weights;
    if (cache)
        call->out[call->outputs++] = cache;
    return DL_OK;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static const dl_field call_fields[] = {
    DL_BOOL(dl_mha_call_options, return_attention_scores, false, 0,
            "give the weights (N, heads, T, S) too; they are stored then"),
    DL_BOOL(dl_mha_call_options, use_causal_mask, false, 0, "each step sees those up to itself"),
    DL_INT(dl_mha_call_options, cache_update_index, DL_NONE, 0, DL_HIGHEST, DL_NONE_OK | DL_POSITION,
           "where in the cache the new steps go; none: it is used as it is"),
    DL_END};
static const dl_definition call_options = {.name = "MultiHeadAttention call", .version = 1, .fields = call_fields,
                                           .options_size = sizeof(dl_mha_call_options)};

#define WEIGHT_FIELDS(TYPE)                                                                                            \
    {.name = "use_bias", .kind = DL_FIELD_BOOL, .offset = offsetof(TYPE, weights.use_bias), .number = true,            \
     .help = "add biases"}
#define WEIGHT_OBJECT(TYPE, member, default_, family_, flags_, help_)                                                  \
    {.name = #member, .kind = DL_FIELD_OBJECT, .offset = offsetof(TYPE, weights.member), .flags = (flags_),            \
     .text = (default_), .family = (family_), .help = (help_)}
#define WEIGHT_OBJECTS(TYPE)                                                                                           \
    WEIGHT_OBJECT(TYPE, kernel_initializer, "glorot_uniform", &dl_initializer_family, 0, "of the kernels"),            \
    WEIGHT_OBJECT(TYPE, bias_initializer, "zeros", &dl_initializer_family, 0, "of the biases"),                        \
    WEIGHT_OBJECT(TYPE, kernel_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the kernels"),       \
    WEIGHT_OBJECT(TYPE, bias_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK, "penalty on the biases"),          \
    WEIGHT_OBJECT(TYPE, activity_regularizer, NULL, &dl_regularizer_family, DL_NONE_OK,                                \
                  "penalty on what the projections give"),                                                             \
    WEIGHT_OBJECT(TYPE, kernel_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the kernels keep to"),       \
    WEIGHT_OBJECT(TYPE, bias_constraint, NULL, &dl_constraint_family, DL_NONE_OK, "what the biases keep to"),          \
    {.name = "seed", .kind = DL_FIELD_INT, .offset = offsetof(TYPE, weights.seed), .flags = DL_NONE_OK,                \
     .number = (double)DL_NONE, .minimum = DL_LOWEST, .maximum = DL_HIGHEST,                                           \
     .help = "of the dropout's stream; none: one of the context's"}

#define TYPE dl_multi_head_attention_options
static const dl_field multi_head_fields[] = {
    DL_INT(TYPE, num_heads, 0, 1, DL_HIGHEST, DL_REQUIRED, "number of heads"),
    DL_INT(TYPE, key_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of a head's queries and keys"),
    DL_INT(TYPE, value_dim, DL_NONE, 1, DL_HIGHEST, DL_NONE_OK, "size of a head's values; none: key_dim"),
    DL_REAL(TYPE, dropout, 0.0, 0.0, 1.0, 0, "fraction of the weights set to zero in training"),
    WEIGHT_FIELDS(TYPE),
    DL_INTS(TYPE, output_shape, NULL, 0, 1, DL_HIGHEST, DL_NONE_OK,
            "sizes of the result's features; none: the query's"),
    DL_INTS(TYPE, attention_axes, NULL, 0, DL_LOWEST, DL_HIGHEST, DL_NONE_OK | DL_POSITION,
            "the dimensions to attend over, the batch counted; none: all but the batch and the features"),
    WEIGHT_OBJECTS(TYPE),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_multi_head_attention = {
    .definition = {.name = "MultiHeadAttention", .version = 1,
                   .help = "Attention with several heads, each with its own projections of queries, keys and values. "
                           "Memory grows linearly with the number of steps.",
                   .formula = "concat(softmax(q_h k_h^T / sqrt(key_dim)) v_h) w_o", .source = "Vaswani et al. 2017",
                   .shapes = "query (N, T, D), value (N, S, D'), key (N, S, D'') -> (N, T, D); with more dimensions "
                             "in place of T and S",
                   .fields = multi_head_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 2, .maximum_inputs = 8, .minimum_dims = 3, .maximum_dims = 5, .input_names = input_names,
    .call_options = &call_options, .init = init, .build = build, .infer = infer, .call = call_attention,
    .flags = DL_LAYER_RANDOM | DL_LAYER_STEPWISE | DL_LAYER_ATTENDS};
#undef TYPE

#define TYPE dl_group_query_attention_options
static const dl_field group_query_fields[] = {
    DL_INT(TYPE, head_dim, 0, 1, DL_HIGHEST, DL_REQUIRED, "size of a head"),
    DL_INT(TYPE, num_query_heads, 0, 1, DL_HIGHEST, DL_REQUIRED, "number of heads of queries"),
    DL_INT(TYPE, num_key_value_heads, 0, 1, DL_HIGHEST, DL_REQUIRED,
           "number of heads of keys and values, each for several of queries"),
    DL_REAL(TYPE, dropout, 0.0, 0.0, 1.0, 0, "fraction of the weights set to zero in training"),
    WEIGHT_FIELDS(TYPE),
    WEIGHT_OBJECTS(TYPE),
    DL_LAYER_FIELDS(TYPE)};

const dl_layer_def dl_layer_group_query_attention = {
    .definition = {.name = "GroupQueryAttention", .aliases = "GroupedQueryAttention", .version = 1,
                   .help = "Multi-head attention in which several heads of queries share one of keys and values.",
                   .formula = "concat(softmax(q_h k_g^T / sqrt(head_dim)) v_g) w_o", .source = "Ainslie et al. 2023",
                   .shapes = "query (N, T, D), value (N, S, D'), key (N, S, D'') -> (N, T, D)",
                   .fields = group_query_fields, .options_size = sizeof(TYPE)},
    .minimum_inputs = 2, .maximum_inputs = 8, .minimum_dims = 3, .maximum_dims = 3, .input_names = input_names,
    .call_options = &call_options, .init = init, .build = build, .infer = infer, .call = call_attention,
    .flags = DL_LAYER_RANDOM | DL_LAYER_STEPWISE | DL_LAYER_ATTENDS};
