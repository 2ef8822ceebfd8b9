//! Hand-made runs for tests of views and front ends: a writer of events with a clock of its own.

mod hostile;
mod signed;
pub(crate) mod watched;

use std::collections::BTreeMap;

use serde_json::json;

pub(crate) use self::hostile::{HOSTILE, hostile};
pub(crate) use self::signed::signed;
pub(crate) use self::watched::{held, watched};

use crate::event::{
    Cause, Event, EventKind, Failure, Moment, NotUndone, Outcome, Outline, OutputKept, Part,
    PhaseOutline, Planned, Report, RollbackEvent, RollbackItem, RunEvent, RunFailure, RunOptions,
    RunStatus, SkipReason, SnapshotEvent, SnapshotTaken, StepEvent, StepOutline, UndoKind,
};
use crate::expr::{Evidence, SubValue, Verdict};

/// 2026-03-01 02:00:00 UTC.
pub(crate) const START: i64 = 1_772_330_400_000;

/// Writes events one after another.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) events: Vec<Event>,
    pub(crate) at: i64,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            events: Vec::new(),
            at: START,
        }
    }

    /// Lets time pass.
    pub(crate) fn after(mut self, ms: i64) -> Self {
        self.at += ms;
        self
    }

    pub(crate) fn tell(mut self, kind: impl Into<EventKind>) -> Self {
        self.events.push(Event {
            seq: self.events.len() as u64 + 1,
            at: self.at,
            kind: kind.into(),
        });
        self
    }

    pub(crate) fn planned(self) -> Self {
        self.tell(RunEvent::Planned(Box::new(planned())))
    }

    pub(crate) fn started(self) -> Self {
        self.tell(RunEvent::Started {
            by: "ana".into(),
            host: "ops1".into(),
            pid: 4711,
            attended: false,
            guided: false,
        })
    }

    pub(crate) fn start(self, step: &str) -> Self {
        self.start_again(step, 1)
    }

    pub(crate) fn start_again(self, step: &str, attempt: u32) -> Self {
        self.tell(StepEvent::Started {
            step: step.into(),
            attempt,
            captured: None,
        })
    }

    pub(crate) fn done(self, step: &str, report: Report) -> Self {
        self.tell(StepEvent::Finished {
            step: step.into(),
            attempt: 1,
            report: Box::new(report),
        })
    }

    pub(crate) fn failed(
        self,
        step: &str,
        attempt: u32,
        (failure, report): (Failure, Report),
        retry_in: Option<i64>,
    ) -> Self {
        let retry_at = retry_in.map(|ms| self.at + ms);
        self.tell(StepEvent::Failed {
            step: step.into(),
            attempt,
            failure,
            report: Box::new(report),
            retry_at,
            tolerated: false,
        })
    }
}

pub(crate) fn planned() -> Planned {
    let step = |id: &str, action: &str, undo: UndoKind| StepOutline {
        id: id.into(),
        title: None,
        action: action.into(),
        changes: undo != UndoKind::NotNeeded,
        undo,
        estimate_s: None,
        digest: String::new(),
    };
    let phase = |name: &str, needs: &[&str], estimate_s, steps| PhaseOutline {
        name: name.into(),
        title: None,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        estimate_s,
        parallel: 1,
        steps,
    };
    let phases = vec![
        phase(
            "verify",
            &[],
            Some(60.0),
            vec![
                step("redis-answers", "redis", UndoKind::NotNeeded),
                step("disk", "shell", UndoKind::NotNeeded),
            ],
        ),
        phase(
            "deploy",
            &["verify"],
            Some(2.0),
            vec![
                step("maintenance", "shell", UndoKind::Written),
                step("flush", "redis.flush", UndoKind::None),
                step("restart", "shell", UndoKind::Written),
            ],
        ),
        phase(
            "validate",
            &["deploy"],
            None,
            vec![step("login", "http", UndoKind::NotNeeded)],
        ),
    ];
    Planned {
        name: "hybrid-cache".into(),
        title: Some("LocMemCache to Redis".into()),
        source: "runbooks/hybrid-cache.yaml".into(),
        text: "runbook: hybrid-cache\n".into(),
        digest: "3f2a9c51d0".into(),
        inputs: BTreeMap::from([("strategy".to_owned(), json!("rolling"))]),
        secrets: vec!["test_pass".into()],
        outline: Outline { phases },
        options: RunOptions::default(),
        version: "0.1.0".into(),
        base_dir: "/srv".into(),
        text_sha256: String::new(),
        people: Vec::new(),
        sign_off: crate::event::SignOff::default(),
        criteria: Vec::new(),
        signers: String::new(),
        window: crate::event::WindowOutline::default(),
    }
}

