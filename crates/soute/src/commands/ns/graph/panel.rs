//! What a world's box says of the world itself, from top to bottom: what it is, its namespaces, its interfaces, its processes.

use soute_lens::Kind;
use soute_lens::view::{Graph, Whose, World, WorldNamespace};
use soute_lens::wiring::Interface;

use super::super::super::drawing::interface;
use super::super::super::drawing::svg::{LINE, Place, fit, fit_title, title_width, width};
use super::words;

/// Pixels.
const NARROWEST: i32 = 300;
const WIDEST: i32 = 460;
const CHIP: i32 = 20;
const GAP: i32 = 6;
/// Between what tells of different things.
const PART: i32 = 14;
/// Between a rectangle's edge and what is in it.
const INDENT: i32 = 10;
/// Cards in each other; those that are in more stand behind.
const DEEPEST: i32 = 6;
/// From a card's top to where its wire is fixed.
const ANCHOR: i32 = 13;

/// An interface: the inode of its network namespace, and its number there.
pub type Key = (u64, u32);

/// Something that is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A rectangle.
    Rectangle {
        place: Place,
        radius: i32,
        /// What it is, as a class of the style.
        class: String,
        /// What is shown to whoever points at it.
        hint: String,
    },
    /// A line of text.
    Text {
        at: (i32, i32),
        class: &'static str,
        /// Which part of it stands there.
        anchor: &'static str,
        text: String,
    },
}

/// Where a wire may be fixed: the edges of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub key: Key,
    pub left: i32,
    pub right: i32,
    pub y: i32,
}

/// A part of the picture, its corner at 0, 0.
#[derive(Debug, Default)]
pub struct Panel {
    pub width: i32,
    pub height: i32,
    pub items: Vec<Item>,
    pub anchors: Vec<Anchor>,
}

/// How a rectangle of a namespace looks.
pub fn class(whose: Whose) -> &'static str {
    match whose {
        Whose::Own => "own",
        Whose::Machine => "machines",
        Whose::Outer => "outer",
        Whose::Shared => "shared",
    }
}

/// The panel of a world, no narrower than `least`; `drawn` tells of an interface whether the wire to its other end is drawn.
pub fn panel(
    graph: &Graph,
    world: &World,
    least: i32,
    drawn: &dyn Fn(&Interface) -> bool,
) -> Panel {
    let natural = natural_width(graph, world, drawn).clamp(NARROWEST, WIDEST);
    let mut panel = Panel {
        width: natural.max(least),
        ..Panel::default()
    };
    panel.head(world);
    panel.namespaces(graph, world);
    panel.interfaces(graph, world, drawn);
    panel.processes(world);
    if let Some(more) = words::more_worlds(world) {
        panel.height += LINE;
        let more = fit(&more, panel.width);
        panel.text((0, panel.height), "soft", &more);
        panel.height += GAP;
    }
    panel
}

/// The width at which nothing is cut.
fn natural_width(graph: &Graph, world: &World, drawn: &dyn Fn(&Interface) -> bool) -> i32 {
    let mut widest = title_width(&words::title(world)).max(width(&words::subtitle(world)));
    for own in &world.namespaces {
        let text = match own.kind {
            Kind::User => words::user(world, own),
            _ => words::namespace(own),
        };
        widest = widest.max(width(&text) + 2 * INDENT + 2 * GAP);
    }
    for card in cards(graph, world, drawn) {
        let text = title_width(&card.name) + width(&card.nature) + 3 * INDENT;
        let lines = card.lines.iter().map(|line| width(line)).max();
        let indents = 2 * INDENT * (1 + card.depth);
        widest = widest.max(text.max(lines.unwrap_or(0)) + indents);
    }
    let (here, inside) = columns(world);
    for one in &world.processes {
        let text = width(&one.branches) + width(&words::command(one));
        widest = widest.max(here + inside + text);
    }
    widest
}

/// The widths of the columns of numbers, the blanks behind each among them.
fn columns(world: &World) -> (i32, i32) {
    let here = world.processes.iter().map(|one| {
        let pid = one.pids.first().map(ToString::to_string);
        width(&pid.unwrap_or_default())
    });
    let inside = world
        .processes
        .iter()
        .map(|one| width(&words::inside_pids(one)));
    let inside = inside.max().filter(|inside| *inside > 0);
    let here = here.max().unwrap_or(0).max(width("here"));
    (
        here + INDENT,
        inside.map_or(0, |inside| inside.max(width("inside")) + INDENT),
    )
}

