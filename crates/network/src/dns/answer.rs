//! What a query is answered (RFC 1035).

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::{Directory, Others};

/// A container comes and goes: its address is nothing to remember.
const TTL: u32 = 0;
/// Longest answer by UDP that fits into any network's packets (DNS flag day 2020).
const DATAGRAM: u16 = 1232;

/// What becomes of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This is sent back.
    Ready(Vec<u8>),
    /// It is for others to answer.
    Pass,
    /// It is no query; nothing is sent back, since two servers would go on for ever.
    Nothing,
}

/// How the query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// UDP: what is too long is cut, and asked for again by TCP.
    Datagram,
    /// TCP.
    Stream,
}

/// What `query` is answered, as far as `directory` knows.
pub fn reply(query: &[u8], by: By, directory: &mut dyn Directory) -> Reply {
    let Ok(asked) = Message::from_vec(query) else {
        // Its number is all that can be told of it, and whether it is a query.
        return match query {
            [a, b, flags, ..] if query.len() >= 12 && flags & 0x80 == 0 => {
                let id = u16::from_be_bytes([*a, *b]);
                let error = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
                ready(&error, usize::MAX)
            }
            _ => Reply::Nothing,
        };
    };
    if asked.metadata.message_type != MessageType::Query {
        return Reply::Nothing;
    }
    if asked.metadata.op_code != OpCode::Query {
        return ready(&empty(&asked, ResponseCode::NotImp), usize::MAX);
    }
    let [question] = asked.queries.as_slice() else {
        return ready(&empty(&asked, ResponseCode::FormErr), usize::MAX);
    };
    let found = match (question.query_class(), question.query_type()) {
        (DNSClass::IN, RecordType::PTR) => reverse(question.name(), directory),
        (DNSClass::IN, kind) => forward(question.name(), kind, directory),
        _ => None,
    };
    let answer = match found {
        Some(mut records) => {
            // Who asks several times reaches all who share a name.
            if !records.is_empty() {
                let first = usize::from(asked.metadata.id) % records.len();
                records.rotate_left(first);
            }
            let mut answer = empty(&asked, ResponseCode::NoError);
            answer.metadata.authoritative = true;
            answer.add_answers(records);
            answer
        }
        None => match directory.others() {
            Others::Ask(_) => return Reply::Pass,
            Others::Nobody => empty(&asked, ResponseCode::NXDomain),
        },
    };
    let most = match by {
        By::Datagram => usize::from(asked.max_payload().min(DATAGRAM)),
        By::Stream => usize::from(u16::MAX),
    };
    ready(&answer, most)
}

/// The answer to a query that nobody has answered.
pub fn failure(query: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(query).ok()?;
    empty(&asked, ResponseCode::ServFail).to_vec().ok()
}

/// The records of a name that somebody here has: none, if they are not of the wanted kind.
fn forward(name: &Name, kind: RecordType, directory: &mut dyn Directory) -> Option<Vec<Record>> {
    let text = name.to_lowercase().to_ascii();
    let addresses = directory.addresses(text.trim_end_matches('.'))?;
    let records = addresses.into_iter().filter_map(|address| {
        let data = match (address, kind) {
            (IpAddr::V4(address), RecordType::A | RecordType::ANY) => RData::A(A(address)),
            (IpAddr::V6(address), RecordType::AAAA | RecordType::ANY) => RData::AAAA(AAAA(address)),
            _ => return None,
        };
        Some(Record::from_rdata(name.clone(), TTL, data))
    });
    Some(records.collect())
}

fn reverse(name: &Name, directory: &mut dyn Directory) -> Option<Vec<Record>> {
    let address = name.parse_arpa_name().ok()?;
    // A shorter name is a network's.
    if address.prefix_len() != address.max_prefix_len() {
        return None;
    }
    let target = directory.name(address.addr())?;
    let target = Name::from_ascii(target + ".").ok()?;
    let data = RData::PTR(PTR(target));
    Some(vec![Record::from_rdata(name.clone(), TTL, data)])
}

fn empty(asked: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::error_msg(asked.metadata.id, asked.metadata.op_code, code);
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(asked.queries.iter().cloned());
    if asked.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM);
        answer.set_edns(edns);
    }
    answer
}

