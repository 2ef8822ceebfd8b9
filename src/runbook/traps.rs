//! The traps of plain YAML that expressions and commands step into, told in words.
//!
//! The parser knows only that its grammar was left; the text around the place shows what the author
//! most likely meant. Nothing here decides whether a text is right.

use super::diagnostic::Diagnostic;
use super::node::Span;

/// A tag: most often an expression that starts with `!`.
pub(super) fn tag(text: &str, tag: &str, span: Span) -> Diagnostic {
    let whole = text.get(span.range()).unwrap_or(tag).trim();
    if tag.starts_with("!!") || tag.starts_with("!<") {
        return Diagnostic::error("F007", span, format!("the YAML tag `{}`", shown(tag)))
            .help("remove it: a runbook has no tags, and what a value is follows from its key");
    }
    let message = format!("`{}` is read as a YAML tag, not as text", shown(tag));
    let found = Diagnostic::error("F007", span, message);
    found.help(quoted(whole))
}

/// Text that is not YAML; `at` is where the parser gave up, `words` what it said.
pub(super) fn syntax(text: &str, at: usize, words: &str) -> Diagnostic {
    let at = match words.contains("found a tab") {
        true => tab(text, at),
        false => at,
    };
    let at = floor(text, at);
    let width = text[at..].chars().next().map_or(1, char::len_utf8);
    let words = words.replace("`@'", "`@`").replace("``'", "a backtick");
    let words = words.replace("`%'", "`%`");
    let message = format!("not valid YAML: {}", lower_first(&words));
    let found = Diagnostic::error("F001", Span::new(at, at + width), message);
    found.maybe_help(hint(text, at, &words))
}

fn tab(text: &str, at: usize) -> usize {
    let at = floor(text, at);
    text[at..].find('\t').map_or(at, |found| at + found)
}

fn hint(text: &str, at: usize, words: &str) -> Option<String> {
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let before = &text[line_start..at];
    if words.contains("tab") && text[at..].starts_with('\t')
        || before.trim_start_matches([' ', '-']).starts_with('\t')
    {
        return Some("indent with spaces: YAML does not take tabs there".into());
    }
    if words.contains("quoted scalar") && !words.contains("trailing") {
        return Some("a quote is opened and not closed".into());
    }
    let value = value(line);
    let first = value.chars().next()?;
    let expression = matches!(
        first,
        '[' | '{' | '"' | '\'' | '!' | '*' | '&' | '%' | '@' | '`'
    );
    if expression && value.len() <= 120 {
        return Some(match first {
            '[' if list_of_expressions(value) => format!(
                "write each expression on a line of its own, after `- `, or in quotes: `[\"{}\"]`",
                value.trim_matches(['[', ']']).trim()
            ),
            '*' | '&' | '%' | '@' | '`' => {
                format!("text that starts with `{first}` needs quotes")
            }
            _ => quoted(value),
        });
    }
    if value.contains(": ") || value.ends_with(':') {
        return Some(quoted(value));
    }
    if words.contains("block") || words.contains("indent") {
        return Some(
            "its indentation fits no line above: keys of one mapping start in one column".into(),
        );
    }
    None
}

/// `[result.rows[0].x]` rather than `[1, 2].size() == 2`.
fn list_of_expressions(value: &str) -> bool {
    value.ends_with(']') && !value.contains("] ")
}

/// The value of a line: what stands behind `- ` and `key: `.
fn value(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some(after) = rest.strip_prefix("- ") {
        rest = after.trim_start();
    }
    match rest.split_once(": ") {
        Some((key, value))
            if key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) =>
        {
            value.trim()
        }
        _ => rest,
    }
}

/// How a value is written so that YAML leaves it alone.
fn quoted(value: &str) -> String {
    if value.starts_with('{') {
        return "put the expression in quotes, or give each key of this `{ }` a line of its own"
            .into();
    }
    let line = value.lines().next().unwrap_or_default();
    if line.len() > 100 || line.len() < value.len() || line.is_empty() {
        return "put the whole value in quotes".into();
    }
    if line.contains('\'') && !line.contains(['"', '\\']) {
        format!("put the whole value in quotes: `\"{line}\"`")
    } else {
        format!(
            "put the whole value in quotes: `'{}'`",
            line.replace('\'', "''")
        )
    }
}

fn shown(tag: &str) -> String {
    let head: String = tag.chars().take(60).collect();
    head.escape_debug().to_string()
}

pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `Unclosed bracket` to `unclosed bracket`; `YAML directives` stays.
fn lower_first(words: &str) -> String {
    let mut chars = words.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => first
            .to_lowercase()
            .chain(Some(second))
            .chain(chars)
            .collect(),
        _ => words.to_owned(),
    }
}
