//! Where everything stands in the picture: a box for each namespace with a card for each interface, in columns by the number
//! of wires to the caller's own. A box stands beside the card that its first wire leads to, so that most wires are straight.

use std::collections::{HashMap, HashSet};

use soute_lens::wiring::Interface;

use super::super::super::drawing::interface;
use super::super::super::drawing::svg::{LINE, title_width, width};
use super::model::{Map, Place};
use super::words;

/// Pixels.
const MARGIN: i32 = 24;
const GAP: i32 = 14;
const COLUMN_GAP: i32 = 150;
const PADDING: i32 = 12;
const INDENT: i32 = 10;
/// A box's title and what stands below it.
const HEAD: i32 = 50;
/// From a card's top to where its wire is fixed.
const ANCHOR: i32 = 16;
/// What the machine's way outside takes on the left.
const OUTSIDE: i32 = 110;

/// A number and a name of an interface in its namespace.
type Key = (u64, u32);

/// The picture, in pixels.
#[derive(Debug, Default)]
pub struct Picture {
    pub width: i32,
    pub height: i32,
    pub boxes: Vec<Area>,
    pub cards: Vec<Area>,
    pub wires: Vec<Wire>,
    /// Where the machine's ways outside leave: the heights, and where their cards begin.
    pub outside: Vec<(i32, i32)>,
}

/// A rectangle with text in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
    /// What it is, as a class of the style.
    pub class: &'static str,
    /// The first is its title. Each with how far it is indented.
    pub lines: Vec<(i32, String)>,
}

/// A line between two cards, and what stands at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    pub from: End,
    pub to: End,
    /// Whether they are in the same column.
    pub beside: bool,
    pub class: &'static str,
}

/// An end of a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The edge of the card.
    pub x: i32,
    /// The edge of the box, on the same side.
    pub edge: i32,
    pub y: i32,
    pub label: String,
}

/// The picture of a map.
pub fn picture(map: &Map) -> Picture {
    let mut layout = Layout::new(map);
    layout.place_all();
    layout.finish()
}

/// An interface in its box.
struct Card {
    key: Key,
    class: &'static str,
    lines: Vec<String>,
    inside: Vec<Card>,
    default: bool,
}

/// A namespace.
struct Node {
    ns: u64,
    class: &'static str,
    title: String,
    subtitle: String,
    cards: Vec<Card>,
    column: usize,
}

#[derive(Clone, Copy)]
struct Anchor {
    node: usize,
    left: i32,
    right: i32,
    y: i32,
}

struct Layout<'m> {
    map: &'m Map,
    nodes: Vec<Node>,
    /// Pairs of ends, the one nearer to the caller first, and whether one stands on the other.
    ties: Vec<(Key, Key, bool)>,
    widths: Vec<i32>,
    /// The next free height of each column.
    free: Vec<i32>,
    placed: HashSet<usize>,
    anchors: HashMap<Key, Anchor>,
    /// What the caller's ways outside take on the left.
    outside: i32,
    picture: Picture,
}

impl<'m> Layout<'m> {
    fn new(map: &'m Map) -> Self {
        let shown = map.namespaces.iter().filter(|place| {
            let links = &place.seen.links;
            place.seen.here || place.seen.hidden.is_none() && !links.iter().all(Interface::is_usual)
        });
        let nodes: Vec<Node> = shown.map(|place| node(map, place)).collect();
        let here = nodes.first();
        let outside = here.is_some_and(|node| node.cards.iter().any(Card::leads_outside));
        let mut layout = Self {
            map,
            outside: if outside { OUTSIDE } else { 0 },
            ties: ties(map),
            widths: Vec::new(),
            free: Vec::new(),
            placed: HashSet::new(),
            anchors: HashMap::new(),
            picture: Picture::default(),
            nodes,
        };
        layout.columns();
        layout
    }

    fn node_of(&self, key: Key) -> Option<usize> {
        self.nodes.iter().position(|node| node.ns == key.0)
    }

    /// The nodes that a node's interfaces are tied to, in the order of its cards: the own end, the other, the other node.
    fn neighbours(&self, node: usize) -> Vec<(Key, Key, usize)> {
        let mut keys = Vec::new();
        for card in &self.nodes[node].cards {
            card.keys(&mut keys);
        }
        let mut found = Vec::new();
        for own in keys {
            found.extend(self.far_ends(own));
        }
        found
    }

    fn far_ends(&self, own: Key) -> Vec<(Key, Key, usize)> {
        let ends = self.ties.iter().filter_map(|(a, b, _)| match own {
            own if own == *a => Some(*b),
            own if own == *b => Some(*a),
            _ => None,
        });
        ends.filter_map(|far| Some((own, far, self.node_of(far)?)))
            .collect()
    }

