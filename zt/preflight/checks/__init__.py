"""The checks of `zt preflight`, one module for each theme."""

from zt.preflight.checks import (
    agents,
    api_server,
    charts,
    dns,
    existing,
    images,
    mesh_nodes,
    namespaces,
    network_plugin,
    nodes,
    operators,
    placement,
    public,
    rights,
    storage,
    vault,
    vault_servers,
)

THEMES = (
    api_server.THEME,
    rights.THEME,
    nodes.THEME,
    network_plugin.THEME,
    mesh_nodes.THEME,
    dns.THEME,
    storage.THEME,
    namespaces.THEME,
    operators.THEME,
    agents.THEME,
    existing.THEME,
    vault.THEME,
    vault_servers.THEME,
    charts.THEME,
    images.THEME,
    placement.THEME,
    public.THEME,
)
"""All themes, in the order in which they are shown."""
