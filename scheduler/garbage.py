"""How often Python looks for garbage in a process that holds many jobs at once."""

import gc

THRESHOLDS = (20_000, 20, 20)
"""Objects made between collections: jobs in hand are many, live long, and hold no cycles.

With Python's own figures a tenth of a worker's time, and more of intake's, goes into looking
at them.
"""


def collect_rarely() -> None:
    """Collect less often from now on, and never look at what is there already."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
