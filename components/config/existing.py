"""The mode of a layer: installed by the program, or taken as others installed it."""

from components.schema.typed_file import TypedFile, misplaced

NAMESPACE_OF_OTHERS = "the program installs it in {0}: leave it out, or write mode existing"


def refuse_beside_existing(section: TypedFile, mode: str, *settings: str) -> None:
    """Raise for settings of a layer that the program does not install: it would not change them."""
    if mode != "existing":
        return
    for name in settings:
        if name in section.model_fields_set:
            message = "others installed it, and the program changes nothing of it: leave this out, or write mode helm"
            key = type(section).model_fields[name].alias or name
            raise misplaced([key], message, getattr(section, name))


def refuse_elsewhere(mode: str, namespace: str | None, own: str, key: str = "namespace") -> None:
    """Raise for the namespace of a layer that the program installs: that is `own`."""
    if namespace is not None and mode != "existing":
        raise misplaced([key], NAMESPACE_OF_OTHERS.format(own), namespace)
