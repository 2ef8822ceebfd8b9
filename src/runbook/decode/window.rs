//! `window`: budgets, and the hours of the calendar.

use jiff::civil::Weekday;

use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::hours::{self, DAYS, Hours, Weekly};
use super::super::model::Window;
use super::super::node::Node;
use super::fields::{Cx, Fields};

/// Keys of hours that come again.
const WEEKLY: [&str; 4] = ["days", "from", "to", "zone"];

pub(super) fn window(cx: &mut Cx<'_, '_>, node: &Node) -> Window {
    let Some(mut fields) = Fields::of(cx, "`window`", node) else {
        return Window::default();
    };
    let mut budget = |cx: &mut Cx<'_, '_>, key: &'static str| {
        let node = fields.get(key);
        node.and_then(|node| cx.duration(key, node))
    };
    let mut window = Window {
        total: budget(cx, "total"),
        downtime: budget(cx, "downtime"),
        rollback: budget(cx, "rollback"),
        hours: None,
    };
    window.hours = hours_of(cx, node, &mut fields);
    fields.finish(cx);
    window
}

fn hours_of(cx: &mut Cx<'_, '_>, node: &Node, fields: &mut Fields<'_>) -> Option<Hours> {
    let (opens, closes) = (fields.get("opens"), fields.get("closes"));
    let parts = WEEKLY.map(|key| fields.get(key));
    let (once, weekly) = (
        opens.or(closes).is_some(),
        parts.iter().any(Option::is_some),
    );
    match (once, weekly) {
        (false, false) => None,
        (true, true) => {
            let message = "`window` has both `opens` or `closes` and hours that come again";
            let found = Diagnostic::error("F014", node.head(), message);
            cx.problems
                .push(found.help("keep `opens` and `closes`, or `days`, `from`, `to` and `zone`"));
            None
        }
        (true, false) => once_of(cx, opens, closes),
        (false, true) => weekly_of(cx, node, parts),
    }
}

/// A text that `read` makes something of.
fn read<T>(
    cx: &mut Cx<'_, '_>,
    key: &'static str,
    node: &Node,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = cx.text(key, node)?;
    match read(&text) {
        Ok(read) => Some(read),
        Err(help) => {
            let message = format!("`{}` is no value for `{key}`", *text);
            let found = Diagnostic::error("F014", text.span, message);
            cx.problems.push(found.help(help));
            None
        }
    }
}

fn once_of(cx: &mut Cx<'_, '_>, opens: Option<&Node>, closes: Option<&Node>) -> Option<Hours> {
    let from = opens.map(|node| read(cx, "opens", node, hours::moment));
    let to = closes.map(|node| read(cx, "closes", node, hours::moment));
    // what could not be read was said
    let (from, to) = (transpose(from)?, transpose(to)?);
    if let (Some(opens), Some(closes), Some(node)) = (from, to, closes)
        && closes <= opens
    {
        cx.error("F014", node.span, "the window closes before it opens");
        return None;
    }
    Some(Hours::Once {
        opens: from,
        closes: to,
    })
}

/// `None` where something was said and could not be read.
#[expect(
    clippy::option_option,
    reason = "not said, not readable, and a value are three things"
)]
fn transpose(said: Option<Option<i64>>) -> Option<Option<i64>> {
    match said {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn weekly_of(
    cx: &mut Cx<'_, '_>,
    node: &Node,
    [days, from, to, zone]: [Option<&Node>; 4],
) -> Option<Hours> {
    for (key, said) in [("from", from), ("to", to), ("zone", zone)] {
        if said.is_none() {
            let message = format!("`window` has hours that come again, and no `{key}`");
            let found = Diagnostic::error("F011", node.head(), message);
            cx.problems.push(found.help(
                "write `{ days: [sat, sun], from: \"01:00\", to: \"05:00\", zone: Europe/Berlin }`",
            ));
        }
    }
    let days = days.map(|node| weekdays(cx, node)).unwrap_or_default();
    let start = from.and_then(|node| read(cx, "from", node, hours::time));
    let end = to.and_then(|node| read(cx, "to", node, hours::time));
    let zone = zone.and_then(|node| read(cx, "zone", node, hours::zone));
    let weekly = Weekly {
        days,
        from: start?,
        to: end?,
        zone: zone?,
    };
    if weekly.from == weekly.to {
        let at = to.map_or(node.head(), |node| node.span);
        cx.error("F014", at, "`from` and `to` of `window` are the same");
        return None;
    }
    Some(Hours::Weekly(weekly))
}

fn weekdays(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Weekday> {
    let mut days = Vec::new();
    for word in cx.names("day", node) {
        match DAYS.iter().find(|(name, _)| *name == *word) {
            Some((_, day)) => days.push(*day),
            None => {
                let names = DAYS.map(|(name, _)| name);
                let help = did_you_mean(&word, names)
                    .unwrap_or_else(|| format!("known: {}", names.join(", ")));
                let message = format!("`{}` is no day of the week", *word);
                let found = Diagnostic::error("F014", word.span, message);
                cx.problems.push(found.help(help));
            }
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use crate::action::Registry;
    use crate::runbook;

    /// The mistakes of a window: code, message and help.
    fn wrong(window: &str) -> Vec<String> {
        let text = format!(
            "runbook: demo\nwindow: {window}\nphases:\n  p: {{ steps: [{{ shell: \"true\", read_only: true }}] }}\n"
        );
        let read = runbook::read(&text, &Registry::all().catalog());
        let found = read.diagnostics.iter();
        found
            .filter(|found| found.severity == runbook::Severity::Error)
            .map(|found| format!("{} {}", found.code, found.message))
            .collect()
    }

    #[test]
    fn windows_are_read() {
        for good in [
            "{ total: 1h, opens: \"2026-11-22T01:00:00+01:00\" }",
            "{ closes: 2026-11-22T01:00:00Z }",
            "{ from: 01:00, to: 05:00, zone: UTC }",
            "{ days: [sat, sun], from: \"22:00\", to: \"02:00\", zone: Europe/Berlin, rollback: 5m }",
        ] {
            assert_eq!(wrong(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let one = |window: &str| wrong(window).join("; ");
        assert_eq!(
            one("{ opens: \"2026-11-22T01:00:00\" }"),
            "F014 `2026-11-22T01:00:00` is no value for `opens`"
        );
        assert_eq!(
            one("{ opens: 2026-11-22T01:00:00Z, closes: 2026-11-22T01:00:00Z }"),
            "F014 the window closes before it opens"
        );
        assert_eq!(
            one("{ days: [sat], from: \"25:00\", to: \"05:00\", zone: Europe/Berlln }"),
            "F014 `25:00` is no value for `from`; F014 `Europe/Berlln` is no value for `zone`"
        );
        assert_eq!(
            one("{ days: [samstag], from: \"01:00\" }"),
            "F011 `window` has hours that come again, and no `to`; \
             F011 `window` has hours that come again, and no `zone`; \
             F014 `samstag` is no day of the week"
        );
        assert_eq!(
            one("{ opens: 2026-11-22T01:00:00Z, zone: UTC }"),
            "F014 `window` has both `opens` or `closes` and hours that come again"
        );
        assert_eq!(
            one("{ from: \"01:00\", to: \"01:00\", zone: UTC }"),
            "F014 `from` and `to` of `window` are the same"
        );
    }
}
