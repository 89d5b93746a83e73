//! The drawings of a map that is made here: a machine with a network of two containers, a neighbour outside, a macvlan that was
//! carried away, and names as hostile as the kernel lets them be.

use std::net::IpAddr;

use proptest::prelude::*;
use soute_lens::Basis;
use soute_lens::view::ContainerName;
use soute_lens::wiring::{Inet, Interface, NetworkNamespace, Step, Tie, Way};
use soute_network::Protocol;

use super::super::known::PublishedPort;
use super::choose::{Chosen, choose};
use super::firewall::Firewall;
use super::layout::{Area, picture};
use super::model::{Map, Network, Place};
use super::{svg, text};

const HOSTILE: &str = "<&\"'>\u{1b}[2J";

fn link(index: u32, name: &str, kind: &str) -> Interface {
    Interface {
        index,
        name: name.into(),
        kind: kind.into(),
        mac: Some("02:00:00:00:00:01".into()),
        mtu: 1500,
        up: true,
        state: "up",
        master: None,
        tag: None,
        tie: None,
        addresses: Vec::new(),
    }
}

fn tied(mut link: Interface, ns: u64, index: u32, name: &str) -> Interface {
    link.tie = Some(Tie {
        index,
        netnsid: Some(0),
        ns: Some(ns),
        name: Some(name.into()),
        mutual: link.is_pair(),
    });
    link
}

fn with(mut link: Interface, address: &str, prefix: u8) -> Interface {
    link.addresses.push(Inet {
        address: address.parse().unwrap(),
        prefix,
        scope: "global",
    });
    link
}

fn port_of(mut link: Interface, master: u32) -> Interface {
    link.master = Some(master);
    link
}

fn default(index: u32, via: &str) -> Way {
    Way {
        to: "0.0.0.0/0".into(),
        default: true,
        hops: vec![Step {
            gateway: Some(via.parse().unwrap()),
            link: Some(index),
        }],
        table: 254,
        metric: 0,
    }
}

fn place(ns: u64, container: Option<&str>, links: Vec<Interface>, routes: Vec<Way>) -> Place {
    let containers = container.map(|name| ContainerName {
        name: name.into(),
        id: name.into(),
    });
    Place {
        name: container
            .unwrap_or(if ns == 1 { "machine" } else { "sleep (7)" })
            .into(),
        containers: containers.into_iter().collect(),
        seen: NetworkNamespace {
            ns,
            here: ns == 1,
            machine: (ns == 1).then_some(Basis::Initial),
            nprocs: 1,
            pid: Some(7),
            command: "sleep".into(),
            nsfs: Vec::new(),
            hidden: None,
            links,
            routes,
        },
    }
}

fn map() -> Map {
    let lo = || with(link(1, "lo", "loopback"), "127.0.0.1", 8);
    let machine = vec![
        lo(),
        with(tied(link(2, "out0", "veth"), 9, 2, "eth0"), "192.0.2.1", 30),
        with(link(140, "soute0", "bridge"), "10.121.0.1", 24),
        port_of(tied(link(142, "veth0a", "veth"), 2, 2, "eth0"), 140),
        port_of(tied(link(144, HOSTILE, "veth"), 3, 2, "eth0"), 140),
    ];
    let web = with(
        tied(link(2, "eth0", "veth"), 1, 142, "veth0a"),
        "10.121.0.2",
        24,
    );
    let db = with(
        tied(link(2, "eth0", "veth"), 1, 144, HOSTILE),
        "10.121.0.3",
        24,
    );
    let outside = with(tied(link(2, "eth0", "veth"), 1, 2, "out0"), "192.0.2.2", 30);
    let carried = tied(link(5, "mac0", "macvlan"), 1, 2, "out0");
    Map {
        namespaces: vec![
            place(1, None, machine, vec![default(2, "192.0.2.2")]),
            place(
                2,
                Some("web"),
                vec![lo(), web],
                vec![default(2, "10.121.0.1")],
            ),
            place(3, Some("db"), vec![lo(), db], vec![]),
            place(4, Some("alone"), vec![lo()], vec![]),
            place(9, None, vec![lo(), outside, carried], vec![]),
        ],
        networks: vec![Network {
            name: "bridge".into(),
            id: "b".into(),
            bridge: "soute0".into(),
            subnets: vec!["10.121.0.0/24".parse().unwrap()],
            internal: false,
            masquerade: true,
        }],
        published: vec![PublishedPort {
            protocol: Protocol::Tcp,
            address: "0.0.0.0".parse().unwrap(),
            port: 8080,
            to: "10.121.0.2".parse::<IpAddr>().unwrap(),
            to_port: 80,
            container: Some(ContainerName {
                name: "web".into(),
                id: "web".into(),
            }),
            owner: "web web".into(),
            interface: Some("eth0".into()),
            rule: Some("inet soute any4 { tcp . 8080 : 10.121.0.2 . 80 }".into()),
            monitor: Some(1),
        }],
        firewall: Firewall::default(),
        notes: Vec::new(),
    }
}

