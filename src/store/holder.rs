//! Who holds a run, and whether that process is still there.
//!
//! Main type: [`Holder`]. A process is named by host, pid and start time, because pids come back.

use std::fmt;
use std::fs;

/// A process that holds a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Login name of the operator.
    pub who: String,
    /// Host of the process.
    pub host: String,
    /// Its pid.
    pub pid: u32,
    /// Its start, in clock ticks since boot ([`process_started`]); 0: unknown.
    pub started: u64,
}

impl Holder {
    /// Whether this and `other` are one process.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.host == other.host && self.pid == other.pid && self.started == other.started
    }

    /// Whether the process may be alive, as seen from `host`. Of other hosts nothing is known,
    /// so their processes may be.
    pub(super) fn may_be_alive(&self, host: &str) -> bool {
        if self.host != host {
            return true;
        }
        match process_started(self.pid) {
            None => false,
            Some(started) => self.started == 0 || started == 0 || started == self.started,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on `{}` (pid {})", self.who, self.host, self.pid)
    }
}

/// Name of this host, as holders have it.
pub fn this_host() -> String {
    let name = nix::unistd::gethostname();
    let name = name.ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown".into())
}

/// Start of a process on this host in clock ticks since boot, 0 where the system does not tell;
/// `None` if there is no such process or only its remains.
pub fn process_started(pid: u32) -> Option<u64> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => started_in(&stat),
        Err(_) if fs::exists("/proc/self/stat").unwrap_or(false) => None,
        Err(_) => {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
            match nix::sys::signal::kill(pid, None) {
                Err(nix::errno::Errno::ESRCH) => None,
                _ => Some(0),
            }
        }
    }
}

/// Field 22 of `/proc/<pid>/stat`; the fields are counted behind the name in parentheses, which
/// can hold anything.
fn started_in(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_start_behind_any_name() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 424242 20";
        assert_eq!(started_in(&format!("7 (a) b) S {rest}")), Some(424_242));
        assert_eq!(started_in(&format!("7 (sh) Z {rest}")), None);
        assert_eq!(started_in("7 (sh) S 1 2"), None);
    }

    #[test]
    fn this_process_is_alive_under_its_own_start_only() {
        let started = process_started(std::process::id()).unwrap();
        let me = |host: &str, started| Holder {
            who: "ann".into(),
            host: host.into(),
            pid: std::process::id(),
            started,
        };
        assert!(me("here", started).may_be_alive("here"));
        assert!(me("here", 0).may_be_alive("here"));
        assert!(me("there", started + 1).may_be_alive("here"));
        if started > 0 {
            assert!(!me("here", started + 1).may_be_alive("here"));
        }
    }
}
