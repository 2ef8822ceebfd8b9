//! Reports of hand-made runs, held against expected texts, and hostile texts in all of them.

use super::super::golden;
use super::*;
use crate::event::{Moment, SnapshotEvent, SnapshotTaken};
use crate::view::{RunView, samples};

fn view(events: &[crate::event::Event]) -> RunView {
    RunView::replay(events).with_id("r1")
}

fn proof() -> Proof {
    Proof {
        head: Some("ab".repeat(32)),
        witness: Some(12),
        ..Proof::default()
    }
}

#[test]
fn a_run_that_comes_to_its_end() {
    golden::same(
        "report-success.md",
        &markdown(&view(&samples::success()), &proof()),
    );
}

#[test]
fn a_run_that_goes_back() {
    golden::same(
        "report-rolled-back.md",
        &markdown(&view(&samples::rolled_back(false)), &proof()),
    );
    golden::same(
        "report-rollback-failed.md",
        &markdown(&view(&samples::rolled_back(true)), &proof()),
    );
}

#[test]
fn a_run_that_is_watched() {
    let view = view(&samples::watched());
    golden::same("report-watched.md", &markdown(&view, &proof()));
    let codes: Vec<_> = facts::notices(&view).iter().map(|one| one.code).collect();
    for code in ["downtime_over", "check_failed", "nobody_looked", "warning"] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    let told = json(&view, &proof());
    assert_eq!(told["downtime"]["down_ms"], 3_000);
    assert_eq!(told["budgets"]["downtime"]["kept"], false);
    assert_eq!(told["checks"][2]["verdict"], "pass");
    assert_eq!(told["checks"][2]["gaps"][0]["missed"], 20);
    assert_eq!(told["checks"][2]["samples"].as_array().unwrap().len(), 41);
    let cases = junit(&view);
    let (_, suite) = cases.split_once("<testsuite name=\"watched\"").unwrap();
    assert!(
        suite.contains("tests=\"3\" failures=\"1\" errors=\"0\""),
        "{suite}"
    );
    assert!(
        facts::verdict(&view).ends_with("; 1 guard did not hold"),
        "{}",
        facts::verdict(&view)
    );
}

#[test]
fn a_guard_that_never_looked_is_no_pass_anywhere() {
    let mut view = view(&samples::watched());
    let site = &mut view.checks[0];
    (site.tally, site.samples) = (crate::event::Tally::default(), Vec::new());
    site.failing.clear();
    site.ended.as_mut().unwrap().1.verdict = crate::expr::Verdict::Inconclusive;
    let found = facts::notices(&view);
    let never = found.iter().find(|one| one.about == "site").unwrap();
    assert_eq!(never.text, "was never looked at: it proves nothing");
    let [_, down, _] = facts::budgets(&view);
    assert_eq!((down.took_ms, down.kept()), (None, None));
    let cases = junit(&view);
    assert!(cases.contains("errors=\"1\""), "{cases}");
    assert!(markdown(&view, &proof()).contains("`site` never looked"));
}

#[test]
fn a_system_that_is_still_down_is_told_first() {
    let mut view = view(&samples::held());
    view.status = crate::event::RunStatus::Failed;
    view.ended_at = view.last_at;
    let found = facts::notices(&view);
    assert!(found.iter().take(3).any(|one| one.code == "still_down"));
    assert!(markdown(&view, &proof()).contains("still down at the end"));
    // it was 4 s when nobody looked any more, and is not over
    view.header.window.downtime_s = Some(60.0);
    let [_, down, _] = facts::budgets(&view);
    assert_eq!((down.took_ms, down.kept()), (Some(4_000), None));
    view.header.window.downtime_s = Some(1.0);
    assert_eq!(facts::budgets(&view)[1].kept(), Some(false));
}

