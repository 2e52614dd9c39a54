"""The command ``dm-gateway``."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from twisted.internet import asyncioreactor

from gateway import __version__
from gateway.errors import GatewayError, SettingsError, Unlocatable
from gateway.settings import Settings, load
from gateway.values import HANDLE, UserAddress

NOT_LOADED = ("rich", "cbor2", "greenlet")
"""What structlog, autobahn and SQLAlchemy load where it is, and the daemon has no use for: 5 MB."""

EMBEDDED = Path(__file__).parent / "conf" / "dev.yaml"

_set = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change one setting; the value is YAML.  May be given many times.",
)
_config = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=EMBEDDED,
    show_default="the development settings",
    help="The settings file.",
)


def _load(path: Path, overrides: tuple[str, ...]) -> Settings:
    try:
        return load(path, overrides)
    except SettingsError as e:
        for fault in e.faults:
            click.echo(str(fault), err=True)
        raise SystemExit(1) from None


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    return _config(_set(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dm-gateway")
def main() -> None:
    """A SIP/RTP gateway between an app's in-DM voice calls and telephony."""


@main.command()
@click.argument("document", type=click.Choice(["openapi", "openrpc"]))
def describe(document: str) -> None:
    """Print a machine-readable description: of the API, or of the DM call protocol."""
    from gateway.describe import described  # noqa: PLC0415  # loads every model

    click.echo(described(document), nl=False)


@main.command()
@_settings
def run(path: Path, overrides: tuple[str, ...]) -> None:
    """Run the gateway in the foreground; SIGTERM drains, a second one ends at once."""
    settings = _load(path, overrides)
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(NOT_LOADED))  # ``None``: importing it fails
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]  # Twisted's
    # what is imported from here on finds this reactor and no other
    from twisted.internet import reactor  # noqa: PLC0415

    from gateway import service  # noqa: PLC0415

    sys.exit(service.run(settings, loop, reactor))


@main.command("check-config")
@click.argument("path", type=click.Path(path_type=Path))
@_set
def check_config(path: Path, overrides: tuple[str, ...]) -> None:
    """Tell every fault of a settings file, with its line."""
    _load(path, overrides)
    click.echo(f"{path}: OK")


@main.command()
@_settings
@click.option("--user", required=True, help="The handle.")
@click.option("--name", help="The name shown to others.")
@click.option("--region", help="ISO 3166 alpha-2, as DE.")
@click.option("--group", "groups", multiple=True, help="May be given many times.")
@click.option("--age", type=click.Choice(["13-15", "16-17", "18+"]))
@click.option("--ttl", "ttl_s", type=click.IntRange(1, 31_536_000), default=3600, help="Seconds.")
def token(
    path: Path,
    overrides: tuple[str, ...],
    user: str,
    name: str | None,
    region: str | None,
    groups: tuple[str, ...],
    age: Any,
    ttl_s: int,
) -> None:
    """Print a token with which an app client can sign in."""
    import time  # noqa: PLC0415

    from gateway.app.tokens import mint  # noqa: PLC0415

    settings = _load(path, overrides)
    try:
        made = mint(
            settings.app.token,
            user,
            now=time.time(),
            ttl_s=ttl_s,
            name=name,
            region=region,
            groups=groups,
            age=age,
        )
    except (GatewayError, OSError, ValueError) as e:
        click.echo(f"no token: {e}", err=True)
        raise SystemExit(1) from None
    click.echo(made)


