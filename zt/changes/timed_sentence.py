"""The sentence of what lasts until a day."""

from collections.abc import Callable

from zt.facts.model import (
    ApiException,
    ClearText,
    Exclusion,
    Exemption,
    Granted,
    PodPatch,
    SecretInEnvironment,
    Timed,
)


def timed_sentence(setting: Timed, old: str | None, new: str | None, say: Callable[[str], str]) -> str:
    """The sentence of a setting that came, went or has another day; `say` names a service."""
    match setting:
        case ClearText():
            return _plaintext_sentence(f"port {setting.port} of {say(setting.service)}", old, new)
        case ApiException():
            return _right_sentence(f"the right of {say(setting.service)} to {setting.right}", old, new)
        case PodPatch():
            return _patch_sentence(f"the patch of the pods of {say(setting.service)}, {setting.patch},", old, new)
        case SecretInEnvironment():
            what = f"the variable {setting.variable} of {say(setting.service)} with the secret {setting.source}"
            return _patch_sentence(what, old, new)
        case Granted():
            return _granted_sentence(f"{setting.object} of the package {say(setting.service)}", old, new)
        case Exclusion():
            return _exclusion_sentence(f"namespace {setting.namespace}", old, new)
        case Exemption():
            return _exemption_sentence(f"{setting.tier} rule {setting.rule}", say(setting.service), old, new)


def _exemption_sentence(rule: str, who: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"{who} is no longer excepted from {rule}"
    if old is None:
        return f"{who} is now excepted from {rule}, until {new}"
    return f"the exception of {who} from {rule} ends on {new}, and no longer on {old}"


def _right_sentence(right: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"{right}, which may lead to more, has ended"
    if old is None:
        return f"{right}, which may lead to more, lasts until {new}"
    return f"{right}, which may lead to more, lasts until {new}, and not {old}"


def _patch_sentence(patch: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"{patch} has ended"
    return f"{patch} lasts until {new}" if old is None else f"{patch} lasts until {new}, and not {old}"


def _granted_sentence(granted: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"{granted}, which reaches beyond it, is no longer granted"
    if old is None:
        return f"{granted}, which reaches beyond it, is granted until {new}"
    return f"{granted}, which reaches beyond it, is granted until {new}, and not {old}"


def _exclusion_sentence(namespace: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"the rules now look at {namespace}"
    if old is None:
        return f"no rule looks at {namespace} any more, until {new}"
    return f"no rule looks at {namespace} until {new}, and not {old}"


def _plaintext_sentence(port: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"{port} no longer takes connections without a certificate"
    if old is None:
        return f"{port} now takes connections without a certificate, until {new}"
    return f"{port} takes connections without a certificate until {new}, and not {old}"
