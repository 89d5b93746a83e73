//! Who reaches whom, and as who.

use std::net::UdpSocket;
use std::time::Duration;

use soute_network::conntrack::{Connection, Conntrack};
use soute_network::ruleset::{Families, Healed, State};

use crate::common::{Namespace, Test, act_inside, ip, nft_script, sysctl};
use crate::world::{
    ROUTER, World, give, heal, inside, link, networks, published, serve, tcp, udp, udp_from,
    udp_published, unreached,
};

pub const TESTS: &[Test] = &[
    (
        "containers_reach_outside_as_the_machine",
        containers_reach_outside_as_the_machine,
    ),
    (
        "without_masquerade_they_reach_it_as_themselves",
        without_masquerade_they_reach_it_as_themselves,
    ),
    (
        "a_published_port_keeps_its_clients_address",
        a_published_port_keeps_its_clients_address,
    ),
    (
        "a_port_of_one_address_is_not_one_of_others",
        a_port_of_one_address_is_not_one_of_others,
    ),
    (
        "a_local_port_is_led_for_the_machine_alone",
        a_local_port_is_led_for_the_machine_alone,
    ),
    (
        "the_machine_reaches_published_ports",
        the_machine_reaches_published_ports,
    ),
    (
        "containers_reach_published_ports",
        containers_reach_published_ports,
    ),
    (
        "containers_reach_published_ports_on_a_bridge_without_netfilter",
        containers_reach_published_ports_on_a_bridge_without_netfilter,
    ),
    (
        "a_connection_goes_on_until_it_is_forgotten",
        a_connection_goes_on_until_it_is_forgotten,
    ),
    ("networks_are_apart", networks_are_apart),
    (
        "an_internal_network_is_closed",
        an_internal_network_is_closed,
    ),
    ("nobody_outside_reaches_127", nobody_outside_reaches_127),
    (
        "nobody_outside_has_an_address_of_127",
        nobody_outside_has_an_address_of_127,
    ),
    ("a_foreign_drop_stays_a_drop", a_foreign_drop_stays_a_drop),
    (
        "the_machine_is_no_router_for_others",
        the_machine_is_no_router_for_others,
    ),
];

fn containers_reach_outside_as_the_machine() {
    let world = World::new();
    for ask in [tcp, udp] {
        let answer = ask(Some(&world.a), "192.0.2.2:80");
        assert_eq!(answer, "outside 192.0.2.1");
        let answer = ask(Some(&world.c), "[2001:db8::2]:80");
        assert_eq!(answer, "outside 2001:db8::1");
    }
}

fn without_masquerade_they_reach_it_as_themselves() {
    let mut world = World::new();
    let mut state = networks();
    state.networks[0].masquerade = Families::default();
    heal(&mut world.table, &state);
    inside(
        &world.outside,
        &[],
        &[("10.1.0.0/24", "192.0.2.1"), ("fd00:0::/64", "2001:db8::1")],
    );
    assert_eq!(tcp(Some(&world.a), "192.0.2.2:80"), "outside 10.1.0.2");
    assert_eq!(udp(Some(&world.a), "[2001:db8::2]:80"), "outside fd00::2");
    assert_eq!(tcp(Some(&world.c), "192.0.2.2:80"), "outside 192.0.2.1");
}

fn a_published_port_keeps_its_clients_address() {
    let mut world = World::new();
    let ports = [
        published(None, 8080, "10.1.0.2"),
        udp_published(Some("192.0.2.1"), 8080, "10.1.1.2"),
        published(None, 8080, "fd00:0::2"),
        udp_published(Some("2001:db8::1"), 8080, "fd00:1::2"),
    ];
    world.table.publish(&ports).unwrap();
    let outside = Some(&world.outside);
    assert_eq!(tcp(outside, "192.0.2.1:8080"), "a 192.0.2.2");
    assert_eq!(udp(outside, "192.0.2.1:8080"), "c 192.0.2.2");
    assert_eq!(tcp(outside, "[2001:db8::1]:8080"), "a 2001:db8::2");
    assert_eq!(udp(outside, "[2001:db8::1]:8080"), "c 2001:db8::2");
    assert_eq!(
        tcp(outside, "192.0.2.1:8081"),
        "Connection refused (os error 111)"
    );
    assert_eq!(world.table.unpublish(&ports[..1]).unwrap(), 1);
    assert_eq!(
        tcp(outside, "192.0.2.1:8080"),
        "Connection refused (os error 111)"
    );
}

