//! `file.copy`, `file.write` and `file.replace`: one file gets new content, atomically.
//!
//! A file that is there keeps its mode and owner. Content that is there already is not written again.

use std::path::Path;

use async_trait::async_trait;
use regex::bytes::{NoExpand, Regex};
use schemars::JsonSchema;
use serde::de;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::diff::{self, Next, content};
use super::mode::Mode;
use super::place::{Found, Owner, Place, missing};
use super::{Live, blocking, undo};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::Outcome;
use crate::runbook::Spec;

const RESULTS: &[(&str, &str)] = &[
    ("path", "the file, as given"),
    (
        "changed",
        "whether it was written; false when it was so already",
    ),
    ("bytes", "its length now"),
    ("sha256", "the hash of its content now"),
    ("mode", "its permission bits now, such as `0644`"),
];

/// Copies a file.
pub struct Copy;
/// Writes text to a file.
pub struct Write;
/// Replaces text in a file.
pub struct Replace;

/// From where to where.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyParams {
    /// The file to copy
    pub from: String,
    /// The file it becomes; a new one gets the mode of `from`
    pub to: String,
}

/// What to write.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteParams {
    /// The file
    pub path: String,
    /// Its whole content
    pub text: String,
    /// Permission bits such as `0640`; without it a file keeps its own, and a new one gets `0644`
    pub mode: Option<Mode>,
}

/// What to replace.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceParams {
    /// The file
    pub path: String,
    /// Literal text to find
    pub find: Option<String>,
    /// A regular expression to find
    pub pattern: Option<String>,
    /// What takes its place; with `pattern`, `$1` and `${name}` stand for groups
    #[serde(rename = "with")]
    pub by: String,
    /// How often it has to be found; without it, at least once
    pub count: Option<u64>,
}

/// What the language knows of `file.copy`.
pub static COPY: Spec = Spec {
    undo_auto: true,
    results: RESULTS,
    ..Spec::of::<CopyParams>("file.copy", "copy a file")
};

/// What the language knows of `file.write`.
pub static WRITE: Spec = Spec {
    undo_auto: true,
    results: RESULTS,
    ..Spec::of::<WriteParams>("file.write", "write text to a file")
};

/// What the language knows of `file.replace`.
pub static REPLACE: Spec = Spec {
    undo_auto: true,
    results: &[
        RESULTS[0],
        RESULTS[1],
        RESULTS[2],
        RESULTS[3],
        RESULTS[4],
        ("count", "how often it was replaced"),
    ],
    ..Spec::of::<ReplaceParams>("file.replace", "replace text in a file")
};

/// What the three have in common once their parameters are read.
trait Change: de::DeserializeOwned + Send + 'static {
    fn spec() -> &'static Spec;
    /// The file that changes.
    fn destination(&self) -> &str;
    fn describe(&self) -> String;
    fn apply(&self, cx: &Context, live: &Live, cwd: &Path) -> Result<Value, ActionError>;
    /// What would be there, and what is.
    fn next(&self, live: &Live, cwd: &Path) -> Result<Next, ActionError>;
}

