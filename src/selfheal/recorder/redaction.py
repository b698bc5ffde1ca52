"""What is not written down: the values of secret keys, and secrets inside of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from selfheal.recorder.values import REDACTED, Keeping

# Parts of names of parameters, keys and attributes, compared without case, "_", "-" and ".".
SECRET_NAMES = (
    *("password", "passwd", "passphrase", "secret", "token", "authorization", "cookie"),
    *("credential", "apikey", "accesskey", "privatekey", "sessionid", "signature"),
    *("email", "phone", "iban", "creditcard", "cardnumber", "cvv", "ssn", "birthdate"),
)
# What a text must hold, in lower case, for a pattern to be tried; the pattern.
SECRET_TEXTS = (
    # Credentials in a URL (RFC 3986, 3.2.1); addresses of electronic mail.
    ("://", r"(?<=://)[^/\s:@]{1,64}:[^/\s@]{1,64}(?=@)"),
    ("@", r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
    # JSON Web Tokens (RFC 7519), and credentials of an Authorization header (RFC 9110, 11.4).
    ("eyj", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("bearer", r"(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    ("basic", r"(?i:\bbasic\s+)[A-Za-z0-9+/=-]{8,}"),
    # Private keys (RFC 7468).
    (
        "private key-----",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    ),
)
# Numbers of payment cards (ISO/IEC 7812), where their check digit is right.
_CARD = re.compile(r"\b(?:\d[ -]?){12,18}\d\b")
_DIGITS_OF_A_CARD = 13
_SEPARATORS = re.compile(r"[-_. ]")


def keeping(names: Iterable[str] = (), texts: Iterable[str] = ()) -> Keeping:
    """What is kept back: the usual secrets, and the user's own.

    `names` are parts of names, `texts` regular expressions. Raises re.error.
    """
    parts = tuple(_bare(name) for name in (*SECRET_NAMES, *names) if _bare(name))
    known = [(needle, re.compile(text)) for needle, text in SECRET_TEXTS]
    own = [re.compile(text) for text in texts]

    @lru_cache(maxsize=4096)
    def secret(key: str) -> bool:
        bare = _bare(key)
        return any(part in bare for part in parts)

    def cleaned(text: str) -> str:
        # None of the usual secrets has the form of a name.
        if not own and text.isidentifier():
            return text
        lowered = text.lower()
        for needle, pattern in known:
            if needle in lowered:
                text = pattern.sub(REDACTED, text)
        for pattern in own:
            text = pattern.sub(REDACTED, text)
        if len(text) >= _DIGITS_OF_A_CARD and not text.isalpha():
            text = _CARD.sub(_without_card, text)
        return text

    return Keeping(secret, cleaned)


def _bare(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


def _without_card(found: re.Match[str]) -> str:
    """The text of a number, REDACTED where its Luhn check digit says that it is a card's."""
    digits = [int(digit) for digit in found[0] if digit.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return found[0] if (sum(digits[-1::-2]) + doubled) % 10 else REDACTED
