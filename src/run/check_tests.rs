//! Random runs with guards and watches, random looks, crashes and people: a guard that does not hold has
//! its consequence and no other, nothing passes by what was not seen, and the fold of the journal is the
//! state.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::state::RunState;
use super::tests::{Dice, answer, fingerprint};
use super::{Effect, Input, InputKind, Watched, watch};
use crate::action::Registry;
use crate::event::{
    Answer, CheckEvent, EventKind, Failure, Judgement, Order, Outcome, Parking, Question, Report,
    RunEvent, RunOptions, RunStatus, Sample, StepEvent, Tally, Then,
};
use crate::expr::Verdict;
use crate::plan::{Plan, StepKey};
use crate::runbook;

const THENS: [&str; 3] = ["rollback", "pause", "notify"];

/// Phases by their steps (change, read, watch), guards by what follows and whether they measure downtime.
#[derive(Clone, Debug)]
struct Shape {
    phases: Vec<Vec<u8>>,
    guards: Vec<(usize, u8, bool, bool)>,
    decide: bool,
    baseline: bool,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let phases = prop::collection::vec(prop::collection::vec(0_u8..3, 1..4), 1..4);
    let guard = (0_usize..4, 0_u8..3, any::<bool>(), any::<bool>());
    let guards = prop::collection::vec(guard, 0..4);
    (phases, guards, any::<bool>(), any::<bool>()).prop_map(|(phases, guards, decide, baseline)| {
        Shape {
            phases,
            guards,
            decide,
            baseline,
        }
    })
}

fn plan(shape: &Shape) -> Arc<Plan> {
    let mut text = String::from("runbook: random\n");
    if !shape.guards.is_empty() {
        text += "guards:\n";
    }
    for (at, (phase, then, downtime, interrupt)) in shape.guards.iter().enumerate() {
        let phase = phase % shape.phases.len();
        let then = THENS[usize::from(*then)];
        let expect = match shape.baseline {
            true => "result.exit_code == baseline.result.exit_code",
            false => "result.exit_code == 0",
        };
        let interrupt = match then {
            "rollback" => format!("\n    interrupt: {interrupt}"),
            _ => String::new(),
        };
        let downtime = if *downtime {
            "\n    measures: downtime"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  g{at}:\n    during: [p{phase}]\n    shell: 'true'\n    read_only: true\n    expect: {expect}\n    every: 1s\n    consecutive_failures: 2\n    then: {then}{interrupt}{downtime}"
        );
    }
    if shape.decide && shape.phases[0].contains(&0) {
        text += "rollback: { decide_within: { after: p0, for: 10ms } }\n";
    }
    text += "phases:\n";
    for (at, steps) in shape.phases.iter().enumerate() {
        let needs = if at > 0 {
            format!("[p{}]", at - 1)
        } else {
            "[]".into()
        };
        let _ = writeln!(
            text,
            "  p{at}:\n    needs: {needs}\n    parallel: 2\n    steps:"
        );
        for (n, step) in steps.iter().enumerate() {
            let _ = writeln!(text, "      - id: s{at}-{n}\n        shell: 'true'");
            text += match step {
                0 => "        undo: [{ shell: 'true' }]\n        idempotent: true\n",
                1 => "        read_only: true\n",
                _ => {
                    "        read_only: true\n        expect: result.exit_code == 0\n        watch: { every: 1s, count: 3, failure_limit: 1 }\n"
                }
            };
        }
    }
    let read = runbook::read(&text, &Registry::all().catalog());
    let Some(runbook) = read.runbook else {
        panic!("{:?}\n{text}", read.diagnostics);
    };
    Arc::new(Plan::new(
        runbook,
        &read.meaning,
        BTreeMap::new(),
        Vec::new(),
    ))
}

/// Everything that an engine has in its hands.
struct World {
    state: RunState,
    plan: Arc<Plan>,
    events: Vec<(EventKind, i64)>,
    open: Vec<Effect>,
    guards: BTreeMap<usize, (u32, Tally)>,
    watches: HashMap<StepKey, Tally>,
    now: i64,
    dice: Dice,
}

impl World {
    fn new(plan: Arc<Plan>, rolls: Vec<u8>) -> Self {
        Self {
            state: state(&plan),
            plan,
            events: Vec::new(),
            open: Vec::new(),
            guards: BTreeMap::new(),
            watches: HashMap::new(),
            now: 1_000,
            dice: Dice { rolls, at: 0 },
        }
    }

