//! YAML text to [`Node`]s, within budgets.
//!
//! Built on the event stream of `serde-saphyr`'s parser: with the events a scalar keeps its text
//! and quotes, tags can be explained, and one mistake does not hide the next, which a typed read
//! cannot give. Nesting is held on a stack of ours, so depth costs no stack; nodes, depth,
//! aliases and what aliases expand to are bounded. What a mistake most likely meant is told by
//! [`super::traps`].

mod build;

use super::diagnostic::{Diagnostic, Problems};
use super::node::{Node, Span};

/// What a text may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Values, with what aliases repeat.
    pub nodes: usize,
    /// Values that anchors keep and aliases repeat.
    pub repeated: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// Uses of anchors.
    pub aliases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            nodes: 3_000_000,
            repeated: 100_000,
            depth: 64,
            aliases: 1_000,
        }
    }
}

/// Reads one document that has to be right.
///
/// # Errors
/// The first mistake of the text.
pub fn parse(text: &str, limits: &Limits) -> Result<Node, Box<Diagnostic>> {
    let mut problems = Problems::default();
    let parsed = parse_all(text, limits, &mut problems);
    match (parsed.root, problems.sorted().into_iter().next()) {
        (_, Some(first)) => Err(Box::new(first)),
        (Some(root), None) => Ok(root),
        // reading stops only at a mistake
        (None, None) => Err(Box::new(Diagnostic::error(
            "F005",
            Span::default(),
            "the file holds no runbook",
        ))),
    }
}

/// What could be read of a text.
pub struct Parsed {
    /// The tree, as far as it was read; nothing when there is none worth looking at.
    pub root: Option<Node>,
    /// Where reading had to stop, when it did: from there on nothing is known.
    pub stopped: Option<Span>,
}

/// Reads one document. Syntax, budgets and a second document end the reading; keys that stand
/// twice, tags and merge keys are reported, and it goes on.
pub fn parse_all(text: &str, limits: &Limits, problems: &mut Problems) -> Parsed {
    let refused = |problem: Diagnostic, problems: &mut Problems| {
        let stopped = Some(problem.span);
        problems.push(problem);
        Parsed {
            root: None,
            stopped,
        }
    };
    if text.len() > limits.bytes {
        let message = format!(
            "the text has {} bytes; at most {} are read",
            text.len(),
            limits.bytes
        );
        return refused(
            Diagnostic::error("F003", Span::default(), message),
            problems,
        );
    }
    if let Some(at) = text.find('\0') {
        let message = format!("a NUL byte at offset {at}");
        let found = Diagnostic::error("F004", Span::new(at, at + 1), message)
            .help("a runbook is UTF-8 text; save the file again as such");
        return refused(found, problems);
    }
    build::Builder::new(text, limits, problems).build()
}

/// Bytes to text, with the place of the first byte that is not UTF-8.
///
/// # Errors
/// A [`Diagnostic`] that names the encoding when it can be told.
pub fn decode_utf8(bytes: Vec<u8>) -> Result<String, Box<Diagnostic>> {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text
            .strip_prefix('\u{feff}')
            .map(str::to_owned)
            .unwrap_or(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let what = if utf16 {
                "the file is UTF-16".to_owned()
            } else {
                format!("byte {at} is not UTF-8")
            };
            let found = Diagnostic::error("F004", Span::default(), what);
            Err(Box::new(found.help(
                "save the file as UTF-8, for instance with `iconv -t UTF-8`",
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let _ = parse_all(text, &Limits::default(), &mut problems);
        let found = problems.sorted();
        found
            .iter()
            .map(|d| format!("{} {}", d.code, d.message))
            .collect()
    }

    #[test]
    fn keeps_places_and_text() {
        let text = "a: [1, 'two']\nbé:\n  - yes\n";
        let node = parse(text, &Limits::default()).unwrap();
        let entries = node.map().unwrap();
        assert_eq!(&text[entries[1].key_span.range()], "bé");
        assert_eq!(
            &text[entries[0].value.list().unwrap()[1].span.range()],
            "'two'"
        );
        let mut json = String::new();
        node.write_json(&mut json);
        assert_eq!(json, r#"{"a":[1,"two"],"bé":["yes"]}"#);
        assert_eq!(json, node.to_json().to_string());
    }

    #[test]
    fn a_mistake_does_not_hide_the_next() {
        let text = "a: 1\na: 2\nb: !x\nc:\n  <<: 1\n  d: 1\n  d: [{}, *e]\n";
        assert_eq!(
            messages(text),
            [
                "F002 the key `a` stands twice",
                "F007 `!x` is read as a YAML tag, not as text",
                "F006 merge keys (`<<`) are not part of the language",
                "F002 the key `d` stands twice",
                "F001 not valid YAML: while parsing node, found unknown anchor",
            ]
        );
    }

    #[test]
    fn hostile_texts_are_refused() {
        let deep = ["F003 nested deeper than 64 levels"];
        for open in ["[", "- ", "{a: ", "? "] {
            assert_eq!(messages(&open.repeat(100_000)), deep, "{open}");
        }
        assert_eq!(
            messages("a: &x [*x]\n"),
            ["F003 an alias inside its own anchor"]
        );
        assert_eq!(
            messages("--- 1\n--- 2\n"),
            ["F005 a second document in one file"]
        );
        assert_eq!(messages(""), ["F005 the file holds no runbook"]);
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let uses = vec![format!("*a{}", n - 1); 9].join(", ");
            bomb += &format!("a{n}: &a{n} [{uses}]\n");
        }
        assert!(messages(&bomb)[0].starts_with("F003 anchors and aliases multiply to more than "));
    }

    #[test]
    fn aliases_cannot_nest_past_the_depth() {
        let wrap = |inner: &str| format!("{}{inner}{}", "[".repeat(30), "]".repeat(30));
        let mut text = format!("a0: &a0 {}\n", wrap("x"));
        for n in 1..40 {
            text += &format!("a{n}: &a{n} {}\n", wrap(&format!("*a{}", n - 1)));
        }
        assert_eq!(messages(&text), ["F003 nested deeper than 64 levels"]);
    }

    #[test]
    fn wide_mappings_know_their_keys() {
        let text: String = (0..500).map(|n| format!("k{}: 1\n", n % 499)).collect();
        assert_eq!(messages(&text), ["F002 the key `k0` stands twice"]);
    }
}
