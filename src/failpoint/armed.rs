//! The failpoints of a test build: [`Rule`]s from the environment, counted as their points are passed.
//!
//! `FERRY_FAILPOINT=POINT[:SUBJECT]:N=ACTION`, several divided by `;`: at the `N`th passing of the
//! point, by that subject if one is named, the action happens, once. `N+` is every passing from the
//! `N`th on. A subject is a step (`flush`, or the undo `flush.undo-1`) or, at a commit, the kind of
//! an event (`step.finished`); a commit of several events passes once. Actions are `kill`, `panic`,
//! `eio`, `enospc` and `stall[:MS]`. `FERRY_FAILPOINT_TRACE=FILE` writes down what was passed.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::event::Event;

/// Every point there is, and whether it can fail.
const POINTS: &[(&str, bool)] = &[
    ("claim.after", false),
    ("commit.after", false),
    ("commit.before", false),
    ("effect.after", false),
    ("effect.before", false),
    ("journal.write", true),
    ("probe", false),
    ("report", true),
    ("scheduler", false),
    ("worker", false),
];

/// The exit code for a specification that cannot be read: wrong usage.
const WRONG: i32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Panic,
    Fail(Errno),
    Stall(Duration),
}

#[derive(Debug)]
struct Rule {
    point: &'static str,
    subject: Option<String>,
    nth: u64,
    on: bool,
    action: Action,
    passed: AtomicU64,
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not `POINT[:SUBJECT]:N=ACTION`");
        let (place, action) = text.split_once('=').ok_or_else(wrong)?;
        let (place, nth) = place.rsplit_once(':').ok_or_else(wrong)?;
        let (point, subject) = match place.split_once(':') {
            Some((point, subject)) => (point, Some(subject.to_owned())),
            None => (place, None),
        };
        let (point, fails) = POINTS
            .iter()
            .find(|(known, _)| *known == point)
            .ok_or_else(|| format!("there is no point `{point}`"))?;
        let action = match action.split_once(':').unwrap_or((action, "1000")) {
            ("kill", _) => Action::Kill,
            ("panic", _) => Action::Panic,
            ("eio", _) => Action::Fail(Errno::EIO),
            ("enospc", _) => Action::Fail(Errno::ENOSPC),
            ("stall", ms) => Action::Stall(Duration::from_millis(ms.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        if matches!(action, Action::Fail(_)) && !fails {
            return Err(format!("the point `{point}` cannot fail"));
        }
        let (nth, on) = match nth.strip_suffix('+') {
            Some(nth) => (nth, true),
            None => (nth, false),
        };
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(wrong)?;
        Ok(Self {
            point,
            subject,
            nth,
            on,
            action,
            passed: AtomicU64::new(0),
        })
    }

    /// Counts a passing, and says whether this is the one.
    fn is_due(&self, point: &str, by: &dyn Fn(&str) -> bool) -> bool {
        if self.point != point || !self.subject.as_deref().is_none_or(by) {
            return false;
        }
        let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        passed == self.nth || (self.on && passed > self.nth)
    }
}

struct Armed {
    rules: Vec<Rule>,
    trace: Option<File>,
}

fn armed() -> &'static Armed {
    static ARMED: OnceLock<Armed> = OnceLock::new();
    ARMED.get_or_init(|| {
        let text = std::env::var("FERRY_FAILPOINT").unwrap_or_default();
        let rules = text
            .split(';')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
            .map(|rule| Rule::parse(rule).unwrap_or_else(|wrong| refuse(&wrong)));
        Armed {
            rules: rules.collect(),
            trace: std::env::var_os("FERRY_FAILPOINT_TRACE").map(|path| {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                opened.unwrap_or_else(|error| refuse(&error.to_string()))
            }),
        }
    })
}

/// A test that asks for what does not exist must not pass as one in which nothing happened.
fn refuse(wrong: &str) -> ! {
    let _ = writeln!(io::stderr(), "FERRY_FAILPOINT: {wrong}");
    std::process::exit(WRONG)
}

fn at(point: &str, subjects: &str, by: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let armed = armed();
    if let Some(mut trace) = armed.trace.as_ref() {
        // one write, so that lines of several threads stay whole
        let _ = trace.write_all(format!("{point} {subjects}\n").as_bytes());
    }
    // every rule counts, also when one before it is due
    let due: Vec<Action> = armed
        .rules
        .iter()
        .filter(|rule| rule.is_due(point, by))
        .map(|rule| rule.action)
        .collect();
    due.into_iter().try_for_each(|action| act(point, action))
}

fn act(point: &str, action: Action) -> io::Result<()> {
    match action {
        Action::Kill => loop {
            // nothing runs after it: no destructor, no flush, as if the plug was pulled
            let _ = kill(Pid::this(), Signal::SIGKILL);
        },
        Action::Panic => panic!("failpoint `{point}`, on purpose"),
        Action::Fail(errno) => Err(errno.into()),
        Action::Stall(time) => {
            std::thread::sleep(time);
            Ok(())
        }
    }
}

/// A point that can only end or delay the process. `subject` is what passes it: a step.
pub fn pass(point: &str, subject: &str) {
    // no rule that fails is accepted for these
    let _ = at(point, subject, &|wanted| wanted == subject);
}

/// A point that events pass together.
pub fn commit(point: &str, events: &[Event]) {
    let kinds: BTreeSet<String> = events.iter().map(kind).collect();
    let words: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let _ = at(point, &words.join(","), &|wanted| kinds.contains(wanted));
}

/// A point that can also fail.
///
/// # Errors
/// What the rule says.
pub fn io(point: &str) -> io::Result<()> {
    at(point, "", &|_| false)
}

/// `step.finished`, as the journal has it.
fn kind(event: &Event) -> String {
    let value = serde_json::to_value(&event.kind).unwrap_or_default();
    let first = |value: &serde_json::Value| match value {
        serde_json::Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let family = first(&value);
    let word = value.get(&family).map(first).unwrap_or_default();
    format!("{family}.{word}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RunEvent, RunStatus};

    #[test]
    fn rules_are_read_and_wrong_ones_refused() {
        let rule = Rule::parse("commit.after:step.finished:3=kill").unwrap();
        assert_eq!(
            (rule.point, rule.subject.as_deref(), rule.nth, rule.action),
            ("commit.after", Some("step.finished"), 3, Action::Kill)
        );
        let rule = Rule::parse("journal.write:2+=enospc").unwrap();
        assert_eq!(
            (rule.nth, rule.on, rule.action),
            (2, true, Action::Fail(Errno::ENOSPC))
        );
        let rule = Rule::parse("worker:a[1]:1=stall:50").unwrap();
        assert_eq!(rule.action, Action::Stall(Duration::from_millis(50)));
        for (wrong, said) in [
            ("commit.afterr:1=kill", "no point `commit.afterr`"),
            ("commit.after:1=eio", "cannot fail"),
            ("commit.after=kill", "is not"),
            ("commit.after:0=kill", "is not"),
            ("commit.after:1=die", "is not"),
            ("commit.after:x=kill", "is not"),
        ] {
            let found = Rule::parse(wrong).unwrap_err();
            assert!(found.contains(said), "{wrong}: {found}");
        }
    }

    #[test]
    fn a_rule_is_due_once_at_its_passing_and_by_its_subject() {
        let rule = Rule::parse("effect.after:a:2=kill").unwrap();
        let passes = |subject: &str| rule.is_due("effect.after", &|wanted| wanted == subject);
        assert!(!rule.is_due("effect.before", &|_| true));
        assert!(!passes("b"));
        assert!(!passes("a"));
        assert!(passes("a"));
        assert!(!passes("a"));
        let on = Rule::parse("effect.after:2+=kill").unwrap();
        let due: Vec<bool> = (0..4)
            .map(|_| on.is_due("effect.after", &|_| false))
            .collect();
        assert_eq!(due, [false, true, true, true]);
    }

    #[test]
    fn events_are_named_as_in_the_journal() {
        let status = RunStatus::Succeeded;
        let event = |kind: RunEvent| Event {
            seq: 1,
            at: 1,
            kind: kind.into(),
        };
        assert_eq!(kind(&event(RunEvent::Finished { status })), "run.finished");
    }
}
