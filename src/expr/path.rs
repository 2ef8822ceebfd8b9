//! Names and paths: how [`Eval`] reads `steps.x.result.rows[0]`, and what it says when that is not there.
//!
//! Must not: copy a map to read one member of it.

use super::check::member_of;
use super::error::{EvalError, a, did_you_mean};
use super::eval::{Eval, Evaluated};
use super::functions;
use super::tree::{Kind, Node};
use super::value::{V, View};

impl<'a> Eval<'a> {
    pub(super) fn local(&self, name: &str) -> Option<V<'a>> {
        self.locals
            .iter()
            .rev()
            .find(|(local, _)| *local == name)
            .map(|(_, value)| value.clone())
    }

    pub(super) fn path(&mut self, node: &'a Node) -> Evaluated<'a> {
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
    pub(super) fn base(&mut self, of: &'a Node) -> Evaluated<'a> {
        if of.is_path() {
            self.path(of)
        } else {
            self.eval(of)
        }
    }

    pub(super) fn given(&self, root: &str, member: Option<&str>) -> Option<V<'a>> {
        self.asked
            .iter()
            .find(|(r, m, _)| *r == root && *m == member)
            .and_then(|(_, _, value)| value.as_deref())
            .map(V::Json)
    }

    pub(super) fn unknown(&self, node: &Node, root: &str) -> EvalError {
        EvalError::no_data(format!("`{root}` has no value here"), &node.at)
    }

    pub(super) fn no_member(&self, node: &Node, root: &str, member: &str) -> EvalError {
        match self.scope.value(root, None) {
            None => self.unknown(node, root),
            Some(whole) => self.missing(node, &format!("`{root}`"), &V::Json(&whole), member),
        }
    }

    pub(super) fn missing(&self, node: &Node, of: &str, value: &V<'_>, member: &str) -> EvalError {
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

    pub(super) fn member(
        &self,
        node: &Node,
        of: &Node,
        value: &V<'a>,
        field: &str,
    ) -> Evaluated<'a> {
        value
            .entry(field)
            .ok_or_else(|| self.missing(node, &self.named(of), value, field))
    }

    pub(super) fn index(
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

    pub(super) fn out_of_range(
        &self,
        node: &Node,
        of: &Node,
        value: &V<'_>,
        position: i64,
    ) -> EvalError {
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

    pub(super) fn is_null(&self, node: &Node) -> EvalError {
        EvalError::no_data(format!("{} is null", self.named(node)), &node.at)
    }

    /// Refuses null where a value is needed.
    pub(super) fn present(&self, node: &Node, value: &V<'_>) -> Result<(), EvalError> {
        if value.is_null() && !node.is_null_literal() {
            return Err(self.is_null(node));
        }
        Ok(())
    }

    pub(super) fn has(&mut self, tested: &'a Node) -> Evaluated<'a> {
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

    pub(super) fn is_member(
        &self,
        of: &Node,
        value: &V<'_>,
        member: &str,
    ) -> Result<bool, EvalError> {
        match value.view() {
            View::Map => Ok(value.entry(member).is_some()),
            _ => Err(self.missing(of, &self.named(of), value, member)),
        }
    }
}
