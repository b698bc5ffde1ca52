"""The command line: one module per verb, imported when it is asked for.

A verb module offers ``configure(parser)`` and ``run(arguments, console) -> Outcome``.
`verbs` is the table of them; `main` turns outcomes and errors into exit codes.
"""
