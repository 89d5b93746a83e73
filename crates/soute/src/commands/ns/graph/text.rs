//! The graph in characters: a tree of worlds, with lines of what each is made of.

use soute_lens::view::{Graph, Whose, World, cut};
use soute_lens::wiring::Interface;
use soute_lens::{Kind, view::WorldNamespace};
use unicode_width::UnicodeWidthStr;

use super::super::super::drawing::interface;
use super::words;
use crate::output::visible;

/// The width of the labels before what is said of a world.
const LABEL: usize = 10;
/// A title is a command line, if there is no name.
const TITLE: usize = 60;
/// Where lists are wrapped if there is no terminal.
const WIDTH: usize = 110;

/// The lines, no longer than `width` if there is one.
pub fn draw(graph: &Graph, width: Option<usize>) -> Vec<String> {
    let mut drawing = Drawing {
        graph,
        width: width.unwrap_or(WIDTH),
        lines: Vec::new(),
    };
    if let Some(machine) = graph.worlds.first() {
        drawing.world(machine, "", "");
    }
    let rest = words::idle(graph);
    drawing.lines.extend(rest);
    match width {
        Some(width) => drawing.lines.iter().map(|line| cut(line, width)).collect(),
        None => drawing.lines,
    }
}

struct Drawing<'g> {
    graph: &'g Graph,
    width: usize,
    lines: Vec<String>,
}

