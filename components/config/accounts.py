"""The check of a service account that is to be one workload's alone."""

from pydantic import AfterValidator

from components.kube.names import SHARED_ACCOUNTS


def checked_account(value: str, whose: str) -> str:
    """A service account that is one workload's alone. Raises `ValueError`, with `whose` it is to be."""
    if value in SHARED_ACCOUNTS:
        raise ValueError(f"an account that every pod of its namespace may have: give {whose} one of its own")
    return value


def own_account(whose: str) -> AfterValidator:
    """Refuse the accounts that every pod of a namespace may have; `whose` is named in the message."""
    return AfterValidator(lambda value: checked_account(value, whose))
