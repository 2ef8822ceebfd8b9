//! Entries as they come to be: blank, then with what a reading said.

use serde_json::Value;

use super::UNREAD;
use super::hands::Hands;
use crate::action::{ActionError, Simulated};
use crate::event::rehearsal::{Entry, Word};
use crate::expr::Expr;
use crate::runbook::model::{ActionUse, Items, OutputDef, Sp, Step};

/// Lines of details that are kept, and the longest line in characters.
const MOST_LINES: usize = 240;
const LONGEST_LINE: usize = 2_000;

/// An entry of which nothing is said yet.
pub(super) fn blank(phase: &str, step: &str, action: &str) -> Entry {
    Entry {
        phase: phase.to_owned(),
        step: step.to_owned(),
        item: None,
        action: action.to_owned(),
        word: Word::LeftOut,
        exact: true,
        does: String::new(),
        detail: Vec::new(),
        result: Value::Null,
        evidence: Vec::new(),
        not_judged: Vec::new(),
        why: None,
        problem: None,
        hint: None,
        notes: Vec::new(),
        took_ms: 0,
    }
}

/// Of which nothing can be said.
pub(super) fn not_verified(entry: &mut Entry, why: impl Into<String>) {
    entry.word = Word::NotVerified;
    entry.exact = false;
    entry.why = Some(why.into());
}

/// Which failed already.
pub(super) fn wrong(entry: &mut Entry, hands: &Hands, error: &ActionError, tolerated: bool) {
    let message = hands.hidden(&error.message);
    entry.hint = error.hint.as_deref().map(|hint| hands.hidden(hint));
    if tolerated {
        entry.notes.push("its failure would be tolerated".into());
    } else {
        entry.problem = Some(message.clone());
    }
    not_verified(entry, message);
}

/// Of which it is known what it would do.
pub(super) fn simulated(entry: &mut Entry, hands: &Hands, found: Simulated) {
    entry.word = Word::Simulated;
    entry.exact = found.exact;
    entry.does = hands.hidden(&found.would);
    let lines = found.detail.iter().flat_map(|text| text.split('\n'));
    let mut lines: Vec<String> = lines.map(|line| cut(&hands.hidden(line))).collect();
    if lines.len() > MOST_LINES {
        let left = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!("({left} more lines)"));
    }
    entry.detail = lines;
    entry.result = super::super::judge::bounded(found.facts, &hands.masker);
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{} ... ({} more bytes)", &line[..end], line.len() - end),
        None => line.to_owned(),
    }
}

/// The step of which the result is unknown, and which one of these expressions asks for.
pub(super) fn asks_for<'e>(
    exprs: impl IntoIterator<Item = &'e Expr>,
    unknown: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let references = exprs.into_iter().flat_map(Expr::references);
    let mut steps = references.filter_map(|reference| match reference.path.as_slice() {
        [root, id, ..] if root == "steps" => Some(id),
        _ => None,
    });
    steps.find(|id| unknown(id)).cloned()
}

/// The secret whose value was not read, and which one of these expressions asks for.
pub(super) fn asks_unread<'e>(
    exprs: impl IntoIterator<Item = &'e Expr>,
    hands: &Hands,
) -> Option<String> {
    let unread = |name: &str| {
        let value = hands.secrets.get(name);
        value.is_some_and(|value| value == UNREAD)
    };
    let references = exprs.into_iter().flat_map(Expr::references);
    let mut names = references.filter_map(|reference| match reference.path.as_slice() {
        [root, name, ..] if root == "inputs" => unread(name).then(|| name.clone()),
        // `inputs` as a whole: any of them
        [root] if root == "inputs" => hands.secrets.keys().find(|name| unread(name)).cloned(),
        _ => None,
    });
    names.next()
}

/// Every expression that has to have a value before the action can be called.
pub(super) fn needed<'s>(step: &'s Step, used: &'s ActionUse) -> Vec<&'s Expr> {
    let mut exprs = Vec::new();
    used.params.each_expr(&mut |expr| exprs.push(expr));
    exprs.extend(step.env.iter().flat_map(|(_, template)| template.exprs()));
    exprs.extend(step.cwd.iter().flat_map(|template| template.exprs()));
    exprs
}

/// The list of a `for_each`, where it is computed.
pub(super) fn computed(step: &Step) -> Option<&Sp<Expr>> {
    match step.for_each.as_ref().map(|each| &each.items) {
        Some(Items::Computed(expr)) => Some(expr),
        _ => None,
    }
}

/// Whether an output can only be had from a file that the step itself writes.
pub(super) fn from_files(step: &Step) -> bool {
    let files = |(_, def): &(_, OutputDef)| !matches!(def, OutputDef::Value(_));
    step.outputs.iter().any(files)
}
