"""The command `telephony`: set up a hotline, check it, run it, look at it, and make or revoke tokens."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from telephony import log, tables
from telephony.client import Client
from telephony.errors import ConfigError, ControllerDown
from telephony.log_writer import LogWriter
from telephony.provision import MEMORY, StateDirectory, provision
from telephony.recordings import Recordings
from telephony.settings import LogNumbers, load
from telephony.tokens import Principal, add_token, grants, revoke_principal

commands = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

Config = Annotated[Path, typer.Option("--config", envvar="TELEPHONY_CONFIG", help="The hotline.toml.")]
State = Annotated[
    Path, typer.Option("--state", envvar="TELEPHONY_STATE", help="Where secrets and generated files lie.")
]
Memory = Annotated[Path, typer.Option(help="A tmpfs, below which calls are recorded while they last.")]
AsteriskRoot = Annotated[Path, typer.Option(help="Where Asterisk is installed.")]


@commands.command("provision")
def provision_command(
    config: Config, state: State, asterisk_root: AsteriskRoot = Path("/"), memory: Memory = MEMORY
) -> None:
    """Make what is missing of secrets and certificates, and write Asterisk's configuration."""
    settings = load(config)
    for warning in provision(settings, StateDirectory(state), asterisk_root.resolve(), memory.resolve()):
        typer.echo(f"telephony: warning: {warning}", err=True)
    typer.echo(
        f"hotline {settings.hotline}: {len(settings.seats)} seats, {len(settings.lines)} lines: {state}"
    )


@commands.command("keep-recordings")
def keep_recordings(state: State) -> None:
    """Move recordings from memory to the disk, as the controller does; for when all else has stopped."""
    directory = StateDirectory(state)
    left = Recordings(directory.memory, directory.monitor).move(young=0.0)
    if left:
        raise ConfigError(f"{left} recordings could not be moved from {directory.memory}")


@commands.command()
def check(config: Config) -> None:
    """Say whether a hotline.toml is right, and what it describes."""
    settings = load(config)
    typer.echo(f"hotline {settings.hotline} ({settings.label}), citizens dial {settings.sip.number}")
    for seat in settings.seats:
        typer.echo(f"  seat {seat.seat} serves {seat.queue}")
    for line in settings.lines:
        modes = " ".join(line.modes)
        typer.echo(
            f"  line {line.line} ({line.label}): key {line.key}, {line.dtmf} or {line.code}, {line.address}, {modes}"
        )


@commands.command()
def run(
    config: Config,
    state: State,
    node: Annotated[str, typer.Option(help="This controller's name, where a hotline has two.")] = "",
    api: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it serves HTTP.")] = "",
    tls: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it serves HTTPS.")] = "",
    agi: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where Asterisk asks it.")] = "",
) -> None:
    """Run the controller until it is told to stop (SIGTERM or SIGINT).

    A second one for the same hotline stands by, and leads when the first is gone. Addresses that are not given
    are those of hotline.toml or, where the first has them, free ports of the same host.
    """
    settings = load(config)
    # Only here: its import takes longer than the other commands do as a whole.
    from telephony import controller

    with LogWriter(sys.stderr.fileno()) as output:
        log.configure(output, full_numbers=settings.log.numbers is LogNumbers.FULL)
        controller.run(settings, StateDirectory(state), node=node, api=api, tls=tls, agi=agi)


Json = Annotated[bool, typer.Option("--json", help="Print the JSON of the HTTP interface.")]


@commands.command()
def calls(config: Config, state: State, as_json: Json = False) -> None:
    """Show the live calls, as the running controller knows them."""
    _show(config, state, "calls", as_json, lambda answer: tables.calls_table(answer, time.time()))


@commands.command()
def lines(config: Config, state: State, as_json: Json = False) -> None:
    """Show the lines, their state and load."""
    _show(config, state, "lines", as_json, tables.lines_table)


@commands.command()
def seats(config: Config, state: State, as_json: Json = False) -> None:
    """Show the seats, their state and call."""
    _show(config, state, "seats", as_json, tables.seats_table)


def _show(
    config: Path, state: Path, what: str, as_json: bool, table: Callable[[dict[str, Any]], Table]
) -> None:
    answer = Client(load(config), StateDirectory(state)).get(f"/v1/{what}")
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        tables.show(table(answer))


token = typer.Typer(no_args_is_help=True, help="Make and revoke tokens of the HTTP interface.")
commands.add_typer(token, name="token")

Who = Annotated[str, typer.Argument(help="admin, seat:NAME or line:NAME")]


Days = Annotated[float | None, typer.Option(min=0.001, max=36_500, help="For so many days only.")]


@token.command("add")
def token_add(who: Who, state: State, days: Days = None) -> None:
    """Make a token for WHO and print it; it cannot be shown again."""
    typer.echo(add_token(StateDirectory(state).token_hashes, _principal(who), days))


@token.command("list")
def token_list(state: State) -> None:
    """Show whose tokens there are, and until when: the beginning of each token's hash, never the token."""
    now = time.time()
    for digest, grant in grants(StateDirectory(state).token_hashes):
        typer.echo(f"{digest[:8]}  {grant}{' (over)' if grant.over(now) else ''}")


@token.command("revoke")
def token_revoke(who: Who, state: State) -> None:
    """Revoke every token of WHO; a running controller knows it with the next request."""
    count = revoke_principal(StateDirectory(state).token_hashes, _principal(who))
    typer.echo(f"{count} revoked")


def _principal(text: str) -> Principal:
    try:
        return Principal.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def main() -> None:
    """Run the command; what a user can mend is a sentence and exit code 1, not a traceback."""
    try:
        commands()
    except (ConfigError, ControllerDown) as error:
        typer.echo(f"telephony: {error}", err=True)
        sys.exit(1)
