//! The directory of a step's own files: made for it, and where its file outputs are read.

use std::path::Path;

use super::judge;
use crate::action::Context;

/// The directory that `FERRY_STEP_DIR` names, there while the step runs and after it when something
/// was put there.
pub(super) struct StepDir<'a>(&'a Path);

impl<'a> StepDir<'a> {
    pub(super) fn make(cx: &'a Context) -> std::io::Result<Self> {
        match std::fs::create_dir(&cx.step_dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&cx.step_dir)?;
            }
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Ok(Self(&cx.step_dir))
    }
}

impl Drop for StepDir<'_> {
    fn drop(&mut self) {
        // fails where something lies in it, and then it is to stay
        let _ = std::fs::remove_dir(self.0);
    }
}

/// The text of a file that a step left in its directory.
pub(super) fn read(cx: &Context, file: &str) -> Result<String, String> {
    let outside = || format!("`{file}` lies outside the step's directory");
    let path = cx.step_dir.join(file);
    if !path.starts_with(&cx.step_dir) || file.contains("..") {
        return Err(outside());
    }
    // a link may lead out as well
    let real = |path: &Path| {
        path.canonicalize()
            .map_err(|error| format!("`{file}`: {error}"))
    };
    let path = real(&path)?;
    if !path.starts_with(real(&cx.step_dir)?) {
        return Err(outside());
    }
    let bytes = std::fs::metadata(&path)
        .map_err(|error| format!("`{file}`: {error}"))?
        .len();
    if bytes > judge::MAX_RESULT as u64 {
        return Err(format!(
            "`{file}` has {bytes} bytes; at most {} are kept",
            judge::MAX_RESULT
        ));
    }
    std::fs::read_to_string(&path).map_err(|error| format!("`{file}`: {error}"))
}
