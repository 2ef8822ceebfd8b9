//! The timeline as a drawing: each phase with what was planned and what it took, and its steps where
//! they are few.

use super::super::super::text::{clip, ms, seconds};
use super::super::facts::{self, Planned};
use super::page::{Mark, Page};
use super::steps::step_mark;
use crate::view::{PhaseStatus, PhaseView, RunView, StepStatus, StepView};

/// Steps up to which all are drawn; of more, those that took long or did not go well.
const DRAWN: usize = 30;

/// Phases up to which there is a drawing.
const PHASES: usize = 200;

/// Width of the drawing, and where the bars and the columns of numbers are.
const WIDTH: f64 = 760.0;
const BARS: f64 = 196.0;
const BARS_END: f64 = 600.0;
const PLANNED: f64 = 678.0;

/// Heights of a row.
const PHASE_ROW: f64 = 34.0;
const STEP_ROW: f64 = 19.0;
const TOP: f64 = 26.0;

pub(super) fn timeline(view: &RunView, page: &mut Page) {
    let Some(start) = view.started_at.filter(|_| view.phases.len() <= PHASES) else {
        return;
    };
    let planned = facts::planned(view);
    let scale = Scale::of(view, start, &planned);
    let drawn = drawn(view, &scale);
    page.section("Timeline");
    page.raw(concat!(
        "<p class=\"legend\"><span class=\"key plan\"></span>planned, by the estimates of the runbook ",
        "<span class=\"key took\"></span>as it was",
    ));
    if scale.cut {
        page.raw("<span class=\"gap\">▸ planned beyond the drawing</span>");
    }
    page.raw("</p>\n<div class=\"scroll\">\n");
    let rows = view.phases.len() + usize::from(view.rollback.is_some());
    let height = float(rows) * PHASE_ROW + float(drawn.len()) * STEP_ROW + TOP + 4.0;
    page.raw("<svg class=\"gantt\" role=\"img\" aria-label=\"Timeline\" ");
    page.view_box(WIDTH, height);
    scale.axis(height, page);
    let mut y = TOP;
    for (at, (phase, planned)) in view.phases.iter().zip(&planned).enumerate() {
        row_of_phase(view, phase, *planned, (&scale, y), page);
        y += PHASE_ROW;
        for (name, step) in drawn.iter().filter(|(_, step)| step.phase == at) {
            row_of_step(name, step, (&scale, y), page);
            y += STEP_ROW;
        }
    }
    row_of_rollback(view, (&scale, y), page);
    page.raw("</svg>\n</div>\n");
    page.end();
}

/// The steps that have a row.
fn drawn<'a>(view: &'a RunView, scale: &Scale) -> Vec<(String, &'a StepView)> {
    if view.counts().steps <= DRAWN {
        return view.each_step().collect();
    }
    let matters = |step: &StepView| {
        !matches!(
            step.status,
            StepStatus::Done | StepStatus::Skipped | StepStatus::Pending
        )
    };
    let long = |step: &StepView| {
        let took = step.started_at.zip(step.ended_at);
        took.is_some_and(|(from, to)| seconds_between(from, to) >= scale.span_s / 25.0)
    };
    let all = || view.each_step();
    let mut steps: Vec<_> = all()
        .filter(|(_, step)| matters(step))
        .take(DRAWN)
        .collect();
    let room = DRAWN - steps.len();
    steps.extend(
        all()
            .filter(|(_, step)| !matters(step) && long(step))
            .take(room),
    );
    steps.sort_by_key(|(_, step)| (step.phase, step.started_at));
    steps
}

#[expect(clippy::cast_precision_loss, reason = "a number of rows")]
fn float(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a run are far below 2^53"
)]
fn seconds_between(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(0) as f64 / 1_000.0
}

/// From seconds to places in the drawing.
struct Scale {
    start: i64,
    end: i64,
    span_s: f64,
    cut: bool,
}

impl Scale {
    fn of(view: &RunView, start: i64, planned: &[Option<Planned>]) -> Self {
        let end = facts::end(view);
        let took = seconds_between(start, end);
        let ends = planned.iter().flatten().map(|one| one.from_s + one.takes_s);
        let plan = ends.fold(0.0, f64::max);
        // a run that was much shorter than its plan, or than a phase of it, still has to be seen
        let span_s = match (took > 0.0, plan > took * 4.0) {
            (true, true) => took * 1.1,
            (true, false) => took.max(plan),
            (false, _) => plan.max(1.0),
        };
        Self {
            start,
            end,
            span_s,
            cut: plan > span_s,
        }
    }

    fn x(&self, at_s: f64) -> f64 {
        BARS + (at_s / self.span_s).clamp(0.0, 1.0) * (BARS_END - BARS)
    }

    /// A bar of what happened, never too thin to be seen.
    fn bar(
        &self,
        from: i64,
        to: i64,
        class: &'static str,
        (y, height): (f64, f64),
        page: &mut Page,
    ) {
        let left = self
            .x(seconds_between(self.start, from))
            .min(BARS_END - 2.0);
        let right = self.x(seconds_between(self.start, to));
        let numbers = [
            ("x", left),
            ("y", y),
            ("width", (right - left).max(2.0)),
            ("height", height),
            ("rx", 1.5),
        ];
        page.shape("rect", class, &numbers);
    }

