//! Writes HTML: every text is escaped, and tags, classes and attributes are words of this program.
//!
//! Main type: [`Page`]. What comes from a run can reach the page by [`Page::text`], [`Page::prose`] and
//! [`Page::block`] alone; markup is `&'static str`, so a value cannot become markup by accident.

use std::fmt::Write as _;

use super::super::super::escape::{lines, shown};
use super::super::super::text::clip;

/// The most columns of one text; whatever is longer is cut, with a sign.
const LONGEST: usize = 2_000;

/// A page being written.
pub(super) struct Page {
    out: String,
    open: Vec<&'static str>,
}

impl Page {
    pub(super) fn new(room: usize) -> Self {
        Self {
            out: String::with_capacity(room),
            open: Vec::new(),
        }
    }

    /// The page; everything that is open is closed.
    pub(super) fn done(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    /// Opens an element; `class` may be empty.
    pub(super) fn tag(&mut self, name: &'static str, class: &'static str) -> &mut Self {
        self.out.push('<');
        self.out.push_str(name);
        if !class.is_empty() {
            self.out.push_str(" class=\"");
            self.out.push_str(class);
            self.out.push('"');
        }
        self.out.push('>');
        self.open.push(name);
        self
    }

    /// Closes what was opened last.
    pub(super) fn end(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
            if matches!(
                name,
                "tr" | "table"
                    | "section"
                    | "h2"
                    | "h3"
                    | "h4"
                    | "p"
                    | "li"
                    | "div"
                    | "svg"
                    | "pre"
            ) {
                self.out.push('\n');
            }
        }
        self
    }

    /// Markup of this program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// An empty element with numbers as attributes, for drawings.
    pub(super) fn shape(
        &mut self,
        name: &'static str,
        class: &'static str,
        numbers: &[(&'static str, f64)],
    ) -> &mut Self {
        self.opening(name, class, numbers);
        self.out.push_str("/>");
        self
    }

    /// Opens an element with numbers as attributes, for drawings.
    pub(super) fn tag_at(
        &mut self,
        name: &'static str,
        class: &'static str,
        numbers: &[(&'static str, f64)],
    ) -> &mut Self {
        self.opening(name, class, numbers);
        self.out.push('>');
        self.open.push(name);
        self
    }

    /// An empty element through these points, for drawings.
    pub(super) fn points(
        &mut self,
        name: &'static str,
        class: &'static str,
        points: &[(f64, f64)],
    ) -> &mut Self {
        self.opening(name, class, &[]);
        self.out.push_str(" points=\"");
        for (at, (x, y)) in points.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            let _ = write!(self.out, "{space}{x:.1},{y:.1}");
        }
        self.out.push_str("\"/>");
        self
    }

    /// Ends the opening tag of a drawing of that size.
    pub(super) fn view_box(&mut self, width: f64, height: f64) -> &mut Self {
        let _ = writeln!(self.out, "viewBox=\"0 0 {width:.0} {height:.0}\">");
        self
    }

    fn opening(&mut self, name: &str, class: &str, numbers: &[(&str, f64)]) {
        let _ = write!(self.out, "<{name}");
        if !class.is_empty() {
            let _ = write!(self.out, " class=\"{class}\"");
        }
        for (key, number) in numbers {
            let _ = write!(self.out, " {key}=\"{}\"", (number * 10.0).round() / 10.0);
        }
    }

    /// Text on one line.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let text = shown(text);
        match text.len() > LONGEST {
            true => self.inert(&clip(&text, LONGEST)),
            false => self.inert(&text),
        }
        self
    }

    /// Text among words; what stands in backticks becomes code, where each has its partner.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        let text = clip(&shown(text), LONGEST);
        let parts: Vec<_> = text.split('`').collect();
        if parts.len() % 2 == 0 {
            self.inert(&text);
            return self;
        }
        for (at, part) in parts.iter().enumerate() {
            match at % 2 {
                0 => self.inert(part),
                _ => {
                    self.tag("code", "");
                    self.inert(part);
                    self.end();
                }
            }
        }
        self
    }

    /// Lines of a text as they are, at most `most` bytes of it: the beginning, or with `tail` the end.
    pub(super) fn block(&mut self, text: &str, most: usize, tail: bool) -> &mut Self {
        let (part, cut) = bounded(text, most, tail);
        self.tag("pre", "");
        if cut && tail {
            self.tag("span", "cut")
                .raw("… the beginning is left out")
                .end()
                .raw("\n");
        }
        self.inert_lines(part);
        if cut && !tail {
            self.tag("span", "cut").raw("… the rest is left out").end();
        }
        self.end()
    }

    /// A text with its lines, whole.
    pub(super) fn inert_lines(&mut self, text: &str) {
        for line in lines(text) {
            self.inert(&line);
            self.out.push('\n');
        }
    }

    fn inert(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                '`' => self.out.push_str("&#96;"),
                c => self.out.push(c),
            }
        }
    }

    /// An element with a text.
    pub(super) fn say(&mut self, name: &'static str, class: &'static str, text: &str) -> &mut Self {
        self.tag(name, class).text(text).end()
    }

    /// A section with its heading; the caller ends it.
    pub(super) fn section(&mut self, title: &'static str) -> &mut Self {
        self.tag("section", "");
        self.tag("h2", "").raw(title).end()
    }

    /// A table with its heads; the caller ends it with [`Page::end_table`].
    pub(super) fn table(&mut self, class: &'static str, heads: &[&'static str]) -> &mut Self {
        self.tag("div", "scroll").tag("table", class);
        self.tag("thead", "").tag("tr", "");
        for head in heads {
            self.tag("th", "").raw(head).end();
        }
        self.end().end().tag("tbody", "")
    }

    pub(super) fn end_table(&mut self) -> &mut Self {
        self.end().end().end()
    }

    /// A cell of words.
    pub(super) fn cell(&mut self, text: &str) -> &mut Self {
        self.tag("td", "").prose(or_dash(text)).end()
    }

    /// A cell with a name, a value or an expression.
    pub(super) fn code_cell(&mut self, text: &str) -> &mut Self {
        self.tag("td", "").code(text).end()
    }

    /// A cell with a number or a length of time.
    pub(super) fn num_cell(&mut self, text: &str) -> &mut Self {
        self.say("td", "num", or_dash(text))
    }

    /// A cell with a time.
    pub(super) fn time_cell(&mut self, at: i64) -> &mut Self {
        self.say("td", "time", &super::super::super::text::moment(at))
    }

    /// A name, a value or an expression.
    pub(super) fn code(&mut self, text: &str) -> &mut Self {
        match text.is_empty() {
            true => self.raw("–"),
            false => self.say("code", "", text),
        }
    }

    /// A status: a sign, a word and a colour.
    pub(super) fn mark(&mut self, mark: Mark, word: &str) -> &mut Self {
        self.tag("span", mark.class());
        self.tag("b", "").raw(mark.sign()).end();
        self.text(word).end()
    }
}