fn a_port_of_one_address_is_not_one_of_others() {
    let mut world = World::new();
    ip("addr add 192.0.2.3/24 dev out0");
    let ports = [
        published(Some("192.0.2.1"), 8080, "10.1.0.2"),
        published(None, 8080, "10.1.1.2"),
        published(Some("127.0.0.1"), 8081, "10.1.0.2"),
    ];
    world.table.publish(&ports).unwrap();
    let outside = Some(&world.outside);
    assert_eq!(tcp(outside, "192.0.2.1:8080"), "a 192.0.2.2");
    assert_eq!(tcp(outside, "192.0.2.3:8080"), "c 192.0.2.2");
    assert_eq!(tcp(None, "127.0.0.1:8081"), "a 10.1.0.1");
    assert_eq!(
        tcp(outside, "192.0.2.1:8081"),
        "Connection refused (os error 111)"
    );
}

fn a_local_port_is_led_for_the_machine_alone() {
    let mut world = World::new();
    let mut ports = [
        published(Some("192.0.2.1"), 8080, "10.1.0.2"),
        published(None, 8081, "10.1.0.2"),
        udp_published(None, 8081, "10.1.0.2"),
        published(None, 8081, "fd00:0::2"),
    ];
    ports.iter_mut().for_each(|port| port.local = true);
    // Others are as they were.
    let other = published(None, 8082, "10.1.0.2");
    world.table.publish(&ports).unwrap();
    world.table.publish(std::slice::from_ref(&other)).unwrap();
    let outside = Some(&world.outside);
    for port in [8080, 8081] {
        let to = format!("192.0.2.1:{port}");
        let refused = "Connection refused (os error 111)";
        assert_eq!(tcp(outside, &to), refused, "{to}");
        assert_eq!(tcp(None, &to), "a 192.0.2.1");
        assert_eq!(tcp(Some(&world.c), &to), "a 10.1.1.2");
        assert_eq!(tcp(Some(&world.a), &to), "a 10.1.0.1");
    }
    assert_eq!(udp(None, "192.0.2.1:8081"), "a 192.0.2.1");
    assert_ne!(udp(outside, "192.0.2.1:8081"), "a 192.0.2.2");
    assert_eq!(tcp(outside, "192.0.2.1:8082"), "a 192.0.2.2");
    // They are opened by a repair, and nothing else is changed.
    let mut wanted = networks();
    wanted.published = ports.to_vec();
    wanted.published.push(other);
    assert_eq!(heal(&mut world.table, &wanted), Healed::Nothing);
    wanted
        .published
        .iter_mut()
        .for_each(|port| port.local = false);
    assert_eq!(heal(&mut world.table, &wanted), Healed::Elements);
    assert_eq!(tcp(outside, "192.0.2.1:8080"), "a 192.0.2.2");
    assert_eq!(tcp(outside, "192.0.2.1:8081"), "a 192.0.2.2");
    // Nothing of a local port is left behind.
    wanted
        .published
        .iter_mut()
        .for_each(|port| port.local = true);
    assert_eq!(heal(&mut world.table, &wanted), Healed::Elements);
    assert_eq!(world.table.unpublish(&wanted.published).unwrap(), 5);
    assert_eq!(heal(&mut world.table, &networks()), Healed::Nothing);
}

