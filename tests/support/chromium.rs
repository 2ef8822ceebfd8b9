//! Headless Chromium: opens a file, gives its document back, and prints it.
//!
//! Every call has a profile of its own, which is gone afterwards, and a time limit.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
];

/// What came of opening a file.
pub struct Opened {
    /// The document, as the browser has it.
    pub dom: String,
    /// Lines of the console: errors of the page, and what its policy refused.
    pub console: Vec<String>,
}

/// Opens a file and reads the document.
pub fn open(file: &Path) -> Opened {
    let out = chromium(&["--dump-dom"], file);
    let log = String::from_utf8_lossy(&out.stderr);
    Opened {
        dom: String::from_utf8_lossy(&out.stdout).into_owned(),
        console: log
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .map(str::to_owned)
            .collect(),
    }
}

/// Prints a file to A4 as its style sheet says, and counts the pages.
pub fn printed_pages(file: &Path) -> usize {
    let pdf = file.with_extension("pdf");
    let to = format!("--print-to-pdf={}", pdf.display());
    chromium(&["--no-pdf-header-footer", &to], file);
    let bytes = std::fs::read(&pdf).unwrap();
    assert!(bytes.starts_with(b"%PDF-"), "{} is no PDF", pdf.display());
    let text = String::from_utf8_lossy(&bytes);
    text.matches("/Type /Page\n").count()
}

fn chromium(flags: &[&str], file: &Path) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let out = Command::new("timeout")
        .args(["-k", "5", "90", "chromium"])
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(flags)
        .arg(format!("file://{}", file.display()))
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "chromium ended with {} ({}): `scripts/test.sh` installs it\n{}",
        out.status,
        match out.status.code() {
            Some(127) => "it is not installed",
            Some(124 | 137) => "it took too long",
            _ => "it failed",
        },
        String::from_utf8_lossy(&out.stderr)
    );
    out
}
