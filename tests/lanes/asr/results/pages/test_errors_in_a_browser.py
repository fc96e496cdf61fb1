"""The error page in a real browser: laid out, drawn, filtered and printed as it should be."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser
import bundle_runs
import heard_runs
import pytest

from thunder.lanes.asr.results.pages import errors

ROWS = 4  # of each selection
# Fonts that have N'Ko; whatever else draws its letters draws boxes.
NKO_FONTS = {"Noto Sans NKo", "Noto Sans N'Ko", "Ebrima", "Kigelia", "DejaVu Sans"}
VISIBLE = "[...document.querySelectorAll('.row')].filter((r) => r.offsetParent).map((r) => r.id)"
# Left edges of the cells of one row's first line, and of the letters inside its longest cell.
LAID_OUT = """(() => {
  const words = document.querySelector('.words');
  const cells = [...words.querySelectorAll('.cell')].map((c) => c.getBoundingClientRect());
  const first = cells.filter((c) => Math.abs(c.top - cells[0].top) < 2).map((c) => c.left);
  const equal = [...document.querySelectorAll('.cell.equal .part')]
    .sort((a, b) => b.textContent.length - a.textContent.length)[0];
  const node = equal.firstChild;
  const letters = [...node.data].map((_, i) => {
    const range = document.createRange();
    range.setStart(node, i); range.setEnd(node, i + 1);
    return range.getBoundingClientRect();
  }).filter((box) => box.width > 0).map((box) => box.left);
  return {cells: first, letters, text: node.data, direction: getComputedStyle(words).direction};
})()"""

pytestmark = pytest.mark.slow
Open = Callable[..., None]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return a page of each script, with what it was made of."""
    outputs = tmp_path_factory.mktemp("pages") / "outputs"
    written = {}
    for script in ("nko", "latin"):
        run = bundle_runs.finish(outputs, bundle_runs.cell(script=script), rows=120)
        path = errors.write(run.folder, rows=ROWS)
        document = errors.build(run.folder, rows=ROWS)
        written[script] = {"url": path.as_uri(), "document": document}
    return written


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    with browser.page(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


@pytest.fixture
def page(chromium: browser.Page) -> Iterator[browser.Page]:
    """Yield the tab as a new one would be, and check at the end that nothing went wrong in it."""
    chromium.media()
    chromium.call("Emulation.clearDeviceMetricsOverride")
    chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    yield chromium
    assert chromium.complaints() == []


def wait_for(page: browser.Page, claim: str) -> None:
    """Wait until an expression is true in the page."""
    end = time.monotonic() + browser.DEADLINE_SECONDS
    while not page.evaluate(claim):
        assert time.monotonic() < end, f"never came: {claim}"
        time.sleep(0.02)


def test_nko_is_laid_out_from_right_to_left(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    laid_out = page.evaluate(LAID_OUT)
    assert laid_out["direction"] == "rtl"
    assert len(laid_out["cells"]) > 8
    assert laid_out["cells"] == sorted(laid_out["cells"], reverse=True)
    assert len(laid_out["letters"]) > 2
    assert laid_out["letters"] == sorted(laid_out["letters"], reverse=True)
    # The text itself is in logical order: it is that of a reference, never reversed.
    assert any(laid_out["text"] in row["reference"] for row in pages["nko"]["document"]["rows"])


def test_latin_is_laid_out_from_left_to_right(page: browser.Page, pages: Any) -> None:
    page.open(pages["latin"]["url"])
    laid_out = page.evaluate(LAID_OUT)
    assert laid_out["direction"] == "ltr"
    assert laid_out["cells"] == sorted(laid_out["cells"])
    assert laid_out["letters"] == sorted(laid_out["letters"])


def test_every_letter_of_nko_is_in_the_font(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    fonts = page.fonts(".word .part:not(.gap, .space)", most=60)
    assert sum(fonts.values()) > 60
    assert set(fonts) <= NKO_FONTS, "letters of N'Ko are drawn by another font: run tests/needs.sh"


def test_letters_join_over_the_border_of_two_cells(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    part = "document.querySelector('.equal .joins-after')"
    assert page.evaluate(f"getComputedStyle({part}, '::after').content") == '"\u200d"'
    assert "\u200d" not in page.evaluate(f"{part}.textContent")  # what is copied is the text alone
    joined = page.picture(part)
    page.evaluate(f"{part}.classList.remove('joins-after', 'joins-before')")
    assert page.picture(part) != joined  # alone the same letter has another shape


def test_reference_stands_above_hypothesis_edit_by_edit(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    boxes = page.evaluate("""[...document.querySelectorAll('.cell')].slice(0, 200).map((cell) => {
      const [above, below] = [...cell.children].map((part) => part.getBoundingClientRect());
      const aside = above.left + above.right - below.left - below.right;
      return [above.bottom <= below.top + 1, Math.abs(aside) < 2];
    })""")
    assert boxes
    assert all(all(box) for box in boxes)


def test_edits_are_marked_without_colour_too(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    marks = page.evaluate("""Object.fromEntries(
      ['substitute', 'insert', 'delete', 'equal'].map((op) =>
        [op, getComputedStyle(document.querySelector(`.cell.${op}`), '::after').content]))""")
    assert marks == {"substitute": '"≠"', "insert": '"+"', "delete": '"−"', "equal": '""'}


@pytest.mark.parametrize("script", ["nko", "latin"])
def test_the_fragment_chooses_a_partition(page: browser.Page, pages: Any, script: str) -> None:
    document = pages[script]["document"]
    for name in (row["name"] for row in document["partitions"]):
        page.open(f"{pages[script]['url']}#partition={name}")
        wanted = {f"row-{r['feat_id']}" for r in document["rows"] if r["partition"] == name}
        assert 0 < len(wanted) < len(document["rows"])
        assert set(page.evaluate(VISIBLE)) == wanted
        assert page.evaluate("document.getElementById('shown').textContent") == (
            f"{len(wanted)} of {len(document['rows'])} rows"
        )


def test_the_fragment_chooses_a_kind_of_row_and_an_order(page: browser.Page, pages: Any) -> None:
    document = pages["nko"]["document"]
    page.open(f"{pages['nko']['url']}#kind=typical&sort=id")
    wanted = sorted(f"row-{r['feat_id']}" for r in document["rows"] if "typical" in r["kinds"])
    assert page.evaluate(VISIBLE) == wanted
    page.open(f"{pages['nko']['url']}#kind=nothing&partition=%ZZ&sort=x")  # what nobody can mean
    assert len(page.evaluate(VISIBLE)) == len(document["rows"])


def test_a_fragment_leads_to_a_row(page: browser.Page, pages: Any) -> None:
    last = f"row-{pages['nko']['document']['rows'][-1]['feat_id']}"
    page.open(f"{pages['nko']['url']}#{last}")
    box = f"document.getElementById('{last}').getBoundingClientRect()"
    bar = "document.querySelector('.filters').getBoundingClientRect()"
    wait_for(page, f"{box}.top < innerHeight && {box}.top >= {bar}.bottom")


def test_a_search_by_keyboard_finds_text_and_leaves_a_link(page: browser.Page, pages: Any) -> None:
    row = pages["nko"]["document"]["rows"][3]
    word = max(row["reference"].split(), key=len)
    page.open(pages["nko"]["url"])
    page.press("/", 191, "/")
    page.type(word)
    wanted = {
        f"row-{r['feat_id']}"
        for r in pages["nko"]["document"]["rows"]
        if word in r["reference"] or word in r["hypothesis"]
    }
    wait_for(page, f"({VISIBLE}).length === {len(wanted)}")
    assert set(page.evaluate(VISIBLE)) == wanted
    assert page.evaluate("new URLSearchParams(location.hash.slice(1)).get('q')") == word
    page.press("Tab", 9)  # to the button that clears
    page.press("Enter", 13, "\r")
    wait_for(page, f"({VISIBLE}).length === {len(pages['nko']['document']['rows'])}")
    assert page.evaluate("location.hash") == ""
    assert page.evaluate("document.activeElement.id") == "partition"


def test_a_search_that_finds_nothing_says_so(page: browser.Page, pages: Any) -> None:
    page.open(f"{pages['latin']['url']}#q=qqqq")
    assert page.evaluate(VISIBLE) == []
    assert page.evaluate("document.getElementById('none').offsetParent !== null")


def test_without_scripts_every_row_is_there_and_no_filter(page: browser.Page, pages: Any) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(f"{pages['nko']['url']}#partition=novelty")
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert len(page.evaluate(VISIBLE)) == len(pages["nko"]["document"]["rows"])
    assert page.evaluate("document.querySelector('.filters').offsetParent") is None


def test_a_dark_page_is_dark_and_a_printed_one_has_no_filters(
    page: browser.Page, pages: Any
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    page.open(pages["nko"]["url"])
    assert min(page.evaluate(ground)) > 200
    page.media(prefers_color_scheme="dark")
    assert max(page.evaluate(ground)) < 60
    page.media("print")
    assert page.evaluate("document.querySelector('.filters').offsetParent") is None
    assert min(page.evaluate(ground)) == 255


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_sticks_out_at_any_width(page: browser.Page, pages: Any, width: int) -> None:
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=900, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    for script in ("nko", "latin"):
        page.open(pages[script]["url"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("""[...document.querySelectorAll('.words')].every((words) => {
          const inner = words.getBoundingClientRect();
          const outer = words.closest('.row').getBoundingClientRect();
          return inner.left >= outer.left && inner.right <= outer.right;
        })""")


def test_the_page_asks_for_nothing_and_can_be_seen(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    assert page.requests() == [pages["nko"]["url"]]
    assert len(page.picture()) > 20_000  # an empty page compresses to less


def test_the_page_speaks_to_those_who_listen(page: browser.Page, pages: Any) -> None:
    page.open(pages["nko"]["url"])
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if "role" in n}
    names = {role: {name for r, name in roles if r == role} for role, _ in roles}
    assert {"Partition", "Chosen for", "Order"} <= {
        name.split("\n")[0].strip()
        for role in ("combobox", "Combobox", "menuButton", "ComboBoxSelect")
        for name in names.get(role, set())
    }
    images = [name for role in ("image", "img") for name in names.get(role, set())]
    assert any(name.startswith("alignment: ") for name in images)
    assert any("rows" in name for name in images)


# What was heard ---------------------------------------------------------------------------------

OPENED = """(() => {
  const row = document.querySelector('.row');
  row.querySelector('.heard-row').open = true;
  return row.id;
})()"""
MIDDLES = """[...document.querySelectorAll('.row .time')[0].querySelectorAll('.at')]
  .map((a) => { const box = a.getBoundingClientRect(); return (box.left + box.right) / 2; })"""
TICKS = """[...document.querySelectorAll('.row .time')[0].querySelectorAll('.tick')]
  .map((t) => [t.textContent, t.getBoundingClientRect().left])"""


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the addresses of pages with recordings, by script."""
    addresses = {}
    for script in ("nko", "latin"):
        outputs = tmp_path_factory.mktemp(f"heard-{script}") / "outputs"
        run, _ = heard_runs.finish(outputs, heard_runs.cell(script=script), rows=6)
        addresses[script] = errors.write(run.folder, rows=2).as_uri()
    return addresses


@pytest.mark.parametrize(("script", "is_from_right"), [("nko", True), ("latin", False)])
def test_time_runs_as_the_script_does(
    page: browser.Page, heard: Any, script: str, is_from_right: bool
) -> None:
    page.open(heard[script])
    page.evaluate(OPENED)
    middles = page.evaluate(MIDDLES)
    assert len(middles) > 5
    assert middles == sorted(middles, reverse=is_from_right)
    ticks = page.evaluate(TICKS)
    assert [label for label, _ in ticks][:2] == ["0 s", "1 s"]
    assert (ticks[0][1] > ticks[1][1]) is is_from_right
    flip = page.evaluate("getComputedStyle(document.querySelector('.mel')).transform")
    assert flip == ("matrix(-1, 0, 0, 1, 0, 0)" if is_from_right else "none")


@pytest.mark.parametrize("script", ["nko", "latin"])
def test_a_row_is_heard_from_where_its_spectrogram_is_clicked(
    page: browser.Page, heard: Any, script: str
) -> None:
    page.open(heard[script])
    page.evaluate(OPENED)
    page.evaluate("document.querySelector('.time').scrollIntoView({block: 'center'})")
    box = page.evaluate("document.querySelector('.mel').getBoundingClientRect().toJSON()")
    share = 0.75 if script == "latin" else 0.25
    at = {"x": box["x"] + share * box["width"], "y": box["y"] + 10, "button": "left"}
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, clickCount=1, **at)
    player = "document.querySelector('.row audio')"
    wait_for(page, f"{player}.currentTime >= 0.74 * {player}.duration")
    wait_for(page, "!document.querySelector('.row .cursor').hidden")
    cursor = page.evaluate("document.querySelector('.row .cursor').getBoundingClientRect().left")
    middle = box["x"] + box["width"] / 2
    assert (cursor > middle) is (script == "latin")


def test_a_pause_before_a_click_has_made_a_sound_is_no_fault(
    page: browser.Page, heard: Any
) -> None:
    page.open(heard["latin"])
    page.evaluate(OPENED)
    click = """new Promise((resolve) => {
      document.querySelector('.time').click();
      document.querySelector('.row audio').pause();
      setTimeout(resolve, 50);
    })"""
    page.call("Runtime.evaluate", expression=click, awaitPromise=True, userGesture=True)


def test_a_page_with_recordings_asks_for_nothing_outside_it(page: browser.Page, heard: Any) -> None:
    page.open(heard["nko"])
    page.evaluate(OPENED)
    first, *others = page.requests()
    assert first == heard["nko"]
    assert all(address.startswith("data:") for address in others)
    wait_for(page, "document.querySelector('.mel').naturalWidth > 50")
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=360, height=900, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


# The browser itself ------------------------------------------------------------------------------


def test_a_missing_browser_fails_the_test_and_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(browser, "PLACES", ())
    with pytest.raises(pytest.fail.Exception, match=r"run tests/needs\.sh"):
        browser.program()


def test_needs_are_there_and_asking_again_is_quick() -> None:
    begun = time.monotonic()
    done = subprocess.run(
        [Path(__file__).parents[4] / "needs.sh"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "the tests have what they need" in done.stdout
    assert time.monotonic() - begun < 10
