//! The page's style and script. The page's policy names both by their digests.

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
