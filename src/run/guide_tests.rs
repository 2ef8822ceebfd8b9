//! Random guided runs with random people: whatever they say, and whatever fails, the run keeps its own
//! counts, starts nothing that was not let start, and ends.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::parts::StepStatus;
use super::state::RunState;
use super::tests::{Dice, answer};
use super::{Effect, Input, InputKind};
use crate::action::Registry;
use crate::event::{
    Answer, Confirmation, EventKind, Order, Question, RunOptions, RunStatus, StepEvent, Vote,
};
use crate::plan::{Plan, StepKey};
use crate::runbook;

/// What a step is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Changes,
    Reads,
    Fan,
    Manual,
    ManualWaits,
    Approve,
    Tolerated,
    Retried,
    Probed,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Changes),
        1 => Just(Kind::Reads),
        1 => Just(Kind::Fan),
        1 => Just(Kind::Manual),
        1 => Just(Kind::ManualWaits),
        1 => Just(Kind::Approve),
        1 => Just(Kind::Tolerated),
        1 => Just(Kind::Retried),
        1 => Just(Kind::Probed),
    ]
}

type Phases = Vec<(Vec<bool>, Vec<Kind>, usize)>;

fn shapes() -> impl Strategy<Value = Phases> {
    let needs = prop::collection::vec(any::<bool>(), 5);
    let phase = (needs, prop::collection::vec(kinds(), 1..5), 1_usize..4);
    prop::collection::vec(phase, 1..5)
}

fn text(phases: &Phases) -> String {
    let mut text = String::from("runbook: random\nphases:\n");
    for (at, (needs, steps, parallel)) in phases.iter().enumerate() {
        let needs: Vec<_> = (0..at)
            .filter(|need| needs[*need])
            .map(|need| format!("p{need}"))
            .collect();
        let needs = needs.join(", ");
        let _ = write!(
            text,
            "  p{at}:\n    needs: [{needs}]\n    parallel: {parallel}\n    steps:\n"
        );
        for (n, kind) in steps.iter().enumerate() {
            let undo = "undo: [{ shell: 'true' }]";
            let words = match kind {
                Kind::Changes => format!("shell: 'true', {undo}"),
                Kind::Reads => "shell: 'true', read_only: true".into(),
                Kind::Fan => format!("shell: 'true', for_each: [a, b, c], parallel: 2, {undo}"),
                Kind::Manual => format!("manual: {{ text: x, changes: true }}, {undo}"),
                Kind::ManualWaits => "manual: x, then_wait: { shell: 'true', read_only: true, expect: 'true', within: 5s }".into(),
                Kind::Approve => "approve: { by: [ana, bob], min: 2 }, timeout: 1h".into(),
                Kind::Tolerated => "shell: 'true', undo: none, tolerate: true".into(),
                Kind::Retried => format!("shell: 'true', retry: {{ limit: 1 }}, {undo}"),
                Kind::Probed => format!("shell: 'true', done_when: {{ shell: 'true', read_only: true, expect: 'result.exit_code == 0' }}, {undo}"),
            };
            let _ = writeln!(text, "      - {{ id: s{at}-{n}, {words} }}");
        }
    }
    text
}

fn plan(phases: &Phases) -> Arc<Plan> {
    let read = runbook::read(&text(phases), &Registry::all().catalog());
    let Some(runbook) = read.runbook else {
        panic!("{:?}\n{}", read.diagnostics, text(phases));
    };
    Arc::new(Plan::new(
        runbook,
        &read.meaning,
        BTreeMap::new(),
        Vec::new(),
    ))
}

fn fresh(plan: &Arc<Plan>) -> RunState {
    let options = RunOptions {
        max_parallel: Some(3),
        ..RunOptions::default()
    };
    RunState::new(Arc::clone(plan), "run", "dir", options)
}

/// A run, the people around it, and what happened so far.
struct Story {
    plan: Arc<Plan>,
    state: RunState,
    dice: Dice,
    events: Vec<(EventKind, i64)>,
    open: Vec<Effect>,
    let_start: HashSet<String>,
    now: i64,
}

