"""``selfheal config show|schema``: the settings that hold, where each comes from, their schema."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import open_project, project_options


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="every setting, its value, and what set it")
    project_options(show)
    output_options(show)
    output_options(actions.add_parser("schema", help="the JSON Schema of selfheal.yaml"))


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.configuration import configuration_schema, origins

    if arguments.action == "schema":
        schema = configuration_schema()
        console.data(schema, lambda: json.dumps(schema, indent=2))
        return "succeeded"
    project = open_project(arguments)
    found = origins(project.settings, project.layers)
    console.data(
        {
            "folder": project.folder,
            "settings": project.settings.model_dump(mode="json", by_alias=True),
            "origins": {origin.key: origin.place for origin in found},
        },
        lambda: table([(o.key, json.dumps(o.value), o.place) for o in found]),
    )
    return "succeeded"
