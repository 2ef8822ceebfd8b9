//! The sections of the Markdown report that rest on steps, the way back and snapshots.

use serde_json::Value;

use super::super::escape::shown;
use super::super::lines::{observed, outcome_words};
use super::super::text::{clip, ms, seconds};
use super::escape::{code, prose, table};
use super::facts;
use crate::event::{Moment, Report, SkipReason};
use crate::expr::{Evidence, Verdict};
use crate::runbook::units::human_bytes;
use crate::view::{AttemptFailed, ItemStatus, RunView, StepView};

/// The most columns of a value in a table.
const VALUE: usize = 160;

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

fn value(value: &Value) -> String {
    code(&clip(&shown(&value.to_string()), VALUE))
}

pub(super) fn phases(view: &RunView, out: &mut String) {
    let now = view.last_at.unwrap_or(0);
    let row = |phase: &crate::view::PhaseView| {
        vec![
            code(&phase.name),
            view.phase_status(phase).words().to_owned(),
            dash(phase.took_ms(now).map(ms)),
            dash(phase.estimate_s.map(seconds)),
            dash(phase.late_ms(now).map(ms)),
        ]
    };
    let rows: Vec<_> = view.phases.iter().map(row).collect();
    out.push_str("\n## Phases\n\n");
    out.push_str(&table(
        &["Phase", "Status", "Took", "Estimate", "Over it by"],
        &rows,
    ));
}

pub(super) fn steps(view: &RunView, out: &mut String) {
    let mut rows = Vec::new();
    for (name, step) in view.each_step() {
        let report = step.report.as_ref();
        let did = report.map_or("", |report| report.did.as_str());
        let phase = view.phases.get(step.phase).map_or("", |phase| &phase.name);
        let did = match &step.skipped {
            Some(reason) => skipped(reason),
            None if did.is_empty() => "-".into(),
            None => prose(did),
        };
        rows.push(vec![
            code(phase),
            code(&name),
            code(&step.outline.action),
            status(view, &name, step),
            dash(step.took_ms().map(ms)),
            dash(step.outline.estimate_s.map(seconds)),
            step.attempt.to_string(),
            did,
        ]);
    }
    out.push_str("\n## Steps\n\n");
    let head = [
        "Phase",
        "Step",
        "Action",
        "Status",
        "Took",
        "Estimate",
        "Attempts",
        "What was done",
    ];
    out.push_str(&table(&head, &rows));
}

fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::When(evidence) => format!(
            "not wanted: {} ({})",
            code(&evidence.expression),
            prose(&observed(evidence))
        ),
        SkipReason::AlreadyDone(_) => "its effect was there already".into(),
        SkipReason::NoItems => "its list has no items".into(),
        SkipReason::Person { by, reason } => {
            format!("left out by {}: {}", prose(by), prose(reason))
        }
    }
}

fn status(view: &RunView, name: &str, step: &StepView) -> String {
    let back = view
        .rollback
        .as_ref()
        .and_then(|back| back.taken_back(name));
    match back {
        Some(true) => format!("{}, taken back", step.status.words()),
        Some(false) => format!("{}, not taken back", step.status.words()),
        None => step.status.words().to_owned(),
    }
}

/// Rows of evidence: expectation, verdict, what was observed.
fn evidence(of: &str, report: &Report) -> Vec<Vec<String>> {
    let seen = |one: &Evidence| match (observed(one), &one.reason) {
        (seen, Some(reason)) if one.verdict != Verdict::Fail || seen.is_empty() => prose(reason),
        (seen, _) => prose(&seen),
    };
    let row = |one: &Evidence| {
        let verdict = one.verdict.to_string();
        vec![code(of), code(&one.expression), verdict, seen(one)]
    };
    let mut rows: Vec<_> = report.evidence.iter().map(row).collect();
    rows.extend(report.warnings.iter().map(|one| {
        let mut row = row(one);
        row[2] = "warning".into();
        row
    }));
    rows
}

pub(super) fn expectations(view: &RunView, out: &mut String) {
    let mut rows = Vec::new();
    for (name, step) in view.each_step() {
        if let Some(SkipReason::AlreadyDone(done)) = step.skipped.as_deref() {
            let report = Report {
                evidence: done.clone(),
                ..Report::default()
            };
            rows.extend(evidence(&name, &report));
        }
        rows.extend(
            step.report
                .iter()
                .flat_map(|report| evidence(&name, report)),
        );
    }
    out.push_str("\n## Expectations\n\n");
    match rows.is_empty() {
        true => out.push_str("No expectation was judged.\n"),
        false => out.push_str(&table(
            &["Step", "Expectation", "Verdict", "Observed"],
            &rows,
        )),
    }
}

pub(super) fn failures(view: &RunView, out: &mut String) {
    let mut text = String::new();
    for (name, step) in view.each_step() {
        for failed in view.failures_of(&name, step) {
            text.push_str(&format!(
                "\n### Step {}, attempt {}\n\n",
                code(&name),
                failed.attempt
            ));
            let last = step.failures.last() == Some(failed);
            failure(failed, step.report.as_deref().filter(|_| last), &mut text);
        }
    }
    let other = view
        .failure
        .as_ref()
        .filter(|failure| failure.step.is_none());
    if let Some(other) = other {
        let place = match &other.phase {
            Some(phase) => format!("In phase {}", code(phase)),
            None => "Before any step".to_owned(),
        };
        let message = prose(&other.failure.message);
        text.push_str(&format!("\n- {place}: {message}\n"));
        if let Some(hint) = &other.failure.hint {
            text.push_str(&format!("- Hint: {}\n", prose(hint)));
        }
    }
    if !text.is_empty() {
        out.push_str("\n## Failures\n");
        out.push_str(&text);
    }
}

