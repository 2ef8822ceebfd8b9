//! The HTTP API of Prometheus, as far as it is asked: [`Api`] sends a query and reads what comes back.
//!
//! An error of the API is a failed call with the API's words; what is not the API at all is said so.

use serde_json::{Map, Value, json};

use crate::action::http::{Asker, get_json};
use crate::action::{ActionError, Call};
use crate::event::{Cause, Outcome};

/// Most series that are read.
const MOST: usize = 10_000;
/// Longest query that fits into an address everywhere.
const LONGEST: usize = 4_000;

/// A value at a time; `None` for NaN and infinite ones, and for what is no number (a histogram).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub at: f64,
    pub value: Option<f64>,
}

/// A series' labels, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Value,
    pub point: Point,
}

/// A series' labels, and its values in a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: Value,
    pub points: Vec<Point>,
}

/// What a query gave.
#[derive(Debug, PartialEq)]
pub enum Data {
    Vector(Vec<Sample>),
    Scalar(Sample),
    Matrix(Vec<Series>),
}

/// One conversation.
pub struct Api<'a> {
    asker: Asker<'a>,
    call: &'a Call,
    /// What the server warned of.
    pub warnings: Vec<String>,
}

impl<'a> Api<'a> {
    /// With the call's target.
    pub fn new(asker: Asker<'a>, call: &'a Call) -> Self {
        Self {
            asker,
            call,
            warnings: Vec::new(),
        }
    }

    /// A query for a moment, in seconds since the Unix epoch; for now when none is given.
    ///
    /// # Errors
    /// When it is not answered, or with an error.
    pub async fn instant(&mut self, query: &str, at: Option<f64>) -> Result<Data, ActionError> {
        let mut ask = json!({ "query": query });
        if let Some(at) = at {
            ask["time"] = format!("{at:.3}").into();
        }
        self.query("/api/v1/query", ask).await
    }

    /// What the server's clock says, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Like [`Api::instant`].
    pub async fn time(&mut self) -> Result<f64, ActionError> {
        match self.instant("time()", None).await? {
            Data::Scalar(sample) => Ok(sample.point.at),
            _ => Err(self.strange("it does not know the time")),
        }
    }

    /// A query over a range; times in seconds.
    ///
    /// # Errors
    /// Like [`Api::instant`].
    pub async fn range(
        &mut self,
        query: &str,
        start: f64,
        end: f64,
        step: f64,
    ) -> Result<Vec<Series>, ActionError> {
        let ask = json!({
            "query": query,
            "start": format!("{start:.3}"),
            "end": format!("{end:.3}"),
            "step": format!("{step:.3}"),
        });
        match self.query("/api/v1/query_range", ask).await? {
            Data::Matrix(series) => Ok(series),
            _ => Err(self.strange("a range gave no series")),
        }
    }

