"""Organisations, teams and projects."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from scheduler.domain.errors import Refused
from scheduler.store.tables.scopes import KINDS, scope


class BadScope(Refused):
    """A scope's path does not have the form organisation/team/project."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path!r} is not a scope; write it like acme, acme/legal or acme/legal/contracts,"
            " each name of letters, digits, '.', '_' or '-'"
        )
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """An organisation, a team or a project; *ids* are its own and its ancestors', top first."""

    id: int
    kind: str
    tenant_id: int
    path: str
    ids: tuple[int, ...]


_MAKE = text("""
    WITH next AS (SELECT nextval(pg_get_serial_sequence('scope', 'id'))::int AS id)
    INSERT INTO scope (id, kind, parent_id, tenant_id, name, path) OVERRIDING SYSTEM VALUE
    SELECT id, :kind, :parent_id, coalesce(CAST(:tenant_id AS int), id), :name, :path FROM next
    ON CONFLICT (path) DO NOTHING
""")


def ensure_scope(conn: Connection, path: str) -> Scope:
    """The scope at *path*, made with its ancestors where they are not there.

    Raises:
        BadScope: the path is not one to three names.
    """
    names = path.split("/")
    if len(names) > len(KINDS) or not all(_is_name(name) for name in names):
        raise BadScope(path)
    ids: tuple[int, ...] = ()
    for depth, kind in enumerate(KINDS[: len(names)]):
        here = "/".join(names[: depth + 1])
        conn.execute(
            _MAKE,
            {
                "kind": kind,
                "parent_id": ids[-1] if ids else None,
                "tenant_id": ids[0] if ids else None,
                "name": names[depth],
                "path": here,
            },
        )
        ids += (conn.execute(select(scope.c.id).where(scope.c.path == here)).scalar_one(),)
    return Scope(id=ids[-1], kind=KINDS[len(names) - 1], tenant_id=ids[0], path=path, ids=ids)


def list_scopes(conn: Connection) -> dict[str, Scope]:
    """Every scope by its path."""
    rows = conn.execute(select(scope).order_by(scope.c.id)).all()
    ids: dict[int, tuple[int, ...]] = {}
    scopes = {}
    for row in rows:
        ids[row.id] = (*ids.get(row.parent_id, ()), row.id)
        scopes[row.path] = Scope(
            id=row.id, kind=row.kind, tenant_id=row.tenant_id, path=row.path, ids=ids[row.id]
        )
    return scopes


def _is_name(name: str) -> bool:
    plain = name.replace(".", "").replace("_", "").replace("-", "")
    return name.isascii() and plain.isalnum() and name[0].isalnum() and len(name) <= 100
