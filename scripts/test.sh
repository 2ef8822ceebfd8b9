#!/bin/sh
# Installs what the tests need and runs all of them: format, lints, documentation, units, suite.
set -eu

cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }
die() {
    printf 'test: %s\n' "$*" >&2
    exit 1
}

command -v cargo >/dev/null 2>&1 || die "cargo is missing: install a Rust toolchain first (see the README)"

# --- what the tests start -------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}
can_install() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }
has_postgres() { command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; }
has_mariadb() { command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ]; }

missing=''
need() { missing="$missing $1"; }
command -v cc >/dev/null 2>&1 || need build-essential
command -v redis-server >/dev/null 2>&1 || need redis-server
has_postgres || need postgresql
has_mariadb || need mariadb-server
command -v prometheus >/dev/null 2>&1 || need prometheus
command -v prometheus-redis-exporter >/dev/null 2>&1 || need prometheus-redis-exporter
command -v openssl >/dev/null 2>&1 || need openssl
command -v ssh-keygen >/dev/null 2>&1 || need openssh-client
command -v chromium >/dev/null 2>&1 || need chromium

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || die "please install with your package manager:$missing"
    can_install || die "please install as root:$missing"
    say "installing$missing"
    # Debian starts a service as soon as its package is unpacked, unless this file forbids it; the
    # tests start private servers of their own
    policy=/usr/sbin/policy-rc.d
    policy_is_ours=''
    if [ ! -e "$policy" ]; then
        policy_is_ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        trap '[ -z "$policy_is_ours" ] || as_root rm -f "$policy"' EXIT
    fi
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

# --- the tests ------------------------------------------------------------------------------------

say "format"
cargo fmt --check

say "lints"
cargo clippy --locked --all-targets --quiet -- -D warnings
cargo clippy --locked --all-targets --features failpoints --quiet -- -D warnings

say "documentation"
# private items are documented too, so a public page may point at them
RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --locked --no-deps --document-private-items --quiet

say "units, demo application, suite with its faults"
cargo test --locked --features failpoints --lib --bins --examples --tests

say "all passed"
