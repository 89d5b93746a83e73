//! Whether what is seen is what the page says.

use crate::tokens::{Class, Token, tokens};

/// Which word of the page is which word of this run. One to one: what the page has twice is twice the same in the run, and
/// what it has as different is different.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    pairs: Vec<(Class, String, String)>,
    /// What was typed and is no word of an earlier output: it stands for itself.
    typed: Vec<String>,
}

impl Bindings {
    /// A command of the page as it is typed in this run: with this run's numbers where the page's own have been seen.
    pub fn typed(&mut self, command: &str) -> String {
        let mut real = String::new();
        for token in tokens(command) {
            let text = token.text();
            match token {
                Token::Varies(class, _) if self.real(class, text).is_some() => {
                    real += self.real(class, text).expect("it was found");
                }
                Token::Varies(..) => {
                    self.typed.push(text.to_owned());
                    real += text;
                }
                _ => real += text,
            }
        }
        real
    }

    /// A text of this run with the page's words where they are known.
    pub fn told(&self, real: &str) -> String {
        let told = |token: Token<'_>| {
            let text = token.text();
            let known = self.pairs.iter().find(|(class, _, known)| {
                known == text && matches!(token, Token::Varies(of, _) if of == *class)
            });
            known.map_or(text, |(_, page, _)| page.as_str()).to_owned()
        };
        tokens(real).into_iter().map(told).collect()
    }

    fn real(&self, class: Class, page: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter();
        let found = pairs.find(|pair| (pair.0, pair.1.as_str()) == (class, page));
        found.map(|(_, _, real)| real.as_str())
    }

    /// Whether the page's word may be `real`, and from now on it is.
    fn bind(&mut self, class: Class, page: &str, real: &str) -> bool {
        if self.typed.iter().any(|text| text == page) {
            return page == real;
        }
        if let Some(bound) = self.real(class, page) {
            return bound == real;
        }
        let mut pairs = self.pairs.iter();
        let taken = pairs.any(|(of, _, bound)| (*of, bound.as_str()) == (class, real));
        if !taken {
            let pair = (class, page.to_owned(), real.to_owned());
            self.pairs.push(pair);
        }
        !taken
    }

    /// Compares an output of the page with one of this run, and binds what it has.
    ///
    /// # Errors
    /// The index of the first line of the page that nothing seen fits to.
    pub fn compare(&mut self, page: &[String], real: &[String]) -> Result<(), usize> {
        let page: Vec<Vec<Token<'_>>> = page.iter().map(|line| trimmed(line)).collect();
        let real: Vec<Vec<Token<'_>>> = real.iter().map(|line| trimmed(line)).collect();
        let mut furthest = 0;
        match lines(&page, &real, self, 0, &mut furthest) {
            Some(bound) => {
                *self = bound;
                Ok(())
            }
            None => Err(furthest),
        }
    }
}

fn trimmed(line: &str) -> Vec<Token<'_>> {
    tokens(line.trim())
}