#[test]
fn a_watch_that_passed_is_one_expectation_whatever_its_last_look_came_to() {
    let mut view = view(&samples::watched());
    let (judged, passed) = facts::verdicts(&view);
    let at = view.steps.iter().position(|one| one.id() == "login");
    let mut bad = crate::expr::Evidence::clone(&view.checks[1].judged[0].1.evidence[0]);
    bad.verdict = crate::expr::Verdict::Fail;
    let report = view.steps[at.unwrap()].report.as_mut().unwrap();
    report.evidence = vec![bad];
    assert_eq!(facts::verdicts(&view), (judged, passed));
    let found = facts::notices(&view);
    let looks = found.iter().find(|one| one.code == "looks_failed").unwrap();
    assert_eq!(
        (looks.about.as_str(), looks.text.as_str()),
        (
            "login",
            "the watch passed within its limits although 1 look failed"
        )
    );
}

#[test]
fn a_gap_leaves_a_budget_unjudged_as_far_as_it_decides() {
    let mut view = view(&samples::watched());
    view.header.window.downtime_s = Some(5.0);
    assert_eq!(facts::budgets(&view)[1].kept(), Some(true));
    let to = view.checks[0].failing[0].0 - 500;
    view.checks[0].gaps.push(crate::view::Gap {
        from: to - 3_000,
        to,
        missed: 3,
    });
    assert_eq!(facts::budgets(&view)[1].kept(), None);
    view.header.window.downtime_s = Some(6.0);
    assert_eq!(facts::budgets(&view)[1].kept(), Some(true));
    view.header.window.downtime_s = Some(2.0);
    assert_eq!(facts::budgets(&view)[1].kept(), Some(false));
}

#[test]
fn hostile_texts_are_inert() {
    let text = markdown(&view(&samples::hostile()), &proof());
    golden::same("report-hostile.md", &text);
    let (before, runbook) = text.split_once("### Runbook").unwrap();
    for bad in [
        "<script", "](", "![", "\u{1b}", "\u{202e}", "\n# h", "</td>",
    ] {
        assert!(!before.contains(bad), "{bad:?} in\n{before}");
    }
    // the runbook's text is fenced by more than it holds
    assert!(
        runbook.contains("\n```````text\n") && runbook.ends_with("\n```````\n"),
        "{runbook}"
    );
    for row in before.lines().filter(|line| line.starts_with('|')) {
        assert!(row.ends_with(" |"), "{row}");
    }
}

#[test]
fn a_snapshot_that_differs_in_its_measurements_alone_is_told_as_such() {
    let told = |key: &str, holds: &str| {
        let value = |at: i32| serde_json::json!({ holds: [], key: at });
        let mut log = samples::Story::new().planned().started();
        for (moment, at) in [(Moment::Before, 1), (Moment::Restored, 2)] {
            log = log.tell(SnapshotEvent::Taken {
                moment,
                snapshots: vec![SnapshotTaken {
                    name: "schema".into(),
                    file: None,
                    sha256: None,
                    value: Some(value(at)),
                    failure: None,
                }],
            });
        }
        markdown(&view(&log.events), &proof())
    };
    let (same, other) = (
        "- restored but for measurements is as before\n",
        "- restored differs from what it was before\n",
    );
    assert!(told("took_ms", "rows").contains(same));
    assert!(told("took", "rows").contains(other));
    assert!(told("modified", "rows").contains(other));
    // a file is what it holds, not when that was written
    assert!(told("modified", "sha256").contains(same));
}

#[test]
fn a_run_that_has_not_ended_has_a_report_too() {
    let events = samples::rolled_back(false);
    for count in 0..events.len() {
        let view = view(&events[..count]);
        assert!(markdown(&view, &proof()).starts_with("# "), "{count}");
        assert_eq!(json(&view, &proof())["schema"], "ferry.report/1");
    }
}

#[test]
fn the_json_report_is_stable() {
    let mut text =
        serde_json::to_string_pretty(&json(&view(&samples::rolled_back(true)), &proof())).unwrap();
    text.push('\n');
    golden::same("report-rollback-failed.json", &text);
}