def _region(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[A-Z]{2}", value):
        raise click.BadParameter(f"{value!r} is no country; right is ISO 3166 alpha-2, as DE")
    return value


@main.command()
@_settings
@click.argument("to")
@click.option("--as", "caller", metavar="ADDRESS", help="Who dials: user:alice, sip:1001@DOMAIN.")
@click.option("--trunk", metavar="NAME", help="The call comes in by this trunk instead.")
@click.option("--region", callback=_region, help="Where the caller is: ISO 3166 alpha-2, as DE.")
@click.option("--group", "groups", multiple=True, help="May be given many times.")
@click.option(
    "--at", metavar="TIME", help="ISO 8601, in routing.timezone unless it has an offset; now."
)
def route(
    path: Path,
    overrides: tuple[str, ...],
    to: str,
    caller: str | None,
    trunk: str | None,
    region: str | None,
    groups: tuple[str, ...],
    at: str | None,
) -> None:
    """Explain step by step where a dialled number leads; 1 when it leads nowhere.

    TO is tel:+14155550123, a SIP address, or what is dialled, as 030 1234567.
    """
    from gateway import explain  # noqa: PLC0415

    settings = _load(path, overrides)
    try:
        asked = explain.Question.of(settings, to, caller, trunk, region, groups, at)
    except (GatewayError, ValueError) as e:
        raise click.UsageError(str(e)) from None
    sys.exit(explain.explain(settings, asked))


@main.command()
@_settings
@click.option("--user", required=True, metavar="HANDLE")
def export(path: Path, overrides: tuple[str, ...], user: str) -> None:
    """Print all that is kept of one person, as JSON."""
    import json  # noqa: PLC0415

    from gateway.policy.identity import Identities  # noqa: PLC0415
    from gateway.store import privacy  # noqa: PLC0415
    from gateway.store.database import transaction  # noqa: PLC0415

    settings = _load(path, overrides)
    who = Identities(settings).of(_person(user))
    try:
        with transaction(settings.store) as connection:
            found = privacy.export(connection, who, user)
    except GatewayError as e:
        click.echo(str(e), err=True)
        raise SystemExit(1) from None
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@main.command()
@_settings
@click.option("--user", required=True, metavar="HANDLE")
@click.option("--yes", is_flag=True, help="Without it only told what would be done.")
def erase(path: Path, overrides: tuple[str, ...], user: str, yes: bool) -> None:
    """Erase one person: what is theirs alone goes, in calls and reports a pseudonym stays."""
    from gateway.policy.identity import Identities  # noqa: PLC0415
    from gateway.store import privacy  # noqa: PLC0415
    from gateway.store.database import transaction  # noqa: PLC0415

    settings = _load(path, overrides)
    who = Identities(settings).of(_person(user))
    try:
        with transaction(settings.store) as connection:
            done = privacy.erase(connection, who, user)
            if not yes:
                connection.rollback()
    except GatewayError as e:
        click.echo(str(e), err=True)
        raise SystemExit(1) from None
    for table, rows in done.items():
        click.echo(f"{rows:7}  {table}")
    click.echo("erased" if yes else "nothing was changed; --yes does it")


def _person(user: str) -> UserAddress:
    if not HANDLE.fullmatch(user):
        raise click.BadParameter(f"--user: {user[:80]!r} is no handle; right is alice")
    return UserAddress(user)


@main.command("hash-password")
def hash_password() -> None:
    """Read a password, twice from a terminal or once from a pipe; print its hash."""
    from gateway.console.doors import LONGEST_PASSWORD, SHORTEST_PASSWORD, hashed  # noqa: PLC0415

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        wanted = f"right are {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
        raise click.UsageError(f"the password has {len(password)} characters; {wanted}")
    click.echo(hashed(password))


@main.command()
@_settings
def doctor(path: Path, overrides: tuple[str, ...]) -> None:
    """Check what the gateway needs on this machine, and say how to mend what is missing."""
    from gateway import doctor as checks  # noqa: PLC0415

    sys.exit(checks.examine(_load(path, overrides)))


@main.command()
@click.argument("place")
@click.option("--transport", type=click.Choice(["udp", "tcp", "tls"]), help="Else DNS chooses it.")
@_settings
def locate(path: Path, overrides: tuple[str, ...], place: str, transport: Any) -> None:
    """Print where PLACE is served: HOST, HOST:PORT, or a number as +14155550123 (ENUM).

    Each hop, in the order that calls try them, stands over the records that led to it.
    """
    from gateway.dns.once import once  # noqa: PLC0415
    from gateway.observe import logs  # noqa: PLC0415

    section = _load(path, overrides).dns
    found: list[tuple[str, tuple[str, ...]]]
    logs.begin("warning", "text")
    try:
        if place.startswith("+"):
            if section.enum_suffix is None:
                raise Unlocatable("numbers are not looked up: dns.enum_suffix is not set")
            uris = once(section, lambda resolver: resolver.enum(place))
            if not uris:
                raise Unlocatable(f"{place} has no SIP URI under {section.enum_suffix}")
            found = [(uri, ()) for uri in uris]
        else:
            hops = once(section, lambda resolver: resolver.trace(place, transport))
            found = [(f"{h.hop.transport} {h.hop.address}", h.led) for h in hops]
    except GatewayError as e:
        click.echo(str(e), err=True)
        raise SystemExit(1) from None
    for number, (shown, led) in enumerate(found, 1):
        click.echo(f"{number}  {shown}")
        for record in led:
            click.echo(f"     {record}")
