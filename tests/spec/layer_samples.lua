--- For each layer of the library: options that are not its defaults, and inputs that it takes. The specs that go over
-- all layers read them; a new layer needs an entry here, and every_layer_spec.lua says so if it has none.
local dlua = require "dlua"

local layers = dlua.layers

--- Each sample: options, and a list of inputs. An input is a shape with the batch, which stands for noise, or
-- { "ids", shape } for whole numbers from 1, or { "text", strings }, or { "mask", shape } for what is true somewhere.
-- named: inputs by their names, in the table of options of a call.
local samples = {
  Activation = { { "softsign" }, { { 2, 3 } }, takes = { "more fewer size2 zero2" } },
  Add = { {}, { { 2, 3, 4 }, { 2, 1, 4 } }, takes = { "more size2 zero2", "fewer" } },
  AdditiveAttention = {
    { use_scale = true, dropout = 0.2, seed = 3 }, { { 2, 3, 4 }, { 2, 5, 4 } },
    named = { query_mask = { "mask", { 2, 3 } }, value_mask = { "mask", { 2, 5 } } },
    takes = { "size2 zero2", "size2" },
  },
  AlphaDropout = { { 0.3, noise_shape = { dlua.none, 1 }, seed = 3 }, { { 2, 3 } }, takes = { "size2 zero2" } },
  Attention = {
    { use_scale = true, score_mode = "concat", dropout = 0.2, seed = 3 }, { { 2, 3, 4 }, { 2, 5, 4 } },
    named = { query_mask = { "mask", { 2, 3 } }, value_mask = { "mask", { 2, 5 } } },
    takes = { "size2 zero2", "size2" },
  },
  Average = { {}, { { 2, 3, 4 }, { 2, 3, 4 } } },
  AveragePooling1D = { { 2, strides = 1, padding = "same" }, { { 2, 5, 3 } }, takes = { "size2 size3" } },
  AveragePooling2D = {
    { { 2, 3 }, strides = { 1, 2 }, padding = "same" }, { { 2, 5, 6, 3 } },
    takes = { "size2 size3 size4" },
  },
  BatchNormalization = {
    { axis = 2, momentum = 0.5, epsilon = 0.01, scale = false }, { { 2, 3, 4 } },
    takes = { "size3 zero3" },
  },
  Bidirectional = {
    { layers.LSTM { 3, return_sequences = true }, merge_mode = "mul", backward_layer =
      layers.LSTM { 3, return_sequences = true, go_backwards = true, use_bias = false } }, { { 2, 5, 4 } },
    named = { mask = { "mask", { 2, 5 } } },
    takes = { "size2" },
  },
  ClassToken = { {}, { { 2, 3, 4 } }, takes = { "size2 zero2" } },
  Concatenate = { { axis = 2 }, { { 2, 3, 4 }, { 2, 2, 4 } }, takes = { "dtype size2 zero2", "dtype size2 zero2" } },
  Conv1D = {
    { 6, 2, padding = "causal", dilation_rate = 2, groups = 2, activation = "elu" }, { { 2, 5, 4 } },
    takes = { "size2" },
  },
  Conv2D = {
    { 4, { 3, 2 }, strides = 2, padding = "same", groups = 2, activation = "relu",
      kernel_regularizer = dlua.regularizers.L1L2 { l1 = 0.1, l2 = 0.3 },
      kernel_initializer = dlua.initializers.HeNormal { seed = 7 } }, { { 2, 5, 6, 4 } },
    takes = { "size2 size3" },
  },
  Conv2DTranspose = {
    { 3, { 3, 2 }, strides = { 2, 1 }, output_padding = { 1, 0 }, use_bias = false }, { { 2, 4, 5, 2 } },
    takes = { "size2 size3" },
  },
  Cropping1D = { { { 1, 2 } }, { { 2, 5, 3 } }, takes = { "size2 size3" } },
  Cropping2D = { { { { 1, 0 }, { 2, 1 } } }, { { 2, 5, 6, 3 } }, takes = { "size2 size3 size4" } },
  Dense = {
    { 3, activation = dlua.activations.leaky_relu { negative_slope = 0.3 },
      bias_constraint = dlua.constraints.MaxNorm { 2, axis = 1 } }, { { 2, 5, 4 } },
    takes = { "size2 zero2" },
  },
  DepthwiseConv2D = {
    { 3, depth_multiplier = 2, padding = "same", activation = "tanh" }, { { 2, 5, 6, 3 } },
    takes = { "size2 size3" },
  },
  Dot = {
    { axes = { 3, 2 }, normalize = true }, { { 2, 3, 4 }, { 2, 4, 5 } },
    takes = { "more size2 zero2", "more fewer size3 zero3" },
  },
  Dropout = { { 0.3, noise_shape = { dlua.none, 1 }, seed = 3 }, { { 2, 3 } }, takes = { "size2 zero2" } },
  ELU = { { alpha = 0.3 }, { { 2, 3 } }, takes = { "more fewer size2 zero2" } },
  Embedding = { { 7, 3, mask_zero = true }, { { "ids", { 2, 5 } } }, takes = { "more fewer size2 zero2" } },
  Flatten = { {}, { { 2, 3, 4 } }, takes = { "more fewer dtype size2 zero2 size3 zero3" } },
  GaussianDropout = { { 0.3, seed = 3 }, { { 2, 3 } }, takes = { "more fewer size2 zero2" } },
  GaussianNoise = { { 0.3, seed = 3 }, { { 2, 3 } }, takes = { "more fewer size2 zero2" } },
  GlobalAveragePooling1D = { { keepdims = true }, { { 2, 5, 3 } }, takes = { "size2 size3" } },
  GlobalAveragePooling2D = { { keepdims = true }, { { 2, 4, 5, 3 } }, takes = { "size2 size3 size4" } },
  GlobalMaxPooling1D = { { keepdims = true }, { { 2, 5, 3 } }, takes = { "size2 size3" } },
  GlobalMaxPooling2D = { { keepdims = true }, { { 2, 4, 5, 3 } }, takes = { "size2 size3 size4" } },
  GroupNormalization = { { 2, axis = 2, epsilon = 0.01 }, { { 2, 4, 3 } }, takes = { "size3 zero3" } },
  GroupQueryAttention = {
    { 3, 4, 2, dropout = 0.1, use_bias = false, seed = 3 }, { { 2, 3, 4 }, { 2, 5, 4 } },
    named = { attention_mask = { "mask", { 2, 3, 5 } }, value_mask = { "mask", { 2, 5 } } },
    takes = { "size2 zero2", "size2" },
  },
  GRU = {
    { 3, reset_after = false, return_sequences = true, recurrent_activation = "hard_sigmoid" }, { { 2, 5, 4 } },
    named = { mask = { "mask", { 2, 5 } } },
    takes = { "size2" },
  },
  GRUCell = { { 3, dropout = 0.2, seed = 3 }, { { 2, 4 }, { 2, 3 } } },
  IntegerLookup = {
    { vocabulary = { 3, 7 }, num_oov_indices = 2, output_mode = "multi_hot" }, { { "ids", { 2, 5 } } },
    takes = { "more fewer size2 zero2" },
  },
  LayerNormalization = { { axis = { 2, 3 }, epsilon = 0.01, center = false }, { { 2, 3, 4 } } },
  LeakyReLU = { { negative_slope = 0.4 }, { { 2, 3 } }, takes = { "more fewer size2 zero2" } },
  LSTM = {
    { 3, go_backwards = true, unit_forget_bias = false, recurrent_dropout = 0.2, seed = 3 }, { { 2, 5, 4 } },
    named = { mask = { "mask", { 2, 5 } } },
    takes = { "size2" },
  },
  LSTMCell = { { 3, activation = "relu" }, { { 2, 4 }, { 2, 3 }, { 2, 3 } } },
  Masking = { { mask_value = 0.5 }, { { 2, 5, 3 } }, takes = { "more size2 zero2 size3 zero3" } },
  Maximum = { {}, { { 2, 3, 4 }, { 2, 3, 4 } } },
  MaxPooling1D = { { 3, strides = 1 }, { { 2, 5, 3 } }, takes = { "size2 size3" } },
  MaxPooling2D = { { { 3, 2 }, strides = 1 }, { { 2, 5, 6, 3 } }, takes = { "size2 size3 size4" } },
  Minimum = { {}, { { 2, 3, 4 }, { 2, 3, 4 } } },
  MultiHeadAttention = {
    { 2, 3, value_dim = 5, attention_axes = { 2 }, output_shape = { 4 }, dropout = 0.1, seed = 3 },
    { { 2, 3, 4 }, { 2, 5, 4 } },
    named = { attention_mask = { "mask", { 2, 3, 5 } }, value_mask = { "mask", { 2, 5 } } },
    takes = { "size2 zero2", "size2" },
  },
  Multiply = { {}, { { 2, 3, 4 }, { 2, 3, 4 } } },
  Permute = { { { 2, 1 } }, { { 2, 3, 4 } }, takes = { "dtype size2 zero2 size3 zero3" } },
  PositionEmbedding = { { 7, initializer = "ones" }, { { 2, 5, 3 } }, takes = { "size2 zero2" } },
  PReLU = { { shared_axes = { 2 } }, { { 2, 3, 4 } }, takes = { "size2 zero2" } },
  ReLU = {
    { max_value = 0.5, negative_slope = 0.1, threshold = 0.2 }, { { 2, 3 } },
    takes = { "more fewer size2 zero2" },
  },
  RepeatVector = { { 3 }, { { 2, 4 } }, takes = { "dtype size2 zero2" } },
  Rescaling = { { 0.5, offset = 1 }, { { 2, 3 } }, takes = { "more fewer dtype size2 zero2" } },
  Reshape = { { { -1, 2 } }, { { 2, 3, 4 } }, takes = { "more dtype size2 zero2 zero3" } },
  ReversibleEmbedding = {
    { 7, 3, tie_weights = false, mask_zero = true }, { { "ids", { 2, 5 } } },
    takes = { "more fewer size2 zero2" },
  },
  RMSNormalization = { { axis = 2, epsilon = 0.01 }, { { 2, 3, 4 } }, takes = { "size3 zero3" } },
  RNN = {
    { { layers.GRUCell { 3 }, layers.LSTMCell { 2 } }, return_sequences = true }, { { 2, 5, 4 } },
    named = { mask = { "mask", { 2, 5 } } },
    takes = { "size2" },
  },
  RotaryEmbedding = {
    { max_wavelength = 100, sequence_axis = 2, feature_axis = 3 }, { { 2, 5, 4 } },
    takes = { "more size2" },
  },
  SeparableConv2D = {
    { 5, { 2, 3 }, depth_multiplier = 2, activation = "relu" }, { { 2, 5, 6, 3 } },
    takes = { "size2 size3" },
  },
  SequenceStep = { { -2 }, { { 2, 5, 3 } }, takes = { "more fewer dtype size2 size3 zero3" } },
  SimpleRNN = {
    { 3, activation = "relu", return_sequences = true, zero_output_for_mask = true }, { { 2, 5, 4 } },
    named = { mask = { "mask", { 2, 5 } } },
    takes = { "size2" },
  },
  SimpleRNNCell = { { 3, use_bias = false }, { { 2, 4 }, { 2, 3 } } },
  SinePositionEncoding = { { max_wavelength = 100 }, { { 2, 5, 4 } }, takes = { "more size2 size3" } },
  Softmax = { { axis = 2 }, { { 2, 3, 4 } }, takes = { "more fewer size2 zero2 size3 zero3" } },
  SpatialDropout1D = { { 0.3, seed = 3 }, { { 2, 5, 3 } }, takes = { "size2 zero2 size3 zero3" } },
  SpatialDropout2D = { { 0.3, seed = 3 }, { { 2, 4, 5, 3 } }, takes = { "size2 zero2 size3 zero3 size4 zero4" } },
  StackedRNNCells = {
    { { layers.SimpleRNNCell { 3 }, layers.LSTMCell { 2 } } }, { { 2, 4 }, { 2, 3 }, { 2, 2 }, { 2, 2 } },
  },
  StringLookup = {
    { vocabulary = { "a", "bc" }, num_oov_indices = 2, mask_token = "", output_mode = "int" },
    { { "text", { "a", "bc", "d" } } },
    takes = { "more size2 zero2" },
  },
  Subtract = { {}, { { 2, 3, 4 }, { 2, 3, 4 } } },
  TextVectorization = {
    { vocabulary = { "a", "bc" }, ngrams = 2, output_mode = "int", output_sequence_length = 4 },
    { { "text", { "a bc", "bc a d" } } },
    takes = { "size2 zero2" },
  },
  TimeDistributed = { { layers.Conv1D { 3, 2 } }, { { 2, 3, 5, 4 } }, takes = { "size2 size3" } },
  TokenAndPositionEmbedding = { { 7, 6, 4, mask_zero = true }, { { "ids", { 2, 5 } } }, takes = { "size2 zero2" } },
  TransformerDecoder = {
    { 5, 2, activation = "gelu", normalize_first = true }, { { 2, 3, 4 }, { 2, 5, 4 } },
    named = {
      decoder_padding_mask = { "mask", { 2, 3 } }, decoder_attention_mask = { "mask", { 2, 3, 3 } },
      encoder_padding_mask = { "mask", { 2, 5 } }, encoder_attention_mask = { "mask", { 2, 3, 5 } },
    },
    takes = { "size2 zero2", "size2" },
  },
  TransformerEncoder = {
    { 5, 2, layer_norm_epsilon = 0.01, normalize_first = true }, { { 2, 3, 4 } },
    named = { padding_mask = { "mask", { 2, 3 } }, attention_mask = { "mask", { 2, 3, 3 } } },
    takes = { "size2 zero2" },
  },
  UnitNormalization = { { axis = 2 }, { { 2, 3, 4 } }, takes = { "more fewer size2 zero2 size3 zero3" } },
  UpSampling1D = { { 3 }, { { 2, 4, 3 } }, takes = { "size2 size3" } },
  UpSampling2D = { { { 2, 3 }, interpolation = "bilinear" }, { { 2, 3, 4, 2 } }, takes = { "size2 size3 size4" } },
  ZeroPadding1D = { { { 1, 2 } }, { { 2, 3, 4 } }, takes = { "size2 size3" } },
  ZeroPadding2D = { { { { 1, 0 }, { 2, 1 } } }, { { 2, 3, 4, 2 } }, takes = { "size2 size3 size4" } },
}

return samples
