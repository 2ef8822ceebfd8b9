#!/bin/sh
# Kills ferry at many places of a migration of 40 steps, resumes it, and compares what really happened
# with what ferry says. Prints the counts; ends with 1 unless nothing was lost, doubled or illegal.
set -eu
cd "$(dirname "$0")/.."

usage() {
    cat <<'TEXT'
usage: scripts/soak.sh [--kills N] [--minutes M]

  --kills N     kill points by failpoints (default: 1000); a tenth of that for the release binary,
                which is killed at its nth sync
  --minutes M   no new point after that time, which is then a failure (default: 60)
TEXT
}

kills=1000
minutes=60
while [ $# -gt 0 ]; do
    case $1 in
        --kills | --minutes)
            [ $# -ge 2 ] || { usage >&2; exit 64; }
            case $2 in '' | *[!0-9]*) usage >&2; exit 64 ;; esac
            if [ "$1" = --kills ]; then kills=$2; else minutes=$2; fi
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 64 ;;
    esac
    shift
done

say() { printf '==> %s\n' "$*" >&2; }
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

if ! command -v strace >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }; then
        say 'installing strace'
        as_root apt-get update -q >/dev/null
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends strace >/dev/null ||
            say 'strace could not be installed: the release binary is not killed at its syncs'
    else
        say 'without strace the release binary is not killed at its syncs'
    fi
fi

target=${CARGO_TARGET_DIR:-target}
case $target in
    /*) ;;
    *) target=$(pwd)/$target ;;
esac

say 'building the release binary'
cargo build --locked --release --bin ferry
# the next build has failpoints, and takes the place of this one
mkdir -p "$target/soak"
cp "$target/release/ferry" "$target/soak/ferry"

say 'building the harness'
cargo test --locked --release --features failpoints --test suite --no-run

FERRY_SOAK_KILLS=$kills FERRY_SOAK_MINUTES=$minutes FERRY_SOAK_PLAIN=$target/soak/ferry \
    cargo test --locked --quiet --release --features failpoints --test suite -- \
    --ignored --exact --nocapture faults::soak::soak || exit 1
