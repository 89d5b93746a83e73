//! Filters of captures: what a random expression says of random packets, by the compiled program and an interpreter of
//! the kernel's instructions, by an evaluation that knows neither, and by tcpdump (package tcpdump).

mod evaluation;
mod expressions;
mod interpreter;
mod packets;
mod tcpdump;

use expressions::{any_expression, expression};
use interpreter::run;
use packets::{cut, packet};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use soute_network::capture::filter::compile;
use soute_network::capture::{Filter, Hardware};

const SNAPLEN: u32 = 262_144;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_program_says_what_the_expression_says(
        expression in any_expression(), packets in proptest::collection::vec(cut(packet()), 20),
    ) {
        let text = expression.to_string();
        let filter = Filter::parse(&text).unwrap();
        let program = compile(Some(&filter), SNAPLEN, None).unwrap();
        for packet in packets {
            let wanted = evaluation::wants(&expression, &packet);
            let answer = run(&program, &packet);
            prop_assert_eq!(answer, if wanted { SNAPLEN } else { 0 }, "{} of {:02x?}", text, packet);
            // For interfaces of its kind alone, the program is shorter and says the same.
            let kind = Hardware::numbered(packet.hardware);
            let shorter = compile(Some(&filter), SNAPLEN, Some(kind)).unwrap();
            prop_assert!(shorter.len() < program.len());
            prop_assert_eq!(run(&shorter, &packet), answer);
        }
    }

    #[test]
    fn any_text_is_a_filter_or_refused(text: String) {
        if let Err(e) = Filter::parse(&text) {
            prop_assert!(e.to_string().contains(">>>"));
        }
    }

    #[test]
    fn any_words_are_a_filter_or_refused(words in proptest::collection::vec(expressions::word(), 0..24)) {
        let text = words.join(" ");
        match Filter::parse(&text) {
            Ok(filter) => prop_assert!(compile(Some(&filter), SNAPLEN, None).is_ok()),
            // The word is in the text where the error says.
            Err(e) => {
                let told = e.to_string();
                let told = told.strip_prefix("invalid filter: ").unwrap();
                let (before, rest) = told.split_once(">>>").unwrap();
                let (word, _) = rest.split_once("<<<").unwrap();
                let before = before.trim_start_matches("...");
                prop_assert!(text.contains(&format!("{before}{word}")), "{told}");
            }
        }
    }
}

/// The same expressions on the same packets, by who has defined what they mean.
#[test]
fn tcpdump_says_the_same() {
    let mut runner = TestRunner::deterministic();
    let packets: Vec<_> = (0..400)
        .map(|_| packet().new_tree(&mut runner).unwrap().current())
        .filter(|packet| packet.hardware == packets::ETHER)
        .collect();
    let mut matched = 0;
    for _ in 0..80 {
        let text = expression()
            .new_tree(&mut runner)
            .unwrap()
            .current()
            .to_string();
        let filter = Filter::parse(&text).unwrap();
        let program = compile(Some(&filter), SNAPLEN, None).unwrap();
        let ours: Vec<usize> = (0..packets.len())
            .filter(|number| run(&program, &packets[*number]) != 0)
            .collect();
        assert_eq!(ours, tcpdump::wanted(&text, &packets), "{text}");
        matched += usize::from(!ours.is_empty() && ours.len() < packets.len());
    }
    assert!(
        matched > 20,
        "only {matched} expressions told packets apart"
    );
}

