//! Properties of the state machine, over random graphs, random ends and random orders of reports.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::state::RunState;
use super::{Effect, Input, InputKind};
use crate::action::Registry;
use crate::event::{
    Cause, EventKind, Failure, Moment, Outcome, Parking, Part, Report, RollbackEvent, RunEvent,
    RunOptions, RunStatus, SnapshotTaken, StepEvent,
};
use crate::plan::Plan;
use crate::runbook;

/// A runbook of phases whose steps are all alike but for what proptest chose.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// For each phase: needs among the phases before it, steps, parallel.
    pub(super) phases: Vec<(Vec<bool>, Vec<StepShape>, usize)>,
    snapshots: bool,
}

#[derive(Clone, Debug)]
pub(super) struct StepShape {
    pub(super) reading: bool,
    pub(super) undo: bool,
    pub(super) items: usize,
    retry: bool,
    checked: bool,
    waits: bool,
    pub(super) tolerate: bool,
    /// More keys, each a line.
    pub(super) more: Vec<&'static str>,
}

fn step() -> impl Strategy<Value = StepShape> {
    (any::<[bool; 5]>(), 0_usize..4, prop::bool::weighted(0.1)).prop_map(
        |(flags, items, tolerate)| StepShape {
            reading: flags[0],
            undo: flags[1],
            items: if items == 3 { 3 } else { 0 },
            retry: flags[2],
            checked: flags[3],
            waits: flags[4],
            tolerate,
            more: Vec::new(),
        },
    )
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let phase = (
        prop::collection::vec(any::<bool>(), 6),
        prop::collection::vec(step(), 1..4),
        1_usize..3,
    );
    (prop::collection::vec(phase, 1..5), any::<bool>())
        .prop_map(|(phases, snapshots)| Shape { phases, snapshots })
}

pub(super) fn text(shape: &Shape) -> String {
    let mut text = String::from("runbook: random\n");
    if shape.snapshots {
        text += "snapshots: { s: { shell: 'true', read_only: true } }\n";
    }
    text += "phases:\n";
    for (at, (needs, steps, parallel)) in shape.phases.iter().enumerate() {
        let needs: Vec<_> = (0..at)
            .filter(|need| needs[*need])
            .map(|need| format!("p{need}"))
            .collect();
        let _ = write!(
            text,
            "  p{at}:\n    needs: [{}]\n    parallel: {parallel}\n    steps:\n",
            needs.join(", ")
        );
        for (n, step) in steps.iter().enumerate() {
            let _ = writeln!(text, "      - id: s{at}-{n}\n        shell: 'true'");
            for (said, line) in [
                (step.reading, "read_only: true"),
                (step.undo, "undo: [{ shell: 'true' }]"),
                (!step.undo, "undo: none"),
                (step.items > 0, "for_each: [a, b, c]\n        parallel: 2"),
                (step.retry, "retry: { limit: 2, backoff: 1s }"),
                (
                    step.checked,
                    "done_when: { shell: 'true', read_only: true, expect: 'result.exit_code == 0' }",
                ),
                (
                    step.waits,
                    "then_wait: { shell: 'true', read_only: true, expect: 'true', within: 5s }",
                ),
                (step.tolerate, "tolerate: true"),
            ] {
                if said {
                    let _ = writeln!(text, "        {line}");
                }
            }
            for line in &step.more {
                let _ = writeln!(text, "        {line}");
            }
        }
    }
    text
}

pub(super) fn plan(shape: &Shape) -> Arc<Plan> {
    let read = runbook::read(&text(shape), &Registry::all().catalog());
    let Some(runbook) = read.runbook else {
        panic!("{:?}\n{}", read.diagnostics, text(shape));
    };
    Arc::new(Plan::new(
        runbook,
        &read.meaning,
        BTreeMap::new(),
        Vec::new(),
    ))
}

/// How effects end: a script of small numbers, read one at a time.
pub(super) struct Dice {
    pub(super) rolls: Vec<u8>,
    pub(super) at: usize,
}

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        let roll = usize::from(self.rolls[self.at % self.rolls.len()]);
        // another round is another one, so that no circle of throws goes on for ever
        let round = self.at / self.rolls.len();
        let mixed = (roll + self.at)
            .wrapping_mul(round)
            .wrapping_mul(0x9e37_79b9)
            >> 13;
        self.at += 1;
        (roll + mixed) % sides
    }

    pub(super) fn failure(&mut self, one_in: usize) -> Option<Failure> {
        let outcome = [Outcome::NotApplied, Outcome::Unknown][self.roll(2)];
        let cause = [Cause::Failed, Cause::Unreachable, Cause::Invalid][self.roll(3)];
        let failed = self.roll(one_in) == 0;
        failed.then(|| Failure {
            cause,
            outcome,
            message: "as the dice fell".into(),
            hint: None,
        })
    }
}

