"""The statements of each role of a service in Vault's database engine."""

from dataclasses import replace

from components.config.engines import MARIADB, MONGODB, POSTGRESQL, REDIS
from components.service.args.database import DatabaseArgs
from components.service.args.service import SecureServiceArgs
from components.service.manifests.databases import mariadb, mongodb, postgresql, redis

_CREATION = {
    POSTGRESQL: postgresql.creation_statements,
    MARIADB: mariadb.creation_statements,
    REDIS: redis.creation_statements,
    MONGODB: mongodb.creation_statements,
}
_REVOCATION = {
    POSTGRESQL: postgresql.revocation_statements,
    MARIADB: mariadb.revocation_statements,
    REDIS: redis.revocation_statements,
    MONGODB: mongodb.revocation_statements,
}


def creation_statements(args: DatabaseArgs) -> list[str]:
    """The statements that create a user with exactly the declared rights, or with those of the owner.

    Raises `ValueError` for an invalid name or privilege, since they become part of the text.
    """
    return _CREATION[args.engine](args)


def revocation_statements(args: DatabaseArgs) -> list[str]:
    """The statements that remove a user with its sessions and rights; none where Vault's plugin has its own way."""
    return _REVOCATION[args.engine](args)


def database_roles(args: SecureServiceArgs) -> list[DatabaseArgs]:
    """The databases of a service, each once for its own users and once for those of an owner.

    A user of an owner lives for as long as the longest of its jobs may take.
    """
    times = {name: job.timeout for job in sorted(args.jobs, key=lambda job: job.timeout) for name in job.owns}
    owners = [
        replace(database, as_owner=True, ttl=times[database.name], max_ttl=times[database.name])
        for database in args.databases
        if database.name in times
    ]
    return [*args.databases, *owners]
