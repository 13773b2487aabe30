//! Work on several threads at a time.
//!
//! Owns: waiting for all of them. Never: decides how many are worth it; callers know what their work costs.

/// Does `work` with each item on a thread of its own, the first on this one. Gives results in the order of
/// the items.
pub(crate) fn side_by_side<I: Send, T: Send>(
    items: Vec<I>,
    work: impl Fn(usize, I) -> T + Sync,
) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let mut items = items.into_iter().enumerate();
        let first = items.next();
        let others: Vec<_> = items
            .map(|(part, item)| scope.spawn(move || work(part, item)))
            .collect();
        let mut done: Vec<T> = first
            .map(|(part, item)| work(part, item))
            .into_iter()
            .collect();
        for other in others {
            match other.join() {
                Ok(part) => done.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
