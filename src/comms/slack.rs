//! Text as Slack and its like take it.

/// What would be markup, mentions or links stands as text.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn nobody_is_called_by_a_text() {
        assert_eq!(
            super::escaped("<!channel> a & <https://x|y>"),
            "&lt;!channel&gt; a &amp; &lt;https://x|y&gt;"
        );
    }
}
