"""What a team's deployer, and the team's services, may do in Vault.

Whoever writes a policy or a role of a login gives rights, so no team does: one policy of the platform's holds for the
services of all teams, and its paths have the namespace and the name of the service account that has logged in.
https://developer.hashicorp.com/vault/docs/concepts/policies#templated-policies
"""

import json
from collections.abc import Sequence

from components.kube.names import CREDENTIALS, DATABASE_MOUNT, KV_MOUNT
from components.vault.policy import hcl

_TOKEN = (
    ("auth/token/lookup-self", ("read",)),
    ("auth/token/renew-self", ("update",)),
    ("auth/token/revoke-self", ("update",)),
)


def services_policy(accessor: str) -> str:
    """The policy of the services of teams: each reads its own secrets and its own users in databases.

    `accessor` is that of the Kubernetes login, whose metadata Vault takes from the token that the API server reviewed.
    """
    account = f"identity.entity.aliases.{accessor}.metadata.service_account"
    namespace, name = f"{{{{{account}_namespace}}}}", f"{{{{{account}_name}}}}"
    return hcl(
        (
            (f"{CREDENTIALS}/{namespace}.{name}", ("read",)),
            # Its users in further databases: no name of a service has a dot.
            (f"{CREDENTIALS}/{namespace}.{name}.*", ("read",)),
            (f"{KV_MOUNT}/data/{namespace}/{name}/+", ("read",)),
        )
    )


def deployer_policy(namespaces: Sequence[str], databases: Sequence[str] = ()) -> str:
    """The policy of a team's deployer: first values of secrets in its namespaces, of which it reads none.

    With `databases`, the roles that make its services' users in them, and in no other: their statements run there as
    the administrator.
    """
    secrets = [(f"{KV_MOUNT}/data/{namespace}/+/+", ("create", "update", "delete")) for namespace in sorted(namespaces)]
    roles = [_database_roles(namespace, sorted(databases)) for namespace in sorted(namespaces)] if databases else []
    return "\n".join([hcl([*_TOKEN, *secrets]), *roles])


def _database_roles(namespace: str, databases: Sequence[str]) -> str:
    # No other parameter says which database it is, and Vault itself refuses a new role without it.
    return f"""\
path "{DATABASE_MOUNT}/roles/{namespace}.*" {{
  capabilities = ["create", "read", "update", "delete"]
  allowed_parameters = {{
    "db_name" = {json.dumps(databases)}
    "*" = []
  }}
}}
"""


def deployer_role(team: str) -> str:
    """The name of the role and of the policy of a team's deployer."""
    return f"team_deployer_{team}"


def services_role(team: str) -> str:
    """The name of the role that the services of a team log in to."""
    return f"team_{team}"
