//! How the times of a run are worked out: the plan by its estimates, the forecast from where it stands.
//!
//! Main type: [`Maker`]. Everything is linear in phases, steps and edges.

use super::{Length, Span, millis, since};
use crate::event::RunStatus;
use crate::graph::{Graph, in_lanes};
use crate::view::{PhaseView, RunView, StepView};

#[expect(clippy::cast_precision_loss, reason = "2^52 ms are 140,000 years")]
pub(super) fn float(ms: u64) -> f64 {
    ms as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of whole milliseconds, not negative"
)]
fn whole(ms: f64) -> u64 {
    ms as u64
}

/// The plan's part of a timeline.
pub(super) struct Planned {
    pub(super) spans: Vec<Span>,
    pub(super) critical: Vec<usize>,
    pub(super) total: Length,
}

/// What a timeline is made from.
pub(super) struct Maker<'a> {
    view: &'a RunView,
    pub(super) graph: Graph,
    pub(super) start: i64,
    /// From the start.
    pub(super) now: u64,
    /// When the way forward ended before its end, from the start.
    stopped: Option<u64>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(view: &'a RunView, now: i64) -> Self {
        let index: std::collections::HashMap<&str, usize> = view
            .phases
            .iter()
            .enumerate()
            .map(|(at, phase)| (phase.name.as_str(), at))
            .collect();
        let needs = |phase: &PhaseView| {
            let needs = phase.needs.iter();
            needs
                .filter_map(|need| index.get(need.as_str()).copied())
                .collect()
        };
        let start = view.started_at.unwrap_or(now);
        let mut made = Self {
            view,
            graph: Graph::new(view.phases.iter().map(needs).collect()),
            start,
            now: since(start, now),
            stopped: None,
        };
        made.stopped = made.stopped();
        made
    }

    /// When the way forward ended before its end: by a failure, an order, or the way back.
    fn stopped(&self) -> Option<u64> {
        let view = self.view;
        let ends = match view.status {
            RunStatus::Planned | RunStatus::Running | RunStatus::Waiting => {
                view.failure.is_some() || view.rollback.is_some()
            }
            RunStatus::Succeeded => false,
            _ => true,
        };
        let back = view.rollback.as_ref().map(|back| back.started_at);
        let at = back.or(view.ended_at).or(view.last_at);
        ends.then(|| at.map_or(self.now, |at| since(self.start, at)))
    }

    /// The end of a run that is over.
    pub(super) fn ended(&self) -> Option<u64> {
        Some(since(self.start, self.view.ended_at?))
    }

    pub(super) fn is_over(&self, phase: &PhaseView) -> bool {
        phase.ended_at.is_some() || phase.skipped.is_some() || self.stopped.is_some()
    }

    pub(super) fn actual(&self, phase: &PhaseView) -> Option<Span> {
        let start = since(self.start, phase.started_at?);
        let end = phase.ended_at.map(|end| since(self.start, end));
        let end = end.or(self.stopped).unwrap_or(self.now);
        Some(Span::new(start, end, false))
    }

    pub(super) fn actual_step(&self, step: &StepView) -> Option<Span> {
        let start = since(self.start, step.started_at?);
        let end = step.ended_at.map(|end| since(self.start, end));
        let end = end.or(self.stopped).unwrap_or(self.now);
        Some(Span::new(start, end, false))
    }

    pub(super) fn unknown(&self) -> Vec<usize> {
        let phases = self.view.phases.iter().enumerate();
        phases
            .filter(|(_, phase)| is_unknown(phase))
            .map(|(at, _)| at)
            .collect()
    }

    /// What a phase is planned to take.
    fn takes(phase: &PhaseView) -> u64 {
        phase.estimate_s.map_or(0, millis)
    }

    pub(super) fn planned(&self) -> Planned {
        let phases = &self.view.phases;
        let takes: Vec<_> = phases
            .iter()
            .map(|phase| float(Self::takes(phase)))
            .collect();
        let schedule = self.graph.schedule(&takes);
        let mut at_least = vec![false; phases.len()];
        let mut spans = vec![Span::default(); phases.len()];
        for at in self.graph.order() {
            let needs = self.graph.needs(at);
            at_least[at] = is_unknown(&phases[at]) || needs.iter().any(|need| at_least[*need]);
            let start = schedule.starts[at];
            spans[at] = Span::new(whole(start), whole(start + takes[at]), at_least[at]);
        }
        Planned {
            spans,
            critical: schedule.critical,
            total: Length {
                ms: whole(schedule.total),
                at_least: at_least.contains(&true),
            },
        }
    }

    /// Each phase as it looks now.
    pub(super) fn forecast(&self) -> Vec<Option<Span>> {
        let phases = &self.view.phases;
        let mut spans: Vec<Option<Span>> = vec![None; phases.len()];
        // where one that was left out would have ended: what needs it starts no earlier
        let mut ends = vec![(0, false); phases.len()];
        for at in self.graph.order() {
            let phase = &phases[at];
            let needs = self.graph.needs(at).iter();
            let (ready, at_least) = needs.fold((0, false), |(end, at_least), need| {
                (ends[*need].0.max(end), at_least | ends[*need].1)
            });
            spans[at] = match self.actual(phase) {
                Some(actual) if self.is_over(phase) => Some(actual),
                Some(actual) => Some(self.under_way(phase, actual.start)),
                None if self.is_over(phase) => None,
                None => {
                    let start = ready.max(self.now);
                    let end = start + Self::takes(phase);
                    Some(Span::new(start, end, at_least || is_unknown(phase)))
                }
            };
            ends[at] = spans[at].map_or((ready, at_least), |span| (span.end, span.at_least));
        }
        spans
    }

    /// A phase that has started and is not over: its own estimate and those of its steps count,
    /// whichever ends later.
    fn under_way(&self, phase: &PhaseView, start: u64) -> Span {
        let steps = self.forecast_steps(phase, start);
        let by_steps = steps
            .iter()
            .flatten()
            .fold(self.now, |end, step| end.max(step.end));
        let open = steps.iter().flatten().any(|step| step.at_least);
        if phase.estimate_s.is_none() || phase.at_least {
            return Span::new(start, by_steps, open || is_unknown(phase));
        }
        let said = start + Self::takes(phase);
        // steps without an estimate are within that of their phase until it is over
        let end = said.max(by_steps);
        Span::new(start, end, end <= self.now && open)
    }

    /// The steps of a phase that is planned to start at `start`, or, when it is `open`, no earlier.
    pub(super) fn planned_steps(
        &self,
        phase: &PhaseView,
        start: u64,
        open: bool,
    ) -> Vec<Option<Span>> {
        let steps = &self.view.steps[phase.steps.clone()];
        let takes = steps.iter().map(|step| float(estimate(step).unwrap_or(0)));
        let lanes = vec![float(start); phase.parallel.clamp(1, steps.len().max(1))];
        let spans = in_lanes(&takes.collect::<Vec<_>>(), lanes);
        let mut at_least = open;
        let line = |(step, (start, end)): (&StepView, (f64, f64))| {
            let known = estimate(step).is_some();
            at_least |= !known;
            known.then(|| Span::new(whole(start), whole(end), at_least))
        };
        steps.iter().zip(spans).map(line).collect()
    }

    /// The steps of a phase that started, or starts, at `start`.
    pub(super) fn forecast_steps(&self, phase: &PhaseView, start: u64) -> Vec<Option<Span>> {
        let steps = &self.view.steps[phase.steps.clone()];
        let begun: Vec<Option<Span>> = steps.iter().map(|step| self.begun(step)).collect();
        let ahead = |step: &StepView, begun: &Option<Span>| {
            begun.is_none() && !step.status.is_over() && self.stopped.is_none()
        };
        let from = float(start.max(self.now));
        let busy = steps.iter().zip(&begun);
        let mut free: Vec<f64> = busy
            .filter(|(step, span)| span.is_some() && !step.status.is_over())
            .filter_map(|(_, span)| Some(float(span.as_ref()?.end)))
            .collect();
        let lanes = phase.parallel.clamp(1, steps.len().max(1));
        free.resize(lanes.max(free.len()), from);
        let left: Vec<f64> = steps
            .iter()
            .zip(&begun)
            .filter(|(step, begun)| ahead(step, begun))
            .map(|(step, _)| float(estimate(step).unwrap_or(0)))
            .collect();
        let mut at_least = begun.iter().flatten().any(|span| span.at_least);
        let mut spans = in_lanes(&left, free).into_iter();
        let line = |(step, begun): (&StepView, Option<Span>)| {
            if !ahead(step, &begun) {
                return begun;
            }
            at_least |= estimate(step).is_none();
            let (start, end) = spans.next()?;
            Some(Span::new(whole(start), whole(end), at_least))
        };
        steps.iter().zip(begun).map(line).collect()
    }

    /// A step that has started: what it took, or until when it is expected to.
    fn begun(&self, step: &StepView) -> Option<Span> {
        let actual = self.actual_step(step)?;
        if step.status.is_over() || self.stopped.is_some() {
            return Some(actual);
        }
        let said = estimate(step).map(|takes| actual.start + takes);
        let late = said.is_none_or(|end| end < self.now);
        let end = said.unwrap_or(0).max(self.now);
        Some(Span::new(actual.start, end, late))
    }

    pub(super) fn whole(&self, forecast: &[Option<Span>]) -> Option<Length> {
        if self.stopped.is_some() {
            return None;
        }
        if let (RunStatus::Succeeded, Some(ms)) = (self.view.status, self.ended()) {
            return Some(Length {
                ms,
                at_least: false,
            });
        }
        let known = forecast.iter().flatten();
        Some(known.fold(
            Length {
                ms: self.now,
                at_least: false,
            },
            |whole, span| Length {
                ms: whole.ms.max(span.end),
                at_least: whole.at_least | span.at_least,
            },
        ))
    }

    /// The chain of phases that ends last.
    pub(super) fn chain(&self, forecast: &[Option<Span>]) -> Vec<usize> {
        let end = |at: &usize| forecast[*at].map(|span| span.end);
        let mut node = (0..forecast.len())
            .filter(|at| end(at).is_some())
            .reduce(|best, at| if end(&at) > end(&best) { at } else { best });
        let mut chain = Vec::new();
        while let Some(at) = node {
            chain.push(at);
            let needs = self.graph.needs(at).iter().copied();
            node = needs
                .filter(|need| end(need).is_some())
                .reduce(|best, at| if end(&at) > end(&best) { at } else { best });
        }
        chain.reverse();
        chain
    }

    /// Against a plan in which what nobody estimated takes what it takes.
    pub(super) fn late(&self, whole: Length, forecast: &[Option<Span>]) -> Option<i64> {
        let phases = &self.view.phases;
        if phases.iter().all(|phase| Self::takes(phase) == 0) {
            return None;
        }
        let takes = |(phase, span): (&PhaseView, &Option<Span>)| match is_unknown(phase) {
            true => float(Self::takes(phase).max(span.map_or(0, Span::ms))),
            false => float(Self::takes(phase)),
        };
        let takes: Vec<_> = phases.iter().zip(forecast).map(takes).collect();
        let planned = whole_i64(self.graph.schedule(&takes).total);
        Some(i64::try_from(whole.ms).unwrap_or(i64::MAX) - planned)
    }
}

fn whole_i64(ms: f64) -> i64 {
    i64::try_from(whole(ms)).unwrap_or(i64::MAX)
}

/// Whether something of it has no estimate.
fn is_unknown(phase: &PhaseView) -> bool {
    phase.estimate_s.is_none() || phase.at_least
}

/// Milliseconds that a step is expected to take.
fn estimate(step: &StepView) -> Option<u64> {
    step.outline.estimate_s.map(millis)
}
