//! `people`, `sign_off` and `success_criteria`.

use super::super::diagnostic::Diagnostic;
use super::super::model::{CriterionDef, RoleDef, SignOffDef, Sp};
use super::super::node::{Entry, Node};
use super::fields::{Cx, Fields};
use crate::event::Horizon;

/// How a public key begins.
const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

pub(super) fn people(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<RoleDef> {
    let Some(entries) = Fields::of(cx, "`people`", node).and(node.map()) else {
        return Vec::new();
    };
    entries.iter().filter_map(|entry| role(cx, entry)).collect()
}

fn role(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<RoleDef> {
    cx.check_name("role name", &entry.key, entry.key_span);
    let name = Sp {
        value: entry.key.to_string(),
        span: entry.key_span,
    };
    // a role of which there is nothing more to say: `oncall: {}`, or nothing at all
    if entry.value.is_null() {
        return Some(RoleDef {
            name,
            title: None,
            contact: None,
            who: None,
            keys: Vec::new(),
        });
    }
    let Some(mut fields) = Fields::of(cx, "a role", &entry.value) else {
        cx.problems.broke("role", &entry.key);
        return None;
    };
    let mut text = |cx: &mut Cx<'_, '_>, key| {
        let text = fields.get(key).and_then(|node| cx.text(key, node));
        text.map(|text| text.value)
    };
    let (title, contact, who) = (text(cx, "title"), text(cx, "contact"), text(cx, "who"));
    let keys = fields
        .get("keys")
        .map(|node| keys(cx, node))
        .unwrap_or_default();
    fields.finish(cx);
    Some(RoleDef {
        name,
        title,
        contact,
        who,
        keys,
    })
}

/// Public keys; whether one is good is told when a run starts.
fn keys(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Sp<String>> {
    let one = std::slice::from_ref(node);
    let mut keys = Vec::new();
    for node in node.list().unwrap_or(one) {
        let Some(key) = cx.text("keys", node) else {
            continue;
        };
        let mut words = key.split_whitespace();
        let known = words.next().is_some_and(|kind| KEY_TYPES.contains(&kind));
        if known && words.next().is_some() && !key.contains('\n') {
            keys.push(key);
            continue;
        }
        let found = Diagnostic::error("F014", node.span, "this is no public key of SSH")
            .help("write a line of a `.pub` file, such as `ssh-ed25519 AAAA... ana@desk`");
        cx.problems.push(found);
    }
    keys
}

pub(super) fn sign_off(cx: &mut Cx<'_, '_>, node: &Node) -> SignOffDef {
    let Some(mut fields) = Fields::of(cx, "`sign_off`", node) else {
        return SignOffDef::default();
    };
    let mut roles = |cx: &mut Cx<'_, '_>, key| {
        let node = fields.get(key);
        let mut roles = node.map_or_else(Vec::new, |node| cx.names("role name", node));
        twice(cx, &mut roles);
        roles
    };
    let sign_off = SignOffDef {
        before: roles(cx, "before"),
        after: roles(cx, "after"),
    };
    fields.finish(cx);
    sign_off
}

/// Reports roles that stand twice in one list.
fn twice(cx: &mut Cx<'_, '_>, roles: &mut Vec<Sp<String>>) {
    let mut seen: Vec<Sp<String>> = Vec::new();
    for role in roles.drain(..) {
        match seen.iter().find(|one| one.value == role.value) {
            Some(first) => {
                let message = format!("the role `{}` stands twice", *role);
                let found = Diagnostic::error("F014", role.span, message);
                cx.problems.push(found.also(first.span, "the first"));
            }
            None => seen.push(role),
        }
    }
    *roles = seen;
}

pub(super) fn criteria(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<CriterionDef> {
    let Some(mut fields) = Fields::of(cx, "`success_criteria`", node) else {
        return Vec::new();
    };
    let mut criteria = Vec::new();
    for horizon in [Horizon::Immediate, Horizon::ShortTerm, Horizon::LongTerm] {
        let Some(node) = fields.get(horizon.key()) else {
            continue;
        };
        let one = std::slice::from_ref(node);
        for (at, node) in node.list().unwrap_or(one).iter().enumerate() {
            let id = match at {
                0 => horizon.key().to_owned(),
                at => format!("{}-{}", horizon.key(), at + 1),
            };
            criteria.extend(criterion(cx, node, horizon, id));
        }
    }
    fields.finish(cx);
    criteria
}

fn criterion(
    cx: &mut Cx<'_, '_>,
    node: &Node,
    horizon: Horizon,
    id: String,
) -> Option<CriterionDef> {
    let mut fields = Fields::of(cx, "a success criterion", node)?;
    let phase = fields
        .get("phase")
        .and_then(|node| cx.name("phase name", node));
    let (mut expect, mut within) = (None, None);
    let later = horizon != Horizon::Immediate;
    let said = if later {
        expect = fields.get("expect").map(|node| cx.expr("expect", node));
        within = fields
            .require(cx, "within")
            .and_then(|node| cx.duration("within", node));
        usize::from(fields.key_span("phase").is_some()) + usize::from(expect.is_some())
    } else {
        let help = "make it a reading step with `expect` in a last phase, and name the phase";
        let others = immediate(cx, &mut fields, help);
        usize::from(others || fields.key_span("phase").is_some())
    };
    if said != 1 {
        let (message, help) = match (later, said) {
            (false, _) => (
                "an immediate criterion names a `phase`",
                "`{ phase: NAME }`",
            ),
            (true, 0) => (
                "a success criterion has neither `phase` nor `expect`",
                "say what has to hold: `expect: snapshots.after.cache.hit_rate > 0.7`",
            ),
            (true, _) => (
                "a success criterion has both `phase` and `expect`",
                "make two of it, in a list",
            ),
        };
        cx.problems
            .push(Diagnostic::error("F014", node.head(), message).help(help));
    }
    fields.finish(cx);
    Some(CriterionDef {
        id,
        horizon,
        phase,
        expect: expect.flatten(),
        within,
    })
}

/// What is judged at the end of the run is a step of it: `expect` and `within` are for later. Whether
/// one of them was there.
fn immediate(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>, help: &str) -> bool {
    let mut found = false;
    for key in ["expect", "within"] {
        if fields.get(key).is_none() {
            continue;
        }
        found = true;
        let span = fields.key_span(key).unwrap_or_default();
        let message = format!("an immediate criterion has no `{key}`");
        cx.problems
            .push(Diagnostic::error("F010", span, message).help(help));
    }
    found
}
