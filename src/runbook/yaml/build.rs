//! The tree, built from the parser's events within budgets.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span as ParserSpan, Tag,
};

use super::super::diagnostic::{Diagnostic, Problems};
use super::super::node::{Entry, Kind, Node, Span};
use super::super::traps;
use super::{Limits, Parsed};

/// A collection that is still open.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(Box<str>, Span)>,
    /// The value of a key that is refused is read and dropped.
    dropping: bool,
    /// Keys with their places, once there are more than [`FEW`].
    seen: HashMap<Box<str>, Span>,
}

impl Open {
    /// Where `key` stands already.
    fn find(&mut self, key: &str) -> Option<Span> {
        let Kind::Map(entries) = &self.node.kind else {
            return None;
        };
        if entries.len() <= FEW {
            let first = entries.iter().find(|entry| &*entry.key == key);
            return first.map(|entry| entry.key_span);
        }
        if self.seen.len() < entries.len() {
            let missing = &entries[self.seen.len()..];
            let missing = missing
                .iter()
                .map(|entry| (entry.key.clone(), entry.key_span));
            self.seen.extend(missing);
        }
        self.seen.get(key).copied()
    }
}

/// A value that an alias can repeat, with how many values it has and how deep they go.
struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

pub(super) struct Builder<'t> {
    text: &'t str,
    problems: &'t mut Problems,
    limits: &'t Limits,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    nodes: usize,
    repeated: usize,
    aliases: usize,
}

type Step<T> = Result<T, Box<Diagnostic>>;

