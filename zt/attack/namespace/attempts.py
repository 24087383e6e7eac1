"""Every attempt of a namespace's member, attack by attack."""

from zt.attack.attempt import Attempt
from zt.attack.namespace import claims, hosts, identities, platform, pods, rights, rules, traffic

ATTEMPTS: tuple[Attempt, ...] = (
    *rules.ATTEMPTS,
    *identities.ATTEMPTS,
    *traffic.ATTEMPTS,
    *claims.ATTEMPTS,
    *rights.ATTEMPTS,
    *hosts.ATTEMPTS,
    *platform.ATTEMPTS,
    *pods.ATTEMPTS,
)