/// What people type, and what is not typed here.
#[test]
fn texts() {
    for text in [
        "tcp port 80",
        "host 10.0.0.1 and not port 22",
        "port 80 or 443",
        "port (80 or 443) and host (10.0.0.1 or fd00::1)",
        "src or dst port 53",
        "src and dst net 10.0.0.0/8",
        "(tcp or udp)&&!port 53||icmp6",
        "src 10.0.0.0/8",
        "udp portrange 1000-2000",
        "ether src 2:0:0:0:0:1",
        "less 64 or greater 1500",
        "vlan 5 and arp",
        "dst host ::1",
        "not not tcp",
    ] {
        Filter::parse(text).unwrap_or_else(|e| panic!("{e}"));
    }
    for (text, told) in [
        ("", "invalid filter: >>><<<: a condition"),
        (
            "tcp prot 80",
            "tcp >>>prot<<< 80: 'and' or 'or' is wanted before it",
        ),
        ("frob 80", ">>>frob<<< 80: not understood"),
        (
            "host example.org",
            "host >>>example.org<<<: an IPv4 or IPv6 address (names are not looked up) is wanted",
        ),
        ("port http", "port >>>http<<<: a port from 0"),
        ("port 65536", "port >>>65536<<<: a port from 0"),
        ("port 80-90", "port >>>80-90<<<: a port from 0"),
        ("portrange 9-8", ">>>9-8<<<: its last port comes before"),
        ("icmp port 80", ">>>icmp<<< port 80: it has no hosts"),
        (
            "tcp host 10.0.0.1",
            ">>>tcp<<< host 10.0.0.1: it has ports alone",
        ),
        ("ip port 80", ">>>ip<<< port 80: ports are of"),
        (
            "ether net 10.0.0.0/8",
            ">>>ether<<< net 10.0.0.0/8: 'ether' has hosts alone",
        ),
        ("ip6 host 10.0.0.1", ">>>10.0.0.1<<<: ip6 has no IPv4"),
        ("arp host ::1", ">>>::1<<<: only ip6 has IPv6"),
        ("net 10.0.0.1/8", ">>>10.0.0.1/8<<<: invalid subnet"),
        ("10.0.0.1", ">>>10.0.0.1<<<: what is it?"),
        ("(tcp", "(tcp>>><<<: ')' is wanted"),
        ("tcp)", "tcp>>>)<<<: no parenthesis"),
        ("tcp and", "tcp and>>><<<: a condition"),
        ("tcp[13] & 2 != 0", ">>>tcp[13]<<< & 2 != 0: not understood"),
        ("vlan 4096", "vlan >>>4096<<<: a VLAN"),
        ("less -1", "less >>>-1<<<: a number of bytes"),
        (
            "ether host 2:0:0:0:0",
            ">>>2:0:0:0:0<<<: an Ethernet address",
        ),
    ] {
        let error = Filter::parse(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn depth_and_length_have_an_end() {
    for text in [
        "(".repeat(100_000),
        "not ".repeat(100_000),
        "port (".repeat(1000),
    ] {
        Filter::parse(&text).unwrap_err();
    }
    let long = vec!["ip6"; 700].join(" or ");
    compile(Some(&Filter::parse(&long).unwrap()), SNAPLEN, None).unwrap();
    let longer = vec!["port 80"; 600].join(" or ");
    let e = compile(Some(&Filter::parse(&longer).unwrap()), SNAPLEN, None).unwrap_err();
    assert!(e.to_string().contains("the kernel at most 4096"), "{e}");
    let longest = vec!["tcp"; 5000].join(" or ");
    let e = Filter::parse(&longest).unwrap_err().to_string();
    assert!(e.contains("too many words") && e.len() < 300, "{e}");
}

/// Far jumps, which need a jump in between.
#[test]
fn a_long_program_is_right_at_both_ends() {
    let ports: Vec<String> = (1..=80).map(|port| format!("port {port}")).collect();
    let text = ports.join(" or ");
    let program = compile(Some(&Filter::parse(&text).unwrap()), SNAPLEN, None).unwrap();
    for (port, wanted) in [(1, true), (40, true), (80, true), (81, false)] {
        for hardware in [packets::ETHER, packets::NONE] {
            let packet = packets::udp(hardware, port);
            assert_eq!(run(&program, &packet) != 0, wanted, "{port}");
        }
    }
}

/// On a loopback interface a packet goes out and comes in: once is enough.
#[test]
fn loopback_counts_once() {
    let all = compile(None, 96, None).unwrap();
    for outgoing in [true, false] {
        let mut packet = packets::udp(packets::LOOPBACK, 1);
        packet.outgoing = outgoing;
        assert_eq!(run(&all, &packet), if outgoing { 0 } else { 96 });
        packet.hardware = packets::ETHER;
        assert_eq!(run(&all, &packet), 96);
    }
}
