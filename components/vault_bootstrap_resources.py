"""The name by which a stack's state knows the providers of Vault's bootstrap. It stays, wherever their code moves.

Pulumi keeps the module of a dynamic provider in the state, and loads it from there to refresh or delete what it made
(https://www.pulumi.com/docs/iac/concepts/providers/dynamic-providers/).
"""

from components.vault.bootstrap_providers import InitialisationProvider, LoginProvider

__all__ = ["InitialisationProvider", "LoginProvider"]
