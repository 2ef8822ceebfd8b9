//! One walk: from the snapshots through the phases, each step read or said what it would do.
//!
//! Main type: [`Walker`]. It folds what was really read into a state of its own, as a run would, so that
//! later steps see it; a step that was only simulated has no result, and who asks for it is not verified.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde_json::Value;

use super::super::clock::{now_ms, seconds};
use super::super::judge;
use super::around::milliseconds;
use super::found::{self, asks_for, asks_unread, blank, not_verified};
use super::hands::{Asker, Hands, identity};
use super::touch::Touch;
use crate::action::{ActionError, Call, Rehearsed};
use crate::event::rehearsal::{Entry, Word};
use crate::event::{Moment, Outcome, SkipReason, SnapshotEvent, SnapshotTaken, StepEvent};
use crate::expr::{Expr, Verdict};
use crate::plan::StepKey;
use crate::run::{RunState, StepScope};
use crate::runbook::model::{ActionUse, Items, Step};
use crate::runbook::units::human;

/// Items of one `for_each` that are walked.
const MOST_ITEMS: usize = 100;

/// What was read already, for other walks.
pub(super) type Cache = HashMap<String, Result<Rehearsed, ActionError>>;

/// When the state that a step expects is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// On the way forward: now, unless something before it would have changed it.
    Forward,
    /// In the middle of going back: perhaps never as it is now.
    Midway,
    /// Once everything is taken back: the state is then the one of now.
    Restored,
}

/// Where an entry belongs.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) key: Option<StepKey>,
    pub(super) when: When,
}

