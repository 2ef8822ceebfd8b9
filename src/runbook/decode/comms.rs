//! `comms`: channels and rules.

use super::super::comms::{ChannelDef, CommsDef, Format, Occasion, RuleDef, WayDef};
use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::Sp;
use super::super::node::{Entry, Node};
use super::fields::{Cx, Fields};

pub(super) fn comms(cx: &mut Cx<'_, '_>, node: &Node) -> CommsDef {
    let Some(mut fields) = Fields::of(cx, "`comms`", node) else {
        return CommsDef::default();
    };
    let channels = fields
        .require(cx, "channels")
        .map(|node| channels(cx, node))
        .unwrap_or_default();
    let rules = fields
        .require(cx, "on")
        .map(|node| rules(cx, node))
        .unwrap_or_default();
    fields.finish(cx);
    CommsDef { channels, rules }
}

fn channels(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<ChannelDef> {
    let Some(entries) = Fields::of(cx, "`channels`", node).and(node.map()) else {
        return Vec::new();
    };
    let one = |entry| channel(cx, entry);
    entries.iter().filter_map(one).collect()
}

fn channel(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<ChannelDef> {
    cx.check_name("channel name", &entry.key, entry.key_span);
    cx.problems.broke("channel", &entry.key);
    let mut fields = Fields::of(cx, "a channel", &entry.value)?;
    let webhook = fields.get("webhook");
    let format = fields.get("format");
    let mail = fields.get("mail");
    let way = match (webhook, mail) {
        (Some(url), None) => {
            let format = format.map_or(Some(Format::Generic), |node| self::format(cx, node));
            cx.text("webhook", url)?;
            let url = cx.template("webhook", url);
            url.zip(format)
                .map(|(url, format)| WayDef::Webhook { url, format })
        }
        (None, Some(node)) => {
            if let Some(span) = format.and(fields.key_span("format")) {
                cx.error("F010", span, "a mail has no `format`");
            }
            self::mail(cx, node)
        }
        _ => {
            let message = format!("channel `{}` is not one of `webhook` and `mail`", entry.key);
            let found = Diagnostic::error("F014", entry.key_span, message)
                .help("`{ webhook: URL }`, or `{ mail: { to: [ADDRESS], smtp: URL } }`");
            cx.problems.push(found);
            None
        }
    };
    fields.finish(cx);
    Some(ChannelDef {
        name: Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        },
        way: way?,
    })
}

fn format(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Format> {
    match cx.text("format", node)?.as_str() {
        "generic" => Some(Format::Generic),
        "slack" => Some(Format::Slack),
        other => {
            let message = format!("`{}` is no format", other.escape_debug());
            let found = Diagnostic::error("F014", node.span, message);
            cx.problems
                .push(found.help("there are `generic` and `slack`"));
            None
        }
    }
}

fn mail(cx: &mut Cx<'_, '_>, node: &Node) -> Option<WayDef> {
    let mut fields = Fields::of(cx, "a mail channel", node)?;
    let to = fields.require(cx, "to");
    let to = to.map_or_else(Vec::new, |node| addresses(cx, node));
    let from = fields.get("from").and_then(|node| address(cx, node));
    let smtp = fields.require(cx, "smtp").and_then(|node| {
        cx.text("smtp", node)?;
        cx.template("smtp", node)
    });
    fields.finish(cx);
    let smtp = smtp?;
    Some(WayDef::Mail { to, from, smtp })
}

fn addresses(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Sp<String>> {
    let one = std::slice::from_ref(node);
    let items = node.list().unwrap_or(one);
    if items.is_empty() {
        cx.error("F011", node.head(), "`to` names nobody");
    }
    items.iter().filter_map(|node| address(cx, node)).collect()
}

fn address(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Sp<String>> {
    let text = cx.text("an address", node)?;
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>,;\"".contains(c);
    let parts = text.split_once('@');
    let good = parts.is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !host.contains('@') && text.chars().all(plain)
    });
    if good {
        return Some(text);
    }
    let message = format!("`{}` is no mail address", text.escape_debug());
    cx.problems
        .push(Diagnostic::error("F014", node.span, message).help("write `name@host`"));
    None
}

fn rules(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<RuleDef> {
    let Some(items) = node.list() else {
        let help = "write `- { event: failed, to: [CHANNEL] }`".to_owned();
        cx.wrong_type("`on`", "a list", node, Some(help));
        return Vec::new();
    };
    items.iter().filter_map(|item| rule(cx, item)).collect()
}

fn rule(cx: &mut Cx<'_, '_>, node: &Node) -> Option<RuleDef> {
    let mut fields = Fields::of(cx, "a rule of `comms`", node)?;
    let event = fields.require(cx, "event");
    let to = fields.require(cx, "to");
    let text = fields
        .get("text")
        .and_then(|node| cx.template("text", node));
    fields.finish(cx);
    let (event, to) = (event?, to?);
    let one = std::slice::from_ref(event);
    let events = event.list().unwrap_or(one).iter();
    Some(RuleDef {
        events: events.filter_map(|node| occasion(cx, node)).collect(),
        to: cx.names("channel name", to),
        text,
    })
}

fn occasion(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Occasion> {
    let word = cx.text("event", node)?;
    let named = Occasion::NAMES.iter().find(|(name, _)| *name == *word);
    if named.is_none() {
        let names = Occasion::NAMES.map(|(name, _)| name);
        let help = did_you_mean(&word, names).unwrap_or_else(|| {
            let names = names.map(|name| format!("`{name}`"));
            format!("there are {}", names.join(", "))
        });
        let message = format!("`{}` is no event that is told", word.escape_debug());
        cx.problems
            .push(Diagnostic::error("F014", node.span, message).help(help));
    }
    named.map(|(_, occasion)| *occasion)
}
