#!/usr/bin/env bash
# What the tests need from the system, beside Python: a browser, a font that has N'Ko, and, on Linux,
# what makes hosts of namespaces (tests/support/lab.py; to make them needs root).
# Usage: tests/needs.sh    (installs what is missing with apt-get; elsewhere it says what to install)
set -euo pipefail

browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome ||
    command -v google-chrome-stable || ls "/Applications/Google Chrome.app" 2>/dev/null
}
# U+07D2 is a letter of N'Ko.
font() {
  if command -v fc-list >/dev/null; then
    fc-list ':charset=07d2' family | grep -q .
  else
    ls /System/Library/Fonts/Supplemental/NotoSansNKo-Regular.ttf >/dev/null 2>&1
  fi
}

# Of each program that a lab of hosts is made with, the package that has it.
lab() {
  [ "$(uname)" = Linux ] || return 0
  command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || echo openssh-server
  command -v ssh >/dev/null || echo openssh-client
  command -v rsync >/dev/null || echo rsync
  command -v ip >/dev/null && command -v tc >/dev/null || echo iproute2
  command -v unshare >/dev/null || echo util-linux
  command -v pgrep >/dev/null || echo procps
}

missing=()
browser >/dev/null || missing+=(chromium)
font || missing+=(fonts-noto-core fontconfig)
for package in $(lab); do missing+=("$package"); done
if [ ${#missing[@]} -eq 0 ]; then
  echo "the tests have what they need: $(browser | head -n 1), a font with N'Ko, hosts of namespaces"
  exit 0
fi

by_hand() {
  echo "the tests need a browser (Chromium or Google Chrome), a font with N'Ko (Noto Sans NKo) and sshd, rsync, iproute2."
  echo "missing here: ${missing[*]} (by their names in Debian)."
  echo "$1"
  exit 1
} >&2

command -v apt-get >/dev/null || by_hand "there is no apt-get here: install them by hand, then run this again"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || by_hand "run as root: apt-get install -y ${missing[*]}"
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing ${missing[*]}"
install=("${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 install -y -q --no-install-recommends "${missing[@]}")
# The lists may be old, or were never fetched.
"${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 update -q >/dev/null; "${install[@]}" >/dev/null; }
browser >/dev/null && font && [ -z "$(lab)" ] || by_hand "apt-get installed ${missing[*]}, but they were not found"
echo "the tests have what they need: $(browser | head -n 1), a font with N'Ko"
