//! What is left to do after a run, for people: signatures and success criteria, a line each.
//!
//! Main functions: [`lines`] for `ferry status`, [`criteria`] for `ferry close-out`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::escape::shown;
use super::report::Held;
use super::text::{moment, table};
use crate::event::{Horizon, Order, Stage};
use crate::runbook::units::human;
use crate::view::{CriterionView, RunView};

/// Signatures that are there and that are missing, and criteria; nothing where the runbook asks for
/// neither. `now` in milliseconds since the Unix epoch.
pub fn lines(view: &RunView, held: &BTreeMap<u64, Held>, now: i64) -> Vec<String> {
    let mut out = Vec::new();
    let taken = view.orders.iter().filter(|one| one.refused.is_none());
    let signed = taken.filter_map(|one| match &one.order {
        Order::Sign { signature } => Some((one, &**signature)),
        _ => None,
    });
    let signed: Vec<_> = signed.collect();
    let missing: Vec<_> = [Stage::Before, Stage::After]
        .into_iter()
        .filter(|stage| *stage == Stage::Before || view.is_closed())
        .flat_map(|stage| {
            let roles = view.unsigned(stage).into_iter();
            roles.map(move |role| (stage, role))
        })
        .collect();
    if !signed.is_empty() || !missing.is_empty() {
        out.push(String::new());
        out.push("signatures".into());
    }
    for (order, one) in signed {
        let (at, by) = (order.at, &order.by);
        let (words, why) = Held::said(held.get(&order.seq), one.key.is_some());
        let mut how = match (&one.key, words) {
            (Some(key), "signed with") => format!("by the key {}", shown(key)),
            (Some(key), words) => format!("{words}: {}", shown(key)),
            (None, "by login alone") => format!("by login `{}` alone", shown(by)),
            (None, words) => words.to_owned(),
        };
        if let Some(why) = why {
            how = format!("{how}: {}", shown(why));
        }
        if !view.is_under_its_end(one) {
            how.push_str(", under an earlier end");
        }
        let (who, role, stage) = (shown(&one.who), shown(&one.role), word(one.stage));
        out.push(format!("  {role}  {stage}, {who}, {how}, {}", moment(at)));
    }
    for (stage, role) in missing {
        let role_title = title(view, role);
        out.push(format!(
            "  {}  {}, missing{role_title}",
            shown(role),
            word(stage)
        ));
    }
    if !view.header.criteria.is_empty() && view.is_closed() {
        out.push(String::new());
        out.push("success criteria".into());
        let rows = view.criteria();
        let rows = rows.iter().map(|one| {
            let id = shown(&one.criterion.id);
            format!("  {id}  {}: {}", standing(one, now), what(one))
        });
        out.extend(rows);
    }
    out
}

/// Who is missing, by name, where somebody has the role.
fn title(view: &RunView, role: &str) -> String {
    let people = view.header.people.iter();
    let person = people.into_iter().find(|one| one.role == role);
    let who = person.and_then(|one| one.who.as_ref());
    who.map_or_else(String::new, |who| format!(" ({})", shown(who)))
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Before => "before",
        Stage::After => "after",
    }
}

/// The table of the success criteria.
pub fn criteria(view: &RunView, now: i64) -> String {
    let all = view.criteria();
    if all.is_empty() {
        return "the runbook has no `success_criteria`\n".into();
    }
    let head = ["criterion", "stands", "by", "what"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for one in &all {
        let by = match (one.said, one.by_hand()) {
            (Some((_, _, said)), true) => format!("{}, by hand", said.who),
            (Some((_, _, said)), false) => said.who.clone(),
            (None, _) if one.verdict.is_some() => "its phase".into(),
            (None, _) => "-".into(),
        };
        rows.push(vec![
            shown(&one.criterion.id).into_owned(),
            standing(one, now),
            shown(&by).into_owned(),
            what(one),
        ]);
    }
    table(&rows, 160)
}

fn what(one: &CriterionView<'_>) -> String {
    let criterion = one.criterion;
    match (&criterion.phase, &criterion.expect) {
        (Some(phase), _) => format!("phase `{}` passes", shown(phase)),
        (None, Some(expect)) => shown(expect).into_owned(),
        (None, None) => "nothing is said".into(),
    }
}

/// Where it stands: the verdict, or that it is open, and whether its time is over.
fn standing(one: &CriterionView<'_>, now: i64) -> String {
    let length = |ms: i64| human(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    match (one.verdict, one.due) {
        (Some(verdict), _) if !one.is_open() => verdict.to_string(),
        (verdict, Some(due)) => {
            let open = verdict.map_or_else(|| "open".into(), |found| format!("open ({found})"));
            match due - now {
                left if left >= 0 => format!("{open}, {} left", length(left)),
                over => format!("{open}, over for {}", length(-over)),
            }
        }
        _ if one.criterion.horizon == Horizon::Immediate => "not reached".into(),
        _ => "open".into(),
    }
}
