//! Actions: what a step does. One file or folder per kind; each acts and reports, none decides.
//!
//! An [`Action`] is handed a [`Call`] in which everything is resolved, and a [`Context`] with what
//! it may use. It returns its `result` as JSON, or an [`ActionError`] that says what is known about
//! the effect. Retry, expectations and rollback are decided elsewhere.

pub mod context;
pub mod disk;
pub mod env;
pub mod error;
pub mod file;
pub mod gate;
pub mod http;
pub mod log;
mod measure;
pub mod notify;
pub mod pause;
pub mod process;
pub mod prometheus;
pub mod reach;
pub mod redis;
pub mod registry;
pub mod rehearse;
pub mod shell;
pub mod snapshot;
pub mod sql;
pub mod tree;
pub mod wait;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use context::{Call, Context, Output, Stop, StopSignal, Stream, Target};
pub use error::ActionError;
pub use registry::Registry;
pub use rehearse::{ReadContext, Rehearsed, Simulated};

use crate::runbook::Spec;

/// Connections and clients that are shared by the actions of one run. Each kind keeps its own,
/// made when first needed.
#[derive(Default)]
pub struct Clients {
    /// HTTP clients.
    pub http: http::Pool,
    /// Redis connections that were opened ahead.
    pub redis: redis::Ahead,
    /// SQL connections.
    pub sql: sql::SqlClients,
    /// Lock files of process trees.
    pub locks: tree::Locks,
}

/// One kind of action.
#[async_trait]
pub trait Action: Send + Sync {
    /// What the language knows of it.
    fn spec(&self) -> &'static Spec;

    /// What the call would do, in a few words with its values: for prompts, rehearsals and plans.
    /// The caller masks it.
    fn describe(&self, call: &Call) -> String;

    /// Reads what `undo: auto` needs to put back, before the change. `None`: nothing to keep.
    ///
    /// # Errors
    /// When it cannot be read; the step then does not start.
    async fn capture(&self, _cx: &Context, _call: &Call) -> Result<Option<Value>, ActionError> {
        Ok(None)
    }

    /// Does it, and returns `result`.
    ///
    /// # Errors
    /// With what is known about the effect.
    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError>;

    /// Takes it back, for `undo: auto`: `captured` is what [`Action::capture`] returned. Must be
    /// safe when the action never took effect, and must not overwrite what others changed since.
    ///
    /// # Errors
    /// With what is known about the effect.
    async fn restore(
        &self,
        _cx: &Context,
        call: &Call,
        _captured: &Value,
    ) -> Result<Value, ActionError> {
        Err(ActionError::invalid(format!(
            "`{}` has no automatic undo",
            call.key
        )))
    }

    /// Whether something that an attempt of this call began is still at work where the call goes to,
    /// although the engine that began it is gone: a session of a database. For changing calls, before
    /// anything is decided about an attempt whose end nobody saw; processes are found by
    /// [`tree::leftover`].
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn still_running(&self, _cx: &Context, _call: &Call) -> Result<bool, ActionError> {
        Ok(false)
    }

    /// Ends what [`Action::still_running`] looks for; whether there was something to end. It may take
    /// a moment to be gone.
    ///
    /// # Errors
    /// When it cannot be ended.
    async fn end_running(&self, _cx: &Context, _call: &Call) -> Result<bool, ActionError> {
        Ok(false)
    }

    /// What it would do, without doing it; a call that only reads is really read. Must change nothing,
    /// and has no handle to change anything with. An action that is silent here is never taken for
    /// rehearsed.
    ///
    /// # Errors
    /// What is wrong already: a file that is missing, a target that refuses.
    async fn rehearse(&self, _cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        Ok(Rehearsed::NotVerified(format!(
            "`{}` does not say what it would do",
            call.key
        )))
    }

    /// Whether the action watches [`Context::stop`] and [`Context::deadline`] itself, because ending
    /// it takes more than dropping it.
    fn stops_itself(&self) -> bool {
        false
    }
}

/// Reads a call's parameters as a `P`; a scalar is the short form.
///
/// # Errors
/// [`ActionError::invalid`], naming the action and the parameter.
pub fn params<P: DeserializeOwned>(spec: &Spec, call: &Call) -> Result<P, ActionError> {
    let value = match (&call.params, spec.short) {
        (Value::Object(_), _) | (_, None) => call.params.clone(),
        (Value::Null, Some(_)) => Value::Object(serde_json::Map::new()),
        (scalar, Some(field)) => {
            let text = scalar
                .as_str()
                .map_or_else(|| scalar.to_string(), str::to_owned);
            serde_json::json!({ field: text })
        }
    };
    let value = if value.is_null() {
        serde_json::json!({})
    } else {
        value
    };
    serde_json::from_value(value)
        .map_err(|error| ActionError::invalid(format!("`{}`: {error}", call.key)))
}
