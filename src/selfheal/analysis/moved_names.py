"""Names that are not there any more, and where they are now.

The table holds what releases of Python and of widely used packages moved or renamed, as they
announced: ``(module, name)`` → ``(module, name)``; an empty module stands for a module of that
name.
"""

from __future__ import annotations

import re

_GONE = re.compile(
    r"cannot import name ['\"](?P<name>\w+)['\"] from (?:partially initialized module )?['\"](?P<module>[\w.]+)"
    r"|module ['\"](?P<owner>[\w.]+)['\"] has no attribute ['\"](?P<attribute>\w+)"
)

MOVES: dict[tuple[str, str], tuple[str, str]] = {
    **{("collections", name): ("collections.abc", name) for name in ["Mapping", "MutableMapping", "Sequence", "MutableSequence", "Iterable", "Iterator", "Callable", "Hashable", "Set", "MutableSet", "Sized", "Container", "Generator", "Coroutine", "Awaitable", "KeysView", "ValuesView", "ItemsView", "ByteString"]},
    ("fractions", "gcd"): ("math", "gcd"), ("time", "clock"): ("time", "perf_counter"),
    ("inspect", "getargspec"): ("inspect", "getfullargspec"), ("cgi", "escape"): ("html", "escape"),
    ("cgi", "parse_qs"): ("urllib.parse", "parse_qs"), ("string", "letters"): ("string", "ascii_letters"),
    ("base64", "encodestring"): ("base64", "encodebytes"), ("base64", "decodestring"): ("base64", "decodebytes"),
    ("json", "JSONDecodeError"): ("json.decoder", "JSONDecodeError"), ("urllib", "quote"): ("urllib.parse", "quote"),
    ("urllib", "urlencode"): ("urllib.parse", "urlencode"), ("urllib", "unquote"): ("urllib.parse", "unquote"),
    ("urllib", "urlopen"): ("urllib.request", "urlopen"), ("itertools", "izip"): ("builtins", "zip"),
    ("typing", "io"): ("typing", "IO"), ("asyncio", "coroutine"): ("types", "coroutine"),
    ("importlib", "find_loader"): ("importlib.util", "find_spec"), ("locale", "format"): ("locale", "format_string"),
    ("xml.etree", "cElementTree"): ("xml.etree", "ElementTree"), ("jinja2", "Markup"): ("markupsafe", "Markup"),
    ("jinja2", "escape"): ("markupsafe", "escape"), ("flask", "Markup"): ("markupsafe", "Markup"),
    ("flask", "escape"): ("markupsafe", "escape"), ("werkzeug.urls", "url_quote"): ("urllib.parse", "quote"),
    ("werkzeug", "secure_filename"): ("werkzeug.utils", "secure_filename"),
    ("scipy.misc", "comb"): ("scipy.special", "comb"), ("scipy.integrate", "simps"): ("scipy.integrate", "simpson"),
    ("scipy.integrate", "trapz"): ("scipy.integrate", "trapezoid"), ("numpy", "product"): ("numpy", "prod"),
    ("numpy", "float"): ("numpy", "float64"), ("numpy", "int"): ("numpy", "int64"), ("numpy", "bool"): ("numpy", "bool_"),
    ("numpy", "trapz"): ("numpy", "trapezoid"), ("django.utils.encoding", "force_text"): ("django.utils.encoding", "force_str"),
    ("django.utils.translation", "ugettext"): ("django.utils.translation", "gettext"),
    ("django.core.urlresolvers", "reverse"): ("django.urls", "reverse"), ("pkg_resources", "parse_version"): ("packaging.version", "parse"),
    ("distutils.version", "LooseVersion"): ("packaging.version", "Version"), ("distutils.version", "StrictVersion"): ("packaging.version", "Version"),
    ("pydantic", "BaseSettings"): ("pydantic_settings", "BaseSettings"), ("sklearn.externals", "joblib"): ("", "joblib"),
}  # fmt: skip


def gone_name(message: str) -> tuple[str, str] | None:
    """(module, name) of what an ImportError or AttributeError says is not there any more."""
    found = _GONE.search(message)
    if found is None:
        return None
    return found["module"] or found["owner"], found["name"] or found["attribute"]
