"""Commands that take files of the user's own: a saved page, published lists."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from pipeline.console.options import mistakes_in_files, print_lines
from pipeline.strict import no_such

lists = typer.Typer(
    no_args_is_help=True, help="Make list files for the URL filter out of the lists that others publish."
)


def extract(
    page: Annotated[str, typer.Argument(help="an HTML file, or - for standard input")],
    engine: Annotated[str, typer.Option(help="lines, or another extractor")] = "lines",
    profile: Annotated[Literal["full", "fast"], typer.Option(help="how thorough the engine is")] = "full",
    formulas: Annotated[
        Literal["dollars", "off"], typer.Option(help="as TeX between dollars, or as shown")
    ] = "dollars",
    footnote_marks: Annotated[Literal["keep", "cut"], typer.Option(help="marks of footnotes, [1]")] = "keep",
    format: Annotated[Literal["text", "markdown"], typer.Option(help="of the engine lines")] = "text",
    title: Annotated[
        Literal["prepend", "separate"], typer.Option(help="the headline at the head of the text, or as the page has it")
    ] = "prepend",
    comments: Annotated[Literal["auto", "keep", "cut"], typer.Option(help="readers' comments under a text")] = "auto",
    captions: Annotated[Literal["auto", "keep", "cut"], typer.Option(help="captions of pictures")] = "auto",
    bylines: Annotated[Literal["auto", "keep", "cut"], typer.Option(help="author and date at the headline")] = "auto",
    headings: Annotated[Literal["plain", "markdown"], typer.Option(help="of the engine lines")] = "plain",
    list_markers: Annotated[
        bool, typer.Option("--list-markers", help="of the engine lines: '-' or '1.' before items of lists")
    ] = False,
    every_line: Annotated[
        bool, typer.Option("--lines", help="every line, kept (+) or cut (-): score, tag, share of link text, kind")
    ] = False,
) -> None:
    """Print the text of an HTML page.

    Examples:

        corpusmill extract page.html

        corpusmill extract page.html --format markdown

        corpusmill extract page.html --lines
    """
    from extraction import extract as extract_page
    from extraction.engines import engine_names
    from extraction.prepare import TooLarge
    from extraction.result import SCALE, all_lines

    if engine not in engine_names():
        raise no_such("engine", engine, engine_names())
    with mistakes_in_files(TooLarge):
        html = sys.stdin.buffer.read() if page == "-" else Path(page).read_bytes()
        extraction = extract_page(
            html,
            engine=engine,
            profile=profile,
            formulas=formulas,
            footnote_marks=footnote_marks,
            format=format,
            title=title,
            comments=comments,
            captions=captions,
            bylines=bylines,
            headings=headings,
            list_markers=list_markers,
        )
    if not every_line:
        print(extraction.text)
        return
    for line in all_lines(extraction):
        score = "    " if line.score is None else f"{line.score / SCALE:4.2f}"
        print(
            f"{'+' if line.kept else '-'} {score} {line.tag:5} {line.link_share:4.2f} {line.kind or '':13} {line.text}"
        )


@lists.command()
def convert(
    inputs: Annotated[list[str], typer.Argument(help="files (of ut1: folders), paths or fsspec URLs")],
    format: Annotated[str, typer.Option(help="of the input: ut1, hosts, adblock, domains, urls")],
    out: Annotated[str, typer.Option(help="file to write; of ut1 the folder for <category>.domains.txt and .urls.txt")],
    category: Annotated[list[str] | None, typer.Option(help="of ut1: this category alone (repeatable)")] = None,
    containing: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="only domains that contain a string of this list of sub-words (repeatable)"),
    ] = None,
    uncaught: Annotated[
        bool, typer.Option("--uncaught", help="only domains that the shipped words do not drop")
    ] = False,
) -> None:
    """Turn a published list into a list file, and say what was left out.

    Examples:

        corpusmill lists convert --format ut1 blacklists/ --out lists/ --category adult --category gambling

        corpusmill lists convert --format hosts hosts.txt --out lists/malware.domains.txt
    """
    from pipeline.preparation.lists import Conversion, Format
    from pipeline.preparation.lists import convert as convert_lists

    if format not in get_args(Format):
        raise no_such("format", format, get_args(Format))
    conversion = Conversion(format, category or (), containing or (), uncaught)  # type: ignore[arg-type]
    with mistakes_in_files():
        print_lines(convert_lists(conversion, inputs, out))


@lists.command("compile")
def compile_(
    inputs: Annotated[list[str], typer.Argument(help="text files with one entry a line, or compiled ones")],
    out: Annotated[str, typer.Option(help="file to write; its name must end in .npy")],
    kind: Annotated[Literal["domain", "url"], typer.Option(help="what the entries are")] = "domain",
) -> None:
    """Turn list files of text into one compiled file, which loads 40 times faster.

    Example: `corpusmill lists compile lists/adult.domains.txt --out lists/adult.domains.npy`
    """
    from pipeline.preparation.lists import compile_lists

    with mistakes_in_files():
        print(compile_lists(inputs, out, kind))
