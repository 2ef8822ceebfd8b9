//! Two runs beside each other: last time and this time, a rehearsal and the real run.
//!
//! Main type: [`Comparison`]. Steps are paired by id, whatever became of the runbook between the two.
//! Must not: judge which of the two is right; [`Comparison::attention`] only puts first what a person
//! should look at first.

mod checks;
mod steps;

use std::collections::BTreeSet;

use serde_json::json;

pub use self::checks::{CheckPair, CheckSide};
use self::steps::{is_measured, pairs};
use super::{Change, RunView, StepStatus, Waiver, diff};
use crate::event::{Moment, RunStatus};

/// A step is much slower when it takes at least this many times as long,
pub const SLOWER: f64 = 1.5;

/// and at least this many milliseconds more.
pub const SLOWER_MS: u64 = 1_000;

/// What two runs have in common, and what not; `[0]` is the earlier, `[1]` the later argument.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The runs.
    pub runs: [Side; 2],
    /// What to look at first, the worst first.
    pub attention: Vec<Notice>,
    /// In the order of the later run; what it has no more comes where it stood.
    pub steps: Vec<StepPair>,
    /// Inputs that differ.
    pub inputs: Vec<Change>,
    /// Snapshots that differ.
    pub snapshots: Vec<SnapshotPair>,
    /// What was watched, in the order of the later one.
    pub checks: Vec<CheckPair>,
}

/// One of the runs.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its id.
    pub id: String,
    /// The runbook's name.
    pub runbook: String,
    /// Where it stands.
    pub status: RunStatus,
    /// First start, in milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// From the start to the end, or to its last event, in milliseconds.
    pub took_ms: Option<u64>,
    /// The plan's digest.
    pub digest: String,
    /// How many steps it has.
    pub steps: usize,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What kind of thing; the order is that of urgency.
    pub kind: NoticeKind,
    /// The step, the snapshot or another name; empty for the run as a whole.
    pub subject: String,
    /// What it is, in a few words.
    pub text: String,
}

/// Why something is worth attention, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// The runs ended differently, or are of different runbooks.
    Run,
    /// It went well, and fails now.
    Failed,
    /// Somebody decided against a rule, and nobody did before.
    Waiver,
    /// It ran, and is left out now, or the other way round.
    Skipped,
    /// The runbook says something else of it.
    Changed,
    /// It was not there.
    Added,
    /// It is gone.
    Removed,
    /// It takes much longer.
    Slower,
    /// It needs more attempts.
    Retried,
    /// An input is another.
    Input,
    /// The state that was read before the first change is another.
    Snapshot,
}

impl NoticeKind {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Failed => "failed",
            Self::Waiver => "waiver",
            Self::Skipped => "skipped",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Slower => "slower",
            Self::Retried => "retried",
            Self::Input => "input",
            Self::Snapshot => "snapshot",
        }
    }
}

/// A step in both runs, or in one of them.
#[derive(Clone, Debug)]
pub struct StepPair {
    /// Its id.
    pub id: String,
    /// Its phase, in the later run where it is there.
    pub phase: String,
    /// What there is of it.
    pub sides: [Option<StepSide>; 2],
    /// Whether the runbook says something else of it.
    pub changed: bool,
    /// How many times as long it takes; `None` where one of the two is not known, or nothing.
    pub ratio: Option<f64>,
    /// Whether that is much: [`SLOWER`] and [`SLOWER_MS`].
    pub slower: bool,
    /// Single values of its result that differ; what measures the step itself is left out.
    pub values: Vec<Change>,
}

/// A step in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSide {
    /// Where it stands.
    pub status: StepStatus,
    /// What its last attempt took, in milliseconds; of a step with items all of them.
    pub took_ms: Option<u64>,
    /// The latest attempt.
    pub attempt: u32,
    /// How many items it has.
    pub items: Option<usize>,
}

/// A snapshot at the same moment of both runs.
#[derive(Clone, Debug)]
pub struct SnapshotPair {
    /// Which moment.
    pub moment: Moment,
    /// Its name.
    pub name: String,
    /// Where the values differ; empty where they are too large for the journal, or one is missing.
    pub changes: Vec<Change>,
    /// Why there is nothing to compare, where there is not.
    pub why: Option<&'static str>,
}

impl Comparison {
    /// Compares two runs, the earlier first.
    pub fn of(old: &RunView, new: &RunView) -> Self {
        let runs = [old, new].map(side);
        let steps = pairs(old, new);
        let inputs = diff(&json!(old.header.inputs), &json!(new.header.inputs));
        let snapshots = snapshots(old, new);
        let mut made = Self {
            runs,
            attention: Vec::new(),
            steps,
            inputs,
            snapshots,
            checks: checks::pairs(old, new),
        };
        made.attention = made.notices(&old.waivers(), &new.waivers());
        made
    }

