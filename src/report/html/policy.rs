//! The page's own Content-Security-Policy.
//!
//! Invariant: the policy allows our style and our script, named by their digests, and nothing else.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};

/// The policy of a page with this text between its `style` tags, and this one between its `script` tags.
pub(super) fn content_security_policy(style: &str, script: &str) -> String {
    format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        source(style),
        source(script)
    )
}

fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::assets::{SCRIPT, STYLE};

    #[test]
    fn the_policy_names_a_text_by_its_digest() {
        // The example in the policy's specification.
        assert_eq!(
            source("alert('Hello, world.');"),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }

    #[test]
    fn the_policy_allows_no_unsafe_source_and_no_address() {
        let policy = content_security_policy(STYLE, SCRIPT);
        for word in ["unsafe", "*", "http", "data:", "self"] {
            assert!(!policy.contains(word), "{word} in {policy}");
        }
        assert!(policy.starts_with("default-src 'none'; "));
    }

    #[test]
    fn neither_the_style_nor_the_script_ends_its_own_tag() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        assert!(
            !STYLE.contains('\r') && !SCRIPT.contains('\r'),
            "a browser computes the digests over LF line breaks"
        );
    }
}