fn the_machine_reaches_published_ports() {
    let mut world = World::new();
    let ports = [
        published(None, 8080, "10.1.0.2"),
        udp_published(None, 8080, "10.1.0.2"),
        published(None, 8080, "fd00:0::2"),
    ];
    world.table.publish(&ports).unwrap();
    for ask in [tcp, udp] {
        assert_eq!(ask(None, "127.0.0.1:8080"), "a 10.1.0.1");
        assert_eq!(ask(None, "127.7.7.7:8080"), "a 10.1.0.1");
        assert_eq!(ask(None, "192.0.2.1:8080"), "a 192.0.2.1");
        assert_eq!(ask(None, "10.1.0.1:8080"), "a 10.1.0.1");
        // Directly, past all translation.
        assert_eq!(ask(None, "10.1.0.2:80"), "a 10.1.0.1");
    }
    assert_eq!(tcp(None, "[2001:db8::1]:8080"), "a 2001:db8::1");
}

fn containers_reach_published_ports() {
    by_published_ports();
}

fn containers_reach_published_ports_on_a_bridge_without_netfilter() {
    for family in ["iptables", "ip6tables"] {
        sysctl(&format!("net/bridge/bridge-nf-call-{family}"), "0");
    }
    by_published_ports();
}

/// `a` is reached by itself and its neighbour as by the machine, and by `c` as by itself.
fn by_published_ports() {
    let mut world = World::new();
    let ports = [
        published(None, 8080, "10.1.0.2"),
        udp_published(None, 8080, "10.1.0.2"),
        published(None, 8080, "fd00:0::2"),
        udp_published(None, 8080, "fd00:0::2"),
    ];
    world.table.publish(&ports).unwrap();
    for ask in [tcp, udp] {
        for to in ["192.0.2.1:8080", "10.1.0.1:8080"] {
            assert_eq!(ask(Some(&world.a), to), "a 10.1.0.1", "a itself, by {to}");
            assert_eq!(
                ask(Some(&world.b), to),
                "a 10.1.0.1",
                "its neighbour, by {to}"
            );
            assert_eq!(
                ask(Some(&world.c), to),
                "a 10.1.1.2",
                "another network, by {to}"
            );
        }
        let to = "[2001:db8::1]:8080";
        assert_eq!(ask(Some(&world.a), to), "a fd00::1");
        assert_eq!(ask(Some(&world.b), to), "a fd00::1");
        assert_eq!(ask(Some(&world.c), to), "a fd00:1::2");
        // Neighbours directly, as themselves.
        assert_eq!(ask(Some(&world.b), "10.1.0.2:80"), "a 10.1.0.3");
    }
}

fn a_connection_goes_on_until_it_is_forgotten() {
    let mut world = World::new();
    let outside = Some(&world.outside);
    let to_a = [udp_published(None, 8080, "10.1.0.2")];
    let to_c = [udp_published(None, 8080, "10.1.1.2")];
    let v6 = [udp_published(None, 8080, "fd00:1::2")];
    let ask = || udp_from(outside, 5555, "192.0.2.1:8080");
    let ask_v6 = || udp_from(outside, 5555, "[2001:db8::1]:8080");
    let mut known = Conntrack::open().unwrap();
    // Asked before there was a port: nobody is there, and nobody stays there.
    assert_eq!(ask_v6(), "Connection refused (os error 111)");
    world.table.publish(&to_a).unwrap();
    world.table.publish(&v6).unwrap();
    assert_eq!(ask(), "a 192.0.2.2");
    assert_eq!(ask_v6(), "Connection refused (os error 111)");
    world.table.unpublish(&to_a).unwrap();
    world.table.publish(&to_c).unwrap();
    assert_eq!(ask(), "a 192.0.2.2");
    let of_a = |one: &Connection| one.answered_by.ip() == to_a[0].to.ip();
    let of_port = |one: &Connection| {
        (one.protocol, one.destination.port()) == (17, 8080) && one.destination.is_ipv6()
    };
    assert_eq!(known.forget(of_a).unwrap(), 1);
    assert_eq!(known.forget(of_a).unwrap(), 0);
    assert_eq!(ask(), "c 192.0.2.2");
    assert_eq!(known.forget(of_port).unwrap(), 1);
    assert_eq!(ask_v6(), "c 2001:db8::2");
}

