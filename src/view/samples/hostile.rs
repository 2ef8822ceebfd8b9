//! A run in which every text is hostile.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Story, evidence, planned, watched};
use crate::event::{
    BandOutline, Cause, CheckEvent, CheckOutline, CloseOut, Confirmation, Criterion, Event,
    EvidenceFile, Failure, Horizon, How, Look, Moment, NotUndone, Note, NoteKind, OperatorEvent,
    Order, Outcome, OutputKept, Part, Person, Question, Report, Resolution, RollbackEvent,
    RollbackItem, RunEvent, RunFailure, RunStatus, SignOff, Signature, SkipReason, SnapshotEvent,
    SnapshotTaken, Stage, StepEvent, Then, Vote,
};
use crate::expr::Verdict;

/// Text that must never reach a terminal or a page as it is.
pub(crate) const HOSTILE: &str = "\u{1b}[2J\u{9b}1m\r|`</td><script>alert(1)</script>[x](javascript:1)![i](http://e)\u{202e}\u{200b}\n# h";

/// A guard in which every text is hostile, and that does not hold.
fn hostile_check(story: Story) -> Story {
    let bad = || vec![evidence(HOSTILE, Verdict::Fail, &[(HOSTILE, HOSTILE)])];
    let outline = CheckOutline {
        title: Some(HOSTILE.into()),
        action: HOSTILE.into(),
        target: Some(HOSTILE.into()),
        during: vec![HOSTILE.into()],
        rule: HOSTILE.into(),
        expect: vec![HOSTILE.into()],
        trends: vec![HOSTILE.into()],
        watched: vec![HOSTILE.into()],
        bands: vec![BandOutline {
            from_ms: 0,
            expect: vec![HOSTILE.into()],
        }],
        ..watched::site()
    };
    let story = watched::began(story, HOSTILE, outline);
    let mut looks = watched::Looks::of(HOSTILE, &story);
    let mut story = story;
    for value in [Some(1.0), Some(2.0), None] {
        story = looks.look(story, (HOSTILE, value), Verdict::Fail, |sample| {
            sample.evidence = bad();
            sample.warnings = bad();
            sample.failure = Some(HOSTILE.into());
        });
    }
    let judgement = looks.judgement(Verdict::Fail, HOSTILE, bad(), Some(Then::Notify));
    story.tell(CheckEvent::Judged {
        check: HOSTILE.into(),
        judgement,
    })
}

/// A run in which every text is hostile.
#[expect(
    clippy::too_many_lines,
    reason = "a story from its beginning to its end"
)]
pub(crate) fn hostile() -> Vec<Event> {
    let mut planned = planned();
    planned.title = Some(HOSTILE.into());
    planned.name = HOSTILE.into();
    planned.source = HOSTILE.into();
    planned.inputs = BTreeMap::from([(HOSTILE.to_owned(), Value::from(HOSTILE))]);
    planned.text = format!("```\n{HOSTILE}\n``````\n");
    planned.people = vec![Person {
        role: HOSTILE.into(),
        title: Some(HOSTILE.into()),
        contact: Some(HOSTILE.into()),
        who: Some(HOSTILE.into()),
    }];
    planned.sign_off = SignOff {
        before: vec![HOSTILE.into()],
        after: vec!["lead".into(), HOSTILE.into()],
    };
    planned.criteria = vec![Criterion {
        id: HOSTILE.into(),
        horizon: Horizon::LongTerm,
        phase: None,
        expect: Some(HOSTILE.into()),
        within_s: Some(1e300),
    }];
    planned.outline.phases[1].title = Some(HOSTILE.into());
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
        output: Some(OutputKept {
            file: HOSTILE.into(),
            bytes: 50 << 20,
            kept: 2 << 20,
            sha256: HOSTILE.into(),
        }),
        ..Report::default()
    };
    let cause = RunFailure {
        step: Some("redis-answers".into()),
        phase: Some("verify".into()),
        failure: failure.clone(),
    };
    let story = Story::new()
        .tell(RunEvent::Planned(Box::new(planned)))
        .tell(RunEvent::Started {
            by: HOSTILE.into(),
            host: HOSTILE.into(),
            pid: 1,
            attended: false,
            guided: false,
        })
        .start("redis-answers")
        .after(1);
    let story = hostile_check(story)
        .failed("redis-answers", 1, (failure.clone(), report.clone()), None)
        .tell(StepEvent::Skipped {
            step: "disk".into(),
            reason: SkipReason::Person {
                by: HOSTILE.into(),
                reason: HOSTILE.into(),
            },
        })
        .tell(StepEvent::Diagnosed {
            step: HOSTILE.into(),
            looks: vec![Look {
                what: HOSTILE.into(),
                ok: false,
                seen: format!("{HOSTILE}{}", "\u{1b}]0;t\u{7}".repeat(1_000)),
            }],
        })
        .tell(StepEvent::Asked {
            step: "flush".into(),
            question: Question::InDoubt,
            why: HOSTILE.into(),
            evidence: Vec::new(),
            brief: None,
            nonce: HOSTILE.into(),
        })
        .tell(StepEvent::Resolved {
            step: "restart".into(),
            attempt: 1,
            how: How::Person {
                by: HOSTILE.into(),
                reason: HOSTILE.into(),
            },
            to: Resolution::Done,
        });
    went_back(
        hostile_snapshots(hostile_people(story)),
        cause,
        &failure,
        report,
    )
}