/// What a driven run looked like.
struct Driven {
    state: RunState,
    events: Vec<(EventKind, i64)>,
    most_in_flight: usize,
}

fn drive(plan: &Arc<Plan>, rolls: Vec<u8>, stop_at: Option<usize>) -> Driven {
    let mut dice = Dice { rolls, at: 0 };
    let mut state = RunState::new(
        Arc::clone(plan),
        "run",
        "dir",
        RunOptions {
            max_parallel: Some(4),
            ..RunOptions::default()
        },
    );
    let mut events = Vec::new();
    let mut open: Vec<Effect> = Vec::new();
    let mut next = InputKind::Begin {
        by: "me".into(),
        host: "here".into(),
        pid: 1,
        attended: false,
        guided: false,
    };
    let mut most_in_flight = 0;
    for now in 0..10_000_i64 {
        let decision = state.advance(&Input {
            at: now,
            kind: next,
        });
        events.extend(decision.events.into_iter().map(|event| (event, now)));
        open.extend(decision.effects);
        most_in_flight = most_in_flight.max(state.in_flight);
        if stop_at == Some(usize::try_from(now).unwrap()) {
            let decision = state.advance(&Input {
                at: now,
                kind: InputKind::Stop {
                    reason: Parking::Interrupt,
                },
            });
            events.extend(decision.events.into_iter().map(|event| (event, now)));
            open.extend(decision.effects);
        }
        open.retain(|effect| {
            !matches!(
                effect,
                Effect::StopReading | Effect::StopWatching | Effect::StopAll { .. }
            )
        });
        if open.is_empty() {
            return Driven {
                state,
                events,
                most_in_flight,
            };
        }
        let effect = open.swap_remove(dice.roll(open.len()));
        next = answer(&effect, &mut dice);
    }
    panic!("the run does not end");
}

pub(super) fn answer(effect: &Effect, dice: &mut Dice) -> InputKind {
    let report = Box::<Report>::default();
    match effect {
        Effect::Prepare { key, attempt } => InputKind::Prepared {
            key: *key,
            attempt: *attempt,
            done: None,
            captured: None,
            failure: dice.failure(12),
        },
        Effect::Execute { key, attempt } | Effect::Settle { key, attempt } => InputKind::Reported {
            key: *key,
            attempt: *attempt,
            report,
            failure: dice.failure(5),
        },
        Effect::Diagnose { key } => InputKind::Diagnosed {
            key: *key,
            looks: Vec::new(),
        },
        Effect::Wake { key, .. } => InputKind::Due { key: *key },
        Effect::WakeItem { item, .. } => InputKind::ItemDue { item: *item },
        Effect::Snapshots { moment } => {
            let failure = dice.failure(12);
            let taken = SnapshotTaken {
                name: "s".into(),
                file: None,
                sha256: None,
                value: None,
                failure,
            };
            InputKind::Snapshots {
                moment: *moment,
                taken: vec![taken],
            }
        }
        Effect::Item { item, attempt } => InputKind::ItemReported {
            item: *item,
            attempt: *attempt,
            report,
            failure: dice.failure(6),
        },
        Effect::Examine { key, attempt } => InputKind::Examined {
            key: *key,
            attempt: *attempt,
            done: None,
            failure: dice.failure(3),
        },
        Effect::ExamineItem { item, attempt } => InputKind::ItemExamined {
            item: *item,
            attempt: *attempt,
            undone: None,
            failure: dice.failure(3),
        },
        Effect::Watch { .. }
        | Effect::Unwatch { .. }
        | Effect::StopWatching
        | Effect::StopReading
        | Effect::StopAll { .. } => InputKind::Advance,
    }
}

