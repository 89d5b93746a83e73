//! Flags that exclude each other.

use anyhow::{Result, bail};
use soute_engine::request::{HostAddress, Network, Request, Share, Source, UserNamespace};

/// Refuses what cannot be had together, before anything is made.
pub fn check(request: &Request) -> Result<()> {
    if matches!(request.source, Source::Directory(_))
        && request.command.is_empty()
        && request.entrypoint.as_ref().is_none_or(Vec::is_empty)
    {
        bail!("--rootfs brings no command of its own: one is needed");
    }
    if request.hostname.is_some() && request.uts == Share::Host {
        bail!("--hostname cannot be given with --uts host: the name is the machine's");
    }
    if request.domain_name.is_some() && request.uts == Share::Host {
        bail!("--domainname cannot be given with --uts host: the name is the machine's");
    }
    check_network(request)?;
    check_user_namespace(request)?;
    // The flag would change nothing: /dev/shm is that of the shared namespace.
    if request.shm_size.is_some() && request.ipc != Share::Private {
        bail!("--shm-size cannot be given with --ipc host or container:, whose /dev/shm is shared");
    }
    if request.shm_size.is_some() && request.no_shm {
        bail!("--shm-size cannot be given with --ipc none, which has no /dev/shm");
    }
    Ok(())
}

/// A joined network namespace brings its files: hosts, resolv.conf and the host name.
fn check_network(request: &Request) -> Result<()> {
    check_host_gateway(request)?;
    let Network::Container(name) = &request.network else {
        return Ok(());
    };
    for (flag, given) in [
        ("--hostname", request.hostname.is_some()),
        ("--add-host", !request.extra_hosts.is_empty()),
        ("--dns", !request.dns.is_empty()),
        ("--dns-search", !request.dns_search.is_empty()),
        ("--dns-option", !request.dns_options.is_empty()),
    ] {
        if given {
            bail!("{flag} cannot be given with --network container:{name}: it is set there");
        }
    }
    Ok(())
}

/// The machine has an address for its containers on bridges alone.
fn check_host_gateway(request: &Request) -> Result<()> {
    let mut hosts = request.extra_hosts.iter();
    let Some((name, gateway)) = hosts.find(|(_, address)| *address == HostAddress::HostGateway)
    else {
        return Ok(());
    };
    let why = match &request.network {
        // In a joined one hosts are none of this container's: that is told.
        Network::Networks(_) | Network::Container(_) => return Ok(()),
        Network::Host => "where the machine is localhost",
        Network::None => "by which no machine is reached",
        Network::Namespace(_) => "whose way to the machine is its maker's affair: name the address",
    };
    bail!(
        "--add-host {name}:{gateway} cannot be given with --network {}, {why}",
        request.network
    );
}

fn check_user_namespace(request: &Request) -> Result<()> {
    let own = matches!(
        request.userns,
        Some(UserNamespace::Auto | UserNamespace::Remap { .. })
    );
    if own && request.privileged {
        bail!(
            "--privileged cannot be given with a user namespace of the container's own: --userns host is needed"
        );
    }
    // The kernel gives no rights over a namespace but from the user namespace that owns it.
    let joins = matches!(request.pid, Share::Container(_))
        || matches!(request.ipc, Share::Container(_))
        || matches!(request.network, Network::Container(_));
    if joins && request.userns.is_some() {
        bail!(
            "--userns cannot be given with container:, as that container's user namespace is joined too"
        );
    }
    Ok(())
}
