"""The objects in the cluster that a service is."""

from typing import Any

import pulumi
import pulumi_vault
from pulumi_kubernetes import Provider

from components.service.args.service import SecureServiceArgs
from components.service.secure_service import SecureService
from tests.support.monitor import record


def made_of(args: SecureServiceArgs) -> list[dict[str, Any]]:
    """The service's objects in the cluster."""

    def program() -> None:
        providers = [Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")]
        SecureService(args.key, args, pulumi.ResourceOptions(providers=providers))

    found = [dict(each.inputs) for each in record(program).resources if each.type.startswith("kubernetes:")]
    return [each for each in found if "kind" in each]
