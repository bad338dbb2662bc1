//! The peers' figures as a picture: a bar for each, on a scale that multiplies, since they are far apart.

use crate::figure::Figure;
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const BAR: f64 = 22.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 190.0;
const LONGEST: f64 = 420.0;

/// One group of bars.
struct Group {
    title: &'static str,
    /// The last part of the figures' names.
    figure: &'static str,
    unit: &'static str,
}

const GROUPS: [Group; 3] = [
    Group { title: "Model calls a second, one core (more is better)", figure: "rate", unit: "/s" },
    Group { title: "Processor time of a call (less is better)", figure: "cpu", unit: " ms" },
    Group { title: "Memory after the load (less is better)", figure: "memory", unit: " MiB" },
];

const PEERS: [(&str, &str); 3] = [
    ("tenantry", "Tenantry, everything on"),
    ("portkey", "Portkey, nothing on"),
    ("litellm", "LiteLLM, nothing on"),
];

/// The picture as SVG.
pub(crate) fn svg(figures: &[Figure]) -> String {
    let (mut body, mut y) = (String::new(), 20.0);
    for Group { title, figure, unit } in GROUPS {
        let bars: Vec<_> = PEERS
            .iter()
            .filter_map(|(name, label)| {
                let id = format!("peers.{name}.{figure}");
                Some((*name, *label, figures.iter().find(|figure| figure.id() == id)?.value()))
            })
            .collect();
        let least = bars.iter().map(|(_, _, value)| *value).fold(f64::INFINITY, f64::min) / 2.0;
        let most = bars.iter().map(|(_, _, value)| *value).fold(0.0, f64::max);
        // Writing into a string cannot fail.
        let _ = writeln!(body, "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{title}</text>");
        y += 10.0;
        for (name, label, value) in bars {
            let length = LONGEST * (value / least).ln() / (most / least).ln();
            let colour = if name == "tenantry" { "#2563eb" } else { "#94a3b8" };
            let text = y + BAR * 0.68;
            let _ = writeln!(body, "<text x=\"8\" y=\"{text}\">{label}</text>");
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.0}\" height=\"{}\" fill=\"{colour}\"/>",
                BAR - 6.0
            );
            let (after, shown) = (LEFT + length + 6.0, crate::figure::short(value));
            let _ = writeln!(body, "<text x=\"{after:.0}\" y=\"{text}\">{shown}{unit}</text>");
            y += BAR;
        }
        y += 30.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}
