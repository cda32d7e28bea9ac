"""How functions over columns become machine code, once per machine and not once per process."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger(__name__)


class _ForgivingCache(FunctionCache):
    """Numba's cache on disk, except that no trouble with the disk ever stops a solve.

    A full disk, a file cut short, or a directory that another user owns would otherwise
    be raised from the middle of a plan; here it only means compiling again.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception as error:
            log.warning("compiled code was not read from %s: %r", self.cache_path, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except Exception as error:
            log.warning("compiled code was not kept in %s: %r", self.cache_path, error)


def compiled(function: Function) -> Function:
    """*function* as machine code that runs without the interpreter's lock.

    The code is kept beside the module, or in the user's cache directory where the
    installation is read-only, or where `NUMBA_CACHE_DIR` says; with none of them
    writable it is compiled in every process.
    """
    dispatcher: Any = njit(nogil=True)(function)
    try:
        dispatcher._cache = _ForgivingCache(function)  # type: ignore[no-untyped-call]
    except RuntimeError as error:  # numba found no directory that it may write to
        log.warning("compiled code is not kept: %s", error)
    return cast("Function", dispatcher)
