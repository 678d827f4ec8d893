"""What agents say that no template of a pack contains, and how its customers read it."""

from __future__ import annotations

from pathlib import Path

import dialog_rl_scenarios
import pytest

from dialog_rl.pack import load_pack
from dialog_rl.phrasing import mentions, read_agent

FOLDER = Path(dialog_rl_scenarios.__file__).parent
PACKS = {name: load_pack(FOLDER / name) for name in ("telecom", "banking")}

TELECOM = {
    "Sure thing - could I grab your full name and zip first?": "name zip",
    "I'll need your name and postal code to look this up.": "name zip",
    "Which of your lines is giving you trouble?": "line_id",
    "What's the number of the line you're calling about?": "line_id",
    "I couldn't find that line. Would you mind checking the line number?": "line_id",
    "Which phone is it?": "line_id",
    "Which of our plans would you like to move to?": "plan",
    "What's the name of the new plan?": "name plan",
    "Where are you travelling to?": "country",
    "In which country do you need roaming?": "country",
    "How much extra data do you need?": "gigabytes",
    "How many GB should I add to it?": "gigabytes",
    "Just to confirm: you want me to cancel line 482913?": "confirm",
    "I'd move line 482913 to Plus from March 12. Does that sound good?": "confirm",
    "Are you sure you want the SIM blocked?": "confirm",
    "I'll switch on roaming in Spain, okay?": "confirm",
    "Your plan has been changed to Max, it starts on March 12.": "done",
    "All set! I've added 5 gigabytes.": "done",
    "I just reset your line.": "done",
    "There's an outage in Riverside until 6 o'clock, sorry about that.": "done",
    "Unfortunately your contract runs 8 more months.": "refuse",
    "I can't switch on roaming while the last bill isn't paid.": "refuse",
    "That won't be possible, the line has unlimited data already.": "refuse",
    "Is there anything else I can do for you today?": "else",
    "Your bill is 54.20 and due on March 12.": "",
    "Hello, welcome to Lark Mobile!": "",
}
BANKING = {
    "May I have your name and your customer number, please?": "name customer_number",
    "I'll need your customer ID.": "customer_number",
    "Which of your accounts should the money come from?": "account_id",
    "What's the account number?": "account_id",
    "Which card did you lose?": "card_id",
    "Can you tell me the last four digits of the card?": "card_id",
    "Who would you like to send it to?": "payee",
    "And who's the recipient?": "payee",
    "How much shall I transfer?": "amount charged limit",
    "What limit do you have in mind?": "limit",
    "Which store was that?": "shop",
    "So I send 150 to Anna Keller from account 48213 - correct?": "confirm",
    "I'll block card 4821 right away, do you agree?": "confirm",
    "Do you want me to dispute the 34.10 from Star Hotel?": "confirm",
    "Your card has been blocked and a new one arrives on March 12.": "done",
    "I've transferred 150 to Anna Keller.": "done",
    "Done! The new limit is 900.": "done",
    "I'm afraid the balance is only 12.50, that isn't enough.": "refuse",
    "We can't send a PIN for a blocked card.": "refuse",
    "A charge from 90 days ago can no longer be disputed, that's beyond our 60 days.": "refuse",
    "Anything else I can help you with?": "else",
    "Your balance is 812.40.": "",
    "That charge is from Star Hotel, on March 4.": "",
}
CASES = [("telecom", *case) for case in TELECOM.items()] + [("banking", *case) for case in BANKING.items()]


@pytest.mark.parametrize(("name", "text", "wanted"), CASES, ids=[case[1] for case in CASES])
def test_an_agent_is_understood_in_words_of_its_own(name: str, text: str, wanted: str) -> None:
    reading = read_agent(text, PACKS[name].phrasing.understand)
    flags = {
        "confirm": reading.confirms,
        "done": reading.done,
        "refuse": reading.refuses,
        "else": reading.anything_else,
    }
    assert {*reading.requests, *(flag for flag, is_so in flags.items() if is_so)} == set(wanted.split())


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("telecom", "not_yours", "That line isn't in your account."),
        ("telecom", "in_contract", "You are bound by a contract for 5 more months."),
        ("telecom", "unpaid_bill", "Your last bill hasn't been paid."),
        ("telecom", "already_blocked", "The SIM has already been blocked."),
        ("banking", "card_not_yours", "This card doesn't belong to you."),
        ("banking", "not_enough", "There isn't enough money in the account."),
        ("banking", "not_empty", "The account has to be empty first."),
        ("banking", "over_limit", "The maximum for this card is 450."),
        ("banking", "too_long_ago", "It was charged 95 days ago."),
    ],
)
def test_a_reason_is_recognised_in_other_words(name: str, reason: str, text: str) -> None:
    assert any(mentions(text, word) for word in PACKS[name].phrasing.evidence[reason])


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("telecom", "in_contract", "Sorry, your bill is not paid."),
        ("telecom", "unlimited", "Sorry, that line is not in your account."),
        ("banking", "over_limit", "Sorry, the card is blocked."),
        ("banking", "not_enough", "Sorry, that is not your account."),
    ],
)
def test_another_reason_is_no_evidence(name: str, reason: str, text: str) -> None:
    assert not any(mentions(text, word) for word in PACKS[name].phrasing.evidence[reason])