pub(crate) fn evidence(expression: &str, verdict: Verdict, values: &[(&str, &str)]) -> Evidence {
    let value = |(text, value): &(&str, &str)| SubValue {
        text: (*text).to_owned(),
        value: (*value).to_owned(),
    };
    let reason = values
        .first()
        .map(|(text, value)| format!("`{expression}` is false: {text} is {value}"));
    Evidence {
        expression: expression.into(),
        verdict,
        values: values.iter().map(value).collect(),
        reason: reason.filter(|_| verdict != Verdict::Pass),
    }
}

pub(crate) fn report(took_ms: u64, did: &str) -> Report {
    Report {
        took_ms,
        did: did.into(),
        ..Report::default()
    }
}

/// The failed expectation of a restart.
pub(crate) fn broken() -> (Failure, Report) {
    let evidence = evidence(
        "result.exit_code == 0",
        Verdict::Fail,
        &[("result.exit_code", "3")],
    );
    let failure = Failure {
        cause: Cause::Expectation,
        outcome: Outcome::Unknown,
        message: "expected `result.exit_code == 0`".into(),
        hint: Some("see logs/app.log".into()),
    };
    let report = Report {
        took_ms: 1_200,
        did: "./ops/appctl restart 2".into(),
        result: json!({"exit_code": 3}),
        evidence: vec![evidence],
        output: Some(OutputKept {
            file: "steps/restart.1/out".into(),
            bytes: 2_048,
            kept: 2_048,
            sha256: "ab12cd34".into(),
        }),
        ..Report::default()
    };
    (failure, report)
}

fn snapshots(story: Story, moment: Moment, keys: u64) -> Story {
    let cache = SnapshotTaken {
        name: "cache".into(),
        file: Some(format!("snapshots/{}/cache.json", moment.name())),
        sha256: Some("00ff".into()),
        value: Some(json!({"keys": keys, "policy": "lru"})),
        failure: None,
    };
    story
        .tell(SnapshotEvent::Taking { moment })
        .tell(SnapshotEvent::Taken {
            moment,
            snapshots: vec![cache],
        })
}

/// Up to the point where the items of `restart` are known.
fn beginning() -> Story {
    beginning_of(Story::new().planned())
}

/// The same, of a run that is planned already.
fn beginning_of(story: Story) -> Story {
    let ping = Report {
        evidence: vec![evidence(
            "result.reply == \"PONG\"",
            Verdict::Pass,
            &[("result.reply", "\"PONG\"")],
        )],
        result: json!({"reply": "PONG"}),
        ..report(12, "PING: \"PONG\"")
    };
    let skipped = SkipReason::When(evidence(
        "inputs.strategy == \"maintenance\"",
        Verdict::Fail,
        &[("inputs.strategy", "\"rolling\"")],
    ));
    let story = story
        .started()
        .start("redis-answers")
        .after(12)
        .done("redis-answers", ping)
        .start("disk")
        .after(488)
        .done("disk", report(488, ""))
        .tell(StepEvent::Skipped {
            step: "maintenance".into(),
            reason: skipped,
        });
    snapshots(story, Moment::Before, 5)
        .start("flush")
        .after(500)
        .done("flush", report(500, "flushed db 1: 5 keys"))
        .tell(StepEvent::Expanded {
            step: "restart".into(),
            items: vec![json!("1"), json!("2")],
        })
        .start("restart[0]")
        .after(1_000)
        .done("restart[0]", report(1_000, "./ops/appctl restart 1"))
        .start("restart[1]")
}

