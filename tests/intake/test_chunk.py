"""From messages to columns: what each becomes, and that nothing a client sends is an exception."""

import base64
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.job import DataClass
from scheduler.domain.policy import IntakePolicy
from scheduler.estimate.features import FEATURES, TOKEN_STATS, document_features, script_bytes
from scheduler.intake.chunk import DESCRIBED_AT_ONCE, Chunk, Reader
from scheduler.intake.files import Roots
from tests.intake.conftest import job_message

POLICY = IntakePolicy(text_bytes_max=1_000, file_bytes_max=2_000, message_bytes_max=4_000)
READER = Reader(policy=POLICY, roots=Roots(bytes_max=POLICY.file_bytes_max))


def reason(value: bytes | None, reader: Reader = READER) -> str:
    [refused] = reader.read([value]).refused
    return refused.reason


@given(st.lists(st.none() | st.binary(max_size=50) | st.text(max_size=50).map(str.encode)))
def test_every_message_is_either_taken_or_refused(values: list[bytes | None]) -> None:
    chunk = READER.read(values)

    taken = [job.at for job in chunk.jobs] + [one.at for one in chunk.refused]
    assert sorted(taken) == list(range(len(values)))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "no value"),
        (b"", "send one JSON object"),
        (b"\xff\xfe", "send one JSON object"),
        (b"[1]", "object"),
        (b'{"job_id": "a", "task": "summarize", "text": "\\ud800"}', "Invalid JSON"),
        (b'{"job_id": "a", "task": "summarize", "text": "a\\u0000b"}', "NUL"),
        (b'{"job_id": "a\\u0000", "task": "summarize", "text": "a"}', "job_id"),
        (b'{"job_id": "a", "task": "summarize", "text": "x", "tags": {"a\\u0000": "b"}}', "NUL"),
        (b'{"job_id": "a", "task": "summarize", "text": "x", "max_cost_usd": 1e999}', "inf"),
        (b'{"job_id": "a", "text": "x", "max_cost_usd": ' + b"9" * 3_000 + b"}", "task"),
        (job_message("a", max_cost_usd="1e9999999"), "write it like"),
        (b"[" * 3_000, "recursion"),
        (job_message("a", text="x" * 1_001), "1000 are allowed"),
        (b" " * 4_001, "4000 are allowed"),
    ],
)
def test_a_bad_message_is_refused_with_what_is_wrong(value: bytes | None, told: str) -> None:
    assert told in reason(value)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    chunk = READER.read([b'{"job_id": "a", "task": "summarize", "text": "C:\\\\u0000"}'])

    assert not chunk.refused


def test_a_refused_message_tells_its_job_id_where_it_can_be_read() -> None:
    assert READER.read([job_message("a7", priority=0)]).refused[0].job_id == "a7"


def test_a_job_id_that_is_no_text_is_told_as_one() -> None:
    [refused] = READER.read([b'{"job_id": "a\\ud800\\u0000", "task": "summarize"}']).refused

    assert refused.job_id == "a?"


def test_what_the_sender_calls_x_is_not_looked_at() -> None:
    assert not READER.read([job_message("a", **{"x-mine": {"\0": ["\0"]}})]).refused


def test_the_same_text_is_one_document_of_many_jobs() -> None:
    chunk = READER.read([job_message("a", text="same"), job_message("b", text="same")])

    assert len(chunk.jobs) == 2
    assert list(chunk.documents) == [hashlib.sha256(b"same").digest()]


