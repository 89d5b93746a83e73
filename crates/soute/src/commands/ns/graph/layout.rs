//! Where everything stands in the picture: each world is a box, with what is said of it on the left and the boxes of those in
//! it on the right. Between the two run the wires, so that those in it that have one stand nearest, in their order.

use std::collections::HashSet;

use soute_lens::Kind;
use soute_lens::view::{Graph, Whose, World};
use soute_lens::wiring::Interface;

use super::super::super::drawing::svg::{LINE, Place, width};
use super::panel::{Anchor, Item, Key, panel};
use super::words;

/// Pixels.
const MARGIN: i32 = 24;
const PADDING: i32 = 14;
const GAP: i32 = 18;
/// Between what is said of a world and those in it: without wires, with some, and for each.
const GUTTER: i32 = 24;
const WIRED: i32 = 40;
const SHARING: i32 = 60;
const CHANNEL: i32 = 10;
/// What the channels of all wires beside each other take at most.
const CHANNELS: i32 = 160;
/// Columns of those in a world that are not wired.
const COLUMNS: i32 = 3;

/// The picture, in pixels.
#[derive(Debug, Default)]
pub struct Picture {
    pub width: i32,
    pub height: i32,
    /// What stands on what comes before.
    pub items: Vec<Item>,
    pub wires: Vec<Wire>,
}

/// A line between two boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    pub from: End,
    pub to: End,
    /// Where it runs up or down; of one between boxes below each other, how far its bow reaches to their left.
    pub middle: i32,
    /// Whether they stand below each other.
    pub beside: bool,
    /// `wire`, `stands` (a vlan, a macvlan on what it is of), `shares`.
    pub class: &'static str,
}

/// An end of a wire: where it is fixed, and from where on it bends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub x: i32,
    pub edge: i32,
    pub y: i32,
}

/// A box with all that is in it, its corner at 0, 0.
#[derive(Debug, Default)]
struct Block {
    width: i32,
    height: i32,
    items: Vec<Item>,
    wires: Vec<Wire>,
    /// Of its own world alone.
    anchors: Vec<Anchor>,
}

/// Two interfaces, and whether one stands on the other.
type Tie = (Key, Key, bool);

/// The picture of a graph.
pub fn picture(graph: &Graph) -> Picture {
    let mut picture = Picture::default();
    let mut y = MARGIN;
    if let Some(machine) = graph.worlds.first() {
        let layout = Layout {
            graph,
            ties: ties(graph),
        };
        let mut block = layout.block(machine, 0);
        block.shift(MARGIN, y);
        y += block.height + GAP;
        picture.width = block.width + 2 * MARGIN;
        picture.items = block.items;
        picture.wires = block.wires;
    }
    let (items, width, height) = legend(graph, MARGIN, y);
    picture.items.extend(items);
    picture.width = picture.width.max(width + MARGIN);
    picture.height = height + MARGIN;
    picture
}

struct Layout<'g> {
    graph: &'g Graph,
    ties: Vec<Tie>,
}

