"""Single values of service files: mostly what the reference allows, up to the longest, and at times what is beside."""

import string
from datetime import date
from typing import Any

from hypothesis import strategies as st

LOWER = string.ascii_lowercase + string.digits
Values = st.SearchStrategy[Any]


def mostly(*likely: Values, seldom: Values) -> Values:
    # Every key is right in most files, or hardly a file would be.
    return st.integers(0, 19).flatmap(lambda number: seldom if number == 0 else st.one_of(*likely))


def word(first: str, inner: str, last: str, longest: int) -> Values:
    def whole(parts: tuple[str, str, str]) -> str:
        return "".join(parts)

    inside = st.text(inner, max_size=max(0, longest - 2))
    long = st.text(inner, min_size=max(0, longest - 2), max_size=longest - 2)
    ends = st.sampled_from(last)
    return st.one_of(
        st.tuples(st.sampled_from(first), inside, ends).map(whole),
        st.tuples(st.sampled_from(first), long, ends).map(whole),
    )


def labels(longest: int = 63) -> Values:
    """Names as Kubernetes has them, with a digit first, with dots, with capital letters, and too long ones."""
    plain = st.sampled_from(["orders", "web", "a", "x1", "shop-front"])
    odd = st.one_of(st.sampled_from(["1st", "0", "Orders", "a.b", "a_b", "-a", "a-", ""]), labels_of(64, 70))
    return mostly(plain, word(string.ascii_lowercase, LOWER + "-", LOWER, longest), seldom=odd)


def labels_of(shortest: int, longest: int) -> Values:
    """Lower-case names of some length."""
    return st.text(LOWER, min_size=shortest, max_size=longest)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40)
