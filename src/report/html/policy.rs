//! What the page's own policy allows: our style and our script, known by their digests, and nothing else.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};

/// The Content-Security-Policy for a page with these two texts between its tags.
pub(super) fn of(style: &str, script: &str) -> String {
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
    use crate::report::html::{SCRIPT, STYLE};

    #[test]
    fn a_text_is_allowed_by_its_digest() {
        // The example of the policy's specification.
        assert_eq!(
            source("alert('Hello, world.');"),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }

    #[test]
    fn nothing_is_allowed_as_unsafe_or_by_its_place() {
        let policy = of(STYLE, SCRIPT);
        for word in ["unsafe", "*", "http", "data:", "self"] {
            assert!(!policy.contains(word), "{word} in {policy}");
        }
        assert!(policy.starts_with("default-src 'none'; "));
    }

    #[test]
    fn no_text_ends_its_own_tag() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        assert!(
            !STYLE.contains('\r') && !SCRIPT.contains('\r'),
            "a page's line breaks are LF when digests are taken"
        );
    }
}
