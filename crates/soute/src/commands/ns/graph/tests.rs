//! The drawings of a graph that is made here: a machine with a bridge, two containers that share a network, one in another, a
//! process by itself, and names as hostile as may be.

use proptest::prelude::*;
use soute_lens::view::{Graph, Other, Whose, World, WorldNamespace, WorldProcess};
use soute_lens::wiring::{Inet, Interface, Tie};
use soute_lens::{Container, Kind, Maker};

use super::super::super::drawing::svg::{Place, title_width, width};
use super::layout::{Picture, Way, Wire, picture};
use super::panel::Item;
use super::{svg, text};

const HOSTILE: &str = "<&\"'>\u{1b}[2J\u{202e}\u{ffff}";

fn namespace(kind: Kind, ns: u64, whose: Whose, with: &[(usize, &str)]) -> WorldNamespace {
    WorldNamespace {
        kind,
        ns,
        ons: None,
        whose,
        with: with
            .iter()
            .map(|(world, name)| Other {
                world: Some(*world),
                name: (*name).to_owned(),
            })
            .collect(),
        with_left_out: 0,
    }
}

fn process(pids: &[u32], branches: &str, command: &str) -> WorldProcess {
    WorldProcess {
        pids: pids.to_vec(),
        ppid: 1,
        name: "p".into(),
        command: command.into(),
        asked: false,
        depth: usize::from(!branches.is_empty()),
        branches: branches.into(),
    }
}

fn link(index: u32, kind: &str, master: Option<u32>, tied: Option<(u64, u32)>) -> Interface {
    Interface {
        index,
        name: format!("l{index}"),
        kind: kind.into(),
        mac: None,
        mtu: 1500,
        up: true,
        state: "up",
        master,
        tag: None,
        tie: tied.map(|(ns, index)| Tie {
            index,
            netnsid: Some(0),
            ns: Some(ns),
            name: None,
            mutual: true,
        }),
        addresses: vec![Inet {
            address: "fdfc:8db:cb99::f3e8:4c0a".parse().unwrap(),
            prefix: 64,
            scope: "global",
        }],
    }
}

/// A world with all its namespaces its own, numbered from ten times its place.
fn world(id: usize, inside: Option<usize>, name: &str) -> World {
    let number = |at: usize| id as u64 * 10 + at as u64;
    let mut namespaces: Vec<WorldNamespace> = Kind::ALL
        .into_iter()
        .enumerate()
        .map(|(at, kind)| namespace(kind, number(at), Whose::Own, &[]))
        .collect();
    for own in &mut namespaces {
        own.ons = Some(number(5));
    }
    World {
        id,
        inside,
        name: name.into(),
        container: Some(Container {
            engine: Maker::Docker,
            id: "ab".repeat(32),
            name: Some(name.into()),
        }),
        machine: false,
        asked: false,
        pid: Some(1),
        command: format!("/bin/{name} -x"),
        root_uid: Some(231_072),
        namespaces,
        nprocs: 4,
        processes: vec![
            process(&[100 + id as u32, 1], "", "/bin/init"),
            process(&[200, 17], "└─ ", &"long ".repeat(40)),
        ],
        interfaces: Vec::new(),
        interfaces_left_out: 0,
        worlds_left_out: 0,
    }
}

