"""The study file's reference, from the classes that read study files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from amp_tuner.amp.rules import default_rules, rule_set, rule_set_names
from amp_tuner.config.checks import AVAILABLE, Sections, problems_in
from amp_tuner.config.model import TargetConfig
from amp_tuner.config.schema import study_schema
from amp_tuner.judge.metrics import METRICS
from docs.generate.markdown import code, table

_INTRO = """\
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


def study_file() -> str:
    """The page."""
    schema = study_schema()
    parts = [_INTRO, "\n## Top level\n\n", _keys(schema, "")]
    parts += _sections(schema, schema, "")
    parts += ["\n## Metrics\n\n", _metrics(), "\n## What runs where\n\n", _rules()]
    return "".join(parts)


def _sections(schema: dict[str, Any], section: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in section["properties"].items():
        reference = _reference(value)
        if reference is None:
            continue
        found = _resolved(schema, reference)
        about = re.sub(r"``([^`]*)``", r"`\1`", found.get("description", ""))
        about = about.partition(": ")[2] or about
        name = f"{prefix}{key}"
        yield f"\n## {name}\n\n{about[:1].upper()}{about[1:]}\n\n"
        yield _keys(found, f"{name}.")
        yield from _sections(schema, found, f"{name}.")


def _reference(value: dict[str, Any]) -> str | None:
    """The section that a key holds, or may hold; None: it holds a value."""
    one_of = [value, *value.get("anyOf", ())]
    return next((one["$ref"] for one in one_of if "$ref" in one), None)


def _resolved(schema: dict[str, Any], reference: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]]
    return found


def _keys(section: dict[str, Any], prefix: str) -> str:
    needed = section.get("required", ())
    rows = (
        _key_row(f"{prefix}{key}", value, needed=key in needed)
        for key, value in section["properties"].items()
    )
    return table(("key", "type", "default", "example", "what it says"), rows)


def _key_row(key: str, value: dict[str, Any], *, needed: bool) -> Sequence[str]:
    about = " ".join(value.get("description", "").split()).replace("<", "&lt;")
    if _reference(value) is not None:
        default = "needed" if needed else ""
        see = f"see [{key}](#{_anchor(key)})"
        return code(key), "mapping", default, "", f"{about} S{see[1:]}." if about else see
    examples = ", ".join(code(_shown(example)) for example in value.get("examples", ()))
    return code(key), _type(value, key), _default(value, needed=needed), examples, about


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
    return "" if found in (None, [], {}) else code(_shown(found))


def _type(value: dict[str, Any], key: str = "") -> str:
    """What a JSON Schema allows, in words."""
    if "anyOf" in value:
        kinds = [_type(one, key) for one in value["anyOf"] if one.get("type") != "null"]
        return ", or ".join(kinds)
    if "enum" in value:
        return _choices(value["enum"], key)
    if "const" in value:
        return code(_shown(value["const"]))
    if "properties" in value:
        return code(f"{{{', '.join(f'{name}: …' for name in value['properties'])}}}")
    kind = value.get("type")
    if kind == "array":
        return f"list: {_type(value.get('items', {}), key)}"
    names = {"string": "text", "number": "number", "integer": "whole number", None: "any"}
    names |= {"boolean": "`true` or `false`", "object": "mapping", "null": "null"}
    return f"{names[kind]}{_bounds(value)}"


def _choices(choices: Sequence[Any], key: str) -> str:
    """Allowed words; what is reserved for later is left out."""
    known = AVAILABLE.get(key.rpartition(".")[2], choices)
    return ", ".join(code(_shown(one)) for one in choices if one in known)


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
            code(metric.name),
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
        for runtime in AVAILABLE["runtime"]:
            for device in AVAILABLE["device"]:
                if _can_run(runtime, device):
                    rules = default_rules(runtime, device)
                    named = ", ".join(f"{kind}: {code(name)}" for kind, name in rules.items())
                    yield code(runtime), code(device), named

    versions = ", ".join(code(rule_set(name).identifier) for name in rule_set_names())
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
