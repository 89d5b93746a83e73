//! `soute network create`.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use soute_engine::{Engine, NewNetwork, NewRange};
use soute_network::Subnet;

use crate::output::print;

/// A bridge of its own.
#[derive(Debug, Args)]
pub struct Create {
    /// bridge: the only one so far
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge")]
    driver: String,

    /// Its addresses; a second time for those of IPv6
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<Subnet>,

    /// The bridge's own address in the subnet that it lies in, instead of the first
    #[arg(long, value_name = "IP")]
    gateway: Vec<IpAddr>,

    /// Where containers' addresses are taken from in the subnet that it lies in
    #[arg(long, value_name = "SUBNET")]
    ip_range: Vec<Subnet>,

    /// With IPv6, by a subnet of unique local addresses unless one is named
    #[arg(long)]
    ipv6: bool,

    /// No way out, and none in
    #[arg(long)]
    internal: bool,

    /// Whatever to find it by
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,

    /// An option by Docker's name, or its last word: mtu=N, name=BRIDGE, enable_ip_masquerade=false
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,

    /// Its name
    #[arg(value_name = "NETWORK")]
    name: String,
}

impl Create {
    pub fn run(self, engine: &Engine) -> Result<ExitCode> {
        if self.driver != "bridge" {
            bail!(
                "--driver {}: not there yet; bridge is, and 'soute run --network none' or 'host' need no network",
                self.driver
            );
        }
        let mut wanted = NewNetwork {
            name: self.name,
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

/// Options as Docker's users write them: `com.docker.network.driver.mtu=1400`, or `mtu=1400`.
fn apply(wanted: &mut NewNetwork, option: &str) -> Result<()> {
    let Some((name, value)) = option.split_once('=') else {
        bail!("--opt {option}: NAME=VALUE is expected");
    };
    let bad = |what: &str| anyhow::anyhow!("--opt {option}: {what} is expected");
    match name {
        "mtu" | "com.docker.network.driver.mtu" => {
            let mtu = value.parse().ok().filter(|mtu| (68..=65535).contains(mtu));
            wanted.mtu = Some(mtu.ok_or_else(|| bad("a number from 68 to 65535"))?);
        }
        "name" | "com.docker.network.bridge.name" => {
            let fits = (1..=15).contains(&value.len())
                && value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
                && value != "."
                && value != "..";
            if !fits {
                return Err(bad("an interface's name, at most 15 letters and digits,"));
            }
            wanted.bridge = Some(value.to_owned());
        }
        "enable_ip_masquerade" | "com.docker.network.bridge.enable_ip_masquerade" => {
            wanted.no_masquerade = !value.parse::<bool>().map_err(|_| bad("true or false"))?;
        }
        _ => bail!(
            "--opt {option}: there is no such option of a bridge: mtu, name, enable_ip_masquerade"
        ),
    }
    Ok(())
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
        ] {
            assert!(
                apply(&mut NewNetwork::default(), option).is_err(),
                "{option}"
            );
        }
    }
}