impl Layout<'_> {
    /// The world at whose box an interface stands.
    fn world_of(&self, key: Key) -> Option<usize> {
        self.graph
            .interface(key.0, key.1)
            .map(|(world, _)| world.id)
    }

    /// Whether the wire between two worlds is drawn: one stands in the other, or both in the same.
    fn is_drawn(&self, one: usize, other: usize) -> bool {
        let worlds = &self.graph.worlds;
        let (a, b) = (worlds[one].inside, worlds[other].inside);
        one != other && (a == Some(other) || b == Some(one) || a == b)
    }

    fn drawn_ties(&self) -> impl Iterator<Item = (Tie, usize, usize)> {
        self.ties.iter().filter_map(|tie| {
            let (one, other) = (self.world_of(tie.0)?, self.world_of(tie.1)?);
            self.is_drawn(one, other).then_some((*tie, one, other))
        })
    }

    /// Worlds in the same one that share namespaces, each with the first that has them.
    fn sharing(&self, inside: &[&World]) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for world in inside {
            let shared = world
                .namespaces
                .iter()
                .filter(|own| own.whose == Whose::Shared);
            for own in shared {
                let has = |other: &&&World| {
                    let mut all = other.namespaces.iter();
                    all.any(|one| (one.kind, one.ns) == (own.kind, own.ns))
                };
                // That with the interfaces, of a network.
                let is_home =
                    |other: &&&World| own.kind == Kind::Net && !other.interfaces.is_empty();
                let all = || inside.iter().filter(has);
                let home = all().find(is_home).or_else(|| all().next());
                if let Some(home) = home.filter(|home| home.id != world.id) {
                    let pair = (home.id, world.id);
                    if !pairs.contains(&pair) && !pairs.contains(&(pair.1, pair.0)) {
                        pairs.push(pair);
                    }
                }
            }
        }
        pairs
    }

    fn is_leaf(&self, at: usize) -> bool {
        let mut all = self.graph.worlds.iter();
        !all.any(|other| other.inside == Some(at))
    }

    /// The box of a world, what is said of it no narrower than `least`.
    fn block(&self, world: &World, least: i32) -> Block {
        let inside = self
            .graph
            .worlds
            .iter()
            .filter(|other| other.inside == Some(world.id));
        let inside: Vec<&World> = inside.collect();
        let ns = world.namespace(Kind::Net).map(|own| own.ns);
        let drawn: HashSet<Key> = self
            .drawn_ties()
            .flat_map(|((one, other, _), ..)| [one, other])
            .collect();
        let is_drawn = |link: &Interface| ns.is_some_and(|ns| drawn.contains(&(ns, link.index)));
        let own = panel(self.graph, world, least, &is_drawn);
        let mut block = Block {
            items: own.items,
            anchors: own.anchors,
            ..Block::default()
        };
        block.shift(PADDING, PADDING);
        let (mut right, mut bottom) = (PADDING + own.width, PADDING + own.height);
        if !inside.is_empty() {
            let edge = right;
            (right, bottom) = self.inside(&mut block, world, &inside, edge, bottom);
        }
        (block.width, block.height) = (right + PADDING, bottom + PADDING);
        let class = match (&world.container, world.machine) {
            (_, true) => "here",
            (Some(_), _) => "container",
            (None, _) => "world",
        };
        let frame = Item::Rectangle {
            place: Place {
                x: 0,
                y: 0,
                width: block.width,
                height: block.height,
            },
            radius: 8,
            class: match world.asked {
                true => format!("box {class} asked"),
                false => format!("box {class}"),
            },
            hint: words::title(world),
        };
        block.items.insert(0, frame);
        block
    }

    /// Places those in a world beside what is said of it, which ends at `edge`: how far it reaches, to the right and down.
    fn inside(
        &self,
        block: &mut Block,
        world: &World,
        inside: &[&World],
        edge: i32,
        bottom: i32,
    ) -> (i32, i32) {
        let sharing = self.sharing(inside);
        let wires: Vec<(Tie, usize, usize)> = self
            .drawn_ties()
            .filter(|(_, one, other)| {
                let here = |at: usize| at == world.id || inside.iter().any(|in_it| in_it.id == at);
                here(*one) && here(*other)
            })
            .collect();
        let (first, rest) = nearest(world, inside, &wires, &sharing, &block.anchors);
        let across = wires
            .iter()
            .filter(|(_, one, other)| [*one, *other].contains(&world.id));
        let across = across.count();
        let is_beside = !sharing.is_empty() || across < wires.len();
        let gutter = match (across, is_beside) {
            (0, false) => GUTTER,
            (0, true) => SHARING,
            (count, beside) => {
                let bows = if beside { SHARING } else { 0 };
                WIRED + (CHANNEL * count as i32).min(CHANNELS) + bows
            }
        };
        let nearest: Vec<(usize, Block)> = first
            .into_iter()
            .map(|at| (at, self.block(&self.graph.worlds[at], 0)))
            .collect();
        let mut columns = vec![nearest];
        // The others fill the height that there is, and more only where there would be too many columns.
        let rest: Vec<(usize, Block)> = rest
            .into_iter()
            .map(|at| (at, self.block(&self.graph.worlds[at], 0)))
            .collect();
        let height = |column: &[(usize, Block)]| -> i32 {
            column.iter().map(|(_, one)| one.height + GAP).sum()
        };
        let tallest = rest
            .iter()
            .map(|(_, one)| one.height + GAP)
            .max()
            .unwrap_or(0);
        let target = (bottom - PADDING + GAP)
            .max(height(&columns[0]))
            .max(height(&rest) / COLUMNS)
            .max(tallest);
        columns.push(Vec::new());
        for one in rest {
            match columns.last_mut() {
                Some(last) if height(last) + one.1.height + GAP <= target => last.push(one),
                _ => columns.push(vec![one]),
            }
        }
        let (mut x, mut lowest) = (edge + gutter, bottom);
        let mut blocks: Vec<(usize, Block)> = Vec::new();
        for column in columns.into_iter().filter(|column| !column.is_empty()) {
            let width = column.iter().map(|(_, one)| one.width).max().unwrap_or(0);
            let leaves = column.iter().filter(|(at, _)| self.is_leaf(*at));
            let of_leaves = leaves.map(|(_, one)| one.width).max().unwrap_or(0);
            let mut y = PADDING;
            for (at, mut one) in column {
                // All that have no others in them are of one width.
                if self.is_leaf(at) && one.width < of_leaves {
                    one = self.block(&self.graph.worlds[at], of_leaves - 2 * PADDING);
                }
                one.shift(x, y);
                y += one.height + GAP;
                blocks.push((at, one));
            }
            lowest = lowest.max(y - GAP);
            x += width + GAP;
        }
        let right = x - GAP;
        self.wires(block, world, &blocks, &wires, edge);
        for (home, other) in sharing {
            let place = |at: usize| {
                let block = blocks.iter().find(|(own, _)| *own == at)?;
                block.1.frame()
            };
            if let (Some(home), Some(other)) = (place(home), place(other)) {
                let end = |place: Place| End {
                    x: place.x,
                    edge: place.x,
                    y: place.y + PADDING + 10,
                };
                block.wires.push(beside(end(home), end(other), "shares"));
            }
        }
        for (_, one) in blocks {
            block.items.extend(one.items);
            block.wires.extend(one.wires);
        }
        (right, lowest)
    }

    fn wires(
        &self,
        block: &mut Block,
        world: &World,
        blocks: &[(usize, Block)],
        wires: &[(Tie, usize, usize)],
        edge: i32,
    ) {
        let end = |at: usize, key: Key, anchors: &[Anchor]| {
            let is = |anchor: &&Anchor| anchor.key == key;
            if at == world.id {
                let anchor = anchors.iter().find(is)?;
                return Some(End {
                    x: anchor.right,
                    edge,
                    y: anchor.y,
                });
            }
            let (_, one) = blocks.iter().find(|(own, _)| *own == at)?;
            let anchor = one.anchors.iter().find(is)?;
            Some(End {
                x: anchor.left,
                edge: one.frame()?.x,
                y: anchor.y,
            })
        };
        let mut across = Vec::new();
        for ((a, b, stands), one, other) in wires {
            let from = end(*one, *a, &block.anchors);
            let to = end(*other, *b, &block.anchors);
            let (Some(mut from), Some(mut to)) = (from, to) else {
                continue;
            };
            let class = if *stands { "stands" } else { "wire" };
            if *other == world.id {
                (from, to) = (to, from);
            }
            match [*one, *other].contains(&world.id) {
                true => across.push((from, to, class)),
                false => block.wires.push(beside(from, to, class)),
            }
        }
        // Each has a channel of its own. Those that lead down: the lower, the farther left, so that none crosses another.
        across.sort_by_key(|(from, to, _)| (from.y, to.y));
        let count = across.len() as i32;
        let step = CHANNEL.min(CHANNELS / count.max(1)).max(1);
        for (at, (from, to, class)) in across.into_iter().enumerate() {
            let place = match from.y < to.y {
                true => count - 1 - at as i32,
                false => at as i32,
            };
            block.wires.push(Wire {
                from,
                to,
                middle: from.edge + WIRED / 2 + (place * step).min(CHANNELS),
                beside: false,
                class,
            });
        }
    }
}

