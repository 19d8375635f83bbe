--- Transformers: the encoder-decoder of "Attention is all you need", encoders in the manner of BERT, decoders in the
-- manner of GPT, and ViT for images. Ids count from 1; 0 is padding and is masked.
local dlua = require "dlua"
local fields = require "dlua.applications.fields"
local layers = dlua.layers

local function size_field(name, default, help)
  return { name = name, kind = "integer", default = default, min = 1, help = help }
end

local function real_field(name, default, help)
  return { name = name, kind = "real", default = default, min = 0, max = 1, help = help }
end

local function activation_field(default)
  return { name = "activation", kind = "object", family = "activation", default = default,
    help = "of the feedforward layers" }
end

local checkpoint_field = {
  name = "checkpoint", kind = "boolean", default = false,
  help = "compute each block again in the backward pass instead of keeping what it needs",
}

--- What the blocks of a model have in common.
local function block_options(options, more)
  local block = {
    intermediate_dim = options.intermediate_dim, num_heads = options.num_heads, dropout = options.dropout,
    activation = options.activation, layer_norm_epsilon = options.layer_norm_epsilon, checkpoint = options.checkpoint,
  }
  for name, value in pairs(more or {}) do
    block[name] = value
  end
  return block
end

local function ids_input(name)
  return dlua.Input { shape = { dlua.none }, dtype = "int64", name = name }
end

local function dropped(x, options)
  if options.dropout > 0 then
    return layers.Dropout { options.dropout } (x)
  end
  return x
end

-- ---- Transformer ----------------------------------------------------------------------------------------------------

--- Source and target share one embedding, which is the output's matrix too and is scaled by sqrt(hidden_dim) on the way
-- in (section 3.4 of the paper).
local function transformer(options)
  local source, target = ids_input "source", ids_input "target"
  local embedding = layers.ReversibleEmbedding { options.vocabulary_size, options.hidden_dim, mask_zero = true,
    embeddings_initializer = dlua.initializers.RandomNormal { stddev = options.hidden_dim ^ -0.5 } }
  local function embed(ids)
    local x = layers.Rescaling { options.hidden_dim ^ 0.5 } (embedding(ids))
    return dropped(layers.Add {} { x, layers.SinePositionEncoding {} (x) }, options)
  end
  local encoded = embed(source)
  for _ = 1, options.num_layers do
    encoded = layers.TransformerEncoder(block_options(options)) (encoded)
  end
  local x = embed(target)
  for _ = 1, options.num_layers do
    x = layers.TransformerDecoder(block_options(options)) (x, encoded)
  end
  x = embedding(x, { reverse = true })
  return dlua.Model { inputs = { source, target }, outputs = x, name = options.name }
end

local function transformer_fields(hidden_dim, intermediate_dim, num_heads, dropout)
  return {
    size_field("vocabulary_size", 37000, "how many ids source and target have together"),
    size_field("num_layers", 6, "blocks of the encoder, and of the decoder"),
    size_field("hidden_dim", hidden_dim, "size of a step's vector"),
    size_field("intermediate_dim", intermediate_dim, "size of the feedforward layers"),
    size_field("num_heads", num_heads, "attention heads"),
    real_field("dropout", dropout, "rate after each part of a block, and on the embeddings"),
    activation_field "relu", real_field("layer_norm_epsilon", 1e-5, "of the normalizations"), checkpoint_field,
    fields.name,
  }
end

-- ---- BERT and GPT ---------------------------------------------------------------------------------------------------

local function embed_positions(x, options)
  return layers.Add {} { x, layers.PositionEmbedding { options.max_sequence_length } (x) }
end

--- Inputs: ids and segment ids (1 or 2). Outputs: the steps, and the first of them through the pooler.
local function bert(options)
  local ids, segments = ids_input "token_ids", ids_input "segment_ids"
  local x = layers.Embedding { options.vocabulary_size, options.hidden_dim, mask_zero = true, name = "token_embedding" }
    (ids)
  local kinds = layers.Embedding { options.num_segments, options.hidden_dim, name = "segment_embedding" } (segments)
  x = layers.Add {} { embed_positions(x, options), kinds }
  x = layers.LayerNormalization { epsilon = options.layer_norm_epsilon, name = "embeddings_layer_norm" } (x)
  x = dropped(x, options)
  for k = 1, options.num_layers do
    x = layers.TransformerEncoder(block_options(options, { name = "encoder_" .. k })) (x)
  end
  local first = layers.SequenceStep { 1, name = "first_step" } (x)
  local pooled = layers.Dense { options.hidden_dim, activation = "tanh", name = "pooled_dense" } (first)
  return dlua.Model { inputs = { ids, segments }, outputs = { x, pooled }, name = options.name }
end