    /// The other end of a card's wire, and its node.
    fn wire(&self, own: Key) -> Option<(Key, usize)> {
        let stands = |far: Key| {
            let is = |(a, b, stands): &(Key, Key, bool)| {
                *stands && ((*a, *b) == (own, far) || (*a, *b) == (far, own))
            };
            self.ties.iter().any(is)
        };
        let mut ends = self.far_ends(own).into_iter();
        let (_, far, next) = ends.find(|(_, far, _)| !stands(*far))?;
        Some((far, next))
    }

    /// Each node's column: how many wires it is from the one that its part of the map begins with.
    fn columns(&mut self) {
        let mut seen = HashSet::new();
        for start in 0..self.nodes.len() {
            if !seen.insert(start) {
                continue;
            }
            let mut queue = std::collections::VecDeque::from([(start, 0)]);
            while let Some((node, column)) = queue.pop_front() {
                self.nodes[node].column = column;
                for (_, _, next) in self.neighbours(node) {
                    if seen.insert(next) {
                        queue.push_back((next, column + 1));
                    }
                }
            }
        }
        let columns = self.nodes.iter().map(|node| node.column + 1).max();
        self.widths = vec![0; columns.unwrap_or(0)];
        for node in &self.nodes {
            let width = &mut self.widths[node.column];
            *width = (*width).max(node.width());
        }
    }

    fn left(&self, column: usize) -> i32 {
        let before: i32 = self.widths[..column]
            .iter()
            .map(|width| width + COLUMN_GAP)
            .sum();
        MARGIN + self.outside + before
    }

    fn place_all(&mut self) {
        self.free = vec![MARGIN; self.widths.len()];
        for node in 0..self.nodes.len() {
            // Each part of the map below the one before.
            if !self.placed.contains(&node) {
                let below = self.free.iter().copied().max().unwrap_or(MARGIN);
                self.free.fill(below);
                self.place(node, below, true);
            }
        }
    }

    /// Puts a node at that height of its column, and its neighbours beside it. `stretched`: its cards make room, so that each
    /// stands beside the neighbour that it is wired to.
    fn place(&mut self, node: usize, top: i32, stretched: bool) {
        self.placed.insert(node);
        let column = self.nodes[node].column;
        let (left, width) = (self.left(column), self.widths[column]);
        let cards = std::mem::take(&mut self.nodes[node].cards);
        let mut y = top + HEAD;
        for card in &cards {
            y = self.card(
                node,
                card,
                left + PADDING,
                width - 2 * PADDING,
                y,
                stretched,
            ) + GAP;
        }
        self.nodes[node].cards = cards;
        let bottom = if y == top + HEAD {
            y
        } else {
            y - GAP + PADDING
        };
        let Node {
            class,
            title,
            subtitle,
            ..
        } = &self.nodes[node];
        let area = Area {
            x: left,
            y: top,
            width,
            height: bottom - top,
            class,
            lines: vec![(0, title.clone()), (0, subtitle.clone())],
        };
        self.picture.boxes.push(area);
        self.free[column] = self.free[column].max(bottom + 2 * GAP);
        // Those that have no place yet: what stands on an interface, or all where nothing makes room.
        for (own, far, next) in self.neighbours(node) {
            self.place_beside(own, far, next);
        }
    }

    /// A card at that height, with those in it: where it ends.
    fn card(
        &mut self,
        node: usize,
        card: &Card,
        x: i32,
        width: i32,
        y: i32,
        stretched: bool,
    ) -> i32 {
        let wire = match stretched {
            true => self.wire(card.key),
            false => None,
        };
        let y = wire.map_or(y, |(far, next)| y.max(self.earliest(far, next)));
        self.anchors.insert(
            card.key,
            Anchor {
                node,
                left: x,
                right: x + width,
                y: y + ANCHOR,
            },
        );
        if let Some((far, next)) = wire {
            self.place_beside(card.key, far, next);
        }
        // Around those in it, and so behind them.
        let at = self.picture.cards.len();
        let mut bottom = y + card.own_height();
        for inside in &card.inside {
            let (x, width) = (x + INDENT, width - 2 * INDENT);
            bottom = self.card(node, inside, x, width, bottom, stretched) + INDENT;
        }
        let area = Area {
            x,
            y,
            width,
            height: bottom - y,
            class: card.class,
            lines: card.lines.iter().map(|line| (0, line.clone())).collect(),
        };
        self.picture.cards.insert(at, area);
        if card.default && self.nodes[node].class == "here" {
            self.picture.outside.push((y + ANCHOR, x));
        }
        bottom
    }

