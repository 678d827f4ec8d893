"""tau2's airline, written from the tools' schemas and what they were seen to answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date as Date
from datetime import timedelta
from typing import Any

from dialog_rl_tau2.book import Desk, Refused, Row, calculated, reads, writes

NOW = "2024-05-15T15:00:00"
RESERVATION_IDS = ("HATHAT", "HATHAU", "HATHAV")
"""The ids of new reservations, in order, so that a conversation can be had again."""
CERTIFICATE_NUMBERS = (3221322, 3221323, 3221324)
AIRPORTS = {
    "SFO": "San Francisco", "JFK": "New York", "LAX": "Los Angeles", "ORD": "Chicago", "DFW": "Dallas",
    "DEN": "Denver", "SEA": "Seattle", "ATL": "Atlanta", "MIA": "Miami", "BOS": "Boston", "PHX": "Phoenix",
    "IAH": "Houston", "LAS": "Las Vegas", "MCO": "Orlando", "EWR": "Newark", "CLT": "Charlotte",
    "MSP": "Minneapolis", "DTW": "Detroit", "PHL": "Philadelphia", "LGA": "LaGuardia",
}  # fmt: skip
BAG, INSURANCE = 50, 30
"""Dollars for each bag that is not free, and for each passenger's insurance."""


