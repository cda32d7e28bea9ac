"""Every stream's chain of records: that it holds, and where it does not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from scheduler.domain.evidence import GENESIS, Fault, Record

Stored = tuple[Record, bytes]
"""A record with the digest (32 bytes) that is stored beside it."""

Head = tuple[int, bytes]
"""Where a stream stands: its last record's number and digest."""


@dataclass(slots=True)
class ChainCount:
    """What was gone through; filled while `chain_faults` is read."""

    streams: int = 0
    records: int = 0
    ends: dict[str, Head] = field(default_factory=dict)


def chain_faults(
    records: Iterable[Stored], heads: Mapping[str, Head], count: ChainCount
) -> Iterator[Fault]:
    """Every place where a chain breaks; *records* come by stream and number.

    After a break the walk goes on from what is stored, so that one altered record is one
    fault, and not one for each that follows.
    """
    for stream, stored in groupby(records, key=lambda pair: pair[0].stream):
        count.streams += 1
        yield from _stream_faults(stream, stored, count)
        yield from _head_faults(stream, count.ends[stream], heads.get(stream))
    for stream, (seq, _) in heads.items():
        if stream not in count.ends and seq > 0:
            reason = f"all {seq} records are gone"
            yield Fault(stream=stream, seq=1, reason=reason)


def _stream_faults(stream: str, records: Iterable[Stored], count: ChainCount) -> Iterator[Fault]:
    seq, after = 0, GENESIS
    for record, digest in records:
        count.records += 1
        if record.seq != seq + 1:
            yield Fault(stream=stream, seq=record.seq, reason=_gap(seq, record.seq))
        elif record.digest_after(after) != digest:
            reason = "the record was altered, or put in the place of another"
            yield Fault(stream=stream, seq=record.seq, reason=reason)
        seq, after = record.seq, digest
    count.ends[stream] = (seq, after)


def _gap(last: int, seq: int) -> str:
    if seq <= last:
        return f"a second record {seq} was put in"
    missing = f"record {last + 1} is" if seq == last + 2 else f"records {last + 1}-{seq - 1} are"
    return f"{missing} missing before it"


def _head_faults(stream: str, end: Head, head: Head | None) -> Iterator[Fault]:
    seq, digest = end
    if head is None:
        yield Fault(stream=stream, seq=seq, reason="the stream's head is gone")
    elif head[0] > seq:
        reason = f"the records after it are gone: the head says {head[0]}"
        yield Fault(stream=stream, seq=seq, reason=reason)
    elif head[0] < seq:
        reason = f"was put in after the end: the head says {head[0]}"
        yield Fault(stream=stream, seq=seq, reason=reason)
    elif head[1] != digest:
        yield Fault(stream=stream, seq=seq, reason="the last record is not the head's")
