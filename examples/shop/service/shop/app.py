"""The application: every part of the shop under one roof."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from shop import database, sample, sessions, telemetry
from shop.cart import blueprint as cart
from shop.catalogue import blueprint as catalogue
from shop.orders import blueprint as orders
from shop.prices import blueprint as prices
from shop.recommendations import blueprint as recommendations
from shop.reviews import blueprint as reviews
from shop.search import blueprint as search


def create_app(path: Path | None = None) -> Flask:
    """The shop over the SQLite file at `path`, or over a private sample database."""
    app = Flask("shop")
    app.json.sort_keys = False
    app.config["DATABASE"] = path or sample_database()
    sessions.set_up(app)
    telemetry.set_up(app)
    app.teardown_appcontext(database.close_database)
    app.register_error_handler(HTTPException, problem)
    app.register_blueprint(catalogue)
    app.register_blueprint(search)
    app.register_blueprint(reviews)
    app.register_blueprint(prices)
    app.register_blueprint(recommendations)
    app.register_blueprint(cart)
    app.register_blueprint(orders)
    app.add_url_rule("/health", view_func=health)
    return app


def sample_database() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="shop-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sample.create(folder / "shop.db")
    return folder / "shop.db"


def health() -> Response:
    return jsonify(status="ok")


def problem(error: HTTPException) -> tuple[Response, int]:
    """Errors as JSON, in the shape of RFC 9457."""
    status = error.code or 500
    return jsonify(title=error.name, detail=error.description, status=status), status
