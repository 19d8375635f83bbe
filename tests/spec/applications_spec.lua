--- Architectures: as many parameters as the papers, Keras or torchvision have, and trained and saved like any model.
local dlua = require "dlua"
local support = require "support"

local applications = dlua.applications

-- Where the numbers come from: keras.applications (count_params, moving statistics included); torchvision's parameters,
-- which are the trainable ones; the residual networks for CIFAR-10 by the paper's layer sizes, as widely reported.
local totals = {
  MLP = 101770, LeNet5 = 61706, VGG16 = 138357544, VGG19 = 143667240, ResNet50 = 25636712, ResNet101 = 44707176,
  ResNet152 = 60419944, MobileNetV2 = 3538984, AlexNet = 61100840,
  -- BERT base and the smallest GPT-2 as Hugging Face's models have them, ViT-B/16 as torchvision's
  BERT = 109482240, GPT = 124439808, ViT = 86567656,
  -- torch.nn.Transformer without its two last normalizations, and an embedding of 37,000 ids
  Transformer = 63082496, TransformerBig = 214245376,
}
local trainable = {
  ResNet18 = 11689512, ResNet34 = 21797672, ResNet20 = 269722, ResNet32 = 464154, ResNet44 = 658586,
  ResNet56 = 853018, ResNet110 = 1727962,
}

describe("an architecture has as many parameters as its source", function()
  for name, count in pairs(totals) do
    it(name, function()
      assert.equal(count, applications[name] {}:count_params())
      collectgarbage()
    end)
  end
  for name, count in pairs(trainable) do
    it(name .. ", trainable ones", function()
      assert.equal(count, applications[name] {}:count_params(true))
      collectgarbage()
    end)
  end
end)

--- One step of training, and the same predictions from a file.
local function check_life(model, x, y, loss)
  local folder = support.folder()
  local path = folder .. "/model.safetensors"
  local before = model:get_weights()[1]:clone()
  model:compile { optimizer = dlua.optimizers.SGD { 1e-4 }, loss = loss or "sparse_categorical_crossentropy" }
  model:train_on_batch(x, y)
  assert.is_false(model:get_weights()[1]:eq(before):all():item())
  local outputs = { model:predict { x } }
  model:save(path)
  local loaded = { dlua.load_model(path):predict { x } }
  support.remove_folder(folder)
  for k, output in ipairs(outputs) do
    assert.is_true(output:eq(loaded[k]):all():item())
  end
end

describe("an architecture trains and comes back from a file", function()
  local function images(...)
    return dlua.rand(2, ...), dlua.tensor { 1, 3 }
  end

  for _, row in ipairs {
    { "MLP", { input_shape = { 6, 6, 1 }, classes = 3, units = { 8, 4 }, dropout = 0.1 } },
    { "LeNet5", { input_shape = { 28, 28, 1 }, classes = 3 } },
    { "ResNet20", { input_shape = { 8, 8, 3 }, classes = 3 } },
    { "ResNet18", { input_shape = { 32, 32, 3 }, classes = 3 } },
    { "ViT", { input_shape = { 8, 8, 1 }, classes = 3, patch_size = 4, num_layers = 1, hidden_dim = 8,
      intermediate_dim = 12, num_heads = 2, dropout = 0.1 } },
    { "MobileNetV2", { input_shape = { 32, 32, 3 }, classes = 3, alpha = 0.35 } },
  } do
    local name, options = row[1], row[2]
    it(name, function()
      dlua.manual_seed(1)
      check_life(applications[name](options), images(table.unpack(options.input_shape)))
    end)
  end
end)

describe("an architecture for sequences trains and comes back from a file", function()
  it("LSTMClassifier, GRUClassifier", function()
    for _, name in ipairs { "LSTMClassifier", "GRUClassifier" } do
      dlua.manual_seed(1)
      local model = applications[name] { vocabulary_size = 9, embedding_dim = 4, units = 5, layers = 2, classes = 3 }
      check_life(model, dlua.randint(0, 9, { 2, 6 }), dlua.tensor { 1, 3 })
      local features = applications[name] { input_shape = { 6, 3 }, units = 5, classes = 3 }
      check_life(features, dlua.rand(2, 6, 3), dlua.tensor { 1, 3 })
    end
  end)

  it("Seq2Seq and Transformer", function()
    local source, target = dlua.tensor { { 3, 4, 5, 0 }, { 1, 9, 2, 8 } }, dlua.tensor { { 1, 2, 3 }, { 4, 5, 0 } }
    for _, row in ipairs {
      { "Seq2Seq", { source_vocabulary_size = 9, target_vocabulary_size = 6, embedding_dim = 4, units = 5 } },
      { "Transformer", { vocabulary_size = 9, num_layers = 2, hidden_dim = 8, intermediate_dim = 12, num_heads = 2 } },
    } do
      dlua.manual_seed(1)
      local model = applications[row[1]](row[2])
      check_life(model, { source, target }, target, dlua.losses.SparseCategoricalCrossentropy {
        from_logits = row[1] == "Transformer" })
    end
  end)

  it("GPT, which generates the same from its file", function()
    dlua.manual_seed(1)
    local model = applications.GPT { vocabulary_size = 9, max_sequence_length = 8, num_layers = 2, hidden_dim = 8,
      intermediate_dim = 12, num_heads = 2, checkpoint = true }
    local x, y = dlua.tensor { { 3, 4, 5, 0 }, { 1, 9, 2, 8 } }, dlua.tensor { { 4, 5, 6, 0 }, { 9, 2, 8, 7 } }
    check_life(model, x, y, dlua.losses.SparseCategoricalCrossentropy { from_logits = true })
  end)

  it("BERT", function()
    dlua.manual_seed(1)
    local model = applications.BERT { vocabulary_size = 9, max_sequence_length = 8, num_layers = 1, hidden_dim = 8,
      intermediate_dim = 12, num_heads = 2 }
    local ids, segments = dlua.tensor { { 3, 4, 5, 0 }, { 1, 9, 2, 8 } }, dlua.tensor { { 1, 1, 2, 2 }, { 1, 2, 2, 2 } }
    check_life(model, { ids, segments }, { dlua.rand(2, 4, 8), dlua.rand(2, 8) }, { "mse", "mse" })
  end)

  it("BidirectionalTagger", function()
    dlua.manual_seed(1)
    local model = applications.BidirectionalTagger { vocabulary_size = 9, embedding_dim = 4, units = 5, classes = 3 }
    local x = dlua.tensor { { 3, 4, 5, 0 }, { 1, 9, 2, 8 } }
    check_life(model, x, dlua.tensor { { 1, 2, 3, 0 }, { 3, 2, 1, 1 } }) -- padding has no class
  end)
end)

describe("an image classifier without its top", function()
  it("gives the last channels, pooled if asked to", function()
    local options = { include_top = false, input_shape = { 32, 32, 3 } }
    assert.same({ dlua.none, 1, 1, 512 }, applications.VGG16(options).output_shapes[1])
    options.pooling = "max"
    assert.same({ dlua.none, 1280 }, applications.MobileNetV2(options).output_shapes[1])
  end)

  it("says which arguments there are", function()
    assert.matches("unknown argument 'class'; did you mean 'classes'?",
      support.message_of(function() applications.VGG16 { class = 3 } end), 1, true)
    assert.matches("did you mean 'LeNet5'", support.message_of(function() return applications.Lenet end), 1, true)
  end)
end)
