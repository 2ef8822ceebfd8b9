//! Snapshots: state read from targets, masked, kept in the run directory and named by hash.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::job::{Job, READING_TIMEOUT};
use super::judge;
use super::watch::numbers::medians;
use crate::action::Stop;
use crate::event::{Failure, MEASURED, Moment, SnapshotTaken};
use crate::plan::{Baseline, hex};
use crate::runbook::Sp;
use crate::runbook::model::{SnapshotDef, Step};

/// The largest value that the journal itself holds, in bytes.
const INLINE: usize = 32 << 10;

/// Takes one snapshot and keeps it.
pub(super) async fn take(job: Job, def: SnapshotDef, moment: Moment) -> SnapshotTaken {
    let name = def.name.value.clone();
    let kept = match read(&job, &def).await {
        Ok(value) => {
            let dir = job.shared.run_dir.join("snapshots").join(moment.name());
            keep(&dir, &name, moment, &value)
        }
        Err(failure) => Err(failure),
    };
    kept.unwrap_or_else(|failure| SnapshotTaken {
        name,
        file: None,
        sha256: None,
        value: None,
        failure: Some(failure),
    })
}

/// Reads a probe before the first change, as often as its author says, and keeps the median of every
/// number.
pub(super) async fn baseline(mut job: Job, baseline: Baseline) -> SnapshotTaken {
    let Baseline {
        name,
        call,
        def,
        env,
        cwd,
    } = baseline;
    (job.step.env, job.step.cwd) = (env, cwd);
    let snapshot = SnapshotDef {
        name: Sp {
            value: name.clone(),
            span: crate::runbook::Span::default(),
        },
        call,
    };
    let mut readings = Vec::new();
    let failure = loop {
        match read(&job, &snapshot).await {
            Ok(value) => readings.push(value),
            Err(failure) => break Some(failure),
        }
        if readings.len() >= def.samples as usize {
            break None;
        }
        let mut stop = job.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(def.every) => {}
            _ = stop.above(Stop::No) => break Some(stopped()),
        }
    };
    let kept = match failure {
        Some(failure) => Err(failure),
        None => {
            let dir = job.shared.run_dir.join("snapshots").join("baseline");
            let medians = medians(readings);
            match judge::size(&medians) {
                size if size > INLINE => Err(missing(format!(
                    "it has {size} bytes, and {INLINE} are kept to be compared with"
                ))),
                _ => keep(&dir, &name, Moment::Baseline, &medians),
            }
        }
    };
    kept.unwrap_or_else(|failure| SnapshotTaken {
        name,
        file: None,
        sha256: None,
        value: None,
        failure: Some(failure),
    })
}

/// Reads what a snapshot reads, masked.
pub(super) async fn read(job: &Job, def: &SnapshotDef) -> Result<Value, Failure> {
    let call = job.call(&def.call).map_err(|error| job.failure(&error))?;
    let action = job.action(&def.call)?;
    let output = job.output();
    let cx = job.context(&output, READING_TIMEOUT);
    let value = job
        .carry_out(action, &cx, &call)
        .await
        .map_err(|error| job.failure(&error))?;
    Ok(judge::hidden_json(value, &job.shared.masker))
}

fn keep(dir: &Path, name: &str, moment: Moment, value: &Value) -> Result<SnapshotTaken, Failure> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    let file = format!("snapshots/{}/{name}.json", moment.name());
    write(dir, name, text.as_bytes()).map_err(|error| Failure {
        cause: crate::event::Cause::Internal,
        outcome: crate::event::Outcome::NotApplied,
        message: format!(
            "snapshot `{name}` could not be kept in `{}`: {error}",
            dir.display()
        ),
        hint: None,
    })?;
    let value = (judge::size(value) <= INLINE).then(|| value.clone());
    Ok(SnapshotTaken {
        name: name.to_owned(),
        file: Some(file),
        sha256: Some(sha256),
        value,
        failure: None,
    })
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::create_dir_all(dir)?;
    let mut file = std::fs::File::create(dir.join(format!("{name}.json")))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Where two snapshots of the same thing differ, ignoring what always moves.
pub(super) fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, now, &mut found);
    found
}

fn compare(path: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            // a file is what it holds, not when that was written
            let is_file = before.contains_key("sha256");
            for key in before
                .keys()
                .chain(now.keys().filter(|key| !before.contains_key(*key)))
            {
                if MEASURED.contains(&key.as_str()) || (is_file && key == "modified") {
                    continue;
                }
                let at = format!("{path}.{key}");
                compare(
                    &at,
                    before.get(key).unwrap_or(&Value::Null),
                    now.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (at, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&format!("{path}[{at}]"), before, now, found);
            }
        }
        (before, now) if before == now => {}
        (before, now) => found.push(format!(
            "`{}` was {before} and is {now}",
            path.trim_start_matches('.')
        )),
    }
}

/// Reads the named snapshots again and compares them with those from before the first change.
pub(super) async fn equals(
    job: &Job,
    names: &[String],
    before: &Arc<std::collections::HashMap<String, Value>>,
) -> Result<Value, Failure> {
    let mut compared = serde_json::Map::new();
    for name in names {
        let Some(def) = job
            .shared
            .plan
            .runbook
            .snapshots
            .iter()
            .find(|def| *def.name == *name)
        else {
            return Err(missing(format!("there is no snapshot `{name}`")));
        };
        let Some(first) = before.get(name) else {
            return Err(missing(format!(
                "snapshot `{name}` from before is not there, or too large to compare"
            )));
        };
        let now = read(job, def).await?;
        let differences = differences(first, &now);
        compared.insert(name.clone(), Value::from(differences));
    }
    Ok(Value::Object(compared))
}

fn stopped() -> Failure {
    Failure {
        cause: crate::event::Cause::Stopped,
        ..missing("reading it was stopped".into())
    }
}

fn missing(message: String) -> Failure {
    Failure {
        cause: crate::event::Cause::Invalid,
        outcome: crate::event::Outcome::NotApplied,
        message,
        hint: None,
    }
}

/// A step that only lends its defaults to a read.
pub(super) fn reading_step() -> Step {
    use crate::runbook::model::{ActionUse, InDoubt, Undo};
    use crate::runbook::watch::BaselineDef;
    use crate::runbook::{Class, Span, params::Params};
    let span = Span::default();
    Step {
        id: Sp {
            value: String::new(),
            span,
        },
        title: None,
        action: ActionUse {
            key: Sp {
                value: String::new(),
                span,
            },
            params: Params::Constant(Value::Null),
            target: None,
            class: Class::Reading,
        },
        when: None,
        expect: Vec::new(),
        warn: Vec::new(),
        watch: None,
        baseline: BaselineDef::default(),
        retry: None,
        timeout: None,
        undo: Undo::None,
        done_when: None,
        undone_when: None,
        rehearse: None,
        then_wait: None,
        for_each: None,
        env: Vec::new(),
        cwd: None,
        outputs: Vec::new(),
        requires_backup: None,
        read_only: Some(true),
        idempotent: true,
        in_doubt: InDoubt::Ask,
        point_of_no_return: false,
        tolerate: false,
        estimate: None,
        span,
    }
}
