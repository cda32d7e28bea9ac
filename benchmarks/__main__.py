"""Runs every benchmark with its default figures, one after another; a JSON line each."""

import subprocess
import sys

BENCHMARKS = {
    "features": (),
    "predict": (),
    "solve": ("--jobs", "20000", "--options", "20", "--rows", "15", "--json"),
    "planning": ("--json",),
    "intake": (),
    "dispatch": (),
    "audit": (),
    "end_to_end": (),
}


def main() -> None:
    for name, arguments in BENCHMARKS.items():
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=True)


main()
