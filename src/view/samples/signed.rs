//! A run with people: roles, votes, waivers, notes, signatures and criteria.

use super::{Story, beginning_of, evidence, planned, report, snapshots};
use crate::event::{
    Answer, Brief, CloseOut, Confirmation, Criterion, Event, Horizon, How, Look, Moment, Note,
    NoteKind, OperatorEvent, Order, Person, Planned, Question, Resolution, RunEvent, RunStatus,
    SignOff, Signature, SkipReason, Stage, StepEvent, Vote, WindowOutline,
};
use crate::expr::Verdict;

fn person(role: &str, title: &str, who: Option<&str>) -> Person {
    Person {
        role: role.into(),
        title: Some(title.into()),
        contact: (role == "oncall").then(|| "#cache-migration".to_owned()),
        who: who.map(str::to_owned),
    }
}

fn criterion(id: &str, horizon: Horizon, phase: Option<&str>, expect: Option<&str>) -> Criterion {
    Criterion {
        id: id.into(),
        horizon,
        phase: phase.map(str::to_owned),
        expect: expect.map(str::to_owned),
        within_s: (horizon != Horizon::Immediate).then_some(86_400.0),
    }
}

fn with_people() -> Planned {
    let mut planned = planned();
    planned.people = vec![
        person("lead", "Migration lead", Some("ana")),
        person("backup", "Backup operator", Some("bo")),
        person("oncall", "On-call engineer", None),
    ];
    planned.sign_off = SignOff {
        before: vec!["lead".into()],
        after: vec!["lead".into(), "backup".into(), "oncall".into()],
    };
    planned.criteria = vec![
        criterion("immediate", Horizon::Immediate, Some("validate"), None),
        criterion(
            "short_term",
            Horizon::ShortTerm,
            None,
            Some("snapshots.after.cache.hit_rate > 0.70"),
        ),
        criterion(
            "long_term",
            Horizon::LongTerm,
            None,
            Some("probe.cache.hit_rate > 0.80"),
        ),
    ];
    planned.window = WindowOutline {
        total_s: Some(3_600.0),
        downtime_s: Some(300.0),
        rollback_s: Some(900.0),
        ..WindowOutline::default()
    };
    planned
}

fn order(by: &str, order: Order, reason: Option<&str>) -> OperatorEvent {
    OperatorEvent::Ordered {
        by: by.into(),
        order,
        reason: reason.map(str::to_owned),
    }
}

fn note(kind: NoteKind, text: &str, step: Option<&str>) -> OperatorEvent {
    let note = Note {
        kind,
        text: text.into(),
        step: step.map(str::to_owned),
        who: "ana".into(),
    };
    order("ops", Order::Note { note }, None)
}

fn sign(role: &str, who: &str, stage: Stage, key: Option<&str>, seq: u64) -> OperatorEvent {
    let signature = Box::new(Signature {
        who: who.into(),
        role: role.into(),
        stage,
        comment: key.map(|_| "as rehearsed".to_owned()),
        seq,
        head: "9f".repeat(32),
        ssh: key.map(|_| "-----BEGIN SSH SIGNATURE-----".to_owned()),
        key: key.map(str::to_owned),
    });
    order("ops", Order::Sign { signature }, None)
}

fn asked(step: &str, question: Question) -> StepEvent {
    StepEvent::Asked {
        step: step.into(),
        question,
        why: "the runbook asks for it".into(),
        evidence: Vec::new(),
        brief: Some(Box::new(Brief {
            by: vec!["lead".into()],
            ..Brief::default()
        })),
        nonce: "7".into(),
    }
}

/// A run with people in it, which comes to its end.
#[expect(
    clippy::too_many_lines,
    reason = "a story from its beginning to its end"
)]
pub(crate) fn signed() -> Vec<Event> {
    let vote = Vote {
        who: "ana".into(),
        comment: Some("all green".into()),
        digest: "3f2a9c51d0".into(),
        nonce: "7".into(),
        signature: None,
        key: Some("SHA256:abcdef".into()),
    };
    let approve = Order::Approve {
        step: "maintenance".into(),
        vote,
    };
    let confirmation = Box::new(Confirmation {
        who: "bo".into(),
        ticked: vec!["log in and out".into()],
        note: Some("seen in the browser".into()),
        ..Confirmation::default()
    });
    let confirm = Order::Confirm {
        step: "login".into(),
        confirmation,
    };
    let story = Story::new().tell(RunEvent::Planned(Box::new(with_people())));
    let story =
        beginning_of(story.tell(sign("lead", "ana", Stage::Before, Some("SHA256:abcdef"), 1)))
            .tell(asked("maintenance", Question::Approval))
            .tell(order("ops", approve, None))
            .done("maintenance", report(900, ""))
            .after(1_000)
            .done("restart[1]", report(1_000, "./ops/appctl restart 2"))
            .tell(StepEvent::Resolved {
                step: "restart[0]".into(),
                attempt: 1,
                how: How::Person {
                    by: "ops".into(),
                    reason: "seen running".into(),
                },
                to: Resolution::Done,
            })
            .tell(StepEvent::Diagnosed {
                step: "restart[0]".into(),
                looks: vec![Look {
                    what: "redis PING".into(),
                    ok: true,
                    seen: "PONG".into(),
                }],
            })
            .tell(order(
                "ops",
                Order::Answer {
                    step: "login".into(),
                    answer: Answer::Skip,
                    code: None,
                },
                Some("checked by hand"),
            ))
            .tell(StepEvent::Skipped {
                step: "login".into(),
                reason: SkipReason::Person {
                    by: "ops".into(),
                    reason: "checked by hand".into(),
                },
            })
            .tell(order("ops", confirm, None))
            .tell(note(
                NoteKind::Issue,
                "the pager was silent",
                Some("restart"),
            ))
            .tell(note(
                NoteKind::Lesson,
                "tell the on-call engineer earlier",
                None,
            ));
    let close_out = Box::new(CloseOut {
        criterion: "short_term".into(),
        verdict: Verdict::Pass,
        who: "ana".into(),
        evidence: vec![evidence(
            "snapshots.after.cache.hit_rate > 0.70",
            Verdict::Pass,
            &[("snapshots.after.cache.hit_rate", "0.82")],
        )],
        comment: None,
    });
    let story = snapshots(story, Moment::After, 0)
        .tell(RunEvent::Finished {
            status: RunStatus::Succeeded,
        })
        .after(3_600_000)
        .tell(order("ops", Order::CloseOut { close_out }, None));
    let last = story.events.len() as u64;
    story
        .tell(sign("lead", "ana", Stage::After, None, last))
        .events
}
