//! What is looked at again and again, in a rehearsal: one real look at each guard and each step with
//! `watch`, judged as a first look is; and whether what passes would notice that nothing came back.

use std::time::Instant;

use serde_json::Value;

use super::super::clock::now_ms;
use super::super::judge;
use super::super::snapshots::reading_step;
use super::around::milliseconds;
use super::found::{self, asks_for, blank, not_verified};
use super::walk::{At, Walker, When};
use crate::event::Outcome;
use crate::event::rehearsal::Entry;
use crate::expr::{Expr, Verdict};
use crate::run::StepScope;
use crate::runbook::Sp;
use crate::runbook::model::Step;
use crate::runbook::units::human;
use crate::runbook::watch::{Band, Guard, Length, asks};

/// Where the looks at guards are listed.
const GUARDS: &str = "guards";

impl Walker<'_> {
    /// Guards whose first phase this is.
    pub(super) async fn guards_of(&mut self, phase: &str) {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        for (at, guard) in plan.runbook.guards.iter().enumerate() {
            let its = guard.during.iter().any(|name| name.as_str() == phase);
            if its && self.guards.insert(at) {
                let entry = self.guard(guard, phase).await;
                self.entries.push(entry);
            }
        }
    }

    /// Guards none of whose phases this walk came to.
    pub(super) fn guards_left_out(&mut self) {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        for (at, guard) in plan.runbook.guards.iter().enumerate() {
            if !self.guards.contains(&at) {
                let mut entry = blank(GUARDS, &guard.name, &guard.call.key);
                entry.why = Some("its phases are left out".into());
                self.entries.push(entry);
            }
        }
    }

    async fn guard(&mut self, guard: &Guard, phase: &str) -> Entry {
        let began = Instant::now();
        let mut entry = blank(GUARDS, &guard.name, &guard.call.key);
        let step = Step {
            id: guard.name.clone(),
            action: guard.call.clone(),
            expect: guard.criteria.expect.clone(),
            warn: guard.criteria.warn.clone(),
            timeout: guard.rule.timeout,
            // a guard is checked to be reading
            read_only: Some(true),
            ..reading_step()
        };
        let mut scope = self.state.guard_scope(guard, now_ms());
        scope.secrets = std::sync::Arc::clone(&self.hands.secrets);
        scope.phase = Some(Value::from(phase));
        let not_judged = step.expect.iter();
        let not_judged = not_judged.map(|expr| self.hands.hidden(expr.text()));
        let not_judged: Vec<String> = not_judged.collect();
        if let Some(id) = asks_for(found::needed(&step, &step.action), &|id| {
            self.unknown.contains(id)
        }) {
            not_verified(&mut entry, format!("it needs the result of `{id}`"));
            entry.not_judged = not_judged;
            return entry;
        }
        match self.hands.call(&step, &step.action, &scope) {
            Ok(call) => {
                if let Some(reader) = self.hands.reader(&step.action) {
                    entry.does = self.hands.hidden(&reader.describe(&call));
                }
                let at = At {
                    key: None,
                    when: When::Forward,
                };
                self.excused(guard, &scope, &mut entry);
                self.ask(&step, at, scope, &call, &mut entry, not_judged)
                    .await;
                let every = human(guard.rule.every);
                let note = format!(
                    "one look: a run looks every {every}, and then: {}",
                    guard.then.word()
                );
                entry.notes.push(note);
            }
            Err(error) => found::wrong(&mut entry, self.hands, &error, false),
        }
        entry.took_ms = milliseconds(began);
        entry
    }

    /// Says that what it comes to would have no consequence, where that is known before the look.
    fn excused(&self, guard: &Guard, scope: &StepScope, entry: &mut Entry) {
        let Some(unless) = &guard.unless else {
            return;
        };
        if self.undecided([&unless.value]).is_none()
            && unless.value.judge(scope).verdict == Verdict::Pass
        {
            let text = self.hands.hidden(unless.text());
            entry
                .notes
                .push(format!("excused now: `unless` holds: {text}"));
        }
    }

    /// What a look says beside its expectations: warnings, what later bands expect, and whether what
    /// passes would pass without data, too. `early`: a change that was not made stands before it.
    pub(super) fn beside(
        &self,
        step: &Step,
        scope: &StepScope,
        judged: &[Sp<Expr>],
        early: bool,
        entry: &mut Entry,
    ) {
        let watch = step.watch.as_deref();
        let warn = watch.map_or(&step.warn, |watch| &watch.criteria.warn);
        if !early {
            for found in warn.iter().filter_map(|expr| self.missed(expr, scope)) {
                entry.notes.push(format!("a warning: {found}"));
            }
        }
        let compares = judged.iter().chain(warn);
        if asks(compares, "baseline") {
            let note = "what is read now stands in for `baseline`: it is compared with itself";
            entry.notes.push(note.into());
        }
        let Some(watch) = watch else {
            if entry.phase == GUARDS {
                self.without_data(judged, scope, entry);
            }
            return;
        };
        let every = human(watch.rule.every);
        let length = match watch.rule.length {
            Length::For(length) => format!(" for {}", human(length)),
            Length::Within(within) => format!(" for at most {}", human(within)),
            Length::Count(count) => format!(", {count} times"),
            Length::Phases => String::new(),
        };
        entry
            .notes
            .push(format!("one look: a run looks every {every}{length}"));
        for band in later_bands(step).filter(|_| !early) {
            self.band(band, scope, entry);
        }
        let bands = watch.criteria.bands.iter().flat_map(|band| &band.expect);
        let all: Vec<Sp<Expr>> = judged.iter().chain(bands).cloned().collect();
        self.without_data(&all, scope, entry);
    }

    /// What a band that comes later would say of what is there now.
    fn band(&self, band: &Band, scope: &StepScope, entry: &mut Entry) {
        let from = human(band.from);
        let missed: Vec<String> = band
            .expect
            .iter()
            .filter_map(|expr| self.missed(expr, scope))
            .collect();
        entry.notes.push(match missed.first() {
            None => format!("what is expected from {from} on holds already"),
            Some(missed) => format!("what is expected from {from} on does not hold yet: {missed}"),
        });
    }

    /// Why an expression does not hold now; `None`: it does, or nobody knows.
    fn missed(&self, expr: &Sp<Expr>, scope: &StepScope) -> Option<String> {
        if self.undecided([&expr.value]).is_some() {
            return None;
        }
        let evidence = judge::masked(expr.value.judge(scope), &self.hands.masker);
        judge::failure(&[evidence], Outcome::NotApplied).map(|failure| failure.message)
    }

    /// Turns each criterion around: over a result in which everything is null none may pass.
    fn without_data(&self, judged: &[Sp<Expr>], scope: &StepScope, entry: &mut Entry) {
        let Some(Value::Object(fields)) = &scope.result else {
            return;
        };
        let nothing = fields.keys().map(|key| (key.clone(), Value::Null));
        let mut scope = scope.clone();
        scope.result = Some(nothing.collect::<serde_json::Map<_, _>>().into());
        for expr in judged {
            if self.undecided([&expr.value]).is_none()
                && expr.value.judge(&scope).verdict == Verdict::Pass
            {
                let text = self.hands.hidden(expr.text());
                entry.notes.push(format!(
                    "passes without data: `{text}` would not notice that nothing came back"
                ));
            }
        }
    }
}

