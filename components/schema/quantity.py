"""Reads Kubernetes' notation of amounts like the API server.

The Python client has such a parser too, but it takes half a second to load and accepts `NaN`, `1_0` and `1e3Mi`, which
the API server refuses. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal

# An exponent of three digits is never needed: the API server would cap the amount at 2**63.
QUANTITY = r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:([numkMGTPE]|[KMGTPE]i)|([eE][-+]?[0-9]{1,2}))?"
"""The pattern of an amount."""
_SCALE = (
    {"": Decimal(1)}
    | {suffix: Decimal(1000) ** power for power, suffix in enumerate("num kMGTPE", start=-3)}
    | {f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", start=1)}
)


def amount(quantity: str) -> Decimal:
    """The number of a quantity such as `250m`, `256Mi` or `1e3`. Raises `ValueError` if the API server would refuse it.

    A sign is refused too, since no amount here is negative.
    """
    match = re.fullmatch(QUANTITY, quantity)
    if match is None:
        raise ValueError("not a Kubernetes quantity such as 250m or 256Mi")
    number, suffix, exponent = match.groups(default="")
    return Decimal(number + exponent) * _SCALE[suffix]
