"""What the forges that are asked by an API have in common: names, limits, and their mistakes told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from selfheal.delivery.forge import CheckState
from selfheal.errors import RepositoryError

CONTEXT = "selfheal/"
REVERTED = "selfheal-reverted"
CLOSED_LISTED = 300
DESCRIPTION_WIDTH = 140


def with_own(found: Mapping[str, CheckState]) -> dict[str, CheckState]:
    """The checks of a commit, selfheal's own also by their names without the context."""
    own = {
        name.removeprefix(CONTEXT): state
        for name, state in found.items()
        if name.startswith(CONTEXT)
    }
    return {**own, **found}


@contextmanager
def in_words(
    forge: str,
    refusal: type[Exception],
    told: Callable[[Any], tuple[Any, str]],
    rights: str,
    what: str,
) -> Iterator[None]:
    """Turn what the API of a forge answers into a mistake of the user's that says what helps.

    `told` gives the status and the words of a `refusal`; `rights` is what a token has.
    """
    import requests

    try:
        yield
    except refusal as error:
        status, words = told(error)
        raise RepositoryError(
            f"{forge} answered {status} for {what}: {words}.",
            where="deploy.forge",
            hint=f"Look at the token's {rights}, deploy.forge.project and deploy.forge.base_url.",
        ) from error
    except requests.RequestException as error:
        raise RepositoryError(
            f"{forge} could not be asked for {what}: {type(error).__name__}.",
            where="deploy.forge.base_url",
            hint="When it is reachable: selfheal resume",
        ) from error
