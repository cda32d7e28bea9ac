"""What can be wrong with what the estimates are asked to learn from or to load."""

from scheduler.domain.errors import Refused


class BadObservations(Refused):
    """Observations that cannot be learned from."""

    def __init__(self, *, column: str, reason: str) -> None:
        super().__init__(f"the observations' column {column} cannot be learned from: {reason}")
        self.column = column
        self.reason = reason


class UnknownVersion(Refused):
    """A stored estimator of a format that this program does not read."""

    def __init__(self, *, kind: str, version: object) -> None:
        super().__init__(
            f"a stored {kind} estimator has format {version!r}, which this version does not read; "
            "run `apportion learn` to make a new one"
        )
        self.kind = kind
        self.version = version


class UnknownFamily(Refused):
    """A tokenizer family that has no ratios."""

    def __init__(self, *, family: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no tokenizer family {family!r}; the catalog may name {', '.join(known)}")
        self.family = family
        self.known = known
