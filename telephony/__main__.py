"""`python -m telephony` is the command `telephony`."""

from __future__ import annotations

from telephony.cli import main

main()
