//! What must not be overlooked about what was watched.

use super::super::super::text::{ms, numbered, seconds};
use super::super::super::watched::{gap_words, look_count, past_point, why};
use super::watched::{downtime, downtime_over, outcome};
use crate::event::Then;
use crate::expr::Verdict;
use crate::view::{CheckView, RunView};

/// Says it, each with a stable code.
pub(super) fn notices(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
    down(view, say);
    for check in &view.checks {
        of_check(view, check, say);
    }
    for (name, step) in view.each_step() {
        if view.check(&name).is_some() {
            continue;
        }
        let warnings = step.report.iter().flat_map(|report| &report.warnings);
        for one in warnings {
            say(
                "warning",
                &name,
                format!("passed with a warning: {}", why(one)),
            );
        }
    }
}

/// The measured downtime where it is beyond its budget, or has no end.
fn down(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
    let Some(down) = downtime(view) else {
        return;
    };
    let by: Vec<_> = down.guards.iter().map(|one| format!("`{one}`")).collect();
    let by = by.join(" and ");
    if down.is_open() && view.status.is_over() {
        let text = format!("when {by} looked last, the system was still down");
        say("still_down", "", text);
    }
    if let Some((over, budget)) = downtime_over(view).zip(view.header.window.downtime_s) {
        let text = format!(
            "the system was down for {}, {} more than the {} that the runbook allows (measured by {by})",
            ms(down.ms),
            ms(over),
            seconds(budget)
        );
        say("downtime_over", "", text);
    }
}

fn of_check(view: &RunView, check: &CheckView, say: &mut impl FnMut(&'static str, &str, String)) {
    let guard = check.outline.guard;
    let total = check.total();
    let (verdict, reason) = outcome(view, check);
    match verdict {
        // a step that watches and fails is told among the steps
        Some(Verdict::Fail) if guard => {
            let then = check.outcome().and_then(|(_, said)| said.then);
            let past = check
                .outcome()
                .map_or("", |(_, said)| past_point(check, said));
            let followed = match then {
                Some(Then::Rollback) => "the run went back",
                Some(Then::Pause) => "the run held and asked",
                Some(Then::Notify) => "it was told, and the run went on",
                None => "nothing followed from it",
            };
            say(
                "check_failed",
                &check.name,
                format!("the guard did not hold ({reason}); {followed}{past}"),
            );
        }
        Some(Verdict::Inconclusive | Verdict::Error) if total.looks == 0 => {
            let text = "was never looked at: it proves nothing";
            say("check_undecided", &check.name, text.into());
        }
        Some(Verdict::Inconclusive | Verdict::Error) if guard => {
            say(
                "check_undecided",
                &check.name,
                format!("the guard came to no answer: {reason}"),
            );
        }
        _ => {}
    }
    if verdict == Some(Verdict::Pass) && total.failed > 0 && !guard {
        let looks = look_count(total.failed);
        let text = format!("the watch passed within its limits although {looks} failed");
        say("looks_failed", &check.name, text);
    }
    missed(check, total.missed, say);
    if total.warned > 0 {
        let text = format!(
            "was beyond a threshold that warns in {} of {}",
            total.warned,
            look_count(total.looks)
        );
        say("warning", &check.name, text);
    }
}

fn missed(check: &CheckView, missed: u64, say: &mut impl FnMut(&'static str, &str, String)) {
    let text = match (check.gaps.as_slice(), missed) {
        (_, 0) => return,
        ([gap], _) => gap_words(gap),
        (gaps, missed) => format!(
            "{} were due in {}, and nobody looked",
            look_count(missed),
            numbered(gaps.len(), "gap")
        ),
    };
    say("nobody_looked", &check.name, text);
}
