//! `file.backup` and `file.restore`: copies of files in the run directory, and the way back.
//!
//! A backup is by hash: [`Restore`] checks every copy before it writes the first file.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::place::{Found, Owner, Place, make_dir, missing, root};
use super::{Live, blocking, located, portable};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::Spec;

/// Copies files into the run directory.
pub struct Backup;
/// Puts backed up files back.
pub struct Restore;

/// What to back up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupParams {
    /// The files, relative to `root`
    pub files: Vec<String>,
    /// The directory that all of them lie in; without it, the step's
    pub root: Option<String>,
}

/// What to restore.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreParams {
    /// The id of the step that made the backup
    pub from: String,
    /// Which of its files, as they were named there; without it, all
    pub files: Option<Vec<String>>,
}

/// What the language knows of `file.backup`.
pub static BACKUP: Spec = Spec {
    // a copy in the run directory takes nothing back with it
    undo_auto: true,
    results: &[
        (
            "files",
            "per file its `path`, `sha256`, `bytes`, `mode`, and `kept`, its copy in the run directory",
        ),
        ("root", "the directory that the files lie in"),
        ("count", "how many files"),
        ("bytes", "their length, all together"),
        (
            "verified",
            "whether every copy was read again and has its hash",
        ),
    ],
    ..Spec::of::<BackupParams>("file.backup", "copy files into the run directory")
};

/// What the language knows of `file.restore`.
pub static RESTORE: Spec = Spec {
    short: Some("from"),
    results: &[
        (
            "files",
            "per file its `path`, `sha256`, and `state`: restored or unchanged",
        ),
        ("restored", "how many were written"),
        ("unchanged", "how many were so already"),
    ],
    ..Spec::of::<RestoreParams>("file.restore", "put files of a backup back")
};

/// One file of a backup, as the result keeps it.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    path: String,
    sha256: String,
    bytes: u64,
    mode: String,
    uid: u32,
    gid: u32,
    kept: String,
}

#[async_trait]
impl Action for Backup {
    fn spec(&self) -> &'static Spec {
        &BACKUP
    }

    fn describe(&self, call: &Call) -> String {
        match params::<BackupParams>(&BACKUP, call) {
            Ok(params) => format!("back up {}", params.files.join(", ")),
            Err(_) => BACKUP.summary.into(),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: BackupParams = params(&BACKUP, call)?;
        let (cx, cwd) = (cx.clone(), call.cwd.clone());
        blocking(move |live| back_up(&cx, live, &cwd, &params)).await
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: BackupParams = params(&BACKUP, call)?;
        let cwd = call.cwd.clone();
        let found = blocking(move |live| {
            let (_, places) = chosen_files(&cwd, &params)?;
            let look = |(place, _): &(Place, PathBuf)| {
                let found = place.look(live)?.ok_or_else(|| missing(&place.shown))?;
                Ok((place.shown.clone(), found))
            };
            places
                .iter()
                .map(look)
                .collect::<Result<Vec<_>, ActionError>>()
        });
        let found = found.await?;
        let bytes: u64 = found.iter().map(|(_, found)| found.bytes).sum();
        let would = format!(
            "{} files of {bytes} bytes together would be copied",
            found.len()
        );
        let lines = found
            .iter()
            .map(|(path, found)| format!("{path}: {} bytes", found.bytes));
        let lines: Vec<String> = lines.collect();
        let facts = json!({ "count": found.len(), "bytes": bytes });
        Ok(Simulated::exactly(would, facts).detail(lines).into())
    }

    async fn restore(&self, _: &Context, _: &Call, _: &Value) -> Result<Value, ActionError> {
        Ok(json!({ "what": "the backup is kept" }))
    }
}

fn back_up(
    cx: &Context,
    live: &Live,
    cwd: &Path,
    params: &BackupParams,
) -> Result<Value, ActionError> {
    let (root, places) = chosen_files(cwd, params)?;
    let mut files = Vec::new();
    for (place, inside) in &places {
        files.push(keep(cx, live, place, inside)?);
    }
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    Ok(json!({
        "count": files.len(),
        "files": files,
        "root": root.to_string_lossy(),
        "bytes": bytes,
        "verified": true,
    }))
}

/// The root, and each file with its path below it; all mistakes before the first copy.
fn chosen_files(
    cwd: &Path,
    params: &BackupParams,
) -> Result<(PathBuf, Vec<(Place, PathBuf)>), ActionError> {
    if params.files.is_empty() {
        return Err(ActionError::invalid("`file.backup`: `files` is empty"));
    }
    let root = root(&cwd.join(params.root.as_deref().unwrap_or(".")))?;
    let mut places = Vec::new();
    for file in &params.files {
        let place = Place::to_write(&root, file)?;
        let inside = place.path.strip_prefix(&root).map_err(|_| {
            let message = format!("`{file}` does not lie in `{}`", root.display());
            ActionError::invalid(message).hint("set `root` to a directory that all files lie in")
        })?;
        let inside = inside.to_owned();
        place.open()?.ok_or_else(|| missing(file))?;
        places.push((place, inside));
    }
    Ok((root, places))
}

