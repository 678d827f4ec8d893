"""tau2's smallest domain: tasks of users, and a customer with an inbox."""

from __future__ import annotations

from typing import Any

from dialog_rl_tau2.book import Desk, Refused, Row, reads, writes


class MockDesk(Desk):
    @writes
    def create_task(self, user_id: str, title: str, description: str | None = None) -> Row:
        """Make a task for a user."""
        if not self.book.has("users", user_id):
            raise Refused(f"User {user_id} not found")
        task_id = f"task_{sum(1 for _ in self.book.rows('tasks')) + 1}"
        self.book.put(
            "tasks", task_id, {"task_id": task_id, "title": title, "description": description, "status": "pending"}
        )
        self.book.edit("users", user_id)["tasks"].append(task_id)
        return Row(self.book.get("tasks", task_id))

    @reads
    def get_users(self) -> list[Row]:
        """All users."""
        return [Row(user) for _, user in self.book.rows("users")]

    @writes
    def update_task_status(self, task_id: str, status: str) -> Row:
        """Set a task's status: pending or completed."""
        if not self.book.has("tasks", task_id):
            raise Refused(f"Task {task_id} not found")
        if status not in ("pending", "completed"):
            raise Refused(f"{status!r} is no status; there are: pending, completed")
        task = self.book.edit("tasks", task_id)
        task["status"] = status
        return Row(task)

    @reads
    def transfer_to_human_agents(self, summary: str) -> str:
        """Hand the customer over to a person."""
        return "Transfer successful"

    def assert_number_of_tasks(self, user_id: str, expected_number: int) -> bool:
        return len(self.book.get("users", user_id)["tasks"]) == expected_number

    def assert_task_status(self, task_id: str, expected_status: str) -> bool:
        task = self.book.get("tasks", task_id)
        if task is None:
            raise Refused(f"Task {task_id} not found")
        return task["status"] == expected_status


class MockCustomer(Desk):
    @reads
    def check_notifications(self) -> list[Row]:
        """The inbox."""
        return [Row(notification) for _, notification in self.book.rows("notifications")]

    @writes
    def dismiss_notification(self, notification_id: str) -> Row:
        """Mark a notification as read."""
        if not self.book.has("notifications", notification_id):
            raise Refused(f"Notification {notification_id} not found")
        notification = self.book.edit("notifications", notification_id)
        notification["status"] = "read"
        return Row(notification)

    def add_notification(self, notification_id: str, message: str, task_id: str | None = None) -> None:
        row: dict[str, Any] = {
            "notification_id": notification_id, "message": message, "status": "unread", "task_id": task_id,
        }  # fmt: skip
        self.book.put("notifications", notification_id, row)

    def assert_notification_status(self, notification_id: str, expected_status: str) -> bool:
        notification = self.book.get("notifications", notification_id)
        return notification is not None and notification["status"] == expected_status
