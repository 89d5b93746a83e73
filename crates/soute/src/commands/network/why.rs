//! `soute network why`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use soute_engine::{Engine, Error, Located, Places, is_same_network, network_of, own_network};
use soute_network::why::{
    End, Explanation, Known, Place, Request, Step, Way, What, explain, watch,
};

use super::target::{Host, Target, target, timeout};
use crate::cli::CommandLine;
use crate::commands::open;
use crate::output::{json, print, visible};

/// What becomes of a packet, rule by rule, and what stops it.
#[derive(Debug, Args)]
#[command(
    after_help = "A probe is sent and traced through nftables, in the machine's network and in those of the containers at its \
                  ends. Ends with 0 if it is answered, or, by UDP, delivered; with 1 if not."
)]
pub struct Why {
    /// Where the probe starts: a container, or a process by number; else the machine
    #[arg(long, value_name = "CONTAINER|PID")]
    from: Option<String>,

    /// How long an answer is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = timeout)]
    timeout: Duration,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Where it goes to: an address, or a running container by name
    #[arg(value_name = "ADDRESS:PORT[/udp]", value_parser = target)]
    to: Target,
}

/// A namespace that is held open, and what it is called.
struct Held {
    name: String,
    /// None: the machine's.
    network: Option<OwnedFd>,
}

