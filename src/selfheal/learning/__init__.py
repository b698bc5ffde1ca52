"""Learning: production before and after, and a ledger of what each pattern was worth.

`observation` measures, `control` tells load from effect, `assessment` judges,
`outcomes` and `ledger` keep count, `library` is the file across runs, `insights` tell.
"""
