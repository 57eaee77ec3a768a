"""The reference of the log's events, from the docstring of the module that writes them."""

from __future__ import annotations

import re

from amp_tuner.results import event_log
from docs.generate.markdown import code, table

_INTRO = """\
# Events

`log.jsonl` holds what happens, one JSON object a line, written as it happens. Whoever follows a
study is told these same objects: the live screen, the plain lines of a pipe, a listener of
`amp_tuner.tune`, and a program that reads `amp-tune run --json-progress`, which prints them and
nothing else. Each has `format` (1), `time` (ISO 8601 with offset) and `event`; what else it has is
below. `trial` is a trial's number, names that end in `_s` are seconds, and `speedup` is
`{value, low, high}` over FP32 with its 95 % interval, or null where nothing was timed. Past 16 MiB
the log becomes `log.1.jsonl` and so on, three of them at most: `tail -F` follows it.

```sh
tail -n 3 runs/quickstart/log.jsonl
```

```python
import json

with open("runs/quickstart/log.jsonl") as lines:
    events = [json.loads(line) for line in lines]
print([event["trial"] for event in events if event["event"] == "measured"])
```

## All events

"""
_ENTRY = re.compile(r"^(\w+(?:, \w+)*)\n((?: {4}.+\n?)+)", re.MULTILINE)


def events() -> str:
    """The page.

    Raises:
        ValueError: the docstring describes no event.
    """
    entries = _ENTRY.findall(event_log.__doc__ or "")
    if not entries:
        raise ValueError("the docstring of amp_tuner.results.event_log describes no event")
    rows = (
        (", ".join(map(code, names.split(", "))), " ".join(facts.replace("``", "`").split()))
        for names, facts in entries
    )
    return _INTRO + table(("event", "facts"), rows)
