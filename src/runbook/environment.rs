//! Environments: other values for some inputs, under a name, such as the staging copy of everything.
//!
//! [`Runbook::within`] gives the runbook as it is in one of them. Nothing else of it differs: what runs
//! there is what will run in production.

use serde_json::Value;

use super::diagnostic::did_you_mean;
use super::inputs::InputError;
use super::model::{Runbook, Sp};

/// One environment.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name.
    pub name: Sp<String>,
    /// Inputs that have another value there.
    pub inputs: Vec<(Sp<String>, Given)>,
    /// Targets and steps that are the same there as in production, by the author's word.
    pub shares: Vec<Sp<String>>,
}

/// Where an input's value comes from in an environment.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// It is written out.
    Value(Value),
    /// From this environment variable; the only way for a secret.
    Variable(String),
}

impl Runbook {
    /// The runbook as it is in the environment of that name. Inputs that the environment names are
    /// read from nowhere else, but for what the command line gives.
    ///
    /// # Errors
    /// When there is no such environment.
    pub fn within(&self, name: &str) -> Result<Self, InputError> {
        let known = || self.environments.iter().map(|one| one.name.as_str());
        let Some(environment) = self.environments.iter().find(|one| *one.name == name) else {
            let hint = match did_you_mean(name, known()) {
                Some(near) => near,
                None if self.environments.is_empty() => {
                    "name them in the runbook: `environments: { staging: { inputs: { .. } } }`"
                        .into()
                }
                None => {
                    let names: Vec<_> = known().map(|name| format!("`{name}`")).collect();
                    format!("it has {}", names.join(", "))
                }
            };
            return Err(InputError {
                message: format!("the runbook has no environment `{name}`"),
                hint,
            });
        };
        let mut runbook = self.clone();
        for (input, given) in &environment.inputs {
            let found = runbook.inputs.iter_mut().find(|one| *one.name == **input);
            let Some(found) = found else { continue };
            match given {
                Given::Value(value) => {
                    found.env = None;
                    found.default = Some(value.clone());
                }
                Given::Variable(variable) => {
                    found.env = Some(variable.clone());
                    found.default = None;
                }
            }
        }
        Ok(runbook)
    }
}