    /// The height from which on a card can stand beside the card `far` of a node that has no place yet.
    fn earliest(&self, far: Key, next: usize) -> i32 {
        match self.placed.contains(&next) {
            true => 0,
            false => self.free[self.nodes[next].column] + self.nodes[next].offset(far),
        }
    }

    fn place_beside(&mut self, own: Key, far: Key, next: usize) {
        if self.placed.contains(&next) {
            return;
        }
        let (column, offset) = (self.nodes[next].column, self.nodes[next].offset(far));
        let beside = self.anchors.get(&own).map_or(0, |own| own.y) - ANCHOR - offset;
        let top = beside.max(self.free[column]);
        self.place(next, top, false);
    }

    fn finish(mut self) -> Picture {
        for (a, b, stands) in &self.ties {
            let (Some(from), Some(to)) = (self.anchors.get(a), self.anchors.get(b)) else {
                continue;
            };
            let (mut from, mut to, mut ends) = (*from, *to, (*a, *b));
            let column = |anchor: &Anchor| self.nodes[anchor.node].column;
            // What stands on another in its own box is drawn in it.
            if from.node == to.node && *stands {
                continue;
            }
            if column(&from) > column(&to) {
                (from, to, ends) = (to, from, (ends.1, ends.0));
            }
            let beside = column(&from) == column(&to);
            let (left, right) = (self.left(column(&to)), |anchor: &Anchor| {
                self.left(column(anchor)) + self.widths[column(anchor)]
            });
            let (to_x, to_edge) = match beside {
                true => (to.right, right(&to)),
                false => (to.left, left),
            };
            self.picture.wires.push(Wire {
                from: End {
                    x: from.right,
                    edge: right(&from),
                    y: from.y,
                    label: ends.0.1.to_string(),
                },
                to: End {
                    x: to_x,
                    edge: to_edge,
                    y: to.y,
                    label: ends.1.1.to_string(),
                },
                beside,
                class: if *stands { "stands" } else { "wire" },
            });
        }
        let last = self.widths.len().saturating_sub(1);
        let mut width = self.left(last) + self.widths.last().copied().unwrap_or(0);
        // A wire beside its column has its bow there.
        width += if self.picture.wires.iter().any(|wire| wire.beside) {
            COLUMN_GAP / 2
        } else {
            0
        };
        let mut y = self.free.iter().copied().max().unwrap_or(MARGIN);
        for (class, title, lines) in [
            ("rules", "rules of nftables", words::rules(self.map)),
            ("without", "without a link to anywhere", without(self.map)),
        ] {
            if lines.is_empty() {
                continue;
            }
            let area = panel(class, title, lines, MARGIN, y);
            y += area.height + 2 * GAP;
            width = width.max(area.x + area.width);
            self.picture.boxes.push(area);
        }
        self.picture.width = width + MARGIN;
        self.picture.height = y - 2 * GAP + MARGIN;
        self.picture
    }
}

/// Text in a box of its own.
fn panel(class: &'static str, title: &str, lines: Vec<(usize, String)>, x: i32, y: i32) -> Area {
    let mut all = vec![(0, title.to_owned())];
    all.extend(
        lines
            .into_iter()
            .map(|(depth, text)| (depth as i32 * 16, text)),
    );
    let widths = all.iter().map(|(indent, text)| indent + width(text));
    let width = widths.max().unwrap_or(0).max(title_width(title)) + 2 * PADDING;
    let height = LINE * all.len() as i32 + 2 * PADDING;
    Area {
        x,
        y,
        width,
        height,
        class,
        lines: all,
    }
}

fn without(map: &Map) -> Vec<(usize, String)> {
    let places = map.namespaces.iter().filter(|place| {
        let links = &place.seen.links;
        !place.seen.here && place.seen.hidden.is_none() && links.iter().all(Interface::is_usual)
    });
    places
        .map(|place| {
            let text = format!("{}  {}", words::title(place), words::subtitle(place));
            (0, text)
        })
        .collect()
}

impl Card {
    fn keys(&self, keys: &mut Vec<Key>) {
        keys.push(self.key);
        self.inside.iter().for_each(|card| card.keys(keys));
    }

    fn leads_outside(&self) -> bool {
        self.default || self.inside.iter().any(Self::leads_outside)
    }

    /// Without those in it.
    fn own_height(&self) -> i32 {
        LINE * self.lines.len() as i32 + 14
    }

