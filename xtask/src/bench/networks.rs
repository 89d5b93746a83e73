//! Containers on a bridge: what their start costs, how much gets through, and whether a thousandth port costs more than the
//! first.
//!
//! Each engine has a machine of its own, a network namespace, since what one has done to its firewall stays. Outside of it is
//! another one, from which published ports are reached. This process enters the engine's machine before it starts its
//! commands, so that nothing in between is measured.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Value, json};

use super::Options;
use super::bed::Bed;
use super::docker::{Docker, import};
use super::layout::{available, show_only};
use super::left_out::{EVERYTHING, LeftOut};
use super::limit::{LIMIT, REMOVAL, Running, output};
use super::measure::{Pace, Subject, measure as rounds, time};
use super::statistics::Sample;
use super::subjects::{DOCKER, PODMAN, SOUTE};
use crate::shell::{command, run, step};

/// As the report calls the measurements.
pub const RUN: &str = "One container on a bridge, back to back";
/// See [`RUN`].
pub const THROUGHPUT: &str = "Gbit/s of one TCP connection";
/// See [`RUN`].
pub const PORTS: &str = "Publishing a port of a container that runs";

/// soute without a network.
pub const WITHOUT: &str = "soute, none";
/// Two network namespaces on a bridge, made with ip(8).
pub const BARE: &str = "bare namespaces";
/// The first port, and the thousandth.
pub const FIRST: &str = "with no other port";
/// See [`FIRST`].
pub const THOUSANDTH: &str = "with 999 others";

/// The machine's address on its link to the outside.
const OUTER: &str = "192.0.2.1";
/// iperf3's port, and the one of the machine that leads to it.
const PORT: &str = "5201";
const PUBLISHED: &str = "5301";

/// Measurements of throughput of each: single ones lie up to half apart where there are but two processors, whether they
/// take one second or two.
const ROUNDS: usize = 51;

/// An engine's machine.
struct Machine {
    network: File,
    outside: Child,
}

impl Machine {
    fn make() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
        let network = File::open("/proc/thread-self/ns/net").context("the network namespace")?;
        let own = std::fs::read_link("/proc/thread-self/ns/net")?;
        let outside = command("unshare", ["--net", "sleep", "1000000"]).spawn()?;
        let pid = outside.id();
        let machine = Self { network, outside };
        while std::fs::read_link(format!("/proc/{pid}/ns/net"))? == own {
            sleep(Duration::from_millis(1));
        }
        for words in [
            "link set lo up".to_owned(),
            format!("link add out0 type veth peer name eth0 netns {pid}"),
            format!("address add {OUTER}/30 dev out0"),
            "link set out0 up".to_owned(),
            "route add default via 192.0.2.2".to_owned(),
        ] {
            ip(&words)?;
        }
        for words in [
            "address add 192.0.2.2/30 dev eth0",
            "link set eth0 up",
            "route add default via 192.0.2.1",
        ] {
            run(machine.outside("ip").args(words.split(' ')))?;
        }
        Ok(machine)
    }

    /// What is started from now on is on this machine.
    fn enter(&self) -> Result<()> {
        setns(&self.network, CloneFlags::CLONE_NEWNET).context("setns(CLONE_NEWNET)")
    }

    fn outside(&self, program: &str) -> Command {
        inside(self.outside.id(), program)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.outside.kill();
        let _ = self.outside.wait();
    }
}

fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' ')))
}

/// A program in the network of a process.
fn inside(pid: u32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/proc/{pid}/ns/net"))
        .arg(program);
    command
}

/// Measures, in namespaces of its own, and leaves the figures in the bed.
pub fn measure(bed: &Bed, options: Options) -> Result<()> {
    let layout = available()?.into_iter().next().context("no cgroups")?;
    show_only(layout)?;
    run(command("mount", ["-t", "tmpfs", "tmpfs"]).arg(bed.run()))?;
    let mut machines = BTreeMap::new();
    let mut add = |name: &'static str| -> Result<()> {
        machines.insert(name, Machine::make()?);
        Ok(())
    };
    add(SOUTE)?;
    add(BARE)?;
    if !options.quick {
        add(PODMAN)?;
    }
    if options.docker {
        add(DOCKER)?;
    }
    let mut left_out = LeftOut::new(bed);
    if let Some(machine) = machines.get(PODMAN) {
        machine.enter()?;
        left_out.attempt(PODMAN, EVERYTHING, || import(bed.podman(), bed))?;
    }
    let docker = match machines.get(DOCKER) {
        Some(machine) => {
            machine.enter()?;
            left_out.attempt(DOCKER, EVERYTHING, || Docker::start_with_networks(bed))?
        }
        None => None,
    };
    let figures = json!({
        "run": starts(bed, &machines, options, &mut left_out)?,
        "throughput": throughput(bed, &machines, options, &mut left_out)?,
        "ports": ports(bed, &machines[SOUTE], options)?,
        "left out": left_out.figures(),
    });
    drop(docker);
    std::fs::write(bed.path("networks.json"), figures.to_string())?;
    Ok(())
}