fn went_back(story: Story, cause: RunFailure, failure: &Failure, report: Report) -> Vec<Event> {
    let item = RollbackItem {
        id: HOSTILE.into(),
        part: Part::Undo,
        of: Some("redis-answers".into()),
        nth: None,
        action: HOSTILE.into(),
    };
    story
        .tell(RunEvent::Failed(cause.clone()))
        .tell(RollbackEvent::Planned {
            cause,
            items: vec![item],
            not_undone: vec![NotUndone {
                step: HOSTILE.into(),
                why: HOSTILE.into(),
            }],
        })
        .tell(RollbackEvent::Failed {
            item: 0,
            attempt: 1,
            failure: failure.clone(),
            report: Box::new(report),
            retry_at: None,
        })
        .tell(RunEvent::Finished {
            status: RunStatus::RolledBack,
        })
        .events
}

fn hostile_snapshots(story: Story) -> Story {
    let taken = |moment, value: &str| SnapshotEvent::Taken {
        moment,
        snapshots: vec![SnapshotTaken {
            name: HOSTILE.into(),
            file: Some(HOSTILE.into()),
            sha256: Some(HOSTILE.into()),
            value: Some(json!({ HOSTILE: value })),
            failure: None,
        }],
    };
    story
        .tell(taken(Moment::Before, HOSTILE))
        .tell(taken(Moment::After, "=1+1"))
}

/// Every order that has a text, each given with a hostile reason.
#[expect(
    clippy::too_many_lines,
    reason = "a story from its beginning to its end"
)]
fn hostile_people(mut story: Story) -> Story {
    let text = || HOSTILE.to_owned();
    let vote = Vote {
        who: text(),
        comment: Some(text()),
        digest: text(),
        nonce: text(),
        signature: Some(text()),
        key: Some(text()),
    };
    let confirmation = Confirmation {
        who: text(),
        ticked: vec![text()],
        values: BTreeMap::from([(text(), Value::from(HOSTILE))]),
        note: Some(text()),
        file: Some(EvidenceFile {
            file: text(),
            name: text(),
            bytes: 1,
            sha256: text(),
        }),
        nonce: text(),
    };
    let signature = |role: &str| Signature {
        who: text(),
        role: role.to_owned(),
        stage: Stage::After,
        comment: Some(text()),
        seq: 1,
        head: text(),
        ssh: Some(text()),
        key: Some(text()),
    };
    let close_out = CloseOut {
        criterion: text(),
        verdict: Verdict::Error,
        who: text(),
        evidence: vec![evidence(HOSTILE, Verdict::Error, &[(HOSTILE, HOSTILE)])],
        comment: Some(text()),
    };
    let note = |kind| Note {
        kind,
        text: text(),
        step: Some(text()),
        who: text(),
    };
    let orders = vec![
        Order::Approve {
            step: text(),
            vote: vote.clone(),
        },
        Order::Reject { step: text(), vote },
        Order::Confirm {
            step: text(),
            confirmation: Box::new(confirmation),
        },
        Order::Sign {
            signature: Box::new(signature("lead")),
        },
        Order::Sign {
            signature: Box::new(signature(HOSTILE)),
        },
        Order::CloseOut {
            close_out: Box::new(close_out),
        },
        Order::Note {
            note: note(NoteKind::Issue),
        },
        Order::Note {
            note: note(NoteKind::Remark),
        },
        Order::Waive { step: text() },
        Order::Jump { to: text() },
    ];
    for order in orders {
        story = story.tell(OperatorEvent::Ordered {
            by: text(),
            order: order.clone(),
            reason: Some(text()),
        });
        story = story.tell(OperatorEvent::Refused {
            by: text(),
            order,
            why: text(),
        });
    }
    story
}
