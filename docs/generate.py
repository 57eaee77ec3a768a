"""Writes the pages of docs/reference that say what the code itself says.

    make reference

Study file, verbs, exit codes and variables come from the classes, parsers and tables that the
program runs with, so a page and the program cannot differ. tests/docs holds the pages to them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amp_tuner.amp.environment import FAMILIES, family_variables, list_variables
from amp_tuner.amp.rules import default_rules, rule_set, rule_set_names
from amp_tuner.cli.arguments import make_parser
from amp_tuner.config.checks import AVAILABLE, Sections, problems_in
from amp_tuner.config.model import TargetConfig
from amp_tuner.config.schema import study_schema
from amp_tuner.errors import InputError, TargetError
from amp_tuner.judge.metrics import METRICS

REFERENCE = Path(__file__).parent / "reference"
_HEAD = "<!-- Written by docs/generate.py (make reference): change the code, not this page. -->\n"
_RUNTIMES = AVAILABLE["runtime"]


def pages() -> dict[str, str]:
    """Each generated page's text by its name in docs/reference."""
    made = {
        "study-file.md": _study_file(),
        "verbs.md": _verbs(),
        "exit-codes.md": _exit_codes(),
        "variables.md": _variables(),
    }
    return {name: f"{_HEAD}\n{text.strip()}\n" for name, text in made.items()}