fn networks_are_apart() {
    let world = World::new();
    inside(
        &world.outside,
        &[],
        &[("10.1.0.0/24", "192.0.2.1"), ("fd00:0::/64", "2001:db8::1")],
    );
    for (from, to) in [
        (&world.c, "10.1.0.2:80"),
        (&world.c, "[fd00:0::2]:80"),
        (&world.a, "10.1.1.2:80"),
        (&world.outside, "10.1.0.2:80"),
        (&world.outside, "[fd00:0::2]:80"),
    ] {
        unreached(from, to);
    }
    // It is the table that keeps them apart.
    nft_script("flush chain inet soute forward");
    assert_eq!(tcp(Some(&world.c), "10.1.0.2:80"), "a 10.1.1.2");
    assert_eq!(tcp(Some(&world.outside), "10.1.0.2:80"), "a 192.0.2.2");
}

fn an_internal_network_is_closed() {
    let mut world = World::new();
    let ports = [
        published(None, 8080, "10.1.0.2"),
        udp_published(None, 8080, "10.1.0.2"),
        published(None, 8081, "10.1.2.2"),
    ];
    world.table.publish(&ports).unwrap();
    for (from, to) in [
        (&world.d, "192.0.2.2:80"),
        (&world.d, "[2001:db8::2]:80"),
        (&world.d, "10.1.0.2:80"),
        (&world.d, "192.0.2.1:8080"),
        (&world.a, "10.1.2.2:80"),
    ] {
        unreached(from, to);
    }
    // What is published of it is so on purpose.
    assert_eq!(tcp(Some(&world.outside), "192.0.2.1:8081"), "d 192.0.2.2");
    assert_eq!(tcp(Some(&world.d), "192.0.2.1:8081"), "d 10.1.2.1");
}

fn nobody_outside_reaches_127() {
    let mut world = World::new();
    let secret = serve(None, "secret", "127.0.0.1:7000");
    let ports = [
        published(Some("127.0.0.1"), 7001, "10.1.1.2"),
        udp_published(Some("127.0.0.1"), 7001, "10.1.1.2"),
    ];
    world.table.publish(&ports).unwrap();
    // A container that takes its bridge's address for the way to 127.0.0.1, which it has no longer itself.
    world.a.ip("addr del 127.0.0.1/8 dev lo");
    world.a.ip("addr add 127.0.0.2/32 dev lo");
    world.a.ip("route add 127.0.0.1/32 via 10.1.0.1");
    let set = || {
        sysctl("net/ipv4/conf/eth0/route_localnet", "1");
        String::new()
    };
    drop(act_inside(Some(&world.a), set, || {}));
    for to in ["127.0.0.1:7000", "127.0.0.1:7001"] {
        unreached(&world.a, to);
    }
    // It is the guard that keeps it out.
    nft_script("flush chain inet soute guard");
    for ask in [tcp, udp] {
        assert_eq!(ask(Some(&world.a), "127.0.0.1:7000"), "secret 10.1.0.2");
        assert_eq!(ask(Some(&world.a), "127.0.0.1:7001"), "c 10.1.0.2");
    }
    drop(secret);
}

fn nobody_outside_has_an_address_of_127() {
    let world = World::new();
    // Both are common. Then only the guard knows that nobody comes from there but the machine itself.
    for name in ["all", "br0"] {
        sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
    }
    let trusting = UdpSocket::bind("10.1.0.1:7000").unwrap();
    trusting
        .set_read_timeout(Some(Duration::from_millis(400)))
        .unwrap();
    let heard = || {
        let send = || {
            sysctl("net/ipv4/conf/eth0/route_localnet", "1");
            let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
            let sent = socket.send_to(b"?", "10.1.0.1:7000");
            sent.unwrap().to_string()
        };
        assert_eq!(act_inside(Some(&world.a), send, || {}).0, "1");
        let (_, client) = trusting.recv_from(&mut [0; 1]).ok()?;
        Some(client.ip())
    };
    assert_eq!(heard(), None);
    nft_script("flush chain inet soute guard");
    assert_eq!(heard(), Some([127, 0, 0, 2].into()));
}

