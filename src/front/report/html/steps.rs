//! Every step: its action, attempts and times, what was done, and the end of its output.

use serde_json::Value;

use super::super::super::text::{clip, moment, ms, numbered, seconds};
use super::super::{Proof, facts};
use super::page::{Mark, Page};
use super::{DETAILED, LINES};
use crate::event::{Report, SkipReason};
use crate::runbook::units::human_bytes;
use crate::view::{RunView, StepStatus, StepView};

/// Bytes of one output.
const OUTPUT: usize = 4_096;

/// Bytes of one result that is no object, and of what was done where that is long.
const RESULT: usize = 2_048;

/// The most fields of a result, and the most columns of one.
const FIELDS: usize = 24;
const LINE: usize = 240;

/// Keys of a result whose texts are shown as output.
const OUTPUTS: [&str; 3] = ["stdout", "stderr", "body"];

pub(super) fn step_mark(status: StepStatus) -> Mark {
    match status {
        StepStatus::Done => Mark::Good,
        StepStatus::Failed => Mark::Bad,
        StepStatus::InDoubt | StepStatus::Asked | StepStatus::Tolerated => Mark::Odd,
        StepStatus::Pending | StepStatus::Skipped => Mark::Off,
        StepStatus::Checking
        | StepStatus::Running
        | StepStatus::Settling
        | StepStatus::Waiting
        | StepStatus::AtGate => Mark::Going,
    }
}

pub(super) fn steps(view: &RunView, proof: &Proof, page: &mut Page) {
    page.say("h3", "", "Steps");
    let all = view.counts().steps <= DETAILED;
    let mut left = LINES;
    for phase in &view.phases {
        page.tag("h4", "").text("Phase ").code(&phase.name);
        page.text(": ").text(view.phase_status(phase).words()).end();
        if let Some(evidence) = &phase.skipped {
            page.tag("p", "more")
                .text("Left out by ")
                .code(&evidence.expression)
                .end();
            continue;
        }
        let named = || view.steps_of(phase).iter().flat_map(StepView::named);
        page.table(
            "steps",
            &[
                "Step",
                "Action",
                "Status",
                "Tries",
                "Took",
                "Estimate",
                "What was done",
            ],
        );
        let mut cut = 0;
        for (name, step) in named() {
            match left {
                0 => cut += 1,
                _ => {
                    left -= 1;
                    line(view, &name, step, page);
                }
            }
        }
        page.end_table();
        if cut > 0 {
            let text = format!("{} more: see the JSON report.", numbered(cut, "step"));
            page.say("p", "cut", &text);
        }
        let mut detailed = 0;
        for (name, step) in named() {
            let matters = !matches!(step.status, StepStatus::Done | StepStatus::Skipped);
            if (all || matters) && detailed < DETAILED && has_details(step) {
                detailed += 1;
                details(&name, step, proof, page);
            }
        }
    }
}

fn line(view: &RunView, name: &str, step: &StepView, page: &mut Page) {
    page.tag("tr", "").tag("td", "").code(name);
    if let Some(title) = &step.outline.title {
        page.say("div", "more", title);
    }
    page.end().say("td", "", &step.outline.action).tag("td", "");
    page.mark(step_mark(step.status), step.status.words());
    let back = view
        .rollback
        .as_ref()
        .and_then(|back| back.taken_back(name));
    match back {
        Some(true) => page.say("div", "more", "taken back"),
        Some(false) => page.say("div", "more", "not taken back"),
        None => page,
    };
    page.end().num_cell(&step.attempt.to_string());
    page.num_cell(&step.took_ms().map(ms).unwrap_or_default());
    page.num_cell(&step.outline.estimate_s.map(seconds).unwrap_or_default());
    match &step.skipped {
        Some(reason) => page.cell(&skipped(reason)),
        None => page.cell(&clip(step.report.as_ref().map_or("", |one| &one.did), LINE)),
    };
    page.end();
}

fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::When(evidence) => format!("not wanted: `{}`", evidence.expression),
        SkipReason::AlreadyDone(_) => "its effect was there already".into(),
        SkipReason::NoItems => "its list has no items".into(),
        SkipReason::Person { by, reason } => format!("left out by {by}: {reason}"),
    }
}

fn has_details(step: &StepView) -> bool {
    let told =
        |one: &Report| !one.result.is_null() || !one.outputs.is_empty() || one.output.is_some();
    step.report.as_deref().is_some_and(told)
}

fn details(name: &str, step: &StepView, proof: &Proof, page: &mut Page) {
    let Some(report) = &step.report else {
        return;
    };
    page.tag("div", "step").tag("p", "name").code(name);
    page.text(" ").text(&step.outline.action);
    if let Some(start) = step.started_at {
        page.tag("span", "more")
            .text(" started ")
            .text(&moment(start))
            .end();
    }
    if let Some(item) = &step.item {
        page.tag("span", "more")
            .text(" item ")
            .code(&clip(&item.to_string(), 200))
            .end();
    }
    page.end();
    // a short line stands in the table above
    if report.did.contains('\n') || report.did.len() > LINE {
        page.block(&report.did, RESULT, false);
    }
    let shown = outputs(&report.result, page);
    result(&report.result, page);
    if !report.outputs.is_empty() {
        page.say("p", "label", "outputs");
        values(report.outputs.iter(), page);
    }
    if let Some(output) = &report.output {
        page.tag("p", "more")
            .text("Output file ")
            .code(&output.file);
        let kept = match output.kept < output.bytes {
            true => format!(
                "{} of {} kept",
                human_bytes(output.kept),
                human_bytes(output.bytes)
            ),
            false => human_bytes(output.bytes),
        };
        page.text(&format!(", {kept}, SHA-256 "))
            .code(&output.sha256)
            .end();
        if let Some(quote) = proof.quotes.get(&output.file).filter(|_| !shown) {
            page.block(quote, OUTPUT, true);
        }
    }
    page.end();
}

/// The texts that a step printed, as far as the journal has them; whether there was one.
fn outputs(result: &Value, page: &mut Page) -> bool {
    let mut any = false;
    for key in OUTPUTS {
        let text = result.get(key).and_then(Value::as_str).unwrap_or_default();
        if !text.is_empty() {
            page.say("p", "label", key).block(text, OUTPUT, true);
            any = true;
        }
    }
    any
}

/// The rest of a result: a line for each field.
fn result(result: &Value, page: &mut Page) {
    match result {
        Value::Null => {}
        Value::Object(fields) => {
            let printed = |(key, value): &(&String, &Value)| {
                OUTPUTS.contains(&key.as_str()) && value.is_string()
            };
            let rest: Vec<_> = fields.iter().filter(|field| !printed(field)).collect();
            if !rest.is_empty() {
                page.say("p", "label", "result");
                values(rest.into_iter(), page);
            }
        }
        other => {
            page.say("p", "label", "result")
                .block(&other.to_string(), RESULT, false);
        }
    }
}

fn values<'a>(fields: impl ExactSizeIterator<Item = (&'a String, &'a Value)>, page: &mut Page) {
    let left = fields.len().saturating_sub(FIELDS);
    page.tag("ul", "values fields");
    for (key, value) in fields.take(FIELDS) {
        page.tag("li", "").code(&clip(key, 120)).text(" ");
        page.say("span", "value", &clip(&value.to_string(), LINE))
            .end();
    }
    if left > 0 {
        page.say("li", "cut", &format!("{} more", numbered(left, "field")));
    }
    page.end();
}

/// How many steps have their details in the page, in words; `None`: all of them.
pub(super) fn collapsed(view: &RunView) -> Option<String> {
    let counts = view.counts();
    let judged = view
        .each_step()
        .flat_map(|(_, step)| facts::evidence_of(step))
        .count();
    (counts.steps > DETAILED).then(|| {
        format!(
            "{} and {}: what is over and well is told in a line each; the JSON report has everything.",
            numbered(counts.steps, "step"),
            numbered(judged, "expectation")
        )
    })
}