/// Mappings with more keys than this are searched by hash.
const FEW: usize = 16;

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str, limits: &'t Limits, problems: &'t mut Problems) -> Self {
        Self {
            text,
            problems,
            limits,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
            repeated: 0,
            aliases: 0,
        }
    }

    pub(super) fn build(mut self) -> Parsed {
        let mut options = Options::default();
        options.disallow_directives = true;
        options.flow_nesting_limit = self.limits.depth;
        options.block_nesting_limit = self.limits.depth;
        for event in Parser::new_from_str_with_options(self.text, options) {
            let went = match event {
                Ok((event, span)) => self.event(event, &span),
                Err(error) => Err(self.scan_error(&error)),
            };
            if let Err(problem) = went {
                return self.stop(*problem);
            }
        }
        if self.root.is_none() {
            let found = Diagnostic::error("F005", Span::default(), "the file holds no runbook")
                .help("start with `runbook: NAME` and `phases:`");
            return self.stop(found);
        }
        Parsed {
            root: self.root,
            stopped: None,
        }
    }

    /// The end of the reading, with what is open closed as it is. What a budget stopped is not
    /// worth looking at: it is no honest runbook.
    fn stop(mut self, problem: Diagnostic) -> Parsed {
        let stopped = Some(problem.span);
        let syntax = problem.code == "F001";
        self.problems.push(problem);
        if !syntax {
            return Parsed {
                root: None,
                stopped,
            };
        }
        while let Some(open) = self.open.pop() {
            if self.place(open.node, 0).is_err() {
                break;
            }
        }
        Parsed {
            root: self.root,
            stopped,
        }
    }

    fn event(&mut self, event: Event<'_>, at: &ParserSpan) -> Step<()> {
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
                self.tagged(&node);
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

    fn push(&mut self, kind: Kind, span: Span, anchor: usize, tag: Option<&Tag>) -> Step<()> {
        self.count(1, span)?;
        if self.open.len() >= self.limits.depth {
            return Err(self.too_deep(span));
        }
        let node = Node {
            kind,
            span,
            tag: tag.map(tag_text),
        };
        self.tagged(&node);
        self.open.push(Open {
            node,
            anchor,
            key: None,
            dropping: false,
            seen: HashMap::new(),
        });
        Ok(())
    }

    fn pop(&mut self, end: Span) -> Step<()> {
        let Some(mut open) = self.open.pop() else {
            return Ok(());
        };
        let last = last_end(&open.node).unwrap_or(end.end);
        open.node.span.end = last.max(open.node.span.end);
        self.place(open.node, open.anchor)
    }

    /// Puts a finished node where it belongs: into the open collection, or at the root.
    fn place(&mut self, node: Node, anchor: usize) -> Step<()> {
        if anchor != 0 {
            self.keep(&node, anchor)?;
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(_) if open.dropping => open.dropping = false,
            Kind::Map(entries) => match open.key.take() {
                Some((key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
                None => self.key(node)?,
            },
            Kind::Scalar { .. } => {}
        }
        Ok(())
    }

    /// Takes a node as the next key; one that cannot be is reported, and its value dropped.
    fn key(&mut self, node: Node) -> Step<()> {
        let span = node.span;
        let Kind::Scalar { text, .. } = node.kind else {
            let found =
                Diagnostic::error("F001", span, "a key must be text, not a list or a mapping")
                    .help("a value that starts with `[`, `{` or `${{` needs quotes");
            return Err(Box::new(found));
        };
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        if &*text == "<<" {
            open.dropping = true;
            let message = "merge keys (`<<`) are not part of the language";
            let found = Diagnostic::error("F006", span, message)
                .help("write the keys out, or use `for_each`");
            self.problems.push(found);
        } else if let Some(first) = open.find(&text) {
            open.dropping = true;
            let message = format!("the key `{}` stands twice", text.escape_debug());
            let found = Diagnostic::error("F002", span, message)
                .label("again here")
                .also(first, "first here")
                .help("keep one of them, or start a new item with `- `");
            self.problems.push(found);
        } else {
            open.key = Some((text, span));
        }
        Ok(())
    }

    /// Keeps a node for the aliases that repeat it.
    fn keep(&mut self, node: &Node, anchor: usize) -> Step<()> {
        let (size, height) = measure(node);
        self.repeat(size, node.span)?;
        let node = node.clone();
        self.anchors.insert(anchor, Anchored { node, size, height });
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Step<()> {
        self.aliases += 1;
        if self.aliases > self.limits.aliases {
            let message = format!("more than {} aliases", self.limits.aliases);
            return Err(Box::new(Diagnostic::error("F003", span, message)));
        }
        let Some(anchored) = self.anchors.get(&id) else {
            let found = Diagnostic::error("F003", span, "an alias inside its own anchor");
            return Err(Box::new(found));
        };
        let (size, height) = (anchored.size, anchored.height);
        // aliases nest what is nested: the depth is that of the whole
        if self.open.len() + height > self.limits.depth {
            return Err(self.too_deep(span));
        }
        self.repeat(size, span)?;
        self.count(size, span)?;
        let Some(anchored) = self.anchors.get(&id) else {
            return Ok(());
        };
        let mut node = anchored.node.clone();
        node.span = span;
        self.place(node, 0)
    }

    fn repeat(&mut self, nodes: usize, span: Span) -> Step<()> {
        self.repeated += nodes;
        let ceiling = self.limits.repeated.min(10 * self.text.len() + 1_000);
        if self.repeated <= ceiling {
            return Ok(());
        }
        let message = format!("anchors and aliases multiply to more than {ceiling} values");
        let found = Diagnostic::error("F003", span, message);
        Err(Box::new(
            found.help("write the values out, or use `for_each`"),
        ))
    }

    fn count(&mut self, nodes: usize, span: Span) -> Step<()> {
        self.nodes += nodes;
        if self.nodes <= self.limits.nodes {
            return Ok(());
        }
        let message = format!("more than {} values in one runbook", self.limits.nodes);
        Err(Box::new(Diagnostic::error("F003", span, message)))
    }

    /// Runbooks use no tags; what became one by accident is told.
    fn tagged(&mut self, node: &Node) {
        if let Some(tag) = &node.tag {
            self.problems.push(traps::tag(self.text, tag, node.span));
        }
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
        let words = error.kind().to_string();
        if words.contains("nest") || words.contains("recursion") {
            return self.too_deep(Span::new(at, at + 1));
        }
        Box::new(traps::syntax(self.text, at, &words))
    }
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

fn last_end(node: &Node) -> Option<u32> {
    match &node.kind {
        Kind::List(items) => items.last().map(|item| item.span.end),
        Kind::Map(entries) => entries
            .last()
            .map(|entry| entry.value.span.end.max(entry.key_span.end)),
        Kind::Scalar { .. } => None,
    }
}

/// How many values a tree has, and how many levels.
fn measure(node: &Node) -> (usize, usize) {
    let below = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes
            .map(measure)
            .fold((1, 1), |(size, height), (more, deep)| {
                (size + more, height.max(deep + 1))
            })
    };
    match &node.kind {
        Kind::Scalar { .. } => (1, 1),
        Kind::List(items) => below(&mut items.iter()),
        Kind::Map(entries) => below(&mut entries.iter().map(|entry| &entry.value)),
    }
}
