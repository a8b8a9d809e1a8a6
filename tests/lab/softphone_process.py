"""One softphone in a process of its own, steered by JSON lines.

Run by `softphone.py`, never by hand: `python softphone_process.py FD`, where FD is one end of a
socket pair. The first line in is the phone's settings, every later one a command
`{"id", "do", ...}`; lines out are `{"reply": id, "value" | "error"}` and `{"event", "at", ...}`.

A process for each phone because PJSUA holds at most eight transports and accounts, because it
picks the account for an incoming call by guessing, and because a phone that loses its power is
then simply a process that is killed. All pjsua2 objects are touched by the main thread only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pjsua2 as pj

CLOCK_HZ = 8000
POLL_MS = 5
TONE_MS = 30_000
TONE_VOLUME = 8000  # of 32767: three tones mixed by a bridge still do not clip
RTP_PORT = 10_000
MEDIA_PRIORITY = 10
GOODBYE_S = 1.0
MEDIA_STATES = {
    pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "held here",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "held there",
}
UNKNOWN_CALL = "this call has ended"


class Line:
    """The parent's end of the line: whole JSON lines in and out, without blocking on input."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._rest = b""
        self.closed = False

    def first(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            data = self._socket.recv(65536)
            if not data:
                raise SystemExit("the parent went away before it said which phone to be")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        settings: dict[str, Any] = json.loads(line)
        return settings

    def received(self) -> Iterator[dict[str, Any]]:
        try:
            data = self._socket.recv(65536, socket.MSG_DONTWAIT)
            self.closed = not data
            self._rest += data
        except BlockingIOError:
            pass
        except ConnectionError:
            self.closed = True
        *lines, self._rest = self._rest.split(b"\n")
        yield from map(json.loads, lines)

    def send(self, **report: Any) -> None:
        if self.closed:
            return
        try:
            self._socket.sendall(json.dumps(report).encode() + b"\n")
        except ConnectionError:
            self.closed = True


class Call(pj.Call):
    """A call in either direction; `key` names it to the parent (PJSUA uses its own ids again)."""

    def __init__(self, phone: Phone, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self.phone = phone
        self.key = next(phone.keys)
        phone.calls[self.key] = self

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.phone.ended.append(self)
        self.phone.report(
            "state",
            call=self.key,
            state=info.stateText.lower(),
            status=info.lastStatusCode,
            reason=info.lastReason,
            call_id=info.callIdString,
            message=received_message(prm.e),
        )

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802
        # SWIG: the media belong to the info, and are freed with it.
        info = self.getInfo()
        audio = next((m.status for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO), None)
        self.phone.report("media", call=self.key, audio=MEDIA_STATES.get(audio, "none"))
        for index, media in enumerate(info.media):
            speaking = media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
            if media.type == pj.PJMEDIA_TYPE_AUDIO and speaking:
                self.phone.tone.startTransmit(self.getAudioMedia(index))

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:  # noqa: N802
        self.phone.report("digit", call=self.key, digit=prm.digit)


class Account(pj.Account):
    """Takes calls for the phone, and registers it where it has a registrar."""

    def __init__(self, phone: Phone) -> None:
        super().__init__()
        self.phone = phone

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802
        call = Call(self.phone, prm.callId)
        self.phone.report("incoming", call=call.key, invite=prm.rdata.wholeMsg)
        if self.phone.on_invite is not None:
            call.answer(operation(self.phone.on_invite))

    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802
        info = self.getInfo()
        self.phone.registered = info.regIsActive
        self.phone.report("registration", active=info.regIsActive, status=prm.code, reason=prm.reason)


class Phone:
    """The endpoint with its one transport, account and tone, and the commands it obeys."""

    def __init__(self, line: Line, settings: dict[str, Any]) -> None:
        self.line = line
        self.bind = settings["bind"]
        self.on_invite: int | None = settings["on_invite"]
        self.keys = count(1)
        self.calls: dict[int, Call] = {}
        self.ended: list[Call] = []
        self.registered = False
        self.registers = bool(settings["registrar"])
        self.endpoint = pj.Endpoint()
        start_endpoint(self.endpoint, settings)
        self.tone = endless_tone(settings["tone"])
        transport = pj.TransportConfig()
        transport.boundAddress, transport.port = self.bind, settings["port"]
        if settings["tls"]:
            transport.tlsConfig.certFile = f"{settings['tls']}/tls.crt"
            transport.tlsConfig.privKeyFile = f"{settings['tls']}/tls.key"
        kind = pj.PJSIP_TRANSPORT_TLS if settings["tls"] else pj.PJSIP_TRANSPORT_UDP
        transport_id = self.endpoint.transportCreate(kind, transport)
        self.account = Account(self)
        self.account.create(account_config(settings, transport_id))

    def report(self, event: str, **details: Any) -> None:
        self.line.send(event=event, at=time.time(), **details)

    def obey(self, command: dict[str, Any]) -> None:
        number, verb = command.pop("id"), command.pop("do")
        try:
            value = getattr(self, f"do_{verb}")(**command)
        except pj.Error as error:
            self.line.send(reply=number, error=f"{error.reason} ({error.status}): {error.title}")
        except KeyError:
            self.line.send(reply=number, error=UNKNOWN_CALL)
        else:
            self.line.send(reply=number, value=value)

    def do_dial(self, to: str, sender: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
        call = Call(self)
        options = pj.CallOpParam(True)
        options.txOption.localUri = sender
        extra = pj.SipHeaderVector()
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            extra.append(header)
        options.txOption.headers = extra
        try:
            call.makeCall(to, options)
        except pj.Error:
            self.calls.pop(call.key, None)
            raise
        return {"call": call.key, "call_id": call.getInfo().callIdString}

    def do_answer(self, call: int, status: int) -> None:
        self.calls[call].answer(operation(status))

    def do_hangup(self, call: int) -> None:
        self.calls[call].hangup(pj.CallOpParam())

    def do_dtmf(self, call: int, digits: str, duration: int) -> None:
        options = pj.CallSendDtmfParam()
        options.method, options.digits = pj.PJSUA_DTMF_METHOD_RFC2833, digits
        options.duration = duration
        self.calls[call].sendDtmf(options)

    def do_hold(self, call: int) -> None:
        self.calls[call].setHold(pj.CallOpParam())

    def do_resume(self, call: int) -> None:
        options = pj.CallOpParam(True)
        options.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.calls[call].reinvite(options)

    def do_on_invite(self, status: int | None) -> None:
        self.on_invite = status

    def run(self) -> None:
        """Until the parent closes the line."""
        while not self.line.closed:
            self.endpoint.libHandleEvents(POLL_MS)
            self._let_go()
            for command in self.line.received():
                self.obey(command)
                self._let_go()

    def close(self) -> None:
        """Hang up and unregister, wait a moment for the answers, take everything down in order."""
        self.endpoint.hangupAllCalls()
        if self.registers and self.registered:
            self.account.setRegistration(False)
        until = time.monotonic() + GOODBYE_S
        while (self.calls or self.registered) and time.monotonic() < until:
            self.endpoint.libHandleEvents(POLL_MS)
            self._let_go()
        self.calls.clear()
        self.account.shutdown()
        del self.tone, self.account
        # The far ends have been told above; without this flag PJSUA waits a second more.
        self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)

    def _let_go(self) -> None:
        # Not inside the call's own callback, and before the next call is made: that may get the same id from PJSUA,
        # and the end of the old object would cut the new call's events off.
        for call in self.ended:
            self.calls.pop(call.key, None)
        self.ended.clear()


def start_endpoint(endpoint: pj.Endpoint, settings: dict[str, Any]) -> None:
    config = pj.EpConfig()
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    config.uaConfig.maxCalls = 32
    config.uaConfig.userAgent = f"softphone {settings['name']}"
    config.medConfig.clockRate = config.medConfig.sndClockRate = CLOCK_HZ
    config.medConfig.sndAutoCloseTime = -1  # the null device is the clock of every call
    config.medConfig.noVad, config.medConfig.ecTailLen = True, 0
    config.logConfig.consoleLevel = 0
    config.logConfig.level = 5 if settings["log"] else 0
    config.logConfig.filename = settings["log"] or ""
    endpoint.libCreate()
    usual = os.sched_getscheduler(0), os.sched_getparam(0)
    hurry(settings["priority"])
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    os.sched_setscheduler(0, *usual)
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 0)
    endpoint.codecSetPriority("PCMA/8000/1", 255)
    endpoint.libStart()


def hurry(priority: bool) -> None:
    """Threads made from here on inherit this: the audio clock must not wait for a compiler's turn."""
    if not priority:
        return
    try:
        os.nice(-10)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(MEDIA_PRIORITY))
    except PermissionError as error:
        print(f"softphone without priority: {error}", file=sys.stderr)


