//! One SVG for each suite: bars side by side, labelled, on white so that it reads in light and dark.

use super::panels::{PANELS, Panel};
use super::show;
use crate::args::Suite;
use crate::rows::{Row, Rows, Side};
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const WIDTH: i32 = 960;
/// Where bars begin: the titles of rows are left of it.
const LEFT: i32 = 440;
/// Where the longest bar ends: its value is right of it.
const RIGHT: i32 = 850;
const HEAD: i32 = 40;
const BAR: i32 = 24;
/// From this factor between the longest and the shortest on, the scale is logarithmic.
const SPREAD: f64 = 30.0;

/// Draws a suite; false when there is nothing to draw.
pub(crate) fn draw(rows: &Rows, suite: Suite, path: &Path) -> Result<bool> {
    let panels: Vec<(&Panel, Vec<Bar<'_>>)> = PANELS
        .iter()
        .filter(|(of, _)| *of == suite)
        .flat_map(|(_, panels)| *panels)
        .map(|panel| (panel, bars(rows, panel)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    if panels.is_empty() {
        return Ok(false);
    }
    let all: i32 = panels.iter().map(|(_, bars)| height(bars)).sum();
    let size = (WIDTH.unsigned_abs(), (all + BAR).unsigned_abs());
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let mut top = 0;
    for (panel, bars) in &panels {
        draw_panel(&area, top, panel, bars)?;
        top += height(bars);
    }
    legend(&area, top)?;
    area.present().map_err(failed)?;
    Ok(true)
}

struct Bar<'a> {
    row: &'a Row,
    value: f64,
}

fn bars<'a>(rows: &'a Rows, panel: &Panel) -> Vec<Bar<'a>> {
    let known = panel.rows.iter().filter_map(|id| rows.find(id));
    known
        .filter_map(|row| {
            let value = row.median(panel.metric).filter(|value| *value > 0.0)?;
            Some(Bar { row, value })
        })
        .collect()
}

fn height(bars: &[Bar<'_>]) -> i32 {
    HEAD + BAR * i32::try_from(bars.len()).unwrap_or(0)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_panel(area: &Area<'_>, top: i32, panel: &Panel, bars: &[Bar<'_>]) -> Result<()> {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let least = bars.iter().map(|bar| bar.value).fold(most, f64::min);
    let log = most / least > SPREAD;
    let title = match log {
        true => format!("{} (logarithmic)", panel.title),
        false => panel.title.to_owned(),
    };
    text(area, &title, (12, top + HEAD - 14), 16, HPos::Left)?;
    for (at, bar) in bars.iter().enumerate() {
        let y = top + HEAD + BAR * i32::try_from(at).unwrap_or(0);
        // A logarithmic scale begins at half of the least, so that every bar is seen.
        let share = match log {
            true => (bar.value / least * 2.0).ln() / (most / least * 2.0).ln(),
            false => bar.value / most,
        };
        let end = LEFT + (f64::from(RIGHT - LEFT) * share).round() as i32;
        let shape = [(LEFT, y + 3), (end.max(LEFT + 1), y + BAR - 3)];
        let style = colour(bar.row.side).filled();
        area.draw(&Rectangle::new(shape, style)).map_err(failed)?;
        let middle = y + BAR / 2;
        text(area, &bar.row.title, (LEFT - 8, middle), 13, HPos::Right)?;
        let value = show(panel.metric, bar.value);
        text(area, &value, (end + 6, middle), 13, HPos::Left)?;
    }
    Ok(())
}

fn colour(side: Side) -> RGBColor {
    match side {
        Side::Floor => RGBColor(160, 160, 160),
        Side::Eddy => RGBColor(32, 110, 200),
        Side::Peer => RGBColor(225, 140, 40),
    }
}

fn legend(area: &Area<'_>, top: i32) -> Result<()> {
    let sides = [
        (Side::Floor, "floor"),
        (Side::Eddy, "Eddy"),
        (Side::Peer, "peer"),
    ];
    for ((side, name), x) in sides.into_iter().zip([LEFT, LEFT + 90, LEFT + 180]) {
        let square = [(x, top + 6), (x + 12, top + 18)];
        let style = colour(side).filled();
        area.draw(&Rectangle::new(square, style)).map_err(failed)?;
        text(area, name, (x + 18, top + 12), 13, HPos::Left)?;
    }
    Ok(())
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), size: i32, side: HPos) -> Result<()> {
    let style = TextStyle::from(("sans-serif", size).into_font())
        .color(&RGBColor(30, 30, 30))
        .pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))
        .map_err(failed)
}

/// The library's errors borrow from the drawing.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the plot cannot be drawn: {error}")
}
