//! From what was asked to a verdict, as pure data.

use std::net::{IpAddr, SocketAddr};

use super::{Checked, Heard, Named, Request, SOUTE, Target, Tried, Way};
use crate::Protocol;

impl Tried {
    fn echoes(&self) -> bool {
        let echo = self.echo.as_ref();
        echo.is_some_and(|told| told.kind == Heard::Answered)
    }

    /// Whether it is reached. A port of UDP that is silent, of who echoes, has refused nothing.
    fn is_reached(&self, port: Option<(Protocol, u16)>) -> bool {
        match (&self.port, port) {
            (None, _) => self.echoes(),
            (Some(told), Some((Protocol::Udp, _))) if told.kind == Heard::Silence => self.echoes(),
            (Some(told), _) => told.kind == Heard::Answered,
        }
    }
}

/// The verdict, as pure data.
pub(super) fn conclude(request: &Request<'_>, names: Vec<Named>, tried: Vec<Tried>) -> Checked {
    let what = match &request.to {
        Target::Address(address) => address.to_string(),
        Target::Name(name) => name.clone(),
    };
    let reached = tried.iter().find(|one| one.is_reached(request.port));
    let (verdict, hints) = match (reached, tried.first()) {
        (Some(one), _) => reached_by(request, &names, &what, one),
        (None, Some(one)) => unreached(request, &what, one),
        (None, None) => {
            let silent = names.iter().all(|named| {
                named.by == "/etc/hosts"
                    || named.failure.as_deref() != Some("there is no such name")
            });
            let hint = match silent {
                true => {
                    "its name servers do not answer: see 'soute network check' to their addresses, with :53/udp"
                }
                false => {
                    "names of containers are known within a network of both: 'soute network connect'"
                }
            };
            (
                format!("the name {what} has no address in {}", request.from),
                vec![hint.to_owned()],
            )
        }
    };
    Checked {
        reachable: reached.is_some(),
        names,
        tried,
        verdict,
        hints,
    }
}

fn reached_by(
    request: &Request<'_>,
    names: &[Named],
    what: &str,
    one: &Tried,
) -> (String, Vec<String>) {
    let at = match request.port {
        Some((protocol, port)) => format!("{}, port {port}/{protocol}", one.address),
        None => one.address.to_string(),
    };
    let mut hints = Vec::new();
    if names.last().is_some_and(|named| named.by == SOUTE) {
        hints.push(format!(
            "{} does not know the name {what}: it is found by name within a network of both that was made by 'soute network create'",
            request.from
        ));
    }
    let silent = one
        .port
        .as_ref()
        .is_some_and(|told| told.kind == Heard::Silence);
    let what = match at.starts_with(what) {
        true => at,
        false => format!("{what} at {at}"),
    };
    let text = match silent {
        true => format!("{what} is reached: nothing refuses it, and nothing answers"),
        false => format!("{what} is reached"),
    };
    (text, hints)
}

fn unreached(request: &Request<'_>, what: &str, one: &Tried) -> (String, Vec<String>) {
    let (from, address) = (&request.from, one.address);
    if let Way::None(why) = &one.route {
        return (
            format!("no way from {from} to {address}: {why}"),
            vec![format!(
                "'soute network connect' joins {from} to a network; 'soute inspect {from}' tells its own"
            )],
        );
    }
    if let Some(next) = one
        .neighbour
        .as_ref()
        .filter(|next| matches!(next.state, "failed" | "incomplete"))
    {
        return (
            format!("nobody has the address {} on the link", next.address),
            vec!["it is not running, or has another address by now".to_owned()],
        );
    }
    let port = request
        .port
        .map(|(protocol, port)| format!("{port}/{protocol}"));
    let told = one.port.as_ref().or(one.echo.as_ref());
    let at = match what == address.to_string() {
        true => what.to_owned(),
        false => format!("{what} at {address}"),
    };
    let at = match &port {
        Some(port) => format!("{at}, port {port}"),
        None => at,
    };
    match told.map(|told| (told.kind, &told.text)) {
        Some((Heard::Refused, text)) => (
            format!("nothing listens there: {at}: {text}"),
            vec!["its program listens on another port, on 127.0.0.1 alone, or not yet".to_owned()],
        ),
        Some((Heard::Icmp | Heard::Failed, text)) => {
            (format!("{at}: {text}"), vec![why(request, address)])
        }
        _ => (
            format!("{at} does not answer: it is filtered, or silent"),
            vec![why(request, address)],
        ),
    }
}

fn why(request: &Request<'_>, address: IpAddr) -> String {
    let (protocol, port) = request.port.unwrap_or((Protocol::Tcp, 80));
    let at = SocketAddr::new(address, port);
    let udp = if protocol == Protocol::Udp {
        "/udp"
    } else {
        ""
    };
    format!(
        "'soute network why --from {} {at}{udp}' tells what stops it",
        request.from
    )
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::time::Duration;

    use super::super::{Next, Told};
    use super::*;

    fn told(kind: Heard) -> Option<Told> {
        let text = String::new();
        Some(Told { kind, text })
    }

    fn tried(echo: Heard, port: Option<Heard>) -> Tried {
        Tried {
            address: "10.0.0.2".parse().unwrap(),
            route: Way::Local,
            neighbour: None,
            echo: told(echo),
            port: port.and_then(told),
        }
    }

    #[test]
    fn what_counts_is_the_port_if_there_is_one() {
        use Heard::{Answered, Refused, Silence};
        let (tcp, udp) = (Some((Protocol::Tcp, 80)), Some((Protocol::Udp, 53)));
        for (asked, echo, port, reached) in [
            (None, Answered, None, true),
            (None, Silence, None, false),
            (tcp, Silence, Some(Answered), true),
            (tcp, Answered, Some(Refused), false),
            (tcp, Answered, Some(Silence), false),
            (udp, Answered, Some(Silence), true),
            (udp, Silence, Some(Silence), false),
            (udp, Answered, Some(Refused), false),
        ] {
            let one = tried(echo, port);
            assert_eq!(one.is_reached(asked), reached, "{asked:?} {one:?}");
        }
    }

    #[test]
    fn reasons_are_told_with_what_to_do() {
        let file = std::fs::File::open("/").unwrap();
        let request = Request {
            namespace: file.as_fd(),
            from: "web".to_owned(),
            to: Target::Name("db".to_owned()),
            port: Some((Protocol::Tcp, 5432)),
            hosts: None,
            resolver: None,
            known: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let said = |tried: Vec<Tried>| {
            let checked = conclude(&request, Vec::new(), tried);
            assert!(!checked.reachable);
            format!("{} | {}", checked.verdict, checked.hints.join(" | "))
        };
        assert!(said(Vec::new()).contains("the name db has no address in web"));
        let refused = said(vec![tried(Heard::Answered, Some(Heard::Refused))]);
        assert!(refused.contains("nothing listens there: db at 10.0.0.2, port 5432/tcp"));
        let silent = said(vec![tried(Heard::Silence, Some(Heard::Silence))]);
        assert!(silent.contains("soute network why --from web 10.0.0.2:5432"));
        let mut one = tried(Heard::Silence, Some(Heard::Silence));
        one.neighbour = Some(Next {
            address: one.address,
            mac: None,
            state: "failed",
        });
        assert!(said(vec![one.clone()]).contains("nobody has the address 10.0.0.2"));
        one.route = Way::None("no route leads there".to_owned());
        assert!(said(vec![one]).contains("no way from web to 10.0.0.2: no route leads there"));
    }
}
