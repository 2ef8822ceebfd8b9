//! Patterns of OpenSSH: `*` and `?` in names, lists with commas, `!` for what is left out.

/// Whether a list of patterns takes a name: one of them fits, and none that starts with `!` does.
pub(super) fn takes(list: &str, name: &str) -> bool {
    let mut taken = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => taken |= fits(pattern.as_bytes(), name.as_bytes()),
        }
    }
    taken
}

/// Whether one pattern fits a name as a whole; linear in their product, whatever the pattern.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // the last `*`, and where in the name it began to take
    let mut star = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((before, took)) => {
                    at = before + 1;
                    seen = took + 1;
                    star = Some((before, seen));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::takes;

    #[test]
    fn lists_take_and_leave_out() {
        for (list, name, taken) in [
            ("ana", "ana", true),
            ("ana", "anas", false),
            ("ana", "Ana", false),
            ("a*", "ana", true),
            ("*@example.com", "ana@example.com", true),
            ("*@example.com", "ana@example.org", false),
            ("a?a", "ana", true),
            ("a?a", "aa", false),
            ("*", "", true),
            ("", "ana", false),
            ("bo,ana", "ana", true),
            ("*,!ana", "ana", false),
            ("!ana,*", "ana", false),
            ("!bo", "ana", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZd", false),
        ] {
            assert_eq!(takes(list, name), taken, "{list} {name}");
        }
        let long = "a".repeat(20_000);
        assert!(!takes(&format!("{}b", "*a".repeat(30)), &long));
    }
}
