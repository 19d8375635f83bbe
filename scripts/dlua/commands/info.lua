--- dlua info: version, processor, threads and memory, and the settings that hurt
local dlua = require "dlua"

--- The content of a file of the system; "" where it has none of that name.
local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a" or ""
end

local function gibibytes(kibibytes)
  return ("%.1f GiB"):format(kibibytes / 2 ^ 20)
end

--- The best instruction set that the processor has kernels for; nil where the system does not tell.
local function best_instruction_set(flags)
  local function has(names)
    for name in names:gmatch "%S+" do
      if not flags:find(" " .. name .. " ", 1, true) then
        return false
      end
    end
    return true
  end
  if flags == "" then
    return nil
  elseif has "avx512f avx512bw avx512dq avx512vl fma" then
    return "avx512"
  end
  return has "avx2 fma" and "avx2" or "baseline"
end

--- How many processors this program may run on: "0-3,6" are five.
local function count_processors()
  local count = 0
  for first, last in (read "/proc/self/status":match "Cpus_allowed_list:%s*(%S+)" or ""):gmatch "(%d+)%-?(%d*)" do
    count = count + (last == "" and 1 or last - first + 1)
  end
  return count > 0 and count or dlua.num_threads()
end

local threads, allowed = dlua.num_threads(), count_processors()
local processor = read "/proc/cpuinfo"
local model = processor:match "model name%s*: ([^\n]*)" or "unknown"
local best = best_instruction_set((processor:match "\nflags%s*:([^\n]*)" or "") .. " ")
local memory = read "/proc/meminfo"
local total, available = memory:match "MemTotal:%s*(%d+)", memory:match "MemAvailable:%s*(%d+)"

local function line(name, ...)
  print(("%-17s "):format(name .. ":") .. string.format(...))
end

line("version", "dlua %s, %s", dlua.version, _VERSION)
line("processor", "%s", model)
line("instruction set", "%s", dlua.isa())
line("matrix products", "dlua's own kernels, no BLAS")
line("threads", "%d on %d processors", threads, allowed)
if total and available then
  line("memory", "%s, of which %s are free", gibibytes(total), gibibytes(available))
end

local hurts = {}
local function hurt(...)
  hurts[#hurts + 1] = string.format(...)
end

if threads ~= allowed then
  hurt("DLUA_NUM_THREADS=%s, but there are %d processors: unset it to use each once",
    os.getenv "DLUA_NUM_THREADS" or threads, allowed)
end
if best and best ~= "baseline" and dlua.isa() ~= best and os.getenv "DLUA_ISA" then
  hurt("DLUA_ISA=%s, but the processor has %s: unset it", os.getenv "DLUA_ISA", best)
end
if os.getenv "DLUA_LUA_DIR" then
  hurt("DLUA_LUA_DIR=%s: the Lua library comes from there, not from the program", os.getenv "DLUA_LUA_DIR")
end
local load = tonumber((read "/proc/loadavg":match "^%S+"))
if load and load > allowed / 2 then
  hurt("other programs keep %.1f of %d processors busy: times will vary", load, allowed)
end
if tonumber(available) and tonumber(available) < 2 ^ 19 then
  hurt("less than 0.5 GiB of memory is free")
end
line("settings", hurts[1] and "some hurt:" or "none that hurts")
for _, text in ipairs(hurts) do
  print("  " .. text)
end
