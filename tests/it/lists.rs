//! Lists of every form, read by the real binary.

use std::collections::HashMap;

use meeting_closer::Sandbox;

use crate::support::{Closer, fast_sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn ids_reach_dingtalk_as_ids_and_what_is_no_id_does_not() {
    let ids = ["../x", "a/b", "a+c==", "$:LWCP_v1:$4Xq2", "-a@b~c.d", "607452e01401526ee39609e1"];
    let none = [
        "a?unionId=b",
        "a#b",
        "%2e%2e",
        "a b",
        "会议",
        "a&b=c",
        ";,\"'",
        "x\\y",
        "a\u{200b}b",
        "=1+1",
        "NULL",
    ];
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let mut csv = csv::Writer::from_writer(vec![]);
    csv.write_record(["conferenceId", "unionId"]).unwrap();
    for id in ids.iter().chain(&none) {
        csv.write_record([*id, &format!("host-{}", ids.len())]).unwrap();
        csv.write_record(["m1", id]).unwrap();
    }
    closer.file("list.csv", csv.into_inner().unwrap());
    let ran = closer.close().await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
    let mut reached: Vec<_> =
        sandbox.statistics().calls.into_iter().map(|call| (call.conference_id, call.union_id)).collect();
    let pairs =
        |id: &&str| [((*id).to_owned(), format!("host-{}", ids.len())), ("m1".to_owned(), (*id).to_owned())];
    let mut expected: Vec<_> = ids.iter().flat_map(pairs).collect();
    reached.sort();
    expected.sort();
    assert_eq!(reached, expected);
    let invalid = closer.audit().into_iter().filter(|row| row["outcome"] == "invalid").count();
    assert_eq!(invalid, 2 * none.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lists_than_open_files_are_one_run() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let names: Vec<String> = (0..300).map(|list| format!("{list:03}.csv")).collect();
    for name in &names {
        closer.file(name, format!("conferenceId,unionId\nm{name},u\n"));
    }
    let script = format!("ulimit -n 128 && exec {} close --dry-run *.csv", crate::support::binary());
    let ran = closer.finish(&mut closer.program("sh", &["-c", &script])).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(ran.stdout.contains("300 rows: 300 meetings to close"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_lists_and_standard_input_are_one_run_in_their_order() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file("utf8.csv", "\u{feff}会议ID;主持人\r\na;host\r\nb;host\r\n");
    let (gb18030, ..) = encoding_rs::GB18030.encode("会议ID\t主持人\nc\tzhang3\n");
    closer.file("gb.csv", &gb18030);
    let ran = closer
        .run_with_input(
            &["close", "--yes", "utf8.csv", "-", "gb.csv"],
            b"host union id,Conference ID\nhost,d\nhost,a\n",
        )
        .await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let rows: Vec<String> = closer
        .audit()
        .iter()
        .map(|row| {
            format!(
                "{}:{} {} {} {}",
                row["source"], row["line"], row["conference_id"], row["union_id"], row["outcome"]
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "utf8.csv:2 a host closed",
            "utf8.csv:3 b host closed",
            "-:2 d host closed",
            "-:3 a host duplicate",
            "gb.csv:2 c zhang3 closed",
        ]
    );
    assert!(ran.stderr.contains("reading it as GB18030"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_invalid_with_its_place_and_reason_and_the_run_continues() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file(
        "list.csv",
        "conferenceId,unionId\na,host\n,host\n6.07E+23,host\nc\n\"d\u{1}\",host\n\te,'host\n",
    );
    let ran = closer.close().await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
    let rows: Vec<String> = closer
        .audit()
        .iter()
        .map(|row| format!("{} {} {}", row["line"], row["outcome"], row["message"].replace("[sandbox] ", "")))
        .collect();
    assert_eq!(
        rows,
        [
            "2 closed sucess",
            "3 invalid column \"conferenceId\" is empty",
            "4 invalid column \"conferenceId\" is 6.07E+23, a number that a spreadsheet rounded; format the column as text in the spreadsheet, paste the ids again, and save the list again",
            "5 invalid column \"unionId\" is missing: it is column 2, and the row has 1 column; look for a missing delimiter on this line",
            "6 invalid column \"conferenceId\" contains the control character U+0001; remove the line break or invisible character from the cell",
            "7 closed sucess",
        ]
    );
    assert!(
        ran.stderr.contains("invalid row list.csv:3: column \"conferenceId\" is empty"),
        "{}",
        ran.printed()
    );
    assert_eq!(sandbox.statistics().close_calls, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_is_asked_for_once_and_an_excluded_meeting_never() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.list(["a", "vip", "a", "b", "vip"]);
    closer.file("keep.csv", "meeting id\nvip\n");
    let ran = closer.run(&["close", "--yes", "--exclude", "keep.csv", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let outcomes: Vec<_> = closer.audit().into_iter().map(|mut row| row.remove("outcome").unwrap()).collect();
    assert_eq!(outcomes, ["closed", "excluded", "duplicate", "closed", "excluded"]);
    let asked: Vec<_> = sandbox.statistics().calls.into_iter().map(|call| call.conference_id).collect();
    assert_eq!(asked.len(), 2);
    assert!(!asked.contains(&"vip".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_digits_only_gets_the_room_code_hint() {
    let closer = Closer::bare();
    closer.list(["607452e01401526ee39609e1", "42261597832"]);
    let ran = closer.run(&["close", "--dry-run", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(ran.stderr.contains("hint: 1 conference id has only digits (list.csv:3)"), "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_report_is_itself_a_list() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    closer.file("list.csv", "conferenceId,unionId\n+1+1,-host\n@x,host\n\"say=\",host\n");
    assert_eq!(closer.run(&["close", "--yes", "--run-id", "first", "list.csv"]).await.code, 0);
    let first = closer.folder.path().join("audit/first/audit.csv");
    let text = std::fs::read_to_string(&first).unwrap();
    assert!(text.contains(",'+1+1,'-host,") && text.contains(",'@x,"), "{text}");
    let ran = closer.run(&["close", "--yes", "--run-id", "second", "audit/first/audit.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    let again = crate::support::audit_of(&closer.folder.path().join("audit/second"));
    assert!(again.iter().all(|row: &HashMap<_, _>| row["outcome"] == "already_closed"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_can_name_other_columns() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox)
        .set("INPUT__CONFERENCE_ID_COLUMN", "Raum")
        .set("INPUT__UNION_ID_COLUMN", "Gastgeber");
    closer.file("list.csv", "Gastgeber,Raum\nhost,a\n");
    assert_eq!(closer.close().await.code, 0);
    assert!(sandbox.has_ended("a"));
}
