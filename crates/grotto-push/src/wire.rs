//! A connection to a server: bytes that came, and bytes that are to go.
//!
//! Owns: the stream and both buffers; whoever stops waiting loses nothing. Never: knows a protocol.

use crate::tls;
use crate::url::PushUrl;
use crate::{Error, Result};
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes that are read at once.
const CHUNK: usize = 4 << 10;

/// What a connection is made of.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    /// What came and is not read yet. Its readers bound it: they refuse a line that is too long, and leave no text in it.
    pub(crate) inbox: BytesMut,
    outbox: BytesMut,
}

impl Wire {
    /// Connects to a server, without TLS.
    pub(crate) async fn connect(url: &PushUrl) -> Result<Self> {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
        let stream = stream.map_err(|e| broken("cannot connect", e))?;
        // An announcement is small and must not wait for more.
        stream
            .set_nodelay(true)
            .map_err(|e| broken("cannot connect", e))?;
        Ok(Self {
            stream: Box::new(stream),
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
        })
    }

    /// The same connection with TLS from here on.
    pub(crate) async fn secured(self, url: &PushUrl) -> Result<Self> {
        // Anybody on the way may have put it there.
        if !self.inbox.is_empty() {
            return Err(garbage("what a server says before it is secured", "more"));
        }
        Ok(Self {
            stream: tls::wrap(self.stream, &url.host).await?,
            inbox: self.inbox,
            outbox: self.outbox,
        })
    }

    /// Puts bytes behind those that are to go; [`flush`](Self::flush) sends them.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    /// Sends what is to go. Whoever stops waiting goes on with the next call.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let sent = async {
            while !self.outbox.is_empty() {
                if self.stream.write_buf(&mut self.outbox).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            self.stream.flush().await
        };
        sent.await.map_err(|e: io::Error| broken("cannot send", e))
    }

    /// Waits for more bytes. Whoever stops waiting loses none.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.inbox.reserve(CHUNK);
        let read = self.stream.read_buf(&mut self.inbox).await;
        match read.map_err(|e| broken("cannot receive", e))? {
            0 => Err(Error::unavailable("the server closed the connection")),
            _ => Ok(()),
        }
    }
}

fn broken(what: &str, error: io::Error) -> Error {
    Error::unavailable(format!("{what}: {error}")).with_source(error)
}

/// A server that does not speak as it should.
pub(crate) fn garbage(expected: &str, found: &str) -> Error {
    Error::corrupt(format!(
        "the server does not speak as it should: expected {expected}, found {found}"
    ))
}

/// The start of a text that came from outside, without what could move a cursor.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(visible).collect()
}

/// The end of the first line in a buffer, without its end mark.
///
/// # Errors
/// When there is none although there are more bytes than a line has.
pub(crate) fn line_end(inbox: &[u8], longest: usize) -> Result<Option<usize>> {
    match inbox
        .windows(2)
        .take(longest + 1)
        .position(|two| two == b"\r\n")
    {
        Some(end) => Ok(Some(end)),
        None if inbox.len() > longest + 1 => Err(garbage(
            "a line's end",
            &format!("none within {longest} bytes"),
        )),
        None => Ok(None),
    }
}
