//! Integration tests of the state. Owns nothing.
mod model;
mod engine;
mod hostile;
