"""What a chart's names say, and that they can be read."""

import re

from scheduler.reporting.backtest.charts import NAME_HEIGHT, Series, chart, shortened


def drawn(series: Series) -> list[tuple[float, float, str]]:
    """x, y and text of every name in the picture."""
    svg = chart([series], x_label="USD", y_label="quality", title="")
    found = re.findall(r'<text class="name" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', svg)
    return [(float(x), float(y), text) for x, y, text in found]


def models(points: list[tuple[float, float]]) -> Series:
    names = [f"model-{at}" for at in range(len(points))]
    return Series(label="models", points=points, color="black", line=False, names=names)


def test_names_stand_beside_their_points_and_never_over_another() -> None:
    apart = drawn(models([(0, 0), (1, 1), (2, 0.5)]))
    assert [text for _, _, text in apart] == ["model-0", "model-1", "model-2"]

    # All in one place: there is room beside it on both sides, above and below.
    crowd = drawn(models([(0, 0), *[(1, 1)] * 20, (2, 2)]))
    places = [(x, y) for x, y, _ in crowd]
    assert 4 <= len(crowd) < 22
    assert len(set(places)) == len(places)
    assert all(abs(y - other) >= NAME_HEIGHT or x != at for x, y in places for at, other in places
               if (x, y) != (at, other))  # fmt: skip


def test_a_name_without_room_is_there_when_one_points_at_it() -> None:
    svg = chart([models([(1, 1)] * 20)], x_label="USD", y_label="quality", title="")

    assert all(f"<title>model-{at}</title>" in svg for at in range(20))


def test_of_long_names_what_tells_them_apart_is_drawn() -> None:
    long = [f"a-very-long-provider-name/instruct-{size}b-preview-2026-11" for size in (7, 70)]

    assert shortened(long) == ["…7b…", "…70b…"]
    assert shortened(["small", "large"]) == ["small", "large"]
    assert len(shortened(["only-one-model-with-a-very-long-name-indeed"])[0]) <= 31
