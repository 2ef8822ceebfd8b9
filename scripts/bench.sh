#!/bin/sh
# Prints ferry's figures as ratios to floors measured in the same run. Nothing here can fail a build.
#   scripts/bench.sh          all of them
#   scripts/bench.sh chain    one part: chain, fan, syncs, check, small, memory, report
set -eu
cd "$(dirname "$0")/.."
command -v strace >/dev/null 2>&1 || printf 'bench: without strace the syncs are not counted\n' >&2
exec cargo bench --locked --quiet --bench figures -- "$@"
