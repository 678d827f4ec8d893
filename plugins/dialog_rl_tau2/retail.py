"""tau2's retail shop, written from the tools' schemas and what they were seen to answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dialog_rl_tau2.book import Desk, Refused, Row, calculated, reads, writes

ORDER_FIELDS = (
    "cancel_reason", "exchange_items", "exchange_new_items", "exchange_payment_method_id",
    "exchange_price_difference", "return_items", "return_payment_method_id",
)  # fmt: skip
"""What an order gets when something is done about it; null before."""


class RetailDesk(Desk):
    @reads
    def calculate(self, expression: str) -> str:
        """The value of an expression of numbers, + - * / and parentheses."""
        return calculated(expression)

    @reads
    def find_user_id_by_email(self, email: str) -> str:
        """The id of the user with this email."""
        for user_id, user in self.book.rows("users"):
            if user["email"].lower() == email.lower():
                return user_id
        raise Refused("User not found")

    @reads
    def find_user_id_by_name_zip(self, first_name: str, last_name: str, zip: str) -> str:
        """The id of the user with this name and zip code."""
        wanted = (first_name.lower(), last_name.lower(), zip)
        for user_id, user in self.book.rows("users"):
            name = user["name"]
            if (name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"]) == wanted:
                return user_id
        raise Refused("User not found")

    @reads
    def get_order_details(self, order_id: str) -> Row:
        """An order."""
        return Row(self._row("orders", order_id, "Order"))

    @reads
    def get_product_details(self, product_id: str) -> Row:
        """A product with all its variants."""
        return Row(self._row("products", product_id, "Product"))

    @reads
    def get_item_details(self, item_id: str) -> Row:
        """One variant of a product."""
        for _, product in self.book.rows("products"):
            if item_id in product["variants"]:
                return Row(product["variants"][item_id])
        raise Refused("Item not found")

    @reads
    def get_user_details(self, user_id: str) -> Row:
        """A user with address, payment methods and orders."""
        return Row(self._row("users", user_id, "User"))

    @reads
    def list_all_product_types(self) -> str:
        """Every product's name and id."""
        names = {product["name"]: key for key, product in self.book.rows("products")}
        return json.dumps(names, sort_keys=True)

    @reads
    def transfer_to_human_agents(self, summary: str) -> str:
        """Hand the customer over to a person."""
        return "Transfer successful"

    @writes
    def cancel_pending_order(self, order_id: str, reason: str) -> Row:
        """Cancel a pending order and pay back what was paid."""
        if self._row("orders", order_id, "Order")["status"] != "pending":
            raise Refused("Non-pending order cannot be cancelled")
        if reason not in ("no longer needed", "ordered by mistake"):
            raise Refused("Invalid reason")
        order = self.book.edit("orders", order_id)
        refunds = [_entry("refund", paid["amount"], paid["payment_method_id"]) for paid in order["payment_history"]]
        for refund in refunds:
            self._move(order["user_id"], refund["payment_method_id"], refund["amount"])
        order["status"], order["cancel_reason"] = "cancelled", reason
        order["payment_history"].extend(refunds)
        return Row(order)

    @writes
    def modify_pending_order_address(
        self, order_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
    ) -> Row:
        """Change where a pending order goes."""
        self._pending(order_id)
        order = self.book.edit("orders", order_id)
        order["address"] = _address(address1, address2, city, state, country, zip)
        return Row(order)

    @writes
    def modify_user_address(
        self, user_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
    ) -> Row:
        """Change a user's own address."""
        self._row("users", user_id, "User")
        user = self.book.edit("users", user_id)
        user["address"] = _address(address1, address2, city, state, country, zip)
        return Row(user)

    @writes
    def modify_pending_order_payment(self, order_id: str, payment_method_id: str) -> Row:
        """Let another of the user's payment methods pay for a pending order."""
        order = self._pending(order_id)
        method = self._method(order["user_id"], payment_method_id)
        history = order["payment_history"]
        if len(history) != 1 or history[0]["transaction_type"] != "payment":
            raise Refused("There should be exactly one payment for a pending order")
        if history[0]["payment_method_id"] == payment_method_id:
            raise Refused("The new payment method should be different from the current one")
        amount = history[0]["amount"]
        if method["source"] == "gift_card" and method["balance"] < amount:
            raise Refused("Insufficient gift card balance to pay for the order")
        order = self.book.edit("orders", order_id)
        before = order["payment_history"][0]["payment_method_id"]
        order["payment_history"] += [_entry("payment", amount, payment_method_id), _entry("refund", amount, before)]
        self._move(order["user_id"], payment_method_id, -amount)
        self._move(order["user_id"], before, amount)
        return Row(order)

    @writes
    def modify_pending_order_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> Row:
        """Change items of a pending order to other variants of the same products; once an order."""
        order = self._row("orders", order_id, "Order")
        if order["status"] != "pending":
            raise Refused("Non-pending order cannot be modified")
        difference, variants = self._swapped(order, item_ids, new_item_ids)
        self._affordable(order["user_id"], payment_method_id, difference)
        order = self.book.edit("orders", order_id)
        order["payment_history"].append(
            _entry("payment" if difference > 0 else "refund", abs(difference), payment_method_id)
        )
        self._move(order["user_id"], payment_method_id, -difference)
        for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
            item = next(item for item in order["items"] if item["item_id"] == item_id)
            # Seen in tau2's gold states: the last variant's price and options are written onto every changed item.
            item.update(item_id=new_item_id, price=variants[-1]["price"], options=variants[-1]["options"])
        order["status"] = "pending (item modified)"
        return Row(order)

    @writes
    def exchange_delivered_order_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> Row:
        """Ask for items of a delivered order to be exchanged for other variants of the same products."""
        order = self._row("orders", order_id, "Order")
        if order["status"] != "delivered":
            raise Refused("Non-delivered order cannot be exchanged")
        difference, _ = self._swapped(order, item_ids, new_item_ids)
        difference = round(difference, 2)
        self._affordable(order["user_id"], payment_method_id, difference)
        order = self.book.edit("orders", order_id)
        order.update(
            status="exchange requested", exchange_items=sorted(item_ids), exchange_new_items=sorted(new_item_ids),
            exchange_payment_method_id=payment_method_id, exchange_price_difference=difference,
        )  # fmt: skip
        return Row(order)

    @writes
    def return_delivered_order_items(self, order_id: str, item_ids: list[str], payment_method_id: str) -> Row:
        """Ask for items of a delivered order to be taken back."""
        order = self._row("orders", order_id, "Order")
        if order["status"] != "delivered":
            raise Refused("Non-delivered order cannot be returned")
        method = self._method(order["user_id"], payment_method_id)
        if method["source"] != "gift_card" and payment_method_id != order["payment_history"][0]["payment_method_id"]:
            raise Refused("Payment method should be the original payment method")
        self._owned(order, item_ids)
        order = self.book.edit("orders", order_id)
        order.update(
            status="return requested", return_items=sorted(item_ids), return_payment_method_id=payment_method_id
        )
        return Row(order)

    def _row(self, table: str, key: str, what: str) -> Mapping[str, Any]:
        row = self.book.get(table, key)
        if row is None:
            raise Refused(f"{what} not found")
        return row

    def _pending(self, order_id: str) -> Mapping[str, Any]:
        order = self._row("orders", order_id, "Order")
        if not order["status"].startswith("pending"):
            raise Refused("Non-pending order cannot be modified")
        return order

    def _method(self, user_id: str, payment_method_id: str) -> Mapping[str, Any]:
        methods = self._row("users", user_id, "User")["payment_methods"]
        if payment_method_id not in methods:
            raise Refused("Payment method not found")
        return methods[payment_method_id]

    def _affordable(self, user_id: str, payment_method_id: str, amount: float) -> None:
        method = self._method(user_id, payment_method_id)
        if method["source"] == "gift_card" and method["balance"] < amount:
            raise Refused("Insufficient gift card balance to pay for the price difference")

    def _move(self, user_id: str, payment_method_id: str, amount: float) -> None:
        """Money onto a gift card, or off it; what other methods hold is not in these records."""
        if self._method(user_id, payment_method_id)["source"] == "gift_card":
            method = self.book.edit("users", user_id)["payment_methods"][payment_method_id]
            method["balance"] = round(method["balance"] + amount, 2)

    def _owned(self, order: Mapping[str, Any], item_ids: Sequence[str]) -> None:
        there = Counter(item["item_id"] for item in order["items"])
        for item_id, count in Counter(item_ids).items():
            if there[item_id] < count:
                raise Refused("Some item not found")

    def _swapped(
        self, order: Mapping[str, Any], item_ids: Sequence[str], new_item_ids: Sequence[str]
    ) -> tuple[float, list[Mapping[str, Any]]]:
        """What the exchange costs, and the new variants in order."""
        self._owned(order, item_ids)
        if len(item_ids) != len(new_item_ids):
            raise Refused("The number of items to be exchanged should match")
        difference, variants = 0.0, []
        for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
            item = next(item for item in order["items"] if item["item_id"] == item_id)
            variant = self.book.get("products", item["product_id"])["variants"].get(new_item_id)
            if variant is None or not variant["available"]:
                raise Refused(f"New item {new_item_id} not found or available")
            difference += variant["price"] - item["price"]
            variants.append(variant)
        return difference, variants


def _address(address1: str, address2: str, city: str, state: str, country: str, zip: str) -> dict[str, str]:
    return {
        "address1": address1, "address2": address2, "city": city, "country": country, "state": state, "zip": zip,
    }  # fmt: skip


def _entry(kind: str, amount: float, payment_method_id: str) -> dict[str, Any]:
    return {"transaction_type": kind, "amount": amount, "payment_method_id": payment_method_id}
