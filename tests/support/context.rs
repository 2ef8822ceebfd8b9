//! A context for calling an action directly.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry::action::pause::Deadline;
use ferry::action::{Call, Clients, Context, Output, StopSignal, Stream, Target};
use ferry::runbook::TargetKind;
use serde_json::{Value, json};

/// Keeps what an action prints.
#[derive(Default)]
pub struct Captured(pub Mutex<Vec<u8>>);

impl Output for Captured {
    fn chunk(&self, _: Stream, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn progress(&self, _: &str) {}
}

/// A context in `dir` with a deadline of 30 s and no step results.
pub fn context(dir: &Path) -> Context {
    Context {
        run: "test-run".into(),
        step: "step".into(),
        attempt: 1,
        direction: "do",
        run_dir: dir.to_owned(),
        step_dir: dir.join("step"),
        idempotency_key: "ferry:test-run:step:do".into(),
        deadline: Some(Deadline::after(Duration::from_secs(30))),
        kill_after: Duration::from_secs(2),
        phase_started: 0.0,
        stop: StopSignal::channel().1,
        output: Arc::new(Captured::default()),
        results: Arc::new(|_| None),
        clients: Arc::new(Clients::default()),
    }
}

/// A call without target.
pub fn call(key: &str, params: Value, cwd: &Path) -> Call {
    Call {
        key: key.into(),
        params,
        target: None,
        env: Vec::new(),
        cwd: cwd.to_owned(),
        backup: None,
    }
}

/// A target named `t`.
pub fn target(kind: TargetKind, url: &str) -> Target {
    Target {
        name: "t".into(),
        kind,
        url: url.into(),
        options: json!({}),
    }
}
