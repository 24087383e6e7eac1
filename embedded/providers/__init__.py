"""Stand-ins for the official Pulumi vault and random plugins, which no package registry carries.

Each supported resource type is a row of a table (``vault_rows``, ``vault_database_rows``, ``random_rows``); ``engine``
checks, diffs and previews every row alike, and a backend carries it out. Names, types and semantics are those of the
installed SDKs, so that the official plugins can take over a stack without a change to the program.
"""