    /// How many steps are the same, changed, added and removed, by what the runbooks say.
    pub fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for pair in &self.steps {
            let at = match (&pair.sides, pair.changed) {
                ([Some(_), Some(_)], false) => 0,
                ([Some(_), Some(_)], true) => 1,
                ([None, _], _) => 2,
                ([_, None], _) => 3,
            };
            counts[at] += 1;
        }
        counts
    }

    fn notices(&self, old: &[Waiver], new: &[Waiver]) -> Vec<Notice> {
        let mut found = Vec::new();
        let [was, is] = &self.runs;
        let mut say = |kind, subject: &str, text: String| {
            found.push(Notice {
                kind,
                subject: subject.to_owned(),
                text,
            });
        };
        if was.runbook != is.runbook {
            let text = format!("another runbook: `{}`, not `{}`", is.runbook, was.runbook);
            say(NoticeKind::Run, "", text);
        }
        if was.status != is.status {
            let text = format!("{}, not {}", is.status.words(), was.status.words());
            say(NoticeKind::Run, "", text);
        }
        let known: BTreeSet<_> = old.iter().map(|one| (one.what, &one.subject)).collect();
        for waiver in new
            .iter()
            .filter(|one| !known.contains(&(one.what, &one.subject)))
        {
            let text = format!("{} by {}: {}", waiver.what, waiver.by, waiver.reason);
            say(NoticeKind::Waiver, &waiver.subject, text);
        }
        for pair in &self.steps {
            if let Some((kind, text)) = pair.notice() {
                say(kind, &pair.id, text);
            }
            if pair.changed {
                say(
                    NoticeKind::Changed,
                    &pair.id,
                    "its definition changed".into(),
                );
            }
        }
        for pair in &self.checks {
            if let Some((kind, text)) = pair.notice() {
                say(kind, &pair.name, text);
            }
        }
        for change in &self.inputs {
            say(NoticeKind::Input, &change.path, "another value".into());
        }
        let before = self
            .snapshots
            .iter()
            .filter(|pair| pair.moment == Moment::Before);
        for pair in before {
            let text = match pair.why {
                Some(why) => why.to_owned(),
                None => "another state before the first change".to_owned(),
            };
            say(NoticeKind::Snapshot, &pair.name, text);
        }
        // the order of the runbook stays within a kind
        found.sort_by_key(|notice| notice.kind);
        found
    }
}

fn side(view: &RunView) -> Side {
    Side {
        id: view.id.clone(),
        runbook: view.header.name.clone(),
        status: view.status,
        started_at: view.started_at,
        took_ms: view.last_at.and_then(|last| view.took_ms(last)),
        digest: view.header.digest.clone(),
        steps: view.steps.len(),
    }
}

