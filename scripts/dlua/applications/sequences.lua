--- Recurrent networks for sequences of token ids or of features: classifiers, a tagger, and a translator with
-- attention. Ids count from 1; 0 is padding and is masked.
local dlua = require "dlua"
local fields = require "dlua.applications.fields"
local layers = dlua.layers

local function size_field(name, default, help)
  return { name = name, kind = "integer", default = default, min = 1, help = help, required = default == nil }
end

local dropout_field = { name = "dropout", kind = "real", default = 0, min = 0, max = 1, help = "rate after each layer" }

--- The symbolic input and the sequence {N, T, F} made of it: ids through an Embedding, or features as they are.
local function sequence_input(options)
  if options.input_shape then
    local input = dlua.Input { shape = options.input_shape }
    return input, input
  end
  local input = dlua.Input { shape = { dlua.none }, dtype = "int64" }
  return input, layers.Embedding { options.vocabulary_size, options.embedding_dim, mask_zero = true } (input)
end

local input_fields = {
  size_field("vocabulary_size", 20000, "how many ids there are; not used with an input_shape"),
  size_field("embedding_dim", 128, "size of an id's vector"),
  { name = "input_shape", kind = "ints", min = 1, none = true, help = "{steps, features} for inputs that are no ids" },
}

local function with_input(list)
  return table.move(list, 1, #list, #input_fields + 1, { table.unpack(input_fields) })
end

--- Layers over the whole sequence, and its last state classified.
local function classifier(recurrent)
  return function(options)
    local input, x = sequence_input(options)
    for k = 1, options.layers do
      x = layers[recurrent] { options.units, return_sequences = k < options.layers, dropout = options.dropout } (x)
    end
    local activation = options.classifier_activation
    x = layers.Dense { options.classes, activation = activation } (x)
    return dlua.Model { inputs = input, outputs = x, name = options.name }
  end
end

local function bidirectional_tagger(options)
  local input, x = sequence_input(options)
  for _ = 1, options.layers do
    x = layers.Bidirectional { layers.LSTM { options.units, return_sequences = true, dropout = options.dropout } } (x)
  end
  x = layers.Dense { options.classes, activation = options.classifier_activation } (x)
  return dlua.Model { inputs = input, outputs = x, name = options.name }
end

--- The decoder starts in the encoder's last state, and attends to all of the encoder's steps with its own.
local function seq2seq(options)
  local source = dlua.Input { shape = { dlua.none }, dtype = "int64", name = "source" }
  local target = dlua.Input { shape = { dlua.none }, dtype = "int64", name = "target" }
  local function embed(size, ids)
    return layers.Embedding { size, options.embedding_dim, mask_zero = true } (ids)
  end
  local encoded, h, c = layers.LSTM { options.units, return_sequences = true, return_state = true,
    dropout = options.dropout } (embed(options.source_vocabulary_size, source))
  local decoded = layers.LSTM { options.units, return_sequences = true, dropout = options.dropout }
    (embed(options.target_vocabulary_size, target), { initial_state = { h, c } })
  local context = layers.AdditiveAttention {} (decoded, encoded)
  local x = layers.Concatenate {} { decoded, context }
  x = layers.Dense { options.units, activation = "tanh" } (x)
  x = layers.Dense { options.target_vocabulary_size, activation = options.classifier_activation } (x)
  return dlua.Model { inputs = { source, target }, outputs = x, name = options.name }
end

return function(define)
  local body = {
    size_field("units", 128, "size of a layer's state"),
    size_field("layers", 1, "how many stand on each other"),
    fields.classes(2), dropout_field, fields.classifier_activation, fields.name,
  }
  define {
    name = "LSTMClassifier", help = "LSTM layers over a sequence, whose last state is classified.",
    source = "Hochreiter & Schmidhuber 1997, Long short-term memory", fields = with_input(body),
    build = classifier "LSTM",
  }
  define {
    name = "GRUClassifier", help = "GRU layers over a sequence, whose last state is classified.",
    source = "Cho et al. 2014, Learning phrase representations using RNN encoder-decoder", fields = with_input(body),
    build = classifier "GRU",
  }
  define {
    name = "BidirectionalTagger", help = "LSTM layers in both directions, which give each step a class.",
    source = "Graves & Schmidhuber 2005, Framewise phoneme classification with bidirectional LSTM",
    fields = with_input(body), build = bidirectional_tagger,
  }
  define {
    name = "Seq2Seq",
    help = "LSTM encoder and decoder with attention; the inputs are source ids and target ids shifted by one.",
    source = "Bahdanau et al. 2015, Neural machine translation by jointly learning to align and translate",
    fields = {
      size_field("source_vocabulary_size", nil, "how many source ids there are"),
      size_field("target_vocabulary_size", nil, "how many target ids there are"),
      size_field("embedding_dim", 128, "size of an id's vector"),
      size_field("units", 128, "size of the states"),
      dropout_field, fields.classifier_activation, fields.name,
    },
    build = seq2seq,
  }
end
