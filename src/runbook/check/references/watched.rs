//! References of what is looked at again and again: guards, `watch`, `bands`, `warn`, `trend`, threshold
//! tables, and `baseline`, which is there in them alone.

use super::super::super::diagnostic::Diagnostic;
use super::super::super::model::{ActionUse, Sp, Step};
use super::super::super::node::Span;
use super::super::super::watch::{self, Criteria, Guard};
use super::wrong::wrong_field;
use super::{BESIDE, InGuard, Place, References, ResultOf, span_of};
use crate::expr::{Expr, Reference};

impl<'r> References<'r, '_> {
    pub(super) fn guards(&mut self) {
        for guard in &self.runbook.guards {
            self.guard(guard);
        }
    }

    fn guard(&mut self, guard: &'r Guard) {
        let of = |judged| InGuard {
            during: &guard.during,
            judged,
        };
        let read = Place {
            secrets: true,
            guard: Some(of(false)),
            ..BESIDE
        };
        self.call(&guard.call, read);
        let result = self.result_of(&guard.call);
        let judged = Place {
            result,
            baseline: result,
            guard: Some(of(true)),
            ..BESIDE
        };
        for expr in guard.criteria.exprs() {
            self.level(expr, &guard.call, judged);
        }
        guard.unless.iter().for_each(|expr| self.expr(expr, judged));
        if guard.criteria.asks_baseline() {
            self.read_before(&guard.call, None);
        }
    }

    /// What a step's result is judged by, once or again and again.
    pub(super) fn judged(&mut self, step: &'r Step, after: Place<'r>) {
        let compares = after.at.is_some() && !step.changes();
        let judged = Place {
            baseline: match compares {
                true => after.result,
                false => ResultOf::Nothing,
            },
            // outputs of a watch are made at its end
            outputs: match step.watch {
                Some(_) => &[],
                None => after.outputs,
            },
            ..after
        };
        for expr in &step.expect {
            self.level(expr, &step.action, judged);
        }
        // what is recorded look by look is no place for a secret
        let recorded = Place {
            secrets: false,
            ..judged
        };
        for expr in &step.warn {
            self.level(expr, &step.action, recorded);
        }
        let watched = step.watch.as_deref().map(|watch| &watch.criteria);
        if let Some(criteria) = watched {
            self.watched(step, criteria, judged, recorded);
        }
        let exprs = step.expect.iter().chain(&step.warn);
        let asks = watch::asks(exprs, "baseline") || watched.is_some_and(Criteria::asks_baseline);
        if compares && asks {
            self.read_before(&step.action, Some(step));
        }
    }

    fn watched(
        &mut self,
        step: &'r Step,
        criteria: &'r Criteria,
        judged: Place<'r>,
        recorded: Place<'r>,
    ) {
        for expr in &criteria.expect {
            self.level(expr, &step.action, judged);
        }
        let bands = criteria.bands.iter().flat_map(|band| &band.expect);
        for expr in criteria.warn.iter().chain(bands) {
            self.level(expr, &step.action, recorded);
        }
        if let ResultOf::Action(spec) = judged.result {
            for trend in &criteria.trends {
                let field = trend.path.split('.').next().unwrap_or_default();
                let found = wrong_field(spec, field, trend.span);
                self.problems_of(found);
            }
        }
    }

    /// One expression, which may be a level of a threshold table: then the action that reads is shown
    /// beside it, because one table serves many.
    fn level(&mut self, expr: &'r Sp<Expr>, call: &ActionUse, place: Place<'r>) {
        // only what was put together is longer than the place that it has
        let composed = expr.span.range().len() < expr.text().len();
        for reference in expr.references() {
            let span = span_of(reference, expr.text().len(), expr.span);
            let Some(found) = self.wrong(reference, span, place) else {
                continue;
            };
            self.problems.push(match composed {
                true => found.also(call.key.span, "read by this"),
                false => found,
            });
        }
    }

    /// What is compared with the time before the first change is read then: with what is known then.
    fn read_before(&mut self, call: &ActionUse, step: Option<&Step>) {
        let mut late: Vec<(String, Span)> = Vec::new();
        let in_guard = step.is_none();
        let mut see = |references: &[Reference], length: usize, whole: Span| {
            for reference in references {
                let root = reference.path.first().map_or("", String::as_str);
                let told = in_guard && root != "snapshots";
                if !matches!(root, "inputs" | "run") && !told {
                    late.push((root.to_owned(), span_of(reference, length, whole)));
                }
            }
        };
        call.params.each_template(&mut |template, span| {
            see(&template.references(), template.text().len(), span);
        });
        let env = step.iter().flat_map(|step| &step.env);
        let around = env.map(|(_, template)| template);
        let around = around.chain(step.and_then(|step| step.cwd.as_ref()));
        for template in around {
            see(&template.references(), template.text().len(), template.span);
        }
        for (root, span) in late {
            let message = format!("`{root}` is not there when the baseline is read");
            let found = Diagnostic::error("F025", span, message).help(
                "the baseline is read before the first change, with `inputs` and `run` alone",
            );
            self.problems.push(found);
        }
    }

    /// What is wrong in a guard and nowhere else.
    pub(super) fn wrong_in_guard(
        &mut self,
        guard: InGuard<'_>,
        path: &[String],
        span: Span,
    ) -> Option<Diagnostic> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let not_there = |what: &str, help: &str| {
            let message = format!("`{what}` is not there in a guard");
            Some(Diagnostic::error("F021", span, message).help(help))
        };
        match path.as_slice() {
            [root @ ("steps" | "outputs" | "item"), ..] => not_there(
                root,
                "it is looked at while steps run: use `result`, `inputs`, `snapshots.before.NAME` or `baseline.result`",
            ),
            ["snapshots", moment @ ("after" | "restored"), ..] => not_there(
                &format!("snapshots.{moment}"),
                "it is read when the guard is over: use `snapshots.before.NAME`",
            ),
            ["phases", _, _, ..] | ["phase", _, ..] => not_there(
                "phases",
                "`phase` is the name of the one that runs: `phase == \"deploy\"`",
            ),
            ["phases", name] => self.not_begun(guard, name, span),
            _ => None,
        }
    }

    /// `elapsed` of a phase that need not have begun when the guard is looked at.
    fn not_begun(&mut self, guard: InGuard<'_>, name: &str, span: Span) -> Option<Diagnostic> {
        let phase = self.runbook.phase_index(name)?;
        for its in guard.during {
            let Some(at) = self.runbook.phase_index(its) else {
                continue;
            };
            if at != phase && !self.order.before(phase, at) {
                let message = format!("phase `{name}` need not have begun here");
                let help = format!("the guard is looked at in phase `{}` too", **its);
                return Some(Diagnostic::error("F025", span, message).help(help));
            }
        }
        None
    }
}

