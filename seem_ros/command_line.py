# SPDX-License-Identifier: Apache-2.0
"""What every command line of seem_ros does at its end: one line for people and an exit status, never a traceback."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from seem_ros.errors import SeemError
from seem_ros.extras import EXTRA_OF, pip_line

MISTAKE, INTERRUPTED = 2, 130
SHOW_TRACEBACK = "SEEM_ROS_TRACEBACK"


def one_line_errors(main: Callable[..., int]) -> Callable[..., int]:
    """Decorates a tool's `main`: what it raises becomes one line on stderr and exit status 2.

    ``SEEM_ROS_TRACEBACK=1`` shows where it came from.
    """

    @functools.wraps(main)
    def guarded(*arguments: Any, **options: Any) -> int:
        try:
            return main(*arguments, **options)
        except SeemError as error:
            return _say(error, str(error))
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:  # `| head`: nobody reads any more
            return 0
        except OSError as error:
            where = f"{error.filename}: " if error.filename is not None else ""
            return _say(error, f"{where}{error.strerror or error}")
        except MemoryError as error:
            return _say(error, "there is not enough memory for this")
        except ModuleNotFoundError as error:
            return _say(error, _what_to_install(error))
        except Exception as error:
            return _say(error, f"{type(error).__name__}: {error}")

    return guarded


def _what_to_install(error: ModuleNotFoundError) -> str:
    module = (error.name or "").partition(".")[0]
    if module not in EXTRA_OF:
        return f"{type(error).__name__}: {error}"
    return f"this needs {module}, which is not installed: {pip_line(EXTRA_OF[module])}"


def _say(error: BaseException, message: str) -> int:
    if os.environ.get(SHOW_TRACEBACK):
        traceback.print_exception(error)
    line = " ".join(message.split())[:1000]
    print(f"error: {line.encode('utf-8', 'replace').decode()}", file=sys.stderr)
    return MISTAKE
