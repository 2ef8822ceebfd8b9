//! Values in a query: [`filled`] puts them in place of `$name`, never as a part of the program; and
//! whether a query is no more than one selector, [`is_selector`].

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

/// What may stand behind a selector and leaves it one.
static MOVED: LazyLock<Regex> = LazyLock::new(|| {
    let text = r"^(\s*(offset\s+-?[0-9a-z.]+|@\s*(-?[0-9.]+|(start|end)\(\))))*\s*$";
    Regex::new(text).expect("a constant pattern")
});

/// The query with each `$name` outside of its strings and comments replaced by the value of that name:
/// a text as a quoted string, a number as itself.
///
/// # Errors
/// What is missing, left over, or no value.
pub fn filled(query: &str, args: &Map<String, Value>) -> Result<String, String> {
    let mut made = String::with_capacity(query.len());
    let mut used = Vec::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' | '`' => string(rest, c),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '$' => {
                let name = name(&rest[1..]);
                let value = args
                    .get(name)
                    .ok_or_else(|| format!("there is no value for `${name}` in `args`"))?;
                made += &literal(name, value)?;
                used.push(name);
                rest = &rest[1 + name.len()..];
                continue;
            }
            c => c.len_utf8(),
        };
        made += &rest[..length];
        rest = &rest[length..];
    }
    match args.keys().find(|key| !used.contains(&key.as_str())) {
        Some(key) => Err(format!("`args` has `{key}`, and the query has no `${key}`")),
        None => Ok(made),
    }
}

/// Whether the query is `name`, `name{..}` or `{..}`, at most moved in time.
pub fn is_selector(query: &str) -> bool {
    let query = query.trim();
    let end = query.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':'));
    let (metric, mut rest) = query.split_at(end.unwrap_or(query.len()));
    rest = rest.trim_start();
    if rest.starts_with('{') {
        let mut end = None;
        let mut at = 1;
        while let Some(c) = rest[at..].chars().next() {
            at += match c {
                '"' | '\'' | '`' => string(&rest[at..], c),
                c => c.len_utf8(),
            };
            if c == '}' {
                end = Some(at);
                break;
            }
        }
        let Some(end) = end else { return false };
        rest = &rest[end..];
    } else if metric.is_empty() || metric.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    MOVED.is_match(rest)
}

fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The length of the string that begins here, to the end when it has none.
fn string(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote != '`' => {
                chars.next();
            }
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn literal(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => {
            let mut quoted = String::from("\"");
            for c in text.chars() {
                match c {
                    '"' => quoted += "\\\"",
                    '\\' => quoted += "\\\\",
                    '\n' => quoted += "\\n",
                    c if c.is_control() => {
                        return Err(format!(
                            "the value of `{name}` has a control character in it"
                        ));
                    }
                    c => quoted.push(c),
                }
            }
            Ok(quoted + "\"")
        }
        _ => Err(format!("the value of `{name}` is not a text or a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(query: &str, args: &Value) -> Result<String, String> {
        filled(query, args.as_object().unwrap())
    }

    #[test]
    fn one_selector_is_told_from_the_rest() {
        for query in [
            "up",
            " job:up:rate5m ",
            r#"up{a="}", b=~'x'}"#,
            "{a=\"b\"}",
            "up offset 5m",
            "up{} @ 1700.5 offset -1s",
        ] {
            assert!(is_selector(query), "{query}");
        }
        for query in [
            "up + 1",
            "sum(up)",
            "rate(up[1m])",
            "up[1m]",
            "7",
            "",
            "up{a=\"b\"",
            "up or down",
        ] {
            assert!(!is_selector(query), "{query}");
        }
    }

    #[test]
    fn values_stay_values() {
        assert_eq!(
            fill(
                r#"up{job=~"a$", instance=$at} > $limit # $no"#,
                &json!({"at": "h\"} or vector(1) #", "limit": 0.5})
            )
            .unwrap(),
            r#"up{job=~"a$", instance="h\"} or vector(1) #"} > 0.5 # $no"#
        );
        assert_eq!(fill("up{a='\\'$x'}", &json!({})).unwrap(), "up{a='\\'$x'}");
        for (query, args, why) in [
            (
                "up{a=$b}",
                json!({}),
                "there is no value for `$b` in `args`",
            ),
            (
                "up",
                json!({"b": 1}),
                "`args` has `b`, and the query has no `$b`",
            ),
            (
                "$b",
                json!({"b": []}),
                "the value of `b` is not a text or a number",
            ),
        ] {
            assert_eq!(fill(query, &args).unwrap_err(), why, "{query}");
        }
    }
}
