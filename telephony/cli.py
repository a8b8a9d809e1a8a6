"""The command `telephony`: set up a hotline, check it, run it, and make or revoke tokens."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from telephony import log
from telephony.app import App
from telephony.errors import ConfigError
from telephony.provision import StateDirectory, provision
from telephony.settings import Settings, load
from telephony.tokens import Principal, add_token, revoke_principal

commands = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

Config = Annotated[Path, typer.Option("--config", envvar="TELEPHONY_CONFIG", help="The hotline.toml.")]
State = Annotated[
    Path, typer.Option("--state", envvar="TELEPHONY_STATE", help="Where secrets and generated files lie.")
]
AsteriskRoot = Annotated[Path, typer.Option(help="Where Asterisk is installed.")]


@commands.command("provision")
def provision_command(config: Config, state: State, asterisk_root: AsteriskRoot = Path("/")) -> None:
    """Make what is missing of secrets and certificates, and write Asterisk's configuration."""
    settings = load(config)
    for warning in provision(settings, StateDirectory(state), asterisk_root.resolve()):
        typer.echo(f"telephony: warning: {warning}", err=True)
    typer.echo(
        f"hotline {settings.hotline}: {len(settings.seats)} seats, {len(settings.lines)} lines: {state}"
    )


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
def run(config: Config, state: State) -> None:
    """Run the controller until it is told to stop (SIGTERM or SIGINT)."""
    log.configure()
    asyncio.run(_run(load(config), StateDirectory(state)))


async def _run(settings: Settings, state: StateDirectory) -> None:
    await App(settings, state).run()


token = typer.Typer(no_args_is_help=True, help="Make and revoke tokens of the HTTP interface.")
commands.add_typer(token, name="token")

Who = Annotated[str, typer.Argument(help="admin, seat:NAME or line:NAME")]


@token.command("add")
def token_add(who: Who, state: State) -> None:
    """Make a token for WHO and print it; it cannot be shown again."""
    typer.echo(add_token(StateDirectory(state).token_hashes, _principal(who)))


@token.command("revoke")
def token_revoke(who: Who, state: State) -> None:
    """Revoke every token of WHO."""
    count = revoke_principal(StateDirectory(state).token_hashes, _principal(who))
    typer.echo(f"{count} revoked")


def _principal(text: str) -> Principal:
    try:
        return Principal.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def main() -> None:
    """Run the command; a wrong configuration is a sentence and exit code 1, not a traceback."""
    try:
        commands()
    except ConfigError as error:
        typer.echo(f"telephony: {error}", err=True)
        sys.exit(1)
