//! The pace against simulated servers: hours of simulated time in milliseconds.

mod fleet;
mod seeds;
mod server;
mod simulation;
mod table;
