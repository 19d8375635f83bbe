--- What `fit` and `evaluate` print while they work: a bar that is drawn over and over on a terminal, one plain line an
-- epoch elsewhere.
local dlua = require "dlua"

local Progress = {}
Progress.__index = Progress

local BAR_WIDTH = 20
local REDRAW_SECONDS = 0.05

--- "3s", "2:05", "1:02:03".
local function duration(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then
    return ("%ds"):format(seconds)
  elseif seconds < 3600 then
    return ("%d:%02d"):format(seconds // 60, seconds % 60)
  end
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
end

--- "812us/step", "3ms/step", "1.25s/step".
local function per_step(seconds)
  if seconds >= 1 then
    return ("%.2fs/step"):format(seconds)
  elseif seconds >= 1e-3 then
    return ("%.0fms/step"):format(seconds * 1e3)
  end
  return ("%.0fus/step"):format(seconds * 1e6)
end

local function values(logs)
  local parts = {}
  for _, name in ipairs(logs) do
    local value = logs[name]
    if type(value) == "number" then -- a matrix has no place in a line
      local small = value ~= 0 and math.abs(value) < 1e-3
      parts[#parts + 1] = (small and "%s: %.4e" or "%s: %.4f"):format(name, value)
    end
  end
  return #parts > 0 and " - " .. table.concat(parts, " - ") or ""
end

--- Refuses other values of the argument 'verbose'.
function Progress.check(verbose, where)
  if verbose ~= "auto" and verbose ~= 0 and verbose ~= 1 and verbose ~= 2 then
    dlua.raise(("%s: argument 'verbose' must be 0 (nothing), 1 (a bar), 2 (lines) or 'auto' (got %s)"):format(where,
      type(verbose) == "string" and "'" .. verbose .. "'" or tostring(verbose)))
  end
end

--- @param steps    the number of steps of one epoch
-- @param verbose   0 nothing, 1 a bar, 2 a line an epoch, "auto" a bar on a terminal and lines elsewhere
-- @param where    the function, for messages
function Progress.new(steps, verbose, where)
  Progress.check(verbose, where)
  if verbose == "auto" then
    verbose = dlua.is_terminal(io.stdout) and 1 or 2
  end
  return setmetatable({ steps = steps, verbose = verbose }, Progress)
end

function Progress:begin(title)
  self.title = title
  self.started = dlua.time()
  self.drawn, self.shown = -math.huge, 0
  if self.verbose == 1 and title then
    io.write(title, "\n")
  end
end

--- Draws the bar over the one before. A line that is drawn over must fit into the terminal's width, the last need not.
local function draw(self, step, tail)
  local done = math.floor(BAR_WIDTH * step / self.steps)
  local count = tostring(self.steps)
  local line = ("%" .. #count .. "d/%s "):format(step, count) .. ("━"):rep(done)
    .. (" "):rep(BAR_WIDTH - done) .. " " .. tail
  local columns = dlua.terminal_columns(io.stdout) or 80
  local length = utf8.len(line) or #line
  if step < self.steps and length > columns - 1 then
    line = line:sub(1, utf8.offset(line, columns) - 1)
    length = columns - 1
  end
  io.write("\r", line, (" "):rep(self.shown - length))
  io.flush()
  self.shown = length
end

--- After each step; `logs` gives the values (see model:logs), asked for only when something is drawn.
function Progress:step(step, logs)
  if self.verbose ~= 1 or step >= self.steps then
    return
  end
  local now = dlua.time()
  if now - self.drawn < REDRAW_SECONDS then
    return
  end
  self.drawn = now
  local seconds = (now - self.started) / step
  draw(self, step, duration(seconds * (self.steps - step)) .. " " .. per_step(seconds) .. values(logs()))
end

function Progress:finish(logs)
  local elapsed = dlua.time() - self.started
  local speed = per_step(elapsed / self.steps)
  if self.verbose == 1 then
    draw(self, self.steps, duration(elapsed) .. " " .. speed .. values(logs))
    io.write("\n")
  elseif self.verbose == 2 then
    local title = self.title and self.title .. " - " or ("%d/%d - "):format(self.steps, self.steps)
    io.write(title, duration(elapsed), " - ", speed, values(logs), "\n")
  end
  io.flush()
end

--- Leaves the line of an unfinished bar.
function Progress:abandon()
  if self.verbose == 1 and self.shown > 0 then
    io.write("\n")
    io.flush()
  end
end

return Progress