fn ready(answer: &Message, most: usize) -> Reply {
    let whole = answer.to_vec();
    let packet = match whole {
        Ok(packet) if packet.len() > most => answer.truncate().to_vec(),
        other => other,
    };
    packet.map_or(Reply::Nothing, Reply::Ready)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use proptest::prelude::*;

    use super::*;

    /// `db` has two addresses, `many` has fifty.
    struct Book(Others);

    impl Directory for Book {
        fn addresses(&mut self, name: &str) -> Option<Vec<IpAddr>> {
            match name {
                "db" => Some(vec![
                    "10.0.0.2".parse().unwrap(),
                    "fd00::2".parse().unwrap(),
                ]),
                "many" => Some((0..99).map(|n| IpAddr::from([10, 0, 0, n])).collect()),
                _ => None,
            }
        }

        fn name(&mut self, address: IpAddr) -> Option<String> {
            (address.to_string() == "10.0.0.2").then(|| "db.net".to_owned())
        }

        fn others(&mut self) -> Others {
            self.0.clone()
        }
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn outside() -> Others {
        Others::Ask(vec!["192.0.2.1:53".parse().unwrap()])
    }

    #[track_caller]
    fn answered(query: &Message, by: By, others: Others) -> Message {
        match reply(&query.to_vec().unwrap(), by, &mut Book(others)) {
            Reply::Ready(packet) => Message::from_vec(&packet).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn records(message: &Message) -> Vec<String> {
        let answers = message.answers.iter();
        answers.map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn a_neighbours_name() {
        for (name, kind, expected) in [
            ("db.", RecordType::A, &["10.0.0.2"][..]),
            ("DB.", RecordType::AAAA, &["fd00::2"]),
            // It is there, and has no such record: who asks must not look elsewhere.
            ("db.", RecordType::MX, &[]),
            ("2.0.0.10.in-addr.arpa.", RecordType::PTR, &["db.net."]),
        ] {
            let asked = query(name, kind);
            let answer = answered(&asked, By::Datagram, outside());
            assert_eq!(records(&answer), expected, "{name} {kind}");
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
            assert_eq!(answer.metadata.id, asked.metadata.id);
            assert_eq!(answer.queries, asked.queries);
        }
    }

    #[test]
    fn other_names_are_for_others() {
        for (name, kind) in [
            ("example.org.", RecordType::A),
            ("3.0.0.10.in-addr.arpa.", RecordType::PTR),
            ("0.10.in-addr.arpa.", RecordType::PTR),
        ] {
            let packet = query(name, kind).to_vec().unwrap();
            let passed = reply(&packet, By::Datagram, &mut Book(outside()));
            assert_eq!(passed, Reply::Pass, "{name}");
            let answer = answered(&query(name, kind), By::Datagram, Others::Nobody);
            assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        }
    }

    #[test]
    fn what_is_too_long_is_asked_again_by_tcp() {
        let asked = query("many.", RecordType::A);
        let cut = answered(&asked, By::Datagram, outside());
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        let whole = answered(&asked, By::Stream, outside());
        assert_eq!(whole.answers.len(), 99);
        assert!(!whole.metadata.truncation);
    }

    #[test]
    fn each_of_several_comes_first() {
        let first = |id: u16| {
            let mut asked = query("many.", RecordType::A);
            asked.metadata.id = id;
            records(&answered(&asked, By::Stream, outside())).remove(0)
        };
        assert_eq!((first(0), first(7)), ("10.0.0.0".into(), "10.0.0.7".into()));
    }

    #[test]
    fn what_is_no_question_is_said_to_be_none() {
        let mut two = query("db.", RecordType::A);
        two.add_query(Query::query(Name::root(), RecordType::A));
        let answer = answered(&two, By::Datagram, outside());
        assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);

        let mut answer = query("db.", RecordType::A);
        answer.metadata.message_type = MessageType::Response;
        let packet = answer.to_vec().unwrap();
        let replied = reply(&packet, By::Datagram, &mut Book(outside()));
        assert_eq!(replied, Reply::Nothing);
        assert_eq!(
            reply(b"short", By::Datagram, &mut Book(outside())),
            Reply::Nothing
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = reply(&bytes, By::Datagram, &mut Book(Others::Nobody));
            let _ = failure(&bytes);
        }

        /// One that is nearly right goes deeper.
        #[test]
        fn a_damaged_query_is_survived(at in 0usize..40, byte in any::<u8>(), cut in 0usize..40) {
            let mut packet = query("db.example.org.", RecordType::A).to_vec().unwrap();
            if let Some(place) = packet.get_mut(at) {
                *place = byte;
            }
            packet.truncate(cut.max(12));
            let _ = reply(&packet, By::Stream, &mut Book(Others::Nobody));
        }
    }
}
