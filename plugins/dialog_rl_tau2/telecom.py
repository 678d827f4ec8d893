"""tau2's telecom company, the agent's side, written from the tools' schemas and what they were seen to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl_tau2.book import Desk, Refused, Row, reads, writes

TODAY = "2025-02-25"
OVERDUE_PERIOD = {
    "period_start": "2025-01-01", "period_end": "2025-01-31", "issue_date": "2025-01-01", "due_date": "2025-01-15",
}  # fmt: skip
"""Of the bill that a task lets become overdue: last month's."""
CONTRACT_ENDED_ON = "2025-01-31"
"""When a contract ended that a task says has ended."""
MOST_REFUELLED_GB = 2
KINDS = {"C": "customers", "L": "lines", "D": "devices", "B": "bills", "P": "plans"}


class TelecomDesk(Desk):
    @reads
    def get_customer_by_phone(self, phone_number: str) -> Row:
        """The customer with this number, their own or that of a line."""
        for _, customer in self.book.rows("customers"):
            numbers = {self.book.get("lines", line)["phone_number"] for line in customer["line_ids"]}
            if phone_number == customer["phone_number"] or phone_number in numbers:
                return Row(customer)
        raise Refused(f"Customer with phone number {phone_number} not found")

    @reads
    def get_customer_by_id(self, customer_id: str) -> Row:
        """A customer."""
        return Row(self._customer(customer_id))

    @reads
    def get_customer_by_name(self, full_name: str, dob: str) -> list[Row]:
        """The customers of this name and date of birth."""
        return [
            Row(customer)
            for _, customer in self.book.rows("customers")
            if customer["full_name"].lower() == full_name.lower() and customer["date_of_birth"] == dob
        ]

    @reads
    def get_details_by_id(self, id: str) -> Row:
        """A customer, line, device, bill or plan."""
        row = self.book.get(KINDS.get(id[:1], ""), id)
        if row is None:
            raise Refused(f"Unknown ID format or type: {id}")
        return Row(row)

    @reads
    def get_bills_for_customer(self, customer_id: str, limit: int = 12) -> list[Row]:
        """A customer's bills, the latest first."""
        bills = [self.book.get("bills", bill) for bill in self._customer(customer_id)["bill_ids"]]
        return [Row(bill) for bill in sorted(bills, key=lambda b: b["issue_date"], reverse=True)[:limit]]

    @reads
    def get_data_usage(self, customer_id: str, line_id: str) -> dict[str, Any]:
        """How much data a line has used, may use and was refuelled with."""
        line = self._line(customer_id, line_id)
        return {
            "line_id": line_id, "data_used_gb": line["data_used_gb"],
            "data_limit_gb": self._plan(line)["data_limit_gb"], "data_refueling_gb": line["data_refueling_gb"],
            "cycle_end_date": "2025-02-28",
        }  # fmt: skip

    @reads
    def transfer_to_human_agents(self, summary: str) -> str:
        """Hand the customer over to a person."""
        return "Transfer successful"

    @writes
    def suspend_line(self, customer_id: str, line_id: str, reason: str) -> dict[str, Any]:
        """Suspend an active line."""
        if self._line(customer_id, line_id)["status"] != "Active":
            raise Refused("Line must be active to suspend")
        line = self.book.edit("lines", line_id)
        line["status"], line["suspension_start_date"] = "Suspended", TODAY
        return {"message": "Line suspended successfully", "line": Row(line)}

    @writes
    def resume_line(self, customer_id: str, line_id: str) -> dict[str, Any]:
        """Make a suspended or pending line active."""
        if self._line(customer_id, line_id)["status"] not in ("Suspended", "Pending Activation"):
            raise Refused("Line must be suspended to resume")
        line = self.book.edit("lines", line_id)
        line["status"], line["suspension_start_date"] = "Active", None
        return {"message": "Line resumed successfully", "line": Row(line)}

    @writes
    def send_payment_request(self, customer_id: str, bill_id: str) -> str:
        """Ask the customer to pay a bill."""
        bills = self._customer(customer_id)["bill_ids"]
        if bill_id not in bills:
            raise Refused(f"Bill with ID {bill_id} not found")
        if any(self.book.get("bills", bill)["status"] == "Awaiting Payment" for bill in bills):
            raise Refused("A bill is already awaiting payment for this customer")
        self.book.edit("bills", bill_id)["status"] = "Awaiting Payment"
        return f"Payment request sent to the customer for bill {bill_id}"

    @writes
    def enable_roaming(self, customer_id: str, line_id: str) -> str:
        """Let a line roam."""
        if self._line(customer_id, line_id)["roaming_enabled"]:
            return "Roaming was already enabled"
        self.book.edit("lines", line_id)["roaming_enabled"] = True
        return "Roaming enabled successfully"

    @writes
    def disable_roaming(self, customer_id: str, line_id: str) -> str:
        """Keep a line from roaming."""
        if not self._line(customer_id, line_id)["roaming_enabled"]:
            return "Roaming was already disabled"
        self.book.edit("lines", line_id)["roaming_enabled"] = False
        return "Roaming disabled successfully"

    @writes
    def refuel_data(self, customer_id: str, line_id: str, gb_amount: float) -> dict[str, Any]:
        """Add data to an active line, charged on the customer's next bill."""
        line = self._line(customer_id, line_id)
        if line["status"] != "Active":
            raise Refused("Line must be active to refuel data")
        if not gb_amount > 0:
            raise Refused("Refuel amount must be positive")
        rate = self._plan(line)["data_refueling_price_per_gb"]
        charge = gb_amount * rate
        line = self.book.edit("lines", line_id)
        line["data_refueling_gb"] += gb_amount
        self._charge(customer_id, charge, f"Data refueling: {gb_amount} GB at ${rate}/GB")
        return {
            "message": f"Successfully added {gb_amount} GB of data for line {line_id} for ${charge:.2f}",
            "new_data_refueling_gb": line["data_refueling_gb"], "charge": charge,
        }  # fmt: skip

    def set_data_usage(self, customer_id: str, line_id: str, data_used_gb: float) -> str:
        self._line(customer_id, line_id)
        self.book.edit("lines", line_id)["data_used_gb"] = data_used_gb
        return f"Data usage set to {data_used_gb} GB for line {line_id}"

    def suspend_line_for_overdue_bill(
        self, customer_id: str, line_id: str, new_bill_id: str, contract_ended: bool
    ) -> str:
        line = self._line(customer_id, line_id)
        amount = self._plan(line)["price_per_month"]
        charge = {"description": f"Charge for line {line_id}", "amount": amount, "date": TODAY, "item_type": "Charge"}
        self.book.put("bills", new_bill_id, {
            "bill_id": new_bill_id, "customer_id": customer_id, "period_start": OVERDUE_PERIOD["period_start"],
            "period_end": OVERDUE_PERIOD["period_end"], "issue_date": OVERDUE_PERIOD["issue_date"],
            "total_due": amount, "due_date": OVERDUE_PERIOD["due_date"], "line_items": [charge], "status": "Overdue",
        })  # fmt: skip
        self.book.edit("customers", customer_id)["bill_ids"].append(new_bill_id)
        line = self.book.edit("lines", line_id)
        line["status"], line["suspension_start_date"] = "Suspended", TODAY
        if contract_ended:
            line["contract_end_date"] = CONTRACT_ENDED_ON
        return f"Line {line_id} suspended for unpaid bill {new_bill_id}"

    def set_bill_to_paid(self, bill_id: str) -> None:
        self.book.edit("bills", bill_id)["status"] = "Paid"

    def line_with_number(self, phone_number: str) -> Mapping[str, Any] | None:
        return next((line for _, line in self.book.rows("lines") if line["phone_number"] == phone_number), None)

    def over_limit(self, line: Mapping[str, Any]) -> bool:
        """Whether a line has used up its data."""
        return line["data_used_gb"] >= self._plan(line)["data_limit_gb"] + line["data_refueling_gb"]

    def awaiting_payment(self, line: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The bill that the owner of a line has been asked to pay."""
        owner = next(c for _, c in self.book.rows("customers") if line["line_id"] in c["line_ids"])
        bills = (self.book.get("bills", bill) for bill in owner["bill_ids"])
        return next((bill for bill in bills if bill["status"] == "Awaiting Payment"), None)

    def assert_data_refueling_amount(self, customer_id: str, line_id: str, expected_amount: float) -> bool:
        return abs(self._line(customer_id, line_id)["data_refueling_gb"] - expected_amount) < 1e-6

    def assert_line_status(self, customer_id: str, line_id: str, expected_status: str) -> bool:
        return self._line(customer_id, line_id)["status"] == expected_status

    def assert_overdue_bill_exists(self, customer_id: str, overdue_bill_id: str) -> bool:
        bill = self.book.get("bills", overdue_bill_id)
        return overdue_bill_id in self._customer(customer_id)["bill_ids"] and bill["status"] == "Overdue"

    def assert_no_overdue_bill(self, overdue_bill_id: str) -> bool:
        bill = self.book.get("bills", overdue_bill_id)
        return bill is None or bill["status"] == "Paid"

    def _customer(self, customer_id: str) -> Mapping[str, Any]:
        customer = self.book.get("customers", customer_id)
        if customer is None:
            raise Refused(f"Customer with ID {customer_id} not found")
        return customer

    def _line(self, customer_id: str, line_id: str) -> Mapping[str, Any]:
        if line_id not in self._customer(customer_id)["line_ids"]:
            raise Refused(f"Line {line_id} not found for customer {customer_id}")
        return self.book.get("lines", line_id)

    def _plan(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.book.get("plans", line["plan_id"])

    def _charge(self, customer_id: str, amount: float, description: str) -> None:
        """Onto the customer's draft bill."""
        bills = self._customer(customer_id)["bill_ids"]
        draft = next((bill for bill in bills if self.book.get("bills", bill)["status"] == "Draft"), None)
        if draft is None:
            raise Refused(f"Customer {customer_id} has no draft bill to charge")
        bill = self.book.edit("bills", draft)
        bill["line_items"].append({"description": description, "amount": amount, "date": TODAY, "item_type": "Charge"})
        bill["total_due"] += amount
