//! The map as a drawing of characters: a tree of each namespace's interfaces, and at each wire what is at its other end.

use std::collections::HashSet;

use soute_lens::wiring::Interface;

use super::super::super::drawing::interface;
use super::model::{Map, Place};
use super::words::{self, Fact};

/// The width of the labels before what is said of an interface.
const LABEL: usize = 11;

/// The lines.
pub fn draw(map: &Map) -> Vec<String> {
    let mut drawing = Drawing {
        map,
        lines: Vec::new(),
        drawn: HashSet::new(),
    };
    let mut without = Vec::new();
    for place in &map.namespaces {
        if place.seen.hidden.is_some() {
            continue;
        }
        let links = || place.seen.links.iter();
        let has_more = links().any(|link| drawing.is_open(place, link));
        // Of one whose only links were drawn at the other ends of their wires all is said.
        if place.seen.here || has_more {
            drawing.place(place);
        } else if links().all(Interface::is_usual) {
            without.push(place);
        }
    }
    drawing.without(&without);
    drawing.rules();
    drawing.lines
}

struct Drawing<'m> {
    map: &'m Map,
    lines: Vec<String>,
    /// Inode and number of each interface of which all is said.
    drawn: HashSet<(u64, u32)>,
}

/// Something below an interface.
enum Below<'m> {
    /// A port of a bridge, or what stands on it in the same namespace.
    Own(&'m Interface),
    /// What stands on it in another.
    Elsewhere(&'m Place, &'m Interface),
}

impl<'m> Drawing<'m> {
    fn is_open(&self, place: &Place, link: &Interface) -> bool {
        !link.is_usual() && !self.drawn.contains(&(place.seen.ns, link.index))
    }

    fn line(&mut self, margin: &str, text: &str) {
        self.lines
            .push(format!("{margin}{text}").trim_end().to_owned());
    }

    fn place(&mut self, place: &'m Place) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
        let mut head = format!("{}  {}", words::title(place), words::subtitle(place));
        if place.seen.here {
            head += &format!(", {}", words::forwarding(self.map));
        }
        self.lines.push(head);
        let roots: Vec<&Interface> = place
            .seen
            .links
            .iter()
            .filter(|link| self.is_open(place, link) && self.is_root(place, link))
            .collect();
        let roots = self.without_far_ends(place, roots);
        let count = roots.len();
        for (at, link) in roots.into_iter().enumerate() {
            self.lines.push("│".to_owned());
            self.link("", at + 1 == count, place, link);
        }
    }

