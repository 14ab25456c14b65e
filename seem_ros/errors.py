# SPDX-License-Identifier: Apache-2.0
"""Everything a user can get wrong, as one small family of exceptions.

The ROS layer turns any `SeemError` into ``success=false`` with its message; command lines print the message and exit 2.
A message says what was wrong, what was got and what is allowed.
"""


class SeemError(Exception):
    """Base of all errors that are the caller's to mend."""


class PromptError(SeemError, ValueError):
    """A prompt is empty, outside the image, not finite, too long or inconsistent."""


class FrameError(SeemError, ValueError):
    """A picture or its message cannot be used: wrong size, encoding, step or data."""


class TargetError(SeemError, KeyError):
    """A target id is not known, or no more targets can be kept."""

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return str(self.args[0]) if self.args else ""


class ModelError(SeemError, ValueError):
    """A model name, configuration or input size is not one that is supported."""


class CheckpointError(SeemError, ValueError):
    """A weight file is missing, truncated, foreign, unsafe or holds the wrong tensors."""


class PackageError(SeemError, ValueError):
    """A model package is incomplete, altered or of another version."""


class BackendError(SeemError, RuntimeError):
    """A runtime backend is unknown, not installed, or failed while running."""


class DataError(SeemError, ValueError):
    """A data set, clip or scene cannot be read or made."""


class ServiceError(SeemError, RuntimeError):
    """A node refused a call, or ended while it was waited for."""


class ServiceTimeoutError(ServiceError, TimeoutError):
    """A node gave no answer in time, or nobody offers the service."""
