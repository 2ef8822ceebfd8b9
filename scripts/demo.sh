#!/bin/sh
# The newcomer's command: builds ferry, starts a small real world on loopback, migrates it (or makes
# the migration fail on purpose and proves the rollback), and stops what it started.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/demo.sh [--break deploy|login|logs] [--keep] [--state-dir DIR]

  --break WHAT      make the migration fail after it changed the world, and prove the rollback:
                      deploy  the new version answers 500
                      login   nobody can log in to the new version
                      logs    the new version fills its log with cache errors
  --keep            leave the demo world running afterwards
  --state-dir DIR   where ferry keeps its journal and reports (default: state/demo)
TEXT
}

say() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

break_what=''
keep=''
state_dir=''
while [ $# -gt 0 ]; do
    case $1 in
        --break | --state-dir)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            if [ "$1" = --break ]; then break_what=$2; else state_dir=$2; fi
            shift
            ;;
        --break=*) break_what=${1#*=} ;;
        --state-dir=*) state_dir=${1#*=} ;;
        --keep) keep=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
fault=''
case $break_what in
    '') ;;
    deploy) fault=5xx-after-deploy ;;
    login) fault=login-fails ;;
    logs) fault=log-errors ;;
    *) usage >&2; exit 2 ;;
esac

called_from=$(pwd)
CDPATH='' cd -- "$(dirname "$0")/.."
root=$(pwd)
case $state_dir in
    '') state_dir=$root/state/demo ;;
    /*) ;;
    *) state_dir=$called_from/$state_dir ;;
esac

# --- what the machine must have -----------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}
can_install() { [ "$manager" = brew ] || [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; }

# Debian starts a service as soon as its package is unpacked, unless this file forbids it.
policy=/usr/sbin/policy-rc.d
policy_is_ours=''
forbid_services() {
    [ -e "$policy" ] && return 0
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}
allow_services() {
    [ -n "$policy_is_ours" ] || return 0
    as_root rm -f "$policy"
    policy_is_ours=''
}

apt_updated=''
apt_install() {
    forbid_services
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -qq
        apt_updated=yes
    fi
    code=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" || code=$?
    allow_services
    return "$code"
}

# need WHAT APT DNF APK PACMAN ZYPPER BREW: installs WHAT by the package of the system's manager.
# Several packages in one word, divided by `|`, are tried one after another.
need() {
    missing=$1
    if command -v apt-get >/dev/null 2>&1; then manager=apt-get packages=$2
    elif command -v dnf >/dev/null 2>&1; then manager=dnf packages=$3
    elif command -v apk >/dev/null 2>&1; then manager=apk packages=$4
    elif command -v pacman >/dev/null 2>&1; then manager=pacman packages=$5
    elif command -v zypper >/dev/null 2>&1; then manager=zypper packages=$6
    elif command -v brew >/dev/null 2>&1; then manager=brew packages=$7
    else die "$missing is missing, and no package manager was found that could install it"
    fi
    can_install || die "$missing is missing, and there is no sudo: as root, install the package \`$packages\` with $manager, then start this again"
    old_ifs=$IFS
    IFS='|'
    set -- $packages
    IFS=$old_ifs
    for package in "$@"; do
        say "$missing is missing: installing the package \`$package\` with $manager"
        # one word may be several packages
        # shellcheck disable=SC2086
        case $manager in
            apt-get) apt_install $package && return 0 ;;
            dnf) as_root dnf install -y -q $package && return 0 ;;
            apk) as_root apk add -q $package && return 0 ;;
            pacman) as_root pacman -Sy --noconfirm --needed $package && return 0 ;;
            zypper) as_root zypper --non-interactive --quiet install $package && return 0 ;;
            brew) brew install $package && return 0 ;;
        esac
    done
    die "$manager could not install $missing"
}

have_redis() { command -v redis-server >/dev/null 2>&1 || command -v valkey-server >/dev/null 2>&1; }
have_compiler() { command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1; }

world=''
clean_up() {
    status=$?
    trap - EXIT INT TERM
    allow_services
    if [ -n "$world" ]; then
        if [ -n "$keep" ] && [ -e "$world/world.env" ]; then
            say "the world still runs in $world; stop it with: $demo_app world down --world $world"
        else
            "$demo_app" world down --world "$world" >/dev/null || status=1
            rm -rf "$world"
        fi
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_redis() {
    need redis-server redis-server 'redis|valkey' 'redis|valkey' 'valkey|redis' 'redis|valkey' redis
    # the package enables its service for the next boot; the demo has no use for one
    if [ "$manager" = apt-get ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet redis-server.service 2>/dev/null || true
        say 'the redis service was neither started nor enabled: the demo runs its own server'
    fi
}

if ! command -v cargo >/dev/null 2>&1; then
    # rustup's directory is not on the PATH of every shell
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null 2>&1 || die 'cargo is missing: install Rust from https://rustup.rs, then start this again'
fi
have_compiler || need 'a C compiler' 'gcc libc6-dev' gcc 'gcc musl-dev' gcc gcc gcc
have_redis || install_redis
have_redis || die 'redis-server is still missing after its package was installed'

# --- build --------------------------------------------------------------------------------------

say 'building ferry and the demo application (the first time takes some minutes)'
cargo build --locked --bin ferry --example demo-app
target=${CARGO_TARGET_DIR:-target}
case $target in
    /*) ;;
    *) target=$root/$target ;;
esac
ferry=$target/debug/ferry
demo_app=$target/debug/examples/demo-app
[ -x "$ferry" ] && [ -x "$demo_app" ] || die "the build left no binaries in $target/debug"

# --- the world before ---------------------------------------------------------------------------

world=$(mktemp -d "${TMPDIR:-/tmp}/ferry-demo.XXXXXX")
say "starting a world in $world"
"$demo_app" world up --world "$world"

# the fingerprints lie beside the journal, to be looked at afterwards
mkdir -p "$state_dir"
before=$state_dir/world-before.json
after=$state_dir/world-after.json
rm -f "$after"
"$demo_app" world digest --world "$world" >"$before"
say 'the world before:'
cat "$before"

if [ -n "$fault" ]; then
    say "breaking it on purpose: fault \`$fault\`"
    "$demo_app" fault set "$fault" --world "$world"
fi

# --- the migration ------------------------------------------------------------------------------

say "ferry run runbooks/hybrid-cache.yaml --state-dir $state_dir --yes"
code=0
(
    set -a
    # shellcheck disable=SC1091
    . "$world/world.env"
    set +a
    exec "$ferry" run runbooks/hybrid-cache.yaml --state-dir "$state_dir" --yes
) || code=$?

report=$state_dir/report.html
if "$ferry" report --state-dir "$state_dir" --format html --output "$report" &&
    "$ferry" report --state-dir "$state_dir" --format md --output "$state_dir/report.md"; then
    say "the report: $report"
else
    say 'no report could be made'
    [ "$code" -ne 0 ] || code=1
fi
"$demo_app" world digest --world "$world" >"$after" || die "the world cannot be read after the run (ferry exited with $code)"

# --- did it go as promised? ---------------------------------------------------------------------

if [ -z "$break_what" ]; then
    [ "$code" -eq 0 ] || die "the migration did not succeed: ferry exited with $code"
    backend=$("$demo_app" print-backend --world "$world")
    [ "$backend" = django_redis.cache.RedisCache ] || die "ferry reported success, but the backend is $backend"
    say "migrated: the application now runs on $backend"
    # what a lead does at the end: sign, hand the report over, and anybody can prove it whole
    run=$("$ferry" runs --state-dir "$state_dir" | awk 'NR == 2 { print $1 }')
    "$ferry" sign "$run" --as lead --comment 'the demo went as it should' --state-dir "$state_dir"
    "$ferry" report "$run" --state-dir "$state_dir" --output "$state_dir/report.html"
    "$ferry" verify "$state_dir/report.html"
    say "the signed report: $state_dir/report.html"
    exit 0
fi

[ "$code" -eq 11 ] || die "expected a migration that failed and was rolled back (exit code 11); ferry exited with $code"
if ! cmp -s "$before" "$after"; then
    diff "$before" "$after" >&2 || true
    die 'ferry reported a complete rollback, but the world is not as before'
fi
say 'failed as asked and rolled back: Redis, database, settings and instances are exactly as before'
