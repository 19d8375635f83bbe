-- luacheck scripts/dlua examples tests
std = "lua54"
max_line_length = 120
self = false -- a method that does not read its object is still a method
codes = true

files["tests/spec"] = { std = "+busted" }
