//! Lines of today and of earlier days are read, and the table divides the right way.
use super::{Answering, Encoding, Line, table};

fn line(text: &str) -> Line {
    let rest = r#""seed":1,"objects":2,"rss_bytes_after_sync":0,"rss_bytes_peak":0,"events_delivered":0,"rss_bytes_settled":0,"rss_bytes_after_events":0,"rss_bytes_peak_of_all":0}"#;
    serde_json::from_str(&format!("{{{text},{rest}")).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_line_without_encoding_and_server_is_one_over_json_from_prepared_objects() {
    let old = line(r#""peer":"client-go","kind":"pods","strategy":"list","sync_seconds":1.0,"events_per_second":0.0"#);
    assert_eq!((old.record.encoding, old.server, old.handlers), (Encoding::Json, Answering::Prepared, 1));
}

#[test]
fn ratios_say_how_many_times_better_ours_are_and_what_nobody_measured_has_no_column() {
    let lines = [
        ("kubewright", "json", "stream", 2.0, 10.0),
        ("kubewright", "json", "list", 4.0, 30.0),
        ("client-go", "protobuf", "stream", 6.0, 5.0),
        ("client-go", "protobuf", "list", 1.0, 3.0),
    ];
    let lines = lines.map(|(peer, encoding, strategy, sync, events)| {
        line(&format!(
            r#""peer":"{peer}","encoding":"{encoding}","kind":"pods","strategy":"{strategy}","sync_seconds":{sync},"events_per_second":{events}"#
        ))
    });
    let rendered = table(&lines);
    let cells = |row: &str| row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ");
    let rows: Vec<String> = rendered.lines().map(cells).collect();
    assert_eq!(rows[0], "strategy sync s events/s");
    let expected = [
        "better than client-go, protobuf stream 3.00 × 2.00 ×",
        "better than client-go, protobuf list 0.25 × 10.0 ×",
        "better than client-go, protobuf best 0.50 × 6.00 ×",
    ];
    assert_eq!(rows[6..], expected);
}

#[test]
fn the_middle_one_of_several_runs_counts() {
    let runs = [3.0, 1.0, 2.0].map(|sync| {
        line(&format!(
            r#""peer":"kube-rs","kind":"pods","strategy":"list","sync_seconds":{sync},"events_per_second":0.0"#
        ))
    });
    let rendered = table(&runs);
    assert_eq!(rendered.lines().nth(2).map(|row| row.contains(" 2.00 ")), Some(true), "{rendered}");
}
