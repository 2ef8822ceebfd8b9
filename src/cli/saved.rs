//! Saved plans: what `ferry plan --out` writes and `ferry run --plan` runs, and nothing else.
//!
//! Main type: [`SavedPlan`]. It holds the runbook's text and the inputs that are no secrets; secrets
//! are bound when it runs. Its seal is a digest over all of it: a file that was edited is refused. It
//! is no signature: who can write the file can seal it anew, and the plan's own digest, which is what
//! is approved, then differs.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::CommandError;
use super::exit::Exit;
use super::load::{self, Loaded};
use super::state;
use crate::action::Registry;
use crate::engine::clock::now_ms;
use crate::front::text::rfc3339;
use crate::plan::{Plan, hex};
use crate::runbook::inputs::{self, InputValues};
use crate::runbook::{self, Runbook, Source, is_hidden};
use crate::secret::{Masker, Secret, mask_places};

/// The form that this ferry writes and reads.
const FORM: &str = "ferry.saved-plan/1";

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 40 << 20;

/// A plan as it is kept in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPlan {
    schema: String,
    /// The version that made it.
    ferry: String,
    made_at: String,
    made_by: String,
    /// The runbook's name.
    runbook: String,
    /// The path as it was given.
    source: String,
    /// The plan's digest: what is approved, and what the run has.
    digest: String,
    /// Other targets than the runbook's own.
    environment: Option<String>,
    /// Inputs that are no secrets; a password in one is hidden, and has to be given again.
    inputs: InputValues,
    /// Names of the inputs that are.
    secrets: Vec<String>,
    text_sha256: String,
    text: String,
    /// SHA-256 over all that stands before it.
    #[serde(default)]
    seal: String,
}

/// A plan that was read back, ready to run.
pub(super) struct Opened {
    pub(super) plan: Plan,
    pub(super) secrets: HashMap<String, String>,
    pub(super) source: Source,
}

impl SavedPlan {
    /// What there is to keep of a plan; `secrets` are those whose values are known, so that none of
    /// them is written.
    ///
    /// # Errors
    /// When the runbook's text holds a secret.
    pub(super) fn of(
        plan: &Plan,
        source: &Source,
        secrets: HashMap<String, String>,
    ) -> Result<Self, CommandError> {
        let hidden = secrets
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)));
        let masker = Masker::new(hidden)
            .map_err(|error| CommandError::new(Exit::Refused, error.to_string()))?;
        let masked = masker.text(&source.text);
        if mask_places(&masked) != source.text {
            let message = format!(
                "`{}` holds a secret in its text, and a saved plan holds that text",
                source.name
            );
            return Err(CommandError::new(Exit::Refused, message)
                .hint("take it from an input with `secret: true`"));
        }
        let inputs = plan.inputs.iter().map(|(name, value)| {
            let value = masker.json(value.clone());
            (name.clone(), places(value))
        });
        let mut saved = Self {
            schema: FORM.into(),
            ferry: env!("CARGO_PKG_VERSION").into(),
            made_at: rfc3339(now_ms()),
            made_by: state::me().who,
            runbook: plan.runbook.name.value.clone(),
            source: source.name.clone(),
            digest: plan.digest.clone(),
            environment: None,
            inputs: inputs.collect(),
            secrets: plan.secrets.clone(),
            text_sha256: hex(&Sha256::digest(source.text.as_bytes())),
            text: source.text.clone(),
            seal: String::new(),
        };
        saved.seal = saved.sealed();
        Ok(saved)
    }

    fn sealed(&self) -> String {
        let mut whole = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = whole.as_object_mut() {
            fields.remove("seal");
        }
        hex(&Sha256::digest(whole.to_string().as_bytes()))
    }

    /// Writes it for its owner alone; a file that is there is replaced as a whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), CommandError> {
        let shown = path.display().to_string();
        let failed = |error: std::io::Error| {
            let message = format!(
                "the plan cannot be written to `{shown}`: {}",
                load::words(&error)
            );
            CommandError::new(Exit::CannotWrite, message)
        };
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| CommandError::new(Exit::Internal, error.to_string()))?;
        let beside = path.with_file_name(format!(
            ".{}.{}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id()
        ));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            // what is half written is of no use, and may not be there at all
            let _ = std::fs::remove_file(&beside);
        }
        written.map_err(failed)
    }

    /// Reads a file, and refuses one that is not as it was written.
    ///
    /// # Errors
    /// When it cannot be read, is no saved plan, or was edited.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let shown = path.display().to_string();
        let bytes = load::bytes_of(path, "plan", MAX_BYTES)?;
        let invalid = |what: String| {
            CommandError::new(Exit::Invalid, format!("`{shown}` {what}"))
                .hint("make it anew: `ferry plan RUNBOOK --out FILE`")
        };
        let saved: Self = serde_json::from_slice(&bytes)
            .map_err(|error| invalid(format!("is no saved plan: {error}")))?;
        if saved.schema != FORM {
            let message = format!(
                "`{shown}` is a saved plan of the form `{}`, and this ferry knows `{FORM}`",
                saved.schema
            );
            return Err(CommandError::new(Exit::Newer, message));
        }
        if saved.text_sha256 != hex(&Sha256::digest(saved.text.as_bytes())) {
            return Err(invalid(
                "was edited: its runbook is not the one that was planned".into(),
            ));
        }
        if saved.seal != saved.sealed() {
            return Err(invalid("was edited after it was written".into()));
        }
        Ok(saved)
    }

    /// The plan again, with its secrets bound; `given` may name those inputs only that the file does
    /// not hold.
    ///
    /// # Errors
    /// When an input contradicts it or has no value, or the digest is not what it was.
    pub(super) fn open(self, given: &[(String, String)]) -> Result<Opened, CommandError> {
        if let Some(environment) = &self.environment {
            let message =
                format!("the plan is for the environment `{environment}`, which `run` cannot take");
            return Err(CommandError::new(Exit::Refused, message));
        }
        let read = runbook::read(&self.text, &Registry::all().catalog());
        let Some(runbook) = read.runbook else {
            return Err(self.other_ferry());
        };
        self.contradicts(&runbook, given)?;
        let given: BTreeMap<String, String> = given.iter().cloned().collect();
        let env = |name: &str| std::env::var(name).ok();
        let bound = inputs::rebind(&runbook, &self.inputs, &given, &env)
            .map_err(|errors| load::unbound(&errors))?;
        let names = bound.secrets.keys().cloned().collect();
        let plan = Plan::new(runbook, &read.meaning, bound.values, names);
        if plan.digest != self.digest {
            if self.ferry != env!("CARGO_PKG_VERSION") {
                return Err(self.other_ferry());
            }
            let message = format!(
                "the plan comes to {}, and the file says {}: an input is not what it was",
                short(&plan.digest),
                short(&self.digest)
            );
            return Err(CommandError::new(Exit::Invalid, message)
                .hint("give those that hold a password as they were: `--input NAME=VALUE`"));
        }
        Ok(Opened {
            plan,
            secrets: bound.secrets,
            source: Source {
                name: self.source,
                text: self.text,
            },
        })
    }

    fn contradicts(
        &self,
        runbook: &Runbook,
        given: &[(String, String)],
    ) -> Result<(), CommandError> {
        for (name, text) in given {
            let Some(kept) = self.inputs.get(name).filter(|kept| !is_hidden(kept)) else {
                continue;
            };
            let mut one = runbook.clone();
            one.inputs.retain(|input| *input.name == *name);
            let said = BTreeMap::from([(name.clone(), text.clone())]);
            let bound =
                inputs::bind(&one, &said, &|_| None).map_err(|errors| load::unbound(&errors))?;
            if bound.values.get(name) != Some(kept) {
                let message = format!(
                    "input `{name}` is {kept} in the saved plan, and `--input` says `{text}`"
                );
                return Err(CommandError::new(Exit::Invalid, message)
                    .hint("leave it out, or plan anew with that value"));
            }
        }
        Ok(())
    }

    fn other_ferry(&self) -> CommandError {
        let message = format!(
            "this ferry ({}) reads the runbook otherwise than ferry {}, which planned it",
            env!("CARGO_PKG_VERSION"),
            self.ferry
        );
        CommandError::new(Exit::Newer, message).hint("plan it anew")
    }
}

