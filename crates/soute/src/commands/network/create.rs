//! `soute network create`.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use soute_engine::{Driver, NewNetwork, NewRange, Places};
use soute_network::Subnet;
use soute_network::route::{IpvlanFlag, IpvlanMode, MacvlanMode};

use crate::cli::CommandLine;
use crate::commands::open;
use crate::output::print;

/// A bridge of its own, or an interface of the machine's that containers share.
#[derive(Debug, Args)]
pub struct Create {
    /// bridge; macvlan: containers have Ethernet addresses of their own on --opt parent=INTERFACE; ipvlan: they have its
    /// Ethernet address and IP addresses of their own. What shares an interface passes none of the machine's firewall (but
    /// in ipvlan_mode=l3s), and does not reach the machine itself
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge", value_parser = driver)]
    driver: Driver,

    /// Its addresses; a second time for those of IPv6
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<Subnet>,

    /// The bridge's own address in the subnet that it lies in, instead of the first; of macvlan and ipvlan, the address of
    /// the router outside
    #[arg(long, value_name = "IP")]
    gateway: Vec<IpAddr>,

    /// Where containers' addresses are taken from in the subnet that it lies in
    #[arg(long, value_name = "SUBNET")]
    ip_range: Vec<Subnet>,

    /// Addresses that no container gets
    #[arg(long, value_name = "NAME=IP", hide = true)]
    aux_address: Vec<String>,

    /// With IPv6, by a subnet of unique local addresses unless one is named
    #[arg(long)]
    ipv6: bool,

    /// No way out, and none in; of macvlan and ipvlan, none beyond their link
    #[arg(long)]
    internal: bool,

    /// Whatever to find it by
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,

    /// An option by Docker's name, or its last word. All drivers: mtu=N. bridge: name=BRIDGE, enable_ip_masquerade=false.
    /// macvlan: parent=INTERFACE (eth0.50: VLAN 50 of eth0, made if it is not there),
    /// macvlan_mode=bridge|private|vepa|passthru. ipvlan: parent=INTERFACE, ipvlan_mode=l2|l3|l3s,
    /// ipvlan_flag=bridge|private|vepa
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,

    /// Its name
    #[arg(value_name = "NETWORK")]
    name: String,
}

impl CommandLine for Create {
    const USAGE: &'static str = "[OPTIONS] NETWORK";

