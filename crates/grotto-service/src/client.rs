//! Asking a daemon.
//!
//! Owns: one request at a time over HTTP/1.1, and reading the answer within limits. Never: knows what is asked.

use grotto::{Error, ErrorKind, Result};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer: a daemon waits for a minute at most.
const ANSWER: Duration = Duration::from_secs(90);
/// Longest answer in bytes.
const MAX_ANSWER: u64 = 256 << 20;

/// A daemon that can be asked.
#[derive(Clone)]
pub struct Client {
    /// Host and port.
    authority: String,
    token: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.authority)
    }
}

impl Client {
    /// A daemon by its URL, such as `http://127.0.0.1:8081`; the port is 8081 unless it is given.
    ///
    /// # Errors
    /// `Invalid` for another scheme or a path.
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        let refused = || {
            Error::invalid(format!(
                "expected the url of a daemon such as http://127.0.0.1:8081, found {url:?}"
            ))
        };
        let rest = url.strip_prefix("http://").ok_or_else(refused)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if authority.is_empty() || !authority.chars().all(plain) {
            return Err(refused());
        }
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        let has_port = port.is_some_and(|port| port.parse::<u16>().is_ok());
        Ok(Self {
            authority: match has_port {
                true => authority.to_owned(),
                false => format!("{authority}:8081"),
            },
            token,
        })
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers, and what the daemon refuses with.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.json("GET", path)
    }

    /// The same of text that is no JSON.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_text(&self, path: &str) -> Result<String> {
        self.ask("GET", path)
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&self, path: &str) -> Result<Value> {
        self.json("POST", path)
    }

    /// Sends records, a line for each, which are known by the key when they come again.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post_lines(&self, path: &str, key: &str, lines: &[u8]) -> Result<Value> {
        let headers = format!("content-type: application/x-ndjson\r\nidempotency-key: {key}\r\n");
        self.read(self.send("POST", path, &headers, lines)?)
    }

    fn json(&self, method: &str, path: &str) -> Result<Value> {
        self.read(self.ask(method, path)?)
    }

    fn read(&self, body: String) -> Result<Value> {
        serde_json::from_str(&body)
            .map_err(|e| Error::internal(format!("{}: expected json: {e}", self.authority)))
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        self.send(method, path, "", &[])
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<String> {
        let io = |error: std::io::Error| {
            Error::unavailable(format!("no daemon answers at {}", self.authority))
                .with_source(error)
        };
        let mut stream = self.connect().map_err(io)?;
        let token = self.token.as_ref();
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}{}\r\n",
            self.authority,
            body.len(),
            token.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).map_err(io)?;
        stream.write_all(body).map_err(io)?;
        let mut answer = Vec::new();
        stream
            .take(MAX_ANSWER)
            .read_to_end(&mut answer)
            .map_err(io)?;
        let answer = String::from_utf8_lossy(&answer);
        parse(&answer).map_err(|error| error.at(&self.authority))
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(ANSWER))?;
                    stream.set_write_timeout(Some(ANSWER))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The body of an answer, if it is one that all went well.
fn parse(answer: &str) -> Result<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| Error::unavailable("the answer is cut short"))?;
    let status: u16 = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| Error::unavailable("expected an answer of http"))?;
    let body = match head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        true => unchunked(body)?,
        false => body.to_owned(),
    };
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let told: Value = serde_json::from_str(&body).unwrap_or_default();
    let message = told["error"]["message"].as_str();
    let message = message.or_else(|| told["status"].as_str());
    let message = message.map_or_else(|| format!("status {status}"), str::to_owned);
    let code = told["error"]["code"].as_str().unwrap_or_default();
    Err(Error::new(kind_of(code, status), message))
}

