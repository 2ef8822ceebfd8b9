//! `undo: auto` of the changing file actions.
//!
//! [`capture`] keeps what was there; [`note`] writes down, before a change takes its place, the hash
//! of what will be there; [`restore`] puts the old content back only over something so noted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::place::{Found, Owner, Place, io_error, make_dir};
use super::{Live, located, portable};
use crate::action::{ActionError, Context};
use crate::event::Outcome;

/// The folder for it in the step's directory.
fn folder(cx: &Context) -> PathBuf {
    cx.step_dir.join("before")
}

/// Where the hashes of what ferry writes at `path` are noted, one a line.
fn notes(cx: &Context, path: &Path) -> PathBuf {
    let name = Sha256::digest(path.as_os_str().as_encoded_bytes());
    folder(cx).join(format!("{name:x}.wrote"))
}

/// Keeps what is at `place`.
pub fn capture(cx: &Context, live: &Live, place: &Place) -> Result<Value, ActionError> {
    make_dir(&folder(cx))?;
    let notes = notes(cx, &place.path);
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&notes)
        .and_then(|_| File::open(folder(cx))?.sync_all())
        .map_err(|error| io_error(&notes.to_string_lossy(), "write", &error))?;
    let mut captured = json!({
        "path": place.path.to_string_lossy(),
        "existed": false,
        "notes": portable(cx, &notes),
    });
    let Some(found) = place.look(live)? else {
        return Ok(captured);
    };
    // by hash, so that capturing again never writes over what was kept before
    let kept = Place::to_write(&folder(cx), &found.sha256)?;
    let private = Owner {
        mode: 0o600,
        ids: None,
    };
    let copy = kept.put_copy(live, private, place, |_| Ok(()))?;
    if copy.sha256 != found.sha256 {
        let message = format!("`{}` was written to while it was kept", place.shown);
        return Err(ActionError::failed(Outcome::NotApplied, message).retryable(true));
    }
    captured["existed"] = true.into();
    captured["sha256"] = found.sha256.clone().into();
    captured["bytes"] = found.bytes.into();
    captured["mode"] = found.owner.mode.into();
    captured["ids"] = json!(found.owner.ids);
    captured["kept"] = portable(cx, &kept.path).into();
    Ok(captured)
}

/// Notes what is about to be at `place`, when its old content was captured.
pub fn note(cx: &Context, place: &Place, next: &Found) -> Result<(), ActionError> {
    let notes = notes(cx, &place.path);
    let failed = |error: std::io::Error| io_error(&notes.to_string_lossy(), "write", &error);
    if !notes.exists() {
        return Ok(());
    }
    let mut file = OpenOptions::new()
        .append(true)
        .open(&notes)
        .map_err(failed)?;
    writeln!(file, "{}", next.sha256).map_err(failed)?;
    file.sync_all().map_err(failed)
}

struct Before {
    place: Place,
    /// Hash, owner and where the content is kept; `None` when there was no file.
    old: Option<(String, Owner, PathBuf)>,
    notes: PathBuf,
}

fn read(cx: &Context, captured: &Value) -> Option<Before> {
    let path = captured.get("path")?.as_str()?;
    let old = if captured.get("existed")?.as_bool()? {
        let ids = captured.get("ids")?;
        let id = |at: usize| u32::try_from(ids.get(at)?.as_u64()?).ok();
        let owner = Owner {
            mode: u32::try_from(captured.get("mode")?.as_u64()?).ok()?,
            ids: id(0).zip(id(1)),
        };
        let kept = located(cx, captured.get("kept")?.as_str()?);
        Some((captured.get("sha256")?.as_str()?.to_owned(), owner, kept))
    } else {
        None
    };
    Some(Before {
        place: Place {
            path: path.into(),
            shown: path.to_owned(),
        },
        old,
        notes: located(cx, captured.get("notes")?.as_str()?),
    })
}

/// Puts back what was captured.
pub fn restore(cx: &Context, live: &Live, captured: &Value) -> Result<Value, ActionError> {
    let before = read(cx, captured)
        .ok_or_else(|| ActionError::invalid("what was captured of the file is not readable"))?;
    let place = &before.place;
    let done = |restored: bool, what: &str| json!({ "path": place.shown, "restored": restored, "what": what });
    let parent = place
        .path
        .parent()
        .expect("a captured path has a directory");
    if before.old.is_none() && !parent.exists() {
        return Ok(done(false, "there is no file, as before"));
    }
    let again = Place::to_write(Path::new("/"), &place.shown)?;
    if again.path != place.path {
        let message = format!("`{}` is now reached through a symlink", place.shown);
        return Err(ActionError::failed(Outcome::NotApplied, message));
    }
    let now = place.look(live)?;
    let as_before = match (&now, &before.old) {
        (None, None) => true,
        (Some(now), Some((sha256, owner, _))) => now.sha256 == *sha256 && now.owner == *owner,
        _ => false,
    };
    if as_before {
        return Ok(done(false, "it is as it was before"));
    }
    let notes = fs::read_to_string(&before.notes).unwrap_or_default();
    let ours = |now: &Found| notes.lines().any(|line| line == now.sha256);
    let Some(now) = now.filter(ours) else {
        return Err(changed_by_others(&before, place.look(live)?, &notes));
    };
    let Some((sha256, owner, kept)) = before.old else {
        live.check()?;
        place.remove()?;
        return Ok(done(true, "removed, as there was none before"));
    };
    let kept = Place::to_read(Path::new("/"), &kept.to_string_lossy())?;
    let found = kept.look(live)?;
    if found.is_none_or(|found| found.sha256 != sha256) {
        let message = format!(
            "the kept content of `{}` no longer has sha256 {sha256}; the file stays as it is, {}",
            place.shown, now.sha256
        );
        return Err(ActionError::failed(Outcome::NotApplied, message));
    }
    place.put_copy(live, owner, &kept, |_| Ok(()))?;
    Ok(done(true, "the previous content is back"))
}

fn changed_by_others(before: &Before, now: Option<Found>, notes: &str) -> ActionError {
    let now = match now {
        Some(now) => format!("has sha256 {}", now.sha256),
        None => "is gone".into(),
    };
    let ours = match notes.lines().last() {
        Some(ours) => format!("ferry wrote {ours}"),
        None => "ferry wrote nothing there".into(),
    };
    let message = format!(
        "`{}` was changed by others: it {now}, {ours}; it stays as it is",
        before.place.shown
    );
    let error = ActionError::failed(Outcome::NotApplied, message);
    match &before.old {
        Some((_, _, kept)) => error.hint(format!(
            "what was there before is kept in `{}`",
            kept.display()
        )),
        None => error.hint("there was no such file before"),
    }
}
