import people


def main_handler(event, context):
    if "requestContext" not in event or "websocket" not in event:
        return {"errNo": 101, "errMsg": "not found web socket"}
    person = event["websocket"]["secConnectionID"]
    people.enter(person)
    return {"errNo": 0, "errMsg": "ok", "websocket": {"action": "connecting", "secConnectionID": person}}
