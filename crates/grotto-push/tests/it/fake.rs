//! Servers that say what a test has them say.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server whose connections a test handles, each on a thread of its own.
pub(crate) struct Fake {
    pub(crate) port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Fake {
    pub(crate) fn start(handle: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, handle) = (Arc::new(AtomicUsize::new(0)), Arc::new(handle));
        let count = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let handle = Arc::clone(&handle);
                std::thread::spawn(move || {
                    handle(Peer {
                        stream,
                        read: Vec::new(),
                    });
                });
            }
        });
        Self { port, accepted }
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn redis(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn nats(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// A client that connected.
pub(crate) struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// Says something; false when nobody is there any more.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads until a text came, and what came behind it stays; false when the client has gone.
    pub(crate) fn await_text(&mut self, text: &str) -> bool {
        loop {
            let at = self
                .read
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            if let Some(at) = at {
                self.read.drain(..at + text.len());
                return true;
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Reads until the client goes.
    pub(crate) fn listen(&mut self) {
        while self.await_text("\n") {}
    }

    /// Lets a client of Redis in that subscribes to one channel.
    pub(crate) fn let_in_redis(&mut self, channel: &str) {
        let confirmed = format!(
            "*3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:1\r\n",
            channel.len()
        );
        if self.await_text("PING\r\n") && self.say("+PONG\r\n") && self.await_text("SUBSCRIBE") {
            self.await_text(&format!("{channel}\r\n"));
            self.say(confirmed);
        }
    }

    /// Lets a client of NATS in.
    pub(crate) fn let_in_nats(&mut self) {
        self.say("INFO {\"max_payload\":1048576}\r\n");
        if self.await_text("PING\r\n") {
            self.say("PONG\r\n");
        }
    }
}

/// A message as Redis tells it.
pub(crate) fn redis_message(channel: &str, text: &[u8]) -> Vec<u8> {
    let head = format!(
        "*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${}\r\n",
        channel.len(),
        text.len()
    );
    [head.as_bytes(), text, b"\r\n"].concat()
}

/// A message to the first subscription as NATS tells it.
pub(crate) fn nats_message(subject: &str, text: &[u8]) -> Vec<u8> {
    let head = format!("MSG {subject} 1 {}\r\n", text.len());
    [head.as_bytes(), text, b"\r\n"].concat()
}
