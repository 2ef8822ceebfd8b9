//! Sparklines: the last values of something as one short line of bars.
//!
//! Main function: [`spark`], for the terminal at hand; [`spark_in`] with the marks said. Bars stand
//! between the least and the greatest value that is shown, so they tell a shape and no amounts.

/// What bars are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// Eight heights of a block.
    Blocks,
    /// Plain characters, for terminals that have no blocks.
    Ascii,
}

impl Marks {
    /// From the environment: plain where the locale says another encoding than UTF-8, or where the
    /// terminal is the Linux console or dumb. Where nothing is said, blocks.
    pub fn of(environment: impl Fn(&str) -> Option<String>) -> Self {
        let said = |name: &str| environment(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(said);
        let other = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            !locale.contains("utf-8") && !locale.contains("utf8")
        });
        let poor = said("TERM").is_some_and(|term| term == "linux" || term == "dumb");
        match other || poor {
            true => Self::Ascii,
            false => Self::Blocks,
        }
    }

    /// Low to high.
    fn levels(self) -> [char; 8] {
        match self {
            Self::Blocks => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => ['_', '.', ':', '-', '=', '+', '*', '#'],
        }
    }
}

/// The newest `width` values as bars, oldest first; `None`, NaN and infinities are gaps. As long as the
/// values that there are: never wider than `width` columns.
pub fn spark(values: &[Option<f64>], width: usize) -> String {
    spark_in(Marks::of(|name| std::env::var(name).ok()), values, width)
}

/// [`spark`] with these marks.
pub fn spark_in(marks: Marks, values: &[Option<f64>], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    let there = || shown.iter().flatten().copied().filter(|v| v.is_finite());
    let (least, most) = there().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
        (least.min(v), most.max(v))
    });
    let levels = marks.levels();
    let bar = |value: &Option<f64>| match value {
        Some(value) if value.is_finite() => levels[level(*value, least, most)],
        _ => ' ',
    };
    shown.iter().map(bar).collect()
}

/// 0 to 7; what never moves stands in the middle.
fn level(value: f64, least: f64, most: f64) -> usize {
    // halves, because the difference of two numbers that fit need not fit
    let (range, above) = (most / 2.0 - least / 2.0, value / 2.0 - least / 2.0);
    if range <= 0.0 {
        return 3;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of seven"
    )]
    let level = (above / range * 7.0).round() as usize;
    level.min(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], width: usize) -> String {
        let values: Vec<_> = values.iter().copied().map(Some).collect();
        spark_in(Marks::Blocks, &values, width)
    }

    #[test]
    fn a_ramp_uses_every_height() {
        assert_eq!(of(&[1., 2., 3., 4., 5., 6., 7., 8.], 8), "▁▂▃▄▅▆▇█");
        let values: Vec<_> = (0..8).map(|n| Some(f64::from(n))).collect();
        assert_eq!(spark_in(Marks::Ascii, &values, 8), "_.:-=+*#");
    }

    #[test]
    fn the_newest_are_kept_and_scaled_among_themselves() {
        assert_eq!(of(&[1_000.0, 0.0, 7.0], 2), "▁█");
        assert_eq!(of(&[1.0, 2.0], 0), "");
        assert_eq!(of(&[], 10), "");
        assert_eq!(of(&[0.0, 1.0], 10), "▁█");
    }

    #[test]
    fn what_never_moves_is_in_the_middle() {
        assert_eq!(of(&[5.0, 5.0, 5.0], 3), "▄▄▄");
        assert_eq!(of(&[0.0], 3), "▄");
    }

    #[test]
    fn gaps_are_gaps_and_change_no_scale() {
        let values = [
            Some(0.0),
            None,
            Some(f64::NAN),
            Some(f64::INFINITY),
            Some(1.0),
        ];
        assert_eq!(spark_in(Marks::Blocks, &values, 5), "▁   █");
        assert_eq!(spark_in(Marks::Blocks, &[None, None], 5), "  ");
    }

    #[test]
    fn numbers_at_the_edge_do_not_overflow() {
        assert_eq!(of(&[f64::MIN, 0.0, f64::MAX], 3), "▁▅█");
        assert_eq!(of(&[-1.0, 0.0, f64::MIN_POSITIVE], 3), "▁██");
    }

    #[test]
    fn plain_marks_where_blocks_cannot_be_shown() {
        let of = |pairs: &[(&str, &str)]| {
            Marks::of(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[]), Marks::Blocks);
        assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Marks::Blocks);
        assert_eq!(of(&[("LANG", "C")]), Marks::Ascii);
        assert_eq!(of(&[("LC_ALL", "C.utf8"), ("LANG", "C")]), Marks::Blocks);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "POSIX")]), Marks::Ascii);
        assert_eq!(
            of(&[("TERM", "linux"), ("LANG", "en_US.UTF-8")]),
            Marks::Ascii
        );
    }
}
