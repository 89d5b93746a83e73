//! A container as Docker describes it, and what Docker does not say: what exactly it may do.

use anyhow::Result;
use serde_json::{Value, json};
use soute_engine::request::{MountKind, Request, SeccompChoice, Share, Source, UserNamespace};
use soute_engine::{Container, Noted, Record, Status, Wire, signals};
use soute_image::Image;
use soute_runtime::capabilities::CapSet;
use soute_runtime::cgroups::Throttle;
use soute_runtime::idmap::IdRange;
use soute_runtime::seccomp::profile::Profile;
use soute_runtime::seccomp::{KernelVersion, Summary};

/// What Docker prints for a time that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Docker's fields, and `Isolation`. `image` is what the container was made of, if it is still here.
pub fn describe(container: &Container, joined: &Noted, image: Option<&Image>) -> Result<Value> {
    let record = &container.record;
    let request = &record.request;
    let (path, args) = match &record.args[..] {
        [path, args @ ..] => (path.as_str(), args),
        [] => ("", &[][..]),
    };
    Ok(json!({
        "Id": record.id,
        "Name": format!("/{}", record.name),
        "Created": record.created,
        "Path": path,
        "Args": args,
        "State": state(&container.status),
        "Image": record.image,
        "Platform": "linux",
        "Driver": "overlay",
        // Of what is not built yet, what Docker has where it is not used: templates ask for it.
        "RestartCount": 0,
        "NetworkSettings": networks(joined),
        "Config": config(record, image),
        "HostConfig": host_config(record),
        "Mounts": mounts(record),
        "GraphDriver": {"Name": "overlay", "Data": {"LowerDirs": record.layers}},
        "Isolation": isolation(container)?,
        "Rootfs": match &request.source {
            Source::Directory(path) => Some(path),
            Source::Image(_) => None,
        },
    }))
}

/// How it is joined to its networks; what is said of all is Docker's way to say it of the first.
fn networks(joined: &Noted) -> Value {
    let wires = &joined.wires;
    let one = |wire: &Wire| {
        let address = |ipv4| wire.addresses.iter().find(|(one, _)| one.is_ipv4() == ipv4);
        // That the link itself leads everywhere is no router's address.
        let mut routers = wire.gateways.clone();
        routers.retain(|one| !one.is_unspecified());
        let gateway = |ipv4| routers.iter().find(|one| one.is_ipv4() == ipv4);
        let text =
            |value: Option<&std::net::IpAddr>| value.map(ToString::to_string).unwrap_or_default();
        json!({
            "IPAddress": text(address(true).map(|(one, _)| one)),
            "IPPrefixLen": address(true).map_or(0, |(_, prefix)| *prefix),
            "Gateway": text(gateway(true)),
            "GlobalIPv6Address": text(address(false).map(|(one, _)| one)),
            "GlobalIPv6PrefixLen": address(false).map_or(0, |(_, prefix)| *prefix),
            "IPv6Gateway": text(gateway(false)),
            "MacAddress": wire.mac,
        })
    };
    let all: serde_json::Map<String, Value> = wires
        .iter()
        .map(|wire| {
            let mut known = one(wire);
            known["Interface"] = json!(wire.interface);
            if wire.is_bridged() {
                known["Peer"] = json!(wire.peer);
            }
            (wire.network.clone(), known)
        })
        .collect();
    let mut settings = match wires.first() {
        Some(first) => one(first),
        // Where it is in none, what Docker has: templates ask for it.
        None => json!({"IPAddress": "", "Gateway": "", "MacAddress": ""}),
    };
    settings["Networks"] = Value::Object(all);
    let mut ports = serde_json::Map::new();
    for published in &joined.published {
        let bound = json!({
            "HostIp": published.address.map_or_else(String::new, |address| address.to_string()),
            "HostPort": published.port.to_string(),
        });
        let port = format!("{}/{}", published.to.port(), published.protocol);
        match ports.entry(port).or_insert_with(|| json!([])) {
            // Of all addresses: that of both families is one.
            Value::Array(all) if !all.contains(&bound) => all.push(bound),
            _ => {}
        }
    }
    settings["Ports"] = Value::Object(ports);
    settings["PublishOpen"] = json!(joined.publish_open);
    settings
}

fn state(status: &Status) -> Value {
    let mut state = json!({
        "Status": status.word(),
        "Running": matches!(status, Status::Running(_)),
        "Paused": false,
        "Restarting": false,
        "Dead": false,
        "OOMKilled": false,
        "Pid": 0,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": NEVER,
        "FinishedAt": NEVER,
    });
    match status {
        Status::Created | Status::Dead => {}
        Status::Running(running) => {
            state["Pid"] = running.pid.into();
            state["StartedAt"] = json!(running.started);
        }
        Status::Exited(last) => {
            state["ExitCode"] = last.exit_code.into();
            state["OOMKilled"] = last.oom_killed.into();
            state["Error"] = last.error.clone().unwrap_or_default().into();
            state["StartedAt"] = json!(last.started);
            if let Some(finished) = last.finished {
                state["FinishedAt"] = json!(finished);
            }
        }
    }
    state
}

