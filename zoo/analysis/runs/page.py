"""A page that needs nothing but itself: HTML with one stylesheet inside, no scripts, nothing from elsewhere."""

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RequestError

COLUMN_POINTS = 265  # the width of a figure that a phone has room for
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1b; --soft: #595959; --rule: #c8c8c8; --card: #f5f6f7;
  --right: #0072b2; --wrong: #d55e00; --alarm: #a33a00; --shade: rgb(0 0 0 / 0.3); }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e8e8e6; --soft: #a9adb2; --rule: #44484d;
  --card: #202327; --right: #56b4e9; --wrong: #e69f00; --alarm: #e69f00; --shade: rgb(255 255 255 / 0.35); } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.75rem; padding-top: 0.75rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.5rem 0 0.5rem; }
p { max-width: 44rem; margin: 0.5rem 0; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; margin: 1rem 0; padding: 0; }
a { color: var(--right); }
code { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: 0.875rem; line-height: 1.35; }
.alarm { color: var(--alarm); font-weight: bold; }
.scroll { overflow-x: auto; max-width: 100%; margin: 0.75rem 0; scrollbar-width: thin;
  /* A shade at each edge beyond which there is more: what is fixed to the content covers it at the content's ends. */
  background: linear-gradient(to right, var(--paper) 40%, transparent) left / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
    linear-gradient(to right, var(--shade), transparent) left / 0.9rem 100% no-repeat scroll,
    linear-gradient(to left, var(--shade), transparent) right / 0.9rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1.25rem 0.25rem 0; min-width: 4rem;
  border-bottom: 1px solid var(--rule); }
td:first-child:not(.number) { min-width: 6.5rem; }
td.text { min-width: 10rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td:first-child code { white-space: nowrap; overflow-wrap: normal; }
figure { margin: 0; min-width: 0; }
.plots, .wide { display: grid; gap: 1.5rem; }
.plots { grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); column-gap: 3rem; }
.wide > * { min-width: 0; }
.beside { display: flex; flex-wrap: wrap; gap: 1.5rem 3rem; align-items: flex-start; }
.beside > * { flex: 0 1 auto; min-width: 0; max-width: 100%; }
.beside h3:first-child { margin-top: 0; }
.beside > .plot { flex-basis: calc(var(--points) * 1.5px); }
/* The letters of a figure have 9 points: so they have 11 pixels at least. */
.plot svg { display: block; width: 100%; min-width: calc(var(--points) * 1.23px); height: auto;
  font-family: system-ui, sans-serif; }
