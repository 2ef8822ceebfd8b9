//! Walks the tree: [`Eval`] gives the value of a node, or says what has no value and where.
//!
//! Left to right: an operand of `&&` and `||` that has no value makes the whole have none, even where
//! CEL would let the other side answer. Must not: decide verdicts (that is `judge`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use cel::Value;
use cel::objects::Key;
use serde_json::Value as Json;

use super::check::member_of;
use super::error::{EvalError, a, did_you_mean};
use super::functions::{self, Refusal};
use super::operators::{Trouble, arithmetic, contains, order, same};
use super::tree::{Kind, Loop, Node, Op};
use super::value::{V, View};
use super::{Scope, units};

/// Nodes that one evaluation may visit: loops in loops over large lists end here.
const MAX_VISITS: u32 = 2_000_000;

/// Characters of a value in a message or in the evidence.
pub(super) const SHOWN: usize = 200;

/// Most sub-values in one piece of evidence.
const MAX_TRACE: usize = 24;

/// What the scope answered, asked once per (root, first member).
pub(super) type Asked<'s> = Vec<(&'s str, Option<&'s str>, Option<Cow<'s, Json>>)>;

pub(super) fn ask<'s>(asks: &'s [(String, Option<String>)], scope: &'s dyn Scope) -> Asked<'s> {
    asks.iter()
        .map(|(root, member)| {
            let member = member.as_deref();
            (root.as_str(), member, scope.value(root, member))
        })
        .collect()
}

pub(super) struct Eval<'a> {
    text: &'a str,
    asked: &'a Asked<'a>,
    scope: &'a dyn Scope,
    /// For a judgement: values are traced, and a loop over nothing proves nothing.
    judging: bool,
    locals: Vec<(&'a str, V<'a>)>,
    visits: u32,
    pub trace: Vec<(Range<usize>, String, String)>,
}

type Evaluated<'a> = Result<V<'a>, EvalError>;

impl<'a> Eval<'a> {
    pub fn new(text: &'a str, asked: &'a Asked<'a>, scope: &'a dyn Scope, judging: bool) -> Self {
        Self {
            text,
            asked,
            scope,
            judging,
            locals: Vec::new(),
            visits: 0,
            trace: Vec::new(),
        }
    }

