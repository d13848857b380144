//! A test for every rule and every code.

use super::*;
use crate::dingtalk::body::MAX_MESSAGE_CHARS;

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() }
}

fn verdict(status: u16, body: &str) -> Verdict {
    judge(&Exchange::Answered(answer(status, body))).verdict
}

fn code(status: u16, body: &str) -> String {
    judge(&Exchange::Answered(answer(status, body))).details.code
}

/// The eight codes of the API's page, with their status and what becomes of the row.
const DOCUMENTED: [(u16, &str, Verdict); 8] = [
    (400, "orgAccessForbidden", Verdict::Refused),
    (400, "unknownUserError", Verdict::Refused),
    (400, "paramsTitleError", Verdict::Refused),
    (400, "paramsError", Verdict::Refused),
    (400, "resourceClose", Verdict::AlreadyEnded),
    (404, "waterLimitError", Verdict::Throttled(Throttle::Second)),
    (404, "permissionError", Verdict::Refused),
    (500, "systemError", Verdict::Retry),
];

#[test]
fn each_documented_code_has_its_verdict_in_the_documented_form() {
    for (status, name, expected) in DOCUMENTED {
        let body = format!(r#"{{"code":"{name}","requestid":"R-1","message":"{name}:x"}}"#);
        let judgement = judge(&Exchange::Answered(answer(status, &body)));
        assert_eq!(judgement.verdict, expected, "{name}");
        let details = ReplyDetails {
            code: name.into(),
            http_status: Some(status),
            message: format!("{name}:x"),
            request_id: "R-1".into(),
        };
        assert_eq!(judgement.details, details);
    }
}

#[test]
fn each_documented_code_has_its_verdict_in_the_capitalised_form() {
    for (status, name, expected) in DOCUMENTED {
        let capitalised = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        for name in [name, &capitalised] {
            let body = format!(
                r#"{{"Code":"{name}","Message":"no","RequestId":"R-1","HostId":"h","Recommend":"u","AccessDeniedDetail":{{}}}}"#
            );
            let judgement = judge(&Exchange::Answered(answer(status, &body)));
            assert_eq!(judgement.verdict, expected, "{name}");
            assert_eq!(
                (judgement.details.code.as_str(), judgement.details.request_id.as_str()),
                (name, "R-1")
            );
        }
    }
}

#[test]
fn each_documented_code_has_its_verdict_as_the_cause_in_a_200() {
    for (status, name, expected) in DOCUMENTED {
        for cause in [name.to_owned(), format!("{name}: for a reason"), format!("{name}:x")] {
            let body = format!(r#"{{"code":{status},"cause":"{cause}"}}"#);
            assert_eq!(verdict(200, &body), expected, "{body}");
            assert_eq!(code(200, &body), name);
        }
    }
}

#[test]
fn closed_is_a_2xx_with_code_200_and_nothing_else() {
    for status in [200, 201, 299] {
        for body in
            [r#"{"code":200,"cause":"sucess"}"#, r#"{"code":200}"#, r#"{"code":"200","cause":"success"}"#]
        {
            assert_eq!(verdict(status, body), Verdict::Closed, "{status} {body}");
            assert_eq!(code(status, body), "200");
        }
    }
    for (status, body) in [
        (200, r#"{"code":201}"#),
        (200, r#"{"code":0}"#),
        (200, r#"{"code":null}"#),
        (200, r#"{"code":200.5}"#),
        (200, r#"{"code":true}"#),
        (200, r#"{"success":true}"#),
        (200, r#"{"cause":"success"}"#),
        (200, r#"[{"code":200}]"#),
        (200, r#"{"code":200"#),
        (200, r#"{"code":500,"cause":"success"}"#),
        (200, r#"{"errcode":0,"errmsg":"ok"}"#),
        (200, r#"{"code":200,"punish":"deny"}"#),
        (200, r#"{"code":200,"errcode":90018}"#),
        (400, r#"{"code":200,"cause":"sucess"}"#),
        (302, r#"{"code":200,"cause":"sucess"}"#),
        (500, r#"{"code":200,"cause":"sucess"}"#),
    ] {
        assert_ne!(verdict(status, body), Verdict::Closed, "{status} {body}");
    }
}

#[test]
fn a_body_with_two_codes_or_with_another_text_of_200_closes_nothing() {
    for body in [
        r#"{"code":"permissionError","code":200}"#,
        r#"{"Code":"permissionError","code":200}"#,
        r#"{"code":200,"code":200}"#,
        r#"{"code":"+200"}"#,
        r#"{"code":"0200"}"#,
    ] {
        assert_eq!(verdict(200, body), Verdict::Retry, "{body}");
    }
    assert_eq!(verdict(400, r#"{"code":"resourceClose","Code":"permissionError"}"#), Verdict::Refused);
}

#[test]
fn a_200_whose_body_is_empty_cut_off_or_unreadable_leaves_the_state_unknown() {
    for body in ["", "  ", "{", r#"{"code":200,"cau"#, "null", "[]", "{}", "success", "\u{fffd}"] {
        assert_eq!(verdict(200, body), Verdict::Retry, "{body}");
        assert_eq!(code(200, body), "unreadable_answer");
    }
    let cut = HttpAnswer { complete: false, ..answer(200, r#"{"code":200,"cause":"sucess"}"#) };
    assert_eq!(judge(&Exchange::Answered(cut)).verdict, Verdict::Retry);
}

#[test]
fn another_number_in_a_200_is_judged_by_its_cause_then_by_the_number() {
    assert_eq!(verdict(200, r#"{"code":500,"cause":"systemError"}"#), Verdict::Retry);
    assert_eq!(verdict(200, r#"{"code":503,"cause":"busy"}"#), Verdict::Retry);
    assert_eq!(verdict(200, r#"{"code":500,"cause":"permissionError: not the host"}"#), Verdict::Refused);
    assert_eq!(verdict(200, r#"{"code":400,"cause":"who knows"}"#), Verdict::Refused);
    assert_eq!(code(200, r#"{"code":400,"cause":"who knows"}"#), "400");
    assert_eq!(verdict(200, r#"{"code":400,"cause":"resourceClose"}"#), Verdict::AlreadyEnded);
}

#[test]
fn a_failure_code_in_a_200_is_judged_as_that_code() {
    assert_eq!(verdict(200, r#"{"code":"systemError","message":"x"}"#), Verdict::Retry);
    assert_eq!(verdict(200, r#"{"code":"somethingNew","message":"x"}"#), Verdict::Refused);
}

#[test]
fn the_codes_of_sibling_calls_for_an_ended_meeting_count_too() {
    for name in ["confClosed", "roomClosed"] {
        assert_eq!(verdict(400, &format!(r#"{{"code":"{name}"}}"#)), Verdict::AlreadyEnded);
    }
}

#[test]
fn a_permission_error_fails_the_row_with_400_as_with_404() {
    assert_eq!(verdict(400, r#"{"code":"permissionError"}"#), Verdict::Refused);
}

#[test]
fn a_transient_system_error_in_a_400_is_retried() {
    assert_eq!(verdict(400, r#"{"code":"system.error"}"#), Verdict::Retry);
}

#[test]
fn rates_a_second_and_a_minute_throttle() {
    for (name, throttle) in [
        ("QpsLimitForApi", Throttle::Second),
        ("QpsLimitForAppkeyAndApi", Throttle::Second),
        ("QpsLimitForSuitekeyAndOrgAndApi", Throttle::Second),
        ("QpmLimitForAppkeyAndApi", Throttle::Minute),
        ("QpmLimitForSuitekeyAndOrgAndApi", Throttle::Minute),
    ] {
        let body = format!(r#"{{"code":"Forbidden.AccessDenied.{name}","message":"x"}}"#);
        assert_eq!(verdict(403, &body), Verdict::Throttled(throttle), "{name}");
    }
}

#[test]
fn a_refusal_that_every_row_would_get_halts() {
    for name in [
        "Forbidden.AccessDenied.ApiCountLimitForOrg",
        "Forbidden.AccessDenied.AccessTokenPermissionDenied",
        "Forbidden.AccessDenied.IpNotInWhiteList",
    ] {
        assert_eq!(verdict(403, &format!(r#"{{"code":"{name}"}}"#)), Verdict::Halt, "{name}");
    }
    assert_eq!(verdict(400, r#"{"code":"AuthenticationFailed.MissingParameter"}"#), Verdict::Halt);
    assert_eq!(verdict(407, "<html>proxy</html>"), Verdict::Halt);
}

#[test]
fn a_wrong_host_or_path_halts_although_it_is_a_200() {
    let body = r#"{"errcode":404,"errmsg":"请求的URI地址不存在"}"#;
    assert_eq!(verdict(200, body), Verdict::Halt);
    assert_eq!(code(200, body), "404");
}

#[test]
fn a_refused_access_token_is_recognised_with_400_and_401() {
    for status in [400, 401] {
        assert_eq!(verdict(status, r#"{"code":"InvalidAuthentication"}"#), Verdict::TokenRefused);
    }
}

#[test]
fn a_429_throttles_with_any_body_unless_the_months_quota_is_spent() {
    for body in ["", "<html>", r#"{"code":"permissionError"}"#, r#"{"code":"x"}"#] {
        assert_eq!(verdict(429, body), Verdict::Throttled(Throttle::Second), "{body}");
    }
    let minute = r#"{"code":"Forbidden.AccessDenied.QpmLimitForAppkeyAndApi"}"#;
    assert_eq!(verdict(429, minute), Verdict::Throttled(Throttle::Minute));
    let month = r#"{"code":"Forbidden.AccessDenied.ApiCountLimitForOrg"}"#;
    assert_eq!(verdict(429, month), Verdict::Halt);
}

#[test]
fn a_ban_is_recognised_by_its_body_or_by_a_page() {
    let ban = r#"{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"u"}"#;
    for (status, body) in
        [(200, ban), (403, ban), (429, ban), (200, "<html>"), (403, " \n<!DOCTYPE html>"), (404, "<html>")]
    {
        assert_eq!(verdict(status, body), Verdict::Banned, "{status} {body}");
        assert_eq!(code(status, body), "address_banned");
    }
    assert_eq!(verdict(200, "\u{feff}<html>"), Verdict::Banned);
}

#[test]
fn a_code_that_is_not_exactly_200_leaves_the_state_unknown() {
    for body in [
        r#"{"code":"+200"}"#,
        r#"{"code":"0200","cause":"sucess"}"#,
        r#"{"code":" 200"}"#,
        r#"{"code":"200 "}"#,
        r#"{"code":"200.0"}"#,
        r#"{"code":"2e2"}"#,
        r#"{"code":200.0}"#,
        r#"{"code":200.5}"#,
        r#"{"code":true}"#,
        r#"{"code":[200]}"#,
        r#"{"code":""}"#,
        r#"{"Code":200}"#,
        r#"{"code":200,"code":200}"#,
        r#"{"code":500,"code":200}"#,
        r#"{"Code":"permissionError","code":200}"#,
        r#"{"code":400,"cause":"permissionError","cause":"resourceClose"}"#,
        r#"{"code":200,"errcode":90018}"#,
        r#"{"code":200,"errcode":"x"}"#,
    ] {
        assert_eq!(verdict(200, body), Verdict::Retry, "{body}");
        assert_eq!(code(200, body), "unreadable_answer", "{body}");
    }
    assert_eq!(verdict(200, r#"{"code":200,"errcode":0,"requestid":"a","requestid":"b"}"#), Verdict::Closed);
}

#[test]
fn a_200_in_the_body_of_another_status_is_not_the_rows_code() {
    assert_eq!(code(400, r#"{"code":200,"cause":"sucess"}"#), "http_400");
    assert_eq!(code(500, r#"{"code":"200"}"#), "http_500");
}

#[test]
fn an_errcode_of_the_older_gateway_is_judged_like_the_global_code_of_the_same_meaning() {
    let throttled = Verdict::Throttled(Throttle::Second);
    for (body, expected, name) in [
        (r#"{"errcode":90002,"errmsg":"x"}"#, throttled, "90002"),
        (r#"{"errcode":90018,"errmsg":"x"}"#, throttled, "90018"),
        (r#"{"errcode":"90019","errmsg":"x"}"#, throttled, "90019"),
        (r#"{"errcode":88,"errmsg":"x"}"#, throttled, "88"),
        (r#"{"errcode":88,"sub_code":"1"}"#, throttled, "88"),
        (r#"{"errcode":88,"sub_code":"90018"}"#, throttled, "90018"),
        (r#"{"errcode":88,"sub_code":90020}"#, Verdict::Halt, "90020"),
        (r#"{"errcode":88,"sub_code":"40014"}"#, Verdict::TokenRefused, "40014"),
        (r#"{"errcode":88,"sub_code":"60011"}"#, Verdict::Halt, "60011"),
        (r#"{"errcode":90020}"#, Verdict::Halt, "90020"),
        (r#"{"errcode":40001}"#, Verdict::TokenRefused, "40001"),
        (r#"{"errcode":40014}"#, Verdict::TokenRefused, "40014"),
        (r#"{"errcode":42001}"#, Verdict::TokenRefused, "42001"),
        (r#"{"errcode":-1}"#, Verdict::Retry, "-1"),
        (r#"{"errcode":40078}"#, Verdict::Refused, "40078"),
        (r#"{"errcode":1,"sub_code":"90018"}"#, Verdict::Refused, "1"),
        (r#"{"code":400,"cause":"90018 rows"}"#, Verdict::Refused, "400"),
    ] {
        assert_eq!(verdict(200, body), expected, "{body}");
        assert_eq!(code(200, body), name, "{body}");
    }
    assert_eq!(verdict(403, r#"{"errcode":90018}"#), throttled);
    assert_eq!(verdict(429, r#"{"errcode":90020}"#), Verdict::Halt);
}

#[test]
fn a_gateways_page_is_retried() {
    for status in [500, 502, 503, 504] {
        for body in ["<html>Bad Gateway</html>", "", "upstream", r#"{"code":"somethingNew"}"#] {
            assert_eq!(verdict(status, body), Verdict::Retry, "{status} {body}");
        }
    }
}

#[test]
fn every_status_without_a_readable_body_has_a_verdict() {
    for status in 100..=599 {
        let expected = match status {
            200..=299 | 500..=599 => Verdict::Retry,
            407 => Verdict::Halt,
            429 => Verdict::Throttled(Throttle::Second),
            _ => Verdict::Refused,
        };
        assert_eq!(verdict(status, ""), expected, "{status}");
        assert_eq!(verdict(status, "\u{0}\u{1}"), expected, "{status}");
    }
}

#[test]
fn an_unknown_refusal_fails_the_row_with_status_and_the_bodys_start() {
    let body = format!("\u{1b}[31mno such\nthing{}", "x".repeat(9_000));
    let judgement = judge(&Exchange::Answered(answer(418, &body)));
    assert_eq!(judgement.verdict, Verdict::Refused);
    assert_eq!(judgement.details.code, "http_418");
    assert!(
        judgement.details.message.contains("the body begins:  [31mno such thing"),
        "{}",
        judgement.details.message
    );
    assert_eq!(judgement.details.message.chars().count(), MAX_MESSAGE_CHARS);
    assert!(!judgement.details.message.contains(char::is_control));
}

#[test]
fn a_request_without_a_reply_is_retried_and_its_code_names_the_reason() {
    for (no_reply, verdict, code) in [
        (NoReply::Timeout, Verdict::Retry, "timeout"),
        (NoReply::Broken("reset by peer".into()), Verdict::Retry, "connection_lost"),
        (NoReply::NoConnection("refused".into()), Verdict::Unreachable, "connect_failed"),
        (NoReply::Untrusted("UnknownIssuer".into()), Verdict::Unreachable, "certificate_untrusted"),
    ] {
        let judgement = judge(&Exchange::NoReply(no_reply));
        assert_eq!((judgement.verdict, judgement.details.code.as_str()), (verdict, code));
        assert_eq!(judgement.details.http_status, None);
    }
}

#[test]
fn the_request_id_is_taken_from_the_body_else_from_the_head() {
    let id = |head: Option<&str>, body| {
        let answer = HttpAnswer { request_id: head.map(str::to_owned), ..answer(400, body) };
        judge(&Exchange::Answered(answer)).details.request_id
    };
    assert_eq!(id(Some("H"), r#"{"code":"x","requestid":"B"}"#), "B");
    assert_eq!(id(Some("H"), r#"{"code":"x"}"#), "H");
    assert_eq!(id(None, ""), "");
}

#[test]
fn a_wait_that_the_server_asks_for_is_passed_on() {
    let answer = HttpAnswer { retry_after: Some(std::time::Duration::from_secs(3)), ..answer(429, "") };
    assert_eq!(judge(&Exchange::Answered(answer)).retry_after, Some(std::time::Duration::from_secs(3)));
}