impl CommandLine for Why {
    const USAGE: &'static str = "[OPTIONS] ADDRESS:PORT[/udp]";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        let Some((protocol, port)) = self.to.port else {
            bail!("a port is missing: ADDRESS:PORT, or ADDRESS:PORT/udp");
        };
        let located = engine.located()?;
        let address = match &self.to.host {
            Host::Address(address) => *address,
            Host::Name(name) => address_of(&engine, &located, name)?,
        };
        let machine = Held {
            name: "this machine".to_owned(),
            network: None,
        };
        let mut held = Vec::new();
        if let Some(from) = &self.from {
            held.extend(start(&engine, from)?);
        }
        held.push(machine);
        let led = engine.published_at(address, protocol, port)?;
        let at_last = led.map_or(address, |published| published.to.ip());
        if let Some(end) = located.iter().find(|one| one.address == at_last) {
            let name = format!("container {}", end.name);
            if held.iter().all(|one| one.name != name) {
                let inside = engine.inside(&end.name, "network why")?;
                let network = Some(inside.network().try_clone_to_owned()?);
                held.push(Held { name, network });
            }
        }
        let request = Request {
            protocol,
            to: SocketAddr::new(address, port),
            places: held
                .iter()
                .map(|one| Place {
                    name: one.name.clone(),
                    namespace: one.network.as_ref().map(|network| network.as_fd()),
                })
                .collect(),
            known: located.into_iter().map(known).collect(),
            timeout: self.timeout,
        };
        let explanation = explain(&watch(&request)?);
        if self.json {
            print(&json(&explanation)?)?;
        } else {
            print(&text(&explanation))?;
        }
        let delivered =
            explanation.verdict.kind == End::Silence && protocol == soute_network::Protocol::Udp;
        Ok(match explanation.verdict.kind {
            End::Answered => ExitCode::SUCCESS,
            _ if delivered => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

fn known(one: Located) -> Known {
    Known {
        name: one.name,
        address: one.address,
        network: one.network,
        port: one.peer,
    }
}

/// The address of a container: packets have no names.
fn address_of(engine: &Engine, located: &[Located], name: &str) -> Result<IpAddr> {
    let record = match engine.find(name) {
        Ok(record) => record,
        Err(Error::NoSuchContainer(_)) => bail!(
            "{name:?} is neither an address nor a container ('soute network check' tells what a name leads to)"
        ),
        Err(e) => return Err(e.into()),
    };
    let mut addresses = located.iter().filter(|one| one.name == record.name);
    let found = addresses.next().map(|one| one.address);
    found.with_context(|| {
        format!(
            "container {} does not run in a network of its own: it has no address",
            record.name
        )
    })
}

/// The namespace where the probe starts; none: it is the machine's.
fn start(engine: &Engine, from: &str) -> Result<Option<Held>> {
    if from == "outside" || from.parse::<IpAddr>().is_ok() {
        bail!(
            "--from {from}: a probe that seems to come from outside is not sent, since its answer would go to whoever has that address. \
             Connect from there, or name a container or a process here"
        );
    }
    let number = from.parse::<i32>().ok().filter(|pid| *pid > 0);
    let is_process =
        number.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}/ns")).exists());
    let held = match number.filter(|_| is_process) {
        Some(pid) => Held {
            name: format!("process {pid}"),
            network: Some(network_of(pid)?),
        },
        None => {
            let inside = engine.inside(from, "network why --from")?;
            Held {
                name: format!("container {}", inside.name),
                network: Some(inside.network().try_clone_to_owned()?),
            }
        }
    };
    // A process of the machine, or a container of --network host.
    let is_own = match &held.network {
        Some(network) => is_same_network(network, own_network()?)?,
        None => true,
    };
    Ok((!is_own).then_some(held))
}

/// A line for each step, and the verdict.
fn text(explanation: &Explanation) -> String {
    let from = explanation.from.map(|from| format!(" ({from})"));
    let mut text = format!(
        "{} from {}{} to {}\n",
        explanation.protocol,
        visible(&explanation.place),
        from.unwrap_or_default(),
        explanation.to
    );
    let rows: Vec<[String; 4]> = explanation.steps.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [0, 1, 2].map(width);
    for [way, place, hook, what] in &rows {
        let _ = writeln!(
            text,
            "{way:<a$}  {place:<b$}  {hook:<c$}  {what}",
            a = widths[0],
            b = widths[1],
            c = widths[2]
        );
    }
    let _ = writeln!(text, "{}", visible(&explanation.verdict.text));
    for hint in &explanation.verdict.hints {
        let _ = writeln!(text, "hint: {}", visible(hint));
    }
    for note in &explanation.notes {
        let _ = writeln!(text, "note: {}", visible(note));
    }
    text
}

fn row(step: &Step) -> [String; 4] {
    let way = match step.way {
        Way::Request => "request",
        Way::Answer => "answer",
    };
    let shown = |text: &str| visible(text).into_owned();
    [
        way.to_owned(),
        shown(&step.place),
        shown(&step.hook),
        shown(&what(&step.what)),
    ]
}

fn what(what: &What) -> String {
    match what {
        What::Rule {
            table,
            chain,
            handle,
            text,
            comment,
            verdict,
        } => {
            let comment = comment.as_ref().map(|comment| format!(" {comment:?}"));
            let comment = comment.unwrap_or_default();
            let text = match text {
                Some(text) => format!(": {text}"),
                None => format!(" (nft -a list chain {table} {chain})"),
            };
            // A rule that ends with its verdict has said it.
            let verdict = match text.ends_with(verdict.as_str()) {
                true => String::new(),
                false => format!(" → {verdict}"),
            };
            format!("table {table} chain {chain} rule {handle}{comment}{text}{verdict}")
        }
        What::Policy {
            table,
            chain,
            verdict,
        } => format!("table {table} chain {chain} policy {verdict}"),
        What::Translated { side, from, to } => format!("{side} {from} becomes {to}"),
        What::Route {
            to,
            gateway,
            interface,
        } => {
            let via = gateway.map(|gateway| format!(" via {gateway}"));
            match interface {
                Some(interface) => format!("{to}{} by {interface}", via.unwrap_or_default()),
                None => format!("{to} is here"),
            }
        }
        What::NoRoute { to, why } => format!("no way to {to}: {why}"),
        What::Left {
            interface,
            port,
            container,
        } => {
            let port = port.as_ref().map(|port| format!(", port {port}"));
            let container = container
                .as_ref()
                .map(|name| format!(", to container {name}"));
            format!(
                "leaves by {interface}{}{}",
                port.unwrap_or_default(),
                container.unwrap_or_default()
            )
        }
        What::Delivered => "delivered".to_owned(),
    }
}
