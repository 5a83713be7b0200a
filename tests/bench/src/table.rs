//! Tables for people, beside the JSON lines for programs.

/// Renders rows in Markdown, in columns as wide as their widest cell. The first row is the head.
pub fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(column, width)| {
            let cell = row.get(column).map_or("", String::as_str);
            if column == 0 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
        });
        format!("|{}|", cells.collect::<Vec<_>>().join("|"))
    };
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| if column == 0 { "-".repeat(width + 2) } else { format!("{}:", "-".repeat(width + 1)) });
    let rule = format!("|{}|", rule.collect::<Vec<_>>().join("|"));
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1.min(lines.len()), rule);
    lines.join("\n")
}

/// Returns the middle one of what several runs measured; the lower middle of an even number.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Writes a number with three significant digits, and thousands apart.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.abs() >= 1000.0 {
        let digits = format!("{value:.0}");
        let groups: Vec<&str> = (0..digits.len())
            .filter(|at| (digits.len() - at) % 3 == 0 || *at == 0)
            .zip((1..=digits.len()).filter(|at| (digits.len() - at).is_multiple_of(3)))
            .map(|(from, to)| &digits[from..to])
            .collect();
        return groups.join(",");
    }
    let places = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.places$}")
}

/// Writes how many times better one is than another; nothing where one of them was too little to measure.
pub fn times(ratio: f64) -> String {
    if ratio.is_finite() { format!("{} ×", number(ratio)) } else { number(ratio) }
}

#[test]
fn tables_are_markdown() {
    let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "1".to_owned()]];
    assert_eq!(render(&rows), "| a    |   b |\n|------|----:|\n| long |   1 |");
}

#[test]
fn numbers_are_short() {
    let cases = [(0.5, "0.50"), (12.34, "12.3"), (123.4, "123"), (1234.0, "1,234"), (1_234_567.0, "1,234,567")];
    for (value, text) in cases {
        assert_eq!(number(value), text);
    }
    assert_eq!(number(f64::NAN), "–");
    assert_eq!([times(1.5), times(1.0 / 0.0)], ["1.50 ×", "–"]);
}

#[test]
fn the_median_is_the_one_in_the_middle() {
    assert_eq!([median([3.0, 1.0, 2.0]), median([4.0, 1.0])], [2.0, 1.0]);
    assert!(median([]).is_nan());
}
