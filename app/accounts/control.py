"""Commands of the terminal, of which those for accounts and keys are done here, also while the server runs.

One process at a time works in a data folder. While that is the server, its secret and its address are in a file of the
folder, which only the folder's owner can read, and the command asks the server to do it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.accounts.people import Accounts
from app.errors import AppError
from app.store import HomeLocked, Store, StoreError

FILE = "server.json"
SECONDS = 15.0
PATH = "/control"
IMPORT = "import"
REPLAY = "replay"


class ControlFailed(AppError):
    """What the server said to a command that it would not do."""


def administer(store: Store, accounts: Accounts, command: str, values: Mapping[str, Any]) -> list[str]:
    """Do a command of the terminal; what is to be shown, a line each. Raises StoreError and the errors of accounts."""
    return _COMMANDS[command](store, accounts, **values)


def run(home: Path, command: str, **values: Any) -> list[str]:
    """The same in a data folder, whoever works there. Raises also HomeLocked, and ControlFailed."""
    try:
        with Store.open(home) as store:
            return administer(store, Accounts(store), command, values)
    except HomeLocked as locked:
        told = list(_asked(home, locked, command, values))[-1]
    return [str(line) for line in told.get("lines") or ()]


def import_there(home: Path, locked: HomeLocked, path: Path, user: str | None) -> Iterator[dict[str, Any]]:
    """Have the server that works in a data folder import a file: how far it is, and at last the `report`.

    Raises as `run`; ControlFailed also for what is wrong with the file.
    """
    return _asked(home, locked, IMPORT, {"path": str(path.absolute()), "user": user})


def replay_there(
    home: Path, locked: HomeLocked, id: str, user: str | None, settings: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Have the server that works in a data folder make answers again: views of the replay, see `Replay.view`.

    Raises as `run`; ControlFailed also for what cannot be made again.
    """
    return _asked(home, locked, REPLAY, {"id": id, "user": user, "settings": dict(settings)})


def _asked(home: Path, locked: HomeLocked, command: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the server says, line by line."""
    if (server := running_server(home)) is None:
        raise locked
    import httpx

    status = ""
    try:
        with httpx.stream(
            "POST",
            server.address + PATH,
            json={"command": command, "values": values},
            headers=server.headers,
            timeout=SECONDS,
            trust_env=False,
        ) as reply:
            status = f"status {reply.status_code}"
            told: dict[str, Any] = {}
            for line in reply.iter_lines():
                told = json.loads(line)
                if told.get("error") is not None:
                    raise ControlFailed(str(told["error"]))
                yield told
            if not told.keys() & {"lines", "report", "results"}:
                raise ValueError("it ended too early")
    except (httpx.HTTPError, ValueError, AttributeError) as failure:
        why = status or type(failure).__name__
        raise ControlFailed(f"the Fireside that works in {home} does not answer ({why}): stop it first") from None


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the server of a data folder takes commands; headers: what every request to it brings along."""

    address: str
    headers: Mapping[str, str]


def running_server(home: Path) -> RunningServer | None:
    """The server that works in a data folder; None where none says so."""
    try:
        told = json.loads((home / FILE).read_text(encoding="utf-8"))
        return RunningServer(told["address"], {"Authorization": f"Bearer {told['secret']}"})
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def controlled(home: Path, address: str) -> Iterator[str]:
    """While the block runs, commands find the server at `address`; the secret that they bring along."""
    file, secret = home / FILE, secrets.token_urlsafe(32)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump({"address": address, "secret": secret}, out)
    try:
        yield secret
    finally:
        file.unlink(missing_ok=True)


def _add_user(store: Store, accounts: Accounts, name: str, password: str, admin: bool) -> list[str]:
    first = not store.users.any()
    user, taken = accounts.add(name, password, admin=admin)
    lines = [f"{user.name} has an account{' and is an administrator' if user.admin else ''}."]
    if first:
        lines[0] = f"{user.name} has an account and is an administrator, as the first."
        lines.append("From now on the page asks for a name and a password, and the API for a key.")
        if taken:
            lines.append(f"The {taken:,} chats of this data folder are {user.name}'s now, with presets and keys.")
    return lines


def _list_users(store: Store, accounts: Accounts) -> list[str]:
    return [
        f"{user.name}{' (administrator)' if user.admin else ''}, {store.users.conversations(user.id):,} chats, "
        f"since {user.created_at[:10]}"
        for user in store.users.list()
    ] or ["There are no accounts: everything belongs to whoever uses this computer."]


def _set_password(store: Store, accounts: Accounts, name: str, password: str) -> list[str]:
    user = accounts.set_password(name, password)
    return [f"{user.name} has a new password and is logged out everywhere."]


def _remove_user(store: Store, accounts: Accounts, name: str, heir: str | None, erase: bool) -> list[str]:
    user = store.users.named(name)
    others = len(store.users.list()) > 1
    count = store.users.conversations(user.id)
    if erase:
        own = store.of(user.id)
        for id in own.conversations.ids():
            own.conversations.delete(id)
        own.trash.empty()
        for preset in own.presets.list():
            if not preset.builtin:
                own.presets.delete(preset.id)
    elif others and count and heir is None:
        raise StoreError(f"{user.name} has {count:,} chats: give them to somebody with --chats-to, or --erase-chats")
    if others and heir is None:
        # Of somebody with nothing, or whose things were erased, nothing is left to go anywhere.
        heir = next((each.name for each in store.users.list() if each.admin and each.id != user.id), None)
    handed = accounts.remove(name, heir if others else None)
    lines = [f"{user.name} has no account any more."]
    if erase:
        lines.append(f"{count:,} chats were erased.")
    elif handed:
        lines.append(f"{handed:,} chats are {heir if others else 'everybody'}'s now.")
    if not others:
        lines.append("That was the last account: whoever uses this computer is let in without a password.")
    return lines


def _add_key(store: Store, accounts: Accounts, name: str, user: str | None, keep: bool = False) -> list[str]:
    return [store.of_user(user).keys.add(name, keep=keep)]


def _list_keys(store: Store, accounts: Accounts) -> list[str]:
    names = {user.id: f" of {user.name}" for user in store.users.list()}
    return [
        f"{each.name}{names.get(each.owner or '', '')}: {each.start}…, made {each.created_at}"
        f"{', keeps its chats' if each.keep else ''}"
        f"{f', revoked {each.revoked_at}' if each.revoked_at else ''}"
        for each in store.keys.list()
    ]


def _revoke_key(store: Store, accounts: Accounts, name: str, user: str | None) -> list[str]:
    store.of_user(user).keys.revoke(name)
    return []


_COMMANDS: dict[str, Callable[..., list[str]]] = {
    "user add": _add_user,
    "user list": _list_users,
    "user password": _set_password,
    "user rm": _remove_user,
    "key add": _add_key,
    "key list": _list_keys,
    "key rm": _revoke_key,
}
