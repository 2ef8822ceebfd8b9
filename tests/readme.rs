//! The documents are true: every runbook in the README passes `ferry check`, every command it names
//! is there, and the page of the actions is what `ferry actions` prints.

use std::path::Path;

use crate::support::ferry::Ferry;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next().map(str::to_owned))
        .collect()
}

#[test]
fn every_runbook_in_the_readme_has_no_mistakes() {
    let blocks = blocks(&document("README.md"), "yaml");
    let runbooks: Vec<_> = blocks
        .iter()
        .filter(|block| block.starts_with("runbook:"))
        .collect();
    assert!(!runbooks.is_empty());
    for text in runbooks {
        let ran = Ferry::new()
            .file("readme.yaml", text)
            .args(["check", "--strict", "readme.yaml"])
            .run();
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn every_command_in_the_readme_is_there() {
    let help = Ferry::new().args(["--help"]).run().stdout;
    for block in blocks(&document("README.md"), "sh") {
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("ferry ") {
                let name = command.split_whitespace().next().unwrap();
                assert!(help.contains(&format!("\n  {name} ")), "{line}");
            }
            if let Some(script) = line.strip_prefix("./") {
                let script = script.split_whitespace().next().unwrap();
                assert!(
                    Path::new(env!("CARGO_MANIFEST_DIR")).join(script).is_file(),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn the_page_of_the_actions_is_current() {
    let printed = Ferry::new().args(["actions"]).run().stdout;
    assert!(
        printed == document("docs/actions.md"),
        "docs/actions.md is not what `ferry actions` prints: write it with `ferry actions > docs/actions.md`"
    );
}
