//! What a user can get wrong: the exit code, and every word of the answer.

use crate::support::Closer;

/// Runs with these files and arguments; everything that came of it.
async fn refused(files: &[(&str, &[u8])], arguments: &[&str]) -> String {
    let closer = Closer::bare();
    for (name, content) in files {
        closer.file(name, content);
    }
    let ran = closer.run(arguments).await;
    assert!(closer.run_folders().is_empty(), "{}", ran.said());
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.said());
    ran.stderr
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_with_what_it_is() {
    for (content, expected) in [
        (
            b"".as_slice(),
            "error: l.csv: it is empty, and a header row with at least the two columns is expected\n",
        ),
        (
            b"PK\x03\x04\0\0",
            "error: l.csv: it is an Excel workbook (.xlsx), and a CSV file is expected\n\
             hint: name the file so that it ends in .xlsx, or in Excel, save it as \"CSV UTF-8 (comma delimited)\"\n",
        ),
        (b"\x89PNG\0\0\x0d", "error: l.csv: it is no text, and a CSV file is expected\n"),
        (
            b"name,host\nx,y\n",
            "error: l.csv:1: no column for the conference id: found \"name\", \"host\", looked for conferenceId, \
             conference_id, conf_id, meeting id, \u{4f1a}\u{8bae}ID\n\
             hint: the header row names the columns; set input.conference_id_column if yours has another name\n",
        ),
        (
            b"conferenceId\nx\n",
            "error: l.csv:1: no column for the union id: found \"conferenceId\", looked for unionId, union_id, host union \
             id, host, \u{4e3b}\u{6301}\u{4eba}unionId, \u{4e3b}\u{6301}\u{4eba}\n\
             hint: the header row names the columns; set input.union_id_column if yours has another name\n",
        ),
        (
            b"conferenceId,unionId,title\na,b,\"x\nc,d,\"y\"\n",
            "error: l.csv:2: a quote that is opened in this row is not closed in it\n\
             hint: close the quote, or double it where it belongs to the text\n",
        ),
    ] {
        assert_eq!(refused(&[("l.csv", content)], &["close", "--sandbox", "l.csv"]).await, expected);
    }
    assert_eq!(
        refused(&[], &["close", "--sandbox", "nowhere.csv"]).await,
        "error: nowhere.csv: there is no such file\n"
    );
    assert_eq!(
        refused(&[], &["close", "--sandbox", "."]).await,
        "error: .: it is a directory, and a CSV file is expected\n"
    );
}

#[tokio::test]
async fn an_exclusion_that_cannot_be_read_is_refused_for_what_it_might_close() {
    let files = [("l.csv", b"conf_id,host\na,u\n".as_slice()), ("keep.csv", b"conf_id\n6.07E+23\n")];
    assert_eq!(
        refused(&files, &["close", "--sandbox", "--exclude", "keep.csv", "l.csv"]).await,
        "error: keep.csv:2: column \"conf_id\" is a number that a spreadsheet has rounded: 6.07E+23, and every exclusion \
         must be readable\n\
         hint: format the column as text in the spreadsheet, paste the ids again and save once more\n"
    );
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_refused_with_the_key() {
    const KEYS: &str = "hint: config/default.toml lists every key with what it means; --config and the environment use \
                        the same names\n";
    let list = ("l.csv", b"conf_id,host\na,u\n".as_slice());
    let close = ["close", "--yes", "--config", "c.toml", "l.csv"];
    for (config, expected) in [
        ("[pace]\nburst = 0\n", format!("error: pace.burst is 0: a whole number from 1 is expected\n{KEYS}")),
        (
            "[dingtalk]\nbase_url = \"http://api.dingtalk.io\"\n",
            format!(
                "error: dingtalk.base_url is \"http://api.dingtalk.io\": http is for loopback alone; the access token \
                 would cross the network in the clear\n{KEYS}"
            ),
        ),
        (
            "[dingtalk]\napp_secret = \"hunter2\napp_key = 1\n",
            "error: the configuration file c.toml, line 2, is not TOML: invalid basic string, expected `\"`\n\
             hint: values are written in TOML: text in double quotes, numbers without\n"
                .to_owned(),
        ),
        (
            "[dingtalk]\napp_key = \"k\"\n",
            "error: dingtalk.app_secret is not set, and auth = \"internal_app\" needs it\n\
             hint: set dingtalk.app_secret in the configuration file, or MEETING_CLOSER__DINGTALK__APP_SECRET in the \
             environment\n"
                .to_owned(),
        ),
        (
            "[dingtalk]\napp_key = \"k\"\napp_secret = \"hunter2\"\napp_secret_file = \"s\"\n",
            "error: dingtalk.app_secret and dingtalk.app_secret_file are both set\n\
             hint: keep dingtalk.app_secret_file and remove dingtalk.app_secret\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(&[list, ("c.toml", config.as_bytes())], &close).await, expected);
    }
    let unknown = refused(&[list, ("c.toml", b"[pace]\nrqs = 18\n")], &close).await;
    assert!(unknown.contains("pace") && unknown.contains("`rqs`"), "{unknown}");
}

#[tokio::test]
async fn wrong_options_are_refused_by_name() {
    let said = refused(&[], &["close", "--sandbox"]).await;
    assert!(said.contains("<INPUT>..."), "{said}");
    let said = refused(&[], &["sandbox", "--fault", "oops=1"]).await;
    assert!(said.contains("there is no fault \"oops\"; there are systemError, waterLimitError"), "{said}");
    let list = ("l.csv", b"conf_id,host\na,u\n".as_slice());
    let said = refused(&[list], &["close", "--sandbox", "--rate", "0", "l.csv"]).await;
    assert!(said.starts_with("error: pace.requests_per_second is 0: "), "{said}");
    let said = refused(&[list], &["close", "--sandbox", "--deadline", "soon", "l.csv"]).await;
    assert!(said.starts_with("error: guard.deadline is \"soon\": a duration such as"), "{said}");
}
