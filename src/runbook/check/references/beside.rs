//! References beside the steps: of success criteria, which are judged after the run, and of messages,
//! which are told while it goes on.

use super::super::super::comms::{Occasion, RuleDef, WayDef};
use super::super::super::diagnostic::Diagnostic;
use super::super::super::model::Sp;
use super::super::super::node::Span;
use super::{BESIDE, Place, References, span_of};
use crate::expr::{Reference, Template};

/// What can be said of the run in a message.
const OF_THE_RUN: &[&str] = &[
    "id", "name", "title", "status", "operator", "failure", "guard",
];

/// What can be said of a phase in a message; `step` is there where people are asked, and after a
/// failure.
const OF_A_PHASE: &[&str] = &["name", "title", "status", "step"];

impl References<'_, '_> {
    pub(super) fn criteria(&mut self) {
        let exprs = self.runbook.criteria.iter();
        for expr in exprs.filter_map(|one| one.expect.as_ref()) {
            for reference in expr.references() {
                let span = span_of(reference, expr.text().len(), expr.span);
                if let Some(found) = self.wrong_later(reference, span) {
                    self.problems.push(found);
                }
            }
        }
    }

    /// What is wrong with one reference of a success criterion, if anything.
    fn wrong_later(&mut self, reference: &Reference, span: Span) -> Option<Diagnostic> {
        let root = reference.path.first()?.as_str();
        match (root, reference.path.get(1)) {
            ("inputs" | "snapshots" | "phases" | "phase", _) => self.wrong(reference, span, BESIDE),
            ("probe", Some(name)) => self.wrong_snapshot(name, span),
            _ => {
                let message = format!("`{root}` is not there when a success criterion is judged");
                let help = "it is judged after the run, by `inputs`, `phases`, `snapshots.after.NAME`, \
                            and `probe.NAME`, which reads that snapshot again";
                Some(Diagnostic::error("F021", span, message).help(help))
            }
        }
    }

    pub(super) fn comms(&mut self) {
        let comms = &self.runbook.comms;
        for channel in &comms.channels {
            let address = match &channel.way {
                WayDef::Webhook { url, .. } => url,
                WayDef::Mail { smtp, .. } => smtp,
            };
            for reference in address.references() {
                let span = span_of(&reference, address.text().len(), address.span);
                let place = Place {
                    secrets: true,
                    ..BESIDE
                };
                let found = match reference.path.first().map(String::as_str) {
                    Some("inputs") => self.wrong(&reference, span, place),
                    root => not_there(
                        root.unwrap_or_default(),
                        span,
                        "an address of `comms`",
                        "`inputs`",
                    ),
                };
                self.problems_of(found);
            }
        }
        for rule in &comms.rules {
            self.channels_of(rule);
            if let Some(text) = &rule.text {
                self.message(rule, text);
            }
        }
    }

    fn is_secret(&self, name: &str) -> bool {
        self.inputs.get(name).is_some_and(|input| input.secret)
    }

    pub(super) fn problems_of(&mut self, found: Option<Diagnostic>) {
        if let Some(found) = found {
            self.problems.push(found);
        }
    }

    fn channels_of(&mut self, rule: &RuleDef) {
        let channels = &self.runbook.comms.channels;
        for name in &rule.to {
            let known = || channels.iter().map(|one| one.name.as_str());
            if known().any(|known| known == name.as_str())
                || self.problems.is_broken("channel", name)
            {
                continue;
            }
            let near = self.problems.did_you_mean(name, known());
            let message = format!("unknown channel `{}`", **name);
            let help = near.unwrap_or_else(|| "declare it in `channels`".into());
            self.problems
                .push(Diagnostic::error("F012", name.span, message).help(help));
        }
    }

    fn message(&mut self, rule: &RuleDef, text: &Sp<Template>) {
        for reference in text.references() {
            let span = span_of(&reference, text.text().len(), text.span);
            let found = self.wrong_in_message(rule, &reference, span);
            self.problems_of(found);
        }
    }

    fn wrong_in_message(
        &mut self,
        rule: &RuleDef,
        reference: &Reference,
        span: Span,
    ) -> Option<Diagnostic> {
        let root = reference.path.first()?.as_str();
        let field = reference.path.get(1).map(String::as_str);
        let unknown = |what: &str, field: &str, known: &[&str]| {
            let message = format!("unknown field of `{what}` `{field}`");
            let help = format!("there are `{}`", known.join("`, `"));
            Some(Diagnostic::error("F021", span, message).help(help))
        };
        match (root, field) {
            ("inputs", Some(name)) if self.is_secret(name) => {
                let message = format!("the secret input `{name}` in a message");
                let help = "whoever gets the message reads it";
                Some(Diagnostic::error("F024", span, message).help(help))
            }
            ("inputs", _) => self.wrong(reference, span, BESIDE),
            ("run", Some(field)) if !OF_THE_RUN.contains(&field) => {
                unknown("run", field, OF_THE_RUN)
            }
            ("run", _) => None,
            ("phase", Some(field)) if !OF_A_PHASE.contains(&field) => {
                unknown("phase", field, OF_A_PHASE)
            }
            ("phase", _) => {
                let without = rule.events.iter().find(|occasion| !occasion.has_phase());
                without.map(|occasion: &Occasion| {
                    let message = format!("`{}` is about no phase", occasion.word());
                    Diagnostic::error("F021", span, message)
                })
            }
            _ => not_there(root, span, "a message", "`run`, `phase` and `inputs`"),
        }
    }
}

fn not_there(root: &str, span: Span, place: &str, known: &str) -> Option<Diagnostic> {
    let message = format!("`{root}` is not there in {place}");
    Some(Diagnostic::error("F021", span, message).help(format!("it may use {known}")))
}
