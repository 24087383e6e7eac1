"""Text of others on a terminal or in a log: nothing in it is a command to what shows it.

A terminal obeys escape sequences, and a character that turns the direction of writing shows another line than is there
(https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing). Each such character is shown as Python writes it.
"""


def printable(text: str) -> str:
    """The text, which may have several lines, with every other character that is none to see as its escape."""
    return "\n".join(map(_shown, text.split("\n")))


def one_line(text: str) -> str:
    """The text as one line, its ends of lines as their escapes: it cannot look like the next entry of a list."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _shown(line: str) -> str:
    # The end of a line as other systems write it, and what a text is aligned with.
    body, end = (line[:-1], "\r") if line.endswith("\r") else (line, "")
    return line if body.isprintable() else "\t".join(map(one_line, body.split("\t"))) + end


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
