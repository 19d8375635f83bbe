#!/usr/bin/env bash
# The check of the layers finds each kind of breach in a small tree made for it, and none in the tree without them.
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

fail() {
  echo "FAILED: $1" >&2
  failures=$((failures + 1))
}

# expect_breach FILE SOURCE MESSAGE: the file with that source is refused with that message; it is put back after.
expect_breach() {
  local file=$tree/$1 source=$2 message=$3 output
  mkdir -p "${file%/*}"
  if [ -e "$file" ]; then
    mv "$file" "$tree/kept"
  fi
  printf '%s\n' "$source" >"$file"
  if output=$(lua5.4 tests/lint/layers.lua "$tree" 2>&1); then
    fail "$1 with: $source: nothing was found"
  elif [[ $output != *"$1:1: "*"$message"* ]]; then
    fail "$1 with: $source: no message has '$message': $output"
  fi
  rm "$file"
  if [ -e "$tree/kept" ]; then
    mv "$tree/kept" "$file"
  fi
}

mkdir -p "$tree"/engine/{base,kernels,tensor,include/dlua} "$tree/bindings"
printf '#include <dlua/base.h>\n#include "memory.h"\n#include <math.h>\n/* #include "tensor/tensor.h"\n*/\n' \
  >"$tree/engine/base/memory.c"
printf '#include "base/memory.h"\n#include "dlua/tensor.h"\n' >"$tree/engine/tensor/tensor.h"
touch "$tree/engine/base/memory.h" "$tree/engine/include/dlua/tensor.h" "$tree/engine/include/dlua/base.h"
echo '#include "dlua/tensor.h"' >"$tree/engine/include/dlua/dlua.h"
echo '/* dl_parallel is not called here */' >"$tree/bindings/module.c"
if ! lua5.4 tests/lint/layers.lua "$tree"; then
  fail "a tree without a breach is refused"
fi

expect_breach engine/kernels/copy.c '#include "tensor/tensor.h"' "in the layer tensor, above this file's kernels"
expect_breach engine/kernels/copy.c '#include <dlua/tensor.h>' "in the layer tensor, above this file's kernels"
expect_breach engine/tensor/all.c '#include "dlua/dlua.h"' "in the layer nn, above this file's tensor"
expect_breach engine/kernels/copy.c '#include "../tensor/tensor.h"' "climbs out of its folder"
expect_breach engine/kernels/copy.c '#include "stb_image.h"' "no file of the engine"
expect_breach engine/tensor/lua.c '#include <lua.h>' "the engine knows no Lua"
expect_breach engine/tensor/lua.c '#include "lua5.4/lauxlib.h"' "the engine knows no Lua"
expect_breach engine/include/dlua/base.h '#include "dlua/tensor.h"' "in the layer tensor, above this file's base"
expect_breach engine/include/dlua/base.h '#include "base/memory.h"' "includes the internal base/memory.h"
expect_breach engine/include/dlua/base.h '#include <base/memory.h>' "includes the internal base/memory.h"
expect_breach engine/include/dlua/other.h 'int other;' "in no layer of the engine; the layers are"
expect_breach engine/misc/other.c 'int other;' "in no layer of the engine; the layers are"
expect_breach bindings/module.c 'void f(void) { dl_parallel(); }' "do no arithmetic, but use dl_parallel;"
expect_breach bindings/module.c 'void f(void) { dl_kernel()->fill(); }' "do no arithmetic, but use dl_kernel;"

rm -r "$tree/bindings"
if lua5.4 tests/lint/layers.lua "$tree" 2>/dev/null; then
  fail "a tree without bindings is accepted"
fi
if [ "$failures" -gt 0 ]; then
  exit 1
fi
echo "every kind of breach is found"