fn keep(cx: &Context, live: &Live, place: &Place, inside: &Path) -> Result<Kept, ActionError> {
    let folder = cx.step_dir.join("backup");
    let path = folder.join(inside);
    make_dir(path.parent().expect("it lies in the folder"))?;
    let copy = Place::to_write(&folder, &inside.to_string_lossy())?;
    let source = place.look(live)?.ok_or_else(|| missing(&place.shown))?;
    let private = Owner {
        mode: 0o600,
        ids: None,
    };
    copy.put_copy(live, private, place, |_| Ok(()))?;
    let again = copy.look(live)?.ok_or_else(|| missing(&copy.shown))?;
    if again.sha256 != source.sha256 {
        let message = format!("the copy of `{}` differs from it", place.shown);
        return Err(ActionError::failed(Outcome::NotApplied, message).retryable(true));
    }
    let (uid, gid) = source
        .owner
        .ids
        .expect("a file that was found has an owner");
    Ok(Kept {
        path: place.shown.clone(),
        sha256: source.sha256,
        bytes: source.bytes,
        mode: source.owner.shown(),
        uid,
        gid,
        kept: portable(cx, &path),
    })
}

#[async_trait]
impl Action for Restore {
    fn spec(&self) -> &'static Spec {
        &RESTORE
    }

    fn describe(&self, call: &Call) -> String {
        match params::<RestoreParams>(&RESTORE, call) {
            Ok(params) => format!("put back the files of `{}`", params.from),
            Err(_) => RESTORE.summary.into(),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: RestoreParams = params(&RESTORE, call)?;
        let (root, files) = chosen(cx, &params)?;
        let cx = cx.clone();
        blocking(move |live| put_back(&cx, live, &root, &files)).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: RestoreParams = params(&RESTORE, call)?;
        let from = &params.from;
        if !cx.backups.contains(from) {
            let message = format!("`file.restore`: no step `{from}` makes a backup");
            return Err(ActionError::invalid(message));
        }
        let would = format!("the files would be put back as step `{from}` copied them");
        Ok(Simulated::shown(would, json!({ "from": from })).into())
    }
}

/// The files of the backup that are asked for, and where they belong.
fn chosen(cx: &Context, params: &RestoreParams) -> Result<(PathBuf, Vec<Kept>), ActionError> {
    let wrong = |why: String| ActionError::invalid(format!("`file.restore`: {why}"));
    let from = &params.from;
    let result = (cx.results)(from)
        .ok_or_else(|| wrong(format!("step `{from}` has no result to restore from")))?;
    let read = || {
        let root = result.get("root")?.as_str()?.to_owned();
        let files: Vec<Kept> = serde_json::from_value(result.get("files")?.clone()).ok()?;
        Some((PathBuf::from(root), files))
    };
    let (root, files) = read()
        .ok_or_else(|| wrong(format!("the result of step `{from}` is no backup of files")))?;
    let Some(names) = &params.files else {
        return Ok((root, files));
    };
    let mut some = Vec::new();
    for name in names {
        let file = files.iter().find(|file| file.path == *name);
        some.push(
            file.cloned().ok_or_else(|| {
                wrong(format!("the backup of step `{from}` has no file `{name}`"))
            })?,
        );
    }
    Ok((root, some))
}

struct Ready {
    kept: Kept,
    copy: Place,
    to: Place,
    owner: Owner,
    now: Option<Found>,
}

fn ready(cx: &Context, live: &Live, root: &Path, kept: &Kept) -> Result<Ready, ActionError> {
    let path = located(cx, &kept.kept);
    let copy = Place::to_read(Path::new("/"), &path.to_string_lossy())?;
    let found = copy.look(live)?.ok_or_else(|| missing(&copy.shown))?;
    if found.sha256 != kept.sha256 {
        let message = format!(
            "the copy of `{}` has sha256 {}, but was made with {}; nothing was restored",
            kept.path, found.sha256, kept.sha256
        );
        return Err(ActionError::failed(Outcome::NotApplied, message));
    }
    let mode = u32::from_str_radix(&kept.mode, 8)
        .map_err(|_| ActionError::invalid(format!("`{}` is no file mode", kept.mode)))?;
    let to = Place::to_write(root, &kept.path)?;
    Ok(Ready {
        kept: kept.clone(),
        copy,
        owner: Owner {
            mode,
            ids: Some((kept.uid, kept.gid)),
        },
        now: to.look(live)?,
        to,
    })
}

fn put_back(cx: &Context, live: &Live, root: &Path, files: &[Kept]) -> Result<Value, ActionError> {
    // every copy is checked before the first file is written
    let mut all = Vec::new();
    for file in files {
        all.push(ready(cx, live, root, file)?);
    }
    let mut done = Vec::new();
    let mut restored = 0_u64;
    for file in &all {
        let same = |now: &Found| now.sha256 == file.kept.sha256 && now.owner == file.owner;
        let state = if file.now.as_ref().is_some_and(same) {
            "unchanged"
        } else {
            let put = file.to.put_copy(live, file.owner, &file.copy, |_| Ok(()));
            if let Err(mut error) = put {
                if restored > 0 {
                    error.outcome = Outcome::Unknown;
                    error.message = format!("{}; {restored} files are restored", error.message);
                }
                return Err(error.result(json!({ "files": done, "restored": restored })));
            }
            restored += 1;
            "restored"
        };
        done.push(json!({
            "path": file.kept.path,
            "sha256": file.kept.sha256,
            "state": state,
        }));
    }
    Ok(json!({
        "restored": restored,
        "unchanged": done.len() as u64 - restored,
        "files": done,
    }))
}
