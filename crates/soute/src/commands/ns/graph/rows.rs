//! The boxes of those that stand in a world, beside what is said of it: nearest those that are wired, in rows if they are many,
//! then the others. Wires run down between what is said of the world and the boxes, each in a channel of its own, and to boxes
//! that are not the first of their row along a lane above it.

use soute_lens::view::World;

use super::layout::{Block, End, GAP, Layout, PADDING, Way, Wire};
use super::links::{Drawn, nearest, sharing};
use super::panel::{Anchor, Key};

/// Pixels: between what is said of a world and those in it, without wires and with some.
const GUTTER: i32 = 24;
const WIRED: i32 = 40;
/// Between wires beside each other; what the channels of all take at most.
const CHANNEL: i32 = 10;
const CHANNELS: i32 = 160;
/// What bows between boxes take on their left.
const BOWS: i32 = 60;
/// Those that are wired stand in a further column, if they are higher than that.
const TALLEST: i32 = 1500;
const COLUMNS: usize = 4;
/// Columns of those that are not wired.
const OTHERS: i32 = 3;

/// Boxes below each other that are linked to each other.
struct Cell {
    blocks: Vec<(usize, Block)>,
    /// Wires that lead to the world around.
    wires: i32,
}

/// Where a box stands.
struct Placed {
    at: usize,
    block: Block,
    /// Of those that are wired: the column, and the top of the row.
    column: usize,
    row: i32,
}

/// The way of a wire to be.
struct Route {
    class: &'static str,
    from: (i32, i32),
    to: (i32, i32),
    /// Where it runs down to its box, if that is not the first of its row; at which height it comes there.
    down: Option<i32>,
    lane: Option<i32>,
    row: i32,
}

impl Route {
    /// The height to which its channel leads.
    fn first_height(&self) -> i32 {
        self.lane.unwrap_or(self.to.1)
    }
}

impl Cell {
    fn bows(&self) -> i32 {
        if self.blocks.len() > 1 { BOWS } else { 0 }
    }

    fn height(&self) -> i32 {
        self.blocks.iter().map(|(_, one)| one.height + GAP).sum()
    }
}

