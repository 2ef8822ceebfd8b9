//! Properties of timelines, and the cases that they do not show.

use proptest::prelude::*;

use super::make::float;
use super::*;
use crate::event::{Event, PhaseOutline, RunEvent, RunStatus, StepEvent, StepOutline, UndoKind};
use crate::view::samples::{START, Story, planned, report, rolled_back, success};

/// A phase for a test: what it needs, and for each step its estimate and what it takes, in
/// seconds.
type Made = (Vec<usize>, Vec<Times>);

/// The estimate of a step and what it takes, in seconds.
type Times = (Option<u64>, u64);

fn outline(phases: &[Made]) -> crate::event::Planned {
    let step = |at: usize, n: usize, estimate: Option<u64>| StepOutline {
        id: format!("s{at}-{n}"),
        title: None,
        action: "shell".into(),
        changes: false,
        undo: UndoKind::NotNeeded,
        estimate_s: estimate.map(float),
        digest: String::new(),
    };
    let phase = |(at, (needs, steps)): (usize, &Made)| PhaseOutline {
        name: format!("p{at}"),
        title: None,
        needs: needs.iter().map(|need| format!("p{need}")).collect(),
        estimate_s: None,
        parallel: 1,
        steps: (0..steps.len()).map(|n| step(at, n, steps[n].0)).collect(),
    };
    let mut planned = planned();
    planned.outline.phases = phases.iter().enumerate().map(phase).collect();
    planned
}

/// The events of a run whose phases start as soon as they can; in the order of time.
fn events(phases: &[Made]) -> Vec<Event> {
    let mut told: Vec<(u64, usize, StepEvent)> = Vec::new();
    let mut ends = vec![0; phases.len()];
    for (at, (needs, steps)) in phases.iter().enumerate() {
        let mut time = needs.iter().map(|need| ends[*need]).max().unwrap_or(0);
        for (n, (_, takes)) in steps.iter().enumerate() {
            let step = format!("s{at}-{n}");
            let start = StepEvent::Started {
                step: step.clone(),
                attempt: 1,
                captured: None,
            };
            told.push((time, told.len(), start));
            time += takes * 1_000;
            let report = Box::new(report(takes * 1_000, ""));
            told.push((
                time,
                told.len(),
                StepEvent::Finished {
                    step,
                    attempt: 1,
                    report,
                },
            ));
        }
        ends[at] = time;
    }
    told.sort_by_key(|(time, order, _)| (*time, *order));
    let mut story = Story::new()
        .tell(RunEvent::Planned(Box::new(outline(phases))))
        .started();
    let mut last = 0;
    for (time, _, event) in told {
        story = story.after(i64::try_from(time - last).unwrap()).tell(event);
        last = time;
    }
    let end = RunEvent::Finished {
        status: RunStatus::Succeeded,
    };
    story.tell(end).events
}

/// The longest way to the end of each phase, by trying all.
fn longest(phases: &[Made], at: usize, takes: &dyn Fn(&Times) -> u64) -> u64 {
    let before = phases[at]
        .0
        .iter()
        .map(|need| longest(phases, *need, takes));
    before.max().unwrap_or(0) + phases[at].1.iter().map(takes).sum::<u64>() * 1_000
}

fn runs(estimated: bool) -> impl Strategy<Value = Vec<Made>> {
    let step = (any::<bool>(), 0_u64..50, 1_u64..50)
        .prop_map(move |(said, estimate, takes)| ((said || estimated).then_some(estimate), takes));
    let phase = (
        proptest::collection::vec(any::<bool>(), 6),
        proptest::collection::vec(step, 1..4),
    );
    proptest::collection::vec(phase, 1..6).prop_map(|phases| {
        let needs = |at: usize, may: &[bool]| (0..at).filter(|need| may[*need]).collect();
        let phases = phases.into_iter().enumerate();
        phases
            .map(|(at, (may, steps))| (needs(at, &may), steps))
            .collect()
    })
}

