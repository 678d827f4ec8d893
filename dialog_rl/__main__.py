"""`python -m dialog_rl` is `dialog-rl`."""

from __future__ import annotations

import sys

from dialog_rl.cli.main import main

sys.exit(main())
