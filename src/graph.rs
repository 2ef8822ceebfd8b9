//! The graph of the phases: cycles, order, what lies before what, the critical path.
//!
//! Nodes are indices; edges are "needs". Everything is linear in nodes and edges and uses no
//! recursion, so a chain of 10,000 phases is as good as three. Beside it: what a row of steps takes
//! side by side.

/// Which node needs which.
#[derive(Clone, Debug)]
pub struct Graph {
    needs: Vec<Vec<usize>>,
}

impl Graph {
    /// `needs[n]` are the nodes that must be over before `n`; all indices are below `needs.len()`.
    pub fn new(needs: Vec<Vec<usize>>) -> Self {
        Self { needs }
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// What `node` needs.
    pub fn needs(&self, node: usize) -> &[usize] {
        &self.needs[node]
    }

    /// For each node, who needs it.
    pub fn dependents(&self) -> Vec<Vec<usize>> {
        let mut dependents = vec![Vec::new(); self.len()];
        for (node, needs) in self.needs.iter().enumerate() {
            for need in needs {
                dependents[*need].push(node);
            }
        }
        dependents
    }

    /// Every node after all that it needs, nodes of the same rank in their own order; nodes on a
    /// cycle are left out.
    pub fn order(&self) -> Vec<usize> {
        let dependents = self.dependents();
        let mut open: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..self.len()).filter(|node| open[*node] == 0).collect();
        let mut at = 0;
        while let Some(node) = order.get(at).copied() {
            at += 1;
            for dependent in &dependents[node] {
                open[*dependent] -= 1;
                if open[*dependent] == 0 {
                    order.push(*dependent);
                }
            }
        }
        order
    }

    /// A cycle as a path whose last node is its first again, if there is one.
    pub fn cycle(&self) -> Option<Vec<usize>> {
        let mut on_cycle = vec![true; self.len()];
        for node in self.order() {
            on_cycle[node] = false;
        }
        // from any node that was left out, following needs that were left out must come back
        let mut node = on_cycle.iter().position(|on| *on)?;
        let mut seen_at = vec![usize::MAX; self.len()];
        let mut path = Vec::new();
        while seen_at[node] == usize::MAX {
            seen_at[node] = path.len();
            path.push(node);
            node = *self.needs[node].iter().find(|need| on_cycle[**need])?;
        }
        let mut cycle = path.split_off(seen_at[node]);
        cycle.push(node);
        Some(cycle)
    }

    /// For each node, all that must be over before it starts.
    pub fn before(&self) -> Vec<Vec<bool>> {
        let mut before = vec![vec![false; self.len()]; self.len()];
        for node in self.order() {
            let mut mine = vec![false; self.len()];
            for need in &self.needs[node] {
                mine[*need] = true;
                for (at, earlier) in before[*need].iter().enumerate() {
                    mine[at] |= *earlier;
                }
            }
            before[node] = mine;
        }
        before
    }

    /// When each node starts at the earliest if node `n` takes `takes[n]`, and the longest chain.
    pub fn schedule(&self, takes: &[f64]) -> Schedule {
        let mut starts = vec![0.0_f64; self.len()];
        let mut last_need = vec![None; self.len()];
        for node in self.order() {
            for need in &self.needs[node] {
                let end = starts[*need] + takes[*need];
                if last_need[node].is_none() || end > starts[node] {
                    starts[node] = end;
                    last_need[node] = Some(*need);
                }
            }
        }
        let end = |node: usize| starts[node] + takes[node];
        let mut critical = Vec::new();
        let mut node =
            (0..self.len()).reduce(|best, node| if end(node) > end(best) { node } else { best });
        let total = node.map_or(0.0, end);
        while let Some(at) = node {
            critical.push(at);
            node = last_need[at];
        }
        critical.reverse();
        Schedule {
            starts,
            critical,
            total,
        }
    }
}

