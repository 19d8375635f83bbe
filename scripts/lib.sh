# shellcheck shell=bash disable=SC2034 # the lists of packages are used by the scripts that read this file
# What scripts/run and scripts/test share: the Debian packages that each needs, and how a preset is built.
# Everything here talks on stderr, so that stdout holds only what the started program prints.

# In place of a closed stdin, nothing to read: otherwise the first file that a program opens becomes its stdin.
if [ ! -e /dev/fd/0 ]; then
  exec </dev/null
fi

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P) || exit 1

# A package, or package:command where any command of that name serves as well.
packages_to_run=(
  cmake:cmake ninja-build:ninja gcc:gcc libc6-dev pkgconf:pkg-config # to build
  liblua5.4-dev                                                      # scripting
  libjansson-dev zlib1g-dev                                          # JSON, compressed files
  libcurl4-openssl-dev ca-certificates                               # downloads of data sets
  dataset-fashion-mnist                                              # what examples/fashion_mnist.lua learns from
)
packages_to_test=(
  g++:g++                      # the public headers are compiled as C++ too
  lua5.4 lua-busted lua-check  # specs and their lint
  python3:python3              # the HTTP server that downloads are tested with
  shellcheck:shellcheck
)
packages_to_test_long=(
  valgrind
  clang-14 libclang-rt-14-dev  # ThreadSanitizer, libFuzzer
  python3 python3-venv         # the peers from PyPI
)

# say TEXT: a message to the person.
say() {
  printf 'dlua: %s\n' "$1" >&2
}

# missing_packages PACKAGE[:COMMAND]...: prints those that are not there, one a line.
missing_packages() {
  local installed entry
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${@%%:*}" 2>/dev/null)
  for entry in "$@"; do
    if [[ $entry == *:* ]] && command -v "${entry#*:}" >/dev/null; then
      continue
    fi
    if [[ $'\n'$installed$'\n' != *$'\n'"${entry%%:*} installed"$'\n'* ]]; then
      echo "${entry%%:*}"
    fi
  done
}

# ensure_packages PACKAGE[:COMMAND]...: installs those that are missing, as root or through sudo without a password.
# Where it may not, it prints the one line to type and fails.
ensure_packages() {
  local missing become_root=() line
  mapfile -t missing < <(missing_packages "$@")
  if [ ${#missing[@]} -eq 0 ]; then
    return 0
  fi
  line="sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true </dev/null >/dev/null 2>&1; then
      say "error: these Debian packages are missing, and installing them needs root or sudo without a password:"
      say "  ${missing[*]}"
      say "type this line, then start the command again:"
      echo "$line" >&2
      return 1
    fi
    become_root=(sudo -n)
  fi
  say "installing ${missing[*]}"
  # A stale source of packages makes the update fail, but the packages wanted here may still be found.
  "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update </dev/null >&2 ||
    say "apt-get update failed; trying to install all the same"
  if ! "${become_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" </dev/null >&2; then
    say "error: apt-get could not install: ${missing[*]}"
    say "see its messages above; the line to try by hand is:"
    echo "$line" >&2
    return 1
  fi
  hash -r
}

# cached FOLDER VARIABLE: the variable's value in the CMake cache of a build folder.
cached() {
  sed -n "s/^$2:[A-Z]*=//p" "$1/CMakeCache.txt"
}

# is_usable FOLDER: whether what the folder holds was configured here, with tools that are still there. In a checkout
# that was moved or copied it was not.
is_usable() {
  local folder=$1
  [ -f "$folder/build.ninja" ] && [ -f "$folder/CMakeCache.txt" ] &&
    [ "$(cached "$folder" CMAKE_HOME_DIRECTORY)" = "$root" ] &&
    [ "$(cached "$folder" CMAKE_CACHEFILE_DIR)" = "$folder" ] &&
    [ -x "$(cached "$folder" CMAKE_COMMAND)" ] && [ -x "$(cached "$folder" CMAKE_MAKE_PROGRAM)" ]
}

# is_current FOLDER: whether its configuration is still the presets': neither they nor the cache changed since.
is_current() {
  local stamp=$1/.configured
  [ "$stamp" -nt "$root/CMakePresets.json" ] && ! [ "$1/CMakeCache.txt" -nt "$stamp" ]
}

# build PRESET FOLDER TARGET: configures the folder by the preset if it has to, and builds the target. Says nothing
# when there is nothing to do. Two at a time in one folder wait for each other.
build() {
  local preset=$1 folder=$2 target=$3
  mkdir -p "$folder" || return
  (
    flock 9 || exit
    quiet=(--quiet)
    if ! is_usable "$folder"; then
      rm -rf "$folder/CMakeCache.txt" "$folder/CMakeFiles" "$folder/.configured"
    fi
    if ! is_current "$folder"; then
      say "building dlua ($preset) in $folder"
      cd "$root" && cmake --preset "$preset" </dev/null 9>&- >/dev/null || exit
      quiet=()
    fi
    set -o pipefail
    # Ninja 1.11 says this even when it is quiet.
    "$(cached "$folder" CMAKE_MAKE_PROGRAM)" -C "$folder" "${quiet[@]}" "$target" </dev/null 9>&- |
      sed -u '/^ninja: no work to do\.$/d' >&2 || exit
    touch "$folder/.configured" # also when ninja ran cmake again
  ) 9>"$folder/.lock"
}
