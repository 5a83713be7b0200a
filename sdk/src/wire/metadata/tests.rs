//! Properties of metadata: however others were laid out that were read before, it says the same.
use proptest::prelude::*;

use super::*;
use crate::wire::{Buffers, ManagedFields, Scanned};

/// Says all that is read of metadata, and where it ends.
fn read(json: &str, models: &mut Models) -> Result<String, Error> {
    models.begin();
    let (mut scanner, mut fields) = (Scanner::new(json.as_bytes()), Fields::default());
    fields.scan(&mut scanner, models)?;
    Ok(format!("{fields:?} {:?} {}", fields.check(), scanner.at()))
}

fn check(json: &str, models: &mut Models) {
    assert_eq!(read(json, models), read(json, &mut Models::default()), "{json}");
}

/// What members of metadata look like, with `$` for each value.
const MEMBERS: [&str; 32] = [
    r#""name":$"#,
    r#""namespace":$"#,
    r#""uid":$"#,
    r#""resourceVersion":$"#,
    r#""generateName":$"#,
    r#""generation":$"#,
    r#""creationTimestamp":$"#,
    r#""deletionTimestamp":$"#,
    r#""na\u006de":$"#,
    r#" "name" :$"#,
    r#""":$"#,
    r#""labels":{"a":$,"b":$}"#,
    r#""labels":{"b":$,"a":$,"a":$}"#,
    r#""labels":{"":$}"#,
    r#""labels":{ "a" :$}"#,
    r#""labels":{"\u0061":$,"b":$}"#,
    r#""labels" : {"a":$ } "#,
    r#""labels":{}"#,
    r#""labels":$"#,
    r#""annotations":{"a":$,"k8s.io/initial-events-end":$}"#,
    r#""annotations":{"k8s.io\/initial-events-end":$}"#,
    r#""annotations":$"#,
    r#""finalizers":[$,$]"#,
    r#""finalizers":$"#,
    r#""ownerReferences":[{"apiVersion":$,"kind":$,"name":$,"uid":$,"controller":$,"x":$}]"#,
    r#""ownerReferences":[{"name":$,"controller":true,"uid":$},{"controller":$,"uid":$,"name":$}]"#,
    r#""ownerReferences":[{}, {"name" :$} ]"#,
    r#""ownerReferences":[$]"#,
    r#""ownerReferences":$"#,
    r#""managedFields":[{"a":$}]"#,
    r#""managedFields":$"#,
    r#""x":$"#,
];

/// Values, the first of which are what is mostly there.
const VALUES: [&str; 28] = [
    r#""a""#,
    r#""ab""#,
    r#""1795784016996400848""#,
    r#""true""#,
    "true",
    "7",
    r#""6f1c2a3e-0123-4b7d-9c1e-0123456789ab""#,
    r#""a-""#,
    r#""""#,
    r#""\u0061""#,
    r#""a\"b""#,
    r#""a\nb-""#,
    r#""grün""#,
    r#" "a""#,
    r#""a/b""#,
    r#""a text that is longer than what is looked at together, which is sixteen bytes here and sixty-four there""#,
    "null",
    "false",
    "0",
    "-1",
    "01",
    "1.5",
    "9223372036854775808",
    "[]",
    "{}",
    r#"[{"a":[null]}]"#,
    "\"\u{1}\"",
    "nul",
];

const MOSTLY: usize = 8;

fn layout() -> impl Strategy<Value = String> {
    let members = prop::collection::vec(prop::sample::select(MEMBERS.to_vec()), 0..10);
    members.prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn values() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![20 => 0..4_usize, 4 => 0..MOSTLY, 1 => 0..VALUES.len()], 50)
}

fn filled(layout: &str, values: &[usize]) -> String {
    let mut values = values.iter().map(|value| VALUES[*value]).cycle();
    layout.split_inclusive('$').map(|part| part.replace('$', values.next().unwrap_or_default())).collect()
}

