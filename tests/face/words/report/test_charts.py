"""Charts: SVG that is a part of a page, with its colours and fonts, in two sizes; names are text and nothing else."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip("matplotlib")

import matplotlib as mpl

from hecc.words.report.charts import INKS, NARROW, WIDE, Bar, Point, Steps, bar_chart, curve_chart, step_chart

HOSTILE = "<script>alert(1)</script> $x^2$ \\frac \"'& 层"


@pytest.fixture(scope="module")
def chart():
    bars = [Bar("first", (3.0, 1.0), "4 s"), Bar(HOSTILE, (0.5, 0.5), "1 s")]
    return bar_chart(bars, f"about {HOSTILE}", ("one", "other"))


def texts(svg):
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("text")]


def rectangles(svg, ink):
    """Left and right ends of the bars of a colour."""
    paths = [p.get("d") for p in ElementTree.fromstring(svg).iter("path") if ink in p.get("style", "")]
    found = []
    for path in paths:
        xs = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", path)]
        found.append((min(xs), max(xs)))
    return found


def test_bars_are_as_long_as_what_they_show(chart):
    for svg in (chart.wide, chart.narrow):
        (_, first), (_, second) = rectangles(svg, "var(--series-1)")[:2], rectangles(svg, "var(--series-2)")[:2]
        assert len(rectangles(svg, "var(--series-1)")) == 3  # two bars and the legend
        ends = rectangles(svg, "var(--series-1)")[:2]
        lengths = [right - left for left, right in ends]
        assert lengths[0] == pytest.approx(6 * lengths[1], rel=1e-3)
        assert first[1] == pytest.approx(second[0])


def test_both_sizes_say_the_same(chart):
    wide, narrow = texts(chart.wide), texts(chart.narrow)
    assert {"first", "4 s", "1 s", "one", "other"} <= set(wide)
    assert sorted(" ".join(wide).split()) == sorted(" ".join(narrow).split())
    assert f'viewBox="0 0 {WIDE} ' in chart.wide
    assert f'viewBox="0 0 {NARROW} ' in chart.narrow


@pytest.mark.filterwarnings("error")
def test_names_are_text(chart):
    assert HOSTILE in " ".join(texts(chart.narrow))
    root = ElementTree.fromstring(chart.wide)
    assert root.get("aria-label") == f"about {HOSTILE}"
    assert {element.tag for element in root.iter()} <= {"svg", "g", "path", "text"}


def test_colours_and_fonts_are_those_of_the_page(chart):
    steps = step_chart([Steps("bits", (3.0, None, 2.0)), Steps("limbs", (2.0, 2.0, 1.0))], 0, "steps")
    for svg in (chart.wide, chart.narrow, steps.wide, steps.narrow):
        assert not any(stand_in in svg for stand_in in INKS)
        assert "#" not in svg
        assert "font-family" not in svg
        assert " id=" not in svg


def test_a_value_that_is_unknown_has_no_step():
    svg = step_chart([Steps("bits", (3.25, None, 2.0), "{:.1f}")], 0, "steps").wide
    assert {"bits", "3.2", "2.0", "0", "1", "2"} <= set(texts(svg))
    assert len(rectangles(svg, "opacity: 0.25")) == 2


def test_nothing_of_matplotlib_changes_for_its_other_users(chart):
    assert mpl.rcParams["svg.fonttype"] == mpl.rcParamsDefault["svg.fonttype"]


def test_charts_are_the_same_each_time(chart):
    again = bar_chart([Bar("first", (3.0, 1.0), "4 s")], "about", ("one", "other"))
    assert bar_chart([Bar("first", (3.0, 1.0), "4 s")], "about", ("one", "other")) == again


def test_of_many_values_the_ends_and_the_lowest_are_written_out():
    values = tuple(20.0 - (number % 7) - 0.125 * number for number in range(90))
    shown = {text for text in texts(step_chart([Steps("bits", values, "{:.3f}")], 0, "steps").wide) if "." in text}
    assert shown == {f"{value:.3f}" for value in (values[0], min(values), values[-1])}
    few = texts(step_chart([Steps("limbs", (3.0, 3.0, 2.0, 2.0, 3.0), "{:.1f}")], 0, "steps").wide)
    assert [text for text in few if "." in text] == ["3.0", "2.0", "3.0"]


def points(svg, ink):
    """Centres of the filled points of a colour, from left to right."""
    paths = [p for p in ElementTree.fromstring(svg).iter("path") if f"fill: {ink}" in p.get("style", "")]
    found = []
    for path in paths:
        numbers = [float(x) for x in re.findall(r"[\d.]+", path.get("d"))]
        xs, ys = numbers[::2], numbers[1::2]
        found.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
    return sorted(found)


def test_a_curve_has_its_points_where_they_belong():
    named = [Point("few", 1.0, 90.0), Point("own", 2.0, 95.0, chosen=True), Point("many", 3.0, 100.0)]
    chart = curve_chart(named, ("seconds", "kept"), ("{:g} s", "{:g}%"), "what more costs")
    for svg in (chart.wide, chart.narrow):
        assert {"few", "own", "many", "seconds", "kept"} <= set(texts(svg))
        (few, many), (own,) = points(svg, "var(--series-1)"), points(svg, "var(--series-2)")
        # Halfway between the others, in both directions.
        assert own == pytest.approx(((few[0] + many[0]) / 2, (few[1] + many[1]) / 2), abs=0.1)
        assert many[1] < few[1]


def test_a_curve_of_one_point_is_drawn():
    chart = curve_chart([Point("own", 0.0, 99.0, chosen=True)], ("s", "%"), ("{:g}", "{:g}"), "one")
    assert len(points(chart.wide, "var(--series-2)")) == 1