fn snapshots(old: &RunView, new: &RunView) -> Vec<SnapshotPair> {
    let mut names: Vec<&str> = old.snapshot_names();
    for name in new.snapshot_names() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut found = Vec::new();
    for moment in [Moment::Before, Moment::After, Moment::Restored] {
        let taken = |view: &RunView| view.snapshots.iter().any(|set| set.moment == moment);
        if !taken(old) || !taken(new) {
            continue;
        }
        for name in &names {
            let (was, is) = (old.snapshot(moment, name), new.snapshot(moment, name));
            let (changes, why) = match (was, is) {
                (None, None) => continue,
                (None, _) => (Vec::new(), Some("was not taken before")),
                (_, None) => (Vec::new(), Some("is not taken any more")),
                (Some(was), Some(is)) => match (&was.value, &is.value) {
                    (Some(was), Some(is)) => {
                        let mut changes = diff(was, is);
                        changes.retain(|change| !is_measured(&change.path));
                        (changes, None)
                    }
                    _ if was.failure.is_some() != is.failure.is_some() => {
                        (Vec::new(), Some("could be read in one of the two only"))
                    }
                    _ if was.sha256 == is.sha256 => continue,
                    _ => (
                        Vec::new(),
                        Some("differs; its values are in the run directories only"),
                    ),
                },
            };
            if changes.is_empty() && why.is_none() {
                continue;
            }
            found.push(SnapshotPair {
                moment,
                name: (*name).to_owned(),
                changes,
                why,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventKind, RunEvent, StartRule, StartWaiver, StepEvent};
    use crate::view::samples::{rolled_back, success};

    fn view(id: &str, events: &[Event]) -> RunView {
        RunView::replay(events).with_id(id)
    }

    /// The sample that succeeds, with what it stands on changed.
    fn with(change: impl Fn(&mut crate::event::Planned)) -> Vec<Event> {
        let mut events = success();
        if let EventKind::Run(RunEvent::Planned(planned)) = &mut events[0].kind {
            change(planned);
        }
        events
    }

    fn notices(old: &[Event], new: &[Event]) -> Vec<String> {
        let made = Comparison::of(&view("a", old), &view("b", new));
        let text = |one: &Notice| format!("{} {}: {}", one.kind.word(), one.subject, one.text);
        made.attention.iter().map(text).collect()
    }

    #[test]
    fn a_run_beside_itself_differs_in_nothing() {
        for events in [success(), rolled_back(true)] {
            let made = Comparison::of(&view("a", &events), &view("b", &events));
            assert_eq!(made.attention, []);
            assert!(made.inputs.is_empty() && made.snapshots.is_empty());
            assert_eq!(made.counts(), [6, 0, 0, 0]);
            assert!(
                made.steps
                    .iter()
                    .all(|pair| pair.values.is_empty() && !pair.slower)
            );
            assert!(
                made.steps
                    .iter()
                    .all(|pair| pair.ratio.is_none_or(|ratio| ratio == 1.0))
            );
        }
    }

    #[test]
    fn what_failed_comes_first_and_the_order_of_the_runbook_stays() {
        let found = notices(&success(), &rolled_back(false));
        assert_eq!(
            found,
            [
                "run : rolled back, not succeeded",
                "failed restart: failed, was done",
            ]
        );
        // what fails no more is seen in the table
        assert_eq!(
            notices(&rolled_back(false), &success()),
            ["run : succeeded, not rolled back"]
        );
    }

    #[test]
    fn steps_that_changed_came_and_went_are_found() {
        let new = with(|planned| {
            planned.outline.phases[0].steps[1].id = "disk-room".into();
            planned.outline.phases[1].steps[1].action = "redis.delete".into();
            planned
                .inputs
                .insert("strategy".into(), json!("maintenance"));
            planned.options.waived.push(StartWaiver {
                rule: StartRule::Window,
                by: "ana".into(),
                reason: "the board agreed".into(),
            });
        });
        let found = notices(&success(), &new);
        assert_eq!(
            found,
            [
                "waiver : started outside the window by ana: the board agreed",
                "changed flush: its definition changed",
                "added disk-room: is new",
                "removed disk: is gone",
                "input strategy: another value",
            ]
        );
        let made = Comparison::of(&view("a", &success()), &view("b", &new));
        let ids: Vec<_> = made.steps.iter().map(|pair| pair.id.as_str()).collect();
        assert_eq!(ids[..3], ["redis-answers", "disk", "disk-room"]);
        assert_eq!(made.counts(), [4, 1, 1, 1]);
    }

    #[test]
    fn digests_decide_where_both_journals_have_them() {
        let of = |digest: &str, action: &str| {
            with(|planned| {
                planned.outline.phases[0].steps[1].digest = digest.into();
                planned.outline.phases[0].steps[1].action = action.into();
            })
        };
        assert_eq!(notices(&of("d1", "shell"), &of("d1", "shell")), [""; 0]);
        assert_eq!(
            notices(&of("d1", "shell"), &of("d2", "shell")),
            ["changed disk: its definition changed"]
        );
        assert_eq!(
            notices(&of("", "shell"), &of("d2", "shell")),
            [""; 0],
            "nothing says that it changed"
        );
    }

    #[test]
    fn much_slower_is_half_as_long_again_and_a_second_more() {
        let slow = |ms: u64| {
            let mut events = success();
            for event in &mut events {
                if let EventKind::Step(StepEvent::Finished { step, report, .. }) = &mut event.kind
                    && step == "disk"
                {
                    report.took_ms = ms;
                    report.result =
                        json!({"bytes": ms, "took_ms": ms, "list": [ms], "deep": {"x": "***"}});
                }
            }
            events
        };
        assert_eq!(notices(&slow(1_000), &slow(1_999)), [""; 0]);
        assert_eq!(
            notices(&slow(1_000), &slow(2_000)),
            ["slower disk: 2s, was 1s (2.0x)"]
        );
        assert_eq!(notices(&slow(10_000), &slow(14_000)), [""; 0]);
        assert_eq!(notices(&slow(2_000), &slow(1_000)), [""; 0]);
        let made = Comparison::of(&view("a", &slow(1_000)), &view("b", &slow(2_000)));
        let disk = made.steps.iter().find(|pair| pair.id == "disk").unwrap();
        assert_eq!(disk.ratio, Some(2.0));
        let paths: Vec<_> = disk
            .values
            .iter()
            .map(|change| change.path.as_str())
            .collect();
        assert_eq!(
            paths,
            ["bytes", "list[0]"],
            "what measures the step itself is left out"
        );
    }

    #[test]
    fn snapshots_of_the_same_moment_are_compared() {
        let mut new = success();
        for event in &mut new {
            if let EventKind::Snapshot(crate::event::SnapshotEvent::Taken {
                moment: Moment::Before,
                snapshots,
            }) = &mut event.kind
            {
                snapshots[0].value = Some(json!({"keys": 9, "policy": "lru", "latency_ms": 3}));
            }
        }
        let made = Comparison::of(&view("a", &success()), &view("b", &new));
        assert_eq!(made.snapshots.len(), 1);
        let pair = &made.snapshots[0];
        assert_eq!((pair.moment, pair.name.as_str()), (Moment::Before, "cache"));
        assert_eq!(pair.changes.len(), 1);
        assert_eq!(pair.changes[0].path, "keys");
        assert_eq!(
            notices(&success(), &new),
            ["snapshot cache: another state before the first change"]
        );
    }
}
