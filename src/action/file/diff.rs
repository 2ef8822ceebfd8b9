//! What a change would make of a file, as a unified diff: for rehearsals. Reads ([`content`]) and writes
//! nothing; a file that is no text, or a diff that is long, is told in numbers.

use std::io::Read;

use serde_json::json;

use super::place::{Place, io_error};
use crate::action::{ActionError, Simulated};
use crate::event::Outcome;

/// The longest file that is taken into memory.
const MOST: u64 = 64 << 20;
/// Unchanged lines around a change.
const AROUND: usize = 3;
/// Lines of a diff that are shown.
const MOST_LINES: usize = 200;
/// The most pairs of lines that are compared; beyond it the changed part stands as a whole.
const MOST_PAIRS: usize = 4_000_000;

/// What a change would make of a file.
pub struct Next {
    /// `None`: there is none.
    pub old: Option<Vec<u8>>,
    pub new: Vec<u8>,
    /// The permission bits that change, before and after.
    pub mode: Option<(u32, u32)>,
}

/// What the file holds, within the limit; `None` when it is not there.
pub fn content(place: &Place) -> Result<Option<Vec<u8>>, ActionError> {
    let Some(file) = place.open()? else {
        return Ok(None);
    };
    let mut old = Vec::new();
    file.take(MOST + 1)
        .read_to_end(&mut old)
        .map_err(|error| io_error(&place.shown, "read", &error))?;
    if old.len() as u64 > MOST {
        let message = format!("`{}` is over the limit of 64 MB", place.shown);
        return Err(ActionError::limit(Outcome::NotApplied, message));
    }
    Ok(Some(old))
}

/// What would become of the file at `path`.
pub fn simulated(
    path: &str,
    old: Option<&[u8]>,
    new: &[u8],
    mode: Option<(u32, u32)>,
) -> Simulated {
    let changed = old != Some(new) || mode.is_some();
    let facts = json!({
        "path": path,
        "changed": changed,
        "bytes_before": old.map(<[u8]>::len),
        "bytes": new.len(),
    });
    let would = match old {
        _ if !changed => format!("`{path}` is so already"),
        None => format!("`{path}` would be made, with {} bytes", new.len()),
        Some(old) => format!(
            "`{path}` would change from {} to {} bytes",
            old.len(),
            new.len()
        ),
    };
    let mut lines = Vec::new();
    lines.extend(mode.map(|(is, will)| format!("mode {is:04o} -> {will:04o}")));
    if old != Some(new) {
        match (
            std::str::from_utf8(old.unwrap_or_default()),
            std::str::from_utf8(new),
        ) {
            (Ok(old_text), Ok(new_text)) => {
                let before = if old.is_some() { path } else { "/dev/null" };
                lines.push(format!("--- {before}"));
                lines.push(format!("+++ {path}"));
                lines.extend(unified(old_text, new_text));
            }
            _ => lines.push("(no text)".into()),
        }
    }
    if lines.len() > MOST_LINES {
        let left = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!("({left} more lines)"));
    }
    Simulated::exactly(would, facts).detail(lines)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Both,
    Old,
    New,
}

/// The hunks of a unified diff.
fn unified(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let script = script(&old, &new);
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some(first) = (at..script.len()).find(|n| script[*n].0 != Side::Both) {
        let start = first.saturating_sub(AROUND).max(at);
        let mut end = first;
        let mut still = 0;
        while end < script.len() && still <= 2 * AROUND {
            still = if script[end].0 == Side::Both {
                still + 1
            } else {
                0
            };
            end += 1;
        }
        let end = end - still.saturating_sub(AROUND);
        let (a, b) = before(&script[..start]);
        let (m, n) = before(&script[start..end]);
        let from = |at: usize, count: usize| if count == 0 { at } else { at + 1 };
        lines.push(format!("@@ -{},{m} +{},{n} @@", from(a, m), from(b, n)));
        lines.extend(script[start..end].iter().map(|(side, line)| match side {
            Side::Both => format!(" {line}"),
            Side::Old => format!("-{line}"),
            Side::New => format!("+{line}"),
        }));
        at = end;
    }
    lines
}

/// How many lines of the old and of the new file these are.
fn before(script: &[(Side, &str)]) -> (usize, usize) {
    let count = |other: Side| script.iter().filter(|(side, _)| *side != other).count();
    (count(Side::New), count(Side::Old))
}

/// Every line of both files once, in order.
fn script<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (&old[same..], &new[same..]);
    let pairs = rest_old.iter().rev().zip(rest_new.iter().rev());
    let tail = pairs.take_while(|(a, b)| a == b).count();
    let (a, b) = (
        &rest_old[..rest_old.len() - tail],
        &rest_new[..rest_new.len() - tail],
    );
    let mut script: Vec<_> = old[..same].iter().map(|line| (Side::Both, *line)).collect();
    if a.len().saturating_mul(b.len()) > MOST_PAIRS {
        script.extend(a.iter().map(|line| (Side::Old, *line)));
        script.extend(b.iter().map(|line| (Side::New, *line)));
    } else {
        middle(a, b, &mut script);
    }
    script.extend(rest_old[a.len()..].iter().map(|line| (Side::Both, *line)));
    script
}

/// By the longest common subsequence.
fn middle<'a>(a: &[&'a str], b: &[&'a str], script: &mut Vec<(Side, &'a str)>) {
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            script.push((Side::Both, a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            script.push((Side::Old, a[i]));
            i += 1;
        } else {
            script.push((Side::New, b[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_what_diff_prints() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let new = "a\nb\nc\nD\ne\nf\ng\nh\ni\nj\nk\nl\nm\n";
        assert_eq!(
            unified(old, new),
            [
                "@@ -1,7 +1,7 @@",
                " a",
                " b",
                " c",
                "-d",
                "+D",
                " e",
                " f",
                " g",
                "@@ -10,3 +10,4 @@",
                " j",
                " k",
                " l",
                "+m"
            ]
        );
        assert_eq!(unified("", "x\n"), ["@@ -0,0 +1,1 @@", "+x"]);
        assert_eq!(unified(old, old), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_so_already_has_no_diff() {
        let same = simulated("f", Some(b"x"), b"x", None);
        assert_eq!(
            (same.would.as_str(), same.detail.len()),
            ("`f` is so already", 0)
        );
        let mode = simulated("f", Some(b"x"), b"x", Some((0o644, 0o600)));
        assert_eq!(mode.detail, ["mode 0644 -> 0600"]);
        let bytes = simulated("f", None, &[0xff], None);
        assert_eq!(bytes.detail, ["(no text)"]);
    }
}
