"""The frame of a page and its few building bricks; every text from outside is escaped here."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple, NewType

# Text that is markup already. mypy tells it from plain text, which goes through `text` first.
Html = NewType("Html", str)


class Section(NamedTuple):
    """A headed part of a page; `anchor` is what a link points to."""

    anchor: str
    title: str
    body: Html


def text(value: object) -> Html:
    """Plain text as markup: what a user named can never become a tag or an attribute.

    >>> text('<script>"x"')
    '&lt;script&gt;&quot;x&quot;'
    """
    # A no-break space is ours and stays; other control characters have no place in a page.
    return Html(escape("".join(c if c.isprintable() or c == "\u00a0" else " " for c in str(value))))


def join(parts: Iterable[Html], between: str = "") -> Html:
    """Pieces of markup one after the other."""
    return Html(between.join(parts))


def whole_page(title: str, top: Html, sections: Sequence[Section], end: Html) -> str:
    """A complete HTML document, with the list of its sections beside it."""
    style = files("lexome.reports").joinpath("page.css").read_text(encoding="utf-8")
    body = join((_written(section) for section in sections), "\n")
    links = join(
        Html(f'<a href="#{text(section.anchor)}">{text(section.title)}</a>') for section in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # A page that someone mails you should not be able to call anyone.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{top}\n{body}\n{end}\n</main>\n"
        f'<nav aria-label="Contents">{links}</nav>\n</body>\n</html>\n'
    )


def section(anchor: str, title: str, *bricks: Html) -> Section:
    """A section made of bricks, one below the other."""
    return Section(anchor, title, join(bricks, "\n"))


def _written(made: Section) -> Html:
    head = f'<section id="{text(made.anchor)}">\n<h2>{text(made.title)}</h2>'
    return Html(f"{head}\n{made.body}\n</section>")


def paragraph(*parts: Html, kind: str = "") -> Html:
    """A paragraph of markup, with a class when one is named."""
    return Html(f"<p{_class(kind)}>{join(parts)}</p>")


def picture(svg: str, caption: Html) -> Html:
    """An inline picture with the sentence that says what to see in it."""
    return Html(f"<figure>{svg}<figcaption>{caption}</figcaption></figure>")


def banner(kind: str, head: str, body: Html) -> Html:
    """A remark that must not be missed: kind is `alarm` or `note`."""
    return Html(f'<aside class="{text(kind)}"><strong>{text(head)}</strong> {body}</aside>')


def table(
    head: Sequence[Html],
    rows: Iterable[Sequence[Html]],
    kind: str = "",
    numbers: Collection[int] | None = None,
    emphasis: int | None = None,
) -> Html:
    """A table whose first column names the row; the columns `numbers` stand at the right.

    These are all but the first unless told otherwise; `emphasis` is the column that the eye should
    find.
    """
    right = range(1, len(head)) if numbers is None else numbers

    def cell(tag: str, column: int, inner: Html) -> str:
        names = ["number"] if column in right else []
        names += ["chosen"] if column == emphasis else []
        scope = "" if tag == "td" else ' scope="row"' if column == 0 else ' scope="col"'
        return f"<{tag}{_class(' '.join(names))}{scope}>{inner}</{tag}>"

    top = "".join(cell("th", column, inner) for column, inner in enumerate(head))
    top = top.replace('scope="row"', 'scope="col"')
    lines = "\n".join(
        f"<tr>{''.join(cell('td' if c else 'th', c, inner) for c, inner in enumerate(row))}</tr>"
        for row in rows
    )
    return Html(
        f'<div class="scroll"><table{_class(kind)}><thead><tr>{top}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def facts(pairs: Mapping[str, Html]) -> Html:
    """A list of named facts, two columns."""
    inner = join(Html(f"<dt>{text(name)}</dt><dd>{value}</dd>") for name, value in pairs.items())
    return Html(f"<dl>{inner}</dl>")


def folded(name: str, *bricks: Html) -> Html:
    """What only some readers want: closed on the screen, open on paper."""
    return Html(f"<details><summary>{text(name)}</summary>{join(bricks)}</details>")


def shell(*lines: str) -> Html:
    """Commands as one types them."""
    return Html(f"<pre>{text_lines(lines)}</pre>")


def text_lines(lines: Iterable[str]) -> Html:
    """Several lines of plain text, each escaped, with their breaks kept."""
    return join((text(line) for line in lines), "\n")


def _class(names: str) -> str:
    return f' class="{text(names)}"' if names else ""
