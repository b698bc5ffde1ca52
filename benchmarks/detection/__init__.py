"""How far the detectors can be trusted: labelled data by fixed seeds, beside simple baselines."""