impl Drawing<'_> {
    /// A world and those in it: its first line behind `branch`, all others behind `stem`.
    fn world(&mut self, world: &World, branch: &str, stem: &str) {
        let asked = if world.asked { "▶ " } else { "" };
        self.line(
            branch,
            &format!(
                "{asked}{}  {}",
                cut(&words::title(world), TITLE),
                words::subtitle(world)
            ),
        );
        let graph = self.graph;
        let inside = graph
            .worlds
            .iter()
            .filter(|other| other.inside == Some(world.id));
        let inside: Vec<&World> = inside.collect();
        let left_out = words::more_worlds(world);
        let count = inside.len() + usize::from(left_out.is_some());
        let margin = format!("{stem}{}", if count > 0 { "│  " } else { "   " });
        self.namespaces(world, &margin);
        self.interfaces(world, &margin);
        self.processes(world, &margin);
        for (at, other) in inside.into_iter().enumerate() {
            self.line(stem, "│");
            match at + 1 == count {
                true => self.world(other, &format!("{stem}└─ "), &format!("{stem}   ")),
                false => self.world(other, &format!("{stem}├─ "), &format!("{stem}│  ")),
            }
        }
        if let Some(text) = left_out {
            self.line(stem, "│");
            self.line(stem, &format!("└─ {text}"));
        }
    }

    fn line(&mut self, margin: &str, text: &str) {
        self.lines
            .push(format!("{margin}{text}").trim_end().to_owned());
    }

    /// A label and a list that is wrapped.
    fn list(&mut self, margin: &str, label: &str, items: &[String]) {
        let mut label = label;
        let mut text = String::new();
        for item in items {
            let length = margin.width() + LABEL + text.width() + 2 + item.width();
            if !text.is_empty() && length > self.width {
                self.line(margin, &format!("{label:<LABEL$}{text}"));
                (label, text) = ("", String::new());
            }
            if !text.is_empty() {
                text += "  ";
            }
            text += item;
        }
        if !text.is_empty() {
            self.line(margin, &format!("{label:<LABEL$}{text}"));
        }
    }

    fn namespaces(&mut self, world: &World, margin: &str) {
        let of = |whose: Whose| {
            world
                .namespaces
                .iter()
                .filter(move |own| own.whose == whose)
        };
        let numbers = |list: Vec<&WorldNamespace>| -> Vec<String> {
            let text = |own: &&WorldNamespace| match own.kind {
                Kind::User => words::user(world, own),
                _ => words::namespace(own),
            };
            list.iter().map(text).collect()
        };
        // The machine's own need no number but at the machine.
        if world.machine {
            self.list(margin, "own", &numbers(of(Whose::Machine).collect()));
        }
        self.list(margin, "own", &numbers(of(Whose::Own).collect()));
        self.list(margin, "shared", &numbers(of(Whose::Shared).collect()));
        let mut outer: Vec<&str> = Vec::new();
        let mut kinds = Vec::new();
        for own in of(Whose::Outer) {
            outer.extend(own.with.iter().map(|other| other.name.as_str()));
            kinds.push(own.kind.to_string());
        }
        outer.dedup();
        if !kinds.is_empty() {
            let text = format!("{}  of {}", kinds.join(" "), visible(&outer.join(", ")));
            self.list(margin, "around it", &[text]);
        }
        if !world.machine {
            let kinds: Vec<String> = of(Whose::Machine).map(|own| own.kind.to_string()).collect();
            self.list(margin, "machine's", &[kinds.join(" ")]);
        }
        // Of what its own user namespace owns, or the machine's, nothing is said.
        let usual = [Some(world), self.graph.worlds.first()].map(|one| {
            let user = one.and_then(|one| one.namespace(Kind::User));
            user.map(|user| user.ns)
        });
        let is_strange = |own: &&WorldNamespace| {
            own.whose == Whose::Own && own.kind != Kind::User && !usual.contains(&own.ons)
        };
        if let Some(ons) = world
            .namespaces
            .iter()
            .find(is_strange)
            .and_then(|own| own.ons)
        {
            self.list(margin, "owner", &[words::owner(self.graph, ons)]);
        }
    }

    fn interfaces(&mut self, world: &World, margin: &str) {
        let Some(ns) = world.namespace(Kind::Net).map(|own| own.ns) else {
            return;
        };
        let mut label = "wires";
        for (depth, link) in tree(&world.interfaces) {
            let mut text = format!("{}  {}", interface::name(link), interface::nature(link));
            if let Some(far) = words::far_end(self.graph, ns, link) {
                text += &format!(" ═══ {far}");
            }
            for address in interface::known_elsewhere(link) {
                text += &format!("  {address}");
            }
            self.line(
                margin,
                &format!("{label:<LABEL$}{}{text}", "   ".repeat(depth)),
            );
            label = "";
        }
        if let Some(more) = words::more_interfaces(world) {
            self.line(margin, &format!("{label:<LABEL$}{more}"));
        }
    }

    fn processes(&mut self, world: &World, margin: &str) {
        let mut label = "processes";
        let width = |texts: Vec<String>| texts.iter().map(String::len).max().unwrap_or(0);
        let all = world.processes.iter();
        let here = width(all.clone().map(|one| number(one.pids.first())).collect());
        let inside = width(all.clone().map(words::inside_pids).collect());
        for one in all {
            let outside = number(one.pids.first());
            let mut text = format!("{label:<LABEL$}{outside:>here$}");
            if inside > 0 {
                let numbers = words::inside_pids(one);
                text += &format!(
                    " {} {numbers:<inside$}",
                    if numbers.is_empty() { " " } else { "→" }
                );
            }
            let asked = if one.asked { "▶ " } else { "" };
            text += &format!("  {}{asked}{}", one.branches, words::command(one));
            self.line(
                margin,
                &cut(&text, self.width.saturating_sub(margin.width()).max(20)),
            );
            label = "";
        }
        if let Some(more) = words::more_processes(world) {
            self.line(margin, &format!("{label:<LABEL$}{more}"));
        }
    }
}

fn number(pid: Option<&u32>) -> String {
    pid.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Each interface with its depth: below a bridge its ports.
pub fn tree(links: &[Interface]) -> Vec<(usize, &Interface)> {
    let is_port = |link: &&Interface| {
        let mut masters = links.iter().filter(|other| other.index != link.index);
        link.master
            .is_some_and(|master| masters.any(|other| other.index == master))
    };
    let mut order = Vec::new();
    let mut left: Vec<(usize, &Interface)> = Vec::new();
    left.extend(
        links
            .iter()
            .rev()
            .filter(|link| !is_port(link))
            .map(|link| (0, link)),
    );
    while let Some((depth, link)) = left.pop() {
        order.push((depth, link));
        let ports = links
            .iter()
            .rev()
            .filter(|port| port.master == Some(link.index) && port.index != link.index);
        left.extend(ports.map(|port| (depth + 1, port)));
    }
    // Whatever a namespace says: ports of each other in a circle are there, too.
    for link in links {
        if !order.iter().any(|(_, other)| other.index == link.index) {
            order.push((0, link));
        }
    }
    order
}