impl Layout<'_> {
    /// Places those in a world into its `block`, beside what is said of it, which ends at `edge`: how far they reach, to the
    /// right and down.
    pub fn inside(
        &self,
        block: &mut Block,
        world: &World,
        inside: &[&World],
        edge: i32,
        bottom: i32,
    ) -> (i32, i32) {
        let here = |at: usize| at == world.id || inside.iter().any(|in_it| in_it.id == at);
        let wires = self
            .drawn
            .iter()
            .filter(|wire| here(wire.one) && here(wire.other));
        let wires: Vec<Drawn> = wires.copied().collect();
        let sharing = sharing(inside);
        let (groups, rest) = nearest(world, inside, &wires, &sharing, &block.anchors);
        let blocks = |worlds: Vec<usize>| -> Vec<(usize, Block)> {
            let all = worlds.into_iter();
            all.map(|at| (at, self.block(&self.graph.worlds[at], 0)))
                .collect()
        };
        let across = |at: usize| {
            let all = wires
                .iter()
                .filter(|wire| wire.is_of(world.id) && wire.is_of(at));
            all.count() as i32
        };
        let cells: Vec<Cell> = groups
            .into_iter()
            .map(|group| Cell {
                wires: group.iter().map(|at| across(*at)).sum(),
                blocks: blocks(group),
            })
            .collect();
        let (mut right, mut lowest) = (edge + GUTTER - GAP, bottom);
        let mut placed = Vec::new();
        if !cells.is_empty() {
            (right, lowest) = self.rows(cells, edge, bottom, &mut placed);
        }
        right = self.columns(blocks(rest), right + GAP, &mut lowest, &mut placed);
        block
            .wires
            .extend(routes(world, &block.anchors, &placed, &wires, edge));
        for wire in wires.iter().filter(|wire| !wire.is_of(world.id)) {
            let from = end(&placed, wire.one, wire.tie.0);
            let to = end(&placed, wire.other, wire.tie.1);
            if let (Some(from), Some(to)) = (from, to) {
                block.wires.push(bow(from, to, class(wire)));
            }
        }
        for (home, other) in sharing {
            let place = |at: usize| {
                let placed = placed.iter().find(|one| one.at == at)?;
                let frame = placed.block.frame();
                Some(End {
                    x: frame.x,
                    edge: frame.x,
                    y: frame.y + PADDING + 10,
                })
            };
            if let (Some(from), Some(to)) = (place(home), place(other)) {
                block.wires.push(bow(from, to, "shares"));
            }
        }
        for one in placed {
            block.items.extend(one.block.items);
            block.wires.extend(one.block.wires);
        }
        (right, lowest)
    }

    /// A box as wide as the others of its column, which none is that has others in it.
    fn widened(&self, at: usize, block: Block, width: i32) -> Block {
        match self.is_leaf(at) && block.width < width {
            true => self.block(&self.graph.worlds[at], width - 2 * PADDING),
            false => block,
        }
    }

    fn width_of_leaves<'b>(&self, blocks: impl Iterator<Item = &'b (usize, Block)>) -> i32 {
        let leaves = blocks.filter(|(at, _)| self.is_leaf(*at));
        leaves.map(|(_, one)| one.width).max().unwrap_or(0)
    }

    /// Places those that are wired: how far they reach.
    fn rows(
        &self,
        cells: Vec<Cell>,
        edge: i32,
        bottom: i32,
        placed: &mut Vec<Placed>,
    ) -> (i32, i32) {
        let height: i32 = cells.iter().map(Cell::height).sum();
        let count = 1 + (height / TALLEST.max(bottom)) as usize;
        let count = count.min(COLUMNS).min(cells.len());
        let of_column = |column: usize| cells.iter().skip(column).step_by(count);
        let channels: i32 = cells.iter().map(|cell| cell.wires).sum();
        let mut columns = Vec::new();
        let mut right = edge;
        for column in 0..count {
            let bows = of_column(column).map(Cell::bows).max().unwrap_or(0);
            let wires = of_column(column).map(|cell| cell.wires).max().unwrap_or(0);
            let before = match (column, channels) {
                (0, 0) => 0,
                (0, channels) => WIRED + (CHANNEL * channels).min(CHANNELS),
                _ => GAP + CHANNEL * (wires + 1),
            };
            let left = right + before + bows;
            let blocks = || of_column(column).flat_map(|cell| &cell.blocks);
            let width = blocks().map(|(_, one)| one.width).max().unwrap_or(0);
            columns.push((left, self.width_of_leaves(blocks())));
            right = left + width;
        }
        let (mut y, mut lowest) = (PADDING, bottom);
        let mut cells = cells.into_iter().peekable();
        while cells.peek().is_some() {
            let row: Vec<Cell> = cells.by_ref().take(count).collect();
            let lanes: i32 = row.iter().skip(1).map(|cell| cell.wires).sum();
            let top = y + CHANNEL * lanes;
            for (column, cell) in row.into_iter().enumerate() {
                let (left, width) = columns[column];
                let mut below = top;
                for (at, one) in cell.blocks {
                    let mut block = self.widened(at, one, width);
                    block.shift(left, below);
                    below += block.height + GAP;
                    placed.push(Placed {
                        at,
                        block,
                        column,
                        row: top,
                    });
                }
                y = y.max(below);
            }
            lowest = lowest.max(y - GAP);
        }
        (right, lowest)
    }

    /// Places those that are not wired, from `left` on: how far they reach to the right. They fill the height that there is,
    /// and more only where there would be too many columns.
    fn columns(
        &self,
        blocks: Vec<(usize, Block)>,
        left: i32,
        lowest: &mut i32,
        placed: &mut Vec<Placed>,
    ) -> i32 {
        let height = |column: &[(usize, Block)]| -> i32 {
            column.iter().map(|(_, one)| one.height + GAP).sum()
        };
        let tallest = blocks.iter().map(|(_, one)| one.height + GAP).max();
        let target = (*lowest - PADDING + GAP)
            .max(height(&blocks) / OTHERS)
            .max(tallest.unwrap_or(0));
        let mut columns: Vec<Vec<(usize, Block)>> = Vec::new();
        for one in blocks {
            match columns.last_mut() {
                Some(last) if height(last) + one.1.height + GAP <= target => last.push(one),
                _ => columns.push(vec![one]),
            }
        }
        let mut x = left;
        for column in columns {
            let width = column.iter().map(|(_, one)| one.width).max().unwrap_or(0);
            let of_leaves = self.width_of_leaves(column.iter());
            let mut y = PADDING;
            for (at, one) in column {
                let mut block = self.widened(at, one, of_leaves);
                block.shift(x, y);
                y += block.height + GAP;
                placed.push(Placed {
                    at,
                    block,
                    column: 0,
                    row: 0,
                });
            }
            *lowest = (*lowest).max(y - GAP);
            x += width + GAP;
        }
        x - GAP
    }
}

