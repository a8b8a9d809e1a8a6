"""What the controller asks of Asterisk, in Asterisk's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from telephony.ami import verbs
from telephony.ami.gate import Sender
from telephony.asterisk_files import line_uri
from telephony.core.commands import InvitePartner
from telephony.errors import Refusal
from telephony.settings import LineSettings, Settings

log = structlog.get_logger("ami")

DIGIT_LENGTH = 0.1  # s
DIGIT_PAUSE = 0.2  # s from the beginning of one digit to that of the next


class AmiAsterisk:
    """The executor's hands on Asterisk.

    `expect(channel_id, call_id)` is told of a leg before Asterisk is, so that its first event is understood.
    """

    def __init__(self, link: Sender, settings: Settings, expect: Callable[[str, str], None]) -> None:
        self._link = link
        self._settings = settings
        self._expect = expect

    async def invite(self, command: InvitePartner) -> None:
        """Call the line's far end; the channel's id is the transfer's, and on answer it runs context `join`."""
        line = self._settings.line(command.line)
        if line is None:
            raise Refusal("unknown_line", f"there is no line {command.line}")
        self._expect(command.transfer_id, command.call_id)
        variables = self._leg(command, line)
        await verbs.originate(
            self._link, command.transfer_id, line_uri(line), "join", command.answer_timeout, variables
        )

    def _leg(self, command: InvitePartner, line: LineSettings) -> dict[str, str]:
        """What the partner's channel is told before its INVITE goes out: the same as dialplan [partner-leg] does.

        By variables and functions, because an asynchronous Originate ignores PreDialGoSub, and a CallerID
        header would undo a withheld presentation (both seen on 22.10.1).
        """
        sip = self._settings.sip
        leg = {
            "TEL_ROLE": "partner",
            "TEL_CALL": command.call_id,
            "TEL_PARTY": line.line,
            "TEL_ANCHOR": command.anchor,
            "TEL_MODE": "consult" if command.consult else "",
            "DYNAMIC_FEATURES": "return",
            "CONNECTEDLINE(num,i)": command.caller.number,
            "CONNECTEDLINE(pres,i)": "prohib" if command.caller.withheld else "allowed",
            "GROUP(partner)": f"{command.call_id}-{line.line}",
            "GROUP(partners)": command.call_id,
            "CHANNEL(hangup_handler_push)": "leg-gone,s,1",
            "PJSIP_HEADER(add,Diversion)": f"<sip:{sip.number}@{sip.address.host}>;reason=unconditional",
            "PJSIP_HEADER(add,User-to-User)": command.case_id,
        }
        if line.case_url:
            leg["PJSIP_HEADER(add,Call-Info)"] = (
                f"<{line.case_url.format(case_id=command.case_id)}>;purpose=info"
            )
        return leg

    async def hang_up(self, leg_id: str, channel: str, *, unless_answered: bool) -> None:
        """End the leg's channel, by its name, or by its Uniqueid."""
        if unless_answered:
            asked = {"Channel": channel or leg_id, "Variable": "CHANNEL(state)"}
            state = await self._link.send("Getvar", asked)
            if state.get("Value") == "Up":
                return
        await verbs.hang_up(self._link, channel or leg_id)

    async def hold(self, channel: str) -> None:
        """Send the caller's channel to the music. The mark comes first: by it the taker's leg knows that it stays."""
        await verbs.set_variable(self._link, channel, "SHARED(TEL_HELD)", "hold")
        await verbs.redirect(self._link, channel, "hold")

    async def bring_back(self, channel: str, to: str) -> None:
        """Send the caller's channel, on hold, to the channel `to`, and into the talk that it is in."""
        await verbs.set_variable(self._link, channel, "SHARED(TEL_TAKER)", to)
        await verbs.redirect(self._link, channel, "hold", "back")

    async def send_digits(self, channel: str, digits: str) -> None:
        """DTMF to the channel's far end, one digit after the other."""
        for number, digit in enumerate(digits):
            if number:
                await asyncio.sleep(DIGIT_PAUSE)
            await self._link.send(
                "PlayDTMF", {"Channel": channel, "Digit": digit, "Duration": str(int(DIGIT_LENGTH * 1000))}
            )

    async def mute(self, channel: str, *, muted: bool) -> None:
        """Whether the others hear what the channel says.

        By the function, since the action MuteAudio asks for the right `system`.
        """
        await verbs.set_variable(self._link, channel, "MUTEAUDIO(in)", "on" if muted else "off")

    async def rescue(self, channel: str, *, from_talk: bool) -> None:
        """Send the caller's channel to the head of the queue, the same seat first.

        The dialplan rescues by itself where we are late, so a caller whom somebody has by now, or for whom a seat
        rings already, is left there.
        """
        if not from_talk and await verbs.is_at(self._link, channel, "rescue"):
            log.info("rescue_not_needed", channel=channel)
            return
        await verbs.redirect(self._link, channel, "rescue")
