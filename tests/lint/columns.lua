-- lua5.4 tests/lint/columns.lua [FOLDER]
--
-- No line of the sources in C and Lua is longer than 120 columns. Prints each that is as file:line: text and fails if
-- there is one, or if it found no file to look at. A column is a character, not a byte.

local root = arg[1] or "."
local LIMIT = 120

--- The number of characters of a line, or of bytes where it is no UTF-8.
local function width(line)
  return utf8.len(line) or #line
end

local listing = assert(io.popen(("cd '%s' && find engine bindings tests scripts examples -type f "):format(root)
  .. "'(' -name '*.c' -o -name '*.h' -o -name '*.lua' ')' | sort"))
local files, found = 0, 0
for name in listing:lines() do
  local number = 0
  files = files + 1
  for line in io.lines(root .. "/" .. name) do
    number = number + 1
    if width(line) > LIMIT then
      found = found + 1
      print(("%s:%d: %d columns; at most %d are allowed"):format(name, number, width(line), LIMIT))
    end
  end
end
listing:close()
print(("%d files, %d lines that are too long"):format(files, found))
os.exit(files > 0 and found == 0)
