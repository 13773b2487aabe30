//! The start-up probe: does this store really refuse a second create?
//!
//! Owns: the proof. Never: trusts a vendor's word; some stores ignore the condition, others check
//! and then write.

use bytes::Bytes;
use object_store::path::Path;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::object::Created;

/// Creates that race for one object.
const RACERS: usize = 4;
/// Races: one that checks before it writes may win one by luck.
const RACES: usize = 2;
/// A probe's body is short.
const MAX_BODY_BYTES: u64 = 256;

/// Fails with `Invalid` if the store lets two creates of one object succeed.
pub(super) async fn prove_fencing(dataset: &Dataset) -> Result<()> {
    dataset
        .store
        .writing(|| async {
            prove_refusal(dataset).await?;
            for _ in 0..RACES {
                prove_race(dataset).await?;
            }
            Ok(())
        })
        .await
}

/// One after the other: the second must be refused and leave the first as it was.
async fn prove_refusal(dataset: &Dataset) -> Result<()> {
    let path = fresh_path(dataset);
    let proof = async {
        let (first, second) = (body(dataset), body(dataset));
        dataset.store.create(&path, first.clone()).await?;
        let answer = dataset.store.create(&path, second).await?;
        let found = dataset.store.get(&path, MAX_BODY_BYTES).await?;
        match (answer, found) {
            (_, None) => Err(Error::unavailable(format!(
                "probe {path} was created and cannot be read back"
            ))),
            (Created::Exists, Some(found)) if found == first => Ok(()),
            _ => Err(unfenced("the second of two creates succeeded")),
        }
    };
    tidy_up(dataset, &path, proof.await).await
}

/// All at once: at most one may be told that it won, and then its bytes must be there. None may be
/// told so if the client tried again after a success.
async fn prove_race(dataset: &Dataset) -> Result<()> {
    let path = fresh_path(dataset);
    let proof = async {
        let bodies: Vec<Bytes> = (0..RACERS).map(|_| body(dataset)).collect();
        let creates = bodies
            .iter()
            .map(|body| dataset.store.create(&path, body.clone()));
        let answers = futures::future::join_all(creates).await;
        let told: Vec<&Bytes> = bodies
            .iter()
            .zip(&answers)
            .filter_map(|(body, answer)| matches!(answer, Ok(Created::New)).then_some(body))
            .collect();
        if told.len() > 1 {
            let winners = told.len();
            return Err(unfenced(&format!(
                "{winners} of {RACERS} racing creates succeeded"
            )));
        }
        // An error leaves open what happened to that racer, so that the race proves nothing.
        answers.into_iter().collect::<Result<Vec<Created>>>()?;
        let found = dataset.store.get(&path, MAX_BODY_BYTES).await?;
        let fits = |found: &Bytes| match told.first() {
            Some(winner) => *winner == found,
            None => bodies.contains(found),
        };
        match found {
            Some(found) if fits(&found) => Ok(()),
            Some(_) => Err(unfenced("the winner of a race was overwritten")),
            None => Err(Error::unavailable(format!(
                "the race for {path} left nothing"
            ))),
        }
    };
    tidy_up(dataset, &path, proof.await).await
}

fn fresh_path(dataset: &Dataset) -> Path {
    let nonce = dataset.store.env().random.nonce();
    dataset.layout.probe(&nonce)
}

fn body(dataset: &Dataset) -> Bytes {
    Bytes::from(dataset.store.env().random.nonce())
}

async fn tidy_up(dataset: &Dataset, path: &Path, proof: Result<()>) -> Result<()> {
    if let Err(error) = dataset.store.delete(path).await {
        tracing::warn!(%error, %path, "cannot remove a probe object");
    }
    proof
}

fn unfenced(what: &str) -> Error {
    Error::invalid(format!(
        "this store cannot keep two writers apart ({what}): use a store with create-if-absent, or \
         allow unfenced writing where one writer is certain by construction"
    ))
}
