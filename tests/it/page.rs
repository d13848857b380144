//! `report.html` in a real browser.

use std::path::Path;

use meeting_closer::{Hasher, Reply, Sandbox, write_reports};
use thirtyfour::prelude::*;

use crate::browser::{ask, complaints, prefer, press, show_as, with_browser, without_script};
use crate::generated_run;
use crate::support::{Closer, fast_sandbox};

/// Texts that must stay text in the page.
const HOSTILE: [&str; 4] = [
    "<script>window.stolen=1</script>",
    "\"><img src=x onerror=window.stolen=2>",
    "</script><script>window.stolen=3</script><!--<script>",
    "x'\u{2028}</template></td></style>&lt;b&gt;",
];

async fn open(browser: &WebDriver, folder: &Path) {
    browser.goto(format!("file://{}", folder.join("report.html").display())).await.unwrap();
}

/// The text of each element that matches a selector.
async fn texts(browser: &WebDriver, selector: &str) -> Vec<String> {
    ask(browser, &format!("[...document.querySelectorAll({selector:?})].map((found) => found.textContent)"))
        .await
}

async fn rows_shown(browser: &WebDriver) -> usize {
    texts(browser, "#rows tr").await.len()
}

async fn count(browser: &WebDriver) -> String {
    texts(browser, "#count").await.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_stays_text_and_the_page_can_be_searched_by_keyboard() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let closer = Closer::at(&sandbox);
    let mut list = csv::Writer::from_path(closer.folder.path().join("<b>list.csv")).unwrap();
    list.write_record(["conferenceId", "unionId"]).unwrap();
    for (place, text) in HOSTILE.iter().enumerate() {
        // Such a text is no id; its row is invalid, and the page shows it.
        list.write_record([text, text]).unwrap();
        list.write_record([&format!("h{place}"), "host"]).unwrap();
        sandbox.script(&format!("h{place}"), [Reply::failure(400, text, text)]);
    }
    for row in 0..20 {
        list.write_record([format!("m{row}"), "host".into()]).unwrap();
    }
    list.write_record(["6.07E+23", HOSTILE[0]]).unwrap();
    drop(list);
    let ran = closer.run(&["close", "--yes", "<b>list.csv"]).await;
    assert_eq!(ran.code, 1, "{}", ran.printed());
    let folder = closer.run_folder();

    with_browser(|browser| async move {
        open(&browser, &folder).await;
        // The page's own rows and the script's rows show every hostile text as text.
        let message = |text: &str| text.replace('\u{2028}', " ");
        for body in [".printed", "#rows"] {
            for field in ["conference_id", "union_id", "code", "message"] {
                let shown = texts(&browser, &format!("{body} [data-field={field}]")).await;
                for text in HOSTILE {
                    let is_it = |cell: &String| message(cell).contains(&message(text));
                    assert!(shown.iter().any(is_it), "{text} is no {field} in {body}: {shown:?}");
                }
            }
        }
        assert!(texts(&browser, "h1").await[0].contains("20 of 24 meetings ended; 4 failed."));
        // No hostile text became an element or ran, and the page's policy had nothing to refuse.
        let elements: Vec<usize> =
            ask(&browser, "['script', 'style', 'img', 'template', 'b b'].map((name) => document.querySelectorAll(name).length)")
                .await;
        assert_eq!(elements, [2, 1, 0, 1, 0]);
        let stolen: bool = ask(&browser, "'stolen' in window").await;
        assert!(!stolen);
        assert_eq!(complaints(&browser).await, Vec::<String>::new());

        // By keyboard alone: Tab leads to the search, what is typed narrows the rows, arrows choose an outcome.
        assert_eq!((rows_shown(&browser).await, &*count(&browser).await), (29, "29 of 29 rows"));
        let mut tabs = 0;
        while ask::<String>(&browser, "document.activeElement.id").await != "search" {
            press(&browser, Key::Tab).await;
            tabs += 1;
            assert!(tabs < 10, "Tab does not lead to the search");
        }
        press(&browser, "M1").await;
        assert_eq!((rows_shown(&browser).await, &*count(&browser).await), (11, "11 of 29 rows"));
        press(&browser, " <b>list.csv:21").await;
        assert_eq!(texts(&browser, "#rows [data-field=conference_id]").await, ["m11"]);
        let marked: bool = ask(&browser, "getComputedStyle(document.activeElement).outlineStyle !== 'none'").await;
        assert!(marked, "the focus is not seen");
        press(&browser, Key::Escape).await;
        assert_eq!(rows_shown(&browser).await, 29);
        press(&browser, Key::Tab).await;
        press(&browser, Key::Right).await;
        assert_eq!(ask::<String>(&browser, "document.activeElement.value").await, "attention");
        assert_eq!((rows_shown(&browser).await, &*count(&browser).await), (9, "9 of 29 rows"));
        // The script's rows say what the page's own say.
        let cells = |body: &str| {
            let selector = format!("{body} [data-field]");
            let browser = browser.clone();
            async move { texts(&browser, &selector).await }
        };
        assert_eq!(cells("tbody.printed").await, cells("#rows").await);
        assert_eq!(complaints(&browser).await, Vec::<String>::new());

        // If an element got in, the page's policy would still stop it.
        let smuggle = "document.body.append(Object.assign(document.createElement('script'), {text: 'stolen = 4'}), \
                       Object.assign(new Image(), {src: 'x.png'}))";
        ask::<serde_json::Value>(&browser, smuggle).await;
        assert!(!ask::<bool>(&browser, "'stolen' in window").await);
        let refused = complaints(&browser).await;
        let all_by_policy = refused.iter().all(|complaint| complaint.contains("Content Security Policy"));
        assert!(refused.len() == 2 && all_by_policy, "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_rows_are_searched_filtered_and_paged_through() {
    let folder = tempfile::tempdir().unwrap();
    generated_run::write(folder.path(), 50_000);
    write_reports(folder.path(), Hasher::PLAIN).unwrap();
    let run = folder.path().to_owned();
    with_browser(|browser| async move {
        open(&browser, &run).await;
        assert_eq!((rows_shown(&browser).await, &*count(&browser).await), (100, "50,000 of 50,000 rows"));
        let places = |browser: WebDriver| async move { texts(&browser, "#rows [data-field=place]").await };
        // Rows that need attention come first, in the order of the lists.
        let first = places(browser.clone()).await;
        assert_eq!(first[..4], ["evening.csv:9", "evening.csv:10", "evening.csv:1009", "evening.csv:1010"]);
        browser.find(By::Id("search")).await.unwrap().click().await.unwrap();
        press(&browser, "host0123 RESOURCECLOSE").await;
        assert_eq!(&*count(&browser).await, "0 of 50,000 rows");
        press(&browser, Key::Escape).await;
        press(&browser, "host0120 RESOURCECLOSE").await;
        assert_eq!((rows_shown(&browser).await, &*count(&browser).await), (100, "100 of 50,000 rows"));
        let expected: Vec<String> = (0..100).map(|n| format!("evening.csv:{}", n * 500 + 122)).collect();
        assert_eq!(places(browser.clone()).await, expected);
        press(&browser, Key::Escape).await;
        press(&browser, "request-00031007").await;
        assert_eq!(places(browser.clone()).await, ["evening.csv:31009"]);
        // The filter works together with the search, and the pages follow each other without a gap.
        press(&browser, Key::Escape).await;
        let choose = "document.querySelector('input[value=already_closed]').click()";
        ask::<serde_json::Value>(&browser, choose).await;
        assert_eq!(&*count(&browser).await, "5,000 of 50,000 rows");
        browser.find(By::Id("next")).await.unwrap().click().await.unwrap();
        assert_eq!(places(browser.clone()).await[0], "evening.csv:1002");
        assert_eq!(texts(&browser, "#page").await, ["Page 2 of 50"]);
        assert_eq!(complaints(&browser).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_a_dark_scheme_prints_its_failures_and_works_without_script() {
    let folder = tempfile::tempdir().unwrap();
    generated_run::write(folder.path(), 1_000);
    write_reports(folder.path(), Hasher::PLAIN).unwrap();
    let run = folder.path().to_owned();
    with_browser(|browser| async move {
        open(&browser, &run).await;
        let mut colours = vec![];
        for scheme in ["light", "dark"] {
            prefer(&browser, scheme).await;
            let of = "(selector, name) => getComputedStyle(document.querySelector(selector))[name]";
            let asked = format!(
                "(() => {{ const of = {of}; return [of('body', 'backgroundColor'), of('body', 'color'), \
                 of('.outcome-failed .fill', 'fill')]; }})()"
            );
            colours.push(ask::<Vec<String>>(&browser, &asked).await);
        }
        assert!(colours[0].iter().zip(&colours[1]).all(|(light, dark)| light != dark), "{colours:?}");
        let seen = "[...document.querySelectorAll('#search, #rows tr, tbody.printed tr, .bar, .calls, .failures li')] \
                    .filter((found) => found.getClientRects().length > 0).map((found) => found.id || found.className.baseVal \
                    || found.parentElement.id || found.parentElement.className || found.localName)";
        let on_screen: Vec<String> = ask(&browser, seen).await;
        assert!(on_screen.contains(&"search".into()) && !on_screen.contains(&"printed".into()), "{on_screen:?}");

        show_as(&browser, "print").await;
        let on_paper: Vec<String> = ask(&browser, seen).await;
        assert_eq!(on_paper, ["bar", "calls", "failures", "failures", "printed", "printed"]);
        let dark: String = ask(&browser, "getComputedStyle(document.body).color").await;
        assert_eq!(dark, colours[0][1], "paper is light");

        show_as(&browser, "screen").await;
        without_script(&browser).await;
        open(&browser, &run).await;
        let text = browser.source().await.unwrap();
        assert!(text.contains("998 of 999 meetings ended; 1 failed."));
        for there in ["h1", ".bar .outcome-failed", ".calls", ".refused", ".failures li", "tbody.printed tr"] {
            let found = browser.find(By::Css(there)).await.unwrap();
            assert!(found.rect().await.unwrap().height > 0.0, "{there}");
        }
        assert!(!browser.find(By::Id("search")).await.unwrap().is_displayed().await.unwrap());
    })
    .await;
}
