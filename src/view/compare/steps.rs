//! The steps of two runs, paired by id: which there are, how long they took, what their results say.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{NoticeKind, SLOWER, SLOWER_MS, StepPair, StepSide};
use crate::event::MEASURED;
use crate::view::{Change, RunView, StepStatus, StepView, diff};

impl StepPair {
    fn of(
        id: &str,
        old: Option<(&RunView, &StepView)>,
        new: Option<(&RunView, &StepView)>,
    ) -> Self {
        let phase = new
            .or(old)
            .map(|(view, step)| view.phases[step.phase].name.clone());
        let steps = [old, new].map(|side| side.map(|(_, step)| step));
        let sides = steps.map(|step| step.map(StepSide::of));
        let took = |at: usize| sides[at].as_ref().and_then(|side| side.took_ms);
        let both = took(0).zip(took(1)).filter(|(was, _)| *was > 0);
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = both.map(|(was, is)| is as f64 / was as f64);
        let more = took(1).unwrap_or(0).saturating_sub(took(0).unwrap_or(0));
        let known = took(0).is_some();
        Self {
            id: id.to_owned(),
            phase: phase.unwrap_or_default(),
            changed: matches!(steps, [Some(old), Some(new)] if another(old, new)),
            slower: known && more >= SLOWER_MS && ratio.is_none_or(|ratio| ratio >= SLOWER),
            ratio,
            values: match steps {
                [Some(old), Some(new)] => values(old, new),
                _ => Vec::new(),
            },
            sides,
        }
    }

    /// What is worth attention, the most urgent thing of it.
    pub(super) fn notice(&self) -> Option<(NoticeKind, String)> {
        let (was, is) = match &self.sides {
            [None, Some(is)] if bad(is.status) => {
                return Some((
                    NoticeKind::Failed,
                    format!("{}, and is new", is.status.words()),
                ));
            }
            [None, _] => return Some((NoticeKind::Added, "is new".into())),
            [Some(_), None] => return Some((NoticeKind::Removed, "is gone".into())),
            [Some(was), Some(is)] => (was, is),
        };
        let words = || format!("{}, was {}", is.status.words(), was.status.words());
        if bad(is.status) && !bad(was.status) {
            return Some((NoticeKind::Failed, words()));
        }
        let skipped = |side: &StepSide| side.status == StepStatus::Skipped;
        let ran = |side: &StepSide| side.status.is_over() && !skipped(side);
        if skipped(is) && ran(was) || skipped(was) && ran(is) {
            return Some((NoticeKind::Skipped, words()));
        }
        if let (true, Some(was), Some(is)) = (self.slower, was.took_ms, is.took_ms) {
            let human = |ms| crate::runbook::units::human(std::time::Duration::from_millis(ms));
            let times = self
                .ratio
                .map_or(String::new(), |ratio| format!(" ({ratio:.1}x)"));
            return Some((
                NoticeKind::Slower,
                format!("{}, was {}{times}", human(is), human(was)),
            ));
        }
        (is.attempt > was.attempt && was.attempt > 0).then(|| {
            let text = format!("{} attempts, was {}", is.attempt, was.attempt);
            (NoticeKind::Retried, text)
        })
    }
}

fn bad(status: StepStatus) -> bool {
    matches!(
        status,
        StepStatus::Failed | StepStatus::Tolerated | StepStatus::InDoubt | StepStatus::Asked
    )
}

impl StepSide {
    fn of(step: &StepView) -> Self {
        Self {
            status: step.status,
            took_ms: step.took_ms(),
            attempt: step.attempt,
            items: step.fan.as_ref().map(|fan| fan.items.len()),
        }
    }
}

/// Whether the runbooks say different things of it. Journals from before there were digests are
/// compared by what they keep.
fn another(old: &StepView, new: &StepView) -> bool {
    let (old, new) = (&*old.outline, &*new.outline);
    if !old.digest.is_empty() && !new.digest.is_empty() {
        return old.digest != new.digest;
    }
    let bare = |outline: &crate::event::StepOutline| crate::event::StepOutline {
        digest: String::new(),
        ..outline.clone()
    };
    bare(old) != bare(new)
}

/// Steps of both runs, each once.
pub(super) fn pairs(old: &RunView, new: &RunView) -> Vec<StepPair> {
    let places: HashMap<&str, usize> = new
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| (step.id(), at))
        .collect();
    // what is gone comes after the step of the later run that it stood behind
    let mut gone: BTreeMap<Option<usize>, Vec<&StepView>> = BTreeMap::new();
    let mut last = None;
    for step in &old.steps {
        match places.get(step.id()) {
            Some(at) => last = Some(*at),
            None => gone.entry(last).or_default().push(step),
        }
    }
    let lost = |at: Option<usize>| gone.get(&at).into_iter().flatten();
    let removed = |step: &&StepView| StepPair::of(step.id(), Some((old, *step)), None);
    let mut pairs: Vec<StepPair> = lost(None).map(removed).collect();
    for (at, step) in new.steps.iter().enumerate() {
        let was = old.step(step.id()).map(|step| (old, step));
        pairs.push(StepPair::of(step.id(), was, Some((new, step))));
        pairs.extend(lost(Some(at)).map(removed));
    }
    pairs
}

/// Single values of the results that differ.
fn values(old: &StepView, new: &StepView) -> Vec<Change> {
    let result = |step: &StepView| match &step.fan {
        None => of_report(step),
        Some(fan) => {
            let items = fan.items.iter().enumerate();
            items
                .map(|(at, item)| (format!("item {at}"), of_report(item)))
                .collect()
        }
    };
    // a step that did not run has no result to compare
    if !old.status.is_over() || !new.status.is_over() || old.attempt.min(new.attempt) == 0 {
        return Vec::new();
    }
    let mut changes = diff(&result(old), &result(new));
    let single = |value: &Option<Value>| !matches!(value, Some(Value::Array(_) | Value::Object(_)));
    changes.retain(|change| {
        single(&change.before) && single(&change.after) && !is_measured(&change.path)
    });
    changes
}

fn of_report(step: &StepView) -> Value {
    step.report
        .as_ref()
        .map_or(Value::Null, |report| report.result.clone())
}

/// Whether a path ends in something that measures the reading itself.
pub(super) fn is_measured(path: &str) -> bool {
    let last = path
        .rsplit(['.', '"'])
        .find(|part| *part != "]" && !part.is_empty());
    last.is_some_and(|last| MEASURED.contains(&last))
}
