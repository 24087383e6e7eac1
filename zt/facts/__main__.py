"""`python -m zt.facts`."""

import sys

from zt.facts.worker import main

sys.exit(main(*sys.argv[1:]))
