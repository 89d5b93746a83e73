//! Lists of CPUs and of memory nodes, as cpuset(7), "List format", writes them: `0-3,7`.

use std::fmt;
use std::str::FromStr;

/// The highest number that is taken. No kernel counts so far; a mask of it is 8 KiB.
const HIGHEST: u32 = 65_535;

/// A set of numbers, not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(Vec<u64>);

/// Why a text is no such list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no list of numbers like 0-3,7: {why}")]
pub struct BadNumbers {
    text: String,
    why: &'static str,
}

impl Numbers {
    /// As a mask: bit N of word N/64 is number N.
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// In rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.0.iter().zip(0u32..);
        words.flat_map(|(word, at)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| at * 64 + bit)
        })
    }
}

impl FromStr for Numbers {
    type Err = BadNumbers;

    fn from_str(text: &str) -> Result<Self, BadNumbers> {
        let bad = |why| BadNumbers {
            text: text.to_owned(),
            why,
        };
        let number = |digits: &str| {
            // Not by parse alone, which takes a sign.
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("a number is missing, or is none"));
            }
            match digits.parse::<u32>() {
                Ok(n) if n <= HIGHEST => Ok(n),
                _ => Err(bad("a number is too large")),
            }
        };
        let mut words = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(bad("a range runs backwards"));
            }
            for n in first..=last {
                let word = n as usize / 64;
                if words.len() <= word {
                    words.resize(word + 1, 0);
                }
                words[word] |= 1 << (n % 64);
            }
        }
        Ok(Self(words))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if(|&n| n == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        for (text, words, written) in [
            ("0", vec![1], "0"),
            ("0-3,7", vec![0b1000_1111], "0-3,7"),
            ("7,0-1,1-3", vec![0b1000_1111], "0-3,7"),
            ("64", vec![0, 1], "64"),
            ("63-64", vec![1 << 63, 1], "63-64"),
        ] {
            let numbers: Numbers = text.parse().unwrap();
            assert_eq!(numbers.words(), words, "{text}");
            assert_eq!(numbers.to_string(), written);
        }
        let most: Numbers = "0-65535".parse().unwrap();
        assert_eq!(most.iter().count(), 65_536);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            "",
            ",",
            "0,",
            ",0",
            "a",
            "-1",
            "1-",
            "-",
            "3-1",
            "+1",
            " 1",
            "1 ",
            "1-2-3",
            "0-7:2",
            "65536",
            "4294967296",
            "0x1",
            "all",
            "0;1",
        ] {
            text.parse::<Numbers>().unwrap_err();
        }
    }
}