    fn axis(&self, height: f64, page: &mut Page) {
        let step = tick(self.span_s);
        let mut at = 0.0;
        while at <= self.span_s * 1.000_1 {
            let x = self.x(at);
            let line = [
                ("x1", x),
                ("y1", TOP - 8.0),
                ("x2", x),
                ("y2", height - 4.0),
            ];
            page.shape("line", "grid", &line);
            page.tag_at("text", "tick", &[("x", x), ("y", 11.0)]);
            page.text(&seconds(at)).end();
            at += step;
        }
        page.tag_at("text", "tick right", &[("x", PLANNED), ("y", 11.0)]);
        page.raw("planned").end();
        page.tag_at("text", "tick right", &[("x", WIDTH), ("y", 11.0)]);
        page.raw("took").end();
    }
}

/// A round distance between ticks, so that there are about four.
pub(super) fn tick(span_s: f64) -> f64 {
    const ROUND: [f64; 22] = [
        0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0,
        600.0, 1_800.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0,
    ];
    let wanted = span_s / 5.0;
    let round = ROUND.into_iter().find(|one| *one >= wanted);
    round.unwrap_or_else(|| (wanted / 86_400.0).ceil() * 86_400.0)
}

fn phase_mark(status: PhaseStatus) -> Mark {
    match status {
        PhaseStatus::Done => Mark::Good,
        PhaseStatus::Failed => Mark::Bad,
        PhaseStatus::Stopped => Mark::Odd,
        PhaseStatus::Pending | PhaseStatus::Skipped => Mark::Off,
        PhaseStatus::Running => Mark::Going,
    }
}

fn bar_class(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "bar good",
        Mark::Bad => "bar bad",
        Mark::Odd => "bar odd",
        Mark::Off => "bar off",
        Mark::Going => "bar going",
    }
}

fn label(class: &'static str, mark: Mark, name: &str, (x, y): (f64, f64), page: &mut Page) {
    page.tag_at("text", class, &[("x", x), ("y", y)]);
    page.raw(mark.sign()).raw(" ").text(name).end();
}

fn number(class: &'static str, text: &str, (x, y): (f64, f64), page: &mut Page) {
    page.tag_at("text", class, &[("x", x), ("y", y)])
        .text(text)
        .end();
}

fn row_of_phase(
    view: &RunView,
    phase: &PhaseView,
    planned: Option<Planned>,
    (scale, y): (&Scale, f64),
    page: &mut Page,
) {
    let status = view.phase_status(phase);
    let mark = phase_mark(status);
    label("phase", mark, &clip(&phase.name, 25), (0.0, y + 18.0), page);
    if let Some(plan) = planned {
        let (left, right) = (scale.x(plan.from_s), scale.x(plan.from_s + plan.takes_s));
        let numbers = [
            ("x", left),
            ("y", y + 5.0),
            ("width", (right - left).max(2.0)),
            ("height", 6.0),
        ];
        if plan.from_s <= scale.span_s {
            page.shape("rect", "plan", &numbers);
        }
        if plan.from_s + plan.takes_s > scale.span_s * 1.000_1 {
            number("tick", "▸", (BARS_END + 3.0, y + 12.0), page);
        }
        number("num", &seconds(plan.takes_s), (PLANNED, y + 18.0), page);
    }
    if let Some(from) = phase.started_at {
        let to = phase.ended_at.unwrap_or(scale.end);
        scale.bar(from, to, bar_class(mark), (y + 13.0, 10.0), page);
    }
    let took = phase.started_at.and_then(|_| phase.took_ms(scale.end));
    let words = match (took, status) {
        (Some(took), _) => ms(took),
        (None, status) => status.words().to_owned(),
    };
    number("num strong", &words, (WIDTH, y + 18.0), page);
}

fn row_of_step(name: &str, step: &StepView, (scale, y): (&Scale, f64), page: &mut Page) {
    let mark = step_mark(step.status);
    label("step", mark, &clip(name, 27), (14.0, y + 12.0), page);
    let ran = step.started_at.filter(|_| step.attempt > 0);
    if let Some(from) = ran {
        let to = step.ended_at.unwrap_or(scale.end);
        scale.bar(from, to, bar_class(mark), (y + 5.0, 7.0), page);
    }
    if let Some(estimate) = step.outline.estimate_s {
        number("num quiet", &seconds(estimate), (PLANNED, y + 12.0), page);
    }
    let words = match (ran, step.took_ms()) {
        (Some(_), Some(took)) => ms(took),
        _ => step.status.words().to_owned(),
    };
    number("num quiet", &clip(&words, 13), (WIDTH, y + 12.0), page);
}

fn row_of_rollback(view: &RunView, (scale, y): (&Scale, f64), page: &mut Page) {
    let Some(rollback) = &view.rollback else {
        return;
    };
    let mark = super::head::run_mark(view.status);
    label("phase", mark, "going back", (0.0, y + 18.0), page);
    let to = rollback.ended_at.unwrap_or(scale.end);
    scale.bar(
        rollback.started_at,
        to,
        bar_class(mark),
        (y + 13.0, 10.0),
        page,
    );
    if let Some(budget) = view.header.window.rollback_s {
        number("num", &seconds(budget), (PLANNED, y + 18.0), page);
    }
    let took = seconds_between(rollback.started_at, to);
    number("num strong", &seconds(took), (WIDTH, y + 18.0), page);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (span, expected) in [
            (3.0, 1.0),
            (0.3, 0.1),
            (2_700.0, 600.0),
            (864_000.0, 172_800.0),
        ] {
            assert!(
                (tick(span) - expected).abs() < 1e-9,
                "{span}: {}",
                tick(span)
            );
        }
    }
}