/// A run that comes to its end.
pub(crate) fn success() -> Vec<Event> {
    let story = beginning()
        .after(1_000)
        .done("restart[1]", report(1_000, "./ops/appctl restart 2"))
        .start("login")
        .after(300)
        .done("login", report(300, "POST /api/auth/login: 200"));
    snapshots(story, Moment::After, 0)
        .tell(RunEvent::Finished {
            status: RunStatus::Succeeded,
        })
        .events
}

fn broken_undo(story: Story) -> Story {
    story
        .tell(RollbackEvent::Failed {
            item: 0,
            attempt: 1,
            failure: Failure {
                cause: Cause::Failed,
                outcome: Outcome::Unknown,
                message: "exit code 1".into(),
                hint: None,
            },
            report: Box::new(report(800, "./ops/appctl restart 2")),
            retry_at: None,
        })
        .tell(RollbackEvent::Skipped {
            item: 1,
            reason: "`restart[1]` stands on it and was not undone".into(),
            held: true,
        })
        .tell(RollbackEvent::Skipped {
            item: 2,
            reason: "the undo of `restart[1]` failed".into(),
            held: true,
        })
}

fn undone(story: Story) -> Story {
    let proof = Report {
        evidence: vec![evidence(
            "result.stdout.contains(\"LocMem\")",
            Verdict::Pass,
            &[("result.stdout", "\"LocMemCache\"")],
        )],
        ..report(100, "./ops/print-backend")
    };
    let done = |item, report| RollbackEvent::Finished {
        item,
        report: Box::new(report),
    };
    let start = |item| RollbackEvent::Started { item, attempt: 1 };
    story
        .tell(done(0, report(800, "./ops/appctl restart 2")))
        .tell(start(1))
        .after(900)
        .tell(done(1, report(900, "./ops/appctl restart 1")))
        .tell(start(2))
        .after(100)
        .tell(done(2, proof))
}

/// A run that fails in `restart[1]` after a retry, and goes back; `hurt` breaks an undo as well.
pub(crate) fn rolled_back(hurt: bool) -> Vec<Event> {
    let (failure, _) = broken();
    let cause = RunFailure {
        step: Some("restart[1]".into()),
        phase: Some("deploy".into()),
        failure: failure.clone(),
    };
    let item = |id: &str, part, of: Option<&str>| RollbackItem {
        id: id.into(),
        part,
        of: of.map(str::to_owned),
        nth: of.map(|_| 0),
        action: "shell".into(),
    };
    let items = vec![
        item("undo restart[1]", Part::Undo, Some("restart[1]")),
        item("undo restart[0]", Part::Undo, Some("restart[0]")),
        item("old-backend", Part::Verify, None),
    ];
    let story = beginning()
        .after(1_200)
        .failed("restart[1]", 1, broken(), Some(5_000))
        .after(5_000)
        .start_again("restart[1]", 2)
        .after(1_200)
        .failed("restart[1]", 2, broken(), None)
        .tell(RunEvent::Failed(cause.clone()))
        .tell(RollbackEvent::Planned {
            cause,
            items,
            not_undone: vec![NotUndone {
                step: "flush".into(),
                why: "`undo: none`".into(),
            }],
        })
        .tell(RollbackEvent::Started {
            item: 0,
            attempt: 1,
        })
        .after(800);
    let story = match hurt {
        true => broken_undo(story),
        false => undone(story),
    };
    let status = match hurt {
        true => RunStatus::RollbackFailed,
        false => RunStatus::RolledBack,
    };
    snapshots(story, Moment::Restored, if hurt { 0 } else { 5 })
        .tell(RunEvent::Finished { status })
        .events
}