    /// Those that are not drawn at the other end of another's wire, which a trial tells: the last has another branch.
    fn without_far_ends(&self, place: &'m Place, roots: Vec<&'m Interface>) -> Vec<&'m Interface> {
        let mut trial = Drawing {
            map: self.map,
            lines: Vec::new(),
            drawn: self.drawn.clone(),
        };
        let is_drawn = |link: &&'m Interface| {
            let is_open = trial.is_open(place, link);
            trial.link("", true, place, link);
            is_open
        };
        roots.into_iter().filter(is_drawn).collect()
    }

    /// Whether it is not drawn below another of its namespace: it stands on none and is no port of any, or that one was drawn
    /// at the other end of its wire.
    fn is_root(&self, place: &Place, link: &Interface) -> bool {
        let ns = place.seen.ns;
        let base = link.tie.as_ref().filter(|tie| {
            !link.is_pair() && tie.ns == Some(ns) && tie.index != link.index && tie.name.is_some()
        });
        let master = link
            .master
            .filter(|master| place.seen.link(*master).is_some());
        let below = master.or(base.map(|tie| tie.index));
        below.is_none_or(|index| self.drawn.contains(&(ns, index)))
    }

    fn below(&self, place: &'m Place, link: &Interface) -> Vec<Below<'m>> {
        let ns = place.seen.ns;
        let ports = place.seen.ports(link.index);
        let mut below: Vec<Below<'m>> = ports.map(Below::Own).collect();
        for (other, above) in self.map.above(ns, link.index) {
            if other.seen.ns != ns {
                below.push(Below::Elsewhere(other, above));
            } else if above.master.is_none() && above.index != link.index {
                below.push(Below::Own(above));
            }
        }
        below
    }

    /// An interface, whatever its wire leads to, and whatever is below it.
    fn link(&mut self, margin: &str, last: bool, place: &'m Place, link: &'m Interface) {
        // Whatever a hostile namespace says, a drawing ends.
        if !self.drawn.insert((place.seen.ns, link.index)) {
            return;
        }
        let (branch, stem) = match last {
            true => ("└─ ", "   "),
            false => ("├─ ", "│  "),
        };
        let tie = link.tie.as_ref().filter(|_| link.is_pair());
        let far = tie.and_then(|tie| self.map.link(tie.ns?, tie.index));
        let own = format!("{}  {}", interface::name(link), interface::nature(link));
        let mut facts = Vec::new();
        let head = match (tie, far) {
            (Some(tie), Some((there, end))) => {
                let shown = tie.mutual && !self.drawn.contains(&(there.seen.ns, end.index));
                if shown {
                    self.drawn.insert((there.seen.ns, end.index));
                }
                let place_of = match there.seen.ns == place.seen.ns {
                    true => "beside it".to_owned(),
                    false => format!("in {}", words::title(there)),
                };
                facts = words::facts(self.map, place, link, "address");
                if shown && there.seen.ns != place.seen.ns {
                    facts.extend(words::facts(self.map, there, end, "there"));
                }
                let wire = if tie.mutual { "═══" } else { "═?═" };
                format!("{own} {wire} {}  {place_of}", interface::name(end))
            }
            (Some(tie), None) => {
                facts = words::facts(self.map, place, link, "address");
                format!("{own} ═══ {}: in a namespace that was not found", tie.index)
            }
            (None, _) => {
                facts.extend(words::facts(self.map, place, link, "address"));
                own
            }
        };
        self.line(margin, &format!("{branch}{head}"));
        let below = self.below(place, link);
        let margin = format!("{margin}{stem}");
        let bar = if below.is_empty() { "   " } else { "│  " };
        for fact in &facts {
            self.fact(&format!("{margin}{bar}"), fact);
        }
        let count = below.len();
        for (at, one) in below.into_iter().enumerate() {
            let last = at + 1 == count;
            match one {
                Below::Own(link) => self.link(&margin, last, place, link),
                Below::Elsewhere(there, link) => self.elsewhere(&margin, last, there, link),
            }
        }
    }

    /// What stands on an interface and is in another namespace.
    fn elsewhere(&mut self, margin: &str, last: bool, there: &'m Place, link: &'m Interface) {
        if !self.drawn.insert((there.seen.ns, link.index)) {
            return;
        }
        let branch = if last { "└╌ " } else { "├╌ " };
        let title = words::title(there);
        let head = format!(
            "{}  {}  in {title}",
            interface::name(link),
            interface::nature(link)
        );
        self.line(margin, &format!("{branch}{head}"));
        let stem = if last { "   " } else { "│  " };
        for fact in words::facts(self.map, there, link, "there") {
            self.fact(&format!("{margin}{stem}   "), &fact);
        }
    }

    fn fact(&mut self, margin: &str, (label, text): &Fact) {
        self.line(margin, &format!("{label:<LABEL$}{text}"));
    }

    /// Namespaces that have no link to anywhere.
    fn without(&mut self, places: &[&Place]) {
        if places.is_empty() {
            return;
        }
        self.lines.push(String::new());
        self.lines.push("without a link to anywhere".to_owned());
        let count = places.len();
        for (at, place) in places.iter().enumerate() {
            let branch = if at + 1 == count {
                "└─ "
            } else {
                "├─ "
            };
            let text = format!("{}  {}", words::title(place), words::subtitle(place));
            self.line(branch, &text);
        }
    }

    fn rules(&mut self) {
        let lines = words::rules(self.map);
        if lines.is_empty() {
            return;
        }
        self.lines.push(String::new());
        self.lines.push("rules of nftables".to_owned());
        for (at, (depth, text)) in lines.iter().enumerate() {
            // The last of its depth, before one of less or the end.
            let is_last = |depth: usize| {
                let mut after = lines[at + 1..].iter().map(|(other, _)| *other);
                after.find(|other| *other <= depth) != Some(depth)
            };
            let branch = if is_last(*depth) {
                "└─ "
            } else {
                "├─ "
            };
            let stem = |depth: usize| if is_last(depth) { "   " } else { "│  " };
            let margin = match depth {
                0 => branch.to_owned(),
                1 => format!("{}{branch}", stem(0)),
                _ => format!("{}{}   ", stem(0), stem(1)),
            };
            self.line(&margin, text);
        }
    }
}
