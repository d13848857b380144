//! The pace against simulated servers, hours of them in milliseconds.

mod fleet;
mod seeds;
mod server;
mod simulation;
mod table;
