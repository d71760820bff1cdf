"""The report of an execution: one page, with all that is known, that fetches and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from filecopy.executions.model import History
from filecopy.pages.report import DARK, LIGHT, headline, report_page

from .executions import (
    ARN,
    DEFINITION,
    MiniStack,
    aws,
    aws_running,
    aws_worker,
    aws_worker_running,
    ministack,
    ministack_worker,
)

VOID = {"meta", "br", "hr", "img", "input", "link"}
ODD = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'\x1b[2J\u202egpj.\n</pre></style>"
SHOWN = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'?[2J?gpj.?</pre></style>"


class Page(HTMLParser):
    """A page as its elements, with what is wrong about their nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))

    def of(self, *tags: str) -> list[str]:
        return [text.strip() for tag, text in self.texts if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag != "style")


def superseded() -> History:
    run = MiniStack()
    run.begin()
    return run.history("SUCCEEDED", output='{"status": "SUPERSEDED"}')


def waiting() -> History:
    """The run of AWS's history before it had the lease."""
    return next(history for count in range(1, 60) if (history := aws_running(count)).is_waiting)


def copied() -> History:
    run = MiniStack("k.zip", "region-a-builds")
    run.begin()
    run.copy(run.results())
    return run.history("SUCCEEDED", output='{"status": "COMPLETED"}')


def failed(error: str | None) -> History:
    run = MiniStack()
    run.begin()
    run.copy(run.results())
    run.fail(error or "", "")
    return run.history(error=error)


def many() -> History:
    run = MiniStack("k.zip", *(f"bucket-{index:02}" for index in range(40)))
    run.begin()
    run.copy(run.results())
    run.fail()
    return run.history()


EXECUTIONS: dict[str, Callable[[], History]] = {
    "aws": aws,
    "aws, no record": lambda: aws(None),
    "running": lambda: aws_running(58),
    "just started": lambda: aws_running(1),
    "worker": aws_worker,
    "worker, running": lambda: aws_worker_running(90),
    "ministack": ministack,
    "ministack, worker": lambda: ministack_worker().history("RUNNING"),
    "many": many,
    "odd": lambda: ministack(ODD, ODD, ODD),
    "copied": copied,
    "superseded": superseded,
}


@pytest.mark.parametrize("make", EXECUTIONS.values(), ids=EXECUTIONS)
def test_a_page_is_whole_and_needs_nothing_else(make: Callable[[], History]) -> None:
    """Its elements are nested, ids are unique, and no script, image, font, style or frame is in it or fetched."""
    text = report_page(make(), DEFINITION)
    page = Page(text)
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    named = [value for name, value in page.attributes if name == "id"]
    assert len(named) == len(set(named))
    assert not [name for name, _ in page.attributes if name in ("src", "href", "srcset") or name.startswith("on")]
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("make", EXECUTIONS.values(), ids=EXECUTIONS)
def test_a_page_can_be_heard(make: Callable[[], History]) -> None:
    """It has a language, a title, one first heading and no level left out, and the table says what its cells are of."""
    text = report_page(make(), DEFINITION)
    page = Page(text)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert ("lang", "en") in page.attributes
    assert len(page.of("title")[0]) > 10
    scopes = [value for name, value in page.attributes if name == "scope"]
    assert (scopes.count("col"), scopes.count("row")) == (7, len(make().copies))
    assert ("aria-labelledby", "destinations") in page.attributes


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (aws, "✘ Partly failed: 2 of 4 copies failed"),
        (lambda: aws_running(58), "… Running: 2 of 4 copies made so far"),
        (waiting, "… Waiting until another execution has copied this file"),
        (copied, "✔ Copied to 1 destination"),
        (superseded, "○ Superseded: a newer version of the file is copied instead"),
        (lambda: failed("SourceUnreadable"), "✘ Failed: the source could not be read"),
        (lambda: failed("TrackingFailed"), "✘ The tracking record could not be written; 1 of 2 copies failed"),
        (lambda: failed("NotificationFailed"), "✘ 1 of 2 copies failed; the notification failed, too"),
        (lambda: failed("States.Runtime"), "✘ Failed: States.Runtime"),
        (lambda: failed(None), "✘ Failed: no error is recorded"),
    ],
)
def test_the_headline_tells_the_outcome(make: Callable[[], History], said: str) -> None:
    """The outcome is the first thing on the page, with a sign beside its colour."""
    page = Page(report_page(make(), DEFINITION))
    assert page.of("h1") == [said]
    assert headline(make()).text in page.of("title")[0]


def test_what_the_page_says() -> None:
    """The file, the execution, each destination with its attempts, error and arrival, and the record."""
    text = report_page(aws(), DEFINITION)
    page = Page(text)
    for said in ("releases/build-124.zip", "acme-global-builds", aws().execution_arn, "13.9 s", "CopiesFailed"):
        assert said in page.text
    row = text[text.index(">partner-builds</span></th>") :].split("</tr>")[0]
    assert ">✘ failed<" in row
    assert ">4<" in row
    assert row.count("<li>") == 4
    assert "Access Denied" in row
    row = text[text.index(">acme-region-b-builds</span></th>") :].split("</tr>")[0]
    assert (row.count("<li>"), row.count("Please reduce your request rate")) == (3, 2)
    assert "✔ verified" in row
    assert "Vb7tK9" in row
    assert "PARTIAL_FAILURE" in page.text


