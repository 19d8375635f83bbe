--- `model:summary()`: a table like Keras's.
local function shape_text(shape)
  local sizes = {}
  for index, size in ipairs(shape) do
    sizes[index] = math.type(size) and tostring(size) or "None"
  end
  return "(" .. table.concat(sizes, ", ") .. ")"
end

local function thousands(number)
  local text = tostring(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

local function bytes_text(bytes)
  for _, unit in ipairs { "B", "KB", "MB" } do
    if bytes < 1024 then
      return ("%.2f %s"):format(bytes, unit)
    end
    bytes = bytes / 1024
  end
  return ("%.2f GB"):format(bytes)
end

local function pad(text, width, right)
  local space = (" "):rep(width - utf8.len(text))
  return right and space .. text or text .. space
end

local function rule(left, middle, right, widths)
  local parts = {}
  for index, width in ipairs(widths) do
    parts[index] = ("─"):rep(width + 2)
  end
  return left .. table.concat(parts, middle) .. right
end

local function row(cells, widths)
  local parts = {}
  for index, width in ipairs(widths) do
    parts[index] = " " .. pad(cells[index], width, index == 3) .. " "
  end
  return "│" .. table.concat(parts, "│") .. "│"
end

--- The rows of the table: one for each call of a layer, or for each layer where there is no graph yet.
local function rows_of(model, connected)
  local rows = { { "Layer (type)", "Output Shape", "Param #", connected and "Connected to" or nil } }
  local calls = model.calls
  if #calls == 0 then
    for index, layer in ipairs(model.layers) do
      calls[index] = { layer = layer, inputs = {} }
    end
  end
  for _, call in ipairs(calls) do
    local layer = call.layer
    rows[#rows + 1] = {
      ("%s (%s)"):format(layer.name, layer.class_name), call.output_shape and shape_text(call.output_shape) or "?",
      layer.built and thousands(layer:count_params()) or "0 (unbuilt)",
      connected and (#call.inputs > 0 and table.concat(call.inputs, ", ") or "-") or nil,
    }
  end
  return rows
end

local function bytes_of(weights)
  local bytes = 0
  for _, weight in ipairs(weights) do
    bytes = bytes + weight:numel() * (weight.dtype == "float64" and 8 or 4)
  end
  return bytes
end

--- The text of the summary of a model.
return function(model)
  local rows = rows_of(model, model.class_name ~= "Sequential")
  local widths = {}
  for _, cells in ipairs(rows) do
    for index, cell in ipairs(cells) do
      widths[index] = math.max(widths[index] or 0, utf8.len(cell))
    end
  end
  local lines = { ('Model: "%s"'):format(model.name), rule("┌", "┬", "┐", widths), row(rows[1], widths) }
  for index = 2, #rows do
    lines[#lines + 1] = rule("├", "┼", "┤", widths)
    lines[#lines + 1] = row(rows[index], widths)
  end
  lines[#lines + 1] = rule("└", "┴", "┘", widths)
  local function line(title, count, bytes)
    lines[#lines + 1] = (" %s params: %s (%s)"):format(title, thousands(count), bytes_text(bytes))
  end
  local total, trainable = model:count_params(), model:count_params(true)
  local all, learned = bytes_of(model.weights), bytes_of(model.trainable_weights)
  line("Total", total, all)
  line("Trainable", trainable, learned)
  line("Non-trainable", total - trainable, all - learned)
  return table.concat(lines, "\n")
end