    pub fn source(&self, node: &Node) -> &'a str {
        &self.text[node.at.clone()]
    }

    /// The node's text, cut to what fits a message.
    pub fn named(&self, node: &Node) -> String {
        let text = self.source(node);
        if text.chars().count() <= 80 {
            return format!("`{text}`");
        }
        let head: String = text.chars().take(80).collect();
        format!("`{head}…`")
    }

    pub fn eval(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(EvalError::wrong(
                format!("the expression takes more than {MAX_VISITS} operations"),
                &node.at,
            ));
        }
        match &node.kind {
            Kind::Lit(lit) => Ok(V::from(lit)),
            Kind::Name(_) | Kind::Select { .. } | Kind::Index { .. } => {
                let value = self.path(node)?;
                if node.is_path() {
                    self.note(node, &value);
                }
                Ok(value)
            }
            Kind::Has(tested) => self.has(tested),
            Kind::Call { .. } => self.call(node),
            Kind::Not(_) | Kind::Neg(_) | Kind::And(_) | Kind::Or(_) | Kind::If(_) => {
                self.logic(node)
            }
            Kind::Binary { op, sides } if op.compares() => {
                let [left, right] = &**sides;
                self.compare(node, *op, left, right)
            }
            Kind::Binary { op, sides } => {
                let [left, right] = &**sides;
                self.compute(node, *op, left, right)
            }
            Kind::List(_) | Kind::Map(_) => self.literal(node),
            Kind::Loop { .. } => self.looped(node),
        }
    }

    /// Keeps a value for the evidence; not inside loops, where one text has many values.
    fn note(&mut self, node: &Node, value: &V<'a>) {
        if !self.judging || !self.locals.is_empty() || node.is_literal() {
            return;
        }
        let known = self.trace.iter().any(|(at, _, _)| *at == node.at);
        if !known && self.trace.len() < MAX_TRACE {
            let text = self.source(node).to_owned();
            self.trace
                .push((node.at.clone(), text, value.render(SHOWN)));
        }
    }

    fn operand(&mut self, node: &'a Node) -> Evaluated<'a> {
        let value = self.eval(node)?;
        self.note(node, &value);
        Ok(value)
    }

    /// A node that must be true or false.
    pub fn truth(&mut self, node: &'a Node) -> Result<bool, EvalError> {
        let value = self.eval(node)?;
        match value.view() {
            View::Bool(truth) => Ok(truth),
            View::Null => Err(EvalError::no_data(
                format!(
                    "{} is null, where true or false is needed",
                    self.named(node)
                ),
                &node.at,
            )),
            view => Err(EvalError::wrong(
                format!(
                    "{} is {}, where true or false is needed",
                    self.named(node),
                    a(view.kind())
                ),
                &node.at,
            )
            .hint("compare it, as in `x == 0`")),
        }
    }

    fn logic(&mut self, node: &'a Node) -> Evaluated<'a> {
        match &node.kind {
            Kind::Not(inner) => Ok(V::from(!self.truth(inner)?)),
            Kind::And(all) | Kind::Or(all) => {
                let decides = matches!(node.kind, Kind::Or(_));
                for one in all {
                    let truth = self.truth(one)?;
                    self.note(one, &V::from(truth));
                    if truth == decides {
                        return Ok(V::from(decides));
                    }
                }
                Ok(V::from(!decides))
            }
            Kind::If(three) => {
                let [condition, yes, no] = &**three;
                let truth = self.truth(condition)?;
                self.note(condition, &V::from(truth));
                self.eval(if truth { yes } else { no })
            }
            Kind::Neg(inner) => {
                let value = self.operand(inner)?;
                self.present(inner, &value)?;
                match value.view() {
                    View::Int(v) => v.checked_neg().map(V::from).ok_or_else(|| {
                        EvalError::wrong("the result does not fit 64 bits", &node.at)
                    }),
                    View::Double(v) => Ok(V::Cel(Value::Float(-v))),
                    view => Err(EvalError::wrong(
                        format!("`-` does not apply to {}", a(view.kind())),
                        &node.at,
                    )),
                }
            }
            _ => Err(EvalError::wrong("this has no value", &node.at)),
        }
    }

    // --- names and paths ---

    fn local(&self, name: &str) -> Option<V<'a>> {
        self.locals
            .iter()
            .rev()
            .find(|(local, _)| *local == name)
            .map(|(_, value)| value.clone())
    }

    fn path(&mut self, node: &'a Node) -> Evaluated<'a> {
        match &node.kind {
            Kind::Name(name) => match self.local(name) {
                Some(value) => Ok(value),
                None => self
                    .given(name, None)
                    .ok_or_else(|| self.unknown(node, name)),
            },
            Kind::Select { of, field } => {
                if let Kind::Name(root) = &of.kind
                    && self.local(root).is_none()
                {
                    return self
                        .given(root, Some(field))
                        .ok_or_else(|| self.no_member(node, root, field));
                }
                let value = self.base(of)?;
                self.member(node, of, &value, field)
            }
            Kind::Index { of, index } => {
                if let (Kind::Name(root), Some(key)) = (&of.kind, index.as_str())
                    && self.local(root).is_none()
                {
                    return self
                        .given(root, Some(key))
                        .ok_or_else(|| self.no_member(node, root, key));
                }
                let value = self.base(of)?;
                let index_value = self.operand(index)?;
                self.index(node, of, &value, index, &index_value)
            }
            _ => self.eval(node),
        }
    }

    /// What a member is read from: part of a longer path, so not noted by itself.
    fn base(&mut self, of: &'a Node) -> Evaluated<'a> {
        if of.is_path() {
            self.path(of)
        } else {
            self.eval(of)
        }
    }

    fn given(&self, root: &str, member: Option<&str>) -> Option<V<'a>> {
        self.asked
            .iter()
            .find(|(r, m, _)| *r == root && *m == member)
            .and_then(|(_, _, value)| value.as_deref())
            .map(V::Json)
    }

    fn unknown(&self, node: &Node, root: &str) -> EvalError {
        EvalError::no_data(format!("`{root}` has no value here"), &node.at)
    }

    fn no_member(&self, node: &Node, root: &str, member: &str) -> EvalError {
        match self.scope.value(root, None) {
            None => self.unknown(node, root),
            Some(whole) => self.missing(node, &format!("`{root}`"), &V::Json(&whole), member),
        }
    }

    fn missing(&self, node: &Node, of: &str, value: &V<'_>, member: &str) -> EvalError {
        match value.view() {
            View::Null => {
                EvalError::no_data(format!("{of} is null, so it has no `{member}`"), &node.at)
            }
            View::Map => {
                let keys = value.keys();
                let error = EvalError::no_data(format!("{of} has no `{member}`"), &node.at);
                let hint = did_you_mean(member, keys.iter().map(String::as_str)).or_else(|| {
                    let some: Vec<_> = keys.iter().take(8).map(String::as_str).collect();
                    let more = if keys.len() > 8 { ", ..." } else { "" };
                    (!some.is_empty()).then(|| format!("it has {}{more}", some.join(", ")))
                });
                error.maybe_hint(hint)
            }
            view => EvalError::wrong(
                format!("{of} is {}, which has no member `{member}`", a(view.kind())),
                &node.at,
            ),
        }
    }

    fn member(&self, node: &Node, of: &Node, value: &V<'a>, field: &str) -> Evaluated<'a> {
        value
            .entry(field)
            .ok_or_else(|| self.missing(node, &self.named(of), value, field))
    }

    fn index(
        &self,
        node: &Node,
        of: &Node,
        value: &V<'a>,
        at: &Node,
        index: &V<'a>,
    ) -> Evaluated<'a> {
        let wrong = |what: &str| {
            EvalError::wrong(
                format!(
                    "{} is {what}, and {} is {}",
                    self.named(of),
                    self.named(at),
                    a(index.kind())
                ),
                &node.at,
            )
        };
        match (value.view(), index.view()) {
            (_, View::Null) => Err(self.is_null(at)),
            (View::Null, _) => Err(self.is_null(of)),
            (View::Map, View::Str(key)) => self.member(node, of, value, key),
            (View::Map, View::Int(_) | View::UInt(_) | View::Bool(_)) => {
                functions::delegate("_[_]", false, &[value.clone(), index.clone()]).map_err(|_| {
                    EvalError::no_data(
                        format!("{} has no {}", self.named(of), index.render(40)),
                        &node.at,
                    )
                })
            }
            (View::List, View::Int(position)) => usize::try_from(position)
                .ok()
                .and_then(|position| value.element(position))
                .ok_or_else(|| self.out_of_range(node, of, value, position)),
            (View::List, _) => Err(wrong("a list, which an int counts")),
            (View::Map, _) => Err(wrong("a map, whose keys are text")),
            (view, _) => Err(wrong(&format!("{}, which has no elements", a(view.kind())))),
        }
    }

    fn out_of_range(&self, node: &Node, of: &Node, value: &V<'_>, position: i64) -> EvalError {
        let message = match value.size().unwrap_or(0) {
            0 => format!(
                "{} is empty, so it has no element {position}",
                self.named(of)
            ),
            1 => format!("{} has 1 element, so none at {position}", self.named(of)),
            size => format!(
                "{} has {size} elements, so none at {position}",
                self.named(of)
            ),
        };
        EvalError::no_data(message, &node.at)
    }

    fn is_null(&self, node: &Node) -> EvalError {
        EvalError::no_data(format!("{} is null", self.named(node)), &node.at)
    }

    /// Refuses null where a value is needed.
    fn present(&self, node: &Node, value: &V<'_>) -> Result<(), EvalError> {
        if value.is_null() && !node.is_null_literal() {
            return Err(self.is_null(node));
        }
        Ok(())
    }

    fn has(&mut self, tested: &'a Node) -> Evaluated<'a> {
        let (Kind::Select { of, .. } | Kind::Index { of, .. }) = &tested.kind else {
            return Err(EvalError::wrong("`has` takes one member", &tested.at));
        };
        let member = member_of(tested).unwrap_or_default();
        if let Kind::Name(root) = &of.kind
            && self.local(root).is_none()
        {
            if self.given(root, Some(member)).is_some() {
                return Ok(V::from(true));
            }
            // a root that is not there at all proves nothing about its members
            return match self.scope.value(root, None) {
                None => Err(self.unknown(of, root)),
                Some(whole) => self.is_member(of, &V::Json(&whole), member).map(V::from),
            };
        }
        let value = self.base(of)?;
        self.is_member(of, &value, member).map(V::from)
    }

    fn is_member(&self, of: &Node, value: &V<'_>, member: &str) -> Result<bool, EvalError> {
        match value.view() {
            View::Map => Ok(value.entry(member).is_some()),
            _ => Err(self.missing(of, &self.named(of), value, member)),
        }
    }

    // --- operators ---

    fn compare(
        &mut self,
        node: &'a Node,
        op: Op,
        left: &'a Node,
        right: &'a Node,
    ) -> Evaluated<'a> {
        let (a, b) = (self.operand(left)?, self.operand(right)?);
        let equality = matches!(op, Op::Eq | Op::Ne);
        if equality && (left.is_null_literal() || right.is_null_literal()) {
            let both = a.is_null() && b.is_null();
            return Ok(V::from(both == (op == Op::Eq)));
        }
        self.present(left, &a)?;
        self.present(right, &b)?;
        let answer = match op {
            Op::Eq => same(&a, &b),
            Op::Ne => same(&a, &b).map(|same| !same),
            Op::In => contains(&a, &b),
            Op::Lt => order(&a, &b).map(std::cmp::Ordering::is_lt),
            Op::Le => order(&a, &b).map(std::cmp::Ordering::is_le),
            Op::Gt => order(&a, &b).map(std::cmp::Ordering::is_gt),
            _ => order(&a, &b).map(std::cmp::Ordering::is_ge),
        };
        answer
            .map(V::from)
            .map_err(|trouble| self.trouble(node, op, [left, right], [&a, &b], trouble))
    }

    fn compute(
        &mut self,
        node: &'a Node,
        op: Op,
        left: &'a Node,
        right: &'a Node,
    ) -> Evaluated<'a> {
        let (a, b) = (self.eval(left)?, self.eval(right)?);
        self.present(left, &a)?;
        self.present(right, &b)?;
        arithmetic(op, &a, &b)
            .map_err(|trouble| self.trouble(node, op, [left, right], [&a, &b], trouble))
    }

    fn trouble(
        &self,
        node: &Node,
        op: Op,
        [left, right]: [&Node; 2],
        [a, b]: [&V<'_>; 2],
        trouble: Trouble,
    ) -> EvalError {
        let whole = self.named(node);
        match trouble {
            Trouble::NoData(what) => EvalError::no_data(
                format!("in {whole} there is {what}")
                    .replace("there is a number is", "a number is"),
                &node.at,
            ),
            Trouble::Wrong(what) => EvalError::wrong(format!("in {whole} {what}"), &node.at),
            Trouble::Kinds(x, y) => {
                let (left_text, right_text) = (self.named(left), self.named(right));
                let message = if (x, y) == (a.kind(), b.kind()) {
                    let verb = if op.compares() {
                        "cannot compare"
                    } else {
                        "does not take"
                    };
                    format!(
                        "`{}` {verb} {left_text} ({x}) with {right_text} ({y})",
                        op.sign()
                    )
                    .replace("does not take", "does not combine")
                } else {
                    format!(
                        "in {whole} {} stands against {}",
                        super::error::a(x),
                        super::error::a(y)
                    )
                };
                let hint = kinds_hint(op, (self.source(left), x), (self.source(right), y));
                EvalError::wrong(message, &node.at).maybe_hint(hint)
            }
        }
    }

    // --- calls, literals, loops ---

    fn call(&mut self, node: &'a Node) -> Evaluated<'a> {
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

    fn elapsed(&self, node: &Node, values: &[V<'a>]) -> Evaluated<'a> {
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

    fn literal(&mut self, node: &'a Node) -> Evaluated<'a> {
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

    fn plain(&mut self, node: &'a Node) -> Result<Value, EvalError> {
        let value = self.eval(node)?;
        self.as_cel(node, &value)
    }

    fn as_cel(&self, node: &Node, value: &V<'_>) -> Result<Value, EvalError> {
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

    fn looped(&mut self, node: &'a Node) -> Evaluated<'a> {
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
    fn turn(
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
    fn note_element(&mut self, over: &Node, position: usize, item: &V<'a>) {
        if self.judging && self.locals.is_empty() && self.trace.len() < MAX_TRACE {
            let text = format!("{}[{position}]", self.source(over));
            self.trace.push((over.at.clone(), text, item.render(SHOWN)));
        }
    }
}

/// What to write when two kinds do not go together.
fn kinds_hint(op: Op, (left, x): (&str, &str), (right, y): (&str, &str)) -> Option<String> {
    let is_whole = |kind: &str| matches!(kind, "int" | "uint");
    if !op.compares() {
        let sign = op.sign();
        let double = |text: &str| match text.parse::<i64>() {
            Ok(number) => format!("{number}.0"),
            Err(_) => format!("double({text})"),
        };
        if is_whole(x) && y == "double" {
            return Some(format!(
                "ints and doubles do not mix; write `{} {sign} {right}`",
                double(left)
            ));
        }
        if x == "double" && is_whole(y) {
            return Some(format!(
                "ints and doubles do not mix; write `{left} {sign} {}`",
                double(right)
            ));
        }
        return (op == Op::Add && (x == "string" || y == "string"))
            .then(|| "turn the other side into text with `string(...)`".to_owned());
    }
    let number = |kind: &str| is_whole(kind) || kind == "double";
    let convert = |text: &str, kind: &str| match kind {
        "int" | "uint" => Some(format!("write `int({text})`")),
        "double" => Some(format!("write `double({text})`")),
        "version" => Some(format!("write `semver({text})`")),
        "duration" => Some(format!("write `duration({text})`")),
        _ => None,
    };
    match (x, y) {
        _ if op == Op::In => (y == "string").then(|| format!("write `{right}.contains({left})`")),
        ("string", _) => convert(left, y),
        (_, "string") => convert(right, x),
        ("duration", n) | (n, "duration") if number(n) => {
            Some("write the time as `duration(\"5m\")`".to_owned())
        }
        _ => None,
    }
}