/// The state as text, maps in order, so that two can be compared.
pub(super) fn fingerprint(state: &RunState) -> String {
    let fans: BTreeMap<_, _> = state.fans.iter().collect();
    let results: BTreeMap<_, _> = state.results.iter().collect();
    let captured: BTreeMap<_, _> = state.captured.iter().collect();
    let doubts: BTreeMap<_, _> = state.doubts.iter().collect();
    let approved: std::collections::BTreeSet<_> = state.approved.iter().collect();
    let checks: BTreeMap<_, _> = state.checks.iter().collect();
    let moments = [
        Moment::Before,
        Moment::Baseline,
        Moment::After,
        Moment::Restored,
    ];
    let snapshots: Vec<_> = moments
        .iter()
        .map(|moment| state.snapshots.get(moment))
        .collect();
    format!(
        "{checks:?} {:?}\n{doubts:?} {:?} {approved:?} {:?} {:?}\n{:?} {:?} {:?}\n{:?}\n{fans:?}\n{results:?}\n{captured:?}\n{:?}\n{:?} {} {} {}\n{:?}\n{snapshots:?}\n{:?}",
        (state.failed_at, state.moved),
        state.questions,
        state.lines,
        state.orders,
        state.status,
        state.started_at,
        state.stopping,
        (&state.phases, &state.steps),
        state.settled,
        state.startable,
        state.phases_over,
        state.in_flight,
        state.waiting,
        state.failure,
        state.rollback,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_fold_of_the_journal_is_the_live_state(shape in shape(), rolls in prop::collection::vec(any::<u8>(), 1..200), stop in prop::option::weighted(0.3, 0_usize..40)) {
        let plan = plan(&shape);
        let driven = drive(&plan, rolls, stop);
        let mut folded = RunState::new(Arc::clone(&plan), "run", "dir", driven.state.options.clone());
        for (event, at) in &driven.events {
            folded.apply(event, *at);
        }
        prop_assert_eq!(fingerprint(&folded), fingerprint(&driven.state));
        // nothing is left hanging: a run with nothing in flight is over
        prop_assert!(driven.state.status.is_over(), "{:?}\n{}", driven.state.status, text(&shape));
        prop_assert_eq!(driven.state.in_flight, 0);
        prop_assert!(driven.most_in_flight <= 4);
    }

    #[test]
    fn the_undo_order_is_the_reverse_of_what_completed(shape in shape(), rolls in prop::collection::vec(any::<u8>(), 1..200)) {
        let plan = plan(&shape);
        let driven = drive(&plan, rolls, None);
        let Some(back) = &driven.state.rollback else { return Ok(()); };
        let with_undo = |name: &String| {
            let key = plan.key(name).unwrap();
            matches!(plan.step(key.step).undo, runbook::Undo::Steps(_))
        };
        let mut ended: Vec<String> = driven.state.changed().into_iter().map(|key| plan.name(key)).filter(with_undo).collect();
        ended.reverse();
        let undone: Vec<String> = back.items.iter().filter(|item| item.part == Part::Undo).filter_map(|item| item.of.clone()).collect();
        prop_assert_eq!(&undone, &ended);
        // and what stood on something is undone before it
        for (at, later) in undone.iter().enumerate() {
            for earlier in &undone[..at] {
                let (a, b) = (plan.key(earlier).unwrap(), plan.key(later).unwrap());
                let before = plan.graph.before();
                prop_assert!(!before[plan.phase_of(b.step)][plan.phase_of(a.step)], "{earlier} before {later}");
            }
        }
    }

    #[test]
    fn nothing_starts_before_what_it_needs_is_over(shape in shape(), rolls in prop::collection::vec(any::<u8>(), 1..200)) {
        let plan = plan(&shape);
        let driven = drive(&plan, rolls, None);
        let before = plan.graph.before();
        let mut left: Vec<usize> = plan.runbook.phases.iter().map(|phase| phase.steps.len()).collect();
        let mut failed = false;
        let mut folded = RunState::new(Arc::clone(&plan), "run", "dir", driven.state.options.clone());
        for (event, at) in &driven.events {
            if let EventKind::Step(StepEvent::Started { step, .. } | StepEvent::Checking { step, .. }) = event {
                let phase = plan.phase_of(plan.key(step).unwrap().step);
                for (need, is) in before[phase].iter().enumerate() {
                    prop_assert!(!is || left[need] == 0, "{step} started while p{need} is not over");
                }
                let retry_or_first = folded.failure.is_none();
                prop_assert!(retry_or_first, "{step} started after the run failed");
            }
            folded.apply(event, *at);
            left = folded.phases.iter().map(|phase| phase.left).collect();
            if let EventKind::Run(RunEvent::Failed(_)) = event {
                prop_assert!(!failed, "the run failed twice");
                failed = true;
            }
        }
        let list: Vec<_> = driven.events.iter().filter(|(event, _)| matches!(event, EventKind::Rollback(RollbackEvent::Planned { .. }))).collect();
        prop_assert!(list.len() <= 1);
        match driven.state.status {
            RunStatus::Succeeded => prop_assert!(!failed && driven.state.phases_over == plan.runbook.phases.len()),
            RunStatus::RolledBack | RunStatus::RollbackFailed => prop_assert!(failed),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
