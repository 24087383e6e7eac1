"""The safe YAML loader for files that nobody edits by hand: ten times faster where PyYAML has libyaml.

What a person writes is read with PyYAML's own parser, which names the line of a mistake more exactly.
"""

import yaml

YAML_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
