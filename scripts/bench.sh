#!/bin/sh
# Prints ferry's figures as ratios to floors measured in the same run. Nothing here can fail a build.
#   scripts/bench.sh          all of them but `keys`
#   scripts/bench.sh chain    one part: chain, fan, syncs, check, small, memory, report, guards
#   scripts/bench.sh keys     redis.keys over a million keys beside redis-cli; takes two minutes
set -eu
cd "$(dirname "$0")/.."
if [ "${1-}" = keys ]; then
    exec cargo bench --locked --quiet --bench keys
fi
command -v strace >/dev/null 2>&1 || printf 'bench: without strace the syncs are not counted\n' >&2
exec cargo bench --locked --quiet --bench figures -- "$@"
