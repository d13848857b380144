//! The pace against simulated servers, hours of them in milliseconds.

mod seeds;
mod server;
mod simulation;
mod table;
