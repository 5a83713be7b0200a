//! Plots as SVG: panels side by side, both axes logarithmic, as growth is read from slopes there.
use std::fmt::Write as _;

/// One line of a panel.
#[derive(Clone, Debug)]
pub struct Series {
    /// Stands at its end.
    pub name: &'static str,
    /// In the order of x; all above zero.
    pub points: Vec<(f64, f64)>,
}

/// One pair of axes.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What y is, with its unit.
    pub title: String,
    /// Its lines.
    pub series: Vec<Series>,
}

/// Size of the drawing within the axes, and what is left around it.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 80.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 66.0;

/// Colours that can be told apart by everybody (Okabe and Ito), on light ground and on dark.
const COLOURS: [&str; 4] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"];

/// Draws the panels in a row.
pub fn render(panels: &[Panel], x: &str, note: &str) -> String {
    let (width, height) = (panels.len() as f64 * (LEFT + WIDTH + RIGHT), TOP + HEIGHT + BOTTOM);
    let mut svg = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#333">
<rect width="{width}" height="{height}" fill="#fff"/>"##
    );
    for (at, panel) in panels.iter().enumerate() {
        let _ = writeln!(svg, r#"<g transform="translate({} {TOP})">"#, at as f64 * (LEFT + WIDTH + RIGHT) + LEFT);
        draw(&mut svg, panel, x);
        svg.push_str("</g>\n");
    }
    let _ = writeln!(svg, r##"<text x="{LEFT}" y="{}" font-size="10" fill="#666">{note}</text>"##, height - 8.0);
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel, x: &str) {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let across = Axis::over(points().map(|(x, _)| *x), WIDTH);
    let up = Axis::over(points().map(|(_, y)| *y), HEIGHT);
    let _ = writeln!(svg, r#"<text x="0" y="-16" font-weight="bold">{}</text>"#, panel.title);
    for (value, place) in across.ticks() {
        let _ = writeln!(
            svg,
            r##"<path d="M{place:.1} 0V{HEIGHT}" stroke="#e5e5e5"/><text x="{place:.1}" y="{}" text-anchor="middle">{}</text>"##,
            HEIGHT + 16.0,
            label(value)
        );
    }
    for (value, place) in up.ticks() {
        let y = HEIGHT - place;
        let _ = writeln!(
            svg,
            r##"<path d="M0 {y:.1}H{WIDTH}" stroke="#e5e5e5"/><text x="-6" y="{:.1}" text-anchor="end">{}</text>"##,
            y + 4.0,
            label(value)
        );
    }
    let _ = writeln!(svg, r##"<path d="M0 0V{HEIGHT}H{WIDTH}" stroke="#333" fill="none"/>"##);
    let _ = writeln!(svg, r#"<text x="{}" y="{}" text-anchor="middle">{x}</text>"#, WIDTH / 2.0, HEIGHT + 34.0);
    for (series, colour) in panel.series.iter().zip(COLOURS.iter().cycle()) {
        let place = |(x, y): &(f64, f64)| (across.place(*x), HEIGHT - up.place(*y));
        let path: Vec<String> = series.points.iter().map(place).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = writeln!(svg, r#"<path d="M{}" stroke="{colour}" stroke-width="2" fill="none"/>"#, path.join("L"));
        for (x, y) in series.points.iter().map(place) {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
        }
        if let Some((x, y)) = series.points.last().map(place) {
            let _ =
                writeln!(svg, r#"<text x="{:.1}" y="{:.1}" fill="{colour}">{}</text>"#, x + 7.0, y + 4.0, series.name);
        }
    }
}

/// A logarithmic axis over whole powers of ten.
struct Axis {
    low: f64,
    high: f64,
    length: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, length: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil();
        if low.is_finite() && high.is_finite() {
            Self { low, high: high.max(low + 1.0), length }
        } else {
            Self { low: 0.0, high: 1.0, length }
        }
    }

    fn place(&self, value: f64) -> f64 {
        (value.log10() - self.low) / (self.high - self.low) * self.length
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, f64)> {
        let powers = (self.low as i32)..=(self.high as i32);
        powers.map(|power| 10_f64.powi(power)).map(|value| (value, self.place(value)))
    }
}

fn label(value: f64) -> String {
    if value >= 1e6 {
        format!("{}M", value / 1e6)
    } else if value >= 1e3 {
        format!("{}k", value / 1e3)
    } else {
        format!("{value}")
    }
}

#[test]
fn an_axis_reaches_over_whole_powers_of_ten() {
    let axis = Axis::over([0.5, 120.0].into_iter(), 400.0);
    let ticks: Vec<(String, f64)> = axis.ticks().map(|(value, place)| (label(value), place)).collect();
    let expected = [("0.1", 0.0), ("1", 100.0), ("10", 200.0), ("100", 300.0), ("1k", 400.0)];
    assert_eq!(ticks, expected.map(|(label, place)| (label.to_owned(), place)));
}

#[test]
fn every_point_is_drawn() {
    let series = Series { name: "a", points: vec![(1.0, 1.0), (10.0, 10.0)] };
    let svg = render(&[Panel { title: "t".to_owned(), series: vec![series] }], "x", "n");
    assert!(svg.contains(r#"d="M0.0 220.0L300.0 0.0""#), "{svg}");
    assert_eq!(svg.matches("<circle").count(), 2);
}
