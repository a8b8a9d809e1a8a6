"""Diversions and histories over HTTP: who may record and read them, and what is refused how."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from telephony.core.call import DiversionKind, Hangup
from telephony.core.diversions import MAX_DIVERSIONS
from telephony.core.events import HistoryRead, LegEnded
from telephony.ended import KEPT_FOR
from telephony.history import SHOWN, Outcome, PastCall, PastDiversion
from tests.adapters.http_hotline import TOKENS, Hotline, hotline
from tests.adapters.waiting import until

NUMBER = "13800138000"
DIVERSIONS = "/v1/calls/c-1/diversions"
PLATFORM = {"kind": "platform", "line": "12345", "note": "小区停车费纠纷"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path) as house:
        yield house


def code(body: Any) -> str:
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    return str(body["error"]["code"])


def past(call_id: str, at: float) -> PastCall:
    about = [PastDiversion(DiversionKind.GUIDANCE, "12345", "噪音")]
    return PastCall(call_id, at, at + 60, "carrier", "1001", Outcome.FINISHED, "", [], about)


async def hang_up(house: Hotline, call_id: str = "c-1") -> None:
    """The call ends; it can still be read."""
    for leg in house.call(call_id).legs:
        await house.tell(call_id, LegEnded(time.time(), leg.id, Hangup(16)))
    await until(lambda: house.call(call_id).ended and call_id not in [call.id for call in house.dispatcher])


# -- diversions --------------------------------------------------------------------------------


async def test_matter_handed_on_is_answered_shown_told_and_counted(house: Hotline) -> None:
    await house.call_at("1001")
    async with house.watch("seat:1001") as socket:
        await socket.receive_json()
        status, body, response = await house.ask("POST", DIVERSIONS, "seat:1001", json=PLATFORM)
        told = await socket.receive_json()
    assert status == 201
    assert (body["kind"], body["line"], body["note"]) == ("platform", "12345", "小区停车费纠纷")
    assert (body["call"], body["seat"]) == ("c-1", "1001")
    assert (told["type"], told["data"]["diversions"]) == ("call", [body])
    assert (await house.ask("GET", response.headers["Location"]))[1]["diversions"] == [body]
    async with house.session.get(f"{house.url}/metrics") as figures:
        wanted = 'telephony_diversions_total{hotline="110",kind="platform",line="12345"} 1.0'
        assert wanted in await figures.text()


async def test_guidance_needs_no_line(house: Hotline) -> None:
    await house.call_at("1001")
    status, body, _ = await house.ask("POST", DIVERSIONS, json={"kind": "guidance"})
    assert (status, body["kind"], body["line"], body["seat"]) == (201, "guidance", "", "1001")


async def test_same_matter_again_is_the_same_diversion(house: Hotline) -> None:
    await house.call_at("1001")
    first, second = [(await house.ask("POST", DIVERSIONS, json=PLATFORM))[1] for _ in range(2)]
    assert first == second
    assert len(house.call("c-1").diversions) == 1


async def test_seat_may_hand_the_matter_on_after_the_call(house: Hotline) -> None:
    await house.call_at("1001")
    await hang_up(house)
    status, body, _ = await house.ask("POST", DIVERSIONS, "seat:1001", json=PLATFORM)
    assert status == 201
    seen = (await house.ask("GET", "/v1/calls/c-1", "seat:1001"))[1]
    assert (seen["situation"], seen["diversions"]) == ("ended", [body])


async def test_many_at_once_after_the_call_are_all_kept(house: Hotline) -> None:
    await house.call_at("1001")
    await hang_up(house)
    bodies = [{"kind": "guidance", "note": str(n)} for n in range(5)]
    answers = await asyncio.gather(*(house.ask("POST", DIVERSIONS, json=body) for body in bodies))
    assert {status for status, _, _ in answers} == {201}
    assert {d.note for d in house.call("c-1").diversions} == {str(n) for n in range(5)}


async def test_call_that_is_long_over_takes_no_diversion(house: Hotline) -> None:
    await house.call_at("1001")
    await hang_up(house)
    house.dispatcher._ended._clock = lambda: time.time() + KEPT_FOR + 1
    status, body, _ = await house.ask("POST", DIVERSIONS, json=PLATFORM)
    assert (status, code(body)) == (404, "unknown_call")


async def test_another_seat_sees_no_call_to_hand_on(house: Hotline) -> None:
    await house.call_at("1001")
    status, body, _ = await house.ask("POST", DIVERSIONS, "seat:1002", json=PLATFORM)
    assert (status, code(body)) == (404, "unknown_call")


async def test_seat_at_which_the_call_only_rings_has_nothing_to_hand_on(house: Hotline) -> None:
    await house.call_at("1001")
    await house.ring("1002", "c-1")
    status, body, _ = await house.ask("POST", DIVERSIONS, "seat:1002", json=PLATFORM)
    assert (status, code(body)) == (409, "no_call")


async def test_line_may_hand_nothing_on(house: Hotline) -> None:
    await house.call_at("1001")
    assert (await house.ask("POST", DIVERSIONS, "line:12345", json=PLATFORM))[0] == 403


async def test_diversions_of_one_call_are_bounded(house: Hotline) -> None:
    await house.call_at("1001")
    for n in range(MAX_DIVERSIONS):
        assert (await house.ask("POST", DIVERSIONS, json={**PLATFORM, "note": str(n)}))[0] == 201
    status, body, _ = await house.ask("POST", DIVERSIONS, json=PLATFORM)
    assert (status, code(body)) == (409, "too_many_diversions")


async def test_diversion_needs_no_asterisk(house: Hotline) -> None:
    await house.call_at("1001")
    house.switchboard.recovered = False
    assert (await house.ask("POST", DIVERSIONS, json=PLATFORM))[0] == 201


@pytest.mark.parametrize(
    ("body", "expected", "at"),
    [
        (b"{}", (400, "bad_input"), "$"),
        (b'{"kind": "platform"}', (400, "bad_input"), "$.line"),
        (b'{"kind": 5}', (400, "bad_input"), "$.kind"),
        (b'{"kind": "platform", "line": ["12345"]}', (400, "bad_input"), "$.line"),
        (b'{"kind": "guidance", "notes": "a"}', (400, "bad_input"), "$.notes"),
        (b'{"kind": "guidance", "note": "a\\u0000b"}', (400, "bad_input"), "$.note"),
        (b'{"kind": "guidance", "note": "a\\r\\nAction: Originate"}', (400, "bad_input"), "$.note"),
        (b'{"kind": "guidance", "note": "\\u009b31m"}', (400, "bad_input"), "$.note"),
        (b'{"kind": "guidance", "note": "' + b"a" * 10_000 + b'"}', (400, "bad_input"), "$.note"),
        (b'{"kind": "guidance", "note": "\\ud800"}', (400, "bad_json"), None),
        (b'{"kind": "transfer", "line": "12345"}', (422, "unknown_kind"), None),
        (b'{"kind": "PLATFORM", "line": "12345"}', (422, "unknown_kind"), None),
        (b'{"kind": "' + b"x" * 10_000 + b'"}', (422, "unknown_kind"), None),
        (b'{"kind": "platform", "line": "911"}', (422, "unknown_line"), None),
        (b'{"kind": "guidance", "line": "12345\\r\\n"}', (422, "unknown_line"), None),
    ],
)
async def test_hostile_diversion_is_refused_and_nothing_is_recorded(
    house: Hotline, body: bytes, expected: tuple[int, str], at: str | None
) -> None:
    await house.call_at("1001")
    status, answer, _ = await house.ask("POST", DIVERSIONS, data=body, headers=JSON)
    assert (status, code(answer)) == expected
    assert answer["error"]["details"].get("at") == at
    assert house.call("c-1").diversions == ()


# -- the keys ----------------------------------------------------------------------------------


async def test_platform_key_hands_on_to_the_line_that_was_tried_and_did_not_come(house: Hotline) -> None:
    await house.call_at("1001")
    house.lines.closed.add("12345")
    status, body, _ = await house.ask("POST", "/v1/seats/1001/keys/12345", "seat:1001")
    assert (status, code(body)) == (409, "line_closed")
    status, body, _ = await house.ask(
        "POST", "/v1/seats/1001/keys/platform", "seat:1001", json={"note": "停车费"}
    )
    assert (status, body["call"], body["transfers"]) == (202, "c-1", [])
    assert (body["diversion"]["kind"], body["diversion"]["line"]) == ("platform", "12345")
    assert body["diversion"]["note"] == "停车费"


async def test_platform_key_without_a_failed_line_is_refused(house: Hotline) -> None:
    await house.call_at("1001")
    status, body, _ = await house.ask("POST", "/v1/seats/1001/keys/platform")
    assert (status, code(body)) == (409, "nothing_to_hand_on")


async def test_guidance_key_records_that_the_caller_was_told_where_to_turn(house: Hotline) -> None:
    await house.call_at("1001")
    status, body, _ = await house.ask("POST", "/v1/seats/1001/keys/guidance", json={"note": "打12345"})
    assert (status, body["diversion"]["kind"], body["diversion"]["line"]) == (202, "guidance", "")


@pytest.mark.parametrize("key", ["platform", "guidance"])
async def test_keys_without_a_call_or_a_seat_are_refused(house: Hotline, key: str) -> None:
    status, body, _ = await house.ask("POST", f"/v1/seats/1001/keys/{key}")
    assert (status, code(body)) == (409, "no_call")
    status, body, _ = await house.ask("POST", f"/v1/seats/4711/keys/{key}")
    assert (status, code(body)) == (404, "unknown_seat")


# -- histories ---------------------------------------------------------------------------------


async def test_call_shows_how_often_its_number_has_called_and_the_newest_of_it(house: Hotline) -> None:
    house.past.calls[NUMBER] = [past(f"p-{n}", 2000.0 - n) for n in range(SHOWN + 5)]
    await house.call_at("1001")
    history = (await house.ask("GET", "/v1/calls/c-1", "seat:1001"))[1]["history"]
    assert (history["days"], history["count"], history["more"]) == (90, SHOWN + 5, False)
    assert [call["call"] for call in history["calls"]] == [f"p-{n}" for n in range(SHOWN)]
    assert history["calls"][0]["diversions"] == [{"kind": "guidance", "line": "12345", "note": "噪音"}]


async def test_call_is_not_part_of_its_own_history(house: Hotline) -> None:
    house.past.calls[NUMBER] = [past("c-1", 2000.0), past("p-1", 1000.0)]
    await house.call_at("1001")
    history = (await house.ask("GET", "/v1/calls/c-1"))[1]["history"]
    assert (history["count"], [call["call"] for call in history["calls"]]) == (1, ["p-1"])


async def test_number_that_calls_without_end_has_at_least_so_many(house: Hotline) -> None:
    house.past.calls[NUMBER] = [past(f"p-{n}", 2000.0 - n) for n in range(50)]
    await house.call_at("1001")
    history = (await house.ask("GET", "/v1/calls/c-1"))[1]["history"]
    assert (history["count"], history["more"]) == (50, True)


async def test_how_often_is_told_to_watchers_once_it_is_known(house: Hotline) -> None:
    await house.call_at("1001")
    async with house.watch("seat:1001") as socket:
        await socket.receive_json()
        await house.tell("c-1", HistoryRead(time.time(), 3))
        told = await socket.receive_json()
    assert (told["type"], told["data"]["earlier_calls"]) == ("call", 3)


async def test_call_can_be_read_while_the_store_is_away(house: Hotline) -> None:
    house.past.broken = True
    await house.call_at("1001")
    status, body, _ = await house.ask("GET", "/v1/calls/c-1")
    assert (status, body["history"]) == (200, None)
    status, body, _ = await house.ask("GET", f"/v1/history/{NUMBER}")
    assert (status, code(body)) == (503, "store_down")
    assert "secret" not in str(body)


async def test_unit_that_is_called_sees_the_history_and_one_that_never_came_does_not(house: Hotline) -> None:
    house.past.calls[NUMBER] = [past("p-1", 1000.0)]
    await house.call_at("1001")
    _, pressed, _ = await house.ask("POST", "/v1/seats/1001/keys/12345")
    body = (await house.ask("GET", "/v1/calls/c-1", "line:12345"))[1]
    assert body["history"]["count"] == 1
    await house.ask("DELETE", f"/v1/calls/c-1/transfers/{pressed['id']}")
    status, body, _ = await house.ask("GET", "/v1/calls/c-1", "line:12345")
    assert (status, body["history"]) == (200, None)
    assert (await house.ask("GET", "/v1/calls/c-1", "line:119"))[0] == 404


async def test_unit_that_was_in_the_call_may_still_read_its_history(house: Hotline) -> None:
    house.past.calls[NUMBER] = [past("p-1", 1000.0)]
    await house.call_at("1001")
    _, pressed, _ = await house.ask("POST", "/v1/seats/1001/keys/12345")
    await house.partner_joins("c-1", pressed["id"], "12345")
    await hang_up(house)
    assert (await house.ask("GET", "/v1/calls/c-1", "line:12345"))[1]["history"]["count"] == 1


async def test_administrator_reads_any_numbers_history_whole(house: Hotline) -> None:
    house.past.calls[NUMBER] = [past(f"p-{n}", 2000.0 - n) for n in range(SHOWN + 5)]
    status, body, _ = await house.ask("GET", f"/v1/history/{NUMBER}")
    assert (status, body["count"], len(body["calls"])) == (200, SHOWN + 5, SHOWN + 5)
    assert (await house.ask("GET", "/v1/history/10086"))[1]["calls"] == []


async def test_seat_reads_the_history_of_a_number_only_while_it_has_its_call(house: Hotline) -> None:
    status, body, _ = await house.ask("GET", f"/v1/history/{NUMBER}", "seat:1001")
    assert (status, code(body)) == (404, "unknown_number")
    await house.call_at("1001")
    assert (await house.ask("GET", f"/v1/history/{NUMBER}", "seat:1001"))[0] == 200
    assert (await house.ask("GET", f"/v1/history/{NUMBER}", "seat:1002"))[0] == 404
    assert (await house.ask("GET", "/v1/history/10086", "seat:1001"))[0] == 404
    assert (await house.ask("GET", f"/v1/history/{NUMBER}", "line:12345"))[0] == 403
    await hang_up(house)
    assert (await house.ask("GET", f"/v1/history/{NUMBER}", "seat:1001"))[0] == 404


@pytest.mark.parametrize("who", ["admin", "seat:1001"])
@pytest.mark.parametrize(
    "number",
    [
        "12a45",
        "1%0d%0aX:%20y",
        "1%0a",
        "%00",
        "1%202",
        "%D9%A1%D9%A2",
        "1" * 33,
        "..%2f..%2fcalls",
        "*%3fx",
        "%ff",
    ],
)
async def test_what_is_no_number_is_400(house: Hotline, who: str, number: str) -> None:
    url = URL(f"{house.url}/v1/history/{number}", encoded=True)
    async with house.session.get(url, headers={"Authorization": f"Bearer {TOKENS[who]}"}) as response:
        assert (response.status, code(await response.json())) == (400, "bad_input")


async def test_numbers_with_plus_star_and_hash_can_be_asked_for(house: Hotline) -> None:
    house.past.calls["+86*1#"] = [past("p-1", 1.0)]
    url = URL(f"{house.url}/v1/history/+86*1%23", encoded=True)
    async with house.session.get(url, headers={"Authorization": f"Bearer {TOKENS['admin']}"}) as response:
        assert (await response.json())["count"] == 1
