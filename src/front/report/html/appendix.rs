//! The appendix: every step, inputs, the record that all this stands on, the runbook's text.

use super::super::super::text::clip;
use super::super::Proof;
use super::page::{Mark, Page};
use super::steps;
use crate::view::RunView;

/// Bytes of the runbook's text.
const RUNBOOK: usize = 512 << 10;

pub(super) fn appendix(view: &RunView, proof: &Proof, page: &mut Page) {
    page.tag("section", "appendix").raw("<h2>Appendix</h2>\n");
    record(view, proof, page);
    inputs(view, page);
    if let Some(words) = steps::collapsed(view) {
        page.say("p", "more", &words);
    }
    steps::steps(view, proof, page);
    page.say("h3", "", "Runbook");
    page.block(&view.header.text, RUNBOOK, false);
    page.end();
}

/// What the report stands on, so that it can be held against the journal.
fn record(view: &RunView, proof: &Proof, page: &mut Page) {
    page.say("h3", "", "Record").tag("dl", "facts");
    let mut say = |name: &str, value: &str| {
        page.tag("div", "").say("dt", "", name);
        page.tag("dd", "").code(value).end().end();
    };
    say("Run", &view.id);
    say("Plan", &view.header.digest);
    say("Events", &view.last_seq.to_string());
    if let Some(head) = &proof.head {
        say("Head of the hash chain", head);
    }
    if let Some(witness) = proof.witness {
        say("Witness saw event", &witness.to_string());
    }
    say("ferry", &view.header.version);
    page.end();
    match (&proof.problem, &proof.head) {
        (Some(problem), _) => {
            page.tag("p", "")
                .mark(Mark::Bad, "not proven")
                .text(": ")
                .prose(problem)
                .end();
        }
        (None, Some(_)) => {
            page.tag("p", "").mark(Mark::Good, "the hash chain holds");
            page.prose(&format!(
                ", `ferry verify {}` checks it again.",
                clip(&view.id, 200)
            ))
            .end();
        }
        (None, None) => {
            page.tag("p", "")
                .mark(Mark::Off, "the hash chain was not looked at")
                .end();
        }
    }
}

fn inputs(view: &RunView, page: &mut Page) {
    let header = &view.header;
    page.say("h3", "", "Inputs");
    if header.inputs.is_empty() && header.secrets.is_empty() {
        page.say("p", "", "None.");
        return;
    }
    page.table("", &["Input", "Value"]);
    for (name, value) in &header.inputs {
        page.tag("tr", "")
            .code_cell(name)
            .code_cell(&clip(&value.to_string(), 400))
            .end();
    }
    for name in &header.secrets {
        page.tag("tr", "").code_cell(name).cell("(secret)").end();
    }
    page.end_table();
}
