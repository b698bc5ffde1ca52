"""Reports on what production did: each one a question, asked in SQL, shown in several forms.

REPORTS           the table of reports by name
build(…)          the typed model of a report over a run's folder (`source.Source`)
output.render(…)  its text, JSON, HTML page or export
"""

from selfheal.reports.catalogue import FORMATS, OF_A_RUN, REPORTS, Definition, build, definition

__all__ = ["FORMATS", "OF_A_RUN", "REPORTS", "Definition", "build", "definition"]