fn engine(bed: &Bed, name: &str) -> Command {
    match name {
        PODMAN => bed.podman(),
        DOCKER => bed.docker(),
        _ => bed.soute(),
    }
}

/// One program in a container, with a network and without.
fn starts(
    bed: &Bed,
    machines: &BTreeMap<&'static str, Machine>,
    options: Options,
    left_out: &mut LeftOut,
) -> Result<Value> {
    let subject = |name: &'static str, slow: bool, network: &'static str| {
        let machine = &machines[if name == WITHOUT { SOUTE } else { name }];
        Subject {
            name,
            commands: Box::new(move || {
                machine.enter().expect("the engine's machine");
                let mut command = engine(bed, name);
                command.args(["run", "--rm", "--network", network, "busybox", "/bin/true"]);
                vec![command]
            }),
            clear: None,
            slow,
        }
    };
    let mut subjects = vec![
        subject(WITHOUT, false, "none"),
        subject(SOUTE, false, "bridge"),
    ];
    if machines.contains_key(PODMAN) {
        subjects.push(subject(PODMAN, true, "bridge"));
    }
    if machines.contains_key(DOCKER) {
        subjects.push(subject(DOCKER, true, "bridge"));
    }
    let pace = Pace {
        rounds: if options.quick { 6 } else { 24 },
        batch: if options.quick { 5 } else { 10 },
        idle: None,
        limit: LIMIT,
    };
    Ok(json!(rounds(RUN, &subjects, pace, left_out)?))
}

/// Two ends on a bridge, the second one's address, and whence the way to its published port is measured.
struct Ends {
    first: u32,
    second: u32,
    address: String,
}

/// Gbit/s of one TCP connection: from one container to another, and from outside through a published port.
fn throughput(
    bed: &Bed,
    machines: &BTreeMap<&'static str, Machine>,
    options: Options,
    left_out: &mut LeftOut,
) -> Result<Value> {
    step(THROUGHPUT);
    let mut ends = Vec::new();
    let mut bare = Vec::new();
    for (&name, machine) in machines {
        machine.enter()?;
        let make = || match name {
            BARE => on_a_bridge(&mut bare),
            _ => containers(bed, name),
        };
        if let Some(made) = left_out.attempt(name, THROUGHPUT, make)? {
            ends.push((name, machine, made));
        }
    }
    let mut between: BTreeMap<&str, Sample> = BTreeMap::new();
    let mut published: BTreeMap<&str, Sample> = BTreeMap::new();
    for round in 0..if options.quick { 2 } else { ROUNDS } {
        // Whoever always came after the same one would always find the processors as that one left them.
        let first = round % ends.len().max(1);
        for (name, machine, ends) in ends[first..].iter().chain(&ends[..first]) {
            left_out.attempt(name, THROUGHPUT, || {
                let client = inside(ends.first, "iperf3");
                let rate = iperf(ends.second, client, &ends.address, PORT)?;
                between.entry(name).or_default().push(rate);
                if *name != BARE {
                    let client = machine.outside("iperf3");
                    let rate = iperf(ends.second, client, OUTER, PUBLISHED)?;
                    published.entry(name).or_default().push(rate);
                }
                Ok(())
            })?;
        }
    }
    for (&name, machine) in machines {
        if name != BARE {
            machine.enter()?;
            let mut remove = engine(bed, name);
            // Those of a peer that is out already, too.
            let removed = output(remove.args(["rm", "--force", "first", "second"]), REMOVAL);
            left_out.attempt(name, THROUGHPUT, || removed)?;
        }
    }
    between.retain(|name, _| !left_out.is_out(name, THROUGHPUT));
    published.retain(|name, _| !left_out.is_out(name, THROUGHPUT));
    for mut holder in bare {
        let _ = holder.kill();
        let _ = holder.wait();
    }
    Ok(json!({"between": between, "published": published}))
}

