//! `ferry diff`: two runs of a runbook that was changed in between.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};

fn runbook(steps: &str) -> String {
    format!(
        "
        runbook: demo
        inputs: {{ word: {{ default: one }} }}
        phases:
          p:
            steps:
              - {{ id: same, shell: echo same, read_only: true }}
              {steps}
        "
    )
}

const BEFORE: &str = "- { id: size, shell: echo 5, read_only: true }
              - { id: gone, shell: echo gone, read_only: true }
              - { id: last, shell: 'true', read_only: true }";

const AFTER: &str = "- { id: size, shell: sleep 1.2; echo 7, read_only: true }
              - { id: fresh, shell: echo fresh, read_only: true }
              - { id: last, shell: exit 3, read_only: true }";

/// The directory of two runs, and their ids: the first went well, the second of another text did not.
fn two_runs() -> (Arc<TempDir>, String, String) {
    let going = Ferry::new().runbook(&runbook(BEFORE)).start();
    let dir = going.shared();
    going.wait().success();
    let latest = || {
        let listed = Ferry::again(&dir)
            .command(&["runs", "--json"])
            .run()
            .success();
        listed.json()[0]["run"].as_str().unwrap().to_owned()
    };
    let first = latest();
    let again = Ferry::again(&dir).runbook(&runbook(AFTER));
    again.args(["--input", "word=two"]).run().code(11);
    let second = latest();
    assert_ne!(first, second);
    (dir, first, second)
}

fn diff(dir: &Arc<TempDir>, args: &[&str]) -> Ran {
    let words = [&["diff"], args].concat();
    Ferry::again(dir).command(&words).run()
}

#[test]
fn programs_get_what_changed_by_urgency_and_by_step() {
    let (dir, first, second) = two_runs();
    let told = diff(&dir, &[&first, &second, "--json"]).success().stdout;
    let made: Value = serde_json::from_str(&told).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let attention = made["attention"].as_array().unwrap().iter();
    let kinds: Vec<_> = attention
        .map(|one| format!("{} {}", text(&one["kind"]), text(&one["subject"])))
        .collect();
    assert_eq!(
        kinds,
        [
            "run ",
            "failed last",
            "changed size",
            "changed last",
            "added fresh",
            "removed gone",
            "slower size",
            "input word"
        ]
    );
    assert_eq!(
        (&made["steps_same"], &made["steps_changed"]),
        (&json!(1), &json!(2))
    );
    let steps = made["steps"].as_array().unwrap();
    let size = steps.iter().find(|step| step["id"] == "size").unwrap();
    assert!(size["ratio"].as_f64().unwrap() > 1.5);
    let values = size["values"].as_array().unwrap();
    let stdout = values
        .iter()
        .find(|value| value["path"] == "stdout")
        .unwrap();
    assert_eq!((&stdout["from"], &stdout["to"]), (&json!("5"), &json!("7")));
}

#[test]
fn people_see_what_is_worth_attention_first() {
    let (dir, first, second) = two_runs();
    // the later one is the latest unless it is named
    let text = diff(&dir, &[&first]).success().stdout;
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("`{part}` in {text}"))
    };
    assert!(at("worth attention first") < at("failed    last: failed, was done"));
    assert!(at("failed    last") < at("step   was"));
    at("1 the same, 2 changed, 1 added, 1 removed");
    let narrow = Ferry::again(&dir)
        .env("COLUMNS", "30")
        .command(&["diff", &first]);
    let narrow = narrow.run().success().stdout;
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 30),
        "{narrow}"
    );
    // a beginning that both have, a run with itself, and one that is not there
    diff(&dir, &["demo"]).code(64);
    diff(&dir, &[&second]).code(64);
    diff(&dir, &["nobody", &second]).code(66);
}
