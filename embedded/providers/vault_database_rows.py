"""The table of the vault package, continued: the database engine, and a write to any other endpoint.

Names and types are those of pulumi_vault 7.14; what is sent again, and what replaces, follows
hashicorp/terraform-provider-vault 5.x; fields are those of openbao.org/api-docs/secret/databases.
"""

from .rows import WHOLE_BODY, Endpoint, Kind, Prop, Row, Values

_NAMESPACE = {"namespace": "the embedded Vault has only its root namespace"}
_ENTERPRISE = "it belongs to Vault Enterprise"
_ENGINES = ("postgresql", "mysql", "redis")
_OTHER_ENGINES = (
    "cassandra",
    "couchbase",
    "elasticsearch",
    "hana",
    "influxdb",
    "mongodb",
    "mongodbatlas",
    "mssql",
    "mysqlAurora",
    "mysqlLegacy",
    "mysqlRds",
    "oracle",
    "redisElasticache",
    "redshift",
    "snowflake",
)


def _named_as_written(answer: dict[str, object], _: Values) -> dict[str, object]:
    """What was written as one object is answered in two, one of its fields under another name."""
    details = answer.get("connection_details")
    flat = {**answer, **details} if isinstance(details, dict) else answer
    return {**flat, "root_rotation_statements": answer.get("root_credentials_rotate_statements")}


def _plugin_of_block(inputs: dict[str, object]) -> dict[str, object]:
    """The plugin is that of the block where none is named."""
    plugins = (f"{engine}-database-plugin" for engine in _ENGINES if inputs.get(engine))
    return {"pluginName": next(plugins, None), **inputs}


def _only_writes(inputs: Values) -> str | None:
    if inputs.get("disableRead") and inputs.get("disableDelete"):
        return None
    return "the embedded stand-in only writes to an endpoint: set disableRead and disableDelete to true."


# The server may have rotated the password since: one that did not change here is never sent again.
_PASSWORD = Prop("password", api="password", secret=True, unreadable=True, sent_with="password")
_SQL = (
    Prop("connectionUrl", api="connection_url"),
    Prop("username", api="username"),
    _PASSWORD,
    Prop("passwordWo", api="password", secret=True, write_only=True, sent_with="passwordWoVersion"),
    Prop("passwordWoVersion", Kind.INTEGER),
    Prop("usernameTemplate", api="username_template"),
    Prop("maxOpenConnections", Kind.INTEGER, "max_open_connections"),
    Prop("maxIdleConnections", Kind.INTEGER, "max_idle_connections"),
    Prop("maxConnectionLifetime", Kind.SECONDS, "max_connection_lifetime"),
    Prop("tlsCa", Kind.DOCUMENT, "tls_ca"),
    Prop("authType", api="auth_type"),
    Prop("serviceAccountJson", api="service_account_json", secret=True, unreadable=True),
)

