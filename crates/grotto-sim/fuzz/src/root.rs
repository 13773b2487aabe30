//! Roots of state directories, damaged: tables, layouts, and the segments they point into.
//!
//! Owns: the edits. Never opens a file.

use crate::hostile::provoke::read_everything;
use crate::original::chain;
use arbitrary::Arbitrary;
use bytes::Bytes;
use grotto_format::blob::Blob;
use grotto_state::{HeapSeal, Parts, State};
use std::sync::OnceLock;

/// Bytes of a root and of its segments that are replaced.
#[derive(Arbitrary, Debug)]
pub struct RootEdits {
    root: Vec<(u16, Vec<u8>)>,
    segments: Vec<(u8, u16, Vec<u8>)>,
}

/// An honest root, its segments, and the delta that follows.
struct Original {
    root: Vec<u8>,
    segments: Vec<Bytes>,
    delta: Blob,
}

const LIMIT: usize = 1 << 20;

fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let chain = chain();
        let state = &chain.states[2];
        let segments = state.segments().map(|segment| segment.bytes().clone());
        let config = bincode::config::standard().with_fixed_int_encoding();
        Original {
            root: bincode::encode_to_vec(state.to_parts(), config).unwrap(),
            segments: segments.collect(),
            delta: Blob::parse(chain.deltas[2].clone().into()).unwrap(),
        }
    })
}

impl RootEdits {
    /// Does them, puts the state together and uses it.
    pub fn provoke(&self) {
        let original = original();
        let mut root = original.root.clone();
        for (at, bytes) in self.root.iter().take(4) {
            overwrite(&mut root, *at, bytes);
        }
        let mut segments: Vec<Vec<u8>> = original.segments.iter().map(|s| s.to_vec()).collect();
        for (segment, at, bytes) in self.segments.iter().take(4) {
            let segment = usize::from(*segment) % segments.len();
            overwrite(&mut segments[segment], *at, bytes);
        }
        let config = bincode::config::standard()
            .with_fixed_int_encoding()
            .with_limit::<LIMIT>();
        let Ok((parts, _)) = bincode::decode_from_slice::<Parts, _>(&root, config) else {
            return;
        };
        let mut next = segments.into_iter();
        let opened = State::from_parts(parts, &mut |_| Ok(next.next().unwrap_or_default().into()));
        let Ok(state) = opened else { return };
        read_everything(&state);
        if let Ok((next, _)) = state.apply(&original.delta, &mut HeapSeal::default()) {
            read_everything(&next);
        }
    }
}

/// Length stays: what is behind it must keep its place for one edit to mean one thing.
fn overwrite(bytes: &mut [u8], at: u16, new: &[u8]) {
    let start = usize::from(at) % bytes.len().max(1);
    for (old, new) in bytes[start..].iter_mut().zip(new) {
        *old = *new;
    }
}
