"""Sequences of beats: JSON files, typed, validated, merged and wired to handlers."""

from selfheal.sequences.catalogue import Catalogue, PhaseEntry, load_catalogue
from selfheal.sequences.graph import graph
from selfheal.sequences.loader import (
    Problem,
    builtin_folder,
    load_sequence,
    sequence_files,
    validate_file,
)
from selfheal.sequences.model import Beat, Movement, Overlay, Sequence, snake_case
from selfheal.sequences.wired import Source, WiredBeat, WiredSequence
from selfheal.sequences.wiring import wire

__all__ = [
    "Beat",
    "Catalogue",
    "Movement",
    "Overlay",
    "PhaseEntry",
    "Problem",
    "Sequence",
    "Source",
    "WiredBeat",
    "WiredSequence",
    "builtin_folder",
    "graph",
    "load_catalogue",
    "load_sequence",
    "sequence_files",
    "snake_case",
    "validate_file",
    "wire",
]
