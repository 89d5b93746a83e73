//! Block devices: shares and throttles.

use super::Plan;
use crate::cgroups::{CgroupError, DeviceWeight, Resources, Throttle};

const NO_WEIGHT: &str = " (weights need the BFQ scheduler or, in v2, the iocost controller)";
const NO_LEAF_WEIGHT: &str = " (it went with the CFQ scheduler, in Linux 5.0)";

impl Plan<'_> {
    pub(super) fn block_io(&mut self, r: &Resources) -> Result<(), CgroupError> {
        if let Some(weight) = r.blkio_weight.filter(|&w| w != 0) {
            self.weight(
                "--blkio-weight",
                "",
                weight,
                ["blkio.weight", "blkio.bfq.weight"],
            )?;
        }
        if let Some(weight) = r.blkio_leaf_weight.filter(|&w| w != 0) {
            self.leaf_weight(
                "blockIO.leafWeight",
                "blkio.leaf_weight",
                weight.to_string(),
            )?;
        }
        for device in &r.blkio_weight_device {
            let DeviceWeight {
                major,
                minor,
                weight,
                leaf_weight,
            } = device;
            let number = format!("{major}:{minor} ");
            if let Some(weight) = weight.filter(|&w| w != 0) {
                let files = ["blkio.weight_device", "blkio.bfq.weight_device"];
                self.weight("blockIO.weightDevice", &number, weight, files)?;
            }
            if let Some(weight) = leaf_weight.filter(|&w| w != 0) {
                self.leaf_weight(
                    "blockIO.weightDevice",
                    "blkio.leaf_weight_device",
                    format!("{number}{weight}"),
                )?;
            }
        }
        self.throttles(r)
    }

    /// `device` is empty, or the device's number and a space.
    fn weight(
        &mut self,
        limit: &'static str,
        device: &str,
        weight: u16,
        v1_files: [&'static str; 2],
    ) -> Result<(), CgroupError> {
        let at = self.carrier(limit, "blkio", "io")?;
        let own_scale = format!("{device}{weight}");
        let writes = if at.0.v2 {
            let wide_scale = format!("{device}{}", wide(weight));
            vec![
                ("io.bfq.weight".into(), own_scale),
                ("io.weight".into(), wide_scale),
            ]
        } else {
            let [cfq, bfq] = v1_files;
            vec![(cfq.into(), own_scale.clone()), (bfq.into(), own_scale)]
        };
        self.push_either(limit, at, writes).why_absent = NO_WEIGHT;
        Ok(())
    }

    fn leaf_weight(
        &mut self,
        limit: &'static str,
        file: &'static str,
        text: String,
    ) -> Result<(), CgroupError> {
        let at = self.carrier(limit, "blkio", "io")?;
        if at.0.v2 {
            return Err(CgroupError::OnlyV1 {
                limit,
                controller: "io".to_owned(),
            });
        }
        self.push(limit, at, file, text).why_absent = NO_LEAF_WEIGHT;
        Ok(())
    }

    fn throttles(&mut self, r: &Resources) -> Result<(), CgroupError> {
        let kinds: [(&str, &[Throttle], &str, &str); 4] = [
            (
                "--device-read-bps",
                &r.device_read_bps,
                "blkio.throttle.read_bps_device",
                "rbps",
            ),
            (
                "--device-write-bps",
                &r.device_write_bps,
                "blkio.throttle.write_bps_device",
                "wbps",
            ),
            (
                "--device-read-iops",
                &r.device_read_iops,
                "blkio.throttle.read_iops_device",
                "riops",
            ),
            (
                "--device-write-iops",
                &r.device_write_iops,
                "blkio.throttle.write_iops_device",
                "wiops",
            ),
        ];
        for (limit, throttles, v1_file, v2_key) in kinds {
            for Throttle { major, minor, rate } in throttles {
                let at = self.carrier(limit, "blkio", "io")?;
                // Rate 0 lifts a throttle (v1's own spelling).
                let (file, text) = match (at.0.v2, rate) {
                    (true, 0) => ("io.max", format!("{major}:{minor} {v2_key}=max")),
                    (true, _) => ("io.max", format!("{major}:{minor} {v2_key}={rate}")),
                    (false, _) => (v1_file, format!("{major}:{minor} {rate}")),
                };
                self.push(limit, at, file, text);
            }
        }
        Ok(())
    }
}

/// v1 weight (10 to 1000) as v2 weight (1 to 10000), end to end.
pub(in crate::cgroups) fn wide(weight: u16) -> u64 {
    1 + (u64::from(weight.max(10)) - 10) * 9999 / 990
}
