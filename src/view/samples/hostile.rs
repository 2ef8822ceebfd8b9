//! A run in which every text is hostile.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Story, evidence, planned};
use crate::event::{
    Cause, Event, Failure, NotUndone, Outcome, Report, RollbackEvent, RunEvent, RunFailure,
    RunStatus,
};
use crate::expr::Verdict;

/// Text that must never reach a terminal or a page as it is.
const HOSTILE: &str = "\u{1b}[2J\u{9b}1m\r|`</td><script>alert(1)</script>[x](javascript:1)![i](http://e)\u{202e}\u{200b}\n# h";

/// A run in which every text is hostile.
pub(crate) fn hostile() -> Vec<Event> {
    let mut planned = planned();
    planned.title = Some(HOSTILE.into());
    planned.name = HOSTILE.into();
    planned.source = HOSTILE.into();
    planned.inputs = BTreeMap::from([(HOSTILE.to_owned(), Value::from(HOSTILE))]);
    planned.text = format!("```\n{HOSTILE}\n``````\n");
    let step = &mut planned.outline.phases[0].steps[0];
    step.title = Some(HOSTILE.into());
    step.action = HOSTILE.into();
    let evidence = evidence(HOSTILE, Verdict::Fail, &[(HOSTILE, HOSTILE)]);
    let failure = Failure {
        cause: Cause::Failed,
        outcome: Outcome::Unknown,
        message: HOSTILE.into(),
        hint: Some(HOSTILE.into()),
    };
    let report = Report {
        took_ms: 1,
        did: HOSTILE.into(),
        result: json!({ HOSTILE: HOSTILE }),
        outputs: BTreeMap::from([(HOSTILE.to_owned(), Value::from(HOSTILE))]),
        evidence: vec![evidence],
        output: None,
        ..Report::default()
    };
    let cause = RunFailure {
        step: Some("redis-answers".into()),
        phase: Some("verify".into()),
        failure: failure.clone(),
    };
    Story::new()
        .tell(RunEvent::Planned(Box::new(planned)))
        .tell(RunEvent::Started {
            by: HOSTILE.into(),
            host: HOSTILE.into(),
            pid: 1,
            attended: false,
            guided: false,
        })
        .start("redis-answers")
        .after(1)
        .failed("redis-answers", 1, (failure, report), None)
        .tell(RunEvent::Failed(cause.clone()))
        .tell(RollbackEvent::Planned {
            cause,
            items: Vec::new(),
            not_undone: vec![NotUndone {
                step: HOSTILE.into(),
                why: HOSTILE.into(),
            }],
        })
        .tell(RunEvent::Finished {
            status: RunStatus::RolledBack,
        })
        .events
}
