"""Drills: faults seeded into a clone of the user's own repository, and the whole loop on them.

What is healed, and what is not, goes to the ledger that autonomy is earned by. Nothing of
the repository, its remote or its service is touched.
"""
