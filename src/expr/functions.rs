//! Functions: which there are and how they are called ([`check`]), ferry's own, and the way to those
//! of the crate `cel` ([`delegate`]).
//!
//! Must not: evaluate nodes. Arguments arrive as values.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, Expr as CelExpr, IdedExpr};
use cel::{Context, Env, ExecutionError, Value};

use super::error::{CompileError, did_you_mean};
use super::sql;
use super::units::{parse_data_size, parse_duration, short};
use super::value::{V, View};
use super::version::Version;

/// How many arguments, least and most.
type Arity = Option<(usize, usize)>;

/// Name, as a function, as a method.
const FUNCTIONS: &[(&str, Arity, Arity)] = &[
    ("size", Some((1, 1)), Some((0, 0))),
    ("int", Some((1, 1)), None),
    ("uint", Some((1, 1)), None),
    ("double", Some((1, 1)), None),
    ("string", Some((1, 1)), None),
    ("bool", Some((1, 1)), None),
    ("bytes", Some((1, 1)), None),
    ("dyn", Some((1, 1)), None),
    ("timestamp", Some((1, 1)), None),
    ("duration", Some((1, 1)), None),
    ("datasize", Some((1, 1)), None),
    ("semver", Some((1, 1)), None),
    ("elapsed", Some((1, 1)), None),
    ("sql_findings", Some((3, 3)), None),
    ("trim", Some((1, 1)), Some((0, 0))),
    ("lower", Some((1, 1)), Some((0, 0))),
    ("upper", Some((1, 1)), Some((0, 0))),
    ("matches", Some((2, 2)), Some((1, 1))),
    ("contains", None, Some((1, 1))),
    ("startsWith", None, Some((1, 1))),
    ("endsWith", None, Some((1, 1))),
    ("charAt", None, Some((1, 1))),
    ("indexOf", None, Some((1, 2))),
    ("lastIndexOf", None, Some((1, 2))),
    ("join", None, Some((0, 1))),
    ("replace", None, Some((2, 3))),
    ("split", None, Some((1, 2))),
    ("substring", None, Some((1, 2))),
    ("lowerAscii", None, Some((0, 0))),
    ("upperAscii", None, Some((0, 0))),
    ("getFullYear", None, Some((0, 1))),
    ("getMonth", None, Some((0, 1))),
    ("getDate", None, Some((0, 1))),
    ("getDayOfMonth", None, Some((0, 1))),
    ("getDayOfWeek", None, Some((0, 1))),
    ("getDayOfYear", None, Some((0, 1))),
    ("getHours", None, Some((0, 1))),
    ("getMinutes", None, Some((0, 1))),
    ("getSeconds", None, Some((0, 1))),
    ("getMilliseconds", None, Some((0, 1))),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _, _)| *name).chain([
        "has",
        "all",
        "exists",
        "exists_one",
        "map",
        "filter",
    ])
}

/// Refuses an unknown function, a wrong form of call, and a wrong number of arguments.
pub(super) fn check(
    name: &str,
    name_at: &Range<usize>,
    method: bool,
    given: usize,
    at: &Range<usize>,
) -> Result<(), CompileError> {
    let Some((_, function, as_method)) = FUNCTIONS.iter().find(|known| known.0 == name) else {
        let hint = match name {
            "len" | "length" | "count" => Some("write `size(x)` or `x.size()`".to_owned()),
            "now" => Some(
                "an expression cannot read the clock; `elapsed(\"phase\")` gives the time since a phase started"
                    .to_owned(),
            ),
            "float" | "number" => Some("write `double(x)`".to_owned()),
            "str" => Some("write `string(x)`".to_owned()),
            _ if is_loop(name) => Some(format!("write `list.{name}(x, ...)`")),
            _ => did_you_mean(name, names()),
        };
        return Err(
            CompileError::new(format!("unknown function `{name}`"), name_at).maybe_hint(hint),
        );
    };
    let (wanted, other) = if method {
        (as_method, function)
    } else {
        (function, as_method)
    };
    let Some((least, most)) = wanted else {
        let message = if method {
            format!("`{name}` is no method")
        } else {
            format!("`{name}` is a method")
        };
        let hint = if method {
            format!("write `{name}(x)`")
        } else {
            format!(
                "write `x.{name}({})`",
                if other.is_some_and(|(n, _)| n > 0) {
                    "..."
                } else {
                    ""
                }
            )
        };
        return Err(CompileError::new(message, name_at).hint(hint));
    };
    if (*least..=*most).contains(&given) {
        return Ok(());
    }
    let wanted = match (least, most) {
        (0, 0) => "no argument".to_owned(),
        (1, 1) => "one argument".to_owned(),
        (n, m) if n == m => format!("{n} arguments"),
        (n, m) => format!("{n} to {m} arguments"),
    };
    Err(CompileError::new(
        format!("`{name}` takes {wanted}, and {given} stand here"),
        at,
    ))
}

