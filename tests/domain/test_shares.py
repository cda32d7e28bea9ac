"""How an offer's calls are divided: never more than it takes, and all of them in the end."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.shares import Claim, share_of

WORKERS = "abcdef"


class Offer:
    """An offer as its workers' claims tell of it, and the calls that each has under way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.claims: list[Claim] = []
        self.may: dict[str, int] = {}
        self.under_way = dict.fromkeys(WORKERS, 0)

    def ask(self, worker: str) -> None:
        using = max(self.may.get(worker, 0), self.under_way[worker])
        share = share_of(worker, self.claims, limit=self.limit, using=using)
        self.may[worker] = share.calls
        if share.is_full:
            return
        claim = Claim(worker=worker, calls=share.claimed)
        at = [one.worker for one in self.claims]
        if worker in at:
            self.claims[at.index(worker)] = claim
        else:
            self.claims.append(claim)

    def leave(self, worker: str) -> None:
        self.under_way[worker] = self.may[worker] = 0
        self.claims = [one for one in self.claims if one.worker != worker]

    def begin_all(self, worker: str) -> None:
        self.under_way[worker] = max(self.under_way[worker], self.may.get(worker, 0))


STEPS = st.lists(
    # Few workers, which come to use what they were given before another asks.
    st.tuples(
        st.sampled_from(WORKERS[:3]), st.sampled_from(["ask", "begin", "begin", "end", "leave"])
    ),
    min_size=20,
    max_size=60,
)


@given(st.integers(1, 6), STEPS)
def test_whoever_comes_and_goes_no_more_calls_are_under_way_than_the_offer_takes(
    limit: int, steps: list[tuple[str, str]]
) -> None:
    offer = Offer(limit)
    for worker, step in steps:
        if step == "ask":
            offer.ask(worker)
        elif step == "begin":
            offer.begin_all(worker)
        elif step == "end":
            offer.under_way[worker] = max(0, offer.under_way[worker] - 1)
        else:
            offer.leave(worker)
        assert sum(offer.under_way.values()) <= limit


@given(st.integers(1, 20), st.permutations(WORKERS), st.integers(1, 6))
def test_once_all_have_heard_every_call_is_somebodys_and_nobody_has_two_more_than_another(
    limit: int, order: list[str], count: int
) -> None:
    offer, workers = Offer(limit), order[:count]
    for _ in range(3):
        for worker in workers:
            offer.ask(worker)

    may = [offer.may[worker] for worker in workers]

    assert sum(may) == limit
    assert max(may) - min(may) <= 1


def test_a_worker_that_came_when_all_places_were_taken_gets_one_when_another_leaves() -> None:
    offer = Offer(1)
    offer.ask("a")
    offer.ask("b")
    assert share_of("b", offer.claims, limit=1, using=0).is_full

    offer.leave("a")
    offer.ask("b")

    assert offer.may == {"a": 0, "b": 1}


def test_a_smaller_share_is_claimed_only_once_the_calls_beyond_it_are_over() -> None:
    claims = [Claim(worker="a", calls=10), Claim(worker="b", calls=0)]

    at_first = share_of("a", claims, limit=10, using=10)
    later = share_of("a", claims, limit=10, using=7)

    assert (at_first.calls, at_first.claimed) == (5, 10)
    assert (later.calls, later.claimed) == (5, 7)
