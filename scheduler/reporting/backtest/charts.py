"""Charts as inline SVG, so that a report is one file that needs nothing else."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from os.path import commonprefix
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 440
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 16, 96
LEGEND_COLUMNS: Final = 3
TICKS_MOST: Final = 6
NAME_HEIGHT, NAME_CHARACTER = 13, 6.4
"""Pixels that a name takes, at most, in the template's 11 px."""

NAME_MOST: Final = 30
"""Of a longer name a part is drawn; pointed at, it is there in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one kind.

    Attributes:
        label: for the legend; none where it is empty.
        points: (x, y).
        color: CSS.
        line: whether they are joined.
        dash: how, as `stroke-dasharray` has it; without breaks where it is empty.
        names: of each point, shown when one points at it.
        named: whether they are drawn, too, as far as there is room.
    """

    label: str
    points: Sequence[tuple[float, float]]
    color: str
    line: bool = True
    dash: str = ""
    marks: bool = True
    names: Sequence[str] = field(default_factory=tuple)
    named: bool = True


def chart(
    series: Sequence[Series], *, x_label: str, y_label: str, log_x: bool = False, title: str
) -> str:
    """An SVG of *series*; *title* is what a screen reader says."""
    shown = [
        (x, y) for one in series for x, y in one.points if _shown(x, log_x) and math.isfinite(y)
    ]
    if not shown:
        return ""
    xs, ys = [x for x, _ in shown], [y for _, y in shown]
    frame = _Frame(
        low_x=min(xs), high_x=max(xs), low_y=min(ys), high_y=max(ys), log_x=log_x
    ).padded()
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg">',
        *_axes(frame, x_label, y_label),
        *(part for one in series for part in _drawn(one, frame)),
        *_legend([one for one in series if one.label]),
        "</svg>",
    ]
    return "\n".join(parts)


def _shown(x: float, log_x: bool) -> bool:
    return math.isfinite(x) and (x > 0 or not log_x)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    low_x: float
    high_x: float
    low_y: float
    high_y: float
    log_x: bool

    def padded(self) -> "_Frame":
        """Room around the outermost points."""
        low_x, high_x = self._place(self.low_x), self._place(self.high_x)
        pad_x = (high_x - low_x) * 0.04 or 0.5
        pad_y = (self.high_y - self.low_y) * 0.06 or 0.05
        return _Frame(
            low_x=self._back(low_x - pad_x),
            high_x=self._back(high_x + pad_x),
            low_y=self.low_y - pad_y,
            high_y=self.high_y + pad_y,
            log_x=self.log_x,
        )

    def _place(self, x: float) -> float:
        return math.log10(x) if self.log_x else x

    def _back(self, place: float) -> float:
        return float(10.0**place) if self.log_x else place

    def x(self, x: float) -> float:
        """Pixels from the left."""
        low, high = self._place(self.low_x), self._place(self.high_x)
        return LEFT + (self._place(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, y: float) -> float:
        """Pixels from the top."""
        share = (y - self.low_y) / (self.high_y - self.low_y)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def ticks_x(self) -> list[float]:
        """Round numbers along the x axis."""
        if not self.log_x:
            return round_numbers(self.low_x, self.high_x)
        low, high = math.floor(math.log10(self.low_x)), math.ceil(math.log10(self.high_x))
        steps = (1, 2, 5) if high - low <= 3 else (1,)
        found = [step * 10.0**power for power in range(low, high + 1) for step in steps]
        return [tick for tick in found if self.low_x <= tick <= self.high_x]


def round_numbers(low: float, high: float) -> list[float]:
    """At most `TICKS_MOST` + 1 numbers with few digits from *low* to *high*."""
    rough = (high - low) / TICKS_MOST
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step)
    return [at * step for at in range(first, math.floor(high / step) + 1)]


def _number(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".") if abs(value) < 1e4 else f"{value:,.0f}"