fn failure(failed: &AttemptFailed, report: Option<&Report>, out: &mut String) {
    let failure = &failed.failure;
    let time = super::super::text::moment(failed.at);
    out.push_str(&format!("- When: {time}, after {}\n", ms(failed.took_ms)));
    out.push_str(&format!("- Why: {}\n", prose(&failure.message)));
    out.push_str(&format!("- Effect: {}\n", outcome_words(failure.outcome)));
    let Some(report) = report else {
        return;
    };
    if let Some(hint) = &failure.hint {
        out.push_str(&format!("- Hint: {}\n", prose(hint)));
    }
    for one in report
        .evidence
        .iter()
        .filter(|one| one.verdict != Verdict::Pass)
    {
        let (expected, seen) = (code(&one.expression), prose(&observed(one)));
        out.push_str(&format!("- Expected {expected}, observed: {seen}\n"));
    }
    if !report.result.is_null() {
        out.push_str(&format!("- Result: {}\n", value(&report.result)));
    }
    if let Some(output) = &report.output {
        out.push_str(&format!("- Output: {}\n", code(&output.file)));
    }
}

pub(super) fn rollback(view: &RunView, out: &mut String) {
    let Some(rollback) = &view.rollback else {
        return;
    };
    out.push_str("\n## Rollback\n\n");
    let cause = prose(&rollback.cause.summary());
    let began = super::super::text::moment(rollback.started_at);
    out.push_str(&format!("It began at {began}, because of {cause}\n\n"));
    let mut rows = Vec::new();
    let mut proofs = Vec::new();
    for item in &rollback.items {
        let says = match (item.status, item.failures.last(), &item.skipped) {
            (ItemStatus::Failed, Some(failed), _) => prose(&failed.failure.message),
            (_, _, Some(reason)) => prose(reason),
            _ => item
                .report
                .as_ref()
                .map_or(String::new(), |one| prose(&one.did)),
        };
        rows.push(vec![
            code(&item.item.id),
            item.item.part.words().to_owned(),
            item.status.words().to_owned(),
            dash(item.took_ms.map(ms)),
            item.attempt.to_string(),
            says,
        ]);
        proofs.extend(
            item.report
                .iter()
                .flat_map(|one| evidence(&item.item.id, one)),
        );
    }
    let head = [
        "Item",
        "Part",
        "Status",
        "Took",
        "Attempts",
        "What was done",
    ];
    out.push_str(&table(&head, &rows));
    out.push('\n');
    match proofs.is_empty() {
        true => out.push_str("No item had anything to prove.\n"),
        false => out.push_str(&table(&["Item", "Proof", "Verdict", "Observed"], &proofs)),
    }
}

pub(super) fn snapshots(view: &RunView, out: &mut String) {
    let compared = facts::snapshots(view);
    if compared.is_empty() {
        return;
    }
    out.push_str("\n## Snapshots\n");
    for one in compared {
        out.push_str(&format!("\n### {}\n\n", code(one.name)));
        for moment in &one.moments {
            taken(view, *moment, one.name, out);
        }
        for (moment, equal) in one.moments.iter().skip(1).zip(&one.equal) {
            let word = match equal {
                Some(true) => "is as",
                Some(false) if one.measured_only => "but for measurements is as",
                Some(false) => "differs from what it was",
                None => "cannot be compared with",
            };
            let (name, first) = (moment.name(), one.moments[0].name());
            out.push_str(&format!("- {name} {word} {first}\n"));
        }
        if one.places.is_empty() {
            continue;
        }
        let mut head = vec!["Place"];
        head.extend(one.moments.iter().map(|moment| moment.name()));
        let cell = |at: &Option<Value>| at.as_ref().map_or("-".into(), value);
        let rows = one.places.iter().map(|(path, values)| {
            let mut row = vec![code(if path.is_empty() { "(all)" } else { path })];
            row.extend(values.iter().map(cell));
            row
        });
        out.push('\n');
        out.push_str(&table(&head, &rows.collect::<Vec<_>>()));
    }
}

fn taken(view: &RunView, moment: Moment, name: &str, out: &mut String) {
    let name = match view.snapshot(moment, name) {
        Some(one) => match (&one.failure, &one.file) {
            (Some(failure), _) => format!("failed: {}", prose(&failure.message)),
            (None, Some(file)) => {
                let hash = one.sha256.as_deref().unwrap_or_default();
                format!("{}, SHA-256 {}", code(file), code(hash))
            }
            (None, None) => "in the journal".into(),
        },
        None => "not taken".into(),
    };
    out.push_str(&format!("- {}: {name}\n", moment.name()));
}

pub(super) fn outputs(view: &RunView, out: &mut String) {
    let mut rows = Vec::new();
    let mut note = |name: &str, report: &Report| {
        if let Some(output) = &report.output {
            rows.push(vec![
                code(name),
                code(&output.file),
                human_bytes(output.bytes),
                human_bytes(output.kept),
                code(&output.sha256),
            ]);
        }
    };
    for (name, step) in view.each_step() {
        step.report.iter().for_each(|report| note(&name, report));
    }
    for item in view.rollback.iter().flat_map(|back| &back.items) {
        item.report
            .iter()
            .for_each(|report| note(&item.item.id, report));
    }
    if !rows.is_empty() {
        out.push_str("\n## Outputs\n\nFiles are relative to the run's directory.\n\n");
        let head = ["Step", "File", "Printed", "Kept", "SHA-256"];
        out.push_str(&table(&head, &rows));
    }
}