fn config(record: &Record, image: Option<&Image>) -> Value {
    let request = &record.request;
    let images = image.map(|image| &image.config.entrypoint);
    let entrypoint = request.entrypoint.as_ref().or(images);
    // All that is executed was settled when the container was made; the command is what follows the entrypoint.
    let entrypoint = entrypoint.filter(|words| !words.is_empty() && record.args.starts_with(words));
    let command = &record.args[entrypoint.map_or(0, Vec::len)..];
    json!({
        "Hostname": record.hostname,
        "Domainname": request.domain_name.as_deref().unwrap_or_default(),
        "User": record.user,
        "Tty": request.terminal,
        "OpenStdin": request.interactive,
        "Env": record.env,
        "Cmd": Some(command).filter(|words| !words.is_empty()),
        "Entrypoint": entrypoint,
        "Image": match &request.source {
            Source::Image(name) => name.as_str(),
            Source::Directory(_) => "",
        },
        "WorkingDir": record.working_directory,
        "Labels": record.labels,
        "StopSignal": signals::name(record.stop_signal),
        "StopTimeout": request.stop_timeout,
    })
}

fn host_config(record: &Record) -> Value {
    let request = &record.request;
    let resources = &request.resources;
    let ulimits = request.ulimits.iter();
    let devices = request.devices.iter();
    let mut described = json!({
        "Binds": binds(request),
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "PortBindings": {},
        "LogConfig": {"Type": "json-file", "Config": {}},
    });
    let asked = json!({
        "AutoRemove": request.remove,
        "NetworkMode": request.network.to_string(),
        "PublishOpen": request.publish_open,
        "PidMode": share(&request.pid),
        "IpcMode": share(&request.ipc),
        "UTSMode": share(&request.uts),
        "CgroupnsMode": share(&request.cgroupns),
        "UsernsMode": request.userns.as_ref().map(user_namespace),
        "Privileged": request.privileged,
        "ReadonlyRootfs": request.read_only,
        "CapAdd": request.cap_add,
        "CapDrop": request.cap_drop,
        "SecurityOpt": security_options(request),
        "GroupAdd": request.additional_groups,
        "Init": request.init,
        "Dns": request.dns,
        "DnsSearch": request.dns_search,
        "DnsOptions": request.dns_options,
        "ExtraHosts": request.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect::<Vec<_>>(),
        "ShmSize": request.shm_size,
        "Sysctls": request.sysctls,
        "Ulimits": ulimits.map(|limit| json!({
            "Name": limit.name, "Soft": signed(limit.soft), "Hard": signed(limit.hard),
        })).collect::<Vec<_>>(),
        "Devices": devices.map(|device| json!({
            "PathOnHost": device.host, "PathInContainer": device.container, "CgroupPermissions": device.permissions,
        })).collect::<Vec<_>>(),
        "OomScoreAdj": request.oom_score_adj.unwrap_or(0),
        "CgroupParent": request.cgroup_parent.as_deref().unwrap_or_default(),
        "Memory": resources.memory.unwrap_or(0),
        "MemorySwap": resources.memory_swap.unwrap_or(0),
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwappiness": resources.memory_swappiness,
        "OomKillDisable": resources.oom_kill_disable,
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpusetCpus": resources.cpuset_cpus.as_deref().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.as_deref().unwrap_or_default(),
        "PidsLimit": resources.pids_limit,
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioDeviceReadBps": throttles(&resources.device_read_bps),
        "BlkioDeviceWriteBps": throttles(&resources.device_write_bps),
        "BlkioDeviceReadIOps": throttles(&resources.device_read_iops),
        "BlkioDeviceWriteIOps": throttles(&resources.device_write_iops),
    });
    if let (Value::Object(described), Value::Object(asked)) = (&mut described, asked) {
        described.extend(asked);
    }
    described
}

/// As `-v` takes them; null where there are none.
fn binds(request: &Request) -> Option<Vec<String>> {
    let binds = request.mounts.iter().filter_map(|mount| {
        let MountKind::Bind { path, .. } = &mount.source else {
            return None;
        };
        let mode = if mount.read_only { ":ro" } else { "" };
        Some(format!("{}:{}{mode}", path.display(), mount.target))
    });
    Some(binds.collect()).filter(|binds: &Vec<_>| !binds.is_empty())
}

