"""`zt attack`: the zero-trust model's six attacks, replayed against a running stack as a compromised pod tries them.

Nothing that is tried is stored: a request that would change something is a dry run, which passes the same
authorization and admission, or asks for what the answer alone tells. What has to exist for a moment (a role for the
deployer of the fifth attack, Vault tokens) is removed when the run ends.
"""
