//! The parts of a workbook. Random bytes hardly ever make a workbook with other cells, because its parts are compressed and have
//! checksums. So here the input holds the parts, and this module packs them.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::workbook;

/// Between two parts of an input.
const SEPARATOR: &[u8] = b"\n---\n";

/// The parts, in the order in which an input holds them.
const PARTS: [&str; 4] =
    ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"];

const WORKBOOK: &[u8] = br#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const CONTENT_TYPES: &[u8] =
    br#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
const ROOT: &[u8] = br#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const RELATIONS: &[u8] = br#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/><Relationship Id="rId3" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#;

/// The bytes as the parts of a workbook: its sheet, its texts, its formats, its index.
pub fn sheet(bytes: &[u8]) {
    workbook(&packed(bytes));
}

fn packed(mut rest: &[u8]) -> Vec<u8> {
    let mut parts = vec![
        ("[Content_Types].xml", CONTENT_TYPES),
        ("_rels/.rels", ROOT),
        ("xl/_rels/workbook.xml.rels", RELATIONS),
    ];
    let mut names = PARTS.into_iter();
    for name in names.by_ref() {
        let end = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        parts.push((name, &rest[..end.unwrap_or(rest.len())]));
        match end {
            Some(end) => rest = &rest[end + SEPARATOR.len()..],
            None => break,
        }
    }
    if names.any(|name| name == "xl/workbook.xml") {
        parts.push(("xl/workbook.xml", WORKBOOK));
    }
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in parts {
        zip.start_file(name, stored).expect("a part can be packed");
        zip.write_all(content).expect("a part can be packed");
    }
    zip.finish().expect("a workbook can be packed").into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::file;
    use crate::lists::Lists;
    use crate::settings::InputSettings;

    #[test]
    fn the_parts_of_an_input_make_a_workbook_with_rows() {
        for name in ["kinds", "shared-texts"] {
            let parts = std::fs::read(format!("fuzz/corpus/sheet/{name}")).unwrap();
            let path = file("packed.xlsx", &packed(&parts));
            let lists = Lists::open(&[path], &InputSettings::default()).unwrap();
            assert!(lists.rows().all(|row| row.is_ok()) && lists.rows().count() > 0, "{name}");
        }
    }
}