    fn height(&self) -> i32 {
        let inside = self.inside.iter().map(|card| card.height() + INDENT);
        self.own_height() + inside.sum::<i32>()
    }

    fn width(&self) -> i32 {
        let mut lines = self.lines.iter();
        let title = lines.next().map_or(0, |line| title_width(line));
        let own = lines.map(|line| width(line)).max().unwrap_or(0).max(title) + 20;
        let inside = self.inside.iter().map(|card| card.width() + 2 * INDENT);
        inside.max().unwrap_or(0).max(own)
    }

    /// How far below its top the card `key` in it begins.
    fn offset(&self, key: Key) -> Option<i32> {
        if self.key == key {
            return Some(0);
        }
        let mut y = self.own_height();
        for card in &self.inside {
            if let Some(offset) = card.offset(key) {
                return Some(y + offset);
            }
            y += card.height() + INDENT;
        }
        None
    }
}

impl Node {
    fn width(&self) -> i32 {
        let cards = self.cards.iter().map(Card::width).max().unwrap_or(0);
        let title = title_width(&self.title).max(width(&self.subtitle));
        cards.max(title).max(160) + 2 * PADDING
    }

    /// How far below its top the card `key` begins.
    fn offset(&self, key: Key) -> i32 {
        let mut y = HEAD;
        for card in &self.cards {
            if let Some(offset) = card.offset(key) {
                return y + offset;
            }
            y += card.height() + GAP;
        }
        HEAD
    }
}

fn node(map: &Map, place: &Place) -> Node {
    let ns = place.seen.ns;
    let mut drawn = HashSet::new();
    let links = || place.seen.links.iter().filter(|link| !link.is_usual());
    let is_below = |link: &&Interface| base(place, link).is_none();
    let mut cards: Vec<Card> = links()
        .filter(is_below)
        .filter_map(|link| card(map, place, link, &mut drawn))
        .collect();
    // Those that are below each other in a circle.
    cards.extend(links().filter_map(|link| card(map, place, link, &mut drawn)));
    let mut subtitle = words::subtitle(place);
    if place.seen.here {
        subtitle += &format!(", {}", words::forwarding(map));
    }
    Node {
        ns,
        class: match (place.seen.here, place.containers.is_empty()) {
            (true, _) => "here",
            (false, false) => "container",
            (false, true) => "namespace",
        },
        title: words::title(place),
        subtitle,
        cards,
        column: 0,
    }
}

/// The number of what an interface is drawn in: what it is a port of, or stands on in the same namespace.
fn base(place: &Place, link: &Interface) -> Option<u32> {
    let tie = link.tie.as_ref();
    let tie = tie.filter(|tie| !link.is_pair() && tie.ns == Some(place.seen.ns));
    let base = link.master.or(tie.map(|tie| tie.index));
    base.filter(|base| *base != link.index && place.seen.link(*base).is_some())
}

fn card(map: &Map, place: &Place, link: &Interface, drawn: &mut HashSet<u32>) -> Option<Card> {
    if !drawn.insert(link.index) {
        return None;
    }
    let mut lines = vec![interface::name(link), interface::nature(link)];
    let facts = words::facts(map, place, link, "");
    let default = facts.iter().any(|(label, _)| *label == "default");
    for (label, text) in facts {
        for part in text.split("  ").filter(|part| !part.is_empty()) {
            lines.push(match label {
                "" => part.to_owned(),
                label => format!("{label} {part}"),
            });
        }
    }
    let in_it = place
        .seen
        .links
        .iter()
        .filter(|above| base(place, above) == Some(link.index));
    Some(Card {
        key: (place.seen.ns, link.index),
        class: match (link.up, link.kind.as_str()) {
            (false, _) => "down",
            (true, "bridge") => "bridge",
            (true, _) => "link",
        },
        lines,
        inside: in_it
            .filter_map(|above| card(map, place, above, drawn))
            .collect(),
        default,
    })
}

/// All pairs of ends that are both seen, each once.
fn ties(map: &Map) -> Vec<(Key, Key, bool)> {
    let mut ties = Vec::new();
    let mut seen = HashSet::new();
    for place in &map.namespaces {
        for link in &place.seen.links {
            let own = (place.seen.ns, link.index);
            let Some(tie) = &link.tie else { continue };
            let Some(ns) = tie.ns else { continue };
            let far = (ns, tie.index);
            if map.link(far.0, far.1).is_some() && seen.insert(own.min(far)..=own.max(far)) {
                ties.push((own, far, !link.is_pair()));
            }
        }
    }
    ties
}
