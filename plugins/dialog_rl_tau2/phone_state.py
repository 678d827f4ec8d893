"""The phone of tau2's telecom customer: settings that can be wrong, what follows from them, and setting a scene.

Written from the tools' schemas, the troubleshooting manual and what the tools were seen to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl_tau2.book import Desk, Refused

BARS = {
    "none": "📵 No Signal",
    "poor": "📶¹ Poor",
    "fair": "📶² Fair",
    "good": "📶³ Good",
    "excellent": "📶⁴ Excellent",
}
TECHNOLOGY = {"4g_5g_preferred": "5G", "4g_only": "4G", "3g_only": "3G", "2g_only": "2G"}
MBPS = {"2G": (0.1, 0.4), "3G": (1.0, 5.0), "4G": (10.0, 100.0), "5G": (50.0, 500.0), "none": (0.0, 0.0)}
RECEPTION = {"none": 0.0, "poor": 0.2, "fair": 0.5, "good": 0.8, "excellent": 1.0}
SPEEDS = ((1, "Very Poor"), (5, "Poor"), (25, "Fair"), (100, "Good"))
"""Below so many Mbps, a speed is called so; above all of them it is excellent."""
APN = {
    "apn_name": "internet", "reset_at_reboot": False, "mms_apn": "mms",
    "mmsc_url": "http://mms.carrier.com/mms/wapenc", "mms_proxy": None, "mms_port": None,
}  # fmt: skip
VPN = {"server_address": "192.168.1.1", "protocol": "OpenVPN", "server_performance": "excellent"}
DEVICE: Mapping[str, Any] = {"wifi_ssid": None, "vpn_details": None}
"""What a phone has that its file may leave out."""
SURROUNDINGS: Mapping[str, Any] = {
    "name": None, "phone_number": None, "is_abroad": False, "roaming_allowed": False,
    "signal_strength": {"2G": "poor", "3G": "fair", "4G": "good", "5G": "excellent"},
    "mobile_data_usage_exceeded": False, "line_active": True, "payment_request": None,
}  # fmt: skip


class PhoneState(Desk):
    """The phone as its owner and its network see it: reading, setting a scene, asserting."""

    def set_user_info(self, name: str, phone_number: str) -> None:
        self._around(name=name, phone_number=phone_number)

    def set_user_location(self, abroad: bool) -> None:
        self._around(is_abroad=abroad)

    def turn_data_off(self) -> None:
        self._set(data_enabled=False)
        self.simulate_network_search()

    def turn_data_on(self) -> None:
        self._set(data_enabled=True)
        self.simulate_network_search()

    def turn_roaming_off(self) -> None:
        self._set(roaming_enabled=False)
        self.simulate_network_search()

    def turn_roaming_on(self) -> None:
        self._set(roaming_enabled=True)
        self.simulate_network_search()

    def turn_airplane_mode_on(self) -> None:
        self._fly(True)

    def turn_airplane_mode_off(self) -> None:
        self._fly(False)

    def turn_data_saver_mode_on(self) -> None:
        self._set(data_saver_mode=True)

    def turn_data_saver_mode_off(self) -> None:
        self._set(data_saver_mode=False)

    def unseat_sim_card(self) -> None:
        self._set(sim_card_missing=True)
        self.simulate_network_search()

    def lock_sim_card(self, mode: str) -> None:
        self._set(sim_card_status=f"locked_{mode}")
        self.simulate_network_search()

    def break_vpn(self) -> None:
        self._set(vpn_connected=True, vpn_details={**VPN, "server_performance": "poor"})

    def break_apn_settings(self) -> None:
        self.book.put("device", "active_apn_settings", {**self._apn(), "apn_name": "broken"})
        self.simulate_network_search()

    def break_apn_mms_setting(self) -> None:
        self.book.put("device", "active_apn_settings", {**self._apn(), "mmsc_url": None})

    def remove_app_permission(self, app_name: str, permission: str) -> None:
        self._permit(app_name, permission, False)

    def set_wifi_calling(self, enabled: bool, mms_over_wifi: bool | None = None) -> None:
        self._set(wifi_calling_enabled=enabled)
        if mms_over_wifi is not None:
            self._set(wifi_calling_mms_over_wifi=mms_over_wifi)

    def simulate_network_search(self) -> None:
        """What the phone finds with its SIM, line, APN and preference as they are."""
        missing = self._get("sim_card_missing") or self._get("sim_card_status") != "active"
        if self._get("airplane_mode"):
            self._set(network_connection_status="no_service", **_NO_SIGNAL)
        elif missing or self._apn()["apn_name"] == "broken" or not self._near("line_active"):
            self._set(network_connection_status="no_service", **_NO_SIGNAL)
        else:
            technology = TECHNOLOGY[self._get("network_mode_preference")]
            strength = self._near("signal_strength")[technology]
            self._set(
                network_connection_status="connected", network_technology_connected=technology,
                network_signal_strength=strength,
            )  # fmt: skip

    def assert_service_status(self, expected_status: str) -> bool:
        return self._get("network_connection_status") == expected_status

    def assert_mobile_data_status(self, expected_status: bool) -> bool:
        return self._has_data() == expected_status

    def assert_internet_speed(self, expected_speed: float, expected_desc: str | None = None) -> bool:
        speed, words = self._speed()
        return (speed or 0) >= expected_speed and (expected_desc is None or words.lower() == expected_desc.lower())

    def assert_internet_not_excellent(self) -> bool:
        return self._speed()[1] != "Excellent"

    def assert_can_send_mms(self, expected_status: bool) -> bool:
        return self._can_send_mms() == expected_status

    def _get(self, name: str) -> Any:
        return self.book.get("device", name)

    def _near(self, name: str) -> Any:
        return self.book.get("surroundings", name)

    def _set(self, **settings: Any) -> None:
        for name, value in settings.items():
            self.book.put("device", name, value)

    def _around(self, **facts: Any) -> None:
        for name, value in facts.items():
            self.book.put("surroundings", name, value)

    def _apn(self) -> Mapping[str, Any]:
        return self._get("active_apn_settings")

    def _fly(self, on: bool) -> None:
        self._set(airplane_mode=on)
        if on:
            self._set(wifi_connected=False, wifi_ssid=None, wifi_signal_strength="none")
            if self._get("vpn_connected"):
                self._set(vpn_connected=False, vpn_details=None)
        self.simulate_network_search()

    def _app(self, app_name: str) -> Mapping[str, Any]:
        app = self._get("app_statuses").get(app_name)
        if app is None:
            raise Refused(f"App '{app_name}' not found")
        return app

    def _permit(self, app_name: str, permission: str, allowed: bool) -> None:
        if permission.lower() not in self._app(app_name)["permissions"]:
            raise Refused(f"Permission '{permission}' not tracked for app '{app_name}'.")
        self.book.edit("device", "app_statuses")[app_name]["permissions"][permission.lower()] = allowed

    def _has_data(self) -> bool:
        roams = not self._near("is_abroad") or (self._get("roaming_enabled") and self._near("roaming_allowed"))
        connected = self._get("network_connection_status") == "connected" and not self._get("airplane_mode")
        return bool(connected and roams and self._get("data_enabled") and not self._near("mobile_data_usage_exceeded"))

    def _speed(self) -> tuple[float | None, str]:
        """Megabits a second and their name; None without a connection."""
        if not self._has_data():
            return None, "No Connection"
        low, high = MBPS[self._get("network_technology_connected")]
        speed = (low + high) / 2 * RECEPTION[self._get("network_signal_strength")]
        if self._get("vpn_connected") and (self._get("vpn_details") or {}).get("server_performance") == "poor":
            speed *= 0.1
        if self._get("data_saver_mode"):
            speed *= 0.2
        return round(speed, 2), next((words for bound, words in SPEEDS if speed < bound), "Excellent")

    def _can_send_mms(self) -> bool:
        permissions = self._app("messaging")["permissions"]
        over_wifi = self._get("wifi_calling_enabled") and self._get("wifi_calling_mms_over_wifi")
        return bool(
            self._has_data()
            and self._get("network_technology_connected") != "2G"
            and not over_wifi
            and self._apn()["mmsc_url"]
            and permissions["storage"]
            and permissions["sms"]
        )

    def _bar(self) -> str:
        parts = ["✈️ Airplane Mode"] if self._get("airplane_mode") else [BARS[self._get("network_signal_strength")]]
        connected = self._get("network_technology_connected") != "none" and not self._get("airplane_mode")
        if connected:
            parts.append(self._get("network_technology_connected"))
        if not self._get("airplane_mode"):
            parts.append("📱 Data Enabled" if connected and self._get("data_enabled") else "📵 Data Disabled")
        if connected and self._get("data_enabled") and self._get("data_saver_mode"):
            parts.append("🔽 Data Saver")
        if self._get("wifi_connected"):
            parts.append(f"📡 Connected to {self._get('wifi_ssid')}" if self._get("wifi_ssid") else "📡 Connected")
        elif self._get("wifi_enabled"):
            parts.append("📡 Enabled")
        if self._get("vpn_connected"):
            parts.append("🔒 VPN Connected")
        return " | ".join([*parts, f"🔋 {self._get('battery_level')}%"])

    def _then(self, text: str) -> str:
        return f"{text}\nStatus Bar: {self._bar()}"


_NO_SIGNAL = {"network_technology_connected": "none", "network_signal_strength": "none"}
