"""The pages of docs/guide: each shows the code of its program, what that prints, and true error texts."""

from __future__ import annotations

import doctest
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
PAGES = [path.stem for path in sorted(GUIDE.glob("*.md")) if path.name != "README.md"]
pytestmark = pytest.mark.skipif(not GUIDE.is_dir(), reason=f"no {GUIDE}: not part of an installed rnnfast")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language on a page."""
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def numbers(line: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(line)]


def words(text: str) -> list[list[str]]:
    """Lines, word by word, every number the same."""
    return [NUMBER.sub("#", line).split() for line in text.splitlines()]


def untimed(page: str, output: str) -> str:
    """Without the times that a program measured: they alone are printed with one digit behind the point."""
    return re.sub(r" \d+\.\d\b", "", output) if page == "streaming" else output


def rows(output: str) -> dict[str, list[float]]:
    """Lines of a table by what stands in front of its columns: two blanks or more, then numbers alone."""
    table = {}
    for line in output.splitlines():
        found = re.fullmatch(r" *(\S.*?)((?:  +(?:-|[\d.]+)(?= |$)| [\d.]+$)+)", line)
        if found:
            table[found[1]] = numbers(found[2])
    return table


def test_there_is_one_page_for_every_program() -> None:
    assert [path.stem for path in sorted(GUIDE.glob("*.py"))] == PAGES
    index = (GUIDE / "README.md").read_text(encoding="utf-8")
    assert len(PAGES) == 6
    for page in PAGES:
        assert index.count(f"({page}.md)") == 1


@pytest.mark.parametrize("page", PAGES)
def test_page_shows_the_program(page: str) -> None:
    # Blank lines between blocks stand for those between parts of the program.
    shown = "\n".join(blocks(page, "python"))
    program = (GUIDE / f"{page}.py").read_text(encoding="utf-8")
    assert [line for line in shown.splitlines() if line] == [line for line in program.splitlines() if line]


@pytest.mark.parametrize("page", PAGES)
def test_error_texts_are_those_of_the_library(page: str) -> None:
    (session,) = blocks(page, "pycon")
    test = doctest.DocTestParser().get_doctest(session, {}, page, None, 0)
    assert session.count("Error: ") >= 4
    assert sum(example.exc_msg is not None for example in test.examples) == session.count("Traceback")
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES)
def test_picture_is_small_and_wide_enough(page: str) -> None:
    picture = (GUIDE / f"{page}.png").read_bytes()
    width, height = struct.unpack(">2I", picture[16:24])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= 60_000
    assert 600 <= width <= 1200
    assert 300 <= height <= 700
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    assert re.search(rf"!\[.{{20,}}\]\({page}\.png\)", text), "the page shows its picture, with a text for it"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    assert targets
    for target in targets:
        assert (GUIDE / target).resolve().is_file(), target


@pytest.mark.parametrize("page", PAGES)
def test_program_prints_what_the_page_says(
    page: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("matplotlib")
    fonts = tmp_path_factory.getbasetemp() / "matplotlib"  # its list of fonts, made once for all pages
    run = subprocess.run(
        [sys.executable, str(GUIDE / f"{page}.py"), "--out", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "RNNFAST_NUM_THREADS": "1", "MPLCONFIGDIR": str(fonts)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    assert (tmp_path / f"{page}.png").stat().st_size > 5_000
    (said,) = blocks(page, "text")
    assert words(run.stdout) == words(said)
    # Digits may differ where NumPy rounds exp otherwise; what the page says about them may not.
    if page != "encoder_decoder":  # counts of draws and digits of dates, see the claims
        assert numbers(untimed(page, run.stdout)) == pytest.approx(numbers(untimed(page, said)), rel=0.25)
    CLAIMS[page](run.stdout)
    CLAIMS[page](said)


def claims_of_sequence_to_vector(output: str) -> None:
    error = rows(output)
    last, weekday = error["last"], error["mean of the weekday"]
    assert last[0] < weekday[0]
    assert last[1] < 0.5 * weekday[1]  # the holiday
    assert last[0] < min(error["mean"][0], error["max"][0])
    assert error["last, lengths forgotten"][0] > 5 * last[0]


def claims_of_sequence_to_sequence(output: str) -> None:
    error = rows(output)
    every, conv, naive = (error[key] for key in error)
    assert conv[0] < every[0]
    assert conv[1] < naive[-1] < every[1]
    assert output.count(": True") == 2


def claims_of_vector_to_sequence(output: str) -> None:
    error = rows(output)
    means = error.pop("mean of the weekday")
    assert len(error) == 4
    for model in error.values():
        assert model[0] < 0.95 * means[0]
        assert model[1] < 0.4 * means[1]  # holidays


def claims_of_encoder_decoder(output: str) -> None:
    lines = output.splitlines()
    right, with_century = numbers(lines[0])[:2]
    assert right > 98
    assert 42 < with_century < 58
    centuries = {"1919-04-22", "2019-04-22"}
    assert lines[1].split()[-1] in centuries
    assert {line.split()[-1] for line in lines[2:4]} == centuries
    assert sum(numbers(line)[0] for line in lines[2:4]) > 180
    beams = [(line.split()[-1], numbers(line)[0]) for line in lines[5:7]]
    assert {text for text, _ in beams} == centuries
    assert sum(probability for _, probability in beams) > 0.9


def claims_of_wavenet(output: str) -> None:
    (short, short_bits, _, short_error), (long, long_bits, _, long_error) = map(numbers, output.splitlines())
    assert (short, long) == (16, 256)
    assert long_bits < short_bits < 1.1 * long_bits
    assert long_error < 0.5 * short_error


def claims_of_streaming(output: str) -> None:
    assert output.count(": True\n") + output.endswith(": True") >= 4
    model, before = numbers(output.splitlines()[0])
    assert model < 0.5 * before
    times = [numbers(line) for line in output.splitlines()[6:]]
    assert [field for field, *_ in times] == [2**layers for layers in range(4, 12)]
    # Flat against growing with what the model sees; wide, as other programs run on the machine too.
    assert times[-1][1] < 0.3 * times[-1][2]
    assert times[-1][1] / times[0][1] < 0.3 * times[-1][2] / times[0][2]


CLAIMS = {name.removeprefix("claims_of_"): claim for name, claim in globals().items() if "claims_of_" in name}
