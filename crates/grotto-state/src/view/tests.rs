//! Tests of untyped access.
