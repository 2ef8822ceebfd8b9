//! `wait`: lets time pass. Waiting for something to hold is `wait` with a probe, which the language
//! turns into a step's `then_wait`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, Stop, params};
use crate::event::{Cause, Outcome};
use crate::runbook::Spec;
use crate::runbook::catalog::always_reading;
use crate::runbook::units::{Span, human};

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&Wait];

/// Lets time pass.
pub struct Wait;

static SPEC: Spec = Spec {
    short: Some("for"),
    class: always_reading,
    results: &[("waited_ms", "how long it waited")],
    ..Spec::of::<Params>("wait", "let time pass, or wait until a probe holds")
};

/// Parameters of `wait`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How long.
    #[serde(rename = "for")]
    duration: Span,
}

#[async_trait]
impl Action for Wait {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(params) if params.duration.0.is_zero() => "wait until it holds".into(),
            Ok(params) => format!("wait {}", human(params.duration.0)),
            Err(_) => "wait".into(),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { duration } = params(&SPEC, call)?;
        let mut stop = cx.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(duration.0) => {}
            _ = stop.above(Stop::No) => {
                return Err(ActionError::new(Cause::Stopped, Outcome::NotApplied, "the wait was stopped"));
            }
        }
        Ok(json!({ "waited_ms": duration.0.as_secs_f64() * 1_000.0 }))
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { duration } = params(&SPEC, call)?;
        let facts = json!({ "waited_ms": duration.0.as_secs_f64() * 1_000.0 });
        Ok(Simulated::exactly(self.describe(call), facts).into())
    }
}