#[test]
fn a_verdict_is_no_better_than_what_was_judged() {
    use crate::expr::Verdict;
    let told = |passed: bool| {
        let mut view = view(&samples::success());
        let at = view.steps.iter().position(|one| one.report.is_some());
        let step = &mut view.steps[at.unwrap()];
        let mut report = crate::event::Report {
            evidence: vec![samples::evidence("x == 1", Verdict::Pass, &[]); 2],
            ..crate::event::Report::default()
        };
        if !passed {
            report.evidence[1].verdict = Verdict::Fail;
            step.status = crate::view::StepStatus::Tolerated;
        }
        step.report = Some(Box::new(report));
        let (judged, _) = facts::verdicts(&view);
        (facts::verdict(&view), judged)
    };
    assert_eq!(
        told(true).0,
        "every phase is over and every expectation was met"
    );
    let (text, judged) = told(false);
    assert_eq!(
        text,
        format!(
            "every phase is over; 1 of {judged} expectations failed and were tolerated or accepted"
        )
    );
}

#[test]
fn a_phase_that_proved_nothing_meets_no_criterion() {
    use crate::view::StepStatus;
    let mut view = view(&samples::success());
    view.header.criteria = RunView::replay(&samples::signed()).header.criteria;
    let state = |view: &RunView| {
        let state = facts::criteria(view)[0].state;
        let other = view.criteria()[0].verdict;
        (state.words(), other.unwrap().to_string())
    };
    assert_eq!(state(&view), ("met", "pass".into()));
    let login = view
        .steps
        .iter_mut()
        .find(|one| one.id() == "login")
        .unwrap();
    login.status = StepStatus::Tolerated;
    assert_eq!(state(&view), ("inconclusive", "inconclusive".into()));
    let login = view
        .steps
        .iter_mut()
        .find(|one| one.id() == "login")
        .unwrap();
    login.status = StepStatus::Skipped;
    assert_eq!(state(&view), ("inconclusive", "inconclusive".into()));
    assert!(
        facts::criteria(&view)[0]
            .why
            .contains("none of its steps ran")
    );
}

#[test]
fn what_is_left_on_the_way_back_is_not_said_to_be_taken_back() {
    use crate::view::ItemStatus;
    let mut view = view(&samples::rolled_back(false));
    let back = view.rollback.as_mut().unwrap();
    back.not_undone.clear();
    for item in &mut back.items {
        item.status = ItemStatus::Done;
    }
    let told = |view: &RunView| {
        let checks = facts::checks(view).into_iter();
        let mut checks = checks.filter(|(text, _)| text == "what was changed is taken back");
        (facts::verdict(view), checks.next().unwrap().1)
    };
    assert_eq!(
        told(&view),
        ("it failed; everything was taken back".into(), Some(true))
    );
    view.rollback.as_mut().unwrap().items[0].status = ItemStatus::Waived;
    assert_eq!(told(&view).1, Some(false));
    assert!(told(&view).0.contains("except for"), "{:?}", told(&view));
}

#[test]
fn a_signature_under_an_earlier_end_is_no_sign_off() {
    use crate::event::Stage;
    let mut view = view(&samples::signed());
    assert!(!view.unsigned(Stage::After).contains(&"lead"));
    // it was resumed and ended again
    view.ended_seq = Some(view.last_seq + 1);
    assert!(view.unsigned(Stage::After).contains(&"lead"));
    let [_, after] = facts::sign_off(&view);
    let told: Vec<_> = after
        .lines
        .iter()
        .map(|one| (one.role, one.signed.is_some(), one.earlier))
        .collect();
    assert_eq!(told[..2], [("lead", false, false), ("lead", true, true)]);
    assert!(
        facts::notices(&view)
            .iter()
            .any(|one| one.code == "signed_earlier_end")
    );
    assert!(html(&view, &proof(), None).contains("under an earlier end"));
}

