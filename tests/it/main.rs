//! meeting-closer as its users have it: the real binary, real sockets, a real clock.

mod python_sdk;
mod support;
