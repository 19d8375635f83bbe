#!/usr/bin/env bash
# tests/fuzz/fuzz.sh FOLDER TARGET...: builds libFuzzer's programs with clang in FOLDER, under AddressSanitizer and
# UndefinedBehaviorSanitizer, and runs each for RUNS inputs (100000) from the corpus on. What breaks a target is left in
# FOLDER as crash-*; it belongs into the corpus once it is mended.
set -euo pipefail

folder=$1
shift
runs=${RUNS:-100000}
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

cmake -S "$source_dir" -B "$folder" -G Ninja -DCMAKE_C_COMPILER=clang-14 -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DDLUA_SANITIZE=address,undefined -DDLUA_FUZZ=ON -DDLUA_LUA=OFF > "$folder.log"
cmake --build "$folder" --target "${@/#/fuzz_}" >> "$folder.log"

for target in "$@"; do
  found=$folder/found/$target
  mkdir -p "$found"
  echo "$target: $runs inputs"
  (cd "$folder" && "tests/fuzz/fuzz_$target" -runs="$runs" -seed=1 -max_len=4096 -rss_limit_mb=2048 -verbosity=0 \
    "$found" "$source_dir/tests/fuzz/corpus/$target")
done
