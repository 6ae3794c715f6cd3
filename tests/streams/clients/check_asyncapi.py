"""Holds a document against the schema of AsyncAPI, and events against the document.

check_asyncapi.py SCHEMA DOCUMENT EVENTS: EVENTS has a JSON object on each line, with the name of a
channel and an event. Prints what is wrong, a line each, and ends with 1 if anything is.
"""

import json
import sys

from jsonschema import Draft7Validator, FormatChecker

schema, document = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:3])
wrong = []


def resolve(reference: str):
    """What a reference in the document leads to."""
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


Draft7Validator.check_schema(schema)
for error in Draft7Validator(schema).iter_errors(document):
    wrong.append(f"{error.json_path}: {error.message[:300]}")
for reference in references(document):
    try:
        resolve(reference)
    except KeyError:
        wrong.append(f"{reference} leads nowhere")
for line in open(sys.argv[3], encoding="utf-8"):
    entry = json.loads(line)
    event, messages = entry["event"], document["channels"][entry["channel"]]["messages"]
    fitting = []
    for name, message in messages.items():
        payload = resolve(message["$ref"])["payload"]
        whole = {**payload, "components": document["components"]}
        if "$ref" in payload:
            whole = {"allOf": [payload], "components": document["components"]}
        if Draft7Validator(whole, format_checker=FormatChecker()).is_valid(event):
            fitting.append(name)
    if fitting != [event["type"]]:
        wrong.append(f"{entry['channel']}: {event['type']} fits {fitting}")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
