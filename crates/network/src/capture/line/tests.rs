use proptest::prelude::*;

use super::*;

fn packet(hardware: Hardware, bytes: Vec<u8>) -> Packet {
    Packet {
        index: 1,
        hardware,
        direction: Direction::In,
        reception: Reception::Unicast,
        time: 0,
        length: bytes.len() as u32,
        bytes,
    }
}

fn shown(bytes: &[u8]) -> String {
    describe(&packet(Hardware::Ethernet, bytes.to_vec()))
}

const FROM: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TO: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A packet of IPv4, with a header of Ethernet, that carries `payload`.
fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&TO[..], &FROM, &[8, 0, 0x45, 0]].concat();
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

/// The same of IPv6.
fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&TO[..], &FROM, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([protocol, 64]);
    for last in [1, 2] {
        bytes.push(0xfd);
        bytes.extend([0; 14]);
        bytes.push(last);
    }
    bytes.extend(payload);
    bytes
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let words = [from, to, length, 0];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(payload);
    bytes
}

/// With as many options as its header has room for.
fn tcp(
    ports: [u16; 2],
    numbers: [u32; 2],
    flags: u8,
    window: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    bytes.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    bytes.extend([(5 + options.len() as u8 / 4) << 4, flags]);
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    [&bytes, options, payload].concat()
}

#[test]
fn segments() {
    let options =
        b"\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x07\x00\x00\x00\x00\x01\x03\x03\x07";
    let syn = v4(6, &tcp([4242, 80], [1000, 0], 0x02, 64240, options, b""));
    assert_eq!(
        shown(&syn),
        "IP 10.0.0.1.4242 > 10.0.0.2.80: Flags [S], seq 1000, win 64240, \
         options [mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7], length 0"
    );
    let data = v6(
        6,
        &tcp([80, 4242], [u32::MAX, 1001], 0x18, 512, b"", b"hello"),
    );
    assert_eq!(
        shown(&data),
        "IP6 fd00::1.80 > fd00::2.4242: Flags [P.], seq 4294967295:4, ack 1001, win 512, length 5"
    );
    let odd = b"\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x1e\x02\x01\x01\x03\x00";
    let odd = v4(6, &tcp([1, 2], [7, 8], 0, 512, odd, b""));
    assert_eq!(
        shown(&odd),
        "IP 10.0.0.1.1 > 10.0.0.2.2: Flags [none], win 512, options [sack {1:2},option 30,nop,nop,bad], length 0"
    );
    // Behind the ports, the header is cut off; then the ports too.
    assert_eq!(
        shown(&syn[..14 + 20 + 6]),
        "IP 10.0.0.1.4242 > 10.0.0.2.80: tcp [truncated], length 40"
    );
    assert_eq!(
        shown(&syn[..14 + 20 + 3]),
        "IP 10.0.0.1 > 10.0.0.2: tcp [truncated], length 40"
    );
}

