"""What a link to Asterisk's manager interface needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AmiSettings:
    """Where Asterisk is, who we are, and how patient we are. All times in seconds."""

    host: str
    port: int
    username: str
    secret: str = field(repr=False)
    events: str = "on"
    """Asterisk's EventMask: `on`, `off`, or classes such as `system,call,user`. With `off`, or without
    `system` in mask and read rights, `boot_deadline` must be 0."""
    connect_deadline: float = 2.0
    """For the TCP connection, and again for Asterisk's banner."""
    action_deadline: float = 2.0
    """For one answer, or one whole list, unless the caller says otherwise."""
    login_deadline: float = 5.0
    """For the answer to a login; Asterisk keeps a wrong one waiting for a second on purpose."""
    boot_deadline: float = 60.0
    """For the FullyBooted event after login. Asterisk accepts logins before its modules are loaded and
    then calls their actions unknown. 0: do not wait, for a user who may not read `system` events."""
    ping_interval: float = 2.0
    ping_deadline: float = 2.0
    backoff_first: float = 0.1
    """The first pause before another try; it doubles up to `backoff_max`, each shortened at random by up
    to a half."""
    backoff_max: float = 2.0
    login_retry: float = 10.0
    """The pause after a refused login."""
    max_message: int = 1 << 20
    """Bytes in one incoming message; a peer that sends more is dropped."""
    max_unsent: int = 1 << 20
    """Bytes waiting to be sent; a peer that reads so slowly is dropped."""