LINES = st.lists(TEXT, max_size=4).map("\n".join)
PORTS = mostly(st.sampled_from([1, 80, 443, 8080, 65535]), st.integers(1, 65535), seldom=st.integers(-1, 70000))
PATHS = mostly(
    st.sampled_from(["/", "/v1", "/a/b-c", "/%41", "/a.b~c"]),
    seldom=st.one_of(
        st.sampled_from(
            ["/a//b", "/a/../b", "/./a", "/%zz", "/a%2Fb", "/ä", '/"', "/[a]", "/a|b", "a", "/" + "a" * 1100]
        ),
        TEXT.map(lambda text: f"/{text}"),
    ),
)
TAGS = mostly(
    st.sampled_from(["v1.2.3", "1.0", "2026-11-28"]),
    word(string.ascii_letters + string.digits + "_", string.ascii_letters + string.digits + "_.-", LOWER, 128),
    seldom=st.sampled_from(["latest", "", "_build.7", "1.0_", "v1+x", "a" * 129]),
)
DIGESTS = mostly(st.text("0123456789abcdef", min_size=64, max_size=64), seldom=st.text("0123456789abcdef", max_size=70))
IMAGES = st.one_of(
    TAGS.map(lambda tag: f"registry.example.org/shop/orders:{tag}"),
    DIGESTS.map(lambda digest: f"registry.example.org/shop/orders@sha256:{digest}"),
)
SHARED_HOST = "site.example.org"
"""The host that another service has, and shares."""
HOSTS = mostly(
    st.sampled_from(["orders.example.org", "a.b.c.example.org", SHARED_HOST]),
    labels().map(lambda label: f"{label}.example.org"),
    seldom=st.one_of(
        st.lists(labels_of(50, 63), min_size=3, max_size=4).map(lambda names: ".".join([*names, "org"])),
        st.sampled_from(["*.example.org", "example", "1.2.3.4", "Example.org"]),
    ),
)
CPU = mostly(
    st.sampled_from(["10m", "250m", "1", "1.5", "0.25", "2"]),
    seldom=st.sampled_from(["12", "1Gi", "0", "1e3", "0.0001"]),
)
MEMORY = mostly(
    st.sampled_from(["64Mi", "256Mi", "1Gi", "128974848", "1e8", "512M", "0.5Gi"]),
    seldom=st.sampled_from(["32Gi", "1", "64m", "0", "1.5", "1Ti"]),
)
SCHEDULES = mostly(
    st.sampled_from(["0 3 * * *", "*/5 * * * *", "@daily", "0 0 1 1 *", "15 */6 * * 1-5", "0 3 * * SUN"]),
    seldom=st.sampled_from(
        ["0 3 * * 7", "60 * * * *", "* * * *", "@never", "0 3 31 2 *", "TZ=UTC 0 3 * * *", "0 3 * * 5-1", "*/0 * * * *"]
    ),
)
DURATIONS = mostly(st.sampled_from(["30s", "5m", "1h", "999999h"]), seldom=st.sampled_from(["0s", "1d", "1h30m"]))
WORDS = st.lists(
    mostly(st.sampled_from(["bin/run", "--fast", "$(hostname)", "a b"]), TEXT, seldom=st.just("")), max_size=3
)
FILES = mostly(
    st.sampled_from(["app.yaml", "appsettings.Production.json", "a"]),
    st.text(string.ascii_letters + string.digits + "-._", min_size=1, max_size=253),
    seldom=st.sampled_from(["..a", ".", "..", "a/b", "a b", "a" * 254]),
)
PLACES = mostly(
    st.sampled_from(["/data", "/var/lib/orders", "/a b", "/etc/config", "/srv/x.y"]),
    TEXT.map(lambda text: f"/{text}"),
    seldom=st.sampled_from(
        ["/run/secrets", "/", "/data/", "/a/../b", "/proc/self", "/vault/secrets", "/etc", "/a:b", "data"]
    ),
)
SIZES = mostly(st.sampled_from(["1Gi", "500M", "10Ti", "1073741824"]), seldom=st.sampled_from(["0", "1m", "1", "1.5"]))
SECRET_ENV = st.fixed_dictionaries(
    {
        "variables": st.dictionaries(
            mostly(st.sampled_from(["DB_PASSWORD", "_x"]), seldom=TEXT),
            mostly(st.just("work/password"), seldom=st.sampled_from(["work/none", "none/password", "password"])),
            max_size=2,
        ),
        **{key: st.just(value) for key, value in (("reason", "the image reads no file"), ("owner", "commerce"))},
        "granted": st.just(date(2026, 11, 1)),
        "expires": mostly(st.just(date(2026, 12, 1)), seldom=st.just(date(2026, 11, 1))),
    },
    optional={"shell": mostly(st.just("/bin/ash"), seldom=st.just("sh"))},
)
HOST_ALIAS = st.fixed_dictionaries({"ip": st.just("10.0.0.9"), "hostnames": st.lists(HOSTS, max_size=2)})
ANNOTATIONS = mostly(st.just("example.org/parser"), seldom=st.just("istio.io/rev"))
PATCH = st.fixed_dictionaries(
    {"reason": st.just("nothing else says it"), "owner": st.just("commerce"), "granted": st.just(date(2026, 11, 1))},
    optional={
        "pod": st.fixed_dictionaries(
            {},
            optional={
                "hostAliases": st.lists(HOST_ALIAS, max_size=1),
                "dnsConfig": st.just({"options": [{"name": "ndots", "value": "2"}]}),
                "setHostnameAsFQDN": st.booleans(),
            },
        ),
        "containers": st.dictionaries(
            st.sampled_from(["orders", "setup"]),
            st.fixed_dictionaries(
                {},
                optional={
                    "workingDir": PLACES,
                    "tty": st.booleans(),
                    "terminationMessagePolicy": st.just("FallbackToLogsOnError"),
                    "lifecycle": st.just({"postStart": {"exec": {"command": ["warm"]}}}),
                },
            ),
            max_size=1,
        ),
        "annotations": st.dictionaries(ANNOTATIONS, LINES, max_size=1),
    },
).map(lambda patch: {**patch, "expires": date(2026, 12, 1)})
