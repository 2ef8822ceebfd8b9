//! Which phases are over before which, asked for a few pairs out of very many.

use crate::graph::Graph;

/// Looks along edges that may be spent in all; past it nothing is claimed, and the run finds out.
const BUDGET: usize = 50_000_000;

/// The order of the phases. Keeps the last phase's answer, because steps are asked phase by phase.
pub(super) struct Order<'g> {
    graph: &'g Graph,
    /// The phase that `before` is about.
    of: usize,
    before: Vec<bool>,
    spent: usize,
}

impl<'g> Order<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self {
            graph,
            of: usize::MAX,
            before: Vec::new(),
            spent: 0,
        }
    }

    /// Whether `earlier` is over when `phase` starts; true when that would cost too much to say.
    pub(super) fn before(&mut self, earlier: usize, phase: usize) -> bool {
        if self.graph.needs(phase).contains(&earlier) {
            return true;
        }
        if self.of != phase {
            if self.spent > BUDGET {
                return true;
            }
            self.look(phase);
        }
        self.before[earlier]
    }

    fn look(&mut self, phase: usize) {
        self.of = phase;
        self.before.clear();
        self.before.resize(self.graph.len(), false);
        self.spent += self.graph.len() / 64;
        let mut open = vec![phase];
        while let Some(node) = open.pop() {
            for need in self.graph.needs(node) {
                self.spent += 1;
                if !self.before[*need] {
                    self.before[*need] = true;
                    open.push(*need);
                }
            }
        }
    }
}
