"""Digest authentication (RFC 2617, MD5 with qop=auth) as a phone does it."""

from __future__ import annotations

import hashlib
import re
import secrets


def answer_to(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """The Authorization header's value for the value of a WWW-Authenticate header."""
    asked = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge.split(" ", 1)[1]))
    cnonce = secrets.token_hex(4)
    ha1 = _md5(f"{user}:{asked['realm']}:{password}")
    response = _md5(f"{ha1}:{asked['nonce']}:00000001:{cnonce}:auth:{_md5(f'{method}:{uri}')}")
    fields = {"username": user, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    fields |= {"response": response, "cnonce": cnonce, "nc": "00000001", "qop": "auth"}
    fields |= {"opaque": asked["opaque"]} if "opaque" in asked else {}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in fields.items())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
