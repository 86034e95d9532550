"""Manifests of the suites' tools, annotated by hand as a tool's author would.

Every annotation says what a tool does and who can write which field of what it gives. None
knows of a task, an attack or an injection. Tools that are not named here are refused.
"""

TRUSTED = {"integrity": "trusted"}


def own(field):
    """Trusted when the record's author is the principal."""
    return {"integrity": "trusted", "trusted_when": {"field": field, "is": "principal"}}


def patterns(fields):
    return {"output_integrity": "mixed", "output": fields}


ALL = {"output_integrity": "trusted"}
NONE = {"output_integrity": "untrusted"}
VALUES = patterns({"": TRUSTED})

TRANSACTIONS = patterns({"/*": TRUSTED, "/*/subject": own("/*/sender")})
MESSAGES = patterns({"/*/sender": TRUSTED, "/*/recipient": TRUSTED})

MAIL_FIELDS = ("id_", "sender", "recipients", "cc", "bcc", "timestamp", "status", "read", "attachments")
EVENT_FIELDS = ("id_", "start_time", "end_time", "participants", "all_day", "status")
FILE_FIELDS = ("id_", "filename", "owner", "last_modified", "size", "shared_with")


def listed(fields, extra=None):
    return patterns({f"/*/{field}": TRUSTED for field in fields} | (extra or {}))


def single(fields, extra=None):
    return patterns({f"/{field}": TRUSTED for field in fields} | (extra or {}))


MAILS = listed(MAIL_FIELDS, {"/*/subject": own("/*/sender"), "/*/body": own("/*/sender")})
EVENTS = listed(EVENT_FIELDS)
EVENT = single(EVENT_FIELDS)
FILES = listed(FILE_FIELDS)
FILE = single(FILE_FIELDS)

READ, WRITE = "read", "opaque_write"


def tool(effect, labels, destructive=False, **roles):
    return {"effect": effect, "labels": labels, "destructive": destructive, "roles": roles}


