//! Calls, literals of lists and maps, and loops (`all`, `exists`, `map`, ...) of [`Eval`].
//!
//! Must not: know how a single function works (that is `functions`).

use std::collections::HashMap;

use cel::Value;
use cel::objects::Key;

use super::error::{EvalError, a};
use super::eval::{Eval, Evaluated, MAX_TRACE, SHOWN};
use super::functions::{self, Refusal};
use super::tree::{Kind, Loop, Node};
use super::units;
use super::value::{V, View};

impl<'a> Eval<'a> {
    pub(super) fn call(&mut self, node: &'a Node) -> Evaluated<'a> {
        let Kind::Call {
            target, name, args, ..
        } = &node.kind
        else {
            return Err(EvalError::wrong("this is no call", &node.at));
        };
        let nodes: Vec<&'a Node> = target.as_deref().into_iter().chain(args).collect();
        let mut values = Vec::with_capacity(nodes.len());
        for arg in &nodes {
            let value = self.eval(arg)?;
            self.present(arg, &value)?;
            values.push(value);
        }
        if name == "elapsed" {
            return self.elapsed(node, &values);
        }
        functions::call(name, target.is_some(), &values).map_err(|refusal| match refusal {
            Refusal::Kinds => {
                let kinds: Vec<_> = values.iter().map(V::kind).collect();
                let of: Vec<_> = nodes.iter().map(|node| self.named(node)).collect();
                EvalError::wrong(
                    format!(
                        "`{name}` does not take {} ({})",
                        of.join(", "),
                        kinds.join(", ")
                    ),
                    &node.at,
                )
            }
            Refusal::Value(message) => {
                let error = EvalError::wrong(format!("{}: {message}", self.named(node)), &node.at);
                match values.first().map(V::view) {
                    Some(View::Str(text))
                        if matches!(name.as_str(), "int" | "double" | "uint")
                            && text.trim() != text =>
                    {
                        error.hint(format!("write `{name}({}.trim())`", self.source(nodes[0])))
                    }
                    _ => error,
                }
            }
        })
    }

    pub(super) fn elapsed(&self, node: &Node, values: &[V<'a>]) -> Evaluated<'a> {
        let Some(View::Str(phase)) = values.first().map(V::view) else {
            return Err(EvalError::wrong(
                "`elapsed` takes the name of a phase",
                &node.at,
            ));
        };
        let seconds = self.scope.elapsed(phase).ok_or_else(|| {
            EvalError::no_data(format!("phase `{phase}` has not started"), &node.at)
        })?;
        let nanos = units::parse_duration(&format!("{:.6}s", seconds.max(0.0)));
        nanos
            .ok()
            .and_then(|nanos| functions::duration(nanos).ok())
            .ok_or_else(|| {
                EvalError::no_data(
                    format!("the time since phase `{phase}` started is not known"),
                    &node.at,
                )
            })
    }

    pub(super) fn literal(&mut self, node: &'a Node) -> Evaluated<'a> {
        match &node.kind {
            Kind::List(all) => {
                let mut list = Vec::with_capacity(all.len());
                for item in all {
                    list.push(self.plain(item)?);
                }
                Ok(V::Cel(Value::from(list)))
            }
            Kind::Map(entries) => {
                let mut map: HashMap<Key, Value> = HashMap::with_capacity(entries.len());
                for (key_node, value) in entries {
                    let key = self.eval(key_node)?;
                    let key = match key.view() {
                        View::Str(text) => Key::String(text.to_owned().into()),
                        View::Int(v) => Key::Int(v),
                        View::UInt(v) => Key::Uint(v),
                        View::Bool(v) => Key::Bool(v),
                        view => {
                            return Err(EvalError::wrong(
                                format!("{} cannot be the key of a map", a(view.kind())),
                                &key_node.at,
                            ));
                        }
                    };
                    let value = self.plain(value)?;
                    if map.insert(key, value).is_some() {
                        return Err(EvalError::wrong(
                            format!("the key {} stands twice in the map", self.named(key_node)),
                            &key_node.at,
                        ));
                    }
                }
                Ok(V::Cel(Value::from(map)))
            }
            _ => Err(EvalError::wrong("this has no value", &node.at)),
        }
    }

    pub(super) fn plain(&mut self, node: &'a Node) -> Result<Value, EvalError> {
        let value = self.eval(node)?;
        self.as_cel(node, &value)
    }

    pub(super) fn as_cel(&self, node: &Node, value: &V<'_>) -> Result<Value, EvalError> {
        value.to_cel().ok_or_else(|| {
            EvalError::wrong(
                format!(
                    "{} is {}, which cannot stand in a list or map",
                    self.named(node),
                    a(value.kind())
                ),
                &node.at,
            )
        })
    }

    pub(super) fn looped(&mut self, node: &'a Node) -> Evaluated<'a> {
        let Kind::Loop {
            form,
            over,
            var,
            steps,
        } = &node.kind
        else {
            return Err(EvalError::wrong("this is no loop", &node.at));
        };
        let whole = self.operand(over)?;
        self.present(over, &whole)?;
        let items = whole.items().ok_or_else(|| {
            EvalError::wrong(
                format!(
                    "`{}` goes through a list or map, and {} is {}",
                    form.name(),
                    self.named(over),
                    a(whole.kind())
                ),
                &over.at,
            )
        })?;
        if items.is_empty() && *form == Loop::All && self.judging {
            return Err(EvalError::no_data(
                format!("{} is empty, so `all` says nothing", self.named(over)),
                &node.at,
            )
            .hint(format!(
                "if empty is fine, write `size({0}) == 0 || {0}.all(...)`",
                self.source(over)
            )));
        }
        let mut kept = Vec::new();
        let mut hits = 0;
        for (position, item) in items.into_iter().enumerate() {
            self.locals.push((var, item.clone()));
            let step = self.turn(*form, steps, &item);
            self.locals.pop();
            let Some(found) = step? else { continue };
            hits += 1;
            match form {
                Loop::Map | Loop::Filter => kept.push(found),
                Loop::All | Loop::Exists => {
                    // for `all` the found one is the first that is false
                    self.note_element(over, position, &item);
                    return Ok(V::from(*form == Loop::Exists));
                }
                Loop::ExistsOne => {}
            }
        }
        Ok(match form {
            Loop::Map | Loop::Filter => V::Cel(Value::from(kept)),
            Loop::All => V::from(true),
            Loop::Exists => V::from(false),
            Loop::ExistsOne => V::from(hits == 1),
        })
    }

    /// One element: what it adds to the result, or `None` to pass over it.
    pub(super) fn turn(
        &mut self,
        form: Loop,
        steps: &'a [Node],
        item: &V<'a>,
    ) -> Result<Option<Value>, EvalError> {
        let (condition, value) = match steps {
            [value] if form == Loop::Map => return self.plain(value).map(Some),
            [condition, value, ..] => (condition, Some(value)),
            [condition] => (condition, None),
            [] => return Ok(None),
        };
        if self.truth(condition)? == (form == Loop::All) {
            return Ok(None);
        }
        match (form, value) {
            (Loop::Filter, _) => self.as_cel(condition, item).map(Some),
            (_, Some(value)) => self.plain(value).map(Some),
            _ => Ok(Some(Value::Null)),
        }
    }

    /// The element that decided a loop.
    pub(super) fn note_element(&mut self, over: &Node, position: usize, item: &V<'a>) {
        if self.judging && self.locals.is_empty() && self.trace.len() < MAX_TRACE {
            let text = format!("{}[{position}]", self.source(over));
            self.trace.push((over.at.clone(), text, item.render(SHOWN)));
        }
    }
}
