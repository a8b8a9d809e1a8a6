"""SIP that is legal but strange, and SIP that is broken: what RFC 4475 is about, in bytes of our own.

Each is a whole packet for `HOST`, `BIND` and `BRANCH` to be filled in.
"""

from __future__ import annotations

import secrets

_HEAD = (
    b"{METHOD} {URI} SIP/2.0\r\nVia: SIP/2.0/UDP BIND:5060;branch=z9hG4bKBRANCH;rport\r\n"
    b"From: <sip:a@BIND>;tag=1\r\nTo: <sip:110@HOST>\r\nCall-ID: BRANCH\r\nMax-Forwards: 70\r\n"
)


def _request(method: str, rest: bytes = b"Content-Length: 0\r\n\r\n", uri: str = "sip:110@HOST") -> bytes:
    head = _HEAD.replace(b"{METHOD}", method.encode()).replace(b"{URI}", uri.encode())
    return head + b"CSeq: 1 " + method.encode() + b"\r\n" + rest


def _options(**changed: bytes) -> bytes:
    """An OPTIONS with some of its headers written otherwise."""
    message = _request("OPTIONS")
    for name, value in changed.items():
        header = name.replace("_", "-").encode() + b":"
        lines = [value if line.startswith(header) else line for line in message.split(b"\r\n")]
        message = b"\r\n".join(lines)
    return message


