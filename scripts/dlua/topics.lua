--- What help says of things that are no value with a name: help "indexing". Each topic has its names, the first of
-- which help() lists, and a text; `functions` are named under it instead of among those that every script uses.
local topics = {}

topics[1] = {
  names = { "indexing", "slicing", "index", "positions" },
  text = [[
indexing: parts of a tensor. Positions count from 1, or from -1 at the end; both ends of a range are in it.
  t[2]                   the second row
  t[{2, 3}]              the element in row 2, column 3
  t[{2, {3, 5}}]         row 2, columns 3 to 5
  t[{{}, -1}]            all rows, the last column
  t[{{1, -1, 2}}]        every second row; {from, to, step}, where dlua.none leaves an end open
  t[mask]                the elements where mask, a bool tensor, is true: t[t:gt(0)]
  t[index]               the rows that index, a tensor of whole numbers from 1, names
  t[{2, {3, 5}}] = 0     assigns, a number or a tensor
Single positions and ranges give views, which share the elements. Gradients pass through all of them. By name there are
narrow, select, slice, split, gather, index_select, masked_fill and where.]],
}

topics[2] = {
  names = { "strict" },
  text = [[
strict: require "dlua.strict" makes reading a global variable that was never given a value an error, so that a misspelt
name shows where it stands; and giving a value to a new global inside a function, where a `local` is missing. The main
part of a script may make globals. It is on in the session.]],
}

topics[3] = {
  names = {
    "callback", "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin",
    "on_train_batch_end", "on_test_begin", "on_test_end", "stop_training",
  },
  text = [[
callback: a table with some of these functions, which fit calls; epoch and batch count from 1, logs is a table of
numbers by name ({ loss = 0.3, val_loss = 0.4, ... }).
  on_train_begin(self, logs)               on_train_end(self, logs)
  on_epoch_begin(self, epoch, logs)        on_epoch_end(self, epoch, logs)
  on_train_batch_begin(self, batch, logs)  on_train_batch_end(self, batch, logs)
  on_test_begin(self, logs)                on_test_end(self, logs)
self.model is the model and self.params what fit was asked for (epochs, steps, verbose). self.model.stop_training = true
ends the training after the batch.
  local printer = { on_epoch_end = function(self, epoch, logs) print(epoch, logs.loss) end }
  model:fit { x, y, callbacks = { printer, dlua.callbacks.EarlyStopping { patience = 3 } } }
Ready ones are in dlua.callbacks.]],
}

topics[4] = {
  names = { "none" },
  text = [[
none: dlua.none stands where Keras has None: for an argument that is left empty (activation = dlua.none), and for a size
that is free (Input { shape = { dlua.none, 28 } }). nil in a table cannot be told from nothing at all.]],
}

topics[5] = {
  names = { "extending" },
  functions = {
    "arguments", "describe", "has_resource", "is_terminal", "nearest", "raise", "resource", "set_help", "strict_table",
    "terminal_columns",
  },
  text = [[
extending: layers are written in Lua with dlua.layers.define, and losses and metrics are functions (target, prediction).
What the library's own functions are made with serves others too: dlua.arguments reads a table of arguments and checks
it, dlua.set_help says what help shows, dlua.raise raises an error at the user's line.]],
}

return topics