def endless_tone(hertz: int) -> pj.ToneGenerator:
    generator = pj.ToneGenerator()
    generator.createToneGenerator(CLOCK_HZ, 1)
    tone = pj.ToneDesc()
    tone.freq1, tone.on_msec, tone.off_msec, tone.volume = hertz, TONE_MS, 0, TONE_VOLUME
    tones = pj.ToneDescVector()
    tones.append(tone)
    generator.play(tones, True)
    return generator


def account_config(settings: dict[str, Any], transport_id: int) -> pj.AccountConfig:
    config = pj.AccountConfig()
    user, registrar = settings["user"], settings["registrar"]
    config.idUri = f"sip:{user}@{registrar or settings['bind']}"
    config.sipConfig.transportId = transport_id
    config.mediaConfig.transportConfig.boundAddress = settings["bind"]
    config.mediaConfig.transportConfig.port = RTP_PORT
    if settings["tls"]:
        config.mediaConfig.srtpUse = pj.PJMEDIA_SRTP_MANDATORY
    config.natConfig.contactRewriteUse = config.natConfig.viaRewriteUse = 0
    config.natConfig.sipOutboundUse = config.natConfig.udpKaIntervalSec = 0
    if settings["password"] is not None:
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, settings["password"]))
    if registrar:
        config.regConfig.registrarUri = f"sip:{registrar}" + (";transport=tls" if settings["tls"] else "")
        config.regConfig.firstRetryIntervalSec = config.regConfig.retryIntervalSec = 1
        config.regConfig.randomRetryIntervalSec = 0
    return config


def operation(status: int) -> pj.CallOpParam:
    options = pj.CallOpParam()
    options.statusCode = status
    return options


def received_message(event: pj.SipEvent) -> str | None:
    """The message from the far end that caused this, where there is one."""
    if event.type == pj.PJSIP_EVENT_RX_MSG:
        return event.body.rxMsg.rdata.wholeMsg or None
    if event.type == pj.PJSIP_EVENT_TSX_STATE and event.body.tsxState.type == pj.PJSIP_EVENT_RX_MSG:
        return event.body.tsxState.src.rdata.wholeMsg or None
    return None


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = Line(int(sys.argv[1]))
    try:
        phone = Phone(line, line.first())
    except pj.Error as error:
        line.send(event="failed", at=time.time(), error=f"{error.title}: {error.reason} ({error.status})")
        os._exit(1)
    phone.report("ready")
    phone.run()
    phone.close()
    # The interpreter's own end would destroy what SWIG still holds after the library has gone.
    os._exit(0)


if __name__ == "__main__":
    main()