def _axes(frame: _Frame, x_label: str, y_label: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = []
    for tick in round_numbers(frame.low_y, frame.high_y):
        y = frame.y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" '
                     f'y2="{y:.1f}"/>')  # fmt: skip
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" '
                     f'text-anchor="end">{_number(tick)}</text>')  # fmt: skip
    for tick in frame.ticks_x():
        x = frame.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" '
                     f'text-anchor="middle">{_number(tick)}</text>')  # fmt: skip
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + bottom) / 2
    parts.append(f'<text class="axis" x="{middle_x}" y="{bottom + 38}" '
                 f'text-anchor="middle">{escape(x_label)}</text>')  # fmt: skip
    parts.append(f'<text class="axis" transform="translate(15 {middle_y}) rotate(-90)" '
                 f'text-anchor="middle">{escape(y_label)}</text>')  # fmt: skip
    return parts


def _drawn(series: Series, frame: _Frame) -> list[str]:
    places = [
        (frame.x(x), frame.y(y))
        for x, y in series.points
        if _shown(x, frame.log_x) and math.isfinite(y)
    ]
    parts = []
    if series.line and len(places) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke-width="2.2" '
                     f'stroke-dasharray="{series.dash or "none"}" '
                     f'style="stroke:{series.color}"/>')  # fmt: skip
    for at, (x, y) in enumerate(places if series.marks else []):
        name = series.names[at] if at < len(series.names) else ""
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" style="fill:{series.color}">'
            f"<title>{escape(name or series.label)}</title></circle>"
        )
    if series.named:
        parts.extend(_names(places, series.names))
    return parts


def _names(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[str]:
    """Each name beside its point, where it is over no other; the rest is left out."""
    parts = []
    taken: list[tuple[float, float, float]] = []
    for (x, y), text in zip(places, shortened(names), strict=False):
        width = len(text) * NAME_CHARACTER
        for side, below in ((1, False), (-1, False), (1, True), (-1, True)):
            left = x + 7 if side > 0 else x - 7 - width
            base = y + 15 if below else y - 7
            if _is_free(left, base, width, taken):
                taken.append((left, base, width))
                parts.append(
                    f'<text class="name" x="{x + 7 * side:.1f}" y="{base:.1f}"'
                    f' text-anchor="{"start" if side > 0 else "end"}">{escape(text)}</text>'
                )
                break
    return parts


def shortened(names: Sequence[str]) -> list[str]:
    """*names* as they are, or if one is long, without what all of them begin and end with."""
    if all(len(name) <= NAME_MOST for name in names):
        return list(names)
    first = last = 0
    if len(names) > 1:
        first = _alike(names)
        last = _alike([name[first:][::-1] for name in names])
    parts = [name[first : len(name) - last] for name in names]
    return [
        ("…" if first else "")
        + (part if len(part) <= NAME_MOST else f"{part[:13]}…{part[-16:]}")
        + ("…" if last else "")
        for part in parts
    ]


def _alike(names: Sequence[str]) -> int:
    """How many characters all *names* begin with, in whole words."""
    common = commonprefix(names)  # noqa: RUF071 - they are no paths
    return len(re.match(r"(?:.*[^A-Za-z0-9])?", common).group())  # type: ignore[union-attr] # always


def _is_free(
    left: float, base: float, width: float, taken: Sequence[tuple[float, float, float]]
) -> bool:
    """Whether a name of *width* at *left* and *base* is inside the axes and over none *taken*."""
    inside = left >= LEFT and left + width <= WIDTH and base <= HEIGHT - BOTTOM
    return inside and not any(
        left < other + its_width and other < left + width and abs(base - its_base) < NAME_HEIGHT
        for other, its_base, its_width in taken
    )


def _legend(series: Sequence[Series]) -> list[str]:
    """Below the axes, where no point can be under it."""
    parts = []
    room = (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS
    for at, one in enumerate(series):
        x = LEFT + room * (at % LEGEND_COLUMNS)
        y = HEIGHT - BOTTOM + 64 + 20 * (at // LEGEND_COLUMNS)
        if one.line:
            parts.append(f'<line x1="{x:.0f}" x2="{x + 22:.0f}" y1="{y - 4}" y2="{y - 4}" '
                         f'stroke-width="3" stroke-dasharray="{one.dash or "none"}" '
                         f'style="stroke:{one.color}"/>')  # fmt: skip
        if one.marks:
            parts.append(f'<circle cx="{x + 11:.0f}" cy="{y - 4}" r="4" style="fill:{one.color}"/>')
        parts.append(f'<text class="tick" x="{x + 29:.0f}" y="{y}">{escape(one.label)}</text>')
    return parts
