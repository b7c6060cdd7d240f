"""One self-contained HTML page: text and tables escaped, pictures inside it, no script and no external resource."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib.pyplot as plt
from matplotlib.figure import Figure as Picture

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1080px; margin: 2em auto;
  padding: 0 1.2em; }
h1 { font-size: 1.5em; margin-bottom: 0.2em; } h2 { font-size: 1.15em; margin-top: 2em; }
.verdict { border-left: 5px solid #b04a2f; background: #faf5f3; padding: 0.8em 1.1em; margin: 1.2em 0; }
.verdict strong { display: block; font-size: 1.15em; } .note { color: #666; font-size: 0.9em; }
table { border-collapse: collapse; margin: 0.8em 0; font-size: 0.88em; }
th, td { border: 1px solid #ddd; padding: 0.3em 0.6em; text-align: left; vertical-align: top; }
th { background: #f4f4f4; } td.number {
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.yes { background: #f6ddd5; } td.no { background: #e4efe4; }
img { max-width: 100%; height: auto; display: block; margin: 0.8em 0; } .wide { overflow-x: auto; }
"""


def document(title: str, body: Sequence[str]) -> str:
    """A whole page of parts that are HTML already."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return "\n".join(
        ["<!DOCTYPE html>", f'<html lang="en"><head>{head}</head><body>', *body, "</body></html>", ""]
    )


def tag(name: str, text: str, kind: str = "") -> str:
    """<name class=kind>text</name>, the text escaped."""
    return f"<{name}{f' class={chr(34)}{escape(kind)}{chr(34)}' if kind else ''}>{escape(text)}</{name}>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], kinds: Sequence[Sequence[str]] = ()) -> str:
    """A table of text; kinds: the class of each cell, none by default."""
    lines = ["".join(tag("th", head) for head in heads)]
    for i, row in enumerate(rows):
        classes = kinds[i] if kinds else [""] * len(row)
        lines.append("".join(tag("td", text, kind) for text, kind in zip(row, classes, strict=True)))
    return '<div class="wide"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def facts(pairs: Mapping[str, str]) -> str:
    """A table of names and what they are."""
    return table(["", ""], [[name, text] for name, text in pairs.items()])


def image(picture: Picture, alt: str) -> str:
    """The picture as PNG inside the page; closes it. The same picture gives the same bytes."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    plt.close(picture)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'