fn graph() -> Graph {
    let mut machine = world(0, None, "machine");
    machine.machine = true;
    machine.container = None;
    machine.root_uid = None;
    machine.worlds_left_out = 7;
    machine.interfaces_left_out = 3;
    for own in &mut machine.namespaces {
        own.whose = Whose::Machine;
    }
    machine.interfaces = vec![
        link(1, "bridge", None, None),
        link(2, "veth", Some(1), Some((14, 2))),
        link(3, "veth", Some(1), Some((34, 2))),
    ];
    let mut web = world(1, Some(0), "web");
    web.namespaces[4] = namespace(Kind::Net, 14, Whose::Shared, &[(2, "guest")]);
    web.interfaces = vec![
        link(2, "veth", None, Some((4, 2))),
        link(3, "veth", None, Some((999, 8))),
    ];
    let mut guest = world(2, Some(0), "guest");
    guest.asked = true;
    guest.namespaces[4] = namespace(Kind::Net, 14, Whose::Shared, &[(1, "web")]);
    let mut other = world(3, Some(0), HOSTILE);
    other.interfaces = vec![link(2, "veth", None, Some((4, 3)))];
    other.processes[1].command = format!("/x/{HOSTILE} y");
    other.namespaces[2] = namespace(Kind::Ipc, 52, Whose::Shared, &[(5, HOSTILE), (1, "web")]);
    // To one that stands neither in it nor beside it: no line, but words.
    let mut inner = world(4, Some(3), "inner");
    inner.interfaces = vec![link(9, "veth", None, Some((14, 3)))];
    inner.namespaces[0] = namespace(Kind::Mnt, 30, Whose::Outer, &[(3, HOSTILE)]);
    let mut alone = world(5, Some(0), "sleep (9)");
    alone.container = None;
    for own in &mut alone.namespaces {
        own.whose = Whose::Machine;
    }
    Graph {
        worlds: vec![machine, web, guest, other, inner, alone],
        worlds_left_out: 7,
        idle_namespaces: 2,
        notes: Vec::new(),
    }
}

fn contains(outer: Place, inner: Place) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

fn apart(one: Place, other: Place) -> bool {
    one.x + one.width <= other.x
        || other.x + other.width <= one.x
        || one.y + one.height <= other.y
        || other.y + other.height <= one.y
}

/// The rectangles, in the order in which they are drawn.
fn rectangles(picture: &Picture) -> Vec<(Place, &str)> {
    let all = picture.items.iter().filter_map(|item| match item {
        Item::Rectangle { place, class, .. } => Some((*place, class.as_str())),
        Item::Text { .. } => None,
    });
    all.collect()
}

/// The room that each line of text takes.
fn texts(picture: &Picture) -> Vec<(Place, &str)> {
    let all = picture.items.iter().filter_map(|item| {
        let Item::Text {
            at,
            class,
            anchor,
            text,
        } = item
        else {
            return None;
        };
        let width = match *class {
            "title" => title_width(text),
            _ => width(text),
        };
        let place = Place {
            x: if *anchor == "end" { at.0 - width } else { at.0 },
            y: at.1 - 9,
            width,
            height: 12,
        };
        Some((place, text.as_str()))
    });
    all.filter(|(place, _)| place.width > 0).collect()
}

/// No two things are upon each other, but what stands in a box, and that wholly.
#[track_caller]
fn sound(graph: &Graph) {
    let picture = picture(graph);
    let paper = Place {
        x: 0,
        y: 0,
        width: picture.width,
        height: picture.height,
    };
    let all = rectangles(&picture);
    for (at, (one, class)) in all.iter().enumerate() {
        assert!(contains(paper, *one), "{class} {one:?}");
        for (other, name) in &all[at + 1..] {
            // What is drawn later stands in what was drawn before.
            assert!(
                apart(*one, *other) || contains(*one, *other),
                "{class} {one:?} {name} {other:?}"
            );
        }
    }
    let lines = texts(&picture);
    for (at, (one, text)) in lines.iter().enumerate() {
        assert!(contains(paper, *one), "{text:?} {one:?}");
        for (place, class) in &all {
            assert!(
                contains(*place, *one) || apart(*place, *one),
                "{text:?} {one:?} {class} {place:?}"
            );
        }
        for (other, name) in &lines[at + 1..] {
            assert!(apart(*one, *other), "{text:?} {one:?} {name:?} {other:?}");
        }
    }
    let boxes = all.iter().filter(|(_, class)| class.starts_with("box"));
    assert_eq!(boxes.count(), graph.worlds.len());
    let cards = ["link", "bridge", "down"];
    let cards = all
        .iter()
        .filter(|(_, class)| cards.contains(class))
        .count();
    let interfaces = graph.worlds.iter().map(|world| world.interfaces.len());
    assert_eq!(cards, interfaces.sum::<usize>());
    for wire in &picture.wires {
        let ends = ends(wire);
        for (x, y) in ends {
            let on_edge = |(place, _): &(Place, &str)| {
                (x == place.x || x == place.x + place.width)
                    && (place.y..place.y + place.height).contains(&y)
            };
            assert!(all.iter().any(on_edge), "{wire:?}");
        }
        // Through no box but those that it begins and ends in.
        let Way::Corners(points) = &wire.way else {
            continue;
        };
        for pair in points.windows(2) {
            let [(x, y), (to_x, to_y)] = [pair[0], pair[1]];
            assert!(x == to_x || y == to_y, "{wire:?}");
            let way = Place {
                x: x.min(to_x),
                y: y.min(to_y),
                width: (to_x - x).abs(),
                height: (to_y - y).abs(),
            };
            for (place, class) in all.iter().filter(|(_, class)| class.starts_with("box")) {
                let has_end = |(x, y): (i32, i32)| {
                    (place.x..=place.x + place.width).contains(&x)
                        && (place.y..=place.y + place.height).contains(&y)
                };
                assert!(
                    ends.into_iter().any(has_end) || apart(*place, way),
                    "{wire:?} {class} {place:?}"
                );
            }
        }
    }
}