impl Story {
    fn take(&mut self, kind: InputKind) -> Result<(), String> {
        self.now += 1;
        let decision = self.state.advance(&Input { at: self.now, kind });
        for event in &decision.events {
            match event {
                EventKind::Step(
                    StepEvent::Approved { step, .. }
                    | StepEvent::Reopened { step }
                    | StepEvent::Resolved { step, .. },
                ) => {
                    let id = step.split('[').next().unwrap_or(step);
                    self.let_start.insert(id.to_owned());
                }
                EventKind::Step(
                    StepEvent::Started { step, .. } | StepEvent::Checking { step, .. },
                ) => {
                    let id = step.split('[').next().unwrap_or(step);
                    let phase = self.plan.phase_of(self.plan.find(id).unwrap());
                    let quiet = self.state.guide.quiet.contains(&phase) || !self.state.guide.on;
                    let asked = !self.let_start.insert(id.to_owned());
                    if !quiet && !asked {
                        return Err(format!("`{step}` started unasked"));
                    }
                }
                _ => {}
            }
        }
        self.events
            .extend(decision.events.into_iter().map(|event| (event, self.now)));
        self.open.extend(decision.effects);
        self.open
            .retain(|effect| !matches!(effect, Effect::StopReading | Effect::StopAll { .. }));
        self.fold()
    }

    /// A journal folded again gives the same state.
    fn fold(&self) -> Result<(), String> {
        let mut again = fresh(&self.plan);
        for (event, at) in &self.events {
            again.apply(event, *at);
        }
        let told = |state: &RunState| {
            let steps: Vec<_> = state.steps.iter().map(|step| step.status).collect();
            let phases: Vec<_> = state
                .phases
                .iter()
                .map(|phase| (phase.left, phase.running, phase.next))
                .collect();
            let mut gates: Vec<_> = state.gates.keys().copied().collect();
            gates.sort_unstable();
            format!(
                "{:?} {steps:?} {phases:?} {gates:?} {:?} {} {}",
                state.status, state.questions, state.in_flight, state.waiting
            )
        };
        match told(&again) == told(&self.state) {
            true => self.count(),
            false => Err(format!(
                "folded: {}\nis: {}",
                told(&again),
                told(&self.state)
            )),
        }
    }

    /// What is counted is what there is.
    fn count(&self) -> Result<(), String> {
        let state = &self.state;
        let all = || {
            let items = state.fans.values().flat_map(|fan| &fan.states);
            state.steps.iter().chain(items)
        };
        let flying = all().filter(|step| step.status.in_flight()).count();
        if flying != state.in_flight {
            return Err(format!(
                "{flying} in flight, and counted {}",
                state.in_flight
            ));
        }
        let waiting = all()
            .filter(|step| step.status == StepStatus::Waiting)
            .count();
        if waiting != state.waiting {
            return Err(format!("{waiting} waiting, and counted {}", state.waiting));
        }
        let gates = all()
            .filter(|step| step.status == StepStatus::AtGate)
            .count();
        let live = state.status == RunStatus::Running && state.failure.is_none();
        if live && gates != state.gates.len() {
            return Err(format!("{gates} gates, and counted {}", state.gates.len()));
        }
        Ok(())
    }

    fn say(&mut self, order: Order) -> Result<(), String> {
        let reason = (self.dice.roll(6) > 0).then(|| "because".to_owned());
        self.take(InputKind::Order {
            by: "me".into(),
            order,
            reason,
        })
    }

