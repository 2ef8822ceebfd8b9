//! How many steps this process has room for.

use nix::sys::resource::{Resource, getrlimit};

/// Descriptors of the engine itself: store, signals, connections that are kept.
const OWN: u64 = 64;

/// Descriptors of one step: two pipes, its process, its output, a connection.
const EACH: u64 = 5;

/// As many steps as are wanted, or fewer where the limit on open files would end them: a step that
/// waits for its turn is better than one that fails for want of a pipe.
pub(super) fn room(wanted: usize) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let most = limit.saturating_sub(OWN) / EACH;
    wanted
        .min(usize::try_from(most).unwrap_or(usize::MAX))
        .max(1)
}