/// Passwords in addresses, hidden wherever they stand in a value.
fn places(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(mask_places(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(places).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, places(value)))
            .collect(),
        other => other,
    }
}

/// The beginning of a digest, enough to tell two apart.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Refuses a plan with another digest than the one that somebody expects, which may be cut.
///
/// # Errors
/// When it is another, or too short to say which.
pub(super) fn expect_digest(plan: &Plan, expected: Option<&str>) -> Result<(), CommandError> {
    let Some(expected) = expected.map(str::to_lowercase) else {
        return Ok(());
    };
    if expected.len() < 8 || !expected.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(CommandError::new(
            Exit::Usage,
            "a digest is at least 8 digits in hexadecimal, as `ferry plan` shows it",
        ));
    }
    if plan.digest.starts_with(&expected) {
        return Ok(());
    }
    let message = format!(
        "the plan comes to {}, and {} is expected; nothing was started",
        short(&plan.digest),
        short(&expected)
    );
    Err(CommandError::new(Exit::Invalid, message)
        .hint("the runbook or an input has changed since: `ferry plan` shows it"))
}

/// A plan without its secrets.
pub(super) struct Visible {
    pub(super) plan: Plan,
    /// The secrets whose values are known here.
    pub(super) secrets: HashMap<String, String>,
    pub(super) source: Source,
    /// Why an input that is no secret has no value; the plan is then not that of a run.
    pub(super) missing: Option<CommandError>,
}

/// The plan of a runbook, for which no secret has to be known.
pub(super) fn visible(loaded: Loaded, given: &[(String, String)]) -> Result<Visible, CommandError> {
    let env = |name: &str| std::env::var(name).ok();
    let said: BTreeMap<String, String> = given.iter().cloned().collect();
    let names: Vec<String> = secret_names(&loaded.runbook);
    let secrets = inputs::bind_known(&loaded.runbook, &said, &env);
    let mut open = loaded.runbook.clone();
    open.inputs.retain(|input| !input.secret);
    let seen = said.into_iter().filter(|(name, _)| !names.contains(name));
    // a plan can be looked at on a machine that has none of the inputs
    let (values, missing) = match inputs::bind(&open, &seen.collect(), &env) {
        Ok(bound) => (bound.values, None),
        Err(errors) if given.is_empty() => (InputValues::new(), Some(load::unbound(&errors))),
        Err(errors) => return Err(load::unbound(&errors)),
    };
    let plan = Plan::new(loaded.runbook, &loaded.meaning, values, names);
    Ok(Visible {
        plan,
        secrets,
        source: loaded.source,
        missing,
    })
}

fn secret_names(runbook: &Runbook) -> Vec<String> {
    let secret = runbook.inputs.iter().filter(|input| input.secret);
    secret.map(|input| input.name.value.clone()).collect()
}
