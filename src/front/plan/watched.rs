//! What a plan watches: its guards, the steps with `watch`, and from when on failures hold and ask.

use serde_json::{Value, json};

use super::super::escape::shown;
use super::super::text::{hang, pad, width};
use super::facts::call;
use super::text::ROOM;
use crate::plan::Plan;
use crate::runbook::model::Step;
use crate::runbook::units::human;
use crate::runbook::watch::{Criteria, Guard, Length, Rule};

/// The widest column of names.
const NAME: usize = 28;

/// The guards, in the order of the text.
pub(super) fn guards(plan: &Plan, out: &mut Vec<String>) {
    let guards = &plan.runbook.guards;
    if guards.is_empty() {
        return;
    }
    out.push(String::new());
    out.push("guards".into());
    let names = guards.iter().map(|guard| width(&shown(&guard.name)));
    let name = names.max().unwrap_or(0).min(NAME);
    for guard in guards {
        let head = |id: &str, word: &str| format!("  {}  {}  ", pad(id, name), pad(word, 9));
        let title = shown(&guard.name);
        out.extend(hang(&head(&title, "reads"), &call(&guard.call), ROOM));
        for (word, text) in of_guard(guard) {
            out.extend(hang(&head("", word), &text, ROOM));
        }
    }
}

fn of_guard(guard: &Guard) -> Vec<(&'static str, String)> {
    let during: Vec<_> = guard.during.iter().map(|phase| shown(phase)).collect();
    let mut says = vec![(
        "watches",
        format!(
            "every {} during {}",
            human(guard.rule.every),
            during.join(", ")
        ),
    )];
    says.extend(criteria(&guard.criteria));
    if let Some(unless) = &guard.unless {
        says.push(("unless", shown(unless.text()).into_owned()));
    }
    let then = match guard.then {
        crate::event::Then::Rollback => "the run goes back",
        crate::event::Then::Pause => "the run holds and asks",
        crate::event::Then::Notify => "it is told, and the run goes on",
    };
    let rule = match guard.rule.words() {
        rule if rule.is_empty() => then.to_owned(),
        rule => format!("when {rule}: {then}"),
    };
    says.push(("then", rule));
    if guard.downtime {
        let text = "downtime: the time in which it fails, to within its looks";
        says.push(("measures", text.into()));
    }
    says
}

/// What a step with `watch` says beside its action.
pub(super) fn of_step(step: &Step) -> Vec<(&'static str, String)> {
    let Some(watch) = &step.watch else {
        let warn = step.warn.iter();
        return warn
            .map(|warn| ("warns", format!("unless {}", shown(warn.text()))))
            .collect();
    };
    let mut says = vec![("watches", length(&watch.rule))];
    let own = criteria(&watch.criteria).into_iter();
    // a step's `expect` stands among its details already
    says.extend(own.filter(|(word, text)| {
        *word != "expects" || !step.expect.iter().any(|one| shown(one.text()) == *text)
    }));
    let rule = watch.rule.words();
    if !rule.is_empty() {
        says.push(("fails", format!("when {}", shown(&rule))));
    }
    says
}

fn length(rule: &Rule) -> String {
    let every = human(rule.every);
    match rule.length {
        Length::For(length) => format!("every {every} for {}", human(length)),
        Length::Within(within) => format!("every {every}, up to {}", human(within)),
        Length::Count(count) => format!("{count} times, every {every}"),
        Length::Phases => format!("every {every}"),
    }
}

fn criteria(criteria: &Criteria) -> Vec<(&'static str, String)> {
    let mut says = Vec::new();
    for expect in &criteria.expect {
        says.push(("expects", shown(expect.text()).into_owned()));
    }
    for band in &criteria.bands {
        let expects: Vec<_> = band.expect.iter().map(|one| shown(one.text())).collect();
        let text = format!("from {}: {}", human(band.from), expects.join(" and "));
        says.push(("band", text));
    }
    for trend in &criteria.trends {
        let text = format!("{} {}", shown(&trend.path), trend.wanted.word());
        says.push(("trend", text));
    }
    for warn in &criteria.warn {
        says.push(("warns", format!("unless {}", shown(warn.text()))));
    }
    says
}

/// Until when failures go back by themselves, in words.
pub(super) fn decision(plan: &Plan) -> Option<String> {
    let (phase, within) = plan.decides()?;
    let phase = shown(&plan.runbook.phases[phase].name);
    Some(format!(
        "failures go back by themselves until {} after `{phase}`, then hold and ask",
        human(within)
    ))
}

/// The guards for programs.
pub(super) fn guards_json(plan: &Plan) -> Vec<Value> {
    let guards = plan.runbook.guards.iter();
    guards
        .map(|guard| {
            let mut value = rule_json(&guard.rule, &guard.criteria);
            value["name"] = guard.name.value.as_str().into();
            value["title"] = json!(guard.title);
            value["action"] = guard.call.key.value.as_str().into();
            value["params"] = guard.call.params.as_written();
            value["target"] = json!(guard.call.target.as_ref().map(|target| &target.value));
            let during = guard.during.iter().map(|phase| &phase.value);
            value["during"] = json!(during.collect::<Vec<_>>());
            value["unless"] = json!(guard.unless.as_ref().map(|unless| unless.text()));
            value["then"] = guard.then.word().into();
            value["when_blind"] = guard.when_blind.word().into();
            value["measures_downtime"] = guard.downtime.into();
            value
        })
        .collect()
}

/// The `watch` of a step for programs; null where it has none.
pub(super) fn watch_json(step: &Step) -> Value {
    let watch = step.watch.as_ref();
    watch.map_or(Value::Null, |watch| rule_json(&watch.rule, &watch.criteria))
}

fn rule_json(rule: &Rule, criteria: &Criteria) -> Value {
    let texts = |exprs: &[crate::runbook::Sp<crate::expr::Expr>]| {
        let texts = exprs.iter().map(|expr| expr.text().to_owned());
        texts.collect::<Vec<_>>()
    };
    let count = match rule.length {
        Length::Count(count) => Some(count),
        _ => None,
    };
    json!({
        "every_s": rule.every.as_secs_f64(),
        "longest_s": rule.longest().map(|length| length.as_secs_f64()),
        "count": count,
        "rule": rule.words(),
        "expect": texts(&criteria.expect),
        "warn": texts(&criteria.warn),
        "bands": criteria.bands.iter()
            .map(|band| json!({ "from_s": band.from.as_secs_f64(), "expect": texts(&band.expect) }))
            .collect::<Vec<_>>(),
        "trends": criteria.trends.iter()
            .map(|trend| json!({ "path": trend.path, "wanted": trend.wanted.word() }))
            .collect::<Vec<_>>(),
    })
}

/// The decision point for programs; null where there is none.
pub(super) fn decision_json(plan: &Plan) -> Value {
    plan.decides().map_or(Value::Null, |(phase, within)| {
        json!({
            "after": plan.runbook.phases[phase].name.value,
            "within_s": within.as_secs_f64(),
        })
    })
}
