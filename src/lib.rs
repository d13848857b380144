//! meeting-closer
pub mod meeting;
