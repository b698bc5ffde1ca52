"""The history that the demo replays: believable, repeatable, and with faults in disguise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfheal.demo.history import (
    Change,
    build_repository,
    choose,
    git,
    planted_faults,
    read_all,
    shop_folder,
    with_parts,
)

CONFESSIONS = re.compile(
    r"slow|fault|bug|broken|n\+1|quadratic|crash|error|inject|regress|exception|heal", re.IGNORECASE
)


@pytest.fixture(scope="module")
def two_builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folders = (tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second"))
    for folder in folders:
        build_repository(folder, 3)
    return folders


def test_equal_seeds_give_equal_commits(two_builds: tuple[Path, Path]) -> None:
    heads = {git(folder / "repo", "rev-parse", "main", "v1.0", "v1.1") for folder in two_builds}
    assert len(heads) == 1


def test_the_history_is_that_of_several_people_over_time(two_builds: tuple[Path, Path]) -> None:
    log = git(two_builds[0] / "repo", "log", "--reverse", "--format=%an%x09%at").splitlines()
    authors, dates = zip(*(line.split("\t") for line in log), strict=True)
    assert len(log) >= 12
    assert len(set(authors)) >= 4
    assert list(map(int, dates)) == sorted(map(int, dates))
    assert int(git(two_builds[0] / "repo", "rev-list", "--count", "v1.0..v1.1")) >= 6


def test_the_clone_is_clean_and_its_remote_has_the_branch_and_the_tags(
    two_builds: tuple[Path, Path],
) -> None:
    folder = two_builds[0]
    assert git(folder / "repo", "status", "--porcelain") == ""
    assert git(folder / "forge.git", "rev-parse", "main") == git(
        folder / "repo", "rev-parse", "HEAD"
    )
    assert git(folder / "forge.git", "tag").split() == ["v1.0", "v1.1"]


def test_the_release_1_0_is_the_service_as_it_lies_in_the_examples(
    two_builds: tuple[Path, Path],
) -> None:
    repository = two_builds[0] / "repo"
    service = shop_folder() / "service"
    files = git(repository, "ls-tree", "-r", "--name-only", "v1.0").split()
    assert "shop/app.py" in files
    for file in files:
        assert git(repository, "show", f"v1.0:{file}") == (service / file).read_text("utf-8")


def test_there_are_enough_faults_and_each_has_an_operation_of_its_own() -> None:
    faults = planted_faults()
    assert sum(fault.exception is None for fault in faults) >= 4
    assert sum(fault.exception is not None for fault in faults) >= 4
    assert len({fault.operation for fault in faults}) == len(faults)
    assert len({fault.exception for fault in faults} - {None}) >= 4


@pytest.mark.parametrize("kind", ["slow", "failing", "innocent"])
def test_no_message_confesses(kind: str) -> None:
    for change in read_all(shop_folder() / "history" / kind):
        assert not CONFESSIONS.search(change.message), change.name


def test_a_seed_plants_one_slow_and_one_failing_change_and_seeds_differ() -> None:
    pairs = set()
    for seed in range(12):
        faults = [change.fault for change in choose(seed) if "X-Operation" in change.headers]
        assert sorted(fault.exception is None for fault in faults) == [False, True]
        pairs.add(frozenset(fault.name for fault in faults))
    assert len(pairs) >= 5


def test_a_patch_is_read_with_its_headers_and_message(tmp_path: Path) -> None:
    path = tmp_path / "x.patch"
    path.write_text(
        "From: A B <a@b.example>\nSubject: Do it\nX-Operation: GET /x\n\nBecause.\n---\ndiff --git a/x b/x\n"
    )
    change = Change.read(path)
    assert change.author == "A B <a@b.example>"
    assert change.message == "Do it\n\nBecause."
    assert change.patch == "diff --git a/x b/x\n"
    assert change.headers["X-Operation"] == "GET /x"


def test_the_application_grows_with_its_parts() -> None:
    application = (
        "from shop import database\nfrom shop.cart import blueprint as cart\n"
        "def create_app():\n    app.register_blueprint(cart)\n    return app\n"
    )
    assert with_parts(application, {"shop/cart.py"}) == application
    assert "cart" not in with_parts(application, {"shop/app.py"})
