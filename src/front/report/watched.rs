//! The section of the Markdown report about what was watched.

use super::super::lines::observed;
use super::super::text::{moment, ms};
use super::super::watched::{gap_words, look_word, reason, tally_words, values};
use super::escape::{code, prose, table};
use super::facts::watched as facts;
use crate::expr::{Evidence, Verdict};
use crate::view::{CheckView, RunView};

/// Looks of one check that are shown.
const LOOKS: usize = 12;

/// Expectations, and gaps.
const LISTED: usize = 12;

/// Checks that have their own block.
const CHECKS: usize = 100;

pub(super) fn watched(view: &RunView, out: &mut String) {
    if view.checks.is_empty() {
        return;
    }
    out.push_str("\n## What was watched\n\n");
    let row = |check: &CheckView| {
        let (verdict, why) = facts::outcome(view, check);
        let kind = if check.outline.guard { "guard" } else { "step" };
        vec![
            code(&check.name),
            kind.to_owned(),
            facts::verdict_word(verdict).to_owned(),
            prose(&why),
            prose(&tally_words(&check.total())),
        ]
    };
    let rows: Vec<_> = view.checks.iter().map(row).collect();
    let head = ["Check", "Kind", "Verdict", "Why", "Looks"];
    out.push_str(&table(&head, &rows));
    let told = facts::downtime_told(view);
    if !told.is_empty() {
        out.push_str("\n### Downtime\n\n");
        for line in told {
            out.push_str(&format!("- {}\n", prose(&line)));
        }
    }
    for check in view.checks.iter().take(CHECKS) {
        one(check, out);
    }
    if view.checks.len() > CHECKS {
        let more = view.checks.len() - CHECKS;
        out.push_str(&format!("\n{more} more: see the JSON report.\n"));
    }
}

fn one(check: &CheckView, out: &mut String) {
    let title = check.outline.title.as_ref();
    let title = title.map_or_else(String::new, |title| format!(": {}", prose(title)));
    out.push_str(&format!("\n### {}{title}\n\n", code(&check.name)));
    out.push_str(&format!("- Rule: {}\n", prose(&facts::rule(check))));
    for text in facts::expected(check).iter().take(LISTED) {
        out.push_str(&format!("- Expected: {}\n", prose(text)));
    }
    for (at, said) in check.judged.iter().take(LISTED) {
        let then = super::super::watched::follows(check, said);
        let text = format!("{} at {}: {}{then}", said.verdict, moment(*at), said.why);
        out.push_str(&format!("- Judged: {}\n", prose(&text)));
    }
    for gap in check.gaps.iter().take(LISTED) {
        out.push_str(&format!("- Gap: {}\n", prose(&gap_words(gap))));
    }
    if check.gaps.len() > LISTED {
        let more = check.gaps.len() - LISTED;
        out.push_str(&format!("- {more} more gaps: see the JSON report\n"));
    }
    let rows: Vec<_> = facts::evidence(check).iter().map(evidence).collect();
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&table(&["Expectation", "Verdict", "Observed"], &rows));
    }
    looks(check, out);
}

fn evidence(one: &Evidence) -> Vec<String> {
    let seen = match (observed(one), &one.reason) {
        (seen, Some(reason)) if one.verdict != Verdict::Fail || seen.is_empty() => reason.clone(),
        (seen, _) => seen,
    };
    vec![code(&one.expression), one.verdict.to_string(), prose(&seen)]
}

fn looks(check: &CheckView, out: &mut String) {
    let picked = facts::picked(check, LOOKS);
    out.push_str(&format!(
        "\n{}.\n",
        prose(&facts::kept(check, picked.len()))
    ));
    if picked.is_empty() {
        return;
    }
    let rows = picked.into_iter().map(|sample| {
        let mut says = reason(sample).unwrap_or_default();
        if let Some(warning) = sample.warnings.first() {
            says = super::super::watched::why(warning);
        }
        if sample.excused {
            says = format!("excused by `unless`; {says}");
        }
        vec![
            sample.nth.to_string(),
            moment(sample.at),
            ms(sample.took_ms),
            look_word(sample).to_owned(),
            prose(&values(check, sample, 4)),
            prose(&says),
        ]
    });
    out.push('\n');
    let head = ["Look", "When", "Took", "Verdict", "Values", "Why"];
    out.push_str(&table(&head, &rows.collect::<Vec<_>>()));
}