    fn run(self, places: &Places) -> Result<ExitCode> {
        let engine = open(places)?;
        if let Some(address) = self.aux_address.first() {
            bail!(
                "--aux-address {address}: not there yet; --ip-range keeps containers to a part of the subnet that has none of \
                 others' addresses"
            );
        }
        let mut wanted = NewNetwork {
            name: self.name,
            driver: self.driver,
            ipv6: self.ipv6,
            internal: self.internal,
            ranges: ranges(&self.subnet, self.gateway, self.ip_range)?,
            labels: self
                .label
                .iter()
                .map(|label| match label.split_once('=') {
                    Some((name, value)) => (name.to_owned(), value.to_owned()),
                    None => (label.clone(), String::new()),
                })
                .collect(),
            ..NewNetwork::default()
        };
        for option in &self.opt {
            apply(&mut wanted, option)?;
        }
        let network = engine.create_network(wanted)?;
        print(&(network.id + "\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Each gateway and each range to the subnet that it lies in.
fn ranges(subnets: &[Subnet], gateways: Vec<IpAddr>, pools: Vec<Subnet>) -> Result<Vec<NewRange>> {
    let mut ranges: Vec<NewRange> = subnets
        .iter()
        .map(|&subnet| NewRange {
            subnet,
            gateway: None,
            pool: None,
        })
        .collect();
    for gateway in gateways {
        match ranges
            .iter_mut()
            .find(|range| range.subnet.contains(gateway))
        {
            Some(range) if range.gateway.is_none() => range.gateway = Some(gateway),
            Some(range) => bail!("--gateway {gateway}: {} has one already", range.subnet),
            None => bail!("--gateway {gateway} lies in no --subnet"),
        }
    }
    for pool in pools {
        match ranges.iter_mut().find(|range| range.subnet.covers(pool)) {
            Some(range) if range.pool.is_none() => range.pool = Some(pool),
            Some(range) => bail!("--ip-range {pool}: {} has one already", range.subnet),
            None => bail!("--ip-range {pool} lies in no --subnet"),
        }
    }
    Ok(ranges)
}

/// As Docker names them, each with the modes that it has unless others are named.
fn driver(text: &str) -> Result<Driver, String> {
    match text {
        "bridge" => Ok(Driver::Bridge),
        "macvlan" => Ok(Driver::Macvlan {
            mode: MacvlanMode::default(),
        }),
        "ipvlan" => Ok(Driver::Ipvlan {
            mode: IpvlanMode::default(),
            flag: IpvlanFlag::default(),
        }),
        "none" | "null" | "host" => Err(format!(
            "'soute run --network {}' needs no network",
            if text == "host" { "host" } else { "none" }
        )),
        _ => Err("bridge, macvlan or ipvlan is expected".to_owned()),
    }
}

/// Options as Docker's users write them: `com.docker.network.driver.mtu=1400`, or `mtu=1400`.
fn apply(wanted: &mut NewNetwork, option: &str) -> Result<()> {
    let Some((name, value)) = option.split_once('=') else {
        bail!("--opt {option}: NAME=VALUE is expected");
    };
    let bad = |what: &str| anyhow::anyhow!("--opt {option}: {what} is expected");
    match (&mut wanted.driver, name) {
        (_, "mtu" | "com.docker.network.driver.mtu") => {
            let mtu = value.parse().ok().filter(|mtu| (68..=65535).contains(mtu));
            wanted.mtu = Some(mtu.ok_or_else(|| bad("a number from 68 to 65535"))?);
        }
        (Driver::Bridge, "name" | "com.docker.network.bridge.name") => {
            wanted.bridge = Some(interface(value).ok_or_else(|| bad(INTERFACE))?);
        }
        (
            Driver::Bridge,
            "enable_ip_masquerade" | "com.docker.network.bridge.enable_ip_masquerade",
        ) => {
            wanted.no_masquerade = !value.parse::<bool>().map_err(|_| bad("true or false"))?;
        }
        (Driver::Macvlan { .. } | Driver::Ipvlan { .. }, "parent") => {
            wanted.parent = Some(interface(value).ok_or_else(|| bad(INTERFACE))?);
        }
        (Driver::Macvlan { mode }, "macvlan_mode") => {
            *mode = named(MacvlanMode::ALL, MacvlanMode::name, value).map_err(|e| bad(&e))?;
        }
        (Driver::Ipvlan { mode, .. }, "ipvlan_mode") => {
            *mode = named(IpvlanMode::ALL, IpvlanMode::name, value).map_err(|e| bad(&e))?;
        }
        (Driver::Ipvlan { flag, .. }, "ipvlan_flag") => {
            *flag = named(IpvlanFlag::ALL, IpvlanFlag::name, value).map_err(|e| bad(&e))?;
        }
        (driver, _) => bail!(
            "--opt {option}: there is no such option of the driver {}: {}",
            driver.name(),
            match driver {
                Driver::Bridge => "mtu, name, enable_ip_masquerade",
                Driver::Macvlan { .. } => "parent, macvlan_mode, mtu",
                Driver::Ipvlan { .. } => "parent, ipvlan_mode, ipvlan_flag, mtu",
            }
        ),
    }
    Ok(())
}

const INTERFACE: &str = "an interface's name, at most 15 letters and digits,";

/// An interface's name, of those that need no quoting.
fn interface(text: &str) -> Option<String> {
    let fits = (1..=15).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && text != "."
        && text != "..";
    fits.then(|| text.to_owned())
}

/// The one of this name; else what the names are.
fn named<T: Copy, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
    text: &str,
) -> Result<T, String> {
    let found = all.into_iter().find(|one| name(*one) == text);
    found.ok_or_else(|| all.map(name).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(texts: &[&str]) -> Vec<Subnet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn gateways_and_ranges_find_their_subnets() {
        let both = subnets(&["10.1.0.0/24", "fd00::/64"]);
        let gateways = vec!["fd00::1".parse().unwrap(), "10.1.0.9".parse().unwrap()];
        let found = ranges(&both, gateways.clone(), subnets(&["10.1.0.128/25"])).unwrap();
        assert_eq!(found[0].gateway, Some(gateways[1]));
        assert_eq!(found[1].gateway, Some(gateways[0]));
        assert_eq!(found[0].pool, Some("10.1.0.128/25".parse().unwrap()));
        assert!(ranges(&both, vec!["10.2.0.1".parse().unwrap()], Vec::new()).is_err());
        assert!(ranges(&both, vec![gateways[0]; 2], Vec::new()).is_err());
        assert!(ranges(&both, Vec::new(), subnets(&["10.0.0.0/8"])).is_err());
    }

    #[test]
    fn options_go_by_both_names() {
        for option in ["mtu=1400", "com.docker.network.driver.mtu=1400"] {
            let mut wanted = NewNetwork::default();
            apply(&mut wanted, option).unwrap();
            assert_eq!(wanted.mtu, Some(1400));
        }
        for option in [
            "mtu",
            "mtu=0",
            "mtu=x",
            "name=",
            "name=a/b",
            "name=0123456789abcdef",
            "x=1",
            "enable_ip_masquerade=1",
            "parent=eth0",
            "macvlan_mode=bridge",
        ] {
            assert!(
                apply(&mut NewNetwork::default(), option).is_err(),
                "{option}"
            );
        }
    }

    #[test]
    fn options_are_their_drivers_own() {
        let with = |name: &str, options: &[&str]| -> Result<NewNetwork> {
            let mut wanted = NewNetwork {
                driver: driver(name).unwrap(),
                ..NewNetwork::default()
            };
            let mut options = options.iter();
            options.try_for_each(|option| apply(&mut wanted, option))?;
            Ok(wanted)
        };
        let macvlan = with("macvlan", &["macvlan_mode=vepa", "parent=eth0.50"]).unwrap();
        assert_eq!(macvlan.parent.as_deref(), Some("eth0.50"));
        let mode = MacvlanMode::Vepa;
        assert_eq!(macvlan.driver, Driver::Macvlan { mode });
        let ipvlan = with("ipvlan", &["ipvlan_mode=l3s", "ipvlan_flag=private"]).unwrap();
        let (mode, flag) = (IpvlanMode::L3s, IpvlanFlag::Private);
        assert_eq!(ipvlan.driver, Driver::Ipvlan { mode, flag });
        for (driver, option, why) in [
            (
                "macvlan",
                "macvlan_mode=l2",
                "bridge, private, vepa, passthru",
            ),
            ("macvlan", "ipvlan_mode=l2", "parent, macvlan_mode, mtu"),
            ("macvlan", "parent=a/b", "an interface's name"),
            (
                "macvlan",
                "name=br0",
                "no such option of the driver macvlan",
            ),
            ("ipvlan", "ipvlan_mode=l4", "l2, l3, l3s"),
            ("ipvlan", "ipvlan_flag=", "bridge, private, vepa"),
        ] {
            let told = with(driver, &[option]).unwrap_err().to_string();
            assert!(told.contains(why), "{driver} {option}: {told}");
        }
        for text in ["overlay", "host", ""] {
            assert!(driver(text).is_err(), "{text}");
        }
    }
}