#[test]
fn udp_and_dns() {
    let plain = v4(17, &udp(4242, 9, b"hello"));
    assert_eq!(
        shown(&plain),
        "IP 10.0.0.1.4242 > 10.0.0.2.9: UDP, length 5"
    );
    let mut question = vec![0x12, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.extend(b"\x07example\x03org\x00\x00\x01\x00\x01");
    let asked = v4(17, &udp(4242, 53, &question));
    assert_eq!(
        shown(&asked),
        "IP 10.0.0.1.4242 > 10.0.0.2.53: 4711+ A? example.org., length 29"
    );
    let mut answer = question.clone();
    (answer[2], answer[3], answer[7]) = (0x84, 0x80, 2);
    // An alias, whose name ends as the question's does, and its address.
    answer.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03www\xc0\x0c");
    answer.extend(b"\xc0\x29\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01");
    let answered = v4(17, &udp(53, 4242, &answer));
    assert_eq!(
        shown(&answered),
        "IP 10.0.0.1.53 > 10.0.0.2.4242: 4711* 2/0/0 CNAME www.example.org. A 192.0.2.1, length 63"
    );
    (answer[3], answer[7]) = (0x83, 0);
    let none = v4(17, &udp(53, 4242, &answer[..29]));
    assert_eq!(
        shown(&none),
        "IP 10.0.0.1.53 > 10.0.0.2.4242: 4711 NXDomain* 0/0/0, length 29"
    );
    let message = [&[0, 29][..], &question].concat();
    let stream = v4(6, &tcp([4242, 53], [1, 1], 0x18, 512, b"", &message));
    assert!(shown(&stream).ends_with("length 31: 4711+ A? example.org."));
}

#[test]
fn hostile_names() {
    let dns = |name: &[u8]| {
        let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(name);
        shown(&v4(17, &udp(4242, 53, &bytes)))
    };
    // Colours, a line's end, a dot that is none.
    let shown = dns(b"\x08\x1b[31m\n.\xff\x00\x00\x1c\x00\x01");
    assert!(
        shown.contains("1 AAAA? \\027[31m\\010\\.\\255., "),
        "{shown}"
    );
    // Names that go round, or nowhere.
    for name in [
        &b"\xc0\x0c\x00\x01\x00\x01"[..],
        b"\x01a\xc0\x0c\x00\x01\x00\x01",
        b"\xc0\xff\x00\x01",
        b"\x3fabc",
        b"\x80abc",
        b"",
    ] {
        let shown = dns(name);
        assert!(shown.contains("[truncated], length"), "{shown}");
    }
}

#[test]
fn icmp() {
    let ping = v4(1, &[8, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2, 3, 4]);
    assert_eq!(
        shown(&ping),
        "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 4660, seq 7, length 12"
    );
    let quoted = v4(17, &udp(4242, 9, b"hello"));
    let unreachable = v4(1, &[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted[14..]].concat());
    assert_eq!(
        shown(&unreachable),
        "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.2 udp 9 port unreachable, length 41"
    );
    let mut solicitation = vec![135, 0, 0, 0, 0, 0, 0, 0, 0xfd];
    solicitation.extend([0; 14]);
    solicitation.push(2);
    assert_eq!(
        shown(&v6(58, &solicitation)),
        "IP6 fd00::1 > fd00::2: ICMP6 neighbor solicitation, who has fd00::2, length 24"
    );
    solicitation[0] = 136;
    solicitation.extend([2, 1, 2, 0, 0, 0, 0, 2]);
    assert_eq!(
        shown(&v6(58, &solicitation)),
        "IP6 fd00::1 > fd00::2: ICMP6 neighbor advertisement, target is fd00::2 at 02:00:00:00:00:02, length 32"
    );
}

#[test]
fn sctp_and_others() {
    let mut init = vec![0x10, 0x92, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0];
    init.extend([1, 0, 0, 20]);
    init.extend([0; 16]);
    init.extend([
        0, 3, 0, 19, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c',
    ]);
    assert_eq!(
        shown(&v4(132, &init)),
        "IP 10.0.0.1.4242 > 10.0.0.2.80: SCTP [INIT] [DATA tsn 9 stream 1 length 3], length 51"
    );
    assert_eq!(
        shown(&v4(47, &[0; 8])),
        "IP 10.0.0.1 > 10.0.0.2: GRE, length 8"
    );
    assert_eq!(
        shown(&v4(253, &[0; 8])),
        "IP 10.0.0.1 > 10.0.0.2: protocol 253, length 8"
    );
}

#[test]
fn fragments() {
    let mut first = v4(17, &udp(4242, 9, &[0; 32]));
    (first[18], first[19], first[20]) = (0, 7, 0x20);
    assert_eq!(
        shown(&first),
        "IP 10.0.0.1.4242 > 10.0.0.2.9: UDP, length 32, fragment 0x7 of 40 bytes at 0+"
    );
    (first[20], first[21]) = (0, 185);
    assert_eq!(
        shown(&first),
        "IP 10.0.0.1 > 10.0.0.2: UDP, fragment 0x7 of 40 bytes at 1480"
    );
}

#[test]
fn extensions_of_ipv6() {
    let payload = udp(4242, 9, b"x");
    let hop_by_hop = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &payload].concat();
    assert_eq!(
        shown(&v6(0, &hop_by_hop)),
        "IP6 fd00::1.4242 > fd00::2.9: UDP, length 1"
    );
    let first = [
        &[60, 0, 0, 1, 0, 0, 0, 7, 17, 0, 1, 4, 0, 0, 0, 0][..],
        &payload,
    ]
    .concat();
    assert_eq!(
        shown(&v6(44, &first)),
        "IP6 fd00::1.4242 > fd00::2.9: UDP, length 1, fragment 0x7 of 9 bytes at 0+"
    );
    let last = [&[17, 0, 5, 0xa8, 0, 0, 0, 7][..], &payload].concat();
    assert_eq!(
        shown(&v6(44, &last)),
        "IP6 fd00::1 > fd00::2: UDP, fragment 0x7 of 9 bytes at 1448"
    );
    // One that says that it is longer than all there is.
    assert_eq!(
        shown(&v6(60, &[17, 200, 0, 0, 0, 0, 0, 0])),
        "IP6 fd00::1 > fd00::2: protocol 60, length 8"
    );
}

