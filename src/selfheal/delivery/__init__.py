"""Delivery: from a proven patch to commits, a pull request, a merge and a gated rollout.

`workshop` makes commits by plumbing, `forge` and `local_forge` hold branches and pull
requests, `plan` and `pull_request` say what is shipped, `shipping` does each outward
step once, `fleet` and `rollout` shift traffic, `gate` judges each step.
"""