#[test]
fn the_drawing_shows_both_ends_of_each_wire() {
    let expected = "\
machine  net:[1], 1 process, forwards nothing
│
├─ 2: out0@if2  veth ═══ 2: eth0@if2  in sleep (7)
│  │  address    192.0.2.1/30  mac 02:00:00:00:00:01
│  │  default    via 192.0.2.2
│  │  there      192.0.2.2/30  mac 02:00:00:00:00:01
│  └╌ 5: mac0@if2  macvlan  in sleep (7)
│
└─ 140: soute0  bridge
   │  address    10.121.0.1/24  mac 02:00:00:00:00:01
   │  network    bridge  10.121.0.0/24
   │             NAT: goes outside by the machine's address
   ├─ 142: veth0a@if2  veth ═══ 2: eth0@if142  in web
   │     there      10.121.0.2/24  mac 02:00:00:00:00:01
   │     default    via 10.121.0.1
   │     published  0.0.0.0:8080/tcp → port 80
   └─ 144: <&\"'>\\u{1b}[2J@if2  veth ═══ 2: eth0@if144  in db
         there      10.121.0.3/24  mac 02:00:00:00:00:01

without a link to anywhere
└─ alone  container, net:[4], 1 process";
    assert_eq!(text::draw(&map()).join("\n"), expected);
}

#[test]
fn a_pair_within_a_namespace_is_drawn_once() {
    let mut map = map();
    let pair = |index, name, far, far_name: &str| {
        let mut link = tied(link(index, name, "veth"), 4, far, far_name);
        link.tie.as_mut().unwrap().netnsid = None;
        link
    };
    map.namespaces[3].seen.links = vec![pair(2, "a", 3, "b"), pair(3, "b", 2, "a")];
    let text = text::draw(&map).join("\n");
    assert!(
        text.contains("│\n└─ 2: a@b  veth ═══ 3: b@a  beside it"),
        "{text}"
    );
    assert_eq!(text.matches("b@a").count(), 1, "{text}");
}

#[test]
fn a_part_is_what_is_chosen_and_the_far_ends_of_its_wires() {
    let names = |map: &Map| -> Vec<String> {
        let links = map.namespaces.iter().flat_map(|place| {
            let links = place.seen.links.iter();
            links.map(move |link| format!("{} {}", place.name, link.index))
        });
        links.collect()
    };
    let web = choose(map(), &[Chosen::Namespace(2)]);
    assert_eq!(
        names(&web),
        ["machine 140", "machine 142", "web 1", "web 2"]
    );
    assert_eq!((web.networks.len(), web.published.len()), (1, 1));
    let network = choose(map(), &[Chosen::Bridge(1, 140)]);
    assert_eq!(
        names(&network),
        ["machine 140", "machine 142", "machine 144", "web 2", "db 2"]
    );
    let alone = choose(map(), &[Chosen::Namespace(4)]);
    assert_eq!(names(&alone), ["alone 1"]);
    assert_eq!((alone.networks.len(), alone.published.len()), (0, 0));
}

