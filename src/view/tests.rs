//! What the view makes of hand-made runs.

use super::samples::{self, START, Story};
use super::*;
use crate::event::{Moment, Report, StepEvent};

#[test]
fn a_run_that_comes_to_its_end() {
    let view = RunView::replay(&samples::success()).with_id("r1");
    assert_eq!(view.status, RunStatus::Succeeded);
    assert_eq!(view.header.shown(), "LocMemCache to Redis");
    assert_eq!(view.engines[0].by, "ana");
    assert_eq!(view.took_ms(0), Some(3_300));
    let counts = Counts {
        steps: 7,
        done: 6,
        skipped: 1,
        ..Counts::default()
    };
    assert_eq!(view.counts(), counts);
    let status: Vec<_> = view
        .phases
        .iter()
        .map(|phase| view.phase_status(phase))
        .collect();
    assert_eq!(status, [PhaseStatus::Done; 3]);
    let deploy = &view.phases[1];
    assert_eq!(deploy.took_ms(0), Some(2_500));
    assert_eq!(deploy.late_ms(0), Some(500));
    assert_eq!(view.phases[0].late_ms(0), None);
    assert_eq!(
        view.step("restart[1]").and_then(StepView::took_ms),
        Some(1_000)
    );
    assert_eq!(
        view.step("restart").and_then(StepView::took_ms),
        Some(2_000)
    );
    assert_eq!(
        view.phase_of("restart[0]").map(|phase| phase.name.as_str()),
        Some("deploy")
    );
    assert_eq!(view.step("maintenance").and_then(StepView::took_ms), None);
    assert!(view.step("restart[2]").is_none());
    assert_eq!(view.snapshot_names(), ["cache"]);
    let value = |moment| {
        view.snapshot(moment, "cache")
            .and_then(|one| one.value.as_ref())
            .unwrap()
    };
    assert_eq!(diff(value(Moment::Before), value(Moment::After)).len(), 1);
}

#[test]
fn a_run_that_goes_back() {
    let view = RunView::replay(&samples::rolled_back(false));
    assert_eq!(view.status, RunStatus::RolledBack);
    let status: Vec<_> = view
        .phases
        .iter()
        .map(|phase| view.phase_status(phase))
        .collect();
    assert_eq!(
        status,
        [PhaseStatus::Done, PhaseStatus::Failed, PhaseStatus::Pending]
    );
    let restart = view.step("restart[1]").unwrap();
    assert_eq!(restart.status, StepStatus::Failed);
    assert_eq!(
        restart
            .failures
            .iter()
            .map(|one| one.attempt)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(view.step("restart").unwrap().status, StepStatus::Failed);
    assert_eq!(view.counts().retries, 1);
    let rollback = view.rollback.as_ref().unwrap();
    assert_eq!(rollback.progress(), (3, 3));
    assert_eq!(rollback.taken_back("restart[1]"), Some(true));
    assert_eq!(rollback.taken_back("flush"), None);
    let hurt = RunView::replay(&samples::rolled_back(true));
    let rollback = hurt.rollback.as_ref().unwrap();
    assert_eq!(rollback.taken_back("restart[1]"), Some(false));
    assert_eq!(rollback.count(ItemStatus::Held), 2);
}

#[test]
fn what_is_under_way_is_seen() {
    let events = samples::rolled_back(false);
    let until = |seq: u64| RunView::replay(events.iter().filter(|event| event.seq <= seq));
    let retrying = events
        .iter()
        .find(|event| matches!(&event.kind, EventKind::Step(StepEvent::Failed { .. })))
        .unwrap();
    let view = until(retrying.seq);
    let running = view.running();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].0, "restart[1]");
    assert_eq!(running[0].1.status, StepStatus::Waiting);
    assert_eq!(running[0].1.retry_at, Some(retrying.at + 5_000));
    assert_eq!(view.phase_status(&view.phases[1]), PhaseStatus::Running);
    assert_eq!((view.phases[1].over, view.phases[1].running), (2, 1));
}

#[test]
fn waiting_for_the_effect_counts_and_keeps_the_action_s_result() {
    let acted = Report {
        result: serde_json::json!({"exit_code": 0}),
        ..samples::report(700, "restarted")
    };
    let story = Story::new()
        .planned()
        .started()
        .start("redis-answers")
        .after(700)
        .tell(StepEvent::Acted {
            step: "redis-answers".into(),
            attempt: 1,
            report: Box::new(acted),
        })
        .after(300)
        .done("redis-answers", samples::report(300, ""));
    let view = RunView::replay(&story.events);
    let step = view.step("redis-answers").unwrap();
    assert_eq!(step.took_ms(), Some(1_000));
    let report = step.report.as_ref().unwrap();
    assert_eq!(
        (report.did.as_str(), &report.result["exit_code"]),
        ("restarted", &0.into())
    );
}

#[test]
fn events_that_fit_nothing_change_nothing_and_a_stop_is_kept() {
    let story = Story::new()
        .start("ghost")
        .planned()
        .start("ghost[3]")
        .start("disk[1]")
        .done("restart[0]", Report::default())
        .started()
        .after(10)
        .tell(RunEvent::Parked {
            reason: Parking::Interrupt,
        });
    let mut view = RunView::new();
    story.events.iter().for_each(|event| view.apply(event));
    assert_eq!(view.counts().pending, 6);
    assert_eq!(view.status, RunStatus::Waiting);
    assert_eq!(view.parked, [(START + 10, Parking::Interrupt)]);
}

#[test]
fn a_lean_view_stays_small() {
    let mut view = RunView::lean();
    for event in samples::rolled_back(false) {
        view.apply(&event);
    }
    assert!(view.header.text.is_empty());
    assert!(
        view.each_step()
            .all(|(_, step)| step.report.is_none() && step.item.is_none())
    );
    assert!(size_of::<StepView>() < 512, "{}", size_of::<StepView>());
}
