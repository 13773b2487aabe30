//! Bodies of requests.
//!
//! Owns: reading and unpacking one within limits of size, time and the memory that all bodies may take together.
//! Never: knows what is in one.

use super::answer::Refusal;
use super::encoding::Packing;
use axum::body::Body;
use axum::http::StatusCode;
use flate2::read::MultiGzDecoder;
use grotto::engine::env::Env;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is counted in pieces of this size, as most of a body is in one.
const PIECE: usize = 16 << 10;
/// Wait that is advised when there is no memory: bodies are gone soon.
const SOON: Duration = Duration::from_secs(1);
/// Windows of up to 8 MiB: what all levels but the last few need.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Memory that all bodies, or all answers, may take together.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    /// Pieces of it, taken or not.
    all: usize,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Self {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / PIECE;
        let all = pieces.clamp(1, Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(all));
        Self { free, all }
    }

    /// Takes memory for so many bytes, if it is there.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).ok()?;
        Arc::clone(&self.free).try_acquire_many_owned(pieces).ok()
    }

    /// The same, once it is there; none if that takes longer than `patience`.
    pub(crate) async fn wait(
        &self,
        bytes: usize,
        patience: Duration,
        env: &Env,
    ) -> Option<OwnedSemaphorePermit> {
        let pieces = bytes.div_ceil(PIECE);
        if pieces > self.all {
            return None;
        }
        let taken = Arc::clone(&self.free).acquire_many_owned(u32::try_from(pieces).ok()?);
        env.within(patience, taken).await.ok()?.ok()
    }

    /// Memory that was taken, as much of it as is needed after all; none where that is more, and does not come in time.
    pub(crate) async fn fit(
        &self,
        mut taken: OwnedSemaphorePermit,
        bytes: usize,
        patience: Duration,
        env: &Env,
    ) -> Option<OwnedSemaphorePermit> {
        let needed = bytes.div_ceil(PIECE);
        if let Some(fitting) = taken.split(needed) {
            return Some(fitting);
        }
        if needed > self.all {
            return None;
        }
        let more = (needed - taken.num_permits()) * PIECE;
        taken.merge(self.wait(more, patience, env).await?);
        Some(taken)
    }

    /// Pieces that nobody took.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.free.available_permits()
    }
}

/// Limits of one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Bytes, as it comes and unpacked.
    pub(crate) max_bytes: usize,
    /// The setting that says how many.
    pub(crate) setting: &'static str,
    /// Time until it is there.
    pub(crate) timeout: Duration,
}

/// A body, and the memory that it takes while it lives.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    max_bytes: usize,
    setting: &'static str,
    memory: Memory,
    taken: Option<OwnedSemaphorePermit>,
    counted: usize,
}

impl Held {
    fn new(memory: &Memory, max_bytes: usize, setting: &'static str) -> Self {
        Self {
            bytes: Vec::new(),
            max_bytes,
            setting,
            memory: memory.clone(),
            taken: None,
            counted: 0,
        }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn add(&mut self, more: &[u8]) -> Result<(), Refusal> {
        let length = self.bytes.len() + more.len();
        if length > self.max_bytes {
            return Err(too_large(self.max_bytes, self.setting));
        }
        let pieces = length.saturating_sub(self.counted).div_ceil(PIECE);
        if pieces > 0 {
            let taken = self.memory.take(pieces * PIECE).ok_or_else(|| {
                Refusal::overloaded("too much is being sent at once: no memory for more", SOON)
            })?;
            self.counted += pieces * PIECE;
            match &mut self.taken {
                Some(all) => all.merge(taken),
                none => *none = Some(taken),
            }
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

fn too_large(max_bytes: usize, setting: &str) -> Refusal {
    let message = format!(
        "expected a body of at most {max_bytes} bytes, found more: send it in parts, or raise {setting}"
    );
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).with("limit", max_bytes)
}

/// Reads a body and unpacks it.
pub(crate) async fn read(
    body: Body,
    packing: Packing,
    limits: BodyLimits,
    memory: &Memory,
    env: &Env,
) -> Result<Held, Refusal> {
    if body.size_hint().lower() > limits.max_bytes as u64 {
        return Err(too_large(limits.max_bytes, limits.setting));
    }
    let held = Held::new(memory, limits.max_bytes, limits.setting);
    let read = env.within(limits.timeout, collect(body, held)).await;
    let packed = read.map_err(|_| {
        let message = format!(
            "expected the body within {} ms, found less of it",
            limits.timeout.as_millis()
        );
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })??;
    if packing == Packing::None {
        return Ok(packed);
    }
    let work = move || unpack(&packed, packing);
    let unpacked = env.blocking(work).await;
    unpacked.map_err(|e| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("unpacking stopped: {e}"),
        )
    })?
}

async fn collect(mut body: Body, mut held: Held) -> Result<Held, Refusal> {
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| Refusal::invalid(format!("the body could not be read: {e}")))?;
        if let Ok(data) = frame.into_data() {
            held.add(&data)?;
        }
    }
    Ok(held)
}

fn unpack(packed: &Held, packing: Packing) -> Result<Held, Refusal> {
    let broken = |e: std::io::Error| Refusal::invalid(format!("the body does not unpack: {e}"));
    let mut reader: Box<dyn Read + '_> = match packing {
        Packing::None => Box::new(packed.bytes()),
        Packing::Gzip => Box::new(MultiGzDecoder::new(packed.bytes())),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed.bytes()).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            Box::new(decoder)
        }
    };
    let mut unpacked = Held::new(&packed.memory, packed.max_bytes, packed.setting);
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece).map_err(broken)? {
            0 => return Ok(unpacked),
            length => unpacked.add(&piece[..length])?,
        }
    }
}
