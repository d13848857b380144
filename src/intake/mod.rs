//! stub
use crate::meeting::*;
#[derive(Debug)]
pub enum Entry {
    Ready { origin: Origin, request: CloseRequest },
    Invalid { origin: Origin, cells: Cells, problem: InvalidRow },
    Duplicate { origin: Origin, request: CloseRequest },
    Excluded { origin: Origin, request: CloseRequest },
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct IntakeError;