/// An interface, as it is shown.
struct Card {
    key: Key,
    class: &'static str,
    name: String,
    nature: String,
    lines: Vec<String>,
    /// How many it stands in.
    depth: i32,
}

/// In the order in which they stand, ports behind their bridges.
fn cards(graph: &Graph, world: &World, drawn: &dyn Fn(&Interface) -> bool) -> Vec<Card> {
    let Some(ns) = world.namespace(Kind::Net).map(|own| own.ns) else {
        return Vec::new();
    };
    let card = |(depth, link): (usize, &Interface)| {
        let mut lines = interface::known_elsewhere(link);
        if !drawn(link) {
            lines.extend(words::far_end(graph, ns, link).map(|far| format!("⇄ {far}")));
        }
        Card {
            key: (ns, link.index),
            class: match (link.up, link.kind.as_str()) {
                (false, _) => "down",
                (true, "bridge") => "bridge",
                (true, _) => "link",
            },
            name: interface::name(link),
            nature: interface::nature(link),
            lines,
            depth: (depth as i32).min(DEEPEST),
        }
    };
    super::text::tree(&world.interfaces)
        .into_iter()
        .map(card)
        .collect()
}

impl Panel {
    fn text(&mut self, at: (i32, i32), class: &'static str, text: &str) {
        self.items.push(Item::Text {
            at,
            class,
            anchor: "start",
            text: text.to_owned(),
        });
    }

    fn rectangle(&mut self, place: Place, radius: i32, class: &str, hint: &str) -> usize {
        self.items.push(Item::Rectangle {
            place,
            radius,
            class: class.to_owned(),
            hint: hint.to_owned(),
        });
        self.items.len() - 1
    }

    fn head(&mut self, world: &World) {
        let room = self.width;
        self.text((0, 14), "title", &fit_title(&words::title(world), room));
        self.text((0, 14 + LINE), "soft", &fit(&words::subtitle(world), room));
        self.height = 14 + LINE + 6;
    }

    /// Around those that are owned by the user namespace that the world is in, a frame: that is the user namespace.
    fn namespaces(&mut self, graph: &Graph, world: &World) {
        if world.namespaces.is_empty() {
            return;
        }
        self.height += PART - GAP;
        let user = world.namespace(Kind::User);
        let framed = user.filter(|user| user.whose != Whose::Machine);
        let is_owned = |own: &&WorldNamespace| {
            let by = framed.map(|user| user.ns);
            own.kind != Kind::User && by.is_some() && own.ons == by
        };
        if let Some(user) = framed {
            let top = self.height;
            let at = self.rectangle(
                Place {
                    x: 0,
                    y: top,
                    width: self.width,
                    height: 0,
                },
                5,
                &format!("frame {}", class(user.whose)),
                &words::hint(graph, user),
            );
            let text = words::user(world, user);
            self.text(
                (INDENT, top + LINE),
                "line",
                &fit(&text, self.width - 2 * INDENT),
            );
            self.height = top + LINE + 8;
            let owned = world.namespaces.iter().filter(is_owned);
            self.chips(graph, world, owned.collect(), INDENT);
            if let Item::Rectangle { place, .. } = &mut self.items[at] {
                place.height = self.height + 2 - top;
            }
            self.height += 2 + GAP;
        }
        // The others: owned by one around it, or by whom is not seen.
        let others = world.namespaces.iter();
        let others = others.filter(|own| !is_owned(own) && framed != Some(*own));
        self.chips(graph, world, others.collect(), 0);
    }

    fn chips(&mut self, graph: &Graph, world: &World, all: Vec<&WorldNamespace>, indent: i32) {
        let end = self.width - indent;
        let mut x = indent;
        for own in &all {
            // Whose numbers stand elsewhere needs none here.
            let text = match own.whose {
                Whose::Machine if !world.machine => own.kind.to_string(),
                Whose::Outer => own.kind.to_string(),
                _ => words::namespace(own),
            };
            let text = fit(&text, end - indent - 2 * GAP);
            let chip = width(&text) + 2 * GAP + 2;
            if x > indent && x + chip > end {
                x = indent;
                self.height += CHIP + GAP;
            }
            let place = Place {
                x,
                y: self.height,
                width: chip.min(end - indent),
                height: CHIP,
            };
            self.rectangle(
                place,
                CHIP / 2,
                &format!("chip {}", class(own.whose)),
                &words::hint(graph, own),
            );
            self.text((x + GAP + 1, self.height + 14), "line", &text);
            x += chip + GAP;
        }
        if !all.is_empty() {
            self.height += CHIP + GAP;
        }
    }

