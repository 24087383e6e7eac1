"""Service files whose services agree to the calls between them, for tests that are about something else."""

from collections.abc import Mapping
from pathlib import Path

from components.service.file.directory import parse_service
from zt.project.consent import agreed, missing_in


def agreeing(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts of service files by their names without ending, each with the callers that the others make of it."""
    files = {name: parse_service(text, f"services/{name}.yaml") for name, text in texts.items()}
    missing = missing_in(list(files.values()))
    callers = {name: [row.caller for row in missing if row.file == file.file] for name, file in files.items()}
    return {name: agreed(files[name], text, callers[name]) if callers[name] else text for name, text in texts.items()}


def agree(services: Path) -> None:
    """Have the service files of a directory agree."""
    for name, text in agreeing({path.stem: path.read_text() for path in services.glob("*.yaml")}).items():
        (services / f"{name}.yaml").write_text(text)
