//! The report for people: the verdict first, then what must not be overlooked, then the evidence.

use super::super::lines::{count_words, rollback_words};
use super::super::text::{between, moment};
use super::escape::{block, code, prose, table};
use super::facts::{notices, verdict};
use super::{Proof, sections, signing, watched};
use crate::view::RunView;

/// The whole report.
pub fn markdown(view: &RunView, proof: &Proof) -> String {
    let mut out = String::new();
    head(view, &mut out);
    signing::waivers(view, &mut out);
    overlooked(view, &mut out);
    summary(view, &mut out);
    signing::people(view, &mut out);
    signing::orders(view, &mut out);
    sections::failures(view, &mut out);
    sections::rollback(view, &mut out);
    sections::phases(view, &mut out);
    sections::steps(view, &mut out);
    sections::expectations(view, &mut out);
    watched::watched(view, &mut out);
    sections::snapshots(view, &mut out);
    signing::notes(view, &mut out);
    signing::criteria(view, &mut out);
    signing::sign_off(view, proof, &mut out);
    sections::outputs(view, &mut out);
    appendix(view, proof, &mut out);
    out
}

fn head(view: &RunView, out: &mut String) {
    let status = view.status.words();
    out.push_str(&format!("# Report: {}\n\n", prose(view.header.shown())));
    out.push_str(&format!(
        "**Verdict: {status}.** In words: {}.\n\n",
        prose(&verdict(view))
    ));
    if let Some(failure) = &view.failure {
        out.push_str(&format!(
            "**What failed:** {}\n\n",
            prose(&failure.summary())
        ));
    }
}

fn summary(view: &RunView, out: &mut String) {
    let header = &view.header;
    let time = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), moment);
    let took = match (view.started_at, view.ended_at.or(view.last_at)) {
        (Some(start), Some(end)) => between(start, end),
        _ => "-".into(),
    };
    let operator = match view.engines.first() {
        Some(engine) => format!("{} on {}", code(&engine.by), code(&engine.host)),
        None => "-".into(),
    };
    let mut rows = vec![
        vec!["Run".into(), code(&view.id)],
        vec![
            "Runbook".into(),
            format!("{} from {}", code(&header.name), code(&header.source)),
        ],
        vec!["Plan".into(), code(&header.digest)],
        vec!["Operator".into(), operator],
        vec!["Started".into(), time(view.started_at)],
        vec!["Ended".into(), time(view.ended_at)],
        vec!["Took".into(), took],
        vec!["Steps".into(), count_words(view)],
    ];
    if let Some(rollback) = &view.rollback {
        let end = rollback
            .ended_at
            .or(view.last_at)
            .unwrap_or(rollback.started_at);
        let took = between(rollback.started_at, end);
        rows.push(vec![
            "Rollback".into(),
            match rollback.items.is_empty() {
                true => rollback_words(rollback),
                false => format!("{}, in {took}", rollback_words(rollback)),
            },
        ]);
    }
    rows.push(vec!["ferry".into(), code(&header.version)]);
    out.push_str("\n## Summary\n\n");
    out.push_str(&table(&["What", "Value"], &rows));
    signing::budgets(view, out);
}

fn overlooked(view: &RunView, out: &mut String) {
    out.push_str("\n## Not to be overlooked\n\n");
    let mut notices = notices(view);
    // orders have a section of their own
    notices.retain(|one| one.code != "ordered");
    if notices.is_empty() {
        out.push_str("Nothing: no step is left undone, in doubt, tolerated or cut.\n");
    }
    for notice in notices {
        match notice.about.is_empty() {
            true => out.push_str(&format!("- {}\n", prose(&notice.text))),
            false => {
                let about = code(&notice.about);
                let watched = matches!(
                    notice.code,
                    "check_failed" | "check_undecided" | "nobody_looked" | "warning"
                );
                let check = view.check(&notice.about).filter(|_| watched);
                let kind = match check.is_some_and(|check| check.outline.guard) {
                    true => "Guard",
                    false => "Step",
                };
                out.push_str(&format!("- {kind} {about}: {}\n", prose(&notice.text)));
            }
        }
    }
}

fn appendix(view: &RunView, proof: &Proof, out: &mut String) {
    out.push_str("\n## Appendix\n\n### Inputs\n\n");
    let header = &view.header;
    let mut rows: Vec<_> = header
        .inputs
        .iter()
        .map(|(name, value)| vec![code(name), code(&value.to_string())])
        .collect();
    let secret = |name: &String| vec![code(name), "(secret)".to_owned()];
    rows.extend(header.secrets.iter().map(secret));
    match rows.is_empty() {
        true => out.push_str("None.\n"),
        false => out.push_str(&table(&["Input", "Value"], &rows)),
    }
    out.push_str("\n### Engines\n\n");
    let rows: Vec<_> = view
        .engines
        .iter()
        .map(|engine| {
            let (at, pid) = (moment(engine.at), engine.pid.to_string());
            vec![at, code(&engine.by), code(&engine.host), pid]
        })
        .collect();
    out.push_str(&table(&["Time", "Operator", "Host", "Process"], &rows));
    signing::record(view, proof, out);
    out.push_str("\n### Runbook\n\n");
    out.push_str(&block(&header.text));
}
