"""The code under care as git holds it: history, diffs, an index of functions, slow shapes.

Nothing here touches a work tree, and nothing knows of anomalies: what a change or a shape
means for a diagnosis is `selfheal.diagnosis`'s to say.
"""