fn a_foreign_drop_stays_a_drop() {
    let mut world = World::new();
    let ports = [
        published(None, 8080, "10.1.0.2"),
        udp_published(None, 8080, "10.1.0.2"),
    ];
    world.table.publish(&ports).unwrap();
    assert_eq!(tcp(Some(&world.outside), "192.0.2.1:8080"), "a 192.0.2.2");
    for priority in [-10, 10] {
        nft_script(&format!(
            "add table ip fw; add chain ip fw f {{ type filter hook forward priority {priority}; policy drop; }}"
        ));
        unreached(&world.outside, "192.0.2.1:8080");
        unreached(&world.a, "192.0.2.2:80");
        // The machine's own packets are not forwarded.
        assert_eq!(tcp(None, "127.0.0.1:8080"), "a 10.1.0.1");
        nft_script("add rule ip fw f accept");
        assert_eq!(tcp(Some(&world.outside), "192.0.2.1:8080"), "a 192.0.2.2");
        nft_script("delete table ip fw");
    }
}

fn the_machine_is_no_router_for_others() {
    let mut world = World::new();
    let mut net = soute_network::route::Rtnetlink::open().unwrap();
    let other = Namespace::new();
    link(&mut net, "out1", None, &other);
    give(
        &mut net,
        "out1",
        &["198.51.100.1/24", "2001:db8:1::1/64", ROUTER],
    );
    inside(
        &other,
        &["198.51.100.2/24", "2001:db8:1::2/64"],
        &[("0.0.0.0/0", "198.51.100.1"), ("::/0", "2001:db8:1::1")],
    );
    inside(
        &world.outside,
        &[],
        &[
            ("198.51.100.0/24", "192.0.2.1"),
            ("2001:db8:1::/64", "2001:db8::1"),
        ],
    );
    // Two virtual machines on a bridge of somebody else's, whose packets come through the forward chain.
    let end = soute_network::route::End {
        name: "virbr0",
        ..Default::default()
    };
    net.make_bridge(&end).unwrap();
    let bridge = net.link("virbr0").unwrap().map(|link| link.index);
    let guests = [Namespace::new(), Namespace::new()];
    for (number, guest) in guests.iter().enumerate() {
        link(&mut net, &format!("vm{number}"), bridge, guest);
        inside(guest, &[&format!("10.7.0.{}/24", number + 1)], &[]);
    }
    let _server = serve(Some(&guests[0]), "guest", "[::]:80");

    let (v4, v6) = ("192.0.2.2:80", "[2001:db8::2]:80");
    let open = (tcp(Some(&other), v4), tcp(Some(&other), v6));
    assert_eq!(
        open,
        (
            "outside 198.51.100.2".into(),
            "outside 2001:db8:1::2".into()
        )
    );
    let closed = Families {
        ipv4: true,
        ipv6: false,
    };
    world.table.close(closed).unwrap();
    unreached(&other, v4);
    assert_eq!(tcp(Some(&other), v6), "outside 2001:db8:1::2");
    let both = State {
        closed: Families {
            ipv4: true,
            ipv6: true,
        },
        ..networks()
    };
    heal(&mut world.table, &both);
    unreached(&other, v6);
    // Its own networks are not closed, nor is what stays on others' bridges.
    assert_eq!(tcp(Some(&world.a), v4), "outside 192.0.2.1");
    assert_eq!(tcp(Some(&guests[1]), "10.7.0.1:80"), "guest 10.7.0.2");
    world.table.close(Families::default()).unwrap();
    assert_eq!(tcp(Some(&other), v4), "outside 198.51.100.2");
}