/// What is wrong with a reference to `baseline`, if anything.
pub(super) fn wrong_baseline(
    name: Option<&str>,
    field: Option<&str>,
    span: Span,
    known: ResultOf<'_>,
) -> Option<Diagnostic> {
    let help = match (known, name) {
        (ResultOf::Nothing, _) => {
            "it is what the same probe said before the first change: use it in `expect`, `warn` or `bands` of a step that only reads, or of a guard"
        }
        (ResultOf::Unknown, Some("result")) => return None,
        (ResultOf::Action(spec), Some("result")) => return wrong_field(spec, field?, span),
        _ => {
            let message = "`baseline` has only `result`";
            let found = Diagnostic::error("F021", span, message);
            return Some(found.help("write `baseline.result.FIELD`"));
        }
    };
    Some(Diagnostic::error("F021", span, "`baseline` is not there").help(help))
}

/// `phase` by itself is the phase that runs, which only what is looked at beside the steps asks for.
pub(super) fn wrong_phase_alone(span: Span, place: Place<'_>) -> Option<Diagnostic> {
    if place.guard.is_some_and(|guard| guard.judged) {
        return None;
    }
    let message = "`phase` is there in `expect` and `unless` of a guard alone";
    let found = Diagnostic::error("F021", span, message);
    Some(found.help("elsewhere write `phases.NAME.status`"))
}