/// When each of a row of things starts and ends if as many as `lanes` go on at once, each starting in
/// its order as soon as there is room. `free` is when the lanes are free; one is there in any case.
pub fn in_lanes(takes: &[f64], free: Vec<f64>) -> Vec<(f64, f64)> {
    let mut free = match free.is_empty() {
        true => vec![0.0],
        false => free,
    };
    let mut last = 0.0_f64;
    let mut spans = Vec::with_capacity(takes.len());
    for takes in takes {
        let lane = (0..free.len()).fold(0, |best, lane| match free[lane] < free[best] {
            true => lane,
            false => best,
        });
        // none starts before the one before it did
        let start = free[lane].max(last);
        last = start;
        free[lane] = start + takes;
        spans.push((start, free[lane]));
    }
    spans
}

/// How long a row of things takes with that many lanes; what is not known counts as nothing, and
/// nothing is known when none of them is.
pub fn length(takes: &[Option<f64>], lanes: usize) -> Option<f64> {
    takes.iter().any(Option::is_some).then(|| {
        let known: Vec<_> = takes.iter().map(|takes| takes.unwrap_or(0.0)).collect();
        let lanes = vec![0.0; lanes.clamp(1, known.len().max(1))];
        let ends = in_lanes(&known, lanes).into_iter().map(|(_, end)| end);
        ends.fold(0.0, f64::max)
    })
}

/// Earliest starts and the critical path.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Start of each node, in the unit of `takes`.
    pub starts: Vec<f64>,
    /// The longest chain, first node first.
    pub critical: Vec<usize>,
    /// Its length.
    pub total: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any acyclic graph: a node needs only nodes before it in a shuffled order.
    fn acyclic() -> impl Strategy<Value = Graph> {
        (1_usize..12)
            .prop_flat_map(|n| {
                let edges = proptest::collection::vec(any::<bool>(), n * n);
                (Just((0..n).collect::<Vec<_>>()).prop_shuffle(), edges)
            })
            .prop_map(|(rank, edges)| {
                let n = rank.len();
                let needs = |node: usize| {
                    (0..n)
                        .filter(|need| rank[*need] < rank[node] && edges[node * n + *need])
                        .collect()
                };
                Graph::new((0..n).map(needs).collect())
            })
    }

    proptest! {
        #[test]
        fn the_order_is_topological_and_whole(graph in acyclic()) {
            let order = graph.order();
            prop_assert_eq!(order.len(), graph.len());
            let place = |node: usize| order.iter().position(|at| *at == node).unwrap();
            for node in 0..graph.len() {
                for need in graph.needs(node) {
                    prop_assert!(place(*need) < place(node));
                }
            }
            prop_assert!(graph.cycle().is_none());
        }

        #[test]
        fn an_edge_back_makes_a_cycle_that_is_found(graph in acyclic()) {
            let before = graph.before();
            for (node, row) in before.iter().enumerate() {
                for (earlier, is) in row.iter().enumerate() {
                    if !is { continue; }
                    let mut needs: Vec<Vec<usize>> = (0..graph.len()).map(|n| graph.needs(n).to_vec()).collect();
                    needs[earlier].push(node);
                    let broken = Graph::new(needs);
                    let cycle = broken.cycle().unwrap();
                    prop_assert_eq!(cycle.first(), cycle.last());
                    for pair in cycle.windows(2) {
                        prop_assert!(broken.needs(pair[0]).contains(&pair[1]));
                    }
                }
            }
        }

        #[test]
        fn the_critical_path_is_a_chain_of_its_length(graph in acyclic(), takes in proptest::collection::vec(0.0_f64..100.0, 12)) {
            let schedule = graph.schedule(&takes[..graph.len()]);
            let sum: f64 = schedule.critical.iter().map(|node| takes[*node]).sum();
            prop_assert!((sum - schedule.total).abs() < 1e-6);
            for node in 0..graph.len() {
                prop_assert!(schedule.starts[node] + takes[node] <= schedule.total + 1e-6);
                for need in graph.needs(node) {
                    prop_assert!(schedule.starts[*need] + takes[*need] <= schedule.starts[node] + 1e-6);
                }
            }
        }
    }

    #[test]
    fn a_long_chain_costs_no_stack() {
        let graph = Graph::new(
            (0..100_000)
                .map(|n: usize| n.checked_sub(1).into_iter().collect())
                .collect(),
        );
        assert_eq!(graph.order().len(), 100_000);
        assert_eq!(graph.schedule(&vec![1.0; 100_000]).critical.len(), 100_000);
    }
}
