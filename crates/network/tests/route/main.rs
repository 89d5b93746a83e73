//! Links, addresses and routes, as `ip` sees them. Needs root and `ip`.

#[path = "../common/mod.rs"]
mod common;

use std::net::IpAddr;
use std::os::fd::AsFd as _;

use common::{Namespace, ip};
use rustix::io::Errno;
use soute_network::route::{End, Hop, IpvlanFlag, IpvlanMode, MacvlanMode, Rtnetlink};
use soute_network::{Mac, Subnet};

fn main() {
    common::run(&[
        ("a_bridge_is_made_and_listed", a_bridge_is_made_and_listed),
        (
            "a_pair_reaches_into_a_namespace",
            a_pair_reaches_into_a_namespace,
        ),
        (
            "several_namespaces_are_entered_one_after_the_other",
            several_namespaces_are_entered_one_after_the_other,
        ),
        (
            "a_taken_name_is_refused_with_the_kernels_words",
            a_taken_name_is_refused_with_the_kernels_words,
        ),
        ("links_change", links_change),
        ("addresses_come_and_go", addresses_come_and_go),
        ("routes_come_and_go", routes_come_and_go),
        (
            "routes_of_all_tables_and_kinds_are_listed",
            routes_of_all_tables_and_kinds_are_listed,
        ),
        (
            "the_default_routes_interface_is_found",
            the_default_routes_interface_is_found,
        ),
        ("a_macvlan_shares_its_parent", a_macvlan_shares_its_parent),
        (
            "an_ipvlan_is_made_or_the_kernel_lacks_it",
            an_ipvlan_is_made_or_the_kernel_lacks_it,
        ),
        (
            "a_vlan_is_made_or_the_kernel_lacks_it",
            a_vlan_is_made_or_the_kernel_lacks_it,
        ),
        (
            "kinds_are_known_without_a_link_of_them",
            kinds_are_known_without_a_link_of_them,
        ),
        ("many_links_are_all_listed", many_links_are_all_listed),
    ])
    .exit();
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn via(gateway: &str) -> Hop {
    Hop {
        gateway: Some(address(gateway)),
        link: None,
    }
}

/// A bridge `br0`: its number.
fn bridge(net: &mut Rtnetlink) -> u32 {
    let end = End {
        name: "br0",
        mac: Some(mac("02:00:00:00:00:01")),
        mtu: Some(1400),
        ..End::default()
    };
    net.make_bridge(&end).unwrap();
    net.link("br0").unwrap().unwrap().index
}

/// A pair `a` and `b`, both here: their numbers.
fn pair(net: &mut Rtnetlink) -> (u32, u32) {
    let end = |name| End {
        name,
        ..End::default()
    };
    net.make_veth(&end("a"), None, &end("b")).unwrap();
    let mut index = |name| net.link(name).unwrap().unwrap().index;
    let numbers = (index("a"), index("b"));
    net.set_up(numbers.1, true).unwrap();
    numbers
}

fn a_bridge_is_made_and_listed() {
    let mut net = Rtnetlink::open().unwrap();
    let index = bridge(&mut net);
    let told = ip("-d link show br0");
    for part in [
        "UP",
        "mtu 1400",
        "02:00:00:00:00:01",
        "bridge forward_delay 0",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
    let links = net.links().unwrap();
    let [lo, br0] = links.as_slice() else {
        panic!("{links:?}")
    };
    assert_eq!((lo.name.as_str(), lo.kind.as_deref()), ("lo", None));
    assert_eq!(br0.kind.as_deref(), Some("bridge"));
    assert_eq!((br0.index, br0.mtu, br0.is_up()), (index, 1400, true));
    assert_eq!(br0.mac(), Some(mac("02:00:00:00:00:01")));
    assert_eq!(net.link_numbered(index).unwrap().as_ref(), Some(br0));
    assert!(net.delete_link(index).unwrap());
    assert!(!net.delete_link(index).unwrap());
    assert_eq!(net.link("br0").unwrap(), None);
    assert_eq!(net.link_numbered(index).unwrap(), None);
}

fn a_pair_reaches_into_a_namespace() {
    let mut net = Rtnetlink::open().unwrap();
    let master = Some(bridge(&mut net));
    let container = Namespace::new();
    let network = container.network();
    let here = End {
        name: "veth7",
        mtu: Some(1400),
        ..End::default()
    };
    let there = End {
        name: "eth0",
        namespace: Some(network.as_fd()),
        mac: Some(mac("02:00:00:00:00:07")),
        mtu: Some(1400),
    };
    net.make_veth(&here, master, &there).unwrap();
    let inside = container.ip("link show eth0");
    for part in ["BROADCAST,MULTICAST>", "mtu 1400", "02:00:00:00:00:07"] {
        assert!(inside.contains(part), "no {part} in {inside}");
    }
    let veth = net.link("veth7").unwrap().unwrap();
    assert_eq!((veth.kind.as_deref(), veth.master), (Some("veth"), master));
    let mut net_inside = Rtnetlink::open_in(network.as_fd()).unwrap();
    let eth0 = net_inside.link("eth0").unwrap().unwrap();
    assert_eq!(
        (veth.link_index, eth0.link_index),
        (Some(eth0.index), Some(veth.index))
    );
    assert!(veth.link_netnsid.is_some() && eth0.link_netnsid.is_some());
    assert_eq!(net.netnsid(network.as_fd()).unwrap(), veth.link_netnsid);
    let stranger = Namespace::new();
    assert_eq!(net.netnsid(stranger.network().as_fd()).unwrap(), None);
    // It has a copy of each descriptor here, and so would hold the container's network.
    drop(stranger);
    net_inside.set_up(eth0.index, true).unwrap();
    assert!(container.ip("link show eth0").contains("UP,LOWER_UP"));
    net.set_hairpin(veth.index, true).unwrap();
    assert!(ip("-d link show veth7").contains("hairpin on"));
    // With the namespace, both ends go.
    drop((net_inside, network, container));
    for _ in 0..100 {
        if net.link("veth7").unwrap().is_none() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the pair outlives its namespace");
}

/// By one process in between; what is no namespace is in nobody's way.
fn several_namespaces_are_entered_one_after_the_other() {
    let namespaces = [Namespace::new(), Namespace::new()];
    let [one, other] = namespaces.each_ref().map(Namespace::network);
    for (name, network) in [("one0", &one), ("other0", &other)] {
        let mut inside = Rtnetlink::open_in(network.as_fd()).unwrap();
        let end = End {
            name,
            ..End::default()
        };
        inside.make_bridge(&end).unwrap();
    }
    let nothing = std::fs::File::open("/dev/null").unwrap();
    let mut heard = Vec::new();
    let all = [one.as_fd(), nothing.as_fd(), other.as_fd(), one.as_fd()];
    Rtnetlink::open_in_each(&all, |number, opened| {
        let links = opened.and_then(|mut inside| inside.links());
        let names = links.map(|links| links.into_iter().map(|link| link.name).next_back());
        heard.push((number, names.map_err(|e| e.errno())));
    })
    .unwrap();
    let name = |name: &str| Ok(Some(name.to_owned()));
    assert_eq!(
        heard,
        [
            (0, name("one0")),
            (1, Err(Errno::INVAL)),
            (2, name("other0")),
            (3, name("one0")),
        ]
    );
    // The caller is where it was.
    assert!(Rtnetlink::open().unwrap().link("one0").unwrap().is_none());
}

fn a_taken_name_is_refused_with_the_kernels_words() {
    let mut net = Rtnetlink::open().unwrap();
    pair(&mut net);
    let end = |name| End {
        name,
        ..End::default()
    };
    let e = net.make_veth(&end("c"), None, &end("b")).unwrap_err();
    assert_eq!(e.errno(), Errno::EXIST);
    assert!(
        e.to_string()
            .starts_with("RTM_NEWLINK(veth \"c\", peer \"b\")"),
        "{e}"
    );
    assert_eq!(net.link("c").unwrap(), None);
    let e = net.make_bridge(&end("a/b")).unwrap_err();
    assert_eq!(e.errno(), Errno::INVAL);
    // Longer than any name: said by the kernel's check of attributes, in words.
    let e = net.make_bridge(&end("0123456789abcdef")).unwrap_err();
    assert!(e.to_string().contains("Attribute"), "{e}");
}

fn links_change() {
    let mut net = Rtnetlink::open().unwrap();
    let br0 = bridge(&mut net);
    let (a, _) = pair(&mut net);
    net.set_mtu(a, 1300).unwrap();
    net.set_master(a, Some(br0)).unwrap();
    net.set_up(a, false).unwrap();
    let link = net.link_numbered(a).unwrap().unwrap();
    assert_eq!(
        (link.mtu, link.master, link.is_up()),
        (1300, Some(br0), false)
    );
    net.set_master(a, None).unwrap();
    net.set_up(a, true).unwrap();
    let link = net.link_numbered(a).unwrap().unwrap();
    assert_eq!((link.master, link.is_up()), (None, true));
    let container = Namespace::new();
    net.move_to(a, container.network().as_fd(), "eth7").unwrap();
    assert_eq!(net.link("a").unwrap(), None);
    container.ip("link show eth7");
}

fn addresses_come_and_go() {
    let mut net = Rtnetlink::open().unwrap();
    let (a, _) = pair(&mut net);
    net.add_address(a, address("10.1.2.3"), 24).unwrap();
    net.add_address(a, address("10.9.9.9"), 32).unwrap();
    net.add_address(a, address("fd00::7"), 64).unwrap();
    let told = ip("addr show a");
    for part in [
        "10.1.2.3/24 brd 10.1.2.255 scope global",
        "10.9.9.9/32 scope global",
        "fd00::7/64 scope global nodad",
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
    assert!(!told.contains("tentative") || !told.contains("fd00::7/64 scope global tentative"));
    let e = net.add_address(a, address("10.1.2.3"), 24).unwrap_err();
    assert_eq!(e.errno(), Errno::EXIST);
    let listed = net.addresses().unwrap();
    let own: Vec<_> = listed
        .iter()
        .filter(|x| x.link == a && x.scope == 0)
        .collect();
    assert_eq!(own.len(), 3, "{listed:?}");
    assert!(
        own.iter()
            .any(|x| x.subnet() == Some(subnet("10.1.2.0/24")))
    );
    net.delete_address(a, address("10.1.2.3"), 24).unwrap();
    net.delete_address(a, address("fd00::7"), 64).unwrap();
    let told = ip("addr show a");
    assert!(
        !told.contains("10.1.2.3") && !told.contains("fd00::7"),
        "{told}"
    );
    let e = net.delete_address(a, address("10.1.2.3"), 24).unwrap_err();
    assert_eq!(e.errno(), Errno::ADDRNOTAVAIL);
}

fn routes_come_and_go() {
    let mut net = Rtnetlink::open().unwrap();
    let (a, _) = pair(&mut net);
    net.add_address(a, address("10.1.2.3"), 24).unwrap();
    net.add_address(a, address("fd00::7"), 64).unwrap();
    net.add_route(subnet("0.0.0.0/0"), via("10.1.2.1")).unwrap();
    net.add_route(subnet("::/0"), via("fd00::1")).unwrap();
    let on_link = Hop {
        gateway: None,
        link: Some(a),
    };
    net.add_route(subnet("10.7.0.0/16"), on_link).unwrap();
    let (v4, v6) = (ip("route show"), ip("-6 route show"));
    for (told, part) in [
        (&v4, "default via 10.1.2.1 dev a"),
        (&v4, "10.7.0.0/16 dev a"),
        (&v6, "default via fd00::1 dev a"),
    ] {
        assert!(told.contains(part), "no {part} in {told}");
    }
    let e = net
        .add_route(subnet("0.0.0.0/0"), via("10.1.2.1"))
        .unwrap_err();
    assert_eq!(e.errno(), Errno::EXIST);
    let e = net
        .add_route(subnet("10.8.0.0/16"), via("10.200.0.1"))
        .unwrap_err();
    assert_eq!(e.errno(), Errno::NETUNREACH);
    assert!(e.to_string().contains("Nexthop has invalid gateway"), "{e}");
    net.delete_route(subnet("0.0.0.0/0"), via("10.1.2.1"))
        .unwrap();
    net.delete_route(subnet("10.7.0.0/16"), on_link).unwrap();
    let told = ip("route show");
    assert!(
        !told.contains("default") && !told.contains("10.7"),
        "{told}"
    );
    let e = net
        .delete_route(subnet("10.7.0.0/16"), on_link)
        .unwrap_err();
    assert_eq!(e.errno(), Errno::SRCH);
}

fn routes_of_all_tables_and_kinds_are_listed() {
    let mut net = Rtnetlink::open().unwrap();
    let (a, b) = pair(&mut net);
    net.add_address(a, address("10.1.2.3"), 24).unwrap();
    net.add_address(b, address("10.1.3.3"), 24).unwrap();
    ip("route add 10.50.0.0/16 via 10.1.2.1 table 1000 metric 7");
    ip("route add blackhole 10.51.0.0/16");
    ip("route add 10.52.0.0/16 nexthop via 10.1.2.1 nexthop via 10.1.3.1");
    ip("route add 10.53.0.0/16 via inet6 fe80::1 dev a");
    let routes = net.routes().unwrap();
    let find = |to: &str| {
        let found: Vec<_> = routes
            .iter()
            .filter(|route| route.to == subnet(to))
            .collect();
        assert!(found.len() < 2, "{found:?}");
        found.first().copied()
    };
    let far = find("10.50.0.0/16").unwrap();
    assert_eq!((far.table, far.metric), (1000, 7));
    assert_eq!(far.hops[0].gateway, Some(address("10.1.2.1")));
    assert!(find("10.51.0.0/16").is_none());
    let shared = find("10.52.0.0/16").unwrap();
    let links: Vec<_> = shared.hops.iter().map(|hop| hop.link).collect();
    assert_eq!(links, [Some(a), Some(b)]);
    assert_eq!(
        find("10.53.0.0/16").unwrap().hops[0].gateway,
        Some(address("fe80::1"))
    );
    assert_eq!(find("10.1.2.0/24").unwrap().hops[0].link, Some(a));
    assert!(find("127.0.0.0/8").is_none());
}

fn the_default_routes_interface_is_found() {
    let mut net = Rtnetlink::open().unwrap();
    assert_eq!(net.default_link().unwrap(), None);
    let (a, b) = pair(&mut net);
    net.add_address(a, address("10.1.2.3"), 24).unwrap();
    net.add_address(b, address("fd00::7"), 64).unwrap();
    net.set_mtu(a, 1380).unwrap();
    net.add_route(subnet("::/0"), via("fd00::1")).unwrap();
    assert_eq!(net.default_link().unwrap().unwrap().index, b);
    ip("route add default via 10.1.2.1 metric 100");
    let link = net.default_link().unwrap().unwrap();
    assert_eq!((link.index, link.mtu), (a, 1380));
}

fn a_macvlan_shares_its_parent() {
    let mut net = Rtnetlink::open().unwrap();
    let (a, _) = pair(&mut net);
    let container = Namespace::new();
    let network = container.network();
    let end = End {
        name: "eth0",
        namespace: Some(network.as_fd()),
        ..End::default()
    };
    net.make_macvlan(a, MacvlanMode::Bridge, &end).unwrap();
    let told = container.ip("-d link show eth0");
    assert!(told.contains("macvlan mode bridge"), "{told}");
    let mut inside = Rtnetlink::open_in(network.as_fd()).unwrap();
    let link = inside.link("eth0").unwrap().unwrap();
    assert_eq!(
        (link.kind.as_deref(), link.link_index),
        (Some("macvlan"), Some(a))
    );
}

fn an_ipvlan_is_made_or_the_kernel_lacks_it() {
    let mut net = Rtnetlink::open().unwrap();
    let (a, _) = pair(&mut net);
    let end = End {
        name: "ipv0",
        ..End::default()
    };
    let known = net.has_kind("ipvlan").unwrap();
    match net.make_ipvlan(a, IpvlanMode::L2, IpvlanFlag::Private, &end) {
        Ok(()) => {
            let told = ip("-d link show ipv0");
            assert!(
                told.contains("ipvlan") && told.contains("private"),
                "{told}"
            );
            assert!(known);
        }
        Err(e) => {
            assert_eq!(e.errno(), Errno::OPNOTSUPP);
            assert!(e.to_string().contains("ipvlan"), "{e}");
            assert!(!known);
        }
    }
}

fn a_vlan_is_made_or_the_kernel_lacks_it() {
    let mut net = Rtnetlink::open().unwrap();
    let (a, _) = pair(&mut net);
    let end = End {
        name: "tagged",
        ..End::default()
    };
    let known = net.has_kind("vlan").unwrap();
    match net.make_vlan(a, 42, &end) {
        Ok(()) => {
            let told = ip("-d link show tagged");
            assert!(told.contains("vlan protocol 802.1Q id 42"), "{told}");
            assert!(known);
        }
        Err(e) => {
            assert_eq!(e.errno(), Errno::OPNOTSUPP);
            assert!(!known);
        }
    }
}

fn kinds_are_known_without_a_link_of_them() {
    let mut net = Rtnetlink::open().unwrap();
    assert!(net.has_kind("macvlan").unwrap());
    assert!(!net.has_kind("no-such-kind").unwrap());
    assert_eq!(net.links().unwrap().len(), 1);
}

fn many_links_are_all_listed() {
    let mut net = Rtnetlink::open().unwrap();
    for n in 0..300 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let end = |name| End {
            name,
            ..End::default()
        };
        net.make_veth(&end(&a), None, &end(&b)).unwrap();
    }
    assert_eq!(net.links().unwrap().len(), 601);
}
