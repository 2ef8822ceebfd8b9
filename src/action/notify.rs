//! `notify`: tells people through a webhook.
//!
//! [`Notify`] posts JSON with `text` at its top, which Slack and its like understand, beside the
//! run and the step. The webhook's path is as good as a password, so only its host is shown.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, http};
use crate::runbook::Spec;

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&Notify];

/// A message to a webhook.
pub struct Notify;

/// What to say, and where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Absolute URL that takes a JSON POST
    pub webhook: String,
    /// What to say
    pub text: String,
    /// A heading, for receivers that know one
    pub title: Option<String>,
    /// Anything else the receiver is to get, as `data`
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// What the language knows of `notify`.
pub static SPEC: Spec = Spec {
    results: &[
        ("status", "status code of the receiver"),
        ("total_ms", "milliseconds it took"),
    ],
    ..Spec::of::<Params>("notify", "tell people through a webhook")
};

#[async_trait]
impl Action for Notify {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match super::params::<Params>(&SPEC, call) {
            Ok(params) => format!("say `{}` to a webhook", params.text),
            Err(_) => "say something to a webhook".into(),
        }
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: Params = super::params(&SPEC, call)?;
        let host = http::host_of(&params.webhook)
            .map_err(|why| ActionError::invalid(format!("`{}`: {why}", call.key)))?;
        let would = format!("people would be told through {host}; nobody is");
        let said = params.title.iter().chain([&params.text]);
        let lines: Vec<String> = said.map(|text| format!("| {text}")).collect();
        Ok(Simulated::shown(would, json!({ "host": host }))
            .detail(lines)
            .into())
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: Params = super::params(&SPEC, call)?;
        let mut body = Map::new();
        body.insert("text".into(), params.text.into());
        if let Some(title) = params.title {
            body.insert("title".into(), title.into());
        }
        body.insert("run".into(), cx.run.as_str().into());
        body.insert("step".into(), cx.step.as_str().into());
        if !params.data.is_empty() {
            body.insert("data".into(), params.data.into());
        }
        let receiver = only(&["status", "total_ms"]);
        match http::post_json(cx, call, &params.webhook, body.into()).await {
            Ok(result) => Ok(receiver(&result)),
            Err(mut error) => {
                error.result = error.result.as_ref().map(receiver);
                if let Some((head, tail)) = error.message.split_once(" answered `POST ") {
                    let status = tail
                        .split_once("` with ")
                        .map_or(tail, |(_, status)| status);
                    error.message = format!("{head} answered with {status}");
                }
                Err(error)
            }
        }
    }
}

/// Keeps these fields; the URL that `http` reports would show the webhook's path.
fn only(fields: &'static [&'static str]) -> impl Fn(&Value) -> Value {
    move |result| {
        let kept = fields
            .iter()
            .filter_map(|field| Some(((*field).to_owned(), result.get(field)?.clone())));
        json!(kept.collect::<Map<_, _>>())
    }
}