/// A wire between boxes below each other: the farther apart, the wider its bow, so that no two lie upon each other.
fn beside(from: End, to: End, class: &'static str) -> Wire {
    let reach = 16 + ((to.y - from.y).abs() / 16).min(SHARING - 24);
    Wire {
        from,
        to,
        middle: from.edge - reach,
        beside: true,
        class,
    }
}

/// Those in a world that are wired, in the order in which their wires cross least, and the others.
fn nearest(
    world: &World,
    inside: &[&World],
    wires: &[(Tie, usize, usize)],
    sharing: &[(usize, usize)],
    anchors: &[Anchor],
) -> (Vec<usize>, Vec<usize>) {
    let height = |key: Key| {
        anchors
            .iter()
            .find(|anchor| anchor.key == key)
            .map(|anchor| anchor.y)
    };
    // The height of the card that it is wired to.
    let own = |at: usize| {
        let heights = wires.iter().filter_map(|((a, b, _), one, other)| match () {
            () if (*one, *other) == (world.id, at) => height(*a),
            () if (*one, *other) == (at, world.id) => height(*b),
            () => None,
        });
        heights.min()
    };
    let partners = |at: usize| {
        let wired = wires.iter().map(|(_, one, other)| (*one, *other));
        let pairs = wired.chain(sharing.iter().copied());
        let partners = pairs.filter_map(move |(one, other)| match () {
            () if one == at => Some(other),
            () if other == at => Some(one),
            () => None,
        });
        partners.filter(|other| *other != world.id)
    };
    let is_linked = |at: usize| own(at).is_some() || partners(at).next().is_some();
    let (linked, rest): (Vec<usize>, Vec<usize>) = inside
        .iter()
        .map(|in_it| in_it.id)
        .partition(|at| is_linked(*at));
    let mut order: Vec<usize> = linked
        .iter()
        .copied()
        .filter(|at| own(*at).is_some())
        .collect();
    order.sort_by_key(|at| own(*at));
    // Whoever is linked to another in it stands behind that.
    let mut left: Vec<usize> = linked.into_iter().filter(|at| own(*at).is_none()).collect();
    while !left.is_empty() {
        let place = |at: usize| {
            let places =
                partners(at).filter_map(|other| order.iter().position(|own| *own == other));
            places.min()
        };
        let next = left.iter().position(|at| place(*at).is_some()).unwrap_or(0);
        let at = left.remove(next);
        let mut behind = place(at).map_or(order.len(), |place| place + 1);
        // Behind those that stand there for the same reason.
        while order.get(behind).is_some_and(|other| own(*other).is_none()) {
            behind += 1;
        }
        order.insert(behind, at);
    }
    (order, rest)
}

