"""Help of an argument that takes several lines; for parsers with `argparse.RawTextHelpFormatter`."""

from __future__ import annotations

import textwrap

_WIDTH = 54  # beside the column of arguments, in 80


def lines(*texts: str) -> str:
    """Each text on lines of its own, the first of them not indented; no name is broken."""
    return "\n".join(
        textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for text in texts
    )
