//! YAML text to [`Node`]s, within budgets.
//!
//! Built on the event stream of `serde-saphyr`'s parser: with the events a scalar keeps its text
//! and quotes, tags can be explained, and one mistake does not hide the next, which a typed read
//! cannot give. Nesting is held on a stack of ours, so depth costs no stack; nodes, depth,
//! aliases and what aliases expand to are bounded (limits of the reliability contract).

use std::collections::HashMap;

use serde_saphyr::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span as ParserSpan, Tag,
};

use super::diagnostic::Diagnostic;
use super::node::{Entry, Kind, Node, Span};

/// What a text may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Values, with what aliases repeat.
    pub nodes: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// Uses of anchors.
    pub aliases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            nodes: 4_000_000,
            depth: 64,
            aliases: 1_000,
        }
    }
}

/// Reads one document.
///
/// # Errors
/// The first mistake of the text itself: syntax, duplicate key, budget, more than one document.
pub fn parse(text: &str, limits: &Limits) -> Result<Node, Box<Diagnostic>> {
    if text.len() > limits.bytes {
        let message = format!(
            "the text has {} bytes; at most {} are read",
            text.len(),
            limits.bytes
        );
        return Err(Box::new(Diagnostic::error(
            "F003",
            Span::default(),
            message,
        )));
    }
    if let Some(at) = text.find('\0') {
        let found = Diagnostic::error(
            "F004",
            Span::new(at, at + 1),
            format!("a NUL byte at offset {at}"),
        );
        return Err(Box::new(
            found.help("a runbook is UTF-8 text; save the file again as such"),
        ));
    }
    Builder::new(text, limits).build()
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

/// A collection that is still open.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(Box<str>, Span)>,
    seen: HashMap<Box<str>, Span>,
}

struct Builder<'t> {
    text: &'t str,
    limits: &'t Limits,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    nodes: usize,
    aliases: usize,
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

impl<'t> Builder<'t> {
    fn new(text: &'t str, limits: &'t Limits) -> Self {
        Self {
            text,
            limits,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
            aliases: 0,
        }
    }

