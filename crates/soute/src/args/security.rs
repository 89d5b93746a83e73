//! What the container may do: capabilities, devices, system calls, sysctls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use soute_engine::request::{DeviceRequest, Request, SeccompChoice, Security};

use super::numbers;
use super::outside::{Outside, SecurityModule};

/// Privileges, from many to few.
#[derive(Debug, Args)]
#[command(next_help_heading = "Privileges")]
pub struct SecurityArgs {
    /// Add a capability (name with or without CAP_, or ALL)
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    cap_add: Vec<String>,

    /// Take a capability away (name with or without CAP_, or ALL)
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    cap_drop: Vec<String>,

    /// All capabilities and devices, no system call filter, nothing masked
    #[arg(long)]
    privileged: bool,

    /// no-new-privileges, seccomp=unconfined|FILE, systempaths=unconfined, apparmor=PROFILE, label=…
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// Give a device of the machine, with a subset of the permissions rwm
    #[arg(long, value_name = "PATH[:PATH][:rwm]", value_parser = device)]
    device: Vec<DeviceRequest>,

    /// Set a kernel parameter of the container's own namespaces
    #[arg(long, value_name = "NAME=VALUE", value_parser = sysctl)]
    sysctl: Vec<(String, String)>,
}

impl SecurityArgs {
    /// `--privileged`.
    pub fn privileged(&self) -> bool {
        self.privileged
    }

    /// Files the privileges under `request`; reads the seccomp profile that is named.
    pub fn apply(self, request: &mut Request, outside: &dyn Outside) -> Result<()> {
        request.cap_add = self.cap_add;
        request.cap_drop = self.cap_drop;
        request.privileged = self.privileged;
        request.devices = self.device;
        request.sysctls = BTreeMap::from_iter(self.sysctl);
        for option in self.security_opt {
            apply_option(&mut request.security, &option, outside)
                .with_context(|| format!("--security-opt {option}"))?;
        }
        Ok(())
    }
}

fn apply_option(security: &mut Security, option: &str, outside: &dyn Outside) -> Result<()> {
    // Docker took a colon once, and still does where there is no '='.
    let (name, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    let value = || {
        value
            .filter(|value| !value.is_empty())
            .with_context(|| format!("{name} needs a value"))
    };
    match name {
        "no-new-privileges" => {
            security.no_new_privileges = match option == name {
                true => true,
                false => numbers::boolean(value()?).map_err(anyhow::Error::msg)?,
            };
        }
        "seccomp" => {
            security.seccomp = match value()? {
                "unconfined" => SeccompChoice::Unconfined,
                "builtin" => SeccompChoice::Default,
                path => {
                    let text = outside
                        .read(Path::new(path))
                        .context("reading the seccomp profile")?;
                    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text)
                        .with_context(|| format!("the seccomp profile {path}"))?;
                    SeccompChoice::Profile(text)
                }
            };
        }
        "systempaths" => match value()? {
            "unconfined" => security.unconfined_system_paths = true,
            _ => bail!("unconfined is the only value"),
        },
        "apparmor" => {
            let profile = value()?;
            if profile != "unconfined" && !outside.security_module(SecurityModule::AppArmor) {
                bail!("AppArmor is not enabled in this kernel");
            }
            security.apparmor = Some(profile.to_owned());
        }
        "label" => {
            let label = value()?;
            if label != "disable" && !outside.security_module(SecurityModule::SeLinux) {
                bail!("SELinux is not enabled in this kernel");
            }
            security.label.push(label.to_owned());
        }
        _ => bail!("unknown option"),
    }
    Ok(())
}

/// A capability in its canonical form; whether the kernel has it is the plan's to say.
fn capability(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!("'{text}' is not a capability's name"));
    }
    match name {
        "ALL" => Ok("ALL".to_owned()),
        name => Ok(format!("CAP_{name}")),
    }
}

/// `HOST[:CONTAINER][:rwm]`.
fn device(text: &str) -> Result<DeviceRequest, String> {
    let permissions = |text: &str| {
        let each_once = |c| text.matches(c).count() <= 1;
        !text.is_empty() && text.chars().all(|c| "rwm".contains(c) && each_once(c))
    };
    let (host, container, access) = match text.split(':').collect::<Vec<_>>()[..] {
        [host] => (host, host, "rwm"),
        [host, access] if permissions(access) => (host, host, access),
        [host, container] => (host, container, "rwm"),
        [host, container, access] if permissions(access) => (host, container, access),
        [_, _, access] => return Err(format!("'{access}' is not a subset of rwm")),
        _ => return Err("more than three parts".to_owned()),
    };
    for path in [host, container] {
        let climbs = path.split('/').any(|part| part == "..");
        if !path.starts_with('/') || climbs || path.contains('\0') {
            return Err(format!("'{path}' is not an absolute path without '..'"));
        }
    }
    Ok(DeviceRequest {
        host: PathBuf::from(host),
        container: PathBuf::from(container),
        permissions: access.to_owned(),
    })
}