class AirlineDesk(Desk):
    @reads
    def calculate(self, expression: str) -> str:
        """The value of an expression of numbers, + - * / and parentheses."""
        return calculated(expression)

    @reads
    def get_user_details(self, user_id: str) -> Row:
        """A user with payment methods, membership and reservations."""
        return Row(self._row("users", user_id, "User"))

    @reads
    def get_reservation_details(self, reservation_id: str) -> Row:
        """A reservation."""
        return Row(self._row("reservations", reservation_id, "Reservation"))

    @reads
    def list_all_airports(self) -> list[Row]:
        """Every airport's code and city."""
        return [Row(iata=code, city=city) for code, city in AIRPORTS.items()]

    @reads
    def get_flight_status(self, flight_number: str, date: str) -> str:
        """What has become of a flight on a date."""
        return self._on(flight_number, date)["status"]

    @reads
    def transfer_to_human_agents(self, summary: str) -> str:
        """Hand the customer over to a person."""
        return "Transfer successful"

    @reads
    def search_direct_flight(self, origin: str, destination: str, date: str) -> list[Row]:
        """Flights with free seats between two airports on a date."""
        return [_offer(flight, date, dated=False) for flight in self._flights(date, origin, destination)]

    @reads
    def search_onestop_flight(self, origin: str, destination: str, date: str) -> list[list[Row]]:
        """Pairs of flights with free seats, the second leaving after the first has come in."""
        found: list[list[Row]] = []
        for first in self._flights(date, origin):
            arrival = first["scheduled_arrival_time_est"]
            then = str(Date.fromisoformat(date) + timedelta(days=1)) if "+1" in arrival else date
            for second in self._flights(then, first["destination"], destination):
                if second["scheduled_departure_time_est"] >= arrival:
                    found.append([_offer(first, date, dated=True), _offer(second, then, dated=True)])
        return found

    @writes
    def book_reservation(
        self,
        user_id: str,
        origin: str,
        destination: str,
        flight_type: str,
        cabin: str,
        flights: list[dict[str, Any]],
        passengers: list[dict[str, Any]],
        payment_methods: list[dict[str, Any]],
        total_baggages: int,
        nonfree_baggages: int,
        insurance: str,
    ) -> Row:
        """Book a reservation and pay for it."""
        user = self._row("users", user_id, "User")
        legs = [self._leg(wanted, cabin, seats=len(passengers)) for wanted in flights]
        price = sum(leg["price"] for leg in legs) * len(passengers) + BAG * nonfree_baggages
        price += INSURANCE * len(passengers) if insurance == "yes" else 0
        self._check_payments(user, payment_methods, price)
        key = next((key for key in RESERVATION_IDS if not self.book.has("reservations", key)), None)
        if key is None:
            raise Refused("Too many reservations")
        for leg in legs:
            seats = self.book.edit("flights", leg["flight_number"])["dates"][leg["date"]]["available_seats"]
            seats[cabin] -= len(passengers)
        self._pay(user_id, payment_methods)
        reservation: dict[str, Any] = {
            "reservation_id": key, "user_id": user_id, "origin": origin, "destination": destination,
            "flight_type": flight_type, "cabin": cabin, "flights": legs,
            "passengers": [_passenger(p) for p in passengers],
            "payment_history": [{"payment_id": p["payment_id"], "amount": p["amount"]} for p in payment_methods],
            "created_at": NOW, "total_baggages": total_baggages, "nonfree_baggages": nonfree_baggages,
            "insurance": insurance, "status": None,
        }  # fmt: skip
        self.book.put("reservations", key, reservation)
        self.book.edit("users", user_id)["reservations"].append(key)
        return Row(reservation)

    @writes
    def cancel_reservation(self, reservation_id: str) -> Row:
        """Cancel a whole reservation and pay back what was paid."""
        self._row("reservations", reservation_id, "Reservation")
        reservation = self.book.edit("reservations", reservation_id)
        reservation["payment_history"] += [
            {"payment_id": paid["payment_id"], "amount": -paid["amount"]} for paid in reservation["payment_history"]
        ]
        reservation["status"] = "cancelled"
        return Row(reservation)

    @writes
    def update_reservation_flights(
        self, reservation_id: str, cabin: str, flights: list[dict[str, Any]], payment_id: str
    ) -> Row:
        """Change a reservation's flights or cabin. What stays keeps its price."""
        reservation = self._row("reservations", reservation_id, "Reservation")
        passengers = len(reservation["passengers"])
        kept = {(leg["flight_number"], leg["date"]): leg for leg in reservation["flights"]}
        legs: list[dict[str, Any]] = []
        for wanted in flights:
            old = kept.get((wanted["flight_number"], wanted["date"])) if cabin == reservation["cabin"] else None
            legs.append(dict(old) if old else self._leg(wanted, cabin, seats=passengers))
        difference = sum(leg["price"] for leg in legs) - sum(leg["price"] for leg in reservation["flights"])
        payment = self._charge(reservation["user_id"], payment_id, difference * passengers)
        changed = self.book.edit("reservations", reservation_id)
        changed["payment_history"] += payment
        changed["flights"], changed["cabin"] = legs, cabin
        return Row(changed)

    @writes
    def update_reservation_baggages(
        self, reservation_id: str, total_baggages: int, nonfree_baggages: int, payment_id: str
    ) -> Row:
        """Change how many bags a reservation has."""
        reservation = self._row("reservations", reservation_id, "Reservation")
        more = max(0, nonfree_baggages - reservation["nonfree_baggages"])
        payment = self._charge(reservation["user_id"], payment_id, BAG * more)
        changed = self.book.edit("reservations", reservation_id)
        changed["payment_history"] += payment
        changed["total_baggages"], changed["nonfree_baggages"] = total_baggages, nonfree_baggages
        return Row(changed)

    @writes
    def update_reservation_passengers(self, reservation_id: str, passengers: list[dict[str, Any]]) -> Row:
        """Change who flies, not how many."""
        reservation = self._row("reservations", reservation_id, "Reservation")
        if len(passengers) != len(reservation["passengers"]):
            raise Refused("Number of passengers does not match")
        changed = self.book.edit("reservations", reservation_id)
        changed["passengers"] = [_passenger(p) for p in passengers]
        return Row(changed)

    @writes
    def send_certificate(self, user_id: str, amount: int) -> str:
        """Give a user a travel certificate."""
        methods = self._row("users", user_id, "User")["payment_methods"]
        key = next((f"certificate_{n}" for n in CERTIFICATE_NUMBERS if f"certificate_{n}" not in methods), None)
        if key is None:
            raise Refused("Too many certificates")
        certificate = {"source": "certificate", "id": key, "amount": float(amount)}
        self.book.edit("users", user_id)["payment_methods"][key] = certificate
        return f"Certificate {key} added to user {user_id} with amount {amount}."

    def _row(self, table: str, key: str, what: str) -> Mapping[str, Any]:
        row = self.book.get(table, key)
        if row is None:
            raise Refused(f"{what} {key} not found")
        return row

    def _on(self, flight_number: str, date: str) -> Mapping[str, Any]:
        flight = self._row("flights", flight_number, "Flight")
        if date not in flight["dates"]:
            raise Refused(f"Flight {flight_number} not found on date {date}")
        return flight["dates"][date]

    def _flights(self, date: str, origin: str, destination: str = "") -> Iterator[Mapping[str, Any]]:
        for _, flight in self.book.rows("flights"):
            day = flight["dates"].get(date)
            if flight["origin"] == origin and destination in ("", flight["destination"]) and day is not None:
                if day["status"] == "available":
                    yield flight

    def _leg(self, wanted: Mapping[str, Any], cabin: str, *, seats: int) -> dict[str, Any]:
        """A flight as a reservation holds it, at today's price."""
        number, date = wanted["flight_number"], wanted["date"]
        day = self._on(number, date)
        if day["status"] != "available":
            raise Refused(f"Flight {number} not available on date {date}")
        if day["available_seats"][cabin] < seats:
            raise Refused(f"Not enough seats on flight {number}")
        flight = self.book.get("flights", number)
        return {
            "flight_number": number, "origin": flight["origin"], "destination": flight["destination"], "date": date,
            "price": day["prices"][cabin],
        }  # fmt: skip

    def _check_payments(self, user: Mapping[str, Any], payments: Sequence[Mapping[str, Any]], price: float) -> None:
        for payment in payments:
            method = user["payment_methods"].get(payment["payment_id"])
            if method is None:
                raise Refused(f"Payment method {payment['payment_id']} not found")
            if method["source"] != "credit_card" and method["amount"] < payment["amount"]:
                raise Refused(f"Not enough balance in payment method {payment['payment_id']}")
        paid = sum(payment["amount"] for payment in payments)
        if paid != price:
            raise Refused(f"Payment amount does not add up, total price is {price}, but paid {paid}")

    def _pay(self, user_id: str, payments: Sequence[Mapping[str, Any]]) -> None:
        """Gift cards keep what is left; a certificate is used up, whatever is left on it."""
        methods = self.book.edit("users", user_id)["payment_methods"]
        for payment in payments:
            method = methods[payment["payment_id"]]
            if method["source"] == "gift_card":
                method["amount"] -= payment["amount"]
            elif method["source"] == "certificate":
                del methods[payment["payment_id"]]

    def _charge(self, user_id: str, payment_id: str, amount: float) -> list[dict[str, Any]]:
        """Pay for a change, or be paid back: the entry for the reservation, none if it costs nothing."""
        method = self._row("users", user_id, "User")["payment_methods"].get(payment_id)
        if method is None:
            raise Refused("Payment method not found")
        if method["source"] == "certificate":
            raise Refused("Certificate cannot be used to update reservation")
        if method["source"] == "gift_card" and method["amount"] < amount:
            raise Refused("Gift card balance is not enough")
        if amount == 0:
            return []
        if method["source"] == "gift_card":
            self.book.edit("users", user_id)["payment_methods"][payment_id]["amount"] -= amount
        return [{"payment_id": payment_id, "amount": amount}]


def _passenger(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"first_name": given["first_name"], "last_name": given["last_name"], "dob": given["dob"]}


def _offer(flight: Mapping[str, Any], date: str, *, dated: bool) -> Row:
    day = flight["dates"][date]
    return Row(
        flight_number=flight["flight_number"], origin=flight["origin"], destination=flight["destination"],
        status="available", scheduled_departure_time_est=flight["scheduled_departure_time_est"],
        scheduled_arrival_time_est=flight["scheduled_arrival_time_est"], date=date if dated else None,
        available_seats=day["available_seats"], prices=day["prices"],
    )  # fmt: skip
