//! [`Hands`]: what a rehearsal works with. Addresses, the masker, and the actions without the part that
//! carries anything out; no store, no lease, no run directory, no executor.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::action::rehearse::{ReadContext, Reader, Readers, Spawn};
use crate::action::{ActionError, Call, http, pause};
use crate::plan::Plan;
use crate::run::StepScope;
use crate::runbook::model::{ActionUse, Step};
use crate::secret::Masker;

use super::super::calls;
use super::super::targets::Targets;

/// The longest that one reading may take.
const LONGEST: Duration = Duration::from_secs(60);

/// What a walk works with.
pub(super) struct Hands {
    pub(super) plan: Arc<Plan>,
    pub(super) readers: Readers,
    pub(super) targets: Targets,
    pub(super) masker: Masker,
    pub(super) secrets: Arc<HashMap<String, String>>,
    pub(super) base_dir: PathBuf,
    /// Where a run would keep its files.
    pub(super) run_dir: PathBuf,
    pub(super) backups: Arc<HashSet<String>>,
    pub(super) http: Arc<http::Pool>,
    /// The right to start programs of steps that say `read_only: true`.
    pub(super) allowed: Option<Spawn>,
    /// The right to start programs of stand-ins.
    pub(super) stand_in: Option<Spawn>,
}

/// Who asks for a reading, and so what it may start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A step or probe of the run that does not say `read_only: true`.
    Plain,
    /// One that does.
    Vouched,
    /// The author's stand-in for a rehearsal.
    StandIn,
}

impl Hands {
    pub(super) fn reader(&self, used: &ActionUse) -> Option<Reader> {
        self.readers.get(&used.key)
    }

    /// The call with everything in it resolved.
    pub(super) fn call(
        &self,
        step: &Step,
        used: &ActionUse,
        scope: &StepScope,
    ) -> Result<Call, ActionError> {
        let place = calls::Place {
            targets: &self.targets,
            base_dir: &self.base_dir,
        };
        calls::resolve(&place, step, used, scope)
    }

    pub(super) fn context(
        &self,
        step: &Step,
        name: &str,
        asker: Asker,
        phase_started: f64,
    ) -> ReadContext {
        let longest = step.timeout.unwrap_or(LONGEST).min(LONGEST);
        ReadContext {
            step: name.to_owned(),
            deadline: pause::Deadline::after(longest),
            phase_started,
            run_dir: self.run_dir.clone(),
            backups: Arc::clone(&self.backups),
            http: Arc::clone(&self.http),
            spawn: match asker {
                Asker::Plain => None,
                Asker::Vouched => self.allowed.clone(),
                Asker::StandIn => self.stand_in.clone(),
            },
        }
    }

    /// A text as it may be shown.
    pub(super) fn hidden(&self, text: &str) -> String {
        super::super::judge::hidden(text, &self.masker)
    }
}

/// What makes two calls the same reading.
pub(super) fn identity(call: &Call, asker: Asker) -> String {
    let target = call
        .target
        .as_ref()
        .map(|target| (&target.name, &target.url, &target.options));
    let env = &call.env;
    let cwd = call.cwd.display();
    let vouched = asker as u8;
    format!(
        "{vouched}\n{}\n{}\n{target:?}\n{env:?}\n{cwd}",
        call.key, call.params
    )
}
