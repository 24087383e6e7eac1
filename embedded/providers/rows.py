"""What a row of a provider's table says: a resource type, its properties and where they live in the API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Values = Mapping[str, object]


# The ``api`` of a property that repeats the object's id.
OBJECT_ID = "@id"
# The ``api`` of a property that is the whole body of a request.
WHOLE_BODY = "@body"


class ProviderError(Exception):
    """A failure the user can act on; its text is what ``pulumi`` shows."""


class Kind(StrEnum):
    """The type of a property, and with it how it is compared and translated to the API (``values``)."""

    TEXT = "text"
    DOCUMENT = "document"  # text whose surrounding blanks mean nothing
    PATH = "path"  # text whose leading and trailing slashes mean nothing
    INTEGER = "integer"
    FLAG = "flag"
    LIST = "list"
    SET = "set"
    CIDRS = "cidrs"  # a set in which 10.0.0.1 and 10.0.0.1/32 are the same
    MAP = "map"
    SECONDS = "seconds"  # a number here, "1h0m0s" or a number in the API
    DURATION = "duration"  # "1h" here, seconds in the API
    AGE = "age"  # "3600" or "1h" here, seconds in the API
    JSON = "json"  # JSON text here, an object in the API
    TEXTS = "texts"  # an object of the API, every value as text
    OBJECT = "object"  # a block with properties of its own


@dataclass(frozen=True)
class Prop:
    """One property: ``name`` as the SDK spells it, ``api`` the dotted field of the API (empty: not sent, not read).

    ``computed`` means that a value left out is the server's to choose, so it never counts as a change.
    ``output`` is never an input, ``volatile`` an output that changes with every update. ``unreadable`` is accepted by
    the API and never given back, ``write_only`` kept out of the state as well. ``sent_with`` names the property whose
    change alone sends this one again. ``replaces_if`` names the flag that turns a change in place into a replacement.
    ``also`` places the property at the row's second endpoint. ``api`` ``@body`` makes the property the whole request.
    ``answered_if`` is for one of several blocks: a field of the answer, and its value where the answer is this block's.
    ``sparse`` stays null while the API does not answer it. ``always_sent`` is sent empty where it is not given.
    ``kept`` is for what stands in a block that the state has: upstream keeps the state's word, and does not read it,
    always (``said``) or while the state's word is empty (``empty``).
    """

    name: str
    kind: Kind = Kind.TEXT
    api: str = ""
    required: bool = False
    default: object = None
    computed: bool = False
    replaces: bool = False
    replaces_if: str = ""
    secret: bool = False
    output: bool = False
    volatile: bool = False
    unreadable: bool = False
    write_only: bool = False
    sent_with: str = ""
    autoname: bool = False
    also: bool = False
    inner: tuple["Prop", ...] = ()
    answered_if: tuple[str, str] | None = None
    sparse: bool = False
    always_sent: bool = False
    kept: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Where objects of a type live in the API. Paths name the properties that identify an object in braces.

    ``entry``: reading gives a listing, in which this key is the object. ``update``: changes go here, with the last
    part of each dotted field. ``absent``: text of a 400 answer that means "no such object". ``deletes``: false when the
    object only ever disappears with what holds it. ``remount``: prefix under which a change of path moves the object.
    ``once``: the answer to the first write is all there is, as upstream: never changed, deleted or imported, and read
    only at ``read``, whether what holds it is still there. ``unread_new``: a new object is not read back. ``lasting``:
    one that is gone is read as an empty one. ``rewritten`` (of a second endpoint): written with each change while the
    state has its block, without what is zero. The others name flags of the resource: ``unread_if`` it isn't to be read,
    ``kept_if`` it isn't to be deleted, ``overwrites_if`` it may exist already, which is asked first, ``deletes_if`` (of
    a second endpoint) the deletion happens here.
    """

    path: str
    read: str = ""
    entry: str = ""
    update: str = ""
    absent: str = ""
    deletes: bool = True
    remount: str | None = None
    once: bool = False
    unread_new: bool = False
    lasting: bool = False
    rewritten: bool = False
    unread_if: str = ""
    kept_if: str = ""
    overwrites_if: str = ""
    deletes_if: str = ""


@dataclass(frozen=True)
class Row:
    """One resource type. ``id`` is the template of the Pulumi id; ``unsupported`` why an SDK property is refused.

    ``unsaid`` is what the state has of such a property, as upstream, where that is not null. ``random_id``: each object
    has an id of its own.
    """

    token: str
    id: str
    props: tuple[Prop, ...]
    endpoint: Endpoint | None = None
    also: Endpoint | None = None
    unsupported: Values = field(default_factory=dict[str, object])
    unsaid: Values = field(default_factory=dict[str, object])
    random_id: bool = False
    exclusive: tuple[tuple[str, ...], ...] = ()  # at most one of each group
    any_of: tuple[tuple[str, ...], ...] = ()  # at least one of each group
    together: tuple[tuple[str, str], ...] = ()  # the first asks for the second
    validate: Callable[[Values], str | None] | None = None
    derive: Callable[[dict[str, object]], dict[str, object]] | None = None  # a default made of other inputs
    adapt: Callable[[dict[str, object], Values], dict[str, object]] | None = None  # the API's answer, given the state
    generate: Callable[[Values], dict[str, object]] | None = None  # a value made here: the outputs for these inputs
    parse: Callable[[str], dict[str, object]] | None = None  # ... and its state for an id to import

    @property
    def inputs(self) -> tuple[Prop, ...]:
        """The properties a program may give."""
        return tuple(prop for prop in self.props if not prop.output)

    @property
    def secrets(self) -> frozenset[str]:
        """The properties whose values are always secret."""
        return frozenset(prop.name for prop in self.props if prop.secret)