def test_a_document_carries_what_was_computed_from_its_text() -> None:
    text = "The court overruled, with twelve votes."
    [document] = READER.read([job_message("a", text=text)]).documents.values()

    features = np.frombuffer(document.features, "<f2")
    np.testing.assert_array_equal(features, document_features([text])[0].astype("<f2"))
    np.testing.assert_array_equal(
        np.frombuffer(document.token_stats, "<i4"), script_bytes([text])[0]
    )
    assert (features.size, len(document.token_stats) // 4) == (FEATURES, TOKEN_STATS)
    assert (document.length, document.words) == (len(text), 6)


def test_each_of_many_documents_carries_what_is_its_own() -> None:
    texts = [f"document {n} " + "word " * (n % 7) for n in range(2 * DESCRIBED_AT_ONCE + 1)]
    messages = [job_message(f"a{n}", text=text) for n, text in enumerate(texts)]
    found = READER.read(messages).documents

    expected = document_features(texts).astype("<f2")
    for text, features in zip(texts, expected, strict=True):
        document = found[hashlib.sha256(text.encode()).digest()]
        assert (document.body, document.length) == (text, len(text))
        assert document.features == features.tobytes()


def digest(**fields: object) -> bytes:
    return READER.read([job_message("a", **fields)]).jobs[0].digest


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "other"},
        {"words": 5},
        {"priority": 5},
        {"deadline": "2030-01-01T00:00:00Z"},
        {"min_quality": 0.5},
        {"max_cost_usd": 1},
        {"gain_usd": 1},
        {"loss_usd": 1},
        {"residency": ["eu"]},
        {"data_class": "public"},
        {"when": "night"},
        {"tags": {"a": "b"}},
        {"scope": "a/b/c"},
    ],
)
def test_another_wish_is_another_content(fields: dict[str, object]) -> None:
    assert digest(**fields) != digest()


def test_another_spelling_is_the_same_content() -> None:
    said = {
        "max_cost_usd": "0.50",
        "deadline": "2030-01-01T01:00:00+01:00",
        "residency": ["b", "a"],
    }
    again = {"residency": ["A", "b"], "deadline": "2030-01-01T00:00:00Z", "max_cost_usd": 0.5}

    assert digest(**said) == digest(**again, **{"x-mine": 1})


def test_a_gain_is_not_a_loss_and_nothing_is_not_zero() -> None:
    seen = [digest(gain_usd=1), digest(loss_usd=1), digest(gain_usd=0), digest()]

    assert len(set(seen)) == 4


def test_jobs_without_stakes_keep_the_digest_that_they_always_had() -> None:
    known = "28d0b26de7c6176557d3d520af379b580874f1c1bc829af42d2b6243d4df2413"

    assert digest(words=7, priority=2).hex() == known


def test_what_a_message_leaves_out_is_the_policys() -> None:
    job = READER.read([job_message("a")]).jobs[0]

    assert (job.scope, job.priority) == (POLICY.default_scope, POLICY.default_priority)
    assert (job.data_class, job.run_when) == (POLICY.default_data_class, "now")


def test_quality_is_rounded_up_and_not_by_a_whole_step() -> None:
    assert READER.read([job_message("a", min_quality=0.7)]).jobs[0].min_quality_ppm == 700_000
    assert READER.read([job_message("a", min_quality=1e-9)]).jobs[0].min_quality_ppm == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing of note, 12 345 678 901 times", DataClass.PUBLIC),
        ("write to jane.doe@example.org", DataClass.CONFIDENTIAL),
        ("SSN 078-05-1120", DataClass.RESTRICTED),
        ("part no. 978-05-11200", DataClass.PUBLIC),
        ("card 4111 1111 1111 1111", DataClass.RESTRICTED),
        ("order 4111 1111 1111 1112", DataClass.PUBLIC),
        ("pay to DE89 3704 0044 0532 0130 00", DataClass.RESTRICTED),
        ("pay to DE88 3704 0044 0532 0130 00", DataClass.PUBLIC),
    ],
)
def test_personal_data_raise_the_class_that_was_found(text: str, found: DataClass) -> None:
    [document] = READER.read([job_message("a", text=text)]).documents.values()

    assert document.found_class == found


