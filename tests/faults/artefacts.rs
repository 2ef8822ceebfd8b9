//! What a story leaves beside its journal: files, and processes that should be gone.

use std::path::Path;

/// Files below `dir` that hold the text.
pub fn holding(dir: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if std::fs::read(&path)
            .unwrap_or_default()
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            found.push(format!("`{}` holds the secret", path.display()));
        }
    }
}

/// Processes that work in `dir`, or name it.
pub fn at_work_in(dir: &Path) -> Vec<String> {
    let mut found = crate::support::ferry::processes(&dir.display().to_string());
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let inside =
            std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        if inside {
            found.push(format!("process {}", entry.file_name().to_string_lossy()));
        }
    }
    found
}