/// One walk.
pub(super) struct Walker<'a> {
    pub(super) hands: &'a Hands,
    cache: &'a mut Cache,
    pub(super) state: RunState,
    /// Seconds since the Unix epoch at which the phase was come to.
    phase_started: f64,
    /// Changes that were not made, with the step that would make them.
    pub(super) pending: Vec<(String, Touch)>,
    /// Steps whose result is not known.
    pub(super) unknown: HashSet<String>,
    pub(super) entries: Vec<Entry>,
    /// Why it is not known whether the step at hand has anything to do.
    pub(super) doubt: Option<String>,
    /// What the snapshots were, as far as they could be read.
    pub(super) snapshots: HashMap<String, Value>,
    /// Guards that were looked at, by their place in the runbook.
    pub(super) guards: HashSet<usize>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(hands: &'a Hands, cache: &'a mut Cache, state: RunState) -> Self {
        Self {
            hands,
            cache,
            state,
            phase_started: seconds(now_ms()),
            pending: Vec::new(),
            unknown: HashSet::new(),
            entries: Vec::new(),
            doubt: None,
            snapshots: HashMap::new(),
            guards: HashSet::new(),
        }
    }

    /// Walks to the end.
    pub(super) async fn walk(mut self) -> Vec<Entry> {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        self.take_snapshots().await;
        for phase in plan.graph.order() {
            self.phase_started = seconds(now_ms());
            self.phase(phase).await;
        }
        self.guards_left_out();
        self.phase_started = seconds(now_ms());
        self.way_back().await;
        self.entries
    }

    /// A scope without any step's own values.
    pub(super) fn base_scope(&self) -> StepScope {
        let mut scope = self.state.base_scope(now_ms());
        scope.secrets = std::sync::Arc::clone(&self.hands.secrets);
        scope
    }

    pub(super) fn scope(&self, step: &Step, key: Option<StepKey>) -> StepScope {
        let mut scope = self.state.scope(step, key, now_ms());
        scope.secrets = std::sync::Arc::clone(&self.hands.secrets);
        scope
    }

    /// Why these expressions have no value that is known, if they have none.
    pub(super) fn undecided<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr> + Clone,
    ) -> Option<String> {
        let result = asks_for(exprs.clone(), &|id| self.unknown.contains(id));
        let result = result.map(|id| format!("the result of `{id}`, which was not carried out"));
        result.or_else(|| {
            let secret = asks_unread(exprs, self.hands);
            secret.map(|name| format!("the secret `{name}`, whose value is not read"))
        })
    }

    async fn take_snapshots(&mut self) {
        let defs = self.hands.plan.runbook.snapshots.clone();
        let mut taken = Vec::new();
        for def in &defs {
            let mut entry = blank("snapshots", &def.name, &def.call.key);
            let began = Instant::now();
            match self.snapshot(&def.call, &def.name, true).await {
                Ok(value) => {
                    entry.word = Word::Read;
                    entry.does = format!("read by `{}`", *def.call.key);
                    entry.result = judge::bounded(value.clone(), &self.hands.masker);
                    taken.push(SnapshotTaken {
                        name: def.name.value.clone(),
                        file: None,
                        sha256: None,
                        value: Some(value.clone()),
                        failure: None,
                    });
                    self.snapshots.insert(def.name.value.clone(), value);
                }
                Err(error) => found::wrong(&mut entry, self.hands, &error, false),
            }
            entry.took_ms = milliseconds(began);
            self.entries.push(entry);
        }
        let taken = SnapshotEvent::Taken {
            moment: Moment::Before,
            snapshots: taken,
        };
        self.state.apply(&taken.into(), now_ms());
    }

    /// What a snapshot reads, masked; `cached`: as it was read before, if it was.
    pub(super) async fn snapshot(
        &mut self,
        used: &ActionUse,
        name: &str,
        cached: bool,
    ) -> Result<Value, ActionError> {
        let step = super::super::snapshots::reading_step();
        let call = self.hands.call(&step, used, &self.base_scope())?;
        let read = match cached {
            true => self.read(&step, used, &call, name, Asker::Plain).await?,
            false => {
                self.read_now(&step, used, &call, name, Asker::Plain)
                    .await?
            }
        };
        match read {
            Rehearsed::Read(value) => Ok(judge::hidden_json(value, &self.hands.masker)),
            Rehearsed::NotVerified(why) => Err(ActionError::invalid(why)),
            Rehearsed::Simulated(_) => {
                let message = format!("`{}` does not read in a rehearsal", call.key);
                Err(ActionError::invalid(message))
            }
        }
    }

    /// Reads, or takes what an earlier walk read by the same call.
    pub(super) async fn read(
        &mut self,
        step: &Step,
        used: &ActionUse,
        call: &Call,
        name: &str,
        asker: Asker,
    ) -> Result<Rehearsed, ActionError> {
        let key = identity(call, asker);
        if let Some(known) = self.cache.get(&key) {
            return known.clone();
        }
        let read = self.read_now(step, used, call, name, asker).await;
        self.cache.insert(key, read.clone());
        read
    }

    async fn read_now(
        &self,
        step: &Step,
        used: &ActionUse,
        call: &Call,
        name: &str,
        asker: Asker,
    ) -> Result<Rehearsed, ActionError> {
        let Some(reader) = self.hands.reader(used) else {
            return Err(ActionError::invalid(format!(
                "there is no action `{}`",
                call.key
            )));
        };
        let cx = self.hands.context(step, name, asker, self.phase_started);
        let left = cx.deadline.left();
        match tokio::time::timeout(left, reader.rehearse(&cx, call)).await {
            Ok(read) => read,
            Err(_) => {
                let message = format!("reading it was not over after {}", human(left));
                Err(ActionError::new(
                    crate::event::Cause::Timeout,
                    Outcome::NotApplied,
                    message,
                ))
            }
        }
    }

    async fn phase(&mut self, at: usize) {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        let phase = &plan.runbook.phases[at];
        if let Some(when) = &phase.when {
            let scope = self.state.scope_for(when, now_ms());
            let undecided = match self.undecided([&when.value]) {
                Some(what) => Some(format!("the phase's `when` asks for {what}")),
                None => {
                    let evidence = judge::masked(when.judge(&scope), &self.hands.masker);
                    match evidence.verdict {
                        Verdict::Pass => None,
                        Verdict::Fail => {
                            let why =
                                format!("its phase's `when` is false: {}", evidence.expression);
                            self.leave_phase_out(at, &why, evidence);
                            return;
                        }
                        _ => judge::failure(&[evidence], Outcome::NotApplied)
                            .map(|failure| failure.message),
                    }
                }
            };
            if let Some(why) = undecided {
                for step in &phase.steps {
                    let mut entry = blank(&phase.name, &step.id, &step.action.key);
                    not_verified(&mut entry, why.clone());
                    self.unsure(step, None);
                    self.entries.push(entry);
                }
                return;
            }
        }
        self.guards_of(&phase.name).await;
        for n in 0..phase.steps.len() {
            self.step(&phase.name, StepKey::of(plan.step_of(at, n)))
                .await;
        }
    }

    async fn step(&mut self, phase: &str, key: StepKey) {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        let step = plan.step(key.step);
        let mut entry = blank(phase, &step.id, &step.action.key);
        if !self.enters(step, Some(key), &mut entry) {
            self.entries.push(entry);
            return;
        }
        let at = At {
            key: Some(key),
            when: When::Forward,
        };
        let items = match self.items(step, key) {
            Ok(None) => {
                self.come_to(key);
                let entry = self.one(step, at, entry).await;
                self.entries.push(entry);
                return;
            }
            Ok(Some(items)) => items,
            Err(why) => {
                not_verified(&mut entry, why);
                self.unsure(step, None);
                self.entries.push(entry);
                return;
            }
        };
        let count = items.len();
        if count == 0 {
            entry.why = Some("its list has no items".into());
            self.entries.push(entry);
            return;
        }
        let expanded = StepEvent::Expanded {
            step: step.id.value.clone(),
            items,
        };
        self.state.apply(&expanded.into(), now_ms());
        for n in 0..count.min(MOST_ITEMS) {
            let item = u32::try_from(n).expect("items are few");
            let mut entry = blank(phase, &step.id, &step.action.key);
            entry.item = Some(n);
            self.come_to(StepKey::item(key.step, item));
            let at = At {
                key: Some(StepKey::item(key.step, item)),
                ..at
            };
            let entry = self.one(step, at, entry).await;
            self.entries.push(entry);
        }
        if count > MOST_ITEMS {
            let mut entry = blank(phase, &step.id, &step.action.key);
            entry.item = Some(MOST_ITEMS);
            let left = count - MOST_ITEMS;
            not_verified(&mut entry, format!("{left} more items were not walked"));
            self.entries.push(entry);
        }
    }

    /// The step, or item, is looked at: its phase has begun.
    fn come_to(&mut self, key: StepKey) {
        let step = self.hands.plan.name(key);
        let checking = StepEvent::Checking { step, attempt: 1 };
        self.state.apply(&checking.into(), now_ms());
    }

    /// The items of a step that has a list. Err: why it is not known.
    fn items(&self, step: &Step, key: StepKey) -> Result<Option<Vec<Value>>, String> {
        if let Some(Items::Listed(items)) = step.for_each.as_ref().map(|each| &each.items) {
            return Ok(Some(items.clone()));
        }
        let Some(expr) = found::computed(step) else {
            return Ok(None);
        };
        if let Some(what) = self.undecided([&expr.value]) {
            return Err(format!("its list needs {what}"));
        }
        match expr.value.value(&self.scope(step, Some(key))) {
            Ok(Value::Array(items)) => Ok(Some(items)),
            Ok(_) => Err("its `for_each` is no list".into()),
            Err(error) => Err(self.hands.hidden(&format!("its `for_each`: {error}"))),
        }
    }

    /// Whether a step's `when` lets it be come to; what stops it is written down.
    pub(super) fn enters(&mut self, step: &Step, key: Option<StepKey>, entry: &mut Entry) -> bool {
        let Some(when) = &step.when else {
            return true;
        };
        if let Some(what) = self.undecided([&when.value]) {
            let why = format!("its `when` asks for {what}");
            not_verified(entry, why);
            self.unsure(step, None);
            return false;
        }
        let evidence = when.value.judge(&self.scope(step, key));
        let evidence = judge::masked(evidence, &self.hands.masker);
        match evidence.verdict {
            Verdict::Pass => true,
            Verdict::Fail => {
                entry.why = Some(format!("its `when` is false: {}", evidence.expression));
                if key.is_some() {
                    let skipped = StepEvent::Skipped {
                        step: step.id.value.clone(),
                        reason: SkipReason::When(evidence),
                    };
                    self.state.apply(&skipped.into(), now_ms());
                }
                false
            }
            _ => {
                let failure = judge::failure(&[evidence], Outcome::NotApplied);
                let message = failure.map_or_else(String::new, |failure| failure.message);
                let error = ActionError::invalid(format!("its `when`: {message}"));
                found::wrong(entry, self.hands, &error, false);
                self.unsure(step, None);
                false
            }
        }
    }
}
