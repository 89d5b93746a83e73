//! What an executable says of its memory (elf(5)).

use anyhow::{Context, Result, bail};

/// A program header.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u64,
    /// `p_flags`.
    pub flags: u64,
    /// Where it is in the file, in bytes.
    pub offset: u64,
    /// Where it is in memory.
    pub address: u64,
    /// Its bytes in the file.
    pub size: u64,
}

/// It is mapped.
pub const PT_LOAD: u64 = 1;
/// It names a dynamic loader.
pub const PT_INTERP: u64 = 3;
/// It is executed.
pub const PF_X: u64 = 1;

/// The segments of a 64-bit little-endian file.
pub fn segments(elf: &[u8]) -> Result<Vec<Segment>> {
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("not a 64-bit little-endian ELF file");
    }
    let number = |offset: u64, size: usize| -> Result<u64> {
        let offset = usize::try_from(offset)?;
        let end = offset.checked_add(size);
        let bytes = end.and_then(|end| elf.get(offset..end));
        let bytes = bytes.context("the ELF file is cut short")?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let headers = (0..count).map(|index| {
        let header = start.saturating_add(index * size);
        let field = |offset: u64, size: usize| number(header.saturating_add(offset), size);
        Ok(Segment {
            kind: field(0, 4)?,
            flags: field(4, 4)?,
            offset: field(8, 8)?,
            address: field(16, 8)?,
            size: field(32, 8)?,
        })
    });
    headers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_header_is_read() {
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[32], elf[54], elf[56]) = (64, 56, 1);
        for word in [
            0x5_0000_0001,
            0x37_3980,
            0x57_4980,
            0x57_4980,
            0x9b_f880,
            0x9b_f880,
            0x1000_u64,
        ] {
            elf.extend(word.to_le_bytes());
        }
        let code = Segment {
            kind: PT_LOAD,
            flags: 5,
            offset: 0x37_3980,
            address: 0x57_4980,
            size: 0x9b_f880,
        };
        assert_eq!(segments(&elf).unwrap(), [code]);
        elf[56] = 2;
        assert!(segments(&elf).is_err());
        elf[32..40].fill(0xff);
        assert!(segments(&elf).is_err());
    }
}
