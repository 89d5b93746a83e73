//! Stands between client and registry, and misbehaves, or asks for a token.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How the proxy misbehaves.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Answers with blobs end after this many bytes, headers included.
    CutBlobs(usize),
    /// Blobs are answered whole, whatever range was asked for, the first answer cut.
    IgnoreRanges(usize),
    /// Requests need the token that `/token` gives to `user:secret`.
    Token,
    /// The same, with tokens that are good for so many requests.
    TokenFor(usize),
}

/// What was asked for so far.
#[derive(Default)]
pub struct Counts {
    pub blobs: AtomicUsize,
    pub tokens: AtomicUsize,
    /// Requests since the last token.
    since: AtomicUsize,
}

const TOKEN: &str = "eyJhbGciOi.test.token";
/// `user:secret`
const BASIC: &str = "authorization: basic dxnlcjpzzwnyzxq=";

pub struct Proxy {
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
}

impl Proxy {
    /// Its threads end with the test's process.
    pub fn start(upstream: SocketAddr, rule: Rule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counter = Arc::clone(&counts);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let counter = Arc::clone(&counter);
                // A client that goes away in the middle is no failure.
                std::thread::spawn(move || {
                    let _ = serve(client.unwrap(), address, upstream, rule, &counter);
                });
            }
        });
        Self { address, counts }
    }
}

fn serve(
    mut client: TcpStream,
    own: SocketAddr,
    upstream: SocketAddr,
    rule: Rule,
    counts: &Counts,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
        // TLS: whoever speaks it finds out at once, as from any server of plain HTTP.
        if head[0] == 0x16 {
            return Ok(());
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    let has = |wanted: &str| lines.iter().any(|line| line.eq_ignore_ascii_case(wanted));
    let is_blob = lines[0].contains("/blobs/");
    let earlier = match is_blob {
        true => counts.blobs.fetch_add(1, Ordering::SeqCst),
        false => 0,
    };
    let (token, good_for) = match rule {
        // Not in the form from which a client could read how long it is good.
        Rule::TokenFor(requests) => ("opaque", requests),
        _ => (TOKEN, usize::MAX),
    };
    let mut most = usize::MAX;
    match rule {
        Rule::Token | Rule::TokenFor(_) if lines[0].starts_with("GET /token?") => {
            if !has(BASIC) || !lines[0].contains("repository") {
                return write!(
                    client,
                    "HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
            counts.tokens.fetch_add(1, Ordering::SeqCst);
            counts.since.store(0, Ordering::SeqCst);
            let body = format!(r#"{{"token":"{token}"}}"#);
            let length = body.len();
            return write!(
                client,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
        Rule::Token | Rule::TokenFor(_)
            if !has(&format!("authorization: bearer {token}"))
                || counts.since.fetch_add(1, Ordering::SeqCst) >= good_for =>
        {
            let realm = format!(r#"Bearer realm="http://{own}/token",service="test""#);
            return write!(
                client,
                "HTTP/1.1 401 No\r\nWWW-Authenticate: {realm}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Rule::Token | Rule::TokenFor(_) => {}
        Rule::CutBlobs(bytes) if is_blob => most = bytes,
        Rule::CutBlobs(_) => {}
        Rule::IgnoreRanges(bytes) => {
            lines.retain(|line| !line.to_ascii_lowercase().starts_with("range:"));
            if is_blob && earlier < 3 {
                most = bytes;
            }
        }
    }
    let mut server = TcpStream::connect(upstream)?;
    write!(
        server,
        "{}\r\nConnection: close\r\n\r\n",
        lines.join("\r\n")
    )?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    answer.truncate(most);
    client.write_all(&answer)
}