fn class(wire: &Drawn) -> &'static str {
    if wire.tie.2 { "stands" } else { "wire" }
}

fn end(placed: &[Placed], at: usize, key: Key) -> Option<End> {
    let one = placed.iter().find(|one| one.at == at)?;
    let anchor = one.block.anchors.iter().find(|anchor| anchor.key == key)?;
    Some(End {
        x: anchor.left,
        edge: one.block.frame().x,
        y: anchor.y,
    })
}

/// The farther apart, the wider, so that no two lie upon each other.
fn bow(from: End, to: End, class: &'static str) -> Wire {
    let reach = 16 + ((to.y - from.y).abs() / 16).min(BOWS - 24);
    let middle = from.edge.min(to.edge) - reach;
    Wire {
        class,
        way: Way::Bow { from, to, middle },
    }
}

/// The wires between a world, whose cards are at `anchors`, and those in it.
fn routes(
    world: &World,
    anchors: &[Anchor],
    placed: &[Placed],
    wires: &[Drawn],
    edge: i32,
) -> Vec<Wire> {
    let mut routes = Vec::new();
    for wire in wires.iter().filter(|wire| wire.is_of(world.id)) {
        let (own, other, far) = match wire.one == world.id {
            true => (wire.tie.0, wire.other, wire.tie.1),
            false => (wire.tie.1, wire.one, wire.tie.0),
        };
        let from = anchors.iter().find(|anchor| anchor.key == own);
        let one = placed.iter().find(|one| one.at == other);
        let (Some(from), Some(one), Some(to)) = (from, one, end(placed, other, far)) else {
            continue;
        };
        // The bows are nearest to the boxes of a group.
        let in_group = placed
            .iter()
            .filter(|other| (other.column, other.row) == (one.column, one.row));
        let bows = if in_group.count() > 1 { BOWS } else { 0 };
        routes.push(Route {
            class: class(wire),
            from: (from.right, from.y),
            to: (to.x, to.y),
            down: (one.column > 0).then_some(to.edge - bows),
            lane: None,
            row: one.row,
        });
    }
    // Down to each box: the higher its end, the nearer to the box.
    routes.sort_by_key(|route| (route.row, route.down, route.to.1));
    let mut last = (None, 0);
    for route in &mut routes {
        let box_of = (route.down, route.row);
        let place = if last.0 == Some(box_of) {
            last.1 + 1
        } else {
            1
        };
        last = (Some(box_of), place);
        route.down = route.down.map(|down| down - CHANNEL * place);
    }
    // Above each row: the farther its box, the higher.
    routes.sort_by_key(|route| (route.row, route.down));
    let mut last = (0, 0);
    for route in routes.iter_mut().filter(|route| route.down.is_some()) {
        let place = if last.0 == route.row { last.1 + 1 } else { 1 };
        last = (route.row, place);
        route.lane = Some(route.row - CHANNEL * place);
    }
    // Each has a channel of its own. Those that lead down: the lower, the farther left, so that they cross least.
    routes.sort_by_key(|route| (route.from.1, route.first_height()));
    let count = routes.len() as i32;
    let step = CHANNEL.min(CHANNELS / count.max(1)).max(1);
    let all = routes.into_iter().enumerate().map(|(at, route)| {
        let place = match route.from.1 < route.first_height() {
            true => count - 1 - at as i32,
            false => at as i32,
        };
        let channel = edge + WIRED / 2 + (place * step).min(CHANNELS);
        let mut points = vec![route.from, (channel, route.from.1)];
        if let (Some(lane), Some(down)) = (route.lane, route.down) {
            points.extend([(channel, lane), (down, lane), (down, route.to.1)]);
        } else {
            points.push((channel, route.to.1));
        }
        points.push(route.to);
        Wire {
            class: route.class,
            way: Way::Corners(points),
        }
    });
    all.collect()
}
