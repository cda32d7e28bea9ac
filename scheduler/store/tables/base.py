"""What all tables share: one metadata, its naming rule, and the column types."""

from sqlalchemy import DateTime, LargeBinary, MetaData, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Text

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

Timestamp = DateTime(timezone=True)
Bytes = LargeBinary()
Json = JSONB(none_as_null=True)
Texts = ARRAY(Text())
NOW = text("now()")
NO_TEXTS = text("'{}'")


def one_of(column: str, words: type | tuple[str, ...]) -> str:
    """The CHECK that *column* holds one of *words* (an enum of strings, or its members)."""
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"  # type: ignore[union-attr]
