#!/bin/sh
# What the tests need beside Python: a browser, Japanese fonts, PostgreSQL's server programs,
# Redis, and a spreadsheet program that opens and saves our files.
# Installs Debian's packages where it may; otherwise says which command would.
set -eu

wanted=""
# Without its windows Chromium needs a quarter less of the processor for the same pages; with them will do.
has() { command -v "$1" >/dev/null 2>&1; }
has chromium-headless-shell || has chromium || wanted="$wanted chromium-headless-shell"
fc-list 2>/dev/null | grep -qi "noto sans cjk" || wanted="$wanted fonts-noto-cjk fontconfig"
if [ -z "${TEST_DATABASE_URL:-}" ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
    && ! command -v initdb >/dev/null 2>&1; then
    wanted="$wanted postgresql"
fi
command -v redis-server >/dev/null 2>&1 || wanted="$wanted redis-server"
command -v soffice >/dev/null 2>&1 || wanted="$wanted libreoffice-calc-nogui"
[ -n "$wanted" ] || exit 0

install="apt-get install -y --no-install-recommends$wanted"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 - the words of the command
    $install >/dev/null
else
    echo "The tests need more programs. Please run: sudo apt-get update && sudo $install" >&2
    exit 1
fi
