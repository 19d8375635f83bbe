-- The decoder of compare.py in dlua: four causal blocks over rows of pixels, next-pixel prediction.
local dlua = require "dlua"
local layers = dlua.layers
local measure = dofile((arg[0]:gsub("[^/]*$", "measure.lua")))

local VOCABULARY, CONTEXT, FEATURES = 256, 128, 256

local ids = dlua.Input { shape = { CONTEXT }, dtype = "int64" }
local x = layers.TokenAndPositionEmbedding { VOCABULARY, CONTEXT, FEATURES } (ids)
for _ = 1, 4 do
  x = layers.TransformerDecoder { 4 * FEATURES, 4, activation = "gelu", normalize_first = true } (x)
end
local logits = layers.Dense { VOCABULARY } (layers.LayerNormalization { epsilon = 1e-5 } (x))

measure(dlua.Model { inputs = ids, outputs = logits }, {
  optimizer = dlua.optimizers.AdamW { 0.001, weight_decay = 0.01 },
  loss = dlua.losses.SparseCategoricalCrossentropy { from_logits = true },
  -- Pixels 300 to 428 of each image; ids count from 1.
  data = function(images)
    local pixels = images:reshape(images.shape[1], 784)[{ {}, { 301, 301 + CONTEXT } }]:to("int64") + 1
    return pixels[{ {}, { 1, CONTEXT } }]:clone(), pixels[{ {}, { 2, CONTEXT + 1 } }]:clone()
  end,
})
