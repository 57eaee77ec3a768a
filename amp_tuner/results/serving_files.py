"""A point for TensorFlow Serving: its session's configuration, its variables, how it is started.

The model server takes a session's options from ``--platform_config_file`` only, a text proto
``PlatformConfigMap`` whose ``tensorflow`` entry is a ``SavedModelBundleSourceAdapterConfig``
(tensorflow/serving, session_bundle_config.proto). With that file the server ignores its own flags
for threads and batching, so both stand in it.
"""

from __future__ import annotations

from amp_tuner.records import Point
from amp_tuner.results.container_files import container_text
from amp_tuner.results.environment_file import shell_lines
from amp_tuner.results.variables import Variables, point_variables

PLATFORM_CONFIG, VARIABLES, START = "platform.config", "variables.env", "serve.sh"
#: Where the model lies in the folder; the server wants a number for each version of a model.
MODEL = "model"
VERSION = "1"

_PLATFORM = """\
platform_configs {{
  key: "tensorflow"
  value {{
    source_adapter_config {{
      [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {{
        legacy_config {{
          session_config {{
{session}
          }}
        }}
      }}
    }}
  }}
}}
"""
_INDENT = " " * 12
_START = """\
#!/bin/sh
{comments}
# Options of tensorflow_model_server follow, such as --port=8500 or --rest_api_port=8501. In a
# container: docker run --env-file variables.env -v "$PWD:/serving" --entrypoint /serving/serve.sh
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
{variables}
exec tensorflow_model_server --model_name=model --model_base_path="$here/{model}" \\
  --platform_config_file="$here/{platform}" "$@"
"""


def serving_files(point: Point, *, measured: bool, baked: bool) -> dict[str, str]:
    """Files of the folder by name: configuration, variables for containers, a start script.

    The model itself belongs into ``MODEL/VERSION`` beside them.

    Raises:
        InputError: the point names an unknown rule set, or has a value that containers would not
            read as it stands.
    """
    found = point_variables(point, measured=measured, baked=baked)
    comments = "".join(f"# {line}\n" for line in found.comments)
    platform = _PLATFORM.format(session=_session(point, found))
    return {
        PLATFORM_CONFIG: comments + platform,
        VARIABLES: container_text(point, measured=measured, baked=baked),
        START: _START.format(
            comments=comments.rstrip("\n"),
            variables="\n".join(shell_lines(found)),
            model=MODEL,
            platform=PLATFORM_CONFIG,
        ),
    }


def _session(point: Point, found: Variables) -> str:
    """Fields of the session's ConfigProto: threads as measured, the pass's switch."""
    fields = [
        f"{name}_parallelism_threads: {count}"
        for name, count in (
            ("intra_op", point.threads.get("intra_op")),
            ("inter_op", point.threads.get("inter_op")),
        )
        if count is not None
    ]
    option = found.how.option
    if option is not None:
        # Small graphs too: without it a graph of less than four nodes is left alone.
        rewrite = f"rewrite_options {{ {option}: ON min_graph_nodes: -1 }}"
        fields.append(f"graph_options {{ {rewrite} }}")
    return "\n".join(_INDENT + field for field in fields)