DATABASE_CONNECTION = Row(
    "vault:database/secretBackendConnection:SecretBackendConnection",
    "{backend}/config/{name}",
    endpoint=Endpoint("{backend}/config/{name}"),
    props=(
        Prop("backend", Kind.PATH, required=True, replaces=True),
        Prop("name", Kind.PATH, required=True, replaces=True, autoname=True),
        Prop("pluginName", api="plugin_name", computed=True),
        Prop("allowedRoles", Kind.LIST, "allowed_roles"),
        Prop("verifyConnection", Kind.FLAG, "verify_connection", default=True, unreadable=True),
        Prop("rootRotationStatements", Kind.LIST, "root_rotation_statements"),
        Prop("passwordPolicy", api="password_policy"),
        Prop(
            "postgresql",
            Kind.OBJECT,
            inner=(
                *_SQL,
                Prop("passwordAuthentication", api="password_authentication"),
                Prop("disableEscaping", Kind.FLAG, "disable_escaping"),
                Prop("tlsCertificate", Kind.DOCUMENT, "tls_certificate"),
                Prop("privateKey", Kind.DOCUMENT, "private_key", secret=True, unreadable=True),
                Prop("selfManaged", Kind.FLAG, "self_managed"),
            ),
            answered_if=("plugin_name", "postgresql-database-plugin"),
        ),
        Prop(
            "mysql",
            Kind.OBJECT,
            inner=(
                *_SQL,
                Prop("tlsCertificateKey", Kind.DOCUMENT, "tls_certificate_key", secret=True, unreadable=True),
            ),
            answered_if=("plugin_name", "mysql-database-plugin"),
        ),
        Prop(
            "redis",
            Kind.OBJECT,
            inner=(
                Prop("host", api="host", required=True),
                Prop("port", Kind.INTEGER, "port"),
                Prop("username", api="username", required=True),
                _PASSWORD,
                Prop("tls", Kind.FLAG, "tls"),
                Prop("insecureTls", Kind.FLAG, "insecure_tls"),
                # Upstream's default is false, of a text: it is sent as this.
                Prop("caCert", Kind.DOCUMENT, "ca_cert", default="0"),
            ),
            answered_if=("plugin_name", "redis-database-plugin"),
        ),
    ),
    unsupported={
        **_NAMESPACE,
        **dict.fromkeys(_OTHER_ENGINES, "the embedded stack has been tried with PostgreSQL, MariaDB and Redis alone"),
        "data": "give username and password in the block of the engine",
        "pluginVersion": "the embedded Vault has built-in plugins only",
        "disableAutomatedRotation": _ENTERPRISE,
        "rotationPeriod": _ENTERPRISE,
        "rotationSchedule": _ENTERPRISE,
        "rotationWindow": _ENTERPRISE,
        "skipStaticRoleImportRotation": _ENTERPRISE,
    },
    unsaid={"data": {}, "pluginVersion": ""},
    any_of=(_ENGINES,),
    exclusive=(_ENGINES,),
    derive=_plugin_of_block,
    adapt=_named_as_written,
)

DATABASE_ROLE = Row(
    "vault:database/secretBackendRole:SecretBackendRole",
    "{backend}/roles/{name}",
    endpoint=Endpoint("{backend}/roles/{name}"),
    props=(
        Prop("backend", Kind.PATH, required=True, replaces=True),
        Prop("name", Kind.PATH, required=True, replaces=True, autoname=True),
        Prop("dbName", api="db_name", required=True, replaces=True),
        Prop("creationStatements", Kind.LIST, "creation_statements", required=True),
        Prop("revocationStatements", Kind.LIST, "revocation_statements"),
        Prop("rollbackStatements", Kind.LIST, "rollback_statements"),
        Prop("renewStatements", Kind.LIST, "renew_statements"),
        Prop("defaultTtl", Kind.SECONDS, "default_ttl"),
        Prop("maxTtl", Kind.SECONDS, "max_ttl"),
        Prop("credentialType", api="credential_type", computed=True),
        Prop("credentialConfig", Kind.MAP, "credential_config", sparse=True),
    ),
    unsupported=_NAMESPACE,
)

ENDPOINT = Row(
    "vault:generic/endpoint:Endpoint",
    "{path}",
    endpoint=Endpoint("{path}", unread_if="disableRead", kept_if="disableDelete"),
    props=(
        Prop("path", Kind.PATH, required=True, replaces=True),
        Prop("dataJson", Kind.JSON, WHOLE_BODY, required=True, secret=True),
        Prop("disableRead", Kind.FLAG, default=False),
        Prop("disableDelete", Kind.FLAG, default=False),
        # What upstream keeps of a write that the server answers with nothing.
        Prop("writeData", Kind.MAP, output=True, default={}),
        Prop("writeDataJson", output=True, default="null"),
    ),
    unsupported={
        **_NAMESPACE,
        "ignoreAbsentFields": "the stand-in reads nothing back",
        "writeFields": "the stand-in keeps nothing of the answer",
    },
    unsaid={"ignoreAbsentFields": False},
    validate=_only_writes,
)

ROWS = (DATABASE_CONNECTION, DATABASE_ROLE, ENDPOINT)
