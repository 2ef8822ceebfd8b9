//! Where the boxes go: a column per level by the longest way, rows by the barycentre of neighbours.
//!
//! An edge over several columns passes through places of its own, so that it does not run through
//! boxes. Main type: [`Layout`].

use crate::graph::Graph;

/// Sweeps over the columns; more changes little.
const SWEEPS: usize = 8;

/// From so many boxes and places on, edges go straight: nobody reads such a picture closely.
const MOST: usize = 20_000;

/// Boxes and the ways of the edges, in columns and rows.
pub(super) struct Layout {
    /// Column and row of each phase.
    pub(super) places: Vec<(usize, f64)>,
    /// Each edge, with a place in every column that it passes.
    pub(super) edges: Vec<Way>,
    /// Columns.
    pub(super) columns: usize,
    /// Rows of the fullest column.
    pub(super) rows: usize,
}

/// An edge: from, to, and the places between.
pub(super) type Way = (usize, usize, Vec<(usize, f64)>);

/// What stands in a column: a phase, or a place that an edge passes through.
struct Spot {
    column: usize,
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Layout {
    /// A layout of a graph without cycles.
    pub(super) fn of(graph: &Graph) -> Self {
        let mut level = vec![0_usize; graph.len()];
        for node in graph.order() {
            let needs = graph.needs(node).iter();
            level[node] = needs.map(|need| level[*need] + 1).max().unwrap_or(0);
        }
        let columns = level.iter().max().map_or(0, |most| most + 1);
        let mut spots: Vec<Spot> = level.iter().map(|column| Spot::at(*column)).collect();
        let mut ways = Vec::new();
        for node in 0..graph.len() {
            for need in graph.needs(node) {
                ways.push((*need, node, way(&mut spots, *need, node)));
            }
        }
        let mut order: Vec<Vec<usize>> = vec![Vec::new(); columns];
        for (at, spot) in spots.iter().enumerate() {
            order[spot.column].push(at);
        }
        let rows = order.iter().map(Vec::len).max().unwrap_or(0);
        let mut at = vec![0.0; spots.len()];
        order.iter().for_each(|column| put(column, rows, &mut at));
        for sweep in 0..SWEEPS {
            arrange(&spots, &mut order, &mut at, rows, sweep % 2 == 0);
        }
        let place = |spot: usize| (spots[spot].column, at[spot]);
        Self {
            places: (0..graph.len()).map(place).collect(),
            edges: ways
                .into_iter()
                .map(|(from, to, way)| (from, to, way.into_iter().map(place).collect()))
                .collect(),
            columns,
            rows,
        }
    }
}

impl Spot {
    fn at(column: usize) -> Self {
        Self {
            column,
            before: Vec::new(),
            after: Vec::new(),
        }
    }
}

/// Links two phases through a spot in every column between them.
fn way(spots: &mut Vec<Spot>, from: usize, to: usize) -> Vec<usize> {
    let (first, last) = (spots[from].column, spots[to].column);
    if spots.len() + (last - first) > MOST {
        link(spots, from, to);
        return Vec::new();
    }
    let mut way = Vec::new();
    let mut behind = from;
    for column in first + 1..last {
        spots.push(Spot::at(column));
        let spot = spots.len() - 1;
        link(spots, behind, spot);
        way.push(spot);
        behind = spot;
    }
    link(spots, behind, to);
    way
}

fn link(spots: &mut [Spot], from: usize, to: usize) {
    spots[from].after.push(to);
    spots[to].before.push(from);
}

/// Sorts each column by the mean place of the neighbours in the column before it (or after it).
fn arrange(spots: &[Spot], order: &mut [Vec<usize>], at: &mut [f64], rows: usize, forward: bool) {
    let mut columns: Vec<usize> = (0..order.len()).collect();
    if !forward {
        columns.reverse();
    }
    for column in columns {
        let weight = |spot: usize| {
            let near = match forward {
                true => &spots[spot].before,
                false => &spots[spot].after,
            };
            match near.is_empty() {
                true => at[spot],
                false => near.iter().map(|one| at[*one]).sum::<f64>() / count(near.len()),
            }
        };
        // a stable sort: what is equal stays in the order of the runbook
        let mut weighed: Vec<_> = order[column]
            .iter()
            .map(|one| (weight(*one), *one))
            .collect();
        weighed.sort_by(|a, b| a.0.total_cmp(&b.0));
        order[column] = weighed.into_iter().map(|(_, one)| one).collect();
        put(&order[column], rows, at);
    }
}

/// Notes the rows of a column, centred on the fullest.
fn put(column: &[usize], rows: usize, at: &mut [f64]) {
    let above = count(rows - column.len()) / 2.0;
    for (place, spot) in column.iter().enumerate() {
        at[*spot] = above + count(place);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a runbook has far fewer phases than 2^52"
)]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_follow_the_longest_way_and_long_edges_pass_between() {
        // 0 -> 1 -> 2, 0 -> 2, 3 alone
        let layout = Layout::of(&Graph::new(vec![vec![], vec![0], vec![1, 0], vec![]]));
        let columns: Vec<_> = layout.places.iter().map(|place| place.0).collect();
        assert_eq!(columns, [0, 1, 2, 0]);
        assert_eq!((layout.columns, layout.rows), (3, 2));
        let long = layout
            .edges
            .iter()
            .find(|edge| (edge.0, edge.1) == (0, 2))
            .unwrap();
        assert_eq!(long.2.len(), 1);
        assert_ne!(long.2[0].1.to_bits(), layout.places[1].1.to_bits());
    }

    #[test]
    fn a_huge_graph_is_laid_out_in_no_time() {
        let star = (0..10_000).map(|at| if at == 0 { vec![] } else { vec![at - 1, 0] });
        let mut needs: Vec<Vec<usize>> = star.collect();
        needs[1] = vec![0];
        let layout = Layout::of(&Graph::new(needs));
        assert_eq!(layout.columns, 10_000);
        assert_eq!(layout.edges.len(), 19_997);
    }

    #[test]
    fn crossings_that_need_not_be_are_not() {
        // two chains whose heads stand in one order and whose tails were written in the other
        let layout = Layout::of(&Graph::new(vec![vec![], vec![], vec![1], vec![0]]));
        assert!(layout.places[2].1 > layout.places[3].1);
    }
}
