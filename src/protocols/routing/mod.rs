//! The parts that machines are made of: whose turn it is.

mod distributor;
mod fair_queue;
mod inbox;
mod latest;
mod load_balancer;
mod priorities;

pub use distributor::Distributor;
pub use fair_queue::FairQueue;
pub use inbox::Inbox;
pub use latest::Latest;
pub use load_balancer::LoadBalancer;
pub use priorities::{Priority, Rings};
