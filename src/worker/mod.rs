//! The long-running worker: it takes entries from a queue, closes their meetings, and does one run after the other.
//!
//! The `feeder` prefetches entries, and each becomes a row (`entry_row`) under a lease (`leases`). `lease_renewal` renews the
//! leases. The `settler` settles an entry once its outcome is on the disk. `run_loop` does the runs. At midnight, or when the
//! journal has grown, the next run begins (`rotation`). A run begins with its first entry, so a day without entries has no run.
//!
//! Invariant: an entry is settled only after its outcome is durable.

mod entry_row;
mod feeder;
mod join;
mod lease_renewal;
mod leases;
mod rotation;
mod run_loop;
mod settler;
#[cfg(test)]
mod tests;

#[cfg(any(test, fuzzing))]
pub(crate) use entry_row::{entry_id, entry_row};
pub(crate) use feeder::{Feeder, FeederParts};
pub(crate) use join::{join, leave, worker_name};
pub(crate) use lease_renewal::renew_leases;
pub(crate) use leases::{Leases, SharedLeases};
pub(crate) use run_loop::{PREFETCH, Worker, WorkerEnd};
pub(crate) use settler::Settler;
