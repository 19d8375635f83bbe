--- The four families of networks on the same data, and the known weakness of each with its remedy, in numbers.
--
-- You learn: what dense, convolutional, recurrent and transformer networks cost and reach; why an LSTM remembers where
-- a plain recurrent network forgets, and what clipping does to a gradient that explodes; what attention keeps in
-- memory, and two ways to keep less; what dropout and weight decay do for a network that has few samples, some of them
-- with wrong labels. A run of about a minute on two cores printed what follows.
--
--     family         parameters s / epoch   peak MiB   test acc
--     dense              101770      0.08        4.1     84.8 %
--     convolutional       50186      2.20       24.2     86.5 %
--     recurrent           81674      1.63       13.4     82.3 %
--     transformer         72074      1.23       11.4     83.0 %
--
--     convolutional against dense: +1.8 points, 26.1 times the time, 0.49 times the parameters
--     for each point: +1.20 s an epoch and -29309 parameters
--
--     gradient to the input of a step, over 200 steps:
--     step                             1       100       190       200
--     plain, gain 0.9              0e+00     4e-18     1e-01     6e+00
--     plain, gain 2                2e+08     4e+04     2e+01     5e+00
--     LSTM                         3e-17     2e-09     8e-02     6e-01
--     LSTM, long memory            5e+00     2e-01     1e-01     1e+00
--     a step of SGD moves the weights of the plain one, gain 2, by 7e+07; clipped to a norm of 1 by 1e-02
--
--     peak MiB of four attentions, forward and backward:
--     steps               128      256      512     1024     2048     4096
--     naive               1.0      3.7     14.4     56.8    177.5    771.0
--     checkpointed        0.5      1.7      5.7     21.1     82.1    323.9
--     fused               0.3      0.5      0.9      1.6      3.2      6.2
--
--     1000 training images, every fifth label wrong, a dense network:
--                                   test acc test loss
--     plain                           67.5 %      1.67
--     dropout 0.5                     73.4 %      0.90
--     weight decay 1                  67.5 %      1.06
--     both                            75.0 %      0.82
local dlua = require "dlua"
require "dlua.strict"
local layers, applications, optimizers = dlua.layers, dlua.applications, dlua.optimizers

local quick = os.getenv "DLUA_EXAMPLE_QUICK" ~= nil -- a short run on small images, to see that everything works

--- The images as floats {N, H, W, 1} from 0 to 1, and the labels.
local function load_data()
  local train, test = (quick and dlua.datasets.digits or dlua.datasets.fashion_mnist).load()
  local largest = quick and 16 or 255
  local function images(part, count)
    local x = part.x[{ { 1, count } }]
    return x:reshape(count, x.shape[2], x.shape[3], 1):float() / largest, part.y[{ { 1, count } }]
  end
  local data = {}
  data.x, data.y = images(train, quick and 600 or 12000)
  data.x_test, data.y_test = images(test, quick and 297 or 5000)
  data.shape = { data.x.shape[2], data.x.shape[3], 1 }
  return data
end

--- Calls f; returns the most memory that the engine had in use meanwhile, above what it had before.
local function peak_memory(f)
  dlua.empty_cache()
  dlua.reset_peak_memory()
  local before = dlua.memory().in_use
  f()
  return dlua.memory().peak - before
end

local function percent(share)
  return ("%.1f %%"):format(100 * share)
end

local function mebibytes(bytes)
  return ("%.1f"):format(bytes / 2 ^ 20)
end

-- ---- the families ---------------------------------------------------------------------------------------------------

local families = {
  { "dense", function(shape) return applications.MLP { units = { 128 }, input_shape = shape } end },
  { "convolutional", function(shape)
    return dlua.Sequential {
      layers.Conv2D { 32, 3, padding = "same", activation = "relu", input_shape = shape },
      layers.MaxPooling2D { 2 },
      layers.Conv2D { 64, 3, padding = "same", activation = "relu" },
      layers.MaxPooling2D { 2 },
      layers.Flatten {},
      layers.Dense { 10, activation = "softmax" },
    }
  end },
  { "recurrent", function(shape) -- a row of the image is a step
    return dlua.Sequential {
      layers.Reshape { { shape[1], shape[2] }, input_shape = shape },
      layers.LSTM { 128 },
      layers.Dense { 10, activation = "softmax" },
    }
  end },
  { "transformer", function(shape) -- 4 x 4 patches of the image are the steps
    return applications.ViT { input_shape = shape, patch_size = shape[1] // 4, num_layers = 2, hidden_dim = 64,
      intermediate_dim = 128, num_heads = 4, classes = 10 }
  end },
}

