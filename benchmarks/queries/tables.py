"""Rows of a table on the terminal."""

from __future__ import annotations


def row(name: str, *cells: str) -> None:
    print(f"  {name:<34}" + "".join(f"{cell:>12}" for cell in cells))
