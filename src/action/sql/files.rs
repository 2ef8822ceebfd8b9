//! Files of backups and scripts: hashed as they are read, written beside and renamed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::action::ActionError;
use crate::event::Outcome;

/// A file that is being written beside its final place; removed unless it is [`kept`](Self::keep).
pub struct Beside {
    at: PathBuf,
    to: PathBuf,
    kept: bool,
}

impl Beside {
    /// Makes an empty file, readable by its owner only, in the directory of `to`.
    ///
    /// # Errors
    /// When it cannot be made; nothing was done.
    pub fn new(to: &Path) -> Result<Self, ActionError> {
        use std::os::unix::fs::OpenOptionsExt;
        let fail = |error: std::io::Error| {
            ActionError::invalid(format!("cannot write `{}`: {error}", to.display()))
        };
        let name = to
            .file_name()
            .ok_or_else(|| ActionError::invalid(format!("`{}` names no file", to.display())))?;
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        let partial = format!(
            ".{}.{}.part",
            name.to_string_lossy(),
            uuid::Uuid::now_v7().simple()
        );
        let at = to.with_file_name(partial);
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&at)
            .map_err(fail)?;
        Ok(Self {
            at,
            to: to.to_owned(),
            kept: false,
        })
    }

    /// Where it is being written.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Makes it durable and moves it to its place, over an older one.
    ///
    /// # Errors
    /// The system's; the older file is then still there.
    pub fn keep(mut self) -> Result<(), ActionError> {
        let moved = File::open(&self.at)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&self.at, &self.to))
            .and_then(|()| match self.to.parent() {
                Some(parent) => File::open(parent)?.sync_all(),
                None => Ok(()),
            });
        self.kept = moved.is_ok();
        moved.map_err(|error| {
            let text = format!("cannot write `{}`: {error}", self.to.display());
            ActionError::failed(Outcome::NotApplied, text)
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.kept {
            // it may be gone already
            let _ = std::fs::remove_file(&self.at);
        }
    }
}

/// Size and SHA-256 of a file, in lower-case hex; `each` sees every chunk.
///
/// # Errors
/// The system's, naming the file.
pub fn digest(path: &Path, mut each: impl FnMut(&[u8])) -> Result<(u64, String), ActionError> {
    let fail = |error: std::io::Error| {
        ActionError::invalid(format!("cannot read `{}`: {error}", path.display()))
    };
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk).map_err(fail)?;
        if read == 0 {
            break;
        }
        each(&chunk[..read]);
        hash.update(&chunk[..read]);
        bytes += read as u64;
    }
    Ok((bytes, format!("{:x}", hash.finalize())))
}

/// A script's text and SHA-256.
///
/// # Errors
/// When it cannot be read, is no UTF-8 or is over 4 MiB.
pub fn script(path: &Path) -> Result<(String, String), ActionError> {
    let mut text = Vec::new();
    let (bytes, sha256) = digest(path, |chunk| {
        if text.len() <= 4 * 1024 * 1024 {
            text.extend_from_slice(chunk);
        }
    })?;
    if bytes > 4 * 1024 * 1024 {
        let text = format!("`{}` is larger than 4 MiB", path.display());
        return Err(ActionError::limit(Outcome::NotApplied, text));
    }
    let text = String::from_utf8(text)
        .map_err(|_| ActionError::invalid(format!("`{}` is not UTF-8 text", path.display())))?;
    Ok((text, sha256))
}
