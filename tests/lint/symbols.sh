#!/usr/bin/env bash
# tests/lint/symbols.sh LIBRARY PREFIX
#
# A shared library keeps its promises to a host, as far as its symbols show them: all names that it exports begin with
# the prefix (an extended regular expression), and it uses nothing that ends the process, prints, sets signal handlers,
# or changes what belongs to the whole process.
set -eu
library=$1
prefix=$2

# symbols OPTION: the names that the library defines or needs, one a line, without their versions.
symbols() {
  nm --dynamic --format=posix "$1" "$library" | sed 's/[@ ].*//' | sort -u
}

forbidden=(
  exit _exit _Exit quick_exit abort __assert_fail raise kill
  printf vprintf puts putchar perror __printf_chk __vprintf_chk stdout stderr
  signal sigaction __sysv_signal
  rand srand random srandom drand48 setlocale setenv unsetenv putenv chdir umask
)
status=0
exported=$(symbols --defined-only)
if ! grep -qE "^$prefix" <<<"$exported"; then
  echo "$library exports nothing" >&2
  status=1
fi
if grep -vE "^$prefix" <<<"$exported" >&2; then
  echo "are exported by $library, but not named $prefix..." >&2
  status=1
fi
if symbols --undefined-only | grep -xF "$(printf '%s\n' "${forbidden[@]}")" >&2; then
  echo "are not for a library to use, but $library does" >&2
  status=1
fi
exit "$status"
