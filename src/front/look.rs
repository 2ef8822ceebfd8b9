//! How a terminal is to be talked to: drawn on or written to, with colour or without.
//!
//! Main types: [`Look`], decided once from the surroundings; [`Tone`], what a colour means.

/// What the terminal allows and the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Lines may be drawn over.
    pub live: bool,
    /// Colour says something.
    pub colour: bool,
}

impl Look {
    /// From what is known of stderr and the environment: no terminal or `TERM=dumb` (or none) means
    /// plain lines; `NO_COLOR` with any text in it means no colour.
    pub fn of(is_terminal: bool, environment: impl Fn(&str) -> Option<String>) -> Self {
        let term = environment("TERM").unwrap_or_default();
        let live = is_terminal && !term.is_empty() && term != "dumb";
        let refused = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            live,
            colour: live && !refused,
        }
    }
}

/// What a text says; its colour follows from that, and the text says it without colour too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Neutral,
    /// It went well.
    Good,
    /// Left out, retried, late.
    Odd,
    /// It failed.
    Bad,
    /// Beside the point.
    Quiet,
}

impl Tone {
    /// The text in its colour, or as it is.
    pub fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Self::Neutral => return text.to_owned(),
            _ if !colour || text.is_empty() => return text.to_owned(),
            Self::Good => "32",
            Self::Odd => "33",
            Self::Bad => "31",
            Self::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surroundings_decide() {
        let look = |terminal, pairs: &[(&str, &str)]| {
            let look = Look::of(terminal, |name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            (look.live, look.colour)
        };
        assert_eq!(look(true, &[("TERM", "xterm")]), (true, true));
        assert_eq!(look(false, &[("TERM", "xterm")]), (false, false));
        assert_eq!(look(true, &[("TERM", "dumb")]), (false, false));
        assert_eq!(look(true, &[]), (false, false));
        assert_eq!(
            look(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]),
            (true, false)
        );
        assert_eq!(
            look(true, &[("TERM", "xterm"), ("NO_COLOR", "")]),
            (true, true)
        );
    }
}