def test_the_timeline_has_every_state_and_copy() -> None:
    """One line each, in order, with one bar for each attempt."""
    text = report_page(aws(), DEFINITION)
    timeline = text[text.index("<h2>Timeline") : text.index("<h2>State machine")]
    names = re.findall(r'</span> (?:<span class="code">)?([\w-]+)', timeline)
    states = [state.name for state in aws().states]
    # The attempt to take the lease that failed, and the wait after it, are one line.
    assert states[1:4] == ["AcquireLease", "WaitForTurn", "AcquireLease"]
    del states[1]
    copies = [copy.bucket for copy in aws().copies]
    at = states.index("CopyToMultipleBuckets") + 1
    assert names == [*states[:at], *copies, *states[at:]]
    wait = next(line for line in timeline.splitlines() if "WaitForTurn" in line)
    assert "waited once" in wait
    assert re.findall(r'<rect class="(\w*)"', wait) == ["span"], "waiting is no failure"
    line = next(line for line in timeline.splitlines() if "partner-builds" in line)
    assert line.count('<rect class="bad"') == 4
    for start, length in re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', timeline):
        assert 0 <= float(start) <= 100
        assert float(start) + float(length) <= 100.02


def test_copies_of_several_runs() -> None:
    """Each is one row of the timeline, below the first round, with a bar for each run; its cell tells how many."""
    text = report_page(aws_worker(), DEFINITION)
    timeline = text[text.index("<h2>Timeline") : text.index("<h2>State machine")]
    names = re.findall(r'</span> (?:<span class="code">)?([\w-]+)', timeline)
    assert names[: names.index("CopyThroughWorker") + 6] == [
        *(state.name for state in aws_worker().states[:9]),
        *(copy.bucket for copy in aws_worker().copies),
        "ProcessResults",
    ]
    assert (names.count("CopyThroughWorker"), names.count("acme-us-builds")) == (3, 1)
    line = next(line for line in timeline.splitlines() if "acme-us-builds" in line)
    assert ", 3 runs<" in line
    assert line.count('<rect class="good"') == 3
    row = text[text.index(">acme-us-builds</span></th>") :].split("</tr>")[0]
    assert 'data-name="Attempts">3, 3 runs</td>' in row
    assert 'data-name="Check">CRC64NVME</td>' in row
    assert row.count("<li>") == 3


def test_data_of_every_state() -> None:
    """The input and the output of the execution and of each state, and what is not recorded is said not to be."""
    page = Page(report_page(ministack(), DEFINITION))
    summaries = page.of("summary")
    for state in ministack().states:
        assert state.name in summaries
    assert page.of("pre").count("not recorded") == 2, "the failed execution and the Fail state have no output"
    assert page.text.count("not recorded") >= 4


def test_the_state_machine_is_drawn() -> None:
    """The drawing is in the page with the way that was taken; without a definition there is none."""
    text = report_page(aws(), DEFINITION)
    assert text.count("<svg xmlns") == 1
    assert '"state entered failed"' in text
    assert "<svg xmlns" not in report_page(aws())


def test_another_executions_record() -> None:
    """A record that a newer execution has taken over is shown as what it is, and no copy is told from it."""
    run = MiniStack()
    run.begin()
    run.enter("Map", "CopyToMultipleBuckets")
    record = {"executionId": f"{ARN}-2", "status": "COMPLETED", "copyResults": run.results()}
    page = Page(report_page(run.history(record=record), DEFINITION))
    assert "It describes another execution now" in page.text
    assert "✔ copied" not in page.text


def test_nothing_that_others_chose_breaks_out() -> None:
    """A key, an error and a cause that are called like tags, or turn text around, are shown and not obeyed."""
    record = {"executionId": ARN, "fileKey": ODD, "problem": ODD, "destinationBuckets": [ODD]}
    run = MiniStack(ODD, "region-a-builds", "invalid-bucket", ODD)
    run.begin()
    run.copy(run.results(ODD, ODD))
    run.fail(ODD, ODD)
    page = Page(report_page(run.history(record=record, error=ODD, cause=ODD), DEFINITION))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count(SHOWN) > 10
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_colours_can_be_told_from_the_paper() -> None:
    """Text has the contrast that WCAG AA asks for, 4.5 to 1, on the page and on a card, light and dark."""

    def light(colour: str) -> float:
        parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for theme in (LIGHT, DARK):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        for ink in ("ink", "quiet", "accent", "good", "bad", "busy"):
            for paper in ("paper", "card"):
                one, other = sorted((light(colours[ink]), light(colours[paper])))
                assert (other + 0.05) / (one + 0.05) >= 4.5, (ink, paper)