proptest! {
    #[test]
    fn the_planned_end_is_the_longest_path(phases in runs(false)) {
        let view = RunView::replay(&events(&phases)[..1]);
        let timeline = Timeline::of(&view, START);
        let ends = (0..phases.len()).map(|at| longest(&phases, at, &|step| step.0.unwrap_or(0)));
        let ends: Vec<_> = ends.collect();
        prop_assert_eq!(timeline.planned.ms, *ends.iter().max().unwrap());
        for (line, end) in timeline.phases.iter().zip(&ends) {
            prop_assert_eq!(line.planned.end, *end);
        }
        let unsaid = phases.iter().any(|(_, steps)| steps.iter().any(|step| step.0.is_none()));
        prop_assert_eq!(timeline.planned.at_least, unsaid);
        // before anything happened it looks as planned
        prop_assert_eq!(timeline.forecast, Some(timeline.planned));
        prop_assert_eq!(timeline.late, timeline.is_planned().then_some(0));
    }

    #[test]
    fn the_forecast_of_a_run_that_is_over_is_what_it_took(phases in runs(true), later in 0_i64..1_000_000) {
        let events = events(&phases);
        let view = RunView::replay(&events);
        let took = u64::try_from(events.last().unwrap().at - START).unwrap();
        let timeline = Timeline::of(&view, events.last().unwrap().at + later);
        prop_assert_eq!(timeline.forecast, Some(Length { ms: took, at_least: false }));
        for (at, line) in timeline.phases.iter().enumerate() {
            prop_assert_eq!(line.forecast, line.actual);
            prop_assert_eq!(line.actual.unwrap().end, longest(&phases, at, &|step| step.1));
            for step in timeline.steps(&view, at) {
                prop_assert_eq!(step.forecast, step.actual);
            }
        }
        if timeline.is_planned() {
            let planned = i64::try_from(timeline.planned.ms).unwrap();
            prop_assert_eq!(timeline.late, Some(i64::try_from(took).unwrap() - planned));
        }
    }

    #[test]
    fn a_run_that_keeps_to_its_plan_is_never_late(phases in runs(true), until in 0_usize..40, now in 0_i64..60_000) {
        let phases: Vec<Made> = phases.into_iter().map(|(needs, steps)| {
            (needs, steps.into_iter().map(|(_, takes)| (Some(takes), takes)).collect())
        }).collect();
        let events = events(&phases);
        let until = until.clamp(2, events.len());
        let next = events.get(until).map_or(i64::MAX, |event| event.at);
        let at = (events[until - 1].at + now).min(next);
        let timeline = Timeline::of(&RunView::replay(&events[..until]), at);
        prop_assert_eq!(timeline.late, Some(0));
        for line in &timeline.phases {
            prop_assert_eq!(line.forecast, Some(line.planned));
        }
    }

    #[test]
    fn a_forecast_keeps_the_order_and_never_lies_in_the_past(phases in runs(false), until in 0_usize..40, now in 0_u64..300_000) {
        let events = events(&phases);
        let until = until.clamp(2, events.len());
        let view = RunView::replay(&events[..until]);
        let at = events[until - 1].at + i64::try_from(now).unwrap();
        let timeline = Timeline::of(&view, at);
        for (line, (needs, _)) in timeline.phases.iter().zip(&phases) {
            let span = line.forecast.unwrap();
            prop_assert!(line.over || span.end >= timeline.now);
            for need in needs {
                prop_assert!(line.actual.is_some() || timeline.phases[*need].forecast.unwrap().end <= span.start);
            }
        }
        for phase in 0..phases.len() {
            let line = timeline.phases[phase];
            for step in timeline.steps(&view, phase) {
                let span = step.forecast.unwrap();
                prop_assert!(line.forecast.unwrap().start <= span.start && span.end <= line.forecast.unwrap().end);
            }
        }
    }
}

/// One phase of a single step after another: 60 s and 30 s are planned.
fn two() -> Vec<Made> {
    vec![
        (vec![], vec![(Some(60), 100)]),
        (vec![0], vec![(Some(30), 30)]),
    ]
}

#[test]
fn a_late_step_moves_what_comes_after_it() {
    let events = events(&two());
    let view = RunView::replay(&events[..3]);
    let timeline = Timeline::of(&view, START + 70_000);
    assert_eq!(
        timeline.planned,
        Length {
            ms: 90_000,
            at_least: false
        }
    );
    assert_eq!(
        timeline.forecast,
        Some(Length {
            ms: 100_000,
            at_least: true
        })
    );
    assert_eq!(
        (timeline.late, timeline.eta()),
        (Some(10_000), Some(START + 100_000))
    );
    assert_eq!(
        timeline.phases[1].forecast,
        Some(Span::new(70_000, 100_000, true))
    );
    assert_eq!(
        (timeline.critical, timeline.critical_now),
        (vec![0, 1], vec![0, 1])
    );
}