/// `NAME=VALUE`; which names are allowed depends on the namespaces, and is the plan's to say.
fn sysctl(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(format!("'{text}' is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outside::tests::Pretended;
    use super::*;

    #[test]
    fn capabilities_become_canonical() {
        for (text, name) in [
            ("net_admin", "CAP_NET_ADMIN"),
            ("CAP_SYS_PTRACE", "CAP_SYS_PTRACE"),
            ("all", "ALL"),
        ] {
            assert_eq!(capability(text).as_deref(), Ok(name));
        }
        for text in ["", "cap_", "net-admin", "a b"] {
            assert!(capability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices() {
        for (text, host, container, access) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm"),
            ("/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r"),
            ("/dev/a:/dev/b", "/dev/a", "/dev/b", "rwm"),
            ("/dev/a:/dev/b:mr", "/dev/a", "/dev/b", "mr"),
        ] {
            let expected = DeviceRequest {
                host: host.into(),
                container: container.into(),
                permissions: access.to_owned(),
            };
            assert_eq!(device(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "foo",
            "/dev/a:rr",
            "/dev/a:/dev/b:x",
            "/dev/a:/dev/b:",
            "/dev/a:/x/../b",
            "/a:/b:r:w",
            "vendor.com/class=name",
        ] {
            assert!(device(text).is_err(), "{text}");
        }
    }

    fn security(options: &[&str], outside: &Pretended) -> Result<Security> {
        let mut security = Security::default();
        for option in options {
            apply_option(&mut security, option, outside)?;
        }
        Ok(security)
    }

    #[test]
    fn security_options() {
        let outside = Pretended {
            files: [
                ("p.json", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"),
                ("bad.json", "[]"),
            ]
            .into(),
            ..Pretended::default()
        };
        let unconfined = security(
            &[
                "seccomp=unconfined",
                "systempaths=unconfined",
                "apparmor=unconfined",
                "label=disable",
            ],
            &outside,
        );
        let unconfined = unconfined.unwrap();
        assert_eq!(unconfined.seccomp, SeccompChoice::Unconfined);
        assert!(unconfined.unconfined_system_paths);
        assert_eq!(unconfined.apparmor.as_deref(), Some("unconfined"));
        for (option, expected) in [
            ("no-new-privileges", true),
            ("no-new-privileges:true", true),
            ("no-new-privileges=false", false),
        ] {
            assert_eq!(
                security(&[option], &outside).unwrap().no_new_privileges,
                expected
            );
        }
        let profile = security(&["seccomp=p.json"], &outside).unwrap().seccomp;
        assert!(matches!(profile, SeccompChoice::Profile(text) if text.contains("SCMP_ACT_ALLOW")));
        for option in [
            "foo",
            "foo=bar",
            "seccomp",
            "seccomp=",
            "seccomp=missing.json",
            "seccomp=bad.json",
            "systempaths=all",
            "apparmor=mine",
            "label=type:x",
            "no-new-privileges=perhaps",
            "no-new-privileges=",
            "writable-cgroups=true",
        ] {
            assert!(security(&[option], &outside).is_err(), "{option}");
        }
    }

    #[test]
    fn modules_of_the_kernel_make_their_options_possible() {
        let outside = Pretended {
            modules: vec![SecurityModule::AppArmor, SecurityModule::SeLinux],
            ..Pretended::default()
        };
        let security = security(
            &["apparmor=mine", "label=type:x", "label=level:s0"],
            &outside,
        )
        .unwrap();
        assert_eq!(security.apparmor.as_deref(), Some("mine"));
        assert_eq!(security.label, ["type:x", "level:s0"]);
    }

    #[test]
    fn sysctls() {
        assert_eq!(sysctl("net.a=1=2"), Ok(("net.a".into(), "1=2".into())));
        assert!(sysctl("net.a").is_err());
        assert!(sysctl("=1").is_err());
    }
}