--- Trains one network of each family and prints a line for each. Returns the lines by name.
local function compare_families(data)
  local epochs, by_name = quick and 3 or 6, {}
  print(("%-14s %10s %9s %10s %10s"):format("family", "parameters", "s / epoch", "peak MiB", "test acc"))
  for _, family in ipairs(families) do
    local name, build = table.unpack(family)
    local row = {}
    row.memory = peak_memory(function()
      dlua.manual_seed(1)
      local model = build(data.shape)
      model:compile { optimizer = "adam", loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
      local begin = dlua.time()
      model:fit { data.x, data.y, epochs = epochs, batch_size = 64, verbose = 0 }
      row.seconds = (dlua.time() - begin) / epochs
      row.parameters = model:count_params()
      _, row.accuracy = model:evaluate { data.x_test, data.y_test, verbose = 0 }
    end)
    print(("%-14s %10d %9.2f %10s %10s"):format(name, row.parameters, row.seconds, mebibytes(row.memory),
      percent(row.accuracy)))
    by_name[name] = row
  end
  return by_name
end

--- Convolutions gain accuracy and cost time: how much for a point, which is 1 % of the images?
local function price_of_convolutions(rows)
  local dense, cnn = rows.dense, rows.convolutional
  local points = 100 * (cnn.accuracy - dense.accuracy)
  print(("\nconvolutional against dense: %+.1f points, %.1f times the time, %.2f times the parameters"):format(points,
    cnn.seconds / dense.seconds, cnn.parameters / dense.parameters))
  if points > 0 then
    print(("for each point: %+.2f s an epoch and %+.0f parameters"):format((cnn.seconds - dense.seconds) / points,
      (cnn.parameters - dense.parameters) / points))
  end
end

-- ---- recurrent: gradients that vanish and explode -------------------------------------------------------------------

local STEPS, UNITS = 200, 32

--- Norms, one for each step, of the gradient of the last output's sum to that step's input.
local function gradients_by_step(layer)
  dlua.manual_seed(1)
  local x = dlua.randn(4, STEPS, 8):requires_grad_()
  layer(x):sum():backward()
  return x.grad:square():sum { dim = { 1, 3 } }:sqrt()
end

--- An LSTM whose forget gates start almost open, for about `steps` steps (Tallec and Ollivier 2018).
local function long_memory(steps)
  local layer = layers.LSTM { UNITS }
  layer:build { dlua.none, dlua.none, 8 }
  dlua.no_grad(function() -- the biases of the input, forget, cell and output gates
    layer.weights[3][{ { UNITS + 1, 2 * UNITS } }]:fill_(math.log(steps))
  end)
  return layer
end

--- How far the first step of SGD moves the weights of a layer.
local function movement(layer, options)
  gradients_by_step(layer)
  local before, squares = {}, 0
  for i, weight in ipairs(layer.weights) do
    before[i] = weight:clone()
  end
  optimizers.SGD(options):step(layer.weights)
  for i, weight in ipairs(layer.weights) do
    squares = squares + (weight - before[i]):square():sum():item()
  end
  return squares ^ 0.5
end

local function compare_gradients()
  local function plain(gain)
    return layers.SimpleRNN { UNITS, recurrent_initializer = dlua.initializers.Orthogonal { gain } }
  end
  print(("\ngradient to the input of a step, over %d steps:"):format(STEPS))
  print(("%-24s %9d %9d %9d %9d"):format("step", 1, 100, 190, 200))
  for _, row in ipairs {
    { "plain, gain 0.9", plain(0.9) }, { "plain, gain 2", plain(2) }, { "LSTM", layers.LSTM { UNITS } },
    { "LSTM, long memory", long_memory(STEPS) },
  } do
    local norms = gradients_by_step(row[2])
    print(("%-24s %9.0e %9.0e %9.0e %9.0e"):format(row[1], norms[1]:item(), norms[100]:item(), norms[190]:item(),
      norms[200]:item()))
  end
  print(("a step of SGD moves the weights of the plain one, gain 2, by %.0e; clipped to a norm of 1 by %.0e"):format(
    movement(plain(2), { 0.01 }), movement(plain(2), { 0.01, global_clipnorm = 1 })))
end

-- ---- transformers: memory of attention ------------------------------------------------------------------------------

--- Attention as its formula says, on {N, heads, steps, features}: the scores are kept for the backward pass.
local function naive(q, k, v)
  return (q:matmul(k:transpose(3, 4)) / q.shape[4] ^ 0.5):softmax(4):matmul(v)
end

local attentions = {
  { "naive", naive },
  { "checkpointed", function(...) return dlua.checkpoint(naive, ...) end },
  { "fused", dlua.scaled_dot_product_attention },
}

--- Four attentions one after another, forward and backward.
local function compare_attention()
  local lengths = quick and { 64, 128, 256 } or { 128, 256, 512, 1024, 2048, 4096 }
  print("\npeak MiB of four attentions, forward and backward:")
  print(("%-14s"):format "steps" .. ("%9d"):rep(#lengths):format(table.unpack(lengths)))
  for _, row in ipairs(attentions) do
    local cells = {}
    for i, steps in ipairs(lengths) do
      cells[i] = ("%9s"):format(mebibytes(peak_memory(function()
        local x = dlua.randn(1, 1, steps, 32):requires_grad_()
        local y = x
        for _ = 1, 4 do
          y = row[2](y, y, y)
        end
        y:sum():backward()
      end)))
    end
    print(("%-14s"):format(row[1]) .. table.concat(cells))
  end
end

-- ---- dense: few samples, some with wrong labels ---------------------------------------------------------------------

--- The first images with their labels, of which every fifth is wrong, as in data that people sorted in a hurry.
local function small_training_set(data, count)
  local x, y = data.x[{ { 1, count } }], data.y[{ { 1, count } }]:clone()
  for i = 5, count, 5 do
    y[i] = (y[i]:item() + 3) % 10 + 1
  end
  return x, y
end

--- Mean accuracy and loss on the test images of a dense network trained with a few seeds.
local function train_on_few(data, x, y, dropout, decay)
  local seeds, epochs = quick and 1 or 3, quick and 2 or 60
  local losses, accuracies = 0, 0
  for seed = 1, seeds do
    dlua.manual_seed(seed)
    local model = applications.MLP { units = { 256, 256 }, dropout = dropout, input_shape = data.shape }
    model:compile { optimizer = optimizers.AdamW { 0.001, weight_decay = decay },
      loss = "sparse_categorical_crossentropy", metrics = { "accuracy" } }
    model:fit { x, y, epochs = epochs, verbose = 0 }
    local loss, accuracy = model:evaluate { data.x_test, data.y_test, verbose = 0 }
    losses, accuracies = losses + loss, accuracies + accuracy
  end
  return accuracies / seeds, losses / seeds
end

local function compare_regularization(data)
  local x, y = small_training_set(data, quick and 200 or 1000)
  print(("\n%d training images, every fifth label wrong, a dense network:"):format(x.shape[1]))
  print(("%-28s %9s %9s"):format("", "test acc", "test loss"))
  for _, row in ipairs {
    { "plain", 0, 0 }, { "dropout 0.5", 0.5, 0 }, { "weight decay 1", 0, 1 }, { "both", 0.5, 1 },
  } do
    local name, dropout, decay = table.unpack(row)
    local accuracy, loss = train_on_few(data, x, y, dropout, decay)
    print(("%-28s %9s %9.2f"):format(name, percent(accuracy), loss))
  end
end

local data = load_data()
price_of_convolutions(compare_families(data))
compare_gradients()
compare_attention()
compare_regularization(data)
