//! How the container is called.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use soute_engine::request::Request;

use super::env;
use super::outside::Outside;

/// Names and labels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names")]
pub struct IdentityArgs {
    /// Name of the container
    #[arg(long, value_parser = container_name)]
    name: Option<String>,

    /// Host name
    #[arg(short = 'h', long, value_name = "NAME", value_parser = host_name)]
    hostname: Option<String>,

    /// NIS domain name
    #[arg(long, value_name = "NAME", value_parser = domain_name)]
    domainname: Option<String>,

    /// Note something about the container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,

    /// Read labels from a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
}

impl IdentityArgs {
    /// Files the names under `request`.
    pub fn apply(self, request: &mut Request, outside: &dyn Outside) -> Result<()> {
        request.name = self.name;
        request.hostname = self.hostname.filter(|name| !name.is_empty());
        request.domain_name = self.domainname.filter(|name| !name.is_empty());
        request.labels = env::labels(&self.label_file, self.label, outside)?;
        Ok(())
    }
}

/// Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn container_name(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let sound = text.len() > 1
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    match sound {
        true => Ok(text.to_owned()),
        false => Err("[a-zA-Z0-9][a-zA-Z0-9_.-]+ is expected".to_owned()),
    }
}

/// What sethostname(2) takes, without what would break a line of /etc/hosts.
fn host_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match text.is_empty() || (text.len() <= 64 && text.split('.').all(label)) {
        true => Ok(text.to_owned()),
        false => {
            Err("a host name of at most 64 letters, digits, '-' and '.' is expected".to_owned())
        }
    }
}

fn domain_name(text: &str) -> Result<String, String> {
    // setdomainname(2): at most 64 bytes; "(none)" is the kernel's own word.
    match text.len() <= 64 && !text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Ok(text.to_owned()),
        false => Err("a domain name of at most 64 letters is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["ab", "web-1", "a.b_c", "0a"] {
            assert!(container_name(text).is_ok(), "{text}");
        }
        for text in ["", "a", "-a", ".a", "a b", "../a", "a/b", "é1"] {
            assert!(container_name(text).is_err(), "{text}");
        }
        for text in ["", "a", "a.example.com", "under_score"] {
            assert!(host_name(text).is_ok(), "{text}");
        }
        for text in ["-a", "a-", "a..b", "a b", "a\nb", &"a".repeat(65)] {
            assert!(host_name(text).is_err(), "{text}");
        }
        assert!(domain_name(&"a".repeat(65)).is_err());
    }
}