#[test]
fn arp() {
    let mut request = [
        &[0xff; 6][..],
        &FROM,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &FROM,
    ]
    .concat();
    request.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    assert_eq!(
        shown(&request),
        "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"
    );
    request[21] = 2;
    assert_eq!(
        shown(&request),
        "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28"
    );
}

#[test]
fn links() {
    let mut tagged = v4(17, &udp(4242, 9, b""));
    tagged.splice(12..12, [0x81, 0, 0x20, 5]);
    assert_eq!(
        shown(&tagged),
        "vlan 5, IP 10.0.0.1.4242 > 10.0.0.2.9: UDP, length 0"
    );
    let lldp = [&TO[..], &FROM, &[0x88, 0xcc], &[0; 46]].concat();
    assert_eq!(
        shown(&lldp),
        "02:00:00:00:00:01 > 02:00:00:00:00:02, LLDP, length 60"
    );
    let stp = [&TO[..], &FROM, &[0, 38], &[0x42; 46]].concat();
    assert!(shown(&stp).contains("802.3 of 38 bytes, length 60"));
    assert_eq!(shown(&[1, 2, 3]), "Ethernet [truncated], length 3");
    let raw = v6(17, &udp(1, 2, b"x"))[14..].to_vec();
    assert_eq!(
        describe(&packet(Hardware::Raw, raw)),
        "IP6 fd00::1.1 > fd00::2.2: UDP, length 1"
    );
    assert_eq!(
        describe(&packet(Hardware::Other(803), vec![0; 9])),
        "interface type 803, length 9"
    );
}

/// The lengths of packets are theirs, however little of them is there.
#[test]
fn a_snaplen_does_not_change_lengths() {
    let whole = v4(6, &tcp([4242, 80], [1, 1], 0x18, 512, b"", &[0; 1000]));
    let mut cut = packet(Hardware::Ethernet, whole[..60].to_vec());
    cut.length = whole.len() as u32;
    assert_eq!(describe(&cut), shown(&whole));
    // Of more than 64 KiB, IP tells no length.
    (cut.bytes[16], cut.bytes[17], cut.length) = (0, 0, 100_054);
    assert!(describe(&cut).ends_with("seq 1:100001, ack 1, win 512, length 100000"));
}

fn hardware() -> impl Strategy<Value = Hardware> {
    prop_oneof![
        4 => Just(Hardware::Ethernet),
        4 => Just(Hardware::Raw),
        1 => any::<u16>().prop_map(Hardware::Other),
    ]
}

/// Packets that get far before they are wrong: sound ones of each kind, of which some bytes are others, cut somewhere.
fn nearly_sound() -> impl Strategy<Value = Vec<u8>> {
    let carried = prop_oneof![
        Just(1u8),
        Just(6),
        Just(17),
        Just(58),
        Just(132),
        Just(44),
        Just(0),
        Just(51),
        any::<u8>(),
    ];
    let ports = prop_oneof![Just([0, 53]), Just([0, 80]), any::<[u8; 2]>()];
    let payload = proptest::collection::vec(any::<u8>(), 0..120);
    let wrong = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        any::<bool>(),
        carried,
        ports,
        payload,
        wrong,
        any::<prop::sample::Index>(),
    )
        .prop_map(|(is_v6, carried, ports, payload, wrong, end)| {
            let payload = [&ports[..], &payload].concat();
            let mut bytes = match is_v6 {
                true => v6(carried, &payload),
                false => v4(carried, &payload),
            };
            for (place, byte) in wrong {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(end.index(bytes.len() + 1));
            bytes
        })
}

fn sound(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_make_a_printable_line(
        hardware in hardware(), bytes in proptest::collection::vec(any::<u8>(), 0..200), length: u32,
    ) {
        let mut packet = packet(hardware, bytes);
        packet.length = length;
        prop_assert!(sound(&describe(&packet)));
    }

    #[test]
    fn nearly_sound_bytes_make_a_printable_line(hardware in hardware(), bytes in nearly_sound(), length: u32) {
        let skip = if hardware == Hardware::Raw { 14.min(bytes.len()) } else { 0 };
        let mut packet = packet(hardware, bytes[skip..].to_vec());
        packet.length = length;
        let line = describe(&packet);
        prop_assert!(sound(&line), "{line:?}");
        // No line is longer than what a terminal shows of it makes sense.
        prop_assert!(line.len() < 2000);
    }

    #[test]
    fn any_dns_message_is_shown(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(1), Just(0xc0), Just(12)], 0..150)) {
        let mut line = String::new();
        dns::message(&mut line, Bytes(&bytes));
        prop_assert!(sound(&line), "{line:?}");
    }
}
