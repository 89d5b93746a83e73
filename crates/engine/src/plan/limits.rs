//! Resource limits (setrlimit(2)) and the OOM score.

use rustix::process::Resource;
use soute_runtime::capabilities::{Cap, CapSet};

use crate::error::Error;
use crate::request::Request;

const NAMES: &[(&str, Resource)] = &[
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// `--ulimit` as the kernel names them.
pub(crate) fn rlimits(request: &Request) -> Result<Vec<(Resource, u64, u64)>, Error> {
    request
        .ulimits
        .iter()
        .map(|limit| {
            let (_, resource) = NAMES
                .iter()
                .find(|(name, _)| *name == limit.name)
                .ok_or_else(|| {
                    Error::Impossible(format!(
                        "--ulimit {}: no such limit; there are {}",
                        limit.name,
                        NAMES
                            .iter()
                            .map(|(name, _)| *name)
                            .collect::<Vec<_>>()
                            .join(", ")
                    ))
                })?;
            if limit.soft > limit.hard {
                return Err(Error::Impossible(format!(
                    "--ulimit {}: the soft limit {} is above the hard limit {}",
                    limit.name, limit.soft, limit.hard
                )));
            }
            Ok((*resource, limit.soft, limit.hard))
        })
        .collect()
}

/// Refuses what this process cannot grant, before anything is made.
pub(crate) fn check_limits(request: &Request) -> Result<(), Error> {
    let may_raise = CapSet::own_effective().contains(Cap::SYS_RESOURCE);
    for (limit, (resource, _, hard)) in request.ulimits.iter().zip(rlimits(request)?) {
        let have = rustix::process::getrlimit(resource).maximum;
        if !may_raise && have.is_some_and(|have| hard > have) {
            return Err(Error::Impossible(format!(
                "--ulimit {}: the hard limit here is {}, and raising it needs CAP_SYS_RESOURCE, which \
                 soute was not given",
                limit.name,
                have.unwrap_or(0)
            )));
        }
    }
    if let Some(score) = request.oom_score_adj {
        if !(-1000..=1000).contains(&score) {
            return Err(Error::Impossible(format!(
                "--oom-score-adj {score}: from -1000 to 1000"
            )));
        }
        let own: i32 = std::fs::read_to_string("/proc/self/oom_score_adj")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        if score < own && !may_raise {
            return Err(Error::Impossible(format!(
                "--oom-score-adj {score}: soute's own is {own}, and lowering it needs CAP_SYS_RESOURCE, which soute \
                 was not given"
            )));
        }
    }
    Ok(())
}
