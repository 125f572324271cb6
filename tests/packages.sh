#!/bin/sh
# Checks for the Debian packages that building and testing need; installs them when it may, else says how.
set -u
packages="gcc libc6-dev make pkg-config zlib1g-dev libcjson-dev libxxhash-dev libpcre2-dev libutf8proc-dev libedit-dev libpng-dev check"
missing=
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    as=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as="sudo -n"
else
    echo "These packages are missing. Install them with:" >&2
    echo "  sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
{ $as apt-get update -qq && $as $install >/dev/null; } || {
    echo "That did not work. Try: sudo apt-get update && sudo $install" >&2
    exit 1
}