fn containers(bed: &Bed, name: &str) -> Result<Ends> {
    let publish = format!("{PUBLISHED}:{PORT}");
    for (container, flags) in [("first", &[][..]), ("second", &["-p", &publish])] {
        let mut run = engine(bed, name);
        run.args(["run", "-d", "--network", "bridge", "--name", container])
            .args(flags);
        output(run.args(["busybox", "/bin/sleep", "1000000"]), LIMIT)?;
    }
    let told = |container: &str, what: &str| -> Result<String> {
        let mut inspect = engine(bed, name);
        let text = output(inspect.args(["inspect", "-f", what, container]), LIMIT)?;
        Ok(text.trim().to_owned())
    };
    let pid = |container: &str| -> Result<u32> { Ok(told(container, "{{.State.Pid}}")?.parse()?) };
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    Ok(Ends {
        first: pid("first")?,
        second: pid("second")?,
        address: told("second", address)?,
    })
}

/// What an engine does at the least.
fn on_a_bridge(holders: &mut Vec<Child>) -> Result<Ends> {
    ip("link add br0 type bridge")?;
    ip("address add 198.51.100.1/24 dev br0")?;
    ip("link set br0 up")?;
    let own = std::fs::read_link("/proc/thread-self/ns/net")?;
    let mut pids = Vec::new();
    for number in 2..4 {
        let holder = command("unshare", ["--net", "sleep", "1000000"]).spawn()?;
        let pid = holder.id();
        holders.push(holder);
        while std::fs::read_link(format!("/proc/{pid}/ns/net"))? == own {
            sleep(Duration::from_millis(1));
        }
        ip(&format!(
            "link add v{number} type veth peer name eth0 netns {pid}"
        ))?;
        ip(&format!("link set v{number} master br0 up"))?;
        for words in [
            "link set lo up".to_owned(),
            format!("address add 198.51.100.{number}/24 dev eth0"),
            "link set eth0 up".to_owned(),
        ] {
            run(inside(pid, "ip").args(words.split(' ')))?;
        }
        pids.push(pid);
    }
    Ok(Ends {
        first: pids[0],
        second: pids[1],
        address: "198.51.100.3".to_owned(),
    })
}

/// Gbit/s from `client` to a server in the network of process `server`.
fn iperf(server: u32, mut client: Command, address: &str, port: &str) -> Result<f64> {
    let mut serving = inside(server, "iperf3");
    serving.args(["--server", "--one-off", "--port", PORT]);
    let mut serving = Running::start(serving.stdout(Stdio::null()))?;
    let end = Instant::now() + Duration::from_secs(10);
    let listens = || -> Result<bool> {
        let told = output(inside(server, "cat").arg("/proc/net/tcp6"), LIMIT)?;
        // 5201, state LISTEN.
        Ok(told
            .lines()
            .any(|line| line.contains(":1451 ") && line.contains(" 0A ")))
    };
    while !listens()? {
        if Instant::now() > end {
            bail!("iperf3 does not listen");
        }
        sleep(Duration::from_millis(5));
    }
    client.args(["--client", address, "--port", port, "--time", "1", "--json"]);
    let told = output(&mut client, LIMIT)?;
    if serving.wait(LIMIT)?.is_none() {
        bail!("the server of iperf3 did not end");
    }
    let told: Value = serde_json::from_str(&told).context("iperf3 printed no JSON")?;
    let rate = told["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(rate.context("iperf3 told no rate")? / 1e9)
}

/// A port is published and taken back, while there are no others, and while there are 999.
fn ports(bed: &Bed, machine: &Machine, options: Options) -> Result<Value> {
    step(PORTS);
    machine.enter()?;
    let run = ["run", "-d", "--network", "bridge", "--name"];
    let sleeps = ["busybox", "/bin/sleep", "1000000"];
    output(bed.soute().args(run).arg("one").args(sleeps), LIMIT)?;
    let mut figures: BTreeMap<&str, Sample> = BTreeMap::new();
    for name in [FIRST, THOUSANDTH] {
        if name == THOUSANDTH {
            let many = ["many", "-p", "20000-20998:1000-1998"];
            output(bed.soute().args(run).args(many).args(sleeps), LIMIT)?;
        }
        for _ in 0..if options.quick { 5 } else { 40 } {
            let update = |flag: &str| {
                let mut command = bed.soute();
                command.args(["update", flag, "5301:80", "one"]);
                command
            };
            let took = time(&mut [update("--publish-add")], LIMIT)?;
            time(&mut [update("--publish-rm")], LIMIT)?;
            figures
                .entry(name)
                .or_default()
                .push(took.as_secs_f64() * 1e3);
        }
    }
    output(bed.soute().args(["rm", "--force", "one", "many"]), LIMIT)?;
    Ok(json!(figures))
}
