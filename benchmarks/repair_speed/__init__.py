"""How fast candidate edits are tried: forks of a collected suite against cold runs of pytest."""
