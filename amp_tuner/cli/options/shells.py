"""Options of the verb for shells."""

from __future__ import annotations

from amp_tuner.cli.options.common import Verbs, add_verb

SHELLS = ("bash", "fish", "zsh")
_EPILOG = """\
for good, in a new shell:
  bash   amp-tune completion bash > ~/.local/share/bash-completion/completions/amp-tune
  fish   amp-tune completion fish > ~/.config/fish/completions/amp-tune.fish
  zsh    amp-tune completion zsh > _amp-tune   in a folder of $fpath
"""


def add_completion(verbs: Verbs) -> None:
    """``amp-tune completion``."""
    parser = add_verb(
        verbs,
        "completion",
        "what a shell needs to complete verbs, options, their values and files",
        "Prints a script that has a shell complete amp-tune's command line.",
        _EPILOG,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