#[test]
fn a_signature_is_shown_as_it_stands() {
    let view = view(&samples::signed());
    let signed = facts::sign_off(&view)[0].lines[0].seq;
    for (held, mark, word) in [
        (None, "odd", "a key that was not checked"),
        (Some(Held::Good), "good", "signed with"),
        (Some(Held::UnknownKey), "odd", "a key that nobody knows"),
        (Some(Held::NotAllowed("why".into())), "bad", "NOT ALLOWED"),
        (Some(Held::Bad("why".into())), "bad", "BAD signature"),
    ] {
        let mut proof = proof();
        proof
            .signatures
            .extend(held.clone().map(|held| (signed, held)));
        let page = html(&view, &proof, None);
        let (_, block) = page.split_once("Before the migration").unwrap();
        let (block, _) = block.split_once("After the migration").unwrap();
        assert!(block.contains(&format!("mark {mark}")), "{held:?}\n{block}");
        assert!(block.contains(word), "{held:?}\n{block}");
        assert!(markdown(&view, &proof).contains(word), "{held:?}");
        let word = held.as_ref().map_or("not_checked", Held::word);
        assert_eq!(
            json(&view, &proof)["sign_off"]["before"][0]["standing"],
            word
        );
    }
}

#[test]
fn a_run_without_a_way_back_and_a_criterion_by_hand_are_waivers() {
    use crate::event::{CloseOut, Order};
    use crate::expr::Verdict;
    let mut view = view(&samples::signed());
    let before = view.waivers().len();
    view.header.options.no_rollback = true;
    let judged = |criterion: &str, verdict| crate::view::Ordered {
        seq: 90,
        at: view.last_at.unwrap(),
        by: "ops".into(),
        order: Order::CloseOut {
            close_out: Box::new(CloseOut {
                criterion: criterion.into(),
                verdict,
                who: "ana".into(),
                evidence: Vec::new(),
                comment: Some("good enough".into()),
            }),
        },
        reason: None,
        refused: None,
    };
    // by hand and against nothing; against its phase; against what was judged before
    let more = [
        judged("short_term", Verdict::Pass),
        judged("immediate", Verdict::Pass),
        judged("long_term", Verdict::Fail),
        judged("long_term", Verdict::Pass),
    ];
    view.orders.extend(more);
    let waivers = view.waivers();
    let told = |what: &str| -> Vec<_> {
        let own = waivers.iter().filter(|one| one.what == what);
        own.map(|one| (one.subject.as_str(), one.by.as_str()))
            .collect()
    };
    assert_eq!(waivers.len(), before + 3);
    assert_eq!(told("started without going back"), [("", "ana")]);
    assert_eq!(
        told("criterion passed by hand"),
        [("immediate", "ops"), ("long_term", "ops")]
    );
}

#[test]
fn the_serious_notices_come_first_and_votes_of_one_login_are_told() {
    use crate::event::{Order, Vote};
    let mut view = view(&samples::rolled_back(true));
    view.clock_back = (0..300).map(|seq| (seq, 1)).collect();
    for who in ["ana", "bo"] {
        let vote = Vote {
            who: who.into(),
            comment: None,
            digest: String::new(),
            nonce: "7".into(),
            signature: None,
            key: None,
        };
        view.orders.push(crate::view::Ordered {
            seq: 90,
            at: 0,
            by: "ops".into(),
            order: Order::Approve {
                step: "restart".into(),
                vote,
            },
            reason: None,
            refused: None,
        });
    }
    let found = facts::notices(&view);
    let at = |code: &str| found.iter().position(|one| one.code == code).unwrap();
    let last_serious = at("rollback_unverified").max(at("undo_failed"));
    assert!(last_serious < at("votes_of_one_login"));
    assert!(at("votes_of_one_login") < at("clock_back"));
    let text = &found[at("votes_of_one_login")].text;
    assert_eq!(
        text,
        "the votes of ana, bo came from one login, ops, without keys"
    );
}
