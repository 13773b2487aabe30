//! Integration tests of the state. Owns nothing.
mod model;
mod churn;
mod engine;
mod hostile;
mod vectors;
mod emptied;
