//! Properties of the state machine under crashes and orders: whatever is cut off and whoever says
//! what when, nothing is done twice, nothing is lost, and nothing is left hanging.
//!
//! A crash is what an engine leaves: the journal up to a commit, and nothing of what was in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::state::RunState;
use super::tests::{Dice, Shape, answer, fingerprint, plan, shape, text};
use super::{Effect, Input, InputKind, StepStatus, allowed};
use crate::event::{
    Answer, Cause, CloseOut, EventKind, Failure, Moment, Note, NoteKind, OperatorEvent, Order,
    Outcome, Parking, Question, Report, Resolution, RollbackEvent, RunOptions, RunStatus,
    StepEvent, Vote,
};
use crate::expr::{Evidence, Verdict};
use crate::plan::{Plan, StepKey};

/// Sessions after which the operator closes the run.
const PATIENCE: usize = 12;

/// Orders thrown in.
const MOST: usize = 30;

/// A shape whose steps also say what a doubt means, and where nothing is taken back.
fn doubtful() -> impl Strategy<Value = Shape> {
    let more = prop::collection::vec((0_u8..6, any::<bool>()), 12);
    (shape(), more).prop_map(|(mut shape, more)| {
        let mut more = more.into_iter().cycle();
        for step in shape.phases.iter_mut().flat_map(|phase| &mut phase.1) {
            let (kind, second) = more.next().unwrap();
            if step.reading {
                continue;
            }
            match kind {
                0 | 1 => step.more.push("idempotent: true"),
                2 => step.more.push("in_doubt: fail"),
                3 if second && step.items == 0 && !step.tolerate => {
                    step.undo = false;
                    step.more.push("point_of_no_return: true");
                }
                _ => {}
            }
        }
        shape
    })
}

fn evidence(verdict: Verdict) -> Vec<Evidence> {
    vec![Evidence {
        expression: "as the dice fell".into(),
        verdict,
        values: Vec::new(),
        reason: None,
    }]
}

fn everything(order: usize, dice: &mut Dice, state: &RunState) -> Order {
    let named = |dice: &mut Dice| {
        let asked: Vec<String> = state.questions().map(|(step, _)| step).collect();
        match (asked.is_empty(), dice.roll(4)) {
            (true, _) | (_, 0) => "s0-0".into(),
            _ => asked[dice.roll(asked.len())].clone(),
        }
    };
    match order {
        0 => Order::Pause,
        1 => Order::Resume,
        2 => Order::Cancel { no_rollback: false },
        3 => Order::Cancel { no_rollback: true },
        4 => Order::Abort,
        5 => Order::Rollback,
        6 => Order::Waive {
            step: lost(state).first().cloned().unwrap_or("s0-0".into()),
        },
        7 => Order::Close,
        _ => {
            let words = [
                Answer::Done,
                Answer::NotDone,
                Answer::Retry,
                Answer::Proceed,
                Answer::Rollback,
                Answer::Abort,
            ];
            Order::Answer {
                step: named(dice),
                answer: words[dice.roll(6)],
                code: (dice.roll(3) > 0).then(|| state.code()),
            }
        }
    }
}

fn lost(state: &RunState) -> Vec<String> {
    let back = state.rollback.iter().flat_map(|back| {
        let items = back.items.iter().zip(&back.states);
        items.filter(|(_, state)| state.is_lost())
    });
    back.map(|(item, _)| item.id.clone()).collect()
}