    fn take(&mut self, kind: InputKind) {
        self.now += 1 + i64::try_from(self.dice.roll(2_000)).unwrap();
        let decision = self.state.advance(&Input { at: self.now, kind });
        let now = self.now;
        self.events
            .extend(decision.events.into_iter().map(|event| (event, now)));
        for effect in decision.effects {
            match effect {
                Effect::Watch { guard } => {
                    let name = &self.plan.runbook.guards[guard].name;
                    let check = self.state.check(name).unwrap();
                    self.guards
                        .insert(guard, (check.round, check.tally.clone()));
                }
                Effect::Unwatch { guard } => {
                    let looked = self.guards.remove(&guard).is_some();
                    let last: Vec<_> = self.events.iter().rev().take(14).collect();
                    assert!(looked, "nobody looked at it: {last:#?}");
                }
                Effect::StopWatching | Effect::StopReading | Effect::StopAll { .. } => {}
                effect => self.open.push(effect),
            }
        }
    }

    fn begin(&mut self, attended: bool) {
        self.open.clear();
        self.guards.clear();
        self.watches.clear();
        self.take(InputKind::Begin {
            by: "me".into(),
            host: "here".into(),
            pid: 1,
            attended,
            guided: false,
        });
    }

    fn sample(&mut self, tally: &Tally) -> Sample {
        let verdicts = [
            Verdict::Pass,
            Verdict::Pass,
            Verdict::Pass,
            Verdict::Fail,
            Verdict::Inconclusive,
            Verdict::Error,
        ];
        Sample {
            nth: tally.looks + 1,
            at: self.now,
            elapsed_ms: tally.elapsed_ms + 1_000,
            took_ms: 1,
            verdict: verdicts[self.dice.roll(verdicts.len())],
            values: BTreeMap::new(),
            evidence: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            band: None,
            early: false,
            excused: self.dice.roll(12) == 0,
            missed: 0,
            clock_jump_ms: 0,
        }
    }

    fn look_at_guard(&mut self) {
        let at = self.dice.roll(self.guards.len());
        let Some((guard, (round, mut tally))) =
            self.guards.iter().nth(at).map(|(k, v)| (*k, v.clone()))
        else {
            return;
        };
        let sample = self.sample(&tally);
        watch::take(&mut tally, &sample);
        self.guards.insert(guard, (round, tally.clone()));
        let input = |round| InputKind::GuardLooked {
            guard,
            round,
            sample: Box::new(sample.clone()),
            tally: Box::new(tally.clone()),
        };
        if self.dice.roll(8) == 0 {
            // a look of an earlier time comes late, and changes nothing
            let before = self.events.len();
            self.take(input(round + 1));
            assert_eq!(self.events.len(), before);
        }
        self.take(input(round));
    }

    fn work(&mut self) {
        let effect = self.open.swap_remove(self.dice.roll(self.open.len()));
        let Effect::Execute { key, attempt } = effect else {
            let input = answer(&effect, &mut self.dice);
            return self.take(input);
        };
        let Some(def) = self.plan.step(key.step).watch.clone() else {
            let input = answer(&effect, &mut self.dice);
            return self.take(input);
        };
        let name = self.plan.name(key);
        let known = self.state.check(&name).unwrap().tally.clone();
        let mut tally = self.watches.remove(&key).unwrap_or(known);
        let stopped = self.dice.roll(6) == 0 && self.state.stopping().is_some();
        let sample = self.sample(&tally);
        watch::take(&mut tally, &sample);
        let verdict = watch::verdict(&def.rule, &tally, 0).filter(|_| !stopped);
        let failure = |cause| Failure {
            cause,
            outcome: Outcome::NotApplied,
            message: "as it was".into(),
            hint: None,
        };
        let end = match (&verdict, stopped) {
            (_, true) => Some(Some(failure(crate::event::Cause::Stopped))),
            (None, false) => None,
            (Some((Verdict::Pass, _)), _) => Some(None),
            (Some((Verdict::Fail, _)), _) => Some(Some(failure(crate::event::Cause::Expectation))),
            (Some(_), _) => Some(Some(failure(crate::event::Cause::Undecided))),
        };
        if end.is_none() {
            self.watches.insert(key, tally.clone());
            self.open.push(effect);
        }
        let said = Watched {
            sample: Some(Box::new(sample)),
            judgement: verdict.map(|(verdict, why)| {
                Box::new(Judgement {
                    verdict,
                    why,
                    tally: tally.clone(),
                    evidence: Vec::new(),
                    then: None,
                })
            }),
            tally: Box::new(tally),
            end: end.map(|failure| Box::new((Box::<Report>::default(), failure))),
        };
        self.take(InputKind::Watched {
            key,
            attempt,
            said: Box::new(said),
        });
    }