#[test]
fn what_nobody_estimated_is_said_and_is_no_lateness() {
    let mut phases = two();
    phases[0].1[0].0 = None;
    let events = events(&phases);
    let view = RunView::replay(&events[..3]);
    let timeline = Timeline::of(&view, START + 70_000);
    assert_eq!(timeline.unknown, [0]);
    assert_eq!(
        timeline.planned,
        Length {
            ms: 30_000,
            at_least: true
        }
    );
    assert_eq!(
        timeline.forecast,
        Some(Length {
            ms: 100_000,
            at_least: true
        })
    );
    assert_eq!(timeline.late, Some(0));
    assert_eq!(timeline.steps(&view, 0)[0].planned, None);
}

#[test]
fn nothing_is_forecast_of_a_run_without_estimates_that_is_worth_a_word() {
    let view = RunView::replay(&events(&[(vec![], vec![(None, 5)])])[..3]);
    let timeline = Timeline::of(&view, START + 1_000);
    assert!(!timeline.is_planned());
    assert_eq!(timeline.late, None);
    assert_eq!(
        timeline.forecast,
        Some(Length {
            ms: 1_000,
            at_least: true
        })
    );
}

#[test]
fn a_run_that_goes_back_goes_forward_no_more() {
    let events = rolled_back(false);
    let view = RunView::replay(&events[..21]);
    let timeline = Timeline::of(&view, START + 50_000);
    assert_eq!(
        (timeline.forecast, timeline.late, timeline.eta()),
        (None, None, None)
    );
    assert_eq!(timeline.phases[2].forecast, None);
    let deploy = timeline.phases[1];
    assert_eq!(deploy.forecast, deploy.actual);
    assert_eq!(deploy.actual.unwrap().end, 9_400);
}

#[test]
fn budgets_and_the_close_of_the_window_are_judged() {
    let mut events = events(&two());
    let Some(crate::event::EventKind::Run(RunEvent::Planned(planned))) =
        events.first_mut().map(|event| &mut event.kind)
    else {
        unreachable!()
    };
    planned.window.total_s = Some(95.0);
    planned.window.closes = Some(START + 120_000);
    let at = |until: usize, now: i64| {
        let timeline = Timeline::of(&RunView::replay(&events[..until]), START + now);
        (timeline.over_total, timeline.past_close)
    };
    assert_eq!(at(2, 0), (None, None));
    assert_eq!(at(3, 70_000), (Some(5_000), None));
    assert_eq!(at(3, 100_000), (Some(35_000), Some(10_000)));
}

#[test]
fn steps_side_by_side_take_the_longest_of_them() {
    let mut planned = outline(&[(vec![], vec![(Some(40), 0), (Some(30), 0), (Some(20), 0)])]);
    planned.outline.phases[0].parallel = 2;
    let story = Story::new()
        .tell(RunEvent::Planned(Box::new(planned)))
        .started();
    let view = RunView::replay(
        &story
            .start("s0-0")
            .start("s0-1")
            .after(35_000)
            .done("s0-1", report(35_000, ""))
            .events,
    );
    let timeline = Timeline::of(&view, START + 35_000);
    assert_eq!(timeline.planned.ms, 50_000);
    let spans: Vec<_> = timeline
        .steps(&view, 0)
        .iter()
        .map(|step| step.forecast.unwrap())
        .collect();
    assert_eq!(
        spans,
        [
            Span::new(0, 40_000, false),
            Span::new(0, 35_000, false),
            Span::new(35_000, 55_000, false)
        ]
    );
    assert_eq!(
        (timeline.forecast.unwrap().ms, timeline.late),
        (55_000, Some(5_000))
    );
}

#[test]
fn the_samples_have_times() {
    let events = success();
    let timeline = Timeline::of(&RunView::replay(&events), START);
    let took = u64::try_from(events.last().unwrap().at - START).unwrap();
    assert_eq!(
        timeline.forecast,
        Some(Length {
            ms: took,
            at_least: false
        })
    );
    // `validate` has no estimate
    assert_eq!(timeline.unknown, [2]);
}