fn ends(wire: &Wire) -> [(i32, i32); 2] {
    match &wire.way {
        Way::Corners(points) => [points[0], points[points.len() - 1]],
        Way::Bow { from, to, .. } => [(from.x, from.y), (to.x, to.y)],
    }
}

#[test]
fn nothing_in_the_picture_overlaps() {
    let graph = graph();
    sound(&graph);
    let picture = picture(&graph);
    let classes = |wanted: &str| {
        let all = picture.wires.iter();
        all.filter(|wire| wire.class == wanted).collect::<Vec<_>>()
    };
    assert_eq!((classes("wire").len(), classes("shares").len()), (2, 1));
    // The one that leads lower runs farther left, so that they do not cross.
    let wires = classes("wire").into_iter().map(|wire| match &wire.way {
        Way::Corners(points) => (points[2].1, points[1].0),
        Way::Bow { .. } => panic!("{wire:?}"),
    });
    let wires: Vec<(i32, i32)> = wires.collect();
    assert!(
        wires[0].0 < wires[1].0 && wires[0].1 > wires[1].1,
        "{wires:?}"
    );
    let boxes = rectangles(&picture);
    let class = |class: &str| boxes.iter().filter(|(_, own)| *own == class).count();
    assert_eq!(class("box container asked"), 1);
    assert_eq!(class("chip shared"), 3 + 1, "and one in the legend");
    assert_eq!(class("frame own"), 4);
}

#[test]
fn the_text_says_what_the_picture_shows() {
    let lines = text::draw(&graph(), None);
    let text = lines.join("\n");
    for line in [
        "machine  the machine itself · 4 processes",
        "├─ web  docker container · abababababab · 4 processes",
        "shared    net 14 with guest",
        "│  wires     1: l1  bridge  fdfc:8db:cb99::f3e8:4c0a/64",
        "│               2: l2@if2  veth ═══ 2: l2@if2 in web",
        "processes 101 → 1   init",
        "200 → 17  └─ long long",
        "… and 2 more",
        "├─ ▶ guest  docker container",
        "user 15 (root is 231072 here)",
        "│  └─ inner  docker container",
        "around it mnt  of <&\"'>\\u{1b}[2J\\u{202e}",
        "├─ sleep (9) -x  no container · 4 processes",
        "└─ … and 7 more worlds, shown if they are named",
        "2 namespaces have no process",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    for line in text::draw(&graph(), Some(40)) {
        assert!(
            unicode_width::UnicodeWidthStr::width(line.as_str()) <= 40,
            "{line}"
        );
    }
}

#[test]
fn the_picture_is_well_formed_whatever_things_are_called() {
    let picture = svg::draw(&graph());
    let document = roxmltree::Document::parse(&picture).unwrap();
    let texts: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.text())
        .collect();
    for text in [
        "web",
        "guest",
        "net 14 with web",
        "<&\"'>\\u{1b}[2J\\u{202e}\u{fffd}",
        "⇄ 3: l3@if8 in web",
        "⇄ 8 in net 999",
        "ipc 52 with <&\"'>\\u{1b}[2J\\u{202e}\u{fffd}, web",
        "init",
    ] {
        assert!(texts.contains(&text), "{text:?} is not in {texts:?}");
    }
    for hostile in ["\u{1b}", "\u{202e}", "<script"] {
        assert!(!picture.contains(hostile), "{picture}");
    }
}

