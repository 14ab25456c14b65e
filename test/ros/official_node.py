# SPDX-License-Identifier: Apache-2.0
"""The node, with an export of official models that takes no time: the checkpoint is fetched, and the built-in package
stands for what is made of it. Run with --make, it is that maker."""

import shutil
import sys
from pathlib import Path

from seem_ros.export.official import end_with_stdin, find_checkpoint
from seem_ros.runtime.official import preparation

BUILTIN = Path(__file__).parents[2] / "models" / "lite"


def make(models_dir: Path, model: str) -> int:
    """Fetches the checkpoint and puts a package there."""
    end_with_stdin()
    try:
        find_checkpoint(model, lambda line: print(line, flush=True))
    except Exception as error:
        print(error, file=sys.stderr)
        return 2
    shutil.copytree(BUILTIN, models_dir / model)
    print(f"{preparation.READY}{models_dir / model}", flush=True)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        sys.exit(make(Path(sys.argv[2]), sys.argv[3]))
    from seem_ros.ros.node import main

    preparation.COMMAND = (sys.executable, __file__, "--make")
    sys.exit(main())
