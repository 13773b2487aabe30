//! The standard input.
//!
//! Owns: reading it on a thread of its own, as nothing can end a read that waits. Never: reads further ahead than a
//! few pieces.

use super::text::{Piece, Pieces};
use super::{Feed, Origin};
use grotto::{Error, Result};
use std::io::BufReader;
use tokio::sync::mpsc;

/// What the source is called in messages.
pub(super) const NAME: &str = "standard input";
/// Source that says how many lines were read, where the input begins anew at each start.
const LINE: &str = "stdin.line";
/// Pieces that are read ahead.
const AHEAD: usize = 4;

/// Takes the standard input in until its end. `replay` for one that has the same lines from the beginning at each
/// start.
pub(super) async fn read(mut feed: Feed, replay: bool) {
    match take_all(&mut feed, replay).await {
        Ok(lines) => tracing::info!(lines, "the standard input ended"),
        Err(_) if *feed.stopped.borrow() => {}
        Err(error) => {
            tracing::error!(%error, "the standard input is not read any more");
            let reason = format!("it is not read any more: {}", error.message());
            feed.troubles.set(NAME, reason);
        }
    }
}

async fn take_all(feed: &mut Feed, replay: bool) -> Result<u64> {
    let mut line = 0;
    if replay {
        let positions = loop {
            match feed.positions().await {
                Ok(positions) => break positions,
                Err(error) => feed.trouble(NAME, &error).await?,
            }
        };
        feed.troubles.clear(NAME);
        line = positions.get(LINE).copied().unwrap_or(0);
    }
    let mut pieces = start(line)?;
    loop {
        let next = tokio::select! {
            biased;
            () = super::stopped(&mut feed.stopped) => return Err(super::ending()),
            next = pieces.recv() => next,
        };
        let Some(piece) = next else { return Ok(line) };
        let piece = piece?;
        line += piece.lines;
        let origin = Origin {
            source: NAME.to_owned(),
            positions: replay.then_some((LINE, line)).into_iter().collect(),
        };
        if let Err(error) = feed.submit_until_taken(NAME, piece, origin).await {
            // Those behind it may be right.
            if !super::is_final(&error) {
                return Err(error);
            }
            tracing::error!(line, %error, "lines up to this one are refused");
        }
    }
}

/// Pieces as they come, behind `passed` lines that were taken in before.
fn start(passed: u64) -> Result<mpsc::Receiver<Result<Piece>>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let work = move || {
        let mut pieces = Pieces::new(BufReader::new(std::io::stdin()));
        let mut next = pieces.pass(passed).and_then(|()| pieces.next_available());
        while let Some(piece) = next.transpose() {
            let ends = piece.is_err();
            if sender.blocking_send(piece).is_err() || ends {
                return;
            }
            next = pieces.next_available();
        }
    };
    let started = std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(work);
    started.map_err(|e| Error::internal(format!("cannot start a thread: {e}")))?;
    Ok(receiver)
}
