//! The names of capabilities (capabilities(7)).

use std::fmt;

use serde::{Serialize, Serializer};

/// A set of capabilities, bit n being capability n of linux/capability.h.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

/// By number, without `CAP_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl CapabilitySet {
    /// All that this program knows.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// The names, by number; one that is newer than this program is `cap_N`.
    pub fn names(self) -> Vec<String> {
        (0..64)
            .filter(|n| self.0 >> n & 1 == 1)
            .map(|n| {
                NAMES
                    .get(n)
                    .map_or_else(|| format!("cap_{n}"), |name| (*name).to_owned())
            })
            .collect()
    }
}

impl fmt::Display for CapabilitySet {
    /// `none`, the names, or where few are missing `all 41 but …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL;
        let (missing, unknown) = (Self(known.0 & !self.0), Self(self.0 & !known.0));
        let all = NAMES.len();
        match (missing.0.count_ones(), unknown.0) {
            _ if self.0 == 0 => f.write_str("none"),
            (0, 0) => write!(f, "all {all}"),
            (1..=8, 0) => write!(f, "all {all} but {}", missing.names().join(" ")),
            _ => f.write_str(&self.names().join(" ")),
        }
    }
}

impl Serialize for CapabilitySet {
    /// In the form `CAP_CHOWN`, as the OCI runtime specification has them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names().into_iter().map(
            |name| match name.strip_prefix("cap_") {
                Some(number) => format!("CAP_{number}"),
                None => format!("CAP_{}", name.to_uppercase()),
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_header() {
        let set = CapabilitySet(0xa804_25fb);
        assert_eq!(
            set.to_string(),
            "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod \
             audit_write setfcap"
        );
        assert_eq!(CapabilitySet(0).to_string(), "none");
        assert_eq!(CapabilitySet((1 << 41) - 1).to_string(), "all 41");
        assert_eq!(
            CapabilitySet(0x1ff_feff_ffff).to_string(),
            "all 41 but sys_resource"
        );
        assert_eq!(CapabilitySet(1 << 63 | 1).to_string(), "chown cap_63");
    }

    #[test]
    fn json_has_the_specifications_form() {
        let json = serde_json::to_string(&CapabilitySet(1 << 21 | 1 << 63)).unwrap();
        assert_eq!(json, r#"["CAP_SYS_ADMIN","CAP_63"]"#);
    }
}
