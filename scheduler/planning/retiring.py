"""Estimators that another version of the program wrote: they are in use no longer."""

from typing import Any

import structlog
from sqlalchemy import Connection

from scheduler.estimate.errors import UnknownVersion
from scheduler.estimate.features import FEATURES
from scheduler.estimate.quality import Predictor
from scheduler.planning.estimates import Estimators, load_estimators
from scheduler.store.estimators import active_estimators, retire

logger = structlog.get_logger(__name__)


def estimators_to_beat(conn: Connection) -> tuple[Estimators, list[dict[str, Any]]]:
    """What plans go by, and the evidence of what can be used no longer.

    A version that this program does not read would end every plan: it is retired, and the
    shipped one is in its place.
    """
    bodies, retired = {}, []
    for one in active_estimators(conn):
        try:
            _check_width(load_estimators({one.kind: one.body}).quality)
            bodies[one.kind] = one.body
        except UnknownVersion as error:
            logger.warning("an estimator of another version is retired", reason=str(error))
            retire(conn, estimator_id=one.id)
            said = {"kind": one.kind, "retired": one.digest.hex(), "reason": str(error)}
            retired.append(said)
    return load_estimators(bodies), retired


def _check_width(quality: Predictor) -> None:
    if not quality.representation:
        for model in quality.tasks.values():
            model.check_width(FEATURES)
