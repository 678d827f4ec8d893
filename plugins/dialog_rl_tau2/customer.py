"""tau2's customers who can do something themselves: look at their phone, mend it, pay, as an agent tells them to.

Wraps whoever speaks for the customer. What the agent's words tell them to do they do with their own tools, and say what
came of it; whether it works they see for themselves, and do not take an agent's word for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dialog_rl.conversation import User, UserReply
from dialog_rl.episode import Act, Message, Role
from dialog_rl.pack import Pack
from dialog_rl.phrasing import read_agent
from dialog_rl_tau2.counter import Counter
from dialog_rl_tau2.domains import parameters_of
from dialog_rl_tau2.phone_state import TECHNOLOGY
from dialog_rl_tau2.wording import plain

PATIENCE = 4
"""How often a customer hears that all is well when it is not."""

Wanted = tuple[str, Mapping[str, Any]]

_SWITCHES: Mapping[str, tuple[str, str]] = {
    "toggle_airplane_mode": ("airplane mode|flight mode", "airplane_mode"),
    "toggle_data_saver_mode": ("data saver", "data_saver_mode"),
    "toggle_roaming": ("roaming", "roaming_enabled"),
    "toggle_data": ("(?:mobile|cellular) data", "data_enabled"),
    "toggle_wifi_calling": ("wi-?fi calling", "wifi_calling_enabled"),
    "toggle_wifi": (r"wi-?fi(?! calling)", "wifi_enabled"),
}
"""Tool → how the switch is called, and the setting that says how it stands."""
_OTHERS: Mapping[str, str] = {
    "reboot_device": r"\b(reboot|restart)\b",
    "reseat_sim_card": r"\b(re-?seat|re-?insert|take out|remove)\b.*\bsim\b",
    "reset_apn_settings": r"\breset\b.*\bapn\b",
    "disconnect_vpn": r"\b(disconnect|turn off|disable)\b.*\bvpn\b",
    "set_network_mode_preference": r"\bnetwork mode\b|\bprefer",
    "grant_app_permission": r"\b(grant|allow|give)\b.*\b(permission|access)\b",
    "make_payment": r"\b(make|complete)\b.*\bpayment\b|\bpay (the|your) bill\b",
    "check_payment_request": r"\bcheck\b.*\bpayment request\b",
    "check_status_bar": r"\bstatus bar\b",
    "run_speed_test": r"\bspeed test\b",
    "check_network_status": r"\bcheck\b.*\bnetwork status\b",
    "check_sim_status": r"\bcheck\b.*\bsim\b",
    "check_apn_settings": r"\bcheck\b.*\bapn\b",
    "check_vpn_status": r"\bcheck\b.*\bvpn\b",
    "can_send_mms": r"\b(send|check)\b.*\b(mms|picture message)",
    "check_notifications": r"\bcheck\b.*\bnotification",
    "dismiss_notification": r"\bdismiss\b.*\bnotification",
}


class Attended:
    """A customer with their own side of the office in their hands."""

    def __init__(self, user: User, counter: Counter, pack: Pack) -> None:
        self._user, self._counter, self._understand = user, counter, pack.phrasing.understand
        assert counter.office.customer is not None
        self._desk = counter.office.customer
        self._patience = PATIENCE

    def open(self) -> UserReply:
        return self._user.open()

    def reply(self, message: Message) -> UserReply:
        done = [(tool, *self._counter.run("user", tool, given)) for tool, given in self._told_to_do(message.text)]
        if done:
            acts = tuple(Act(kind="did", slot=tool, value=text) for tool, text, _ in done)
            return _said("\n".join(text for _, text, _ in done), *acts)
        if read_agent(message.text, self._understand).done and not all(self._counter.holds("user")):
            self._patience -= 1
            if self._patience <= 0:
                return UserReply(
                    message=_said("It still does not work. I give up.", Act(kind="bye")).message, leaves=True
                )
            return _said("It still does not work.", Act(kind="protest"))
        return self._user.reply(message)

    def _told_to_do(self, text: str) -> Iterator[Wanted]:
        """What an agent's words tell the customer to do, in the order of their tools, each once."""
        tools = self._desk.tools()
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", text.lower()[:4000]):
            named = [tool for tool in tools if self._names(tool, sentence)]
            for tool in named:
                longer = any(other != tool and other.startswith(tool) for other in named)
                given = None if longer else self._given(tool, sentence)
                if given is not None:
                    yield tool, given

    def _names(self, tool: str, sentence: str) -> bool:
        if re.search(rf"\b{plain(tool)}\b", sentence):
            return True
        if tool in _OTHERS:
            return re.search(_OTHERS[tool], sentence) is not None
        return tool in _SWITCHES and self._switched(tool, sentence)

    def _switched(self, tool: str, sentence: str) -> bool:
        """Whether a switch is to be thrown: not if it stands as it should."""
        called, setting = _SWITCHES[tool]
        if not re.search(called, sentence) or not re.search(r"\b(turn|switch|toggle|enable|disable|put)\b", sentence):
            return False
        off = re.search(r"\b(off|disable)\b", sentence) is not None
        on = re.search(r"\b(on|enable)\b", sentence) is not None
        return on == off or bool(self._desk.book.get("device", setting)) != on

    def _given(self, tool: str, sentence: str) -> Mapping[str, Any] | None:
        """The tool's arguments as the sentence names them; None if one is not named."""
        given: dict[str, Any] = {}
        for name, parameter in parameters_of(type(self._desk), tool).items():
            named = [value for value in self._values(name) if re.search(rf"\b{re.escape(value)}\b", sentence)]
            if named:
                given[name] = named[0]
            elif parameter.default is parameter.empty:
                return None
        return given

    def _values(self, argument: str) -> list[str]:
        apps: Mapping[str, Any] = self._desk.book.get("device", "app_statuses") or {}
        if argument == "app_name":
            return list(apps)
        if argument == "permission":
            return sorted({name for app in apps.values() for name in app["permissions"]})
        if argument == "notification_id":
            return [key for key, _ in self._desk.book.rows("notifications")]
        return list(TECHNOLOGY) if argument == "mode" else []


def _said(text: str, *acts: Act) -> UserReply:
    return UserReply(message=Message(role=Role.USER, text=text, acts=acts))
