"""The table of the vault package, continued: the PKI engine, as far as an intermediate and a role for hosts need it.

Names and types are those of pulumi_vault 7.14; ids, defaults and what replaces follow
hashicorp/terraform-provider-vault 5.x; fields are those of openbao.org/api-docs/secret/pki.
"""

from .rows import Endpoint, Kind, Prop, Row

_NAMESPACE = {"namespace": "the embedded Vault has only its root namespace"}
_ENTERPRISE = "it belongs to Vault Enterprise"
_SUBJECT = "the stand-in's requests have a common name and nothing else"
_HOSTS_ONLY = "the stand-in's roles limit hosts, keys and times alone"


INTERMEDIATE_REQUEST = Row(
    "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest",
    "{backend}/issuers/generate/intermediate/{type}",
    random_id=True,
    endpoint=Endpoint("{backend}/issuers/generate/intermediate/{type}", once=True),
    props=(
        Prop("backend", Kind.PATH, required=True, replaces=True),
        Prop("type", required=True, replaces=True),
        Prop("commonName", api="common_name", required=True, replaces=True, unreadable=True),
        Prop("keyType", api="key_type", default="rsa", replaces=True, unreadable=True),
        Prop("keyBits", Kind.INTEGER, "key_bits", default=2048, replaces=True, unreadable=True),
        Prop("keyName", api="key_name", computed=True, replaces=True, unreadable=True),
        Prop("format", api="format", default="pem", replaces=True, unreadable=True),
        Prop("privateKeyFormat", api="private_key_format", default="der", replaces=True, unreadable=True),
        Prop("addBasicConstraints", Kind.FLAG, "add_basic_constraints", default=False, replaces=True, unreadable=True),
        Prop("csr", api="csr", output=True),
        Prop("keyId", api="key_id", output=True),
        Prop("privateKey", api="private_key", output=True, secret=True, sparse=True),
        Prop("privateKeyType", api="private_key_type", output=True, sparse=True),
    ),
    unsupported={
        **_NAMESPACE,
        **dict.fromkeys(("country", "locality", "organization", "ou", "postalCode", "province"), _SUBJECT),
        **dict.fromkeys(("streetAddress", "serialNumber", "altNames", "ipSans", "otherSans", "uriSans"), _SUBJECT),
        **dict.fromkeys(("excludeCnFromSans", "keyUsages", "signatureBits"), _SUBJECT),
        "keyRef": "each request has a key of its own",
        "managedKeyId": _ENTERPRISE,
        "managedKeyName": _ENTERPRISE,
        "parameterSet": _ENTERPRISE,
    },
)

INTERMEDIATE_SIGNED = Row(
    "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned",
    "{backend}/intermediate/set-signed",
    random_id=True,
    endpoint=Endpoint(
        "{backend}/intermediate/set-signed",
        read="sys/mounts/{backend}",
        absent="No secret engine mount at",
        once=True,
    ),
    props=(
        Prop("backend", Kind.PATH, required=True, replaces=True),
        Prop("certificate", api="certificate", required=True, replaces=True, unreadable=True),
        Prop("importedIssuers", Kind.LIST, "imported_issuers", output=True),
        Prop("importedKeys", Kind.LIST, "imported_keys", output=True),
    ),
    unsupported=_NAMESPACE,
)

ROLE = Row(
    "vault:pkiSecret/secretBackendRole:SecretBackendRole",
    "{backend}/roles/{name}",
    endpoint=Endpoint("{backend}/roles/{name}"),
    props=(
        Prop("backend", Kind.PATH, required=True, replaces=True),
        Prop("name", required=True, replaces=True, autoname=True),
        Prop("issuerRef", api="issuer_ref", computed=True),
        Prop("allowedDomains", Kind.LIST, "allowed_domains"),
        Prop("allowAnyName", Kind.FLAG, "allow_any_name", default=False),
        Prop("allowBareDomains", Kind.FLAG, "allow_bare_domains", default=False),
        Prop("allowGlobDomains", Kind.FLAG, "allow_glob_domains", default=False),
        Prop("allowIpSans", Kind.FLAG, "allow_ip_sans", default=True),
        Prop("allowLocalhost", Kind.FLAG, "allow_localhost", default=True),
        Prop("allowSubdomains", Kind.FLAG, "allow_subdomains", default=False),
        Prop("allowWildcardCertificates", Kind.FLAG, "allow_wildcard_certificates", default=True),
        Prop("enforceHostnames", Kind.FLAG, "enforce_hostnames", default=True),
        Prop("requireCn", Kind.FLAG, "require_cn", default=True),
        Prop("serverFlag", Kind.FLAG, "server_flag", default=True),
        Prop("clientFlag", Kind.FLAG, "client_flag", default=True),
        Prop("codeSigningFlag", Kind.FLAG, "code_signing_flag", default=False),
        Prop("emailProtectionFlag", Kind.FLAG, "email_protection_flag", default=False),
        Prop("keyType", api="key_type", default="rsa"),
        Prop("keyBits", Kind.INTEGER, "key_bits", default=2048),
        Prop("keyUsages", Kind.LIST, "key_usage", computed=True),
        Prop("ttl", Kind.AGE, "ttl", computed=True),
        Prop("maxTtl", Kind.AGE, "max_ttl", computed=True),
        Prop("notBeforeDuration", Kind.DURATION, "not_before_duration", computed=True),
        Prop("notAfter", api="not_after"),
        Prop("signatureBits", Kind.INTEGER, "signature_bits", computed=True),
        Prop("usePss", Kind.FLAG, "use_pss", computed=True),
        Prop("useCsrCommonName", Kind.FLAG, "use_csr_common_name", default=True),
        Prop("useCsrSans", Kind.FLAG, "use_csr_sans", default=True),
        Prop("cnValidations", Kind.LIST, "cn_validations", computed=True),
        Prop("allowedDomainsTemplate", Kind.FLAG, "allowed_domains_template", default=False),
        Prop("allowedUriSansTemplate", Kind.FLAG, "allowed_uri_sans_template", computed=True),
        Prop("basicConstraintsValidForNonCa", Kind.FLAG, "basic_constraints_valid_for_non_ca", default=False),
        Prop("generateLease", Kind.FLAG, "generate_lease", default=False),
        Prop("noStore", Kind.FLAG, "no_store", default=False),
        Prop("policyIdentifier", Kind.LIST, "policy_identifiers", computed=True),
        Prop("allowedOtherSans", Kind.LIST, "allowed_other_sans"),
        Prop("allowedUriSans", Kind.LIST, "allowed_uri_sans"),
        Prop("allowedUserIds", Kind.LIST, "allowed_user_ids"),
        Prop("countries", Kind.LIST, "country"),
        Prop("localities", Kind.LIST, "locality"),
        Prop("organizations", Kind.LIST, "organization"),
        Prop("organizationUnit", Kind.LIST, "ou"),
        Prop("postalCodes", Kind.LIST, "postal_code"),
        Prop("provinces", Kind.LIST, "province"),
        Prop("streetAddresses", Kind.LIST, "street_address"),
    ),
    unsupported={
        **_NAMESPACE,
        **dict.fromkeys(("allowedSerialNumbers", "extKeyUsages", "extKeyUsageOids", "policyIdentifiers"), _HOSTS_ONLY),
        "noStoreMetadata": _ENTERPRISE,
        "parameterSet": _ENTERPRISE,
        "serialNumberSource": "the embedded Vault (OpenBao) has no such field",
    },
)

ROWS = (INTERMEDIATE_REQUEST, INTERMEDIATE_SIGNED, ROLE)