fn within(inner: &Area, outer: &Area) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

fn apart(one: &Area, other: &Area) -> bool {
    one.x + one.width <= other.x
        || other.x + other.width <= one.x
        || one.y + one.height <= other.y
        || other.y + other.height <= one.y
}

fn sound(map: &Map) {
    let picture = picture(map);
    let (boxes, cards) = (&picture.boxes, &picture.cards);
    for (at, one) in boxes.iter().enumerate() {
        for other in &boxes[at + 1..] {
            assert!(apart(one, other), "{one:?} {other:?}");
        }
        assert!(one.x + one.width <= picture.width && one.y + one.height <= picture.height);
    }
    for (at, card) in cards.iter().enumerate() {
        assert!(boxes.iter().any(|area| within(card, area)), "{card:?}");
        for other in &cards[at + 1..] {
            let nested = within(other, card) || within(card, other);
            assert!(nested || apart(card, other), "{card:?} {other:?}");
        }
    }
    // Each interface of a namespace with a link has one.
    let of = |place: &Place| match place.seen.here
        || !place.seen.links.iter().all(Interface::is_usual)
    {
        true => place
            .seen
            .links
            .iter()
            .filter(|link| !link.is_usual())
            .count(),
        false => 0,
    };
    assert_eq!(cards.len(), map.namespaces.iter().map(of).sum::<usize>());
}

#[test]
fn nothing_in_the_picture_overlaps_and_wires_are_straight_where_they_can_be() {
    let map = map();
    sound(&map);
    let picture = picture(&map);
    assert_eq!(picture.wires.len(), 4);
    let ends = |near: &str| {
        let found = picture.wires.iter().find(|wire| wire.from.label == near);
        found.unwrap()
    };
    for near in ["142", "144"] {
        let wire = ends(near);
        assert_eq!((wire.from.y, wire.to.label.as_str()), (wire.to.y, "2"));
        assert!(wire.from.x < wire.to.x);
    }
    assert_eq!(picture.outside.len(), 1);
}

#[test]
fn the_picture_is_well_formed_whatever_things_are_called() {
    let picture = svg::draw(&map());
    let document = roxmltree::Document::parse(&picture).unwrap();
    let texts: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.text())
        .collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("<&\"'>\\u{1b}[2J@if2"))
    );
    let drawn = |name: &str| {
        document
            .descendants()
            .filter(|node| node.has_tag_name(name))
            .count()
    };
    assert_eq!(drawn("path"), 4 + 1);
    assert!(!picture.contains('\u{1b}') && !picture.contains("<script"));
}

proptest! {
    /// A namespace may say anything: links below each other in circles, ends that are nowhere.
    #[test]
    fn whatever_is_said_is_drawn(links in proptest::collection::vec(
        (0usize..4, 1u32..6, 0u32..6, proptest::option::of((1u64..6, 1u32..6)), any::<bool>(), "\\PC{0,6}"), 0..14,
    )) {
        let mut map = map();
        for (at, index, master, tie, pair, name) in links {
            let mut one = link(index, &name, if pair { "veth" } else { "macvlan" });
            one.master = Some(master).filter(|master| *master != 0);
            if let Some((ns, far)) = tie {
                one = tied(one, ns, far, &name);
            }
            let own = &mut map.namespaces[at].seen.links;
            own.retain(|link| link.index != index);
            own.push(one);
        }
        prop_assert!(!text::draw(&map).is_empty());
        sound(&map);
        let picture = svg::draw(&map);
        prop_assert!(roxmltree::Document::parse(&picture).is_ok());
    }
}
