//! What tests share, and tests that no single module owns: the rules on the whole tree.
//!
//! Never part of the library.

mod alone;
mod circles;
mod citations;
mod design;
mod fake_host;
mod fake_pipes;
mod fuzz;
mod layering;
mod mesh;
mod ordering;
mod paths;
mod source;
mod tidy;

pub use alone::is_alone;
pub use fake_host::{FakeSocket, Pipe, Traits, Watched};
pub use fake_pipes::{FakePipes, MANY, Memory, in_disorder};
