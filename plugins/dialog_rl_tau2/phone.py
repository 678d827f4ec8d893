"""What the owner of a phone can look at and mend, in tau2's telecom. A tool that may change the reception ends with the
status bar."""

from __future__ import annotations

from typing import Any

from dialog_rl_tau2.book import Refused, reads, writes
from dialog_rl_tau2.phone_state import APN, TECHNOLOGY, VPN, PhoneState


def on_off(value: Any) -> str:
    return "ON" if value else "OFF"


class Phone(PhoneState):
    """The tools of the phone's owner."""

    @reads
    def check_status_bar(self) -> str:
        """The icons at the top of the screen."""
        return f"Status Bar: {self._bar()}"

    @reads
    def check_network_status(self) -> str:
        """Connection to the network and Wi-Fi."""
        return "\n".join((
            f"Airplane Mode: {on_off(self._get('airplane_mode'))}",
            f"SIM Card Status: {self._sim()}",
            f"Cellular Connection: {self._get('network_connection_status')}",
            f"Cellular Signal: {self._get('network_signal_strength')}",
            f"Cellular Network Type: {self._get('network_technology_connected')}",
            f"Mobile Data Enabled: {'Yes' if self._get('data_enabled') else 'No'}",
            f"Data Roaming Enabled: {'Yes' if self._get('roaming_enabled') else 'No'}",
            f"Wi-Fi Radio: {on_off(self._get('wifi_enabled'))}",
            f"Wi-Fi Connected: {'Yes' if self._get('wifi_connected') else 'No'}",
        ))  # fmt: skip

    @reads
    def check_network_mode_preference(self) -> str:
        """Which networks the phone prefers."""
        return f"Network Mode Preference: {self._get('network_mode_preference')}"

    @writes
    def set_network_mode_preference(self, mode: str) -> str:
        """Prefer other networks: 4g_5g_preferred, 4g_only, 3g_only or 2g_only."""
        if mode not in TECHNOLOGY:
            raise Refused(f"Failed to set network mode: '{mode}' is none of {', '.join(TECHNOLOGY)}")
        self._set(network_mode_preference=mode)
        self.simulate_network_search()
        return self._then(f"Preferred Network Mode set to: {mode}")

    @reads
    def run_speed_test(self) -> str:
        """How fast the internet is."""
        speed, words = self._speed()
        if speed is None:
            return "Speed test failed: No Connection."
        return f"Speed Test Result: {speed:.2f} Mbps ({words})."

    @writes
    def toggle_airplane_mode(self) -> str:
        """Airplane mode on or off."""
        self._fly(not self._get("airplane_mode"))
        return self._then(f"Airplane Mode is now {on_off(self._get('airplane_mode'))}.")

    @reads
    def check_sim_status(self) -> str:
        """Whether the SIM card is there and unlocked."""
        return f"SIM Card Status: {self._sim()}"

    @writes
    def reseat_sim_card(self) -> str:
        """Take the SIM card out and put it in again."""
        self._set(sim_card_missing=False)
        self.simulate_network_search()
        return self._then("SIM card re-seated successfully.")

    @writes
    def toggle_data(self) -> str:
        """Mobile data on or off."""
        self._set(data_enabled=not self._get("data_enabled"))
        self.simulate_network_search()
        return self._then(f"Mobile Data is now {on_off(self._get('data_enabled'))}.")

    @writes
    def toggle_roaming(self) -> str:
        """Data roaming on or off."""
        self._set(roaming_enabled=not self._get("roaming_enabled"))
        self.simulate_network_search()
        return self._then(f"Data Roaming is now {on_off(self._get('roaming_enabled'))}.")

    @reads
    def check_data_restriction_status(self) -> str:
        """Whether data is being saved."""
        return f"Data Saver mode is {on_off(self._get('data_saver_mode'))}."

    @writes
    def toggle_data_saver_mode(self) -> str:
        """Data saver on or off."""
        self._set(data_saver_mode=not self._get("data_saver_mode"))
        return self._then(f"Data Saver Mode is now {on_off(self._get('data_saver_mode'))}.")

    @reads
    def check_apn_settings(self) -> str:
        """How the phone reaches the internet and the picture message centre."""
        url = self._apn()["mmsc_url"] or "Not Set"
        return f"Current APN Name: {self._apn()['apn_name']}\nMMSC URL (for picture messages): {url}"

    @writes
    def set_apn_settings(self, apn_settings: dict[str, Any]) -> str:
        """Write the APN settings."""
        unknown = [name for name in apn_settings if name not in APN]
        if unknown:
            raise Refused(f"{unknown[0]!r} is no APN setting; there are: {', '.join(APN)}")
        self.book.put("device", "active_apn_settings", {**APN, **apn_settings})
        self.simulate_network_search()
        return self._then(f"APN settings set to: {self._apn()['apn_name']}")

    @writes
    def reset_apn_settings(self) -> str:
        """Back to the carrier's APN settings at the next restart."""
        self.book.put("device", "active_apn_settings", {**self._apn(), "reset_at_reboot": True})
        self.simulate_network_search()
        return self._then("APN settings will reset at reboot.")

    @reads
    def check_wifi_status(self) -> str:
        """Whether Wi-Fi is on and connected."""
        if not self._get("wifi_connected"):
            return f"Wi-Fi is {on_off(self._get('wifi_enabled'))}, not connected."
        return f"Wi-Fi is ON, connected to {self._get('wifi_ssid')}, signal {self._get('wifi_signal_strength')}."

    @writes
    def toggle_wifi(self) -> str:
        """Wi-Fi on or off."""
        self._set(wifi_enabled=not self._get("wifi_enabled"))
        if not self._get("wifi_enabled"):
            self._set(wifi_connected=False, wifi_ssid=None, wifi_signal_strength="none")
        return self._then(f"Wi-Fi is now {on_off(self._get('wifi_enabled'))}.")

    @reads
    def check_wifi_calling_status(self) -> str:
        """Whether calls go over Wi-Fi."""
        return f"Wi-Fi Calling is {on_off(self._get('wifi_calling_enabled'))}."

    @writes
    def toggle_wifi_calling(self) -> str:
        """Wi-Fi calling on or off."""
        self._set(wifi_calling_enabled=not self._get("wifi_calling_enabled"))
        return self._then(f"Wi-Fi Calling is now {on_off(self._get('wifi_calling_enabled'))}.")

    @reads
    def check_vpn_status(self) -> str:
        """Whether a VPN is connected, and how well it performs."""
        if not self._get("vpn_connected"):
            return "VPN is OFF."
        return f"VPN is ON and connected. Performance: {self._get('vpn_details')['server_performance'].capitalize()}"

    @writes
    def connect_vpn(self) -> str:
        """Connect the VPN."""
        if self._get("vpn_connected"):
            return self._then("VPN already connected.")
        self._set(vpn_connected=True, vpn_details=dict(VPN))
        return self._then("VPN connected successfully.")

    @writes
    def disconnect_vpn(self) -> str:
        """Disconnect the VPN."""
        if not self._get("vpn_connected"):
            return self._then("No active VPN connection to disconnect.")
        self._set(vpn_connected=False, vpn_details=None)
        return self._then("VPN disconnected successfully.")

    @reads
    def check_installed_apps(self) -> str:
        """The apps on the phone."""
        return f"Installed Apps: {', '.join(self._get('app_statuses'))}"

    @reads
    def check_app_status(self, app_name: str) -> str:
        """What an app may do."""
        return self.check_app_permissions(app_name)

    @reads
    def check_app_permissions(self, app_name: str) -> str:
        """The permissions an app has."""
        allowed = [name for name, given in self._app(app_name)["permissions"].items() if given]
        return f"App '{app_name}' has permission for: {', '.join(allowed) or 'nothing'}."

    @writes
    def grant_app_permission(self, app_name: str, permission: str) -> str:
        """Give an app a permission."""
        self._permit(app_name, permission, True)
        return self._then(f"Success. Permission '{permission}' granted to app '{app_name}'.")

    @reads
    def can_send_mms(self) -> str:
        """Whether picture messages can be sent."""
        return f"Your messaging app {'can' if self._can_send_mms() else 'cannot'} send MMS messages."

    @writes
    def reboot_device(self) -> str:
        """Restart the phone."""
        lines = ["Restarting network services..."]
        if self._apn()["reset_at_reboot"]:
            self.book.put("device", "active_apn_settings", dict(APN))
            lines.insert(0, "Resetting APN settings...")
        self.simulate_network_search()
        return self._then("\n".join(lines))

    @reads
    def check_payment_request(self) -> str:
        """What the agent has asked to be paid."""
        request = self._near("payment_request")
        if request is None:
            return "No payment request has been made."
        return f"You have a payment request for bill {request['bill_id']} of {request['amount_due']} USD."

    @writes
    def make_payment(self) -> str:
        """Pay what the agent has asked for."""
        request = self._near("payment_request")
        if request is None:
            raise Refused("You do not have a payment request.")
        self._around(payment_request={**request, "paid": True})
        return f"Payment of {request['amount_due']} USD has been made for bill {request['bill_id']}."

    def _sim(self) -> str:
        return "missing" if self._get("sim_card_missing") else self._get("sim_card_status")
