//! /proc/PID/uid_map and gid_map (user_namespaces(7)).

use std::fmt;

use serde::Serialize;

use super::number;
use crate::Error;

/// One line: `count` ids from `inside` on in the process's user namespace are those from `outside` on in the reader's (or,
/// if that is the same one, in its parent).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdRange {
    /// First id in the process's user namespace.
    pub inside: u32,
    /// First id outside it.
    pub outside: u32,
    /// How many; up to 2^32-1.
    pub count: u32,
}

/// All lines; empty: no id is mapped (yet).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct IdMap(pub Vec<IdRange>);

impl IdMap {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what no kernel writes.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let mut fields = line
                    .split(u8::is_ascii_whitespace)
                    .filter(|field| !field.is_empty());
                let mut next = || number(fields.next()?);
                let range = IdRange {
                    inside: next()?,
                    outside: next()?,
                    count: next()?,
                };
                fields.next().is_none().then_some(range)
            })
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| Error::malformed("/proc/PID/uid_map", text))
    }

    /// The id inside of the id `outside`.
    pub fn inside(&self, outside: u32) -> Option<u32> {
        self.find(outside, |range| (range.outside, range.inside))
    }

    /// The id outside of the id `inside`.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        self.find(inside, |range| (range.inside, range.outside))
    }

    /// The id that `id` is on the other side; `sides` tells where a range begins on this one and on the other.
    fn find(&self, id: u32, sides: impl Fn(&IdRange) -> (u32, u32)) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let (this, other) = sides(range);
            let offset = id.checked_sub(this)?;
            (offset < range.count).then(|| other.checked_add(offset))?
        })
    }

    /// Whether every id is what it is outside: the map of the machine's initial user namespace.
    pub fn is_identity(&self) -> bool {
        let all = IdRange {
            inside: 0,
            outside: 0,
            count: u32::MAX,
        };
        self.0 == [all]
    }
}

impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing is mapped");
        }
        if self.is_identity() {
            return f.write_str("all, unchanged");
        }
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let last = |first: u32| u64::from(first) + u64::from(range.count.saturating_sub(1));
            match range.count {
                1 => write!(f, "{comma}{} = {} outside", range.inside, range.outside)?,
                _ => {
                    let (inside, outside) = (range.inside, range.outside);
                    write!(
                        f,
                        "{comma}{inside}-{} = {outside}-{} outside",
                        last(inside),
                        last(outside)
                    )?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_found_by_their_range() {
        let map =
            IdMap::parse(b"         0     231072      65536\n     70000       1000          1\n")
                .unwrap();
        assert_eq!(map.inside(231_072), Some(0));
        assert_eq!(map.inside(231_072 + 65_535), Some(65_535));
        assert_eq!(map.inside(231_072 + 65_536), None);
        assert_eq!(map.inside(1000), Some(70_000));
        assert_eq!(map.inside(0), None);
        assert_eq!(
            map.to_string(),
            "0-65535 = 231072-296607 outside, 70000 = 1000 outside"
        );
        assert!(!map.is_identity());
    }

    #[test]
    fn the_machines_map_is_told_apart() {
        let map = IdMap::parse(b"         0          0 4294967295\n").unwrap();
        assert!(map.is_identity());
        assert_eq!(map.to_string(), "all, unchanged");
        assert_eq!(IdMap::parse(b"").unwrap().to_string(), "nothing is mapped");
    }

    #[test]
    fn what_no_kernel_writes_is_refused() {
        for text in [
            &b"0 0"[..],
            b"0 0 1 2",
            b"0 0 4294967296",
            b"a b c",
            b"\xff",
        ] {
            assert!(
                matches!(IdMap::parse(text), Err(Error::Malformed { .. })),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn inside_undoes_outside(inside: u32, outside: u32, count: u32, offset: u32) {
            let map = IdMap::parse(format!("{inside} {outside} {count}\n").as_bytes()).unwrap();
            if let Some(id) = outside.checked_add(offset) {
                let expected = if offset < count { inside.checked_add(offset) } else { None };
                prop_assert_eq!(map.inside(id), expected);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = IdMap::parse(&bytes).map(|map| map.to_string());
        }
    }
}