    async fn query(&mut self, path: &str, ask: Value) -> Result<Data, ActionError> {
        let Value::Object(ask) = ask else {
            return Err(self.strange("nothing was asked"));
        };
        if ask["query"].as_str().map_or(0, str::len) > LONGEST {
            let message = format!(
                "`{}`: the query is longer than {LONGEST} bytes",
                self.call.key
            );
            return Err(ActionError::invalid(message).hint("make a recording rule of it"));
        }
        let said = get_json(self.asker, self.call, path, ask).await?;
        let body = said.json.unwrap_or(Value::Null);
        match body["status"].as_str() {
            Some("success") => {}
            Some("error") => return Err(refused(&said.place, said.status, &body)),
            _ => return Err(no_api(&said.place, said.status)),
        }
        for warning in body["warnings"].as_array().into_iter().flatten() {
            let text = warning.as_str().unwrap_or_default().to_owned();
            if self.warnings.len() < 20 && !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
        data(&body["data"]).map_err(|why| match why {
            Odd::TooMany(n) => ActionError::limit(
                Outcome::NotApplied,
                format!("{}: {n} series, more than {MOST}", said.place),
            )
            .hint("narrow the query, or put `sum(..)`, `max(..)` or `topk(..)` around it"),
            Odd::Text => ActionError::invalid(format!("{}: the query gives a text", said.place)),
            Odd::Shape => self.strange("its answer has a shape that is not known"),
        })
    }

    fn strange(&self, why: &str) -> ActionError {
        let name = self.call.target.as_ref().map_or("", |target| &target.name);
        ActionError::failed(Outcome::NotApplied, format!("target `{name}`: {why}"))
    }
}

/// An error of the API, in its words.
fn refused(place: &str, status: u16, body: &Value) -> ActionError {
    let kind = body["errorType"].as_str().unwrap_or("error");
    let words = body["error"].as_str().unwrap_or("no reason is given");
    let words: String = words.chars().take(500).collect();
    let message = format!("{place}: Prometheus answered `{kind}`: {words}");
    let again = matches!(kind, "timeout" | "canceled" | "unavailable" | "internal");
    let cause = match kind {
        "bad_data" => Cause::Invalid,
        "timeout" => Cause::Timeout,
        _ if matches!(status, 401 | 403) => Cause::Denied,
        _ => Cause::Failed,
    };
    ActionError::new(cause, Outcome::NotApplied, message).retryable(again)
}

/// An answer that is not the API's.
fn no_api(place: &str, status: u16) -> ActionError {
    let cause = match status {
        401 | 403 => Cause::Denied,
        _ => Cause::Failed,
    };
    let message = format!("{place}: status {status}, and not the API of Prometheus");
    ActionError::new(cause, Outcome::NotApplied, message)
        .retryable(matches!(status, 429 | 502..=504))
        .hint("the target's address is where `/api/v1/query` is below, such as `http://host:9090`")
}

/// Why data cannot be taken.
#[derive(Debug, PartialEq, Eq)]
enum Odd {
    TooMany(usize),
    Text,
    Shape,
}

fn data(data: &Value) -> Result<Data, Odd> {
    let result = &data["result"];
    let list = || {
        let list = result.as_array().ok_or(Odd::Shape)?;
        match list.len() {
            n if n > MOST => Err(Odd::TooMany(n)),
            _ => Ok(list.iter()),
        }
    };
    match data["resultType"].as_str() {
        Some("vector") => list()?.map(sample).collect::<Option<_>>().map(Data::Vector),
        Some("matrix") => list()?.map(series).collect::<Option<_>>().map(Data::Matrix),
        Some("scalar") => point(result).map(|point| {
            let labels = Value::Object(Map::new());
            Data::Scalar(Sample { labels, point })
        }),
        Some("string") => return Err(Odd::Text),
        _ => None,
    }
    .ok_or(Odd::Shape)
}

fn sample(one: &Value) -> Option<Sample> {
    let given = one.get("value").or_else(|| one.get("histogram"))?;
    Some(Sample {
        labels: one.get("metric")?.clone(),
        point: point(given)?,
    })
}

fn series(one: &Value) -> Option<Series> {
    let given = ["values", "histograms"].map(|key| one.get(key).and_then(Value::as_array));
    let points = given.into_iter().flatten().flatten().map(point);
    Some(Series {
        labels: one.get("metric")?.clone(),
        points: points.collect::<Option<_>>()?,
    })
}

/// `[1763721296.789, "0.5"]`; numbers are texts there, so that NaN can be told.
fn point(pair: &Value) -> Option<Point> {
    let [at, value] = pair.as_array()?.as_slice() else {
        return None;
    };
    let value = value.as_str().and_then(|text| text.parse::<f64>().ok());
    Some(Point {
        at: at.as_f64()?,
        value: value.filter(|value| value.is_finite()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_finite_number_has_no_value() {
        let at = |text: &str| point(&json!([1.5, text])).unwrap().value;
        assert_eq!(at("0.25"), Some(0.25));
        assert_eq!(at("1e3"), Some(1_000.0));
        for text in ["NaN", "+Inf", "-Inf", "x", ""] {
            assert_eq!(at(text), None, "{text}");
        }
        assert_eq!(point(&json!([1, {"count": "3"}])).unwrap().value, None);
        assert_eq!(point(&json!([1])), None);
    }

    #[test]
    fn answers_of_every_type_are_told_apart() {
        let one = json!({"metric": {"a": "b"}, "value": [1, "2"]});
        let of = |kind: &str, result: Value| data(&json!({"resultType": kind, "result": result}));
        assert!(matches!(of("vector", json!([one])), Ok(Data::Vector(all)) if all.len() == 1));
        assert!(matches!(of("scalar", json!([1, "2"])), Ok(Data::Scalar(_))));
        assert_eq!(of("string", json!([1, "x"])), Err(Odd::Text));
        assert_eq!(of("vector", json!([{}])), Err(Odd::Shape));
        assert_eq!(of("other", json!([])), Err(Odd::Shape));
        let many = vec![one; MOST + 1];
        assert_eq!(of("vector", json!(many)), Err(Odd::TooMany(MOST + 1)));
    }
}
