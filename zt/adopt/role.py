"""`python -m zt.adopt.role`: prints the ClusterRole with which `zt adopt` reads a cluster, for `kubectl apply`.

It has `get` and `list` alone, and no Secret.
"""

import sys

import yaml

from zt.adopt.living import role

if __name__ == "__main__":
    yaml.safe_dump(role(), sys.stdout, sort_keys=False)
