"""`apportion learn`: learns quality, tokens and latency from what became of the work."""

from collections.abc import Iterator

import click

from scheduler.cli.context import embedder_of, open_service
from scheduler.cli.printing import print_json, print_tables, table
from scheduler.planning.embedding import embed_scored, vectors_of
from scheduler.planning.learning import learn
from scheduler.planning.lessons import Lesson
from scheduler.settings import read_settings

COLUMNS = ("estimator", "observations", "in use now", "why")
ERROR_COLUMNS = ("estimate of", "one call off by", "the sum off by", "covered by the quantile")
ERRORS = {
    "tokens": (("input", None), ("output", "output_covered"), ("cost", None)),
    "latency": (("seconds", "covered"),),
}
"""What the figures of each kind are of, and which one says how often the quantile held."""


@click.command()
@click.option("--force", is_flag=True, help="Use what was learned, even if it is not better.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, force: bool, as_json: bool) -> None:
    """Learn from feedback and from what providers reported, and use what is better.

    Quality is learned from feedback (`documents.feedback`: use, edit, ignore or a score; a judge's
    score counts for less, and is set right by people's where both have scored), tokens
    and latency from the calls that were made.  A quarter of the new documents is held back; what
    was learned from the rest is put in use only if it predicts them better than what is in use.
    The newest outcomes are learned from, as many as the policy's `learn.outcomes_max` and
    `learn.documents_max` say; what is left out is told.
    With APPORTION_EMBEDDING set, quality is learned with that model's vectors and without, and
    the better of the two is tried.  Every version is kept, so that an old plan can be explained.
    Run it daily.
    """
    settings = read_settings()
    embedder = embedder_of(settings)
    with open_service(settings) as service:
        if embedder is not None:
            embed_scored(service.engine.begin, embedder).tell()
        with service.engine.begin() as conn:
            lessons = learn(
                conn, policy=settings.policies, force=force, vectors=vectors_of(embedder)
            )
    if as_json:
        print_json({"lessons": lessons})
        return
    rows = [
        (_kind(one), one.observations, "a new one" if one.is_new else "as before", one.reason)
        for one in lessons
    ]
    errors = list(_errors(lessons))
    print_tables(
        [table("What was learned", COLUMNS, rows)]
        + [table("Held against calls that were held back", ERROR_COLUMNS, errors)] * bool(errors)
    )
    for line in _left_out(lessons):
        click.echo(line)


def _left_out(lessons: list[Lesson]) -> Iterator[str]:
    """What there was beside, and by which limit it was not learned from."""
    for one in lessons:
        if one.left_out:
            yield f"{one.kind}: {one.left_out:,} older outcomes were left out (learn.outcomes_max)"
        if one.documents_left_out:
            count = f"{one.documents_left_out:,}"
            yield f"{one.kind}: {count} documents were not drawn (learn.documents_max)"


def _kind(lesson: Lesson) -> str:
    """The kind, and what was learned from beside the features."""
    model = lesson.figures.get("representation")
    return f"{lesson.kind} (with {model})" if model else lesson.kind


def _errors(lessons: list[Lesson]) -> Iterator[tuple[str, ...]]:
    """A row for each figure of the version that is in use now."""
    for lesson in lessons:
        if not lesson.figures.get("outcomes"):
            continue
        for name, covered in ERRORS.get(lesson.kind, ()):
            found = lesson.figures["candidate" if lesson.is_new else "current"]
            yield (
                name,
                _percent(found[f"{name}_off"]),
                _percent(found[f"{name}_total_off"], signed=True),
                _percent(found[covered]) if covered else "",
            )


def _percent(share: float | None, *, signed: bool = False) -> str:
    if share is None:
        return "not known"
    return f"{share:+.1%}" if signed else f"{share:.1%}"