.plots .plot svg { max-width: 34rem; }
.plot .scroll { margin: 0; }
.plot .scroll:not([tabindex]) { background: none; }
summary { cursor: pointer; }
.plot svg * { stroke-linejoin: round; }
.images { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.images img { display: block; width: 100%; max-width: 12rem; }
.pair { display: flex; gap: 2px; max-width: 12rem; }
.pair img { width: 50%; }
img { image-rendering: pixelated; background: var(--card); }
.episode { display: flex; gap: 1rem; align-items: flex-start; margin: 0.75rem 0 1.25rem; }
.candidates { display: grid; gap: 0.375rem; grid-template-columns: repeat(auto-fill, 3.25rem); flex: 1;
  min-width: 0; max-width: 36rem; }
.episode figure { border: 3px solid transparent; }
.episode img { display: block; width: 100%; }
.episode figcaption { font-size: 0.7rem; text-align: center; min-height: 1.2em; line-height: 1.2; color: var(--ink); }
.episode .query { flex: none; width: 4.5rem; }
.episode .true { border-color: var(--right); }
.episode .chosen { border-color: var(--wrong); border-style: dashed; }
.episode .true.chosen { border-color: var(--right); border-style: solid; }
"""


class Markup(str):
    """Text that is HTML already; every other text is escaped."""


def escaped(content: Any) -> str:
    """Anything as HTML."""
    return content if isinstance(content, Markup) else html.escape(str(content))


def element(name: str, *contents: Any, **attributes: Any) -> Markup:
    """An element; `class_` and `aria_label` stand for class and aria-label, attributes that are None are left out."""
    present = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    given = "".join(f' {key}="{html.escape(str(value))}"' for key, value in present.items())
    return Markup(f"<{name}{given}>{''.join(map(escaped, contents))}</{name}>")


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, label: str, numbers: Sequence[int] = ()) -> Markup:
    """A table in a box of its own, which scrolls where the page is too narrow.

    Args:
        head: of the columns.
        rows: likewise.
        label: what it shows, for those who cannot see it.
        numbers: the columns that hold numbers.
    """

    def cells(name: str, row: Sequence[Any]) -> Markup:
        # Many columns of text would each be squeezed to their longest word.
        words = "text" if len(head) > 3 else None
        classes = ("number" if column in numbers else words for column in range(len(row)))
        parts = (element(name, cell, class_=css) for cell, css in zip(row, classes, strict=True))
        return element("tr", *parts)

    body = element("tbody", *(cells("td", row) for row in rows))
    whole = element("table", element("thead", cells("th", head)), body)
    # Keys scroll only what can have the focus.
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=label)


def marked(text: str) -> Markup:
    """Text with what stands between backticks as code, as Markdown has it."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("".join(element("code", part) if code % 2 else escaped(part) for code, part in enumerate(parts)))


def plot(svg: str, alt: str, caption: Any = "") -> Markup:
    """A drawn figure, which scrolls where its letters would become too small to read.

    Args:
        svg: as `figures.drawn` gives it.
        alt: what it shows, for those who cannot see it.
        caption: below it.
    """
    points = float(re.search(r'viewBox="\S+ \S+ (\S+) ', svg)[1])
    image = Markup(svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1))
    # Keys scroll only what can have the focus.
    box = element("div", image, class_="scroll", tabindex=0 if points > COLUMN_POINTS else None)
    return element("figure", box, element("figcaption", caption), class_="plot", style=f"--points: {points:g}")


def image(source: str, alt: str) -> Markup:
    """A picture from a data URI."""
    return Markup(f'<img src="{source}" alt="{html.escape(alt)}">')


def pictured(picture: Markup, *lines: Any) -> Markup:
    """A picture with lines below it."""
    return element("figure", picture, element("figcaption", *(element("div", line) for line in lines)))


def example(name: str) -> Markup:
    """What an example is called, to be found and copied: its file, or its number."""
    return Markup(f"example {name}") if name.isdecimal() else element("code", name)


def folded(title: str, content: Markup) -> Markup:
    """Content that is shown on demand."""
    return element("details", element("summary", title), content)


def check_folder(path: Path) -> None:
    """Raises a `RequestError` where the folder of a page cannot be made, before anything is done for the page."""
    present = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not present.is_dir():
        raise RequestError(f"output is {str(path)!r}, which cannot be made: {present} is a file")


def make_folder(path: Path) -> None:
    """Makes the folder of a page; only when all that could be refused has been.

    Raises:
        RequestError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"output is {str(path)!r}, which cannot be made: {error.strerror}") from error


def paragraph(*contents: Any, css: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", *contents, class_=css)


def section(title: str, *contents: Any) -> tuple[str, Markup]:
    """A section and its title, for `document`."""
    return title, Markup("".join(map(escaped, contents)))


def document(title: str, lead: Any, sections: Sequence[tuple[str, Markup]]) -> str:
    """The whole page.

    Args:
        title: of the page.
        lead: what stands below it.
        sections: as `section` gives them.
    """
    links = (element("li", element("a", name, href=f"#part{number}")) for number, (name, _) in enumerate(sections, 1))
    parts = (
        element("section", element("h2", name), content, id=f"part{number}")
        for number, (name, content) in enumerate(sections, 1)
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + element("main", element("h1", title), lead, element("nav", element("ul", *links)), *parts)
        + "\n</body></html>\n"
    )
