# SPDX-License-Identifier: MIT
"""What runs on the build machine: the front door, the machines it boots, the tests it runs."""
