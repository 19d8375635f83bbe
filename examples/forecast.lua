--- A recurrent network that forecasts a real monthly series: international airline passengers, in thousands, 1949 to
-- 1960 (Box & Jenkins 1976, series G).
--
-- You learn: making samples from windows of a series, taking out what is known of it (trend and season) first, testing
-- on later months than those of the training, and comparing with a simple rule. Forecast is one month ahead.
-- Measured: mean error over 1959 and 1960 3.33, 3.31 and 3.29 % (seeds 1 to 3); the same model in Keras 3.49, 3.29 and
-- 3.34 %; the rule "as much above last year as last month was" 3.39 %. From 144 months there is little more to learn.
local dlua = require "dlua"
require "dlua.strict"
local layers = dlua.layers

local passengers = {
  112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118,
  115, 126, 141, 135, 125, 149, 170, 170, 158, 133, 114, 140,
  145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166,
  171, 180, 193, 181, 183, 218, 230, 242, 209, 191, 172, 194,
  196, 196, 236, 235, 229, 243, 264, 272, 237, 211, 180, 201,
  204, 188, 235, 227, 234, 264, 302, 293, 259, 229, 203, 229,
  242, 233, 267, 269, 270, 315, 364, 347, 312, 274, 237, 278,
  284, 277, 317, 313, 318, 374, 413, 405, 355, 306, 271, 306,
  315, 301, 356, 348, 355, 422, 465, 467, 404, 347, 305, 336,
  340, 318, 362, 348, 363, 435, 491, 505, 404, 359, 310, 337,
  360, 342, 406, 396, 420, 472, 548, 559, 463, 407, 362, 405,
  417, 391, 419, 461, 472, 535, 622, 606, 508, 461, 390, 432,
}
local window, test_months = 6, 24

-- growth[k]: by how much the logarithm of month k + 12 is above that of the same month a year before.
local logs = dlua.tensor(passengers):float():log()
local growth = logs[{ { 13, -1 } }] - logs[{ { 1, -13 } }]

-- A sample: the growth in six months and that of the next, both relative to the last that is known, in tenths.
local count = #growth - window
local x, y = dlua.zeros(count, window, 1), dlua.zeros(count, 1)
for k = 1, count do
  local last = growth[k + window - 1]
  x[{ k, {}, 1 }] = (growth[{ { k, k + window - 1 } }] - last) * 10
  y[{ k, 1 }] = (growth[k + window] - last) * 10
end
local train, test = { 1, count - test_months }, { count - test_months + 1, count }

dlua.manual_seed(1)
local model = dlua.Sequential {
  layers.LSTM { 16, input_shape = { window, 1 } },
  layers.Dense { 1 },
}
model:compile { optimizer = dlua.optimizers.Adam { 0.005 }, loss = "mse" }
local epochs = os.getenv "DLUA_EXAMPLE_QUICK" and 3 or 50
model:fit { x[{ train }], y[{ train }], epochs = epochs, batch_size = 16, verbose = 0 }
local changes = model:predict(x[{ test }])

--- The mean error in percent over the test months, if the growth changes as change(k) says.
local function error_of(change)
  local sum = 0
  for k = 1, test_months do
    local month = #passengers - test_months + k
    local forecast = passengers[month - 12] * math.exp(growth[month - 13]:item() + change(k))
    sum = sum + math.abs(forecast - passengers[month]) / passengers[month]
  end
  return 100 * sum / test_months
end

local function unchanged()
  return 0
end
local function by_network(k)
  return changes[{ k, 1 }]:item() / 10
end
print(("mean error one month ahead: growth as last month %.2f %%, LSTM %.2f %%"):format(error_of(unchanged),
  error_of(by_network)))
