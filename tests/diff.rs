//! `ferry diff`: two runs of a runbook that was changed in between.

use serde_json::{Value, json};

use crate::support::ferry::Ferry;

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

#[test]
fn what_is_worth_attention_comes_first() {
    let going = Ferry::new().runbook(&runbook(BEFORE)).start();
    let dir = going.shared();
    going.wait().success();
    let runs = || {
        let listed = Ferry::again(&dir)
            .command(&["runs", "--json"])
            .run()
            .success();
        let ids: Vec<String> = listed
            .json()
            .iter()
            .map(|run| run["run"].as_str().unwrap().to_owned())
            .collect();
        ids
    };
    let first = runs().remove(0);
    let again = Ferry::again(&dir)
        .runbook(&runbook(AFTER))
        .args(["--input", "word=two"]);
    again.run().code(11);
    let second = runs().remove(0);
    assert_ne!(first, second);
    let diff = |args: &[&str]| {
        let words = [&["diff"], args].concat();
        Ferry::again(&dir).command(&words).run()
    };
    let made: Value =
        serde_json::from_str(&diff(&[&first, &second, "--json"]).success().stdout).unwrap();
    let kinds: Vec<_> = made["attention"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {}",
                one["kind"].as_str().unwrap(),
                one["subject"].as_str().unwrap()
            )
        })
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
    let size = made["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["id"] == "size")
        .unwrap();
    let stdout = size["values"]
        .as_array()
        .unwrap()
        .iter()
        .find(|value| value["path"] == "stdout")
        .unwrap();
    assert_eq!((&stdout["from"], &stdout["to"]), (&json!("5"), &json!("7")));
    assert!(size["ratio"].as_f64().unwrap() > 1.5);

    // the later one is the latest unless it is named, and an unmistakable beginning is enough
    let text = diff(&[&first]).success().stdout;
    let at = |text: &str, part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("`{part}` in {text}"))
    };
    assert!(at(&text, "worth attention first") < at(&text, "failed    last: failed, was done"));
    assert!(
        at(&text, "failed    last") < at(&text, "step   was"),
        "{text}"
    );
    assert!(
        text.contains("1 the same, 2 changed, 1 added, 1 removed"),
        "{text}"
    );
    let narrow = Ferry::again(&dir)
        .env("COLUMNS", "30")
        .command(&["diff", &first])
        .run()
        .success();
    assert!(
        narrow.stdout.lines().all(|line| line.chars().count() <= 30),
        "{}",
        narrow.stdout
    );
    diff(&["demo"]).code(64);
    diff(&[&second]).code(64);
    diff(&["nobody", &second]).code(66);
}
