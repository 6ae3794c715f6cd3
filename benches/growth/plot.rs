//! The table's figures as a picture: small charts, both scales logarithmic, in SVG.

use std::fmt::Write;

/// One chart.
pub struct Chart {
    pub title: String,
    pub unit: &'static str,
    /// Lines by name: figures by size.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 250.0;
const COLUMNS: usize = 2;
/// Around a chart: left for figures, below for sizes and names.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
const ROW: f64 = 15.0;
const COLOURS: [&str; 5] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df"];

/// All charts in one picture.
pub fn draw(charts: &[Chart]) -> String {
    let rows = charts.len().div_ceil(COLUMNS);
    let names = charts.iter().map(|chart| chart.lines.len()).max().unwrap_or_default();
    let height = HEIGHT + ROW * names as f64;
    let (width, total) = (WIDTH * COLUMNS as f64, height * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {total}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{width}\" height=\"{total}\" fill=\"#ffffff\"/>\n"
    );
    for (place, chart) in charts.iter().enumerate() {
        let (x, y) = ((place % COLUMNS) as f64 * WIDTH, (place / COLUMNS) as f64 * height);
        put(&mut svg, format_args!("<g transform=\"translate({x} {y})\">"));
        draw_chart(&mut svg, chart);
        put(&mut svg, format_args!("</g>"));
    }
    svg + "</svg>\n"
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("a string takes it");
}

/// Powers of ten around some figures.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(figures: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logs: Vec<f64> = figures.filter(|figure| *figure > 0.0).map(f64::log10).collect();
        let low = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        if logs.is_empty() {
            return Self { low: 0.0, high: 1.0, from, to };
        }
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn at(&self, figure: f64) -> f64 {
        let share = (figure.max(1e-9).log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        #[expect(clippy::cast_possible_truncation, reason = "few powers of ten")]
        let powers = self.low as i32..=self.high as i32;
        powers.map(|power| 10f64.powi(power)).collect()
    }
}

fn draw_chart(svg: &mut String, chart: &Chart) {
    let points = || chart.lines.iter().flat_map(|(_, points)| points);
    let across = Scale::new(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let up = Scale::new(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let (title, unit) = (&chart.title, chart.unit);
    put(
        svg,
        format_args!("<text x=\"{LEFT}\" y=\"18\" font-weight=\"bold\">{title}, {unit}</text>"),
    );
    for tick in up.ticks() {
        let (y, right) = (up.at(tick), WIDTH - RIGHT);
        put(svg, format_args!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#d8dee4\"/>"));
        let (x, y, label) = (LEFT - 6.0, y + 4.0, short(tick));
        put(svg, format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>"));
    }
    for tick in across.ticks() {
        let (x, y, label) = (across.at(tick), HEIGHT - BOTTOM + 16.0, short(tick));
        put(
            svg,
            format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>"),
        );
    }
    for (place, (name, points)) in chart.lines.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let at = |point: &(f64, f64)| format!("{:.1},{:.1}", across.at(point.0), up.at(point.1));
        let path: Vec<String> = points.iter().map(at).collect();
        let path = path.join(" ");
        put(
            svg,
            format_args!(
                "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            ),
        );
        for (x, y) in points {
            let (x, y) = (across.at(*x), up.at(*y));
            put(
                svg,
                format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"),
            );
        }
        let y = HEIGHT + ROW * place as f64;
        let (x, below) = (LEFT + 14.0, y - 9.0);
        put(
            svg,
            format_args!(
                "<rect x=\"{LEFT}\" y=\"{below}\" width=\"9\" height=\"9\" fill=\"{colour}\"/>"
            ),
        );
        put(svg, format_args!("<text x=\"{x}\" y=\"{y}\">{name}</text>"));
    }
}

fn short(figure: f64) -> String {
    match figure {
        f if f >= 1e6 => format!("{} M", f / 1e6),
        f if f >= 1e3 => format!("{} k", f / 1e3),
        f => format!("{}", (f * 1e6).round() / 1e6),
    }
}
