"""TLS for public hosts: cert-manager, its issuers and the Gateway."""
