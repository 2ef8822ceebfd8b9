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