macro_rules! change_action {
    ($action:ty, $params:ty) => {
        #[async_trait]
        impl Action for $action {
            fn spec(&self) -> &'static Spec {
                <$params>::spec()
            }

            fn describe(&self, call: &Call) -> String {
                match params::<$params>(<$params>::spec(), call) {
                    Ok(params) => params.describe(),
                    Err(_) => <$params>::spec().summary.to_owned(),
                }
            }

            async fn capture(
                &self,
                cx: &Context,
                call: &Call,
            ) -> Result<Option<Value>, ActionError> {
                let params: $params = params(<$params>::spec(), call)?;
                let (cx, cwd) = (cx.clone(), call.cwd.clone());
                blocking(move |live| {
                    let place = Place::to_write(&cwd, params.destination())?;
                    undo::capture(&cx, live, &place).map(Some)
                })
                .await
            }

            async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
                let params: $params = params(<$params>::spec(), call)?;
                let (cx, cwd) = (cx.clone(), call.cwd.clone());
                blocking(move |live| params.apply(&cx, live, &cwd)).await
            }

            async fn rehearse(
                &self,
                _: &ReadContext,
                call: &Call,
            ) -> Result<Rehearsed, ActionError> {
                let params: $params = params(<$params>::spec(), call)?;
                let cwd = call.cwd.clone();
                blocking(move |live| {
                    let next = params.next(live, &cwd)?;
                    Ok(diff::simulated(
                        params.destination(),
                        next.old.as_deref(),
                        &next.new,
                        next.mode,
                    )
                    .into())
                })
                .await
            }

            async fn restore(
                &self,
                cx: &Context,
                _: &Call,
                captured: &Value,
            ) -> Result<Value, ActionError> {
                let (cx, captured) = (cx.clone(), captured.clone());
                blocking(move |live| undo::restore(&cx, live, &captured)).await
            }
        }
    };
}

change_action!(Copy, CopyParams);
change_action!(Write, WriteParams);
change_action!(Replace, ReplaceParams);

fn done(place: &Place, changed: bool, found: &Found) -> Value {
    let mut result = json!({ "path": place.shown, "changed": changed });
    let fields = found.fields();
    for field in ["bytes", "sha256", "mode"] {
        result[field] = fields[field].clone();
    }
    result
}

/// Writes `bytes` unless they are there already, with that mode and owner.
fn write(
    cx: &Context,
    live: &Live,
    place: &Place,
    owner: Owner,
    bytes: &[u8],
) -> Result<Value, ActionError> {
    let there = place.look(live)?;
    let sha256 = format!("{:x}", Sha256::digest(bytes));
    if let Some(there) = there
        && there.sha256 == sha256
        && there.owner.mode == owner.mode
    {
        return Ok(done(place, false, &there));
    }
    let found = place.put_bytes(live, owner, bytes, |next| undo::note(cx, place, next))?;
    Ok(done(place, true, &found))
}

impl Change for CopyParams {
    fn spec() -> &'static Spec {
        &COPY
    }

    fn destination(&self) -> &str {
        &self.to
    }

    fn describe(&self) -> String {
        format!("copy `{}` to `{}`", self.from, self.to)
    }

    fn apply(&self, cx: &Context, live: &Live, cwd: &Path) -> Result<Value, ActionError> {
        let from = Place::to_read(cwd, &self.from)?;
        let to = Place::to_write(cwd, &self.to)?;
        let source = from.look(live)?.ok_or_else(|| missing(&self.from))?;
        let there = to.look(live)?;
        if let Some(there) = &there
            && there.sha256 == source.sha256
        {
            return Ok(done(&to, false, there));
        }
        let owner = there.map_or(
            Owner {
                mode: source.owner.mode,
                ids: None,
            },
            |there| there.owner,
        );
        let found = to.put_copy(live, owner, &from, |next| undo::note(cx, &to, next))?;
        Ok(done(&to, true, &found))
    }

    fn next(&self, _: &Live, cwd: &Path) -> Result<Next, ActionError> {
        let from = Place::to_read(cwd, &self.from)?;
        let to = Place::to_write(cwd, &self.to)?;
        let new = content(&from)?.ok_or_else(|| missing(&self.from))?;
        Ok(Next {
            old: content(&to)?,
            new,
            mode: None,
        })
    }
}

