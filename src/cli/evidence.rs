//! Evidence that people hand in for a manual step: copied into the run directory, named by its hash.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::event::EvidenceFile;
use crate::plan::hex;
use crate::runbook::units::human_bytes;

/// The largest file that is taken, in bytes.
const LARGEST: u64 = 64 << 20;

/// Copies a file to `evidence/STEP/` of the run directory.
///
/// # Errors
/// Why it cannot be taken, in words.
pub(super) fn keep(run_dir: &Path, step: &str, path: &Path) -> Result<EvidenceFile, String> {
    let failed = |error: std::io::Error| format!("`{}`: {error}", path.display());
    let size = fs::metadata(path).map_err(failed)?;
    if !size.is_file() {
        return Err(format!("`{}` is no file", path.display()));
    }
    if size.len() == 0 {
        return Err(format!("`{}` is empty", path.display()));
    }
    if size.len() > LARGEST {
        return Err(format!(
            "`{}` has {}, and evidence has {} at most",
            path.display(),
            human_bytes(size.len()),
            human_bytes(LARGEST)
        ));
    }
    let mut content = Vec::new();
    let mut from = File::open(path).map_err(failed)?.take(LARGEST + 1);
    from.read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > LARGEST {
        return Err(format!("`{}` grows while it is read", path.display()));
    }
    let sha256 = hex(&Sha256::digest(&content));
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.[]".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let file = format!(
        "evidence/{}/{}-{}",
        step.chars().map(plain).collect::<String>(),
        &sha256[..12],
        name.trim_start_matches('.')
            .chars()
            .map(plain)
            .take(80)
            .collect::<String>()
    );
    let to = run_dir.join(&file);
    let kept = |error: std::io::Error| format!("`{}`: {error}", to.display());
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir).map_err(kept)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(&to).map_err(kept)?;
    out.write_all(&content)
        .and_then(|()| out.sync_all())
        .map_err(kept)?;
    Ok(EvidenceFile {
        file,
        name,
        bytes: content.len() as u64,
        sha256,
    })
}