/// -1 for no limit.
fn signed(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}

fn throttles(throttles: &[Throttle]) -> Value {
    let describe = |throttle: &Throttle| json!({"Major": throttle.major, "Minor": throttle.minor, "Rate": throttle.rate});
    throttles.iter().map(describe).collect()
}

fn share(share: &Share) -> String {
    match share {
        Share::Private => "private".to_owned(),
        Share::Host => "host".to_owned(),
        Share::Container(name) => format!("container:{name}"),
    }
}

fn user_namespace(userns: &UserNamespace) -> String {
    match userns {
        UserNamespace::Auto => "auto".to_owned(),
        UserNamespace::Host => "host".to_owned(),
        UserNamespace::Remap { user, group } => {
            let group = group.iter().map(|group| format!(":{group}"));
            format!("remap:{user}{}", group.collect::<String>())
        }
    }
}

fn security_options(request: &Request) -> Vec<String> {
    let security = &request.security;
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &security.seccomp {
        SeccompChoice::Default => {}
        SeccompChoice::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompChoice::Profile(text) => options.push(format!("seccomp={text}")),
    }
    if security.unconfined_system_paths {
        options.push("systempaths=unconfined".to_owned());
    }
    options.extend(
        security
            .apparmor
            .iter()
            .map(|profile| format!("apparmor={profile}")),
    );
    options.extend(security.label.iter().map(|label| format!("label={label}")));
    options
}

fn mounts(record: &Record) -> Vec<Value> {
    let volume = |target: &str| {
        let found = record.volumes.iter().find(|(at, _)| at == target);
        found.map(|(_, name)| name.as_str())
    };
    let asked = record.request.mounts.iter().map(|mount| {
        let mut value = json!({"Destination": mount.target, "RW": !mount.read_only});
        match &mount.source {
            MountKind::Bind {
                path,
                recursive,
                propagation,
                idmap,
                ..
            } => {
                value["Type"] = "bind".into();
                value["Source"] = json!(path);
                value["Propagation"] = propagation.as_deref().unwrap_or("rprivate").into();
                value["NonRecursive"] = (!recursive).into();
                value["Idmap"] = (*idmap).into();
            }
            MountKind::Volume { .. } => {
                value["Type"] = "volume".into();
                value["Name"] = volume(&mount.target).into();
            }
            MountKind::Tmpfs { size, mode, .. } => {
                value["Type"] = "tmpfs".into();
                value["Size"] = (*size).into();
                value["Mode"] = mode.map(|mode| format!("{mode:o}")).into();
            }
        }
        value
    });
    // The image's own, which nobody asked for.
    let asked_for = |target: &str| {
        record
            .request
            .mounts
            .iter()
            .any(|mount| mount.target == target)
    };
    let images = record
        .volumes
        .iter()
        .filter(|(target, _)| !asked_for(target));
    let images = images.map(
        |(target, name)| json!({"Type": "volume", "Name": name, "Destination": target, "RW": true}),
    );
    asked.chain(images).collect()
}

/// What the container is made of and may do, in full: no default is left unsaid.
fn isolation(container: &Container) -> Result<Value> {
    let record = &container.record;
    let request = &record.request;
    let set = soute_engine::capabilities(record)?;
    let map = |ranges: &[IdRange]| -> Value {
        let describe = |range: &IdRange| json!({"Container": range.container, "Host": range.host, "Size": range.size});
        ranges.iter().map(describe).collect()
    };
    Ok(json!({
        "Cgroup": record.cgroup,
        "Monitor": match &container.status {
            Status::Running(running) => Some(running.monitor),
            _ => None,
        },
        "UserNamespace": record.id_maps.as_ref().map(|maps| json!({
            "UidMap": map(&maps.uids), "GidMap": map(&maps.gids),
        })),
        "Capabilities": set.iter().map(|cap| cap.name()).collect::<Vec<_>>(),
        "Seccomp": seccomp(request, set)?,
        "NoNewPrivileges": request.security.no_new_privileges,
        "SystemPathsProtected": !request.privileged && !request.security.unconfined_system_paths,
    }))
}

/// What happens to each system call; `None`: there is no filter.
fn seccomp(request: &Request, set: CapSet) -> Result<Option<Summary>> {
    let kernel = KernelVersion::current()?;
    Ok(match &request.security.seccomp {
        SeccompChoice::Default if request.privileged => None,
        SeccompChoice::Default => Some(Summary::docker_default(set, kernel)?),
        SeccompChoice::Unconfined => None,
        SeccompChoice::Profile(text) => {
            let profile: Profile = serde_json::from_str(text)?;
            Some(Summary::of(&profile, set, kernel)?)
        }
    })
}
