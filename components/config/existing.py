"""The mode of a layer: installed by the program, or taken as others installed it."""

from components.schema.typed_file import TypedFile, misplaced


def refuse_beside_existing(section: TypedFile, mode: str, *settings: str) -> None:
    """Raise for settings of a layer that the program does not install: it would not change them."""
    if mode != "existing":
        return
    for name in settings:
        if name in section.model_fields_set:
            message = "others installed it, and the program changes nothing of it: leave this out, or write mode helm"
            key = type(section).model_fields[name].alias or name
            raise misplaced([key], message, getattr(section, name))
