//! `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--userns`.

use clap::Args;
use soute_engine::request::{Request, Share, UserNamespace};

/// Which namespaces are the container's own.
#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
pub struct NamespaceArgs {
    /// Processes: private, host or container:NAME
    #[arg(long, value_name = "MODE", value_parser = shared_or_joined)]
    pid: Option<Share>,

    /// System V IPC, message queues and /dev/shm: private (or shareable, which it always is), none (without /dev/shm),
    /// host or container:NAME
    #[arg(long, value_name = "MODE", value_parser = ipc)]
    ipc: Option<Ipc>,

    /// Host and domain name: private or host
    #[arg(long, value_name = "MODE", value_parser = shared)]
    uts: Option<Share>,

    /// View of the cgroups: private or host
    #[arg(long, value_name = "MODE", value_parser = shared)]
    cgroupns: Option<Share>,

    /// Users: auto (ids of its own), host, or remap:USER[:GROUP] (from /etc/subuid and /etc/subgid)
    #[arg(long, value_name = "MODE", value_parser = |text: &str| text.parse::<UserNamespace>())]
    userns: Option<UserNamespace>,
}

impl NamespaceArgs {
    /// `--userns`.
    pub fn userns(&self) -> Option<&UserNamespace> {
        self.userns.as_ref()
    }

    /// The containers of which a namespace is shared.
    pub fn joined(&self) -> impl Iterator<Item = &str> {
        let ipc = self.ipc.as_ref().map(|ipc| &ipc.share);
        let shares = [self.pid.as_ref(), ipc, self.uts.as_ref()];
        shares.into_iter().filter_map(|share| match share {
            Some(Share::Container(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Files the namespaces under `request`.
    pub fn apply(self, request: &mut Request) {
        request.pid = self.pid.unwrap_or_default();
        let ipc = self.ipc.unwrap_or_default();
        request.ipc = ipc.share;
        request.no_shm = ipc.no_shm;
        request.uts = self.uts.unwrap_or_default();
        request.cgroupns = self.cgroupns.unwrap_or_default();
        request.userns = self.userns;
    }
}

/// `--ipc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ipc {
    share: Share,
    no_shm: bool,
}

fn ipc(text: &str) -> Result<Ipc, String> {
    let share = match text {
        "none" | "shareable" => Ok(Share::Private),
        text => shared_or_joined(text),
    };
    Ok(Ipc {
        share: share.map_err(|why| why.replacen("private,", "private, shareable, none,", 1))?,
        no_shm: text == "none",
    })
}

fn shared(text: &str) -> Result<Share, String> {
    match text {
        "private" => Ok(Share::Private),
        "host" => Ok(Share::Host),
        _ => Err("private or host is expected".to_owned()),
    }
}

fn shared_or_joined(text: &str) -> Result<Share, String> {
    match text {
        "private" => Ok(Share::Private),
        "host" => Ok(Share::Host),
        text => match container(text)? {
            Some(name) => Ok(Share::Container(name)),
            None => Err("private, host or container:NAME is expected".to_owned()),
        },
    }
}

/// The NAME of `container:NAME`; `None`: something else.
pub fn container(text: &str) -> Result<Option<String>, String> {
    match text.strip_prefix("container:") {
        Some("") => Err("container: needs a container's name or id".to_owned()),
        Some(name) => Ok(Some(name.to_owned())),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!(shared("host"), Ok(Share::Host));
        assert_eq!(shared("private"), Ok(Share::Private));
        assert_eq!(shared_or_joined("host"), Ok(Share::Host));
        assert_eq!(
            shared_or_joined("container:web"),
            Ok(Share::Container("web".into()))
        );
        for text in ["", "foo", "container:web", "HOST"] {
            assert!(shared(text).is_err(), "{text}");
        }
        for text in ["", "foo", "container:", "shareable", "none"] {
            assert!(shared_or_joined(text).is_err(), "{text}");
        }
        for (text, share, no_shm) in [
            ("private", Share::Private, false),
            ("shareable", Share::Private, false),
            ("none", Share::Private, true),
            ("host", Share::Host, false),
            ("container:web", Share::Container("web".into()), false),
        ] {
            assert_eq!(ipc(text), Ok(Ipc { share, no_shm }), "{text}");
        }
        assert!(ipc("foo").unwrap_err().contains("shareable"));
    }
}
