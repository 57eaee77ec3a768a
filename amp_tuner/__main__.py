"""``python -m amp_tuner`` is ``amp-tune``."""

from __future__ import annotations

import sys

from amp_tuner.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
