"""iptables and ipset, for the rules in network namespaces: the host's, or Debian's packages in the cache."""

import shutil

from embedded.toolchain.debian import unpacked

_NEEDED = ("iptables-save", "iptables-restore", "ip6tables-save", "ipset")
# The commands and the libraries that only they need; the C library is every system's own.
PACKAGES = (
    "iptables",
    "ipset",
    "libip4tc2",
    "libip6tc2",
    "libipset13",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
)
_SEARCH_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def iptables_environment() -> dict[str, str]:
    """The environment in which ``iptables`` and ``ipset`` are found and run.

    Raises ``ToolchainError`` when there are neither those of the host nor Debian's packages.
    """
    if all(shutil.which(name, path=_SEARCH_PATH) for name in _NEEDED):
        return {"PATH": _SEARCH_PATH}
    place = unpacked("iptables", PACKAGES)
    commands = place / "usr" / "sbin"
    for name in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            # What Debian's alternatives would link, when the package is configured.
            link = commands / (name + suffix)
            if not link.is_symlink():
                link.symlink_to("xtables-nft-multi")
    [libraries] = (path.parent for path in place.glob("usr/lib/*/libxtables.so.12"))
    return {
        "PATH": f"{commands}:{_SEARCH_PATH}",
        "LD_LIBRARY_PATH": str(libraries),
        "XTABLES_LIBDIR": str(libraries / "xtables"),
    }