fn is_loop(name: &str) -> bool {
    super::tree::Loop::named(name).is_some()
}

/// Why a function gave no value.
pub(super) enum Refusal {
    /// The function does not take these kinds.
    Kinds,
    /// It takes them, and this value is wrong; in words.
    Value(String),
}

/// Calls a function on values; a method's target comes first. `elapsed` is not among them.
pub(super) fn call<'a>(name: &str, method: bool, args: &[V<'a>]) -> Result<V<'a>, Refusal> {
    match (name, args) {
        ("dyn", [value]) => Ok(value.clone()),
        ("size", [value]) => {
            let size = value.size().ok_or(Refusal::Kinds)?;
            Ok(V::from(i64::try_from(size).unwrap_or(i64::MAX)))
        }
        ("trim" | "lower" | "upper" | "datasize" | "semver" | "duration", [value]) => {
            match value.view() {
                View::Str(text) => on_text(name, text),
                View::Duration if name == "duration" => Ok(value.clone()),
                View::Version(_) if name == "semver" => Ok(value.clone()),
                _ => Err(Refusal::Kinds),
            }
        }
        ("sql_findings", [text, dialect, rules]) => match (text.view(), dialect.view()) {
            (View::Str(text), View::Str(dialect)) => sql_findings(text, dialect, rules),
            _ => Err(Refusal::Kinds),
        },
        ("string", [V::Version(version)]) => Ok(V::Cel(Value::from(version.to_string()))),
        _ => delegate(name, method, args),
    }
}

fn on_text<'a>(name: &str, text: &str) -> Result<V<'a>, Refusal> {
    Ok(match name {
        "trim" => V::Cel(Value::from(text.trim())),
        "lower" => V::Cel(Value::from(text.to_lowercase())),
        "upper" => V::Cel(Value::from(text.to_uppercase())),
        "datasize" => V::from(parse_data_size(text).map_err(Refusal::Value)?),
        "semver" => V::Version(Version::parse(text).ok_or_else(|| {
            let text = short(text);
            Refusal::Value(format!("`{text}` is no version such as `7.0.15`"))
        })?),
        _ => duration(parse_duration(text).map_err(Refusal::Value)?)?,
    })
}

/// What is dangerous in a SQL script, as a list of texts.
fn sql_findings<'a>(text: &str, dialect: &str, rules: &V<'_>) -> Result<V<'a>, Refusal> {
    let dialect = sql::Dialect::named(dialect)
        .ok_or_else(|| Refusal::Value(format!("`{}` is no dialect", short(dialect))))?;
    let serde_json::Value::Array(rules) = rules.to_json().map_err(Refusal::Value)? else {
        return Err(Refusal::Kinds);
    };
    let rules = rules.iter().map(|name| {
        let name = name.as_str().ok_or(Refusal::Kinds)?;
        sql::Rule::named(name)
            .ok_or_else(|| Refusal::Value(format!("`{}` is no rule", short(name))))
    });
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let found = sql::findings(text, dialect, &rules).map_err(Refusal::Value)?;
    Ok(V::Cel(Value::from(found)))
}

/// A CEL duration of so many nanoseconds.
pub(super) fn duration<'a>(nanos: i64) -> Result<V<'a>, Refusal> {
    // whole seconds and the rest apart: CEL reads each number as a double
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, rest) = (
        nanos.unsigned_abs() / 1_000_000_000,
        nanos.unsigned_abs() % 1_000_000_000,
    );
    let text = format!("{sign}{seconds}s{rest}ns");
    delegate("duration", false, &[V::Cel(Value::from(text))])
}

/// The standard library of CEL with its functions on strings, built once.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings)
        .expect("the functions on strings are not in the standard library");
    Arc::new(env)
});

/// Lets the crate `cel` carry out a function or an operator.
pub(super) fn delegate<'a>(name: &str, method: bool, args: &[V<'a>]) -> Result<V<'a>, Refusal> {
    let mut context = Context::with_env(ENV.clone());
    let mut names = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let name = format!("a{index}");
        context.add_variable_from_value(name.as_str(), arg.to_cel().ok_or(Refusal::Kinds)?);
        names.push(IdedExpr {
            id: 0,
            expr: CelExpr::Ident(name),
        });
    }
    let target = method.then(|| Box::new(names.remove(0)));
    let call = IdedExpr {
        id: 0,
        expr: CelExpr::Call(CallExpr {
            func_name: name.to_owned(),
            target,
            args: names,
        }),
    };
    Value::resolve(&call, &context).map(V::Cel).map_err(refusal)
}

fn refusal(error: ExecutionError) -> Refusal {
    match error {
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedKeyType(_) => Refusal::Kinds,
        ExecutionError::FunctionError { message, .. } => Refusal::Value(lower_first(&message)),
        other => Refusal::Value(lower_first(&other.to_string())),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).take(200).collect(),
        None => String::new(),
    }
}