    /// A person goes on with what stands still.
    fn person(&mut self) {
        let asked: Vec<_> = self.state.questions().collect();
        let order = match asked.first() {
            Some((step, question)) => {
                let answers = question.answers();
                let mut said = answers[self.dice.roll(answers.len())];
                if *question == Question::InDoubt && said == Answer::Retry {
                    said = Answer::NotDone;
                }
                Order::Answer {
                    step: step.clone(),
                    answer: said,
                    code: None,
                }
            }
            None => match self.dice.roll(4) {
                0 => Order::Rollback,
                1 => Order::Cancel { no_rollback: false },
                _ => Order::Resume,
            },
        };
        self.take(InputKind::Order {
            by: "ana".into(),
            order,
            reason: Some("because".into()),
        });
    }

    fn crash(&mut self) {
        let mut folded = state(&self.plan);
        for (event, at) in &self.events {
            folded.apply(event, *at);
        }
        assert_eq!(fingerprint(&folded), fingerprint(&self.state));
        self.state = folded;
    }

    fn run(&mut self) {
        let attended = self.dice.roll(2) == 0;
        self.begin(attended);
        for _ in 0..3_000 {
            let status = self.state.status();
            if status.is_over() && !status.is_parked() {
                return;
            }
            match (self.open.is_empty(), self.dice.roll(20)) {
                (_, 0) if status.is_active() => {
                    self.crash();
                    self.begin(attended);
                }
                (_, 1) if status.is_active() && self.dice.roll(4) == 0 => {
                    self.take(InputKind::Order {
                        by: "ana".into(),
                        order: Order::Pause,
                        reason: None,
                    });
                }
                (false, 2..=14) => self.work(),
                (_, _) if !self.guards.is_empty() && self.dice.roll(3) > 0 => self.look_at_guard(),
                (false, _) => self.work(),
                (true, _) if status.is_parked() || !self.state.questions.is_empty() => {
                    self.person();
                }
                (true, _) if self.guards.is_empty() => {
                    panic!("stuck: {status:?} {:?}", self.events.last())
                }
                (true, _) => {}
            }
        }
        panic!("it does not end");
    }
}

fn state(plan: &Arc<Plan>) -> RunState {
    RunState::new(Arc::clone(plan), "run", "dir", RunOptions::default())
}

fn judged(events: &[(EventKind, i64)]) -> impl Iterator<Item = (usize, &str, &Judgement)> {
    events
        .iter()
        .enumerate()
        .filter_map(|(at, (event, _))| match event {
            EventKind::Check(CheckEvent::Judged { check, judgement }) => {
                Some((at, check.as_str(), &**judgement))
            }
            _ => None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_watched_has_its_consequence_and_no_other(shape in shapes(), rolls in prop::collection::vec(any::<u8>(), 20..300)) {
        let plan = plan(&shape);
        let mut world = World::new(Arc::clone(&plan), rolls);
        world.run();
        world.crash();
        let events = &world.events;
        // nothing is looked at after the end
        for guard in &plan.runbook.guards {
            if let Some(check) = world.state.check(&guard.name) {
                prop_assert!(!check.active, "{:?}", guard.name);
            }
        }
        prop_assert!(world.guards.is_empty() || world.state.status() != RunStatus::Succeeded);
        // a consequence stands right behind its verdict, and only where it was said
        for (at, check, judgement) in judged(events) {
            let next = events.get(at + 1).map(|(event, _)| event);
            let failed = matches!(next, Some(EventKind::Run(RunEvent::Failed(failure))) if failure.step.is_none());
            let held = matches!(next, Some(EventKind::Run(RunEvent::Stopping { reason: Parking::Held })));
            prop_assert_eq!(failed, judgement.then == Some(Then::Rollback), "{}", check);
            prop_assert!(!held || judgement.then == Some(Then::Pause), "{}", check);
            prop_assert!(judgement.verdict != Verdict::Pass || !plan.runbook.guards.iter().any(|guard| *guard.name == check));
        }
        if world.state.status() != RunStatus::Succeeded {
            return Ok(());
        }
        // success: every guard saw something, none that goes back broke, every watch that is done passed
        for (event, _) in events {
            if let EventKind::Check(CheckEvent::Ended { check, judgement }) = event {
                prop_assert!(judgement.tally.looks > 0 || judgement.verdict != Verdict::Pass, "{}", check);
            }
        }
        prop_assert!(!judged(events).any(|(_, _, judgement)| judgement.then == Some(Then::Rollback)));
        for (_, step) in plan.runbook.steps().filter(|(_, step)| step.watch.is_some()) {
            let done = events.iter().any(|(event, _)| matches!(event, EventKind::Step(StepEvent::Finished { step: name, .. }) if *name == *step.id));
            let last = judged(events).filter(|(_, check, _)| *check == *step.id).last();
            if done {
                let (_, _, judgement) = last.expect("it came to a verdict");
                prop_assert_eq!(judgement.verdict, Verdict::Pass);
                prop_assert!(judgement.tally.passed > 0);
            }
        }
    }
}