impl Change for WriteParams {
    fn spec() -> &'static Spec {
        &WRITE
    }

    fn destination(&self) -> &str {
        &self.path
    }

    fn describe(&self) -> String {
        format!("write {} bytes to `{}`", self.text.len(), self.path)
    }

    fn apply(&self, cx: &Context, live: &Live, cwd: &Path) -> Result<Value, ActionError> {
        let place = Place::to_write(cwd, &self.path)?;
        let mut owner = match place.look(live)? {
            Some(there) => there.owner,
            None => Owner {
                mode: 0o644,
                ids: None,
            },
        };
        if let Some(Mode(mode)) = self.mode {
            owner.mode = mode;
        }
        write(cx, live, &place, owner, self.text.as_bytes())
    }

    fn next(&self, live: &Live, cwd: &Path) -> Result<Next, ActionError> {
        let place = Place::to_write(cwd, &self.path)?;
        let is = place.look(live)?.map(|there| there.owner.mode);
        let mode = is.zip(self.mode.map(|Mode(mode)| mode));
        Ok(Next {
            old: content(&place)?,
            new: self.text.clone().into_bytes(),
            mode: mode.filter(|(is, will)| is != will),
        })
    }
}

impl ReplaceParams {
    /// The new content of a file that holds `old`, with as many places as were expected.
    fn checked(&self, old: &[u8]) -> Result<(Vec<u8>, u64), ActionError> {
        let (new, count) = self.replaced(old)?;
        if self.count.map_or(count == 0, |expected| count != expected) {
            let expected = match self.count {
                Some(expected) => format!("{expected} times were expected"),
                None => "at least once was expected".into(),
            };
            let message = format!("found {count} times in `{}`, {expected}", self.path);
            let error = ActionError::failed(Outcome::NotApplied, message);
            return Err(error.result(json!({ "path": self.path, "count": count })));
        }
        Ok((new, count))
    }

    /// The new content, and how often it was found.
    fn replaced(&self, old: &[u8]) -> Result<(Vec<u8>, u64), ActionError> {
        let wrong = |why: String| ActionError::invalid(format!("`file.replace`: {why}"));
        let regex = match (&self.find, &self.pattern) {
            (Some(find), None) if !find.is_empty() => Regex::new(&regex::escape(find)),
            (Some(_), None) => return Err(wrong("`find` is empty".into())),
            (None, Some(pattern)) => Regex::new(pattern),
            _ => return Err(wrong("either `find` or `pattern` has to be given".into())),
        };
        let regex = regex.map_err(|error| wrong(format!("`pattern`: {error}")))?;
        let count = regex.find_iter(old).count() as u64;
        let new = match self.find {
            Some(_) => regex.replace_all(old, NoExpand(self.by.as_bytes())),
            None => regex.replace_all(old, self.by.as_bytes()),
        };
        Ok((new.into_owned(), count))
    }
}

impl Change for ReplaceParams {
    fn spec() -> &'static Spec {
        &REPLACE
    }

    fn destination(&self) -> &str {
        &self.path
    }

    fn describe(&self) -> String {
        let what = self.find.as_ref().or(self.pattern.as_ref());
        let what = what.map_or("", String::as_str);
        format!("replace `{what}` by `{}` in `{}`", self.by, self.path)
    }

    fn apply(&self, cx: &Context, live: &Live, cwd: &Path) -> Result<Value, ActionError> {
        let place = Place::to_write(cwd, &self.path)?;
        let old = content(&place)?.ok_or_else(|| missing(&self.path))?;
        let (new, count) = self.checked(&old)?;
        let there = place.look(live)?.ok_or_else(|| missing(&self.path))?;
        if there.sha256 != format!("{:x}", Sha256::digest(&old)) {
            let message = format!("`{}` was written to while it was read", self.path);
            return Err(ActionError::failed(Outcome::NotApplied, message).retryable(true));
        }
        let mut result = write(cx, live, &place, there.owner, &new)?;
        result["count"] = count.into();
        Ok(result)
    }

    fn next(&self, _: &Live, cwd: &Path) -> Result<Next, ActionError> {
        let place = Place::to_write(cwd, &self.path)?;
        let old = content(&place)?.ok_or_else(|| missing(&self.path))?;
        let (new, _) = self.checked(&old)?;
        Ok(Next {
            old: Some(old),
            new,
            mode: None,
        })
    }
}
