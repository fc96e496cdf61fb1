"""A promotion record for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thunder.ground import markdown

_FAMILIES = (
    "Each measure is tested by itself: p (Holm) is adjusted for the comparisons of one table, "
    "question and measure, and a difference is claimed of the measures that show it alone."
)
_SHOWN_VERSIONS = ("python", "thunder", "torch", "mlx", "mlx-lm", "numpy", "transformers")


def render(document: Mapping[str, Any]) -> str:
    """Return a promotion record as Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Promotion: {document['name']}"
    yield ""
    if document["subject"]["question"]:
        yield from (document["subject"]["question"], "")
    yield f"Created {document['created']}."
    yield from _section("Claimed", _claims(document["claimed"]))
    yield from _section("Not claimed", _claims(document["not_claimed"]))
    yield from _section("Runs", _runs(document["runs"]))
    missing = [
        f"- {_point(row['cell'])} ({row['run']}): {row['reason']}" for row in document["missing"]
    ]
    yield from _section("Optional cells that are missing", missing)
    yield from _section("Data", _data(document))
    yield from _section("Metrics", _metrics(document["runs"]))
    yield from _section("Comparisons", _comparisons(document))
    meant = [
        f"- {row['word']}: {row['meaning']} ({' '.join(row['runs'])})"
        for row in document["definitions"]
    ]
    yield from _section("Definitions", meant)
    yield from _section("Reproduction", _commands(document))
    yield from _section("Machines", _machines(document["environments"]))


def _section(title: str, lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    body = list(lines)
    if body:
        yield from ("", f"## {title}", "", *body)


def _claims(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        runs = f" [{' '.join(row['runs'])}]" if row["runs"] else ""
        yield f"- {row['text']}{runs}"


def _runs(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield markdown.row(["run", "kind", "cell", "status", "step", "manifest sha256"])
    yield markdown.row(["---"] * 6)
    for row in rows:
        cell = _point(row["cell"]) or (
            f"needed by {' '.join(row['needed_by'])}" if row["needed_by"] else "–"
        )
        step = (
            "–" if row["goal"] is None else f"{row['step']} of {row['total']}, asked {row['goal']}"
        )
        yield markdown.row(
            [row["run"], row["kind"], cell, row["status"], step, row["manifest_sha256"]]
        )


def _data(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the inputs: those of all runs once, the others by run."""
    common = document["snapshot"]
    yield from (f"- {name}: sha256 {sha256} (all runs)" for name, sha256 in sorted(common.items()))
    seen: dict[tuple[str, str], list[str]] = {}
    for run in document["runs"]:
        for name, sha256 in run["inputs"].items():
            if common.get(name) != sha256:
                seen.setdefault((name, sha256), []).append(run["run"])
    for (name, sha256), runs in sorted(seen.items()):
        yield f"- {name}: sha256 {sha256} ({' '.join(dict.fromkeys(runs))})"


def _metrics(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield markdown.row(["run", "cell", "metric", "value", "95 % interval"])
    yield markdown.row(["---"] * 5)
    for row in rows:
        for metric in row["metrics"]:
            value = "not measured" if metric["value"] is None else f"{metric['value']:.6g}"
            is_known = metric["low"] is not None
            interval = f"{metric['low']:.6g} to {metric['high']:.6g}" if is_known else "–"
            yield markdown.row(
                [row["run"], _point(row["cell"]) or "–", metric["name"], value, interval]
            )


def _comparisons(document: Mapping[str, Any]) -> Iterator[str]:
    if not document["comparisons"]:
        return
    head = ["table", "measure", "of", "minus that of", "points", "95 % interval", "p", "p (Holm)"]
    yield markdown.row([*head, "rows", "tested over"])
    yield markdown.row(["---"] * (len(head) + 2))
    for row in document["comparisons"]:
        sides = [row[key] for key in ("table", "measure", "label", "reference")]
        points, low, high = (f"{100 * row[key]:+.2f}" for key in ("difference", "low", "high"))
        adjusted = "–" if row["p_value_holm"] is None else f"{row['p_value_holm']:.3g}"
        numbers = [points, f"{low} to {high}", f"{row['p_value']:.3g}", adjusted]
        units = f"{row['units'] or row['rows']:,} {row['unit']}"
        yield markdown.row([*sides, *numbers, f"{row['rows']:,}", units])
    yield from ("", _FAMILIES)


def _commands(document: Mapping[str, Any]) -> Iterator[str]:
    yield "At the commit of the code, in the same environment:"
    yield ""
    yield from (f"- commit {row['commit']}: {' '.join(row['runs'])}" for row in document["code"])
    yield from ("", "```sh")
    commands = {run["run"]: run["reproduce"] for run in document["runs"]}
    yield from (f"{command}  # {name}" for name, command in commands.items())
    yield "```"


def _machines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        host, versions = row["host"], row["versions"]
        packages = ", ".join(
            f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions
        )
        backend = ", ".join(f"{key} {value}" for key, value in sorted(row["backend"].items()))
        machine = f"{host['cpu'] or host['machine']}, {host['cores']} cores, {host['system']}"
        parts = "; ".join(filter(None, [machine, backend, packages]))
        yield f"- {host['name']}: {parts} [{' '.join(row['runs'])}]"


def _point(cell: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in cell.items())
