//! `--change` of an import: instructions of a Dockerfile applied to an image's configuration.
//!
//! Those that say how an image is run, in the grammar of the Dockerfile
//! reference: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME,
//! WORKDIR. Variables are replaced by the configuration's environment, where
//! a Dockerfile would.

use crate::{Error, ImageConfig};

/// Applies one instruction.
///
/// # Errors
/// [`Error::BadChange`] names the instruction and what is wrong with it.
pub(crate) fn apply(config: &mut ImageConfig, change: &str) -> Result<(), Error> {
    instruction(config, change.trim()).map_err(|reason| Error::BadChange {
        change: change.to_owned(),
        reason,
    })
}

fn instruction(config: &mut ImageConfig, change: &str) -> Result<(), String> {
    if change.contains('\0') {
        return Err("it has a NUL".to_owned());
    }
    let (name, rest) = change
        .split_once(char::is_whitespace)
        .unwrap_or((change, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err("the instruction has no argument".to_owned());
    }
    match name.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = command(config, rest)?,
        "ENTRYPOINT" => {
            config.entrypoint = command(config, rest)?;
            // As in a Dockerfile: another entrypoint makes the old arguments meaningless.
            config.cmd.clear();
        }
        "ENV" => {
            for (name, value) in pairs(config, rest)? {
                let prefix = format!("{name}=");
                config.env.retain(|variable| !variable.starts_with(&prefix));
                config.env.push(prefix + &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(config, rest)?),
        "EXPOSE" => {
            for word in words(config, rest)? {
                config.exposed_ports.insert(port(&word)?);
            }
        }
        "STOPSIGNAL" => config.stop_signal = Some(one(config, rest)?),
        "USER" => config.user = one(config, rest)?,
        "VOLUME" => {
            let paths = match json_list(rest) {
                Some(list) => list?,
                None => words(config, rest)?,
            };
            if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
                return Err(format!("{path:?} is not an absolute path"));
            }
            config.volumes.extend(paths);
        }
        "WORKDIR" => {
            let path = one(config, rest)?;
            config.working_dir = match path.starts_with('/') {
                true => path,
                false => format!("{}/{path}", config.working_dir.trim_end_matches('/')),
            };
        }
        _ => {
            return Err(format!(
                "{name:?} is not an instruction that can be used here"
            ));
        }
    }
    Ok(())
}

/// `["a", "b"]` is taken as it is; anything else goes to the shell.
fn command(config: &ImageConfig, text: &str) -> Result<Vec<String>, String> {
    if let Some(list) = json_list(text) {
        return list;
    }
    let mut command = match config.shell.as_slice() {
        [] => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        shell => shell.to_vec(),
    };
    command.push(text.to_owned());
    Ok(command)
}

/// A JSON list of strings; `None`: it does not look like one.
fn json_list(text: &str) -> Option<Result<Vec<String>, String>> {
    text.starts_with('[').then(|| {
        serde_json::from_str(text).map_err(|e| format!("it is not a JSON list of strings: {e}"))
    })
}

/// `NAME=VALUE…`, or `NAME VALUE` with all the rest as the value.
fn pairs(config: &ImageConfig, text: &str) -> Result<Vec<(String, String)>, String> {
    if let Some((name, value)) = text.split_once(char::is_whitespace)
        && !name.contains('=')
    {
        return Ok(vec![(name.to_owned(), words(config, value)?.join(" "))]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) | None => Err(format!("{word:?} is not NAME=VALUE")),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
    };
    words(config, text)?.into_iter().map(pair).collect()
}

/// `PORT[/tcp|udp|sctp]`; without a protocol it is tcp.
fn port(word: &str) -> Result<String, String> {
    let (number, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    match number.parse::<u16>() {
        Ok(1..) if matches!(protocol.as_str(), "tcp" | "udp" | "sctp") => {
            Ok(format!("{number}/{protocol}"))
        }
        _ => Err(format!("{word:?} is not PORT[/tcp|udp|sctp]")),
    }
}

fn one(config: &ImageConfig, text: &str) -> Result<String, String> {
    match words(config, text)?.as_slice() {
        [word] => Ok(word.clone()),
        _ => Err("exactly one argument is needed".to_owned()),
    }
}

/// Quotes, backslashes and variables, as a Dockerfile has them.
fn words(config: &ImageConfig, text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => {
                let next = rest.next().ok_or("it ends in a backslash")?;
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, '"' | '\\' | '$') {
                    word.push('\\');
                }
                word.push(next);
            }
            ('$', None | Some('"')) => {
                let value = variable(config, &mut rest)?;
                word.get_or_insert_default().push_str(&value);
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// `NAME` or `{NAME}`, the dollar having been read.
fn variable(
    config: &ImageConfig,
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<String, String> {
    let braces = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    if name.is_empty() || (braces && rest.next() != Some('}')) {
        return Err("after $ only NAME or {NAME} is understood; write \\$ for a dollar".to_owned());
    }
    Ok(config
        .env
        .iter()
        .find_map(|variable| variable.strip_prefix(&name)?.strip_prefix('='))
        .unwrap_or_default()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> ImageConfig {
        let mut config = ImageConfig::default();
        for change in changes {
            apply(&mut config, change).unwrap();
        }
        config
    }

    #[test]
    fn all_instructions() {
        let config = changed(&[
            "CMD [\"python3\", \"-i\"]",
            "env A=b C=\"d e\" F='g $A' H=$A-${C}",
            "ENV OLD form  of it",
            "EXPOSE 80 53/udp",
            "LABEL a.b=\"c d\"",
            "STOPSIGNAL SIGINT",
            "USER 1000:1000",
            "VOLUME /data /more",
            "VOLUME [\"/json\"]",
            "WORKDIR /srv",
            "WORKDIR app",
        ]);
        assert_eq!(config.cmd, ["python3", "-i"]);
        assert_eq!(
            config.env,
            ["A=b", "C=d e", "F=g $A", "H=-", "OLD=form of it"]
        );
        assert_eq!(Vec::from_iter(&config.exposed_ports), ["53/udp", "80/tcp"]);
        assert_eq!(config.labels["a.b"], "c d");
        assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(config.user, "1000:1000");
        assert_eq!(Vec::from_iter(&config.volumes), ["/data", "/json", "/more"]);
        assert_eq!(config.working_dir, "/srv/app");
    }

    #[test]
    fn later_ones_see_and_replace_earlier_ones() {
        let config = changed(&[
            "ENV P=/bin",
            "ENV P=$P:/x",
            "CMD a b",
            "ENTRYPOINT [\"/e\"]",
        ]);
        assert_eq!(config.env, ["P=/bin:/x"]);
        assert_eq!(config.entrypoint, ["/e"]);
        assert!(config.cmd.is_empty());
        assert_eq!(changed(&["CMD a \"b\""]).cmd, ["/bin/sh", "-c", "a \"b\""]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for change in [
            "",
            "CMD",
            "RUN true",
            "ONBUILD CMD x",
            "CMD [\"a\"",
            "CMD [1]",
            "ENV A",
            "ENV =b",
            "ENV A=\"b",
            "ENV A=${B:-c}",
            "EXPOSE http",
            "EXPOSE 0",
            "EXPOSE 80/icmp",
            "VOLUME data",
            "USER a b",
            "USER a\0",
        ] {
            let mut config = ImageConfig::default();
            assert!(apply(&mut config, change).is_err(), "{change}");
        }
    }
}
