"""What can be wrong with a catalog."""

from scheduler.domain.errors import Refused


class BadCatalog(Refused):
    """The catalog file is wrong; the message names the line and the field."""

    def __init__(self, *, path: str, problems: tuple[str, ...]) -> None:
        super().__init__("\n  ".join([f"the catalog {path} cannot be used:", *problems]))
        self.path = path
        self.problems = problems
