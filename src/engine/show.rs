//! What is in flight, for people who ask by SIGQUIT: a line a step on standard error, no more.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::executor::Executor;
use crate::action::tree::{self, InFlight};
use crate::runbook::units::human;

impl Executor {
    /// Says on standard error what is in flight, oldest first, since when, and with which processes.
    pub(super) fn show(&self) {
        let running = self.running.iter().map(|(name, job)| (name, job.since));
        let text = text(
            running,
            &self.shared.run,
            &tree::in_flight(),
            Instant::now(),
        );
        // nobody to read it is no failure
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

fn text<'a>(
    running: impl Iterator<Item = (&'a String, Instant)>,
    run: &str,
    trees: &[InFlight],
    now: Instant,
) -> String {
    let mut running: Vec<_> = running.collect();
    running.sort_by_key(|(_, since)| *since);
    let since = |at: Instant| {
        let whole = now.saturating_duration_since(at).as_millis();
        human(Duration::from_millis(
            u64::try_from(whole).unwrap_or(u64::MAX),
        ))
    };
    let mut text = match running.len() {
        0 => format!(
            "run `{run}` (pid {}): nothing is in flight\n",
            std::process::id()
        ),
        n => format!("run `{run}` (pid {}): {n} in flight\n", std::process::id()),
    };
    for (name, at) in running {
        let _ = write!(text, "  `{name}` for {}", since(at));
        for tree in trees.iter().filter(|tree| tree.step == *name) {
            let (direction, attempt, pid) = (tree.direction, tree.attempt, tree.pid);
            let for_ = since(tree.since);
            let _ = write!(
                text,
                ", {direction} attempt {attempt}: process group {pid} for {for_}"
            );
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_with_its_processes() {
        let now = Instant::now();
        let before = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let names = ["b".to_owned(), "a".to_owned()];
        let running = [(&names[0], before(2)), (&names[1], before(65))];
        let tree = InFlight {
            pid: 77,
            step: "a".into(),
            direction: "do",
            attempt: 2,
            since: before(64),
        };
        let expected = format!(
            "run `r` (pid {}): 2 in flight\n  `a` for 1m 05s, do attempt 2: process group 77 for 1m 04s\n  `b` for 2s\n",
            std::process::id()
        );
        assert_eq!(text(running.into_iter(), "r", &[tree], now), expected);
        let none = text(std::iter::empty(), "r", &[], now);
        assert!(none.ends_with("nothing is in flight\n"), "{none}");
    }
}
