//! What an expression names, before it runs: [`check`] refuses unknown roots and functions, and
//! collects the references and what a scope must be asked for.
//!
//! Must not: know whether a step or an input exists (that is the runbook's business).

use super::error::{CompileError, nearest};
use super::tree::{Kind, Lit, Node, Op};
use super::{ROOTS, Reference, functions};

pub(super) struct Found {
    pub references: Vec<Reference>,
    pub asks: Vec<(String, Option<String>)>,
}

pub(super) fn check(root: &Node) -> Result<Found, CompileError> {
    let mut checker = Checker {
        found: Found {
            references: Vec::new(),
            asks: Vec::new(),
        },
        locals: Vec::new(),
    };
    checker.walk(root, false)?;
    Ok(checker.found)
}

struct Checker<'n> {
    found: Found,
    /// Element names of the loops around.
    locals: Vec<&'n str>,
}

impl<'n> Checker<'n> {
    fn walk(&mut self, node: &'n Node, tested: bool) -> Result<(), CompileError> {
        match &node.kind {
            Kind::Has(inner) => return self.walk(inner, true),
            Kind::Name(_) | Kind::Select { .. } | Kind::Index { .. } if node.is_path() => {
                return self.path(node, tested);
            }
            Kind::Loop {
                over, var, steps, ..
            } => {
                self.walk(over, false)?;
                self.locals.push(var);
                for step in steps {
                    self.walk(step, false)?;
                }
                self.locals.pop();
                return Ok(());
            }
            Kind::Call {
                target,
                name,
                name_at,
                args,
            } => {
                functions::check(name, name_at, target.is_some(), args.len(), &node.at)?;
                if let ("elapsed", [phase]) = (name.as_str(), &args[..]) {
                    self.elapsed(phase);
                }
            }
            Kind::Binary {
                op: Op::Sub, sides, ..
            } => self.hyphen(&sides[0], &sides[1])?,
            _ => {}
        }
        node.children()
            .into_iter()
            .try_for_each(|child| self.walk(child, false))
    }

    /// `steps.cache-keys.result` reads as a subtraction; the name was meant.
    fn hyphen(&self, left: &Node, right: &Node) -> Result<(), CompileError> {
        let (Kind::Select { of, field }, Some(name)) = (&left.kind, base_name(right)) else {
            return Ok(());
        };
        let Kind::Name(root) = &of.kind else {
            return Ok(());
        };
        let together = left.at.end + 1 == right.at.start;
        if !together || ROOTS.contains(&name) || self.locals.contains(&name) {
            return Ok(());
        }
        let at = right.at.start..right.at.start + name.len();
        let hint = format!("a name with a hyphen is written `{root}[\"{field}-{name}\"]`");
        Err(CompileError::new(format!("unknown name `{name}`"), &at).hint(hint))
    }

    /// The phase that `elapsed("...")` names is a reference too.
    fn elapsed(&mut self, phase: &Node) {
        if let Some(name) = phase.as_str() {
            self.found.references.push(Reference {
                path: vec!["phases".to_owned(), name.to_owned()],
                at: Some(phase.at.clone()),
                tested: false,
            });
        }
    }

    fn path(&mut self, node: &'n Node, tested: bool) -> Result<(), CompileError> {
        let mut links = Vec::new();
        let mut base = node;
        while let Kind::Select { of, .. } | Kind::Index { of, .. } = &base.kind {
            links.push(base);
            base = of;
        }
        links.reverse();
        let Kind::Name(root) = &base.kind else {
            return Ok(());
        };
        if !self.locals.contains(&root.as_str()) {
            known_root(root, base)?;
            self.record(root, node, &links, tested);
        }
        for link in links {
            if let Kind::Index { index, .. } = &link.kind {
                self.walk(index, false)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, root: &str, node: &Node, links: &[&Node], tested: bool) {
        let mut path = vec![root.to_owned()];
        let mut complete = true;
        for link in links {
            match &link.kind {
                Kind::Select { field, .. } => path.push(field.clone()),
                Kind::Index { index, .. } => match &index.kind {
                    Kind::Lit(Lit::Str(key)) => path.push(key.to_string()),
                    Kind::Lit(Lit::Int(_)) => {}
                    _ => {
                        complete = false;
                        break;
                    }
                },
                _ => {}
            }
        }
        let ask = (
            root.to_owned(),
            links.first().and_then(|l| member_of(l)).map(str::to_owned),
        );
        if !self.found.asks.contains(&ask) {
            self.found.asks.push(ask);
        }
        self.found.references.push(Reference {
            path,
            at: Some(node.at.clone()),
            // a path that was cut short does not end in the member that is tested
            tested: tested && complete,
        });
    }
}

/// The name that a path starts from.
fn base_name(mut node: &Node) -> Option<&str> {
    loop {
        match &node.kind {
            Kind::Name(name) => return Some(name),
            Kind::Select { of, .. } | Kind::Index { of, .. } => node = of,
            _ => return None,
        }
    }
}

/// The literal member that a link of a path reads.
pub(super) fn member_of(link: &Node) -> Option<&str> {
    match &link.kind {
        Kind::Select { field, .. } => Some(field),
        Kind::Index { index, .. } => index.as_str(),
        _ => None,
    }
}

fn known_root(name: &str, node: &Node) -> Result<(), CompileError> {
    if ROOTS.contains(&name) {
        return Ok(());
    }
    let error = CompileError::new(format!("unknown name `{name}`"), &node.at);
    if let Some(root) = nearest(name, ROOTS.iter().copied()) {
        return Err(error.hint(format!("did you mean `{root}`?")));
    }
    Err(match name {
        "and" => error.hint("write `&&`"),
        "or" => error.hint("write `||`"),
        "not" => error.hint("write `!`"),
        "True" | "False" | "None" | "nil" => {
            error.hint("the constants are `true`, `false` and `null`")
        }
        _ => error.hint(format!(
            "text stands in quotes; an expression starts from {}",
            ROOTS.join(", ")
        )),
    })
}
