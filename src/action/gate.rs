//! `manual` and `approve`: steps that wait for people. The run itself opens and settles them; nothing
//! here is ever carried out, and an attempt to do so is refused.

use async_trait::async_trait;
use serde_json::Value;

use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::{Cause, Outcome};
use crate::runbook::Spec;
use crate::runbook::catalog::{Class, always_reading};
use crate::runbook::gate::{Approve, Manual};

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&ManualStep, &Approval];

/// Something that a person does by hand and confirms.
pub struct ManualStep;

/// Something that people agree to.
pub struct Approval;

static MANUAL: Spec = Spec {
    short: Some("text"),
    class: manual_class,
    sense: Manual::sense,
    results: &[
        ("by", "who confirmed it"),
        ("login", "the login that confirmed it"),
        ("values", "what was typed in, by name"),
        ("ticked", "entries of the checklist"),
        ("note", "evidence in words"),
        (
            "file",
            "evidence as a file: where it is kept, its size and its SHA-256",
        ),
        ("waited_ms", "how long it waited for them"),
    ],
    ..Spec::of::<Manual>(
        "manual",
        "something that a person does by hand and confirms",
    )
};

static APPROVE: Spec = Spec {
    short: Some("by"),
    class: always_reading,
    sense: Approve::sense,
    results: &[
        ("by", "who agreed"),
        ("votes", "each vote: who, login, comment, key"),
        ("waited_ms", "how long it waited for them"),
    ],
    ..Spec::of::<Approve>(
        "approve",
        "something that people agree to before the run goes on",
    )
};

/// The spec of `manual`, for those who show its parameters.
pub fn manual_spec() -> &'static Spec {
    &MANUAL
}

/// The spec of `approve`, for those who show its parameters.
pub fn approve_spec() -> &'static Spec {
    &APPROVE
}

fn manual_class(written: &Value) -> Class {
    match written.get("changes").and_then(Value::as_bool) {
        Some(true) => Class::Changing,
        _ => Class::Reading,
    }
}

#[async_trait]
impl Action for ManualStep {
    fn spec(&self) -> &'static Spec {
        &MANUAL
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Manual>(&MANUAL, call) {
            Ok(manual) => format!("by hand: {}", manual.text.trim()),
            Err(_) => "by hand".into(),
        }
    }

    async fn execute(&self, _cx: &Context, call: &Call) -> Result<Value, ActionError> {
        Err(not_carried_out(call))
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        Ok(not_asked(call))
    }
}

#[async_trait]
impl Action for Approval {
    fn spec(&self) -> &'static Spec {
        &APPROVE
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Approve>(&APPROVE, call) {
            Ok(approve) => format!("approval by {}", approve.by.0.join(", ")),
            Err(_) => "approval".into(),
        }
    }

    async fn execute(&self, _cx: &Context, call: &Call) -> Result<Value, ActionError> {
        Err(not_carried_out(call))
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        Ok(not_asked(call))
    }
}

/// People are asked nothing in a rehearsal, and nothing that they say there would count.
fn not_asked(call: &Call) -> Rehearsed {
    Rehearsed::NotVerified(format!("nobody is asked in a rehearsal (`{}`)", call.key))
}

fn not_carried_out(call: &Call) -> ActionError {
    let message = format!(
        "`{}` waits for people, and cannot be carried out here",
        call.key
    );
    ActionError::new(Cause::Internal, Outcome::NotApplied, message)
}
