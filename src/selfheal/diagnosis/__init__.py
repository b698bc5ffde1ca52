"""From anomalies to causes: where the trouble comes from, since which commit, how sure.

Sources of the method: suspects are ranked by what the commits of a release changed in
the code that the evidence touches (Meta, "Moving faster and reducing risk: using LLMs in
release deployment", 2024; Wen et al., "Locus: locating bugs from software changes", ASE
2016); what the failing expression depends on is a backward slice (Weiser, ICSE 1981).
A verdict that accuses code needs a score of at least `DiagnoseConfig.minimum_score`;
otherwise the diagnosis says what is missing.
"""

from selfheal.artifacts.diagnosis import Impact, Location, SuspectCommit
from selfheal.diagnosis.model import Assessed, Cause, Codebase, CodeRange

__all__ = ["Assessed", "Cause", "CodeRange", "Codebase", "Impact", "Location", "SuspectCommit"]
