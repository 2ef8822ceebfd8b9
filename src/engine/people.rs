//! People of a run, as they are when it starts: who has which role, whose signatures are asked for,
//! and the keys that may sign.
//!
//! Main type: [`People`]. The file of the signers is read once, here: what a signature is held
//! against later is what the journal has, not what the file says then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::tz::TimeZone;

use crate::event::{Criterion, Person, SignOff};
use crate::runbook::Runbook;
use crate::runbook::model::{CriterionDef, RoleDef, Sp};
use crate::sign::{NAMESPACE, Signers, in_utc};

/// The largest file of signers, in bytes.
const LARGEST: u64 = 1 << 20;

/// What the plan keeps of people.
#[derive(Debug)]
pub(super) struct People {
    pub(super) people: Vec<Person>,
    pub(super) sign_off: SignOff,
    pub(super) criteria: Vec<Criterion>,
    pub(super) signers: String,
}

impl People {
    /// From the runbook, and who was named for its roles; relative paths start at `base_dir`.
    ///
    /// # Errors
    /// A role that the runbook does not have, a file or a key that cannot be read; in words.
    pub(super) fn of(
        runbook: &Runbook,
        bound: &BTreeMap<String, String>,
        base_dir: &Path,
    ) -> Result<Self, String> {
        let roles = &runbook.people;
        if let Some(role) = bound
            .keys()
            .find(|role| !roles.iter().any(|known| *known.name == **role))
        {
            return Err(match roles.is_empty() {
                true => format!("there is no role `{role}`: the runbook has no `people`"),
                false => format!("there is no role `{role}`; there are {}", names(roles)),
            });
        }
        let person = |role: &RoleDef| Person {
            role: role.name.value.clone(),
            title: role.title.clone(),
            contact: role.contact.clone(),
            who: bound.get(&*role.name).or(role.who.as_ref()).cloned(),
        };
        let plain = |roles: &[Sp<String>]| roles.iter().map(|role| role.value.clone()).collect();
        Ok(Self {
            people: roles.iter().map(person).collect(),
            sign_off: SignOff {
                before: plain(&runbook.sign_off.before),
                after: plain(&runbook.sign_off.after),
            },
            criteria: runbook.criteria.iter().map(criterion).collect(),
            signers: signers(runbook, base_dir)?,
        })
    }
}

fn names(roles: &[RoleDef]) -> String {
    let names = roles.iter().map(|role| format!("`{}`", *role.name));
    names.collect::<Vec<_>>().join(", ")
}

fn criterion(def: &CriterionDef) -> Criterion {
    Criterion {
        id: def.id.clone(),
        horizon: def.horizon,
        phase: def.phase.as_ref().map(|phase| phase.value.clone()),
        expect: def.expect.as_ref().map(|expr| expr.text().to_owned()),
        within_s: def.within.map(|within| within.as_secs_f64()),
    }
}

/// The file of the signers, and behind it a line for each key of a role.
fn signers(runbook: &Runbook, base_dir: &Path) -> Result<String, String> {
    let zone = TimeZone::system();
    let mut text = String::new();
    if let Some(path) = &runbook.signers {
        text = read(&base_dir.join(path.as_str()))
            .map_err(|error| format!("the signers `{}` cannot be read: {error}", **path))?;
        let read = Signers::parse(&text, &zone);
        let read = read.map_err(|error| format!("the signers `{}`: {error}", **path))?;
        if read.is_empty() {
            return Err(format!("the signers `{}` name no key", **path));
        }
        text = in_utc(&text, &zone);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    for role in &runbook.people {
        for key in &role.keys {
            let name = role.name.as_str();
            let line = format!("{name} namespaces=\"{NAMESPACE}\" {}", key.trim());
            Signers::parse(&line, &zone)
                .map_err(|error| format!("role `{name}`: {}", error.what))?;
            let _ = writeln!(text, "{line}");
        }
    }
    Ok(text)
}

fn read(path: &Path) -> std::io::Result<String> {
    // opening a pipe must not wait for whoever writes it
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    Ok(text)
}
