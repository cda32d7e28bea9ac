"""The jars of the tests' Kafka broker: Maven brings them once, into .cache/kafka."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.rig.process import REPO

POM = REPO / "tests" / "kafka" / "pom.xml"
CACHE = REPO / ".cache" / "kafka"
HELP = (
    "the tests run a real Kafka broker and need Java 17 or newer and Maven: install them "
    "(Debian: apt-get install default-jre-headless maven; macOS: brew install openjdk maven), "
    "or set APPORTION_TEST_KAFKA to the host:port of a broker of your own"
)


def kafka_jars() -> Path:
    """The directory of the jars; brought by Maven if this pom's are not there yet."""
    jars = CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            _bring(jars)
    return jars


def java() -> str:
    program = shutil.which("java")
    assert program, HELP
    return program


def _bring(jars: Path) -> None:
    maven = shutil.which("mvn")
    assert maven, HELP
    # Renamed when whole, so that a download broken off is begun again.
    with tempfile.TemporaryDirectory(dir=CACHE) as bringing:
        said = subprocess.run(
            [
                maven,
                "--batch-mode",
                "--quiet",
                f"--file={POM}",
                "dependency:copy-dependencies",
                f"-DoutputDirectory={bringing}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, f"Maven could not bring Kafka:\n{said.stdout}{said.stderr}"
        shutil.copytree(bringing, jars.with_suffix(".making"), dirs_exist_ok=True)
    jars.with_suffix(".making").rename(jars)
