"""`zt attack`: replays attacks against a running stack, as a compromised pod or as a member of one namespace.

An attempt stores nothing. A request that would change something is a dry run, which passes the same authorization and
admission, or only asks whether it would be allowed. What a run has to create (a role for the deployer of the fifth
attack, the binding of the member's role, Vault tokens) is removed when it ends.
"""