    fn interfaces(&mut self, graph: &Graph, world: &World, drawn: &dyn Fn(&Interface) -> bool) {
        let cards = cards(graph, world, drawn);
        let more = words::more_interfaces(world);
        if cards.is_empty() && more.is_none() {
            return;
        }
        self.height += PART - GAP;
        // Those that are open, with the place of each in the items: its height is known when the next of its depth comes.
        let mut open: Vec<(usize, i32)> = Vec::new();
        for card in cards {
            self.close(&mut open, card.depth);
            let (x, top) = (INDENT * card.depth, self.height);
            let place = Place {
                x,
                y: top,
                width: self.width - 2 * x,
                height: 0,
            };
            let at = self.rectangle(
                place,
                5,
                card.class,
                &format!("{} {}", card.name, card.nature),
            );
            open.push((at, card.depth));
            let room = place.width - 2 * INDENT;
            let name = fit_title(&card.name, room);
            let behind = title_width(&name) + INDENT;
            self.text((x + INDENT, top + LINE + 1), "title", &name);
            self.text(
                (x + INDENT + behind, top + LINE + 1),
                "soft",
                &fit(&card.nature, room - behind),
            );
            self.anchors.push(Anchor {
                key: card.key,
                left: x,
                right: x + place.width,
                y: top + ANCHOR,
            });
            self.height = top + LINE + 1;
            for line in &card.lines {
                self.height += LINE;
                self.text((x + INDENT, self.height), "soft", &fit(line, room));
            }
            self.height += 8;
        }
        self.close(&mut open, 0);
        if let Some(more) = more {
            self.text(
                (INDENT, self.height + LINE - 4),
                "soft",
                &fit(&more, self.width - INDENT),
            );
            self.height += LINE;
        }
    }

    /// Ends the cards that nothing of this depth stands in.
    fn close(&mut self, open: &mut Vec<(usize, i32)>, depth: i32) {
        while let Some((at, _)) = open.pop_if(|(_, own)| *own >= depth) {
            if let Item::Rectangle { place, .. } = &mut self.items[at] {
                place.height = self.height - place.y;
            }
            self.height += GAP;
        }
    }

    fn processes(&mut self, world: &World) {
        let more = words::more_processes(world);
        if world.processes.is_empty() && more.is_none() {
            return;
        }
        self.height += PART - GAP;
        let (here, inside) = columns(world);
        if !world.processes.is_empty() {
            self.height += LINE;
            let y = self.height;
            self.number((here - INDENT, y), "soft", "here");
            if inside > 0 {
                self.number((here + inside - INDENT, y), "soft", "inside");
            }
        }
        for one in &world.processes {
            self.height += LINE;
            let y = self.height;
            let pid = one.pids.first().map(ToString::to_string);
            let class = if one.asked { "asked" } else { "line" };
            self.number((here - INDENT, y), class, &pid.unwrap_or_default());
            if inside > 0 {
                self.number((here + inside - INDENT, y), class, &words::inside_pids(one));
            }
            let text = format!("{}{}", one.branches, words::command(one));
            let x = here + inside;
            self.text((x, y), class, &fit(&text, self.width - x));
        }
        if let Some(more) = more {
            self.height += LINE;
            let (x, y) = (here + inside, self.height);
            self.text((x, y), "soft", &fit(&more, self.width - x));
        }
        self.height += GAP;
    }

    fn number(&mut self, at: (i32, i32), class: &'static str, text: &str) {
        self.items.push(Item::Text {
            at,
            class,
            anchor: "end",
            text: text.to_owned(),
        });
    }
}

impl Item {
    pub fn shift(&mut self, dx: i32, dy: i32) {
        match self {
            Self::Rectangle { place, .. } => {
                place.x += dx;
                place.y += dy;
            }
            Self::Text { at, .. } => {
                at.0 += dx;
                at.1 += dy;
            }
        }
    }
}
