#!/usr/bin/env bash
# tests/lint/headers.sh COMPILER
#
# Each public header compiles on its own, as C11 and as C++11, without a warning: it is what a host includes.
set -eu
compiler=$1
headers=(engine/include/dlua/*.h)
status=0
for header in "${headers[@]}"; do
  for language in "c -std=c11" "c++ -std=c++11"; do
    # shellcheck disable=SC2086 # the language is two words
    printf '#include <dlua/%s>\nextern int compiles_alone;\n' "${header##*/}" |
      "$compiler" -x $language -pedantic -Wall -Wextra -Wshadow -Werror -fsyntax-only -Iengine/include - || status=1
  done
done
echo "${#headers[@]} public headers"
exit "$status"
