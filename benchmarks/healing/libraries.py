"""Real pure-Python libraries, as their source distributions on the package index have them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Library:
    """A distribution; `package` and `tests` are paths in its source tree.

    `left_out` are test files that need what the distribution does not hold: other
    distributions, the network, or many seconds.
    """

    name: str
    version: str
    package: str
    tests: str
    left_out: tuple[str, ...] = ()

    @property
    def source_folder(self) -> str:
        """The folder that goes onto the path of the tests."""
        return "src" if self.package.startswith("src/") else "."

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


LIBRARIES = (
    Library("inflection", "0.5.1", "inflection", "."),
    Library("toolz", "1.2.0", "toolz", "toolz/tests"),
    Library("xmltodict", "1.0.4", "xmltodict.py", "tests"),
    Library("cachetools", "8.0.2", "src/cachetools", "tests"),
    Library("parse", "1.22.4", "parse", "tests"),
    Library("semver", "3.1.2", "src/semver", "tests"),
    Library("tabulate", "0.10.0", "tabulate", "test"),
    Library("humanize", "4.17.0", "src/humanize", "tests", ("test_i18n.py", "test_time.py")),
    Library("boltons", "26.2.0", "boltons", "tests"),
    Library("more-itertools", "11.2.1", "more_itertools", "tests"),
)


class Unavailable(Exception):
    """A library could not be had; the text says why."""


def fetch(library: Library, cache: Path) -> Path:
    """The unpacked source tree in `cache`, downloaded by pip once.

    Raises Unavailable where the index does not give a source distribution.
    """
    root = cache / library.requirement
    if root.is_dir():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", library.name, "--dest", str(cache / "archives"), library.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stem = f"{library.name}-{library.version}".replace("-", "_").lower()
    archives = [
        path
        for path in sorted((cache / "archives").glob("*"))
        if path.name.replace("-", "_").lower().startswith(stem)
    ]
    if not archives:
        raise Unavailable(f"pip has no source distribution: {done.stderr.strip()[-300:]}")
    unpacked = cache / "unpacked" / library.requirement
    _unpack(archives[0], unpacked)
    (inner,) = [path for path in unpacked.iterdir() if path.is_dir()]
    shutil.move(str(inner), root)
    shutil.rmtree(unpacked)
    return root


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
        return
    with tarfile.open(archive) as tarred:
        tarred.extractall(folder, filter="data")
