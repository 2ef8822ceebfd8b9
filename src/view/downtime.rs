//! Measured downtime: the times in which a guard with `measures: downtime` failed.
//!
//! Main type: [`Downtime`]. Where two guards measure, the system is down while either fails. Must
//! not: count as up what nobody saw up.

use super::check::Gap;
use super::{CheckView, RunView};

/// How long the system was down, by what was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// The guards that measure it.
    pub guards: Vec<String>,
    /// Looks that they took.
    pub looks: u64,
    /// From when to when it was down, in milliseconds since the Unix epoch; no end: it still is, or was
    /// when nobody looked any more.
    pub spans: Vec<(i64, Option<i64>)>,
    /// All of it, in milliseconds.
    pub ms: u64,
    /// To within how many milliseconds each beginning and end is known: the time from look to look.
    pub precision_ms: u64,
    /// Where nobody looked.
    pub gaps: Vec<Gap>,
    /// For how long nobody looked while it was not known to be down, in milliseconds: it may have been.
    pub unseen_ms: u64,
}

impl Downtime {
    /// Whether it still is down, or was at the end.
    pub fn is_open(&self) -> bool {
        self.spans.last().is_some_and(|(_, to)| to.is_none())
    }
}

impl RunView {
    /// The downtime up to `now`, in milliseconds since the Unix epoch; `None`: no guard measured it.
    pub fn downtime(&self, now: i64) -> Option<Downtime> {
        let guards = self.checks.iter().filter(|check| check.outline.downtime);
        let guards: Vec<&CheckView> = guards.collect();
        if guards.is_empty() {
            return None;
        }
        let mut spans: Vec<(i64, Option<i64>, i64)> = Vec::new();
        for guard in &guards {
            let until = guard.watched_until(now);
            let own = guard.failing.iter();
            spans.extend(own.map(|(from, to)| (*from, *to, to.unwrap_or(until))));
        }
        let spans = union(spans);
        let unseen_ms = unseen(&guards, &spans);
        let long = |(from, _, until): &(i64, Option<i64>, i64)| ms_between(*from, *until);
        let mut gaps: Vec<Gap> = guards.iter().flat_map(|one| one.gaps.clone()).collect();
        gaps.sort_by_key(|gap| gap.from);
        let unkept: u64 = guards.iter().map(|guard| unkept(guard, now)).sum();
        Some(Downtime {
            guards: guards.iter().map(|guard| guard.name.clone()).collect(),
            looks: guards.iter().map(|guard| guard.total().looks).sum(),
            ms: spans.iter().map(long).sum::<u64>() + unkept,
            spans: spans.into_iter().map(|(from, to, _)| (from, to)).collect(),
            precision_ms: guards
                .iter()
                .map(|guard| guard.outline.every_ms)
                .max()
                .unwrap_or(0),
            gaps,
            unseen_ms,
        })
    }
}

/// The time in which somebody did not look, outside of the stretches that count as down: with several
/// guards each has to have looked.
fn unseen(guards: &[&CheckView], down: &[(i64, Option<i64>, i64)]) -> u64 {
    let gaps = guards.iter().flat_map(|guard| &guard.gaps);
    let gaps = union(gaps.map(|gap| (gap.from, Some(gap.to), gap.to)).collect());
    let in_it = |from: i64, to: i64| {
        let both = down.iter().map(|(began, _, until)| {
            let (from, to) = (from.max(*began), to.min(*until));
            ms_between(from, to)
        });
        both.sum::<u64>()
    };
    let long = gaps.iter();
    let seen: u64 = long
        .map(|(from, _, to)| ms_between(*from, *to).saturating_sub(in_it(*from, *to)))
        .sum();
    // a view keeps so many gaps, and the tally counts all
    let unkept = guards.iter().map(|guard| {
        let known: u64 = guard.gaps.iter().map(|gap| gap.missed).sum();
        let more = guard.total().missed.saturating_sub(known);
        more.saturating_mul(guard.outline.every_ms)
    });
    seen + unkept.sum::<u64>()
}

/// What was counted beyond the looks that were kept.
fn unkept(guard: &CheckView, now: i64) -> u64 {
    let total = guard.total();
    let until = guard.watched_until(now);
    let open = total
        .failing_since
        .map_or(0, |since| ms_between(since, until));
    (total.failing_ms + open).saturating_sub(guard.failing_ms(now))
}

/// Stretches that overlap or touch become one; one without an end stays without.
fn union(mut spans: Vec<(i64, Option<i64>, i64)>) -> Vec<(i64, Option<i64>, i64)> {
    spans.sort_by_key(|(from, ..)| *from);
    let mut union: Vec<(i64, Option<i64>, i64)> = Vec::with_capacity(spans.len());
    for (from, to, until) in spans {
        match union.last_mut() {
            Some(last) if from <= last.2 => {
                if until >= last.2 {
                    last.1 = to.filter(|_| last.1.is_some() || until > last.2);
                    last.2 = until;
                }
            }
            _ => union.push((from, to, until)),
        }
    }
    union
}

fn ms_between(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_time_in_which_a_guard_failed_is_the_downtime() {
        let view = RunView::replay(&samples::watched());
        let down = view.downtime(view.ended_at.unwrap()).unwrap();
        assert_eq!((down.ms, down.precision_ms, down.looks), (3_000, 1_000, 6));
        assert_eq!(down.spans.len(), 1);
        assert!(!down.is_open() && down.gaps.is_empty());
        assert_eq!(RunView::replay(&samples::success()).downtime(0), None);
    }

    #[test]
    fn what_nobody_saw_up_again_is_down_to_the_end() {
        let view = RunView::replay(&samples::held());
        let end = view.last_at.unwrap();
        let down = view.downtime(end).unwrap();
        assert!(down.is_open());
        assert_eq!(down.ms, 4_000);
        assert_eq!(view.downtime(end + 500).unwrap().ms, 4_500);
    }

    #[test]
    fn two_guards_measure_the_time_in_which_either_fails() {
        let open = |from: i64, until: i64| (from, None, until);
        let shut = |from: i64, to: i64| (from, Some(to), to);
        assert_eq!(
            union(vec![shut(50, 60), shut(0, 10), shut(5, 20), shut(20, 25)]),
            [shut(0, 25), shut(50, 60)]
        );
        assert_eq!(union(vec![shut(0, 10), open(5, 30)]), [open(0, 30)]);
        assert_eq!(union(vec![open(0, 30), shut(5, 10)]), [open(0, 30)]);
        assert_eq!(union(vec![open(0, 30), shut(5, 30)]), [open(0, 30)]);
    }

    #[test]
    fn a_gap_is_unseen_as_far_as_it_is_not_down_anyway() {
        let mut view = RunView::replay(&samples::watched());
        assert_eq!(view.downtime(i64::MAX).unwrap().unseen_ms, 0);
        let (from, to) = view.checks[0].failing[0];
        let gap = |from, to| Gap {
            from,
            to,
            missed: 1,
        };
        view.checks[0].gaps = vec![gap(from - 4_000, from + 500), gap(from + 100, to.unwrap())];
        assert_eq!(view.downtime(i64::MAX).unwrap().unseen_ms, 4_000);
    }

    #[test]
    fn what_was_counted_and_not_kept_is_down_time_too() {
        let mut view = RunView::replay(&samples::watched());
        view.checks[0].tally.failing_ms += 700;
        assert_eq!(view.downtime(i64::MAX).unwrap().ms, 3_700);
    }
}
