"""Rows for a classifier of personal data: sentences of templates with invented people in them, and sentences that look alike
but name nobody.

    python recipes/guardrails/synthesise.py        # writes pii.jsonl beside this file

Every name, number and address is drawn by a seeded generator; IBANs carry right check digits (ISO 13616), telephone
numbers keep to ranges that are reserved for fiction. `template` groups the rows, so that no template stands in two splits.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

SEED, ROWS_A_TEMPLATE = 11, 12
FIRST = "Anna Ben Carla David Elif Farid Grace Hugo Ines Jonas Kofi Lena Mateo Nora Omar Petra Quinn Rosa Sven Tara Uma Victor Wanda Yusuf Zoe"
LAST = "Abbott Berger Castro Dahl Eriksen Fischer Garnier Haddad Ivanov Jansen Keller Lindqvist Moreau Novak Okafor Petrov Quist Rossi Silva Tanaka"
STREETS = (
    "Mill Lane,Station Road,High Street,Church Hill,Harbour Street,Garden Way,Linden Avenue,Bridge Street,Castle Road"
)
CITIES = "Bristol Leeds Utrecht Graz Porto Malmo Dresden Ghent Turin Cork"
MAILS = "example.com example.org example.net"
THINGS = "kettle,lamp,bicycle,printer,tent,desk,camera,heater,rucksack,blender"
MONTHS = "January February March April May June July August September October November December"

PERSONAL = (
    "My name is {first} {last}, you can call me on {phone}.",
    "Please send it to {first} {last}, {street}, {city}.",
    "I moved house, the new address is {street}, {city}.",
    "You can reach me at {mail} any time.",
    "The refund should go to {iban}.",
    "Customer {first} {last} was born on {birth}.",
    "call {phone} and ask for {first}",
    "Account holder: {first} {last}, IBAN {iban}",
    "Write to {mail} or ring {phone} after six.",
    "{first} lives at {street} in {city}, second floor.",
    "This is {first} {last}. My date of birth is {birth}.",
    "Use my card, it is {card}, valid for two more years.",
    "Contact: {first} {last} <{mail}>",
    "her phone is {phone} but she never picks up",
    "Deliver to the neighbour, Mrs {last}, at {street}.",
    "Passport {passport}, issued to {first} {last}.",
    "I paid from {iban} last week, please check.",
    "Sure, the patient is {first} {last}, {street}, {city}.",
    "Forward the contract to {mail}, thanks.",
    "Our new colleague {first} {last} can be found under {phone}.",
    "The parcel was signed for by {first} {last} of {street}.",
    "My login is {mail} and it still does not work.",
    "Emergency contact {first} {last}, {phone}",
    "The tenant at {street}, {city}, is {first} {last}.",
    "He gave the number {card} over the phone.",
    "Invoice address: {first} {last}, {street}, {city}",
    "Ask {first} {last} about it, mail is {mail}.",
    "From which account? It is {iban}, in my wife's name.",
    "I am {first}, I live in {city}, {street}, come by.",
    "Applicant: {last}, {first}; born {birth}; telephone {phone}",
)
NOBODY = (
    "Order {order} has not arrived yet.",
    "The {thing} costs {price} in your shop.",
    "Do you deliver to {city} on Sundays?",
    "Version {version} crashes when I open the menu.",
    "The sale ends on {day} and starts again in {month}.",
    "My {thing} broke after {count} days, what can I do?",
    "Article {order} is out of stock in {city}.",
    "We need {count} pieces of the {thing} by {month}.",
    "Error {count} at line {order}, please advise.",
    "What does the {thing} weigh, about {count} kilos?",
    "Our office in {city} is open from nine to five.",
    "Your press team can be found on the website.",
    "the train to {city} leaves at {clock} from platform nine",
    "Reference {order}, amount {price}, still unpaid.",
    "The manual says page {count}, but there is no such page.",
    "Can I pay the {thing} in {count} parts of {price}?",
    "Ticket {order} was closed on {day} without an answer.",
    "Is the {thing} from the {month} catalogue still sold?",
    "The hotline was busy for {count} minutes.",
    "Room {count} is booked until {clock}.",
    "Firmware {version} fixed the {thing} for most customers.",
    "The city of {city} has {order} inhabitants.",
    "It was {count} degrees in {city} in {month}.",
    "Please change my password, I forgot it.",
    "Part number {order}-{count} does not fit the {thing}.",
    "We sold the {thing} for {price} on {day}.",
    "The meeting moved to {day} at {clock}.",
    "All {count} guests liked the hotel near the station.",
    "How do I return a {thing} without the box?",
    "Coupon {order} gives {count} percent off until {month}.",
)


def iban(chance: np.random.Generator) -> str:
    """A German IBAN of an invented account with right check digits, in groups of four."""
    account = "".join(str(digit) for digit in chance.integers(0, 10, 18))
    check = 98 - int(account + "131400") % 97  # D is 13, E is 14 (ISO 13616)
    whole = f"DE{check:02d}{account}"
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def values(chance: np.random.Generator) -> dict[str, str]:
    """Something for every place of a template."""

    def one(words: str, by: str | None = None) -> str:
        known = words.split(by)
        return known[int(chance.integers(len(known)))]

    number: Callable[[int, int], int] = lambda low, high: int(chance.integers(low, high))  # noqa: E731
    first, last = one(FIRST), one(LAST)
    phones = (f"07700 900{number(100, 999)}", f"+44 20 7946 0{number(100, 999)}", f"555-01{number(10, 99)}")
    return {
        "first": first,
        "last": last,
        "phone": phones[number(0, 3)],
        "street": f"{number(1, 180)} {one(STREETS, ',')}",
        "city": one(CITIES),
        "mail": f"{first.lower()}.{last.lower()}{number(1, 99)}@{one(MAILS)}",
        "iban": iban(chance),
        "birth": f"{number(1, 28)} {one(MONTHS)} {number(1940, 2006)}",
        "card": f"4000 00{number(10, 99)} {number(1000, 9999)} {number(1000, 9999)}",
        "passport": f"{one('C F G X')}{number(10**7, 10**8)}",
        "order": str(number(10_000, 999_999)),
        "thing": one(THINGS, ","),
        "price": f"{number(5, 400)}.{number(10, 99)} EUR",
        "version": f"{number(1, 9)}.{number(0, 20)}.{number(0, 9)}",
        "day": f"{number(1, 28)} {one(MONTHS)}",
        "month": one(MONTHS),
        "count": str(number(2, 90)),
        "clock": f"{number(7, 22)}:{number(10, 59)}",
    }


def rows() -> list[dict[str, str]]:
    """Every row: text, label, and the template it was made of."""
    made = []
    for label, templates in (("personal", PERSONAL), ("none", NOBODY)):
        for number, template in enumerate(templates):
            chance = np.random.default_rng([SEED, len(label), number])
            texts = {template.format(**values(chance)): None for _ in range(ROWS_A_TEMPLATE)}
            made += [{"text": text, "label": label, "template": f"{label}-{number}"} for text in texts]
    return made


def main() -> None:
    """Write the rows."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--out", type=Path, default=Path(__file__).parent / "pii.jsonl")
    out = words.parse_args().out
    out.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    print(f"wrote {out}: {len(rows())} rows")


if __name__ == "__main__":
    main()