def table(titles: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """A cell that bars do not end: in code only HTML writes one that all readers take."""
    text = re.sub(r"`([^`]*\|[^`]*)`", r"<code>\1</code>", text)
    return text.replace("|", "&#124;")


def _code(text: str) -> str:
    return f"`{text}`"


# The study file.

_STUDY_INTRO = """\
# Study file

A study file is YAML 1.2. `name`, `model.path` and one of `data.path` and `data.function` are
needed; everything else has a default. Relative paths start at the study file's folder. Unknown
keys, values of the wrong type and combinations that cannot be are errors, all told at once, with
their place (`$.target.device`) and exit code 2. Nothing is coerced: `"8"` is no number.

```yaml
name: my-model
model: {path: models/my_model}
data: {path: data/test.npz, inputs: {x: images}, labels: labels, batch_size: 64}
accuracy: {metric: top1, goal: "99%"}
search: {trials: 200, time_budget: 8h}
```

`amp-tune init MODEL` writes a commented one for a model. `amp-tune schema` gives what follows as a
JSON Schema, with which an editor completes and checks study files.
"""


def _study_file() -> str:
    schema = study_schema()
    parts = [_STUDY_INTRO, "\n## Top level\n\n", _keys(schema, "")]
    parts += _sections(schema, schema, "")
    parts += ["\n## Metrics\n\n", _metrics(), "\n## What runs where\n\n", _rules()]
    return "".join(parts)


def _sections(schema: dict[str, Any], section: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in section["properties"].items():
        if "$ref" not in value:
            continue
        found = _resolved(schema, value)
        about = re.sub(r"``([^`]*)``", r"`\1`", found.get("description", ""))
        about = about.partition(": ")[2] or about
        name = f"{prefix}{key}"
        yield f"\n## {name}\n\n{about[:1].upper()}{about[1:]}\n\n"
        yield _keys(found, f"{name}.")
        yield from _sections(schema, found, f"{name}.")


def _resolved(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][value["$ref"].rpartition("/")[2]]
    return found


def _keys(section: dict[str, Any], prefix: str) -> str:
    needed = section.get("required", ())
    rows = (
        _key_row(f"{prefix}{key}", value, needed=key in needed)
        for key, value in section["properties"].items()
    )
    return table(("key", "type", "default", "example", "what it says"), rows)


def _key_row(key: str, value: dict[str, Any], *, needed: bool) -> Sequence[str]:
    if "$ref" in value:
        default = "needed" if needed else ""
        return _code(key), "mapping", default, "", f"see [{key}](#{_anchor(key)})"
    about = " ".join(value.get("description", "").split()).replace("<", "&lt;")
    examples = ", ".join(_code(_shown(example)) for example in value.get("examples", ()))
    return _code(key), _type(value, key), _default(value, needed=needed), examples, about


def _anchor(title: str) -> str:
    return re.sub(r"[^\w-]", "", title)


def _shown(value: Any) -> str:
    """A value as YAML has it on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _default(value: dict[str, Any], *, needed: bool) -> str:
    if needed:
        return "needed"
    found = value.get("default")
    return "" if found in (None, [], {}) else _code(_shown(found))


def _type(value: dict[str, Any], key: str = "") -> str:
    """What a JSON Schema allows, in words."""
    if "anyOf" in value:
        kinds = [_type(one, key) for one in value["anyOf"] if one.get("type") != "null"]
        return ", or ".join(kinds)
    if "enum" in value:
        return _choices(value["enum"], key)
    if "const" in value:
        return _code(_shown(value["const"]))
    if "properties" in value:
        return _code(f"{{{', '.join(f'{name}: …' for name in value['properties'])}}}")
    kind = value.get("type")
    if kind == "array":
        return f"list: {_type(value.get('items', {}), key)}"
    names = {"string": "text", "number": "number", "integer": "whole number", None: "any"}
    names |= {"boolean": "`true` or `false`", "object": "mapping", "null": "null"}
    return f"{names[kind]}{_bounds(value)}"


def _choices(choices: Sequence[Any], key: str) -> str:
    """Allowed words; what is reserved for later is left out."""
    known = AVAILABLE.get(key.rpartition(".")[2], choices)
    return ", ".join(_code(_shown(one)) for one in choices if one in known)


def _bounds(value: dict[str, Any]) -> str:
    words = {
        "minimum": ", at least {}",
        "exclusiveMinimum": ", above {}",
        "maximum": ", at most {}",
        "exclusiveMaximum": ", below {}",
    }
    return "".join(
        word.format(_plain(value[name])) for name, word in words.items() if name in value
    )


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else str(number)


def _metrics() -> str:
    rows = (
        (
            _code(metric.name),
            "higher" if metric.higher_is_better else "lower",
            "labels" if metric.needs_labels else "FP32's outputs alone",
        )
        for metric in METRICS.values()
    )
    after = (
        "\n`top<k>` takes any k (`top3`). `module:function` is a metric of your own, see "
        "[My own metric](../how-to/own-metric.md); its direction is `accuracy.direction`. How "
        "intervals are made is in [How accuracy is judged](../explanation/accuracy.md).\n"
    )
    return table(("metric", "better is", "needs"), rows) + after


def _rules() -> str:
    def rows() -> Iterator[Sequence[str]]:
        for runtime in _RUNTIMES:
            for device in AVAILABLE["device"]:
                if _can_run(runtime, device):
                    rules = default_rules(runtime, device)
                    named = ", ".join(f"{kind}: {_code(name)}" for kind, name in rules.items())
                    yield _code(runtime), _code(device), named

    versions = ", ".join(_code(rule_set(name).identifier) for name in rule_set_names())
    return (
        "Which pass's rules a study follows by default, for each data type:\n\n"
        + table(("runtime", "device", "rules"), rows())
        + f"\nEvery rule set, in its newest version: {versions}. Stock TensorFlow's are there as "
        "`@2.15`, too. Runtimes `tensorflow` and `itex` follow the rules of the version that is "
        "installed.\n"
    )


def _can_run(runtime: str, device: str) -> bool:
    target = TargetConfig.model_validate({"runtime": runtime, "device": device})
    found = problems_in(Sections(None, target, None, None, None), check_files=False)
    return all(problem.where != "$.target.device" for problem in found)


# The verbs.

_VERBS_INTRO = """\
# Verbs

`amp-tune --config study.yaml` is the main job, the same as `amp-tune run --config study.yaml`.
`amp-tune VERB --help` says on a terminal what this page says. What a verb's end means is in
[Exit codes](exit-codes.md).
"""


def _parsers() -> Mapping[str, argparse.ArgumentParser]:
    """The parser of each verb, in the order in which ``--help`` lists them."""
    for action in make_parser()._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    raise AssertionError("no verbs")


def _verbs() -> str:
    return _VERBS_INTRO + "".join(_verb(name, parser) for name, parser in _parsers().items())


def _verb(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [one for one in parser._actions if one.dest != "help"]  # noqa: SLF001
    words = " ".join([f"amp-tune {name}", *map(_usage, actions)])
    rows = ((_code(_written(one)), _about(one)) for one in actions)
    epilog = f"\n```text\n{parser.epilog.strip()}\n```\n" if parser.epilog else ""
    return (
        f"\n## {name}\n\n{_paragraphs(parser.description or '')}\n\n```text\n{words}\n```\n\n"
        f"{table(('argument', 'what it is'), rows)}{epilog}"
    )


def _paragraphs(text: str) -> str:
    """Prose as it stands; what is indented becomes a block."""
    parts = [
        f"```text\n{part.strip()}\n```" if part.startswith("    ") else part
        for part in text.split("\n\n")
    ]
    return "\n\n".join(parts)


def _metavar(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.metavar is not None:
        return str(action.metavar)
    return action.dest.upper()


def _many(action: argparse.Action) -> str:
    return {"+": "…", "*": "…"}.get(str(action.nargs), "")


def _written(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    value = f"{_metavar(action)}{_many(action)}"
    return f"{names} {value}".strip()


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"{_metavar(action)}{_many(action)}"
    names = "|".join(action.option_strings)
    word = f"{names} {_metavar(action)}{_many(action)}".strip()
    return word if action.required else f"[{word}]"


def _about(action: argparse.Action) -> str:
    about = (action.help or "").replace("%%", "%")
    if action.choices is not None:
        about += f": {', '.join(_code(str(one)) for one in action.choices)}"
    return f"{about[:1].upper()}{about[1:]}"


# Exit codes.

_EXIT_INTRO = """\
# Exit codes

| code | what it means |
| --- | --- |
| 0 | done; of a study also where FP32 is the best setting |
| 1 | a study ended and nothing meets the accuracy goal, FP32 included; `verify`: stale |
| {input} | bad input: study file, model, data or options; every problem is told at once |
| {target} | the target cannot run: no such interpreter, no TensorFlow in it, the FP32 model fails |
| 4 | `verify` alone: other hardware or software |
| 130 | interrupted (Ctrl-C, SIGTERM); the same command resumes a study |

A trial that fails, whatever its cause, never ends a study: it is a row of `trials.csv`.

## Verbs with codes of their own

"""


def _exit_codes() -> str:
    intro = _EXIT_INTRO.format(input=InputError.exit_code, target=TargetError.exit_code)

    def rows() -> Iterator[Sequence[str]]:
        for name, parser in _parsers().items():
            for code, meaning in _told(parser.epilog or ""):
                yield _code(name), code, meaning

    return intro + table(("verb", "code", "what it means"), rows())


def _told(epilog: str) -> Iterator[tuple[str, str]]:
    """Codes and meanings in a verb's closing words: ``exit codes: 0 done; 1 …``."""
    _, _, told = epilog.partition("exit codes: ")
    for part in " ".join(told.split()).split("; "):
        found = re.fullmatch(r"(\d+) (.*)", part)
        if found is not None:
            yield found[1], found[2]


# Variables.

_VARIABLES_INTRO = """\
# Variables

Two families of environment variables, one for each pass. TensorFlow reads its own when a session
runs a signature for the first time; ITEX's are read whenever a graph is optimised. Set them before
the program starts. `best.env` unsets a whole family before it sets what a setting needs.

Lists are op types with commas between them. Nothing is trimmed (`"A, B"` names `A` and ` B`), names
are exact, and an op type that nobody knows is ignored in silence. Additions come before removals.
An op type in two lists makes the pass fail, and the model then runs in FP32 without a word to the
program: to move an op type, add it to one list *and* remove it from the other. What amp-tune writes
always does both.
"""

#: What each variable does, by the end of its name.
_MEANINGS = {
    "": "`1` switches the pass on, `0` (the default) off; any other text, the empty one too, "
    "aborts the process",
    "DATA_TYPE": "`BFLOAT16` or `FLOAT16`; default: `BFLOAT16` on a CPU, `FLOAT16` on a GPU; any "
    "other text makes the pass fail",
    "UNSAFE_FORCE_ALL": "`1` makes this pass fail, whatever its documentation says",
    "LOG_PATH": "an existing folder, to which the pass writes the graph before and after, and its "
    "lists; `amp-tune inspect FOLDER` reads it",
    "LEVEL": "`TREAT_INFER_AS_DENY`, `TENSOR_CORES_ONLY` or `UNSAFE_FORCE_ALL`; other text is "
    "ignored in silence",
    "IGNORE_PERFORMANCE": "`1`: of FP16 on CUDA, do not ask whether the GPU has Tensor Cores",
    "SIMULATE_GPU": "`1`: take nodes without a device for nodes on a GPU",
    "EMULATE_FP16": "`0`: FP16 on a CPU computes in FP16; by default the pass computes in FP32 "
    "and only surrounds nodes with casts",
}
_TITLES = {"tensorflow": "Stock TensorFlow", "itex": "Intel Extension for TensorFlow"}
_SWITCHED_ON = {
    "tensorflow": "These variables do not switch the pass on. The program does, by an optimizer "
    "option before its first graph runs (`auto_mixed_precision_onednn_bfloat16` for BF16 on a CPU, "
    "with `TF_ENABLE_ONEDNN_OPTS=1`; `auto_mixed_precision_cpu` for FP16 on a CPU; "
    "`auto_mixed_precision` for FP16 on CUDA). `best.py` does all of it.",
    "itex": "These variables do all of it; the program needs no change. A field of ITEX's Python "
    "API that is not empty wins over its variable: use one of the two, never both.",
}


def _variables() -> str:
    parts = [_VARIABLES_INTRO]
    for family in FAMILIES:
        parts += [f"\n## {_TITLES[family]}\n\n{_SWITCHED_ON[family]}\n\n", _family(family)]
    return "".join(parts)


def _family(family: str) -> str:
    edits = {variable: (name, edit) for variable, name, edit in list_variables(family)}
    names = family_variables(family)
    start = re.match(r"(?:TF|ITEX)_AUTO_MIXED_PRECISION(?:_GRAPH_REWRITE)?", names[0])
    assert start is not None

    def meaning(variable: str) -> str:
        if variable not in edits:
            return _MEANINGS[variable.removeprefix(start[0]).lstrip("_")]
        name, edit = edits[variable]
        what = "join" if edit == "ADD" else "leave"
        legacy = "" if name.upper() in variable else " (the older name, applied after the new one)"
        return f"op types that {what} {name.upper()}{legacy}"

    return table(("variable", "what it does"), ((_code(name), meaning(name)) for name in names))


def main() -> None:
    """Writes the pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