    /// Somebody says something about an open question, not always to the point.
    fn person(&mut self) -> Result<(), String> {
        let asked = self.state.questions.clone();
        let (key, question) = asked[self.dice.roll(asked.len())];
        let step = self.plan.name(key);
        let answers = [
            Answer::Proceed,
            Answer::Proceed,
            Answer::Skip,
            Answer::Retry,
            Answer::Done,
            Answer::NotDone,
        ];
        let order = match (self.dice.roll(12), question) {
            (0, _) => Order::Guide {
                phase: Some(format!("p{}", self.plan.phase_of(key.step))),
                on: false,
            },
            (1, _) => {
                let to = u32::try_from(self.dice.roll(self.plan.len())).unwrap();
                let to = self.plan.name(StepKey::of(to));
                Order::Jump { to }
            }
            (2, _) if self.dice.roll(3) == 0 => Order::Answer {
                step,
                answer: Answer::Rollback,
                code: None,
            },
            (3, Question::Approval) => Order::Reject {
                vote: self.vote(key, "ana"),
                step,
            },
            (4..=8, Question::Approval) => {
                let who = ["ana", "bob"][self.dice.roll(2)];
                Order::Approve {
                    vote: self.vote(key, who),
                    step,
                }
            }
            (4..=9, Question::Manual) => Order::Confirm {
                step,
                confirmation: Box::new(Confirmation {
                    who: "me".into(),
                    nonce: self.nonce(key),
                    ..Confirmation::default()
                }),
            },
            (9, _) if self.dice.roll(6) == 0 => [
                Order::Cancel { no_rollback: true },
                Order::Cancel { no_rollback: false },
                Order::Abort,
                Order::Rollback,
            ][self.dice.roll(4)]
            .clone(),
            (10, _) => Order::Guide {
                phase: None,
                on: self.dice.roll(2) == 0,
            },
            _ => Order::Answer {
                step,
                answer: answers[self.dice.roll(answers.len())],
                code: None,
            },
        };
        self.say(order)
    }

    fn nonce(&self, key: StepKey) -> String {
        let gate = self.state.gates.get(&key);
        gate.map_or_else(String::new, |gate| gate.nonce.clone())
    }

    fn vote(&self, key: StepKey, who: &str) -> Vote {
        Vote {
            who: who.into(),
            comment: None,
            digest: self.plan.digest.clone(),
            nonce: self.nonce(key),
            signature: None,
            key: None,
        }
    }

    fn tell(&mut self) -> Result<(), String> {
        let begin = |attended, guided| InputKind::Begin {
            by: "operator".into(),
            host: "here".into(),
            pid: 1,
            attended,
            guided,
        };
        self.take(begin(true, true))?;
        let mut resumes = 4;
        for _ in 0..3_000 {
            if self.state.status().is_parked() && resumes > 0 {
                // somebody goes on with it, at a terminal or not
                resumes -= 1;
                self.open.clear();
                let attended = self.dice.roll(3) > 0;
                self.take(begin(attended, attended))?;
                self.say(Order::Resume)?;
                continue;
            }
            if self.state.status().is_over() {
                return self.end();
            }
            let people = !self.state.questions.is_empty();
            if people && (self.open.is_empty() || self.dice.roll(3) == 0) {
                self.person()?;
            } else if self.dice.roll(40) == 0 {
                // the engine dies, and another one takes it up
                self.open.clear();
                self.take(begin(true, true))?;
            } else if !self.open.is_empty() {
                let effect = self.open.swap_remove(self.dice.roll(self.open.len()));
                let input = answer(&effect, &mut self.dice);
                self.take(input)?;
            } else {
                return Err(format!(
                    "nothing is to be done, and it is {:?}",
                    self.state.status()
                ));
            }
        }
        Err("it does not end".into())
    }

    fn end(&self) -> Result<(), String> {
        let state = &self.state;
        let open = !state.questions.is_empty() || !state.gates.is_empty();
        if state.status() == RunStatus::Succeeded && (open || state.in_flight + state.waiting > 0) {
            return Err("it succeeded, and something is open".into());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_people_say_the_run_keeps_its_counts_and_ends(phases in shapes(), rolls in prop::collection::vec(any::<u8>(), 1..250)) {
        let plan = plan(&phases);
        let mut story = Story {
            state: fresh(&plan),
            plan,
            dice: Dice { rolls, at: 0 },
            events: Vec::new(),
            open: Vec::new(),
            let_start: HashSet::new(),
            now: 0,
        };
        // a count that runs over is told with what led to it
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story.tell()));
        let told = told.unwrap_or_else(|_| Err("it panics".into()));
        if let Err(wrong) = told {
            let events: Vec<String> = story.events.iter().map(|(event, at)| format!("{at} {event:?}")).collect();
            prop_assert!(false, "{wrong}\n{}\n{}", text(&phases), events.join("\n"));
        }
    }
}