impl Block {
    /// Its own rectangle.
    fn frame(&self) -> Option<Place> {
        match self.items.first() {
            Some(Item::Rectangle { place, .. }) => Some(*place),
            _ => None,
        }
    }

    fn shift(&mut self, dx: i32, dy: i32) {
        for item in &mut self.items {
            item.shift(dx, dy);
        }
        for anchor in &mut self.anchors {
            anchor.left += dx;
            anchor.right += dx;
            anchor.y += dy;
        }
        for wire in &mut self.wires {
            wire.middle += dx;
            for end in [&mut wire.from, &mut wire.to] {
                end.x += dx;
                end.edge += dx;
                end.y += dy;
            }
        }
    }
}

/// All pairs of ends that are both in the graph, each once.
fn ties(graph: &Graph) -> Vec<Tie> {
    let mut ties = Vec::new();
    let mut seen = HashSet::new();
    for world in &graph.worlds {
        let Some(ns) = world.namespace(Kind::Net).map(|own| own.ns) else {
            continue;
        };
        for link in &world.interfaces {
            let own = (ns, link.index);
            let Some(tie) = &link.tie else { continue };
            let Some(there) = tie.ns else { continue };
            let far = (there, tie.index);
            if graph.interface(far.0, far.1).is_some() && seen.insert((own.min(far), own.max(far)))
            {
                ties.push((own, far, !link.is_pair()));
            }
        }
    }
    ties
}

/// What the colours mean, as far as they are there, and what is not shown.
fn legend(graph: &Graph, left: i32, top: i32) -> (Vec<Item>, i32, i32) {
    let all = || graph.worlds.iter().flat_map(|world| &world.namespaces);
    let mut items = Vec::new();
    let mut x = left;
    let mut widest = left;
    let mut y = top;
    for (whose, text) in [
        (Whose::Own, "its own"),
        (Whose::Shared, "also another's, which is named"),
        (Whose::Outer, "of the box around it"),
        (Whose::Machine, "the machine's"),
    ] {
        if !all().any(|own| own.whose == whose) {
            continue;
        }
        let class = format!("chip {}", super::panel::class(whose));
        items.push(Item::Rectangle {
            place: Place {
                x,
                y,
                width: 28,
                height: 14,
            },
            radius: 7,
            class,
            hint: text.to_owned(),
        });
        items.push(note((x + 36, y + 11), text));
        x += 36 + width(text) + GAP;
        widest = widest.max(x);
    }
    y += LINE + 4;
    let is_framed = |own: &&soute_lens::view::WorldNamespace| {
        own.kind == Kind::User && own.whose != Whose::Machine
    };
    let framed = all().any(|own| is_framed(&own));
    let frame = framed.then(|| {
        "framed: a user namespace and what it owns; what stands outside is owned by another, the machine's as a rule".to_owned()
    });
    let shares = all().any(|own| own.whose == Whose::Shared);
    let dashes = shares.then(|| "dashed: boxes that share namespaces".to_owned());
    for text in frame.into_iter().chain(dashes).chain(words::idle(graph)) {
        items.push(note((left, y + 11), &text));
        widest = widest.max(left + width(&text));
        y += LINE;
    }
    (items, widest, y)
}

fn note(at: (i32, i32), text: &str) -> Item {
    Item::Text {
        at,
        class: "soft",
        anchor: "start",
        text: text.to_owned(),
    }
}