/// What was open when it was told to end may end so.
fn stopped(effect: &Effect, state: &RunState, dice: &mut Dice) -> Option<InputKind> {
    let outcome = match effect {
        Effect::Execute { key, .. } if state.plan().step(key.step).changes() => {
            [Outcome::Unknown, Outcome::NotApplied][dice.roll(2)]
        }
        Effect::Settle { key, .. } if state.plan().step(key.step).changes() => Outcome::Applied,
        Effect::Item { item, .. } if state.item_changes(*item) => {
            [Outcome::Unknown, Outcome::NotApplied][dice.roll(2)]
        }
        Effect::Examine { .. } | Effect::ExamineItem { .. } => Outcome::Unknown,
        _ => Outcome::NotApplied,
    };
    let failure = Some(Failure {
        cause: Cause::Stopped,
        outcome,
        message: "it was told to end".into(),
        hint: None,
    });
    let report = Box::<Report>::default();
    Some(match effect {
        Effect::Prepare { key, attempt } => InputKind::Prepared {
            key: *key,
            attempt: *attempt,
            done: None,
            captured: None,
            failure,
        },
        Effect::Execute { key, attempt } | Effect::Settle { key, attempt } => InputKind::Reported {
            key: *key,
            attempt: *attempt,
            report,
            failure,
        },
        Effect::Item { item, attempt } => InputKind::ItemReported {
            item: *item,
            attempt: *attempt,
            report,
            failure,
        },
        Effect::Examine { key, attempt } => InputKind::Examined {
            key: *key,
            attempt: *attempt,
            done: None,
            failure,
        },
        Effect::ExamineItem { item, attempt } => InputKind::ItemExamined {
            item: *item,
            attempt: *attempt,
            undone: None,
            failure,
        },
        _ => return None,
    })
}

/// A probe that has something to say, where there is one.
fn probed(effect: &Effect, state: &RunState, dice: &mut Dice) -> Option<InputKind> {
    let verdict = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive][dice.roll(3)];
    match effect {
        Effect::Examine { key, attempt } if state.plan().step(key.step).done_when.is_some() => {
            Some(InputKind::Examined {
                key: *key,
                attempt: *attempt,
                done: Some(evidence(verdict)),
                failure: None,
            })
        }
        Effect::Prepare { key, attempt }
            if state.plan().step(key.step).done_when.is_some() && dice.roll(3) == 0 =>
        {
            Some(InputKind::Prepared {
                key: *key,
                attempt: *attempt,
                done: Some(evidence(verdict)),
                captured: None,
                failure: None,
            })
        }
        _ => None,
    }
}

/// Follows the journal and holds it against what must never happen.
#[derive(Default)]
struct Watch {
    /// Changes that started and of which nothing more was said.
    open: BTreeSet<String>,
    done: BTreeSet<String>,
    /// Items of the way back.
    open_items: BTreeSet<usize>,
    over_items: BTreeSet<usize>,
    planned: bool,
}

impl Watch {
    fn see(&mut self, plan: &Plan, event: &EventKind) -> Result<(), String> {
        match event {
            EventKind::Step(event) => self.step(plan, event),
            EventKind::Rollback(event) => self.back(event),
            _ => Ok(()),
        }
    }