fn damaged(mut text: String, at: usize, how: usize, with: char) -> String {
    if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
        let with = with.to_string();
        text.replace_range(at..at + how.min(1), if how == 1 { "" } else { &with });
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_metadata_says_the_same_however_others_were_laid_out(
        layouts in prop::collection::vec(layout(), 1..4),
        objects in prop::collection::vec((any::<prop::sample::Index>(), values()), 1..12),
    ) {
        let mut models = Models::learning();
        for (layout, values) in &objects {
            check(&filled(&layouts[layout.index(layouts.len())], values), &mut models);
        }
    }

    #[test]
    fn what_is_damaged_says_the_same_however_others_were_laid_out(
        layout in layout(), values in values(),
        damages in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..3_usize, prop::sample::select("{}[],:\"\\nt0-.e \n\0\u{7f}ü1a".chars().collect::<Vec<_>>())), 1..20,
        ),
    ) {
        let mut models = Models::learning();
        let text = filled(&layout, &values);
        check(&text, &mut models);
        for (at, how, with) in damages {
            check(&damaged(text.clone(), at.index(text.len()), how, with), &mut models);
        }
    }
}

/// Returns how many of these are read as ones before them were.
fn followed(texts: impl Iterator<Item = String>) -> usize {
    let mut models = Models::learning();
    let read = |text: String| {
        check(&text, &mut models);
        models.begin();
        let (mut scanner, mut fields) = (Scanner::new(text.as_bytes()), Fields::default());
        usize::from(fields.follow(&mut scanner, &mut models) == Ok(true))
    };
    texts.map(read).sum()
}

#[test]
fn what_is_laid_out_as_others_is_read_as_they_were() {
    let pod = |number: usize| {
        format!(
            r#"{{"name":"a-{number}","generateName":"a-","uid":"{number}","generation":{number},"labels":{{"a":"{number}","b":""}},"annotations":{{"c":"{number}"}},"finalizers":["a{number}"],"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"a","uid":"{number}","controller":true}}],"managedFields":[{{"a":{number}}}]}}"#
        )
    };
    assert_eq!(followed((0..100).map(pod)), 100);
    // Each layout is learned in the end, as what is known pays for it.
    let odd = |number: usize| pod(number).replace(r#""b""#, &format!(r#""b{}""#, number * number % 7));
    assert!(followed((0..500).map(odd)) > 400);
    let escaped = |number: usize| pod(number).replace(r#""name":"a-"#, r#""name":"\u0061-"#);
    assert_eq!(followed((0..100).map(escaped)), 0);
}

#[test]
fn only_what_the_head_says_is_marked() {
    let check = |json: &str, marked: &[&str]| {
        // Member by member, and as what was read before.
        let mut models = Models::learning();
        for _ in 0..2 {
            let object = format!(r#"{{"metadata":{json}}}"#);
            let scanned = Scanned::parse_by(object.as_bytes(), &mut models).unwrap();
            let object = scanned.to_object(ManagedFields::Drop, &mut Buffers::exact()).unwrap();
            let text = |place: Range<usize>| String::from_utf8_lossy(&object.json()[place]).into_owned();
            assert_eq!(object.marks().map(|(place, _)| text(place)).collect::<Vec<_>>(), marked, "{json}");
        }
    };
    let (name, labels) = (r#""name":"a""#, r#""labels":{"a":"b","c":""}"#);
    check(&format!("{{{name},{labels}}}"), &[name, labels]);
    check(&format!("{{{labels},{name},{labels}}}"), &[name]);
    check(&format!("{{{labels},{name},\"labels\":null}}"), &[name]);
    check(r#"{"labels":{"":""},"name":"a","labels":{      "b":"c"}}"#, &[name]);
    check(&format!("{{\"labels\":{{}},{name},{labels}}}"), &[name, labels]);
    check(r#"{"name":"a","name" :"a"}"#, &[]);
    check(r#"{"name":"a","labels":{"c":"","a":"b"}}"#, &[name]);
    let owner =
        |name: &str, controller: bool| format!(r#"{{"name":"{name}","uid":"u{name}","controller":{controller}}}"#);
    let owners =
        |owners: [String; 3]| format!(r#"{{"generateName":"x-",{name},"ownerReferences":[{}]}}"#, owners.join(","));
    let of_x = [r#""generateName":"x-""#, name, r#""name":"x""#, r#""uid":"ux""#];
    check(&owners([owner("w", false), owner("x", true), owner("y", true)]), &of_x);
    check(&owners([owner("w", true), owner("x", true), owner("y", true)]), &[name, r#""name":"w""#, r#""uid":"uw""#]);
    check(&owners([owner("x", false), owner("x", false), owner("y", false)]), &[name]);
}
