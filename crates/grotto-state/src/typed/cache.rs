//! Bindings are made once per Rust type and schema.
//!
//! Owns: where they are kept. Reading takes no lock and allocates nothing.
//!
//! Bindings stay for the life of the process, so that accessors can borrow them; there is one per
//! schema a process has met, and schemas change rarely.

use super::bind::Bound;
use crate::error::StateResult;
use std::sync::OnceLock;

/// Short chains even for a process that has seen many schemas.
const BUCKETS: usize = 8;

/// The bindings of one Rust type, by schema hash.
#[derive(Debug, Default)]
pub struct Bindings {
    reading: Chains,
    writing: Chains,
}

impl Bindings {
    /// No bindings yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: Chains::new(),
            writing: Chains::new(),
        }
    }

    /// The binding for reading, if it was made already.
    #[inline(always)]
    pub(crate) fn reading(&'static self, schema: u64) -> Option<&'static Bound> {
        self.reading.get(schema)
    }

    pub(crate) fn for_reading(
        &'static self,
        schema: u64,
        bind: impl FnOnce() -> StateResult<Bound>,
    ) -> StateResult<&'static Bound> {
        self.reading.get_or_bind(schema, bind)
    }

    pub(crate) fn for_writing(
        &'static self,
        schema: u64,
        bind: impl FnOnce() -> StateResult<Bound>,
    ) -> StateResult<&'static Bound> {
        self.writing.get_or_bind(schema, bind)
    }
}

/// A hash table that only grows.
#[derive(Debug, Default)]
struct Chains([Link; BUCKETS]);

type Link = OnceLock<Box<Entry>>;

#[derive(Debug)]
struct Entry {
    schema: u64,
    bound: Bound,
    next: Link,
}

impl Chains {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; BUCKETS])
    }

    #[inline(always)]
    fn get(&'static self, schema: u64) -> Option<&'static Bound> {
        let mut link = &self.0[schema as usize % BUCKETS];
        while let Some(entry) = link.get() {
            if entry.schema == schema {
                return Some(&entry.bound);
            }
            link = &entry.next;
        }
        None
    }

    fn get_or_bind(
        &'static self,
        schema: u64,
        bind: impl FnOnce() -> StateResult<Bound>,
    ) -> StateResult<&'static Bound> {
        if let Some(bound) = self.get(schema) {
            return Ok(bound);
        }
        append(
            &self.0[schema as usize % BUCKETS],
            Entry {
                schema,
                bound: bind()?,
                next: OnceLock::new(),
            },
        )
    }
}

/// Adds an entry at the end of a chain, or finds that another thread was faster.
#[cold]
fn append(mut link: &'static Link, entry: Entry) -> StateResult<&'static Bound> {
    let mut entry = Some(Box::new(entry));
    let schema = entry.as_ref().map_or(0, |entry| entry.schema);
    loop {
        let placed = match entry.take() {
            Some(mine) => match link.set(mine) {
                Ok(()) => link.get(),
                Err(back) => {
                    entry = Some(back);
                    link.get()
                }
            },
            None => link.get(),
        };
        match placed {
            Some(placed) if placed.schema == schema => return Ok(&placed.bound),
            Some(placed) => link = &placed.next,
            // Set above, by this thread or another one.
            None => {}
        }
    }
}
