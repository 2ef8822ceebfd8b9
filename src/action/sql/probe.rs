//! What the probes of a database's own state have in common: [`look`] reads on a session of the run or
//! of a rehearsal, [`head`] shows of a statement what holds no values.

use serde_json::{Map, Value};

use super::client::{Endpoint, Session};
use super::conn::Fault;
use super::reading::Reader;
use super::text::{Piece, pieces};
use super::tx;
use crate::action::http::Asker;
use crate::action::{ActionError, Call};
use crate::event::Outcome;
use crate::runbook::TargetKind;

/// Words of a statement that are shown.
const WORDS: usize = 4;

/// The kinds of servers that can tell of themselves.
pub const SERVERS: &[TargetKind] = &[TargetKind::Postgres, TargetKind::Mysql];

/// A row of a catalog.
pub type Row = Map<String, Value>;

/// Runs `work` in a transaction that only reads.
///
/// # Errors
/// That the target is no server; why there is no connection; what the server says.
pub async fn look<T>(
    asker: Asker<'_>,
    call: &Call,
    work: impl AsyncFnOnce(&mut Session) -> Result<T, Fault>,
) -> Result<T, ActionError> {
    let at = Endpoint::of(call)?;
    if !SERVERS.contains(&at.kind) {
        let message = format!("{}: SQLite has no `{}`", at.label(), call.key);
        return Err(ActionError::invalid(message)
            .hint("a file has no server: nobody waits in it, and nothing is replicated"));
    }
    let read = async |session: &mut Session| {
        tx::begin_read(session).await?;
        let found = work(session).await?;
        tx::end_read(session).await?;
        Ok(found)
    };
    let cx = match asker {
        Asker::Rehearsal(cx) => return Reader::open(cx, call).await?.read(cx, read).await,
        Asker::Run(cx) => cx,
    };
    let mut session = Session::open(cx, call).await?;
    let stopper = session.stopper();
    let work = async {
        let found = read(&mut session).await;
        found.map_err(|fault| session.explain(&fault, Outcome::NotApplied))
    };
    let found = stopper
        .watch(cx, work)
        .await
        .map_err(|ended| ended.into_error(stopper.at(), Outcome::NotApplied))?;
    session.done(cx);
    Ok(found)
}

/// The first words of a statement, up to the first value or sign: `update invoices set paid`. `None`
/// when the text is not shown to us, or begins with no word.
pub fn head(text: &Value, kind: TargetKind) -> Option<String> {
    let words = pieces(text.as_str()?, kind)
        .into_iter()
        .map(|piece| match piece {
            Piece::Word(word) if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                Some(word)
            }
            _ => None,
        });
    let words: Vec<String> = words.take(WORDS).map_while(|word| word).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The largest of figures that all have to be known; `None` of none.
pub fn largest(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let all: Option<Vec<f64>> = figures.collect();
    all?.into_iter().reduce(f64::max)
}

/// A number of a row, also where the server sends it as a text.
pub fn number(row: &Row, key: &str) -> Option<f64> {
    let value = row.get(key)?;
    value
        .as_f64()
        .or_else(|| value.as_str()?.parse().ok())
        .filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_statement_no_value_is_shown() {
        let of = |text: &str| head(&json!(text), TargetKind::Postgres);
        for (text, shown) in [
            (
                "update t set v = 'secret' where id = 7",
                Some("update t set v"),
            ),
            (
                "alter role ann password 'secret'",
                Some("alter role ann password"),
            ),
            ("set app.token to abc", Some("set app")),
            ("select 'secret'", Some("select")),
            ("select 12345", Some("select")),
            ("/* secret */ lock table t", Some("lock table t")),
            ("<insufficient privilege>", None),
            ("", None),
        ] {
            assert_eq!(of(text).as_deref(), shown, "{text}");
        }
        assert_eq!(head(&Value::Null, TargetKind::Postgres), None);
    }

    #[test]
    fn one_unknown_figure_leaves_no_largest() {
        assert_eq!(
            largest([Some(1.0), Some(3.0), Some(2.0)].into_iter()),
            Some(3.0)
        );
        assert_eq!(largest([Some(1.0), None].into_iter()), None);
        assert_eq!(largest([].into_iter()), None);
    }
}
