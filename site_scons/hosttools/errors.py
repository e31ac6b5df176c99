# SPDX-License-Identifier: MIT
"""The one error that users see: a line that says what failed and what to do."""


class HelixError(Exception):
    """str() is the whole message; `detail` is more to show under it, such as a guest's output."""

    def __init__(self, message, detail=""):
        super().__init__(message)
        self.detail = detail