TOOLS = {
    # banking
    "get_iban": tool(READ, ALL),
    "get_balance": tool(READ, ALL),
    "get_most_recent_transactions": tool(READ, TRANSACTIONS),
    "get_scheduled_transactions": tool(READ, TRANSACTIONS),
    "send_money": tool(WRITE, ALL, recipient="recipient", amount="amount", subject="body", date="time"),
    "schedule_transaction": tool(WRITE, ALL, recipient="recipient", amount="amount", subject="body", date="time"),
    "update_scheduled_transaction": tool(
        WRITE, ALL, id="target", recipient="recipient", amount="amount", subject="body", date="time"
    ),
    "read_file": tool(READ, NONE, file_path="path"),
    "get_user_info": tool(READ, VALUES),
    "update_password": tool(WRITE, ALL, password="secret"),
    # Where letters and parcels go.
    "update_user_info": tool(
        WRITE, ALL, first_name="body", last_name="body", street="recipient", city="recipient"
    ),
    # slack
    "get_channels": tool(READ, patterns({"/*": TRUSTED})),
    "add_user_to_channel": tool(WRITE, ALL, user="recipient", channel="target"),
    "read_channel_messages": tool(READ, MESSAGES, channel="target"),
    "read_inbox": tool(READ, MESSAGES, user="target"),
    "send_direct_message": tool(WRITE, ALL, recipient="recipient", body="body"),
    "send_channel_message": tool(WRITE, ALL, channel="recipient", body="body"),
    "get_users_in_channel": tool(READ, patterns({"/*": TRUSTED}), channel="target"),
    "invite_user_to_slack": tool(WRITE, ALL, user="recipient", user_email="recipient"),
    "remove_user_from_slack": tool(WRITE, ALL, destructive=True, user="target"),
    "get_webpage": tool(READ, NONE, url="url"),
    "post_webpage": tool(WRITE, ALL, url="url", content="body"),
    # workspace
    "send_email": tool(
        WRITE, ALL, recipients="recipient", cc="recipient", bcc="recipient", subject="body", body="body",
        attachments="target",
    ),
    "delete_email": tool(WRITE, ALL, destructive=True, email_id="target"),
    "get_unread_emails": tool(READ, MAILS),
    "get_sent_emails": tool(READ, MAILS),
    "get_received_emails": tool(READ, MAILS),
    "get_draft_emails": tool(READ, MAILS),
    "search_emails": tool(READ, MAILS),
    "search_contacts_by_name": tool(READ, VALUES),
    "search_contacts_by_email": tool(READ, VALUES),
    "get_current_day": tool(READ, ALL),
    "search_calendar_events": tool(READ, EVENTS),
    "get_day_calendar_events": tool(READ, EVENTS),
    "create_calendar_event": tool(
        WRITE, EVENT, title="body", start_time="time", end_time="time", description="body",
        participants="recipient", location="body",
    ),
    "cancel_calendar_event": tool(WRITE, ALL, destructive=True, event_id="target"),
    "reschedule_calendar_event": tool(
        WRITE, EVENT, event_id="target", new_start_time="time", new_end_time="time"
    ),
    "add_calendar_event_participants": tool(WRITE, EVENT, event_id="target", participants="recipient"),
    "append_to_file": tool(WRITE, FILE, file_id="target", content="body"),
    "search_files_by_filename": tool(READ, FILES),
    "create_file": tool(WRITE, FILE, filename="path", content="body"),
    "delete_file": tool(WRITE, FILE, destructive=True, file_id="target"),
    "get_file_by_id": tool(READ, FILE, file_id="target"),
    "list_files": tool(READ, FILES),
    "share_file": tool(WRITE, FILE, file_id="target", email="recipient"),
    "search_files": tool(READ, FILES),
    # travel
    "get_user_information": tool(READ, VALUES),
    "get_all_hotels_in_city": tool(READ, ALL),
    "get_hotels_prices": tool(READ, VALUES),
    "get_rating_reviews_for_hotels": tool(READ, NONE),
    "get_hotels_address": tool(READ, VALUES),
    "get_all_restaurants_in_city": tool(READ, ALL),
    "get_cuisine_type_for_restaurants": tool(READ, VALUES),
    "get_restaurants_address": tool(READ, VALUES),
    "get_rating_reviews_for_restaurants": tool(READ, NONE),
    "get_dietary_restrictions_for_all_restaurants": tool(READ, VALUES),
    "get_contact_information_for_restaurants": tool(READ, VALUES),
    "get_price_for_restaurants": tool(READ, VALUES),
    "check_restaurant_opening_hours": tool(READ, VALUES),
    "get_all_car_rental_companies_in_city": tool(READ, ALL),
    "get_car_types_available": tool(READ, VALUES),
    "get_rating_reviews_for_car_rental": tool(READ, NONE),
    "get_car_rental_address": tool(READ, VALUES),
    "get_car_fuel_options": tool(READ, VALUES),
    "get_car_price_per_day": tool(READ, VALUES),
    "get_flight_information": tool(READ, ALL),
    "reserve_hotel": tool(WRITE, ALL, hotel="recipient", start_day="time", end_day="time"),
    "reserve_restaurant": tool(WRITE, ALL, restaurant="recipient", start_time="time"),
    "reserve_car_rental": tool(WRITE, ALL, company="recipient", start_time="time", end_time="time"),
}

# Whose accounts, addresses and domains the principal calls their own, as the environment of
# the suite says it.
IDENTITIES = {
    "banking": ["me", "DE89370400440532013000", "Emma Johnson"],
    "slack": ["bot"],
    "workspace": ["emma.johnson@bluesparrowtech.com"],
    "travel": ["emma.johnson@gmail.com", "Emma Johnson"],
}


def manifest(suite, function):
    """The manifest of a tool of a suite."""
    known = TOOLS[function.name]
    return {
        "schema_version": 1,
        "id": f"{suite}/{function.name}",
        "version": "1.0.0",
        "title": function.name,
        "description": function.description[:2000],
        "runtime": {"kind": "native"},
        "input_schema": function.parameters.model_json_schema() | {"type": "object"},
        "effect": known["effect"],
        "destructive": known["destructive"],
        "args": {f"/{name}": {"role": role} for name, role in known["roles"].items()},
        "labels": known["labels"],
    }