    fn build(mut self) -> Parsed<Node> {
        let mut options = Options::default();
        options.disallow_directives = true;
        options.flow_nesting_limit = self.limits.depth;
        options.block_nesting_limit = self.limits.depth;
        for event in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = event.map_err(|error| self.scan_error(&error))?;
            self.event(event, &span)?;
        }
        self.root.ok_or_else(|| {
            let found = Diagnostic::error("F005", Span::default(), "the file holds no runbook");
            Box::new(found.help("start with `runbook: NAME` and `phases:`"))
        })
    }

    fn event(&mut self, event: Event<'_>, at: &ParserSpan) -> Parsed<()> {
        let span = span_of(at);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let found = Diagnostic::error("F005", span, "a second document in one file");
                Err(Box::new(
                    found.help("keep one runbook in one file: remove the `---`"),
                ))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let kind = Kind::Scalar {
                    text: text.into(),
                    plain,
                };
                let node = Node {
                    kind,
                    span: tagged_span(at, span),
                    tag: tag.as_deref().map(tag_text),
                };
                self.count(1, span)?;
                self.place(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.push(Kind::List(Vec::new()), span, anchor, tag.as_deref())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.push(Kind::Map(Vec::new()), span, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.pop(span),
            Event::Alias(id) => self.alias(id, span),
            _ => Ok(()),
        }
    }

    fn push(&mut self, kind: Kind, span: Span, anchor: usize, tag: Option<&Tag>) -> Parsed<()> {
        self.count(1, span)?;
        if self.open.len() >= self.limits.depth {
            return Err(self.too_deep(span));
        }
        let node = Node {
            kind,
            span,
            tag: tag.map(tag_text),
        };
        self.open.push(Open {
            node,
            anchor,
            key: None,
            seen: HashMap::new(),
        });
        Ok(())
    }

    fn pop(&mut self, end: Span) -> Parsed<()> {
        let Some(mut open) = self.open.pop() else {
            return Ok(());
        };
        let last = last_end(&open.node).unwrap_or(end.end);
        open.node.span.end = last.max(open.node.span.end);
        self.place(open.node, open.anchor)
    }

    /// Puts a finished node where it belongs: into the open collection, or at the root.
    fn place(&mut self, node: Node, anchor: usize) -> Parsed<()> {
        if anchor != 0 {
            let size = count_nodes(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match open.key.take() {
                Some((key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
                None => {
                    let key = key_of(node)?;
                    if let Some(first) = open.seen.insert(key.0.clone(), key.1) {
                        let found = Diagnostic::error(
                            "F002",
                            key.1,
                            format!("the key `{}` stands twice", key.0),
                        );
                        return Err(Box::new(
                            found.label("again here").also(first, "first here"),
                        ));
                    }
                    open.key = Some(key);
                }
            },
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Parsed<()> {
        self.aliases += 1;
        if self.aliases > self.limits.aliases {
            let message = format!("more than {} aliases", self.limits.aliases);
            return Err(Box::new(Diagnostic::error("F003", span, message)));
        }
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(Box::new(Diagnostic::error(
                "F003",
                span,
                "an alias inside its own anchor",
            )));
        };
        let (mut node, size) = (node.clone(), *size);
        self.count(size, span)?;
        node.span = span;
        self.place(node, 0)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Parsed<()> {
        self.nodes += nodes;
        let ceiling = self.limits.nodes.min(10 * self.text.len() + 1_000);
        if self.nodes <= ceiling {
            return Ok(());
        }
        let message =
            format!("more than {ceiling} values: anchors and aliases multiply them beyond reason");
        Err(Box::new(Diagnostic::error("F003", span, message)))
    }

    fn too_deep(&self, span: Span) -> Box<Diagnostic> {
        let message = format!("nested deeper than {} levels", self.limits.depth);
        Box::new(Diagnostic::error("F003", span, message))
    }

    fn scan_error(&self, error: &ScanError) -> Box<Diagnostic> {
        let at = error
            .marker()
            .byte_offset()
            .unwrap_or(0)
            .min(self.text.len());
        let span = Span::new(at, at + 1);
        let words = error.kind().to_string();
        if words.contains("nest") || words.contains("recursion") {
            return self.too_deep(span);
        }
        let found = Diagnostic::error(
            "F001",
            span,
            format!("not valid YAML: {}", lower_first(&words)),
        );
        Box::new(found.maybe_help(yaml_hint(self.text, at)))
    }
}

/// The traps of plain YAML that expressions step into.
fn yaml_hint(text: &str, at: usize) -> Option<String> {
    let start = text[..floor(text, at)]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let value = line
        .split_once(": ")
        .map_or(line, |(_, value)| value)
        .trim();
    if line.contains('\t') && line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces: YAML does not allow tabs there".into());
    }
    if value.starts_with('[')
        && (value.contains("].") || value.contains("][") || value.contains("]."))
    {
        return Some("put an expression that starts with `[` or has `[..]` in a flow list in quotes, or on a line of its own with `- `".into());
    }
    if value.contains(": ") || value.ends_with(':') {
        return Some("text that holds `: ` needs quotes: `'…'`".into());
    }
    None
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn lower_first(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn span_of(span: &ParserSpan) -> Span {
    let start = span.start.byte_offset().unwrap_or(0);
    Span::new(start, span.end.byte_offset().unwrap_or(start))
}

/// A tag belongs to what is shown: `!has(x)` is one mistake, not a tag and nothing.
fn tagged_span(at: &ParserSpan, span: Span) -> Span {
    match at.tag_start.as_ref().and_then(Marker::byte_offset) {
        Some(start) => Span::new(start, span.end as usize),
        None => span,
    }
}

fn tag_text(tag: &Tag) -> Box<str> {
    tag.original().into()
}

fn key_of(node: Node) -> Parsed<(Box<str>, Span)> {
    let span = node.span;
    match node.kind {
        Kind::Scalar { text, .. } if &*text == "<<" => {
            let found = Diagnostic::error(
                "F006",
                span,
                "merge keys (`<<`) are not part of the language",
            );
            Err(Box::new(
                found.help("write the keys out, or use `for_each`"),
            ))
        }
        Kind::Scalar { text, .. } => Ok((text, span)),
        _ => {
            let found =
                Diagnostic::error("F001", span, "a key must be text, not a list or a mapping");
            Err(Box::new(found.help(
                "a value that starts with `[`, `{` or `${{` needs quotes",
            )))
        }
    }
}

fn last_end(node: &Node) -> Option<u32> {
    match &node.kind {
        Kind::List(items) => items.last().map(|item| item.span.end),
        Kind::Map(entries) => entries
            .last()
            .map(|entry| entry.value.span.end.max(entry.key_span.end)),
        Kind::Scalar { .. } => None,
    }
}

fn count_nodes(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar { .. } => 0,
        Kind::List(items) => items.iter().map(count_nodes).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| count_nodes(&entry.value)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let error = parse(text, &Limits::default()).unwrap_err();
        format!("{} {}", error.code, error.message)
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
        assert_eq!(
            node.to_json().to_string(),
            r#"{"a":[1,"two"],"bé":["yes"]}"#
        );
    }

    #[test]
    fn hostile_texts_are_refused() {
        assert_eq!(message("a: 1\na: 2\n"), "F002 the key `a` stands twice");
        assert_eq!(
            message(&"[".repeat(100_000)),
            "F003 nested deeper than 64 levels"
        );
        assert_eq!(
            message("a: &x [*x]\n"),
            "F003 an alias inside its own anchor"
        );
        assert_eq!(
            message("--- 1\n--- 2\n"),
            "F005 a second document in one file"
        );
        assert_eq!(message(""), "F005 the file holds no runbook");
        assert!(message("a: b: c\n").starts_with("F001 not valid YAML: "));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let uses = vec![format!("*a{}", n - 1); 9].join(", ");
            bomb += &format!("a{n}: &a{n} [{uses}]\n");
        }
        assert!(message(&bomb).starts_with("F003 more than "));
    }
}