--- Logits for the next id after each step; `generate` continues a sequence.
local function gpt(options)
  local ids = ids_input "token_ids"
  local embedding = layers.ReversibleEmbedding { options.vocabulary_size, options.hidden_dim, mask_zero = true,
    embeddings_initializer = dlua.initializers.RandomNormal { stddev = 0.02 }, name = "token_embedding" }
  local x = dropped(embed_positions(embedding(ids), options), options)
  for k = 1, options.num_layers do
    x = layers.TransformerDecoder(block_options(options, { normalize_first = true, name = "decoder_" .. k })) (x)
  end
  x = layers.LayerNormalization { epsilon = options.layer_norm_epsilon, name = "layer_norm" } (x)
  x = embedding(x, { reverse = true })
  return dlua.Model { inputs = ids, outputs = x, name = options.name }
end

local function text_fields(vocabulary_size, max_sequence_length, epsilon, activation, more)
  local list = {
    size_field("vocabulary_size", vocabulary_size, "how many ids there are"),
    size_field("max_sequence_length", max_sequence_length, "positions that have an embedding"),
    size_field("num_layers", 12, "blocks"),
    size_field("hidden_dim", 768, "size of a step's vector"),
    size_field("intermediate_dim", 3072, "size of the feedforward layers"),
    size_field("num_heads", 12, "attention heads"),
    real_field("dropout", 0.1, "rate after each part of a block, and on the embeddings"),
    activation_field(activation), real_field("layer_norm_epsilon", epsilon, "of the normalizations"), checkpoint_field,
    fields.name,
  }
  return table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

-- ---- ViT ------------------------------------------------------------------------------------------------------------

local function vit(options)
  local height, width = options.input_shape[1], options.input_shape[2]
  local size = options.patch_size
  if height % size ~= 0 or width % size ~= 0 then
    dlua.raise(("ViT: patch_size %d does not divide the input_shape {%d, %d, %d}"):format(size,
      table.unpack(options.input_shape)))
  end
  local patches = (height // size) * (width // size)
  local input = dlua.Input { shape = options.input_shape }
  local x = layers.Conv2D { options.hidden_dim, size, strides = size, name = "patches" } (input)
  x = layers.Reshape { { patches, options.hidden_dim } } (x)
  x = layers.ClassToken { name = "class_token" } (x)
  x = layers.Add {} { x, layers.PositionEmbedding { patches + 1 } (x) }
  x = dropped(x, options)
  for k = 1, options.num_layers do
    x = layers.TransformerEncoder(block_options(options, { normalize_first = true, name = "encoder_" .. k })) (x)
  end
  x = layers.LayerNormalization { epsilon = options.layer_norm_epsilon, name = "layer_norm" } (x)
  x = layers.SequenceStep { 1, name = "class_step" } (x)
  if options.include_top then
    x = layers.Dense { options.classes, activation = options.classifier_activation, name = "predictions" } (x)
  end
  return dlua.Model { inputs = input, outputs = x, name = options.name }
end

return function(define)
  local attention = "Vaswani et al. 2017, Attention is all you need"
  define {
    name = "Transformer", help = "Encoder and decoder, the base model; gives logits.", source = attention,
    fields = transformer_fields(512, 2048, 8, 0.1), build = transformer,
  }
  define {
    name = "TransformerBig", help = "Encoder and decoder, the big model; gives logits.", source = attention,
    fields = transformer_fields(1024, 4096, 16, 0.3), build = transformer,
  }
  define {
    name = "BERT", help = "An encoder as BERT base; 109,482,240 weights.",
    source = "Devlin et al. 2019, BERT: pre-training of deep bidirectional transformers",
    fields = text_fields(30522, 512, 1e-12, "gelu", { size_field("num_segments", 2, "kinds of segments") }),
    build = bert,
  }
  define {
    name = "GPT", help = "A decoder as the smallest GPT-2; 124,439,808 weights; gives logits.",
    source = "Radford et al. 2019, Language models are unsupervised multitask learners",
    fields = text_fields(50257, 1024, 1e-5, "gelu"), build = gpt,
  }
  define {
    name = "ViT", help = "A transformer on patches of an image, as ViT-B/16; 86,567,656 weights.",
    source = "Dosovitskiy et al. 2021, An image is worth 16x16 words",
    fields = {
      fields.input_shape { 224, 224, 3 }, size_field("patch_size", 16, "height and width of a patch"),
      size_field("num_layers", 12, "blocks"), size_field("hidden_dim", 768, "size of a patch's vector"),
      size_field("intermediate_dim", 3072, "size of the feedforward layers"),
      size_field("num_heads", 12, "attention heads"),
      real_field("dropout", 0, "rate after each part of a block, and on the embeddings"),
      activation_field "gelu", real_field("layer_norm_epsilon", 1e-6, "of the normalizations"), checkpoint_field,
      { name = "include_top", kind = "boolean", default = true, help = "add the layer that classifies" },
      fields.classes(1000), fields.classifier_activation, fields.name,
    },
    build = vit,
  }
end
