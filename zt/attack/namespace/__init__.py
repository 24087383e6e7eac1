"""The attempts of somebody with the built-in role `admin` or `edit` in the namespace of services.

Each request is a dry run, which passes the same authorization and admission as a real one, and stores nothing.
"""
