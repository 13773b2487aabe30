//! Integration tests of the formats: published vectors, the numbers of the specification, and
//! bytes that mean harm. Owns nothing.

mod reader;
mod robust;
mod spec;
mod vectors;
