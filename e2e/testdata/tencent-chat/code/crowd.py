import os

import clean
import people


def main_handler(event, context):
    sender = event["websocket"]["secConnectionID"]
    others = [person for person in people.everybody() if person != sender]
    answer = people.push({"action": "data send", "secConnectionID": others, "dataType": "text", "data": event["websocket"]["data"]})
    if answer["sent"] != len(others):
        raise Exception(str(answer))


def cleanup(event, context):
    """Leaves a trace of every run, so that a second one shows."""
    run = event["websocket"]["secConnectionID"] + "/" + context["request_id"]
    people.client.put_object(Bucket=os.environ["done"], Key=run, Body=b"")
    return clean.main_handler(event, context)