/// What the first look of a step is judged by.
pub(super) fn expected(step: &Step) -> Vec<Sp<Expr>> {
    let Some(watch) = step.watch.as_deref() else {
        return step.expect.clone();
    };
    let first = watch
        .criteria
        .bands
        .iter()
        .rfind(|band| band.from <= watch.rule.initial_delay);
    let first = first.iter().flat_map(|band| &band.expect);
    watch.criteria.expect.iter().chain(first).cloned().collect()
}

/// Bands that the first look does not fall into, and that are still to come.
fn later_bands(step: &Step) -> impl Iterator<Item = &Band> {
    let watch = step.watch.as_deref();
    let first = watch.map_or_else(Default::default, |watch| watch.rule.initial_delay);
    let bands = watch.into_iter().flat_map(|watch| &watch.criteria.bands);
    bands.filter(move |band| band.from > first)
}

/// What only time can show of a step with `watch`.
pub(super) fn later(step: &Step) -> impl Iterator<Item = String> {
    let bands = later_bands(step).flat_map(|band| {
        let from = human(band.from);
        let texts = band.expect.iter();
        texts.map(move |expr| format!("from {from}: {}", expr.text()))
    });
    let watch = step.watch.as_deref().into_iter();
    let trends = watch.flat_map(|watch| &watch.criteria.trends);
    bands.chain(trends.map(|trend| format!("trend: {} {}", trend.path, trend.wanted.word())))
}
