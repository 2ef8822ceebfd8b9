//! What a [`Sheet`] tells beside its question: one fact a line, and what is shown when asked for.

use super::Sheet;
use crate::event::Question;
use crate::expr::{Evidence, Verdict};
use crate::front::lines::observed;
use crate::front::text::{moment, seconds};
use crate::view::{Asked, RunView};

impl Sheet {
    pub(super) fn facts(&mut self, view: &RunView, asked: &Asked) {
        let brief = &self.brief;
        let mut facts: Vec<(String, String)> = Vec::new();
        let mut fact = |name: &str, text: String| {
            if !text.is_empty() {
                facts.push((name.to_owned(), text));
            }
        };
        match asked.question {
            Question::Approval => {
                fact("who", asked.why.clone());
                let so_far: Vec<&str> = asked.votes.iter().map(|vote| vote.who.as_str()).collect();
                fact("agreed", so_far.join(", "));
                fact("plan", self.digest.chars().take(12).collect());
            }
            Question::Manual => {
                fact("who", brief.by.join(", "));
                fact("to tick", brief.checklist.join("; "));
                let asks: Vec<&str> = brief.asks.iter().map(|ask| ask.prompt.as_str()).collect();
                fact("to type in", asks.join("; "));
            }
            Question::Failure => {
                fact("why", asked.why.clone());
                let report = view
                    .step(&asked.step)
                    .and_then(|step| step.report.as_deref());
                let evidence = report.map_or(&[][..], |report| &report.evidence);
                not_met(evidence).for_each(|(name, text)| fact(name, text));
                fact("does", brief.does.clone());
            }
            Question::Held => {
                not_met(&asked.evidence).for_each(|(name, text)| fact(name, text));
                let now = view.check(&asked.step).and_then(|check| check.last());
                fact(
                    "last look",
                    now.map(|look| look.verdict.to_string()).unwrap_or_default(),
                );
            }
            Question::Start | Question::PointOfNoReturn | Question::InDoubt => {
                fact("does", brief.does.clone());
                fact("expects", brief.expects.join("; "));
            }
        }
        if !matches!(asked.question, Question::Approval) {
            fact("undo", brief.undo.clone());
        }
        fact(
            "estimate",
            brief.estimate_s.map(seconds).unwrap_or_default(),
        );
        fact("until", brief.until.map(moment).unwrap_or_default());
        self.facts = facts;
        let report = view
            .step(&asked.step)
            .and_then(|step| step.report.as_deref());
        self.details.clone_from(&self.brief.shows);
        if let (Question::Failure, Some(report)) = (asked.question, report) {
            let result = report.result.to_string();
            self.details
                .push(("result".into(), result.chars().take(2_000).collect()));
            if let Some(output) = &report.output {
                self.details.push(("output".into(), output.file.clone()));
            }
        }
    }
}

/// What was expected and what was observed instead.
fn not_met(evidence: &[Evidence]) -> impl Iterator<Item = (&'static str, String)> {
    let missed = evidence.iter().filter(|one| one.verdict != Verdict::Pass);
    missed.flat_map(|one| {
        [
            ("expected", one.expression.clone()),
            ("observed", observed(one)),
        ]
    })
}
