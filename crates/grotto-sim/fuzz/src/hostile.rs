//! Forged blobs, and what is done with them: the tests' own files. Owns nothing.

#[path = "../../../grotto-state/tests/it/hostile/forge.rs"]
pub(crate) mod forge;
#[path = "../../../grotto-state/tests/it/hostile/provoke.rs"]
pub(crate) mod provoke;
