"""No single change to a set of chains goes unseen, whatever it is."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.compliance.chain import ChainCount, Head, Stored, chain_faults
from scheduler.domain.evidence import GENESIS, Record

AT = "2026-01-01T00:00:00.000000+00:00"


def chained(stream: str, bodies: list[str]) -> list[Stored]:
    digest, stored = GENESIS, []
    for seq, body in enumerate(bodies, 1):
        record = Record(stream=stream, seq=seq, at=AT, kind="k", body=body)
        digest = record.digest_after(digest)
        stored.append((record, digest))
    return stored


def heads(records: list[Stored]) -> dict[str, Head]:
    return {record.stream: (record.seq, digest) for record, digest in records}


def faults(records: list[Stored], stand: dict[str, Head]) -> list[tuple[str, int]]:
    in_order = sorted(records, key=lambda pair: (pair[0].stream, pair[0].seq))
    found = chain_faults(in_order, stand, ChainCount())
    return [(fault.stream, fault.seq) for fault in found]


chains = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.text(max_size=3), min_size=1, max_size=6), min_size=1
).map(lambda streams: [one for name in streams for one in chained(name, streams[name])])


@given(chains)
def test_chains_that_nobody_touched_hold(records: list[Stored]) -> None:
    count = ChainCount()

    assert list(chain_faults(sorted(records, key=_place), heads(records), count)) == []
    assert (count.records, count.ends) == (len(records), heads(records))


@given(chains, st.data())
def test_an_altered_record_is_named(records: list[Stored], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(records) - 1))
    record, digest = records[place]
    change = data.draw(
        st.sampled_from(
            [
                (replace(record, body=record.body + "x"), digest),
                (replace(record, kind="l"), digest),
                (replace(record, at=AT.replace("2026", "2025")), digest),
                (record, bytes(32 - len(b"!")) + b"!"),
            ]
        )
    )
    stand = heads(records)

    assert (record.stream, record.seq) in faults(
        [*records[:place], change, *records[place + 1 :]], stand
    )


@given(chains, st.data())
def test_a_record_that_is_gone_is_missed(records: list[Stored], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(records) - 1))
    stream = records[place][0].stream
    stand = heads(records)

    found = faults([*records[:place], *records[place + 1 :]], stand)

    assert [name for name, _ in found] == [stream]


@given(chains, st.data())
def test_two_records_that_changed_places_are_named(
    records: list[Stored], data: st.DataObject
) -> None:
    first, second = data.draw(st.tuples(*[st.integers(0, len(records) - 1)] * 2))
    one, other = records[first][0], records[second][0]
    stand = heads(records)
    swapped = list(records)
    swapped[first] = (replace(one, body=other.body), records[second][1])
    swapped[second] = (replace(other, body=one.body), records[first][1])

    found = faults(swapped, stand)

    assert (found == []) == (first == second)


def _place(pair: Stored) -> tuple[str, int]:
    return pair[0].stream, pair[0].seq
