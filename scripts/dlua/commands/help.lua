--- dlua help [NAME]: what is known of a layer, a function, a method; without a name, what there is
local help = require "dlua.help"
help(...)
if ... and not help.text(...) then
  os.exit(1, true)
end
