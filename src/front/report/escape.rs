//! Texts made inert for Markdown: nothing that comes from the world becomes markup, a link or HTML.

use super::super::escape::shown;

/// Text among words, also in a table's cell. What stands in backticks stays code, where every
/// backtick has its partner.
pub(super) fn prose(text: &str) -> String {
    let text = shown(text);
    let parts: Vec<_> = text.split('`').collect();
    let spans = || parts.iter().skip(1).step_by(2);
    let plain =
        |span: &&str| *span.trim() == **span && !span.is_empty() && !span.contains(['|', '\\']);
    if parts.len() % 2 == 0 || !spans().all(plain) {
        return words(&text);
    }
    let part = |(at, part): (usize, &&str)| match at % 2 {
        0 => words(part),
        _ => format!("`{part}`"),
    };
    parts.iter().enumerate().map(part).collect()
}

fn words(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let inside = before.is_alphanumeric() && rest.peek().is_some_and(|c| c.is_alphanumeric());
        let markup = match c {
            // `snake_case` is no emphasis
            '_' => !inside,
            // what would become a link by itself
            ':' => rest.peek() == Some(&'/'),
            '.' => safe.to_ascii_lowercase().ends_with("www"),
            _ => "<>&|`[]\\*~!#$@".contains(c),
        };
        match markup {
            true => safe.push_str(&format!("&#{};", u32::from(c))),
            false => safe.push(c),
        }
        before = c;
    }
    safe
}

/// Names, values and expressions, also in a table's cell.
pub(super) fn code(text: &str) -> String {
    let text = shown(text);
    // inside a code span nothing can be escaped: what needs it goes without the span
    if text.trim().is_empty() || text.contains(['`', '|', '\\']) {
        return words(&text);
    }
    format!("`{}`", text.trim())
}

/// A whole text as a block.
pub(super) fn block(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    let lines: Vec<_> = super::super::escape::lines(text).collect();
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

/// A table; the cells are Markdown already.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(head.to_vec());
    text.push_str(&row(vec!["---"; head.len()]));
    for cells in rows {
        text.push_str(&row(cells.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            prose("plain, snake_case (x) 1.5-2"),
            "plain, snake_case (x) 1.5-2"
        );
        assert_eq!(
            prose("_a_ <b> [l](u)"),
            "&#95;a&#95; &#60;b&#62; &#91;l&#93;(u)"
        );
        assert_eq!(
            prose("http://x www.x a@b"),
            "http&#58;//x www&#46;x a&#64;b"
        );
        assert_eq!(code("a == \"b\""), "`a == \"b\"`");
        assert_eq!(code("a || b"), "a &#124;&#124; b");
        assert_eq!(
            prose("step `a[1]`: <b> `c"),
            "step &#96;a&#91;1&#93;&#96;: &#60;b&#62; &#96;c"
        );
        assert_eq!(prose("step `a[1]`: <b>"), "step `a[1]`: &#60;b&#62;");
        assert_eq!(prose("`a|b` ``"), "&#96;a&#124;b&#96; &#96;&#96;");
        assert_eq!(code("`x`"), "&#96;x&#96;");
        assert_eq!(block("a\n````\n"), "`````text\na\n````\n`````\n");
    }
}
