"""What is asked of Asterisk again and again: call somebody, move somebody, end a channel, how a device is."""

from __future__ import annotations

from collections.abc import Mapping

from telephony.ami.gate import Sender


async def originate(
    link: Sender,
    channel_id: str,
    target: str,
    context: str,
    seconds: float,
    variables: Mapping[str, str],
    **headers: str,
) -> None:
    """Call `target` for so many `seconds`; on answer the channel, of this Uniqueid, runs `context`.

    `variables` are set before the INVITE goes out; their values have no quotes in them.
    """
    call = {
        "Channel": target,
        "ChannelId": channel_id,
        "Context": context,
        "Exten": "s",
        "Priority": "1",
        "Async": "true",
        "Timeout": str(int(seconds * 1000)),
        "Variable": [f'{name}="{value}"' for name, value in variables.items()],
    }
    await link.send("Originate", call | headers)


async def redirect(link: Sender, channel: str, context: str, exten: str = "s", **headers: str) -> None:
    """Send a channel to another place in the dialplan, out of whatever it is in."""
    place = {"Channel": channel, "Context": context, "Exten": exten, "Priority": "1"}
    await link.send("Redirect", place | headers)


async def set_variable(link: Sender, channel: str, name: str, value: str) -> None:
    await link.send("Setvar", {"Channel": channel, "Variable": name, "Value": value})


async def is_at(link: Sender, channel: str, context: str) -> bool:
    """Whether the channel is in that place in the dialplan already, or in a conversation with somebody."""
    (status,) = await link.ask("Status", {"Channel": channel})
    return status.get("BridgeID") != "" or status.get("Context") == context


async def device_state(link: Sender, device: str) -> str:
    """What Asterisk says of a device when it is asked, such as `NOT_INUSE`."""
    answer = await link.send("Getvar", {"Variable": f"DEVICE_STATE({device})"})
    return answer.get("Value")


async def hang_up(link: Sender, channel: str) -> None:
    """End a channel, named by its name or its Uniqueid.

    Never with cause 16: that is a person who put the phone down, and for the dialplan, alone, the end of the
    caller's call (Q.850 cause 31, normal, unspecified).
    """
    await link.send("Hangup", {"Channel": channel, "Cause": "31"})