/// What to do about a refusal, by its code; by its status where something else than a daemon answers.
fn kind_of(code: &str, status: u16) -> ErrorKind {
    match (code, status) {
        ("corrupt", _) => ErrorKind::Corrupt,
        ("missing", _) => ErrorKind::Missing,
        ("fenced", _) => ErrorKind::Fenced,
        ("standby", _) => ErrorKind::Unavailable,
        ("busy", _) => ErrorKind::Busy,
        ("no_schema", _) => ErrorKind::NoSchema,
        (_, 404) => ErrorKind::NoDataset,
        (_, 429) => ErrorKind::Overloaded,
        (_, 500) => ErrorKind::Internal,
        (_, 501..) => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    }
}

/// Whether an error says that nobody answered, unlike a daemon that answers that something else does not.
#[must_use]
pub fn is_silence(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    error.kind() == ErrorKind::Unavailable
        && cause.is_some_and(|cause| cause.is::<std::io::Error>())
}

/// A body that came in pieces, each behind its length.
fn unchunked(body: &str) -> Result<String> {
    let (mut rest, mut whole) = (body, String::new());
    loop {
        let cut = || Error::unavailable("the answer is cut short");
        let (length, behind) = rest.split_once("\r\n").ok_or_else(cut)?;
        let length = length.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(length, 16).map_err(|_| cut())?;
        if length == 0 {
            return Ok(whole);
        }
        whole.push_str(behind.get(..length).ok_or_else(cut)?);
        rest = behind
            .get(length..)
            .and_then(|rest| rest.strip_prefix("\r\n"))
            .ok_or_else(cut)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host_and_perhaps_a_port() {
        let authority = |url: &str| Client::new(url, None).map(|client| client.authority);
        assert_eq!(
            authority("http://127.0.0.1:9000/").unwrap(),
            "127.0.0.1:9000"
        );
        assert_eq!(authority("http://[::1]:9000").unwrap(), "[::1]:9000");
        assert_eq!(authority("http://host").unwrap(), "host:8081");
        for wrong in [
            "",
            "host:1",
            "https://host",
            "http://",
            "http://host/a",
            "http://a\r\nb",
        ] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(whole).unwrap(), "{}");
        let pieces =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(parse(pieces).unwrap(), "abc");
        for cut in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "ftp\r\n\r\n",
            &pieces[..pieces.len() - 9],
        ] {
            assert_eq!(
                parse(cut).unwrap_err().kind(),
                ErrorKind::Unavailable,
                "{cut}"
            );
        }
    }

    #[test]
    fn one_that_is_not_ready_says_so() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\":\"not ready\"}";
        let error = parse(answer).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Unavailable, "not ready")
        );
    }

    #[test]
    fn a_refusal_says_what_the_daemon_said() {
        let answer = "HTTP/1.1 404 Not Found\r\n\r\n{\"error\":{\"message\":\"no dataset\"}}";
        let error = parse(answer).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::NoDataset, "no dataset")
        );
        let error = parse("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Unavailable, "status 503")
        );
    }

    #[test]
    fn the_code_of_a_refusal_says_what_to_do_about_it() {
        use ErrorKind as K;
        for (status, code, kind) in [
            (400, "invalid", K::Invalid),
            (401, "unauthorized", K::Invalid),
            (404, "not_found", K::NoDataset),
            (404, "no_dataset", K::NoDataset),
            (409, "no_schema", K::NoSchema),
            (429, "overloaded", K::Overloaded),
            (500, "corrupt", K::Corrupt),
            (500, "missing", K::Missing),
            (500, "internal", K::Internal),
            (503, "busy", K::Busy),
            (503, "fenced", K::Fenced),
            (503, "unavailable", K::Unavailable),
            // One that is not known yet: the status has to do.
            (503, "new", K::Unavailable),
            (422, "new", K::Invalid),
        ] {
            let body = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}}}");
            let answer = format!("HTTP/1.1 {status} X\r\n\r\n{body}");
            assert_eq!(parse(&answer).unwrap_err().kind(), kind, "{status} {code}");
        }
    }
}
