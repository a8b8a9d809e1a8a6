"""A client of the running controller: what `telephony calls`, `lines` and `seats` ask it."""

from __future__ import annotations

import http.client
import json
from typing import Any

from telephony.errors import ConfigError, ControllerDown
from telephony.provision import StateDirectory
from telephony.settings import Address, Settings

TIMEOUT = 5.0  # seconds, of one question


class Client:
    """Asks the controller of `settings` as the administrator whose token lies in `state`."""

    def __init__(self, settings: Settings, state: StateDirectory) -> None:
        self._address = Address.parse(settings.api.bind)
        self._file = state.tokens
        self._token = state.secrets.passwords(state.tokens.name).get("admin", "")
        if not self._token:
            raise ConfigError(f"{self._file}: no token for admin; run `telephony provision` first")

    def get(self, path: str) -> Any:
        """The answer's JSON. ControllerDown: nobody answers, or not as the controller does.

        ConfigError: the token is not valid any more.
        """
        status, body = self._ask(path)
        if status == 401:
            raise ConfigError(
                f"{self._file}: the controller does not take the admin's token: was it revoked?"
            )
        try:
            answer = json.loads(body)
        except ValueError:
            raise ControllerDown(f"what answers at {self._address} is not the controller") from None
        if status != 200:
            raise ControllerDown(f"the controller at {self._address} answers {status}: {answer}")
        return answer

    def _ask(self, path: str) -> tuple[int, bytes]:
        link = http.client.HTTPConnection(self._address.host, self._address.port, timeout=TIMEOUT)
        try:
            link.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            answer = link.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise ControllerDown(f"the controller at {self._address} does not answer: {why}") from error
        finally:
            link.close()