/// As many containers on a bridge as there is room for, two of them linked: in rows, and none is run through by a wire.
#[test]
fn many_that_are_wired_stand_in_rows() {
    let mut graph = graph();
    graph.worlds.truncate(1);
    graph.worlds[0].interfaces = vec![link(1, "bridge", None, None)];
    for id in 1..32 {
        let mut one = world(id, Some(0), &format!("c{id}"));
        let ns = id as u64 * 10 + 4;
        one.interfaces = vec![link(2, "veth", None, Some((4, id as u32 + 10)))];
        graph.worlds.push(one);
        let port = link(id as u32 + 10, "veth", Some(1), Some((ns, 2)));
        graph.worlds[0].interfaces.push(port);
    }
    for (at, with) in [(6, 9), (9, 6)] {
        let name = format!("c{with}");
        graph.worlds[at].namespaces[1] = namespace(Kind::Uts, 61, Whose::Shared, &[(with, &name)]);
    }
    sound(&graph);
    let picture = picture(&graph);
    assert_eq!(picture.wires.len(), 31 + 1);
    assert!(picture.height < 3500, "{}", picture.height);
    let lanes = picture.wires.iter().filter(|wire| match &wire.way {
        Way::Corners(points) => points.len() == 6,
        Way::Bow { .. } => false,
    });
    assert!(lanes.count() > 15);
    let mut corners: Vec<(i32, i32)> = Vec::new();
    for wire in &picture.wires {
        if let Way::Corners(points) = &wire.way {
            corners.extend(&points[1..points.len() - 1]);
        }
    }
    let count = corners.len();
    corners.sort_unstable();
    corners.dedup();
    assert_eq!(corners.len(), count, "no two wires turn at the same place");
}

proptest! {
    /// Whatever stands in what, is wired to what and called what.
    #[test]
    fn whatever_there_is_is_drawn(
        worlds in proptest::collection::vec(
            (0usize..8, "\\PC{0,90}", 0usize..4, any::<bool>(), 0usize..40, proptest::collection::vec("\\PC{0,90}", 0..5)),
            0..9,
        ),
        links in proptest::collection::vec(
            (0usize..9, 1u32..6, proptest::option::of(1u32..6), proptest::option::of((0u64..9, 1u32..6)), any::<bool>()),
            0..20,
        ),
        shared in proptest::collection::vec((0usize..9, 0usize..9, 0usize..8), 0..6),
    ) {
        let mut graph = graph();
        graph.worlds.truncate(1);
        for (at, (inside, name, whose, contained, left_out, commands)) in worlds.into_iter().enumerate() {
            let id = at + 1;
            let mut one = world(id, Some(inside.min(at)), &name);
            if !contained {
                one.container = None;
            }
            one.processes = commands.iter().map(|command| process(&[7, 1], "├─ ", command)).collect();
            one.nprocs = one.processes.len() + left_out;
            one.worlds_left_out = left_out;
            let whose = [Whose::Own, Whose::Machine, Whose::Outer, Whose::Shared][whose];
            one.namespaces[5] = namespace(Kind::User, id as u64 * 10 + 5, whose, &[(0, &name)]);
            graph.worlds.push(one);
        }
        let count = graph.worlds.len();
        for (one, other, kind) in shared {
            let (one, other) = (one % count, other % count);
            if one != 0 && other != 0 && one != other {
                let own = graph.worlds[other].namespaces[kind].clone();
                let names = [one, other].map(|at| graph.worlds[at].name.clone());
                for (at, with) in [(one, 1), (other, 0)] {
                    let with = [(at, names[with].as_str())];
                    graph.worlds[at].namespaces[kind] = namespace(own.kind, own.ns, Whose::Shared, &with);
                }
            }
        }
        for (at, index, master, tie, pair) in links {
            let tie = tie.map(|(world, index)| (world * 10 + 4, index));
            let one = link(index, if pair { "veth" } else { "macvlan" }, master, tie);
            let own = &mut graph.worlds[at % count].interfaces;
            own.retain(|link| link.index != index);
            own.push(one);
        }
        sound(&graph);
        let picture = svg::draw(&graph);
        prop_assert!(roxmltree::Document::parse(&picture).is_ok());
        prop_assert!(text::draw(&graph, None).len() >= graph.worlds.len());
    }
}
