"""Patterns from one repository to another, as one signed JSON file.

The signature is Ed25519 (RFC 8032) over the canonical bytes of the document without it.
Who reads it has to have the writer's public key among the trusted ones. What a pattern
went through elsewhere counts `FOREIGN_WEIGHT` of what it goes through here, and the
repository's own experience with the same edit comes before it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field

from selfheal.artifacts import Pattern, Patterns
from selfheal.artifacts.canonical import canonical_bytes, short_id
from selfheal.artifacts.model import Model
from selfheal.artifacts.patterns import Retirement
from selfheal.errors import InvalidInput, MissingExtra
from selfheal.learning.ledger import SUCCESSFUL, confidence, decayed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOREIGN_WEIGHT = 0.5
SCHEMA = "selfheal/pattern-export/1"


class Export(Model):
    """`repository` names where the patterns are from; `key` and `signature` are base64."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["selfheal/pattern-export/1"] = Field(alias="schema")
    repository: str = Field(min_length=1)
    patterns: list[Pattern]
    key: str
    signature: str = ""

    def signed_bytes(self) -> bytes:
        return canonical_bytes(self.model_dump(mode="json", by_alias=True, exclude={"signature"}))

    def to_bytes(self) -> bytes:
        return canonical_bytes(self.model_dump(mode="json", by_alias=True))


def export_schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return Export.model_json_schema(by_alias=True)


def default_key_file(environment: Mapping[str, str]) -> Path:
    """Where a person's signing key is kept."""
    home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "selfheal" / "signing-key.pem"


def signing_key(file: Path, *, make: bool = False) -> Ed25519PrivateKey:
    """The private key of a PEM file; made with it where `make` allows it and there is none.

    Raises InvalidInput where it is absent or no Ed25519 key, MissingExtra without the package.
    """
    serialization, ed25519 = _cryptography()
    if not file.exists():
        if not make:
            raise InvalidInput(
                "there is no signing key.", where=str(file), hint="Make one: selfheal patterns key."
            )
        made = ed25519.Ed25519PrivateKey.generate()
        text = made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(text)
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise InvalidInput(f"this key cannot be read: {error}.", where=str(file)) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InvalidInput("this is no Ed25519 key.", where=str(file))
    found: Ed25519PrivateKey = key
    return found


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as the configuration takes it: base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def exported(
    library: Patterns, repository: str, key: Ed25519PrivateKey, only: Sequence[str] = ()
) -> Export:
    """The repository's own patterns (or those of these ids), signed. Imported ones stay out."""
    own = [
        each for each in library.patterns if each.origin is None and (each.id in only or not only)
    ]
    draft = Export.model_validate(
        {"schema": SCHEMA, "repository": repository, "patterns": own, "key": public_text(key)}
    )
    signature = base64.b64encode(key.sign(draft.signed_bytes())).decode()
    return draft.model_copy(update={"signature": signature})


def read_export(file: Path, trusted: Sequence[str]) -> Export:
    """A verified export. Raises InvalidInput: not JSON, not of the schema, not trusted, changed."""
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise InvalidInput("there is no such file.", where=str(file)) from error
    except (OSError, ValueError) as error:
        raise InvalidInput(f"this is not JSON: {error}.", where=str(file)) from error
    _check_schema(document, file)
    found = Export.model_validate(document)
    if found.key not in trusted:
        raise InvalidInput(
            f"the key {found.key!r} that signed this is not trusted.",
            where=str(file),
            hint="Ask its owner whether it is theirs, then add it to learn.trusted_keys.",
        )
    if not _is_signed(found):
        raise InvalidInput(
            "the signature does not fit: the file was changed after it was signed.",
            where=str(file),
            hint="Ask for a new export.",
        )
    return found


def _check_schema(document: object, file: Path) -> None:
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(export_schema()).iter_errors(document), key=str)
    if errors:
        pointer = "/" + "/".join(map(str, errors[0].absolute_path))
        raise InvalidInput(f"{errors[0].message[:300]}.", where=f"{file}#{pointer}")


def _is_signed(found: Export) -> bool:
    from cryptography.exceptions import InvalidSignature

    _, ed25519 = _cryptography()
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(found.key, validate=True))
        key.verify(base64.b64decode(found.signature, validate=True), found.signed_bytes())
    except (InvalidSignature, ValueError):
        return False
    return True


def imported(library: Patterns, export: Export) -> Patterns:
    """The library with the patterns of another repository; doing it again changes nothing."""
    own = {pattern.id: pattern for pattern in library.patterns}
    for pattern in export.patterns:
        made = _foreign(pattern, export)
        before = own.get(made.id)
        # What a person here decided on it stays.
        if before is not None and before.retired is not None:
            made = made.model_copy(update={"retired": before.retired})
        own[made.id] = made
    ordered = sorted(own.values(), key=lambda each: (-each.confidence_interval[0], each.id))
    return library.model_copy(update={"patterns": ordered})


def _foreign(pattern: Pattern, export: Export) -> Pattern:
    weights = decayed([entry.run_id for entry in pattern.provenance])
    good = [entry.outcome in SUCCESSFUL for entry in pattern.provenance]
    succeeded = sum(weight for weight, well in zip(weights, good, strict=True) if well)
    mean, interval = confidence(FOREIGN_WEIGHT * succeeded, FOREIGN_WEIGHT * sum(weights))
    retired = pattern.retired
    if retired is not None:
        retired = Retirement(by=export.repository, reason=retired.reason)
    return pattern.model_copy(
        update={
            "id": short_id("pattern", "from", export.key, pattern.id),
            "origin": export.repository,
            "confidence": mean,
            "confidence_interval": interval,
            "retired": retired,
            "pardoned": [],
        }
    )


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtra.of("cryptography", "sign") from error
    return serialization, ed25519
