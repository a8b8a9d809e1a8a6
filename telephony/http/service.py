"""The service itself: its health, its figures, its description."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from telephony.http.answers import HTML, Answer, Live, Ready, json_answer
from telephony.http.context import Ask

# The page is one file without scripts; nothing may be loaded into it or frame it.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


async def live(ask: Ask) -> Answer:
    return json_answer(Live(live=True))


async def ready(ask: Ask) -> Answer:
    missing = sorted(name for name, check in ask.context.checks.items() if not check())
    if ask.context.stopping:
        missing.append("controller")
    lead = ask.context.pass_on.lead if ask.context.pass_on is not None else None
    leads = lead is None or lead.serving
    leader = lead.leader if lead is not None else None
    fine = leads and not missing
    role = "leader" if leads else "standby"
    node = leader.node if leader is not None else ""
    return json_answer(Ready(fine, missing, ask.context.warnings(), role, node), 200 if fine else 503)


async def metrics(ask: Ask) -> Answer:
    return Answer(200, generate_latest(ask.context.metrics.registry), CONTENT_TYPE_LATEST)


async def openapi(ask: Ask) -> Answer:
    return Answer(200, ask.context.document)


async def docs(ask: Ask) -> Answer:
    return Answer(200, ask.context.page, HTML, {"Content-Security-Policy": _PAGE_POLICY})


async def home(ask: Ask) -> Answer:
    return Answer(302, b"", HTML, {"Location": "/docs"})
