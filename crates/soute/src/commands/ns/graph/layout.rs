//! Where everything stands in the picture: each world is a box, with what is said of it on the left and the boxes of those in
//! it on the right.

use std::collections::HashSet;

use soute_lens::Kind;
use soute_lens::view::{Graph, Whose, World};
use soute_lens::wiring::Interface;

use super::super::super::drawing::svg::{LINE, Place, width};
use super::links::{Drawn, drawn};
use super::panel::{Anchor, Item, Key, panel};
use super::words;

/// Pixels.
const MARGIN: i32 = 24;
pub const PADDING: i32 = 14;
pub const GAP: i32 = 18;

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
    /// `wire`, `stands` (a vlan, a macvlan on what it is of), `shares`.
    pub class: &'static str,
    pub way: Way,
}

/// The way of a wire, from its first end to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Across and down by turns.
    Corners(Vec<(i32, i32)>),
    /// Between boxes below each other: how far it reaches to their left.
    Bow { from: End, to: End, middle: i32 },
}

/// An end of a bow: where it is fixed, and from where on it bends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub x: i32,
    pub edge: i32,
    pub y: i32,
}

/// A box with all that is in it, its corner at 0, 0.
#[derive(Debug, Default)]
pub struct Block {
    pub width: i32,
    pub height: i32,
    pub items: Vec<Item>,
    pub wires: Vec<Wire>,
    /// Of its own world alone.
    pub anchors: Vec<Anchor>,
}

/// The picture of a graph.
pub fn picture(graph: &Graph) -> Picture {
    let mut picture = Picture::default();
    let mut y = MARGIN;
    if let Some(machine) = graph.worlds.first() {
        let layout = Layout {
            graph,
            drawn: drawn(graph),
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

pub struct Layout<'g> {
    pub graph: &'g Graph,
    pub drawn: Vec<Drawn>,
}

impl Layout<'_> {
    pub fn is_leaf(&self, at: usize) -> bool {
        let mut all = self.graph.worlds.iter();
        !all.any(|other| other.inside == Some(at))
    }

    /// The box of a world, what is said of it no narrower than `least`.
    pub fn block(&self, world: &World, least: i32) -> Block {
        let inside = self
            .graph
            .worlds
            .iter()
            .filter(|other| other.inside == Some(world.id));
        let inside: Vec<&World> = inside.collect();
        let ns = world.namespace(Kind::Net).map(|own| own.ns);
        let ends = self.drawn.iter().flat_map(|wire| [wire.tie.0, wire.tie.1]);
        let drawn: HashSet<Key> = ends.collect();
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
}

impl Block {
    /// Its own rectangle.
    pub fn frame(&self) -> Place {
        match self.items.first() {
            Some(Item::Rectangle { place, .. }) => *place,
            _ => Place {
                x: 0,
                y: 0,
                width: self.width,
                height: self.height,
            },
        }
    }

    pub fn shift(&mut self, dx: i32, dy: i32) {
        for item in &mut self.items {
            item.shift(dx, dy);
        }
        for anchor in &mut self.anchors {
            anchor.left += dx;
            anchor.right += dx;
            anchor.y += dy;
        }
        for wire in &mut self.wires {
            match &mut wire.way {
                Way::Corners(points) => {
                    for point in points {
                        point.0 += dx;
                        point.1 += dy;
                    }
                }
                Way::Bow { from, to, middle } => {
                    *middle += dx;
                    for end in [from, to] {
                        end.x += dx;
                        end.edge += dx;
                        end.y += dy;
                    }
                }
            }
        }
    }
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