/// What is bound once all lines fit.
fn lines(
    page: &[Vec<Token<'_>>],
    real: &[Vec<Token<'_>>],
    bound: &Bindings,
    at: usize,
    furthest: &mut usize,
) -> Option<Bindings> {
    *furthest = at.max(*furthest);
    let Some((first, rest)) = page.split_first() else {
        return real.is_empty().then(|| bound.clone());
    };
    if first[..] == [Token::Anything] {
        let mut ways = 0..=real.len();
        return ways.find_map(|skipped| lines(rest, &real[skipped..], bound, at + 1, furthest));
    }
    let (line, others) = real.split_first()?;
    let bound = words(first, line, bound)?;
    lines(rest, others, &bound, at + 1, furthest)
}

/// What is bound once all words of a line fit.
fn words(page: &[Token<'_>], real: &[Token<'_>], bound: &Bindings) -> Option<Bindings> {
    let Some((first, rest)) = page.split_first() else {
        return real.is_empty().then(|| bound.clone());
    };
    if *first == Token::Anything {
        let mut ways = 0..=real.len();
        return ways.find_map(|skipped| words(rest, &real[skipped..], bound));
    }
    // A space before or after `…` belongs to what that stands for.
    if real.is_empty()
        && page
            .iter()
            .all(|token| matches!(token, Token::Space(_) | Token::Anything))
    {
        return Some(bound.clone());
    }
    let (token, others) = real.split_first()?;
    match (first, token) {
        (Token::Space(_), Token::Space(_)) => words(rest, others, bound),
        (Token::Varies(class, text), real) if real.fits(*class) => {
            let mut bound = bound.clone();
            let fits = bound.bind(*class, text, real.text());
            fits.then(|| words(rest, others, &bound))?
        }
        (Token::Literal(one), real) if *one == real.text() => words(rest, others, bound),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn compare(bound: &mut Bindings, page: &str, real: &str) -> Result<(), usize> {
        bound.compare(&split(page), &split(real))
    }

    /// Whether `real` is what the page says.
    fn fits(page: &str, real: &str) -> bool {
        compare(&mut Bindings::default(), page, real).is_ok()
    }

    #[test]
    fn numbers_may_be_others_but_the_same_everywhere() {
        assert!(fits("net:[4026532841] 4613", "net:[4026532177]   77"));
        assert!(fits("4613 / 1\n4613", "812 / 1\n812"));
        assert!(!fits("4613 / 1\n4613", "812 / 1\n813"), "not the same");
        assert!(!fits("4613 4614", "812 812"), "not different");
        assert!(!fits("4613 / 1", "812 / 2"), "small ones are literal");
        assert!(!fits("4613", "pid"));
        // A short id is the beginning of the long one.
        let id = |first: &str| first.repeat(4) + &"0".repeat(16);
        let (one, other) = (id("0123456789ab"), id("a9876543210f"));
        let page = format!("{one} {}", &one[..12]);
        assert!(fits(&page, &format!("{other} {}", &other[..12])));
        assert!(!fits(&page, &format!("{other} {}", &one[..12])));
        // The ends of a pair know each other.
        let page = "141: eth0@if142\n142: veth0123@if141";
        assert!(fits("141: eth0@if142 142:", "2: eth0@if9 9:"));
        assert!(!fits("141: eth0@if142 142:", "2: eth0@if9 8:"));
        assert!(!fits(page, "141: eth0@if142"));
    }

    #[test]
    fn from_one_output_to_the_next() {
        let mut bound = Bindings::default();
        compare(&mut bound, "4613", "77").unwrap();
        assert_eq!(compare(&mut bound, "a\n4613", "a\n78"), Err(1));
        compare(&mut bound, "4613", "77").unwrap();
        assert_eq!(bound.typed("show 4613 8000"), "show 77 8000");
        compare(&mut bound, "8000", "8000").unwrap();
        assert_eq!(compare(&mut bound, "8000", "8001"), Err(0));
        assert_eq!(bound.told("77 of 4613"), "77 of 4613", "small numbers stay");
        compare(&mut bound, "4700", "5000").unwrap();
        assert_eq!(bound.told("of  5000, 1234"), "of  4700, 1234");
    }

    #[test]
    fn columns_may_be_wider() {
        assert!(fits("a  b", " a     b  "));
        assert!(!fits("a b", "ab"));
        assert!(!fits("ab", "a b"));
    }

    #[test]
    fn an_ellipsis_stands_for_the_rest() {
        assert!(fits("a …", "a"));
        assert!(fits("a …", "a b c"));
        assert!(fits("a … c", "a b b c"));
        assert!(fits("(0.… ms)", "(0.123 ms)"));
        assert!(!fits("a … c", "a b"));
        assert!(!fits("… c", "c b"));
        assert!(fits("a\n…\nd", "a\nb\nc\nd"));
        assert!(fits("a\n…\nd", "a\nd"));
        assert!(!fits("a\n…\nd", "a\nb\nc"));
        assert!(!fits("a …", "a\nb"), "not beyond its line");
        // What is bound behind it is found by trying.
        assert!(fits("4613\n… 4613 b", "77\nx 78 y 77 b"));
        assert!(!fits("4613\n… 4613 b", "77\nx 78 y 79 b"));
    }

    #[test]
    fn all_lines_must_be_there_and_no_other() {
        assert!(!fits("a\nb", "a"));
        assert!(!fits("a", "a\nb"));
        assert!(!fits("", "a"));
        assert!(fits("", ""));
        assert!(!fits("a", "A"));
    }
}