fn or_dash(text: &str) -> &str {
    match text.is_empty() {
        true => "–",
        false => text,
    }
}

/// A part of a text on boundaries of characters, and whether something was left out.
fn bounded(text: &str, most: usize, tail: bool) -> (&str, bool) {
    if text.len() <= most {
        return (text, false);
    }
    let mut at = if tail { text.len() - most } else { most };
    while !text.is_char_boundary(at) {
        at = if tail { at + 1 } else { at - 1 };
    }
    let part = if tail { &text[at..] } else { &text[..at] };
    (part, true)
}

/// How good something is, told by a sign as well as by a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Good,
    Bad,
    Odd,
    Off,
    Going,
}

impl Mark {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "mark good",
            Self::Bad => "mark bad",
            Self::Odd => "mark odd",
            Self::Off => "mark off",
            Self::Going => "mark going",
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Odd => "!",
            Self::Off => "–",
            Self::Going => "…",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_no_markup() {
        let mut page = Page::new(0);
        page.tag("p", "a").text("<b>&\"'`\u{1b}[0m\u{202e}").end();
        page.prose("see `a<b` and `c").prose("see `a<b`");
        assert_eq!(
            page.done(),
            "<p class=\"a\">&lt;b&gt;&amp;&quot;&#39;&#96;\\x1b[0m\\u{202e}</p>\n\
             see &#96;a&lt;b&#96; and &#96;csee <code>a&lt;b</code>"
        );
    }

    #[test]
    fn blocks_are_bounded_between_characters() {
        let text = "ä".repeat(100);
        let mut page = Page::new(0);
        page.block(&text, 11, true).block("a\nb\u{7}", 99, false);
        let text = page.done();
        assert!(text.contains("left out</span>\näääää\n</pre>"), "{text}");
        assert!(text.ends_with("<pre>a\nb\\x07\n</pre>\n"), "{text}");
        let mut page = Page::new(0);
        page.text(&"x".repeat(9_000));
        assert!(page.done().chars().count() <= LONGEST);
    }
}
