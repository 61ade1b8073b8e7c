//! What tests share, and tests that no single module owns: the rules on the whole tree.
//!
//! Never part of the library.

mod citations;
mod fake_pipes;
mod layering;
mod mesh;
mod source;
mod tidy;

pub use fake_pipes::FakePipes;
