"""Keycloak and Airflow come up with their database: real Vault API, real PostgreSQL, simulated pods.

The one has a migration and one service in it, the other four services in the schema of one of them.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.example_databases import Applications, brought_up
from tests.e2e.plane import Plane, copy_program
from tests.e2e.vault_agent import running_agent
from tests.support.postgres import DENIED

pytestmark = pytest.mark.e2e

WORKLOADS = {"airflow": {"broker", "scheduler", "web", "worker"}, "identity": {"keycloak"}}


@pytest.fixture(scope="module")
def applications(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Applications:
    return brought_up(plane, copy_program(tmp_path_factory.mktemp("checkout")))


def test_their_services_are_ready_behind_their_migration(applications: Applications) -> None:
    apps, batch = applications.plane.apps, applications.plane.batch
    for namespace, names in WORKLOADS.items():
        deployments: Any = apps.list_namespaced_deployment(namespace).items
        sets: Any = apps.list_namespaced_stateful_set(namespace).items
        found = {each.metadata.name: each.status for each in [*deployments, *sets]}
        assert found.keys() == names
        assert all(status.ready_replicas == status.replicas > 0 for status in found.values())
    for namespace, job in (("airflow", "web-migrate"), ("identity", "keycloak-migrate")):
        assert batch.read_namespaced_job(job, namespace).status.succeeded == 1
    assert batch.read_namespaced_cron_job("cleanup", "airflow").spec.schedule == "0 3 * * *"


@pytest.mark.parametrize(
    ("database", "namespace", "service", "users"),
    [
        ("keycloak", "identity", "keycloak", ["keycloak"]),
        ("airflow", "airflow", "web", ["web", "scheduler", "worker"]),
    ],
)
def test_a_migration_owns_the_tables_that_the_services_use(
    applications: Applications, database: str, namespace: str, service: str, users: list[str]
) -> None:
    owner = applications.user(namespace, f"{service}-migrate", f"{namespace}.{service}.database.owner")
    made = f"CREATE TABLE {database}.things (id serial, name text)"
    assert "ERROR" not in applications.psql(database, owner, made)
    for name in users:
        user = applications.user(namespace, name, f"{namespace}.{name}")
        assert "ERROR" not in applications.psql(database, user, f"TABLE {database}.things")
        assert "must be owner" in applications.psql(database, user, f"DROP TABLE {database}.things")
        assert DENIED in applications.psql(database, user, f"CREATE TABLE {database}.more (id int)")


def test_a_program_that_ends_has_less(applications: Applications) -> None:
    """Last of those in the schema, which has a table by now."""
    user = applications.user("airflow", "cleanup", "airflow.cleanup")
    assert "ERROR" not in applications.psql("airflow", user, "DELETE FROM airflow.things")
    assert DENIED in applications.psql("airflow", user, "UPDATE airflow.things SET name = 'x'")


def test_the_file_of_keycloak_is_its_configuration_with_a_user_that_logs_in(
    applications: Applications, tmp_path: Path
) -> None:
    with running_agent(applications.plane, "identity", "keycloak", tmp_path) as agent:
        found = agent.fields("keycloak.conf")
    assert found["db"] == "postgres"
    user, password = found["db-username"], found["db-password"]
    assert applications.postgres.psql("SELECT current_user", user=user, password=password, database="keycloak") == user