_SDP = b"Content-Type: application/sdp\r\n"
_MESSAGES: dict[str, bytes] = {
    "folded and oddly spaced headers": _options(To=b"TO :\r\n  \t<sip:110@HOST>  ;\r\n\ttag  = x"),
    "every compact form": b"OPTIONS sip:110@HOST SIP/2.0\r\nv: SIP/2.0/UDP BIND;branch=z9hG4bKBRANCH\r\n"
    b"f: <sip:a@BIND>;tag=1\r\nt: sip:110@HOST\r\ni: BRANCH\r\nCSeq: 1 OPTIONS\r\nl: 0\r\n\r\n",
    "an unknown method with strange letters": _request("!interesting-Method0123456789_*+`.%indeed'~"),
    "escapes, also of NUL": _request("OPTIONS", uri="sip:%00%0d%0a%ff%2561@HOST;x=%00?y=%00"),
    "a display name of UTF-8 and quotes": _options(From=b'From: "\xe8\xad\xa6 \\"\\\\" <sip:a@BIND>;tag=1'),
    "a display name of no UTF-8": _options(From=b'From: "\xff\xfe\x80" <sip:a@BIND>;tag=1'),
    "a display name without its end": _options(From=b'From: "a <sip:a@BIND>;tag=1'),
    "a URI without its end": _options(To=b"To: <sip:110@HOST"),
    "a number that no integer holds": _options(CSeq=b"CSeq: 99999999999999999999 OPTIONS"),
    "a negative length": _request("OPTIONS", b"Content-Length: -999\r\n\r\n"),
    "a length beyond the packet": _request(
        "INVITE", b"Content-Length: 9999\r\nContent-Type: application/sdp\r\n\r\nv=0"
    ),
    "a length beyond all numbers": _request("OPTIONS", b"Content-Length: 99999999999999999999\r\n\r\n"),
    "more than the length": _request(
        "OPTIONS", b"Content-Length: 0\r\n\r\nINVITE sip:110@HOST SIP/2.0\r\n\r\n"
    ),
    "no Via": _request("OPTIONS").replace(b"Via:", b"X-Via:"),
    "no Call-ID": _request("OPTIONS").replace(b"Call-ID:", b"X-Call-ID:"),
    "no From, no To": _request("OPTIONS").replace(b"From:", b"X-From:").replace(b"To:", b"X-To:"),
    "two of what there is one": _request(
        "OPTIONS", b"From: <sip:b@BIND>\r\nTo: <sip:9@HOST>\r\nCSeq: 9 INVITE\r\nCall-ID: z\r\n\r\n"
    ),
    "another method in CSeq": _options(CSeq=b"CSeq: 1 INVITE"),
    "another version": _request("OPTIONS").replace(b"SIP/2.0\r\nVia: SIP/2.0/", b"SIP/7.0\r\nVia: SIP/7.0/"),
    "an unknown scheme": _request("OPTIONS", uri="nobodyKnowsThisScheme:totallyopaque"),
    "a URI in brackets in the first line": _request("OPTIONS", uri="<sip:110@HOST>"),
    "spaces in the first line": _request("OPTIONS", uri="sip:110@HOST; lr "),
    "Max-Forwards nothing left": _options(Max_Forwards=b"Max-Forwards: 0"),
    "what nobody supports is required": _request("OPTIONS", b"Require: nothingSupportsThis\r\n\r\n"),
    "a type of body that nobody knows": _request(
        "INVITE", b"Content-Type: application/unknown\r\nContent-Length: 3\r\n\r\nabc"
    ),
    "SDP that is none": _request(
        "INVITE", b"Content-Type: application/sdp\r\nContent-Length: 6\r\n\r\nv=\x00\xff\r\n"
    ),
    "SDP with ports and numbers beyond all": _request(
        "INVITE",
        _SDP + b"Content-Length: 109\r\n\r\nv=0\r\no=- 99999999999999999999 1 IN IP4 h\r\ns=-\r\n"
        b"c=IN IP4 999.1.1.1\r\nt=0 0\r\nm=audio 99999 RTP/AVP 8 300 -1 x\r\na=\r\n",
    ),
    "a body in parts without end": _request(
        "INVITE",
        b'Content-Type: multipart/mixed;boundary="x"\r\nContent-Length: 25\r\n\r\n--x\r\nContent-Type: a/b\r\n\r\n',
    ),
    "a date that is none": _request(
        "OPTIONS", b"Date: Fri, 99 Foo 0000 25:61:61 XYZ\r\nExpires: 0 0l@company.com\r\n\r\n"
    ),
    "long values": _request("OPTIONS", b"X: " + b"a" * 30000 + b"\r\n\r\n"),
    "many headers": _request("OPTIONS", b"X: a\r\n" * 4000 + b"\r\n"),
    "many Vias": _request("OPTIONS", b"Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n" * 500 + b"\r\n"),
    "many parameters": _options(To=b"To: <sip:110@HOST" + b";a=b" * 4000 + b">" + b";c=d" * 4000),
    "deep comments": _request("OPTIONS", b"User-Agent: a" + b"(" * 5000 + b"\r\n\r\n"),
    "a response that nobody asked for": b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP HOST:5060;branch=z9hG4bKBRANCH\r\n"
    b"From: <sip:a@HOST>;tag=1\r\nTo: <sip:b@BIND>;tag=2\r\nCall-ID: BRANCH\r\nCSeq: 1 INVITE\r\n\r\n",
    "a response of a status that is none": b"SIP/2.0 4294967301 x\r\nVia: SIP/2.0/UDP HOST;branch=z9hG4bKBRANCH\r\n"
    b"From: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n",
    "an ACK, a CANCEL and a BYE of nothing": _request("CANCEL"),
    "a REGISTER with a star and a number": _request(
        "REGISTER", b"Contact: *\r\nContact: <sip:a@h>\r\nExpires: 1\r\n\r\n"
    ),
    "a digest of nothing": _request(
        "REGISTER", b'Authorization: Digest username="",nonce=",,=" , , =\r\n\r\n'
    ),
    "an unknown kind of authorization": _request(
        "REGISTER", b"Authorization: NoOneKnows opaque-data==\r\n\r\n"
    ),
    "only line ends": b"\r\n\r\n\r\n\r\n",
    "half a first line": b"INVITE sip:110@HO",
    "no SIP at all": b"\x16\x03\x01\x02\x00\x01\x00" + bytes(range(256)),
    "nothing but NUL": b"\0" * 1000,
}


def messages(host: str, bind: str) -> dict[str, bytes]:
    """Every packet by its name, from `bind` to Asterisk at `host`, with identities of its own."""
    return {
        name: text.replace(b"HOST", host.encode())
        .replace(b"BIND", bind.encode())
        .replace(b"BRANCH", secrets.token_hex(8).encode())
        for name, text in _MESSAGES.items()
    }
