"""An anonymous session for each visitor, kept in a cookie."""

from __future__ import annotations

import uuid

from flask import Flask, Response, g, request

COOKIE = "shop_session"


def session_id() -> str:
    """The visitor's session; a first visit begins one."""
    if "session_id" not in g:
        g.session_id = request.cookies.get(COOKIE) or uuid.uuid4().hex
    return g.session_id


def keep_session(response: Response) -> Response:
    if "session_id" in g and request.cookies.get(COOKIE) != g.session_id:
        response.set_cookie(COOKIE, g.session_id, httponly=True, samesite="Lax")
    return response


def set_up(app: Flask) -> None:
    app.after_request(keep_session)