class TestCloudEvents:
    """Messages in an envelope, or with its attributes in the headers."""

    ATTRIBUTES = {"specversion": "1.0", "id": "e1", "source": "/crm", "type": "job.wanted"}  # noqa: RUF012

    def read(self, value: object, *headers: tuple[str, bytes]) -> Chunk:
        return READER.read([json.dumps(value).encode()], [headers])

    def test_binary_mode_is_the_message_itself(self) -> None:
        headers = [(f"ce_{name}", said.encode()) for name, said in self.ATTRIBUTES.items()]

        chunk = READER.read([job_message("a")], [headers])

        assert [job.key for job in chunk.jobs] == ["a"]

    @pytest.mark.parametrize("header", [True, False])
    def test_structured_mode_is_unwrapped_with_and_without_its_header(self, header: bool) -> None:
        said = [("content-type", b"application/cloudevents+json; charset=utf-8")] if header else []
        data = json.loads(job_message("a"))

        chunk = self.read(self.ATTRIBUTES | {"data": data}, *said)

        assert [job.key for job in chunk.jobs] == ["a"]
        assert chunk.jobs[0].digest == READER.read([job_message("a")]).jobs[0].digest

    def test_base64_is_unwrapped(self) -> None:
        data = base64.b64encode(job_message("a")).decode()

        assert self.read(self.ATTRIBUTES | {"data_base64": data}).jobs[0].key == "a"

    @pytest.mark.parametrize(
        ("change", "told"),
        [({"specversion": "0.3"}, "specversion"), ({"id": ""}, "id"), ({}, "has no data")],
    )
    def test_a_wrong_envelope_is_refused(self, change: dict[str, str], told: str) -> None:
        header = ("content-type", b"application/cloudevents+json")

        assert told in self.read(self.ATTRIBUTES | change, header).refused[0].reason

    def test_another_version_in_the_headers_is_refused(self) -> None:
        chunk = READER.read([job_message("a")], [[("ce_specversion", b"0.3")]])

        assert "send 1.0" in chunk.refused[0].reason

    def test_batches_are_refused(self) -> None:
        chunk = self.read([], ("content-type", b"application/cloudevents-batch+json"))

        assert "one event per message" in chunk.refused[0].reason


class TestFiles:
    """Documents that a message names by path."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        root.mkdir()
        (root / "a.txt").write_text("The text.")
        (tmp_path / "secret.txt").write_text("A secret.")
        return root.resolve()

    @pytest.fixture
    def reader(self, root: Path) -> Reader:
        roots = Roots(directories=(root,), bytes_max=POLICY.file_bytes_max)
        return Reader(policy=POLICY, roots=roots)

    def test_a_file_under_a_root_is_read_and_its_text_not_kept(
        self, reader: Reader, root: Path
    ) -> None:
        for path in ("a.txt", str(root / "a.txt"), "./a.txt"):
            [document] = reader.read([job_message("a", text=None, path=path)]).documents.values()
            assert (document.body, document.path) == (None, str(root / "a.txt"))
            assert document.digest == hashlib.sha256(b"The text.").digest()

    @pytest.mark.parametrize(
        "path", ["../secret.txt", "/etc/passwd", "none.txt", "a.txt/../../secret.txt", "."]
    )
    def test_no_path_leads_out_of_the_roots(self, reader: Reader, path: str) -> None:
        assert "path" in reason(job_message("a", text=None, path=path), reader)

    def test_no_link_leads_out_of_the_roots(self, reader: Reader, root: Path) -> None:
        (root / "link.txt").symlink_to(root.parent / "secret.txt")
        (root / "inside.txt").symlink_to(root / "a.txt")

        assert "is no file under" in reason(job_message("a", text=None, path="link.txt"), reader)
        assert reader.read([job_message("a", text=None, path="inside.txt")]).jobs

    def test_a_missing_file_and_one_elsewhere_are_refused_alike(self, reader: Reader) -> None:
        elsewhere = reason(job_message("a", text=None, path="../secret.txt"), reader)
        missing = reason(job_message("a", text=None, path="../nothing.txt"), reader)

        assert elsewhere.replace("secret", "nothing") == missing

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"x" * 2_001, "at most 2000 bytes"),
            (b"\xff\xfe", "UTF-8"),
            (b"a\0b", "NUL"),
            (b" \n", "empty"),
        ],
    )
    def test_what_is_no_text_is_refused(
        self, reader: Reader, root: Path, content: bytes, told: str
    ) -> None:
        (root / "bad.txt").write_bytes(content)

        assert told in reason(job_message("a", text=None, path="bad.txt"), reader)

    def test_a_pipe_is_refused_and_not_waited_for(self, reader: Reader, root: Path) -> None:
        os.mkfifo(root / "pipe")

        assert "is no file" in reason(job_message("a", text=None, path="pipe"), reader)

    def test_without_roots_no_path_is_read(self) -> None:
        assert "APPORTION_ROOTS" in reason(job_message("a", text=None, path="/etc/passwd"))
