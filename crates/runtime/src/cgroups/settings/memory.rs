//! Memory and swap.

use super::Plan;
use crate::cgroups::{CgroupError, ResourceError, Resources};

/// Boot parameters decide on swap accounting; the most common reason for its files to be missing.
const NO_SWAP: &str = " (swap accounting is off: kernel parameter swapaccount, CONFIG_SWAP)";

impl Plan<'_> {
    pub(super) fn memory(&mut self, r: &Resources) -> Result<(), CgroupError> {
        // 0 is "unset", as in Docker and runc, here and below.
        if let Some(bytes) = r.memory.filter(|&m| m != 0) {
            let limit = "--memory";
            let at = self.carrier(limit, "memory", "memory")?;
            let (file, text) = if at.0.v2 {
                ("memory.max", bytes_or_max(bytes))
            } else {
                ("memory.limit_in_bytes", bytes.to_string())
            };
            self.push(limit, at, file, text);
        }
        self.swap(r)?;
        if let Some(bytes) = r.memory_reservation.filter(|&m| m != 0) {
            let limit = "--memory-reservation";
            let at = self.carrier(limit, "memory", "memory")?;
            let (file, text) = if at.0.v2 {
                ("memory.low", bytes_or_max(bytes))
            } else {
                ("memory.soft_limit_in_bytes", bytes.to_string())
            };
            self.push(limit, at, file, text);
        }
        if let Some(percent) = r.memory_swappiness {
            self.only_v1(
                "--memory-swappiness",
                "memory",
                "memory.swappiness",
                percent.to_string(),
            )?;
        }
        if r.oom_kill_disable {
            self.only_v1(
                "--oom-kill-disable",
                "memory",
                "memory.oom_control",
                "1".to_owned(),
            )?;
        }
        match r.memory_hierarchy {
            None => Ok(()),
            Some(together) => {
                let limit = "memory.useHierarchy";
                let at = self.carrier(limit, "memory", "memory")?;
                if !at.0.v2 {
                    let text = u8::from(together).to_string();
                    self.push(limit, at, "memory.use_hierarchy", text);
                    Ok(())
                } else if together {
                    Ok(())
                } else {
                    Err(CgroupError::OnlyV1 {
                        limit: "memory.useHierarchy false",
                        controller: "memory".to_owned(),
                    })
                }
            }
        }
    }

    fn swap(&mut self, r: &Resources) -> Result<(), CgroupError> {
        let memory = r.memory.filter(|&m| m != 0);
        let (total, follows) = match r.memory_swap.filter(|&s| s != 0) {
            Some(total) => (total, r.memory_swap_where_accounted),
            // No limit on memory is meant as none at all.
            None if memory.is_some_and(|m| m < 0) => (-1, true),
            None => return Ok(()),
        };
        let limit = "--memory-swap";
        let at = self.carrier(limit, "memory", "memory")?;
        let (file, text) = if at.0.v2 {
            ("memory.swap.max", swap_max(total, memory)?)
        } else {
            ("memory.memsw.limit_in_bytes", total.to_string())
        };
        // v2 without that file has no swap to begin with, and so none is used.
        let none_at_all = at.0.v2 && text == "0";
        let setting = self.push(limit, at, file, text);
        setting.moot_if_absent = total < 0 || follows || none_at_all;
        setting.why_absent = NO_SWAP;
        Ok(())
    }
}

/// v2's word for "no limit".
fn bytes_or_max(bytes: i64) -> String {
    u64::try_from(bytes).map_or_else(|_| "max".to_owned(), |bytes| bytes.to_string())
}

/// v2's swap alone from v1's memory and swap together.
pub(in crate::cgroups) fn swap_max(
    total: i64,
    memory: Option<i64>,
) -> Result<String, ResourceError> {
    let Ok(total) = u64::try_from(total) else {
        return Ok("max".to_owned());
    };
    let memory = memory.ok_or(ResourceError::SwapWithoutMemory)?;
    // Beside memory without a limit a sum makes no sense: it is taken for swap alone, as runc does.
    let Ok(memory) = u64::try_from(memory) else {
        return Ok(total.to_string());
    };
    match total.checked_sub(memory) {
        Some(swap) => Ok(swap.to_string()),
        None => Err(ResourceError::SwapBelowMemory { total, memory }),
    }
}
