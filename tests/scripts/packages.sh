#!/usr/bin/env bash
# How the scripts come by their packages, on machines that are made up: a folder of programs stands in for dpkg-query,
# id, sudo and apt-get, writes down what they are called with, and is all that PATH holds besides the basic tools.
set -u
. tests/scripts/common.sh

tools=$scratch/tools
calls=$scratch/calls
mkdir "$tools"
for tool in bash env sed readlink dirname flock mkdir cat; do
  ln -s "$(command -v "$tool")" "$tools/$tool"
done

# tool NAME SOURCE: a program of the made-up machine.
tool() {
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$tools/$1"
  chmod +x "$tools/$1"
}

# machine INSTALLED USER SUDO UPDATE_STATUS INSTALL_STATUS: SUDO is "yes", "refuses" or "absent". What is installed
# grows by what apt-get installs.
machine() {
  : >"$calls"
  echo "${1// /$'\n'}" >"$scratch/installed"
  tool dpkg-query "while read -r name; do echo \"\$name installed\"; done <'$scratch/installed'"
  tool id "echo $2"
  rm -f "$tools/sudo"
  case $3 in
    yes) tool sudo "echo \"sudo \$*\" >>'$calls'; shift; exec \"\$@\"" ;;
    refuses) tool sudo "echo 'sudo: a password is required' >&2; exit 1" ;;
  esac
  tool true 'exit 0'
  tool apt-get "echo \"apt-get \$* (\$DEBIAN_FRONTEND)\" >>'$calls'
cat >/dev/null
if [ \"\$1\" = update ]; then echo updated; exit $4; fi
exit $5"
}

# ensure PACKAGE...: ensure_packages on the made-up machine. Sets output, errors and status.
ensure() {
  output=$(echo "for the script" | PATH=$tools bash -c \
    '. scripts/lib.sh; ensure_packages "$@" || exit; cat' ensure "$@" 2>"$scratch/errors")
  status=$?
  errors=$(cat "$scratch/errors")
}

machine "one two" 0 absent 0 0
ensure one two
expect_equal "nothing is missing: status" "$status" 0
expect_equal "nothing is missing: calls" "$(cat "$calls")" ""
expect_equal "nothing is missing: messages" "$errors" ""

machine "one" 0 absent 0 0
ensure one two three
expect_equal "as root: status" "$status" 0
expect_equal "as root: calls" "$(cat "$calls")" "apt-get update (noninteractive)
apt-get install -y --no-install-recommends two three (noninteractive)"
expect_equal "as root: stdin is left for the script, and stdout is its own" "$output" "for the script"

machine "" 1000 yes 0 0
ensure one
expect_equal "through sudo: status" "$status" 0
expect_contains "through sudo: update" "$(cat "$calls")" \
  "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update"
expect_contains "through sudo: install" "$(cat "$calls")" \
  "apt-get install -y --no-install-recommends one (noninteractive)"

for sudo in refuses absent; do
  machine "one" 1000 "$sudo" 0 0
  ensure one two three
  expect_equal "sudo $sudo: status" "$status" 1
  expect_equal "sudo $sudo: calls" "$(cat "$calls")" ""
  expect_contains "sudo $sudo: the line to type" "$errors" \
    "sudo apt-get update && sudo apt-get install -y --no-install-recommends two three"
  expect_contains "sudo $sudo: an error" "$errors" "error:"
done

machine "" 0 absent 100 0
ensure one
expect_equal "the update fails, the installation does not: status" "$status" 0
machine "" 0 absent 0 100
ensure one
expect_equal "the installation fails: status" "$status" 1
expect_contains "the installation fails: the message" "$errors" "error: apt-get could not install: one"

machine "" 1000 absent 0 0
tool cmake 'exit 0'
ensure cmake:cmake
expect_equal "a command serves for its package: status" "$status" 0
ensure ninja-build:ninja
expect_equal "neither the command nor its package: status" "$status" 1

# The whole scripts, where nothing may be installed.
for script in run test; do
  errors=$(PATH=$tools "scripts/$script" 2>&1 >"$scratch/output" <&-)
  expect_equal "scripts/$script without its packages: status" "$?" 1
  expect_equal "scripts/$script without its packages: stdout" "$(cat "$scratch/output")" ""
  expect_contains "scripts/$script without its packages: the line to type" "$errors" "
sudo apt-get update && sudo apt-get install -y --no-install-recommends "
done
finish