    fn step(&mut self, plan: &Plan, event: &StepEvent) -> Result<(), String> {
        let Some(name) = event.step().map(str::to_owned) else {
            return Ok(());
        };
        match event {
            StepEvent::Started { .. } | StepEvent::Checking { .. } => {
                if self.done.contains(&name) {
                    return Err(format!("`{name}` is done and started again"));
                }
                if self.open.contains(&name) {
                    return Err(format!(
                        "`{name}` started and nobody knows what became of it"
                    ));
                }
                let changes = plan
                    .key(&name)
                    .is_some_and(|key| plan.step(key.step).changes());
                if changes && matches!(event, StepEvent::Started { .. }) {
                    self.open.insert(name);
                }
            }
            StepEvent::Finished { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::Resolved {
                to: Resolution::Done,
                ..
            } => {
                self.open.remove(&name);
                self.done.insert(name);
            }
            StepEvent::Failed { failure, .. } => {
                if failure.cause == Cause::Lost && self.open.contains(&name) {
                    return Err(format!(
                        "`{name}` was lost in the middle of a change, and failed"
                    ));
                }
                self.open.remove(&name);
            }
            // a doubt holds it as well, until it is settled
            StepEvent::InDoubt { .. } => {
                if self.done.contains(&name) {
                    return Err(format!("`{name}` is done, and in doubt"));
                }
                self.open.insert(name);
            }
            StepEvent::Resolved { .. } => {
                self.open.remove(&name);
            }
            _ => {}
        }
        Ok(())
    }

    fn back(&mut self, event: &RollbackEvent) -> Result<(), String> {
        match event {
            RollbackEvent::Planned { .. } => {
                let before = std::mem::replace(&mut self.planned, true);
                let twice = Err("the way back was planned twice".into());
                return if before { twice } else { Ok(()) };
            }
            RollbackEvent::Started { item, .. } => {
                if self.over_items.contains(item) {
                    return Err(format!("item {item} is over and started again"));
                }
                if !self.open_items.insert(*item) {
                    return Err(format!("item {item} started twice"));
                }
            }
            RollbackEvent::Finished { item, .. }
            | RollbackEvent::Waived { item, .. }
            | RollbackEvent::Skipped {
                item, held: false, ..
            }
            | RollbackEvent::Resolved {
                item,
                to: Resolution::Done,
                ..
            } => {
                self.open_items.remove(item);
                self.over_items.insert(*item);
            }
            RollbackEvent::Failed { item, .. } | RollbackEvent::Resolved { item, .. } => {
                self.open_items.remove(item);
            }
            RollbackEvent::InDoubt { item, .. } => {
                self.open_items.insert(*item);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the counters must be, counted anew.
fn consistent(state: &RunState) -> Result<(), String> {
    let items = || state.fans.values().flat_map(|fan| &fan.states);
    let all = || state.steps.iter().chain(items());
    let count = |holds: &dyn Fn(StepStatus) -> bool| all().filter(|one| holds(one.status)).count();
    let (in_flight, waiting) = (
        count(&StepStatus::in_flight),
        count(&|status| status == StepStatus::Waiting),
    );
    if (in_flight, waiting) != (state.in_flight, state.waiting) {
        return Err(format!(
            "{in_flight} in flight and {waiting} waiting, counted as {} and {}",
            state.in_flight, state.waiting
        ));
    }
    for (at, phase) in state.phases.iter().enumerate() {
        let steps = state.plan.runbook.phases[at].steps.len();
        let of = |n: usize| state.plan.step_of(at, n) as usize;
        let status = |n: usize| state.steps[of(n)].status;
        let running =
            (0..steps).filter(|n| status(*n) != StepStatus::Pending && !status(*n).is_over());
        let (found, skipped) = (running.count(), phase.skipped);
        if found != phase.running && !skipped {
            return Err(format!(
                "phase {at}: {found} running, not {}",
                phase.running
            ));
        }
        let tolerated = |n: usize| state.plan.step(state.plan.step_of(at, n)).tolerate;
        let left =
            (0..steps).filter(|n| !status(*n).is_over() || status(*n).failed() && !tolerated(*n));
        let left = left.count();
        if left != phase.left {
            return Err(format!("phase {at}: {left} left, not {}", phase.left));
        }
    }
    for (at, fan) in &state.fans {
        let over = fan.states.iter().filter(|one| one.status.is_over()).count();
        let ahead = |status: StepStatus| status == StepStatus::Pending;
        let running = fan
            .states
            .iter()
            .filter(|one| !one.status.is_over() && !ahead(one.status));
        let running = running.count();
        if (over, running) != (fan.over, fan.running) {
            return Err(format!(
                "fan {at}: {over} over and {running} running, counted as {} and {}",
                fan.over, fan.running
            ));
        }
    }
    let asked = state
        .questions
        .iter()
        .filter(|(_, what)| *what == Question::InDoubt);
    for (key, _) in asked {
        if state.step(*key).status != StepStatus::Asked {
            return Err(format!(
                "{key:?} is asked about and {:?}",
                state.step(*key).status
            ));
        }
    }
    Ok(())
}

/// A run driven over crashes and orders.
struct Story {
    plan: Arc<Plan>,
    state: RunState,
    events: Vec<(EventKind, i64)>,
    dice: Dice,
    watch: Watch,
    now: i64,
    open: Vec<(Effect, bool)>,
    options: RunOptions,
    /// How many inputs a session lives; the last is used again.
    lives: Vec<usize>,
    /// One in so many inputs is an order; 0: none.
    orders: usize,
    ordered: usize,
    sessions: usize,
}

impl Story {
    fn new(plan: &Arc<Plan>, rolls: Vec<u8>, lives: Vec<usize>, orders: usize) -> Self {
        let mut dice = Dice { rolls, at: 0 };
        let options = RunOptions {
            max_parallel: Some(4),
            no_rollback: dice.roll(4) == 0,
            ..RunOptions::default()
        };
        Self {
            plan: Arc::clone(plan),
            state: RunState::new(Arc::clone(plan), "run", "dir", options.clone()),
            events: Vec::new(),
            dice,
            watch: Watch::default(),
            now: 0,
            open: Vec::new(),
            options,
            lives,
            orders,
            ordered: 0,
            sessions: 0,
        }
    }

    fn take(&mut self, kind: InputKind) -> Result<(), String> {
        self.now += 1;
        let before = fingerprint(&self.state);
        let ordered = matches!(kind, InputKind::Order { .. });
        let said = format!("{kind:?}");
        let decision = self.state.advance(&Input { at: self.now, kind });
        let refused = decision
            .events
            .iter()
            .any(|event| matches!(event, EventKind::Operator(OperatorEvent::Refused { .. })));
        if ordered && refused && fingerprint(&self.state) != before {
            return Err(format!("{said} was refused and changed the state"));
        }
        if ordered && decision.events.is_empty() {
            return Err(format!("{said} left no trace"));
        }
        for event in decision.events {
            self.watch
                .see(&self.plan, &event)
                .map_err(|wrong| format!("{wrong}, after {said}"))?;
            self.events.push((event, self.now));
        }
        for effect in decision.effects {
            match effect {
                Effect::StopAll { .. } => self.open.iter_mut().for_each(|open| open.1 = true),
                Effect::StopReading => {
                    let plan = Arc::clone(&self.plan);
                    let reads = |effect: &Effect| match effect {
                        Effect::Prepare { .. } | Effect::Examine { .. } => true,
                        Effect::Execute { key, .. } | Effect::Settle { key, .. } => {
                            !plan.step(key.step).changes()
                        }
                        _ => false,
                    };
                    self.open
                        .iter_mut()
                        .filter(|open| reads(&open.0))
                        .for_each(|open| open.1 = true);
                }
                effect => self.open.push((effect, false)),
            }
        }
        consistent(&self.state).map_err(|wrong| format!("{wrong}, after {said}"))
    }

    fn order(&mut self, order: Order) -> Result<(), String> {
        self.take(InputKind::Order {
            by: "me".into(),
            order,
            reason: Some("because".into()),
        })
    }

    /// An engine from its beginning to its end or its death; whether it lived to the end.
    fn session(&mut self, order: Option<Order>) -> Result<bool, String> {
        self.take(InputKind::Begin {
            by: "me".into(),
            host: "here".into(),
            pid: 1,
            attended: false,
            guided: false,
        })?;
        if let Some(order) = order {
            self.order(order)?;
        }
        let life = self.lives.get(self.sessions).copied();
        self.sessions += 1;
        for lived in 0..6_000_usize {
            if life == Some(lived) {
                self.open.clear();
                return Ok(false);
            }
            let over = self.state.status().is_over();
            if self.open.is_empty() || over && self.state.in_flight == 0 {
                if !over {
                    return Err(format!(
                        "nothing is in flight, and it is {:?}",
                        self.state.status()
                    ));
                }
                self.open.clear();
                return Ok(true);
            }
            if self.orders > 0 && self.ordered < MOST && self.dice.roll(self.orders) == 0 {
                self.ordered += 1;
                let order = self.dice.roll(10);
                let order = everything(order, &mut self.dice, &self.state);
                match self.dice.roll(6) {
                    0 => self.take(InputKind::Stop {
                        reason: Parking::Interrupt,
                    })?,
                    _ => self.order(order)?,
                }
                continue;
            }
            let at = self.dice.roll(self.open.len());
            let (effect, told) = self.open.swap_remove(at);
            let ends = told && self.dice.roll(4) > 0;
            let input = ends
                .then(|| stopped(&effect, &self.state, &mut self.dice))
                .flatten()
                .or_else(|| probed(&effect, &self.state, &mut self.dice));
            let input = input.unwrap_or_else(|| answer(&effect, &mut self.dice));
            self.take(input)?;
        }
        Err("a session does not end".into())
    }

    fn fold(&mut self) -> Result<(), String> {
        let mut folded = RunState::new(Arc::clone(&self.plan), "run", "dir", self.options.clone());
        for (event, at) in &self.events {
            folded.apply(event, *at);
        }
        if fingerprint(&folded) != fingerprint(&self.state) {
            return Err(format!(
                "folded:\n{}\nlive:\n{}",
                fingerprint(&folded),
                fingerprint(&self.state)
            ));
        }
        self.state = folded;
        Ok(())
    }

    /// What the operator does with a run that stands still; `None`: nothing more.
    fn next(&mut self) -> Result<Option<Option<Order>>, String> {
        let status = self.state.status();
        if status.is_active() {
            return Ok(Some(None));
        }
        if !status.is_parked() {
            return Ok(None);
        }
        if self.sessions > PATIENCE {
            self.order(Order::Close)?;
            return Ok(None);
        }
        if self.orders > 0 && self.ordered < MOST && self.dice.roll(2) == 0 {
            // one that stands still is told things as well
            self.ordered += 1;
            let order = self.dice.roll(10);
            let order = everything(order, &mut self.dice, &self.state);
            self.order(order)?;
            self.open.clear();
            return self.next();
        }
        let asked: Vec<(String, Question)> = self.state.questions().collect();
        for (step, question) in asked {
            let answers = question.answers();
            let answer = answers[self.dice.roll(answers.len())];
            let code = Some(self.state.code());
            self.order(Order::Answer { step, answer, code })?;
        }
        let status = self.state.status();
        Ok(match status {
            RunStatus::RollbackFailed if self.dice.roll(3) == 0 => {
                for step in lost(&self.state) {
                    self.order(Order::Waive { step })?;
                }
                return self.next();
            }
            RunStatus::RollbackFailed => Some(Some(Order::Rollback)),
            RunStatus::Failed | RunStatus::Aborted if self.dice.roll(3) == 0 => {
                Some(Some(Order::Rollback))
            }
            status if status.is_parked() => Some(Some(Order::Resume)),
            _ => None,
        })
    }

    fn tell(&mut self) -> Result<(), String> {
        let mut order = None;
        loop {
            let lived = self.session(order.take())?;
            self.fold()?;
            if lived && self.state.in_flight != 0 {
                return Err("it is over, and something is in flight".into());
            }
            let state = &self.state;
            if lived
                && state.status() == RunStatus::Waiting
                && state.stopping() == Some(Parking::Question)
                && state.questions().next().is_none()
            {
                return Err("it waits for an answer, and asks nothing".into());
            }
            match self.next()? {
                Some(next) => order = next,
                None => break,
            }
        }
        self.fold()?;
        let state = &self.state;
        if !matches!(
            state.status(),
            RunStatus::Succeeded | RunStatus::RolledBack | RunStatus::Cancelled | RunStatus::Closed
        ) {
            return Err(format!("it ends {:?}", state.status()));
        }
        if state.status() == RunStatus::Succeeded && (state.in_flight, state.waiting) != (0, 0) {
            return Err("it succeeded, and something is to be done still".into());
        }
        Ok(())
    }
}

fn told(story: &Story, wrong: &str, shape: &Shape) -> String {
    let events: Vec<String> = story
        .events
        .iter()
        .map(|(event, at)| format!("{at} {event:?}"))
        .collect();
    format!("{wrong}\n{}\n{}", text(shape), events.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn killed_twice_it_ends_as_if_it_were_not(shape in doubtful(), rolls in prop::collection::vec(any::<u8>(), 1..200), lives in prop::collection::vec(0_usize..40, 2)) {
        let plan = plan(&shape);
        let mut story = Story::new(&plan, rolls, lives, 0);
        if let Err(wrong) = story.tell() {
            prop_assert!(false, "{}", told(&story, &wrong, &shape));
        }
    }

    #[test]
    fn orders_at_any_time_break_nothing(shape in doubtful(), rolls in prop::collection::vec(any::<u8>(), 1..250), lives in prop::collection::vec(0_usize..40, 0..4), orders in 2_usize..12) {
        let plan = plan(&shape);
        let mut story = Story::new(&plan, rolls, lives, orders);
        if let Err(wrong) = story.tell() {
            prop_assert!(false, "{}", told(&story, &wrong, &shape));
        }
    }
}

/// Orders, in the order of the columns below.
fn orders() -> [Order; 16] {
    [
        Order::Pause,
        Order::Resume,
        Order::Cancel { no_rollback: false },
        Order::Cancel { no_rollback: true },
        Order::Abort,
        Order::Rollback,
        Order::Answer {
            step: "s".into(),
            answer: Answer::Done,
            code: None,
        },
        Order::Waive { step: "s".into() },
        Order::Close,
        Order::Approve {
            step: "s".into(),
            vote: Vote {
                who: "me".into(),
                comment: None,
                digest: String::new(),
                nonce: String::new(),
                signature: None,
                key: None,
            },
        },
        Order::Confirm {
            step: "s".into(),
            confirmation: Box::default(),
        },
        Order::Jump { to: "s".into() },
        Order::Guide {
            phase: None,
            on: false,
        },
        Order::Diagnose { step: "s".into() },
        Order::Note {
            note: Note {
                kind: NoteKind::Remark,
                text: "so far".into(),
                step: None,
                who: "me".into(),
            },
        },
        Order::CloseOut {
            close_out: Box::new(CloseOut {
                criterion: "long_term".into(),
                verdict: Verdict::Pass,
                who: "me".into(),
                evidence: Vec::new(),
                comment: None,
            }),
        },
    ]
}

/// The contract, 2.1 and 2.7, as a table: `y` is taken, `.` is refused.
const TABLE: &[(RunStatus, &str)] = &[
    // pause resume cancel keep abort rollback answer waive close, approve confirm jump guide diagnose,
    // note close-out
    (RunStatus::Planned, "........y.....y."),
    (RunStatus::Running, "yyyyyyy..yyyyyy."),
    (RunStatus::Waiting, ".yyyyyy.yyyyy.y."),
    (RunStatus::Cancelling, "....y.........y."),
    (RunStatus::RollingBack, "yy..y.y.......y."),
    (RunStatus::Succeeded, ".....y........yy"),
    (RunStatus::Failed, ".y...yy.y.....y."),
    (RunStatus::RolledBack, "..............y."),
    (RunStatus::RollbackFailed, ".....yyyy.....y."),
    (RunStatus::Cancelled, "..............y."),
    (RunStatus::Aborted, ".y...yy.y.....y."),
    (RunStatus::Closed, "..............y."),
];

#[test]
fn the_table_of_orders_is_that_of_the_contract() {
    for (status, row) in TABLE {
        for (order, wanted) in orders().iter().zip(row.chars()) {
            let found = allowed(*status, order);
            assert_eq!(
                found.is_ok(),
                wanted == 'y',
                "{order:?} in {status:?}: {found:?}"
            );
            if let Err(why) = found {
                assert!(!why.is_empty() && !why.ends_with('.'), "{why}");
            }
        }
        assert_eq!(row.len(), orders().len());
    }
    let known: BTreeSet<String> = TABLE.iter().map(|(at, _)| format!("{at:?}")).collect();
    // a status that is added has to be added here
    assert_eq!(known.len(), 12);
}

fn name_of(kind: &InputKind) -> &'static str {
    match kind {
        InputKind::Begin { .. } => "begin",
        InputKind::Advance => "advance",
        InputKind::Prepared { .. } => "prepared",
        InputKind::Reported { .. } => "reported",
        InputKind::Due { .. } => "due",
        InputKind::ItemDue { .. } => "item due",
        InputKind::Snapshots { .. } => "snapshots",
        InputKind::ItemReported { .. } => "item reported",
        InputKind::Examined { .. } => "examined",
        InputKind::ItemExamined { .. } => "item examined",
        InputKind::GuardLooked { .. } => "guard looked",
        InputKind::Watched { .. } => "watched",
        InputKind::Diagnosed { .. } => "diagnosed",
        InputKind::Order { .. } => "order",
        InputKind::Stop { .. } => "stop",
    }
}

/// Ends of a step's last attempt and of one that is not, good and bad.
fn ends(key: StepKey, attempt: u32) -> Vec<InputKind> {
    let failed = |outcome| {
        Some(Failure {
            cause: Cause::Unreachable,
            outcome,
            message: "at random".into(),
            hint: None,
        })
    };
    let ends = [
        None,
        failed(Outcome::NotApplied),
        failed(Outcome::Unknown),
        failed(Outcome::Applied),
    ];
    let said = [
        None,
        Some(evidence(Verdict::Pass)),
        Some(evidence(Verdict::Fail)),
        Some(evidence(Verdict::Error)),
    ];
    let mut all = Vec::new();
    for failure in &ends {
        let report = Box::<Report>::default();
        all.push(InputKind::Reported {
            key,
            attempt,
            report: report.clone(),
            failure: failure.clone(),
        });
        for item in [0, 99] {
            all.push(InputKind::ItemDue { item });
            all.push(InputKind::ItemReported {
                item,
                attempt,
                report: report.clone(),
                failure: failure.clone(),
            });
        }
        for done in &said {
            let (done, failure) = (done.clone(), failure.clone());
            all.push(InputKind::Prepared {
                key,
                attempt,
                done: done.clone(),
                captured: None,
                failure: failure.clone(),
            });
            all.push(InputKind::Examined {
                key,
                attempt,
                done: done.clone(),
                failure: failure.clone(),
            });
            all.push(InputKind::ItemExamined {
                item: 0,
                attempt,
                undone: done,
                failure,
            });
        }
    }
    all
}

/// Every kind of input, of a step where it is about one.
fn inputs(state: &RunState, key: StepKey) -> Vec<InputKind> {
    let last = state.step(key).attempt;
    let mut all = vec![
        InputKind::Begin {
            by: "me".into(),
            host: "here".into(),
            pid: 2,
            attended: false,
            guided: false,
        },
        InputKind::Advance,
        InputKind::Due { key },
        InputKind::Snapshots {
            moment: Moment::Before,
            taken: Vec::new(),
        },
        InputKind::Stop {
            reason: Parking::Terminate,
        },
    ];
    all.extend(ends(key, last));
    all.extend(ends(key, last + 1));
    let name = state.plan().name(key);
    let words = [
        Answer::Done,
        Answer::NotDone,
        Answer::Retry,
        Answer::Proceed,
        Answer::Rollback,
        Answer::Abort,
    ];
    let answers = words.map(|answer| Order::Answer {
        step: name.clone(),
        answer,
        code: Some(state.code()),
    });
    for order in orders().into_iter().chain(answers) {
        all.push(InputKind::Order {
            by: "me".into(),
            order,
            reason: None,
        });
    }
    all
}

/// In every state that a life with crashes comes by, every input is tried.
#[test]
fn every_input_in_every_status_leaves_a_legal_state() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    let mut tried = 0_u32;
    for round in 0..250_u32 {
        let shape = doubtful().new_tree(&mut runner).unwrap().current();
        let rolls = prop::collection::vec(any::<u8>(), 40..200);
        let rolls = rolls.new_tree(&mut runner).unwrap().current();
        let plan = plan(&shape);
        let mut story = Story::new(&plan, rolls, vec![round as usize % 23; 3], 0);
        // the journal of a whole life has all the states in between
        story
            .tell()
            .unwrap_or_else(|wrong| panic!("{}", told(&story, &wrong, &shape)));
        let mut state = RunState::new(Arc::clone(&plan), "run", "dir", story.options.clone());
        for (event, at) in &story.events {
            state.apply(event, *at);
            if tried > 150_000 {
                break;
            }
            for step in 0..plan.len() {
                let step = u32::try_from(step).unwrap();
                for key in [StepKey::of(step), StepKey::item(step, 1)] {
                    let status = format!("{:?}", state.step(key).status);
                    let known = seen.entry(status.clone()).or_default();
                    // each pair a few hundred times: at first always, later now and then
                    if known.len() == 12 && !(tried + step).is_multiple_of(7) {
                        continue;
                    }
                    for kind in inputs(&state, key) {
                        let (what, said) = (name_of(&kind), format!("{kind:?}"));
                        let mut next = state.clone();
                        let _decision = next.advance(&Input { at: at + 1, kind });
                        if let Err(wrong) = consistent(&next) {
                            panic!("{status}: {wrong}, after {said}\n{}", text(&shape));
                        }
                        seen.entry(status.clone()).or_default().insert(what);
                        tried += 1;
                    }
                }
            }
        }
    }
    let statuses: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(
        statuses,
        [
            "Asked",
            "Checking",
            "Done",
            "Examining",
            "FailedClean",
            "FailedDirty",
            "Fanned",
            "InDoubt",
            "Pending",
            "Running",
            "Settling",
            "Skipped",
            "Waiting"
        ]
    );
    for (status, inputs) in &seen {
        assert_eq!(inputs.len(), 12, "{status}: {inputs:?}");
    }
}
